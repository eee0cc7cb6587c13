"""What the package tells about itself: names, signatures, configuration, explanations."""

import importlib.metadata
import inspect
import math

import numpy as np
import pytest

import fastconv
from samples import EVERY_PROBLEM, noise

CONFIG = fastconv.show_config(mode="dicts")
GEOMETRY = "stride=1, padding=0, dilation=1"
SIGNATURES = {
    "conv conv1d conv2d conv3d": (
        f"input, weight, bias=None, {GEOMETRY}, groups=1, *, padding_mode='zeros', out=None,"
        " method='auto'"
    ),
    "conv_transpose conv_transpose1d conv_transpose2d conv_transpose3d": (
        "input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1,"
        " *, out=None, method='auto'"
    ),
    "pointwise_conv": "input, weight, bias=None",
    "depthwise_conv1d depthwise_conv2d depthwise_conv3d": (
        f"input, weight, bias=None, {GEOMETRY}, *, method='auto'"
    ),
    "separable_conv1d separable_conv2d separable_conv3d": (
        f"input, depthwise_weight, pointwise_weight, bias=None, {GEOMETRY}"
    ),
    "spatially_separable_conv2d": (
        f"input, weight_vertical, weight_horizontal, bias=None, {GEOMETRY}"
    ),
    "spatially_separable_conv3d": (
        f"input, weight_depth, weight_vertical, weight_horizontal, bias=None, {GEOMETRY}"
    ),
    "channel_shuffle": "input, groups",
    "shuffled_grouped_conv1d shuffled_grouped_conv2d shuffled_grouped_conv3d": (
        f"input, weight, bias=None, {GEOMETRY}, groups=1, *, method='auto'"
    ),
    "flattened_conv1d": f"input, lateral, horizontal, bias=None, {GEOMETRY}",
    "flattened_conv2d": f"input, lateral, vertical, horizontal, bias=None, {GEOMETRY}",
    "flattened_conv3d": f"input, lateral, depth, vertical, horizontal, bias=None, {GEOMETRY}",
    "parallel_flattened_conv2d": (
        "input, weight_vertical, weight_horizontal, bias=None, stride=1, padding='same', dilation=1"
    ),
}
FUNCTIONS = {name: text for names, text in SIGNATURES.items() for name in names.split()}
OTHERS = (
    "Explanation",
    "PackedWeight",
    "__version__",
    "explain",
    "get_num_threads",
    "num_threads",
    "pack",
    "patch_scipy",
    "set_num_threads",
    "show_config",
)


# Names


@pytest.mark.parametrize(("name", "expected"), FUNCTIONS.items(), ids=FUNCTIONS)
def test_signature(name, expected):
    signature = inspect.signature(getattr(fastconv, name))
    plain = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    assert str(inspect.Signature(plain)) == f"({expected})"


@pytest.mark.parametrize("name", [*FUNCTIONS, *OTHERS])
def test_public_and_documented(name):
    assert name in fastconv.__all__
    assert inspect.getdoc(getattr(fastconv, name))


def test_nothing_else_is_public():
    assert set(fastconv.__all__) <= {*FUNCTIONS, *OTHERS}


def test_modules_are_there_when_asked_for(python):
    program = (
        "import fastconv, sys; print('fastconv.signal' in sys.modules); fastconv.signal.correlate"
    )
    assert python("-c", program).strip() == "False"
    with pytest.raises(AttributeError, match="no attribute 'fourier'"):
        fastconv.fourier  # noqa: B018


def test_version():
    assert fastconv.__version__ == importlib.metadata.version("fastconv")


# Configuration


def test_flops_of_passes_in_turn():
    shapes = (5, 8, 20, 20), (8, 1, 3, 3), (16, 8)
    plan = fastconv.explain(fastconv.separable_conv2d, *map(np.zeros, shapes), padding=1)
    assert "then" in plan.method
    assert plan.flops == 2 * 5 * 400 * (8 * 9 + 16 * 8)


def test_configuration():
    assert CONFIG["version"] == fastconv.__version__
    assert CONFIG["simd"]["chosen"] in CONFIG["simd"]["available"]
    assert CONFIG["threads"] == fastconv.get_num_threads()
    assert isinstance(CONFIG["openmp"], dict) and CONFIG["openmp"]
    assert CONFIG["compiler"]
    assert CONFIG["debug"] in (False, True)


def test_configuration_follows_the_threads():
    with fastconv.num_threads(5):
        assert fastconv.show_config(mode="dicts")["threads"] == 5


def test_configuration_is_printed(capsys):
    assert fastconv.show_config() is None
    printed = capsys.readouterr().out
    for word in (CONFIG["version"], *CONFIG["simd"]["available"], "threads", CONFIG["compiler"]):
        assert str(word) in printed


# Explanations


@pytest.mark.parametrize("problem", **EVERY_PROBLEM)
def test_explanation(rng, problem):
    operands = problem.operands(rng, 2, 7)
    function = getattr(fastconv, problem.name)
    result = function(*operands, **problem.options)
    told = fastconv.explain(function, *operands, **problem.options)
    assert isinstance(told, fastconv.Explanation)
    assert told.output_shape == result.shape
    assert told.dtype == result.dtype
    assert told.simd == CONFIG["simd"]["chosen"]
    assert told.threads >= 1
    assert told.workspace >= 0
    assert told.flops > 0
    assert told.tile
    lines = str(told).splitlines()
    assert len(lines) > 3
    assert told.method in str(told) and str(told.output_shape) in str(told)


@pytest.mark.parametrize(
    ("input", "weight", "groups"),
    [
        ((1, 4, 9), (8, 4, 3), 1),
        ((2, 6, 9, 8), (4, 3, 3, 2), 2),
        ((1, 2, 5, 6, 7), (3, 2, 3, 1, 2), 1),
    ],
)
def test_flops_are_two_for_each_product(rng, input, weight, groups):
    x, w = noise(rng, *input), noise(rng, *weight)
    told = fastconv.explain(fastconv.conv, x, w, groups=groups)
    assert isinstance(told.flops, int)
    assert told.flops == 2 * math.prod(told.output_shape) * w[0].size


def test_explaining_computes_nothing():
    """Neither the petabytes of this input nor its output exist."""
    x = np.broadcast_to(np.float32(1), (1, 4, 10**7, 10**7))
    w = np.ones((6, 4, 3, 3), np.float32)
    told = fastconv.explain(fastconv.conv2d, x, w, padding=1)
    assert told.output_shape == (1, 6, 10**7, 10**7)


def test_explaining_leaves_out_alone(rng):
    x, w, out = noise(rng, 1, 2, 9), noise(rng, 3, 2, 3), np.full((1, 3, 7), 5, np.float32)
    fastconv.explain(fastconv.conv1d, x, w, out=out)
    assert (out == 5).all()


def test_explaining_a_call_that_would_fail(rng):
    with pytest.raises(ValueError, match="groups"):
        fastconv.explain(fastconv.conv1d, noise(rng, 1, 2, 9), noise(rng, 3, 2, 3), groups=2)


# Command line


def test_help(python):
    output = python("-m", "fastconv", "--help")
    assert "demo" in output and "info" in output


def test_demo_help(python):
    output = python("-m", "fastconv", "demo", "--help")
    assert "PHOTO" in output and "-o" in output


def test_info(python):
    output = python("-m", "fastconv", "info")
    assert CONFIG["version"] in output
    assert CONFIG["simd"]["chosen"] in output


def test_version_option(python):
    assert python("-m", "fastconv", "--version").split() == ["fastconv", fastconv.__version__]
