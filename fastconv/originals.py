"""What is not for us: SciPy's own functions, whatever stands in their place at the moment."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_kept: dict[tuple[str, str], Callable[..., Any]] = {}


def original(module: str, name: str) -> Callable[..., Any]:
    """The function called `name` of a module of SciPy, as it was when first asked for.

    patching.py asks for each one before it replaces any.
    """
    try:
        return _kept[module, name]
    except KeyError:
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        # A thread that was late to look must not displace what is kept by now.
        return _kept.setdefault((module, name), function)


def scipy_signal(name: str, *arguments: Any) -> NDArray[Any]:
    """What scipy.signal makes of a call: its result, or its exception."""
    result: NDArray[Any] = original("scipy.signal", name)(*arguments)
    return result


#: What is taken as an array here. Of anything else SciPy decides what it is.
_TAKEN = (list, tuple, int, float, complex, np.generic, np.memmap)


def array_of(value: Any) -> Any:
    """`value` as an ndarray; None if it is something else than numbers and arrays of NumPy's."""
    if type(value) is np.ndarray:
        return value
    return np.asarray(value) if isinstance(value, _TAKEN) else None
