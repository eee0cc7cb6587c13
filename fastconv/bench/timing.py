"""Timing that is fair: contenders take turns in one process, and so do the machine's limits.

What the neighbours of a machine do hurts all alike then. A turn is one call, or as many as fill a
millisecond. The lower quartile of the turns counts: the fastest one is luck, the median knows too
much of the neighbours.
"""

from __future__ import annotations

import gc
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from fastconv.engine.dispatch import kernels

#: Seconds that a turn takes at least, so that the clock's resolution is nothing to it.
TURN = 1e-3
#: Turns of each contender at least.
FEWEST_TURNS = 3
#: A contender that is so many times as slow as the fastest is not asked again if that takes long.
HOPELESS = 10


class Timing(NamedTuple):
    """The seconds of a call.

    Attributes
    ----------
    seconds : float
        Lower quartile of the turns.
    median : float
        Their median.
    turns : int
        How many there were; 1 if the contender was too slow to be asked again.
    """

    seconds: float
    median: float
    turns: int


def take_turns(
    contenders: dict[str, Callable[[], Any]],
    limits: dict[str, Callable[[], Any]],
    seconds: float,
    threads: int,
) -> dict[str, Timing]:
    """Time calls that have been made once already, for so many seconds in all."""
    calls = contenders | limits
    first = {name: _clocked(call, 1) for name, call in calls.items()}
    fastest = min((first[name] for name in contenders), default=0.0)
    patience = max(HOPELESS * fastest, seconds / FEWEST_TURNS)
    racing = {
        name: call for name, call in calls.items() if name in limits or first[name] <= patience
    }
    repeats = {name: math.ceil(TURN / first[name]) for name in racing}
    turns: dict[str, list[float]] = {name: [] for name in racing}
    order, shuffled = list(racing), np.random.default_rng(0)
    end = time.perf_counter() + seconds
    with _no_garbage_collection():
        for turn in itertools.count():
            if turn >= FEWEST_TURNS and time.perf_counter() >= end:
                break
            shuffled.shuffle(order)  # nobody always follows the same one
            for name in order:
                if threads > 1:
                    settle()
                if first[name] < 10 * TURN:
                    racing[name]()  # warms caches, wakes threads
                turns[name].append(_clocked(racing[name], repeats[name]))
    return {
        name: Timing(
            float(np.percentile(turns[name], 25)), statistics.median(turns[name]), len(turns[name])
        )
        if name in racing
        else Timing(first[name], first[name], 1)
        for name in calls
    }


def _clocked(call: Callable[[], Any], repeats: int) -> float:
    """Give the seconds of one of so many calls."""
    start = time.perf_counter()
    for _ in itertools.repeat(None, repeats):
        call()
    return (time.perf_counter() - start) / repeats


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def settle() -> None:
    """Wait until no thread of this process works any more, 50 ms at the most.

    Most libraries let their threads spin for a while after a call, in case there is another:
    time that would be the next contender's.
    """
    for _ in range(50):
        burnt, start = time.process_time(), time.perf_counter()
        time.sleep(TURN)
        if time.process_time() - burnt < 0.2 * (time.perf_counter() - start):
            return


# ---------------------------------------------------------------- the machine's limits


class Limits:
    """What the machine can do at best with so many threads: arithmetic, and copying memory."""

    #: Bytes that copying touches: enough that calling NumPy is nothing, and more than caches hold.
    LEAST, MOST = 1 << 19, 1 << 28
    #: Loops of twelve multiply-adds, and bytes to copy, for each thread if there are several:
    #: some milliseconds, so that starting threads is nothing.
    TURNS, COPIED = 1 << 21, 1 << 27

    def __init__(self, threads: int, dtype: str):
        self.threads = threads
        self.double = dtype == "float64"  # other numbers are computed in float32, mostly
        self.pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self.large, self.touched = self.copy(self.MOST)

    def together(self, work: Callable[[int], Any]) -> None:
        """Run work(0), work(1), ... in a thread each."""
        if self.pool is None:
            work(0)
        else:
            list(self.pool.map(work, range(self.threads)))

    def multiply(self) -> tuple[Callable[[], None], int]:
        """Make a call that works at the peak; the second result is how many operations it does."""
        turns = self.TURNS if self.threads > 1 else 1 << 16
        flops = self.threads * turns * kernels.peak_work(1, self.double)
        return lambda: self.together(lambda _: kernels.peak_work(turns, self.double)), flops

    def copy(self, touched: int) -> tuple[Callable[[], None], int]:
        """Make a call that copies memory; the second result is how many bytes it touches.

        Half of so many bytes are copied onto the other half: where all of them fit a cache, the
        cache's speed counts.
        """
        half = max(min(touched, self.MOST) // self.threads, self.LEAST) // 2
        arrays = [np.ones((2, half), np.uint8) for _ in range(self.threads)]
        repeats = math.ceil(self.COPIED / half) if self.threads > 1 else 1

        def work(thread: int) -> None:
            target, source = arrays[thread]
            for _ in itertools.repeat(None, repeats):
                np.copyto(target, source)

        return lambda: self.together(work), 2 * half * self.threads * repeats

    def memory(self) -> float:
        """Copy once what no cache holds; bytes in a second."""
        start = time.perf_counter()
        self.large()
        return self.touched / (time.perf_counter() - start)

    def close(self) -> None:
        """End the threads."""
        if self.pool is not None:
            self.pool.shutdown()


# ---------------------------------------------------------------- outputs


def error(output: Any, expected: Any) -> float:
    """The largest difference relative to the largest number expected; NaN for another shape.

    Of integers it is the largest difference itself.
    """
    if output.shape != expected.shape:
        return math.nan
    if expected.dtype.kind in "iu":
        return float(np.abs(np.subtract(output, expected, dtype=np.float64)).max(initial=0))
    difference = np.subtract(output, expected)
    largest = float(np.abs(expected).max(initial=0))
    off = float(np.abs(difference).max(initial=0))
    return off / largest if largest else off


def tolerance(terms: float, dtype: str) -> float:
    """What rounding may do to sums of so many terms, and to those that Winograd or FFTs make."""
    return float(np.finfo(dtype).eps) * (terms + 100)
