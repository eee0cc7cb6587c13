"""Parts of full convolutions: directly or by spectra, in floating-point numbers or integers.

Convolution commutes, and a correlation is one with an array turned around. So everything that
signal.py offers is a window of the full convolution of two arrays, and it is cut out here.
"""

import functools
import itertools
import math
import operator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fastconv import correlation, filtering, integers, overlap, problems
from fastconv.arrays import call
from fastconv.engine.dispatch import kernels
from fastconv.geometry import PADDING_MODES

#: What the engine computes in, by `dtype.char`.
FLOATS = "fdFD"
NAMES = ("input", "weight", "bias")
#: Fewer products than these are never worth a Fourier transform.
_NEVER = 1 << 20
#: Few sums, of so many products, that are not worth a plan.
FEW_SUMS, LONG_SUM = 16, 512
#: The most elements of a line that BLAS sums up in one thread.
_FOR_BLAS = 8192
#: Nanoseconds for each product and byte of an element, computed directly, of a line of taps and of
#: others; for each tap, once.
_LINE, _PRODUCT, _TAP = 0.0055, 0.005, 10


# ---- What is wanted -----------------------------------------------------------------


def window(sizes, taps, mode):
    """First output of the full convolution and how many, along each axis; None if mixed."""
    if mode == "full":
        return (0,) * len(sizes), tuple([n + k - 1 for n, k in zip(sizes, taps, strict=True)])
    if mode == "same":
        return tuple([(k - 1) // 2 for k in taps]), tuple(sizes)
    if all(map(operator.ge, sizes, taps)):
        sizes, taps = taps, sizes
    elif not all(map(operator.ge, taps, sizes)):
        return None
    return tuple([n - 1 for n in sizes]), tuple(
        [k - n + 1 for n, k in zip(sizes, taps, strict=True)]
    )


@functools.lru_cache(maxsize=256)
def pads(taps, mode):
    """What a border adds to an array that is nowhere smaller than the kernel: the same for all."""
    first, counts = window(taps, taps, mode)
    return tuple(map(around, taps, taps, first, counts))


def around(size, taps, first, count):
    """What outputs `first` and on see before the first and after the last element of an axis."""
    return taps - 1 - first, first + count - size


def broadcasting(a, b, axes):
    """The axes that broadcast."""
    others = [i for i in range(a.ndim) if i not in axes]
    if not all(a.shape[i] == b.shape[i] or 1 in (a.shape[i], b.shape[i]) for i in others):
        raise ValueError(f"incompatible shapes for in1 and in2: {a.shape} and {b.shape}")
    return others


def flipped(array, axes=None):
    if axes is None:
        return array[(slice(None, None, -1),) * array.ndim]
    return np.flip(array, axes)


def reversed_conjugate(array, axes=None):
    """What correlates where `array` convolves."""
    return flipped(np.conj(array) if array.dtype.kind == "c" else array, axes)


def is_finite(array):
    """Whether a line, or its squares, add up to something finite."""
    if array.dtype.kind in "iub":
        return True
    # BLAS would start threads for more elements, which then wait in a loop.
    total = array @ array if array.size <= _FOR_BLAS else array.sum()
    return bool(total - total == 0)


# ---- How it is computed -------------------------------------------------------------


def by_fft(sizes, taps, first, counts, dtype, beside=1):
    """Whether spectra are estimated to be faster than direct sums: a matter of shapes alone.

    There are so many such sums beside each other.
    """
    products = math.prod(taps) * math.prod(counts)
    # Of complex numbers each is four.
    if products * beside * (4 if dtype.kind == "c" else 1) < _NEVER:
        return False
    each = _LINE if max(taps) == math.prod(taps) else _PRODUCT
    each *= dtype.itemsize * (2 if dtype.kind == "c" else 1)
    direct = (each * products + _TAP * math.prod(taps) / beside) / 1000
    return bool(overlap.plan(sizes, taps, first, counts, dtype, beside)[0] < direct)


def _beside(a, b, axes):
    """How many sums there are along the axes."""
    return 1 if axes is None else math.prod(shape_of(a, b, (1,) * len(axes), axes))


def _floats(a, b, first, counts, axes, dtype, method):
    """A part of the full convolution of `a` with `b`; None if 'fft' meets what is not finite.

    Along `axes`, which may be None for all; the others broadcast.
    """
    sizes, taps = _sizes(a, b, axes)
    if math.prod(taps) > math.prod(sizes):
        a, b, sizes, taps = b, a, taps, sizes
    beside = _beside(a, b, axes)
    if method == "fft" or (method == "auto" and by_fft(sizes, taps, first, counts, dtype, beside)):
        result = np.empty(shape_of(a, b, counts, axes), dtype)
        arrays = a.astype(dtype, copy=False), b.astype(dtype, copy=False), result
        if axes is not None:
            arrays = (np.moveaxis(c, axes, range(-len(axes), 0)) for c in arrays)
        if overlap.convolve(*arrays, first):
            return result
        if method == "fft":
            return None
    if axes is None:
        return directly(a, flipped(b), first, counts, None, dtype)
    others = broadcasting(a, b, axes)
    b = flipped(b, axes)
    if any(b.shape[i] > 1 for i in others):
        return _each(a, b, first, counts, axes, others, dtype)
    return directly(a, np.squeeze(b, tuple(others)), first, counts, axes, dtype)


def _sizes(a, b, axes):
    if axes is None:
        return a.shape, b.shape
    return (tuple([c.shape[i] for i in axes]) for c in (a, b))


def shape_of(a, b, counts, axes):
    if axes is None:
        return tuple(counts)
    shape = [max(pair) for pair in zip(a.shape, b.shape, strict=True)]
    for axis, count in zip(axes, counts, strict=True):
        shape[axis] = count
    return tuple(shape)


def _pads(a, taps, first, counts, axes):
    """The array without what no output sees, and what the border adds along the axes."""
    pads = []
    for axis, k, f, count in zip(axes or range(a.ndim), taps, first, counts, strict=True):
        size = a.shape[axis]
        before, after = around(size, k, f, count)
        if before < 0 or after < 0:
            seen = slice(max(-before, 0), min(size, size + after))
            a = a[(slice(None),) * axis + (seen,)]
        pads.append((max(before, 0), max(after, 0)))
    return a, tuple(pads)


def directly(a, kernel, first, counts, axes, dtype):
    """The same directly, of an array and one kernel that is flipped already."""
    a, pads = _pads(a, kernel.shape, first, counts, axes)
    if (
        a.dtype == kernel.dtype == dtype
        and math.prod(counts) <= FEW_SUMS
        and kernel.size >= LONG_SUM
        and a.ndim == kernel.ndim
        and not any(map(any, pads))
    ):
        # A plan lists the taps, which takes longer than to add them up once.
        windows, every = sliding_window_view(a, kernel.shape), list(range(2 * a.ndim))
        outputs, inner = every[: a.ndim], every[a.ndim :]
        return kernels.in_our_arithmetic(np.einsum, windows, every, kernel, inner, outputs)
    return correlation.correlate(a, kernel, pads, axes=axes, dtype=dtype, method="direct")


def _each(a, b, first, counts, axes, others, dtype):
    """The same with many kernels, of one array or each of a part of its own."""
    shape = [max(a.shape[i], b.shape[i]) for i in others]
    a, b = (np.moveaxis(c, others, range(len(others))) for c in (a, b))
    sizes, taps = (c.shape[len(others) :] for c in (a, b))
    if a.size > math.prod(sizes):
        a = np.broadcast_to(a, (*shape, *sizes))
    arrays = a.reshape(-1, *sizes)
    kernels = np.broadcast_to(b, (*shape, *taps)).reshape(-1, *taps)
    if len(axes) <= 3:
        result = _channels(arrays, kernels, first, counts, dtype)
    else:
        result = np.empty((len(kernels), *counts), dtype)
        for array, kernel, out in zip(itertools.cycle(arrays), kernels, result, strict=False):
            out[...] = directly(array, kernel, first, counts, None, dtype)
    result = np.moveaxis(result.reshape(*shape, *counts), range(len(others)), others)
    return np.ascontiguousarray(result)


def _channels(arrays, kernels, first, counts, dtype):
    """The same of one convolution's output channels, with a group for each of several arrays."""
    arrays, kernels = arrays[:, None], kernels[:, None, None]
    arrays, kernels = (c.astype(dtype, copy=False) for c in (arrays, kernels))
    if dtype.kind == "c":
        # Real and imaginary parts are two channels of inputs, and two of outputs.
        arrays = np.concatenate([arrays.real, arrays.imag], axis=1)
        kernels = correlation.of_parts(kernels, len(counts))
    groups, inputs, *sizes = arrays.shape
    count, outputs, _, *taps = kernels.shape
    axes = tuple(range(2, 2 + len(sizes)))
    array, pads = _pads(arrays.reshape(1, groups * inputs, *sizes), taps, first, counts, axes)
    operands = array, kernels.reshape(count * outputs, inputs, *taps), None
    parameters = (len(sizes), 1, pads, 1, groups, "zeros")
    result = call(problems.convolution, NAMES, operands, parameters, None, "direct")
    if dtype.kind != "c":
        return result
    real, imaginary = result.reshape(count, 2, *counts).swapaxes(0, 1)
    result = np.empty(real.shape, dtype)
    result.real, result.imag = real, imaginary
    return result


def convolve(a, b, window, axes, dtype, method) -> NDArray:
    """A window of the full convolution of two arrays, in a dtype of any kind.

    Parameters
    ----------
    a, b : ndarray
        Of the same rank, neither empty.
    window : (tuple of int, tuple of int)
        The first outputs and how many, along each of `axes`.
    axes : tuple of int, optional
        In order; the others broadcast. All by default.
    dtype : dtype
        float16 is summed up in float32. Integers are exact, and wrap.
    method : {'auto', 'direct', 'fft'}
        Integers are exact with any method.

    Returns
    -------
    ndarray or None
        None if 'fft' meets what is not finite.
    """
    first, counts = window
    if dtype.kind == "c" and "c" not in (a.dtype.kind, b.dtype.kind):
        found = convolve(a, b, window, axes, correlation.real_of(dtype), method)
        return found if found is None else found.astype(dtype)
    if dtype.char in FLOATS:
        return _floats(a, b, first, counts, axes, dtype, method)
    if dtype.kind not in "iu":
        # Not rounded to float16 again and again; counts of what is true are 0 or not.
        found = _floats(a, b, first, counts, axes, np.dtype(np.float32), method)
        return found != 0 if dtype.kind == "b" else found.astype(dtype)
    if b.size > a.size:
        a, b = b, a
    sizes, taps = _sizes(a, b, axes)
    points = 0
    doubles = np.dtype(float)
    if method == "fft" or (
        method == "auto" and by_fft(sizes, taps, first, counts, doubles, _beside(a, b, axes))
    ):
        points = math.prod(n + k - 1 for n, k in zip(sizes, taps, strict=True))
    elif axes is None:
        given, pads = _pads(a, taps, first, counts, None)
        found = _integers(given, flipped(b), pads, "zeros", counts, dtype)
        if found is not None:
            return found

    def compute(array, kernel, free):
        chosen = "fft" if free else "direct"
        return _floats(array, kernel, first, counts, axes, array.dtype, chosen)

    return integers.convolve(a, b, dtype, points, compute)


def _integers(a, kernel, pads, border, counts, dtype):
    """Integers read and written as they are; None if the engine is not for that, or its floats."""
    planes = 2 <= a.ndim <= 3
    if not planes or not a.dtype == kernel.dtype == dtype or math.prod(counts) <= FEW_SUMS:
        return None
    work = filtering.plain(a, kernel, pads, border, "direct")
    return work and filtering.result_of(work, a, counts)


def bordered(a, b, window, border, fill, dtype) -> NDArray:
    """The same of all axes, with something around `a`: a border of the engine's."""
    first, counts = window
    a, pads = _pads(a, b.shape, first, counts, None)
    if dtype.char in FLOATS and not by_fft(a.shape, b.shape, first, counts, dtype):
        return correlation.correlate(
            a, flipped(b), pads, border, fill=fill, dtype=dtype, method="direct"
        )
    if dtype.kind in "iu" and (border != "zeros" or fill == 0):
        found = _integers(a, flipped(b), pads, border, counts, dtype)
        if found is not None:
            return found
    filled = {"constant_values": fill} if border == "zeros" else {}
    a = np.pad(a.astype(dtype, copy=False), pads, PADDING_MODES[border], **filled)  # type: ignore[call-overload]
    return convolve(a, b, (tuple([k - 1 for k in b.shape]), counts), None, dtype, "auto")
