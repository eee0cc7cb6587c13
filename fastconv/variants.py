"""The named kinds of convolution, each one call of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv import geometry, problems
from fastconv._types import Ints, Method, Padding
from fastconv.arrays import as_array, as_operand, call, promoted
from fastconv.engine.packed import PackedWeight

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


def pointwise_conv(
    input: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None
) -> NDArray[Any]:
    """Pointwise (1x1) convolution: at each position, a linear map of the channels.

    ``out[n, m, p] = bias[m] + sum over c of weight[m, c] * input[n, c, p]`` at every position p.

    Parameters
    ----------
    input : array_like, shape (N, Cin, ...) or (Cin, ...)
        With up to three spatial axes. Without N only where `weight` tells how many of them there
        are; for a weight (Cout, Cin) the first axis is N.
    weight : array_like, shape (Cout, Cin) or (Cout, Cin, 1, ...)
        The map as a matrix, or with a 1 for each spatial axis as in `conv`; same bits.
    bias : array_like, shape (Cout,), optional

    Returns
    -------
    ndarray, shape (N, Cout, ...) or (Cout, ...)
        The spatial axes are those of `input`; the dtype is found as in `conv`.

    Raises
    ------
    ValueError
        If a shape is not one of those above, or channels do not agree.
    TypeError
        As `conv`, for operands of other dtypes.

    See Also
    --------
    separable_conv2d : A depthwise convolution followed by this one.

    Notes
    -----
    From "Network In Network" [1]_. The semantics are those of ``torch.nn.functional.conv2d``
    with a 1x1 kernel.

    References
    ----------
    .. [1] M. Lin, Q. Chen and S. Yan, "Network In Network", 2013.
       https://arxiv.org/abs/1312.4400

    Examples
    --------
    The grey value of each pixel of a colour image, and its red minus its blue:

    >>> import numpy as np
    >>> import fastconv
    >>> image = np.arange(12.0).reshape(1, 3, 2, 2)
    >>> fastconv.pointwise_conv(image, [[0.25, 0.5, 0.25], [1.0, 0.0, -1.0]])
    array([[[[ 4.,  5.],
             [ 6.,  7.]],
    <BLANKLINE>
            [[-8., -8.],
             [-8., -8.]]]])
    """
    return call(problems.pointwise, ("input", "weight", "bias"), (input, weight, bias), ())


# ---- Depthwise ----------------------------------------------------------------------


def _depthwise(
    rank: int,
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    method: Method,
) -> NDArray[Any]:
    return call(
        problems.depthwise,
        ("input", "weight", "bias"),
        (input, weight, bias),
        (rank, stride, padding, dilation),
        method=method,
    )


def depthwise_conv1d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    *,
    method: Method = "auto",
) -> NDArray[Any]:
    """1-D depthwise convolution: each channel by itself, with kernels of its own.

    Parameters
    ----------
    input : array_like, shape (N, C, L) or (C, L)
    weight : array_like, shape (C * K, 1, k)
    bias : array_like, shape (C * K,), optional
    stride, padding, dilation
        As in `conv`, padded with zeros.
    method
        As in `conv`.

    Returns
    -------
    ndarray, shape (N, C * K, Lo) or (C * K, Lo)

    Raises
    ------
    ValueError, TypeError
        As `depthwise_conv2d`.

    See Also
    --------
    depthwise_conv2d : The full description.
    conv1d : ``conv1d(..., groups=C)`` is the same.

    Examples
    --------
    Two kernels for each of two channels:

    >>> import numpy as np
    >>> import fastconv
    >>> x = np.array([[1.0, 2.0, 4.0], [10.0, 20.0, 40.0]])
    >>> weight = np.array([[[1.0, 1.0]], [[-1.0, 1.0]], [[1.0, 1.0]], [[-1.0, 1.0]]])
    >>> fastconv.depthwise_conv1d(x, weight)
    array([[ 3.,  6.],
           [ 1.,  2.],
           [30., 60.],
           [10., 20.]])
    """
    return _depthwise(1, input, weight, bias, stride, padding, dilation, method)


def depthwise_conv2d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    *,
    method: Method = "auto",
) -> NDArray[Any]:
    """2-D depthwise convolution: each channel by itself, with kernels of its own.

    Channel c becomes channels ``c * K`` to ``c * K + K - 1`` of the result::

        out[m, y, x] = bias[m] + sum of weight[m, 0, i, j] * input[m // K, y + i, x + j]

    for stride and dilation 1.

    Parameters
    ----------
    input : array_like, shape (N, C, H, W) or (C, H, W)
    weight : array_like, shape (C * K, 1, kh, kw)
        K, the channel multiplier, is any whole number.
    bias : array_like, shape (C * K,), optional
    stride, padding, dilation
        As in `conv`, padded with zeros.
    method
        As in `conv`.

    Returns
    -------
    ndarray, shape (N, C * K, Ho, Wo) or (C * K, Ho, Wo)
        Ho and Wo as in `conv2d`; the dtype is found as in `conv`.

    Raises
    ------
    ValueError, TypeError
        As `conv`; ValueError also if `weight` has other than a multiple of C kernels.

    See Also
    --------
    separable_conv2d : With a pointwise convolution after it.
    spatially_separable_conv2d : Where each kernel is an outer product.

    Notes
    -----
    It is ``conv2d(..., groups=C)``, as in PyTorch, which has no function for it.
    ``keras.ops.depthwise_conv`` is the same with another order of axes.

    Examples
    --------
    One channel is differentiated along x, the other along y:

    >>> import numpy as np
    >>> import fastconv
    >>> image = np.array([[[1.0, 2.0], [4.0, 8.0]], [[1.0, 2.0], [4.0, 8.0]]])
    >>> weight = np.array([[[[0.0, 0.0], [-1.0, 1.0]]], [[[0.0, -1.0], [0.0, 1.0]]]])
    >>> fastconv.depthwise_conv2d(image, weight, padding=((1, 0), (1, 0)))
    array([[[1., 1.],
            [4., 4.]],
    <BLANKLINE>
           [[1., 2.],
            [3., 6.]]])
    """
    return _depthwise(2, input, weight, bias, stride, padding, dilation, method)


def depthwise_conv3d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    *,
    method: Method = "auto",
) -> NDArray[Any]:
    """3-D depthwise convolution: each channel by itself, with kernels of its own.

    Parameters
    ----------
    input : array_like, shape (N, C, D, H, W) or (C, D, H, W)
    weight : array_like, shape (C * K, 1, kd, kh, kw)
    bias : array_like, shape (C * K,), optional
    stride, padding, dilation
        As in `conv`, padded with zeros.
    method
        As in `conv`.

    Returns
    -------
    ndarray, shape (N, C * K, Do, Ho, Wo) or (C * K, Do, Ho, Wo)

    Raises
    ------
    ValueError, TypeError
        As `depthwise_conv2d`.

    See Also
    --------
    depthwise_conv2d : The full description.
    conv3d : ``conv3d(..., groups=C)`` is the same.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> x = np.ones((2, 2, 2, 2)) * np.array([1.0, 10.0]).reshape(2, 1, 1, 1)
    >>> fastconv.depthwise_conv3d(x, np.ones((2, 1, 2, 2, 2))).ravel()
    array([ 8., 80.])
    """
    return _depthwise(3, input, weight, bias, stride, padding, dilation, method)


# ---- Depthwise-separable ------------------------------------------------------------


def _separable(
    rank: int,
    input: ArrayLike,
    depthwise_weight: ArrayLike,
    pointwise_weight: ArrayLike,
    bias: ArrayLike | None,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
) -> NDArray[Any]:
    return call(
        problems.separable,
        ("input", "depthwise_weight", "pointwise_weight", "bias"),
        (input, depthwise_weight, pointwise_weight, bias),
        (rank, stride, padding, dilation),
    )


def separable_conv1d(
    input: ArrayLike,
    depthwise_weight: ArrayLike,
    pointwise_weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
) -> NDArray[Any]:
    """1-D depthwise-separable convolution: depthwise, then pointwise.

    Parameters
    ----------
    input : array_like, shape (N, C, L) or (C, L)
    depthwise_weight : array_like, shape (C * K, 1, k)
    pointwise_weight : array_like, shape (Cout, C * K) or (Cout, C * K, 1)
    bias : array_like, shape (Cout,), optional
        Added at the end.
    stride, padding, dilation
        Of the depthwise convolution, as in `conv`, padded with zeros.

    Returns
    -------
    ndarray, shape (N, Cout, Lo) or (Cout, Lo)

    Raises
    ------
    ValueError, TypeError
        As `separable_conv2d`.

    See Also
    --------
    separable_conv2d : The full description, and its sources.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> fastconv.separable_conv1d(x, np.ones((2, 1, 2)), [[1.0, 0.0], [1.0, 1.0]], bias=[0, 100])
    array([[  3.,   5.],
           [112., 116.]])
    """
    return _separable(1, input, depthwise_weight, pointwise_weight, bias, stride, padding, dilation)


def separable_conv2d(
    input: ArrayLike,
    depthwise_weight: ArrayLike,
    pointwise_weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
) -> NDArray[Any]:
    """2-D depthwise-separable convolution: depthwise, then pointwise.

    The same as ``pointwise_conv(depthwise_conv2d(input, depthwise_weight, ...),
    pointwise_weight, bias)``, without storing what is between them: tile by tile.

    Parameters
    ----------
    input : array_like, shape (N, C, H, W) or (C, H, W)
    depthwise_weight : array_like, shape (C * K, 1, kh, kw)
        As in `depthwise_conv2d`.
    pointwise_weight : array_like, shape (Cout, C * K) or (Cout, C * K, 1, 1)
        As in `pointwise_conv`.
    bias : array_like, shape (Cout,), optional
        Added at the end.
    stride, padding, dilation
        Of the depthwise convolution, as in `conv`, padded with zeros.

    Returns
    -------
    ndarray, shape (N, Cout, Ho, Wo) or (Cout, Ho, Wo)
        Ho and Wo as in `conv2d`; the dtype is found as in `conv`.

    Raises
    ------
    ValueError, TypeError
        As `conv`; ValueError also if the weights do not fit the input or each other.

    See Also
    --------
    depthwise_conv2d, pointwise_conv : Its two halves.
    spatially_separable_conv2d : Kernels that are outer products: another thing.

    Notes
    -----
    The semantics are those of ``keras.ops.separable_conv``, with PyTorch's order of axes. There is
    nothing between the two convolutions, as in Xception [1]_; MobileNet [2]_ has a normalization
    and a ReLU there, so call the two halves for that.

    References
    ----------
    .. [1] F. Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", 2017.
       https://arxiv.org/abs/1610.02357
    .. [2] A. Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile
       Vision Applications", 2017. https://arxiv.org/abs/1704.04861

    Examples
    --------
    Sums over 2x2 pixels of each channel, then the two channels as digits:

    >>> import numpy as np
    >>> import fastconv
    >>> x = np.array([[[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]], [[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]]])
    >>> fastconv.separable_conv2d(x, np.ones((2, 1, 2, 2)), [[10.0, 1.0]])
    array([[[33., 14.]]])
    """
    return _separable(2, input, depthwise_weight, pointwise_weight, bias, stride, padding, dilation)


def separable_conv3d(
    input: ArrayLike,
    depthwise_weight: ArrayLike,
    pointwise_weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
) -> NDArray[Any]:
    """3-D depthwise-separable convolution: depthwise, then pointwise.

    Parameters
    ----------
    input : array_like, shape (N, C, D, H, W) or (C, D, H, W)
    depthwise_weight : array_like, shape (C * K, 1, kd, kh, kw)
    pointwise_weight : array_like, shape (Cout, C * K) or (Cout, C * K, 1, 1, 1)
    bias : array_like, shape (Cout,), optional
        Added at the end.
    stride, padding, dilation
        Of the depthwise convolution, as in `conv`, padded with zeros.

    Returns
    -------
    ndarray, shape (N, Cout, Do, Ho, Wo) or (Cout, Do, Ho, Wo)

    Raises
    ------
    ValueError, TypeError
        As `separable_conv2d`.

    See Also
    --------
    separable_conv2d : The full description, and its sources.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> x = np.ones((2, 3, 3, 3))
    >>> fastconv.separable_conv3d(x, np.ones((2, 1, 3, 3, 3)), [[1.0, 0.0], [0.0, 2.0]]).ravel()
    array([27., 54.])
    """
    return _separable(3, input, depthwise_weight, pointwise_weight, bias, stride, padding, dilation)


# ---- Spatially separable ------------------------------------------------------------


def spatially_separable_conv2d(
    input: ArrayLike,
    weight_vertical: ArrayLike,
    weight_horizontal: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
) -> NDArray[Any]:
    """2-D depthwise convolution with kernels that are outer products, as two 1-D passes.

    The kernel of channel c is ``np.outer(weight_vertical[c], weight_horizontal[c])``: kh + kw
    products for each output instead of kh * kw. The passes share a few rows of buffer.

    Parameters
    ----------
    input : array_like, shape (N, C, H, W) or (C, H, W)
    weight_vertical : array_like, shape (kh,), (C, kh) or (C, 1, kh, 1)
        One line for all channels, or one for each.
    weight_horizontal : array_like, shape (kw,), (C, kw) or (C, 1, 1, kw)
        Likewise.
    bias : array_like, shape (C,), optional
        Added at the end.
    stride, padding, dilation
        As in `conv`, padded with zeros.

    Returns
    -------
    ndarray, shape (N, C, Ho, Wo) or (C, Ho, Wo)
        Ho and Wo as in `conv2d`; the dtype is found as in `conv`.

    Raises
    ------
    ValueError, TypeError
        As `conv`; ValueError also if a weight has none of the shapes above.

    See Also
    --------
    depthwise_conv2d : Any kernel for each channel.
    flattened_conv2d : Outer products that go across the channels, too.

    Notes
    -----
    For one channel it is `scipy.signal.sepfir2d` with other borders, or two calls of
    `scipy.ndimage.correlate1d` with ``mode="constant"``. Results differ from those of
    `depthwise_conv2d` with the outer product by rounding.

    Examples
    --------
    The Sobel filter is a smoothing along one axis and a difference along the other:

    >>> import numpy as np
    >>> import fastconv
    >>> image = np.array([[[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0]]])
    >>> fastconv.spatially_separable_conv2d(image, [1.0, 2.0, 1.0], [-1.0, 0.0, 1.0])
    array([[[4., 3.]]])
    """
    return call(
        problems.spatially_separable,
        ("input", "weight_vertical", "weight_horizontal", "bias"),
        (input, weight_vertical, weight_horizontal, bias),
        (2, stride, padding, dilation),
    )


def spatially_separable_conv3d(
    input: ArrayLike,
    weight_depth: ArrayLike,
    weight_vertical: ArrayLike,
    weight_horizontal: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
) -> NDArray[Any]:
    """3-D depthwise convolution with kernels that are outer products, as three 1-D passes.

    Parameters
    ----------
    input : array_like, shape (N, C, D, H, W) or (C, D, H, W)
    weight_depth : array_like, shape (kd,), (C, kd) or (C, 1, kd, 1, 1)
    weight_vertical : array_like, shape (kh,), (C, kh) or (C, 1, 1, kh, 1)
    weight_horizontal : array_like, shape (kw,), (C, kw) or (C, 1, 1, 1, kw)
    bias : array_like, shape (C,), optional
        Added at the end.
    stride, padding, dilation
        As in `conv`, padded with zeros.

    Returns
    -------
    ndarray, shape (N, C, Do, Ho, Wo) or (C, Do, Ho, Wo)

    Raises
    ------
    ValueError, TypeError
        As `spatially_separable_conv2d`.

    See Also
    --------
    spatially_separable_conv2d : The full description.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> volume = np.arange(8.0).reshape(1, 2, 2, 2)
    >>> fastconv.spatially_separable_conv3d(volume, [-1.0, 1.0], [0.0, 1.0], [1.0, 1.0])
    array([[[[8.]]]])
    """
    return call(
        problems.spatially_separable,
        ("input", "weight_depth", "weight_vertical", "weight_horizontal", "bias"),
        (input, weight_depth, weight_vertical, weight_horizontal, bias),
        (3, stride, padding, dilation),
    )


# ---- Shuffled -----------------------------------------------------------------------


def channel_shuffle(input: ArrayLike, groups: SupportsIndex) -> NDArray[Any]:
    """Exchange the channels between groups: channel m of group g becomes channel m * groups + g.

    Parameters
    ----------
    input : array_like, shape (N, C, ...)
        With one spatial axis or more, of any dtype.
    groups : int
        Must divide C.

    Returns
    -------
    ndarray, shape (N, C, ...)
        A new array of the dtype of `input`.

    Raises
    ------
    ValueError
        If `input` has less than 3 axes, or `groups` is less than 1 or does not divide C.
    TypeError
        If `groups` is not an integer, or `input` is a masked array.

    See Also
    --------
    shuffled_grouped_conv2d : A grouped convolution that stores its channels in this order.

    Notes
    -----
    From ShuffleNet [1]_. The semantics are those of ``torch.nn.functional.channel_shuffle``.

    References
    ----------
    .. [1] X. Zhang, X. Zhou, M. Lin and J. Sun, "ShuffleNet: An Extremely Efficient Convolutional
       Neural Network for Mobile Devices", 2017. https://arxiv.org/abs/1707.01083

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> x = np.arange(6).reshape(1, 6, 1)
    >>> fastconv.channel_shuffle(x, 2).ravel()
    array([0, 3, 1, 4, 2, 5])
    """
    input = as_array("input", input)
    if input.ndim < 3:
        raise ValueError(
            f"input must have shape (N, C, ...) with 3 axes or more, got {input.shape}"
        )
    groups = geometry.integer("groups", groups, 1)
    images, channels, *sizes = input.shape
    if channels % groups:
        raise ValueError(
            f"groups must divide the input's channels, got groups {groups} and {channels} "
            f"channels (input shape {input.shape})"
        )
    grouped = input.reshape(images, groups, channels // groups, *sizes)
    return np.array(grouped.swapaxes(1, 2), order="C").reshape(input.shape)


def _shuffled(
    rank: int,
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    groups: SupportsIndex,
    method: Method,
) -> NDArray[Any]:
    return call(
        problems.shuffled,
        ("input", "weight", "bias"),
        (input, weight, bias),
        (rank, stride, padding, dilation, groups),
        method=method,
    )


def shuffled_grouped_conv1d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: SupportsIndex = 1,
    *,
    method: Method = "auto",
) -> NDArray[Any]:
    """1-D grouped convolution whose output channels are shuffled between the groups.

    The same as ``channel_shuffle(conv1d(..., groups=groups), groups)`` in one pass.

    Parameters
    ----------
    input : array_like, shape (N, Cin, L) or (Cin, L)
    weight : array_like, shape (Cout, Cin / groups, k)
    bias : array_like, shape (Cout,), optional
        `weight` and `bias` are in the order before the shuffle.
    stride, padding, dilation, groups
        As in `conv`, padded with zeros.
    method
        As in `conv`.

    Returns
    -------
    ndarray, shape (N, Cout, Lo) or (Cout, Lo)

    Raises
    ------
    ValueError, TypeError
        As `conv1d`.

    See Also
    --------
    shuffled_grouped_conv2d : The full description, and its source.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> x = np.array([[1.0, 2.0], [10.0, 20.0]])
    >>> fastconv.shuffled_grouped_conv1d(x, np.ones((4, 1, 2)), bias=[0, 1, 0, 1], groups=2)
    array([[ 3.],
           [30.],
           [ 4.],
           [31.]])
    """
    return _shuffled(1, input, weight, bias, stride, padding, dilation, groups, method)


def shuffled_grouped_conv2d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: SupportsIndex = 1,
    *,
    method: Method = "auto",
) -> NDArray[Any]:
    """2-D grouped convolution whose output channels are shuffled between the groups.

    The same as ``channel_shuffle(conv2d(..., groups=groups), groups)``, without a second pass over
    the data: results are stored where the shuffle would have moved them.

    Parameters
    ----------
    input : array_like, shape (N, Cin, H, W) or (Cin, H, W)
    weight : array_like, shape (Cout, Cin / groups, kh, kw)
        As in `conv2d`: in the order before the shuffle.
    bias : array_like, shape (Cout,), optional
        In the order before the shuffle.
    stride, padding, dilation, groups
        As in `conv`, padded with zeros.
    method
        As in `conv`.

    Returns
    -------
    ndarray, shape (N, Cout, Ho, Wo) or (Cout, Ho, Wo)
        Ho and Wo as in `conv2d`; the dtype is found as in `conv`.

    Raises
    ------
    ValueError, TypeError
        As `conv2d`.

    See Also
    --------
    channel_shuffle : The shuffle alone, and its source.
    conv2d : The grouped convolution alone.

    Notes
    -----
    From ShuffleNet [1]_, where the groups of the next layer so see all groups of this one.

    References
    ----------
    .. [1] X. Zhang, X. Zhou, M. Lin and J. Sun, "ShuffleNet: An Extremely Efficient Convolutional
       Neural Network for Mobile Devices", 2017. https://arxiv.org/abs/1707.01083

    Examples
    --------
    Two groups of one channel, each taken once and twice:

    >>> import numpy as np
    >>> import fastconv
    >>> x = np.array([1.0, 10.0]).reshape(2, 1, 1)
    >>> w = np.array([1.0, 2.0, 1.0, 2.0]).reshape(4, 1, 1, 1)
    >>> fastconv.conv2d(x, w, groups=2).ravel()
    array([ 1.,  2., 10., 20.])
    >>> fastconv.shuffled_grouped_conv2d(x, w, groups=2).ravel()
    array([ 1., 10.,  2., 20.])
    """
    return _shuffled(2, input, weight, bias, stride, padding, dilation, groups, method)


def shuffled_grouped_conv3d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: SupportsIndex = 1,
    *,
    method: Method = "auto",
) -> NDArray[Any]:
    """3-D grouped convolution whose output channels are shuffled between the groups.

    The same as ``channel_shuffle(conv3d(..., groups=groups), groups)`` in one pass.

    Parameters
    ----------
    input : array_like, shape (N, Cin, D, H, W) or (Cin, D, H, W)
    weight : array_like, shape (Cout, Cin / groups, kd, kh, kw)
    bias : array_like, shape (Cout,), optional
        `weight` and `bias` are in the order before the shuffle.
    stride, padding, dilation, groups
        As in `conv`, padded with zeros.
    method
        As in `conv`.

    Returns
    -------
    ndarray, shape (N, Cout, Do, Ho, Wo) or (Cout, Do, Ho, Wo)

    Raises
    ------
    ValueError, TypeError
        As `conv3d`.

    See Also
    --------
    shuffled_grouped_conv2d : The full description, and its source.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> x = np.array([1.0, 10.0]).reshape(2, 1, 1, 1)
    >>> w = np.array([1.0, 2.0, 1.0, 2.0]).reshape(4, 1, 1, 1, 1)
    >>> fastconv.shuffled_grouped_conv3d(x, w, groups=2).ravel()
    array([ 1., 10.,  2., 20.])
    """
    return _shuffled(3, input, weight, bias, stride, padding, dilation, groups, method)


# ---- Flattened ----------------------------------------------------------------------

#: One for all, or one for each pass.
_Biases: TypeAlias = ArrayLike | Sequence[ArrayLike | None]
#: The 1-D kernels by name, in the order of their axes.
_Lines: TypeAlias = tuple[tuple[str, ArrayLike], ...]


def _flattened(
    rank: int,
    input: ArrayLike,
    lateral: ArrayLike,
    lines: _Lines,
    bias: _Biases | None,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
) -> NDArray[Any]:
    if isinstance(bias, (tuple, list)) and _is_one_per_pass(bias):
        return _flattened_by_passes(rank, input, lateral, lines, bias, stride, padding, dilation)
    names, arrays = zip(*lines, strict=True)
    return call(
        problems.flattened,
        ("input", "lateral", *names, "bias"),
        (input, lateral, *arrays, bias),
        (rank, stride, padding, dilation),
    )


def _is_one_per_pass(bias: Sequence[ArrayLike | None]) -> bool:
    """A tuple of biases (or None), as against a bias given as a list of numbers."""
    return any(b is None or np.ndim(b) for b in bias)


def _flattened_by_passes(
    rank: int,
    input: ArrayLike,
    lateral: ArrayLike,
    lines: _Lines,
    biases: Sequence[ArrayLike | None],
    stride: Ints,
    padding: Padding,
    dilation: Ints,
) -> NDArray[Any]:
    """With a bias between them, passes are convolutions of their own: zeros pad each."""
    if len(biases) != rank + 1:
        raise ValueError(
            f"bias must be one bias or one for each of the {rank + 1} passes, got {len(biases)}"
        )
    named = [("input", input), ("lateral", lateral), *lines]
    named += [(f"bias[{i}]", bias) for i, bias in enumerate(biases) if bias is not None]
    arrays = {name: as_operand(name, value) for name, value in named}
    _, shape, _ = problems.flattened(
        {name: array for name, array in arrays.items() if not name.startswith("bias")},
        None, rank, stride, padding, dilation,
    )  # fmt: skip
    for name, array in arrays.items():
        if name.startswith("bias") and array.shape != (shape[-rank - 1],):
            raise ValueError(f"{name} has shape {array.shape}, expected ({shape[-rank - 1]},)")
    arrays = promoted(arrays)
    stride = geometry.per_axis("stride", stride, rank, 1)
    dilation = geometry.per_axis("dilation", dilation, rank, 1)
    kernel = [arrays[name].shape[1] for name, _ in lines]
    sizes = arrays["input"].shape[-rank:]
    pairs = geometry.padding_pairs(padding, sizes, kernel, stride, dilation)
    ones = (1,) * rank
    result = call(
        problems.convolution,
        ("input", "weight", "bias"),
        (
            arrays["input"],
            arrays["lateral"].reshape(arrays["lateral"].shape + ones),
            arrays.get("bias[0]"),
        ),
        (rank, 1, 0, 1, 1, "zeros"),
    )
    for axis, (name, _) in enumerate(lines):
        along = [slice(None), None] + [slice(None) if a == axis else None for a in range(rank)]
        result = call(
            problems.depthwise,
            ("input", "weight", "bias"),
            (result, arrays[name][tuple(along)], arrays.get(f"bias[{axis + 1}]")),
            (
                rank,
                tuple(stride[a] if a == axis else 1 for a in range(rank)),
                tuple(pairs[a] if a == axis else (0, 0) for a in range(rank)),
                tuple(dilation[a] if a == axis else 1 for a in range(rank)),
            ),
        )
    return result


def flattened_conv1d(
    input: ArrayLike,
    lateral: ArrayLike,
    horizontal: ArrayLike,
    bias: _Biases | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
) -> NDArray[Any]:
    """1-D convolution with kernels that are outer products, as two passes.

    Parameters
    ----------
    input : array_like, shape (N, C, L) or (C, L)
    lateral : array_like, shape (F, C)
        Across the channels.
    horizontal : array_like, shape (F, k)
        Along L.
    bias : array_like, shape (F,), or a tuple of two, optional
        Added at the end, or after each pass.
    stride, padding, dilation
        As in `conv`, padded with zeros.

    Returns
    -------
    ndarray, shape (N, F, Lo) or (F, Lo)

    Raises
    ------
    ValueError, TypeError
        As `flattened_conv2d`.

    See Also
    --------
    flattened_conv2d : The full description, and its source.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> x = np.array([[1.0, 2.0, 4.0], [1.0, 1.0, 1.0]])
    >>> fastconv.flattened_conv1d(x, [[1.0, 10.0]], [[-1.0, 2.0]])
    array([[13., 16.]])
    """
    return _flattened(
        1, input, lateral, (("horizontal", horizontal),), bias, stride, padding, dilation
    )


def flattened_conv2d(
    input: ArrayLike,
    lateral: ArrayLike,
    vertical: ArrayLike,
    horizontal: ArrayLike,
    bias: _Biases | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
) -> NDArray[Any]:
    """2-D convolution with kernels that are outer products over all axes, as three 1-D passes.

    The kernel of filter f is ``lateral[f, c] * vertical[f, i] * horizontal[f, j]``, so::

        out[f, y, x] = bias[f] + sum over i and j of vertical[f, i] * horizontal[f, j]
                       * sum over c of lateral[f, c] * input[c, y + i, x + j]

    for stride and dilation 1: C + kh + kw products for each output instead of C * kh * kw.

    Parameters
    ----------
    input : array_like, shape (N, C, H, W) or (C, H, W)
    lateral : array_like, shape (F, C)
        Across the channels.
    vertical : array_like, shape (F, kh)
        Along H.
    horizontal : array_like, shape (F, kw)
        Along W.
    bias : array_like, shape (F,), or a tuple of three, optional
        Added at the end; a tuple holds what to add after the lateral, the vertical and the
        horizontal pass, each an array of shape (F,) or None.
    stride, padding, dilation
        As in `conv`, padded with zeros. With biases between the passes, each pass is a convolution
        of its own, and its padding is zeros, not the bias of the pass before.

    Returns
    -------
    ndarray, shape (N, F, Ho, Wo) or (F, Ho, Wo)
        Ho and Wo as in `conv2d`; the dtype is found as in `conv`.

    Raises
    ------
    ValueError, TypeError
        As `conv`; ValueError also if the weights do not have the same F, `lateral` not as many
        channels as `input`, or a tuple not one bias for each pass.

    See Also
    --------
    parallel_flattened_conv2d : The sum of a vertical and a horizontal convolution.
    spatially_separable_conv2d : Outer products for each channel by itself.

    Notes
    -----
    After Jin, Dundar and Culurciello [1]_: the order of the passes and the bias after each of them
    are theirs; they pad to the full size, here `padding` says. The result is that of `conv2d` with
    the outer product as weight, but for rounding.

    References
    ----------
    .. [1] J. Jin, A. Dundar and E. Culurciello, "Flattened Convolutional Neural Networks for
       Feedforward Acceleration", 2014. https://arxiv.org/abs/1412.5474

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> x = np.arange(18.0).reshape(2, 3, 3)
    >>> lateral, vertical, horizontal = [[1.0, 1.0]], [[1.0, 2.0, 1.0]], [[-1.0, 0.0, 1.0]]
    >>> fastconv.flattened_conv2d(x, lateral, vertical, horizontal)
    array([[[16.]]])
    >>> weight = np.einsum("fc,fi,fj->fcij", lateral, vertical, horizontal)
    >>> fastconv.conv2d(x, weight)
    array([[[16.]]])
    >>> fastconv.flattened_conv2d(x, lateral, vertical, horizontal, bias=([5], None, [0.5]))
    array([[[16.5]]])
    """
    return _flattened(
        2, input, lateral, (("vertical", vertical), ("horizontal", horizontal)), bias,
        stride, padding, dilation,
    )  # fmt: skip


def flattened_conv3d(
    input: ArrayLike,
    lateral: ArrayLike,
    depth: ArrayLike,
    vertical: ArrayLike,
    horizontal: ArrayLike,
    bias: _Biases | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
) -> NDArray[Any]:
    """3-D convolution with kernels that are outer products, as four 1-D passes.

    Parameters
    ----------
    input : array_like, shape (N, C, D, H, W) or (C, D, H, W)
    lateral : array_like, shape (F, C)
        Across the channels.
    depth : array_like, shape (F, kd)
        Along D.
    vertical : array_like, shape (F, kh)
        Along H.
    horizontal : array_like, shape (F, kw)
        Along W.
    bias : array_like, shape (F,), or a tuple of four, optional
        Added at the end, or after each pass.
    stride, padding, dilation
        As in `conv`, padded with zeros.

    Returns
    -------
    ndarray, shape (N, F, Do, Ho, Wo) or (F, Do, Ho, Wo)

    Raises
    ------
    ValueError, TypeError
        As `flattened_conv2d`.

    See Also
    --------
    flattened_conv2d : The full description, and its source.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> x = np.arange(8.0).reshape(1, 2, 2, 2)
    >>> fastconv.flattened_conv3d(x, [[1.0]], [[-1.0, 1.0]], [[0.0, 1.0]], [[1.0, 1.0]])
    array([[[[8.]]]])
    """
    return _flattened(
        3, input, lateral,
        (("depth", depth), ("vertical", vertical), ("horizontal", horizontal)), bias,
        stride, padding, dilation,
    )  # fmt: skip


def _crossed(vertical: NDArray[Any], horizontal: NDArray[Any]) -> NDArray[Any]:
    """The taps of both, one after the other: (F, C, kv + kh)."""
    return np.concatenate([vertical[:, :, :, 0], horizontal[:, :, 0, :]], axis=2)


def parallel_flattened_conv2d(
    input: ArrayLike,
    weight_vertical: ArrayLike,
    weight_horizontal: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = "same",
    dilation: Ints = 1,
) -> NDArray[Any]:
    """Sum of a vertical and a horizontal convolution, in one pass over a cross of taps.

    ``conv2d(input, weight_vertical) + conv2d(input, weight_horizontal) + bias``, each padded so
    that the shapes agree.

    Parameters
    ----------
    input : array_like, shape (N, C, H, W) or (C, H, W)
    weight_vertical : array_like, shape (F, C, kv, 1)
    weight_horizontal : array_like, shape (F, C, 1, kh)
    bias : array_like, shape (F,), optional
        Added once.
    stride : int or sequence of int, default 1
        As in `conv`, the same for both.
    padding : int, sequence or {'same', 'valid'}, default 'same'
        'same' pads each of the two as `conv2d` does. Anything else is the padding with zeros of a
        (kv, kh) window, as in `conv`, where the vertical kernel is column ``(kh - 1) // 2`` and the
        horizontal kernel row ``(kv - 1) // 2``.
    dilation : int or sequence of int, default 1
        As in `conv`: along H for the vertical kernel, along W for the horizontal one.

    Returns
    -------
    ndarray, shape (N, F, Ho, Wo) or (F, Ho, Wo)
        Ho and Wo as `conv2d` has them for a (kv, kh) kernel; the dtype is found as in `conv`.

    Raises
    ------
    ValueError, TypeError
        As `conv`; ValueError also if the weights do not have the shapes above.

    See Also
    --------
    flattened_conv2d : The product instead of the sum: one pass after the other.

    Notes
    -----
    For kernels of odd sizes and stride 1 it is the same as `conv2d` with the cross-shaped kernel
    that has both as its arms. No peer has a function for it; the definition is the sum above.

    Examples
    --------
    The neighbours above and below, and ten times those left and right:

    >>> import numpy as np
    >>> import fastconv
    >>> x = np.array([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]])
    >>> vertical = np.array([1.0, 0.0, 1.0]).reshape(1, 1, 3, 1)
    >>> horizontal = np.array([10.0, 0.0, 10.0]).reshape(1, 1, 1, 3)
    >>> fastconv.parallel_flattened_conv2d(x, vertical, horizontal)
    array([[[ 24.,  45.,  26.],
            [ 58., 110.,  62.],
            [ 84., 165.,  86.]]])
    """
    vertical = as_operand("weight_vertical", weight_vertical)
    horizontal = as_operand("weight_horizontal", weight_horizontal)
    if vertical.ndim != 4 or vertical.shape[3] != 1:
        raise ValueError(f"weight_vertical must have shape (F, C, k, 1), got {vertical.shape}")
    expected = (*vertical.shape[:2], 1)
    if horizontal.ndim != 4 or horizontal.shape[:3] != expected:
        raise ValueError(
            f"weight_horizontal must have shape {(*expected, 'k')} for weight_vertical "
            f"{vertical.shape}, got {horizontal.shape}"
        )
    kernel = (vertical.shape[2], horizontal.shape[3])
    geometry.check_kernel("weight_vertical", kernel[:1])
    geometry.check_kernel("weight_horizontal", kernel[1:])
    weight: NDArray[Any] | PackedWeight
    if isinstance(weight_vertical, PackedWeight) and isinstance(weight_horizontal, PackedWeight):
        weight = weight_vertical.joined(weight_horizontal, _crossed)
    else:
        weight = _crossed(vertical, horizontal)
    return call(
        problems.crossed,
        ("input", "weight", "bias"),
        (input, weight, bias),
        (kernel, stride, padding, dilation),
    )
