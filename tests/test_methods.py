"""method=: what each is allowed to differ by, who chooses which, and what stays as it was."""

import inspect
import math
import re
import tracemalloc

import numpy as np
import pytest

import fastconv
import oracle
from checking import check
from fastconv.engine import fourier
from samples import (
    DTYPES,
    PADDING_MODES,
    PROBLEMS,
    VIEWS,
    WRITEABLE_VIEWS,
    drawn,
    noise,
    root,
    whole,
)
from test_conv import problems

each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_mode = pytest.mark.parametrize("padding_mode", PADDING_MODES)
each_rank = pytest.mark.parametrize("rank", [1, 2, 3])
each_method = pytest.mark.parametrize("method", ["auto", "fft"])

WITH_METHOD = [p for p in PROBLEMS if re.match(r"conv\d?d?$|depthwise|shuffled", p.name)]
LARGE_KERNELS = [
    ((1, 1, 9000), (1, 1, 2000), {"padding": 1000}),
    ((1, 2, 9000), (3, 2, 2500), {"padding": 500, "stride": 3}),
    ((1, 1, 130, 120), (1, 1, 51, 51), {"padding": (30, 25)}),
    ((1, 2, 80, 100), (4, 1, 51, 41), {"padding": "same", "groups": 2, "stride": (1, 2)}),
    ((1, 1, 240, 230), (1, 1, 45, 41), {"dilation": 2}),
    ((1, 1, 22, 23, 24), (1, 1, 16, 17, 17), {"padding": 8}),
]
each_large_kernel = pytest.mark.parametrize(("input", "weight", "options"), LARGE_KERNELS, ids=str)


def method_of(name, *operands, **options):
    """The first word of the method that a call would take."""
    told = fastconv.explain(getattr(fastconv, name), *operands, **options)
    return re.match(r"\w+", told.method).group()


# Within its bound, on all that a convolution is


@drawn(problems(), 300)
def test_drawn(name, operands, exact, options):
    check(name, *operands, method="fft", **options)
    check(name, *operands, exact=exact, method="direct", **options)


@each_dtype
@each_large_kernel
def test_large_kernels(rng, input, weight, options, dtype):
    operands = noise(rng, *input, dtype=dtype), noise(rng, *weight, dtype=dtype)
    bias = noise(rng, weight[0], dtype=dtype)
    check("conv", *operands, bias, method="fft", **options)


@pytest.mark.parametrize("problem", WITH_METHOD, ids=str)
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_every_function_with_a_method(rng, problem, batch):
    operands = problem.operands(rng, batch, 9)
    check(problem.name, *operands, method="fft", **problem.options)
    x, *rest = operands
    if batch:
        check(problem.name, x[0], *rest, method="fft", **problem.options)


@each_mode
@each_rank
def test_padding_modes(rng, rank, padding_mode):
    """On one side or both, far beyond the input, on axes of a single sample."""
    w = noise(rng, 3, 2, *(3, 2, 2)[:rank])
    for sizes in [(6, 4, 3), (1, 2, 5), (3, 1, 1)]:
        x = noise(rng, 2, 2, *sizes[:rank])
        for padding in [(2, 2, 2), ((0, 9), (7, 0), (3, 4)), ((13, 1), (0, 2), (1, 8))]:
            for stride, dilation in [(1, 1), (2, 1), (3, 2)]:
                options = {"stride": stride, "dilation": dilation, "padding_mode": padding_mode}
                check(f"conv{rank}d", x, w, padding=padding[:rank], method="fft", **options)


@pytest.mark.parametrize("taps", [1, 2, 7, 64])
def test_every_width(rng, taps):
    """One block, several, and every remainder of the last one."""
    w = noise(rng, 3, 2, taps)
    for width in [*range(taps, taps + 40), 1000, 1001, 9973]:
        check("conv1d", noise(rng, 1, 2, width), w, method="fft")


@each_rank
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("operand", ["input", "weight", "bias"])
def test_any_view_of(rng, operand, view, rank):
    operands = {
        "input": noise(rng, 2, 4, *(19, 9, 8)[:rank]),
        "weight": noise(rng, 6, 2, *(3, 2, 2)[:rank]),
        "bias": noise(rng, 6),
    }
    operands[operand] = view(operands[operand])
    for options in [{}, {"stride": 2, "padding": 1, "padding_mode": "circular"}]:
        check(f"conv{rank}d", *operands.values(), groups=2, method="fft", **options)


@each_rank
@pytest.mark.parametrize("view", WRITEABLE_VIEWS)
def test_out_may_be_any_view(rng, view, rank):
    x, w = noise(rng, 2, 4, *(29, 9, 8)[:rank]), noise(rng, 6, 2, *(3, 2, 2)[:rank])
    for stride in (1, 2):
        shape = oracle.conv(x, w, groups=2, stride=stride).shape
        out = view(np.zeros(shape, np.float32))
        check(f"conv{rank}d", x, w, groups=2, stride=stride, out=out, method="fft")
        out[...] = np.nan
        assert np.isnan(root(out)).all(), "wrote outside"


def test_strides_of_zero(rng):
    x, w = noise(rng, 2, 4, 9, 7), noise(rng, 6, 4, 3, 2)
    for axis in range(4):
        check("conv2d", np.broadcast_to(x.take([0], axis), x.shape), w, method="fft")
        check("conv2d", x, np.broadcast_to(w.take([0], axis), w.shape), method="fft")


# Adversaries of an error that is relative to norms


def ramp(shape):
    return sum(np.indices(shape)).astype(np.float64)


ADVERSARIES = {
    "constant": lambda rng, shape: np.ones(shape),
    "alternating": lambda rng, shape: 1 - 2 * (ramp(shape) % 2),
    "alternating by two": lambda rng, shape: 1 - 2 * (ramp(shape) // 2 % 2),
    "smooth": lambda rng, shape: np.sin(ramp(shape) / 50),
    "ramp": lambda rng, shape: ramp(shape),
    "positive": lambda rng, shape: rng.random(shape),
    "one spike": lambda rng, shape: np.where(ramp(shape) == min(shape), 1e8, 1e-3),
    "many scales": lambda rng, shape: 10 ** rng.uniform(-12, 12, shape),
    "decaying": lambda rng, shape: np.exp(-ramp(shape)),
    "sparse": lambda rng, shape: rng.random(shape) < 0.01,
}
each_signal = pytest.mark.parametrize("signal", ADVERSARIES.values(), ids=ADVERSARIES)
each_kernel = pytest.mark.parametrize("kernel", ADVERSARIES.values(), ids=ADVERSARIES)


@each_dtype
@each_signal
@each_kernel
def test_adversaries(rng, signal, kernel, dtype):
    for sizes, taps in [((4000,), (500,)), ((61, 55), (19, 17))]:
        x = signal(rng, sizes).astype(dtype)[np.newaxis, np.newaxis]
        w = kernel(rng, taps).astype(dtype)[np.newaxis, np.newaxis]
        check("conv", x, w, padding=tuple(n // 2 for n in taps), method="fft")


@each_dtype
def test_many_channels_of_many_scales(rng, dtype):
    x = noise(rng, 1, 300, 40, dtype=dtype) * 10.0 ** rng.uniform(-6, 6, (300, 1)).astype(dtype)
    check("conv1d", x, noise(rng, 3, 300, 11, dtype=dtype), method="fft")


def test_a_spike_reaches_no_further_than_its_block(rng):
    """The bound is one of the block: elsewhere the norm is that of what is there."""
    x, w = noise(rng, 1, 1, 200_000), noise(rng, 1, 1, 300)
    block = fastconv.explain(fastconv.conv1d, x, w, method="fft").tile[2]
    x[0, 0, 100] = 1e12
    assert block + 300 < 100_000
    y, expected = fastconv.conv1d(x, w, method="fft"), oracle.conv(x, w)
    norms = np.linalg.norm(x[..., block:]) * np.linalg.norm(w)
    error = np.abs(y - expected)
    assert error[..., block:].max() <= np.finfo(np.float32).eps * 10 * np.log2(2 * block) * norms
    assert error[..., :100].max() > error[..., block:].max()


# The same bits

WORTH_THREADS = [
    ((3, 1, 600, 500), (1, 1, 33, 35), {}),
    ((3, 1, 400_000), (1, 1, 500), {}),
    ((3, 24, 60, 60), (20, 24, 13, 13), {"padding": 6}),
    ((3, 40, 70, 70), (40, 1, 25, 25), {"groups": 40, "padding": 12}),
    ((1, 64, 24, 24), (64, 64, 9, 9), {"padding": 4, "stride": 2}),
]


@each_dtype
@pytest.mark.parametrize(("input", "weight", "options"), WORTH_THREADS, ids=str)
def test_any_number_of_threads_and_images(rng, input, weight, options, dtype):
    x, w = noise(rng, *input, dtype=dtype), noise(rng, *weight, dtype=dtype)
    options = {"method": "fft", **options}
    with fastconv.num_threads(1):
        expected = fastconv.conv(x, w, **options)
    assert np.isfinite(expected).all()
    for count in (2, 3, 7):
        with fastconv.num_threads(count):
            assert fastconv.explain(fastconv.conv, x, w, **options).threads > 1
            np.testing.assert_array_equal(fastconv.conv(x, w, **options), expected)
    for image, alone in zip(x, expected, strict=True):
        np.testing.assert_array_equal(fastconv.conv(image, w, **options), alone)


def test_few_spectra_at_a_time(rng, monkeypatch):
    """Less memory for spectra and for what is done together changes no sum beyond rounding."""
    x, w, b = noise(rng, 2, 12, 40, 41), noise(rng, 18, 4, 7, 6), noise(rng, 18)
    for together, spectra in [(1 << 14, 1 << 15), (1 << 10, 1), (1 << 20, 1 << 16)]:
        monkeypatch.setattr(fourier, "TOGETHER", together)
        monkeypatch.setattr(fourier, "SPECTRA", spectra)
        results = []
        for count in (1, 2):
            # Another alignment of the rows is another call to plan.
            wider = np.zeros((2, 12, 40, 42 + together.bit_length() + spectra.bit_length()), "f")
            view = wider[..., :41]
            view[...] = x
            with fastconv.num_threads(count):
                options = {"padding": 3, "groups": 3}
                results.append(check("conv2d", view, w, b, method="fft", **options))
        np.testing.assert_array_equal(*results)


def test_memory_does_not_grow_with_the_batch(rng):
    x, w = noise(rng, 300, 1, 128, 128), noise(rng, 1, 1, 31, 31)
    out = np.empty((300, 1, 98, 98), np.float32)
    fastconv.conv2d(x[:1], w, out=out[:1], method="fft")
    peaks = []
    for images in (1, 300):
        tracemalloc.start()
        with fastconv.num_threads(1):
            fastconv.conv2d(x[:images], w, out=out[:images], method="fft")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > x[0].nbytes
    assert peaks[1] < 2 * peaks[0]


# Who chooses


@each_dtype
@each_large_kernel
def test_large_kernels_go_through_spectra(input, weight, options, dtype):
    x, w = np.ones(input, dtype), np.ones(weight, dtype)
    assert method_of("conv", x, w, **options) == "fft"


@pytest.mark.parametrize(
    ("input", "weight"),
    [((1, 4, 5, 5), (8, 4, 3, 3)), ((1, 1, 1024, 1024), (1, 1, 5, 5)), ((1, 1, 10**6), (1, 1, 9))],
)
def test_small_kernels_do_not(input, weight):
    assert method_of("conv", np.ones(input), np.ones(weight)) == "direct"


def test_the_choice_depends_on_one_image_and_the_kernel():
    """Around the size where it changes; not on the batch, threads or values."""
    found = set()
    for side in range(9, 41, 2):
        w = np.ones((1, 1, side, side), np.float32)
        choices = set()
        for images in (1, 2, 100, 10**6):
            for count in (1, 2, 64):
                for value in (0, 1, np.nan):
                    x = np.broadcast_to(np.float32(value), (images, 1, 300, 300))
                    with fastconv.num_threads(count):
                        choices.add(method_of("conv2d", x, w))
        assert len(choices) == 1
        found |= choices
    assert found == {"direct", "fft"}


@each_large_kernel
def test_integers_stay_exact(rng, input, weight, options):
    x, w = whole(rng, *input, dtype=np.int16), whole(rng, *weight, dtype=np.uint8)
    check("conv", x, w, whole(rng, weight[0], dtype=np.int64), exact=True, **options)
    assert method_of("conv", x, w, **options) == "direct"
    assert method_of("conv", x, w, method="fft", **options) == "fft"
    assert method_of("conv", x, w.astype(np.float32), **options) == "fft"


def test_integers_may_ask(rng):
    x, w = whole(rng, 1, 1, 50, dtype=np.int8), whole(rng, 1, 1, 7, dtype=np.int8)
    assert check("conv1d", x, w, method="fft").dtype == np.float64


# Values that are not finite, or hardly


@each_method
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@each_large_kernel
def test_bad_elements_reach_as_far_as_directly(rng, input, weight, options, value, method):
    x, w = noise(rng, 3, *input[1:]), noise(rng, *weight)
    clean = fastconv.conv(x, w, method=method, **options)
    x[1, 0, *(n // 3 for n in input[2:])] = value
    expected = fastconv.conv(x, w, method="direct", **options)
    assert not np.isfinite(expected[1]).all() and np.isfinite(expected[1]).any()
    actual = fastconv.conv(x, w, method=method, **options)
    np.testing.assert_array_equal(actual[1], expected[1])
    np.testing.assert_array_equal(actual[::2], clean[::2])
    np.testing.assert_array_equal(fastconv.conv(x[1], w, method=method, **options), expected[1])


@each_method
@each_large_kernel
def test_bad_weights_reach_as_far_as_directly(rng, input, weight, options, method):
    x, w = noise(rng, 2, *input[1:]), noise(rng, *weight)
    w[-1, 0, *(n // 2 for n in weight[2:])] = np.inf
    expected = fastconv.conv(x, w, method="direct", **options)
    assert not np.isfinite(expected).all()
    out = np.empty_like(expected)
    np.testing.assert_array_equal(fastconv.conv(x, w, method=method, **options), expected)
    fastconv.conv(x, w, out=out, method=method, **options)
    np.testing.assert_array_equal(out, expected)


def test_unread_elements_may_be_anything(rng):
    """What a stride leaves out, and what is beyond the last output."""
    x, w = noise(rng, 1, 1, 1003), noise(rng, 1, 1, 4)
    expected = fastconv.conv1d(x, w, stride=5, method="fft")
    x[..., 4::5] = np.nan
    x[..., 1000:] = np.nan
    np.testing.assert_array_equal(fastconv.conv1d(x, w, stride=5, method="fft"), expected)


@each_method
@pytest.mark.parametrize("scale", [1e30, 1e36, 3e38])
def test_values_near_the_largest(rng, scale, method):
    """Their spectrum overflows, their sums do not."""
    x = (np.sign(noise(rng, 1, 1, 200, 200)) * scale).astype(np.float32)
    w = np.full((1, 1, 41, 41), 1e-4, np.float32)
    y = fastconv.conv2d(x, w, method=method)
    assert np.isfinite(y).all()
    magnitude = 41**2 * 1e-4 * scale
    assert np.abs(y - oracle.conv(x, w)).max() <= np.finfo(np.float32).eps * 41**2 * magnitude


@each_method
def test_sums_that_overflow(method):
    x, w = np.full((1, 1, 100, 100), 1e38, np.float32), np.ones((1, 1, 41, 41), np.float32)
    assert (fastconv.conv2d(x, w, method=method) == np.inf).all()


# Refusals

FUNCTIONS = [f for name in fastconv.__all__ if inspect.isfunction(f := getattr(fastconv, name))]


@pytest.mark.parametrize("method", ["", "FFT", "fourier", "best", None, 1, True, ["fft"], b"fft"])
@pytest.mark.parametrize(
    "function", [f for f in FUNCTIONS if "method" in inspect.signature(f).parameters]
)
@each_dtype
def test_unknown(function, method, dtype):
    x, w = np.ones((1, 2, *[5] * 3), dtype), np.ones((2, 1, *[3] * 3), dtype)
    rank = int(function.__name__[-2]) if function.__name__[-1] == "d" else 3
    x, w = x[(..., *[0] * (3 - rank))], w[(..., *[0] * (3 - rank))]
    options = {} if function.__name__.startswith("depthwise") else {"groups": 2}
    function(x, w, **options)
    with pytest.raises(ValueError, match="'auto'") as caught:
        function(x, w, method=method, **options)
    assert repr(method) in str(caught.value) and "'direct'" in str(caught.value)


def test_integers_are_refused_before_they_are_converted():
    """An input of petabytes, of which one element exists."""
    x = np.broadcast_to(np.int8(1), (1, 4, 10**7, 10**7))
    with pytest.raises(ValueError, match="'fourier'"):
        fastconv.conv2d(x, np.ones((6, 4, 3, 3), np.float32), method="fourier")
    with pytest.raises(ValueError, match="winograd"):
        fastconv.conv2d(x, np.ones((6, 4, 5, 5), np.float32), method="winograd")


def test_method_that_cannot():
    x, w = np.ones((1, 2, 9, 9)), np.ones((3, 2, 5, 5))
    with pytest.raises(ValueError, match="'winograd' cannot"):
        fastconv.conv2d(x, w, method="winograd")
    with pytest.raises(ValueError, match=r"'fft' cannot.*input channels"):
        fastconv.conv2d(x[:, :0], w[:, :0], method="fft")


@pytest.mark.parametrize("method", ["fft", "winograd"])
def test_transposed_convolution_has_one_method(rng, method):
    x, w = noise(rng, 1, 2, 9), noise(rng, 2, 3, 3)
    expected = fastconv.conv_transpose1d(x, w)
    np.testing.assert_array_equal(fastconv.conv_transpose1d(x, w, method="direct"), expected)
    with pytest.raises(ValueError, match=r"transposed.*'auto' or 'direct'"):
        fastconv.conv_transpose1d(x, w, method=method)


def test_keyword_only():
    for function in FUNCTIONS:
        parameter = inspect.signature(function).parameters.get("method")
        assert parameter is None or parameter.kind is parameter.KEYWORD_ONLY


# Explanations


def test_explaining_the_choice():
    x, w = np.ones((1, 1, 500, 500), np.float32), np.ones((1, 1, 51, 51), np.float32)
    told = fastconv.explain(fastconv.conv2d, x, w)
    assert re.fullmatch(r"fft of \d+ x \d+", told.method)
    assert re.match(r"fft [\d.e+]+, direct [\d.e+]+ million cycles", told.reason)
    assert {"direct", "fft"} <= set(told.accepting)
    assert told.flops == 2 * 450**2 * 51**2
    assert 0 < math.prod(told.tile) <= 450**2
    assert told.reason in str(told) and "direct, " in str(told)


def test_explaining_what_was_asked_for():
    x, w = np.ones((1, 1, 500)), np.ones((1, 1, 3))
    told = fastconv.explain(fastconv.conv1d, x, w, method="fft")
    assert told.method.startswith("fft of") and told.reason == "asked for"
    assert fastconv.explain(fastconv.conv1d, x, w, method="direct").reason == "asked for"


def test_explaining_integers():
    told = fastconv.explain(fastconv.conv1d, np.ones((1, 1, 9), int), np.ones((1, 1, 3), int))
    assert told.method.startswith("direct") and "exact" in told.reason
    assert "fft" in told.accepting


def test_explaining_what_has_no_choice():
    told = fastconv.explain(fastconv.conv_transpose1d, np.ones((1, 1, 9)), np.ones((1, 1, 3)))
    assert told.accepting == ("direct",)
    empty = fastconv.explain(fastconv.conv1d, np.ones((0, 1, 9)), np.ones((1, 1, 3)))
    assert empty.accepting == () and empty.method == "nothing to compute"
