"""The named kinds of convolution, each one call of the engine."""

import numpy as np

from fastconv import geometry, problems
from fastconv.arrays import as_array, call

__all__ = [
    "channel_shuffle",
    "depthwise_conv1d", "depthwise_conv2d", "depthwise_conv3d",
    "flattened_conv1d", "flattened_conv2d", "flattened_conv3d",
    "parallel_flattened_conv2d",
    "pointwise_conv",
    "separable_conv1d", "separable_conv2d", "separable_conv3d",
    "shuffled_grouped_conv1d", "shuffled_grouped_conv2d", "shuffled_grouped_conv3d",
    "spatially_separable_conv2d", "spatially_separable_conv3d",
]  # fmt: skip


# ---- Pointwise ----------------------------------------------------------------------


def pointwise_conv(input, weight, bias=None):
    """Pointwise."""
    weight = as_array("weight", weight)
    if weight.ndim == 2:
        input = as_array("input", input)
        if not 2 <= input.ndim <= 5:
            raise ValueError(
                "input must have shape (N, C, ...) with 0 to 3 spatial axes for a weight "
                f"(Cout, Cin), got {input.shape}"
            )
        if input.ndim == 2:
            return pointwise_conv(input[..., None], weight, bias)[..., 0]
        weight = weight[(...,) + (None,) * (input.ndim - 2)]
    if not 3 <= weight.ndim <= 5 or weight.shape[2:] != (1,) * (weight.ndim - 2):
        raise ValueError(f"weight must have shape (Cout, Cin) or (Cout, Cin, 1, ...), "
                         f"got {weight.shape}")
    return call(
        problems.convolution,
        (("input", input), ("weight", weight), ("bias", bias)),
        None, 1, 0, 1, 1, "zeros",
    )  # fmt: skip


# ---- Depthwise ----------------------------------------------------------------------


def _depthwise(rank, input, weight, bias, stride, padding, dilation):
    return call(
        problems.depthwise,
        (("input", input), ("weight", weight), ("bias", bias)),
        rank, stride, padding, dilation,
    )  # fmt: skip


def depthwise_conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1):
    """Depthwise."""
    return _depthwise(1, input, weight, bias, stride, padding, dilation)


def depthwise_conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1):
    """Depthwise."""
    return _depthwise(2, input, weight, bias, stride, padding, dilation)


def depthwise_conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1):
    """Depthwise."""
    return _depthwise(3, input, weight, bias, stride, padding, dilation)


# ---- Depthwise-separable ------------------------------------------------------------


def _separable(
    rank, input, depthwise_weight, pointwise_weight, bias, stride, padding, dilation
):
    return call(
        problems.separable,
        (
            ("input", input),
            ("depthwise_weight", depthwise_weight),
            ("pointwise_weight", pointwise_weight),
            ("bias", bias),
        ),
        rank, stride, padding, dilation,
    )  # fmt: skip


def separable_conv1d(
    input, depthwise_weight, pointwise_weight, bias=None, stride=1, padding=0, dilation=1
):
    """Separable."""
    return _separable(
        1, input, depthwise_weight, pointwise_weight, bias, stride, padding, dilation
    )


def separable_conv2d(
    input, depthwise_weight, pointwise_weight, bias=None, stride=1, padding=0, dilation=1
):
    """Separable."""
    return _separable(
        2, input, depthwise_weight, pointwise_weight, bias, stride, padding, dilation
    )


def separable_conv3d(
    input, depthwise_weight, pointwise_weight, bias=None, stride=1, padding=0, dilation=1
):
    """Separable."""
    return _separable(
        3, input, depthwise_weight, pointwise_weight, bias, stride, padding, dilation
    )


# ---- Spatially separable ------------------------------------------------------------


def spatially_separable_conv2d(
    input, weight_vertical, weight_horizontal, bias=None, stride=1, padding=0, dilation=1
):
    """Spatially separable."""
    return call(
        problems.spatially_separable,
        (
            ("input", input),
            ("weight_vertical", weight_vertical),
            ("weight_horizontal", weight_horizontal),
            ("bias", bias),
        ),
        2, stride, padding, dilation,
    )  # fmt: skip


def spatially_separable_conv3d(
    input, weight_depth, weight_vertical, weight_horizontal, bias=None,
    stride=1, padding=0, dilation=1,
):  # fmt: skip
    """Spatially separable."""
    return call(
        problems.spatially_separable,
        (
            ("input", input),
            ("weight_depth", weight_depth),
            ("weight_vertical", weight_vertical),
            ("weight_horizontal", weight_horizontal),
            ("bias", bias),
        ),
        3, stride, padding, dilation,
    )  # fmt: skip


# ---- Shuffled -----------------------------------------------------------------------


def channel_shuffle(input, groups):
    """Channel shuffle."""
    input = as_array("input", input)
    if input.ndim < 3:
        raise ValueError(f"input must have shape (N, C, ...) with 3 axes or more, "
                         f"got {input.shape}")
    groups = geometry.integer("groups", groups, 1)
    images, channels, *sizes = input.shape
    if channels % groups:
        raise ValueError(
            f"groups must divide the input's channels, got groups {groups} and {channels} "
            f"channels (input shape {input.shape})"
        )
    grouped = input.reshape(images, groups, channels // groups, *sizes)
    return np.array(grouped.swapaxes(1, 2), order="C").reshape(input.shape)


def _shuffled(rank, input, weight, bias, stride, padding, dilation, groups):
    return call(
        problems.convolution,
        (("input", input), ("weight", weight), ("bias", bias)),
        rank, stride, padding, dilation, groups, "zeros", True,
    )  # fmt: skip


def shuffled_grouped_conv1d(
    input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1
):
    """Shuffled."""
    return _shuffled(1, input, weight, bias, stride, padding, dilation, groups)


def shuffled_grouped_conv2d(
    input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1
):
    """Shuffled."""
    return _shuffled(2, input, weight, bias, stride, padding, dilation, groups)


def shuffled_grouped_conv3d(
    input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1
):
    """Shuffled."""
    return _shuffled(3, input, weight, bias, stride, padding, dilation, groups)


# ---- Flattened ----------------------------------------------------------------------


def _flattened(rank, input, lateral, lines, bias, stride, padding, dilation):
    if isinstance(bias, (tuple, list)) and _is_one_per_pass(bias):
        return _flattened_by_passes(
            rank, input, lateral, lines, bias, stride, padding, dilation
        )
    return call(
        problems.flattened,
        (("input", input), ("lateral", lateral), *lines, ("bias", bias)),
        rank, stride, padding, dilation,
    )  # fmt: skip


def _is_one_per_pass(bias):
    """A tuple of biases (or None), as against a bias given as a list of numbers."""
    return any(b is None or np.ndim(b) for b in bias)


def _flattened_by_passes(rank, input, lateral, lines, biases, stride, padding, dilation):
    """With a bias between them, passes are convolutions of their own: zeros pad each."""
    if len(biases) != rank + 1:
        raise ValueError(
            f"bias must be one bias or one for each of the {rank + 1} passes, "
            f"got {len(biases)}"
        )
    # Checks everything, and tells what is padded where.
    input = as_array("input", input)
    arrays = {"input": input, "lateral": as_array("lateral", lateral)}
    arrays |= {name: as_array(name, line) for name, line in lines}
    _, shape, _ = problems.flattened(arrays, None, rank, stride, padding, dilation)
    for index, b in enumerate(biases):
        if b is not None and np.shape(b) != (shape[-rank - 1],):
            raise ValueError(
                f"bias[{index}] has shape {np.shape(b)}, expected ({shape[-rank - 1]},)"
            )
    stride = geometry.per_axis("stride", stride, rank, 1)
    dilation = geometry.per_axis("dilation", dilation, rank, 1)
    kernel = [arrays[name].shape[1] for name, _ in lines]
    pairs = geometry.padding_pairs(padding, input.shape[-rank:], kernel, stride, dilation)
    ones = (1,) * rank
    result = call(
        problems.convolution,
        (
            ("input", input),
            ("weight", arrays["lateral"].reshape(arrays["lateral"].shape + ones)),
            ("bias", biases[0]),
        ),
        rank, 1, 0, 1, 1, "zeros",
    )  # fmt: skip
    for axis, (name, _) in enumerate(lines):
        along = [slice(None), None] + [slice(None) if a == axis else None for a in range(rank)]
        result = call(
            problems.depthwise,
            (("input", result), ("weight", arrays[name][tuple(along)]),
             ("bias", biases[axis + 1])),
            rank,
            tuple(stride[a] if a == axis else 1 for a in range(rank)),
            tuple(pairs[a] if a == axis else (0, 0) for a in range(rank)),
            tuple(dilation[a] if a == axis else 1 for a in range(rank)),
        )  # fmt: skip
    return result


def flattened_conv1d(input, lateral, horizontal, bias=None, stride=1, padding=0, dilation=1):
    """Flattened."""
    return _flattened(
        1, input, lateral, (("horizontal", horizontal),), bias, stride, padding, dilation
    )


def flattened_conv2d(
    input, lateral, vertical, horizontal, bias=None, stride=1, padding=0, dilation=1
):
    """Flattened."""
    return _flattened(
        2, input, lateral, (("vertical", vertical), ("horizontal", horizontal)), bias,
        stride, padding, dilation,
    )  # fmt: skip


def flattened_conv3d(
    input, lateral, depth, vertical, horizontal, bias=None, stride=1, padding=0, dilation=1
):
    """Flattened."""
    return _flattened(
        3, input, lateral,
        (("depth", depth), ("vertical", vertical), ("horizontal", horizontal)), bias,
        stride, padding, dilation,
    )  # fmt: skip


def parallel_flattened_conv2d(
    input, weight_vertical, weight_horizontal, bias=None, stride=1, padding="same", dilation=1
):
    """Parallel flattened."""
    vertical = as_array("weight_vertical", weight_vertical)
    horizontal = as_array("weight_horizontal", weight_horizontal)
    if vertical.ndim != 4 or vertical.shape[3] != 1:
        raise ValueError(f"weight_vertical must have shape (F, C, k, 1), got {vertical.shape}")
    expected = (*vertical.shape[:2], 1)
    if horizontal.ndim != 4 or horizontal.shape[:3] != expected:
        raise ValueError(
            f"weight_horizontal must have shape {(*expected, 'k')} for weight_vertical "
            f"{vertical.shape}, got {horizontal.shape}"
        )
    kernel = (vertical.shape[2], horizontal.shape[3])
    geometry.check_kernel(kernel)
    weight = np.concatenate([vertical[:, :, :, 0], horizontal[:, :, 0, :]], axis=2)
    return call(
        problems.crossed,
        (("input", input), ("weight", weight), ("bias", bias)),
        kernel, stride, padding, dilation,
    )  # fmt: skip
