"""Weights that are prepared once for many calls."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastconv.arrays import as_operand
from fastconv.engine.packed import PackedWeight

__all__ = ["PackedWeight", "pack"]


def pack(weight: ArrayLike, dtype: DTypeLike | None = None) -> PackedWeight:
    """Prepare a kernel once for many convolutions.

    Every convolution puts its weights into the order in which its kernels read them. For small
    images with many channels that takes as long as the convolution itself. A packed weight is
    accepted wherever a weight is, and keeps what the first call of each kind prepared.

    Parameters
    ----------
    weight : array_like
        Any weight of any function. It is copied.
    dtype : {float32, float64}, optional
        What calls compute in. By default that of the weight, float64 for integers.

    Returns
    -------
    PackedWeight

    Raises
    ------
    TypeError
        If the dtype is not a float32 or float64. A call that would compute in another dtype than
        its packed weight has raises TypeError, too.

    Notes
    -----
    Results are those of the weight itself. Under ``method='auto'`` Winograd's method may be
    chosen for a packed weight where preparing its kernels for a single call would not pay; pass
    a `method` to have the same bits with both. A function of several weights makes use of
    packed ones if all of them are packed.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> weight = fastconv.pack(np.ones((8, 4, 3, 3), np.float32))
    >>> weight
    <fastconv.PackedWeight of shape (8, 4, 3, 3), float32>
    >>> images = np.ones((2, 4, 5, 5), np.float32)
    >>> fastconv.conv2d(images, weight, padding=1)[0, 0, 0]
    array([16., 24., 24., 24., 16.], dtype=float32)
    """
    array = as_operand("weight", weight)
    wanted = np.dtype(array.dtype if dtype is None else dtype).newbyteorder("=")
    if dtype is None and wanted.kind in "iu":
        wanted = np.dtype(np.float64)
    if wanted not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"dtype is {wanted}, expected float32 or float64")
    array = np.array(array, wanted, order="C")
    array.flags.writeable = False
    return PackedWeight(array)
