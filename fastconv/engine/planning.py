"""From a problem to a plan: tiles, scratch, offsets. Runs once for each geometry.

A `Problem` says what to compute, in coordinates; `plan` decides how and writes it down
as the integers that kernels.pyx follows. All problems have three spatial axes here.
"""

import itertools
import math
import operator
from typing import NamedTuple

import numpy as np

from fastconv import geometry
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
    tap moves along; the others pass through to the next step. Operand 0 is the input.
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
    strips: int = 0
    strip_count: int = 0
    kernel: int = 0
    first_y: int = 0
    first_x: int = 0
    line: bool = False
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
#: Positions of an image that may be worth a swapped pass.
MOST_POSITIONS = 1024
#: Bytes of an image between two problems that take turns.
MOST_BETWEEN = 1 << 23
#: Bytes of memory that hardware fetches ahead in, and finds without a further look-up.
PAGE = 4096
#: Output channels of a map that reads channels in place however far apart they are.
FEW_OUTPUTS = min(kernels.ROWS, 8)
#: Output channels of a map that only waits for memory, where a channel has so many bytes.
FEWEST_OUTPUTS, LONG = 4, 8 * PAGE
#: Input channels that are read in place for any number of output channels, if they are fewer:
#: the longer vectors are, the more blocks of outputs a line that is fetched again is worth.
NEAR_INPUTS = kernels.VECTOR**2 // 16
#: The share of columns' taps that meet the input, up to which columns are parts of their own; and
#: how many cuts there may be.
MOST_SEEN, MOST_PARTS = 0.93, 9
#: The fewest input channels and products for which that is worth plans for each part.
FAR_INPUTS, FAR_PRODUCTS = 128, 1 << 24
#: Tiles for each of which weights are gathered anew rather than packed before all.
NEAR_TILES = 3
#: Bytes of an input that is read in place though its channels are far apart.
NEAR_BYTES = 4 * SCRATCH_BUDGET
#: Bytes of an input that hardware had better not be left alone with. The wider the vectors, the
#: longer are the runs that it sees.
FAR_BYTES = kernels.VECTOR << 16
#: Bytes of a row, and rows, of a tile of two lines of taps.
SEPARABLE_BYTES, SEPARABLE_ROWS = 1 << 12, 64
#: Bytes of a vector that can be loaded in part.
MASKED = 32
#: At least a vector, which may run over the end of what it is for.
VECTOR = 64
#: The size of kernels.Worker, rounded up.
WORKER_BYTES = 256


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
    if far[2].halo and 16 * far[2].halo > problem.grid[2] and problem.steps[0].outputs > 8:
        # Rows without a halo: more is laid out, and no positions between rows are computed.
        ways.append([*far[:2], axis(problem, 2, apart=True)])
    return ways


def rows_in_turn(problem):
    """The lay-out without a halo along x: from tap to tap positions keep following each other."""
    return [axis(problem, 0), axis(problem, 1), axis(problem, 2, apart=True)]


def _flat(problem):
    """The same problem with its spatial axes as one, where memory allows.

    A pointwise convolution does not care where a row ends. And where x is a single column
    the rows are better laid along it.
    """
    for outer, inner in ((0, 1), (1, 2), (0, 2)):
        sizes = problem.sizes
        views = [(problem.in_strides[3:], sizes, problem.grid)]
        views += [(s.output.spatial, sizes, s.output.sizes) for s in problem.steps if s.output]
        plain = (
            problem.stride[outer] == problem.stride[inner] == 1
            and not any(tap[outer] or tap[inner] for s in problem.steps for tap in s.taps)
            and all(
                grid[outer] == sizes[outer]
                and grid[inner] == sizes[inner]
                and strides[outer] == strides[inner] * sizes[inner]
                for strides, sizes, grid in views
            )
        )
        if plain and sizes[outer] > 1:
            problem = _merged(problem, outer, inner)
    return problem


def _merged(problem, outer, inner):
    def merge(sizes):
        return tuple(
            1 if a == outer else sizes[outer] * sizes[inner] if a == inner else sizes[a]
            for a in range(3)
        )

    return problem._replace(
        sizes=merge(problem.sizes),
        grid=merge(problem.grid),
        steps=[
            s._replace(output=s.output and s.output._replace(sizes=merge(s.output.sizes)))
            for s in problem.steps
        ],
    )


def _column(problem):
    """The same problem with y and x exchanged if x is one column and y is not."""
    if problem.grid[2] != 1 or problem.grid[1] == 1 or len(problem.steps) > 1:
        return problem
    if axis(problem, 2).halo:
        return problem

    def swap(t):
        return (t[0], t[2], t[1])

    strides = problem.in_strides
    return problem._replace(
        sizes=swap(problem.sizes),
        in_strides=strides[:3] + swap(strides[3:]),
        stride=swap(problem.stride),
        grid=swap(problem.grid),
        steps=[
            s._replace(
                taps=[swap(t) for t in s.taps],
                output=s.output._replace(
                    spatial=swap(s.output.spatial), sizes=swap(s.output.sizes)
                ),
            )
            for s in problem.steps
        ],
    )


def _together(problem):
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


def sizes(n):
    """Sizes worth trying for a tile along an axis of n."""
    parts = {*range(1, 17), *(int(1.25**i) for i in range(13, 64))}
    return np.array(sorted({-(-n // p) for p in parts if p <= n} | {1}, reverse=True))


def _kept(left, step):
    """The axes left that a step does not reduce."""
    return tuple(kept and not gone for kept, gone in zip(left, step.reduces, strict=True))


class _Buffer(NamedTuple):
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
    return _Buffer(start, left, planes, plane, phase, channel, end)


def filled(positions, height, lanes):
    """Vectors of positions; the last counts for less if the few it has are multiplied alone."""
    whole, left = np.divmod(positions, lanes)
    few = (left > 0) & (2 * left <= height) & (height <= lanes) & kernels.FEW
    alone = np.minimum(0.4 + np.maximum(left, 4) / height, 1)
    return whole + np.where(few, alone, left > 0)


class _Costs:
    """Rough cycles for one tile and for the whole call, for many tiles (z, y, x) at once.

    Two vector multiply-adds a cycle, 8 bytes laid out a cycle, some cycles for each run of
    the register tile and each row of scratch or output; more where the scratch outgrows
    the cache. Good enough to choose by; nothing depends on it but the time. `reached` is the
    share of taps that tiles do not leave out, None if none may be left out.
    """

    def __init__(self, problem, axes, tiles, reached):
        self.problem = problem
        self.reached = reached
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
        self.weights = sum(
            problem.groups * s.groups * s.outputs * s.inputs * len(s.taps) for s in problem.steps
        )

    def direct(self, packed, splits=1):
        """Cycles that all tiles share, of one tile's lay-out, of its multiplication.

        With the input channels in so many parts, one after the other.
        """
        z, y, x = self.tiles
        scratch = self.scratch / splits
        left_out = self.reached is not None
        reached = self.reached if left_out else 1.0
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
                store = step.outputs * (y * 6 + positions / self.lanes * 2)
                if splits == 1 and not left_out and step.output.spatial[2] == self.size:
                    # Rows of whole vectors need no panel.
                    direct = x % self.lanes == 0
                    positions = np.where(direct, y * x, positions)
                    store = np.where(direct, 0, store)
            vectors = np.ceil(positions / self.lanes)
            runs = blocks * np.ceil(vectors / kernels.vectors(height))
            if splits > 1 or left_out:
                kept = step.outputs * vectors
                scratch = scratch + kept * kernels.VECTOR / 16
                # Sums are stored and loaded again with each part, and each tap set apart.
                times = splits * (len(step.taps) if left_out else 1)
                runs = runs * times
                store = store + 2 * kept * times
            weights = step.groups * step.outputs * taps * self.size
            # What the cache does not hold comes from afar for each tile: much of it, too late.
            if weights > SCRATCH_BUDGET:
                multiply = multiply + weights / 24
            if kernels.VECTOR == 64:
                multiply = multiply + max(weights - 4 * SCRATCH_BUDGET, 0) / 6
            each = 0.5
            if step.output is not None and splits == 1 and not left_out:
                vectors = filled(positions, height, self.lanes)
            if kernels.VECTOR < 64 and math.prod(self.problem.grid[1:]) < 128:
                # A vector alone, as a small image may have one, has too few sums for two
                # multiply-adds a cycle.
                alone = vectors % kernels.vectors(height)
                vectors = vectors + alone / (2 if len(step.taps) > 1 else 4)
            elif self.anew:
                # Taps of a kernel lie further apart than those of a map.
                each = 0.52
            multiply = multiply + step.groups * planes * depth * reached * (
                vectors * step.outputs * taps * each + runs * 30 + store
            )
        # Packing large weights waits for memory.
        large = self.weights * self.size > SCRATCH_BUDGET
        once = 0 if packed else self.weights * (1.1 if large else 0.8)
        return once, self.lay_out, multiply * self._spill(scratch)

    def swapped(self, packed, height, splits=1):
        """The same where vectors run over output channels, beside so many positions."""
        z, y, x = self.tiles
        positions = y * x
        blocks = np.ceil(positions / height)
        vectors = kernels.turned_vectors(height)
        width = vectors * self.lanes
        scratch, lay_out = self.scratch / splits, self.lay_out
        loads, sums, waiting = 0.25, 3 * splits + 4, kernels.VECTOR
        if self.anew:
            # What is laid out comes from the second cache soon enough, as each position reads what
            # is near to what the one before has read, and so do sums that wait; but what all of a
            # tall tile read gets in the way of the weights. Planes are moved as a whole.
            scratch, waiting = scratch / 4, waiting / 4
            loads, sums = 0.25 + 0.05 * max(height - 7, 0), 1.5 * splits + 5.5
            if self.problem.in_strides[5] == self.size:
                lay_out = self.scratch / 24 + self.rows * 2
        products = height * vectors / 2
        if kernels.VECTOR < 64:
            # Of two multiply-adds a cycle, ten are under way at a time.
            products = max(products, 5)
        multiply = 0.0
        for step in self.problem.steps:
            taps = step.inputs * len(step.taps)
            columns = -(-step.outputs // width)
            kept = columns * z * blocks * height * vectors
            # The weights of this column and, on their way already, of the next one.
            scratch = scratch + 2 * taps / splits * vectors * kernels.VECTOR
            if splits > 1:
                scratch = scratch + kept * waiting
            multiply = multiply + columns * (
                z * blocks * (taps * (products + loads) + splits * 60)
                + width * taps * (self.size / 48 if packed else 0.4)
            ) + kept * sums  # fmt: skip
        return 0.0, lay_out, multiply * self._spill(scratch)

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


def _reached(problem, tiles):
    """The share of taps that meet more than the zeros around, over all tiles of a size."""
    share = 1.0
    (step,) = problem.steps
    for a, sizes in enumerate(tiles):
        lines = np.array(sorted({tap[a] for tap in step.taps}))
        of_size = {}
        for size in set(sizes):
            starts = np.arange(0, problem.grid[a], size)
            last = np.minimum(starts + size, problem.grid[a]) - 1
            # Before the end of the axis from the first output of a tile, less those that are before
            # its beginning from the last one.
            seen = np.searchsorted(lines, problem.sizes[a] - starts * problem.stride[a])
            seen -= np.searchsorted(lines, -last * problem.stride[a])
            of_size[size] = np.maximum(seen, 0).mean() / len(lines)
        share = share * np.array([of_size[size] for size in sizes])
    return share


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


def _leaves_out(problem):
    """Whether a good part of what the taps meet is the zeros around the input.

    Geometry alone decides: the order of the sums is another one then.
    """
    (step, *more) = problem.steps
    if more or not step.output or step.groups > 1 or problem.border:
        return False
    share, dilated = 1.0, False
    for a in range(3):
        lines = np.array(sorted({tap[a] for tap in step.taps}))
        dilated = dilated or (np.diff(lines) > 1).any()
        grid, stride, size = problem.grid[a], problem.stride[a], problem.sizes[a]
        within = (geometry.within(int(line), stride, grid, size) for line in lines)
        share *= sum(stop - start for start, stop in within) / (grid * len(lines))
    # A small image, where taps are close, is better swapped. Few inputs are little for each tap.
    return share < (0.85 if dilated else 0.5) * (1 if step.inputs >= 32 else step.inputs / 128)


def _padded(problem, step):
    """Whether a tap of the step meets nothing but the zeros around the input in some rows."""
    lines = [[tap[a] for tap in step.taps] for a in range(2)]
    return not problem.border and any(
        min(line) < 0 or max(line) + (grid - 1) * stride >= size
        for line, grid, stride, size in zip(
            lines, problem.grid, problem.stride, problem.sizes, strict=False
        )
    )


def _heights(positions, tall):
    """Heights of a swapped pass's register tile that are worth a thought.

    For each number of vectors, or the fewest, the most that registers hold, and the fewest that
    make as many blocks of all positions.
    """
    if tall:
        fewest = kernels.turned_vectors(kernels.ROWS)
        return [h for h in range(1, kernels.ROWS + 1) if kernels.turned_vectors(h) == fewest]
    most = {kernels.turned_vectors(h): h for h in range(1, kernels.ROWS + 1)}
    even = {-(-positions // -(-positions // height)) for height in most.values()}
    return sorted(even.union(most.values()))


def _choose(problem, threads, packed, swapped=False, splits=None):
    """The lay-out, tile, chunks of output channels and whether to swap, for the least time.

    Or to swap at any rate, with the fewest vectors of output channels; or to have the input
    channels in so many parts.
    """
    grids = np.meshgrid(*map(sizes, problem.grid), indexing="ij")
    tiles = [t.ravel().astype(np.float64) for t in grids]
    count = (
        problem.images
        * problem.groups
        * math.prod(np.ceil(n / t) for n, t in zip(problem.grid, tiles, strict=True))
    )
    side_by_side = all(s.output for s in problem.steps)
    reached = _reached(problem, tiles) if _leaves_out(problem) else None
    # Their order of the sums is one of their own.
    fixed = reached is not None or _is_line(problem)
    parts = [1]
    if len(problem.steps) == 1 and problem.steps[0].groups == 1 and problem.steps[0].outputs > 1:
        parts += [n for n in (2, 4, 8, 16, 32, 64) if problem.steps[0].inputs >= 16 * n]
    parts = [splits] if splits else parts
    ways = []
    for axes in [] if swapped else _lay_outs(problem):
        costs = _Costs(problem, axes, tiles, reached)
        ways += [(axes, 0, kernels.ROWS, n, costs.direct(packed, n)) for n in parts]
    swaps = (
        side_by_side
        and not fixed
        and problem.stored == problem.dtype
        and math.prod(problem.grid[1:]) <= MOST_POSITIONS
        and all(s.inputs and s.groups == 1 for s in problem.steps)
    )
    if swaps or swapped:
        axes = rows_in_turn(problem)
        costs = _Costs(problem, axes, tiles, None)
        for height in _heights(math.prod(problem.grid[1:]), swapped):
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
            if best is None or cost[at] < 0.98 * best.cycles:
                tile = tuple(int(t[at]) for t in tiles)
                best = _Choice(cost[at], axes, tile, chunks, height, splits)
    return best


def _contiguous(sizes, size):
    """Strides from channel to channel and along three axes."""
    z, y, x = sizes
    return z * y * x * size, (y * x * size, x * size, size)


def _by_itself(step, output):
    """A step whose inner groups become groups of the problem."""
    _, inner, channel, input_ = step.strides
    return step._replace(groups=1, strides=(inner, 0, channel, input_), output=output)


def in_turn(problem):
    """Two problems instead of a chain that mixes channels, and what is between them.

    Where an image's intermediate result is small, it stays in the cache as a whole, and each
    of the two can be computed in the way that is best for it. None where a chain is better.
    """
    first, *others = problem.steps
    if not others or first.output is not None:
        return None
    size = problem.dtype.itemsize
    strides = problem.in_strides
    mixes_last = first.groups == problem.channels and len(others) == 1 and others[0].groups == 1
    mixes_first = first.groups == 1 and problem.groups == 1 and first.taps == [(0, 0, 0)]
    sizes = problem.grid if mixes_last else problem.sizes
    count = first.groups * first.outputs
    channel, along = _contiguous(sizes, size)
    if count * channel > MOST_BETWEEN or not (mixes_last or mixes_first):
        return None
    if mixes_last:
        between = Output(0, 0, first.outputs * channel, 0, channel, along, sizes)
        before = problem._replace(
            stored=problem.dtype,
            images=1,
            groups=problem.channels,
            channels=1,
            in_strides=(0, strides[2], strides[2], *strides[3:]),
            steps=[_by_itself(first, between)],
        )
        after = problem._replace(
            given=problem.dtype, images=1, channels=count, sizes=sizes,
            in_strides=(0, 0, channel, *along), border=0, stride=(1, 1, 1),
        )._replace(steps=others)  # fmt: skip
        by_itself = _is_filter(before) or _is_interleaved(before)
        return (before, after, count * channel) if by_itself else None
    before = problem._replace(
        stored=problem.dtype, images=1, in_strides=(0, *strides[1:]), grid=sizes, stride=(1, 1, 1),
        steps=[first._replace(output=Output(0, 0, 0, 0, channel, along, sizes))],
    )  # fmt: skip
    after = problem._replace(
        given=problem.dtype,
        images=1,
        groups=count,
        channels=1,
        in_strides=(0, channel, channel, *along),
        steps=[
            _by_itself(s, s.output and s.output._replace(group=s.output.inner, inner=0))
            for s in others
        ],
    )
    return before, after, count * channel


class Fan(NamedTuple):
    """Plans of the parts of one output, which share their packed weights."""

    plans: list[Plan]

    def __getattr__(self, name):
        """What all of them have in common, as far as `explain` is concerned."""
        values = [getattr(plan, name) for plan in self.plans]
        if name in ("tasks", "flops"):
            return sum(values)
        return max(values) if name in ("threads", "workspace") else values[0]


def columns(problem):
    """Parts of the output, between the columns where a tap comes in or goes out of the input.

    Taps far apart meet the zeros around much of the time. None where they do not, or where other
    ways of leaving them out are as good.
    """
    (step, *more) = problem.steps
    _, _, stride = problem.stride
    _, _, grid = problem.grid
    if (
        more
        or problem.stored != problem.dtype
        or step.outputs
        < kernels.turned_vectors(kernels.ROWS) * kernels.VECTOR // problem.dtype.itemsize
        or not _leaves_out(problem)
    ):
        return None
    lines = {tap[2] for tap in step.taps}
    inside = [geometry.within(line, stride, grid, problem.sizes[2]) for line in lines]
    cuts = sorted({0, grid, *(place for pair in inside for place in pair)})
    seen = sum(stop - start for start, stop in inside)
    if seen > MOST_SEEN * grid * len(lines) or len(cuts) > MOST_PARTS:
        return None
    size = step.output.spatial[2]
    return [
        problem._replace(
            grid=(*problem.grid[:2], stop - start),
            steps=[
                step._replace(
                    taps=[(z, y, x + start * stride) for z, y, x in step.taps],
                    output=step.output._replace(
                        offset=step.output.offset + start * size,
                        sizes=(*step.output.sizes[:2], stop - start),
                    ),
                )
            ],
        )
        for start, stop in itertools.pairwise(cuts)
    ]


class Sequence(NamedTuple):
    """The plans of two problems, for each image in turn."""

    first: Plan
    second: Plan
    between: int
    images: int

    def __getattr__(self, name):
        """What both come to, as far as `explain` and packing are concerned."""
        first, second = getattr(self.first, name), getattr(self.second, name)
        if name == "method":
            return f"{first}; then {second}"
        if name in ("tasks", "flops"):
            return self.images * (first + second)
        return max(first, second) if name in ("threads", "workspace") else second


def plan(problem, threads, packed=False):
    """Plan `problem` for at most so many threads, its weights packed beforehand or not."""
    parts = in_turn(problem)
    if parts:
        return Sequence(
            _plan(parts[0], threads, packed),
            _plan(parts[1], threads, packed),
            parts[2],
            problem.images,
        )
    parts = columns(problem)
    if parts:
        return Fan([_tiled(part, threads, packed, swapped=True) for part in parts])
    return _plan(problem, threads, packed)


def _plan(problem, threads, packed):
    problem = _column(_flat(problem))
    if _is_pointwise(problem):
        return _pointwise(problem, threads)
    if _is_dots(problem):
        return _dots(problem, threads)
    if _is_interleaved(problem):
        return _interleaved(problem, threads)
    if _is_filter(problem):
        return _filter(_together(problem), threads)
    if _is_separable(problem):
        return _separable(problem, threads)
    return _tiled(_together(problem), threads, packed)


def _tiled(problem, threads, packed, swapped=False):
    """Plan tiles that are laid out; passes that are to be swapped leave out columns, too."""
    size = problem.dtype.itemsize
    fixed = None
    if not swapped and _leaves_out(problem):
        # The sums are in an order that depends on the parts: they are those of one image.
        fixed = _choose(problem._replace(images=1), 1, False).splits
    choice = _choose(problem, 1, packed, swapped, fixed)
    threads = worth(threads, choice.cycles)
    if threads > 1:
        choice = _choose(problem, threads, packed, swapped, fixed)
    _, axes, tile, chunks, height, splits = choice
    left_out = not height and _leaves_out(problem)
    parts = splits if splits > 1 or left_out else 0
    table = [r for axis in axes for r in axis.residues]
    left = (True, True, True)
    most = -(-problem.channels // splits)
    source = layout = buffer(aligned(WORKER_BYTES), most, left, axes, tile, size, False)
    pitch = (tile[2] + axes[2].halo) * size
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
        if left_out:
            places = np.reshape(places, (step.inputs, -1))[:most].T.ravel().tolist()
            places += [0] * (taps - len(places))
        in_place = step.outputs == 1 and contiguous and not height and not left_out
        groups = problem.groups * step.groups
        blocks = -(-step.outputs // block)
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
            and not left_out
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
                sums=end,
                sums_pitch=sums_pitch,
                apart=swapped or (_padded(problem, step) if height else left_out),
                most=most,
                coordinates=len(table) + len(places) + taps + len(strips),
            ).of_step(step)
        )
        table += places + gather + strips
        if left_out or height:
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
            # The weights of a block are put there before they are set apart.
            end = max(end, layout.start + aligned(kernels.ROWS * taps * size))
            passes[0] = passes[0]._replace(infinite=weights)
            weights += 64

    panel = kernels.ROWS * PANEL
    if problem.stored != problem.dtype:
        # A band of results that are to be converted.
        panel = max(panel, kernels.BAND_ROWS * tile[2] * size + VECTOR)
    return finished(
        problem, axes, tile, chunks, parts, threads, layout, pitch, passes, table, biases,
        weights, end, panel, flops(problem), _method(problem, passes),
    )  # fmt: skip


def _is_pointwise(problem):
    """Whether it is a linear map at each position that reads the input in place.

    To few channels always. To more where hardly anything is computed twice at the end; not from
    so many that to read them again for each block of outputs is dear; and where what is read
    comes in good time: channels are near each other or all of them in the cache, and not on the
    same lines of it.
    """
    (step, *more) = problem.steps
    size = problem.dtype.itemsize
    lanes = kernels.VECTOR // size
    width = problem.grid[2]
    channel = abs(problem.in_strides[2])
    count = problem.images * problem.groups * problem.channels
    return (
        not more
        and problem.given == problem.dtype == problem.stored
        and step.groups == 1
        and step.output is not None
        and step.taps == [(0, 0, 0)]
        and step.outputs > 0
        and step.inputs > 0
        and problem.stride == (1, 1, 1)
        and problem.sizes == problem.grid == (1, 1, width)
        and width >= lanes
        and problem.in_strides[5] == step.output.spatial[2] == size
        and (
            step.outputs <= FEW_OUTPUTS
            or (
                -width % lanes <= width / 50
                and (2 * step.outputs <= step.inputs or step.inputs < NEAR_INPUTS)
                and channel % PAGE != 0
                and (channel <= PAGE or count * channel <= NEAR_BYTES)
            )
        )
    )


def _pointwise(problem, threads):
    """Plan a linear map at each position: tiles are runs of positions."""
    (step,) = problem.steps
    size = problem.dtype.itemsize
    width = problem.grid[2]
    work = problem.images * problem.groups * width * step.inputs * (1 + step.outputs / 2)
    threads = worth(threads, work * size / kernels.VECTOR)
    blocks = -(-step.outputs // kernels.ROWS)
    run = kernels.vectors(-(-step.outputs // blocks)) * kernels.VECTOR // size
    # Two tasks a thread. Where their rows would be short, threads that write side by side get
    # into each other's way: it is better that each has output channels to itself.
    parts, chunks = 2 * threads, 1
    if threads == 1 or problem.images * problem.groups >= parts:
        parts = 1
    elif width * size < parts * PAGE // 2:
        to_more = step.outputs > step.inputs and blocks >= parts
        parts, chunks = (1, parts) if to_more else (2 * parts, 1)
    # Half of it is for the tile that is fetched meanwhile.
    most, longest = step.inputs, SCRATCH_BUDGET // 2 // (step.inputs * size)
    ahead = run * size
    if step.outputs <= FEWEST_OUTPUTS and width * size >= LONG:
        # Hardware fetches so few long runs ahead best when nothing else is fetched.
        most, longest, ahead = min(8, most), (1 << 16) // size, 0
    elif step.outputs <= FEW_OUTPUTS:
        # So many channels at a time are in the first-level cache beside the sums, even where all
        # of them fall on the same lines of it.
        most, longest = min(12, most), (1 << 14) // size
    tiles = max(parts, -(-width // max(longest, run)))
    wide = -(-width // (tiles * run))
    # The last tile has a vector at least: what it covers again must be its own.
    while 0 < width % (wide * run) < kernels.VECTOR // size:
        wide += 1
    tile = (1, 1, min(wide * run, width))
    layout = _Buffer(aligned(WORKER_BYTES), (True,) * 3, 1, 0, 0, 0, 0)
    places = [c * problem.in_strides[2] for c in range(step.inputs)]
    residues = [0, 0, 0]
    table = residues + places
    # And as they are read, some channels at a time: what is to be fetched ahead is next in turn.
    for first in range(0, step.inputs, most):
        turn = places[first : first + most]
        count = most + kernels.TABLE_SLACK
        table += [turn[i % len(turn)] + i // len(turn) * ahead for i in range(count)]
    gather = [step.gather[0] + c * step.strides[3] for c in range(step.inputs)]
    each = Pass(
        taps=step.inputs,
        blocks=blocks,
        gather=len(table),
        contiguous=in_order(gather, size),
        packed=0,
        offsets=len(residues),
        form=kernels.FORMS["pointwise"],
        most=most,
    ).of_step(step)
    table += gather
    axes = [axis(problem, a) for a in range(3)]
    biases = aligned(problem.groups * step.outputs * size)
    weights = problem.groups * step.outputs * step.inputs * size
    return finished(
        problem, axes, tile, chunks, 0, threads, layout, 0, [each], table, biases, weights,
        layout.start, 0, flops(problem), "direct, in place",
    )  # fmt: skip


def _square(step):
    """The side and the first row and column of a square of taps, or of the cross in one."""
    depth, y, x = map(min, zip(*step.taps, strict=True))
    side = step.taps[-1][1] - y + 1
    square = [(depth, y + i, x + j) for i in range(side) for j in range(side)]
    if side == 3 and len(step.taps) == 5:
        square = [square[i] for i in (1, 3, 4, 5, 7)]
    return (side if side in (3, 5, 7) and step.taps == square else 0), y, x


def _is_filter(problem):
    """Whether it is a small filter on planes of contiguous rows, which are read in place.

    Only the first of the strips of vectors and the last two reach beyond an input that is padded
    a little. Without masks, rows are better laid out unless every other element is left out.
    """
    (step, *more) = problem.steps
    if kernels.VECTOR < MASKED and problem.stride == (1, 1, 1):
        return False
    if more or step.groups > 1 or not step.output or step.inputs != 1 or len(step.taps) > 49:
        return False
    side, _, x = _square(step)
    size = problem.dtype.itemsize
    end = (problem.grid[2] - 1) * problem.stride[2] + x + side
    return (
        side > 0
        and max(-x, end - problem.sizes[2]) <= min(side, kernels.STRIP // size)
        and problem.given == problem.dtype == problem.stored
        and step.taps[0][0] == 0
        and problem.grid[0] <= problem.sizes[0]
        and problem.stride in ((1, 1, 1), (1, 2, 2))
        and problem.in_strides[5] == step.output.spatial[2] == size
        and problem.grid[1] >= kernels.BAND_ROWS
    )


def _filter(problem, threads):
    """Plan a small filter: tiles are rows of planes."""
    (step,) = problem.steps
    size = problem.dtype.itemsize
    side, first_y, first_x = _square(step)
    _, height, width = problem.grid
    work = height * (20 + width * size / 64 * len(step.taps))
    cycles = problem.images * problem.groups * (100 + work)
    threads = worth(threads, cycles)
    rows = height
    if threads > 1:
        # Some ten microseconds each: enough of them for all threads, not too many to begin.
        rows = -(-height // max(1, int(cycles / problem.groups / 3e4)))
        rows = -(-rows // kernels.BAND_ROWS) * kernels.BAND_ROWS
    tile = (1, min(rows, height), width)
    layout = _Buffer(aligned(WORKER_BYTES), (True,) * 3, 1, 0, 0, 0, 0)
    # A row of zeros, as wide as the input and what is loaded beside it; then ends of rows.
    ends = layout.start + aligned((problem.sizes[2] + 2 * side) * size + 9 * VECTOR)
    pitch = aligned(kernels.STRIP * problem.stride[2] + side * size + kernels.VECTOR)
    seen = (kernels.BAND_ROWS - 1) * problem.stride[1] + side
    end = ends + seen * pitch
    axes = [axis(problem, a) for a in range(3)]
    table = [r for a in axes for r in a.residues]
    each = Pass(
        taps=len(step.taps),
        blocks=0,
        form=kernels.FORMS["filter"],
        kernel=side,
        source=ends,
        row_pitch=pitch,
        first_y=first_y,
        first_x=first_x,
        gather=len(table),
        contiguous=in_order(step.gather, size),
    ).of_step(step)
    table += step.gather
    biases = aligned(problem.groups * step.groups * step.outputs * size)
    return finished(
        problem, axes, tile, 1, 0, threads, layout, 0, [each], table, biases, 0, end, 0,
        flops(problem), "direct, in place",
    )  # fmt: skip


def _is_dots(problem):
    """Whether all that an output sees of an image is one run of memory, and so are its weights."""
    (step, *more) = problem.steps
    if more or not step.output or step.groups > 1 or problem.grid != (1, 1, 1):
        return False
    size = problem.dtype.itemsize
    taps = len(step.taps)
    return (
        problem.given == problem.dtype == problem.stored
        and taps == math.prod(problem.sizes)
        and step.taps == list(itertools.product(*map(range, problem.sizes)))
        and _is_run((step.inputs, *problem.sizes), problem.in_strides[2:], size)
        and _is_run((step.inputs, taps), (step.strides[3], size), size)
        and in_order(step.gather, size)
    )


def _dots(problem, threads):
    """Plan sums over all of each image: a tile is some images, which are along x."""
    (step,) = problem.steps
    size = problem.dtype.itemsize
    lanes = kernels.VECTOR // size
    terms = step.inputs * len(step.taps)
    images = (1, 1, problem.images)
    folded = problem._replace(
        images=1,
        sizes=images,
        grid=images,
        stride=(1, 1, 1),
        in_strides=(0, *problem.in_strides[1:3], 0, 0, problem.in_strides[0]),
        steps=[
            step._replace(
                taps=[(0, 0, 0)],
                output=step.output._replace(spatial=(0, 0, step.output.image), sizes=images),
            )
        ],
    )
    blocks = -(-step.outputs // lanes)
    threads = worth(threads, 2 * flops(problem) / lanes)
    chunks = 1 if threads == 1 else min(blocks, 4 * threads)
    # Images that stay in the cache while all weights go by, and enough tasks for all threads.
    most = max(SCRATCH_BUDGET // max(terms * size, 1), 1)
    parts = -(-2 * threads // (problem.groups * chunks)) if threads > 1 else 1
    tile = (1, 1, max(min(most, -(-problem.images // parts)), 1))
    layout = _Buffer(aligned(WORKER_BYTES), (True,) * 3, 1, 0, 0, 0, 0)
    each = Pass(taps=terms, blocks=blocks, form=kernels.FORMS["dots"]).of_step(folded.steps[0])
    axes = [axis(folded, a) for a in range(3)]
    table = [r for a in axes for r in a.residues]
    biases = aligned(problem.groups * step.outputs * size)
    return finished(
        folded, axes, tile, chunks, 0, threads, layout, 0, [each], table, biases, 0, layout.start,
        0, flops(problem), "direct, in place",
    )  # fmt: skip


def _is_interleaved(problem):
    """Whether it is single channels on planes whose rows are too short to fill vectors."""
    (step, *more) = problem.steps
    if more or not step.output or step.groups > 1 or step.inputs != 1 or problem.border:
        return False
    size = problem.dtype.itemsize
    return (
        problem.given == problem.dtype == problem.stored
        and problem.groups > 1
        and problem.sizes[0] == problem.grid[0] == 1
        and min(problem.sizes) > 0
        and problem.stride[2] <= 2
        and _is_run(problem.sizes[1:], problem.in_strides[4:], size)
        and _is_run(problem.grid[1:], step.output.spatial[1:], size)
        and in_order(step.gather, size)
        and not any(tap[0] for tap in step.taps)
        and math.prod(_seen(problem)) * kernels.VECTOR <= 2 * SCRATCH_BUDGET
        and _interleaving_pays(problem)
    )


def _is_run(sizes, strides, size):
    """Whether axes of these sizes are one run of memory."""
    runs = itertools.accumulate(sizes[:0:-1], initial=size, func=operator.mul)
    return all(
        n == 1 or stride == run
        for n, stride, run in zip(sizes[::-1], strides[::-1], runs, strict=True)
    )


def _seen(problem):
    """How many rows and columns the taps see, from the first one on."""
    lines = [[tap[a] for tap in problem.steps[0].taps] for a in (1, 2)]
    return [
        (n - 1) * stride + max(line) - min(line) + 1
        for n, stride, line in zip(problem.grid[1:], problem.stride[1:], lines, strict=True)
    ]


def _interleaving_pays(problem):
    """Whether vectors of many planes are faster than those of rows, by cycles for a plane."""
    (step,) = problem.steps
    taps, size = len(step.taps), problem.dtype.itemsize
    lanes = kernels.VECTOR // size
    _, height, width = problem.grid
    outputs = height * width * step.outputs
    moved = math.prod(problem.sizes) + outputs
    vectors = -(-width * size // kernels.VECTOR)
    strip = kernels.STRIP // kernels.VECTOR
    if vectors > 2:
        vectors = -(-vectors // strip) * strip
    sparse = problem.stride[2] > 1
    if kernels.VECTOR < MASKED:
        return True
    if kernels.VECTOR == 64:
        together = (9 if size == 4 else 13) * moved + 1.15 * outputs * taps
        row = 32 + vectors * taps * (3 if sparse else 1.45)
    else:
        together = 4 * moved + 0.6 * outputs * taps
        row = taps + vectors * (6.5 + taps * (1.7 if sparse else 0.7))
    if height == 1:
        row = 250 + vectors * (10 + 2 * taps)
    elif taps <= 49 and len({tap[2] for tap in step.taps}) > 1 and not _is_filter(problem):
        row *= 1.8  # rows are laid out
    planes = -(-problem.groups // lanes) / problem.groups
    return (together + 400) * planes < 0.9 * height * step.outputs * row


def _interleaved(problem, threads):
    """Plan small planes: a tile is one plane of each of some groups, which are along z."""
    (step,) = problem.steps
    size = problem.dtype.itemsize
    vector = kernels.VECTOR
    lanes = vector // size
    taps = len(step.taps)
    grid = (problem.groups, *problem.grid[1:])
    _, height, width = grid
    image, group, channel, _, *along = problem.in_strides
    folded = problem._replace(
        groups=1,
        sizes=(problem.groups, *problem.sizes[1:]),
        grid=grid,
        in_strides=(image, 0, channel, group, *along),
        steps=[
            step._replace(
                groups=problem.groups,
                output=step.output._replace(
                    group=0, spatial=(step.output.group, *step.output.spatial[1:]), sizes=grid
                ),
            )
        ],
    )
    rows, columns = _seen(problem)
    first_y, first_x = (min(tap[a] for tap in step.taps) for a in (1, 2))
    at_y = np.arange(problem.sizes[1])[:, None] - first_y
    at_x = np.arange(problem.sizes[2]) - first_x
    seen = (at_y >= 0) & (at_y < rows) & (at_x >= 0) & (at_x < columns)
    # What no tap sees, and what is beyond a plane in a square, goes to one place behind the others.
    beyond = rows * columns * vector
    places = np.where(seen, (at_y * columns + at_x) * vector, beyond).ravel().tolist()
    places += [beyond] * lanes
    offsets = [((y - first_y) * columns + x - first_x) * vector for _, y, x in step.taps]
    # Taps are in the order of their rows: those that an output row sees follow each other.
    lines = [tap[1] for tap in step.taps]
    reached = [0, taps] * height
    if lines == sorted(lines):
        starts = -problem.stride[1] * np.arange(height)
        first = np.searchsorted(lines, starts)
        reached = (
            np.stack([first, np.searchsorted(lines, starts + problem.sizes[1]) - first], -1)
            .ravel()
            .tolist()
        )
    axes = [axis(folded, a) for a in range(3)]
    table = [r for a in axes for r in a.residues]
    start = aligned(WORKER_BYTES)
    layout = _Buffer(start, (True,) * 3, 1, 0, 0, 0, start + beyond + vector)
    results = layout.end + (taps + lanes + 1) * vector
    # Rows of outputs that stay in the first-level cache.
    most = max(min(256 // width, height), 1)
    end = results + (most * width + lanes) * vector
    each = Pass(
        taps=taps,
        form=kernels.FORMS["interleaved"],
        source=layout.end,
        offsets=len(table),
        positions=len(table) + taps,
        columns=layout.end,
        column_offsets=len(table) + taps + len(places),
        height=-(-width // -(-width // kernels.MOST_RUN)),
        sums=results,
        most=most,
        coordinates=len(table) + 2 * taps + len(places) + lanes,
    ).of_step(folded.steps[0])
    table += offsets + places + [k * vector for k in range(taps + lanes)] + reached
    outputs = height * width * step.outputs
    each_block = 9 * (math.prod(problem.sizes) + outputs) + 1.15 * outputs * taps
    threads = worth(threads, problem.images * -(-problem.groups // lanes) * each_block)
    biases = aligned(problem.groups * step.outputs * size)
    return finished(
        folded, axes, (lanes, height, width), 1, 0, threads, layout, columns * vector, [each],
        table, biases, 0, end, 0, flops(problem), "direct, interleaved",
    )  # fmt: skip


def _is_separable(problem):
    """Whether it is a line down the columns, then one along the rows, of planes with long rows."""
    if kernels.VECTOR < MASKED or len(problem.steps) != 2 or problem.stride != (1, 1, 1):
        return False
    size = problem.dtype.itemsize
    down, along = problem.steps
    first_y, first_x = down.taps[0][1], along.taps[0][2]
    return (
        down.output is None
        and problem.grid[0] <= problem.sizes[0]
        and all(s.groups == s.inputs == s.outputs == 1 for s in problem.steps)
        and all(in_order(s.gather, size) for s in problem.steps)
        and down.taps == [(0, first_y + i, 0) for i in range(len(down.taps))]
        and along.taps == [(0, 0, first_x + i) for i in range(len(along.taps))]
        and 3 <= len(down.taps) <= kernels.MOST_DOWN
        and 2 * problem.grid[2] * size > kernels.VECTOR
    )


def _separable(problem, threads):
    """Plan two lines: tiles are rows of planes, or of a part of their columns."""
    down, along = problem.steps
    size = problem.dtype.itemsize
    _, height, width = problem.grid
    work = height * (50 + width * size / kernels.VECTOR * (len(down.taps) + len(along.taps) + 5))
    cycles = problem.images * problem.groups * problem.grid[0] * work
    threads = worth(threads, cycles)
    parts = -(-width * size // SEPARABLE_BYTES)
    rows = SEPARABLE_ROWS
    if threads > 1:
        rows = max(min(rows, height // threads), kernels.BAND_ROWS)
    rows = -(-rows // kernels.BAND_ROWS) * kernels.BAND_ROWS
    tile = (1, min(rows, height), -(-width // parts))
    layout = _Buffer(aligned(WORKER_BYTES), (True,) * 3, 1, 0, 0, 0, 0)
    # Rows that lie beside each other are not to fall on the same cache lines.
    pitch = aligned((tile[2] + len(along.taps)) * size + 4 * kernels.VECTOR) + 64
    middle = pitch
    lines = middle + kernels.BAND_ROWS * pitch
    panel = lines + (len(down.taps) + kernels.BAND_ROWS) * pitch
    end = layout.start + panel + kernels.BAND_ROWS * pitch
    passes = [
        Pass(
            taps=len(step.taps),
            form=kernels.FORMS["separable"],
            first_y=step.taps[0][1],
            first_x=step.taps[0][2],
            source=lines,
            sums_pitch=pitch,
            target=place,
        ).of_step(step)
        for step, place in ((down, middle), (along, panel))
    ]
    each = aligned(problem.groups * size)
    passes[1] = passes[1]._replace(bias=each)
    axes = [axis(problem, a) for a in range(3)]
    table = [r for a in axes for r in a.residues]
    return finished(
        problem, axes, tile, 1, 0, threads, layout, 0, passes, table, 2 * each, 0, end, 0,
        flops(problem), "direct, in place",
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
    gather = inputs * step.strides[3] + np.array(step.gather, np.intp)
    return offsets.ravel().tolist(), gather.ravel().tolist()


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
