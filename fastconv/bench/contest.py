"""One workload: who takes part, who is right, and who is how fast."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastconv
from fastconv.bench.namesakes import Namesake
from fastconv.bench.passes import recipe
from fastconv.bench.peer import Call, Peer, Problem
from fastconv.bench.results import PACKED, PLAIN, Contender, Row
from fastconv.bench.rivals import rivals
from fastconv.bench.timing import HOPELESS, Limits, Timing, error, take_turns, tolerance
from fastconv.bench.workloads import Workload

#: Seconds of a first call after which a hopeless contender is not called again.
LONG = 2.0


def contest(
    workload: Workload | Namesake, peers: list[Peer], limits: Limits, dtype: str, seconds: float
) -> Row:
    """Measure a workload: the outputs of all first, then the times of those that are right."""
    if isinstance(workload, Namesake):
        return _of_namesake(workload, peers, limits, seconds)
    return _of_layer(workload, peers, limits, dtype, seconds)


class _Field:
    """Those who take part: fastconv first, whose output is what is expected of all."""

    def __init__(self, plain: Callable[[], Any]):
        self.calls = {PLAIN: plain}
        self.contenders = [Contender(PLAIN, ours=True, packed=False, error=0.0)]
        self.failed: dict[str, str] = {}
        self.skipped: list[str] = []
        self.once: dict[str, Timing] = {}
        self.expected, self.first = _timed(plain)

    def enter(
        self, label: str, call: Call, allowed: float, ours: bool = False, packed: bool = False
    ) -> None:
        """Let one take part, if its output is not further off than allowed."""
        output, took = _timed(call.run)
        off = error(call.array(output), self.expected)
        known = off if math.isfinite(off) else None
        self.contenders.append(Contender(label, ours, packed, known, wrong=not off <= allowed))
        if took > max(LONG, HOPELESS * self.first):
            self.once[label] = Timing(took, took, 1)
        else:
            self.calls[label] = call.run

    def race(self, limits: Limits, flops: int, touched: int, seconds: float) -> dict[str, Any]:
        """Time those that are right; what a row has of it."""
        memory = limits.memory()
        contenders = _blamed(self.contenders)
        multiply, most = limits.multiply()
        copy, copied = limits.copy(touched)
        wrong = {one.label for one in contenders if one.wrong}
        right = {label: call for label, call in self.calls.items() if label not in wrong}
        machine = {"multiply": multiply, "copy": copy}
        times = take_turns(right, machine, seconds, limits.threads)
        once = {label: timing for label, timing in self.once.items() if label not in wrong}
        return {
            "threads": limits.threads,
            "flops": flops,
            "bytes": touched,
            "peak": most / times["multiply"].seconds,
            "bandwidth": copied / times["copy"].seconds,
            "memory": memory,
            "contenders": [
                replace(one, **timing._asdict())
                if (timing := (times | once).get(one.label))
                else one
                for one in contenders
            ],
            "failed": self.failed,
            "skipped": self.skipped,
        }


def _of_layer(
    workload: Workload, peers: list[Peer], limits: Limits, dtype: str, seconds: float
) -> Row:
    function, _, options = workload.form
    arrays = workload.arrays(dtype)
    plan = fastconv.explain(function, *arrays, **options)
    allowed = tolerance(plan.flops / 2 / math.prod(plan.output_shape), dtype)
    field = _Field(functools.partial(function, *arrays, **options))
    method = plan.method
    packed = _packed(function, arrays, options)
    if packed is not None:
        field.enter(PACKED, Call(packed), allowed, ours=True, packed=True)
        other = fastconv.explain(packed).method
        method += "" if other == method else f"; packed {other}"
    weights = arrays[1:]
    problem = Problem(
        *(workload, arrays[0], weights, recipe(workload, weights)),
        *(plan.output_shape, limits.threads),
    )
    for peer in peers:
        if dtype == "float64" and not peer.double:
            continue
        try:
            call = peer.prepare(problem)
            if call is not None:
                field.enter(peer.label, call, allowed, packed=peer.packs)
        except Exception as reason:  # whatever a peer may raise, the others go on
            field.failed[peer.label] = _told(reason)
    return Row(
        kind=workload.kind,
        set=workload.set,
        name=workload.name,
        class_name=workload.classes[0],
        count=workload.count,
        layer=workload.layer,
        dtype=dtype,
        batch=workload.batch,
        method=method,
        **field.race(limits, plan.flops, workload.elements * arrays[0].itemsize, seconds),
    )


def _of_namesake(row: Namesake, peers: list[Peer], limits: Limits, seconds: float) -> Row:
    arguments = row.drawn()
    field = _Field(functools.partial(row.of_module("fastconv"), *arguments, **row.options))
    outputs = field.expected.size
    floats = field.expected.dtype.kind in "fc"
    for peer in peers:
        try:
            called = rivals(peer, row, arguments, outputs, limits.threads)
        except Exception as reason:  # as above
            called, field.failed[peer.label] = {}, _told(reason)
        allowed = tolerance(row.terms, row.dtype) if floats else peer.units
        for label, call in called.items():
            if call is None:
                field.skipped.append(label)
                continue
            try:
                field.enter(label, call, allowed)
            except Exception as reason:
                field.failed[label] = _told(reason)
    arrays = [one for one in (*arguments, field.expected) if isinstance(one, np.ndarray)]
    return Row(
        kind=row.function,
        set=row.set,
        name=row.name,
        class_name=row.set,
        count=1,
        layer="",
        dtype=row.dtype,
        batch=1,
        method="",
        **field.race(limits, 2 * row.terms * outputs, sum(one.nbytes for one in arrays), seconds),
    )


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Give the result of a call, and its seconds."""
    start = time.perf_counter()
    return call(), time.perf_counter() - start


def _told(reason: Exception) -> str:
    """Tell why somebody does not take part, in a line."""
    return f"{type(reason).__name__}: {reason}".splitlines()[0]


def _packed(
    function: Callable[..., Any], arrays: list[NDArray[Any]], options: dict[str, Any]
) -> Callable[[], Any] | None:
    """The call with packed weights, if fastconv and this function of it have such."""
    pack = getattr(fastconv, "pack", None)
    if pack is None:
        return None
    try:
        packed = functools.partial(function, arrays[0], *map(pack, arrays[1:]), **options)
        packed()
    except (TypeError, ValueError):
        return None
    return packed


def _blamed(contenders: list[Contender]) -> list[Contender]:
    """If several peers all compute something else than fastconv, fastconv is the one in error.

    A method of fastconv with plain and with packed weights is not several.
    """
    peers = [one for one in contenders if not one.ours]
    names = {one.label.removesuffix(" packed") for one in peers}
    if len(names) < 2 or not all(one.wrong for one in peers):
        return contenders
    return [replace(one, wrong=one.ours) for one in contenders]
