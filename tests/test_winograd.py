"""method='winograd': within its bound, whatever the geometry, and direct where it must be."""

import numpy as np
import pytest
from hypothesis import strategies as st

import fastconv
import oracle
from fastconv.engine import winograd
from samples import DTYPES, PADDING_MODES, VIEWS, WRITEABLE_VIEWS, drawn, noise

#: docs/accuracy.md: what one axis of the transforms makes at most of errors in it.
AMPLIFICATION = 27.5


def allowed(x, w, bias=0):
    """The bound of docs/accuracy.md, for all output channels and images together."""
    depth = 1 if w.ndim == 4 else w.shape[2]
    largest = np.abs(x).max(initial=0) * np.abs(w).max(initial=0)
    terms = w.shape[1] * depth
    bound = (terms + 30) * terms * AMPLIFICATION**2 * largest
    return np.finfo(x.dtype).eps * (bound + np.abs(bias).max(initial=0))


def check(name, x, w, b=None, out=None, **options):
    actual = getattr(fastconv, name)(x, w, b, method="winograd", out=out, **options)
    expected = getattr(oracle, name)(x, w, b, **options)
    assert actual.shape == expected.shape and actual.dtype == x.dtype
    assert out is None or actual is out
    assert np.abs(actual - expected).max(initial=0) <= allowed(x, w, 0 if b is None else b)
    return actual


@st.composite
def problems(draw):
    rank = draw(st.sampled_from([2, 2, 3]))
    groups = draw(st.integers(1, 3))
    inputs, outputs = draw(st.integers(1, 6)), draw(st.integers(1, 33))
    depth = (draw(st.integers(1, 3)),) * (rank - 2)
    dilation = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    sizes = tuple(draw(st.integers(d * 2 + 1, 50)) for d in dilation[-2:])
    options = {
        "groups": groups,
        "dilation": dilation,
        "padding": tuple((draw(st.integers(0, 4)), draw(st.integers(0, 4))) for _ in range(rank)),
        "padding_mode": draw(st.sampled_from(PADDING_MODES)),
    }
    shapes = [
        (draw(st.integers(1, 3)), groups * inputs, *[7] * (rank - 2), *sizes),
        (groups * outputs, inputs, *depth, 3, 3),
        (groups * outputs,),
    ]
    return f"conv{rank}d", [(shape, draw(st.sampled_from(VIEWS))) for shape in shapes], options


@drawn(problems(), 60)
def test_drawn(name, operands, exact, options):
    check(name, *operands, **options)


@pytest.mark.parametrize("size", [*range(3, 40), 55, 64, 65, 130])
def test_every_width(rng, size):
    for height in (3, 14):
        x, w = noise(rng, 1, 3, height, size), noise(rng, 5, 3, 3, 3)
        check("conv2d", x, w, padding=1)


@pytest.fixture
def force(monkeypatch):
    """Make the planner choose what is asked for."""
    choose = winograd._choose

    def forced(**fields):
        fastconv.arrays._calls.clear()
        monkeypatch.setattr(winograd, "_choose", lambda *given: choose(*given)._replace(**fields))

    yield forced
    fastconv.arrays._calls.clear()


@pytest.mark.parametrize("tiles", range(1, 14))
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_end_of_any_tile(rng, force, dtype, tiles):
    """The last tile of a row may be one whose rows are laid out otherwise than those before."""
    force(tile=(2, tiles))
    w = noise(rng, 16, 8, 3, 3, dtype=dtype)
    for last in {1, 2, tiles // 2 + 1, tiles}:
        x = noise(rng, 1, 8, 15, 4 * (tiles + last), dtype=dtype)
        check("conv2d", x, w, padding=1)


@pytest.mark.parametrize("dilation", [(1, 2), (3, 1), (2, 5), (4, 4), (9, 17), (40, 3)])
@pytest.mark.parametrize("tile", [(3, 5), (1, 40), (8, 1)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dilated(rng, force, dtype, tile, dilation):
    """Tiles that lie between each other are gathered, and stored, by neighbours."""
    force(tile=tile)
    x, w = noise(rng, 2, 6, 37, 45, dtype=dtype), noise(rng, 21, 6, 3, 3, dtype=dtype)
    b = noise(rng, 21, dtype=dtype)
    for out in (None, np.zeros((2, 21, 37, 90), dtype)[..., ::2]):
        check("conv2d", x, w, b, padding=dilation, dilation=dilation, out=out)


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_channels_in_parts(rng, force, dtype, dilation):
    """Sums that wait for the next channels are those that do not, bit by bit."""
    x, w = noise(rng, 2, 22, 15, 18, dtype=dtype), noise(rng, 37, 22, 3, 3, dtype=dtype)
    b = noise(rng, 37, dtype=dtype)
    options = {"padding": dilation, "dilation": dilation}
    force(splits=1)
    expected = check("conv2d", x, w, b, **options)
    for splits in (2, 3, 22):
        for tile, threads in (((2, 3), 1), ((5, 9), 3)):
            force(splits=splits, tile=tile, chunks=min(threads, 2))
            with fastconv.num_threads(threads):
                for weight in (w, fastconv.pack(w)):
                    actual = fastconv.conv2d(x, weight, b, method="winograd", **options)
                    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("outputs", [3000, 20_000])
def test_many_channels_are_planned(outputs):
    """Some outputs are too many to wait for the next input channels, whatever the tile."""
    x, w = np.zeros((1, 512, 12, 12)), np.broadcast_to(1.0, (outputs, 512, 3, 3))
    plan = fastconv.explain(fastconv.conv2d, x, w, method="winograd")
    assert min(plan.tile) > 0 and plan.workspace > 0


@pytest.mark.parametrize("view", WRITEABLE_VIEWS)
def test_out_may_be_any_view(rng, view):
    x, w, b = noise(rng, 2, 4, 13, 21), noise(rng, 6, 4, 3, 3), noise(rng, 6)
    check("conv2d", x, w, b, padding=1, out=view(np.zeros((2, 6, 13, 21), np.float32)))


def test_error_is_about_that_of_direct_sums(rng):
    x, w = noise(rng, 1, 64, 40, 40), noise(rng, 32, 64, 3, 3)
    for image in (x, np.abs(x), x + 10):
        exact = oracle.conv2d(image, w)
        error = {
            method: np.sqrt(np.mean((fastconv.conv2d(image, w, method=method) - exact) ** 2))
            for method in ("direct", "winograd")
        }
        assert 0 < error["winograd"] <= 3 * error["direct"]


def bits(array):
    return array.view(f"i{array.itemsize}")


@pytest.mark.parametrize("options", [{"padding": 1}, {"padding": 2, "dilation": 2}])
def test_same_bits_in_any_company(rng, options):
    x, w, b = noise(rng, 4, 32, 40, 44), noise(rng, 40, 32, 3, 3), noise(rng, 40)
    results = []
    for threads in (1, 2, 3):
        with fastconv.num_threads(threads):
            results.append(fastconv.conv2d(x, w, b, method="winograd", **options))
            one = [fastconv.conv2d(image, w, b, method="winograd", **options) for image in x]
            results.append(np.array(one))
    for result in results[1:]:
        np.testing.assert_array_equal(bits(result), bits(results[0]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["input", "weight", "bias"])
def test_what_is_not_finite_reaches_what_it_does_in_direct_sums(rng, where, value):
    operands = {
        "input": noise(rng, 3, 16, 20, 20),
        "weight": noise(rng, 16, 16, 3, 3),
        "bias": noise(rng, 16),
    }
    operands[where][(1,) * operands[where].ndim] = value
    found = fastconv.conv2d(**operands, padding=1, method="winograd")
    direct = fastconv.conv2d(**operands, padding=1, method="direct")
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(direct))
    images = np.isfinite(direct).all((1, 2, 3))
    # An image in which something is not finite is computed directly.
    np.testing.assert_array_equal(found[~images], direct[~images])
    assert where != "input" or images.tolist() == [True, False, True]


def test_no_overflow_where_direct_sums_have_none(rng):
    x = np.full((1, 2, 12, 12), 1e38, np.float32)
    w = np.zeros((3, 2, 3, 3), np.float32)
    w[:, 0, 1, 1] = 1
    np.testing.assert_array_equal(fastconv.conv2d(x, w, method="winograd"), np.float32(1e38))


@pytest.mark.parametrize(
    ("weight", "options", "reason"),
    [
        ((4, 4, 5, 5), {}, "3x3"),
        ((4, 4, 3, 1), {}, "3x3"),
        ((4, 4, 3, 3), {"stride": 2}, "stride 1"),
        ((4, 4, 3), {}, "3x3"),
    ],
)
def test_refused(weight, options, reason):
    with pytest.raises(ValueError, match="'winograd'.*" + reason):
        fastconv.conv(
            np.ones((1, 4, *[9] * (len(weight) - 2))), np.ones(weight), method="winograd", **options
        )


def test_chosen_where_it_pays(rng):
    x, w = noise(rng, 1, 64, 56, 56), noise(rng, 64, 64, 3, 3)
    assert "winograd" in fastconv.explain(fastconv.conv2d, x, w, padding=1).method
    assert "winograd" not in fastconv.explain(fastconv.conv2d, x[:, :4], w[:, :4]).method
    integers = x.astype(np.int32), w.astype(np.int32)
    assert "winograd" not in fastconv.explain(fastconv.conv2d, *integers).method
