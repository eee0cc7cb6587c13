"""conv1d, conv2d, conv3d and conv."""

import numpy as np
import pytest
from hypothesis import strategies as st

import fastconv
import oracle
from checking import check
from samples import DTYPES, PADDING_MODES, VIEWS, WRITEABLE_VIEWS, drawn, noise, root, whole

each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_rank = pytest.mark.parametrize("rank", [1, 2, 3])
each_mode = pytest.mark.parametrize("padding_mode", PADDING_MODES)


# Geometry


@pytest.mark.parametrize("padding", [0, 1, ((2, 0), (0, 3), (1, 2)), "same", "valid"])
@pytest.mark.parametrize("dilation", [(1, 1, 1), (2, 1, 3)])
@pytest.mark.parametrize("stride", [(1, 1, 1), (2, 2, 2), (1, 3, 2)])
@each_rank
def test_grid(rng, rank, stride, dilation, padding):
    options = {
        "stride": stride[:rank],
        "padding": padding[:rank] if isinstance(padding, tuple) else padding,
        "dilation": dilation[:rank],
    }
    x, b = noise(rng, 2, 4, *(11, 8, 9)[:rank]), noise(rng, 8)
    for groups in (1, 2, 4):
        w = noise(rng, 8, 4 // groups, *(3, 2, 3)[:rank])
        check(f"conv{rank}d", x, w, None if groups == 2 else b, groups=groups, **options)


@st.composite
def problems(draw):
    """Shapes of input, weight and bias, a view of each, and any geometry that fits them."""
    rank = draw(st.integers(1, 3))

    def axes(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    kernel, stride, dilation = axes(1, (9, 5, 3)[rank - 1]), axes(1, 4), axes(1, 3)
    before, after = axes(0, 5), axes(0, 5)
    pads = tuple(zip(before, after, strict=True))
    padding = draw(st.sampled_from([pads, before, before[0], "same", "valid"]))
    pads = oracle.pairs(0 if isinstance(padding, str) else padding, rank)
    axis = zip(kernel, dilation, pads, strict=True)
    least = [max(1, d * (k - 1) + 1 - sum(pad)) for k, d, pad in axis]
    more = axes(0, (60, 20, 6)[rank - 1])
    sizes = [n + m for n, m in zip(least, more, strict=True)]

    groups = draw(st.integers(1, 3))
    inputs, outputs = draw(st.integers(1, 3)), groups * draw(st.integers(1, 5))
    shapes = [(draw(st.integers(1, 3)), groups * inputs, *sizes), (outputs, inputs, *kernel)]
    if draw(st.booleans()):
        shapes.append((outputs,))
    operands = [(shape, draw(st.sampled_from(VIEWS))) for shape in shapes]
    options = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "padding_mode": draw(st.sampled_from(PADDING_MODES)),
    }
    return f"conv{rank}d", operands, options


@drawn(problems(), 400)
def test_drawn(name, operands, exact, options):
    check(name, *operands, exact=exact, **options)


@each_rank
def test_conv_takes_its_rank_from_the_weight(rng, rank):
    x, w = noise(rng, 2, 4, *(9, 8, 7)[:rank]), noise(rng, 6, 2, *(3, 2, 2)[:rank])
    options = {"stride": 2, "padding": "same", "groups": 2, "padding_mode": "reflect"}
    expected = getattr(fastconv, f"conv{rank}d")(x, w, **options)
    np.testing.assert_array_equal(fastconv.conv(x, w, **options), expected)


@each_rank
def test_kernel_as_large_as_the_input(rng, rank):
    sizes = (7, 6, 5)[:rank]
    y = check(f"conv{rank}d", noise(rng, 2, 3, *sizes), noise(rng, 4, 3, *sizes))
    assert y.shape == (2, 4, *[1] * rank)


@pytest.mark.parametrize("stride", [50, 2**40])
def test_stride_beyond_the_input(rng, stride):
    check("conv1d", noise(rng, 2, 3, 10), noise(rng, 4, 3, 3), stride=stride)
    check("conv2d", noise(rng, 2, 3, 10, 9), noise(rng, 4, 3, 3, 3), stride=(stride, 2))


def test_dilation_of_a_single_tap(rng):
    x, w = noise(rng, 2, 3, 10, 9), noise(rng, 4, 3, 1, 3)
    expected = check("conv2d", x, w, dilation=(1, 2))
    np.testing.assert_array_equal(fastconv.conv2d(x, w, dilation=(2**40, 2)), expected)


def test_geometry_may_be_any_integers(rng):
    x, w = noise(rng, 2, 4, 9, 8), noise(rng, 6, 2, 3, 3)
    expected = check("conv2d", x, w, stride=2, padding=(1, 2), dilation=1, groups=2)
    actual = fastconv.conv2d(
        x, w, stride=np.int8(2), padding=[1, np.uint64(2)], dilation=[1, 1], groups=np.int64(2)
    )
    np.testing.assert_array_equal(actual, expected)


# Padding


@each_dtype
@each_mode
@each_rank
def test_padding_modes(rng, rank, padding_mode, dtype):
    """On one side or both, far beyond the input, on axes of a single sample."""
    w = noise(rng, 3, 2, *(3, 2, 2)[:rank], dtype=dtype)
    for sizes in [(6, 4, 3), (1, 2, 5), (3, 1, 1)]:
        x = noise(rng, 2, 2, *sizes[:rank], dtype=dtype)
        for padding in [(2, 2, 2), ((0, 9), (7, 0), (3, 4)), ((13, 1), (0, 2), (1, 8))]:
            for stride, dilation in [(1, 1), (2, 1), (3, 2)]:
                options = {"stride": stride, "dilation": dilation, "padding_mode": padding_mode}
                check(f"conv{rank}d", x, w, padding=padding[:rank], **options)


@pytest.mark.parametrize(
    ("name", "forms"),
    [
        ("conv1d", [0, (0,), ((0, 0),), "valid"]),
        ("conv1d", [1, (1,), [1], ((1, 1),), "same"]),
        ("conv2d", [(0, 1), [0, 1], ((0, 0), (1, 1)), [[0, 0], [1, 1]]]),
        ("conv2d", [1, (1, 1), ((1, 1), (1, 1)), "same"]),
        ("conv3d", [(2, 0, 1), ((2, 2), (0, 0), (1, 1))]),
    ],
)
def test_forms_of_the_same_padding(rng, name, forms):
    rank = int(name[-2])
    x, w = noise(rng, 2, 3, *(6, 7, 5)[:rank]), noise(rng, 4, 3, *[3] * rank)
    expected = check(name, x, w, padding=forms[0])
    for form in forms[1:]:
        np.testing.assert_array_equal(getattr(fastconv, name)(x, w, padding=form), expected)


@each_mode
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_same_gives_one_output_for_each_stride_begun(rng, stride, padding_mode):
    for size in range(1, 14):
        x = whole(rng, 1, 2, size)
        for taps, dilation in [(1, 1), (2, 1), (3, 1), (4, 2), (5, 3)]:
            options = {"stride": stride, "dilation": dilation, "padding_mode": padding_mode}
            y = check("conv1d", x, whole(rng, 3, 2, taps), padding="same", exact=True, **options)
            assert y.shape == (1, 3, -(-size // stride))


# Tiles: every remainder of every block size, and problems of many tiles


@each_dtype
@pytest.mark.parametrize(("taps", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (5, 3), (8, 1)])
def test_every_width(rng, taps, stride, dtype):
    w = whole(rng, 5, 2, taps, dtype=dtype)
    for width in range(taps, 100):
        check("conv1d", whole(rng, 1, 2, width, dtype=dtype), w, stride=stride, exact=True)


@each_dtype
def test_every_small_image(rng, dtype):
    w = whole(rng, 3, 2, 3, 3, dtype=dtype)
    for height, width in np.ndindex(10, 19):
        x = whole(rng, 1, 2, height + 1, width + 1, dtype=dtype)
        check("conv2d", x, w, padding=1, exact=True)


@each_dtype
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("inputs", [1, 3, 17])
def test_every_number_of_output_channels(rng, inputs, kernel, dtype):
    x = whole(rng, 2, inputs, 7, 9, dtype=dtype)
    w, b = whole(rng, 50, inputs, kernel, kernel, dtype=dtype), whole(rng, 50, dtype=dtype)
    expected = check("conv2d", x, w, b, exact=True)
    for outputs in range(1, 50):
        actual = fastconv.conv2d(x, w[:outputs], b[:outputs])
        np.testing.assert_array_equal(actual, expected[:, :outputs])


@each_dtype
def test_every_number_of_input_channels(rng, dtype):
    for inputs in range(1, 40):
        x, w = whole(rng, 1, inputs, 5, 8, dtype=dtype), whole(rng, 3, inputs, 2, 3, dtype=dtype)
        check("conv2d", x, w, exact=True)


@each_dtype
@pytest.mark.parametrize("stride", [1, 2])
def test_every_kernel_shape(rng, stride, dtype):
    x = whole(rng, 1, 2, 14, 17, dtype=dtype)
    for height, width in np.ndindex(8, 8):
        w = whole(rng, 3, 2, height + 1, width + 1, dtype=dtype)
        check("conv2d", x, w, stride=stride, padding=1, exact=True)


MANY_TILES = [
    ("conv1d", (1, 1, 100_000), (2, 1, 9), {}),
    ("conv1d", (1, 2, 100_001), (3, 2, 4), {"stride": 3, "dilation": 7, "padding": ((30, 1),)}),
    ("conv1d", (1, 6, 2500), (17, 6, 2), {"dilation": 64}),
    ("conv2d", (1, 3, 37, 1000), (3, 3, 3, 3), {"padding": 1}),
    ("conv2d", (1, 2, 2000, 11), (3, 2, 5, 4), {"padding": 2, "padding_mode": "circular"}),
    ("conv2d", (1, 200, 33, 35), (3, 200, 3, 3), {}),
    ("conv2d", (1, 700, 4, 4), (33, 700, 3, 3), {"padding": "same"}),
    ("conv2d", (1, 8, 51, 53), (40, 8, 3, 3), {"stride": 2, "padding": 1}),
    ("conv2d", (1, 96, 30, 31), (40, 96, 1, 1), {}),
    ("conv2d", (17, 3, 12, 13), (4, 3, 7, 7), {"padding": 3, "padding_mode": "reflect"}),
    ("conv2d", (1, 48, 60, 61), (96, 1, 3, 3), {"groups": 48, "padding": "same", "stride": 2}),
    ("conv2d", (1, 24, 30, 35), (24, 6, 3, 3), {"groups": 4, "dilation": 3, "padding": 3}),
    ("conv2d", (1, 1, 60, 95), (1, 1, 15, 17), {"padding": 8, "padding_mode": "symmetric"}),
    ("conv3d", (1, 3, 12, 30, 41), (3, 3, 3, 3, 3), {"padding": 1}),
    ("conv3d", (1, 16, 9, 20, 21), (20, 16, 2, 2, 2), {"stride": (1, 2, 2)}),
]


@pytest.mark.parametrize(("values", "dtype"), [(whole, np.float32), (noise, np.float64)])
@pytest.mark.parametrize(("name", "input", "weight", "options"), MANY_TILES)
def test_many_tiles(rng, name, input, weight, options, values, dtype):
    x, w = values(rng, *input, dtype=dtype), values(rng, *weight, dtype=dtype)
    check(name, x, w, values(rng, len(w), dtype=dtype), exact=values is whole, **options)


@each_dtype
@pytest.mark.parametrize(
    ("input", "weight"),
    [((2, 1, 9000), (1, 1, 1500)), ((1, 2, 3000), (3, 2, 2999)), ((1, 1, 90, 100), (2, 1, 47, 61))],
)
def test_long_kernels(rng, input, weight, dtype):
    """May go through the Fourier transform, whose error is relative to the norms."""
    x, w = noise(rng, *input, dtype=dtype), noise(rng, *weight, dtype=dtype)
    norms = np.sqrt(oracle.conv(x**2, np.ones_like(w)).max() * (w**2).sum())
    error = np.abs(fastconv.conv(x, w) - oracle.conv(x, w)).max()
    assert error <= 4 * np.finfo(dtype).eps * np.log2(x.size) * norms


# Views


@each_rank
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("operand", ["input", "weight", "bias"])
def test_any_view_of(rng, operand, view, rank):
    operands = {
        "input": noise(rng, 2, 4, *(9, 7, 8)[:rank]),
        "weight": noise(rng, 6, 2, *(3, 2, 2)[:rank]),
        "bias": noise(rng, 6),
    }
    operands[operand] = view(operands[operand])
    for options in [{}, {"stride": 2, "padding": 1, "padding_mode": "circular"}]:
        check(f"conv{rank}d", *operands.values(), groups=2, **options)


@each_rank
def test_strides_of_zero(rng, rank):
    sizes, kernel = (9, 7, 8)[:rank], (3, 2, 2)[:rank]
    x, w, b = noise(rng, 2, 4, *sizes), noise(rng, 6, 4, *kernel), noise(rng, 6)
    for axis in range(rank + 2):
        check(f"conv{rank}d", np.broadcast_to(x.take([0], axis), x.shape), w, b, padding=1)
        check(f"conv{rank}d", x, np.broadcast_to(w.take([0], axis), w.shape), b, padding=1)
    check(f"conv{rank}d", x, w, np.broadcast_to(b[0], b.shape), padding=1)


def test_overlapping_windows_as_input(rng):
    """A sliding window view repeats its samples in memory."""
    x = np.lib.stride_tricks.sliding_window_view(noise(rng, 40), 16)[np.newaxis, :5]
    check("conv1d", x, noise(rng, 3, 5, 4))


@each_dtype
@each_rank
@pytest.mark.parametrize("view", WRITEABLE_VIEWS)
def test_out_may_be_any_view(rng, view, rank, dtype):
    x = noise(rng, 2, 4, *(9, 7, 19)[:rank], dtype=dtype)
    w = noise(rng, 6, 2, *(3, 2, 2)[:rank], dtype=dtype)
    for stride in (1, 2):
        shape = oracle.conv(x, w, groups=2, stride=stride).shape
        out = view(np.zeros(shape, dtype))
        check(f"conv{rank}d", x, w, groups=2, stride=stride, out=out)
        out[...] = np.nan
        assert np.isnan(root(out)).all(), "wrote outside"


def test_out_beside_the_input_in_one_array(rng):
    """Channels appended in place, as in a DenseNet: interleaved in memory, never overlapping."""
    both = noise(rng, 2, 8, 6, 7)
    x, out = both[:, :4], both[:, 4:]
    w = noise(rng, 4, 4, 3, 3)
    expected = fastconv.conv2d(x.copy(), w, padding=1)
    assert fastconv.conv2d(x, w, padding=1, out=out) is out
    np.testing.assert_array_equal(both[:, 4:], expected)


# Floating-point values that are not plain numbers


@each_mode
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("input", "weight", "options"),
    [
        ((1, 3, 40), (5, 3, 3), {}),
        ((2, 3, 9, 21), (5, 3, 3, 3), {}),
        ((2, 3, 9, 21), (5, 3, 2, 3), {"stride": 2, "dilation": (2, 3)}),
        ((1, 4, 9, 21), (8, 1, 3, 3), {"groups": 4}),
        ((1, 20, 9, 21), (17, 20, 1, 1), {}),
        ((1, 2, 5, 6, 9), (3, 2, 3, 2, 3), {}),
    ],
)
def test_reaches_only_the_windows_that_cover_it(rng, input, weight, options, value, padding_mode):
    x, w = noise(rng, *input), np.abs(noise(rng, *weight))
    options = {"padding": 2, "padding_mode": padding_mode, **options}
    clean = check("conv", x, w, **options)
    at = tuple(n // 2 for n in input)
    x[at] = value
    mark = np.zeros_like(x)
    mark[at] = 1
    covering = oracle.conv(mark, np.ones_like(w), **options) > 0
    assert covering.any()
    expected = np.where(covering, value, clean)
    np.testing.assert_array_equal(fastconv.conv(x, w, **options), expected)


def test_nan_in_the_weight_reaches_only_its_channel(rng):
    x, w = noise(rng, 2, 3, 9, 21), noise(rng, 20, 3, 3, 3)
    expected = fastconv.conv2d(x, w)
    w[13, 1, 0, 2] = np.nan
    expected[:, 13] = np.nan
    np.testing.assert_array_equal(fastconv.conv2d(x, w), expected)


def test_zero_times_infinity_is_nan():
    x, w = np.ones((1, 1, 30), np.float32), np.zeros((1, 1, 3), np.float32)
    x[0, 0, 10] = np.inf
    expected = np.zeros((1, 1, 28))
    expected[..., 8:11] = np.nan
    np.testing.assert_array_equal(fastconv.conv1d(x, w), expected)


@each_dtype
def test_cancellation_gives_positive_zero(dtype):
    x = np.full((1, 1, 50), -3, dtype)
    y = fastconv.conv1d(x, np.array([[[1, -1]]], dtype))
    np.testing.assert_array_equal(y, np.zeros((1, 1, 49)))
    assert not np.signbit(y).any()
