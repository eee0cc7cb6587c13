"""Denormal numbers: zero in every method and thread, within docs/accuracy.md, and only in there."""

import platform

import numpy as np
import pytest
import scipy.fft

import fastconv
import oracle
from samples import DTYPES, EVERY_PROBLEM, noise

each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_method = pytest.mark.parametrize("method", ["direct", "winograd", "fft"])

#: Of every way that kernels have: register tiles, bands, swapped, parts, in place, to one channel.
GEOMETRIES = [
    ((2, 4, 30, 31), (6, 4, 3, 3), {"padding": 1}),
    ((1, 2, 40, 41), (1, 2, 3, 3), {}),
    ((1, 96, 7, 7), (70, 96, 3, 3), {"padding": 1}),
    ((2, 64, 9, 9), (6, 64, 3, 3), {"padding": 6, "dilation": 6}),
    ((1, 12, 30, 30), (12, 1, 3, 3), {"groups": 12}),
    ((1, 9, 60, 90), (1, 9, 1, 1), {}),
]
each_geometry = pytest.mark.parametrize(("input", "weight", "options"), GEOMETRIES, ids=str)


def around_the_smallest(rng, *shape, dtype):
    """Numbers of both signs, denormal or not, from far below the smallest normal one to above."""
    tiny = np.finfo(dtype).tiny.astype(np.float64)
    scales = 2.0 ** rng.integers(-10, 11, shape)
    # Without arithmetic on the way: 2 ** -1022 times a fraction is rounded, not flushed.
    return (rng.standard_normal(shape) * scales * tiny).astype(dtype)


def bits(array):
    return array.view(f"i{array.itemsize}")


def possible(method, weight):
    return method != "winograd" or weight[-1] == 3


# What is zero


@each_dtype
@each_method
@each_geometry
@pytest.mark.parametrize("denormal", ["input", "weight", "bias"])
def test_operands(denormal, input, weight, options, method, dtype):
    """As large as denormals are, and what they meet so large that the products would be normal."""
    if not possible(method, weight):
        return
    largest = np.nextafter(np.finfo(dtype).tiny, dtype(0))
    assert largest > 0
    other = {"input": "weight", "weight": "input", "bias": ""}[denormal]
    values = {other: 2.0**20, denormal: largest}
    shapes = {"input": input, "weight": weight, "bias": weight[:1]}
    operands = [np.full(shape, values.get(name, 0), dtype) for name, shape in shapes.items()]
    assert not fastconv.conv2d(*operands, method=method, **options).any()


@pytest.mark.parametrize("problem", **EVERY_PROBLEM)
@each_dtype
def test_every_function(rng, problem, dtype):
    """Nothing comes of denormal inputs, and nothing that comes out is denormal."""
    x, *weights, _ = problem.operands(rng, 2, 9, dtype=dtype)
    tiny = np.finfo(dtype).tiny
    function = getattr(fastconv, problem.name)
    assert not function(np.full_like(x, tiny / 2), *weights, **problem.options).any()
    y = function(around_the_smallest(rng, *x.shape, dtype=dtype), *weights, **problem.options)
    assert y.any() and not ((y != 0) & (np.abs(y) < tiny)).any()


@each_dtype
@each_method
def test_results(rng, dtype, method):
    """Factors that are normal, products around the smallest normal number."""
    tiny = np.finfo(dtype).tiny
    root = dtype(2.0 ** (np.log2(tiny) / 2))
    x = noise(rng, 1, 8, 20, 20, dtype=dtype) * root / 4
    w = noise(rng, 8, 8, 3, 3, dtype=dtype) * root / 4
    y = fastconv.conv2d(x, w, method=method)
    assert (y == 0).any() and not ((y != 0) & (np.abs(y) < tiny)).any()


@each_dtype
def test_the_smallest_normal_numbers_are_kept(dtype):
    x = np.arange(50, dtype=dtype).reshape(1, 1, 50) * np.finfo(dtype).tiny
    y = fastconv.conv1d(x, np.ones((1, 1, 3), dtype))
    np.testing.assert_array_equal(y, (x[..., :-2] + x[..., 1:-1]) + x[..., 2:])
    assert y.all()


def test_other_dtypes_have_other_denormals():
    """Computed in float64, a denormal of float32 is a number like any other, in a weight."""
    x, w = np.full((1, 1, 9), 2.0), np.full((1, 1, 3), 1e-40, np.float32)
    assert np.allclose(fastconv.conv1d(x, w), 6e-40, rtol=1e-5, atol=0)


@each_method
def test_an_input_of_another_dtype_is_read_as_it_is(method):
    x, w = np.full((1, 1, 9, 9), 1e-40, np.float32), np.full((1, 1, 3, 3), 2.0)
    assert not fastconv.conv2d(x, w, method=method).any()


# How much that changes


def rounding(method, x, w):
    """What docs/accuracy.md allows, in units of `eps`; a block being the whole image here."""
    if method == "direct":
        return (w[0].size + 4) * oracle.conv2d(np.abs(x), np.abs(w))
    if method == "winograd":
        return (w.shape[1] + 30) * 760 * (np.abs(x).max((0, 2, 3)) * np.abs(w).max((0, 2, 3))).sum()
    return (10 * np.log2(4 * x[0, 0].size) + w.shape[1]) * np.linalg.norm(x) * np.linalg.norm(w)


def flushing(method, x, w):
    """What it allows denormals to add, in units of the smallest normal number."""
    x, w = np.abs(x), np.abs(w)
    if method == "direct":
        ones = np.ones_like
        return oracle.conv2d(ones(x), w) + oracle.conv2d(x, ones(w)) + 2 * w[0].size + 1
    if method == "winograd":
        return 20_100 * (x.max((0, 2, 3)) + w.max((0, 2, 3)) + 1).sum()
    sums = x.sum() + w.sum((1, 2, 3)).max()
    return 16 * 4 * x[0, 0].size * (sums + w.shape[1])


@each_dtype
@each_method
@pytest.mark.parametrize("scale", [1.0, 2.0**-30, 2.0**60])
@pytest.mark.parametrize("small", ["input", "weight"])
def test_within_the_bound(rng, dtype, method, scale, small):
    """One operand around the smallest normal number, the other of one size."""
    around = around_the_smallest(rng, 1, 5, 24, 24, dtype=dtype)
    x, w = around, noise(rng, 6, 5, 3, 3, dtype=dtype) * dtype(scale)
    if small == "weight":
        x, w = noise(rng, 1, 5, 24, 24, dtype=dtype) * dtype(scale), around.flat[:270]
        w = w.reshape(6, 5, 3, 3)
    y = fastconv.conv2d(x, w, method=method)
    # A power of two changes no digit, and so far up nothing is denormal.
    up = 2.0**600
    x, w = x.astype(np.float64), w.astype(np.float64)
    scaled = (x * up, w) if small == "input" else (x, w * up)
    allowed = np.finfo(dtype).eps * rounding(method, *scaled)
    allowed = allowed + float(np.finfo(dtype).tiny) * up * flushing(method, x, w)
    assert (np.abs(y.astype(np.float64) * up - oracle.conv2d(*scaled)) <= allowed).all()


# The same bits


@each_dtype
@each_method
@each_geometry
def test_any_number_of_threads_and_packed(rng, input, weight, options, method, dtype):
    if not possible(method, weight):
        return
    # So many images are worth several threads.
    x = around_the_smallest(rng, 40, *input[1:], dtype=dtype)
    w = noise(rng, *weight, dtype=dtype)
    b = around_the_smallest(rng, weight[0], dtype=dtype)
    packed = fastconv.pack(w)
    results = []
    for count in (1, 2):
        with fastconv.num_threads(count):
            results += [fastconv.conv2d(x, v, b, method=method, **options) for v in (w, packed)]
            told = fastconv.explain(fastconv.conv2d, x, w, b, method=method, **options)
            assert told.threads == count
    assert results[0].any()
    for result in results[1:]:
        np.testing.assert_array_equal(bits(result), bits(results[0]))


def test_packing_with_several_threads(rng):
    """Of Winograd's transforms, some of the results are denormal."""
    x = noise(rng, 1, 128, 12, 12) * np.float32(2.0**20)
    w = around_the_smallest(rng, 128, 128, 3, 3, dtype=np.float32)
    results = []
    for count in (1, 2):
        with fastconv.num_threads(count):
            packed = fastconv.pack(w)
            results += [fastconv.conv2d(x, v, method="winograd") for v in (w, packed)]
    assert results[0].any()
    for result in results[1:]:
        np.testing.assert_array_equal(bits(result), bits(results[0]))


def test_workers_of_scipy_take_no_part(rng):
    """Threads of its own would compute with denormals."""
    ones = np.ones((64, 64))
    x, w = np.full((1, 8, 64, 64), 1e-310), np.full((8, 8, 5, 5), 2.0**20)
    with scipy.fft.set_workers(2):
        scipy.fft.rfft(ones)
        assert not fastconv.conv2d(x, w, method="fft").any()
        assert scipy.fft.rfft(ones * 1e-310).any()


# Nobody else's arithmetic

CALLS = """
import ctypes, threading
import numpy as np
import fastconv

rng = np.random.default_rng(0)
x, w = rng.standard_normal((8, 32, 50, 50)), rng.standard_normal((32, 32, 3, 3))

def call(method, threads):
    with fastconv.num_threads(threads):
        assert fastconv.explain(fastconv.conv2d, x, w, method=method).threads == threads
        plain = fastconv.conv2d(x, w, method=method)
        return plain, fastconv.conv2d(x, fastconv.pack(w), method=method)

METHODS = [(method, n) for method in ("direct", "winograd", "fft") for n in (1, 2)]
"""


def test_caller_keeps_denormals(python):
    python(
        "-c",
        CALLS
        + """
for method, threads in METHODS:
    call(method, threads)
    assert np.float32(1e-40) * np.float32(1) != 0, (method, threads)
    assert (np.full(100, 5e-324) * 1).all(), (method, threads)
    try:
        fastconv.conv2d(x, w[0], method=method)
    except ValueError:
        pass
    assert np.float32(1e-40) * np.float32(1) != 0, "after an error"
""",
    )


@pytest.mark.skipif(
    fastconv.show_config("dicts")["openmp"]["runtime"] != "libgomp", reason="needs GCC's OpenMP"
)
def test_openmp_threads_keep_denormals(python):
    """Those of the team that other libraries share, which the first call starts."""
    output = python(
        "-c",
        CALLS
        + """
openmp = ctypes.CDLL("libgomp.so.1")
seen = {}

@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def look(_):
    seen[threading.get_native_id()] = float(np.float32(1e-40) * np.float32(1)) != 0

for each in METHODS:
    call(*each)
openmp.GOMP_parallel(look, None, 2, 0)
print(*seen.values())
""",
    )
    assert output.split() == ["True", "True"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs the number of a rounding mode")
def test_rounding_mode_is_neither_used_nor_changed(python):
    """The caller's arithmetic is another one altogether.

    scipy.fft divides by the length in registers that have an arithmetic of their own.
    """
    python(
        "-c",
        CALLS
        + """
c = ctypes.CDLL(None)
UPWARD = 0x800
expected = [call(*each) for each in METHODS]
c.fesetround(UPWARD)
found = [call(*each) for each in METHODS]
mode = c.fegetround()
c.fesetround(0)
assert mode == UPWARD
for (method, _), these, those in zip(METHODS, found, expected):
    for one, other in zip(these, those) if method != "fft" else ():
        np.testing.assert_array_equal(one.view("i8"), other.view("i8"))
""",
    )
