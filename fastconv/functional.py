"""Convolution and transposed convolution, in the words of torch.nn.functional."""

from fastconv import problems
from fastconv.arrays import call

__all__ = [
    "conv", "conv1d", "conv2d", "conv3d",
    "conv_transpose", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
]  # fmt: skip


def _conv(rank, input, weight, bias, stride, padding, dilation, groups, padding_mode, out):
    return call(
        problems.convolution,
        (("input", input), ("weight", weight), ("bias", bias)),
        rank, stride, padding, dilation, groups, padding_mode,
        out=out,
    )  # fmt: skip


def conv(
    input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1,
    *, padding_mode="zeros", out=None,
):  # fmt: skip
    """Convolution."""
    return _conv(
        None, input, weight, bias, stride, padding, dilation, groups, padding_mode, out
    )


def conv1d(
    input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1,
    *, padding_mode="zeros", out=None,
):  # fmt: skip
    """Convolution."""
    return _conv(1, input, weight, bias, stride, padding, dilation, groups, padding_mode, out)


def conv2d(
    input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1,
    *, padding_mode="zeros", out=None,
):  # fmt: skip
    """Convolution."""
    return _conv(2, input, weight, bias, stride, padding, dilation, groups, padding_mode, out)


def conv3d(
    input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1,
    *, padding_mode="zeros", out=None,
):  # fmt: skip
    """Convolution."""
    return _conv(3, input, weight, bias, stride, padding, dilation, groups, padding_mode, out)


def _conv_transpose(
    rank, input, weight, bias, stride, padding, output_padding, groups, dilation, out
):
    return call(
        problems.transposed,
        (("input", input), ("weight", weight), ("bias", bias)),
        rank, stride, padding, output_padding, groups, dilation,
        out=out,
    )  # fmt: skip


def conv_transpose(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1,
    *, out=None,
):  # fmt: skip
    """Transposed convolution."""
    return _conv_transpose(
        None, input, weight, bias, stride, padding, output_padding, groups, dilation, out
    )


def conv_transpose1d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1,
    *, out=None,
):  # fmt: skip
    """Transposed convolution."""
    return _conv_transpose(
        1, input, weight, bias, stride, padding, output_padding, groups, dilation, out
    )


def conv_transpose2d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1,
    *, out=None,
):  # fmt: skip
    """Transposed convolution."""
    return _conv_transpose(
        2, input, weight, bias, stride, padding, output_padding, groups, dilation, out
    )


def conv_transpose3d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1,
    *, out=None,
):  # fmt: skip
    """Transposed convolution."""
    return _conv_transpose(
        3, input, weight, bias, stride, padding, output_padding, groups, dilation, out
    )
