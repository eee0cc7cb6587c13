"""How the filters of ndimage.py are computed: lines, boxes, kernels, sums cast to integers.

Arrays are checked by then: of native dtypes, not empty, and `out` overlaps nothing. Borders are
those of geometry.PADDING_MODES; `fill` is what stands around the array where that is "zeros".
"""

import functools
import itertools
import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastconv import correlation, engine, geometry, problems
from fastconv.arrays import ONLY, call, prepared
from fastconv.engine import planning
from fastconv.engine._calls import largest_of
from fastconv.engine.dispatch import kernels
from fastconv.engine.threads import get_num_threads, team_started

_NAMES = ("input", "weight", "bias")
_LINES = ("input", "weight0", "weight1", "weight2")
_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)
_EPS = {_FLOAT32: 2.0**-23, _FLOAT64: 2.0**-52}
#: The most taps of lines that are passes over one tile in turn, by the number of passes.
_CHAINED = {2: kernels.MOST_DOWN if kernels.VECTOR >= planning.MASKED else 25, 3: 7}
#: From how many taps on means are running sums or, where those would spread what is not finite,
#: made of smaller ones; the same for those of planes.
NESTED, _NESTED_PLANES = 30, 16
#: And from how many products on.
_WORTH = 1 << 22
#: From how many taps on they are, if these lie along rows that are not longer, border and all.
_RUNNING_ALONG, _SHORT_ROWS = 16, kernels.WHOLE_LINE
#: What a pass takes, in taps.
_PASS = 8
#: The most taps of a kernel whose zeros are left out; FFTs may be faster with all of more.
_SPARSE = 400
#: By how many elements of a row at a time a kernel is summed up.
_WIDEST = 64
#: Up to how many products the order of sums is SciPy's where it need not be: that is prepared.
_SOON = 1 << 14
#: How much of a unit sums may be in doubt in that are computed fast.
_DOUBT = 1 / 128
#: What no sums exceed that are computed so.
_TOLD = 1 << 22
#: How many times the taps that count a kernel may have before these are looked at one by one.
_DENSE = 2
#: The most elements of an array whose rows are remembered, and for how many calls; and of one whose
#: call is known, rows and all.
_REMEMBERED, _CALLS, _KNOWN = 1 << 20, 16, 1 << 16
#: The most complex numbers whose parts go through one after the other.
_APART = 1 << 18
#: Below how many elements side by side lines are not taken together.
_NARROW = 16
#: The least rows that a block of running means has, and the longest ones.
_ROWS, _WIDE = 64, 1 << 14
#: The longest means of integers that are sums of their own, those of lines side by side, and those
#: along the rows of planes.
_RUNNING, _RUNNING_BESIDE, _RUNNING_PLANES = 15, 3, 7

#: A dtype's name, which takes NumPy some microseconds to tell.
_name = functools.cache(operator.attrgetter("name"))


# ---- Work ---------------------------------------------------------------------------
#
# A piece of work has the dtype in which its result is `stored`; kept(), the same without what the
# caller may change; and prepared(array, out), for arrays that lie as these do: a function of
# (array, *weights) and the output, which returns False if something is not finite that would have
# spoilt the rest, and those weights.


class Single(NamedTuple):
    """What is one call of the engine, for arrays of one shape and dtype."""

    describe: Callable[..., Any]
    names: tuple[str, ...]
    weights: tuple[NDArray[Any] | None, ...]
    parameters: tuple[Any, ...]
    #: In which order the engine has the axes of arrays, if in another one.
    axes: list[int] | None
    #: To compute in, and of the result.
    dtype: np.dtype[Any]
    stored: np.dtype[Any]
    method: Any = ONLY
    #: As which arrays are taken, if they are contiguous, to have fewer axes.
    shape: tuple[int, ...] | None = None

    def run(self, array, out=None):
        """The result, in an array of its own or in `out`."""
        result = np.empty(array.shape, self.stored) if out is None else out
        given, into = self._seen(array), self._seen(result)
        operands = given, *self.weights
        call(self.describe, self.names, operands, self.parameters, into, self.method, self.dtype)
        return result

    def _seen(self, array):
        """The array as the engine has it."""
        if self.shape is not None:
            array = array.reshape(self.shape)
        return array if self.axes is None else array.transpose(self.axes)

    def kept(self):
        """The same with weights of its own: the caller's may change."""
        weights = [w if w is None else w.copy() for w in self.weights]
        return self._replace(weights=tuple(weights))

    def prepared(self, array, out):
        operands = self._seen(array), *self.weights
        run = prepared(
            self.describe, self.names, operands, self.parameters, self._seen(out), self.method,
            self.dtype,
        )  # fmt: skip
        if run is None:
            return lambda operands, out: self.run(operands[0], out), ()
        return run, tuple([w for w in self.weights if w is not None])


class Bounded(NamedTuple):
    """Work on integers, if none of them exceeds what it was planned for."""

    work: Any
    largest: int

    @property
    def stored(self):
        return self.work.stored

    def kept(self):
        return self._replace(work=self.work.kept())

    def prepared(self, array, out):
        one, weights = self.work.prepared(array, out)

        def run(operands, out):
            return largest_of(operands[0]) <= self.largest and one(operands, out) is not False

        return run, weights


class Cast(NamedTuple):
    """Work whose results are then cast."""

    work: Any
    stored: np.dtype[Any]

    def kept(self):
        return self._replace(work=self.work.kept())

    def prepared(self, array, out):
        one, weights = self.work.prepared(array, np.empty(out.shape, self.work.stored))

        def run(operands, out):
            result = np.empty(out.shape, self.work.stored)
            finite = one(operands, result)
            np.copyto(out, result, casting="unsafe")
            return finite

        return run, weights


class Parts(NamedTuple):
    """The same work on the real and the imaginary parts."""

    work: Any
    stored: np.dtype[Any]

    def kept(self):
        return self._replace(work=self.work.kept())

    def prepared(self, array, out):
        one, weights = self.work.prepared(array.real, out.real)

        def run(operands, out):
            array = operands[0]
            return (
                one((array.real, *weights), out.real) is not False
                and one((array.imag, *weights), out.imag) is not False
            )

        return run, ()


def done(work, array, out):
    """What `work` tells of its result in `out`."""
    run, weights = work.prepared(array, out)
    return run((array, *weights), out)


def result_of(work, array, shape):
    """What `work` makes of an array, in one of its own."""
    result = np.empty(shape, work.stored)
    done(work, array, result)
    return result


class Several(NamedTuple):
    """One piece of work after the other, each with what its result is stored in."""

    works: list[Any]
    stored: np.dtype[Any]

    def kept(self):
        return self._replace(works=[work.kept() for work in self.works])

    def prepared(self, array, out):
        """What is between them is in arrays of their own."""
        shape = array.shape
        between = [work.stored for work in self.works[:-1]]
        arrays = [array, *(np.empty(shape, dtype) for dtype in between), out]
        pairs = zip(self.works, itertools.pairwise(arrays), strict=True)
        runs = [work.prepared(*pair) for work, pair in pairs]

        def run(operands, out):
            (array,) = operands
            results = [*(np.empty(shape, dtype) for dtype in between), out]
            for (one, weights), result in zip(runs, results, strict=True):
                if one((array, *weights), result) is False:
                    return False
                array = result
            return True

        return run, ()


# ---- Lines --------------------------------------------------------------------------


def _long_last(shape):
    """The axes, that at the end which vectors had better run along: no short one, as of colours."""
    long = [axis for axis, n in enumerate(shape) if n >= _NARROW]
    last = long[-1] if long else len(shape) - 1
    return [*range(last), *range(last + 1, len(shape)), last]


def _other(axes):
    """An order of axes, or None if it is that of the array."""
    return None if axes == sorted(axes) else axes


def line(array, weights, axis, pads, border, fill, out, dilation=1, bias=None, remember=None):
    """One pass along an axis, computed in the dtype of the weights."""
    contiguous = array.flags.c_contiguous and out.flags.c_contiguous
    filled = border == "zeros" and fill != 0
    parameters = *pads, border, _kept(out.dtype, weights.dtype), dilation
    parts = [(array, out)]
    operands = weights, bias
    single = _line(array.shape, axis, contiguous, operands, parameters, out.dtype)
    if single is None:
        array, into = (np.moveaxis(a, axis, -1) for a in (array, out))
        parts = [(array[where], into[where]) for where in np.ndindex(array.shape[:-3])]
        single = _line(array.shape[-3:], 2, False, operands, parameters, out.dtype)
    elif remember and not filled:
        remember(single)
    for part, into in parts:
        single.run(part, into)
    if filled:
        _add_fill(out, weights, axis, pads, fill)
    return out


def plain(array, weights, pads, border, method="auto"):
    """A plain array correlated with a kernel, of up to three axes, in the array's dtype.

    Integers wrap around; None if no floats hold their sums.
    """
    compute = stored = array.dtype
    if stored.kind in "iu":
        weights = weights.astype(_FLOAT64)
        largest = largest_of(array)
        compute = exact(_bound(largest, [weights], 0), [weights], 0, stored)
        if compute is None:
            return None
    work = Single(
        problems.correlation, _NAMES, (weights.astype(compute), None),
        (pads, border, _kept(stored, compute)), None, compute, stored, method,
    )  # fmt: skip
    return Bounded(work, largest) if stored.kind in "iu" and stored.itemsize > 2 else work


def _kept(stored, dtype):
    """The name of a dtype that results are stored in, if they are not computed in it."""
    return None if stored == dtype else _name(stored)


def _line(shape, axis, contiguous, operands, parameters, stored):
    """A pass as a call of the engine, which takes three axes; None if it has more."""
    taken = None
    if len(shape) > 1 and contiguous:
        # Two axes are faster than three, and more are too many.
        before, after = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
        outer = () if before == 1 < after else (before,)
        inner = () if after == 1 else (after,)
        flat = *outer, shape[axis], *inner
        if flat != shape or len(outer) != axis:
            taken = *outer, -1, *inner
        shape, axis = flat, len(outer)
    if len(shape) > 3:
        return None
    axes = _long_last(shape)
    parameters = axes.index(axis), *parameters
    dtype = operands[0].dtype
    return Single(
        problems.line, _NAMES, operands, parameters, _other(axes), dtype, stored, "auto", taken
    )


def _add_fill(result, weights, axis, pads, fill):
    """What taps beyond the ends of an axis add, if they meet `fill` instead of zeros."""
    n, taps = result.shape[axis], weights.size
    sums = np.concatenate([[0.0], np.cumsum(weights, dtype=np.float64)])
    first = np.arange(n) - pads[0]
    inside = sums[np.clip(n - first, 0, taps)] - sums[np.clip(-first, 0, taps)]
    outside = (fill * (sums[-1] - inside)).astype(result.dtype)
    ends = np.moveaxis(result, axis, -1)
    low = min(pads[0], n)
    high = max(n - pads[1], low)
    ends[..., :low] += outside[:low]
    ends[..., high:] += outside[high:]


def lines(array, passes, dtype, out, fill, remember=None):
    """One pass after the other, each (axis, weights, pads, border), computed in `dtype`.

    `out` may be of integers: what the last pass computes is cast to them. If all is one call of
    the engine, whatever is in the array, `remember` is told.
    """
    result = np.empty(array.shape, dtype) if out is None else out
    if dtype.kind == "c":
        works = []
        parts = ((array.real, result.real, fill.real), (array.imag, result.imag, fill.imag))
        for part, into, around in parts:
            lines(part, passes, into.dtype, into, around, works.append)
        _remember_parts(works, fill, result.dtype, remember)
        return result
    means = len(passes) == 2 and all(_is_mean(array, w, _NESTED_PLANES) for _, w, *_ in passes)
    if means and planes(array, passes, fill, result, remember):
        return result
    single = _chain(array.shape, passes, dtype, result.dtype, fill)
    if single:
        if remember and not means:
            remember(single)
        return single.run(array, result)
    # In turn, so that the last pass writes the result, unless something is added to that.
    boxes = [_is_box(array, w) or _runs(array, axis, w) for axis, w, *_ in passes]
    late = result.dtype != dtype and (fill != 0 or boxes[-1])
    last = np.empty(array.shape, dtype) if late else result
    spare = [None, last if last.dtype == dtype else None]
    works, workspaces = [], []
    for left, (axis, weights, *border) in zip(reversed(range(len(passes))), passes, strict=True):
        into = last
        if left:
            into = spare[1 - left % 2]
            if into is None:
                into = spare[1 - left % 2] = _between(result.shape, dtype, workspaces)
        if boxes[-1 - left]:
            array = box(array, weights, axis, *border, fill, dtype, into, works.append)
        else:
            weights = _of_dtype(weights, dtype)
            array = line(array, weights, axis, *border, fill, into, remember=works.append)
    for workspace in workspaces:
        engine.given_back(workspace)
    if late:
        return cast(last, result.dtype, result)
    _remember(works, passes, remember)
    return result


def _remember_parts(works, fill, dtype, remember):
    """What both parts of complex numbers were, if each was one piece of the same work."""
    if remember and len(works) == 2 and fill == 0:
        remember(Parts(works[0], dtype))


def _between(shape, dtype, workspaces):
    """An array for what is between passes, from the engine, whose workspace is kept there.

    Memory that is new to the process takes as long as a pass.
    """
    size = math.prod(shape)
    workspaces.append(engine.taken(size * dtype.itemsize))
    return np.frombuffer(workspaces[-1].bytes, dtype, size).reshape(shape)


def _outputs(count, shape, dtype, workspaces):
    """What passes write, so many: in turn two arrays for what is between, then the result."""
    spare = []
    for i in range(count - 1):
        if i < 2:
            spare.append(_between(shape, dtype, workspaces))
        yield spare[i % 2]
    yield np.empty(shape, dtype)


def _is_box(array, weights, least=NESTED):
    """Whether a line is one of equal weights, so many that it had better be made of others."""
    return (
        weights.size >= least
        and weights.size * array.size > _WORTH
        and (weights == weights[0]).all()
    )


@functools.lru_cache(maxsize=256)
def _single(weights):
    """The bytes of float64 weights as float32 ones that have the same sum.

    Each alone would be rounded by half an ulp at most, but the sums of gray and of white would be
    wrong by the same factor all over the image. So the largest ones are rounded up or down, two
    at the same distance from the middle in the same way.
    """
    weights = np.frombuffer(weights)
    result = weights.astype(np.float32)
    largest = np.abs(weights).max()
    rest = weights.sum() - result.sum(dtype=np.float64)
    if not np.isfinite(rest) or not np.isfinite(result).all() or weights.size > 999:
        return result
    half = (weights.size + 1) // 2
    for k in np.argsort(-np.abs(weights[:half]), kind="stable"):
        if abs(weights[k]) * 8 < largest:
            break
        both = sorted({k, weights.size - 1 - k})
        for side in both:
            given = result[side]
            nearer = np.float32(given + rest / len(both))
            result[side] = np.clip(nearer, *np.nextafter(given, np.float32([-np.inf, np.inf])))
        rest = weights.sum() - result.sum(dtype=np.float64)
    return result


def _of_dtype(weights, dtype):
    return _single(weights.tobytes()) if dtype == _FLOAT32 else weights


def _chain(shape, passes, dtype, stored, fill):
    """The passes as one call over one tile after the other, if they can and should be one.

    An axis that they leave out, as the colours of an image, has images side by side.
    """
    most, border = _CHAINED.get(len(passes), 0), passes[0][-1]
    if not most:
        return None
    others = set(range(len(shape))) - {axis for axis, *_ in passes}
    if len(passes) + len(others) != len(shape) or len(others) > 1:
        return None
    if any(each[1].size > most or each[-1] != border for each in passes):
        return None
    if border == "zeros" and fill != 0:
        return None
    axes, beside = list(range(len(shape))), next(iter(others), None)
    along = {each[0]: each for each in passes}
    if beside is None:
        axes = _long_last(shape)
    chained = [along[axis] for axis in axes if axis != beside]
    weights = tuple([_of_dtype(w, dtype) for _, w, *_ in chained])
    pads = tuple([pads for *_, pads, _ in chained])
    parameters = pads, border, _kept(stored, dtype), beside
    names = _LINES[: len(weights) + 1]
    return Single(problems.lines, names, weights, parameters, _other(axes), dtype, stored)


# ---- Boxes --------------------------------------------------------------------------


def _is_mean(array, weights, least=NESTED):
    """Whether a line is one of equal weights that average, and are many."""
    return _is_box(array, weights, least) and weights[0] == 1 / weights.size


def _runs(array, axis, weights):
    """Whether a line averages, over so many elements that running sums take less time."""
    short = array.shape[axis] + weights.size <= _SHORT_ROWS and not _lines_of(array, axis)[-1]
    least = _RUNNING_ALONG if short else NESTED
    return weights.size >= least and (weights == 1 / weights.size).all()


def box(array, weights, axis, pads, border, fill, dtype, out, remember=None):
    """A line whose weights are equal, at a cost that does not grow with how many they are."""
    if weights[0] == 1 / weights.size:
        work = Lines(axis, weights.size, pads, border, fill, out.dtype)
        # If not all is finite, what is not has spoilt the rest of its line.
        if done(work, array, out):
            if remember:
                remember(work)
            return out
    return nested(array.astype(dtype, copy=False), weights, axis, pads, border, fill, out)


def nested(array, weights, axis, pads, border, fill, out):
    """The same, at a cost that hardly grows.

    A window is made of smaller ones side by side, and these of smaller ones. So nothing is
    subtracted, and what is not finite goes no further than the windows it is in.
    """
    size, weight = weights.size, weights[0]
    counts, single = _nested(size)
    reach, given = 1, array
    for left, count in zip(reversed(range(len(counts))), counts, strict=True):
        ones = _of_dtype(np.full(count, 1.0 if left else weight), array.dtype)
        # The first pass goes through the border, for all that the others see of it.
        around = (pads[0], pads[1] - single) if given is array else (0, 0)
        if around[1] < 0:
            around = (pads[0] - 1, 0)
        into = out
        if left:
            shape = list(given.shape)
            shape[axis] += sum(around) - reach * (count - 1)
            into = np.empty(shape, given.dtype)
        given = line(given, ones, axis, around, border, 0, into, reach)
        reach *= count
    if single:
        # One element of each window, at an end of it, is left.
        source = sources(array.shape[axis], pads, border)
        source = source[size - 1 :] if pads[1] else source[: array.shape[axis]]
        last = array.take(source, axis)
        last *= weight
        if border == "zeros":
            np.moveaxis(last, axis, -1)[..., source < 0] = 0
        out += last
    if border == "zeros" and fill != 0:
        _add_fill(out, weights, axis, pads, fill)
    return out


def planes(array, passes, fill, out, remember=None):
    """Running means along the last two axes at once; returns whether all is finite.

    None if passes are to be made one by one.
    """
    axes = [axis for axis, *_ in passes]
    if axes != [array.ndim - 2, array.ndim - 1] or array.shape[-1] > _WIDE:
        return None
    if not (array.flags.c_contiguous and out.flags.c_contiguous):
        return None
    sizes = [weights.size for _, weights, *_ in passes]
    single = _is_single_mean(array, max(sizes), fill, out)
    if array.dtype != out.dtype or not (single or array.dtype == _FLOAT64):
        return None
    if array.dtype.kind in "iu" and not _in_range(fill, array.dtype):
        # What the first pass makes of it would wrap around.
        return None
    pads = tuple([each[2:] for each in passes])
    work = Planes(tuple(sizes), pads, fill, single, out.dtype)
    if remember:
        remember(work)
    return done(work, array, out)


class Planes(NamedTuple):
    """Running means along the last two axes of contiguous arrays."""

    sizes: tuple[int, int]
    #: What the border adds and what it is, for each axis.
    pads: tuple[tuple[tuple[int, int], str], ...]
    fill: float
    single: bool
    stored: np.dtype[Any]

    def kept(self):
        return self

    def prepared(self, array, out):
        *outer, height, width = array.shape
        tables = _plane_tables(
            math.prod(outer), height, width, array.strides[-2:], self.sizes, array.dtype,
            *self.pads,
        )  # fmt: skip
        threads = _threads(8 * array.size)
        return kernels.PlaneFilter(*tables, self.fill, threads, self.single).run, ()


@functools.lru_cache(maxsize=64)
def _plane_tables(count, height, width, strides, sizes, dtype, down, along):
    """The numbers that PlaneFilter takes, and what stands in the borders.

    Blocks of rows begin with sums of their own, whoever computes them, or there would be other
    bits: so they are not much lower than a window.
    """
    number = kernels.NUMBERS[_name(dtype)]
    size = strides[1]
    pitch = -(-(width + max(sizes)) // 16) * 16
    numbers = [
        count, height * strides[0], height * strides[0], max(_ROWS, 2 * sizes[0]), pitch,
        strides[0], size, strides[0], size, width, height, sizes[0], number, number, down[0][0],
        size, strides[0], size, strides[0], height, width, sizes[1], number, number, along[0][0],
    ]  # fmt: skip
    return np.array(numbers, np.intp), beyond(height, *down), beyond(width, *along)


def _is_single_mean(array, size, fill, out):
    """Whether running means may be of single precision.

    Small integers are told apart in it: see running.pxd. Floats wait as they are.
    """
    if out.dtype.kind in "iu":
        return _small(array.dtype, fill) * size < _TOLD
    return array.dtype == out.dtype == _FLOAT32


def _lines_of(array, axis):
    """How lines along an axis lie: (before, n, after), two axes of that, whether side by side.

    The axes are those from group to group of lines, and across the lines of a group. Lines go
    through together that are neighbours in memory, unless these are few: side by side as they are;
    or, some at a time, each in pieces.
    """
    before, n, after = shape = (
        math.prod(array.shape[:axis]), array.shape[axis], math.prod(array.shape[axis + 1 :])
    )  # fmt: skip
    group, across = (0, 2) if after >= _NARROW or 1 < after >= before else (2, 0)
    return shape, group, across, across == 2 or n < _NARROW <= before


class Lines(NamedTuple):
    """Running means along an axis or, with weights, sums in SciPy's order."""

    axis: int
    size: int
    pads: tuple[int, int]
    border: str
    fill: float
    stored: np.dtype[Any]
    #: As bytes of float64.
    weights: bytes | None = None

    def kept(self):
        return self

    def prepared(self, array, out):
        shape, group, across, beside = _lines_of(array, self.axis)
        given, target = array.reshape(shape), _lines_to(out, shape)
        tables = _line_tables(
            shape, group, across, given.strides, target.strides, self.size, array.dtype, out.dtype,
            self.pads, self.border,
        )  # fmt: skip
        weights, symmetry, fast = None, 0, (None, False, 0, 0)
        if self.weights is None:
            single = _is_single_mean(array, self.size, self.fill, out)
        else:
            weights, symmetry = np.frombuffer(self.weights), _symmetry(self.weights)
            fast = _fast_line(self.weights, symmetry, _small(array.dtype, self.fill))
            single = fast[0] is not None
        threads = _threads(array.size * (4 if weights is None else self.size))
        run_lines = kernels.LineFilter(
            *tables, self.fill, beside, threads, weights, symmetry, single, *fast
        ).run
        if array.flags.c_contiguous and out.flags.c_contiguous:
            return run_lines, ()

        def run(operands, out):
            target = _lines_to(out, shape)
            finite = run_lines((operands[0].reshape(shape),), target)
            if not out.flags.c_contiguous:
                out[...] = target.reshape(out.shape)
            return finite

        return run, ()


def _lines_to(out, shape):
    """Where lines go: to the output itself, or to an array of their own that is contiguous."""
    return out.reshape(shape) if out.flags.c_contiguous else np.empty(shape, out.dtype)


@functools.lru_cache(maxsize=64)
def _line_tables(
    shape, group, across, strides, out_strides, size, given, stored, pads, border
):  # fmt: skip
    """The numbers that LineFilter takes, and what stands in the border."""
    numbers = [
        strides[group], out_strides[group], shape[group], strides[1], strides[across],
        out_strides[1], out_strides[across], shape[across], shape[1], size,
        kernels.NUMBERS[_name(given)], kernels.NUMBERS[_name(stored)], pads[0],
    ]  # fmt: skip
    return np.array(numbers, np.intp), beyond(shape[1], pads, border)


def _threads(work):
    """How many threads so many steps are worth."""
    threads = planning.worth(get_num_threads(), work)
    if threads > 1:
        team_started()
    return threads


def _small(dtype, fill):
    """What no element, nor what is around, exceeds; inf if they are not all small integers."""
    if dtype.kind not in "iu" or dtype.itemsize > 2 or not float(fill).is_integer():
        return math.inf
    return max(_largest_of(dtype), abs(fill))


def _fast(weights, largest, rounded):
    """The units of fast sums, (bits, doubt), if they tell; `rounded` is what of weights is inexact.

    Units are cut off, too, of both parts of a sum, and what is in doubt is so on both sides.
    """
    bound = largest * np.abs(weights).sum()
    if not bound < _TOLD:
        return None
    bits = 29 - math.ceil(math.log2(bound + 1))
    doubt = 2 * (math.ceil(_rounding(rounded, largest) * (1 << bits)) + 2)
    return (bits, doubt) if doubt < _DOUBT * (1 << bits) else None


def _rounding(weights, largest):
    """How far sums of floats may be off: each on the way is rounded, and first the weights."""
    sums = largest * np.abs(weights).cumsum()
    return 1.01 * 2.0**-24 * (sums.sum() + 2 * sums[-1] + weights.size)


@functools.lru_cache(maxsize=256)
def _fast_line(weights, symmetry, largest):
    """What LineFilter takes for fast sums: weights, whether these are of two parts, bits, doubt.

    The first parts have so few digits that sums of their products are exact. So the roundings are
    those of the second ones', which are small. The weights are None if too much would be in doubt.
    """
    weights = np.frombuffer(weights)
    none = None, False, 0, 0
    if largest == math.inf or not weights.any():
        return none
    kept = weights.size // 2 + 1 if symmetry else weights.size
    fast = _fast(weights, largest, weights)
    if fast and symmetry >= 0:
        return np.ldexp(weights[:kept], fast[0]).astype(np.float32), False, *fast
    bound = largest * np.abs(weights).sum()
    if not bound < _TOLD:
        return none
    unit = 2.0 ** math.ceil(math.log2(bound * 1.25) - 24)
    heads = np.rint(weights / unit) * unit
    tails = weights - heads
    fast = _fast(weights, largest, tails)
    if not fast or largest * np.abs(heads).sum() > unit * (1 << 24):
        return none
    parts = np.ldexp(np.stack([heads, tails], 1)[:kept].ravel(), fast[0])
    return parts.astype(np.float32), True, *fast


@functools.lru_cache(maxsize=256)
def _nested(size):
    """Factors of a window's size or of one less, and how much less: the fewest taps."""
    best = min((_factored(size - single) + 30 * single, single) for single in (0, 1))
    single = best[1]
    return _split(size - single), single


@functools.lru_cache(maxsize=1024)
def _factored(size):
    """About what the passes of a window cost: their taps, and some for each pass."""
    return min(
        [size + _PASS]
        + [
            a + _PASS + _factored(size // a)
            for a in range(2, math.isqrt(size) + 1)
            if size % a == 0
        ]
    )


def _split(size):
    for a in range(2, math.isqrt(size) + 1):
        if size % a == 0 and a + _PASS + _factored(size // a) == _factored(size):
            return (a, *_split(size // a))
    return (size,)


def sources(size, pads, border):
    """Which element of an axis stands at each place of it and its border; -1 is none."""
    before, after = np.split(beyond(size, pads, border), [pads[0]])
    return np.concatenate([before, np.arange(size), after])


def beyond(size, pads, border):
    """The same of the border alone: so many places before the axis, then those after it."""
    places = np.concatenate([np.arange(-pads[0], 0), np.arange(size, size + pads[1])])
    if border == "zeros":
        return np.full_like(places, -1)
    return geometry.padded_from(places, size, list(geometry.PADDING_MODES).index(border))


# ---- Kernels ------------------------------------------------------------------------


def kernel(array, weights, pads, border, fill, dtype, out=None, method="auto", remember=None):
    """Any kernel of the rank of the array, of float64 or complex128, computed in `dtype`.

    Weights that are zero are left out, whatever they meet: NaN times zero is nothing. Where that
    cannot be and matters, the answer is None. `remember` is told as by `lines`.
    """
    if weights.dtype.kind == "f" and array.dtype.kind == "c" and array.size <= _APART:
        result = np.empty(array.shape, dtype) if out is None else out
        works = []
        parts = ((array.real, result.real, fill.real), (array.imag, result.imag, fill.imag))
        for part, into, around in parts:
            told = works.append
            if kernel(part, weights, pads, border, around, into.dtype, into, method, told) is None:
                return None
        _remember_parts(works, fill, result.dtype, remember)
        return result
    axes = [a for a, k in enumerate(weights.shape) if k > 1]
    kept = np.count_nonzero(weights)
    sparse = kept < weights.size
    if weights.dtype.kind == "f" and not sparse:
        factors = None
        if len(axes) < 2:
            factors = {(axes or [0])[0]: weights.ravel()}
        elif method == "auto" and array.size * weights.size > 1 << 16:
            factors = _factors(weights, axes)
        if factors:
            passes = [(axis, w, pads[axis], border) for axis, w in factors.items()]
            if len(passes) == 1 or border != "zeros" or fill == 0:
                return lines(array, passes, dtype, out, fill, remember)
    weights = weights.astype(dtype if weights.dtype.kind == "c" else correlation.real_of(dtype))
    if dtype.kind == "f" and array.ndim <= 3 and (border != "zeros" or fill == 0):
        axes = _long_last(array.shape)
        weights = weights.transpose(axes)
        stored = dtype if out is None else out.dtype
        parameters = (tuple([pads[axis] for axis in axes]), border, _kept(stored, dtype))
        if sparse and kept > 1 and weights.size <= _SPARSE:
            parameters = (*parameters, (weights != 0).tobytes())
            sparse, method = False, "direct"
        operands = weights, None
        single = Single(
            problems.correlation, _NAMES, operands, parameters, _other(axes), dtype, stored, method
        )
        if remember and not sparse:
            remember(single)
        result = single.run(array, out)
    else:
        result = correlation.correlate(
            array, weights, pads, border, fill=fill, dtype=dtype, out=out, method=method
        )
    return None if sparse and array.dtype.kind not in "iu" and np.isnan(result).any() else result


def _factors(weights, axes):
    """Lines whose outer product is the kernel but for a few roundings, if passes are cheaper.

    Each product of theirs is the weight within 4 eps of itself, which is what as many roundings
    of the sums may do.
    """
    if weights.size < 2.5 * sum(weights.shape[a] for a in axes):
        return None
    at = np.unravel_index(np.argmax(np.abs(weights)), weights.shape)
    if not np.isfinite(weights[at]):
        return None
    factors, product = {}, weights[at]
    for axis in axes:
        along = weights[tuple(slice(None) if a == axis else i for a, i in enumerate(at))]
        factors[axis] = along / weights[at]
        product = product * np.expand_dims(
            factors[axis], [a for a in range(weights.ndim) if a != axis]
        )
    factors[axes[0]] = factors[axes[0]] * weights[at]
    close = np.abs(product - weights) <= 4 * _EPS[_FLOAT64] * np.abs(weights)
    return factors if close.all() else None


# ---- Integers -----------------------------------------------------------------------


def cast(values, dtype, out=None):
    """As C casts a double on x86: towards zero, and modulo 2 ** bits where that fits 64."""
    if dtype == np.uint32:
        values = values.astype(np.int64)
    if out is None:
        return values.astype(dtype)
    np.copyto(out, values, casting="unsafe")
    return out


def _largest_of(dtype):
    """A bound of the absolute values of an integer dtype."""
    return 1 << 8 * dtype.itemsize - (dtype.kind == "i")


def _in_range(number, dtype):
    info = np.iinfo(dtype)
    return info.min <= number <= info.max


def integer_boxes(array, passes, dtype, fill, remember=None):
    """Passes that each average and cast to an integer dtype, as SciPy does."""
    # Those of bytes, all in 16 bits, are fast for any size.
    bytes_only = array.dtype == dtype == np.uint8
    running = bytes_only or array.dtype.kind == "i" or passes[-1][1].size > _RUNNING_PLANES
    if len(passes) == 2 and running:
        out = np.empty(array.shape, dtype)
        if planes(array, passes, fill, out, remember):
            return out
    largest = largest_of(array)
    works, workspaces = [], []
    outputs = _outputs(len(passes), array.shape, dtype, workspaces)
    for (axis, weights, pads, border), out in zip(passes, outputs, strict=True):
        compute = _shifted(array.dtype, largest, weights.size, fill)
        beside = _lines_of(array, axis)[-1]
        short = weights.size <= (_RUNNING_BESIDE if beside else _RUNNING)
        if compute and short and not bytes_only:
            half = np.array([0.5 / weights.size], compute)
            weights = weights.astype(compute)
            line(array, weights, axis, pads, border, 0, out, bias=half, remember=works.append)
        else:
            works.append(Lines(axis, weights.size, pads, border, fill, dtype))
            done(works[-1], array, out)
        largest = _cast_largest(max(largest, abs(fill)), array.dtype.kind == "i" or fill < 0, dtype)
        array = out
    for workspace in workspaces:
        engine.given_back(workspace)
    _remember(works, passes, remember)
    return array


def _cast_largest(bound, negative, dtype):
    """What is not exceeded, if numbers within a bound are cast to integers that wrap around."""
    largest = _largest_of(dtype)
    return largest if negative and dtype.kind == "u" else min(math.ceil(bound) + 1, largest)


def _remember(works, passes, remember):
    """What passes were, if each was one piece of work."""
    if remember and len(works) == len(passes):
        remember(Several(works, works[-1].stored) if len(works) > 1 else works[0])


def _shifted(given, largest, size, fill):
    """The dtype in which means, and half of one element's share, are cut off to the right integer.

    A sum of integers, none of them negative, is at least that far from what would be another one.
    """
    if given.kind != "u" or fill:
        return None
    for dtype in (_FLOAT32, _FLOAT64):
        if (size + 4) * _EPS[dtype] * (largest + 1) < 0.4 / size:
            return dtype
    return None


def _bound(largest, weights, fill):
    """What no sum exceeds, of one pass or of one after the other."""
    return max(largest, abs(fill)) * math.prod(float(np.abs(w).sum()) for w in weights)


def exact(bound, weights, fill, dtype):
    """The dtype in which all sums are exact, if weights are fractions of a power of two; else None.

    The result must fit what is cast to: nothing wraps around in 32 bits, as smaller dtypes do
    after a cast to that.
    """
    parts = _parts([*weights, fill])
    if not parts:
        return None
    if bound * parts < 1 << 24:
        return _FLOAT32
    return _FLOAT64 if _holds(dtype, bound) and bound * parts < 1 << 53 else None


def _holds(dtype, bound):
    """Whether sums within a bound can be cast, if need be by way of a larger dtype."""
    return bound < 1 << (53 if dtype.itemsize == 8 or dtype == np.uint32 else 31)


def _parts(numbers):
    """Into how many parts units must be cut for all numbers to be whole ones; at most 256."""
    parts = 1
    while not all((n * parts == np.rint(n * parts)).all() for n in numbers):
        if parts == 256:
            return None
        parts *= 2
    return parts


def integer_lines(array, passes, dtype, fill, remember=None):
    """Passes that each cast to an integer dtype; None if SciPy had better compute them."""
    weights = tuple(w.tobytes() for _, w, *_ in passes)
    largest = largest_of(array)
    compute = _exact_lines(weights, largest, fill, dtype)
    if compute:
        return lines(array, passes, compute, np.empty(array.shape, dtype), fill, remember)
    works, workspaces = [], []
    outputs = _outputs(len(passes), array.shape, dtype, workspaces)
    for each, w, out in zip(passes, weights, outputs, strict=True):
        axis, line_weights, pads, border = each
        compute = len(passes) > 1 and _exact_lines((w,), largest, fill, dtype)
        bound = _bound(largest, [line_weights], fill)
        if compute:
            lines(array, [each], compute, out, fill, works.append)
        elif not _holds(dtype, bound):
            return None
        else:
            # Just as SciPy does: the order of sums matters.
            works.append(Lines(axis, line_weights.size, pads, border, fill, dtype, w))
            done(works[-1], array, out)
        negative = array.dtype.kind == "i" or fill < 0 or (line_weights < 0).any()
        array, largest = out, _cast_largest(bound, negative, dtype)
    for workspace in workspaces:
        engine.given_back(workspace)
    _remember(works, passes, remember)
    return array


@functools.lru_cache(maxsize=256)
def _exact_lines(weights, largest, fill, dtype):
    """The dtype in which passes in turn are exact and may be cast once, if any."""
    weights = [np.frombuffer(w) for w in weights]
    bound = _bound(largest, weights, fill)
    once = len(weights) == 1 or (fill == 0 and _parts(weights) == 1 and _wraps_late(bound, dtype))
    return exact(bound, weights, fill, dtype) if once else None


def _wraps_late(bound, dtype):
    """Whether to cast once is as good as to cast after each pass."""
    if dtype.itemsize <= 2 or dtype == np.uint32:
        return True
    return bound < 1 << (8 * dtype.itemsize - 1)


@functools.lru_cache(maxsize=256)
def _symmetry(weights):
    """Whether SciPy takes a line to be symmetric, 1, or antisymmetric, -1."""
    weights = np.frombuffer(weights)
    half = weights.size // 2
    for sign in (1, -1):
        apart = np.abs(weights - sign * weights[::-1])[:half]
        if weights.size % 2 and (apart <= _EPS[_FLOAT64]).all():
            return sign
    return 0


def integer_kernel(array, weights, pads, border, fill, dtype, remember=None):
    """Any kernel, cast to an integer dtype; None if SciPy had better compute it."""
    compute, fits, factors = _way(
        weights.tobytes(), weights.shape, largest_of(array), fill, dtype,
        array.size * weights.size > 1 << 16,
    )  # fmt: skip
    if not fits:
        return None
    if not compute or array.size * weights.size <= _SOON:
        # Just as SciPy does: the order of sums matters.
        ordered = Ordered(weights.tobytes(), weights.shape, pads, border, fill, dtype)
        out = np.empty(array.shape, dtype)
        if done(ordered, array, out) is False:
            return None
        if remember and array.size <= _KNOWN:
            remember(ordered)
        return out
    out = np.empty(array.shape, dtype)
    if factors and (border != "zeros" or fill == 0):
        passes = [(axis, w, pads[axis], border) for axis, w in factors.items()]
        return lines(array, passes, compute, out, fill, remember)
    return kernel(array, weights, pads, border, fill, compute, out, "direct", remember)


@functools.lru_cache(maxsize=256)
def _way(weights, shape, largest, fill, dtype, much):
    """The dtype in which a kernel is exact, whether casts hold its sums, lines that make it up."""
    weights = np.frombuffer(weights).reshape(shape)
    bound = _bound(largest, [weights], fill)
    compute = exact(bound, [weights], fill, dtype)
    if not compute or (fill != 0 and _parts([weights, fill]) > 1):
        return None, _holds(dtype, bound), None
    return compute, True, _integer_factors(weights) if much else None


class Ordered(NamedTuple):
    """A kernel cast to an integer dtype just as SciPy does."""

    #: As bytes of float64.
    weights: bytes
    shape: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    border: str
    fill: float
    stored: np.dtype[Any]

    def kept(self):
        return self

    def prepared(self, array, out):
        prepare = _ordered if array.size <= _REMEMBERED else _ordered.__wrapped__
        taps, tables = prepare(
            *self[:4], array.shape, array.strides, out.strides, array.dtype, self.stored, self.fill
        )
        if not taps:
            # SciPy had better compute it.
            return lambda operands, out: False, ()
        return kernels.KernelFilter(*tables, self.fill, _threads(array.size * taps)).run, ()


@functools.lru_cache(maxsize=_CALLS)
def _ordered(
    weights, kernel_shape, pads, border, shape, strides, out_strides, given, stored, fill
):  # fmt: skip
    """What KernelFilter takes for a kernel, and how many taps count.

    An array is planes of rows, of few elements that have no row to themselves, and so is a kernel.
    """
    weights = np.frombuffer(weights).reshape(kernel_shape)
    weights = np.where(np.abs(weights) > _EPS[_FLOAT64], weights, 0)  # SciPy leaves out the others
    taps = np.argwhere(weights)
    axes = _long_last(shape)
    more = max(2 - len(axes), 0)
    kernel_shape, shape = ((*(1,) * more, *(s[a] for a in axes)) for s in (kernel_shape, shape))
    strides, out_strides = ((*(0,) * more, *(s[a] for a in axes)) for s in (strides, out_strides))
    pads = [*[(0, 0)] * more, *(pads[a] for a in axes)]
    *outer, rows, size = kernel_shape
    # Bands are of kernels of three rows at least, whose order is SciPy's.
    few = _DENSE * len(taps) < weights.size or axes != sorted(axes)
    if not few and rows < 3:
        weights = np.concatenate(
            [weights.reshape(kernel_shape), np.zeros((*outer, 3 - rows, size))], -2
        )
        pads[-2] = (pads[-2][0], pads[-2][1] + 3 - rows)
        rows = 3
    # Where each row of the array begins that is seen from each plane of the output.
    outer_axes = zip(shape[:-1], pads[:-1], strict=True)
    places = [sources(n, each, border) for n, each in outer_axes]
    starts = np.zeros((*shape[:-2], *outer, places[-1].size), np.intp)
    inside = np.ones(starts.shape, bool)
    for axis, place in enumerate(places):
        if axis < len(outer):
            place = place[np.add.outer(np.arange(shape[axis]), np.arange(outer[axis]))]
            place = np.expand_dims(
                place, [a for a in range(starts.ndim) if a not in (axis, len(outer) + axis)]
            )
        starts += place * strides[axis]
        inside &= place >= 0
    starts[~inside] = np.iinfo(np.intp).min
    targets = sum(np.ix_(*map(_offsets, shape[:-2], out_strides)), start=np.intp(0))
    width = min(-(-shape[-1] // _WIDEST) * _WIDEST, kernels.BLOCK_WIDTH)
    pitch = -(-(width + size) // 16) * 16
    if few:
        *planes, y, x = np.concatenate([np.zeros((more, len(taps)), np.intp), taps[:, axes].T])
        weights = weights[weights != 0]
    else:
        *planes, y, x = np.indices((*outer, rows, size)).reshape(len(outer) + 2, -1)
    plane = np.ravel_multi_index(planes, outer) if outer else 0
    offsets = (plane * (kernels.BLOCK_ROWS + rows - 1) + y) * pitch + x
    quick, fast = _fast_kernel(weights.ravel(), given, fill)
    numbers = np.array(
        [
            math.prod(outer), rows, len(offsets), not few, width, pitch, strides[-1], 0,
            out_strides[-1], out_strides[-2], *shape[-2:], size, kernels.NUMBERS[_name(given)],
            kernels.NUMBERS[_name(stored)], pads[-1][0], *fast,
        ],
        np.intp,
    )  # fmt: skip
    last = beyond(shape[-1], pads[-1], border)
    tables = starts.ravel(), np.ravel(targets), last, offsets, weights.ravel(), quick
    return len(taps), (numbers, *tables)


def _fast_kernel(weights, given, fill):
    """What KernelFilter takes for fast sums: weights, or None if there are none; bits, doubt."""
    largest = _small(given, fill)
    fast = _fast(weights, largest, weights) if weights.size and largest < math.inf else None
    if not fast:
        return None, (0, 0)
    return np.ldexp(weights, fast[0]).astype(np.float32), fast


def _offsets(size, stride):
    return np.arange(size) * stride


def _integer_factors(weights):
    """Lines of integers, the last of their parts, whose outer product is the kernel.

    None if there are none, or if passes are no cheaper.
    """
    axes = [a for a, k in enumerate(weights.shape) if k > 1]
    if not axes or weights.size < 2.5 * sum(weights.shape[a] for a in axes):
        return None
    parts = _parts([weights])
    rest = (weights * parts).astype(np.int64)
    factors = {}
    for axis in axes[:-1]:
        # One line, divided by what its elements have in common; what is left goes to the others.
        at = np.unravel_index(np.argmax(np.abs(rest)), rest.shape)
        along = rest[tuple(slice(None) if a == axis else i for a, i in enumerate(at))]
        along = along // np.gcd.reduce(along)
        k = at[axis]
        left = rest.take([k], axis)
        if (left % along[k]).any():
            return None
        left //= along[k]
        expanded = np.expand_dims(along, [a for a in range(rest.ndim) if a != axis])
        if (left * expanded != rest).any():
            return None
        factors[axis] = along.astype(np.float64)
        rest = left
    factors[axes[-1]] = rest.ravel() / parts
    return factors


# ---- Weights ------------------------------------------------------------------------


@functools.lru_cache(maxsize=256, typed=True)
def gaussian_weights(sigma, order, radius):
    """A sampled Gaussian of sum 1, or its derivative of some order, to correlate with."""
    variance = sigma * sigma
    x = np.arange(-radius, radius + 1)
    # These roundings are SciPy's: sums cast to integers depend on each of them.
    weights = np.exp(-0.5 / variance * x**2)
    weights = weights / weights.sum()
    if order:
        # Each derivative multiplies the Gaussian by a polynomial p: p' - x / variance * p.
        polynomial = np.polynomial.Polynomial([1.0])
        slope = np.polynomial.Polynomial([0.0, -1.0 / variance])
        for _ in range(order):
            polynomial = polynomial.deriv() + slope * polynomial
        weights = polynomial(x) * weights
    weights = np.ascontiguousarray(weights[::-1], np.float64)
    weights.flags.writeable = False
    return weights


@functools.lru_cache(maxsize=256)
def box_weights(size):
    """A line that averages."""
    weights = np.full(size, 1 / size)
    weights.flags.writeable = False
    return weights


@functools.lru_cache(maxsize=64)
def laplace_weights(rank, axes):
    """The sum of [1, -2, 1] along some axes, as a kernel of `rank` axes."""
    weights = np.zeros(tuple(3 if a in axes else 1 for a in range(rank)))
    centre = tuple(1 if a in axes else 0 for a in range(rank))
    weights[centre] = -2 * len(axes)
    for axis in axes:
        for end in (0, 2):
            weights[(*centre[:axis], end, *centre[axis + 1 :])] = 1
    weights.flags.writeable = False
    return weights
