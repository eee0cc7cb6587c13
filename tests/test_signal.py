"""fastconv.signal against scipy.signal: values, dtypes, exceptions; and what it has beyond."""

import doctest
import importlib
import math
import warnings

import numpy as np
import pytest
import scipy.signal

import fastconv
import fastconv.signal
from fastconv import integers, overlap, problems, sums
from fastconv.arrays import call
from fastconv.originals import original

FLOATS = "efdFD"
INTEGERS = "bBhHiIlLqQ"
MODES = ("full", "same", "valid")


def sample(rng, shape, dtype, large=False):
    """Numbers of a dtype; integers over its whole range, or small ones."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        low, high = (limits.min, limits.max) if large else (max(limits.min, -9), 9)
        return rng.integers(low, high, shape, dtype, endpoint=True)
    values = rng.standard_normal(shape)
    if dtype.kind == "c":
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(dtype)


def wide(array):
    return np.asarray(array).astype(np.complex128)


def outcome(module, name, *args, **kwargs):
    """What a function returns, or what it raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(module, name)(*args, **kwargs)
    except Exception as error:
        return error


def agree(name, *args, terms=1, **kwargs):
    """Ours and SciPy's: the same exception, integers, or floats within rounding.

    SciPy's FFTs and ours are off by a multiple of eps, log2(n) and the norms of the operands
    (docs/accuracy.md); that covers direct sums as well, whose K terms are at most as large.
    """
    expected = outcome(scipy.signal, name, *args, **kwargs)
    actual = outcome(fastconv.signal, name, *args, **kwargs)
    if isinstance(expected, Exception) or isinstance(actual, Exception):
        assert type(actual) is type(expected), (actual, expected)
        return
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    if actual.dtype.kind not in "fc" or not actual.size:
        np.testing.assert_array_equal(actual, expected)
        return
    arrays = [a for a in args if isinstance(a, np.ndarray)]
    norms = np.prod([np.linalg.norm(wide(a).ravel()) + 1 for a in arrays])
    size = sum(a.size for a in arrays) + actual.size
    # SciPy's spectra are as exact as the coarser operand.
    eps = max(np.finfo(a.dtype).eps for a in (actual, *arrays) if a.dtype.kind in "fc")
    allowed = eps * (10 * np.log2(2 * size) + 4) * norms * terms
    error = np.abs(wide(actual) - wide(expected)).max(initial=0)
    assert error <= allowed, (error, allowed)


# ---- The same as SciPy's ------------------------------------------------------------


@pytest.mark.parametrize("dtype", [c for c in FLOATS + INTEGERS if c != "e"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["auto", "direct"])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((1,), (1,)), ((9,), (4,)), ((4,), (9,)), ((3000,), (301,)), ((40,), (900,)),
        ((5, 6), (2, 3)), ((2, 3), (5, 6)), ((30, 40), (5, 4)), ((4, 5), (31, 40)),
        ((5, 3), (3, 5)), ((7, 8, 9), (3, 2, 4)), ((4, 3, 5, 4), (2, 3, 1, 2)),
        ((2, 3, 4, 3, 3), (2, 2, 2, 2, 2)),
    ],
)  # fmt: skip
def test_any_rank(dtype, mode, method, first, second, rng):
    for large in (False, True):
        a, b = (sample(rng, shape, dtype, large) for shape in (first, second))
        if dtype in INTEGERS and large:
            # SciPy's 'auto' takes FFTs for integers too large for them.
            method = "direct"
        for name in ("correlate", "convolve"):
            agree(name, a, b, mode, method)


@pytest.mark.parametrize("seed", range(60))
def test_random_calls(seed):
    rng = np.random.default_rng(seed)
    for _ in range(10):
        rank = int(rng.choice([1, 1, 2, 2, 3, 4]))
        largest = [300, 30, 10, 5][rank - 1] if rng.random() < 0.5 else 5
        shapes = [tuple(int(n) for n in rng.integers(1, largest + 1, rank)) for _ in "ab"]
        dtypes = [rng.choice(list("bBhHiIlLqQfdFD")) for _ in "ab"]
        a, b = (sample(rng, s, d) for s, d in zip(shapes, dtypes, strict=True))
        a, b = (c[(slice(None, None, int(rng.choice([1, -1]))),) * rank] for c in (a, b))
        mode = str(rng.choice(MODES))
        method = str(rng.choice(["auto", "direct", "fft"]))
        for name in ("correlate", "convolve"):
            agree(name, a, b, mode, method)
        for name in ("fftconvolve", "oaconvolve"):
            agree(name, a, b, mode)
        if rank == 2:
            boundary = str(rng.choice(["fill", "wrap", "symm", "pad", "circular", "symmetric"]))
            for name in ("correlate2d", "convolve2d"):
                agree(name, a, b, mode, boundary, int(rng.integers(0, 3)), terms=4)
                agree(name, a.astype(complex), b, mode, boundary, 1j, terms=4)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", "iefdFD")
@pytest.mark.parametrize(
    ("first", "second", "axes"),
    [
        ((4, 50), (4, 7), 1), ((4, 50), (1, 7), -1), ((1, 50), (4, 7), [1]),
        ((50, 4), (7, 4), 0), ((3, 20, 21), (3, 4, 5), (1, 2)), ((20, 3, 21), (4, 1, 5), (0, 2)),
        ((20, 3, 21), (4, 1, 5), (2, 0)), ((2, 3, 40), (2, 1, 40), 2), ((3, 1), (1, 4), (0, 1)),
        ((2, 1, 30), (1, 3, 9), 2), ((3, 4000), (3, 900), 1), ((5, 4), (1, 30), 1),
        ((6, 2, 4), (1, 9, 20), (1, 2)), ((2, 1, 2, 3, 3, 5), (1, 3, 2, 2, 3, 2), (2, 3, 4, 5)),
    ],
)  # fmt: skip
def test_axes(mode, dtype, first, second, axes, rng):
    a, b = (sample(rng, shape, dtype) for shape in (first, second))
    for name in ("fftconvolve", "oaconvolve"):
        agree(name, a, b, mode, axes)
    if (mode, second) == ("valid", (1, 4)):
        # SciPy leaves axes out along which one is 1.
        with pytest.raises(ValueError, match="For 'valid' mode"):
            fastconv.signal.convolve(a, b, mode, axes=axes)
    elif mode != "same":
        # There SciPy drops what is broadcast.
        wanted = scipy.signal.fftconvolve(wide(a), wide(b), mode, axes)
        actual = fastconv.signal.convolve(a, b, mode, axes=axes)
        flip = np.flip(b, axes).conj()
        assert actual.dtype == np.result_type(a, b)
        scale = np.abs(wide(a)).max() * np.abs(wide(b)).sum() + 1
        eps = 0 if dtype == "i" else np.finfo(dtype).eps
        np.testing.assert_allclose(actual, wanted, 0, 1e-13 * scale + 200 * eps * scale)
        again = fastconv.signal.correlate(a, flip, mode, axes=axes)
        np.testing.assert_allclose(again, wanted, 0, 1e-13 * scale + 200 * eps * scale)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((1000,), (1000,)), ((20_000,), (300,)), ((300,), (20_000,)), ((100_000,), (9_000,)),
        ((100, 90), (50, 7)), ((150, 160), (150, 160)), ((40, 41, 42), (10, 12, 3)),
        ((700, 20), (20, 700)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", "fdFDB")
@pytest.mark.parametrize("mode", MODES)
def test_large_kernels(first, second, dtype, mode, rng):
    a, b = (sample(rng, shape, dtype, large=True) for shape in (first, second))
    agree("fftconvolve", a, b, mode)
    if dtype == "B":
        expected = np.rint(scipy.signal.fftconvolve(a, b, mode)) if mode != "valid" else None
        if mode == "valid" and not all(n >= k for n, k in zip(first, second, strict=True)):
            return
        expected = np.rint(scipy.signal.fftconvolve(a, b, mode))
        actual = fastconv.signal.convolve(a, b, mode, dtype=np.int64)
        np.testing.assert_array_equal(actual, expected)
        return
    agree("correlate", a, b, mode, "fft")


@pytest.mark.parametrize("name", ["correlate2d", "convolve2d"])
@pytest.mark.parametrize("boundary", ["fill", "wrap", "symm", "reflect", "bad", None, 1])
@pytest.mark.parametrize("fill", [0, 2, -1, 1.5, 1j, [1], [], [1, 2], "x", np.float32(2)])
@pytest.mark.parametrize("dtype", "BidD?O")
def test_borders(name, boundary, fill, dtype, rng):
    a, b = np.ones((40, 30)), np.ones((5, 6))
    if dtype != "O":
        a, b = (sample(rng, c.shape, dtype) for c in (a, b))
    if boundary != "reflect":
        agree(name, a.astype(dtype), b.astype(dtype), "same", boundary, fill, terms=4)


def test_borders_with_large_kernels(rng):
    a, b = rng.standard_normal((90, 80)), rng.standard_normal((70, 95))
    for boundary in ("fill", "wrap", "symm"):
        agree("convolve2d", a, b, "full", boundary, 3.0)


@pytest.mark.parametrize("shape", [(5, 6), (20, 31), (100, 90), (9, 130)])
@pytest.mark.parametrize("dtype", "bBhfdFDil")
def test_sepfir2d(shape, dtype, rng):
    image = sample(rng, shape, dtype)
    real = np.float32 if image.dtype.itemsize < 4 or dtype == "f" else np.float64
    for row, column in ((3, 5), (1, 1), (5, 3), (2, 3)):
        lines = [sample(rng, k, real) for k in (row, column)]
        agree("sepfir2d", image, *lines)
        agree("sepfir2d", image[::-1, ::-1].T, *lines)


def test_sepfir2d_mirrors_again_and_again(rng):
    """SciPy reads beyond an image smaller than the kernel."""
    image, row, column = rng.random((3, 4)), rng.random(13), rng.random(9)
    around = np.pad(image, ((4, 4), (6, 6)), "symmetric")
    expected = scipy.signal.convolve(around, np.outer(column, row), "valid")
    np.testing.assert_allclose(
        fastconv.signal.sepfir2d(image, row, column), expected, 0, 1e-13 * row.sum() * column.sum()
    )


@pytest.mark.parametrize("dtypes", ["ff", "dd", "fd", "df", "dF", "Fd", "DD", "dh", "ed", "gd"])
@pytest.mark.parametrize("rates", [(1, 1), (2, 1), (1, 3), (3, 2), (2, 3), (4, 6), (7, 5)])
@pytest.mark.parametrize(("shape", "axis"), [((900,), -1), ((70, 20), 0), ((3, 200, 4), 1)])
def test_upfirdn(dtypes, rates, shape, axis, rng):
    for taps in (1, 4, 31):
        h, x = sample(rng, taps, dtypes[0]), sample(rng, shape, dtypes[1])
        for mode in ("constant", "symmetric", "reflect", "edge", "wrap", "line"):
            agree("upfirdn", h, x, *rates, axis, mode)
            agree("upfirdn", h, x[::-1], *rates, axis=axis, mode=mode)


@pytest.mark.parametrize("dtypes", ["ff", "dd", "dh", "fF", "Dd"])
@pytest.mark.parametrize("rates", [(4, 1), (33, 2), (7, 300), (160, 147), (301, 160), (1000, 3)])
@pytest.mark.parametrize(
    ("shape", "axis"), [((3000,), 0), ((500, 3), 0), ((40, 150), 0), ((2, 30, 131), 1)]
)
def test_upfirdn_of_many_phases(dtypes, rates, shape, axis, rng):
    """Integers are exact, whatever the vectors are of: outputs of a phase, lines or taps."""
    h, x = (
        rng.integers(-9, 9, size).astype(dtype)
        for size, dtype in zip((20 * max(rates) + 1, shape), dtypes, strict=True)
    )
    for taps, mode in ((h, "constant"), (h[:100], "reflect"), (h[:5], "wrap")):
        expected = scipy.signal.upfirdn(taps, x, *rates, axis, mode)
        for threads in (1, 3):
            with fastconv.num_threads(threads):
                actual = fastconv.signal.upfirdn(taps, x, *rates, axis, mode)
            assert actual.dtype == expected.dtype
            np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("rates", [(7, 3), (160, 147), (1000, 999), (5, 400)])
@pytest.mark.parametrize("dtype", "fd")
@pytest.mark.parametrize("columns", [1, 40])
def test_one_nan_reaches_what_its_taps_see(rates, dtype, columns, rng):
    """A phase may have one tap less than another; none stands in for it."""
    up, down = rates
    taps = 3 * up + 2
    x = rng.standard_normal((2000, columns)).astype(dtype)
    at = 777
    x[at, -1] = np.nan
    result = fastconv.signal.upfirdn(rng.standard_normal(taps).astype(dtype), x, up, down, 0)
    tap = np.arange(len(result)) * down - at * up
    np.testing.assert_array_equal(np.isnan(result[:, -1]), (tap >= 0) & (tap < taps))
    assert np.isfinite(result[:, :-1]).all()


def test_one_element_is_reflected():
    """SciPy divides by zero."""
    np.testing.assert_array_equal(
        fastconv.signal.upfirdn([1.0, 2, 3], [5.0], 2, mode="reflect"), [20, 10, 20]
    )


@pytest.mark.parametrize("dtype", "hefdFD")
@pytest.mark.parametrize("rates", [(1, 1), (2, 1), (1, 3), (3, 2), (4, 6), (160, 147)])
@pytest.mark.parametrize(("shape", "axis"), [((900,), 0), ((400, 3), 0), ((3, 400), -1)])
def test_resample_poly(dtype, rates, shape, axis, rng):
    x = sample(rng, shape, dtype)
    for padtype in ("constant", "mean", "median", "maximum", "symmetric", "edge", "line", "bad"):
        agree("resample_poly", x, *rates, axis, padtype=padtype, terms=rates[0])
    agree("resample_poly", x, *rates, axis, "hann", terms=rates[0])
    agree("resample_poly", x, *rates, axis, np.ones(9), terms=rates[0])
    agree("resample_poly", x, *rates, axis, "constant", "constant", 1.0)


@pytest.mark.parametrize("dtype", "bhefdF?")
@pytest.mark.parametrize("mode", ["interp", "mirror", "constant", "nearest", "wrap", "bad"])
@pytest.mark.parametrize(("shape", "axis"), [((60,), -1), ((20, 30), 0), ((3, 30, 4), 1)])
def test_savgol_filter(dtype, mode, shape, axis, rng):
    x = sample(rng, shape, dtype)
    for window, order, deriv in ((5, 2, 0), (7, 3, 1), (6, 2, 0), (1, 0, 0), (5, 5, 0), (9, 2, 3)):
        agree("savgol_filter", x, window, order, deriv, 0.5, axis, mode, 1.5, terms=50 * 8**deriv)


def test_savgol_filter_of_a_short_signal():
    for mode in ("interp", "mirror", "nearest"):
        agree("savgol_filter", np.arange(4.0), 7, 2, mode=mode, terms=50)


def test_correlation_lags():
    for mode in (*MODES, "bad"):
        for n in range(1, 12):
            for k in range(1, 12):
                agree("correlation_lags", n, k, mode)


WRONG = [
    ([1], [[1]]), ([], [1]), ([1, 2], []), (1, [2]), (2, 3), (2j, 3j), ([["a"]], [["b"]]),
    (np.ones((3, 1)), np.ones((1, 3))), (np.ones(3, "g"), np.ones(2, "g")),
    (np.array([1, 2], object), np.array([1], object)), (np.zeros((0, 3)), np.zeros((2, 2))),
    (None, [1]), ([True, False], [True]), (np.ones((2, 2), bool), np.ones((2, 2), bool)),
    ([[1, 2], [3]], [1]), (np.ma.array([1.0, 2.0], mask=[0, 1]), [1.0]),
    (np.ones((40, 40), "g"), np.ones((5, 5), "g")), (np.ones((40, 40), "G"), np.ones((5, 5), "G")),
]  # fmt: skip


@pytest.mark.parametrize("operands", WRONG)
@pytest.mark.parametrize("mode", [*MODES, "bad", None, 1])
@pytest.mark.parametrize(
    "name",
    ["correlate", "convolve", "fftconvolve", "oaconvolve", "correlate2d", "convolve2d"],
)
def test_what_is_not_for_us(name, operands, mode):
    agree(name, *operands, mode)


def test_wrong_arguments():
    ones = np.ones(9)
    agree("correlate", ones, ones, "full", "bad")
    for axes in ([], 2, (0, 0), "x", 0.5):
        agree("fftconvolve", ones, ones, "full", axes)
    for arguments in (
        ([], ones), (np.ones((2, 2)), ones), (ones, []), (ones, ones, 0), (ones, ones, 1, -1),
        (ones, ones, 1, 1, 3), (ones, ones, 1, 1, 0, "bad"),
    ):  # fmt: skip
        agree("upfirdn", *arguments)
    for up, down in ((0, 1), (1.5, 1), (1, -1), (2.0, 1)):
        agree("resample_poly", ones, up, down)
    agree("sepfir2d", ones, ones, ones)
    agree("choose_conv_method", ones, ones, "bad")


# ---- Beyond SciPy -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("shape", [(700,), (40, 30), (9, 8, 7)])
@pytest.mark.parametrize("taps", [3, 5])
def test_integers_wrap_exactly(dtype, shape, taps, rng):
    """Python's integers know all digits, whatever number of limbs is needed."""
    a = sample(rng, shape, dtype, large=True)
    b = sample(rng, (taps,) * len(shape), dtype, large=True)
    exact = sum(
        a.astype(object)[tuple(slice(i, n - taps + 1 + i) for i, n in zip(at, shape, strict=True))]
        * int(b[at])
        for at in np.ndindex(b.shape)
    )
    bits = 8 * a.itemsize
    unsigned = np.array([int(v) % 2**bits for v in exact.ravel()], f"u{a.itemsize}")
    actual = fastconv.signal.correlate(a, b, "valid")
    assert actual.dtype == a.dtype
    np.testing.assert_array_equal(actual.view(f"u{a.itemsize}").ravel(), unsigned)


@pytest.mark.parametrize("bits", [8, 20, 30, 62])
def test_integers_by_any_method(bits, rng):
    a, b = (rng.integers(-(2**bits), 2**bits, n) for n in (3000, 1500))
    expected = np.convolve(a, b)
    for method in ("auto", "direct", "fft"):
        np.testing.assert_array_equal(fastconv.signal.convolve(a, b, method=method), expected)


def test_limbs_are_the_digits(rng):
    for dtype in INTEGERS:
        array = sample(rng, 100, dtype, large=True)
        largest = max(abs(int(v)) for v in array)
        for width in (7, 13, 16):
            limbs = integers._limbs(array, largest, width, 64)
            assert all(np.abs(limb).max() <= 2**width for limb in limbs)
            values = [sum(int(v) << (width * i) for i, v in enumerate(d)) for d in zip(*limbs)]  # noqa: B905
            assert all((v - int(x)) % 2**64 == 0 for v, x in zip(values, array, strict=True))


@pytest.mark.parametrize("axes", [None, 1])
def test_accumulator(axes, rng):
    a = sample(rng, (4, 900), "B", large=True)
    b = sample(rng, (4, 30), "B", large=True)
    expected = fastconv.signal.convolve(a.astype(int), b.astype(int), axes=axes)
    assert expected.max() > 2**16
    for dtype in (np.int32, np.uint64, np.float64, np.complex128):
        actual = fastconv.signal.convolve(a, b, axes=axes, dtype=dtype)
        assert actual.dtype == dtype
        np.testing.assert_array_equal(actual, expected)
    narrow = fastconv.signal.convolve(a.astype(int), b, axes=axes, dtype=np.int16)
    np.testing.assert_array_equal(narrow, expected.astype(np.int16))
    actual = fastconv.signal.correlate2d(a, b, "same", "symm", dtype=np.int64)
    np.testing.assert_array_equal(
        actual, scipy.signal.correlate2d(a.astype(int), b.astype(int), "same", "symm")
    )


def test_counts_of_bools():
    line = np.ones(5, bool)
    assert fastconv.signal.convolve(line, line).dtype == bool
    counts = fastconv.signal.convolve(line, line, "same", dtype=int)
    np.testing.assert_array_equal(counts, [3, 4, 5, 4, 3])
    line = np.arange(30_000) % 7 == 0
    np.testing.assert_array_equal(
        fastconv.signal.convolve(line, line[:99]), np.convolve(line, line[:99])
    )


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_half_precision(rank, rng):
    a, b = (sample(rng, (n,) * rank, "e") for n in (20, 4))
    wanted = scipy.signal.convolve(a.astype(float), b.astype(float), method="direct")
    for method in ("auto", "direct", "fft"):
        actual = fastconv.signal.convolve(a, b, method=method)
        assert actual.dtype == np.float16
        # Rounded once, relative to the sum itself; float32's errors are far smaller.
        single = np.finfo("f").eps * 100 * np.linalg.norm(wide(a)) * np.linalg.norm(wide(b))
        assert (np.abs(actual - wanted) <= np.abs(wanted) * 2.0**-11 + 2.0**-25 + single).all()
    assert fastconv.signal.convolve(a, b, dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize("shape", [(50,), (30, 40), (3, 4, 5, 6)])
@pytest.mark.parametrize("dtype", "iefD")
def test_out(shape, dtype, rng):
    a, b = sample(rng, shape, dtype), sample(rng, (3,) * len(shape), dtype)
    expected = fastconv.signal.convolve(a, b, "same")
    out = np.empty(shape[::-1], dtype).T
    assert fastconv.signal.convolve(a, b, "same", out=out) is out
    np.testing.assert_array_equal(out, expected)
    wider = np.empty(shape, np.complex128)
    fastconv.signal.convolve(a, b, "same", out=wider)
    np.testing.assert_array_equal(wider, expected)
    assert fastconv.signal.convolve(a, b, "same", out=a) is a
    np.testing.assert_array_equal(a, expected)


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"out": [1.0]}, TypeError),
        ({"out": np.empty(8)}, ValueError),
        ({"out": np.empty(11, int)}, TypeError),
        ({"out": np.broadcast_to(0.0, 11)}, ValueError),
        ({"dtype": int}, TypeError),
        ({"dtype": "g"}, TypeError),
        ({"dtype": "O"}, TypeError),
        ({"axes": 1}, ValueError),
        ({"axes": (0, 0)}, ValueError),
        ({"axes": ()}, ValueError),
    ],
)
def test_wrong_keywords(kwargs, error):
    for function in (fastconv.signal.correlate, fastconv.signal.convolve):
        with pytest.raises(error):
            function(np.ones(9), np.ones(3), **kwargs)
    with pytest.raises(ValueError, match="incompatible shapes"):
        fastconv.signal.convolve(np.ones((2, 9)), np.ones((3, 3)), axes=1)
    with pytest.raises(TypeError, match="axes: only for arrays"):
        fastconv.signal.convolve(np.ones(9, "g"), np.ones(3, "g"), axes=0)


def test_operands_stay_what_they_were(rng):
    a, b = rng.standard_normal((60, 50)), rng.standard_normal((7, 6))
    before = a.copy(), b.copy()
    for c in (a, b):
        c.flags.writeable = False
    for method in ("auto", "direct", "fft"):
        fastconv.signal.correlate(a, b, method=method)
    fastconv.signal.correlate2d(a, b, "same", "wrap")
    fastconv.signal.sepfir2d(a, b[0, :5], b[1, :5])
    fastconv.signal.savgol_filter(a, 5, 2)
    fastconv.signal.resample_poly(a, 3, 2, window=b[0])
    np.testing.assert_array_equal(a, before[0])
    np.testing.assert_array_equal(b, before[1])


# ---- What is not finite -------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("size", "taps"), [(60, 5), (20_000, 3_000)])
@pytest.mark.parametrize("dtype", "fdD")
def test_one_value_spoils_what_sees_it(value, size, taps, dtype, rng):
    a, b = sample(rng, size, dtype), sample(rng, taps, dtype)
    clean = fastconv.signal.convolve(a, b)
    a[size // 2] = value
    for function in (fastconv.signal.convolve, fastconv.signal.fftconvolve):
        spoilt = function(a, b)
        seen = np.zeros(spoilt.size, bool)
        seen[size // 2 : size // 2 + taps] = True
        np.testing.assert_array_equal(~np.isfinite(spoilt), seen)
        scale = np.finfo(dtype).eps * 200 * np.linalg.norm(b) * np.sqrt(taps) * 4
        np.testing.assert_allclose(spoilt[~seen], clean[~seen], 0, scale)


@pytest.mark.parametrize("size", [9, 5000])
def test_kernels_that_are_not_finite(size, rng):
    """Beyond the ends of a line there is nothing that they would be multiplied with."""
    a, b = rng.standard_normal(size), np.array([1.0, np.inf, 2.0, np.nan])
    for mode in MODES:
        for name in ("correlate", "convolve"):
            expected = getattr(scipy.signal, name)(a, b, mode, "direct")
            actual = getattr(fastconv.signal, name)(a, b, mode)
            np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
            np.testing.assert_array_equal(np.isinf(actual), np.isinf(expected))
    h = np.array([1.0, np.nan])
    np.testing.assert_array_equal(
        np.isnan(fastconv.signal.upfirdn(h, a, 2)), np.isnan(scipy.signal.upfirdn(h, a, 2))
    )


def test_fft_warns_of_what_is_not_finite():
    a = np.ones(100)
    a[50] = np.nan
    with pytest.warns(RuntimeWarning, match="summed up directly"):
        result = fastconv.signal.convolve(a, np.ones(9), method="fft")
    assert np.count_nonzero(np.isnan(result)) == 9


# ---- What is behind -----------------------------------------------------------------


def test_choose_conv_method():
    choose = fastconv.signal.choose_conv_method
    large = np.ones((300, 300))
    assert choose(large, np.ones((3, 3))) == "direct"
    assert choose(large, large) == "fft"
    assert choose(large.astype("F"), large) == "fft"
    assert choose(large, large, "valid") == "direct"
    method, times = choose(np.ones(50), np.ones(3), measure=True)
    assert set(times) == {"direct", "fft"}
    assert method == min(times, key=times.get)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((50_000,), (2_000,)),
        ((400_000,), (30_000,)),
        ((300, 310), (120, 90)),
        ((8, 9_000), (8, 999)),
    ],
)
@pytest.mark.parametrize("dtype", "fD")
def test_same_bits_with_any_number_of_threads(first, second, dtype, rng):
    a, b = sample(rng, first, dtype), sample(rng, second, dtype)
    results = []
    for count in (1, 2, 5):
        with fastconv.num_threads(count):
            results.append(fastconv.signal.fftconvolve(a, b, axes=-1 if first[0] == 8 else None))
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


@pytest.mark.parametrize("size", [1, 7, 100, 3000])
@pytest.mark.parametrize("taps", [1, 2, 60, 700])
def test_windows_of_spectra(size, taps, rng):
    """Any part of the full convolution, in blocks or in one."""
    a, b = rng.standard_normal((2, size)), rng.standard_normal((1, taps))
    full = np.stack([np.convolve(line, b[0]) for line in a])
    for first in {0, taps // 2, size - 1}:
        for count in {1, size, size + taps - 1 - first}:
            if first + count > full.shape[1]:
                continue
            out = np.empty((2, count))
            assert overlap.convolve(a, b, out, (first,))
            scale = np.finfo(float).eps * 150 * np.linalg.norm(a) * np.linalg.norm(b)
            np.testing.assert_allclose(out, full[:, first : first + count], 0, scale)


def test_lines_beside_each_other(rng):
    """They share the calls of an FFT, which is worth fewer taps then."""
    window = (150,), (1000,)
    assert not sums.by_fft((1000,), (301,), *window, np.dtype(np.complex64))
    assert sums.by_fft((1000,), (301,), *window, np.dtype(np.complex64), 200)
    a, b = sample(rng, (200, 1000), "F"), sample(rng, (1, 301), "F")
    result = fastconv.signal.fftconvolve(a, b, "same", axes=1)
    scale = np.finfo("f").eps * 150 * np.linalg.norm(a[0]) * np.linalg.norm(b) * 2
    for row, line in zip(result, a, strict=True):
        expected = np.convolve(line.astype("D"), b[0], "same")
        np.testing.assert_allclose(row, expected, 0, scale)


@pytest.mark.parametrize("dtype", "fdFD")
@pytest.mark.parametrize(
    ("shape", "taps"), [((1030,), (1025,)), ((3, 900), (2, 898)), ((9, 4, 5, 6), (9, 4, 4, 5))]
)
def test_few_long_sums(shape, taps, dtype, rng):
    a, b = sample(rng, shape, dtype), sample(rng, taps, dtype)
    a.flat[0] = np.inf
    result = fastconv.signal.correlate(a, b, "valid")
    expected = scipy.signal.correlate(a.astype("D"), b.astype("D"), "valid", method="direct")
    assert result.dtype == dtype and result.shape == expected.shape
    with fastconv.num_threads(1):
        np.testing.assert_array_equal(result, fastconv.signal.correlate(a, b, "valid"))
    scale = np.finfo(dtype).eps * (math.prod(taps) + 4) * np.abs(b).sum() * np.abs(a[a < 1e9]).max()
    assert np.isfinite(result).sum() == result.size - 1
    np.testing.assert_allclose(result.flat[1:], expected.flat[1:], 0, scale)


@pytest.mark.parametrize("dtype", "fdFD")
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
@pytest.mark.parametrize("length", [1, 2, 7, 45, 64, 210, 1080])
def test_folded_lines(length, shape, dtype, rng):
    a, b = (
        sample(rng, (*shape, length - length // 3), dtype),
        sample(rng, (length // 3 + 1,), dtype),
    )
    folded = overlap._Folded(b, (length,))
    result = folded.through(a, (slice(None),))
    full = np.apply_along_axis(np.convolve, -1, a.astype("D"), b)
    assert result.dtype == dtype
    scale = np.finfo(dtype).eps * 10 * np.log2(2 * length) * np.linalg.norm(a) * np.linalg.norm(b)
    np.testing.assert_allclose(result, full, 0, scale)


@pytest.mark.parametrize("dtype", "fdFD")
@pytest.mark.parametrize(("size", "taps"), [(100_000, 30_000), (300_000, 70_000), (65_537, 65_536)])
def test_long_lines_are_folded(size, taps, dtype, rng):
    a, b = sample(rng, (size,), dtype), sample(rng, (taps,), dtype)
    assert overlap.plan((size,), (taps,), (0,), (size + taps - 1,), a.dtype)[2]
    expected = scipy.signal.fftconvolve(a.astype("D"), b.astype("D"))
    scale = np.finfo(dtype).eps * 200 * np.linalg.norm(a) * np.linalg.norm(b)
    for mode in ("full", "same", "valid"):
        result = fastconv.signal.fftconvolve(a, b, mode)
        assert result.dtype == dtype
        low = {"full": 0, "same": (taps - 1) // 2, "valid": taps - 1}[mode]
        np.testing.assert_allclose(result, expected[low : low + len(result)], 0, scale)
    a[size // 2] = np.nan
    assert not overlap.convolve(a, b, np.empty(size, dtype), (0,))


@pytest.mark.parametrize("up", [1, 2, 3, 6])
@pytest.mark.parametrize("down", [1, 2, 4, 5])
@pytest.mark.parametrize("taps", [1, 2, 9])
@pytest.mark.parametrize("rest", [(), (3,)])
def test_resampled_is_its_formula(up, down, taps, rest, rng):
    n, count = 11, 9
    x, h = rng.standard_normal((2, 1, n, *rest)), rng.standard_normal(taps)
    names = ("input", "weight", "bias")
    for offset in (-7, 0, 4):
        expected = np.zeros((2, 1, count, *rest))
        for m in range(count):
            for i in range(n):
                k = m * down + offset - i * up
                if 0 <= k < taps:
                    expected[:, :, m] += h[k] * x[:, :, i]
        parameters = (up, down, offset, count, "zeros")
        actual = call(problems.resampled, names, (x, h, None), parameters)
        np.testing.assert_allclose(actual, expected, 0, 1e-14 * (taps + 4))
        out = np.full((2, 1, count, *rest, 2), np.nan)[..., 0]
        call(problems.resampled, names, (x, h, None), parameters, out)
        np.testing.assert_array_equal(out, actual)


def test_originals_are_kept(monkeypatch):
    kept = original("scipy.signal", "correlate")
    monkeypatch.setattr(scipy.signal, "correlate", None)
    assert original("scipy.signal", "correlate") is kept


@pytest.mark.parametrize("name", ["signal", "resampling"])
def test_docstrings(name):
    failed, attempted = doctest.testmod(importlib.import_module(f"fastconv.{name}"))
    assert attempted
    assert not failed


def test_signatures_are_scipys():
    import inspect

    for name in fastconv.signal.__all__:
        if name == "sepfir2d":
            continue
        ours, theirs = (
            inspect.signature(getattr(module, name)) for module in (fastconv.signal, scipy.signal)
        )
        shared = list(ours.parameters.values())[: len(theirs.parameters)]
        for mine, their in zip(shared, theirs.parameters.values(), strict=True):
            assert (mine.name, mine.default) == (their.name, their.default)
