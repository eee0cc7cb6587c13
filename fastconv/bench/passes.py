"""What a workload is to a framework: chains of plain convolutions.

Frameworks have convolutions and transposed ones, dense or in groups. The kinds that fastconv
computes in one call are several calls there, made here once for all peers:

    separable            depthwise -> pointwise
    spatially separable  a line along each axis, for each channel by itself
    flattened            lateral -> a line along each axis
    parallel flattened   a vertical and a horizontal line side by side, summed
    shuffled             grouped, then the channels shuffled
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from fastconv.bench.workloads import Workload


class Pass(NamedTuple):
    """One convolution; tuples have a number for each spatial axis."""

    weight: NDArray[Any]  #: as torch.nn.functional has it
    stride: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    transposed: bool = False
    output_padding: tuple[int, ...] = ()

    @property
    def rank(self) -> int:
        """How many spatial axes there are."""
        return len(self.stride)

    @property
    def is_symmetric(self) -> bool:
        """Whether there is as much padding after as before."""
        return self.before == self.after

    @property
    def kernel(self) -> tuple[int, ...]:
        """The size of the kernel."""
        return self.weight.shape[2:]

    @property
    def outputs(self) -> int:
        """How many channels come out."""
        return self.weight.shape[1] * self.groups if self.transposed else len(self.weight)


class Recipe(NamedTuple):
    """The chains whose results are summed, and the groups to shuffle the sum's channels between."""

    chains: list[list[Pass]]
    shuffle: int = 1


def recipe(row: Workload, weights: list[NDArray[Any]]) -> Recipe:
    """Tell how a framework computes a workload with these weights, as fastconv takes them."""
    ones, zeros = (1,) * row.rank, (0,) * row.rank
    before, after = row.pad_before, _after(row)
    geometry = row.stride, before, after, row.dilation

    def pointwise(weight: NDArray[Any]) -> Pass:
        return Pass(weight.reshape(*weight.shape, *ones), ones, zeros, zeros, ones, 1)

    def lines(weights: list[NDArray[Any]]) -> list[Pass]:
        """Lines along each axis in turn, for each channel by itself."""
        passes = []
        for axis, weight in enumerate(weights):

            def only(values: tuple[int, ...], other: int, axis: int = axis) -> tuple[int, ...]:
                return tuple(n if a == axis else other for a, n in enumerate(values))

            kernel = only((weight.shape[1],) * row.rank, 1)
            passes.append(
                Pass(
                    weight.reshape(-1, 1, *kernel),
                    only(row.stride, 1),
                    only(before, 0),
                    only(after, 0),
                    only(row.dilation, 1),
                    groups=len(weight),
                )
            )
        return passes

    match row.kind:
        case "pointwise":
            return Recipe([[pointwise(weights[0])]])
        case "depthwise":
            return Recipe([[Pass(weights[0], *geometry, row.in_channels)]])
        case "separable":
            return Recipe([[Pass(weights[0], *geometry, row.in_channels), pointwise(weights[1])]])
        case "spatially_separable":
            return Recipe([lines(weights)])
        case "flattened":
            return Recipe([[pointwise(weights[0]), *lines(weights[1:])]])
        case "parallel_flattened":
            vertical, horizontal = weights
            down, across = ((before[0], 0), (after[0], 0)), ((0, before[1]), (0, after[1]))
            return Recipe(
                [
                    [Pass(vertical, row.stride, *down, row.dilation, groups=1)],
                    [Pass(horizontal, row.stride, *across, row.dilation, groups=1)],
                ]
            )
        case "transposed":
            one = Pass(weights[0], *geometry, row.groups, True, row.output_padding)
            return Recipe([[one]])
        case _:  # plain, grouped, dilated, shuffled
            one = Pass(weights[0], *geometry, row.groups)
            return Recipe([[one]], row.groups if row.kind == "shuffled" else 1)


def _after(row: Workload) -> tuple[int, ...]:
    """The padding after, equal to the one before where strides make no difference of it.

    Most frameworks have one number for both, and need a padded copy otherwise.
    """
    if row.kind == "transposed":
        return row.pad_after

    def outputs(axis: int, after: int) -> int:
        reach = row.dilation[axis] * (row.kernel[axis] - 1)
        return (row.input[axis] + row.pad_before[axis] + after - reach - 1) // row.stride[axis]

    return tuple(
        before if outputs(axis, before) == outputs(axis, after) else after
        for axis, (before, after) in enumerate(zip(row.pad_before, row.pad_after, strict=True))
    )
