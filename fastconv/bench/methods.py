"""fastconv's own methods, each asked for, as entrants beside the one that 'auto' chooses."""

from __future__ import annotations

import functools

import fastconv
from fastconv.bench.peer import Call, Peer, Problem
from fastconv.engine import METHODS

#: What they are called on the command line: they take part only if they are named.
KEYS = tuple(METHODS)


class Method(Peer):
    """A method, with plain or with packed weights, where a call has a choice of it."""

    double = True
    needs = ("fastconv",)

    def __init__(self, key: str, packs: bool):
        super().__init__()
        self.key, self.packs = key, packs
        self.label = f"{key} packed" if packs else key

    def prepare(self, problem: Problem) -> Call | None:
        function, _, options = problem.workload.form
        arrays = problem.input, *problem.weights
        possible = fastconv.explain(function, *arrays, **options).accepting
        if self.key not in possible or len(possible) == 1:
            return None
        weights = map(fastconv.pack, problem.weights) if self.packs else problem.weights
        return Call(
            functools.partial(function, problem.input, *weights, **options, method=self.key)
        )
