"""What runs here: the configuration, and what a call would do."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from fastconv import arrays, engine
from fastconv._version import __version__
from fastconv.engine import _system, dispatch
from fastconv.engine.threads import get_num_threads

__all__ = ["Explanation", "explain", "show_config"]


def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None:
    """Show version, instruction sets, OpenMP, threads and compiler of this installation.

    Parameters
    ----------
    mode : {'stdout', 'dicts'}
        'stdout' (default) prints, 'dicts' returns.

    Returns
    -------
    dict or None
        For 'dicts', by these names:

        - version: of fastconv.
        - simd: the instruction set 'chosen', and those 'available', best last. x86-64-v2, v3
          and v4 are in short SSE4.2, AVX2 and AVX-512. The environment variable
          ``FASTCONV_SIMD`` forces one when fastconv is imported.
        - openmp: whether it is 'enabled', the 'runtime', the 'version' of the standard (yyyymm),
          and 'max_threads', how many threads it would use by itself.
        - threads: what `get_num_threads` returns.
        - compiler: its version.
        - debug: whether this is a checked build.
        - numpy, machine: NumPy's version, system and processor.

    Raises
    ------
    ValueError
        If `mode` is neither.

    See Also
    --------
    explain : What one call would do.
    numpy.show_config : The model of this function.

    Examples
    --------
    >>> import fastconv
    >>> config = fastconv.show_config("dicts")
    >>> config["version"] == fastconv.__version__
    True
    >>> config["simd"]["chosen"] in config["simd"]["available"]
    True
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode must be 'stdout' or 'dicts', got {mode!r}")
    config = {
        "version": __version__,
        "simd": {"chosen": dispatch.chosen, "available": list(dispatch.available)},
        "openmp": {
            "enabled": bool(_system.OPENMP_VERSION),
            "runtime": _system.OPENMP_RUNTIME,
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
    """What a call would do; made by `explain`. As text it is a small table.

    Attributes
    ----------
    method : str
        How the sums are computed: ``'direct'``, by register tiles of output channels and
        positions; with ``'bands'`` of rows where there is one output channel, or ``'swapped'``
        where an image is so small that vectors run over output channels; and the number of
        passes, one after the other, or of phases, side by side; ``'in place'`` where the input
        is read where it is, ``'interleaved'`` where vectors run over small planes of single
        channels, ``'taps apart'`` where each is multiplied where it meets more than the zeros
        around, ``'then'`` between two of them that take turns. The bits are the same, but where
        a kernel is as large as the image, and with many taps in a row or apart. Or
        ``'winograd'``, or ``'fft of'`` so many elements along each axis.
    simd : str
        The instruction set, as in `show_config`.
    threads : int
        How many threads take part: `get_num_threads`, or less where less is to be done.
    tile : tuple of int
        Outputs that a thread computes at a time along the three spatial axes, those that are
        not there being 1; empty if there is nothing to compute.
    tasks : int
        How many tiles, or rows of them, in all images, groups and blocks of channels, the
        threads share.
    flops : int
        Floating-point operations of the definition: 2 for each multiply-add.
    workspace : int
        Bytes of scratch memory, for packed weights and the tiles of all threads.
    output_shape : tuple of int
        Shape of the result.
    dtype : numpy.dtype
        Dtype of the result, and of the computation.
    reason : str
        Why this method: because it was asked for or, with 'auto', by which estimates.
    accepting : tuple of str
        The methods that could be asked for.
    """

    method: str
    simd: str
    threads: int
    tile: tuple[int, ...]
    tasks: int
    flops: int
    workspace: int
    output_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    reason: str
    accepting: tuple[str, ...]

    def __str__(self) -> str:
        tile = " x ".join(map(str, self.tile))
        return "\n".join(
            [
                f"method     {self.method}",
                f"because    {self.reason}",
                f"possible   {', '.join(self.accepting)}",
                f"output     {self.output_shape} {self.dtype}",
                f"SIMD       {self.simd}",
                f"threads    {self.threads}, {self.tasks} tasks",
                f"tile       {tile} outputs",
                f"work       {self.flops / 1e6:.3g} MFLOP",
                f"workspace  {self.workspace / 2**20:.3g} MiB",
            ]
        )


def _choice(call: arrays.Call) -> tuple[str, set[str]]:
    """Why a call is computed as it is, and the methods that it could be asked for."""
    if call.method is arrays.ONLY:
        return call.method.why, {"direct"}
    estimates = engine.estimates(call.planned.problem, call.planned.packed)
    reason = "asked for"
    if isinstance(call.method, arrays.Unasked):
        reason = call.method.why
    elif call.method == "auto":
        ranking = sorted(estimates, key=lambda name: estimates[name])
        numbers = (f"{name} {estimates[name] / 1e6:.3g}" for name in ranking)
        reason = f"{', '.join(numbers)} million cycles an image, by estimate"
    return reason, set(estimates)


def explain(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Explanation:
    """Tell what ``function(*args, **kwargs)`` would do, without computing it.

    Parameters
    ----------
    function : callable
        A convolution of fastconv, or a function that calls some: then flops and tasks are
        their sums, output and tile the last one's, threads and workspace the largest, and
        accepting are methods that all of them accept.
    *args, **kwargs
        What it would be called with, shapes and dtypes being what counts. Values are not
        looked at.

    Returns
    -------
    Explanation
        A named tuple; as text, a small table.

    Raises
    ------
    ValueError
        If `function` computes no convolution.
    Exception
        What the call itself would raise.

    See Also
    --------
    show_config : What does not depend on the call.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> image, kernel = np.zeros((1, 3, 224, 224)), np.zeros((64, 3, 7, 7))
    >>> plan = fastconv.explain(fastconv.conv2d, image, kernel, stride=2, padding=3)
    >>> plan.output_shape, plan.flops
    ((1, 64, 112, 112), 236027904)
    >>> print(plan)  # doctest: +SKIP
    method     direct
    because    direct 14.2, fft 45.8 million cycles an image, by estimate
    possible   direct, fft
    output     (1, 64, 112, 112) float64
    SIMD       v4
    threads    2, 2 tasks
    tile       1 x 56 x 112 outputs
    work       236 MFLOP
    workspace  1.37 MiB
    """
    calls: list[arrays.Call] = []
    token = arrays.recorded.set(calls)
    try:
        function(*args, **kwargs)
    finally:
        arrays.recorded.reset(token)
    if not calls:
        raise ValueError(f"{getattr(function, '__name__', function)} runs no convolution")
    plans = [c.planned.plan for c in calls if c.planned]
    choices = [_choice(c) for c in calls if c.planned]
    possible = set.intersection(*(names for _, names in choices)) if choices else set()
    last = calls[-1]
    return Explanation(
        " + ".join(plan.method for plan in plans) or "nothing to compute",
        dispatch.chosen,
        max((plan.threads for plan in plans), default=1),
        plans[-1].tile if plans else (),
        sum(plan.tasks for plan in plans),
        sum(plan.flops for plan in plans),
        max((plan.workspace for plan in plans), default=0),
        last.shape,
        last.dtype,
        " + ".join(dict.fromkeys(reason for reason, _ in choices)),
        tuple(name for name in engine.METHODS if name in possible),
    )
