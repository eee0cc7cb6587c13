"""pack: the same results, prepared once; what it refuses and what it keeps."""

import copy
import pickle
import threading

import numpy as np
import pytest

import fastconv
from samples import DTYPES, PROBLEMS, noise

each_dtype = pytest.mark.parametrize("dtype", DTYPES)

GEOMETRIES = [
    ((2, 8, 14, 14), (20, 8, 3, 3), {"padding": 1}),
    ((1, 96, 7, 7), (70, 96, 3, 3), {"padding": 1}),
    ((1, 300, 7, 7), (64, 300, 1, 1), {}),
    ((2, 64, 9, 9), (6, 64, 3, 3), {"padding": 6, "dilation": 6}),
    ((1, 9, 6, 30), (4, 9, 1, 1), {}),
    ((1, 12, 9, 9), (12, 1, 3, 3), {"groups": 12}),
    ((1, 12, 30, 30), (24, 6, 3, 3), {"groups": 2, "padding": 2, "dilation": 2}),
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_every_function(rng, problem):
    x, *weights = problem.operands(rng, 2, 9)
    function = getattr(fastconv, problem.name)
    packed = [fastconv.pack(w) if w is not None and w.ndim > 1 else w for w in weights]
    expected = function(x, *weights, **problem.options)
    for _ in range(2):
        np.testing.assert_array_equal(function(x, *packed, **problem.options), expected)
    mixed = [w if i else p for i, (w, p) in enumerate(zip(weights, packed, strict=True))]
    np.testing.assert_array_equal(function(x, *mixed, **problem.options), expected)


@pytest.mark.parametrize("method", ["direct", "winograd", "fft"])
@pytest.mark.parametrize(("input", "weight", "options"), GEOMETRIES)
@each_dtype
def test_same_bits(rng, dtype, input, weight, options, method):
    x, w = noise(rng, *input, dtype=dtype), noise(rng, *weight, dtype=dtype)
    b = noise(rng, weight[0], dtype=dtype)
    if method == "winograd" and weight[-1] != 3:
        return
    packed = fastconv.pack(w)
    for threads in (1, 2):
        with fastconv.num_threads(threads):
            expected = fastconv.conv2d(x, w, b, method=method, **options)
            result = fastconv.conv2d(x, packed, b, method=method, **options)
            np.testing.assert_array_equal(result, expected)
            bare = fastconv.conv2d(x, w, method=method, **options)
            np.testing.assert_array_equal(
                fastconv.conv2d(x, packed, method=method, **options), bare
            )


def test_prepared_once_for_many_sizes(rng):
    packed = fastconv.pack(noise(rng, 20, 8, 3, 3))
    assert packed.nbytes == packed.array.nbytes
    fastconv.conv2d(noise(rng, 1, 8, 20, 20), packed, method="winograd")
    once = packed.nbytes
    assert once > packed.array.nbytes
    for size in (9, 20, 31):
        fastconv.conv2d(noise(rng, 2, 8, size, 20), packed, padding=1, method="winograd")
    assert packed.nbytes == once


@pytest.mark.parametrize("shape", [(2, 40, 7, 7), (2, 40, 9), (5, 40)])
def test_linear_maps_are_prepared_too(rng, shape):
    x, w = noise(rng, *shape), noise(rng, 70, 40)
    packed = fastconv.pack(w)
    for _ in range(2):
        np.testing.assert_array_equal(
            fastconv.pointwise_conv(x, packed), fastconv.pointwise_conv(x, w)
        )
    # Weights of maps at one position are read as they lie.
    assert len(packed.prepared) == (len(shape) > 2)


def test_arms_of_a_cross_are_prepared_as_one(rng):
    x, vertical, horizontal = noise(rng, 3, 9, 8), noise(rng, 5, 3, 3, 1), noise(rng, 5, 3, 1, 5)
    packed = fastconv.pack(vertical), fastconv.pack(horizontal)
    expected = fastconv.parallel_flattened_conv2d(x, vertical, horizontal)
    sizes = []
    for _ in range(2):
        result = fastconv.parallel_flattened_conv2d(x, *packed)
        np.testing.assert_array_equal(result, expected)
        sizes.append(packed[0].nbytes)
    assert sizes[0] == sizes[1] > 2 * vertical.nbytes + horizontal.nbytes
    half = fastconv.parallel_flattened_conv2d(x, vertical, packed[1])
    np.testing.assert_array_equal(half, expected)
    with pytest.raises(TypeError, match="packed for different dtypes"):
        fastconv.parallel_flattened_conv2d(x, packed[0], fastconv.pack(horizontal, np.float64))


def test_from_many_threads(rng):
    x, w = noise(rng, 1, 32, 20, 20), noise(rng, 40, 32, 3, 3)
    packed, expected = fastconv.pack(w), fastconv.conv2d(x, w, method="winograd")
    wrong = []

    def work():
        for _ in range(20):
            result = fastconv.conv2d(x, packed, method="winograd")
            wrong.extend([] if (result == expected).all() else [result])

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_tells_what_it_is(rng):
    w = noise(rng, 6, 4, 3, 3)
    packed = fastconv.pack(w)
    assert (packed.shape, packed.ndim, packed.dtype) == (w.shape, 4, w.dtype)
    assert "(6, 4, 3, 3)" in repr(packed) and "float32" in repr(packed)
    np.testing.assert_array_equal(np.asarray(packed), w)
    assert fastconv.pack(np.ones((2, 3, 1), np.int8)).dtype == np.float64
    assert fastconv.pack(w, np.float64).dtype == np.float64
    assert fastconv.pack(w.astype(">f4")).dtype == np.float32


def test_cannot_be_changed(rng):
    w = noise(rng, 6, 4, 3, 3)
    packed = fastconv.pack(w)
    before = w.copy()
    w[...] = 0
    np.testing.assert_array_equal(packed.array, before)
    for name in ("array", "shape", "dtype"):
        with pytest.raises(AttributeError):
            setattr(packed, name, None)
    with pytest.raises(ValueError, match="read-only"):
        packed.array[...] = 0


def test_pickled_and_copied(rng):
    packed = fastconv.pack(noise(rng, 6, 4, 3, 3))
    x = noise(rng, 1, 4, 9, 9)
    expected = fastconv.conv2d(x, packed)
    for other in (pickle.loads(pickle.dumps(packed)), copy.copy(packed), copy.deepcopy(packed)):
        assert type(other) is fastconv.PackedWeight
        np.testing.assert_array_equal(fastconv.conv2d(x, other), expected)
        with pytest.raises(ValueError, match="read-only"):
            other.array[...] = 0


def test_refused(rng):
    packed = fastconv.pack(noise(rng, 6, 4, 3, 3))
    with pytest.raises(TypeError, match=r"packed for float32.*compute in float64"):
        fastconv.conv2d(noise(rng, 1, 4, 9, 9, dtype=np.float64), packed)
    with pytest.raises(TypeError, match=r"packed for float32.*compute in float64"):
        fastconv.conv2d(np.ones((1, 4, 9, 9), np.int64), packed)
    with pytest.raises(ValueError, match="input channels"):
        fastconv.conv2d(noise(rng, 1, 5, 9, 9), packed)
    with pytest.raises(ValueError, match="axes"):
        fastconv.conv1d(noise(rng, 1, 4, 9), packed)
    for value in (None, "text", np.ones(3, complex), np.ones(3, bool)):
        with pytest.raises(TypeError):
            fastconv.pack(value)
    with pytest.raises(TypeError, match="float32 or float64"):
        fastconv.pack(np.ones((1, 1, 3)), np.float16)
    separable = noise(rng, 4, 1, 3, 3), noise(rng, 8, 4)
    with pytest.raises(TypeError, match="packed for different dtypes"):
        fastconv.separable_conv2d(
            noise(rng, 1, 4, 9, 9), fastconv.pack(separable[0]),
            fastconv.pack(separable[1], np.float64),
        )  # fmt: skip
