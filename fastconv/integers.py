"""Convolutions of integers by means of floating-point ones: exact, modulo 2**bits.

A sum of products is exact in float32 below 2**24, in float64 below 2**53. Integers too large
for that are split into limbs, whose sums are; they are put together in integers that wrap.
"""

import math

import numpy as np

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


def convolve(array, kernel, dtype, points, compute):
    """The sums of products in an integer `dtype`, which wrap.

    Parameters
    ----------
    array, kernel : ndarray
        Of integers or bools.
    points : int
        The elements that may go through a Fourier transform together; 0 if none is allowed.
    compute : callable
        Of array and kernel as floating-point numbers of one dtype, and of whether the method
        is free: if not it has to be direct. Returns their convolution, in their dtype.
    """
    largest = _largest(array)
    weight = kernel.astype(_FLOAT64)
    bound = int(largest * float(np.abs(weight).sum()) * (1 + 1e-12)) + 1
    if bound < 1 << 53:
        free = _rounds(largest, _largest(kernel), kernel.size, points)
        narrow = bound < 1 << 24 and not free
        to = _FLOAT32 if narrow else _FLOAT64
        sums = compute(array.astype(to), weight.astype(to, copy=False), free)
        if free:
            np.rint(sums, out=sums)
        return _as_integers(sums, bound, dtype)

    bits = 8 * dtype.itemsize
    width = (53 - kernel.size.bit_length()) // 2
    limbs = _limbs(array, largest, width, bits), _limbs(kernel, _largest(kernel), width, bits)
    free = _rounds(1 << width, 1 << width, kernel.size, points)
    total = 0
    for i, one in enumerate(limbs[0]):
        for j, two in enumerate(limbs[1]):
            if width * (i + j) < bits:
                sums = compute(one, two, free)
                if free:
                    np.rint(sums, out=sums)
                total += sums.astype(np.int64).view(np.uint64) << np.uint64(width * (i + j))
    return total.astype(dtype)


def _largest(array):
    """No element is larger than this in magnitude."""
    if array.dtype.kind == "b":
        return 1
    if array.dtype.itemsize == 1:
        limits = np.iinfo(array.dtype)
        return max(-limits.min, limits.max)
    return max(-int(array.min()), int(array.max()))


def _rounds(x, w, taps, points):
    """Whether rounding corrects all that Fourier transforms may do (docs/accuracy.md)."""
    if not points:
        return False
    norms = x * math.sqrt(points) * w * math.sqrt(taps)
    return 10 * math.log2(max(points, 2)) * np.finfo(_FLOAT64).eps * norms < 0.25


def _as_integers(sums, bound, dtype):
    """Whole numbers within a bound as integers; C leaves open what those too large become."""
    if bound <= np.iinfo(dtype).max and dtype.kind == "i":
        return sums.astype(dtype)
    return sums.astype(np.int32 if bound < 1 << 31 else np.int64).astype(dtype, copy=False)


def _limbs(array, largest, width, bits):
    """Numbers below 2**width in magnitude, in float64, that are digits of the elements.

    All but the last are not negative. What is beyond so many bits is left out.
    """
    signed = array.dtype.kind == "i"
    array = array.astype(np.int64 if signed else np.uint64)
    needed = -(-(largest.bit_length() + signed) // width)
    count = min(needed, -(-bits // width))
    limbs = [array >> array.dtype.type(width * i) for i in range(count)]
    for limb in limbs if count < needed else limbs[:-1]:
        limb &= array.dtype.type((1 << width) - 1)
    return [limb.astype(_FLOAT64) for limb in limbs]
