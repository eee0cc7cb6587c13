"""What the engine prepares of weights, kept from call to call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class PackedWeight:
    """A kernel that convolutions prepare once; made by `fastconv.pack`.

    It cannot be changed. What was prepared is kept for each order that calls need: a few
    times the size of the weight in all. Pickling and copying keep the weight alone.

    Attributes
    ----------
    array : ndarray
        The weight, read-only.
    shape : tuple of int
    ndim : int
    dtype : numpy.dtype
        Of the calls that take it: float32 or float64.
    nbytes : int
        Bytes of the weight and of all that was prepared of it up to now.
    """

    __slots__ = ("__weakref__", "_array", "_kept", "prepared")

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        self._kept: list[object] = []
        #: For the engine: packed memory by the key of the plans that read it.
        self.prepared: dict[object, Any] = {}

    @property
    def array(self) -> NDArray[Any]:
        return self._array

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def ndim(self) -> int:
        return self._array.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._array.dtype

    @property
    def nbytes(self) -> int:
        # A list first: another thread may be adding to what is prepared.
        return int(self._array.nbytes + sum(made.nbytes for made in list(self.prepared.values())))

    def prepare(self, key: object, prepared: Any, keep: object) -> Any:
        """Keep what was prepared; of two threads that did, the first one's counts."""
        self._kept.append(keep)
        return self.prepared.setdefault(key, prepared)

    def joined(
        self,
        other: PackedWeight,
        join: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]],
    ) -> PackedWeight:
        """One weight of this and another one, by a function of both arrays."""
        if self.dtype != other.dtype:
            raise TypeError("the weights are packed for different dtypes")
        key = (join, id(other))
        if key not in self.prepared:
            self.prepare(key, PackedWeight(join(self._array, other._array)), other)
        both: PackedWeight = self.prepared[key]
        return both

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self._array, dtype, copy=copy)

    def __reduce__(self) -> tuple[Callable[..., PackedWeight], tuple[NDArray[Any]]]:
        return _unpickled, (self._array,)

    def __copy__(self) -> PackedWeight:
        return self

    def __deepcopy__(self, memo: object) -> PackedWeight:
        return self

    def __repr__(self) -> str:
        return f"<fastconv.PackedWeight of shape {self.shape}, {self.dtype}>"


def _unpickled(array: NDArray[Any]) -> PackedWeight:
    # Of NumPy's own dtype object, by which plain calls are told.
    array = array.view(np.dtype(array.dtype.str))
    array.flags.writeable = False
    return PackedWeight(array)
