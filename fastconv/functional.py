"""Convolution and transposed convolution, in the words of torch.nn.functional."""

from __future__ import annotations

from typing import Any, Literal, SupportsIndex

from numpy.typing import ArrayLike, NDArray

from fastconv import problems
from fastconv._types import Ints, Method, Padding, PaddingMode
from fastconv.arrays import call

__all__ = [
    "conv", "conv1d", "conv2d", "conv3d",
    "conv_transpose", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
]  # fmt: skip


# ---- Convolution --------------------------------------------------------------------


#: What the operands are called, here and in messages.
_NAMES = ("input", "weight", "bias")


def conv(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: SupportsIndex = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    out: NDArray[Any] | None = None,
    method: Method = "auto",
) -> NDArray[Any]:
    """Convolution over one, two or three spatial axes, as many as `weight` has.

    Along each spatial axis, output `o` of channel `m`, which belongs to group `g`, is::

        out[n, m, o] = bias[m] + sum of weight[m, c, k] * input[n, g * Cin / groups + c, i]
        with i = o * stride + k * dilation - before

    over all `k` of the kernel and all `c` of ``weight.shape[1]``. As in neural networks, this
    is a correlation: the kernel is not flipped.

    Parameters
    ----------
    input : array_like, shape (N, Cin, ...) or (Cin, ...)
        N images, or one without an axis for it; then the spatial axes. Any strides: views
        are not copied.
    weight : array_like, shape (Cout, Cin / groups, ...)
        A kernel for each output channel and input channel of its group; then its spatial axes.
    bias : array_like, shape (Cout,), optional
        Added to each output channel.
    stride : int or sequence of int, default 1
        Input elements from one output to the next; here and below, one number is for all
        spatial axes, several are one for each.
    padding : int, sequence or {'valid', 'same'}, default 0
        Elements added around the input: the same number on both sides of all axes, a number
        for each axis, or a (before, after) pair for each axis as in ``((1, 0), (2, 2))``.
        'valid' adds none. 'same' adds what makes the output ``ceil(size / stride)``, with any
        stride; an odd one goes after.
    dilation : int or sequence of int, default 1
        Input elements from one element of the kernel to the next.
    groups : int, default 1
        Must divide Cin and Cout. Output channels of a group see the input channels of that
        group only.
    padding_mode : {'zeros', 'reflect', 'replicate', 'circular', 'symmetric'}
        What the padding holds, by name: zeros (default), or what `numpy.pad` calls 'reflect',
        'edge', 'wrap' and 'symmetric'. Any amount of it. No padded copy is made.
    out : ndarray, optional
        Where to put the result: of exactly its shape and dtype, with any strides, sharing no
        memory with the operands.
    method : {'auto', 'direct', 'winograd', 'fft'}
        How to compute: 'direct' adds up the products as above, 'winograd' saves some of them for
        3x3 kernels, 'fft' multiplies spectra, which is faster for large kernels. 'auto' (default)
        takes what is estimated to be fastest, by the shapes of one image and of the kernel alone,
        but 'direct' if all operands are integers. Their rounding errors differ, see Notes.

    Returns
    -------
    ndarray, shape (N, Cout, ...) or (Cout, ...)
        A new array, or `out`. Along each axis its size is
        ``(size + before + after - dilation * (kernel - 1) - 1) // stride + 1``. Its dtype is
        that of ``np.result_type`` of the operands, float32 or float64; float64 where that is
        an integer, as for `numpy.mean`. All is computed in this dtype.

    Raises
    ------
    ValueError
        If a shape does not fit the others, the kernel is empty or larger than the padded
        input, `groups` does not divide the channels, a number is too small or a name unknown,
        an empty axis is to be padded with anything but zeros, the result would be too large
        to address, `method` cannot compute this, or `out` has another shape, is read-only, or
        overlaps an operand or itself.
    TypeError
        If a number is not an integer (a bool is none), an operand is a masked array or of a
        dtype other than float32, float64 and the integers, or `out` is not an array of the
        result's dtype.

    See Also
    --------
    conv1d, conv2d, conv3d : The same with the number of axes checked.
    conv_transpose : The transpose of this linear map.
    explain : How a call would be computed.

    Notes
    -----
    The semantics are those of ``torch.nn.functional.conv2d``; 'same' with a stride is
    TensorFlow's. Dilated convolution is [1]_'s, [2]_ draws the arithmetic of the shapes.

    For a convolution in the sense of mathematics and `scipy.signal.convolve`, flip the
    kernel: ``weight[..., ::-1, ::-1]`` in two dimensions, a view that costs nothing.

    The method, and the order in which it sums up, depend on the shapes and the instruction set,
    never on the number of threads or the rest of the batch: same input, same bits.

    A sum of K products is off by at most ``eps * (K + 4) * sum(abs(w) * abs(x))`` with 'direct':
    each element on a scale of its own, and integers stay exact. With 'winograd' it is by ``eps *
    (K + 30) * 760 * sum(max(abs(w)) * max(abs(x)))`` for K planes of 3x3 taps and x the 6x6 inputs
    of a tile in each of them, mostly about as much as with 'direct'. With 'fft' it is by ``eps *
    (10 * log2(n) + C) * norm(w) * norm(x)`` for C channels and x the block of n elements that goes
    through a transform: an element much smaller than those around it loses digits [3]_. Where the
    result of an image is not finite, the image is computed directly, so that NaN, infinity and
    overflow reach as far as they do there.

    Padding takes part in the sum, so an infinite weight makes NaN of the zeros it meets.

    References
    ----------
    .. [1] F. Yu and V. Koltun, "Multi-Scale Context Aggregation by Dilated Convolutions",
       2015. https://arxiv.org/abs/1511.07122
    .. [2] V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning",
       2016. https://arxiv.org/abs/1603.07285
    .. [3] C. Percival, "Rapid multiplication modulo the sum and difference of highly composite
       numbers", Mathematics of Computation 72, 2003.
       https://doi.org/10.1090/S0025-5718-02-01419-9

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv

    The weight has one spatial axis, so the input has one; here it comes without N:

    >>> x = np.array([[1.0, 2.0, 4.0, 8.0]])
    >>> step = np.array([[[-1.0, 1.0]]])
    >>> fastconv.conv(x, step)
    array([[1., 2., 4.]])
    >>> fastconv.conv(x, step[..., ::-1])
    array([[-1., -2., -4.]])
    >>> fastconv.conv(x, step, padding=((1, 0),), padding_mode="replicate")
    array([[0., 1., 2., 4.]])
    >>> fastconv.conv(x, step, stride=2, padding="same")
    array([[1., 4.]])

    Two groups, each with a kernel of its own, on images of two channels:

    >>> x = np.arange(18.0).reshape(1, 2, 3, 3)
    >>> corners = np.array([[[[1.0, 0.0], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 1.0]]]])
    >>> fastconv.conv(x, corners, bias=[0.5, 0], dilation=2, groups=2)
    array([[[[ 0.5]],
    <BLANKLINE>
            [[17. ]]]])
    """
    return call(
        problems.convolution,
        _NAMES,
        (input, weight, bias),
        (None, stride, padding, dilation, groups, padding_mode),
        out,
        method,
    )


def conv1d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: SupportsIndex = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    out: NDArray[Any] | None = None,
    method: Method = "auto",
) -> NDArray[Any]:
    """1-D convolution: ``out[m, o] = bias[m] + sum of weight[m, c, k] * input[c, o + k]``.

    Parameters
    ----------
    input : array_like, shape (N, Cin, L) or (Cin, L)
    weight : array_like, shape (Cout, Cin / groups, K)
    bias : array_like, shape (Cout,), optional
    stride, padding, dilation, groups, padding_mode, out, method
        As in `conv`. A (before, after) padding is written ``((before, after),)``.

    Returns
    -------
    ndarray, shape (N, Cout, Lo) or (Cout, Lo)
        With ``Lo = (L + before + after - dilation * (K - 1) - 1) // stride + 1``.

    Raises
    ------
    ValueError, TypeError
        As `conv`; ValueError also if `weight` does not have 3 axes.

    See Also
    --------
    conv : The full description, and its sources.

    Examples
    --------
    A causal filter sees no sample of the future:

    >>> import numpy as np
    >>> import fastconv
    >>> signal = np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])
    >>> taps = np.array([[[100.0, 10.0, 1.0]]])
    >>> fastconv.conv1d(signal, taps, padding=((2, 0),))
    array([[  1.,  12., 123., 234., 345.]])
    """
    return call(
        problems.convolution,
        _NAMES,
        (input, weight, bias),
        (1, stride, padding, dilation, groups, padding_mode),
        out,
        method,
    )


def conv2d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: SupportsIndex = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    out: NDArray[Any] | None = None,
    method: Method = "auto",
) -> NDArray[Any]:
    """2-D convolution: ``out[m, y, x] = bias[m] + sum of weight[m, c, i, j] * input[c, y+i, x+j]``.

    Parameters
    ----------
    input : array_like, shape (N, Cin, H, W) or (Cin, H, W)
    weight : array_like, shape (Cout, Cin / groups, KH, KW)
    bias : array_like, shape (Cout,), optional
    stride, padding, dilation, groups, padding_mode, out, method
        As in `conv`: one number, or one for H and one for W.

    Returns
    -------
    ndarray, shape (N, Cout, Ho, Wo) or (Cout, Ho, Wo)
        With ``Ho = (H + before + after - dilation * (KH - 1) - 1) // stride + 1``, and Wo
        likewise.

    Raises
    ------
    ValueError, TypeError
        As `conv`; ValueError also if `weight` does not have 4 axes.

    See Also
    --------
    conv : The full description, and its sources.
    spatially_separable_conv2d, flattened_conv2d : Kernels that are outer products.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> image = np.array([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]])
    >>> laplace = np.array([[[[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]]])
    >>> fastconv.conv2d(image, laplace, padding=1, padding_mode="replicate")
    array([[[ 4.,  3.,  2.],
            [ 1.,  0., -1.],
            [-2., -3., -4.]]])
    """
    return call(
        problems.convolution,
        _NAMES,
        (input, weight, bias),
        (2, stride, padding, dilation, groups, padding_mode),
        out,
        method,
    )


def conv3d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: SupportsIndex = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    out: NDArray[Any] | None = None,
    method: Method = "auto",
) -> NDArray[Any]:
    """3-D convolution, of volumes or of images over time.

    Parameters
    ----------
    input : array_like, shape (N, Cin, D, H, W) or (Cin, D, H, W)
    weight : array_like, shape (Cout, Cin / groups, KD, KH, KW)
    bias : array_like, shape (Cout,), optional
    stride, padding, dilation, groups, padding_mode, out, method
        As in `conv`: one number, or one each for D, H and W.

    Returns
    -------
    ndarray, shape (N, Cout, Do, Ho, Wo) or (Cout, Do, Ho, Wo)
        With ``Do = (D + before + after - dilation * (KD - 1) - 1) // stride + 1``, and Ho and
        Wo likewise.

    Raises
    ------
    ValueError, TypeError
        As `conv`; ValueError also if `weight` does not have 5 axes.

    See Also
    --------
    conv : The full description, and its sources.

    Examples
    --------
    The mean of each block of eight voxels:

    >>> import numpy as np
    >>> import fastconv
    >>> volume = np.arange(64.0).reshape(1, 4, 4, 4)
    >>> fastconv.conv3d(volume, np.full((1, 1, 2, 2, 2), 1 / 8), stride=2)
    array([[[[10.5, 12.5],
             [18.5, 20.5]],
    <BLANKLINE>
            [[42.5, 44.5],
             [50.5, 52.5]]]])
    """
    return call(
        problems.convolution,
        _NAMES,
        (input, weight, bias),
        (3, stride, padding, dilation, groups, padding_mode),
        out,
        method,
    )


# ---- Transposed convolution ---------------------------------------------------------


def _conv_transpose(
    rank: int | None,
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None,
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    groups: SupportsIndex,
    dilation: Ints,
    out: NDArray[Any] | None,
    method: Literal["auto", "direct"],
) -> NDArray[Any]:
    if method not in ("auto", "direct"):
        raise ValueError(
            f"method of a transposed convolution must be 'auto' or 'direct', got {method!r}"
        )
    return call(
        problems.transposed,
        _NAMES,
        (input, weight, bias),
        (rank, stride, padding, output_padding, groups, dilation),
        out,
    )


def conv_transpose(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: SupportsIndex = 1,
    dilation: Ints = 1,
    *,
    out: NDArray[Any] | None = None,
    method: Literal["auto", "direct"] = "auto",
) -> NDArray[Any]:
    """Transposed convolution over one, two or three spatial axes, as many as `weight` has.

    Each input element is multiplied with the kernel and added to the output where `conv` with
    the same parameters would have read it. Along each axis::

        out[n, m, o] = bias[m] + sum of input[n, c, i] * weight[c, m, k]
        over all c, i and k with i * stride + k * dilation - padding == o

    It is the transpose of `conv` as a linear map, and its gradient with respect to the input;
    networks upsample with it. It does not invert a convolution.

    Parameters
    ----------
    input : array_like, shape (N, Cin, ...) or (Cin, ...)
        N images, or one without an axis for it; then the spatial axes. Any strides: views
        are not copied.
    weight : array_like, shape (Cin, Cout / groups, ...)
        Mind the order: input channels first. It is the weight of the `conv` that is
        transposed.
    bias : array_like, shape (Cout,), optional
        Added to each output channel.
    stride : int or sequence of int, default 1
        Output elements from one input to the next: the factor of upsampling. Here and below,
        one number is for all spatial axes, several are one for each.
    padding : int or sequence of int, default 0
        Elements taken off both sides of the output.
    output_padding : int or sequence of int, default 0
        Elements added to the output after its end, less than `stride` or `dilation`: which of
        the sizes that `conv` would have reduced to this input is wanted.
    groups : int, default 1
        Must divide Cin. Input channels of a group reach the output channels of that group
        only. It stands before `dilation`, as in PyTorch.
    dilation : int or sequence of int, default 1
        Output elements from one element of the kernel to the next.
    out : ndarray, optional
        Where to put the result: of exactly its shape and dtype, with any strides, sharing no
        memory with the operands.
    method : {'auto', 'direct'}
        How to compute; 'auto' (default) is 'direct' so far.

    Returns
    -------
    ndarray, shape (N, Cout, ...) or (Cout, ...)
        A new array, or `out`. Along each axis its size is ``(size - 1) * stride - 2 * padding
        + dilation * (kernel - 1) + output_padding + 1``. Its dtype is found as in `conv`.

    Raises
    ------
    ValueError
        If a shape does not fit the others, the kernel is empty, `groups` does not divide the
        channels, a number is too small or `output_padding` too large, the result would be
        empty along a spatial axis or too large to address, or `out` does not fit, as in
        `conv`.
    TypeError
        As `conv`, and for a padding of 'same' or of (before, after) pairs.

    See Also
    --------
    conv : The convolution that this is the transpose of.
    conv_transpose1d, conv_transpose2d, conv_transpose3d : The same, number of axes checked.

    Notes
    -----
    The semantics are those of ``torch.nn.functional.conv_transpose2d``; [1]_ draws them.

    It is computed as ``stride`` ordinary convolutions along each axis, one for each phase of
    the output with the part of the kernel that reaches it: no zeros are inserted between the
    input elements, and none are multiplied.

    Where the stride does not divide the kernel size, output elements get unequal numbers of
    products, which shows as a checkerboard pattern [2]_.

    References
    ----------
    .. [1] V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning",
       2016. https://arxiv.org/abs/1603.07285
    .. [2] A. Odena, V. Dumoulin and C. Olah, "Deconvolution and Checkerboard Artifacts",
       Distill, 2016. https://distill.pub/2016/deconv-checkerboard

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> x = np.array([[1.0, 2.0, 3.0]])
    >>> w = np.array([[[1.0, 10.0, 100.0]]])
    >>> fastconv.conv_transpose(x, w, stride=3)
    array([[  1.,  10., 100.,   2.,  20., 200.,   3.,  30., 300.]])
    >>> fastconv.conv_transpose(x, w, stride=2)
    array([[  1.,  10., 102.,  20., 203.,  30., 300.]])

    The scalar product of y with `conv` of x is that of `conv_transpose` of y with x:

    >>> y = np.array([[4.0]])
    >>> np.vdot(y, fastconv.conv(x, w)), np.vdot(fastconv.conv_transpose(y, w), x)
    (np.float64(1284.0), np.float64(1284.0))
    """
    return _conv_transpose(
        None, input, weight, bias, stride, padding, output_padding, groups, dilation, out, method
    )


def conv_transpose1d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: SupportsIndex = 1,
    dilation: Ints = 1,
    *,
    out: NDArray[Any] | None = None,
    method: Literal["auto", "direct"] = "auto",
) -> NDArray[Any]:
    """1-D transposed convolution: ``out[m, i * stride + k] += input[c, i] * weight[c, m, k]``.

    Parameters
    ----------
    input : array_like, shape (N, Cin, L) or (Cin, L)
    weight : array_like, shape (Cin, Cout / groups, K)
    bias : array_like, shape (Cout,), optional
    stride, padding, output_padding, groups, dilation, out, method
        As in `conv_transpose`.

    Returns
    -------
    ndarray, shape (N, Cout, Lo) or (Cout, Lo)
        With ``Lo = (L - 1) * stride - 2 * padding + dilation * (K - 1) + output_padding + 1``.

    Raises
    ------
    ValueError, TypeError
        As `conv_transpose`; ValueError also if `weight` does not have 3 axes.

    See Also
    --------
    conv_transpose : The full description, and its sources.

    Examples
    --------
    Twice as many samples, by linear interpolation:

    >>> import numpy as np
    >>> import fastconv
    >>> x = np.array([[0.0, 2.0, 8.0, 4.0]])
    >>> hat = np.array([[[0.5, 1.0, 0.5]]])
    >>> fastconv.conv_transpose1d(x, hat, stride=2, padding=1)
    array([[0., 1., 2., 5., 8., 6., 4.]])
    """
    return _conv_transpose(
        1, input, weight, bias, stride, padding, output_padding, groups, dilation, out, method
    )


def conv_transpose2d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: SupportsIndex = 1,
    dilation: Ints = 1,
    *,
    out: NDArray[Any] | None = None,
    method: Literal["auto", "direct"] = "auto",
) -> NDArray[Any]:
    """2-D transposed convolution: images made larger.

    Parameters
    ----------
    input : array_like, shape (N, Cin, H, W) or (Cin, H, W)
    weight : array_like, shape (Cin, Cout / groups, KH, KW)
    bias : array_like, shape (Cout,), optional
    stride, padding, output_padding, groups, dilation, out, method
        As in `conv_transpose`: one number, or one for H and one for W.

    Returns
    -------
    ndarray, shape (N, Cout, Ho, Wo) or (Cout, Ho, Wo)
        With ``Ho = (H - 1) * stride - 2 * padding + dilation * (KH - 1) + output_padding + 1``,
        and Wo likewise.

    Raises
    ------
    ValueError, TypeError
        As `conv_transpose`; ValueError also if `weight` does not have 4 axes.

    See Also
    --------
    conv_transpose : The full description, and its sources.

    Examples
    --------
    A kernel as large as the stride: each pixel becomes a tile.

    >>> import numpy as np
    >>> import fastconv
    >>> pixels = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    >>> tile = np.array([[[[1.0, 0.0], [0.0, 10.0]]]])
    >>> fastconv.conv_transpose2d(pixels, tile, stride=2)
    array([[[ 1.,  0.,  2.,  0.],
            [ 0., 10.,  0., 20.],
            [ 3.,  0.,  4.,  0.],
            [ 0., 30.,  0., 40.]]])

    Of the two sizes that a convolution of stride 2 reduces to 32, the even one:

    >>> x, w = np.ones((1, 3, 32, 32)), np.ones((3, 6, 3, 3))
    >>> fastconv.conv_transpose2d(x, w, stride=2, padding=1, output_padding=1).shape
    (1, 6, 64, 64)
    """
    return _conv_transpose(
        2, input, weight, bias, stride, padding, output_padding, groups, dilation, out, method
    )


def conv_transpose3d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: SupportsIndex = 1,
    dilation: Ints = 1,
    *,
    out: NDArray[Any] | None = None,
    method: Literal["auto", "direct"] = "auto",
) -> NDArray[Any]:
    """3-D transposed convolution: volumes made larger.

    Parameters
    ----------
    input : array_like, shape (N, Cin, D, H, W) or (Cin, D, H, W)
    weight : array_like, shape (Cin, Cout / groups, KD, KH, KW)
    bias : array_like, shape (Cout,), optional
    stride, padding, output_padding, groups, dilation, out, method
        As in `conv_transpose`: one number, or one each for D, H and W.

    Returns
    -------
    ndarray, shape (N, Cout, Do, Ho, Wo) or (Cout, Do, Ho, Wo)
        With ``Do = (D - 1) * stride - 2 * padding + dilation * (KD - 1) + output_padding + 1``,
        and Ho and Wo likewise.

    Raises
    ------
    ValueError, TypeError
        As `conv_transpose`; ValueError also if `weight` does not have 5 axes.

    See Also
    --------
    conv_transpose : The full description, and its sources.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> voxels = np.array([[[[1.0, 2.0]]]])
    >>> fastconv.conv_transpose3d(voxels, np.ones((1, 1, 1, 2, 2)), stride=(1, 1, 2))
    array([[[[1., 1., 2., 2.],
             [1., 1., 2., 2.]]]])
    """
    return _conv_transpose(
        3, input, weight, bias, stride, padding, output_padding, groups, dilation, out, method
    )
