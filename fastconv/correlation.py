"""One array correlated with one kernel, of any rank: what signal.py and ndimage.py share.

The engine knows images, channels and up to three spatial axes of real numbers. Here axes that
are not correlated become images; the two parts of complex numbers, and the taps of axes beyond
the third, become channels. All of that are views.
"""

import functools
import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fastconv import engine, problems
from fastconv.arrays import call

_NAMES = ("input", "weight")
#: Axes that the engine correlates along.
_MOST = 3


def correlate(
    array, kernel, pads, border="zeros", *, fill=0, axes=None, dtype=None, out=None, method="auto"
):
    """The sums over k of kernel[k] * array[o + k - before] for each o, along some axes.

    Parameters
    ----------
    array : ndarray
        Of any rank and of any dtype of numbers.
    kernel : ndarray
        An axis for each of `axes`, none of them empty. Nothing is conjugated.
    pads : sequence of (int, int)
        What the border adds before and after each of `axes`: the output has
        size + before + after - (kernel's size - 1) elements, at least one.
    border : str
        One of geometry.PADDING_MODES.
    fill : number
        What stands around the array, where `border` is "zeros".
    axes : sequence of int, optional
        The axes, none negative or twice; all by default. The others are run through.
    dtype : dtype, optional
        float32, float64, complex64 or complex128, to compute in. By default that of
        array * kernel, which must be one of them then.
    out : ndarray, optional
        Where the result goes, of its shape and of any dtype; it may overlap `array`.
    method : str
        As that of `fastconv.conv`.

    Returns
    -------
    ndarray
        `out`, or an array of `dtype`.
    """
    dtype = np.result_type(array, kernel) if dtype is None else np.dtype(dtype)
    kernel = _of_precision(kernel, dtype)
    if array.dtype != dtype and not engine.converts(array.dtype):
        array = _of_precision(array, dtype)
    plain = axes is None and array.ndim <= _MOST and (fill == 0 or border != "zeros")
    direct = out is not None and _goes_to(out, dtype) and not np.may_share_memory(out, array)
    if plain and (out is None or direct) and dtype.kind == "f":
        parameters = (tuple(pads), border, out.dtype.name if direct else None)
        return call(problems.correlation, _NAMES, (array, kernel), parameters, out, method, dtype)
    if plain and out is None and array.flags.c_contiguous and array.dtype == kernel.dtype == dtype:
        return _of_complex(array, kernel, tuple(pads), border, method)
    axes = tuple(range(array.ndim)) if axes is None else tuple(axes)
    shape = list(array.shape)
    for axis, pair, size in zip(axes, pads, kernel.shape, strict=True):
        shape[axis] += sum(pair) - size + 1
    result = out if direct else np.empty(shape, dtype)
    if 0 not in shape:
        given, target = array, result
        if axes != tuple(range(array.ndim - len(axes), array.ndim)):
            last = range(-len(axes), 0)
            given, target = (np.moveaxis(a, axes, last) for a in (array, result))
        if border == "zeros" and fill != 0:
            _filled(given, kernel, tuple(pads), fill, target, method, dtype)
        else:
            _correlate(given, kernel, tuple(pads), border, target, method)
    if out is None or direct:
        return result
    np.copyto(out, result, casting="unsafe")
    return out


def _of_complex(array, kernel, pads, border, method):
    """The same of complex numbers throughout: an image of two channels, with little ado."""
    real, rank = real_of(array.dtype), array.ndim
    sizes = zip(array.shape, pads, kernel.shape, strict=True)
    result = np.empty([n + sum(pair) - k + 1 for n, pair, k in sizes], array.dtype)
    order = 0, rank + 1, *range(1, rank + 1)
    given, out = (a.view(real).reshape(1, *a.shape, 2).transpose(order) for a in (array, result))
    weight = np.empty((2, 2, *kernel.shape), real)
    weight[0, 0] = weight[1, 1] = kernel.real
    weight[1, 0] = kernel.imag
    np.negative(kernel.imag, weight[0, 1])
    parameters = (rank, 1, pads, 1, 1, border, real.name)
    call(problems.convolution, _NAMES, (given, weight), parameters, out, method, real)
    return result


def _goes_to(out, dtype):
    """Whether results in `dtype` can be stored to `out` at once."""
    return out.dtype == dtype or (dtype.kind == "f" and engine.converts(out.dtype))


@functools.cache
def real_of(dtype):
    """The dtype of the parts of complex numbers; that of real ones is their own."""
    return np.empty(0, dtype).real.dtype


def _of_precision(array, dtype):
    """The array, real or complex as it is, in the precision of `dtype`; itself if it has that."""
    if array.dtype == dtype:
        return array
    return array.astype(dtype if array.dtype.kind == "c" else real_of(dtype), copy=False)


def _correlate(array, kernel, pads, border, out, method):
    """The same along the last axes, into `out`."""
    rank = kernel.ndim
    while rank > _MOST and array.shape[-rank] == 1 == kernel.shape[0] == out.shape[-rank]:
        array, out = (np.squeeze(a, array.ndim - rank) for a in (array, out))
        kernel, pads, rank = kernel[0], pads[1:], rank - 1
    if rank > _MOST + 1:
        _beyond(array, kernel, pads, border, out, method)
        return
    if rank > _MOST:
        # Taps along the first axis are channels.
        array = _padded(array, array.ndim - rank, pads[0], border)
        windows = sliding_window_view(array, kernel.shape[0], array.ndim - rank)
        array = np.moveaxis(windows, -1, -rank)
        out = np.expand_dims(out, out.ndim - rank + 1)
        kernel, pads, rank = kernel[None], pads[1:], rank - 1
    else:
        channel = (..., None, *(slice(None),) * rank)
        array, out, kernel = array[channel], out[channel], kernel[None, None]
    if out.dtype.kind == "c":
        array, kernel, out = _as_real(array, kernel, out, rank)
    _by_images(array, kernel, pads, border, out, method)


def _by_images(array, kernel, pads, border, out, method):
    """Arrays (..., channels, spatial): all that is before them as images, if that is a view."""
    first = array.ndim - kernel.ndim + 1
    if first == 0:
        array, out, first = array[None], out[None], 1
    if first > 1:
        shapes = ((math.prod(a.shape[:first]), *a.shape[first:]) for a in (array, out))
        try:
            array, out = (
                np.reshape(a, s, copy=False) for a, s in zip((array, out), shapes, strict=True)
            )
        except ValueError:
            for each, into in zip(array, out, strict=True):
                _by_images(each, kernel, pads, border, into, method)
            return
    parameters = (kernel.ndim - 2, 1, pads, 1, 1, border, out.dtype.name)
    call(problems.convolution, _NAMES, (array, kernel), parameters, out, method, kernel.dtype)


def _parts(array, axis):
    """The real and the imaginary parts of complex numbers, or the real ones, along an axis."""
    array = np.squeeze(array, axis)[..., None].view(real_of(array.dtype))
    last = array.ndim - 1
    return array.transpose(*range(axis), last, *range(axis, last))


def _as_real(array, kernel, out, rank):
    """A complex correlation (..., channel, spatial) as one of real numbers."""
    if kernel.dtype.kind != "c" and array.dtype.kind != "c":
        kernel = kernel.astype(out.dtype)
    if kernel.dtype.kind != "c":
        # Both parts are images.
        return _parts(array[None], 0), kernel, _parts(out[None], 0)
    if array.dtype.kind == "c":
        array, kernel = _channels(array, rank), of_parts(kernel, rank)
    else:
        kernel = np.concatenate([kernel.real, kernel.imag], 0)
    return array, kernel, _channels(out, rank)


def of_parts(kernel, rank):
    """A complex kernel (..., outputs, inputs, taps) as a real one, from and to both parts."""
    real, imaginary = kernel.real, kernel.imag
    rows = [np.concatenate(row, -rank - 1) for row in ((real, -imaginary), (imaginary, real))]
    return np.concatenate(rows, -rank - 2)


def _channels(array, rank):
    """Arrays (..., channel, spatial) of complex numbers, their imaginary parts after the real."""
    if array.shape[-rank - 1] == 1:
        return _parts(array, array.ndim - rank - 1)
    # Taps of a fourth axis: the parts cannot be strided with them.
    return np.concatenate([array.real, array.imag], -rank - 1)


def _padded(array, axis, pair, border):
    """The array with the border along an axis: a copy where there is one."""
    if not any(pair):
        return array
    pairs = [(0, 0)] * array.ndim
    pairs[axis] = pair
    return np.pad(array, pairs, problems.geometry.PADDING_MODES[border])


def _beyond(array, kernel, pads, border, out, method):
    """Ranks beyond four: for each output along the first axis, its taps are those of the next."""
    rank = kernel.ndim
    first = array.ndim - rank
    for axis in (first, first + 1):
        array = _padded(array, axis, pads[axis - first], border)
    taps, size = kernel.shape[:2]
    kernel = kernel.reshape(taps * size, *kernel.shape[2:])
    # The taps of both axes as those of one, which has no other output.
    pads = ((0, 0), *pads[2:])
    for i, j in np.ndindex(out.shape[first : first + 2]):
        part = array[(slice(None),) * first + (slice(i, i + taps), slice(j, j + size))]
        part = part.reshape(*part.shape[:first], taps * size, *part.shape[first + 2 :])
        into = out[(slice(None),) * first + (slice(i, i + 1), j)]
        _correlate(part, kernel, pads, border, into, method)


def _filled(array, kernel, pads, fill, out, method, dtype):
    """Slabs of the output that see the border from copies of what they see, then the rest."""
    rank = kernel.ndim
    first = array.ndim - rank
    begin, end = [0] * rank, list(out.shape[first:])

    def compute(begin, end):
        if any(b >= e for b, e in zip(begin, end, strict=True)):
            return
        seen, around = [], []
        for b, e, (before, _), size, taps in zip(
            begin, end, pads, array.shape[first:], kernel.shape, strict=True
        ):
            start, stop = b - before, e - before + taps - 1
            low, high = min(max(start, 0), size), max(min(stop, size), 0)
            high = max(low, high)
            seen.append(slice(low, high))
            around.append((low - start, stop - high) if high > low else (stop - start, 0))
        part = array[(..., *seen)]
        if any(map(any, around)):
            # What is around may be no number of the array's dtype.
            part = part.astype(dtype) if np.iscomplexobj(fill) else _of_precision(part, dtype)
            part = np.pad(part, [(0, 0)] * first + around, constant_values=fill)
        into = out[(..., *map(slice, begin, end))]
        _correlate(part, kernel, ((0, 0),) * rank, "zeros", into, method)

    for a, (before, after) in enumerate(pads):
        low = min(before, end[a])
        high = max(end[a] - after, low)
        compute(begin, [*end[:a], low, *end[a + 1 :]])
        compute([*begin[:a], high, *begin[a + 1 :]], end)
        begin[a], end[a] = low, high
    compute(begin, end)
