"""The words of the public signatures."""

from collections.abc import Sequence
from typing import Literal, SupportsIndex, TypeAlias

#: One integer for all spatial axes, or one for each of them.
Ints: TypeAlias = SupportsIndex | Sequence[SupportsIndex]

#: What `Ints` says, or a (before, after) pair for each axis, or a name.
Padding: TypeAlias = (
    SupportsIndex | Sequence[SupportsIndex | Sequence[SupportsIndex]] | Literal["valid", "same"]
)

PaddingMode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular", "symmetric"]

#: How to compute; 'auto' chooses by the shapes.
Method: TypeAlias = Literal["auto", "direct", "winograd", "fft"]
