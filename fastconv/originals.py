"""SciPy's own functions, whatever stands in their place at the moment."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

_kept: dict[tuple[str, str], Callable[..., Any]] = {}


def original(module: str, name: str) -> Callable[..., Any]:
    """The function called `name` of a module of SciPy, as it was when first asked for.

    patching.py asks for each one before it replaces any.
    """
    try:
        return _kept[module, name]
    except KeyError:
        function = getattr(importlib.import_module(module), name)
        # A thread that was late to look must not displace what is kept by now.
        return _kept.setdefault((module, name), function)
