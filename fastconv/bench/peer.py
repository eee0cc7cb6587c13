"""What a peer is: another library that computes a workload, called as it is meant to be.

A peer is given everything beforehand: arrays as it likes them, weights in an order of its own if
it has one, compiled graphs, threads. What is timed is the call alone. Where a peer has several
ways to the same result, the fastest one stands for it.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastconv.bench.passes import Recipe
from fastconv.bench.workloads import Workload


class Problem(NamedTuple):
    """A workload with its arrays."""

    workload: Workload
    input: NDArray[Any]
    weights: list[NDArray[Any]]  #: as fastconv takes them
    recipe: Recipe  #: as frameworks do
    output_shape: tuple[int, ...]
    threads: int


class Call(NamedTuple):
    """What is timed, and how its result is made an array afterwards."""

    run: Callable[[], Any]
    array: Callable[[Any], Any] = np.asarray


class Peer:
    """A library; a subclass is one of them.

    Attributes
    ----------
    key, label : str
        What it is called on the command line, and in reports.
    packs : bool
        Whether it has weights in its own order before the call, as `fastconv.pack` does.
    double : bool
        Whether it computes in float64.
    units : int
        How far off integers may be.
    needs : tuple of str
        The modules to import, the one whose version counts first.
    """

    key: str
    label: str
    packs = False
    double = False
    units = 1
    needs: tuple[str, ...]

    def __init__(self) -> None:
        self.modules = [importlib.import_module(name) for name in self.needs]

    @property
    def version(self) -> str:
        """The version that is installed."""
        return str(self.modules[0].__version__)

    def prepare(self, problem: Problem) -> Call | None:
        """Make the call that computes the problem, or None."""
        raise NotImplementedError


def fastest(*calls: Call) -> Call:
    """Try each, and keep the one with the shortest call."""

    def seconds(call: Call) -> float:
        times: list[float] = []
        while len(times) < 2 or (len(times) < 20 and sum(times) < 0.05):
            start = time.perf_counter()
            call.run()
            times.append(time.perf_counter() - start)
        return min(times[1:])

    return min(calls, key=seconds) if len(calls) > 1 else calls[0]
