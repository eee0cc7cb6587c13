"""How many threads a call may use."""

from __future__ import annotations

import contextlib
import contextvars
import operator
import os
from collections.abc import Iterator
from typing import SupportsIndex

from fastconv.engine import _system

_scoped: contextvars.ContextVar[int | None] = contextvars.ContextVar(
    "fastconv_num_threads", default=None
)
_openmp_at_import = _system.max_threads()
_forked = False
_team_started = False


def _checked(n: SupportsIndex, name: str) -> int:
    if isinstance(n, bool):
        raise TypeError(f"{name} must be an integer, got {n!r}")
    try:
        n = operator.index(n)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {n!r}") from None
    if n < 1:
        raise ValueError(f"{name} must be at least 1, got {n}")
    return min(n, 1024)


def _from_environment() -> int | None:
    text = os.environ.get("FASTCONV_NUM_THREADS", "")
    if not text:
        return None
    try:
        return _checked(int(text), "FASTCONV_NUM_THREADS")
    except ValueError:
        raise ValueError(
            f"FASTCONV_NUM_THREADS is {text!r}, expected a whole number of at least 1"
        ) from None


_global = _from_environment()


def set_num_threads(n: SupportsIndex) -> None:
    """Set how many threads a call may use, for the whole process.

    Parameters
    ----------
    n : int
        At least 1. More than the machine has cores is allowed. Results do not depend on it.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer, or less than 1.

    See Also
    --------
    num_threads : The same for a block of code.

    Examples
    --------
    >>> import fastconv
    >>> before = fastconv.get_num_threads()
    >>> fastconv.set_num_threads(2)
    >>> fastconv.get_num_threads()
    2
    >>> fastconv.set_num_threads(before)
    """
    global _global
    _global = _checked(n, "n")


def get_num_threads() -> int:
    """Tell how many threads a call may use here and now.

    The innermost `num_threads` block counts, then `set_num_threads`, then the environment
    variable ``FASTCONV_NUM_THREADS``, then OpenMP's own maximum, which follows
    ``OMP_NUM_THREADS`` and the CPU affinity of the process at import. Another limit that is
    put on OpenMP later, as by ``threadpoolctl.threadpool_limits``, caps them all. A forked
    child of a process that has used threads gets 1: OpenMP runtimes cannot be used there.

    Returns
    -------
    int

    Examples
    --------
    >>> import fastconv
    >>> fastconv.get_num_threads() >= 1
    True
    """
    if _forked or not _system.OPENMP_VERSION:
        return 1
    openmp = _system.max_threads()
    wanted = _scoped.get() or _global
    if wanted is None:
        return openmp
    return wanted if openmp == _openmp_at_import else min(wanted, openmp)


@contextlib.contextmanager
def num_threads(n: SupportsIndex) -> Iterator[None]:
    """Set how many threads a call may use, for a block of code in this thread or task.

    Parameters
    ----------
    n : int
        At least 1.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer, or less than 1.

    Examples
    --------
    >>> import fastconv
    >>> with fastconv.num_threads(1):
    ...     fastconv.get_num_threads()
    1
    """
    token = _scoped.set(_checked(n, "n"))
    try:
        yield
    finally:
        _scoped.reset(token)


def team_started() -> None:
    """Note that OpenMP threads exist from now on, which a forked child must not use."""
    global _team_started
    _team_started = True


def _after_fork() -> None:
    global _forked
    _forked = _forked or _team_started


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
