"""One array and one kernel of any rank, against sums over windows of a padded copy."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import fastconv
from fastconv import geometry, problems
from fastconv.arrays import call
from fastconv.correlation import correlate

BORDERS = list(geometry.PADDING_MODES)
INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def expected(array, kernel, pads, border, fill, axes):
    """The result, and the sums of magnitudes that rounding errors are measured by."""
    pairs = [(0, 0)] * array.ndim
    for axis, pair in zip(axes, pads, strict=True):
        pairs[axis] = pair
    constant = {"constant_values": fill} if border == "zeros" else {}
    padded = np.pad(array, pairs, geometry.PADDING_MODES[border], **constant)
    windows = sliding_window_view(padded, kernel.shape, axes)
    letters = list(range(windows.ndim))

    def total(windows, kernel):
        return np.einsum(windows, letters, kernel, letters[array.ndim :], letters[: array.ndim])

    return total(windows, kernel), total(abs(windows), abs(kernel))


def check(got, want, magnitude, terms, dtype):
    assert got.dtype == dtype
    assert got.shape == want.shape
    eps = np.finfo(dtype).eps
    assert (abs(got - want) <= 2 * eps * (terms + 4) * magnitude + np.finfo(dtype).tiny).all()


def some(rng, shape, dtype):
    if np.dtype(dtype).kind in "iu":
        least = max(np.iinfo(dtype).min, -(2**20))
        return rng.integers(least, min(np.iinfo(dtype).max, 2**20), shape).astype(dtype)
    values = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(dtype)


def case(rng, rank, kernel_rank):
    """Shapes, some axes in any order, and a border that leaves an output."""
    sizes = rng.integers(1, 7 if rank > 3 else 20, rank)
    kernel = rng.integers(1, 5, kernel_rank)
    axes = tuple(int(a) for a in rng.permutation(rank)[:kernel_rank])
    pads = []
    for axis, taps in zip(axes, kernel, strict=True):
        before, after = (int(n) for n in rng.integers(0, 4, 2))
        pads.append((before, int(max(after, taps - sizes[axis] - before, 0))))
    return sizes, kernel, axes, pads


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("kernel_dtype", ["float64", "complex128"])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("rank", range(1, 7))
def test_any_rank_axes_and_border(rng, rank, dtype, kernel_dtype, border):
    for kernel_rank in range(1, rank + 1):
        sizes, taps, axes, pads = case(rng, rank, kernel_rank)
        array, kernel = some(rng, sizes, dtype), some(rng, taps, kernel_dtype)
        if kernel_rank % 2:
            array = np.flip(np.ascontiguousarray(array.T)).T
        want, magnitude = expected(array, kernel, pads, border, 0, axes)
        got = correlate(array, kernel, pads, border, axes=axes)
        check(got, want, magnitude, taps.prod(), np.result_type(dtype, kernel_dtype))


@pytest.mark.parametrize("fill", [1.5, np.inf, 2 - 1j])
@pytest.mark.parametrize("rank", range(1, 5))
def test_fill(rng, rank, fill):
    for dtype in (type(fill), "float64", "uint8", "int16"):
        sizes, taps, axes, pads = case(rng, rank, rank)
        array, kernel = some(rng, sizes, dtype), some(rng, taps, "float64")
        with np.errstate(invalid="ignore"):
            given = array.astype(np.result_type(type(fill), "float64"))
            want, magnitude = expected(given, kernel, pads, "zeros", fill, axes)
        got = correlate(array, kernel, pads, fill=fill, axes=axes, dtype=want.dtype)
        finite = np.isfinite(want)
        assert (np.isfinite(got) == finite).all()
        check(got[finite], want[finite], magnitude[finite], taps.prod(), got.dtype)


@pytest.mark.parametrize("method", ["direct", "fft"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", [*INTEGERS, "bool", "float16", "float32", "float64"])
def test_any_dtype_is_read_and_computed_in_another(rng, given, dtype, method):
    for rank in (1, 2, 3):
        for border in BORDERS:
            sizes, taps, axes, pads = case(rng, rank, rank)
            sizes[-1] *= 2
            array = some(rng, sizes, "int8" if given == "bool" else given).astype(given)
            for part in (array, array[..., ::2], np.flip(array)):
                if min(n - k for n, k in zip(part.shape, taps[np.argsort(axes)], strict=True)) < 0:
                    continue
                kernel = some(rng, taps, "float64")
                want = correlate(part.astype(dtype), kernel, pads, border, axes=axes, dtype=dtype)
                got = correlate(part, kernel, pads, border, axes=axes, dtype=dtype, method=method)
                scale = abs(want).max() * (1e-4 if dtype == "float32" else 1e-11)
                assert got.dtype == dtype
                np.testing.assert_allclose(got, want, rtol=0, atol=scale)


@pytest.mark.parametrize("given", INTEGERS)
def test_integers_are_not_copied_for_a_layer(rng, given):
    """The engine converts as it lays out: the same bits as from floating-point numbers."""
    for dtype in ("float32", "float64"):
        if np.result_type(given, dtype) != dtype:
            continue
        images = some(rng, (2, 8, 12, 12), given)
        weight = some(rng, (6, 8, 3, 3), dtype)
        for method in ("direct", "winograd", "fft"):
            for mode in BORDERS:
                options = {"padding": 1, "padding_mode": mode, "method": method}
                got = fastconv.conv2d(images, weight, **options)
                want = fastconv.conv2d(images.astype(dtype), weight, **options)
                np.testing.assert_array_equal(got, want)
        line = some(rng, (8, 1, 3, 3), dtype)
        point = some(rng, (4, 8), dtype)
        got = fastconv.separable_conv2d(images, line, point, padding=1)
        want = fastconv.separable_conv2d(images.astype(dtype), line, point, padding=1)
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stored", [*INTEGERS, "float32", "float64"])
def test_results_are_stored_in_any_dtype(rng, stored, dtype):
    """As NumPy casts them, whichever way they are computed: lines, bands, many taps, FFT."""
    shapes = [((300,), (3,)), ((700,), (150,)), ((40, 70), (3, 3)), ((40, 70), (1, 9)),
              ((40, 70), (9, 1)), ((33, 21), (8, 5)), ((3, 5), (2, 2)), ((9, 12, 13), (3, 3, 3)),
              ((4, 5, 6, 7), (2, 2, 2, 2)), ((80, 80), (31, 31))]  # fmt: skip
    least = -60 if np.dtype(stored).kind != "u" else 0
    for size, taps in shapes:
        array = rng.integers(least, 60, size).astype(dtype)
        kernel = rng.random(taps) / np.prod(taps)
        pads = [(k // 2, k - 1 - k // 2) for k in taps]
        for border, method in (("zeros", "auto"), ("symmetric", "direct"), ("reflect", "fft")):
            if method == "fft" and len(size) > 3:
                continue
            options = {"dtype": dtype, "method": method}
            want = correlate(array, kernel, pads, border, **options).astype(stored)
            for out in (np.empty(size, stored), np.empty((*size, 2), stored)[..., 1]):
                got = correlate(array, kernel, pads, border, out=out, **options)
                assert got is out
                np.testing.assert_array_equal(got, want)


def test_weights_left_out(rng):
    """Those that are zero, whatever they meet: one that is left, some, and nine far apart."""
    array = rng.standard_normal((20, 30))
    for kept in ([(1, 2)], [(0, 0), (2, 3)], [(y, x) for y in (0, 1, 4) for x in (0, 1, 4)]):
        kernel = np.zeros((5, 5))
        for where in kept:
            kernel[where] = rng.random()
        for method in ("auto", "direct"):
            parameters = (((2, 2), (2, 2)), "zeros", None, (kernel != 0).tobytes())
            got = call(
                problems.correlation, ("input", "weight"), (array, kernel), parameters, None, method
            )
            want, magnitude = expected(array, kernel, ((2, 2), (2, 2)), "zeros", 0, (0, 1))
            check(got, want, magnitude, len(kept), "float64")


def test_out_may_be_the_input_or_of_another_dtype(rng):
    array, kernel = rng.standard_normal((9, 11)), rng.standard_normal((3, 3))
    want = correlate(array, kernel, ((1, 1), (1, 1)))
    into = array.copy()
    assert correlate(into, kernel, ((1, 1), (1, 1)), out=into) is into
    np.testing.assert_array_equal(into, want)
    small = np.empty((9, 11), np.float32)
    assert correlate(array, kernel, ((1, 1), (1, 1)), out=small) is small
    np.testing.assert_array_equal(small, want.astype(np.float32))


def test_batch_axes_that_no_view_can_merge(rng):
    array = rng.standard_normal((6, 5, 4, 30))[::2, ::2, :, ::3]
    kernel = rng.standard_normal(3)
    got = correlate(array, kernel, ((1, 1),), axes=(1,))
    want, magnitude = expected(array, kernel, ((1, 1),), "zeros", 0, (1,))
    check(got, want, magnitude, 3, "float64")
