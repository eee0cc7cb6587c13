"""Every refusal: its type, and a message that names the argument and what it was."""

import re

import numpy as np
import pytest

import fastconv as fc


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


X, W, B = ones(2, 4, 6, 7), ones(6, 4, 3, 3), ones(6)
V = ones(4, 6, 3, 3)  # a transposed convolution's weight
LATERAL, VERTICAL, HORIZONTAL = ones(6, 4), ones(6, 3), ones(6, 5)
UPRIGHT, LEVEL = ones(6, 4, 3, 1), ones(6, 4, 1, 5)
SEPARABLE, CHANNELS = ones(8, 1, 3, 3), ones(6, 8)


def refusal(error, call):
    """The message of the error, which must be of this very type."""
    with pytest.raises(error) as caught:
        call()
    assert caught.type is error, f"{caught.type.__name__}: {caught.value}"
    return str(caught.value)


def assert_says(message, name, value):
    """`message` has the argument's name, and its value: a text, or all numbers of a tuple."""
    assert re.search(rf"\b({name})\b", message), message
    parts = [value] if isinstance(value, str) else np.ravel(value).tolist()
    for part in parts:
        assert re.search(rf"(?<![\w.]){re.escape(str(part))}(?![\w]|\.\d)", message), message


def cases(*rows):
    """Each row is the argument's name, what it was, and the call."""
    ids = [f"{name}={value}" for name, value, _ in rows]
    return pytest.mark.parametrize(("name", "value", "call"), rows, ids=ids)


# ValueError


@cases(
    ("stride", 0, lambda: fc.conv2d(X, W, stride=0)),
    ("stride", -1, lambda: fc.conv2d(X, W, stride=(1, -1))),
    ("stride", (1, 2, 3), lambda: fc.conv2d(X, W, stride=(1, 2, 3))),
    ("dilation", 0, lambda: fc.conv2d(X, W, dilation=0)),
    ("dilation", -2, lambda: fc.conv2d(X, W, dilation=(-2, 1))),
    ("dilation", (1, 1, 2), lambda: fc.conv2d(X, W, dilation=(1, 1, 2))),
    ("padding", -1, lambda: fc.conv2d(X, W, padding=-1)),
    ("padding", -2, lambda: fc.conv2d(X, W, padding=(1, -2))),
    ("padding", -3, lambda: fc.conv2d(X, W, padding=((1, 1), (0, -3)))),
    ("padding", (1, 2, 3), lambda: fc.conv2d(X, W, padding=(1, 2, 3))),
    ("padding", (4, 5, 6), lambda: fc.conv2d(X, W, padding=((1, 1), (4, 5, 6)))),
    ("padding", (7, 8), lambda: fc.conv1d(ones(1, 4, 9), ones(6, 4, 3), padding=(7, 8))),
    ("padding", "full", lambda: fc.conv2d(X, W, padding="full")),
    ("padding_mode", "mirror", lambda: fc.conv2d(X, W, padding=1, padding_mode="mirror")),
    ("padding_mode", "mirror", lambda: fc.conv2d(X, W, padding_mode="mirror")),
    (
        "padding_mode|padding",
        "reflect",
        lambda: fc.conv1d(ones(1, 4, 0), ones(6, 4, 1), padding=2, padding_mode="reflect"),
    ),
    ("groups", 0, lambda: fc.conv2d(X, W, groups=0)),
    ("groups", -1, lambda: fc.conv2d(X, W, groups=-1)),
    ("groups", 3, lambda: fc.conv2d(X, ones(6, 1, 3, 3), groups=3)),
    ("groups", 4, lambda: fc.conv2d(X, ones(6, 1, 3, 3), groups=4)),
    ("weight|input", 5, lambda: fc.conv2d(X, ones(6, 5, 3, 3))),
    ("weight|input", 4, lambda: fc.conv2d(X, ones(6, 4, 3, 3), groups=2)),
    ("weight|kernel", 9, lambda: fc.conv2d(X, ones(6, 4, 9, 3), padding=1)),
    ("weight|kernel", 8, lambda: fc.conv2d(X, ones(6, 4, 3, 8))),
    ("weight|kernel", 7, lambda: fc.conv2d(X, W, dilation=(3, 1))),
    ("weight|kernel", 1, lambda: fc.conv1d(ones(1, 4, 0), ones(6, 4, 1))),
    ("weight|kernel", 0, lambda: fc.conv2d(X, ones(6, 4, 0, 3))),
    ("weight|kernel", 0, lambda: fc.conv2d(X, ones(6, 4, 0, 3), padding="same")),
    ("weight", 3, lambda: fc.conv2d(X, ones(6, 4, 3))),
    ("weight", 4, lambda: fc.conv1d(X, W)),
    ("weight", 2, lambda: fc.conv(X, ones(6, 2))),
    ("weight", 6, lambda: fc.conv(ones(1, 2, 3, 4, 5, 6), ones(1, 2, 3, 4, 5, 6))),
    ("input", 2, lambda: fc.conv2d(ones(2, 6), W)),
    ("input", 5, lambda: fc.conv2d(ones(2, 4, 6, 5, 7), W)),
    ("bias", 5, lambda: fc.conv2d(X, W, ones(5))),
    ("bias", (1, 6), lambda: fc.conv2d(X, W, ones(1, 6))),
    ("bias", (), lambda: fc.conv2d(X, W, np.float32(1))),
)
def test_conv(name, value, call):
    assert_says(refusal(ValueError, call), name, value)


@cases(
    ("stride", 0, lambda: fc.conv_transpose2d(X, V, stride=0)),
    ("dilation", 0, lambda: fc.conv_transpose2d(X, V, dilation=0)),
    ("padding", -1, lambda: fc.conv_transpose2d(X, V, padding=-1)),
    ("padding", (1, 2, 3), lambda: fc.conv_transpose2d(X, V, padding=(1, 2, 3))),
    ("padding", (5, 5), lambda: fc.conv_transpose2d(X, V, padding=5)),
    ("output_padding", 1, lambda: fc.conv_transpose2d(X, V, output_padding=1)),
    (
        "output_padding",
        3,
        lambda: fc.conv_transpose2d(X, V, stride=2, dilation=3, output_padding=3),
    ),
    ("output_padding", 2, lambda: fc.conv_transpose2d(X, V, stride=(3, 2), output_padding=2)),
    ("output_padding", -1, lambda: fc.conv_transpose2d(X, V, stride=2, output_padding=-1)),
    ("output_padding", (1, 0, 1), lambda: fc.conv_transpose2d(X, V, output_padding=(1, 0, 1))),
    ("groups", 0, lambda: fc.conv_transpose2d(X, V, groups=0)),
    ("groups", 3, lambda: fc.conv_transpose2d(X, V, groups=3)),
    ("weight|input", 5, lambda: fc.conv_transpose2d(X, ones(5, 6, 3, 3))),
    ("weight|kernel", 0, lambda: fc.conv_transpose2d(X, ones(4, 6, 3, 0))),
    ("weight", 3, lambda: fc.conv_transpose2d(X, ones(4, 6, 3))),
    ("weight", 2, lambda: fc.conv_transpose(X, ones(4, 2))),
    ("input", 5, lambda: fc.conv_transpose2d(ones(2, 4, 6, 5, 7), V)),
    ("bias", 5, lambda: fc.conv_transpose2d(X, V, ones(5))),
    ("bias", 6, lambda: fc.conv_transpose2d(X, V, ones(6), groups=2)),
)
def test_conv_transpose(name, value, call):
    assert_says(refusal(ValueError, call), name, value)


@cases(
    ("weight|input", 5, lambda: fc.pointwise_conv(X, ones(6, 5))),
    ("weight", 3, lambda: fc.pointwise_conv(X, W)),
    ("weight", 4, lambda: fc.pointwise_conv(X, ones(4))),
    ("bias", 5, lambda: fc.pointwise_conv(X, LATERAL, ones(5))),
    ("weight|input", 6, lambda: fc.depthwise_conv2d(X, ones(6, 1, 3, 3))),
    ("weight", 2, lambda: fc.depthwise_conv2d(X, ones(4, 2, 3, 3))),
    ("weight", 3, lambda: fc.depthwise_conv2d(X, ones(4, 1, 3))),
    ("bias", 5, lambda: fc.depthwise_conv2d(X, SEPARABLE, ones(5))),
    ("stride", 0, lambda: fc.depthwise_conv2d(X, SEPARABLE, stride=0)),
    ("depthwise_weight", 6, lambda: fc.separable_conv2d(X, ones(6, 1, 3, 3), ones(6, 6))),
    ("depthwise_weight", 2, lambda: fc.separable_conv2d(X, ones(8, 2, 3, 3), CHANNELS)),
    ("pointwise_weight", 5, lambda: fc.separable_conv2d(X, SEPARABLE, ones(6, 5))),
    ("pointwise_weight", 3, lambda: fc.separable_conv2d(X, SEPARABLE, ones(6, 8, 3, 1))),
    ("pointwise_weight", 3, lambda: fc.separable_conv2d(X, SEPARABLE, ones(6, 8, 3))),
    ("bias", 8, lambda: fc.separable_conv2d(X, SEPARABLE, CHANNELS, ones(8))),
    ("padding", "full", lambda: fc.separable_conv2d(X, SEPARABLE, CHANNELS, padding="full")),
    ("groups", 3, lambda: fc.channel_shuffle(X, 3)),
    ("groups", 0, lambda: fc.channel_shuffle(X, 0)),
    ("input", 2, lambda: fc.channel_shuffle(ones(2, 4), 2)),
    ("groups", 4, lambda: fc.shuffled_grouped_conv2d(X, ones(6, 1, 3, 3), groups=4)),
    ("bias", 5, lambda: fc.shuffled_grouped_conv2d(X, W, ones(5))),
)
def test_variants(name, value, call):
    assert_says(refusal(ValueError, call), name, value)


@cases(
    ("weight_vertical", 5, lambda: fc.spatially_separable_conv2d(X, ones(5, 3), ones(3))),
    ("weight_horizontal", 5, lambda: fc.spatially_separable_conv2d(X, ones(3), ones(5, 3))),
    ("weight_horizontal", 3, lambda: fc.spatially_separable_conv2d(X, ones(3), ones(4, 1, 3, 1))),
    ("weight_vertical", 3, lambda: fc.spatially_separable_conv2d(X, ones(4, 1, 1, 3), ones(3))),
    ("weight_vertical", 0, lambda: fc.spatially_separable_conv2d(X, ones(0), ones(3))),
    ("bias", 5, lambda: fc.spatially_separable_conv2d(X, ones(3), ones(3), ones(5))),
    ("dilation", 0, lambda: fc.spatially_separable_conv2d(X, ones(3), ones(3), dilation=0)),
    (
        "weight_depth",
        5,
        lambda: fc.spatially_separable_conv3d(ones(2, 4, 5, 6, 7), ones(5, 2), ones(3), ones(3)),
    ),
    ("lateral", 5, lambda: fc.flattened_conv2d(X, ones(6, 5), VERTICAL, HORIZONTAL)),
    ("lateral", 4, lambda: fc.flattened_conv2d(X, ones(4), VERTICAL, HORIZONTAL)),
    ("vertical", 5, lambda: fc.flattened_conv2d(X, LATERAL, ones(5, 3), HORIZONTAL)),
    ("vertical", 3, lambda: fc.flattened_conv2d(X, LATERAL, ones(3), HORIZONTAL)),
    ("horizontal", 7, lambda: fc.flattened_conv2d(X, LATERAL, VERTICAL, ones(7, 3))),
    ("bias", 5, lambda: fc.flattened_conv2d(X, LATERAL, VERTICAL, HORIZONTAL, ones(5))),
    ("bias", 2, lambda: fc.flattened_conv2d(X, LATERAL, VERTICAL, HORIZONTAL, (B, B))),
    ("bias", 5, lambda: fc.flattened_conv2d(X, LATERAL, VERTICAL, HORIZONTAL, (B, ones(5), B))),
    ("stride", 0, lambda: fc.flattened_conv2d(X, LATERAL, VERTICAL, HORIZONTAL, stride=0)),
    (
        "depth",
        5,
        lambda: fc.flattened_conv3d(ones(1, 4, 5, 6, 7), LATERAL, ones(5, 2), VERTICAL, HORIZONTAL),
    ),
    ("weight_vertical", 5, lambda: fc.parallel_flattened_conv2d(X, ones(6, 5, 3, 1), LEVEL)),
    ("weight_vertical", 2, lambda: fc.parallel_flattened_conv2d(X, ones(6, 4, 3, 2), LEVEL)),
    ("weight_horizontal", 3, lambda: fc.parallel_flattened_conv2d(X, UPRIGHT, ones(6, 4, 3, 5))),
    ("weight_horizontal", 7, lambda: fc.parallel_flattened_conv2d(X, UPRIGHT, ones(7, 4, 1, 5))),
    ("bias", 5, lambda: fc.parallel_flattened_conv2d(X, UPRIGHT, LEVEL, ones(5))),
)
def test_lines(name, value, call):
    assert_says(refusal(ValueError, call), name, value)


@pytest.mark.parametrize(
    "call",
    [
        lambda: fc.conv1d(ones(1, 1, 5), ones(1, 1, 3), padding=2**62),
        lambda: fc.conv1d(ones(1, 1, 5), ones(1, 1, 3), padding=2**70),
        lambda: fc.conv2d(X, W, padding=2**40),
        lambda: fc.conv1d(ones(1, 1, 5), ones(1, 1, 3), dilation=2**63),
        lambda: fc.conv_transpose1d(ones(1, 1, 5), ones(1, 1, 3), stride=2**62),
        lambda: fc.conv_transpose1d(ones(1, 1, 5), ones(1, 1, 3), dilation=2**62),
        lambda: fc.conv_transpose2d(X, V, stride=2**31),
        lambda: fc.conv_transpose1d(
            ones(1, 1, 5), ones(1, 1, 3), stride=2**62, output_padding=2**62 - 1
        ),
    ],
)
def test_sizes_beyond_counting(call):
    message = refusal(ValueError, call)
    assert re.search(r"\b(padding|stride|dilation|weight|output)\b", message)


# TypeError


@cases(
    ("stride", "1.5", lambda: fc.conv2d(X, W, stride=1.5)),
    ("stride", "2.0", lambda: fc.conv2d(X, W, stride=2.0)),
    ("stride", "1.5", lambda: fc.conv2d(X, W, stride=(1, 1.5))),
    ("stride", "True", lambda: fc.conv2d(X, W, stride=True)),
    ("stride", "None", lambda: fc.conv2d(X, W, stride=None)),
    ("stride", "two", lambda: fc.conv2d(X, W, stride="two")),
    ("dilation", "2.0", lambda: fc.conv2d(X, W, dilation=2.0)),
    ("dilation", "True", lambda: fc.conv2d(X, W, dilation=(True, 1))),
    ("padding", "1.5", lambda: fc.conv2d(X, W, padding=1.5)),
    ("padding", "2.0", lambda: fc.conv2d(X, W, padding=((1, 2.0), (0, 0)))),
    ("padding", "True", lambda: fc.conv2d(X, W, padding=True)),
    ("groups", "1.5", lambda: fc.conv2d(X, W, groups=1.5)),
    ("groups", "True", lambda: fc.conv2d(X, W, groups=True)),
    ("stride", "2.0", lambda: fc.conv_transpose2d(X, V, stride=2.0)),
    ("output_padding", "0.5", lambda: fc.conv_transpose2d(X, V, output_padding=0.5)),
    ("padding", "same", lambda: fc.conv_transpose2d(X, V, padding="same")),
    ("padding", "1.5", lambda: fc.depthwise_conv2d(X, SEPARABLE, padding=1.5)),
    ("stride", "1.5", lambda: fc.flattened_conv2d(X, LATERAL, VERTICAL, HORIZONTAL, stride=1.5)),
    ("groups", "2.0", lambda: fc.channel_shuffle(X, 2.0)),
)
def test_integers_are_wanted(name, value, call):
    """Also after the same call with an equal integer, which a cache might confuse with it."""
    for integer in (1, 2):
        fc.conv2d(X, W, stride=integer, padding=integer, dilation=integer, groups=1)
        fc.conv_transpose2d(X, V, stride=integer)
    assert_says(refusal(TypeError, call), name, value)


def test_transposed_padding_is_the_same_on_both_sides():
    with pytest.raises((TypeError, ValueError), match=r"\bpadding\b"):
        fc.conv_transpose2d(X, V, padding=((1, 0), (0, 1)))


UNSUPPORTED = ["bool", "float16", "longdouble", "complex64", "complex128", "object", "str", "M8[s]"]


@pytest.mark.parametrize("dtype", UNSUPPORTED)
@pytest.mark.parametrize("operand", ["input", "weight", "bias"])
@pytest.mark.parametrize("function", [fc.conv2d, fc.conv_transpose2d])
def test_unsupported_dtypes(function, operand, dtype):
    operands = {"input": X, "weight": ones(4, 4, 3, 3), "bias": ones(4)}
    wrong = np.zeros(operands[operand].shape, dtype)
    operands[operand] = wrong
    message = refusal(TypeError, lambda: function(**operands))
    assert_says(message, operand, str(wrong.dtype))
    assert_says(message, "float32", "float64")


@pytest.mark.parametrize("dtype", ["float16", "complex64", "bool"])
@cases(
    ("lateral", 0, lambda a: fc.flattened_conv2d(X, a(LATERAL), VERTICAL, HORIZONTAL)),
    ("bias", 1, lambda a: fc.flattened_conv2d(X, LATERAL, VERTICAL, HORIZONTAL, (B, a(B), None))),
    ("pointwise_weight", 2, lambda a: fc.separable_conv2d(X, SEPARABLE, a(CHANNELS))),
    ("weight_vertical", 3, lambda a: fc.spatially_separable_conv2d(X, a(ones(3)), ones(3))),
    ("weight_horizontal", 4, lambda a: fc.parallel_flattened_conv2d(X, UPRIGHT, a(LEVEL))),
    ("weight", 5, lambda a: fc.pointwise_conv(X, a(LATERAL))),
)
def test_unsupported_dtypes_of_variants(name, value, call, dtype):
    message = refusal(TypeError, lambda: call(lambda array: array.astype(dtype)))
    assert_says(message, name, dtype)


@pytest.mark.parametrize("operand", ["input", "weight", "bias"])
def test_what_is_no_array_of_numbers(operand):
    operands = {"input": X, "weight": W, "bias": B, operand: object()}
    assert_says(refusal(TypeError, lambda: fc.conv2d(**operands)), operand, "float32")
    if operand != "bias":
        operands[operand] = None
        assert_says(refusal(TypeError, lambda: fc.conv2d(**operands)), operand, "None")


@pytest.mark.parametrize("operand", ["input", "weight", "bias"])
def test_masked_arrays(operand):
    operands = {"input": X, "weight": W, "bias": B}
    operands[operand] = np.ma.masked_array(operands[operand], mask=False)
    message = refusal(TypeError, lambda: fc.conv2d(**operands))
    assert re.search(rf"\b{operand}\b.*mask", message)


# out


def read_only(*shape):
    out = ones(*shape)
    out.flags.writeable = False
    return out


@cases(
    ("out", (2, 6, 4, 4), lambda: fc.conv2d(X, W, out=ones(2, 6, 4, 4))),
    ("out", (6, 4, 5), lambda: fc.conv2d(X, W, out=ones(6, 4, 5))),
    ("out", (1, 2, 6, 4, 5), lambda: fc.conv2d(X, W, out=ones(1, 2, 6, 4, 5))),
    ("out", (2, 6, 8, 8), lambda: fc.conv_transpose2d(X, V, out=ones(2, 6, 8, 8))),
    ("out", "read-only", lambda: fc.conv2d(X, W, out=read_only(2, 6, 4, 5))),
    ("out", "read-only", lambda: fc.conv_transpose2d(X, V, out=read_only(2, 6, 8, 9))),
)
def test_out(name, value, call):
    assert_says(refusal(ValueError, call), name, value)


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", ">f4", "complex64"])
def test_out_dtype(dtype):
    out = np.ones((2, 6, 4, 5), dtype)
    message = refusal(TypeError, lambda: fc.conv2d(X, W, out=out))
    assert_says(message, "out", str(out.dtype))
    assert (out == 1).all()


def test_out_is_an_array():
    assert_says(refusal(TypeError, lambda: fc.conv2d(X, W, out=[[[[0.0]]]])), "out", "list")


@pytest.mark.parametrize("function", [fc.conv2d, fc.conv_transpose2d])
@pytest.mark.parametrize("shift", [0, 1, 70, -70, 279])
def test_out_overlapping_the_input(shift, function):
    """By all, by most or by one element; checked on every call, not only on the first."""
    memory = ones(1000)
    x, w = memory[300:580].reshape(2, 4, 5, 7), ones(4, 4, 1, 1)
    out = memory[300 + shift : 580 + shift].reshape(2, 4, 5, 7)
    function(x, w, out=ones(2, 4, 5, 7))
    for _ in range(2):
        message = refusal(ValueError, lambda: function(x, w, out=out))
        assert_says(message, "out", "input")
    assert (memory == 1).all()


def test_out_overlapping_the_weight_or_the_bias():
    w, b = ones(4, 4, 3, 3), ones(4)
    message = refusal(ValueError, lambda: fc.conv2d(ones(1, 4, 5, 5), w, b, out=w[:1]))
    assert_says(message, "out", "weight")
    out = b.reshape(1, 4, 1, 1)
    message = refusal(ValueError, lambda: fc.conv2d(ones(1, 4, 3, 3), w, b, out=out))
    assert_says(message, "out", "bias")
    assert (w == 1).all()
    assert (b == 1).all()


@pytest.mark.parametrize("axis", range(4))
def test_out_overlapping_itself(axis):
    memory = ones(2, 6, 4, 5)
    strides = [0 if i == axis else n for i, n in enumerate(memory.strides)]
    out = np.lib.stride_tricks.as_strided(memory, memory.shape, strides)
    assert_says(refusal(ValueError, lambda: fc.conv2d(X, W, out=out)), "out", "itself")
    assert (memory == 1).all()


def test_out_of_sliding_windows():
    memory = ones(40)
    out = np.lib.stride_tricks.as_strided(memory, (1, 6, 20), (0, 4, 4))
    refusal(ValueError, lambda: fc.conv1d(ones(1, 2, 22), ones(6, 2, 3), out=out))
    assert (memory == 1).all()


@pytest.mark.parametrize("wrong", [1.0, True, (1.0, 1), (1, True), [(1, 1.0), (1, 1)]])
def test_a_kept_call_lets_nothing_wrong_in(wrong):
    """Python takes 1, 1.0 and True for equal, as keys and in tuples, too."""
    for right in (1, (1, 1), ((1, 1), (1, 1))):
        fc.conv2d(X, W, padding=right)
    refusal(TypeError, lambda: fc.conv2d(X, W, padding=wrong))


# Before any work


@pytest.mark.parametrize(
    ("error", "options"),
    [
        (ValueError, {"bias": ones(5)}),
        (ValueError, {"bias": ones(6, 1)}),
        (TypeError, {"bias": np.ones(6, complex)}),
        (ValueError, {"padding_mode": "mirror"}),
        (ValueError, {"stride": 0}),
        (TypeError, {"dilation": 1.0}),
        (ValueError, {"groups": 4}),
        (ValueError, {"weight": ones(6, 5, 3, 3)}),
        (TypeError, {"weight": np.ones((6, 4, 3, 3), np.float16)}),
    ],
)
def test_out_is_untouched(error, options):
    out = np.full((2, 6, 4, 5), 7, np.float32)
    refusal(error, lambda: fc.conv2d(**{"input": X, "weight": W, **options}, out=out))
    assert (out == 7).all()


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
@cases(
    ("bias", 5, lambda x: fc.conv2d(x, W, ones(5))),
    ("groups", 3, lambda x: fc.conv2d(x, W, groups=3)),
    ("padding_mode", "mirror", lambda x: fc.conv2d(x, W, padding_mode="mirror")),
    ("stride", 0, lambda x: fc.conv_transpose2d(x, V, stride=0)),
    ("out", 1, lambda x: fc.conv2d(x, W, out=ones(1))),
    ("weight|input", 5, lambda x: fc.pointwise_conv(x, ones(6, 5))),
    ("pointwise_weight", 5, lambda x: fc.separable_conv2d(x, SEPARABLE, ones(6, 5))),
    ("horizontal", 7, lambda x: fc.flattened_conv2d(x, LATERAL, VERTICAL, ones(7, 3))),
)
def test_no_work_is_begun(name, value, call, dtype):
    """An input of petabytes, of which one element exists, is neither copied nor converted."""
    x = np.broadcast_to(dtype(1), (1, 4, 10**7, 10**7))
    assert_says(refusal(ValueError, lambda: call(x)), name, value)


# Threads


@pytest.mark.parametrize("count", [0, -1])
def test_number_of_threads_is_positive(count):
    before = fc.get_num_threads()
    refusal(ValueError, lambda: fc.set_num_threads(count))
    refusal(ValueError, lambda: fc.num_threads(count).__enter__())
    assert fc.get_num_threads() == before


@pytest.mark.parametrize("count", [1.0, 2.5, "2", None, True])
def test_number_of_threads_is_an_integer(count):
    before = fc.get_num_threads()
    refusal(TypeError, lambda: fc.set_num_threads(count))
    refusal(TypeError, lambda: fc.num_threads(count).__enter__())
    assert fc.get_num_threads() == before
