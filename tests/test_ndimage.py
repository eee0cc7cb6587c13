"""fastconv.ndimage against scipy.ndimage: each function, over all that it takes.

Integers must be SciPy's to the last bit, other results within the rounding that sums of so many
products of such a size may have.
"""

import inspect
import itertools
import math
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as scipys

import fastconv
from fastconv import filtering, ndimage, problems
from fastconv.arrays import call
from fastconv.originals import original

MODES = ["reflect", "constant", "nearest", "mirror", "wrap"]
GRID = ["grid-mirror", "grid-constant", "grid-wrap"]
INTEGERS = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
FLOATS = ["float32", "float64", "complex64", "complex128"]
SHAPES = [(17,), (9, 12), (5, 6, 7), (3, 4, 2, 5)]
RNG = np.random.default_rng(5333)

FEW = [name for name in vars(ndimage) if name.startswith("_FEW")]
#: Each function with arguments for any rank, and the sum of its absolute weights along an axis.
CALLS = {
    "correlate": (lambda rank: ([RNG.normal(size=(3, 4, 2, 3)[:rank])], {}), 4),
    "convolve": (lambda rank: ([RNG.normal(size=(3, 4, 2, 3)[:rank])], {}), 4),
    "correlate1d": (lambda rank: ([[0.3, -1.0, 2.5, 0.7]], {"axis": 0}), 5),
    "convolve1d": (lambda rank: ([[0.25, 0.5, 0.25]], {"axis": -1}), 5),
    "gaussian_filter": (lambda rank: ([1.2], {}), 1),
    "gaussian_filter1d": (lambda rank: ([0.8], {"axis": 0, "order": 1}), 2),
    "gaussian_laplace": (lambda rank: ([1.1], {}), 4),
    "gaussian_gradient_magnitude": (lambda rank: ([1.3], {}), 3),
    "uniform_filter": (lambda rank: ([3], {}), 1),
    "uniform_filter1d": (lambda rank: ([4], {"axis": 0}), 1),
    "prewitt": (lambda rank: ([], {"axis": 0}), 3),
    "sobel": (lambda rank: ([], {}), 4),
    "laplace": (lambda rank: ([], {}), 8),
}


@pytest.fixture(autouse=True, scope="module")
def few_are_enough():
    """Nothing is left to SciPy because it is small."""
    with pytest.MonkeyPatch.context() as patch:
        for few in FEW:
            patch.setattr(ndimage, few, -1)
        patch.setattr(filtering, "_WORTH", -1)
        yield


def sample(shape, dtype):
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return RNG.random(shape) < 0.5
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return RNG.integers(max(info.min, -(2**20)), min(info.max, 2**20), shape).astype(dtype)
    values = RNG.normal(size=shape)
    if dtype.kind == "c":
        values = values + 1j * RNG.normal(size=shape)
    return values.astype(dtype)


def both(name, array, *arguments, **options):
    """The results of both, or both errors; arrays of `output` are new for each."""
    results, warned = [], []
    for module in (scipys, ndimage):
        keywords = dict(options)
        given = array
        if isinstance(keywords.get("output"), str) and keywords["output"] == "alias":
            given = keywords["output"] = array.copy()
        elif isinstance(keywords.get("output"), np.ndarray):
            keywords["output"] = keywords["output"].copy()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                result = getattr(module, name)(given, *arguments, **keywords)
            except Exception as error:
                result = error
        if isinstance(keywords.get("output"), np.ndarray) and isinstance(result, np.ndarray):
            assert result is keywords["output"]
        results.append(result)
        warned.append({str(warning.message) for warning in caught})
    assert warned[1] <= warned[0]
    return results


def agree(name, array, *arguments, total=None, terms=None, **options):
    """Ours is SciPy's: the same integers, or numbers as near as rounding allows."""
    expected, actual = both(name, array, *arguments, **options)
    if isinstance(expected, Exception):
        assert type(actual) is type(expected), f"{actual!r}, not {expected!r}"
        assert str(actual) == str(expected)
        return None
    assert not isinstance(actual, Exception), repr(actual)
    assert type(actual) is np.ndarray
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    if actual.dtype.kind in "iub":
        # SciPy's bool may have other bytes than 0 and 1.
        np.testing.assert_array_equal(actual, expected.astype(actual.dtype))
        return actual
    narrow = np.float32 in (np.empty(0, d).real.dtype for d in (actual.dtype, array.dtype))
    total = CALLS[name][1] ** max(array.ndim, 1) if total is None else total
    terms = 60 if terms is None else terms
    largest = max(np.abs(array.astype(complex)).max(initial=0), abs(options.get("cval", 0)))
    eps = np.finfo(np.float32 if narrow else np.float64).eps
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=float(2 * eps * (terms + 4) * total * largest)
    )
    return actual


def arguments_of(name, rank):
    return CALLS[name][0](rank)


def test_everything_is_here():
    assert set(ndimage.__all__) == {*CALLS, "generic_laplace", "generic_gradient_magnitude"}
    for name in ndimage.__all__:
        ours, theirs = (inspect.signature(getattr(m, name)) for m in (ndimage, scipys))
        positional = [p for p in ours.parameters.values() if p.name != "dtype"]
        assert [(p.name, p.default, p.kind) for p in positional] == [
            (p.name, p.default, p.kind) for p in theirs.parameters.values()
        ]


@pytest.mark.parametrize("name", ndimage.__all__)
def test_docstrings(name):
    function = getattr(ndimage, name)
    text = inspect.getdoc(function)
    sections = dict(
        re.findall(r"^(\w[\w ]+)\n-{3,}\n(.*?)(?=^\w[\w ]+\n---|\Z)", text, re.M | re.S)
    )
    documented = re.findall(r"^([\w*][^:\n]*?)(?: :.*)?$", sections["Parameters"], re.M)
    documented = [each.strip(" *") for line in documented for each in line.split(",")]
    assert documented == list(inspect.signature(function).parameters)
    assert {"Returns", "Raises", "Examples"} <= set(sections)


@pytest.mark.parametrize("mode", MODES + GRID)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_modes(name, shape, mode):
    positional, options = arguments_of(name, len(shape))
    for dtype, cval in itertools.product(["float32", "float64", "uint8"], [0.0, 1.5]):
        agree(name, sample(shape, dtype), *positional, mode=mode, cval=cval, **options)


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
@pytest.mark.parametrize("name", CALLS)
def test_dtypes(name, dtype):
    for shape in SHAPES:
        positional, options = arguments_of(name, len(shape))
        array = sample(shape, dtype)
        agree(name, array, *positional, **options)
        agree(name, array.astype(array.dtype.newbyteorder()), *positional, **options)


@pytest.mark.parametrize("output", [*INTEGERS, *FLOATS, "float16", "longdouble", "object"])
@pytest.mark.parametrize("name", CALLS)
def test_output_dtypes(name, output):
    positional, options = arguments_of(name, 2)
    for dtype in ("bool", "uint8", "int16", "int64", "float32", "float64", "complex64"):
        array = sample((6, 7), dtype)
        for form in (np.dtype(output), output, np.dtype(output).type):
            agree(name, array, *positional, output=form, **options)


@pytest.mark.parametrize("name", CALLS)
def test_output_arrays(name):
    positional, options = arguments_of(name, 2)
    array = sample((6, 7), "float32")
    strided = np.zeros((12, 14), np.float32)[::2, ::-2]
    for output in (np.zeros((6, 7), np.float32), np.zeros((6, 7)), strided, np.zeros((7, 6))):
        agree(name, array, *positional, output=output, **options)
    fortran = np.zeros((6, 7), np.float32, order="F")
    assert getattr(ndimage, name)(array, *positional, output=fortran, **options) is fortran
    agree(name, array, *positional, output=fortran, **options)
    read_only = np.zeros((6, 7), np.float32)
    read_only.flags.writeable = False
    agree(name, array, *positional, output=read_only, **options)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float32", "float64", "complex64"])
def test_output_is_the_input(name, dtype):
    for shape in SHAPES:
        positional, options = arguments_of(name, len(shape))
        agree(name, sample(shape, dtype), *positional, output="alias", **options)


def test_output_overlaps_the_input():
    """SciPy is wrong there."""
    memory = sample((11, 12), "float64")
    expected = ndimage.gaussian_filter(memory[:-1].copy(), 1)
    assert np.array_equal(ndimage.gaussian_filter(memory[:-1], 1, output=memory[1:]), expected)
    weights = np.array([[1.0 + 2j, 3.0]])
    array = sample((6, 7), "complex128")
    expected = ndimage.correlate(array.copy(), weights)
    assert np.array_equal(ndimage.correlate(array, weights, output=array), expected)


@pytest.mark.parametrize("name", CALLS)
def test_views(name):
    positional, options = arguments_of(name, 3)
    for dtype in ("float32", "uint8", "complex64"):
        whole = sample((10, 12, 8), dtype)
        unaligned = np.frombuffer(b"x" + whole.tobytes(), dtype=np.uint8)[1:].view(dtype)
        read_only = whole.copy()
        read_only.flags.writeable = False
        for array in (
            whole[::2, ::-3], whole.T, np.asfortranarray(whole), whole[:, :1], read_only,
            np.broadcast_to(whole[:1], whole.shape), unaligned.reshape(whole.shape),
        ):  # fmt: skip
            agree(name, array, *positional, **options)
        agree(name, whole.tolist(), *positional, **options) if dtype == "uint8" else None


@pytest.mark.parametrize("name", CALLS)
def test_small_and_empty(name):
    for shape in [(), (1,), (1, 1), (1, 5), (5, 1, 2), (0,), (0, 3), (3, 0, 2)]:
        positional, options = arguments_of(name, max(len(shape), 1))
        for dtype in ("float32", "uint8", "complex128"):
            agree(name, sample(shape, dtype), *positional, **options)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int32"])
def test_larger_than_the_array(mode, dtype):
    array = sample((3, 4), dtype)
    agree("correlate", array, RNG.normal(size=(9, 14)), mode=mode, total=200, terms=126)
    agree("convolve1d", array, RNG.normal(size=31), mode=mode, total=60, terms=31)
    agree("gaussian_filter", array, 6, mode=mode)
    agree("uniform_filter", array, (20, 9), mode=mode)
    agree("uniform_filter1d", array, 500, mode=mode, cval=2.0, terms=500)


@pytest.mark.parametrize("name", ["correlate", "convolve"])
def test_origins_and_axes(name):
    array = sample((6, 7, 5), "float64")
    for shape in [(1, 2, 3), (4, 3, 2)]:
        weights = RNG.normal(size=shape)
        for origin in itertools.product((-2, -1, 0, 1), repeat=3):
            agree(name, array, weights, origin=origin)
    for axes in [(0,), (1,), (2, 0), (1, 2), (0, -1), 1, (), (1, 1), (3,), (1.0,), "x", (0, 1, 2)]:
        for rank in (1, 2):
            weights = RNG.normal(size=(3, 4)[:rank])
            agree(name, array, weights, axes=axes)
            agree(name, array, weights, axes=axes, origin=(-1, 1)[:rank], mode="constant", cval=1.0)
            agree(name, (40 * array).astype(np.int16), np.ones((3, 4)[:rank]), axes=axes)


@pytest.mark.parametrize("dtype", ["float64", "int16"])
def test_options_for_each_axis(dtype):
    array = (50 * sample((6, 7, 5), "float64")).astype(dtype)
    three = ["reflect", "wrap", "constant"]
    agree("gaussian_filter", array, (1.0, 0.0, 2.0), order=(0, 1, 2), mode=three, cval=2.0)
    agree("gaussian_filter", array, 2.0, radius=(1, 0, 3), mode="mirror")
    agree("gaussian_filter", array, [1.0, 2.0], axes=(2, 0), radius=[2, 3], mode=three[:2])
    agree("gaussian_filter", array, 1.0, truncate=1.5, axes=1)
    agree("gaussian_filter", array, 0.0)
    agree("gaussian_filter1d", array, 1.5, axis=1, order=3, radius=4, total=30)
    agree("gaussian_laplace", array, (1.0, 2.0), axes=(0, 2), mode=three[:2], truncate=2.0)
    agree("gaussian_gradient_magnitude", array, 1.0, axes=(0, 2), mode=three[:2], radius=2)
    agree("uniform_filter", array, (2, 1, 4), origin=(-1, 0, 1), mode=three, cval=2.0)
    agree("uniform_filter", array, (3, 4), axes=(-1, 0), origin=(1, -2))
    agree("uniform_filter1d", array, 5, axis=1, origin=-2, cval=3.0, mode="constant")
    for name in ("prewitt", "sobel"):
        agree(name, array, axis=1, mode=three, cval=2.0)
    agree("laplace", array, mode=three, cval=2.0)
    agree("laplace", array, axes=(0, 2), mode=three[:2])
    agree("laplace", array, axes=(1,), mode="constant", cval=2.0)


ERRORS = [
    ("correlate", ([[1.0]],), {"mode": "other"}),
    ("correlate", ([[1.0]],), {"mode": ["reflect", "wrap"]}),
    ("correlate", ([1.0, 2.0],), {}),
    ("correlate", (np.ones((0, 3)),), {}),
    ("correlate", (np.ones((3, 3)),), {"origin": 2}),
    ("correlate", (np.ones((3, 3)),), {"origin": (0, 1, 0)}),
    ("correlate", (np.ones((3, 3)),), {"origin": 0.5}),
    ("correlate", (np.ones((3, 3)),), {"cval": 1j}),
    ("correlate", (np.ones((3, 3)),), {"cval": "1"}),
    ("correlate", (np.ones((3, 3)) * 1j,), {"cval": 1j}),
    ("correlate", (np.ones((3, 3)) * 1j,), {"output": "float64"}),
    ("correlate", (np.ones((3, 3)) * 1j,), {"output": np.float64}),
    ("correlate", (np.ones((3, 3)),), {"output": "bool"}),
    ("correlate", (np.ones((3, 3)),), {"output": "nothing"}),
    ("correlate", (np.ones((3, 3)),), {"output": np.zeros((2, 2))}),
    ("correlate", (np.ones((3, 3)),), {"output": [[0.0]]}),
    ("convolve", ([["a"]],), {}),
    ("convolve", (np.ones((2, 2)),), {"origin": (0, 1)}),
    ("correlate1d", (1.0,), {}),
    ("correlate1d", ([],), {}),
    ("correlate1d", ([[1.0]],), {}),
    ("correlate1d", ([1.0, 2.0],), {"axis": 2}),
    ("correlate1d", ([1.0, 2.0],), {"axis": 0.5}),
    ("correlate1d", ([1.0, 2.0],), {"origin": 1}),
    ("correlate1d", ([1.0, 2.0],), {"mode": 3}),
    ("convolve1d", ([],), {}),
    ("convolve1d", ([1.0, 2.0],), {"origin": -2}),
    ("gaussian_filter1d", (-1.0,), {}),
    ("gaussian_filter1d", (1.0,), {"order": -1}),
    ("gaussian_filter1d", (1.0,), {"radius": -1}),
    ("gaussian_filter1d", (1.0,), {"radius": 1.5}),
    ("gaussian_filter1d", ("a",), {}),
    ("gaussian_filter1d", (0,), {}),
    ("gaussian_filter", ([1.0],), {}),
    ("gaussian_filter", (1.0,), {"axes": (0, 0)}),
    ("gaussian_filter", (1.0,), {"axes": 5}),
    ("gaussian_filter", (1.0,), {"axes": 1.5}),
    ("gaussian_filter", (1.0,), {"mode": ["wrap"]}),
    ("gaussian_filter", (1.0,), {"order": -1}),
    ("gaussian_laplace", ((1.0, 2.0, 3.0),), {}),
    ("gaussian_gradient_magnitude", ((1.0, 2.0, 3.0),), {}),
    ("uniform_filter1d", (0,), {}),
    ("uniform_filter1d", (3,), {"origin": 2}),
    ("uniform_filter1d", (2.5,), {}),
    ("uniform_filter", (3,), {"origin": -2}),
    ("uniform_filter", ((3, 3, 3),), {}),
    ("uniform_filter", (3,), {"mode": "other"}),
    ("sobel", (), {"axis": 2}),
    ("prewitt", (), {"mode": "other"}),
    ("prewitt", (), {"mode": ["wrap"] * 3}),
    ("laplace", (), {"mode": ["wrap"] * 3}),
    ("laplace", (), {"axes": 7}),
    ("laplace", (), {"output": "nothing"}),
]


@pytest.mark.parametrize(("name", "positional", "options"), ERRORS)
def test_errors(name, positional, options):
    for dtype in ("float32", "uint8"):
        agree(name, sample((5, 6), dtype), *positional, **options, total=100)


@pytest.mark.parametrize("dtype", ["float16", "longdouble", "clongdouble", "object", "U1", "M8[s]"])
@pytest.mark.parametrize("name", CALLS)
def test_other_dtypes_are_scipys(name, dtype):
    positional, options = arguments_of(name, 2)
    array = np.zeros((5, 6)).astype("U1").astype(dtype) if dtype == "U1" else np.ones((5, 6))
    array = array.astype(dtype)
    expected, actual = both(name, array, *positional, **options)
    assert type(actual) is type(expected)
    assert not isinstance(expected, np.ndarray) or np.array_equal(actual, expected)


def test_accumulators():
    array = sample((40, 50), "float32")
    weights = RNG.normal(size=(7, 7))
    exact = scipys.correlate(array.astype(np.float64), weights)
    single, double = (ndimage.correlate(array, weights, dtype=d) for d in (None, np.float64))
    assert single.dtype == double.dtype == np.float32
    assert np.array_equal(double, exact.astype(np.float32))
    assert not np.array_equal(single, double)
    wide = ndimage.correlate(array, weights, output=np.float64, dtype=np.float32)
    assert wide.dtype == np.float64
    assert np.array_equal(wide, single)
    for name, (arguments, _) in CALLS.items():
        positional, options = arguments(2)
        result = getattr(ndimage, name)(array, *positional, dtype="float64", **options)
        assert result.dtype == np.float32
        expected = getattr(scipys, name)(array.astype(np.float64), *positional, **options)
        np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)
        with pytest.raises(TypeError, match="dtype must be float32 or float64"):
            getattr(ndimage, name)(array, *positional, dtype=np.int32, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_where_it_is(dtype, value):
    array = sample((20, 24), dtype)
    array[9, 13] = value
    cross = np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    cases = [
        ("correlate", cross), ("correlate", np.diag([1.0, 0.0, 2.0])), ("correlate", [[0, 0, 3.0]]),
        ("correlate", np.pad(cross, 12)), ("convolve", np.ones((5, 5))), ("convolve", cross * 1j),
        ("correlate", np.zeros((3, 3))), ("correlate1d", [1.0, 0.0, -1.0]),
        ("gaussian_filter", 1.0), ("sobel",), ("prewitt", 0), ("laplace",),
    ]  # fmt: skip
    for name, *positional in cases:
        with np.errstate(invalid="ignore"):
            expected = getattr(scipys, name)(array, *positional)
            actual = getattr(ndimage, name)(array, *positional)
        finite = np.isfinite(expected)
        assert np.array_equal(finite, np.isfinite(actual))
        assert np.array_equal(np.isnan(expected), np.isnan(actual))
        np.testing.assert_allclose(actual[finite], expected[finite], rtol=0, atol=1e-4)
    for size in (3, 25, 150):
        actual = ndimage.uniform_filter1d(np.repeat(array, 20, axis=1), size, axis=1)
        assert np.isfinite(np.delete(actual, 9, axis=0)).all()
        assert np.count_nonzero(~np.isfinite(actual[9])) == min(size + 19, 480)
    for size, end in itertools.product((4, 98, 101, 151), (0, -1)):
        line = np.ones(400, dtype)
        line[end] = value
        actual = ndimage.uniform_filter1d(line, size, mode="constant")
        reached = size - size // 2 if end else size // 2 + 1
        assert np.count_nonzero(~np.isfinite(actual)) == reached


@pytest.mark.parametrize("cval", [np.nan, np.inf, 1e300, True, np.float32(2), np.int8(3)])
def test_odd_constants(cval):
    for dtype in ("float32", "float64", "uint8"):
        for name in ("correlate", "gaussian_filter", "uniform_filter", "laplace"):
            positional, _ = arguments_of(name, 2)
            expected, actual = both(
                name, sample((6, 7), dtype), *positional, mode="constant", cval=cval
            )
            if abs(cval) < 10 and dtype != "uint8":
                np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)
            elif dtype == "uint8" or not np.isfinite(cval):
                np.testing.assert_array_equal(actual, expected)


def steps(shape):
    """Areas of one brightness, as pictures have them: sums there are close to integers."""
    coarse = RNG.integers(0, 256, [-(-n // 16) for n in shape]).astype(np.uint8)
    for axis in range(len(shape)):
        coarse = np.repeat(coarse, 16, axis)
    return coarse[tuple(slice(n) for n in shape)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32", "int64"])
def test_integers_are_rounded_as_by_scipy(dtype, mode):
    flat = np.full((40, 44), 100).astype(dtype)
    noise = RNG.integers(0, 120, (70, 90)).astype(dtype)
    for array in (flat, steps((70, 90)).astype(dtype), noise, noise[::-1, ::2]):
        for sigma in (0.6, 1.0, 2.0, 3.3):
            agree("gaussian_filter", array, sigma, mode=mode, cval=37.0)
            agree("gaussian_filter1d", array, sigma, axis=0, order=2, mode=mode)
        for size in (2, 3, 4, 7, 16):
            agree("uniform_filter", array, size, mode=mode, cval=11.5)
            agree("correlate", array, np.full((size, 3), 1 / size / 3), mode=mode, cval=2.5)
            agree("correlate1d", array, np.full(size, 1 / size), mode=mode, cval=3.0)
        agree("convolve", array, np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256, mode=mode)
        agree("convolve", array, np.outer([1, 4, 6, 4, 1], [2, 8, -6, 8, 2]), mode=mode)
        agree("correlate", array, RNG.integers(-9, 9, (3, 5)), mode=mode, cval=1.0)
        agree("correlate", array, RNG.normal(size=(5, 5)), output=np.int32, mode=mode)
        agree("sobel", array, mode=mode)
        agree("laplace", array, mode=mode, output=np.int16)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize("axis", [0, 1])
def test_means_of_small_integers_up_to_where_single_precision_ends(dtype, axis):
    info = np.iinfo(dtype)
    largest = max(-info.min, info.max)
    last = ((1 << 22) - 1) // largest
    for size in (2, 3, 16, 31, last - 1, last, last + 1):
        noise = RNG.integers(info.min, info.max, (20, size + 9), dtype, endpoint=True)
        # Sums that are multiples of the size, and one less and one more.
        for array in (noise, noise * 0 + info.max, noise * 0 + info.min):
            array[5, size // 2] = info.max - 1
            array[6, size // 2] = info.min + 1
            lines = array.T.copy() if axis == 0 else array
            for cval in (0, 3, 2.5):
                options = {"axis": axis, "mode": "constant", "cval": cval}
                np.testing.assert_array_equal(
                    ndimage.uniform_filter1d(lines, size, **options),
                    scipys.uniform_filter1d(lines, size, **options),
                )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32", "int64"])
@pytest.mark.parametrize(
    ("shape", "kernel"),
    [
        ((40, 37), (3, 3)),
        ((23, 19, 3), (3, 3, 1)),
        ((23, 35, 3), (2, 3, 3)),
        ((5, 1100), (2, 4)),
        ((37, 150), (7, 5)),
        ((6, 18, 31), (3, 4, 3)),
        ((4, 3, 5, 6), (2, 1, 3, 2)),
    ],
    ids=str,
)
def test_kernels_of_integers_are_summed_up_as_by_scipy(shape, kernel, dtype, mode, monkeypatch):
    """Even where all that it takes to be another integer is another order, and none by SciPy."""
    monkeypatch.setattr(ndimage, "_scipy", None)
    flat = np.full(shape, 200 if dtype != "int8" else -77).astype(dtype)
    weights = RNG.normal(size=kernel)
    weights[RNG.random(kernel) < 0.3] = 0
    weights.flat[0] = 1 / 3
    sparse = np.where(RNG.random(kernel) < 0.8, 0, weights)
    sparse.flat[-1] = 0.7
    for array in (sample(shape, dtype), flat, flat[..., ::-1]):
        agree("correlate", array, np.full(kernel, 1 / math.prod(kernel)), mode=mode, cval=3.0)
        agree("convolve", array, weights, mode=mode, cval=-2.5)
        agree("correlate", array, sparse, mode=mode, cval=100.0)
        with fastconv.num_threads(3):
            agree("correlate", array, weights, mode=mode, output="int32")


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
def test_sums_next_to_integers(dtype, threads):
    """Where fast sums do not tell, and where they had better not be tried."""
    info = np.iinfo(dtype)
    shape = (45, 210)
    noise = RNG.integers(info.min, info.max, shape, dtype, endpoint=True)
    mask = np.where(np.kron(noise[:9, :21] > noise[0, 0], np.ones((5, 10), bool)), info.max, 0)
    ramp = np.add.outer(np.arange(shape[0]), np.arange(shape[1])) // 3
    bars = np.repeat(noise[:, :7], 30, 1)
    arrays = [a.astype(dtype) for a in (noise, mask, ramp, bars, bars.T[:, :40], noise * 0 + 77)]
    line = RNG.normal(size=7)
    lines = [
        np.full(3, 1 / 3), np.full(10, 0.1), np.array([0.25, 0.5, 0.25]) / 3, line,
        line - line[::-1], RNG.random(60), line * 2.0**60, line * 2.0**-60, line * 0,
    ]  # fmt: skip
    # Up to where units of sums are whole numbers, and beyond.
    largest = max(info.max, -info.min)
    lines += [line * (bound / largest / np.abs(line).sum()) for bound in (4e6, 4.3e6)]
    with fastconv.num_threads(threads):
        for array in arrays:
            for weights in lines:
                for axis in (0, 1):
                    options = {"axis": axis, "output": "int64", "mode": "constant", "cval": 9.0}
                    agree("correlate1d", array, weights, **options)
                agree("correlate", array, np.outer(weights[:9], [0.3, 0.1, 0.6]), output="int32")
            agree("gaussian_filter", array, 1.5)


@pytest.mark.parametrize("taps", [1, 2, 9, 25, 100, 400])
@pytest.mark.parametrize("largest", [255, 65535])
def test_how_far_fast_sums_are_off(taps, largest):
    """Weights and sums are rounded, by no more than is assumed, and in no way that is not."""
    found = 0
    for weights in (RNG.random(taps), RNG.normal(size=taps), 4.0 ** -np.arange(taps)):
        weights /= np.abs(weights).sum()
        array = RNG.integers(0, largest, (taps, 5000), endpoint=True)
        array[:, ::2] = np.where(weights > 0, largest, 0)[:, None]
        for symmetry in (0, -1):
            parts, halves, bits, doubt = filtering._fast_line(weights.tobytes(), symmetry, largest)
            if parts is None:
                continue
            found += 1
            count = taps // 2 + 1 if symmetry else taps
            parts = parts.reshape(count, -1)
            exact = np.ldexp(weights[:count] @ array[:count], bits)
            sums = np.zeros((parts.shape[1], 5000), np.float32)
            for x, w in zip(array.astype(np.float32), parts, strict=False):
                sums += x * w[:, None]
            assert np.abs(sums.sum(0, dtype=np.float64) - exact).max() <= doubt / 2 - 2
            if halves:
                heads = parts[:, 0].astype(np.float64)
                assert (sums[0] == heads @ array[:count]).all()
    assert found or taps * largest > 1 << 24


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32"])
@pytest.mark.parametrize("parts", [2, 16, 256, 512])
def test_fractions_of_a_power_of_two(dtype, parts):
    array = sample((60, 70), dtype)
    outer = np.outer([1, 2, 3, 2, 1], [1, -2, 4, 3, 1]) / parts
    for weights in (outer, RNG.integers(-9, 9, (3, 4)) / parts):
        agree("correlate", array, weights, mode="constant", cval=1 / parts)
        agree("correlate1d", array, weights[1], mode="mirror")
    agree("sobel", array)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32", "float64"])
@pytest.mark.parametrize("mode", ["reflect", "constant", "wrap"])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [((33, 41, 3), (0, 1)), ((3, 33, 41), (1, 2)), ((33, 3, 41), (0, 2)), ((41, 2), (0,))],
    ids=str,
)
def test_colours(shape, axes, mode, dtype):
    """Images side by side in one array, wherever their axis is."""
    array = sample(shape, dtype)
    for image in (array, array[::-1, ::2], np.asfortranarray(array)):
        for cval in (0.0, 2.0):
            agree("gaussian_filter", image, 1.5, axes=axes, mode=mode, cval=cval)
            agree("uniform_filter", image, 5, axes=axes, mode=mode, cval=cval)
        agree("sobel", image, axes[-1], mode=mode)
        agree("gaussian_filter1d", image, 1.5, axes[-1], mode=mode)
        kernel = np.expand_dims(
            RNG.normal(size=(3,) * len(axes)), [a for a in range(image.ndim) if a not in axes]
        )
        agree("correlate", image, kernel, mode=mode)


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_large_integer_images(dtype):
    array = np.concatenate([steps((300, 400)), RNG.integers(0, 256, (60, 400))]).astype(dtype)
    agree("gaussian_filter", array, 2.5)
    agree("correlate", array, np.full((5, 5), 0.04))
    agree("convolve", array, np.outer(range(1, 8), range(2, 9)))
    agree("convolve", array, np.multiply.outer(range(1, 8), [3, -6, 9, 1, 3, 3, 3]))
    agree("uniform_filter", array, 15)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32", "uint64"])
@pytest.mark.parametrize("output", [None, "int16", "int64", "uint32"])
def test_second_derivatives_that_wrap_around(dtype, output):
    info = np.iinfo(dtype)
    for part in (64, 1):
        array = RNG.integers(info.min // part, info.max // part, (30, 31), dtype, endpoint=True)
        agree("laplace", array, output=output, mode="constant", cval=3.0)


def test_integers_that_floats_do_not_hold():
    array = RNG.integers(-(2**62), 2**62, (9, 11))
    agree("correlate", array, np.ones((3, 3)))
    agree("correlate1d", array, [1, 2, 1])
    agree("sobel", array)
    agree("laplace", array)
    agree("gaussian_filter", array, 1.0)


def test_kernels_that_are_outer_products():
    array = sample((90, 100), "float64")
    column, row = RNG.normal(size=9), RNG.normal(size=11)
    kernel = np.multiply.outer(column, row)
    assert set(filtering._factors(kernel, [0, 1])) == {0, 1}
    agree("correlate", array, kernel, total=np.abs(kernel).sum(), terms=99)
    agree("convolve", array, kernel, total=np.abs(kernel).sum(), terms=99, origin=(2, -3))
    agree("correlate", array, kernel, mode="constant", cval=3.0, total=np.abs(kernel).sum())
    other = kernel.copy()
    other[3, 4] *= 1 + 1e-14
    assert filtering._factors(other, [0, 1]) is None
    integers = np.multiply.outer([2, 4, -6, 8, 2], np.multiply.outer([3, 9, 6], [5, 1, 1, 5]))
    factors = filtering._integer_factors(integers.astype(float))
    product = np.multiply.outer(np.multiply.outer(factors[0], factors[1]), factors[2])
    assert np.array_equal(product, integers)
    integers[1, 1, 1] += 1
    assert filtering._integer_factors(integers.astype(float)) is None
    volume = sample((24, 25, 26), "float32")
    kernel = np.multiply.outer(np.multiply.outer(column[:5], row[:5]), column[3:8])
    agree("correlate", volume, kernel, total=np.abs(kernel).sum(), terms=125)


def test_large_kernels():
    """Those that go through FFTs, and sparse ones."""
    array = sample((150, 160), "float32")
    disk = (np.hypot(*np.ogrid[-30:31, -30:31]) <= 30) / 2000.0
    agree("correlate", array, disk, total=2, terms=100)
    array[70, 70] = np.nan
    expected, actual = both("correlate", array, disk)
    assert np.array_equal(np.isnan(expected), np.isnan(actual))


def test_long_windows():
    for dtype in ("float32", "float64", "complex64"):
        array = sample((13, 700), dtype)
        for size in (47, 64, 97, 150, 307, 1000):
            for axis, mode in itertools.product((0, 1), ("reflect", "wrap", "constant")):
                agree(
                    "uniform_filter1d", array, size, axis=axis, mode=mode, cval=1.0, total=2,
                    origin=3, terms=700,
                )  # fmt: skip
    # An exact sum: nothing is lost beside a large number that has left the window.
    line = np.ones(2000, np.float32)
    line[10] = 1e10
    result = ndimage.uniform_filter1d(line, 256)
    assert (result[300:1700] == 1).all()


def test_means_of_one_brightness():
    """Weights rounded to float32 have the sum that they are to have."""
    for sigma in (0.7, 1.0, 2.0, 5.0):
        weights = filtering.gaussian_weights(sigma, 0, int(4 * sigma + 0.5))
        single = filtering._single(weights.tobytes())
        assert abs(single.sum(dtype=np.float64) - 1) < 1e-8
        assert np.array_equal(single, single[::-1])
        assert (np.abs(single - weights) <= 2 * np.spacing(single)).all()


def test_generic_filters():
    array = sample((6, 7, 5), "float64")

    def derivative(input, axis, output, mode, cval, factor, *, more=0):
        return factor * ndimage.sobel(input, axis, output, mode, cval) + more

    for name in ("generic_laplace", "generic_gradient_magnitude"):
        for options in ({}, {"mode": ["wrap", "reflect", "nearest"]}, {"axes": (2, 0)}):
            options = {"extra_arguments": (2.0,), "extra_keywords": {"more": 1.0}, **options}
            agree(name, array, derivative, total=500, **options)
            agree(name, array, derivative, output="alias", total=5e3, **options)
            agree(
                name, array.astype(np.float32), derivative, output=np.float64, total=500, **options
            )
        agree(name, array, derivative, axes=(), total=1)
        agree(name, array, derivative, axes=(0, 0))
        agree(name, array, derivative, mode=["wrap"])
        agree(name, array, None)


CASES = st.tuples(
    st.sampled_from(sorted(CALLS)),
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.sampled_from(INTEGERS + FLOATS),
    st.sampled_from(MODES + GRID),
    st.sampled_from([0.0, 1.0, 2.5]),
    st.sampled_from([None, "alias", *FLOATS, "int16", "uint8"]),
    st.integers(0, 2**32 - 1),
)


@settings(max_examples=400)
@given(CASES)
def test_anything(case):
    global RNG
    name, shape, dtype, mode, cval, output, seed = case
    RNG = np.random.default_rng(seed)
    positional, options = arguments_of(name, len(shape))
    # What is known of the first calls is not of the others' numbers.
    for _ in range(4):
        array = sample(shape, dtype)
        agree(name, array, *positional, mode=mode, cval=cval, output=output, **options)


@pytest.mark.parametrize("name", CALLS)
def test_few_elements_are_scipys(name, monkeypatch):
    for few in FEW:
        monkeypatch.setattr(ndimage, few, 100)
    positional, options = arguments_of(name, 2)
    for dtype in ("float32", "uint8", "complex64"):
        array = sample((6, 7), dtype)
        expected, actual = both(name, array, *positional, **options)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)
        both(name, array, *positional, mode="other", **options)
    # SciPy's running sums would not be finite again.
    for ends in ((np.nan, 0), (np.inf, -np.inf), (3e38, 3e38)):
        line = np.ones(50, np.float32)
        line[:2] = ends
        assert (ndimage.uniform_filter1d(line, 3)[4:] == 1).all()


# ---- What the engine is told --------------------------------------------------------


@pytest.mark.parametrize("border", ["zeros", "reflect", "replicate", "circular", "symmetric"])
def test_lines_of_the_engine(border):
    (mode,) = (mode for mode in MODES if ndimage._BORDERS[mode] == border)
    volume = sample((5, 6, 7), "float64")
    weights = [RNG.normal(size=k) for k in (3, 4, 9)]
    pads = ((1, 1), (2, 1), (4, 4))
    expected = volume
    for axis, each in enumerate(weights):
        expected = scipys.correlate1d(expected, each, axis, mode=mode)
    names = ("input", "weight0", "weight1", "weight2")
    result = call(problems.lines, names, (volume, *weights), (pads, border))
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-11)
    for axis in range(3):
        result = call(
            problems.line, ("input", "weight"), (volume, weights[1]), (axis, 2, 1, border)
        )
        expected = scipys.correlate1d(volume, weights[1], axis, mode=mode)
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-11)


def test_originals():
    assert original("scipy.ndimage", "sobel") is original("scipy.ndimage", "sobel")
    assert original("scipy.ndimage", "sobel").__module__.startswith("scipy.")


# ---- Running means ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32", "int64", "uint64"])
@pytest.mark.parametrize("mode", ["reflect", "constant", "nearest", "mirror", "wrap"])
def test_running_means_of_integers_are_those_of_scipy(rng, dtype, mode):
    border = ndimage._BORDERS[mode]
    least = -100 if np.dtype(dtype).kind == "i" else 0
    for shape in ((700,), (37, 150), (300, 5), (3, 70, 20), (2, 3, 4, 9)):
        array = rng.integers(least, 100, shape).astype(dtype)
        for axis in range(len(shape)):
            for size in (1, 2, 7, 64, 201):
                out = np.empty_like(array)
                pads = (size // 2, size - 1 - size // 2)
                work = filtering.Lines(axis, size, pads, border, 2.5, out.dtype)
                assert filtering.done(work, array, out)
                expected = scipys.uniform_filter1d(array, size, axis, mode=mode, cval=2.5)
                np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", ["reflect", "constant", "nearest", "mirror", "wrap"])
def test_running_means_of_short_rows(dtype, mode):
    """Windows may be longer than rows, whose borders then repeat them."""
    for shape in ((5, 24), (9, 3), (3, 7, 401), (1, 1)):
        for size in (16, 35, 110, 111, 400):
            options = {"mode": mode, "cval": 2.5, "origin": 4, "total": 2, "terms": size + 400}
            agree("uniform_filter1d", sample(shape, dtype), size, **options)
            agree("uniform_filter1d", sample(shape, dtype)[..., ::-2], size, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 3])
def test_running_means_of_floats(rng, dtype, threads):
    for shape in ((1 << 17, 40), (40, 1 << 17), (9, 1 << 14, 36)):
        array = rng.random(shape).astype(dtype)
        for axis in range(len(shape)):
            with fastconv.num_threads(threads):
                actual = ndimage.uniform_filter1d(array, 31, axis)
            expected = scipys.uniform_filter1d(array.astype(float), 31, axis)
            allowed = 4 * np.finfo(dtype).eps + shape[axis] * 2.3e-16
            assert actual.dtype == dtype
            assert abs(actual - expected).max() <= allowed


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "float32", "float64"])
@pytest.mark.parametrize("mode", ["reflect", "constant", "nearest", "mirror", "wrap"])
@pytest.mark.parametrize("sizes", [(3, 4), (31, 9), (60, 50), (1, 63)])
def test_means_of_planes(rng, dtype, mode, sizes):
    """Both passes at once: blocks of rows, bands and pieces, and what is left of them."""
    for shape in ((150, 131), (7, 2), (1, 1), (2, 67, 260)):
        array = (rng.random(shape) * 100 - 50).astype(dtype)
        border = ndimage._BORDERS[mode]
        pads = [(n // 2, n - 1 - n // 2) for n in sizes]
        axes = (len(shape) - 2, len(shape) - 1)
        passes = [
            (axis, filtering.box_weights(n), around, border)
            for axis, n, around in zip(axes, sizes, pads, strict=True)
        ]
        outs = []
        for threads in (1, 3):
            outs.append(np.empty(shape, dtype))
            with fastconv.num_threads(threads):
                assert filtering.planes(array, passes, 5.0, outs[-1])
        assert outs[0].tobytes() == outs[1].tobytes()
        wide = array.astype(float) if array.dtype.kind == "f" else array
        expected = scipys.uniform_filter(wide, (1,) * (len(shape) - 2) + sizes, mode=mode, cval=5)
        allowed = 400 * np.finfo(dtype).eps if array.dtype.kind == "f" else 0
        assert abs(outs[0] - expected.astype(float)).max() <= allowed


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_long_means_of_views(rng, dtype):
    """Elements that are not side by side, nor whole in memory, are not taken for such."""
    size = 350 * 500 * np.dtype(dtype).itemsize
    array = np.zeros(size + 1, np.uint8)[1:].view(dtype).reshape(350, 500)
    array[...] = rng.random(array.shape) * 100
    allowed = {"float32": 1e-4, "float64": 1e-12}.get(dtype, 0)
    repeated = np.broadcast_to(array[:1], array.shape)
    for view in (array, array[:, ::3], array[::-1, ::-1], array.T, repeated, array[:, ::100]):
        plain = view.astype(float) if allowed else view.copy()
        for axis in (0, 1):
            expected = scipys.uniform_filter1d(plain, 45, axis)
            actual = ndimage.uniform_filter1d(view, 45, axis)
            assert abs(actual - expected.astype(float)).max() <= allowed
        expected = scipys.uniform_filter(plain, (31, 33)).astype(float)
        assert abs(ndimage.uniform_filter(view, (31, 33)) - expected).max() <= allowed


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize("cval", [300.0, -5.0, 255.0, 256.0, -129.0, 70000.0, -40000.0, 2.5])
def test_constants_that_the_dtype_does_not_hold(rng, dtype, cval):
    info = np.iinfo(dtype)
    array = rng.integers(info.min, info.max, (3, 40, 70), dtype, endpoint=True)
    options = {"mode": "constant", "cval": cval}
    for size in (3, 9, 31):
        agree("uniform_filter", array, size, axes=(1, 2), **options)
        agree("gaussian_filter", array, size / 9, axes=(1, 2), **options)
        agree("correlate", array[0], np.full((3, size), 0.3 / size), **options)


def test_means_of_planes_that_are_not_finite(rng):
    array = rng.random((600, 700))
    array[200, 300] = np.nan
    array[400, 500] = np.inf
    spoilt = ~np.isfinite(ndimage.uniform_filter(array, 51))
    assert spoilt.sum() == 2 * 51**2
    assert spoilt[200, 300] and spoilt[400, 500]
    out = np.empty_like(array)
    assert np.shares_memory(ndimage.uniform_filter(rng.random(array.shape), 51, out), out)
    assert np.isfinite(out).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_running_means_stop_at_what_is_not_finite(rng, axis):
    array = rng.random((600, 700))
    array[200, 300] = np.nan
    spoilt = np.isnan(ndimage.uniform_filter1d(array, 51, axis))
    assert spoilt.sum() == 51
    assert spoilt.any(axis=axis).sum() == 1


@pytest.mark.parametrize("size", [2, 3, 8, 9, 31, 186, 255, 257, 258])
@pytest.mark.parametrize(("mode", "cval"), [("reflect", 0), ("constant", 7), ("constant", 7.5)])
def test_means_of_bytes(size, mode, cval):
    # 16 bits hold sums of 257, and not all divisions by more than 185 are exact in them.
    bytes_ = np.random.default_rng(size).integers(0, 256, (150, 1100), dtype=np.uint8)
    bytes_[:, 550:] = 255
    options = {"mode": mode, "cval": cval}
    for array in (bytes_, bytes_.T, bytes_[::-1, ::2]):
        expected = scipys.uniform_filter(array, size, **options)
        np.testing.assert_array_equal(ndimage.uniform_filter(array, size, **options), expected)
        for axis in (0, 1):
            expected = scipys.uniform_filter1d(array, size, axis, **options)
            result = ndimage.uniform_filter1d(array, size, axis, **options)
            np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int16, np.int32])
@pytest.mark.parametrize(
    ("name", "arguments", "others"),
    [
        ("correlate", (np.ones((5, 5)) + np.eye(5),), (np.ones((5, 5)) - np.eye(5),)),
        ("convolve", (np.diag([1.0, 0.0, 3.0]),), (np.diag([2.0, 0.0, 3.0]),)),
        ("correlate1d", ([1.0, 2.0, 4.0], 0), ([1.0, 2.0, 4.0], 1)),
        ("gaussian_filter", (1.5,), (1.5, (0, 1))),
        ("gaussian_filter1d", (2.0, 0), (2.0, 1)),
        ("uniform_filter", (3,), ((3, 5),)),
        ("sobel", (0,), (1,)), ("prewitt", (-1,), (0,)),
        ("laplace", (None, "wrap"), (None, "nearest")),
    ],
)  # fmt: skip
def test_calls_like_one_before(name, arguments, others, dtype):
    """What is remembered of a call is not of its numbers, nor of another call."""
    function, expected = getattr(ndimage, name), getattr(scipys, name)
    first, second = sample((70, 90), dtype), sample((70, 90), dtype)[::-1] * 2
    eps = np.finfo(dtype).eps if np.dtype(dtype).kind == "f" else 0
    scale = 4000 * eps * np.abs(first.astype(float)).max()
    for array, values in itertools.product((first, second, first.T, second.T), (arguments, others)):
        wanted = expected(array, *values)
        for _ in range(2):
            np.testing.assert_allclose(function(array, *values), wanted, 0, scale)
        for out in (np.zeros(array.shape, dtype), np.zeros(array.shape, dtype, "F"), array.copy()):
            if name == "laplace":
                result = function(array, out, *values[1:])
            else:
                result = function(array, *values, output=out)
            assert result is out
            np.testing.assert_allclose(result, wanted, 0, scale)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "int64"])
def test_weights_that_change_after_a_call(dtype):
    """What is known of a call is not the caller's."""
    line, kernel = np.array([1.0, 2.0, 4.0]), np.arange(1.0, 10.0).reshape(3, 3)
    array = sample((20, 30), dtype)
    for function, weights in ((ndimage.correlate1d, line), (ndimage.convolve, kernel)):
        for _ in range(3):
            expected = function(array, weights)
        same = weights.copy()
        weights[...] = 0
        assert not function(array, weights).any()
        np.testing.assert_array_equal(function(array, same), expected)


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64"])
def test_integers_larger_than_those_before(dtype):
    """Sums of small integers are exact in single precision, those of larger ones are not."""
    kernel = np.arange(1.0, 10.0).reshape(3, 3)
    for size in (7, 60):
        ones = np.arange(size * size).reshape(size, size).astype(dtype)
        for factor in (1, 1, 1, 3, 1 << 16, 1, 1 << 16):
            array = ones * np.dtype(dtype).type(factor)
            for name, arguments in (("correlate", (kernel,)), ("gaussian_filter", (1.5,))):
                expected, actual = both(name, array, *arguments)
                np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("axis", [0, 1])
def test_running_means_of_one_element_that_is_not_finite(axis):
    array = np.full((1, 1), np.inf, np.float32)
    np.testing.assert_array_equal(ndimage.uniform_filter1d(array, 64, axis, mode="wrap"), array)


def test_running_means_that_are_not_finite_after_those_that_are():
    line = np.ones(1000)
    for _ in range(3):
        ndimage.uniform_filter1d(line, 101)
    line[500] = np.nan
    np.testing.assert_array_equal(
        np.isnan(ndimage.uniform_filter1d(line, 101)), abs(np.arange(1000) - 500) <= 50
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "int32", "complex64"])
@pytest.mark.parametrize("size", [30, 64, 101, 1000])
def test_single_lines_in_stretches(dtype, size):
    """Whoever computes them, and wherever one ends."""
    for n in (255, 256, 513, 4 * size + 3, 40_000, 70_001):
        line = sample((n,), dtype)
        expected, actual = both("uniform_filter1d", line, size, mode="mirror")
        if actual.dtype.kind == "i":
            np.testing.assert_array_equal(actual, expected)
        else:
            allowed = (8 * np.finfo(dtype).eps + n * 2.3e-16) * np.abs(line).max()
            np.testing.assert_allclose(actual, expected, 0, allowed)
        for threads in (1, 3):
            with fastconv.num_threads(threads):
                again = ndimage.uniform_filter1d(line, size, mode="mirror")
            np.testing.assert_array_equal(again, actual)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32"])
def test_kernels_go_in_bands_whatever_is_stored(dtype):
    kernel = np.arange(49.0).reshape(7, 7) % 5 + 1
    array = sample((90, 300), dtype)
    assert "bands" in fastconv.explain(ndimage.correlate, array, kernel).method
    expected, actual = both("correlate", array, kernel)
    np.testing.assert_array_equal(actual, expected)


def test_one_tap_on_many_integers():
    array = sample((70_000,), "int16")
    expected, actual = both("correlate", array, [3.0])
    np.testing.assert_array_equal(actual, expected)


def test_a_call_like_one_before_but_for_a_type():
    image = sample((60, 60), np.float32)
    ndimage.gaussian_filter(image, 1.0, radius=(2, 2))
    for radius in ((2.0, 2.0), 2.0):
        with pytest.raises(ValueError, match="Radius must be a nonnegative integer"):
            ndimage.gaussian_filter(image, 1.0, radius=radius)
