"""From a problem to a plan: tiles, scratch, offsets. Runs once for each geometry.

A `Problem` says what to compute, in coordinates; `tiled` decides how to cut it and writes that
down as the integers that kernels.pyx follows; ways.py has what is planned otherwise. All problems
have three spatial axes here.
"""

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np

from fastconv.engine import _system
from fastconv.engine.dispatch import kernels


class Output(NamedTuple):
    """Where a step writes, in bytes: from `offset`, for each index of what it computes."""

    offset: int
    image: int
    group: int
    inner: int
    channel: int
    spatial: tuple[int, int, int]
    sizes: tuple[int, int, int]


class Step(NamedTuple):
    """One pass over a tile: `groups` correlations, `inputs` to `outputs` channels each.

    `taps` are (z, y, x) coordinates as seen from output 0, `gather` the byte offsets of the
    weights that belong to them; `strides` those from outer group to outer group, inner group
    to inner group, output to output and input to input channel. `reduces` says which axes a
    tap moves along; the others pass through to the next step. Operand 0 is the input. As many
    outputs as `bias_each` share a bias.
    """

    operand: int
    bias: int | None
    bias_stride: int
    groups: int
    inputs: int
    outputs: int
    taps: list[tuple[int, int, int]]
    gather: list[int]
    strides: tuple[int, int, int, int]
    reduces: tuple[bool, bool, bool]
    output: Output | None
    bias_each: int = 1


class Problem(NamedTuple):
    """Steps over one lay-out of the input; the last ones, or the only ones, have an output.

    `dtype` is what is computed in, and that of all operands but the input, which is `given`; the
    result is `stored`.
    """

    dtype: np.dtype
    given: np.dtype
    stored: np.dtype
    images: int
    groups: int
    channels: int
    sizes: tuple[int, int, int]
    in_strides: tuple[int, int, int, int, int, int]
    border: int
    stride: tuple[int, int, int]
    grid: tuple[int, int, int]
    steps: list[Step]


class Pass(NamedTuple):
    """The fields of kernels.Pass, in its order."""

    groups: int = 1
    planes: int = 1
    channels: int = 0
    taps: int = 0
    blocks: int = 0
    operand: int = 1
    weight_outer: int = 0
    weight_inner: int = 0
    weight_channel: int = 0
    gather: int = 0
    contiguous: bool = False
    packed: int = -1
    near: bool = False
    bias_operand: int = -1
    bias_stride: int = 0
    bias_each: int = 1
    bias: int = 0
    source: int = 0
    source_group: int = 0
    source_plane: int = 0
    source_z: int = 0
    source_channel: int = 0
    offsets: int = 0
    halo_z: int = 0
    halo_y: int = 0
    target: int = -1
    target_group: int = 0
    target_plane: int = 0
    target_channel: int = 0
    target_z: int = 0
    form: int = kernels.FORMS["direct"]
    height: int = 0
    positions: int = 0
    columns: int = 0
    column_offsets: int = 0
    reduction: int = 0
    row_tiles: int = 0
    row_pitch: int = 0
    plane_pitch: int = 0
    result_pitch: int = 0
    parts: int = 1
    part_table: int = 0
    strips: int = 0
    strip_count: int = 0
    kernel: int = 0
    first_y: int = 0
    first_x: int = 0
    line: bool = False
    by_rows: bool = False
    sums: int = 0
    sums_pitch: int = 0
    apart: bool = False
    most: int = 0
    coordinates: int = 0
    infinite: int = 0
    out_offset: int = 0
    out_image: int = 0
    out_group: int = 0
    out_inner: int = 0
    out_channel: int = 0
    out_z: int = 0
    out_y: int = 0
    out_x: int = 0
    limit_z: int = 0
    limit_y: int = 0
    limit_x: int = 0

    def of_step(self, step):
        """Where the step finds its operands and writes to."""
        out = step.output or Output(0, 0, 0, 0, 0, (0, 0, 0), (0, 0, 0))
        return self._replace(
            groups=step.groups,
            channels=step.outputs,
            operand=step.operand,
            weight_outer=step.strides[0],
            weight_inner=step.strides[1],
            weight_channel=step.strides[2],
            bias_operand=-1 if step.bias is None else step.bias,
            bias_stride=step.bias_stride,
            bias_each=step.bias_each,
            out_offset=out.offset,
            out_image=out.image,
            out_group=out.group,
            out_inner=out.inner,
            out_channel=out.channel,
            out_z=out.spatial[0],
            out_y=out.spatial[1],
            out_x=out.spatial[2],
            limit_z=out.sizes[0],
            limit_y=out.sizes[1],
            limit_x=out.sizes[2],
        )


class Strip(NamedTuple):
    """The fields of kernels.Strip, in its order."""

    first: int
    last: int
    taps: int
    offsets: int
    weight: int
    step: int


class Plan(NamedTuple):
    """What `engine.run` needs, and `explain` tells.

    In bytes: `workspace`, `weights` if they are packed beforehand, which saves `saved` of it.
    Plans of the same `key` read packed weights in the same order.
    """

    program: object
    threads: int
    workspace: int
    weights: int
    saved: int
    key: str
    tile: tuple[int, int, int]
    tasks: int
    flops: int
    method: str


#: Scratch that stays in the second-level cache beside a block of weights.
SCRATCH_BUDGET = min(max(_system.cache_size(), 1 << 19), 1 << 22) // 2
#: Cycles of work that are worth waking another thread for: some 20 microseconds.
WORTH_A_THREAD = 50_000
#: Bytes of a row of the panel from which results go to a strided output: not a power of
#: two, or all rows would fall on the same cache lines.
PANEL = 2048 + 64
#: What multiplying vectors takes that are one cache line each, to such as have parts of two; by the
#: bytes of a number.
ALIGNED = {4: 0.84, 8: 0.9}
#: Positions of an image that may be worth a swapped pass.
MOST_POSITIONS = 1024
#: Tiles for each of which weights are gathered anew rather than packed before all.
NEAR_TILES = 3
#: Bytes of an input that hardware had better not be left alone with. The wider the vectors, the
#: longer are the runs that it sees.
FAR_BYTES = kernels.VECTOR << 16
#: Bytes of a vector that can be loaded in part.
MASKED = 32
#: At least a vector, which may run over the end of what it is for.
VECTOR = 64
#: What a thread keeps of itself before its scratch.
WORKER_BYTES = kernels.WORKER


def worth(threads, cycles):
    """How many of so many threads that many cycles of work are worth."""
    return max(1, min(threads, int(cycles) // WORTH_A_THREAD))


def in_order(gather, size):
    """Whether weights of so many bytes lie in memory as they are read."""
    return gather == list(range(0, len(gather) * size, size))


def aligned(size):
    return -(-size // 64) * 64


class _Axis(NamedTuple):
    """One axis of the lay-out.

    It has a plane for each of `residues`, of the input's elements stride * j + residue,
    `halo` more than a tile has outputs. A tap is found in its plane, so many places from
    the first.
    """

    residues: list[int]
    halo: int
    taps: dict[int, tuple[int, int]]


def axis(problem, a, apart=False):
    """Axis `a`: a plane for each phase of its stride or, apart, for each of its taps.

    Taps far apart, by a large dilation, leave most of what is between them unread.
    """
    stride = problem.stride[a]
    taps = {tap[a] for step in problem.steps if step.reduces[a] for tap in step.taps} or {0}
    if apart:
        residues = sorted(taps)
        return _Axis(residues, 0, {tap: (plane, 0) for plane, tap in enumerate(residues)})
    first = min(taps)
    phases = sorted({(tap - first) % stride for tap in taps})
    planes = {phase: plane for plane, phase in enumerate(phases)}
    return _Axis(
        [first + phase for phase in phases],
        (max(taps) - first) // stride,
        {tap: (planes[(tap - first) % stride], (tap - first) // stride) for tap in taps},
    )


def _lay_outs(problem):
    """The ways to lay the axes out that are worth a thought."""
    dense = [axis(problem, a) for a in range(3)]
    far = [
        axis(problem, a, apart=True) if each.halo >= 2 * len(each.taps) else each
        for a, each in enumerate(dense)
    ]
    ways = [dense] if far == dense else [dense, far]
    _, y, x = problem.grid
    pays = 16 * far[2].halo > x or (y > 1 and whole_lines(x, problem))
    if far[2].halo and pays and problem.steps[0].outputs > 8:
        # Rows without a halo: more is laid out, and no positions between rows are computed, nor
        # does a vector cross from one cache line into the next where rows are whole ones.
        ways.append([*far[:2], axis(problem, 2, apart=True)])
    return ways


def whole_lines(columns, problem):
    """Whether rows of so many elements are whole cache lines."""
    return columns * problem.dtype.itemsize % 64 == 0


def rows_in_turn(problem):
    """The lay-out without a halo along x: from tap to tap positions keep following each other."""
    return [axis(problem, 0), axis(problem, 1), axis(problem, 2, apart=True)]


def together(problem):
    """The same problem with several groups in a tile, if they are small.

    What is done once for each tile then weighs less.
    """
    (step, *more) = problem.steps
    bytes_ = math.prod(problem.grid) * problem.channels * problem.dtype.itemsize
    few = min(problem.groups, 8192 // max(bytes_, 1))
    count = max((n for n in range(1, few + 1) if problem.groups % n == 0), default=1)
    if more or step.groups > 1 or step.output is None or step.inputs > 4 or count == 1:
        return problem
    outer, _, channel, input_ = step.strides
    image, group, *rest = problem.in_strides
    return problem._replace(
        groups=problem.groups // count,
        channels=problem.channels * count,
        in_strides=(image, group * count, *rest),
        steps=[
            step._replace(
                groups=count,
                strides=(outer * count, outer, channel, input_),
                output=step.output._replace(
                    group=step.output.group * count, inner=step.output.group
                ),
            )
        ],
    )


@functools.lru_cache(1024)
def sizes(n):
    """Sizes worth trying for a tile along an axis of n."""
    parts = {*range(1, 17), *(int(1.25**i) for i in range(13, 64))}
    return np.array(sorted({-(-n // p) for p in parts if p <= n} | {1}, reverse=True))


def _kept(left, step):
    """The axes left that a step does not reduce."""
    return tuple(kept and not gone for kept, gone in zip(left, step.reduces, strict=True))


class Buffer(NamedTuple):
    """A part of the scratch: [channel][phases of the axes left][z][y][pitch]."""

    start: int
    left: tuple[bool, bool, bool]
    planes: int
    plane: int
    phase: int
    channel: int
    end: int


def buffer(start, channels, left, axes, tile, size, written):
    extent = [
        t + (axis.halo if kept else 0) for t, axis, kept in zip(tile, axes, left, strict=True)
    ]
    pitch = (tile[2] + axes[2].halo) * size
    planes = math.prod(len(axis.residues) for axis, kept in zip(axes, left, strict=True) if kept)
    plane = extent[1] * pitch
    phase = extent[0] * plane
    # Whole vectors are stored: the last one of a channel may not reach into the next.
    channel = aligned(planes * phase + VECTOR) if written else planes * phase
    end = aligned(start + channels * channel + VECTOR)
    return Buffer(start, left, planes, plane, phase, channel, end)


def filled(positions, height, lanes):
    """Vectors of positions; the last counts for less if the few it has are multiplied alone."""
    whole, left = np.divmod(positions, lanes)
    few = (left > 0) & (2 * left <= height) & (height <= lanes) & kernels.FEW
    alone = np.minimum(0.4 + np.maximum(left, 4) / height, 1)
    return whole + np.where(few, alone, left > 0)


def not_wide(vectors, height):
    """What so many vectors take more than in wide tiles: pairs of them do, and one alone."""
    missing = -np.floor(vectors) % kernels.vectors(height)
    return np.where(missing, 0.2 + 0.2 * missing, 0) + 0.5 * (np.floor(vectors) == 1)


def by_rows(columns, pitch, taps, height, lanes):
    """Whether rows of whole vectors had better go to the output one by one.

    They need no panel, which takes some cycles for each of its vectors and rows, and what lies
    between them is not computed; but vectors that do not fill a wide tile take longer.
    """
    alone = columns / lanes
    alone = alone + not_wide(alone, height)
    return (columns % lanes == 0) & (alone * taps <= pitch / lanes * (taps + 4) + 12)


class _Costs:
    """Rough cycles for one tile and for the whole call, for many tiles (z, y, x) at once.

    Two vector multiply-adds a cycle, 8 bytes laid out a cycle, some cycles for each run of
    the register tile and each row of scratch or output; more where the scratch outgrows
    the cache. Good enough to choose by; nothing depends on it but the time.
    """

    def __init__(self, problem, axes, tiles):
        self.problem = problem
        self.tiles = tiles
        self.extents = [t + axis.halo for t, axis in zip(tiles, axes, strict=True)]
        self.phases = [len(axis.residues) for axis in axes]
        self.size = problem.dtype.itemsize
        self.lanes = kernels.VECTOR // self.size
        self.rows = problem.channels * math.prod(self.phases) * self.extents[0] * self.extents[1]
        self.scratch = self.rows * self.extents[2] * self.size
        self.lay_out = self.scratch / 8 + self.rows * 10
        # Kernels without a stride, measured anew with AVX-512.
        self.anew = (
            kernels.VECTOR == 64 and problem.stride == (1, 1, 1) and len(problem.steps[0].taps) > 1
        )
        if self.anew and axes[2].halo == 0 and problem.in_strides[5] == self.size:
            # Planes are moved as a whole.
            whole = self.extents[2] == problem.sizes[2]
            self.lay_out = np.where(whole, self.scratch / 24 + self.rows * 2, self.lay_out)
        self.in_lines = whole_lines(tiles[2], problem) & (
            kernels.VECTOR == 64
            and problem.grid[1] > 1
            and axes[2].halo == 0
            and len(axes[2].taps) > 1
        )
        self.weights = sum(
            problem.groups * s.groups * s.outputs * s.inputs * len(s.taps) for s in problem.steps
        )

    def direct(self, packed, splits=1):
        """Cycles that all tiles share, of one tile's lay-out, of its multiplication.

        With the input channels in so many parts, one after the other.
        """
        z, y, x = self.tiles
        scratch = self.scratch / splits
        left = (True, True, True)
        multiply = 0.0
        for step in self.problem.steps:
            taps = step.inputs * len(step.taps)
            blocks = max(-(-step.outputs // kernels.ROWS), 1)
            height = max(-(-step.outputs // blocks), 1)
            if step.output is None:
                left = _kept(left, step)
                planes = math.prod(n for n, kept in zip(self.phases, left, strict=True) if kept)
                depth = self.extents[0] if left[0] else z
                positions = (self.extents[1] if left[1] else y) * self.extents[2]
                written = step.groups * step.outputs * planes * depth * positions
                scratch = scratch + written * self.size
                store = 0.0
            else:
                planes, depth = 1, z
                positions = (y - 1) * self.extents[2] + x
                # One by one, unless they follow each other or every other one does.
                along = 1 if step.output.spatial[2] <= 2 * self.size else self.lanes
                store = step.outputs * (y * 6 + positions / self.lanes * 2 * along)
                if splits == 1 and step.output.spatial[2] == self.size:
                    alone = by_rows(x, self.extents[2], taps, height, self.lanes)
                    positions = np.where(alone, y * x, positions)
                    store = np.where(alone, 0, store)
            vectors = np.ceil(positions / self.lanes)
            runs = blocks * np.ceil(vectors / kernels.vectors(height))
            if splits > 1:
                kept = step.outputs * vectors
                scratch = scratch + kept * kernels.VECTOR / 16
                # Sums are stored and loaded again with each part.
                runs = runs * splits
                store = store + 2 * kept * splits
            weights = step.groups * step.outputs * taps * self.size
            # What the cache does not hold comes from afar for each tile: much of it, too late.
            if weights > SCRATCH_BUDGET:
                multiply = multiply + weights / 24
            if kernels.VECTOR == 64:
                multiply = multiply + max(weights - 4 * SCRATCH_BUDGET, 0) / 6
            each = 0.5
            if step.output is not None and splits == 1:
                vectors = filled(positions, height, self.lanes)
            if kernels.VECTOR < 64 and math.prod(self.problem.grid[1:]) < 128:
                # A vector alone, as a small image may have one, has too few sums for two
                # multiply-adds a cycle.
                alone = vectors % kernels.vectors(height)
                vectors = vectors + alone / (2 if len(step.taps) > 1 else 4)
            elif kernels.VECTOR == 64:
                vectors = vectors + not_wide(vectors, height)
            if self.anew:
                # Taps of a kernel lie further apart than those of a map.
                each = 0.52
            # No vector crosses from one cache line into the next.
            each = np.where(self.in_lines, ALIGNED[self.size] * each, each)
            multiply = multiply + step.groups * planes * depth * (
                vectors * step.outputs * taps * each + runs * 30 + store
            )
        return self._packing(packed), self.lay_out, multiply * self._spill(scratch)

    def swapped(self, packed, height, splits=1):
        """The same where vectors run over output channels, beside so many positions."""
        z, y, x = self.tiles
        positions = y * x
        blocks = np.ceil(positions / height)
        vectors = kernels.turned_vectors(height)
        width = vectors * self.lanes
        # All blocks are as high, or nearly: where that takes as many vectors, none is repeated.
        turned = np.array([kernels.turned_vectors(h) for h in range(kernels.ROWS + 1)])
        even = turned[(positions // blocks).astype(int)] == vectors
        height = np.where(even, positions / blocks, height)
        scratch = self.scratch / splits
        # Of a map's channels each is read at a place of its own.
        alone = kernels.VECTOR == 64 and len(self.problem.steps[0].taps) == 1
        loads, sums, waiting = 2 if alone else 0.25, 3 * splits + 4, kernels.VECTOR
        if self.anew:
            # What is laid out comes from the second cache soon enough, as each position reads what
            # is near to what the one before has read, and so do sums that wait; but what all of a
            # tall tile read gets in the way of the weights.
            scratch, waiting = scratch / 4, waiting / 4
            loads, sums = 0.25 + 0.05 * np.maximum(height - 7, 0), 1.5 * splits + 5.5
        products = height * vectors / 2
        if kernels.VECTOR < 64:
            # Of two multiply-adds a cycle, ten are under way at a time.
            products = np.maximum(products, 5)
        # Weights are gathered for each tile where there are few.
        tiles = self.problem.images * math.prod(
            np.ceil(n / t) for n, t in zip(self.problem.grid, self.tiles, strict=True)
        )
        near = (tiles <= NEAR_TILES) & (not packed)
        multiply = 0.0
        for step in self.problem.steps:
            taps = step.inputs * len(step.taps)
            columns = -(-step.outputs // width)
            kept = columns * z * blocks * height * vectors
            # The weights of this column and, on their way already, of the next one.
            scratch = scratch + 2 * taps / splits * vectors * kernels.VECTOR
            if splits > 1:
                scratch = scratch + kept * waiting
            # Transposed as it is stored, every other element at most; others go one by one.
            apart = step.output.spatial[2] > (1 + kernels.EVERY_OTHER) * self.size
            store = self.lanes * 2 if apart and step.output.channel != self.size else 0
            multiply = multiply + columns * (
                z * blocks * (taps * (products + loads) + splits * 60)
                + width * taps * np.where(near, 0.4, self.size / 48)
            ) + kept * (sums + store)  # fmt: skip
        return (
            np.where(near, 0, self._packing(packed)),
            self.lay_out,
            multiply * self._spill(scratch),
        )

    def _packing(self, packed):
        """Packing large weights waits for memory."""
        large = self.weights * self.size > SCRATCH_BUDGET
        return 0 if packed else self.weights * (1.1 if large else 0.8)

    @staticmethod
    def _spill(scratch):
        return 1 + 0.08 * np.maximum(scratch / SCRATCH_BUDGET - 1, 0)


class _Choice(NamedTuple):
    """`height` is the number of positions in the register tile of a swapped pass, or 0."""

    cycles: float
    axes: list[_Axis]
    tile: tuple[int, int, int]
    chunks: int
    height: int
    splits: int


def _is_line(problem):
    """Whether many taps side by side share what is loaded, in an order of their own."""
    (step, *more) = problem.steps
    first = step.taps[0][2] if step.taps else 0
    return (
        not more
        and step.output is not None
        and step.inputs == step.outputs == problem.stride[2] == 1
        and len(step.taps) >= 4 * kernels.VECTOR // problem.dtype.itemsize
        and [tap[2] for tap in step.taps] == list(range(first, first + len(step.taps)))
        and len({tap[:2] for tap in step.taps}) == 1
    )


def _padded(problem, step):
    """Whether a tap of the step meets nothing but the zeros around the input in some rows."""
    lines = [[tap[a] for tap in step.taps] for a in range(2)]
    return not problem.border and any(
        min(line) < 0 or max(line) + (grid - 1) * stride >= size
        for line, grid, stride, size in zip(
            lines, problem.grid, problem.stride, problem.sizes, strict=False
        )
    )


def _heights(positions):
    """Heights of a swapped pass's register tile that are worth a thought.

    For each number of vectors the most that registers hold, and the fewest that make as many
    blocks of all positions.
    """
    most = {kernels.turned_vectors(h): h for h in range(1, kernels.ROWS + 1)}
    even = {-(-positions // -(-positions // height)) for height in most.values()}
    return sorted(even.union(most.values()))


def _choose(problem, threads, packed):
    """The lay-out, tile, chunks of output channels and whether to swap, for the least time."""
    grids = np.meshgrid(*map(sizes, problem.grid), indexing="ij")
    tiles = [t.ravel().astype(np.float64) for t in grids]
    count = (
        problem.images
        * problem.groups
        * math.prod(np.ceil(n / t) for n, t in zip(problem.grid, tiles, strict=True))
    )
    side_by_side = all(s.output for s in problem.steps)
    size = problem.dtype.itemsize
    parts = [1]
    if len(problem.steps) == 1 and problem.steps[0].groups == 1 and problem.steps[0].outputs > 1:
        parts += [n for n in (2, 4, 8, 16, 32, 64) if problem.steps[0].inputs >= 16 * n]
    ways = []
    for axes in _lay_outs(problem):
        costs = _Costs(problem, axes, tiles)
        ways += [(axes, 0, kernels.ROWS, n, costs.direct(packed, n)) for n in parts]
    swaps = (
        side_by_side
        and not _is_line(problem)  # their order of the sums is one of their own
        and problem.stored == problem.dtype
        and all(
            s.inputs
            and s.outputs > 1
            and s.groups == 1
            and (math.prod(problem.grid[1:]) <= MOST_POSITIONS or s.output.channel == size)
            for s in problem.steps
        )
    )
    if swaps:
        axes = rows_in_turn(problem)
        costs = _Costs(problem, axes, tiles)
        for height in _heights(math.prod(problem.grid[1:])):
            width = kernels.turned_vectors(height) * costs.lanes
            ways += [(axes, height, width, n, costs.swapped(packed, height, n)) for n in parts]
    best = None
    for axes, height, block, splits, (once, lay_out, multiply) in ways:
        blocks = min((-(-s.outputs // block) for s in problem.steps), default=1)
        # Output channels are shared out only where there are too few tiles to share.
        for chunks in sorted({1, threads, 2 * threads, 4 * threads} if side_by_side else {1}):
            if chunks > max(blocks, 1):
                continue
            cost = once / threads + np.ceil(count * chunks / threads) * (
                lay_out + multiply / chunks
            )
            at = int(np.argmin(cost))
            if best is None or cost[at] < 0.985 * best.cycles:
                tile = tuple(int(t[at]) for t in tiles)
                best = _Choice(cost[at], axes, tile, chunks, height, splits)
    return best


def tiled(problem, threads, packed):
    """Plan tiles that are laid out."""
    size = problem.dtype.itemsize
    choice = _choose(problem, 1, packed)
    threads = worth(threads, choice.cycles)
    if threads > 1:
        choice = _choose(problem, threads, packed)
    _, axes, tile, chunks, height, splits = choice
    parts = splits if splits > 1 else 0
    table = [r for axis in axes for r in axis.residues]
    left = (True, True, True)
    most = -(-problem.channels // splits)
    source = layout = buffer(aligned(WORKER_BYTES), most, left, axes, tile, size, False)
    pitch = (tile[2] + axes[2].halo) * size
    lanes = kernels.VECTOR // size
    # Of a swapped pass: the bytes of a tap's weights, which are gathered in the scratch.
    width = kernels.turned_vectors(height) * kernels.VECTOR if height else 0
    block = width // size if height else kernels.ROWS
    columns = end = source.end
    if height:
        kernel = max(len(s.taps) for s in problem.steps)
        listed = columns + aligned((1 + most * kernel) * width)
        end = listed + aligned(2 * 8 * kernel)
    biases = weights = 0
    tiles = problem.images * math.prod(-(-g // t) for g, t in zip(problem.grid, tile, strict=True))
    line = _is_line(problem)
    passes = []
    for step in problem.steps:
        taps = step.inputs * len(step.taps)
        left = _kept(source.left, step)
        target = None
        if step.output is None:
            channels = step.groups * step.outputs
            target = buffer(source.end, channels, left, axes, tile, size, True)
        places, gather = offsets(step, axes, source, pitch, size)
        contiguous = in_order(gather, size)
        if height:
            places = places[: len(step.taps)] + [n * width for n in range(len(step.taps))]
        in_place = step.outputs == 1 and contiguous and not height
        groups = problem.groups * step.groups
        blocks = -(-step.outputs // block)
        highest = max(-(-step.outputs // max(blocks, 1)), 1)
        strips, strip_count = [], 0
        contiguous_rows = step.output is None or step.output.spatial[2] == size
        flat = (
            step.output is not None
            and pitch == tile[2] * size == step.output.spatial[1]
            and step.output.spatial[2] == size
        )
        if (
            step.outputs == 1
            and contiguous_rows
            and tile[1] >= kernels.BAND_ROWS
            and not height
            and not flat
        ):
            start = len(table) + 2 * taps
            strips, strip_count = _strips(
                problem.stride[1], step, places, source.channel, pitch, size, start
            )
        # Sums that wait for the next channels; rows do not share their cache lines.
        if height:
            sums_pitch = -(-math.prod(tile[1:]) // height) * height * width
        else:
            sums_pitch = tile[0] * aligned((tile[1] - 1) * pitch + tile[2] * size) + VECTOR
        passes.append(
            Pass(
                planes=target.planes if target else 1,
                taps=taps,
                blocks=blocks,
                gather=len(table) + len(places),
                contiguous=contiguous,
                packed=-1 if in_place else weights,
                near=height > 0 and tiles <= NEAR_TILES,
                bias=biases,
                source=source.start,
                source_group=step.inputs * source.channel,
                source_plane=source.phase,
                source_z=source.plane,
                source_channel=source.channel,
                offsets=len(table),
                halo_z=axes[0].halo if left[0] else 0,
                halo_y=axes[1].halo if left[1] else 0,
                target=target.start if target else -1,
                target_group=step.outputs * target.channel if target else 0,
                target_plane=target.phase if target else 0,
                target_channel=target.channel if target else 0,
                target_z=target.plane if target else 0,
                form=kernels.FORMS["swapped" if height else "direct"],
                height=height,
                positions=listed if height else 0,
                columns=columns,
                column_offsets=len(table) + len(step.taps),
                strips=len(table) + 2 * taps,
                strip_count=strip_count,
                line=line,
                by_rows=not height
                and tile[2] % lanes == 0
                and bool(by_rows(tile[2], pitch // size, taps, highest, lanes)),
                sums=end,
                sums_pitch=sums_pitch,
                apart=height > 0 and _padded(problem, step),
                most=most,
                coordinates=len(table) + len(places) + taps + len(strips),
            ).of_step(step)
        )
        table += places + gather + strips
        if height:
            table += [coordinate for tap in step.taps for coordinate in tap]
        biases = aligned(biases + groups * step.outputs * size)
        if not in_place:
            rows = blocks * block if height else step.outputs
            weights = aligned(weights + groups * rows * taps * size)
        source = target or source
        end = max(end, source.end)
        if height:
            passes[-1] = passes[-1]._replace(infinite=weights)
            weights += 64
            waiting = -(-blocks // chunks) * tile[0] if parts else 1
            end = aligned(end + waiting * sums_pitch)
        elif parts:
            end = aligned(end + -(-blocks // chunks) * block * sums_pitch)

    panel = kernels.ROWS * PANEL
    if problem.stored != problem.dtype:
        # A band of results that are to be converted.
        panel = max(panel, kernels.BAND_ROWS * tile[2] * size + VECTOR)
    return finished(
        problem, axes, tile, chunks, parts, threads, layout, pitch, passes, table, biases,
        weights, end, panel, flops(problem), _method(problem, passes),
    )  # fmt: skip


def finished(
    problem, axes, tile, chunks, splits, threads, layout, pitch, passes, table, biases, weights,
    end, panel, operations, method,
):  # fmt: skip
    """The plan of these passes: all that is known of it as kernels.Plan wants it."""
    tiles = [-(-g // t) for g, t in zip(problem.grid, tile, strict=True)]
    tasks = problem.images * problem.groups * math.prod(tiles) * chunks
    inputs = problem.images * problem.groups * problem.channels * math.prod(problem.sizes)
    threads = min(threads, tasks)
    scratch = biases + aligned(problem.images)
    # What is loaded beside the last position, if taps are a line, belongs to eight vectors.
    scratch_size = aligned(end + panel + 9 * VECTOR)
    saved = 0 if passes[0].near else weights
    fields = [
        len(passes), problem.images, problem.groups, problem.channels,
        *problem.in_strides, *problem.sizes, problem.border, *problem.stride,
        *(axis.halo for axis in axes),
        *(len(axis.residues) for axis in axes), 0, *problem.grid, *tile, *tiles, chunks, splits,
        pitch, layout.plane, layout.phase, layout.channel,
        layout.start, end, PANEL, kernels.NUMBERS[problem.given.name],
        kernels.NUMBERS[problem.stored.name], inputs * problem.given.itemsize > FAR_BYTES, biases,
        scratch, scratch_size,
    ]  # fmt: skip
    return Plan(
        kernels.Program(
            np.array(fields, np.intp),
            np.array(passes, np.intp).ravel(),
            # The kernels look some taps ahead.
            np.array(table + [0] * kernels.TABLE_SLACK, np.intp),
            problem.dtype == np.float64,
        ),
        threads,
        scratch + threads * scratch_size + saved,
        weights,
        saved,
        repr((problem.dtype.str, problem.groups, splits, [_weights_of(p, table) for p in passes])),
        tile,
        tasks,
        operations,
        method,
    )


def _weights_of(each, table):
    """All that the order of a pass's packed weights depends on."""
    return (
        each.form, each.height, each.apart, each.groups, each.channels, each.blocks, each.reduction,
        each.operand, each.packed, each.weight_outer, each.weight_inner, each.weight_channel,
        table[each.gather : each.gather + each.taps],
    )  # fmt: skip


def flops(problem):
    """The operations of the sums as they are defined."""
    return 2 * sum(
        problem.images
        * problem.groups
        * s.groups
        * s.outputs
        * s.inputs
        * len(s.taps)
        * math.prod(s.output.sizes if s.output else problem.grid)
        for s in problem.steps
    )


def _method(problem, passes):
    """What `explain` calls it; see the head of kernels.pyx."""
    words = ["direct"]
    if any(p.form == kernels.FORMS["swapped"] for p in passes):
        words.append("swapped")
    if any(p.strip_count for p in passes):
        words.append("bands")
    if len(passes) > 1:
        kind = "phases" if problem.steps[0].output else "passes"
        words.append(f"{len(passes)} {kind}")
    return ", ".join(words)


def offsets(step, axes, source, pitch, size):
    """Where each weight's input lies in the scratch, and where the weight itself lies."""
    places = [0] * len(step.taps)
    for a, unit in enumerate((source.plane, pitch, size)):
        if step.reduces[a] and source.left[a]:
            # Phases of the axes still in the buffer after this one.
            after = math.prod(len(axes[b].residues) for b in range(a + 1, 3) if source.left[b])
            for t, tap in enumerate(step.taps):
                plane, place = axes[a].taps[tap[a]]
                places[t] += place * unit + plane * after * source.phase
    inputs = np.arange(step.inputs)[:, None]
    offsets = inputs * source.channel + np.array(places, np.intp)
    return offsets.ravel().tolist(), gathered(step)


def gathered(step):
    """Where the weights of an output lie: of each input channel, one after the other."""
    inputs = np.arange(step.inputs)[:, None]
    return (inputs * step.strides[3] + np.array(step.gather, np.intp)).ravel().tolist()


def _strips(stride, step, offsets, channel, pitch, size, start):
    """The strips of a band and, after them, their offsets, for the table from `start` on.

    Row r of a band sees, with line y of the kernel, the row stride * r + y of the input.
    Those rows are gone through from the first to the last, so that each row of the band
    adds up its taps in their order. Nothing if the rows would not share enough.
    """
    if not step.inputs or step.taps != sorted(step.taps):
        return [], 0
    starts = [t for t, tap in enumerate(step.taps) if t == 0 or tap[:2] != step.taps[t - 1][:2]]
    lines = list(zip(starts, [*starts[1:], len(step.taps)], strict=True))
    strips, places = [], []
    for _, plane in itertools.groupby(lines, key=lambda line: step.taps[line[0]][0]):
        by_row = {}
        for line in plane:
            for r in range(kernels.BAND_ROWS):
                by_row.setdefault(stride * r + step.taps[line[0]][1], {})[r] = line
        for row in sorted(by_row):
            users = by_row[row]
            for r in sorted(users):
                first, stop = users[r]
                seen = [offset + r * pitch for offset in offsets[first:stop]]
                if r - 1 in users and places[strips[-1].offsets :] == seen:
                    apart = users[r - 1][0] - first
                    strips[-1] = strips[-1]._replace(last=r + 1, step=apart * size)
                else:
                    strips.append(Strip(r, r + 1, stop - first, len(places), first * size, 0))
                    places += seen
    if 3 * len(places) > 2 * kernels.BAND_ROWS * len(step.taps):
        return [], 0
    # The same again for every input channel.
    c = np.arange(step.inputs)[:, None]
    count = step.inputs * len(strips)
    every = np.tile(np.array(strips, np.intp), (step.inputs, 1)).reshape(step.inputs, -1, 6)
    every[:, :, Strip._fields.index("offsets")] += (
        start + count * len(Strip._fields) + c * len(places)
    )
    every[:, :, Strip._fields.index("weight")] += c * len(step.taps) * size
    moved = np.array(places, np.intp) + c * channel
    return every.ravel().tolist() + moved.ravel().tolist(), count
