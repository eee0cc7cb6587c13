"""Plans for Winograd's minimal filtering F(4x4, 3x3); winograd.pxd says what it is."""

import math
from typing import NamedTuple

from fastconv.engine._costs import MOST, NEAR, PRODUCTS, TILE, block_bytes, winograd
from fastconv.engine.dispatch import kernels
from fastconv.engine.planning import (
    WORKER_BYTES,
    Pass,
    Plan,
    aligned,
    axis,
    buffer,
    finished,
    flops,
    in_order,
    offsets,
    worth,
)


def refusal(problem):
    """Why this problem cannot be computed so; None if it can."""
    if len(problem.steps) != 1:
        return "it takes one kernel, not a chain or a fan of them"
    (step,) = problem.steps
    lines = [sorted({tap[a] for tap in step.taps}) for a in range(3)]
    if len(lines[1]) != 3 or len(lines[2]) != 3 or len(step.taps) != 9 * len(lines[0]):
        return "it takes kernels of 3x3 (in three dimensions 3x3 along the last two)"
    if any(line[2] - line[1] != line[1] - line[0] for line in lines[1:]):
        return "it takes kernels whose elements are equally far apart"
    if problem.stride != (1, 1, 1):
        return f"it takes stride 1, not {problem.stride}"
    if problem.stored != problem.dtype:
        return f"it takes results in {problem.dtype}, which is computed in"
    if not step.inputs:
        return "it takes input channels, at least one for each group"
    return None


def _parts(problem):
    """Problems without dilation that make up one with it.

    With dilation d, every d-th output sees every d-th input: so many images, interleaved. The first
    is as large as any.
    """
    (step,) = problem.steps
    lines = [sorted({tap[a] for tap in step.taps}) for a in (1, 2)]
    dilation = [line[1] - line[0] for line in lines]
    depth, height, width = problem.grid
    parts = []
    for y in range(min(dilation[0], height)):
        for x in range(min(dilation[1], width)):
            grid = (depth, -(-(height - y) // dilation[0]), -(-(width - x) // dilation[1]))
            out = step.output
            z_step, y_step, x_step = out.spatial
            out = out._replace(
                offset=out.offset + y * y_step + x * x_step,
                spatial=(z_step, dilation[0] * y_step, dilation[1] * x_step),
                sizes=grid,
            )
            taps = [(tap[0], tap[1] + y, tap[2] + x) for tap in step.taps]
            parts.append(
                problem._replace(
                    stride=(1, *dilation), grid=grid, steps=[step._replace(taps=taps, output=out)]
                )
            )
    return parts


def _reduction(problem):
    """How many products each sum has, of each plane: channels, and rows of the kernel in z."""
    return problem.channels * len(problem.steps[0].taps) // 9


def _together(problem, reduction):
    """The same in lists whose smallest tiles take their turns within bounds."""
    parts = _parts(problem)
    size = problem.dtype.itemsize
    vectors = max(MOST // (PRODUCTS * kernels.VECTOR * reduction) - 2, 1)
    most = max(vectors * kernels.VECTOR // size // kernels.row_tiles(1, size), 1)
    each = -(-len(parts) // -(-len(parts) // most))
    return [parts[i : i + each] for i in range(0, len(parts), each)]


def _tiled(problem):
    """The problem with whole tiles; what is too much is not stored."""
    z, y, x = problem.grid
    return problem._replace(grid=(z, -(-y // TILE) * TILE, -(-x // TILE) * TILE))


class _Choice(NamedTuple):
    """The tile and the chunks of output channels for the least time.

    And that time in cycles, and those of it that all tiles share.
    """

    cycles: float
    once: float
    tile: tuple[int, int, int]
    chunks: int


def _choose(problem, parts, reduction, threads):
    blocks = -(-problem.steps[0].outputs // kernels.TALLEST)
    chunks = tuple(n for n in sorted({1, threads, 2 * threads}) if n <= blocks)
    best = None
    for n, found in zip(chunks, winograd(problem, parts, reduction, chunks, threads), strict=True):
        if best is None or found[0] < 0.98 * best.cycles:
            best = _Choice(*found, n)
    return best


def cycles(problem, limit, packed):
    """About how many cycles one thread would take, with weights packed beforehand or not.

    Infinitely many if the transforms and products alone are more than a limit.
    """
    (step,) = problem.steps
    reduction = _reduction(problem)
    depth, y, x = problem.grid
    vectors = problem.groups * depth * y * x / TILE**2 * problem.dtype.itemsize / kernels.VECTOR
    products = PRODUCTS * step.outputs * reduction * 0.5
    if 0.75 * vectors * (reduction * 400 + step.outputs * 320 + products) > limit:
        return math.inf
    turns = _together(problem, reduction)
    choice = _choose(_tiled(turns[0][0]), len(turns[0]), reduction, 1)
    cycles = len(turns) * (choice.cycles - choice.once) + (0 if packed else choice.once)
    # Direct sums are counted at two vectors a cycle, which not all machines reach.
    return 0.75 * cycles


class Fan(NamedTuple):
    """Plans of the parts of one output, which share their packed weights."""

    plans: list[Plan]

    def __getattr__(self, name):
        """What all of them have in common, as far as `explain` is concerned."""
        values = [getattr(plan, name) for plan in self.plans]
        if name in ("tasks", "flops"):
            return sum(values)
        return max(values) if name in ("threads", "workspace") else values[0]


def plan(problem, threads):
    """Plan `problem` for at most so many threads: a tile of many parts reads weights once."""
    reduction = _reduction(problem)
    turns = _together(problem, reduction)
    return Fan([_plan(parts, turns[0][0].grid, reduction, threads) for parts in turns])


def _plan(parts, grid, reduction, threads):
    problem = parts[0]._replace(grid=grid)
    (step,) = problem.steps
    tiled = _tiled(problem)
    size = problem.dtype.itemsize
    choice = _choose(tiled, len(parts), reduction, 1)
    threads = worth(threads, choice.cycles)
    if threads > 1:
        choice = _choose(tiled, len(parts), reduction, threads)
    tile = choice.tile
    axes = [axis(problem, a) for a in range(3)]
    pitch = (tile[2] + axes[2].halo) * size
    # One channel at a time is laid out; the weights of a block are put there before.
    layout = buffer(aligned(WORKER_BYTES), 1, (True, True, True), axes, tile, size, False)
    weights = 9 * reduction * kernels.TALLEST * size
    # The transforms of a vector of tiles load four vectors, twice.
    positions = aligned(max(layout.end + 5 * kernels.VECTOR, layout.start + weights))
    row_tiles = kernels.row_tiles(tile[2] // TILE, size)
    # Not a power of two from plane to plane, which would fall on the same cache lines.
    result_pitch = aligned(len(parts) * (tile[1] // TILE) * row_tiles * size)
    row_pitch = result_pitch + kernels.VECTOR
    plane_pitch = reduction * row_pitch + kernels.VECTOR
    results = positions + PRODUCTS * plane_pitch
    near_at = aligned(results + PRODUCTS * (result_pitch * kernels.TALLEST + kernels.VECTOR))
    # Weights that only one tile reads are transformed there, a block after the other.
    block = block_bytes(reduction, size)
    near = problem.images == 1 and tile == tiled.grid and block <= NEAR
    panel = near_at + aligned(block * near)
    places, gather = offsets(step, axes, layout, pitch, size)
    table = [r for part in parts for a in range(3) for r in axis(part, a).residues]
    part_table = len(table)
    for part in parts:
        output = part.steps[0].output
        table += [output.offset - step.output.offset, *output.sizes[1:]]
    offsets_at = len(table)
    gather_at = offsets_at + len(places)
    columns_at = gather_at + len(gather)
    table += [*places, *gather, *range(0, reduction * row_pitch, row_pitch)]
    each = Pass(
        taps=step.inputs * len(step.taps),
        blocks=-(-step.outputs // kernels.TALLEST),
        gather=gather_at,
        contiguous=in_order(gather, size),
        packed=0,
        near=near,
        offsets=offsets_at,
        form=kernels.FORMS["winograd"],
        positions=positions,
        columns=results,
        column_offsets=columns_at,
        reduction=reduction,
        row_tiles=row_tiles,
        row_pitch=row_pitch,
        plane_pitch=plane_pitch,
        result_pitch=result_pitch,
        parts=len(parts),
        part_table=part_table,
        sums=near_at,
    ).of_step(step)
    biases = aligned(problem.groups * step.outputs * size)
    weights = (
        problem.groups * PRODUCTS * (step.outputs * reduction * size + each.blocks * kernels.VECTOR)
    )
    return finished(
        tiled, axes, tile, choice.chunks, 0, threads, layout, pitch, [each], table, biases, weights,
        panel, TILE * (4 * result_pitch + kernels.VECTOR), sum(map(flops, parts)), "winograd",
    )  # fmt: skip
