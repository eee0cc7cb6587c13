"""SciPy's names switched to fastconv's functions, for a block of code or a whole program.

Every function of ours has a stand-in: a function object of its own with the same code. Only
stand-ins take the places of SciPy's functions, so whatever module holds one when the last patch
ends has it by SciPy's name, whenever it was imported, and gets SciPy's function back. Those who
imported fastconv.signal or fastconv.ndimage keep what they have.

SciPy's private modules are left alone: what SciPy's other functions do inside, and what ours
hand over to SciPy, is SciPy's own code throughout.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from types import FunctionType, ModuleType, TracebackType
from typing import Any, Self

from fastconv.originals import original

__all__ = ["patch_scipy"]

#: SciPy's public modules, and ours.
_MODULES = {"scipy.signal": "fastconv.signal", "scipy.ndimage": "fastconv.ndimage"}

_Function = Callable[..., Any]

_lock = threading.RLock()
#: How many patches are in force.
_patches = 0
#: By SciPy's function, the stand-in of ours; made once, when first needed.
_stand_ins: dict[_Function, _Function] = {}
#: Where they have been put: modules may leave sys.modules and still be used.
_changed: list[ModuleType] = []


class _Patch:
    """In force from its construction on, until `undo` or the end of its outermost block."""

    def __init__(self) -> None:
        self._active = False
        self._blocks = 0
        _prepare()
        self._apply()

    def _apply(self) -> None:
        global _patches
        with _lock:
            if not self._active:
                self._active = True
                _patches += 1
                if _patches == 1:
                    _put_ours()

    def undo(self) -> None:
        """End this patch; SciPy's own functions are back if no other one is in force."""
        global _patches
        with _lock:
            if self._active:
                self._active = False
                _patches -= 1
                if _patches == 0:
                    _put_back()

    def __enter__(self) -> Self:
        with _lock:
            self._apply()
            self._blocks += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with _lock:
            self._blocks -= 1
            if self._blocks == 0:
                self.undo()

    def __repr__(self) -> str:
        return f"<fastconv.patch_scipy: {'in force' if self._active else 'undone'}>"


def patch_scipy() -> _Patch:
    """Let the names of `scipy.signal` and `scipy.ndimage` stand for fastconv's functions.

    Those in ``fastconv.signal.__all__`` and ``fastconv.ndimage.__all__`` are replaced, as
    attributes of SciPy's two modules and wherever else a module has one by any name: modules
    that did ``from scipy.ndimage import gaussian_filter`` before, like scikit-image's and
    yours, see the replacement at once; modules imported later find it in SciPy.

    The patch is in force from this call on. For a block of code, say ``with``; for a whole
    program, just call it. The object that is returned ends it by its method `undo`. When the
    last patch ends, every name has SciPy's own function again, also in modules imported
    meanwhile.

    Returns
    -------
    patch
        A context manager with a method `undo`. It may be entered again, also while in force.

    See Also
    --------
    fastconv.signal, fastconv.ndimage : The functions, to be imported where one call will do.

    Notes
    -----
    Modules belong to the process, and so does a patch: all threads and tasks see it. Patches
    may be nested and may begin and end in any order, in any threads: SciPy is patched from the
    beginning of the first to the end of the last. The results of a call never depend on when
    another thread patches; only whose function it is does.

    What is not an attribute of a module is not found: references in containers, classes,
    closures and default arguments keep the function that they have. SciPy's private modules
    are left alone, so that SciPy's other functions, such as `scipy.signal.decimate`, work as
    always.

    Pickles of a replacement hold SciPy's name: another process finds there what that stands
    for in it, so workers that are not forked need a patch of their own.

    Examples
    --------
    >>> import fastconv
    >>> import numpy as np
    >>> from scipy import ndimage
    >>> with fastconv.patch_scipy():
    ...     smooth = ndimage.gaussian_filter(np.eye(5, dtype=np.float32), 1)
    >>> smooth.shape, smooth.dtype
    ((5, 5), dtype('float32'))

    For the rest of the program, or until told otherwise:

    >>> patch = fastconv.patch_scipy()
    >>> patch.undo()
    """
    return _Patch()


def _prepare() -> None:
    """Remember SciPy's functions and make the stand-ins, before anything is replaced."""
    # Not under our lock: an import may wait for a thread that waits for the lock.
    for name in _MODULES:
        import_module(name)
    modules = {name: import_module(ours) for name, ours in _MODULES.items()}
    with _lock:
        if not _stand_ins:
            made = {
                original(module, name): _stand_in(getattr(ours, name), module)
                for module, ours in modules.items()
                for name in ours.__all__
            }
            _stand_ins.update(made)


def _stand_in(function: FunctionType, module: str) -> FunctionType:
    """A copy, which costs a call nothing; pickled by SciPy's name, the only one it has."""
    copy = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    functools.update_wrapper(copy, function)
    copy.__module__ = module
    return copy


def _put_ours() -> None:
    _replace(_stand_ins, _public())
    _changed.extend(
        _replace(
            _stand_ins,
            (
                module
                for name, module in sys.modules.copy().items()
                if name.partition(".")[0] not in ("scipy", "fastconv")
            ),
        )
    )


def _put_back() -> None:
    scipys = {stand_in: function for function, stand_in in _stand_ins.items()}
    _replace(scipys, _public())
    _replace(scipys, [*_changed, *sys.modules.copy().values()])
    _changed.clear()


def _public() -> list[ModuleType]:
    """Where others import from, to be changed first.

    A module that is being imported in another thread has the old function by then, and is found
    afterwards, or will have the new one.
    """
    return [sys.modules[name] for name in _MODULES]


def _replace(
    functions: Mapping[_Function, _Function], modules: Iterable[ModuleType]
) -> list[ModuleType]:
    """Exchange functions wherever modules have them; the modules that had any."""
    # Attributes of modules need be neither hashable nor comparable.
    by_id = {id(old): new for old, new in functions.items()}
    changed = []
    for module in modules:
        if not isinstance(module, ModuleType):
            continue
        # getattr would load modules that load themselves when they are used.
        attributes = object.__getattribute__(module, "__dict__")
        found = {
            name: by_id[id(value)]
            for name, value in attributes.copy().items()
            if id(value) in by_id
        }
        attributes.update(found)
        if found:
            changed.append(module)
    return changed
