"""Choose the kernels of the best instruction set this CPU has."""

import importlib
import importlib.util
import os

from fastconv.engine import _system

#: Instruction sets that were built and that this CPU runs, best last.
available = tuple(
    level
    for level in _system.simd_levels()
    if importlib.util.find_spec(f"fastconv.engine._kernels_{level}")
)


def _choose():
    if not available:
        raise ImportError("fastconv needs an x86-64-v2 (SSE4.2, 2009) or an aarch64 CPU")
    forced = os.environ.get("FASTCONV_SIMD", "")
    known = ("v2", "v3", "v4", "neon")
    if forced and forced not in known:
        raise ValueError(f"FASTCONV_SIMD is {forced!r}, expected one of {', '.join(known)}")
    if forced and forced not in available:
        raise RuntimeError(
            f"FASTCONV_SIMD={forced} is not supported here; available: {', '.join(available)}"
        )
    return forced or available[-1]


#: The instruction set in use.
chosen = _choose()
kernels = importlib.import_module(f"fastconv.engine._kernels_{chosen}")
