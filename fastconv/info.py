"""What runs here: the configuration, and what a call would do."""

import platform
from typing import NamedTuple

import numpy as np

from fastconv import arrays
from fastconv._version import __version__
from fastconv.engine import _system, dispatch
from fastconv.engine.threads import get_num_threads

__all__ = ["Explanation", "explain", "show_config"]


def show_config(mode="stdout"):
    """Version, instruction sets, OpenMP, threads and compiler of this installation."""
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode must be 'stdout' or 'dicts', got {mode!r}")
    config = {
        "version": __version__,
        "simd": {"chosen": dispatch.chosen, "available": list(dispatch.available)},
        "openmp": {
            "enabled": bool(_system.OPENMP_VERSION),
            "version": _system.OPENMP_VERSION,
            "max_threads": _system.max_threads(),
        },
        "threads": get_num_threads(),
        "compiler": _system.COMPILER_VERSION,
        "debug": _system.DEBUG,
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }
    if mode == "dicts":
        return config
    for name, value in config.items():
        if isinstance(value, dict):
            value = ", ".join(
                f"{key} {' '.join(v) if isinstance(v, list) else v}" for key, v in value.items()
            )
        print(f"{name:<9} {value}")
    return None


class Explanation(NamedTuple):
    """What a call would do; made by `explain`."""

    method: str
    simd: str
    threads: int
    tile: tuple[int, ...]
    tasks: int
    flops: int
    workspace: int
    output_shape: tuple[int, ...]
    dtype: np.dtype

    def __str__(self):
        tile = " x ".join(map(str, self.tile))
        return "\n".join(
            [
                f"method     {self.method}",
                f"output     {self.output_shape} {self.dtype}",
                f"SIMD       {self.simd}",
                f"threads    {self.threads}, {self.tasks} tasks",
                f"tile       {tile} outputs",
                f"work       {self.flops / 1e6:.3g} MFLOP",
                f"workspace  {self.workspace / 2**20:.3g} MiB",
            ]
        )


def explain(function, /, *args, **kwargs):
    """What ``function(*args, **kwargs)`` would do, without computing it."""
    token = arrays.recorded.set(calls := [])
    try:
        function(*args, **kwargs)
    finally:
        arrays.recorded.reset(token)
    if not calls:
        raise ValueError(f"{getattr(function, '__name__', function)} runs no convolution")
    plans = [c.plan for c in calls if c.plan is not None]
    last = calls[-1]
    names = [
        "direct" if len(plan.register_tiles) == 1
        else f"direct, {len(plan.register_tiles)} passes" for plan in plans
    ]  # fmt: skip
    return Explanation(
        " + ".join(names) or "nothing to compute",
        dispatch.chosen,
        max((plan.threads for plan in plans), default=1),
        plans[-1].tile if plans else (),
        sum(plan.tasks for plan in plans),
        sum(plan.flops for plan in plans),
        max((plan.workspace for plan in plans), default=0),
        last.shape,
        last.dtype,
    )
