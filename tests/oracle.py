"""What every function must return, in float64 and on scipy.signal.correlate alone.

Each oracle has the name and the arguments of the function it checks. The last two, `naive_conv`
and `naive_conv_transpose`, are plain loops over the definition and check the oracles themselves.
"""

import itertools
import math

import numpy as np
from scipy.signal import correlate

NUMPY_MODES = {
    "zeros": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
    "symmetric": "symmetric",
}


# Convolution and its transpose


def conv(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    *,
    padding_mode="zeros",
):
    """Pad the input, correlate every (image, channel) and subsample.

    With a dilation, outputs that far apart see elements that far apart: parts of the input.
    """
    x, w = np.asarray(input, np.float64), np.asarray(weight, np.float64)
    rank = w.ndim - 2
    batched = x.ndim == rank + 2
    x = x if batched else x[np.newaxis]

    stride, dilation = per_axis(stride, rank), per_axis(dilation, rank)
    pads = pad_widths(padding, x.shape[2:], w.shape[2:], stride, dilation)
    x = np.pad(x, [(0, 0), (0, 0), *pads], mode=NUMPY_MODES[padding_mode])

    outputs, channels, *kernel = w.shape
    sizes = [n - d * (k - 1) for n, k, d in zip(x.shape[2:], kernel, dilation, strict=True)]
    result = np.zeros((len(x), outputs, *sizes))
    parts = itertools.product(*map(range, map(min, dilation, sizes)))
    parts = [tuple(map(slice, first, [None] * rank, dilation)) for first in parts]
    for n, m in itertools.product(range(len(x)), range(outputs if channels else 0)):
        first = m // (outputs // groups) * channels
        for part in parts:
            group = x[(n, slice(first, first + channels), *part)]
            result[(n, m, *part)] = correlate(group, w[m], mode="valid", method="direct")[0]
    result = result[(..., *(slice(None, None, s) for s in stride))]
    result = with_bias(result, bias)
    return result if batched else result[0]


def conv_transpose(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """Insert zeros between the inputs, convolve in full with the flipped kernel, then crop."""
    x, w = np.asarray(input, np.float64), np.asarray(weight, np.float64)
    rank = w.ndim - 2
    stride, dilation = per_axis(stride, rank), per_axis(dilation, rank)
    padding, output_padding = per_axis(padding, rank), per_axis(output_padding, rank)

    channels, outputs, *kernel = w.shape
    w = w.reshape(groups, channels // groups, outputs, *kernel).swapaxes(1, 2)
    w = w.reshape(groups * outputs, channels // groups, *kernel)
    w = np.flip(w, axis=tuple(range(2, 2 + rank)))

    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    full = conv(stuffed(x, stride), w, padding=tuple(reach), dilation=dilation, groups=groups)
    leading = [(0, 0)] * (full.ndim - rank)
    full = np.pad(full, [*leading, *((0, extra) for extra in output_padding)])
    crop = tuple(slice(p, n - p) for n, p in zip(full.shape[-rank:], padding, strict=True))
    return with_bias(full[(..., *crop)], bias, rank)


conv1d = conv2d = conv3d = conv
conv_transpose1d = conv_transpose2d = conv_transpose3d = conv_transpose


# Variants, as compositions


def pointwise_conv(input, weight, bias=None):
    if np.ndim(weight) > 2:
        return conv(input, weight, bias)
    batch, channels, *sizes = np.shape(input)
    flat = np.reshape(input, (batch, channels, math.prod(sizes)))
    result = conv(flat, np.asarray(weight)[:, :, np.newaxis], bias)
    return result.reshape(batch, len(weight), *sizes)


def depthwise_conv(input, weight, bias=None, **geometry):
    channels = np.shape(input)[1 - np.ndim(weight)]
    return conv(input, weight, bias, groups=channels, **geometry)


def separable_conv(input, depthwise_weight, pointwise_weight, bias=None, **geometry):
    rank = np.ndim(depthwise_weight) - 2
    middle = depthwise_conv(input, depthwise_weight, **geometry)
    return conv(middle, trailing_ones(pointwise_weight, rank), bias)


def channel_shuffle(input, groups):
    batch, channels, *sizes = input.shape
    split = input.reshape(batch, groups, channels // groups, *sizes)
    return split.swapaxes(1, 2).reshape(input.shape)


def shuffled_grouped_conv(input, weight, bias=None, groups=1, **geometry):
    result = conv(input, weight, bias, groups=groups, **geometry)
    if np.ndim(input) == np.ndim(weight):
        return channel_shuffle(result, groups)
    return channel_shuffle(result[np.newaxis], groups)[0]


def spatially_separable_conv2d(
    input,
    weight_vertical,
    weight_horizontal,
    bias=None,
    **geometry,
):
    return line_passes(input, (weight_vertical, weight_horizontal), (None, bias), **geometry)


def spatially_separable_conv3d(
    input,
    weight_depth,
    weight_vertical,
    weight_horizontal,
    bias=None,
    **geometry,
):
    lines = (weight_depth, weight_vertical, weight_horizontal)
    return line_passes(input, lines, (None, None, bias), **geometry)


def flattened_conv1d(input, lateral, horizontal, bias=None, **geometry):
    return flattened(input, lateral, (horizontal,), bias, **geometry)


def flattened_conv2d(input, lateral, vertical, horizontal, bias=None, **geometry):
    return flattened(input, lateral, (vertical, horizontal), bias, **geometry)


def flattened_conv3d(input, lateral, depth, vertical, horizontal, bias=None, **geometry):
    return flattened(input, lateral, (depth, vertical, horizontal), bias, **geometry)


def flattened(input, lateral, lines, bias, **geometry):
    """A pass across the channels, then one along each axis; a lone bias belongs to the last."""
    biases = bias if isinstance(bias, tuple) else (*[None] * len(lines), bias)
    across = conv(input, trailing_ones(lateral, len(lines)), biases[0])
    return line_passes(across, lines, biases[1:], **geometry)


def parallel_flattened_conv2d(
    input,
    weight_vertical,
    weight_horizontal,
    bias=None,
    padding="same",
    **geometry,
):
    """Two convolutions of the same size, or one by the cross of both laid in a common window."""
    vertical, horizontal = np.asarray(weight_vertical), np.asarray(weight_horizontal)
    if padding == "same":
        result = conv(input, vertical, padding="same", **geometry)
        return result + conv(input, horizontal, bias, padding="same", **geometry)
    height, width = vertical.shape[2], horizontal.shape[3]
    window = np.zeros((*vertical.shape[:2], height, width))
    window[:, :, :, (width - 1) // 2] += vertical[:, :, :, 0]
    window[:, :, (height - 1) // 2, :] += horizontal[:, :, 0, :]
    return conv(input, window, bias, padding=padding, **geometry)


depthwise_conv1d = depthwise_conv2d = depthwise_conv3d = depthwise_conv
separable_conv1d = separable_conv2d = separable_conv3d = separable_conv
shuffled_grouped_conv1d = shuffled_grouped_conv2d = shuffled_grouped_conv3d = shuffled_grouped_conv


# Shapes


def per_axis(value, rank):
    return (value,) * rank if np.ndim(value) == 0 else tuple(value)


def pad_widths(padding, sizes, kernel, stride, dilation):
    """(before, after) of every axis."""
    if padding != "same":
        return pairs(0 if padding == "valid" else padding, len(sizes))
    totals = [
        max((math.ceil(n / s) - 1) * s + d * (k - 1) + 1 - n, 0)
        for n, k, s, d in zip(sizes, kernel, stride, dilation, strict=True)
    ]
    return [(total // 2, total - total // 2) for total in totals]


def pairs(padding, rank):
    return [per_axis(pad, 2) for pad in per_axis(padding, rank)]


def stuffed(array, step):
    """`array` with step - 1 zeros between neighbours along its last len(step) axes."""
    rank = len(step)
    sizes = [(n - 1) * s + 1 for n, s in zip(array.shape[-rank:], step, strict=True)]
    result = np.zeros((*array.shape[:-rank], *sizes))
    result[(..., *(slice(None, None, s) for s in step))] = array
    return result


def trailing_ones(weight, rank):
    """(outputs, inputs) or (outputs, inputs, 1, ...) as a kernel of `rank` axes of length 1."""
    return np.reshape(weight, np.shape(weight)[:2] + (1,) * rank)


def with_bias(result, bias, rank=None):
    if bias is None:
        return result
    rank = result.ndim - 2 if rank is None else rank
    return result + np.reshape(bias, (-1,) + (1,) * rank)


def line_passes(input, lines, biases, stride=1, padding=0, dilation=1):
    """A depthwise pass of one line of weights along each spatial axis in turn."""
    rank = len(lines)
    channels = np.shape(input)[-rank - 1]
    lines = [np.reshape(w, (len(w) if np.ndim(w) > 1 else 1, -1)) for w in lines]
    kernel = [w.shape[1] for w in lines]
    stride, dilation = per_axis(stride, rank), per_axis(dilation, rank)
    pads = pad_widths(padding, np.shape(input)[-rank:], kernel, stride, dilation)

    result = input
    for axis, (line, bias) in enumerate(zip(lines, biases, strict=True)):

        def only_here(value, elsewhere, axis=axis):
            return tuple(value if i == axis else elsewhere for i in range(rank))

        weight = np.broadcast_to(line, (channels, kernel[axis]))
        result = conv(
            result,
            weight.reshape(channels, 1, *only_here(kernel[axis], 1)),
            bias,
            stride=only_here(stride[axis], 1),
            padding=only_here(pads[axis], (0, 0)),
            dilation=only_here(dilation[axis], 1),
            groups=channels,
        )
    return result


# The definition, in loops


def naive_conv(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    padding_mode="zeros",
):
    """Batched input; padding is an int, one int per axis or one (before, after) per axis."""
    outputs, channels, *kernel = weight.shape
    sizes = input.shape[2:]
    rank = len(sizes)
    stride, dilation = per_axis(stride, rank), per_axis(dilation, rank)
    pads = pairs(padding, rank)
    shape = [
        (n + sum(pad) - d * (k - 1) - 1) // s + 1
        for n, pad, k, s, d in zip(sizes, pads, kernel, stride, dilation, strict=True)
    ]
    result = np.zeros((len(input), outputs, *shape))
    for n, m, *o in np.ndindex(result.shape):
        first = m // (outputs // groups) * channels
        total = 0.0 if bias is None else float(bias[m])
        for c, *k in np.ndindex(channels, *kernel):
            at = [
                source(o[i] * stride[i] + k[i] * dilation[i] - pads[i][0], sizes[i], padding_mode)
                for i in range(rank)
            ]
            if None not in at:
                total += float(input[n, first + c, *at]) * float(weight[m, c, *k])
        result[n, m, *o] = total
    return result


def source(i, n, padding_mode):
    """Which of the n samples of an axis stands at coordinate i of its padded self."""
    match padding_mode:
        case "zeros":
            return i if 0 <= i < n else None
        case "replicate":
            return min(max(i, 0), n - 1)
        case "circular":
            return i % n
        case "symmetric":
            return min(i % (2 * n), 2 * n - 1 - i % (2 * n))
        case "reflect":
            period = max(2 * n - 2, 1)
            return min(i % period, period - i % period) if n > 1 else 0


def naive_conv_transpose(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """Batched input; every input is scattered over the outputs that its kernel reaches."""
    channels, outputs, *kernel = weight.shape
    sizes = input.shape[2:]
    rank = len(sizes)
    s, p, e, d = (per_axis(v, rank) for v in (stride, padding, output_padding, dilation))
    shape = [
        (sizes[i] - 1) * s[i] - 2 * p[i] + d[i] * (kernel[i] - 1) + e[i] + 1 for i in range(rank)
    ]
    result = np.zeros((len(input), outputs * groups, *shape))
    for n, c, *at in np.ndindex(input.shape):
        first = c // (channels // groups) * outputs
        for m, *k in np.ndindex(outputs, *kernel):
            o = [at[i] * s[i] + k[i] * d[i] - p[i] for i in range(rank)]
            if all(0 <= o[i] < shape[i] for i in range(rank)):
                result[n, first + m, *o] += float(input[n, c, *at]) * float(weight[c, m, *k])
    return with_bias(result, bias)
