"""From a problem to a plan: tiles, scratch, offsets. Runs once for each geometry.

A `Problem` says what to compute, in coordinates; `plan` decides how and writes it down
as the integers that kernels.pyx follows. All problems have three spatial axes here.
"""

import math
import os
from typing import NamedTuple

import numpy as np

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
    weights that belong to them; `strides` those from outer group to outer group, inner group to inner
    group, output to output and input to input channel. `reduces` says which axes a tap
    moves along; the others pass through to the next step. Operand 0 is the input.
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
    """Steps over one lay-out of the input; the last ones, or the only ones, have an output."""

    dtype: np.dtype
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

    groups: int
    planes: int
    channels: int
    taps: int
    blocks: int
    operand: int
    weight_outer: int
    weight_inner: int
    weight_channel: int
    gather: int
    packed: int
    bias_operand: int
    bias_stride: int
    bias: int
    source: int
    source_group: int
    source_plane: int
    source_z: int
    offsets: int
    halo_z: int
    halo_y: int
    target: int
    target_group: int
    target_plane: int
    target_channel: int
    target_z: int
    out_offset: int
    out_image: int
    out_group: int
    out_inner: int
    out_channel: int
    out_z: int
    out_y: int
    out_x: int
    limit_z: int
    limit_y: int
    limit_x: int


class Plan(NamedTuple):
    """What `engine.run` needs, and `explain` tells."""

    program: object
    threads: int
    workspace: int
    tile: tuple[int, int, int]
    tasks: int
    flops: int
    register_tiles: tuple[tuple[int, int], ...]


def _cache_size():
    try:
        size = os.sysconf("SC_LEVEL2_CACHE_SIZE")
    except (AttributeError, OSError, ValueError):
        size = 0
    return min(max(size, 1 << 19), 1 << 22)


#: Scratch that stays in the second-level cache beside a block of weights.
SCRATCH_BUDGET = _cache_size() // 2
#: Multiply-adds that are worth waking another thread for.
WORTH_A_THREAD = 1 << 20
#: Bytes of a row of the panel from which results go to a strided output: not a power of
#: two, or all rows would fall on the same cache lines.
PANEL = 2048 + 64
#: At least a vector, which may run over the end of what it is for.
VECTOR = 64
#: The size of kernels.Worker, rounded up.
WORKER_BYTES = 128


def _aligned(size):
    return -(-size // 64) * 64


class _Axis(NamedTuple):
    """One axis of the lay-out: its phases, the lowest coordinate and how many beyond a tile."""

    residues: list[int]
    first: int
    halo: int


def _axis(problem, a):
    taps = {tap[a] for step in problem.steps if step.reduces[a] for tap in step.taps} or {0}
    places = [tap // problem.stride[a] for tap in taps]
    residues = sorted({tap % problem.stride[a] for tap in taps})
    return _Axis(residues, min(places), max(places) - min(places))


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
    if _axis(problem, 2).halo:
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


def _splits(n):
    """Sizes worth trying for a tile along an axis of n."""
    parts = {*range(1, 17), *(int(1.25**i) for i in range(13, 64))}
    return np.array(sorted({-(-n // p) for p in parts if p <= n} | {1}, reverse=True))


class _Buffer(NamedTuple):
    """A part of the scratch: [channel][phases of the axes left][z][y][pitch]."""

    start: int
    left: tuple[bool, bool, bool]
    planes: int
    plane: int
    phase: int
    channel: int
    end: int


def _buffer(start, channels, left, axes, tile, size, written):
    extent = [t + (axis.halo if l else 0) for t, axis, l in zip(tile, axes, left, strict=True)]
    pitch = (tile[2] + axes[2].halo) * size
    planes = math.prod(len(axis.residues) for axis, l in zip(axes, left, strict=True) if l)
    plane = extent[1] * pitch
    phase = extent[0] * plane
    # Whole vectors are stored: the last one of a channel may not reach into the next.
    channel = _aligned(planes * phase + VECTOR) if written else planes * phase
    end = _aligned(start + channels * channel + VECTOR)
    return _Buffer(start, left, planes, plane, phase, channel, end)


def _choose_tile(problem, axes, threads):
    """The tile, and the chunks of output channels, that should take the least time.

    Tries tiles that cut each axis evenly, and counts cycles roughly: two vector
    multiply-adds each, 8 bytes laid out each, some for each run of the register tile and
    each row of scratch or output; more where the scratch outgrows the cache.
    """
    size = problem.dtype.itemsize
    lanes = kernels.LANES * 4 // size
    grids = np.meshgrid(*map(_splits, problem.grid), indexing="ij")
    z, y, x = (t.ravel().astype(np.float64) for t in grids)
    extents = [t + axis.halo for t, axis in zip((z, y, x), axes, strict=True)]
    phases = [len(axis.residues) for axis in axes]

    rows = problem.channels * math.prod(phases) * extents[0] * extents[1]
    scratch = rows * extents[2] * size
    lay_out = scratch / 8 + rows * 10
    compute = 0.0
    left = [True] * 3
    for step in problem.steps:
        taps = step.inputs * len(step.taps)
        blocks = -(-step.outputs // kernels.ROWS) or 1
        height = -(-step.outputs // blocks) or 1
        if step.output is None:
            left = [l and not r for l, r in zip(left, step.reduces, strict=True)]
            planes = math.prod(n for n, l in zip(phases, left, strict=True) if l)
            depth = extents[0] if left[0] else z
            count = extents[1] if left[1] else y
            positions = count * extents[2]
            scratch = scratch + step.groups * step.outputs * planes * depth * positions * size
            store = 0.0
        else:
            planes, depth = 1, z
            positions = (y - 1) * extents[2] + x
            store = step.outputs * (y * 6 + positions / lanes * 2)
        vectors = np.ceil(positions / lanes)
        runs = blocks * np.ceil(vectors / kernels.vectors(height))
        compute = compute + step.groups * planes * depth * (
            vectors * step.outputs * taps / 2 + runs * 30 + store
        )
    compute = compute * (1 + 0.25 * np.maximum(scratch / SCRATCH_BUDGET - 1, 0))
    tiles = problem.images * problem.groups * np.ceil(problem.grid[0] / z) * np.ceil(
        problem.grid[1] / y) * np.ceil(problem.grid[2] / x)

    # Output channels are only shared out where that is all there is to share.
    blocks = min((-(-s.outputs // kernels.ROWS) for s in problem.steps), default=1)
    choices = {1} | ({threads, 2 * threads, 4 * threads} if problem.steps[0].output else set())
    best = None
    for chunks in sorted(c for c in choices if c == 1 or c <= blocks):
        cost = np.ceil(tiles * chunks / threads) * (lay_out + compute / chunks)
        at = int(np.argmin(cost))
        if best is None or cost[at] < best[0] * 0.99:
            best = (cost[at], (int(z[at]), int(y[at]), int(x[at])), chunks)
    return best[1:]


def plan(problem, threads):
    """Plan `problem` for at most so many threads."""
    problem = _column(_flat(problem))
    axes = [_axis(problem, a) for a in range(3)]
    size = problem.dtype.itemsize
    macs = sum(
        problem.images * problem.groups * s.groups * s.outputs * s.inputs * len(s.taps)
        * math.prod(s.output.sizes if s.output else problem.grid)
        for s in problem.steps
    )
    threads = max(1, min(threads, macs // WORTH_A_THREAD))
    tile, chunks = _choose_tile(problem, axes, threads)
    tiles = [-(-g // t) for g, t in zip(problem.grid, tile, strict=True)]
    tasks = problem.images * problem.groups * math.prod(tiles) * chunks
    threads = min(threads, tasks)

    table = [r for axis in axes for r in axis.residues]
    left = (True, True, True)
    source = layout = _buffer(
        _aligned(WORKER_BYTES), problem.channels, left, axes, tile, size, False
    )
    pitch = (tile[2] + axes[2].halo) * size
    packed = 0
    passes = []
    for step in problem.steps:
        taps = step.inputs * len(step.taps)
        left = tuple(l and not r for l, r in zip(source.left, step.reduces, strict=True))
        target = None
        if step.output is None:
            channels = step.groups * step.outputs
            target = _buffer(source.end, channels, left, axes, tile, size, True)
        offsets, gather = _offsets(problem, step, axes, source, pitch, size)
        in_place = step.outputs == 1 and gather == list(range(0, taps * size, size))
        groups = problem.groups * step.groups
        bias = packed
        packed = _aligned(packed + groups * step.outputs * size)
        weights = -1
        if not in_place:
            weights = packed
            packed = _aligned(packed + groups * step.outputs * taps * size)
        out = step.output or Output(0, 0, 0, 0, 0, (0, 0, 0), (0, 0, 0))
        passes.append(
            Pass(
                groups=step.groups,
                planes=target.planes if target else 1,
                channels=step.outputs,
                taps=taps,
                blocks=-(-step.outputs // kernels.ROWS),
                operand=step.operand,
                weight_outer=step.strides[0],
                weight_inner=step.strides[1],
                weight_channel=step.strides[2],
                gather=len(table) + taps,
                packed=weights,
                bias_operand=-1 if step.bias is None else step.bias,
                bias_stride=step.bias_stride,
                bias=bias,
                source=source.start,
                source_group=step.inputs * source.channel,
                source_plane=source.phase,
                source_z=source.plane,
                offsets=len(table),
                halo_z=axes[0].halo if left[0] else 0,
                halo_y=axes[1].halo if left[1] else 0,
                target=target.start if target else -1,
                target_group=step.outputs * target.channel if target else 0,
                target_plane=target.phase if target else 0,
                target_channel=target.channel if target else 0,
                target_z=target.plane if target else 0,
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
        )
        table += offsets + gather
        source = target or source

    panel_pitch = PANEL
    scratch_size = _aligned(source.end + kernels.ROWS * panel_pitch + VECTOR)
    fields = [
        len(passes), problem.images, problem.groups, problem.channels,
        *problem.in_strides, *problem.sizes, problem.border, *problem.stride,
        *(axis.first for axis in axes), *(axis.halo for axis in axes),
        *(len(axis.residues) for axis in axes), 0, *problem.grid, *tile, *tiles, chunks,
        pitch, layout.plane, layout.phase, layout.channel,
        layout.start, source.end, panel_pitch, packed, scratch_size,
    ]  # fmt: skip
    return Plan(
        kernels.Program(
            np.array(fields, np.intp),
            np.array(passes, np.intp).ravel(),
            np.array([*table, 0], np.intp),
            problem.dtype == np.float64,
        ),
        threads,
        packed + threads * scratch_size,
        tile,
        tasks,
        2 * macs,
        tuple((-(-p.channels // max(p.blocks, 1)), p.taps) for p in passes),
    )


def _offsets(problem, step, axes, source, pitch, size):
    """Where each weight's input lies in the scratch, and where the weight itself lies."""
    places = [0] * len(step.taps)
    for a, unit in enumerate((source.plane, pitch, size)):
        if step.reduces[a] and source.left[a]:
            # Phases of the axes still in the buffer after this one.
            after = math.prod(
                len(axes[b].residues) for b in range(a + 1, 3) if source.left[b]
            )
            for t, tap in enumerate(step.taps):
                place, residue = divmod(tap[a], problem.stride[a])
                places[t] += (place - axes[a].first) * unit
                places[t] += axes[a].residues.index(residue) * after * source.phase
    inputs = np.arange(step.inputs)[:, None]
    offsets = inputs * source.channel + np.array(places, np.intp)
    gather = inputs * step.strides[3] + np.array(step.gather, np.intp)
    return offsets.ravel().tolist(), gather.ravel().tolist()
