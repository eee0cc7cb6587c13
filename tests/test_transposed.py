"""conv_transpose1d, conv_transpose2d, conv_transpose3d and conv_transpose."""

import numpy as np
import pytest
from hypothesis import strategies as st

import fastconv
import oracle
from checking import check
from samples import DTYPES, VIEWS, WRITEABLE_VIEWS, drawn, noise, root, whole

each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_rank = pytest.mark.parametrize("rank", [1, 2, 3])


# Geometry


@pytest.mark.parametrize("padding", [0, (1, 2, 0)])
@pytest.mark.parametrize("dilation", [(1, 1, 1), (3, 1, 2)])
@pytest.mark.parametrize("stride", [(1, 1, 1), (2, 2, 2), (3, 4, 2)])
@each_rank
def test_grid(rng, rank, stride, dilation, padding):
    x, b = noise(rng, 2, 4, *(5, 4, 3)[:rank]), noise(rng, 8)
    most = np.maximum(stride, dilation) - 1
    for groups, extra in [(1, 0), (2, most), (4, most // 2)]:
        w = noise(rng, 4, 8 // groups, *(3, 2, 3)[:rank])
        check(
            f"conv_transpose{rank}d",
            x,
            w,
            None if groups == 2 else b,
            stride=stride[:rank],
            padding=padding[:rank] if padding else 0,
            output_padding=tuple(extra[:rank].tolist()) if groups > 1 else 0,
            groups=groups,
            dilation=dilation[:rank],
        )


@st.composite
def problems(draw):
    """Shapes of input, weight and bias, a view of each, and any geometry that fits them."""
    rank = draw(st.integers(1, 3))

    def axes(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    kernel, stride, dilation = axes(1, (9, 5, 3)[rank - 1]), axes(1, 5), axes(1, 3)
    sizes = axes(1, (60, 12, 5)[rank - 1])
    most = [max(step) - 1 for step in zip(stride, dilation, strict=True)]
    extra = tuple(draw(st.integers(0, n)) for n in most)
    full = oracle.conv_transpose(
        np.ones((1, 1, *sizes)), np.ones((1, 1, *kernel)), None, stride, 0, extra, 1, dilation
    )
    padding = tuple(draw(st.integers(0, min(6, (n - 1) // 2))) for n in full.shape[2:])

    groups = draw(st.integers(1, 3))
    inputs, outputs = groups * draw(st.integers(1, 4)), draw(st.integers(1, 5))
    shapes = [(draw(st.integers(1, 3)), inputs, *sizes), (inputs, outputs, *kernel)]
    if draw(st.booleans()):
        shapes.append((groups * outputs,))
    operands = [(shape, draw(st.sampled_from(VIEWS))) for shape in shapes]
    options = {
        "stride": stride,
        "padding": padding,
        "output_padding": extra,
        "groups": groups,
        "dilation": dilation,
    }
    return f"conv_transpose{rank}d", operands, options


@drawn(problems(), 300)
def test_drawn(name, operands, exact, options):
    check(name, *operands, exact=exact, **options)


@each_rank
def test_rank_comes_from_the_weight(rng, rank):
    x, w = noise(rng, 2, 4, *(5, 4, 3)[:rank]), noise(rng, 4, 3, *(3, 2, 2)[:rank])
    options = {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}
    expected = getattr(fastconv, f"conv_transpose{rank}d")(x, w, **options)
    np.testing.assert_array_equal(fastconv.conv_transpose(x, w, **options), expected)


def test_outputs_that_no_input_reaches_are_the_bias(rng):
    """A stride beyond the kernel leaves gaps; output_padding may go beyond the last tap."""
    x, w, b = noise(rng, 1, 2, 4), noise(rng, 2, 3, 2), noise(rng, 3)
    y = check("conv_transpose1d", x, w, b, stride=5, output_padding=4)
    assert y.shape == (1, 3, 21)
    gaps = y.reshape(3, 21)[:, [2, 3, 4, 7, 8, 9, 12, 13, 14, 17, 18, 19, 20]]
    np.testing.assert_array_equal(gaps, np.broadcast_to(b[:, np.newaxis], gaps.shape))


def test_stride_of_a_single_sample(rng):
    """A stride between no two samples is no work, however long."""
    x, w = noise(rng, 2, 3, 1, 6), noise(rng, 3, 4, 3, 3)
    expected = check("conv_transpose2d", x, w, stride=(1, 2))
    actual = fastconv.conv_transpose2d(x, w, stride=(2**40, 2))
    np.testing.assert_array_equal(actual, expected)


@each_rank
@pytest.mark.parametrize(
    "geometry",
    [
        {"stride": 1, "padding": 1, "dilation": 2},
        {"stride": 2, "padding": 1, "dilation": 1},
        {"stride": 3, "padding": 0, "dilation": 2},
    ],
)
def test_is_the_adjoint_of_conv(rng, geometry, rank):
    """<conv(x), y> is <x, conv_transpose(y)>, to the last bit on integers."""
    sizes, kernel = (13, 10, 9)[:rank], (3, 2, 3)[:rank]
    x, w = whole(rng, 2, 4, *sizes, dtype=np.float64), whole(rng, 6, 2, *kernel, dtype=np.float64)
    forward = fastconv.conv(x, w, groups=2, **geometry)
    y = whole(rng, *forward.shape, dtype=np.float64)
    least = fastconv.conv_transpose(y, w, groups=2, **geometry)
    missing = tuple(n - m for n, m in zip(sizes, least.shape[2:], strict=True))
    backward = fastconv.conv_transpose(y, w, groups=2, output_padding=missing, **geometry)
    assert np.vdot(forward, y) == np.vdot(x, backward) != 0


# Tiles


@each_dtype
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_every_width(rng, stride, dtype):
    w = whole(rng, 2, 5, 4, dtype=dtype)
    for width in range(1, 60):
        x = whole(rng, 1, 2, width, dtype=dtype)
        check("conv_transpose1d", x, w, stride=stride, padding=1, exact=True)


@each_dtype
@pytest.mark.parametrize("images", [None, 1, 5, 70, 1030])
@pytest.mark.parametrize(
    ("weight", "options"),
    [
        ((3, 40, 4), {}),
        ((70, 3, 4, 3), {"groups": 2, "stride": 2}),
        ((8, 4, 2, 3, 1), {"groups": 4, "stride": 3, "dilation": (1, 1, 2)}),
        ((5, 4, 3, 3), {"padding": 1}),
    ],
)
def test_one_position(rng, weight, options, images, dtype):
    channels, each, *kernel = weight
    batch = () if images is None else (images,)
    x = whole(rng, *batch, channels, *(1 for _ in kernel), dtype=dtype)
    w = whole(rng, *weight, dtype=dtype)
    b = whole(rng, each * options.get("groups", 1), dtype=dtype)
    y = check("conv_transpose", x, w, b, exact=True, **options)
    packed = fastconv.conv_transpose(x, fastconv.pack(w), b, **options)
    np.testing.assert_array_equal(packed, y)
    turned = np.moveaxis(np.moveaxis(w, 1, -1).copy(), -1, 1)
    check("conv_transpose", x, turned, exact=True, **options)


@each_dtype
def test_every_number_of_output_channels(rng, dtype):
    x, w = whole(rng, 2, 5, 6, 7, dtype=dtype), whole(rng, 5, 40, 3, 3, dtype=dtype)
    expected = check("conv_transpose2d", x, w, stride=2, exact=True)
    for outputs in range(1, 40):
        actual = fastconv.conv_transpose2d(x, w[:, :outputs], stride=2)
        np.testing.assert_array_equal(actual, expected[:, :outputs])


@pytest.mark.parametrize(("values", "dtype"), [(whole, np.float32), (noise, np.float64)])
@pytest.mark.parametrize(
    ("input", "weight", "options"),
    [
        ((1, 2, 20_000), (2, 3, 8), {"stride": 4, "padding": 2}),
        ((1, 3, 60, 61), (3, 6, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
        ((1, 3, 11, 500), (3, 4, 4, 4), {"stride": 2, "padding": 1}),
        ((1, 100, 8, 8), (100, 20, 4, 4), {"stride": 2, "padding": 1}),
        ((1, 2, 50, 40), (2, 5, 5, 5), {"dilation": 2, "padding": 4}),
        ((1, 24, 30, 30), (24, 1, 3, 3), {"groups": 24, "stride": 2}),
        ((1, 3, 7, 14, 15), (3, 4, 3, 3, 3), {"stride": (1, 2, 2), "padding": 1}),
    ],
)
def test_many_tiles(rng, input, weight, options, values, dtype):
    x, w = values(rng, *input, dtype=dtype), values(rng, *weight, dtype=dtype)
    check("conv_transpose", x, w, exact=values is whole, **options)


@each_dtype
@pytest.mark.parametrize("kernel", [(2, 2), (4, 4), (3, 5), (16,), (40,), (2, 3, 3)])
@pytest.mark.parametrize("groups", [1, 2])
def test_few_positions(rng, groups, kernel, dtype):
    """Phases whose weights are transposed together: of few inputs or many, in any number."""
    sizes = (3, 3, 1)[: len(kernel)]
    swapped = 0
    for inputs, outputs in [(1, 40), (3, 2), (70, 9), (50, 130)]:
        x = whole(rng, 2, groups * inputs, *sizes, dtype=dtype)
        w = whole(rng, groups * inputs, outputs, *kernel, dtype=dtype)
        options = {"stride": 2, "groups": groups}
        y = check("conv_transpose", x, w, exact=True, **options)
        swapped += "swapped" in fastconv.explain(fastconv.conv_transpose, x, w, **options).method
        np.testing.assert_array_equal(fastconv.conv_transpose(x, fastconv.pack(w), **options), y)
        # What does not lie in one piece is not transposed.
        turned = np.moveaxis(np.moveaxis(w, 1, -1).copy(), -1, 1)
        check("conv_transpose", x, turned, exact=True, **options)
        w.flat[-1] = np.inf
        np.testing.assert_array_equal(
            fastconv.conv_transpose(x, w, **options),
            fastconv.conv_transpose(x, fastconv.pack(w), **options),
        )
    # Narrower vectors are filled by fewer positions.
    assert swapped or fastconv.show_config(mode="dicts")["simd"]["chosen"] != "v4"


@each_dtype
def test_rows_of_one_element(rng, dtype):
    """Their stride says nothing of where the next row is."""
    for inputs, outputs in [(1, 40), (72, 12)]:
        x = whole(rng, 1, inputs, 3, 4, 1, dtype=dtype)
        w = whole(rng, inputs, outputs, 2, 2, 1, dtype=dtype)
        check("conv_transpose3d", x, w, stride=(2, 1, 3), exact=True)
        out = np.zeros((1, outputs, 6, 3, 5), dtype).swapaxes(-1, -2)[..., :1]
        check("conv_transpose3d", x, w, stride=(2, 1, 3), exact=True, out=out)
        assert np.count_nonzero(root(out)) == np.count_nonzero(out)


# Views


@each_rank
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("operand", ["input", "weight", "bias"])
def test_any_view_of(rng, operand, view, rank):
    operands = {
        "input": noise(rng, 2, 4, *(6, 5, 4)[:rank]),
        "weight": noise(rng, 4, 3, *(3, 2, 2)[:rank]),
        "bias": noise(rng, 6),
    }
    operands[operand] = view(operands[operand])
    check(f"conv_transpose{rank}d", *operands.values(), stride=2, groups=2)


@each_rank
def test_strides_of_zero(rng, rank):
    x, w = noise(rng, 2, 4, *(6, 5, 4)[:rank]), noise(rng, 4, 3, *(3, 2, 2)[:rank])
    for axis in range(rank + 2):
        repeated = np.broadcast_to(x.take([0], axis), x.shape)
        check(f"conv_transpose{rank}d", repeated, w, stride=2)
        repeated = np.broadcast_to(w.take([0], axis), w.shape)
        check(f"conv_transpose{rank}d", x, repeated, stride=2)


@each_dtype
@each_rank
@pytest.mark.parametrize("view", WRITEABLE_VIEWS)
def test_out_may_be_any_view(rng, view, rank, dtype):
    x = noise(rng, 2, 4, *(5, 4, 9)[:rank], dtype=dtype)
    w = noise(rng, 4, 3, *(3, 2, 2)[:rank], dtype=dtype)
    for stride in (1, 3):
        options = {"groups": 2, "stride": stride}
        out = view(np.zeros(oracle.conv_transpose(x, w, **options).shape, dtype))
        check(f"conv_transpose{rank}d", x, w, out=out, **options)
        out[...] = np.nan
        assert np.isnan(root(out)).all(), "wrote outside"


# Floating-point values that are not plain numbers


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 2, "padding": 1, "output_padding": 1}, {"stride": 3}, {"dilation": 2}],
)
@each_rank
def test_reaches_only_the_outputs_of_its_kernel(rng, rank, options, value):
    x = noise(rng, 2, 3, *(7, 5, 6)[:rank])
    w = np.abs(noise(rng, 3, 4, *(3, 2, 3)[:rank]))
    clean = check(f"conv_transpose{rank}d", x, w, **options)
    at = tuple(n // 2 for n in x.shape)
    x[at] = value
    mark = np.zeros_like(x)
    mark[at] = 1
    reached = oracle.conv_transpose(mark, np.ones_like(w), **options) > 0
    assert reached.any()
    expected = np.where(reached, value, clean)
    np.testing.assert_array_equal(fastconv.conv_transpose(x, w, **options), expected)
