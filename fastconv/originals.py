"""SciPy's own functions, whatever its public names stand for at the moment."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

_originals: dict[tuple[str, str], Callable[..., Any]] = {}


def original(module: str, name: str) -> Callable[..., Any]:
    """SciPy's own function of that name, as it was when it was first asked for here.

    Whoever replaces a name of SciPy calls this before.
    """
    key = module, name
    if key not in _originals:
        # A thread that was late to look must not displace what is there by now.
        _originals.setdefault(key, getattr(import_module(module), name))
    return _originals[key]
