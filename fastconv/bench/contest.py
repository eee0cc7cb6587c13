"""One workload: who takes part, who is right, and who is how fast."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

import fastconv
from fastconv.bench.passes import recipe
from fastconv.bench.peer import Call, Peer, Problem
from fastconv.bench.results import PACKED, PLAIN, Contender, Row
from fastconv.bench.timing import Limits, error, take_turns, tolerance
from fastconv.bench.workloads import Dtype, Workload


def contest(
    workload: Workload, peers: list[Peer], limits: Limits, dtype: Dtype, seconds: float
) -> Row:
    """Measure a workload: the outputs of all first, then the times of those that are right."""
    memory = limits.memory()
    function, _, options = workload.form
    arrays = workload.arrays(dtype)
    plan = fastconv.explain(function, *arrays, **options)
    allowed = tolerance(plan.flops / 2 / math.prod(plan.output_shape), dtype)
    plain = functools.partial(function, *arrays, **options)
    expected = plain()

    calls: dict[str, Callable[[], Any]] = {PLAIN: plain}
    contenders = [Contender(PLAIN, ours=True, packed=False, error=0.0)]
    failed: dict[str, str] = {}

    def enter(label: str, call: Call, ours: bool, packed: bool) -> None:
        off = error(call.array(call.run()), expected)
        known = off if math.isfinite(off) else None
        contenders.append(Contender(label, ours, packed, known, wrong=not off <= allowed))
        calls[label] = call.run

    method = plan.method
    packed = _packed(function, arrays, options)
    if packed is not None:
        enter(PACKED, Call(packed), ours=True, packed=True)
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
                enter(peer.label, call, ours=False, packed=peer.packs)
        except Exception as reason:  # whatever a peer may raise, the others go on
            failed[peer.label] = f"{type(reason).__name__}: {reason}".splitlines()[0]

    contenders = _blamed(contenders)
    touched = workload.elements * arrays[0].itemsize
    multiply, flops = limits.multiply()
    copy, copied = limits.copy(touched)
    right = {one.label: calls[one.label] for one in contenders if not one.wrong}
    machine = {"multiply": multiply, "copy": copy}
    times = take_turns(right, machine, seconds, limits.threads)
    return Row(
        kind=workload.kind,
        set=workload.set,
        name=workload.name,
        class_name=workload.classes[0],
        count=workload.count,
        layer=workload.layer,
        dtype=dtype,
        threads=limits.threads,
        batch=workload.batch,
        flops=plan.flops,
        bytes=touched,
        method=method,
        peak=flops / times["multiply"].seconds,
        bandwidth=copied / times["copy"].seconds,
        memory=memory,
        contenders=[
            replace(one, **times[one.label]._asdict()) if one.label in times else one
            for one in contenders
        ],
        failed=failed,
    )


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
