"""Plans for Winograd's minimal filtering F(4x4, 3x3); winograd.pxd says what it is."""

import math
from typing import NamedTuple

from fastconv.engine._costs import (
    FEW_BLOCKS,
    MANY_PRODUCTS,
    MOST,
    NEAR,
    PRODUCTS,
    TILE,
    block_bytes,
    winograd,
)
from fastconv.engine.dispatch import kernels
from fastconv.engine.planning import (
    WORKER_BYTES,
    Pass,
    aligned,
    axis,
    buffer,
    finished,
    flops,
    in_order,
    offsets,
    worth,
)

#: Input channels that are worth a split of their own.
FEWEST_INPUTS = 128


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


def _dilation(problem):
    """How far the kernel's elements are apart along y and x."""
    lines = [sorted({tap[a] for tap in problem.steps[0].taps}) for a in (1, 2)]
    return [line[1] - line[0] for line in lines]


def _tile_lines(count, dilation):
    """Tiles along an axis of so many outputs: each one's first output, and how many it has.

    With dilation d every d-th output sees every d-th input: so many images that lie between each
    other, whose tiles are listed by where they begin.
    """
    return [
        (start, min(TILE, -(-(count - start) // dilation)))
        for first in range(0, count, TILE * dilation)
        for start in range(first, min(first + dilation, count))
    ]


def _runs(lines):
    """The same, and how many from each one on lie element by element, with as many outputs."""
    runs = []
    for (start, valid), after in zip(reversed(lines), [None, *reversed(lines)], strict=False):
        runs.append((start, valid, 1 + runs[-1][2] if after == (start + 1, valid) else 1))
    return runs[::-1]


def _reduction(problem):
    """How many products each sum has, of each plane: channels, and rows of the kernel in z."""
    return problem.channels * len(problem.steps[0].taps) // 9


def _tiles(problem, dilation):
    """How many tiles there are along y and x."""
    counts = []
    for n, apart in zip(problem.grid[1:], dilation, strict=True):
        whole, rest = divmod(n, TILE * apart)
        counts.append(whole * apart + min(rest, apart))
    return counts


class _Choice(NamedTuple):
    """Rows and columns of Winograd's tiles, and how channels are cut, for the least time.

    Output channels in so many chunks, input channels in so many splits. And that time in cycles,
    and those of it that all tiles share.
    """

    cycles: float
    once: float
    tile: tuple[int, int]
    chunks: int
    splits: int


def _choose(problem, dilation, threads):
    blocks = -(-problem.steps[0].outputs // kernels.TALLEST)
    chunks = tuple(n for n in sorted({1, threads, 2 * threads}) if n <= blocks)
    splits = [n for n in (1, 2, 4, 8, 16) if n == 1 or problem.channels >= FEWEST_INPUTS * n]
    tiles = _tiles(problem, dilation)
    reduction = _reduction(problem)
    best = None
    for parts in splits:
        found = winograd(problem, reduction, tiles, dilation, parts, chunks, threads)
        for n, (cycles, once, tile) in zip(chunks, found, strict=True):
            if best is None or cycles < 0.98 * best.cycles:
                best = _Choice(cycles, once, tile, n, parts)
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
    choice = _choose(problem, _dilation(problem), 1)
    cycles = choice.cycles - choice.once + (0 if packed else choice.once)
    # Direct sums are counted at two vectors a cycle, which not all machines reach.
    return 0.75 * cycles


def plan(problem, threads):
    """Plan `problem` for at most so many threads."""
    (step,) = problem.steps
    size = problem.dtype.itemsize
    reduction = _reduction(problem)
    dilation = _dilation(problem)
    choice = _choose(problem, dilation, 1)
    threads = worth(threads, choice.cycles)
    if threads > 1:
        choice = _choose(problem, dilation, threads)
    axes = [axis(problem, a) for a in range(3)]
    counts = _tiles(problem, dilation)
    table = [r for a in axes for r in a.residues]
    part_table = len(table)
    listed = dilation != [1, 1]
    if listed:
        # Tiles are the grid; what one sees is a plane with all that lies between.
        lines = [_runs(_tile_lines(*each)) for each in zip(problem.grid[1:], dilation, strict=True)]
        table += [n for each in lines for line in each for n in line]
        tiled = problem._replace(grid=(problem.grid[0], *counts))
        tile = (1, *choice.tile)
        axes[1:] = [
            a._replace(halo=(TILE + 1) * apart) for a, apart in zip(axes[1:], dilation, strict=True)
        ]
        seen = (1, *(_span(each, n) for each, n in zip(lines, choice.tile, strict=True)))
        row_tiles = choice.tile[1]
    else:
        tiled = problem._replace(grid=(problem.grid[0], *(TILE * n for n in counts)))
        tile = seen = (1, *(TILE * n for n in choice.tile))
        row_tiles = kernels.row_tiles(choice.tile[1], size)
    pitch = (seen[2] + axes[2].halo) * size
    # One channel at a time is laid out; the weights of a block are put there before.
    layout = buffer(aligned(WORKER_BYTES), 1, (True, True, True), axes, seen, size, False)
    weights = 9 * reduction * kernels.TALLEST * size
    # The transforms of a vector of tiles load four vectors, twice.
    positions = aligned(max(layout.end + 5 * kernels.VECTOR, layout.start + weights))
    splits = choice.splits if choice.splits > 1 else 0
    at_once = -(-problem.channels // choice.splits) * (reduction // problem.channels)
    # Not a power of two from plane to plane, which would fall on the same cache lines.
    result_pitch = aligned(choice.tile[0] * row_tiles * size)
    row_pitch = result_pitch + kernels.VECTOR
    plane_pitch = at_once * row_pitch + kernels.VECTOR
    results = positions + PRODUCTS * plane_pitch
    # Inputs of one product stay in the second-level cache for so many blocks of output channels,
    # whose results wait for those of all products.
    blocks = -(-step.outputs // kernels.TALLEST)
    each_block = PRODUCTS * (result_pitch * kernels.TALLEST + kernels.VECTOR)
    together = -(-blocks // choice.chunks)
    if not splits:
        together = max(min(together, MOST // each_block), 1)
        if reduction < MANY_PRODUCTS:
            together = min(together, FEW_BLOCKS)
    near_at = aligned(results + together * each_block)
    # Weights that only one tile reads are transformed there, a block after the other.
    block = block_bytes(reduction, size)
    near = problem.images == 1 and tile == tiled.grid and block <= NEAR and not splits
    panel = near_at + aligned(block * near)
    places, gather = offsets(step, axes, layout, pitch, size)
    offsets_at = len(table)
    gather_at = offsets_at + len(places)
    columns_at = gather_at + len(gather)
    table += [*places, *gather, *range(0, at_once * row_pitch, row_pitch)]
    each = Pass(
        taps=step.inputs * len(step.taps),
        blocks=blocks,
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
        part_table=part_table,
        listed=listed,
        apart_y=dilation[0],
        apart_x=dilation[1],
        sums=near_at,
        most=together,
    ).of_step(step)
    biases = aligned(problem.groups * step.outputs * size)
    weights = (
        problem.groups * PRODUCTS * (step.outputs * reduction * size + each.blocks * kernels.VECTOR)
    )
    found = finished(
        tiled, axes, tile, choice.chunks, splits, threads, layout, pitch, [each], table, biases,
        weights, panel, TILE * (4 * result_pitch + kernels.VECTOR), flops(problem), "winograd",
    )  # fmt: skip
    return found._replace(tile=(1, *(TILE * n for n in choice.tile)))


def _span(lines, count):
    """The most outputs from the first tile to the last, of tiles that take so many lines."""
    return max(
        lines[min(i + count, len(lines)) - 1][0] - lines[i][0] + 1
        for i in range(0, len(lines), count)
    )
