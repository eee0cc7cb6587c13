"""The ways of direct sums: by the tiles of planning.py, or where something else is faster.

`plan` asks one after the other: what is read in place, as maps at each position, small filters,
kernels as large as the image and lines; what is interleaved; what is computed as two
problems in turn, or tap by tap. All other problems are tiles that are laid out.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np

from fastconv import geometry
from fastconv.engine._costs import NEAR_TILES, SCRATCH_BUDGET, filled
from fastconv.engine.dispatch import kernels
from fastconv.engine.planning import (
    MASKED,
    VECTOR,
    WORKER_BYTES,
    Buffer,
    Output,
    Pass,
    Plan,
    aligned,
    axis,
    finished,
    flops,
    gathered,
    in_order,
    side_by_side,
    tiled,
    together,
    worth,
)

#: Bytes of an image between two problems that take turns.
MOST_BETWEEN = 1 << 23
#: Bytes of memory that hardware fetches ahead in, and finds without a further look-up.
PAGE = 4096
#: Output channels of a map that reads channels in place however far apart they are.
FEW_OUTPUTS = min(kernels.ROWS, 8)
#: Output channels of a map that only waits for memory, where a channel has so many bytes.
FEWEST_OUTPUTS, LONG = 4, 8 * PAGE
#: Input channels that are read again in place whatever they hold, and bytes of an image that is,
#: however many they are.
NEAR_INPUTS, NEAR_BYTES = 512, 7 * SCRATCH_BUDGET // 4
#: So many positions are worth weights in an order that takes longer to make; register tiles for
#: fewer have rows whose weights are soon in order, and room for a position beside.
MANY_POSITIONS, ROWS_OF_FEW = 128, 8
#: Blocks of output channels that are worth keeping what the first of them reads, and where input
#: channels are all on the same lines of the cache; and input channels that are not too many for it.
FEWEST_AGAIN, FEWEST_ON_LINES, MOST_KEPT = 3, 2, 1 << 13
#: Bytes of a position's input channels that are read and kept at a time.
KEPT_BYTES = 1 << 12
#: How much more than the positions there are vectors may hold.
MOST_EMPTY = 1.4
#: The most weights of linear maps that have few positions, and none left over.
MOST_UNFILLED = 1 << 15
#: The share of products that meet the input up to which taps are laid out one by one, and what that
#: takes is counted with it; the same where taps are close.
MOST_MET, MOST_MET_CLOSE = 1.0, 0.8
#: And of columns' products, up to which columns that meet fewer taps are on their own.
MOST_SEEN = 0.93
#: Bands of columns; input and output channels at a time; bytes that these take of a tile.
MOST_BANDS, CHANNELS_APART, OUTPUTS_APART, APART_BUDGET = 9, 128, 2048, 4 * SCRATCH_BUDGET
#: Bytes of a row, and rows, of a tile of two lines of taps.
SEPARABLE_BYTES, SEPARABLE_ROWS = 1 << 12, 64


# ---- Which -------------------------------------------------------------------------


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
    return _plan(problem, threads, packed)


def _plan(problem, threads, packed):
    problem = _column(_flat(problem))
    if _is_pointwise(problem):
        return _pointwise(problem, threads, packed)
    if _is_dots(problem):
        return _dots(problem, threads)
    if _is_interleaved(problem):
        return _interleaved(problem, threads)
    if _is_filter(problem):
        return _filter(together(problem), threads)
    if _is_separable(problem):
        return _separable(problem, threads)
    if met(problem) < 1:
        return _apart(problem, threads)
    return tiled(together(problem), threads, packed)


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


# ---- In turn -------------------------------------------------------------------


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


# ---- In place: maps at each position -----------------------------------------------


def _is_pointwise(problem):
    """Whether it is a linear map at each position that reads the input in place.

    To few channels always. To more where vectors are filled at the end and what is read is kept, or
    else comes in good time: all of an image that the cache holds, or channels that are not too many
    and not on the same lines of it.
    """
    (step, *more) = problem.steps
    size = problem.dtype.itemsize
    lanes = kernels.VECTOR // size
    width = problem.grid[2]
    channel = abs(problem.in_strides[2])
    if (
        more
        or not problem.given == problem.dtype == problem.stored
        or step.groups > 1
        or step.output is None
        or step.taps != [(0, 0, 0)]
        or not step.outputs
        or not step.inputs
        or problem.stride != (1, 1, 1)
        or not problem.sizes == problem.grid == (1, 1, width)
        or width < lanes
        or not problem.in_strides[5] == step.output.spatial[2] == size
    ):
        return False
    if step.outputs <= FEW_OUTPUTS:
        return True
    # A vector alone, or one of two or three that is not filled, leaves too few sums to a tile.
    unfilled = width == lanes or (width < 3 * lanes and width % lanes > 1)
    if unfilled and step.inputs * step.outputs > MOST_UNFILLED:
        return False
    again = _fewest_again(problem)
    keeps = step.outputs > (again - 1) * kernels.ROWS and step.inputs <= MOST_KEPT
    near = step.inputs <= NEAR_INPUTS or step.inputs * channel <= NEAR_BYTES
    return filled(width, ROWS_OF_FEW, lanes) * lanes <= MOST_EMPTY * width and (
        keeps or (near and channel % PAGE != 0)
    )


def _fewest_again(problem):
    """Blocks of output channels that are worth keeping what the first of them reads."""
    return FEWEST_AGAIN if problem.in_strides[2] % PAGE else FEWEST_ON_LINES


def _pointwise(problem, threads, packed):
    """Plan a linear map at each position: tiles are runs of positions."""
    (step,) = problem.steps
    size = problem.dtype.itemsize
    width = problem.grid[2]
    work = problem.images * problem.groups * width * step.inputs * (1 + step.outputs / 2)
    threads = worth(threads, work * size / kernels.VECTOR)
    rows = kernels.ROWS
    if width < (1 if packed else 2) * MANY_POSITIONS:
        rows = min(rows, ROWS_OF_FEW)
    blocks = -(-step.outputs // rows)
    run = kernels.vectors(-(-step.outputs // blocks)) * kernels.VECTOR // size
    # Two tasks a thread. Where their rows would be short, threads that write side by side get
    # into each other's way: it is better that each has output channels to itself, the more so where
    # there is hardly a run of the register tile for each.
    parts, chunks = 2 * threads, 1
    if threads == 1 or problem.images * problem.groups >= parts:
        parts = 1
    elif width * size < parts * PAGE // 2:
        to_more = blocks >= parts and (step.outputs > step.inputs or width < 2 * parts * run)
        parts, chunks = (1, parts) if to_more else (2 * parts, 1)
    keeps = (
        step.outputs > FEW_OUTPUTS
        and step.inputs <= MOST_KEPT
        and blocks >= chunks * _fewest_again(problem)
        and kernels.vectors(step.outputs // blocks) * kernels.VECTOR // size == run
    )
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
    elif keeps:
        # So many at a time leave room in the second-level cache for weights on their way.
        most = -(-most // max(most * size // KEPT_BYTES, 1))
    tiles = max(parts, -(-width // max(longest, run)))
    wide = -(-width // (tiles * run))
    # The last tile has a vector at least: what it covers again must be its own.
    while 0 < width % (wide * run) < kernels.VECTOR // size:
        wide += 1
    tile = (1, 1, min(wide * run, width))
    layout = Buffer(aligned(WORKER_BYTES), (True,) * 3, 1, 0, 0, 0, 0)
    places = [c * problem.in_strides[2] for c in range(step.inputs)]
    residues = [0, 0, 0]
    table = residues + places
    # And as they are read, some channels at a time: what is to be fetched ahead is next in turn.
    for first in range(0, step.inputs, most):
        turn = places[first : first + most]
        count = most + kernels.TABLE_SLACK
        table += [turn[i % len(turn)] + i // len(turn) * ahead for i in range(count)]
    gather = gathered(step)
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
    # What register tiles load they find in whole cache lines, one after the other, when it is kept.
    end = layout.start
    if keeps:
        each = each._replace(positions=end, column_offsets=len(table))
        table += [k * run * size for k in range(most)] + [0] * kernels.TABLE_SLACK
        # Two pairs of vectors take the place of three.
        end = aligned(end + (tile[2] // run + 2) * most * run * size)
    if problem.images * -(-width // tile[2]) <= NEAR_TILES:
        each = each._replace(near=True, sums=end)
        end = aligned(end + rows * most * size)
    axes = [axis(problem, a) for a in range(3)]
    biases = aligned(problem.groups * step.outputs * size)
    weights = problem.groups * step.outputs * step.inputs * size
    return finished(
        problem, axes, tile, chunks, 0, threads, layout, 0, [each], table, biases, weights,
        end, kernels.ROWS * VECTOR, flops(problem), "direct, in place",
    )  # fmt: skip


# ---- In place: small filters -------------------------------------------------------


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
    layout = Buffer(aligned(WORKER_BYTES), (True,) * 3, 1, 0, 0, 0, 0)
    # A row of zeros, as wide as the input and what is loaded beside it; then both ends of rows.
    ends = layout.start + aligned((problem.sizes[2] + 2 * side) * size + 9 * VECTOR)
    pitch = aligned(2 * kernels.STRIP * problem.stride[2] + side * size + kernels.VECTOR)
    seen = (kernels.BAND_ROWS - 1) * problem.stride[1] + side
    end = ends + 2 * seen * pitch
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


# ---- In place: kernels as large as the image ---------------------------------------


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
        and geometry.is_run((step.inputs, *problem.sizes), problem.in_strides[2:], size)
        and geometry.is_run((step.inputs, taps), (step.strides[3], size), size)
        and in_order(step.gather, size)
    )


def _dots(problem, threads):
    """Plan sums over all of each image: a tile is some images, which are along x."""
    (step,) = problem.steps
    size = problem.dtype.itemsize
    lanes = kernels.VECTOR // size
    height = max(lanes, kernels.DOTS_BESIDE)
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
    blocks = -(-step.outputs // height)
    threads = worth(threads, 2 * flops(problem) / lanes)
    chunks = 1 if threads == 1 else min(blocks, 4 * threads)
    # Images that stay in the cache while all weights go by, and enough tasks for all threads.
    most = max(SCRATCH_BUDGET // max(terms * size, 1), 1)
    parts = -(-2 * threads // (problem.groups * chunks)) if threads > 1 else 1
    tile = (1, 1, max(min(most, -(-problem.images // parts)), 1))
    layout = Buffer(aligned(WORKER_BYTES), (True,) * 3, 1, 0, 0, 0, 0)
    each = Pass(taps=terms, blocks=blocks, height=height, form=kernels.FORMS["dots"])
    axes = [axis(folded, a) for a in range(3)]
    table = [r for a in axes for r in a.residues]
    biases = aligned(problem.groups * step.outputs * size)
    return finished(
        folded, axes, tile, chunks, 0, threads, layout, 0, [each.of_step(folded.steps[0])], table,
        biases, 0, layout.start, 0, flops(problem), "direct, in place",
    )  # fmt: skip


# ---- Interleaved -------------------------------------------------------------------


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
        and geometry.is_run(problem.sizes[1:], problem.in_strides[4:], size)
        and geometry.is_run(problem.grid[1:], step.output.spatial[1:], size)
        and in_order(step.gather, size)
        and not any(tap[0] for tap in step.taps)
        and math.prod(_seen(problem)) * kernels.VECTOR <= 2 * SCRATCH_BUDGET
        and _interleaving_pays(problem)
    )


def _seen(problem):
    """How many rows and columns the taps see, from the first one on."""
    lines = [[tap[a] for tap in problem.steps[0].taps] for a in (1, 2)]
    return [
        (n - 1) * stride + max(line) - min(line) + 1
        for n, stride, line in zip(problem.grid[1:], problem.stride[1:], lines, strict=True)
    ]


def _interleaving_pays(problem):
    """Whether vectors of many planes are faster than those along rows, by cycles for a plane."""
    if kernels.VECTOR < MASKED:
        return True
    (step,) = problem.steps
    taps, size = len(step.taps), problem.dtype.itemsize
    lanes = kernels.VECTOR // size
    _, height, width = problem.grid
    sparse = problem.stride[2] > 1
    outputs = height * width * step.outputs
    moved = math.prod(problem.sizes) + outputs
    vectors, strip = -(-width * size // kernels.VECTOR), kernels.STRIP // kernels.VECTOR
    if vectors > 2:
        vectors = -(-vectors // strip) * strip
    if kernels.VECTOR == 64:
        interleaved = (9 if size == 4 else 13) * moved + 1.15 * outputs * taps
        row = 32 + vectors * taps * (3 if sparse else 1.45)
    else:
        interleaved = 4 * moved + 0.6 * outputs * taps
        row = taps + vectors * (6.5 + taps * (1.7 if sparse else 0.7))
    if height == 1:
        row = 250 + vectors * (10 + 2 * taps)
    elif taps <= 49 and len({tap[2] for tap in step.taps}) > 1 and not _is_filter(problem):
        row *= 1.8  # it is laid out
    blocks = -(-problem.groups // lanes)
    return blocks / problem.groups * (interleaved + 400) < 0.9 * height * step.outputs * row


def _shift(taps, stride):
    """From a tap to that by which the output row above sees the same; 0 if not all have one."""
    _, stride_y, stride_x = stride
    below = [(z, y + stride_y, x) for z, y, x in taps]
    shift = next((n for n, tap in enumerate(taps) if tap == below[0]), 0)
    return shift if stride_x == 1 and taps[shift:] == below[: len(taps) - shift] else 0


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
        count = np.searchsorted(lines, starts + problem.sizes[1]) - first
        reached = np.stack([first, count], -1).ravel().tolist()
    axes = [axis(folded, a) for a in range(3)]
    table = [r for a in axes for r in a.residues]
    start = aligned(WORKER_BYTES)
    layout = Buffer(start, (True,) * 3, 1, 0, 0, 0, start + beyond + vector)
    shift = _shift(step.taps, problem.stride) if height > 1 and kernels.MOST_TWICE else 0
    run = kernels.MOST_TWICE if shift else kernels.MOST_RUN
    results = layout.end + (taps + lanes + 1) * vector
    # Rows of outputs that stay in the first-level cache.
    most = max(min(256 // width, height), 1 + (shift > 0))
    end = results + (most * width + lanes) * vector
    each = Pass(
        taps=taps,
        form=kernels.FORMS["interleaved"],
        source=layout.end,
        offsets=len(table),
        positions=len(table) + taps,
        columns=layout.end,
        column_offsets=len(table) + taps + len(places),
        height=-(-width // -(-width // run)),
        shift=shift,
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


# ---- In place: lines ----------------------------------------------------------------


def _is_separable(problem):
    """Whether it is a line down the columns of planes, then one along long rows, or one of them."""
    if kernels.VECTOR < MASKED or len(problem.steps) > 2 or problem.stride != (1, 1, 1):
        return False
    first, *more = problem.steps
    last = problem.steps[-1]
    size = problem.dtype.itemsize
    grid, sizes = problem.grid, problem.sizes
    down = _goes(first, 1) and 3 <= len(first.taps) <= kernels.MOST_DOWN
    if more:
        lines = down and _goes(last, 2)
    elif down:
        lines = grid[2] <= sizes[2]
    else:
        lines = _goes(last, 2) and len(last.taps) > 1 and grid[1] <= sizes[1]
    return (
        lines
        and all(s.groups == s.inputs == s.outputs == 1 for s in problem.steps)
        and all(in_order(s.gather, size) for s in problem.steps)
        and last.output is not None
        and (first.output is None) == bool(more)
        and grid[0] <= sizes[0]
        and 2 * grid[2] * size > kernels.VECTOR
    )


def _goes(step, along):
    """Whether its taps are a line along an axis, at the output's own place of the others."""
    return side_by_side(step, along) and not any(
        place for a, place in enumerate(step.taps[0]) if a != along
    )


def _separable(problem, threads):
    """Plan one line or two: tiles are rows of planes, or of a part of their columns."""
    size = problem.dtype.itemsize
    _, height, width = problem.grid
    taps = sum(len(step.taps) for step in problem.steps)
    work = height * (50 + width * size / kernels.VECTOR * (taps + 5))
    cycles = problem.images * problem.groups * problem.grid[0] * work
    threads = worth(threads, cycles)
    parts = -(-width * size // SEPARABLE_BYTES)
    rows = SEPARABLE_ROWS
    if threads > 1:
        rows = max(min(rows, height // threads), kernels.BAND_ROWS)
    rows = -(-rows // kernels.BAND_ROWS) * kernels.BAND_ROWS
    tile = (1, min(rows, height), -(-width // parts))
    layout = Buffer(aligned(WORKER_BYTES), (True,) * 3, 1, 0, 0, 0, 0)
    # Rows that lie beside each other are not to fall on the same cache lines.
    most = max(len(step.taps) for step in problem.steps)
    pitch = aligned((tile[2] + most) * size + 9 * kernels.VECTOR) + 64
    middle = pitch
    lines = middle + kernels.BAND_ROWS * pitch
    down = 1 if _goes(problem.steps[0], 2) else len(problem.steps[0].taps)
    panel = lines + (down + kernels.BAND_ROWS) * pitch
    end = layout.start + panel + kernels.BAND_ROWS * pitch
    passes = [
        Pass(
            taps=len(step.taps),
            form=kernels.FORMS["separable"],
            first_y=step.taps[0][1],
            first_x=step.taps[0][2],
            source=lines,
            sums_pitch=pitch,
            target=middle if step.output is None else panel,
            line=_goes(step, 2),
        ).of_step(step)
        for step in problem.steps
    ]
    each = aligned(problem.groups * size)
    passes[-1] = passes[-1]._replace(bias=each)
    axes = [axis(problem, a) for a in range(3)]
    table = [r for a in axes for r in a.residues]
    return finished(
        problem, axes, tile, 1, 0, threads, layout, 0, passes, table, 2 * each, 0, end, 0,
        flops(problem), "direct, in place",
    )  # fmt: skip


# ---- Taps one by one ---------------------------------------------------------------


def met(problem):
    """The share of the products that are computed: those of taps that meet more than zeros around.

    All, unless a good part of them is left out. Geometry alone decides: the order of the sums is
    another one then. What it takes to lay a tap out, and to load and store sums for it, weighs more
    where there are few channels or positions.
    """
    (step, *more) = problem.steps
    if more or not step.output or step.groups > 1 or problem.border:
        return 1.0
    if not (step.inputs and step.outputs and step.taps and min(problem.grid)):
        return 1.0
    share, dilated = 1.0, False
    for a in range(3):
        lines = sorted({tap[a] for tap in step.taps})
        dilated = dilated or any(after - line > 1 for line, after in itertools.pairwise(lines))
        grid, stride, size = problem.grid[a], problem.stride[a], problem.sizes[a]
        inside = (geometry.within(line, stride, grid, size) for line in lines)
        share *= sum(stop - start for start, stop in inside) / (grid * len(lines))
    lanes = kernels.VECTOR // problem.dtype.itemsize
    over = (1 + 5 / step.outputs) * (1 + 8 / step.inputs)
    cost = over * (share + 8 * lanes / math.prod(problem.grid))
    return share if share < 1 and cost < (MOST_MET if dilated else MOST_MET_CLOSE) else 1.0


def _bands(problem):
    """Where columns are cut: in between all meet the same taps. Only where that pays."""
    (step,) = problem.steps
    _, height, width = problem.grid
    lanes = kernels.VECTOR // problem.dtype.itemsize
    lines = {tap[2] for tap in step.taps}
    inside = [geometry.within(line, problem.stride[2], width, problem.sizes[2]) for line in lines]
    cuts = sorted({0, width, *(place for pair in inside for place in pair)})
    products = sum(
        -(-height * (stop - start) // lanes) * sum(a <= start and stop <= z for a, z in inside)
        for start, stop in itertools.pairwise(cuts)
    )
    whole = -(-height * width // lanes) * len(lines)
    pays = height > 1 and len(cuts) <= MOST_BANDS + 1 and products <= MOST_SEEN * whole
    return cuts if pays else [0, width]


def _apart(problem, threads):
    """Plan taps that are laid out one by one, each where it meets more than zeros."""
    (step,) = problem.steps
    size = problem.dtype.itemsize
    lanes = kernels.VECTOR // size
    depth, height, width = problem.grid
    cuts = _bands(problem)
    splits = -(-step.inputs // CHANNELS_APART)
    most = -(-step.inputs // splits)
    blocks = -(-step.outputs // kernels.ROWS)
    threads = worth(threads, flops(problem) / lanes / 8)
    # As many tasks for each thread: output channels are shared out, but for few that do not pay for
    # laying out what they read, then rows.
    images = problem.images * problem.groups
    tasks = threads // math.gcd(threads, images) if images < 4 * threads else 1
    chunks = max(min(tasks, step.outputs // 128), -(-step.outputs // OUTPUTS_APART))
    tasks = -(-tasks // chunks)
    positions = APART_BUDGET // ((step.outputs // chunks + 2 * most) * size)
    positions = max(min(positions, -(-depth * height * width // tasks)), 8 * lanes)
    rows = max(min(positions // width, height), 1)
    planes = max(min(positions // (width * height), depth), 1) if rows == height else 1
    columns = width if len(cuts) > 2 else min(positions, width)
    tiles = [-(-n // t) for n, t in zip(problem.grid, (planes, rows, columns), strict=True)]
    tile = tuple(-(-n // t) for n, t in zip(problem.grid, tiles, strict=True))
    chunks = min(chunks, blocks)
    if columns < width:
        cuts = [0, tile[2]]
    widths = np.diff(cuts)
    widest = tile[1] * max(widths)
    layout = aligned(WORKER_BYTES)
    channel = aligned(widest * size + VECTOR)
    run = kernels.vectors(-(-step.outputs // blocks)) * lanes
    keeps = (
        blocks >= FEWEST_AGAIN * chunks and kernels.vectors(step.outputs // blocks) * lanes == run
    )
    kept = layout + most * channel
    sums = kept + aligned((widest // run + 3) * most * run * size)
    pitch = tile[0] * sum(aligned(tile[1] * int(n) * size) + VECTOR for n in widths)
    taps = step.inputs * len(step.taps)
    # Weights of a block are put there before they are set apart.
    end = max(
        sums + -(-blocks // chunks) * kernels.ROWS * pitch,
        layout + aligned(kernels.ROWS * most * len(step.taps) * size),
    )
    slack = [0] * kernels.TABLE_SLACK
    gather = gathered(step)
    table = [0, 0, 0]
    parts = [
        ("offsets", [c * channel for c in range(most)] + slack),
        ("column_offsets", [c * run * size for c in range(most)] + slack),
        ("gather", gather),
        ("coordinates", [coordinate for tap in step.taps for coordinate in tap]),
        ("part_table", [int(cut) for cut in cuts]),
    ]
    places = {}
    for name, values in parts:
        places[name] = len(table)
        table += values
    weights = aligned(problem.groups * step.outputs * taps * size)
    each = Pass(
        taps=taps,
        blocks=blocks,
        contiguous=in_order(gather, size),
        packed=0,
        form=kernels.FORMS["apart"],
        positions=kept if keeps else 0,
        parts=len(widths),
        sums=sums,
        sums_pitch=pitch,
        infinite=weights,
        apart=True,
        most=most,
        **places,
    ).of_step(step)
    plain = problem._replace(steps=[step._replace(taps=[(0, 0, 0)])])
    axes = [axis(plain, a) for a in range(3)]
    biases = aligned(problem.groups * step.outputs * size)
    return finished(
        problem, axes, tile, chunks, splits, threads,
        Buffer(layout, (True,) * 3, 1, 0, 0, channel, kept), 0, [each], table, biases,
        weights + 64, end, 0, flops(problem), "direct, taps apart",
    )  # fmt: skip
