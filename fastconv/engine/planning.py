"""From a problem to a plan: tiles, scratch, offsets. Runs once for each geometry.

A `Problem` says what to compute, in coordinates; `tiled` decides how to cut it and writes that
down as the integers that kernels.pyx follows; ways.py has what is planned otherwise. All problems
have three spatial axes here.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np

from fastconv.engine._costs import NEAR_TILES, Costs, by_rows, whole_lines
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
    weight_input: int = 0
    gather: int = 0
    contiguous: bool = False
    phases: int = 0
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
    listed: bool = False
    apart_y: int = 1
    apart_x: int = 1
    strips: int = 0
    strip_count: int = 0
    kernel: int = 0
    first_y: int = 0
    first_x: int = 0
    line: bool = False
    by_rows: bool = False
    shift: int = 0
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
            weight_input=step.strides[3],
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


#: Cycles of work that are worth waking another thread for: some 20 microseconds.
WORTH_A_THREAD = 50_000
#: Bytes of a row of the panel from which results go to a strided output: not a power of
#: two, or all rows would fall on the same cache lines.
PANEL = 2048 + 64
#: Positions of an image that may be worth a swapped pass.
MOST_POSITIONS = 1024
#: The most positions of a swapped pass's register tile, for each number of vectors beside them.
MOST_HEIGHTS = {kernels.turned_vectors(h): h for h in range(1, kernels.ROWS + 1)}.values()
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
    pays = 16 * far[2].halo > x or (y > 1 and whole_lines(x, problem.dtype.itemsize))
    if far[2].halo and pays and problem.steps[0].outputs > 8:
        # Rows without a halo: more is laid out, and no positions between rows are computed, nor
        # does a vector cross from one cache line into the next where rows are whole ones.
        ways.append([*far[:2], axis(problem, 2, apart=True)])
    return ways


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


class _Choice(NamedTuple):
    """`height` is the number of positions in the register tile of a swapped pass, or 0."""

    cycles: float
    axes: list[_Axis]
    tile: tuple[int, int, int]
    chunks: int
    height: int
    splits: int


def side_by_side(step, along):
    """Whether its taps are a line along an axis, at one place of the others."""
    if not step.taps:
        return False
    places = list(zip(*step.taps, strict=True))
    line = places.pop(along)
    return line == tuple(range(line[0], line[0] + len(line))) and all(
        len(set(each)) == 1 for each in places
    )


def _is_line(problem):
    """Whether the one output channel has nothing but taps side by side of the one input channel."""
    (step, *more) = problem.steps
    return (
        not more
        and step.output is not None
        and step.inputs == step.outputs == problem.stride[2] == 1
        and len(step.taps) > 1
        and side_by_side(step, 2)
    )


def _padded(problem, step):
    """Whether a tap of the step meets the zeros around the input somewhere."""
    lines = list(zip(*step.taps, strict=True))
    return not problem.border and any(
        min(line) < 0 or max(line) + (grid - 1) * stride >= size
        for line, grid, stride, size in zip(
            lines, problem.grid, problem.stride, problem.sizes, strict=True
        )
    )


def _heights(positions):
    """Heights of a swapped pass's register tile that are worth a thought.

    For each number of vectors the most that registers hold, and the fewest that make as many
    blocks of all positions.
    """
    even = {-(-positions // -(-positions // height)) for height in MOST_HEIGHTS}
    return sorted(even.union(MOST_HEIGHTS))


def _ways(problem):
    """The lay-outs, heights (see `_Choice`) and splits that are worth a thought."""
    (step, *more) = problem.steps
    parts = [1]
    if not more and step.groups == 1 and step.outputs > 1:
        parts += [n for n in (2, 4, 8, 16, 32, 64) if step.inputs >= 16 * n]
    ways = [(axes, 0, n) for axes in _lay_outs(problem) for n in parts]
    positions = math.prod(problem.grid[1:])
    swaps = problem.stored == problem.dtype and all(
        s.output
        and s.inputs
        and s.outputs > 1
        and s.groups == 1
        and (positions <= MOST_POSITIONS or s.output.channel == problem.dtype.itemsize)
        for s in problem.steps
    )
    if swaps:
        axes = rows_in_turn(problem)
        ways += [(axes, height, n) for height in _heights(positions) for n in parts]
    return ways


def _choose(problem, ways, costs, threads):
    """The way, the tile and the chunks of output channels for the least time."""
    side_by_side = all(s.output for s in problem.steps)
    # Output channels are shared out only where there are too few tiles to share.
    shares = sorted({1, threads, 2 * threads, 4 * threads} if side_by_side else {1})
    outputs = min((s.outputs for s in problem.steps), default=1)
    best = None
    for axes, height, splits in ways:
        block = _block(height, problem.dtype.itemsize)
        chunks = tuple(n for n in shares if n == 1 or (n - 1) * block < outputs)
        found = costs.fewest(axes, height, splits, chunks, threads)
        for n, (cycles, tile) in zip(chunks, found, strict=True):
            if best is None or cycles < 0.985 * best.cycles:
                best = _Choice(cycles, axes, tile, n, height, splits)
    return best


def _block(height, size):
    """Output channels that go together: rows of the register tile, or vectors of a swapped one."""
    return kernels.turned_vectors(height) * kernels.VECTOR // size if height else kernels.ROWS


def tiled(problem, threads, packed):
    """Plan tiles that are laid out."""
    size = problem.dtype.itemsize
    ways, costs = _ways(problem), Costs(problem, packed)
    choice = _choose(problem, ways, costs, 1)
    threads = worth(threads, choice.cycles)
    if threads > 1:
        choice = _choose(problem, ways, costs, threads)
    _, axes, tile, chunks, height, splits = choice
    parts = splits if splits > 1 else 0
    table = [r for axis in axes for r in axis.residues]
    left = (True, True, True)
    most = -(-problem.channels // splits)
    source = layout = buffer(aligned(WORKER_BYTES), most, left, axes, tile, size, False)
    pitch = (tile[2] + axes[2].halo) * size
    lanes = kernels.VECTOR // size
    block = _block(height, size)
    # Of a swapped pass: the bytes of a tap's weights, which are gathered in the scratch.
    width = block * size
    columns = end = aligned(source.end)
    if height:
        kernel = max(len(s.taps) for s in problem.steps)
        listed = columns + aligned((1 + most * kernel) * width)
        end = listed + aligned(3 * 8 * kernel)
    biases = weights = 0
    tiles = problem.images * math.prod(-(-g // t) for g, t in zip(problem.grid, tile, strict=True))
    line = _is_line(problem)
    phases = _phases(problem) if height else 0
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
            places += [0] * len(step.taps)
        in_place = step.outputs == 1 and contiguous and not height
        groups = problem.groups * step.groups
        blocks = -(-step.outputs // block)
        highest = max(-(-step.outputs // max(blocks, 1)), 1)
        strips, strip_count = [], 0
        contiguous_rows = step.output is None or step.output.spatial[2] == problem.stored.itemsize
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
                phases=phases,
                near=height > 0 and tiles <= NEAR_TILES and not phases,
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
                and by_rows(tile[2], pitch // size, taps, highest, lanes),
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


def _phases(problem):
    """The elements from the first to the last of a kernel that all steps have taps of; or 0.

    Where one lies in pieces, or these are far apart, each step had better pick its own.
    """
    first, *others = problem.steps
    size = problem.dtype.itemsize
    shared = first.operand, first.outputs, first.strides
    places = [place for step in problem.steps for place in step.gather]
    if (
        not others
        or any((step.operand, step.outputs, step.strides) != shared for step in others)
        or min(places) < 0
        or any(place % size for place in places)
        or max(places) >= 2 * len(places) * size
    ):
        return 0
    return max(places) // size + 1


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
