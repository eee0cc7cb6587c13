"""What comes in as an array and what goes out: dtypes, array-likes, ranks, empty axes, out=."""

import numpy as np
import pytest

import fastconv
import oracle
from checking import check, compare, result_dtype
from samples import DTYPES, EVERY_PROBLEM, PROBLEMS, noise, whole

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
REALS = (*INTEGERS, "float32", "float64")

each_dtype = pytest.mark.parametrize("dtype", DTYPES)


# dtypes


@pytest.mark.parametrize("weight", REALS)
@pytest.mark.parametrize("input", REALS)
def test_promotion(input, weight):
    x = np.arange(24).reshape(1, 2, 12).astype(input)
    w = np.arange(18).reshape(3, 2, 3).astype(weight)
    check("conv1d", x, w, exact=True)
    check("conv_transpose1d", x, w.reshape(2, 3, 3), exact=True)


@pytest.mark.parametrize(
    ("input", "weight", "bias", "expected"),
    [
        ("float32", "float32", "float32", "float32"),
        ("float32", "float32", "float64", "float64"),
        ("float32", "float32", "int16", "float32"),
        ("float32", "float32", "int32", "float64"),
        ("uint8", "float32", None, "float32"),
        ("int64", "float32", None, "float64"),
        ("uint8", "int8", "int8", "float64"),
        ("uint64", "int64", None, "float64"),
    ],
)
def test_promotion_counts_the_bias(input, weight, bias, expected):
    x, w = np.ones((1, 2, 5), input), np.ones((3, 2, 3), weight)
    b = None if bias is None else np.ones(3, bias)
    assert check("conv1d", x, w, b, exact=True).dtype == expected


@pytest.mark.parametrize("problem", **EVERY_PROBLEM)
def test_every_function_promotes(rng, problem):
    """Any operand alone may raise the precision, and integers make float64."""
    operands = problem.operands(rng, 2, 5, whole)
    check(problem.name, *(a.astype(np.int16) for a in operands), exact=True, **problem.options)
    for i, operand in enumerate(operands):
        mixed = [*operands[:i], operand.astype(np.float64), *operands[i + 1 :]]
        assert check(problem.name, *mixed, exact=True, **problem.options).dtype == np.float64


@pytest.mark.parametrize("problem", **EVERY_PROBLEM)
def test_promotion_is_of_all_operands_at_once(rng, problem):
    """int16 with uint16 makes int32, and that with float32 float64; the three make float32."""
    dtypes = (np.int16, np.uint16, np.float32, np.float32, np.float32, np.float32)
    operands = [
        np.abs(a).astype(dtype)
        for a, dtype in zip(problem.operands(rng, 2, 5, whole), dtypes, strict=False)
    ]
    check(problem.name, *operands, exact=True, **problem.options)


def test_each_precision_is_its_own(rng):
    """A third is rounded in float32 and in float64, each to its nearest."""
    for dtype in DTYPES:
        x, w = np.ones((1, 1, 40), dtype), np.full((1, 1, 1), 1 / 3, dtype)
        np.testing.assert_array_equal(fastconv.conv1d(x, w), np.full((1, 1, 40), dtype(1 / 3)))


@pytest.mark.parametrize("dtype", [">f4", "<f4", ">f8", "<f8", ">i2", "<i4"])
@pytest.mark.parametrize("operand", ["input", "weight", "bias"])
def test_any_byte_order(rng, operand, dtype):
    operands = {
        "input": whole(rng, 2, 4, 7, 8),
        "weight": whole(rng, 6, 4, 3, 2),
        "bias": whole(rng, 6),
    }
    expected = result_dtype(*operands.values(), np.empty(0, np.dtype(dtype).newbyteorder("=")))
    operands[operand] = operands[operand].astype(dtype)
    y = fastconv.conv2d(*operands.values())
    assert y.dtype == expected and y.dtype.isnative
    compare(y, oracle.conv, tuple(operands.values()), {}, exact=True)


def test_the_same_strides_in_another_dtype():
    """Operands of one element in memory look the same in both but for their dtype."""
    for dtype in (np.float32, np.float64, np.float32):
        x, w = np.broadcast_to(dtype(2), (1, 3, 20)), np.broadcast_to(dtype(3), (4, 3, 5))
        check("conv1d", x, w, exact=True)


# Objects that are not arrays


class WithArray:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype=dtype, copy=copy)


class WithDLPack:
    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **keywords):
        return self.array.__dlpack__(**keywords)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Subclass(np.ndarray):
    pass


def subclass(array):
    return array.view(Subclass)


@pytest.mark.parametrize("wrap", [WithArray, WithDLPack, subclass])
@pytest.mark.parametrize("problem", **EVERY_PROBLEM)
def test_array_likes(rng, problem, wrap):
    operands = problem.operands(rng, 2, 5)
    function = getattr(fastconv, problem.name)
    expected = function(*operands, **problem.options)
    actual = function(*map(wrap, operands), **problem.options)
    assert type(actual) is np.ndarray
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)


def test_dlpack_of_a_view(rng):
    x, w = noise(rng, 2, 9, 9, 3).transpose(0, 3, 1, 2)[:, :, ::2], noise(rng, 4, 3, 2, 2)
    expected = fastconv.conv2d(x, w)
    np.testing.assert_array_equal(fastconv.conv2d(WithDLPack(x), WithDLPack(w)), expected)


def test_nested_lists():
    y = fastconv.conv1d([[[1, 2, 3, 4]]], [[[1.0, -1.0]]], [10])
    assert y.dtype == np.float64
    assert y.tolist() == [[[9.0, 9.0, 9.0]]]
    assert fastconv.conv1d(((1, 2, 3),), [[[2, 1]]]).tolist() == [[4.0, 7.0]]


@pytest.mark.parametrize("problem", **EVERY_PROBLEM)
def test_the_result_is_a_new_writeable_array(rng, problem):
    operands = problem.operands(rng, 2, 5)
    y = getattr(fastconv, problem.name)(*operands, **problem.options)
    assert y.flags.writeable and y.flags.c_contiguous and y.flags.aligned


def test_channel_shuffle_of_one_group_is_still_a_copy(rng):
    check("channel_shuffle", noise(rng, 2, 4, 5), groups=1, exact=True)


# Unbatched and empty


@pytest.mark.parametrize("problem", **EVERY_PROBLEM)
def test_unbatched(rng, problem):
    x, *rest = problem.operands(rng, 1, 6)
    if problem.name == "pointwise_conv":
        rest[0] = rest[0][:, :, np.newaxis, np.newaxis]
    y = check(problem.name, x[0], *rest, **problem.options)
    batched = getattr(fastconv, problem.name)(x, *rest, **problem.options)
    np.testing.assert_array_equal(y[np.newaxis], batched)


@pytest.mark.parametrize("problem", **EVERY_PROBLEM)
@each_dtype
def test_empty_batch(rng, problem, dtype):
    one = problem.operands(rng, 1, 6, dtype=dtype)
    x, *rest = problem.operands(rng, 0, 6, dtype=dtype)
    y = check(problem.name, x, *rest, **problem.options)
    batch, *shape = oracle_shape(problem, one)
    assert batch == 1 and y.shape == (0, *shape)


def oracle_shape(problem, operands):
    return getattr(oracle, problem.name)(*operands, **problem.options).shape


def test_empty_batch_of_shuffled_channels():
    assert fastconv.channel_shuffle(np.empty((0, 4, 5), np.float32), 2).shape == (0, 4, 5)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_no_output_channels(rng, rank):
    x, w = noise(rng, 2, 4, *[6] * rank), noise(rng, 0, 4, *[3] * rank)
    assert check(f"conv{rank}d", x, w).shape == (2, 0, *[4] * rank)
    assert check(f"conv{rank}d", x, w, noise(rng, 0), padding=1).shape == (2, 0, *[6] * rank)
    w = noise(rng, 4, 0, *[3] * rank)
    assert check(f"conv_transpose{rank}d", x, w).shape == (2, 0, *[8] * rank)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_no_input_channels_leave_the_bias(rng, rank):
    x, w, b = noise(rng, 2, 0, *[6] * rank), noise(rng, 5, 0, *[3] * rank), noise(rng, 5)
    expected = np.broadcast_to(b.reshape(5, *[1] * rank), (2, 5, *[4] * rank))
    np.testing.assert_array_equal(check(f"conv{rank}d", x, w, b), expected)
    assert not check(f"conv{rank}d", x, w).any()
    assert not check(f"conv_transpose{rank}d", x, w.reshape(0, 5, *[3] * rank)).any()


def test_empty_axis_within_enough_padding(rng):
    w, b = noise(rng, 3, 2, 3), noise(rng, 3)
    y = check("conv1d", np.empty((2, 2, 0), np.float32), w, b, padding=2)
    np.testing.assert_array_equal(y, np.broadcast_to(b[:, np.newaxis], (2, 3, 2)))
    w = noise(rng, 3, 2, 3, 3)
    check("conv2d", np.empty((2, 2, 0, 5), np.float32), w, b, padding=((3, 0), (1, 1)))


def test_empty_batch_with_a_border(rng):
    x, w = noise(rng, 0, 2, 5), noise(rng, 3, 2, 3)
    assert check("conv1d", x, w, padding=4, padding_mode="reflect").shape == (0, 3, 11)


# out=


@pytest.mark.parametrize("problem", [p for p in PROBLEMS if p.name.startswith("conv")], ids=str)
def test_out(rng, problem):
    operands = problem.operands(rng, 3, 6)
    out = np.full(oracle_shape(problem, operands), np.nan, np.float32)
    check(problem.name, *operands, out=out, **problem.options)
    unbatched = np.full(out.shape[1:], np.nan, np.float32)
    check(problem.name, operands[0][0], *operands[1:], out=unbatched, **problem.options)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_out_of_the_promoted_dtype(rng, dtype):
    x, w = whole(rng, 1, 2, 8, dtype=np.int16), whole(rng, 3, 2, 3, dtype=dtype)
    check("conv1d", x, w, out=np.empty((1, 3, 6), dtype), exact=True)


def test_out_without_elements(rng):
    out = np.empty((0, 3, 6), np.float32)
    check("conv1d", noise(rng, 0, 2, 8), noise(rng, 3, 2, 3), out=out)


def test_out_given_again(rng):
    """Nothing of what `out` held is left, not even NaN."""
    x, w = noise(rng, 2, 3, 9, 9), noise(rng, 4, 3, 3, 3)
    out = np.full((2, 4, 7, 7), np.nan, np.float32)
    for _ in range(2):
        check("conv2d", x, w, out=out)
