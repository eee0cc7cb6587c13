"""Plans for Winograd's minimal filtering F(4x4, 3x3); winograd.pxd says what it is."""

import math
from typing import NamedTuple

import numpy as np

from fastconv.engine.dispatch import kernels
from fastconv.engine.planning import (
    WORKER_BYTES,
    Pass,
    Plan,
    aligned,
    axis,
    buffer,
    filled,
    finished,
    flops,
    in_order,
    offsets,
    sizes,
    worth,
)

TILE = 4
#: Half a second-level cache, of any machine: the choice of a method must not depend on it.
CACHE = 1 << 19
PRODUCTS = 36
#: Bytes of a tile's transforms that are not exceeded without need.
MOST = 1 << 23
#: Bytes of transformed weights of a block that are worth keeping out of memory.
NEAR = 1 << 22


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


def _block(reduction, size):
    """Bytes of the transformed weights of a block of output channels."""
    return PRODUCTS * (kernels.TALLEST * reduction * size + kernels.VECTOR)


class _Choice:
    """The tile and the chunks of output channels for the least time, and that time in cycles.

    So many parts are computed at once: a tile is one of each.
    """

    def __init__(self, problem, parts, reduction, threads):
        (step,) = problem.steps
        size = problem.dtype.itemsize
        lanes = kernels.VECTOR // size
        grid = [n // TILE for n in problem.grid[1:]]
        y, x = (t.ravel().astype(np.float64) for t in np.meshgrid(*map(sizes, grid), indexing="ij"))
        places = np.array([kernels.row_tiles(int(n), size) for n in x])
        vectors = np.ceil(parts * y * places / lanes)
        blocks = -(-step.outputs // kernels.TALLEST)
        height = -(-step.outputs // blocks)
        rows = parts * problem.channels * (TILE * y + 2)
        weights = PRODUCTS * step.outputs * reduction * size
        seen = PRODUCTS * reduction * vectors * kernels.VECTOR
        results = PRODUCTS * height * vectors * kernels.VECTOR
        # Rows of tiles begin with a vector or, short ones, with a quarter of one.
        quarters = np.ceil(4 * x / lanes)
        transforms = np.where(quarters <= 3, np.ceil(y * quarters / 4), y * np.ceil(x / lanes))
        lay_out = rows * (20 + TILE * x * size / 16) + parts * reduction * transforms * 400
        # What is more than two elements apart is moved one by one.
        one_by_one = 4 * TILE * x + 40 if problem.stride[2] > 2 else 0
        lay_out = lay_out + rows * one_by_one
        # Weights that the caches do not hold come from memory, at a few bytes a cycle.
        from_afar = weights / (4 if weights > 2 * CACHE else 32) + max(weights - 16 * CACHE, 0) / 10
        multiply = (
            PRODUCTS * step.outputs * reduction * filled(parts * y * places, height, lanes) * 0.5
            + PRODUCTS * blocks * np.ceil(vectors / kernels.vectors(height)) * 30
            + step.outputs * (vectors * 320 + parts * y * TILE * (10 + x * size / 16 + one_by_one))
            + from_afar
            # Tiles that outgrow the second-level cache are read ahead well, up to a size.
            + np.maximum(seen - 6 * CACHE, 0) * blocks / 16
            + np.maximum(results - CACHE, 0) * blocks / 5
        )
        # Need: one vector of tiles of many channels may take more.
        scratch = PRODUCTS * kernels.VECTOR * (reduction * (vectors + 1) + height * vectors)
        large = scratch > max(MOST, scratch.min())
        count = problem.images * problem.groups * problem.grid[0]
        count = count * np.ceil(grid[0] / y) * np.ceil(grid[1] / x)
        # Many transformed weights go to memory and come back, but for those of a single tile.
        once = weights / (4 if weights > 2 * CACHE else 6) + max(weights - 64 * CACHE, 0) / 2
        once = np.full(y.shape, problem.groups * once)
        if _block(reduction, size) <= NEAR:
            once[count == problem.groups] = problem.groups * weights / 6
        once = once / threads
        self.cycles = math.inf
        for chunks in sorted({1, threads, 2 * threads}):
            if chunks > blocks:
                continue
            cost = once + np.ceil(count * chunks / threads) * (lay_out + multiply / chunks)
            cost[large] = math.inf
            at = int(np.argmin(cost))
            if cost[at] < 0.98 * self.cycles:
                self.cycles = cost[at]
                self.once = once[at]
                self.chunks = chunks
                self.tile = (1, TILE * int(y[at]), TILE * int(x[at]))


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
    choice = _Choice(_tiled(turns[0][0]), len(turns[0]), reduction, 1)
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
    choice = _Choice(tiled, len(parts), reduction, 1)
    threads = worth(threads, choice.cycles)
    if threads > 1:
        choice = _Choice(tiled, len(parts), reduction, threads)
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
    block = _block(reduction, size)
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
