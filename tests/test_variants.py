"""Pointwise, depthwise, separable, shuffled and flattened convolutions."""

import numpy as np
import pytest

import fastconv
from checking import check
from samples import DTYPES, EVERY_PROBLEM, VIEWS, noise, whole

each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_values = pytest.mark.parametrize("values", [noise, whole])
each_rank = pytest.mark.parametrize("rank", [1, 2, 3])
each_geometry = pytest.mark.parametrize(
    "geometry",
    [
        {},
        {"stride": 2, "padding": 1},
        {"padding": "same", "dilation": 2},
        {"padding": "same", "stride": 3},
        {"padding": "valid", "stride": (2, 1, 3), "dilation": (1, 2, 1)},
        {"padding": ((0, 4), (3, 1), (2, 0)), "stride": (1, 2, 1)},
        {"padding": (3, 0, 2), "dilation": (2, 1, 1)},
    ],
    ids=str,
)


def first(rank, geometry):
    """The geometry of the first `rank` axes."""
    return {k: v[:rank] if isinstance(v, tuple) else v for k, v in geometry.items()}


# All of them


@pytest.mark.parametrize("problem", **EVERY_PROBLEM)
@each_values
@each_dtype
def test_every_function(rng, problem, values, dtype):
    operands = problem.operands(rng, 2, 7, values, dtype)
    exact = values is whole
    check(problem.name, *operands, exact=exact, **problem.options)
    check(problem.name, *operands[:-1], exact=exact, **problem.options)


@pytest.mark.parametrize("problem", **EVERY_PROBLEM)
@pytest.mark.parametrize("view", VIEWS)
def test_any_view(rng, problem, view):
    operands = problem.operands(rng, 2, 6)
    check(problem.name, *map(view, operands), **problem.options)


@pytest.mark.parametrize("problem", **EVERY_PROBLEM)
def test_strides_of_zero(rng, problem):
    for i, operand in enumerate(operands := problem.operands(rng, 2, 6)):
        for axis in range(operand.ndim):
            repeated = np.broadcast_to(operand.take([0], axis), operand.shape)
            check(problem.name, *operands[:i], repeated, *operands[i + 1 :], **problem.options)


@pytest.mark.parametrize("problem", **EVERY_PROBLEM)
def test_nan_stays_in_its_image(rng, problem):
    operands = problem.operands(rng, 3, 7)
    function = getattr(fastconv, problem.name)
    expected = function(*operands, **problem.options)
    operands[0][1] = np.nan
    actual = function(*operands, **problem.options)
    np.testing.assert_array_equal(actual[[0, 2]], expected[[0, 2]])
    assert np.isnan(actual[1]).any()


# Pointwise


@each_values
@each_dtype
@pytest.mark.parametrize("sizes", [(), (9,), (5, 7), (3, 5, 4)], ids=str)
def test_pointwise(rng, sizes, dtype, values):
    x = values(rng, 2, 5, *sizes, dtype=dtype)
    w, b = values(rng, 7, 5, dtype=dtype), values(rng, 7, dtype=dtype)
    check("pointwise_conv", x, w, b, exact=values is whole)
    check("pointwise_conv", x, w, exact=values is whole)


@each_dtype
@each_rank
def test_pointwise_forms_give_the_same_bits(rng, rank, dtype):
    """A linear map of the channels, a kernel of size 1, and conv."""
    x = noise(rng, 2, 19, *(30, 17, 5)[:rank], dtype=dtype)
    w, b = noise(rng, 23, 19, dtype=dtype), noise(rng, 23, dtype=dtype)
    kernel = w.reshape(23, 19, *[1] * rank)
    expected = check("pointwise_conv", x, w, b)
    np.testing.assert_array_equal(fastconv.pointwise_conv(x, kernel, b), expected)
    np.testing.assert_array_equal(fastconv.pointwise_conv(x[0], kernel, b), expected[0])
    np.testing.assert_array_equal(fastconv.conv(x, kernel, b), expected)


# Depthwise and separable


@each_dtype
@each_geometry
@pytest.mark.parametrize("multiplier", [1, 3])
@each_rank
def test_depthwise(rng, rank, multiplier, geometry, dtype):
    x = noise(rng, 2, 5, *(11, 9, 8)[:rank], dtype=dtype)
    w = noise(rng, 5 * multiplier, 1, *(3, 4, 2)[:rank], dtype=dtype)
    b = noise(rng, 5 * multiplier, dtype=dtype)
    check(f"depthwise_conv{rank}d", x, w, b, **first(rank, geometry))


@pytest.mark.parametrize("channels", [1, 2, 7, 16, 33])
def test_depthwise_channels_are_independent(rng, channels):
    x, w = whole(rng, 2, channels, 13, 14), whole(rng, channels, 1, 3, 3)
    y = check("depthwise_conv2d", x, w, padding=1, exact=True)
    for c in range(channels):
        alone = fastconv.conv2d(x[:, c : c + 1], w[c : c + 1], padding=1)
        np.testing.assert_array_equal(y[:, c : c + 1], alone)


@each_dtype
@each_geometry
@pytest.mark.parametrize("multiplier", [1, 3])
@each_rank
def test_separable(rng, rank, multiplier, geometry, dtype):
    middle = 4 * multiplier
    x = noise(rng, 2, 4, *(11, 9, 8)[:rank], dtype=dtype)
    depthwise = noise(rng, middle, 1, *(3, 4, 2)[:rank], dtype=dtype)
    pointwise, b = noise(rng, 6, middle, dtype=dtype), noise(rng, 6, dtype=dtype)
    geometry = first(rank, geometry)
    y = check(f"separable_conv{rank}d", x, depthwise, pointwise, b, **geometry)
    kernel = pointwise.reshape(6, middle, *[1] * rank)
    same = check(f"separable_conv{rank}d", x, depthwise, kernel, b, **geometry)
    np.testing.assert_array_equal(same, y)


@pytest.mark.parametrize("values", [noise, whole])
def test_separable_of_many_tiles(rng, values):
    x, depthwise = values(rng, 2, 24, 60, 61), values(rng, 48, 1, 3, 3)
    pointwise, b = values(rng, 30, 48), values(rng, 30)
    options = {"padding": 1, "stride": 2, "exact": values is whole}
    check("separable_conv2d", x, depthwise, pointwise, b, **options)


# Separable in space


@each_values
@each_dtype
@each_geometry
@pytest.mark.parametrize("form", ["shared", "rows", "kernels"])
@pytest.mark.parametrize("rank", [2, 3])
def test_spatially_separable(rng, rank, form, geometry, dtype, values):
    lines = []
    for axis, taps in enumerate((3, 4, 2)[:rank]):
        line = [taps if i == axis else 1 for i in range(rank)]
        shape = {"shared": [taps], "rows": [5, taps], "kernels": [5, 1, *line]}[form]
        lines.append(values(rng, *shape, dtype=dtype))
    x, b = values(rng, 2, 5, *(11, 9, 8)[:rank], dtype=dtype), values(rng, 5, dtype=dtype)
    options = {**first(rank, geometry), "exact": values is whole}
    check(f"spatially_separable_conv{rank}d", x, *lines, b, **options)


@each_values
def test_spatially_separable_of_many_tiles(rng, values):
    x, lines = values(rng, 2, 9, 100, 301), (values(rng, 9), values(rng, 7))
    check("spatially_separable_conv2d", x, *lines, padding=(4, 3), exact=values is whole)


def test_spatially_separable_is_the_outer_product(rng):
    x, v, h = whole(rng, 2, 3, 12, 13), whole(rng, 5), whole(rng, 3)
    kernel = np.broadcast_to(np.outer(v, h), (3, 1, 5, 3))
    np.testing.assert_array_equal(
        fastconv.spatially_separable_conv2d(x, v, h, padding="same"),
        fastconv.depthwise_conv2d(x, kernel, padding="same"),
    )


# Shuffled groups


@each_dtype
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("sizes", [(5,), (4, 3), (2, 3, 4)], ids=str)
def test_channel_shuffle(rng, sizes, view, dtype):
    x = noise(rng, 2, 12, *sizes, dtype=dtype)
    for groups in (1, 2, 3, 4, 6, 12):
        check("channel_shuffle", view(x), groups=groups, exact=True)


def test_channel_shuffle_of_four_by_two():
    x = np.arange(4.0).reshape(1, 4, 1)
    assert fastconv.channel_shuffle(x, 2).ravel().tolist() == [0, 2, 1, 3]


@each_geometry
@pytest.mark.parametrize("groups", [1, 2, 4])
@each_rank
def test_shuffled_grouped(rng, rank, groups, geometry):
    x, b = noise(rng, 1, 8, *(10, 9, 6)[:rank]), noise(rng, 12)
    w = noise(rng, 12, 8 // groups, *(3, 4, 2)[:rank])
    options = {"groups": groups, **first(rank, geometry)}
    y = check(f"shuffled_grouped_conv{rank}d", x, w, b, **options)
    shuffled = fastconv.channel_shuffle(fastconv.conv(x, w, b, **options), groups)
    np.testing.assert_array_equal(y, shuffled)


# Flattened


@each_values
@each_dtype
@each_geometry
@pytest.mark.parametrize("biases", ["none", "last", "each", "first", "middle"])
@each_rank
def test_flattened(rng, rank, biases, geometry, dtype, values):
    x, lateral = values(rng, 2, 3, *(11, 9, 8)[:rank], dtype=dtype), values(rng, 5, 3, dtype=dtype)
    lines = [values(rng, 5, taps, dtype=dtype) for taps in (3, 4, 2)[:rank]]
    b = [values(rng, 5, dtype=dtype) for _ in range(rank + 1)]
    bias = {
        "none": None,
        "last": b[0],
        "each": tuple(b),
        "first": (b[0], *[None] * rank),
        "middle": (None, b[1], *[None] * (rank - 1)),
    }[biases]
    options = {**first(rank, geometry), "exact": values is whole}
    check(f"flattened_conv{rank}d", x, lateral, *lines, bias, **options)


@each_rank
def test_flattened_is_the_outer_product(rng, rank):
    x, b, lateral = whole(rng, 2, 3, *(11, 9, 8)[:rank]), whole(rng, 5), whole(rng, 5, 3)
    kernel, lines = lateral, []
    for taps in (3, 4, 2)[:rank]:
        line = whole(rng, 5, taps)
        lines.append(line)
        kernel = kernel[..., np.newaxis] * line.reshape(5, *[1] * (kernel.ndim - 1), taps)
    options = {"stride": 2, "padding": 1}
    flattened = getattr(fastconv, f"flattened_conv{rank}d")(x, lateral, *lines, b, **options)
    np.testing.assert_array_equal(flattened, fastconv.conv(x, kernel, b, **options))


@each_values
def test_flattened_of_many_tiles(rng, values):
    x, lateral, b = values(rng, 2, 3, 60, 201), values(rng, 16, 3), values(rng, 16)
    lines = values(rng, 16, 3), values(rng, 16, 5)
    options = {"padding": (1, 2), "exact": values is whole}
    check("flattened_conv2d", x, lateral, *lines, (b, b, b), **options)


@each_values
@each_dtype
@pytest.mark.parametrize("padding", ["same", 0, 2, (1, 3)], ids=str)
@pytest.mark.parametrize("stride", [1, 2, (1, 3)], ids=str)
@pytest.mark.parametrize("dilation", [1, (2, 1)], ids=str)
@pytest.mark.parametrize("taps", [(3, 3), (5, 3), (1, 4), (4, 2), (3, 1)], ids=str)
def test_parallel_flattened(rng, taps, dilation, stride, padding, dtype, values):
    x, b = values(rng, 2, 3, 11, 9, dtype=dtype), values(rng, 5, dtype=dtype)
    vertical = values(rng, 5, 3, taps[0], 1, dtype=dtype)
    horizontal = values(rng, 5, 3, 1, taps[1], dtype=dtype)
    options = {"dilation": dilation, "stride": stride, "padding": padding}
    exact = values is whole
    check("parallel_flattened_conv2d", x, vertical, horizontal, b, exact=exact, **options)


def test_parallel_flattened_is_the_sum_of_two_convolutions(rng):
    x, vertical, horizontal = whole(rng, 2, 3, 9, 8), whole(rng, 5, 3, 4, 1), whole(rng, 5, 3, 1, 3)
    across = fastconv.conv2d(x, horizontal, padding="same")
    expected = fastconv.conv2d(x, vertical, padding="same") + across
    actual = fastconv.parallel_flattened_conv2d(x, vertical, horizontal)
    np.testing.assert_array_equal(actual, expected)


def test_flattened_promotes_all_operands_at_once():
    """A pass with a bias of its own does not promote by itself."""
    image = np.arange(24, dtype=np.uint8).reshape(1, 2, 3, 4)
    lateral = np.ones((3, 2), np.uint8)
    line = np.ones((3, 1), np.float32)
    bias = np.ones(3, np.float32)
    one = fastconv.flattened_conv2d(image, lateral, line, line, bias)
    each = fastconv.flattened_conv2d(image, lateral, line, line, (None, None, bias))
    assert one.dtype == each.dtype == np.float32
    assert np.array_equal(one, each)
