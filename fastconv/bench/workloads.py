"""The workloads of workloads.tsv: layers of networks, filters of images and of sound.

Each row is one call of fastconv. `kind` is the convolution type, `set` the network or collection
the row is from, `count` how often the network has the layer, `quick` whether the row is one of the
few that are measured by default.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

import fastconv
from fastconv.bench.namesakes import NAMESAKES, SETS, Namesake

Dtype: TypeAlias = Literal["float32", "float64", "uint8", "int16", "complex64"]


class Form(NamedTuple):
    """A call without its arrays: the function, the shapes of its arguments, its options."""

    function: Callable[..., NDArray[Any]]
    shapes: list[tuple[int, ...]]
    options: dict[str, Any]


@dataclass(frozen=True)
class Workload:
    """One row; tuples have a number for each spatial axis."""

    kind: str
    set: str
    name: str
    quick: bool
    count: int
    batch: int
    in_channels: int
    input: tuple[int, ...]
    out_channels: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad_before: tuple[int, ...]
    pad_after: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    output_padding: tuple[int, ...]

    @property
    def rank(self) -> int:
        """How many spatial axes there are."""
        return len(self.kernel)

    @cached_property
    def form(self) -> Form:
        """The call of fastconv that the row stands for."""
        return FORMS[self.kind](self)

    @cached_property
    def plan(self) -> fastconv.Explanation:
        """What the call would do in float32, asked with arrays that take no memory."""
        zeros = [np.broadcast_to(np.float32(0), shape) for shape in self.form.shapes]
        return fastconv.explain(self.form.function, *zeros, **self.form.options)

    @property
    def outputs(self) -> int:
        """How many numbers come out."""
        return math.prod(self.plan.output_shape)

    @property
    def elements(self) -> int:
        """Numbers to be read or written at least once: input, weights and output."""
        return sum(map(math.prod, (*self.form.shapes, self.plan.output_shape)))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The classes the row belongs to; the first one counts where there must be one."""
        return tuple(name for name, (_, belongs) in CLASSES.items() if belongs(self))

    @property
    def sets(self) -> frozenset[str]:
        """All names that select the row."""
        names = {"all", self.set, *self.classes, "quick" if self.quick else ""}
        return frozenset(names - {""})

    @property
    def dtypes(self) -> tuple[str, ...]:
        """What the row can be computed in; the first one is what it is computed in by default."""
        return "float32", "float64"

    def arrays(self, dtype: str = "float32") -> list[NDArray[Any]]:
        """Noise in the shapes of the row: the input, then the weights."""
        noise = np.random.default_rng(0)
        return [noise.standard_normal(shape, np.dtype(dtype)) for shape in self.form.shapes]

    @property
    def layer(self) -> str:
        """The shapes in short, like 64→128 3x3 on 56x56, stride 2."""
        extras = [
            f"{name} {value[0] if len(set(value)) == 1 else 'x'.join(map(str, value))}"
            for name, value in (("stride", self.stride), ("dilation", self.dilation))
            if max(value) > 1
        ]
        extras += [f"{self.groups} groups"] if self.groups > 1 else []
        extras += [f"batch {self.batch}"] if self.batch > 1 else []
        kernel, size = ("x".join(map(str, sizes)) for sizes in (self.kernel, self.input))
        shapes = f"{self.in_channels}→{self.out_channels}, {kernel} on {size}"
        return ", ".join([shapes, *extras])

    def of_batch(self, batch: int | None) -> Workload:
        """Give the same row for so many images; None leaves it as it is."""
        return self if batch is None else replace(self, batch=batch)


def find(name: str) -> Workload:
    """Look a row up."""
    return next(row for row in WORKLOADS if row.name == name)


def select(sets: Iterable[str], containing: str = "") -> list[Workload | Namesake]:
    """Give the rows of some sets whose name contains a text, each once, in the table's order.

    Raises
    ------
    ValueError
        If there is no such set.
    """
    wanted = set(sets)
    if unknown := sorted(wanted - members().keys()):
        raise ValueError(
            f"there is no set of workloads {unknown[0]!r}, expected some of {', '.join(members())}"
        )
    return [row for row in _rows() if row.sets & wanted and containing.lower() in row.name.lower()]


def _rows() -> list[Workload | Namesake]:
    return [*WORKLOADS, *NAMESAKES]


def members() -> dict[str, int]:
    """Count the rows of each set: quick and all, then classes, then networks and collections.

    Last are the calls that SciPy has by the same name, which are not in `all`.
    """
    names = ["quick", "all", *CLASSES, *(row.set for row in WORKLOADS if row.set)]
    names += ["scipy-quick", "scipy", *SETS]
    counts = dict.fromkeys(names, 0)
    for row in _rows():
        for name in row.sets:
            counts[name] += 1
    return counts


# ---------------------------------------------------------------- classes


def _on_planes(row: Workload) -> bool:
    """Whether each channel is filtered by itself, as images and recordings are: no network."""
    return row.set in ("images", "audio") and row.in_channels == row.out_channels


#: What a class is, and which rows belong to it. A row's first class is the one it is counted in.
CLASSES: dict[str, tuple[str, Callable[[Workload], bool]]] = {
    "smallest": (
        "less than 100 000 operations: the call itself counts",
        lambda row: row.plan.flops < 1e5,
    ),
    "image": (
        "a filter on each plane of an image",
        lambda row: _on_planes(row) and row.rank == 2 and row.kind in ("conv", "depthwise"),
    ),
    "image-separable": (
        "a filter of an image or a volume that is an outer product",
        lambda row: row.kind == "spatially_separable",
    ),
    "audio": ("a filter on each channel of a recording", lambda row: row.set == "audio"),
    "transposed": ("transposed", lambda row: row.kind == "transposed"),
    "depthwise": (
        "each channel by itself",
        lambda row: row.kind == "depthwise" and not _on_planes(row),
    ),
    "grouped": ("in groups, shuffled or not", lambda row: row.kind in ("grouped", "shuffled")),
    "separable": ("depthwise, then pointwise", lambda row: row.kind == "separable"),
    "flattened": (
        "flattened, one line after the other or side by side",
        lambda row: row.kind in ("flattened", "parallel_flattened"),
    ),
    "1d": ("one spatial axis", lambda row: row.rank == 1 and row.set != "audio"),
    "3d": ("three spatial axes", lambda row: row.rank == 3),
    "dilated": ("dilated", lambda row: max(row.dilation) > 1),
    "first": (
        "the first layer of a network, of at most four channels",
        lambda row: row.kind == "conv" and row.in_channels <= 4 < row.out_channels,
    ),
    "small": (
        "outputs of at most 64 positions",
        lambda row: row.batch * math.prod(row.plan.output_shape[2:]) <= 64,
    ),
    "strided": ("strided", lambda row: row.kind != "transposed" and max(row.stride) > 1),
    "pointwise": ("a linear map at each position", lambda row: row.kind == "pointwise"),
    "conv": (
        "all channels with all, kernels larger than 1",
        lambda row: row.kind == "conv" and max(row.kernel) > 1 and not _on_planes(row),
    ),
}

#: Sets that have every convolution of a network, so that their sum is the whole network's.
NETWORKS = (
    *("resnet-50", "mobilenet-v1", "mobilenet-v2", "mobilenet-v3", "vgg-19", "resnext-101"),
    *("convnext-t", "efficientdet", "stable-diffusion", "deeplab-v3", "unet", "dcgan", "c3d"),
    *("tcn-mnist", "tcn-characters"),
)


# ---------------------------------------------------------------- the calls


def _function(name: str, row: Workload) -> Callable[..., NDArray[Any]]:
    """Find a function of fastconv by its name without the rank."""
    function: Callable[..., NDArray[Any]] = getattr(fastconv, f"{name}{row.rank}d")
    return function


def _input(row: Workload) -> tuple[int, ...]:
    return (row.batch, row.in_channels, *row.input)


def _options(row: Workload) -> dict[str, Any]:
    padding = tuple(zip(row.pad_before, row.pad_after, strict=True))
    return {"stride": row.stride, "padding": padding, "dilation": row.dilation}


def _conv(row: Workload, name: str = "conv") -> Form:
    weight = (row.out_channels, row.in_channels // row.groups, *row.kernel)
    options = {**_options(row), "groups": row.groups}
    return Form(_function(name, row), [_input(row), weight], options)


def _shuffled(row: Workload) -> Form:
    return _conv(row, "shuffled_grouped_conv")


def _pointwise(row: Workload) -> Form:
    return Form(fastconv.pointwise_conv, [_input(row), (row.out_channels, row.in_channels)], {})


def _depthwise(row: Workload) -> Form:
    weight = (row.out_channels, 1, *row.kernel)
    return Form(_function("depthwise_conv", row), [_input(row), weight], _options(row))


def _separable(row: Workload) -> Form:
    weights = [(row.in_channels, 1, *row.kernel), (row.out_channels, row.in_channels)]
    return Form(_function("separable_conv", row), [_input(row), *weights], _options(row))


def _spatially_separable(row: Workload) -> Form:
    lines = [(row.in_channels, taps) for taps in row.kernel]
    function = _function("spatially_separable_conv", row)
    return Form(function, [_input(row), *lines], _options(row))


def _flattened(row: Workload) -> Form:
    lines = [(row.out_channels, taps) for taps in (row.in_channels, *row.kernel)]
    return Form(_function("flattened_conv", row), [_input(row), *lines], _options(row))


def _parallel_flattened(row: Workload) -> Form:
    height, width = row.kernel
    lines = [(row.out_channels, row.in_channels, *line) for line in ((height, 1), (1, width))]
    return Form(fastconv.parallel_flattened_conv2d, [_input(row), *lines], {"padding": "same"})


def _transposed(row: Workload) -> Form:
    weight = (row.in_channels, row.out_channels // row.groups, *row.kernel)
    options = {
        **_options(row),
        "padding": row.pad_before,
        "output_padding": row.output_padding,
        "groups": row.groups,
    }
    return Form(_function("conv_transpose", row), [_input(row), weight], options)


FORMS: dict[str, Callable[[Workload], Form]] = {
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


# ---------------------------------------------------------------- the table

_READ: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "bool": {"yes": True, "no": False}.__getitem__,
    "tuple[int, ...]": lambda text: tuple(map(int, text.split("x"))),
}


def _read() -> list[Workload]:
    """Read the table; a size for each axis is written like 3x3."""
    readers = {field.name: _READ[str(field.type)] for field in fields(Workload)}
    with Path(__file__).with_name("workloads.tsv").open(newline="", encoding="utf-8") as file:
        lines = csv.DictReader(file, delimiter="\t")
        return [Workload(**{name: readers[name](line[name]) for name in readers}) for line in lines]


WORKLOADS = _read()
