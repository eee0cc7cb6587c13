"""Every way in which the engine computes directly, each on its own: all must give the same sums.

Which way a call goes depends on its geometry, and `explain` tells some of it. Others are forced.
"""

import numpy as np
import pytest
from scipy import ndimage

import fastconv
import fastconv.ndimage
from checking import check
from fastconv import problems
from fastconv.arrays import call
from fastconv.engine import planning, ways
from samples import DTYPES, VIEWS, WRITEABLE_VIEWS, crop, noise, whole

each_dtype = pytest.mark.parametrize("dtype", DTYPES)
MASKED = planning.kernels.VECTOR >= planning.MASKED


@pytest.fixture
def anew():
    """No plan is kept from before, nor for what comes after."""
    fastconv.arrays._calls.clear()
    yield
    fastconv.arrays._calls.clear()


@pytest.fixture
def force(monkeypatch, anew):
    """Make the planner choose what is asked for where it is asked to choose."""
    choose = planning._choose

    def forced(**fields):
        fastconv.arrays._calls.clear()
        monkeypatch.setattr(planning, "_choose", lambda *given: choose(*given)._replace(**fields))

    return forced


def direct(name, *operands, **options):
    return check(name, *operands, method="direct", exact=True, **options)


def packed(expected, name, x, w, *bias, **options):
    """The same bits from packed weights."""
    actual = getattr(fastconv, name)(x, fastconv.pack(w), *bias, method="direct", **options)
    np.testing.assert_array_equal(actual, expected)


def method(name, *operands, **options):
    return fastconv.explain(getattr(fastconv, name), *operands, method="direct", **options).method


# Small filters, which read the input in place


@pytest.mark.parametrize("width", [1, 5, 8, 15, 16, 17, 31, 33, 47, 64, 70, 140, 330])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [3, 5, 7])
@each_dtype
def test_filter(rng, dtype, side, stride, width):
    far, near = (side, side - 1), (side // 2, (side - 1) // 2 + 1)
    for height, padding in ((4, (far, near)), (7, (near, far)), (14, (far, near))):
        x = crop(whole(rng, 2, 3, height, width + side, dtype=dtype))
        w, b = whole(rng, 6, 1, side, side, dtype=dtype), whole(rng, 6, dtype=dtype)
        options = {"stride": stride, "padding": padding, "groups": 3}
        if MASKED or stride == 1:
            assert ("in place" in method("conv2d", x, w, b, **options)) == MASKED
        direct("conv2d", x, w, b, **options)
        direct("conv2d", x, w, b, **{**options, "padding": 0}) if height >= side else ...


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular", "symmetric"])
@pytest.mark.parametrize("width", [8, 17, 64, 70, 130, 330])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [3, 5, 7])
def test_filter_of_rows_that_go_on(rng, side, stride, width, mode):
    x = crop(whole(rng, 2, 3, 13, width))
    w = whole(rng, 3, 1, side, side)
    for padding in (side // 2, ((side - 1, 0), (0, side - 1))):
        options = {"stride": stride, "padding": padding, "padding_mode": mode, "groups": 3}
        if MASKED or stride == 1:
            assert ("in place" in method("conv2d", x, w, **options)) == MASKED
        direct("conv2d", x, w, **options)


@pytest.mark.parametrize("mode", ["reflect", "nearest", "mirror", "wrap", "constant"])
@pytest.mark.parametrize("shape", [(4, 1), (5, 9), (14, 70), (31, 330)])
@each_dtype
def test_filter_of_a_cross(rng, dtype, shape, mode):
    x = crop(whole(rng, *shape, dtype=dtype))
    result = fastconv.ndimage.laplace(x, mode=mode)
    np.testing.assert_array_equal(result, ndimage.laplace(x, mode=mode))


@pytest.mark.parametrize("view", VIEWS)
def test_filter_of_views(rng, view):
    x, w = view(whole(rng, 1, 4, 9, 21)), view(whole(rng, 4, 1, 3, 3))
    direct("conv2d", x, w, padding=1, groups=4)


@pytest.mark.parametrize("view", WRITEABLE_VIEWS)
def test_filter_to_views(rng, view):
    x, w = whole(rng, 1, 4, 9, 21), whole(rng, 4, 1, 3, 3)
    out = view(np.zeros((1, 4, 9, 21), np.float32))
    direct("conv2d", x, w, padding=1, groups=4, out=out)


def test_filter_of_planes_that_are_padding(rng):
    """There is nothing to read in place."""
    x, w = whole(rng, 2, 3, 2, 8, 21), whole(rng, 6, 1, 1, 3, 3)
    for padding in ((0, 1), (1, 0), (2, 2)):
        direct("conv3d", x, w, padding=(padding, (1, 1), (2, 2)), groups=3)


def test_filter_keeps_what_is_not_finite_where_it_is(rng):
    x = whole(rng, 1, 1, 12, 40)
    x[0, 0, 5, 20] = np.nan
    result = fastconv.conv2d(x, whole(rng, 1, 1, 5, 5) + 0.5, padding=2, method="direct")
    seen = np.zeros(result.shape, bool)
    seen[..., 3:8, 18:23] = True
    np.testing.assert_array_equal(np.isnan(result), seen)


# Small planes of single channels, interleaved


@pytest.mark.parametrize("groups", [2, 5, 16, 37])
@pytest.mark.parametrize("shape", [(1, 9), (5, 17), (7, 7), (16, 3), (14, 14), (31, 20)], ids=str)
@each_dtype
def test_interleaved(rng, monkeypatch, anew, dtype, shape, groups):
    monkeypatch.setattr(ways, "_interleaving_pays", lambda problem: True)
    cases = (
        ((3, 3), (1, 1), 1, 1, 1),
        ((7, 5), ((3, 3), (4, 1)), 1, 1, 2),
        ((2, 3), (2, 0), (3, 2), 1, 1),
        ((1, 3), ((0, 0), (0, 5)), 2, (1, 2), 3),
        # Two rows of outputs at a time: taps that both have, or one row more, or all but one.
        ((3, 3), (2, 0), 1, (2, 1), 1),
        ((4, 3), (3, 1), (2, 1), 1, 1),
        ((1, 3), (1, 1), 1, 1, 1),
        # Columns and rows that no tap sees.
        ((1, 1), (0, 0), (4, 2), 1, 1),
    )
    x = whole(rng, 2, groups, *shape, dtype=dtype)
    for kernel, padding, stride, dilation, each in cases:
        w, b = whole(rng, groups * each, 1, *kernel, dtype=dtype), whole(rng, groups * each)
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        b = b.astype(dtype)
        assert "interleaved" in method("conv2d", x, w, b, **options)
        direct("conv2d", x, w, b, **options)
        direct("conv2d", x, fastconv.pack(w), b, **options)


@each_dtype
def test_interleaved_lines(rng, dtype):
    for size, taps in ((8, 3), (100, 9), (400, 31)):
        x, w = whole(rng, 2, 40, size, dtype=dtype), whole(rng, 40, 1, taps, dtype=dtype)
        assert "interleaved" in method("conv1d", x, w, padding="same", groups=40)
        direct("conv1d", x, w, padding="same", groups=40)


@pytest.mark.parametrize("view", VIEWS)
def test_interleaved_or_not_of_views(rng, view):
    x, w = view(whole(rng, 1, 40, 7, 9)), view(whole(rng, 40, 1, 3, 3))
    direct("conv2d", x, w, padding=1, groups=40)
    direct("conv2d", view(whole(rng, 3, 40, 2, 3)), view(whole(rng, 9, 40, 2, 3)))


@pytest.mark.parametrize("view", WRITEABLE_VIEWS)
def test_interleaved_or_not_to_views(rng, view):
    x, w = whole(rng, 1, 40, 7, 9), whole(rng, 40, 1, 3, 3)
    direct("conv2d", x, w, padding=1, groups=40, out=view(np.zeros((1, 40, 7, 9), np.float32)))
    x, w = whole(rng, 3, 40, 2, 3), whole(rng, 9, 40, 2, 3)
    direct("conv2d", x, w, out=view(np.zeros((3, 9, 1, 1), np.float32)))


def test_interleaved_far_apart_and_in_threads(rng):
    """What is fetched ahead is beyond the ends of the arrays at last."""
    x, w = whole(rng, 30, 160, 17, 16), whole(rng, 160, 1, 5, 5)
    with fastconv.num_threads(3):
        assert "interleaved" in method("conv2d", x, w, padding=2, groups=160)
        direct("conv2d", x, w, padding=2, groups=160)


def test_interleaved_keeps_what_is_not_finite_where_it_is(rng):
    x = whole(rng, 1, 20, 9, 8)
    x[0, 7, 4, 5] = np.nan
    result = fastconv.conv2d(x, whole(rng, 20, 1, 3, 3), padding=1, groups=20, method="direct")
    seen = np.zeros(result.shape, bool)
    seen[0, 7, 3:6, 4:7] = True
    np.testing.assert_array_equal(np.isnan(result), seen)


@pytest.mark.parametrize(("row", "meets"), [(0, 0), (2, 8)])
def test_interleaved_meets_padding_where_zero_times_it_is_not_zero(rng, row, meets):
    w = whole(rng, 20, 1, 3, 3)
    w[7, 0, row, 1] = np.inf
    result = fastconv.conv2d(whole(rng, 1, 20, 9, 8), w, padding=1, groups=20, method="direct")
    assert np.isnan(result[0, 7, meets]).all()
    assert np.isfinite(np.delete(result, 7, 1)).all()


# Kernels as large as the image


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("kernel", [(), (1,), (5,), (1, 1), (3, 2), (2, 1, 3)], ids=str)
@each_dtype
def test_dots(rng, dtype, kernel, groups):
    for images, inputs, outputs in ((1, 1, 1), (1, 40, 33), (2, 17, 5), (5, 16, 16), (9, 3, 64)):
        x = whole(rng, images, groups * inputs, *kernel, dtype=dtype)
        w = whole(rng, groups * outputs, inputs, *kernel, dtype=dtype)
        b = whole(rng, groups * outputs, dtype=dtype)
        if not kernel:
            if groups == 1:
                check("pointwise_conv", x, w, b, exact=True)
            continue
        name = f"conv{len(kernel)}d"
        told = fastconv.explain(getattr(fastconv, name), x, w, b, groups=groups, method="direct")
        assert told.method == "direct, in place" or groups * inputs * outputs == 1
        direct(name, x, w, b, groups=groups)
        direct(name, x, fastconv.pack(w), b, groups=groups)


def test_dots_have_the_same_bits_in_any_batch(rng):
    x, w, b = noise(rng, 11, 50, 3, 3), noise(rng, 70, 50, 3, 3), noise(rng, 70)
    together = fastconv.conv2d(x, w, b)
    for i in range(11):
        np.testing.assert_array_equal(fastconv.conv2d(x[i], w, b)[None], together[i : i + 1])
    with fastconv.num_threads(3):
        np.testing.assert_array_equal(fastconv.conv2d(x, w, b), together)


def test_dots_keep_what_is_not_finite_where_it_is(rng):
    x, w = whole(rng, 5, 19, 1, 1), whole(rng, 21, 19, 1, 1)
    x[3, 18], w[4, 2] = np.inf, np.nan
    seen = np.zeros((5, 21, 1, 1), bool)
    seen[3], seen[:, 4] = True, True
    np.testing.assert_array_equal(~np.isfinite(fastconv.conv2d(x, w)), seen)


# Lines down the columns, then along the rows, which read the input in place


def separable(*operands, **options):
    return check("spatially_separable_conv2d", *operands, exact=True, **options)


@pytest.mark.parametrize("width", [1, 9, 16, 17, 31, 33, 64, 70, 1030, 2100])
@pytest.mark.parametrize(("down", "along"), [(3, 3), (4, 1), (5, 8), (64, 17)])
@each_dtype
def test_separable(rng, dtype, down, along, width):
    padding = ((down, down // 2), (along - 1, along // 2))
    for height in (1, 4, 7, 70) if width < 1000 else (5,):
        x = crop(whole(rng, 1, 2, height, width + 1, dtype=dtype))
        lines = [whole(rng, 2, k, dtype=dtype) for k in (down, along)]
        separable(x, *lines, whole(rng, 2, dtype=dtype), padding=padding)
        plan = fastconv.explain(fastconv.spatially_separable_conv2d, x, *lines, padding=padding)
        long = 2 * plan.output_shape[-1] * x.itemsize > planning.kernels.VECTOR
        assert ("in place" in plan.method) == (long and MASKED)


@pytest.mark.parametrize("mode", ["reflect", "mirror", "nearest", "wrap"])
@pytest.mark.parametrize("given", ["float32", "uint8", "int16"])
@pytest.mark.parametrize("shape", [(5, 40), (3, 1500), (40, 11)], ids=str)
def test_separable_borders(rng, shape, given, mode):
    """Columns of the border, too, that are none of those that the tile sees."""
    x = np.abs(whole(rng, *shape)).astype(given)
    lines = whole(rng, 5).astype(np.float32), whole(rng, 9).astype(np.float32)
    expected = x.astype(np.float64)
    for axis, line in enumerate(lines):
        expected = ndimage.correlate1d(expected, line, axis, mode=mode)
    border = fastconv.ndimage._BORDERS[mode]
    names = ("input", "weight0", "weight1")
    for stored in ("float32", "int32"):
        out = np.empty((*shape, 2), stored)[::-1, :, 1]
        parameters = (((2, 2), (4, 4)), border, None if stored == "float32" else stored)
        call(problems.lines, names, (x, *lines), parameters, out, dtype=np.dtype(np.float32))
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("view", VIEWS)
def test_separable_of_views(rng, view):
    x, down, along = view(whole(rng, 1, 4, 9, 21)), view(whole(rng, 4, 3)), view(whole(rng, 4, 5))
    separable(x, down, along, padding="same")


def test_separable_keeps_what_is_not_finite_where_it_is(rng):
    x = whole(rng, 1, 1, 12, 40)
    x[0, 0, 5, 20] = np.nan
    lines = np.abs(whole(rng, 5)) + 1, np.abs(whole(rng, 3)) + 1
    seen = np.zeros(x.shape, bool)
    seen[..., 3:8, 19:22] = True
    result = fastconv.spatially_separable_conv2d(x, *lines, padding="same")
    np.testing.assert_array_equal(np.isnan(result), seen)


# Pointwise, to few channels


@pytest.mark.parametrize("outputs", range(1, ways.FEW_OUTPUTS + 1))
@each_dtype
def test_pointwise_to_few_channels(rng, dtype, outputs):
    for inputs, width in ((1, 16), (3, 17), (9, 100), (130, 33), (26, 4500), (19, 17_000)):
        x = crop(whole(rng, 2, 2 * inputs, 5, width, dtype=dtype))[:, :, 2]
        w = whole(rng, 2 * outputs, inputs, 1, dtype=dtype)
        b = whole(rng, 2 * outputs, dtype=dtype)
        assert "in place" in method("conv1d", x, w, b, groups=2)
        direct("conv1d", x, w, b, groups=2)


@each_dtype
def test_pointwise_to_many_channels(rng, dtype):
    x = whole(rng, 2, 80, 10, 40, dtype=dtype)[:, :, 1:9]
    for outputs in (9, 20, 40):
        w, b = whole(rng, outputs, 80, 1, 1, dtype=dtype), whole(rng, outputs, dtype=dtype)
        assert "in place" in method("conv2d", x, w, b)
        packed(direct("conv2d", x, w, b), "conv2d", x, w, b)


@pytest.mark.parametrize("at_a_time", [4, 9])
@pytest.mark.parametrize("outputs", [18, 21, 23, 24, 27, 29, 64, 75])
@each_dtype
def test_pointwise_from_what_is_kept(rng, monkeypatch, anew, dtype, outputs, at_a_time):
    """Runs of wide register tiles, pairs, single vectors and single positions, of all heights."""
    monkeypatch.setattr(ways, "KEPT_BYTES", at_a_time * dtype().itemsize)
    lanes = planning.kernels.VECTOR // dtype().itemsize
    for vectors in (1, 2, 3, 4, 5, 7, 13):
        for left in (0, 1, 3, lanes // 2):
            width = vectors * lanes + left
            x = crop(whole(rng, 2, 9, width, dtype=dtype))
            w, b = whole(rng, outputs, 9, 1, dtype=dtype), whole(rng, outputs, dtype=dtype)
            packed(direct("conv1d", x, w, b), "conv1d", x, w, b)


@each_dtype
def test_pointwise_in_threads(rng, dtype):
    """Threads share positions or, if there are few, output channels."""
    for inputs, outputs, width in ((200, 300, 50), (300, 200, 200), (64, 40, 3000)):
        x, w = (
            noise(rng, 2, inputs, width, dtype=dtype),
            noise(rng, outputs, inputs, 1, dtype=dtype),
        )
        expected = fastconv.conv1d(x, w, method="direct")
        for threads in (1, 2, 5):
            with fastconv.num_threads(threads):
                for weights in (w, fastconv.pack(w)):
                    result = fastconv.conv1d(x, weights, method="direct")
                    np.testing.assert_array_equal(result, expected)
                    result = fastconv.conv1d(x[1], weights, method="direct")
                    np.testing.assert_array_equal(result, expected[1])


@pytest.mark.parametrize("outputs", [1, 2, 40])
def test_last_tile_of_a_pointwise_map_has_a_vector(outputs):
    w = np.broadcast_to(np.float32(0), (outputs, 300, 1))
    lanes = planning.kernels.VECTOR // 4
    with fastconv.num_threads(3):
        for width in range(1140, 1170):
            x = np.broadcast_to(np.float32(0), (1, 300, width)).copy()
            told = fastconv.explain(fastconv.conv1d, x, w, method="direct")
            if "in place" in told.method:
                assert width % told.tile[-1] == 0 or width % told.tile[-1] >= lanes


# One line of taps, along the rows or down the columns


@pytest.mark.parametrize("taps", [2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 100, 128, 200])
@each_dtype
def test_line(rng, dtype, taps):
    for size in (taps, taps + 1, taps + 50, 700, 1500):
        x = crop(whole(rng, 1, 2, size, dtype=dtype))
        w, b = whole(rng, 2, 1, taps, dtype=dtype), whole(rng, 2, dtype=dtype)
        direct("conv1d", x, w, b, groups=2, padding=((taps // 2, 3),))


@pytest.mark.parametrize("width", [5, 17, 33, 48, 64, 70, 160, 1030, 2100])
@pytest.mark.parametrize("kernel", [(2, 1), (3, 1), (9, 1), (64, 1), (65, 1), (1, 2), (1, 40)])
@each_dtype
def test_line_of_planes(rng, dtype, kernel, width):
    """Rows begin with a cache line, or nowhere near, and so do planes."""
    down, along = kernel
    w, b = whole(rng, 2, 1, *kernel, dtype=dtype), whole(rng, 2, dtype=dtype)
    for height, beside in ((1, 3), (4, 0), (7, 0), (70, 0), (70, 3)) if width < 1000 else ((9, 0),):
        x = whole(rng, 1, 2, height, width + beside + 1, dtype=dtype)[..., 1 : width + 1]
        options = {"groups": 2, "padding": ((down - 1, down // 2), (along - 1, along // 2))}
        direct("conv2d", x, w, b, **options)
        if width >= 160 and MASKED and down <= planning.kernels.MOST_DOWN and down != 2:
            # Two planes may be interleaved; one cannot.
            options["groups"] = 1
            assert "in place" in method("conv2d", x[:, :1], w[:1], b[:1], **options)


@pytest.mark.parametrize("mode", ["reflect", "mirror", "nearest", "wrap"])
@pytest.mark.parametrize("given", ["float32", "uint8", "int16"])
@pytest.mark.parametrize("shape", [(5, 40), (3, 1500), (40, 11), (13, 4, 70)], ids=str)
def test_line_borders(rng, shape, given, mode):
    x = np.abs(whole(rng, *shape)).astype(given)
    border = fastconv.ndimage._BORDERS[mode]
    for taps in (3, 9, 21):
        w = whole(rng, taps).astype(np.float32)
        for axis in range(x.ndim):
            expected = ndimage.correlate1d(x.astype(np.float64), w, axis, mode=mode)
            for stored in ("float32", "int32"):
                out = np.empty((*shape, 2), stored)[::-1, ..., 1]
                kept = None if stored == "float32" else stored
                parameters = (axis, taps // 2, taps // 2, border, kept)
                names = ("input", "weight")
                call(problems.line, names, (x, w), parameters, out, dtype=np.dtype(np.float32))
                np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("view", WRITEABLE_VIEWS)
@pytest.mark.parametrize("kernel", [(5, 1), (1, 5)])
def test_line_of_and_to_views(rng, view, kernel):
    x, w = whole(rng, 1, 4, 9, 41), whole(rng, 4, 1, *kernel)
    expected = direct("conv2d", x, w, groups=4, padding="same")
    out = view(np.zeros_like(expected))
    given, weight = view(x), view(w)
    fastconv.conv2d(given, weight, groups=4, padding="same", method="direct", out=out)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("kernel", [(5, 1), (1, 5), (1, 70)])
def test_line_keeps_what_is_not_finite_where_it_is(rng, kernel):
    x = whole(rng, 1, 1, 12, 300)
    x[0, 0, 6, 150] = np.nan
    w = np.abs(whole(rng, 1, 1, *kernel)) + 1
    result = fastconv.conv2d(x, w, padding="same", method="direct")
    seen = fastconv.conv2d(np.where(np.isnan(x), 1, 0).astype(np.float32), w, padding="same") > 0
    np.testing.assert_array_equal(np.isnan(result), seen)


# Parts of the input channels, one after the other


@pytest.mark.parametrize("splits", [2, 3, 7])
@pytest.mark.parametrize("geometry", [{}, {"stride": 2}, {"dilation": 2, "padding": 1}])
@each_dtype
def test_parts_of_the_channels(rng, force, dtype, geometry, splits):
    x, w = whole(rng, 2, 21, 9, 23, dtype=dtype), whole(rng, 17, 21, 3, 3, dtype=dtype)
    b = noise(rng, 17, dtype=dtype)
    whole_sums = fastconv.conv2d(x, w, b, method="direct", **geometry)
    force(splits=splits, height=0)
    for tile in ((1, 3, 8), (1, 4, 11)):
        force(splits=splits, height=0, tile=tile)
        direct("conv2d", x, w, whole(rng, 17, dtype=dtype), **geometry)
        # The order of the sums stays, and so do the bits.
        np.testing.assert_array_equal(
            fastconv.conv2d(x, w, b, method="direct", **geometry), whole_sums
        )


@pytest.mark.parametrize("sizes", [(3,), (1, 4), (2, 1, 2)])
@pytest.mark.parametrize("inputs", [1, 7])
@pytest.mark.parametrize("outputs", [1, 5])
@each_dtype
def test_small_inputs_under_large_kernels(rng, dtype, outputs, inputs, sizes):
    kernel = {1: (600,), 2: (11, 13), 3: (3, 4, 9)}[len(sizes)]
    x = crop(whole(rng, 1, 2 * inputs, *sizes, dtype=dtype))
    w = whole(rng, 2 * inputs, outputs, *kernel, dtype=dtype)
    b = whole(rng, 2 * outputs, dtype=dtype)
    direct("conv_transpose", x, w, b, groups=2)
    direct("conv_transpose", x, w, dilation=2, padding=1, groups=2)
    w = np.moveaxis(w.reshape(2, inputs, outputs, *kernel), 1, 2).reshape(-1, inputs, *kernel)
    direct("conv", x, w, b, padding=[n - 1 for n in kernel], groups=2)


@pytest.mark.parametrize("alone", [False, True])
@each_dtype
def test_rows_of_whole_vectors(rng, monkeypatch, force, dtype, alone):
    """One by one, or with what lies between them."""
    lanes = planning.kernels.VECTOR // dtype().itemsize
    monkeypatch.setattr(planning, "by_rows", lambda *_: np.bool_(alone))
    for vectors in (1, 2, 3, 5):
        x = whole(rng, 2, 3, 7, vectors * lanes, dtype=dtype)
        w, b = whole(rng, 25, 3, 3, 3, dtype=dtype), whole(rng, 25, dtype=dtype)
        force(height=0)
        direct("conv2d", x, w, b, padding=1)


# Rows laid out without a halo


@pytest.mark.parametrize("stride", [1, 2])
@each_dtype
def test_rows_without_a_halo(rng, force, dtype, stride):
    x, w = whole(rng, 2, 6, 9, 14, dtype=dtype), whole(rng, 19, 6, 3, 5, dtype=dtype)
    options = {"padding": (1, 2), "stride": stride}
    problem, _, _ = fastconv.problems.convolution(
        {"input": x, "weight": w}, None, 2, stride, (1, 2), 1, 1, "zeros"
    )
    axes = planning._lay_outs(problem)[-1]
    assert axes[2].halo == 0
    for tile in ((1, *problem.grid[1:]), (1, 4, 5)):
        force(axes=axes, tile=tile, splits=1, height=0)
        direct("conv2d", x, w, whole(rng, 19, dtype=dtype), **options)


@pytest.mark.parametrize("side", [3, 4])
@pytest.mark.parametrize("stride", [1, 2])
@each_dtype
def test_rows_of_whole_cache_lines(rng, dtype, stride, side):
    """Each tap has rows of its own, for what the vectors gain."""
    size = 32 * stride + side - stride
    x, w = (whole(rng, *shape, dtype=dtype) for shape in ((2, 3, size, size), (19, 3, side, side)))
    b = whole(rng, 19, dtype=dtype)
    packed(direct("conv2d", x, w, b, stride=stride), "conv2d", x, w, b, stride=stride)
    with fastconv.num_threads(3):
        direct("conv2d", x, w, b, stride=stride)


@pytest.mark.parametrize("stride", [2, 3, 4])
@each_dtype
def test_strided_rows(rng, dtype, stride):
    """Where the last element of a row is the last of the array, nothing after it is read."""
    for size, kernel, padding in ((64, 4, 0), (61, 3, 1), (33, 7, 3), (9, 5, (2, 9))):
        x = whole(rng, 2, 3, 9, size, dtype=dtype)
        w = whole(rng, 11, 3, 2, kernel, dtype=dtype)
        direct("conv2d", x, w, stride=stride, padding=padding)
        direct("conv2d", x[..., ::2], w, stride=stride, padding=padding)
        direct("conv2d", x, w, stride=(1, stride), padding=padding, padding_mode="reflect")


# Swapped: vectors along the output channels


@pytest.fixture
def swap(force):
    """Make the planner swap, with so many positions in the register tile."""

    def swapped(height, splits, tile, problem):
        axes = planning.rows_in_turn(problem)
        tile = tuple(min(pair) for pair in zip(tile, problem.grid, strict=True))
        force(height=height, splits=splits, tile=tile, axes=axes)

    return swapped


def problem_of(x, w, *options):
    return fastconv.problems.convolution(
        {"input": x, "weight": w}, None, x.ndim - 2, *options, 1, "zeros"
    )[0]


@pytest.mark.parametrize("height", range(1, planning.kernels.ROWS + 1))
@pytest.mark.parametrize("splits", [1, 3])
@each_dtype
def test_swapped(rng, swap, dtype, height, splits):
    cases = (
        ((1, 1, 1), (1, 99, 99), 70),
        ((1, 1, 1), (1, 3, 4), 5),
        ((2, 1, 1), (1, 2, 99), 70),
        ((1, 4, 2), (1, 99, 99), 5),
        ((3, 0, 1), (1, 1, 2), 33),
    )
    for (stride, padding, dilation), tile, outputs in cases:
        x, w = whole(rng, 2, 7, 6, 9, dtype=dtype), whole(rng, outputs, 7, 3, 3, dtype=dtype)
        b = whole(rng, outputs, dtype=dtype)
        swap(height, splits, tile, problem_of(x, w, stride, padding, dilation))
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        assert "swapped" in method("conv2d", x, w, b, **options)
        direct("conv2d", x, w, b, **options)
        direct("conv2d", x, fastconv.pack(w), b, **options)


@pytest.mark.parametrize("splits", [1, 2])
@each_dtype
def test_swapped_in_three_dimensions(rng, swap, dtype, splits):
    x, w = whole(rng, 1, 4, 4, 3, 5, dtype=dtype), whole(rng, 37, 4, 3, 2, 3, dtype=dtype)
    for tile in ((99, 99, 99), (2, 99, 99), (3, 2, 4)):
        swap(7, splits, tile, problem_of(x, w, 1, 1, 1))
        direct("conv3d", x, w, padding=1)


@pytest.mark.parametrize("images", [planning.NEAR_TILES, planning.NEAR_TILES + 1])
def test_swapped_of_many_images(rng, swap, images):
    """Weights are packed once for all of them."""
    x, w = whole(rng, images, 20, 5, 5), whole(rng, 48, 20, 3, 3)
    for threads in (1, 3):
        with fastconv.num_threads(threads):
            swap(7, 1, (1, 99, 99), problem_of(x, w, 1, 1, 1))
            direct("conv2d", x, w, padding=1)
            direct("conv2d", x, fastconv.pack(w), padding=1)


def test_swapped_to_strided_outputs(rng, swap):
    x, w = whole(rng, 1, 4, 5, 6), whole(rng, 40, 4, 3, 3)
    swap(7, 1, (1, 99, 99), problem_of(x, w, 1, 1, 1))
    for out in (
        np.zeros((1, 40, 5, 12), np.float32)[..., ::2],
        np.zeros((1, 5, 6, 40), np.float32).transpose(0, 3, 1, 2),
    ):
        direct("conv2d", x, w, padding=1, out=out)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("padding", [1, (0, 1)], ids=str)
def test_swapped_meets_padding_where_zero_times_it_is_not_zero(rng, swap, padding, value, packed):
    x, w = whole(rng, 1, 4, 5, 6), whole(rng, 40, 4, 3, 3)
    w[1, 3, 0, 0] = value
    swap(6, 2, (1, 99, 99), problem_of(x, w, 1, padding, 1))
    weight = fastconv.pack(w) if packed else w
    result = fastconv.conv2d(x, weight, padding=padding, method="direct")
    assert not np.isfinite(result[:, 1]).any()
    assert np.isfinite(result[:, 2:]).all()


# Taps one by one, where much of what they meet is the zeros around


@pytest.fixture
def apart(monkeypatch, anew):
    """Small problems are worth it, too, in as many tiles and parts of the channels as may be."""
    monkeypatch.setattr(ways, "MOST_MET", 99)
    monkeypatch.setattr(ways, "CHANNELS_APART", 7)
    monkeypatch.setattr(ways, "APART_BUDGET", 0)


FAR_APART = [
    ((33,), (3,), (1,), (10,), 12),
    ((40,), (2,), (2,), (30,), ((30, 0),)),
    ((9, 17), (3, 3), (1, 1), (2, 6), 6),
    ((25, 21), (3, 3), (1, 1), (9, 7), (9, 7)),
    ((12, 11), (2, 3), (1, 2), (8, 4), 5),
    ((3, 3), (2, 2), (1, 1), (20, 20), 10),
    ((2, 7, 13), (1, 3, 3), (1, 1, 1), (1, 3, 5), ((0, 0), (3, 3), (5, 5))),
    ((5, 4, 6), (3, 2, 2), (1, 2, 1), (4, 3, 3), 4),
]


@pytest.mark.parametrize(("sizes", "kernel", "stride", "dilation", "padding"), FAR_APART, ids=str)
@pytest.mark.parametrize("outputs", [3, 29])
@pytest.mark.parametrize("threads", [1, 3])
@each_dtype
def test_taps_apart(
    rng, monkeypatch, apart, dtype, threads, outputs, sizes, kernel, stride, dilation, padding
):
    monkeypatch.setattr(ways, "OUTPUTS_APART", 60 // threads)
    x = whole(rng, 2, 36, *sizes, dtype=dtype)
    w = whole(rng, 2 * outputs, 18, *kernel, dtype=dtype)
    b = whole(rng, 2 * outputs, dtype=dtype)
    name = f"conv{len(sizes)}d"
    options = {"stride": stride, "dilation": dilation, "padding": padding, "groups": 2}
    with fastconv.num_threads(threads):
        assert "apart" in method(name, x, w, b, **options)
        packed(direct(name, x, w, b, **options), name, x, w, b, **options)


def test_taps_apart_in_the_same_order(rng, monkeypatch, anew):
    """The same bits from tiles of any size, batches and threads."""
    x, w = noise(rng, 3, 150, 30, 33), noise(rng, 40, 150, 3, 3)
    options = {"dilation": 12, "padding": 12}
    assert "apart" in method("conv2d", x, w, **options)
    with fastconv.num_threads(1):
        expected = fastconv.conv2d(x, w, method="direct", **options)
    for budget in (ways.APART_BUDGET, 0):
        monkeypatch.setattr(ways, "APART_BUDGET", budget)
        with fastconv.num_threads(3):
            for image in (x, *(x[i : i + 1] for i in range(3))):
                fastconv.arrays._calls.clear()
                result = fastconv.conv2d(image, w, method="direct", **options)
                assert any((result == each).all() for each in (expected, *expected[:, None]))


@pytest.mark.parametrize("given", [lambda w: w, fastconv.pack])
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_taps_are_not_left_out_if_zero_times_them_is_not_zero(rng, apart, value, given):
    x, w = whole(rng, 2, 32, 9, 17), whole(rng, 64, 32, 3, 3)
    w[3, 5, 1, 0] = value
    options = {"padding": 6, "dilation": 6}
    assert "apart" in method("conv2d", x, w, **options)
    result = fastconv.conv2d(x, given(w), method="direct", **options)
    assert not np.isfinite(result[:, 3]).any()
    w[3] = 0
    direct("conv2d", x, w, **options)
    rest = fastconv.conv2d(x, given(w), method="direct", **options)
    np.testing.assert_array_equal(np.delete(result, 3, 1), np.delete(rest, 3, 1))


# Small groups, several in a tile


@pytest.mark.parametrize("inputs", [1, 2, 4])
@each_dtype
def test_small_groups(rng, dtype, inputs):
    for groups, sizes in ((6, (3, 5)), (7, (5, 5)), (24, (2, 9)), (64, (7, 7))):
        x = whole(rng, 2, groups * inputs, *sizes, dtype=dtype)
        w = whole(rng, groups * 3, inputs, 3, 3, dtype=dtype)
        b = whole(rng, groups * 3, dtype=dtype)
        direct("conv2d", x, w, b, padding=1, groups=groups)
