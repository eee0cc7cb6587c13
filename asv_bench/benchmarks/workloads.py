"""The layers of workloads.tsv, and the call of fastconv that each of them stands for."""

import csv
import os
from pathlib import Path

import numpy as np

import fastconv

with Path(__file__).parents[1].joinpath("workloads.tsv").open(newline="") as file:
    LAYERS = list(csv.DictReader(file, delimiter="\t"))
EVERY_LAYER = os.environ.get("FASTCONV_BENCH") == "all"


def names(kind: str) -> list[str]:
    """List the layers of one kind: the recognisable few, or all if FASTCONV_BENCH=all."""
    return [
        layer["name"]
        for layer in LAYERS
        if layer["kind"] == kind and (EVERY_LAYER or layer["quick"] == "yes")
    ]


def call(kind: str, name: str, dtype: type = np.float32) -> tuple:
    """Make a layer's call.

    Returns
    -------
    function : callable
        The function of fastconv.
    arguments : list of ndarray
        Noise in the shapes of the layer: the input and the weights.
    options : dict
        The keyword arguments.
    """
    layer = next(layer for layer in LAYERS if (layer["kind"], layer["name"]) == (kind, name))
    function, shapes, options = FORMS[kind](Shapes(layer))
    noise = np.random.default_rng(0)
    arguments = [noise.standard_normal(shape).astype(dtype) for shape in shapes]
    return function, arguments, options


class Shapes:
    """The numbers of a layer, and the arrays that are built of them."""

    def __init__(self, layer: dict[str, str]):
        self.batch = int(layer["batch"])
        self.inputs = int(layer["in_channels"])
        self.outputs = int(layer["out_channels"])
        self.groups = int(layer["groups"])
        self.kernel = _axes(layer["kernel"])
        self.rank = len(self.kernel)
        self.input = (self.batch, self.inputs, *_axes(layer["input"]))
        self.before, self.after = _axes(layer["pad_before"]), _axes(layer["pad_after"])
        self.output_padding = _axes(layer["output_padding"])
        self.options = {
            "stride": _axes(layer["stride"]),
            "padding": tuple(zip(self.before, self.after, strict=True)),
            "dilation": _axes(layer["dilation"]),
        }

    def function(self, name: str):
        """Find a function of fastconv by its name without the rank."""
        return getattr(fastconv, f"{name}{self.rank}d")


def _axes(text: str) -> tuple[int, ...]:
    """Read a number for each axis, written like 3x3."""
    return tuple(map(int, text.split("x")))


def _conv(layer):
    weight = (layer.outputs, layer.inputs // layer.groups, *layer.kernel)
    options = {**layer.options, "groups": layer.groups}
    return layer.function("conv"), [layer.input, weight], options


def _shuffled(layer):
    _, shapes, options = _conv(layer)
    return layer.function("shuffled_grouped_conv"), shapes, options


def _pointwise(layer):
    return fastconv.pointwise_conv, [layer.input, (layer.outputs, layer.inputs)], {}


def _depthwise(layer):
    weight = (layer.outputs, 1, *layer.kernel)
    return layer.function("depthwise_conv"), [layer.input, weight], layer.options


def _separable(layer):
    weights = [(layer.inputs, 1, *layer.kernel), (layer.outputs, layer.inputs)]
    return layer.function("separable_conv"), [layer.input, *weights], layer.options


def _spatially_separable(layer):
    weights = [(layer.inputs, taps) for taps in layer.kernel]
    return layer.function("spatially_separable_conv"), [layer.input, *weights], layer.options


def _flattened(layer):
    weights = [(layer.outputs, taps) for taps in (layer.inputs, *layer.kernel)]
    return layer.function("flattened_conv"), [layer.input, *weights], layer.options


def _parallel_flattened(layer):
    height, width = layer.kernel
    vertical = (layer.outputs, layer.inputs, height, 1)
    horizontal = (layer.outputs, layer.inputs, 1, width)
    shapes = [layer.input, vertical, horizontal]
    return fastconv.parallel_flattened_conv2d, shapes, {"padding": "same"}


def _transposed(layer):
    weight = (layer.inputs, layer.outputs // layer.groups, *layer.kernel)
    options = {
        **layer.options,
        "padding": layer.before,
        "output_padding": layer.output_padding,
        "groups": layer.groups,
    }
    return layer.function("conv_transpose"), [layer.input, weight], options


FORMS = {
    "conv": _conv,
    "pointwise": _pointwise,
    "depthwise": _depthwise,
    "grouped": _conv,
    "dilated": _conv,
    "transposed": _transposed,
    "separable": _separable,
    "spatially_separable": _spatially_separable,
    "shuffled": _shuffled,
    "flattened": _flattened,
    "parallel_flattened": _parallel_flattened,
}
