"""The engine: a problem becomes a plan, by one of several methods, and the plan runs.

    arrays -> checked -> geometry -> planning -> kernels -> array

planning.py plans tiles for kernels.pyx, which is built once for each instruction set and chosen by
dispatch.py, those for which costs.pyx counts the fewest cycles; ways.py what is computed directly
in other ways, winograd.py another method of theirs, fourier.py for scipy.fft. threads.py says how
many threads; system.pyx is the door to the CPU and to OpenMP.
"""

import collections
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fastconv.engine import fourier, threads, ways, winograd
from fastconv.engine.dispatch import kernels

__all__ = ["METHODS", "Planned", "check", "estimates", "given_back", "taken"]

# ---- Methods ------------------------------------------------------------------------

#: Scratch memory kept for the next call, a block for each call under way at a time. Threads take
#: and give back at once: there are never more of them, whoever comes in between.
_workspaces = collections.deque(maxlen=4)
_KEEP_BYTES = 1 << 26


def _aligned_bytes(count):
    """Memory that begins at a cache line, as vectors like it."""
    memory = np.empty(count + 64, np.int8)
    start = -memory.ctypes.data % 64
    return memory[start : start + count]


def taken(size):
    """A workspace of at least so many bytes; whoever takes it gives it back if nothing fails."""
    try:
        workspace = _workspaces.pop()
    except IndexError:
        workspace = None
    if workspace is None or workspace.nbytes < size:
        workspace = kernels.Workspace(_aligned_bytes(size))
    return workspace


def given_back(workspace):
    if workspace.nbytes <= _KEEP_BYTES:
        _workspaces.append(workspace)


def _program(plan):
    """The function that runs a plan for the kernels, in a workspace of its own."""
    run, count = plan.program.run, plan.threads
    whole, rest = plan.workspace, plan.workspace - plan.saved

    def run_program(operands, output, prepared=None):
        if count > 1:
            threads.team_started()
        workspace = taken(rest if prepared else whole)
        again = run(operands, output, workspace, count, prepared)
        given_back(workspace)
        return again

    return run_program


def _direct(plan):
    """The function that runs one plan or, image by image, two in turn."""
    if not isinstance(plan, ways.Sequence):
        return _program(plan)
    first, second = _program(plan.first), _program(plan.second)

    def run_sequence(operands, output, prepared=None):
        between = taken(plan.between)
        memory = between.bytes
        given, *rest = operands
        images = range(len(given)) if plan.images > 1 else [...]
        for i in images:
            first((given[i], *rest), memory)
            second((memory, *rest), output[i], prepared)
        given_back(between)
        return ()

    return run_sequence


def prepare(plan, operands):
    """The weights of a plan for the kernels packed, for many runs."""
    if plan.threads > 1:
        threads.team_started()
    weights = kernels.Workspace(_aligned_bytes(plan.weights))
    workspace = taken(plan.workspace - plan.saved)
    plan.program.pack(operands, weights, workspace, plan.threads)
    given_back(workspace)
    return weights


def _direct_cycles(problem, limit, packed):
    """The multiply-adds alone, at nearly two vectors a cycle, but for those that are left out."""
    lanes = kernels.VECTOR // problem.dtype.itemsize
    z, y, x = problem.grid
    cycles = 0
    for step in problem.steps:
        taps = [tap[2] for tap in step.taps]
        pitch = x + (max(taps) - min(taps)) // problem.stride[2]
        vectors = min(y * -(-x // lanes), -(-y * pitch // lanes))
        if step.outputs > lanes:
            vectors = min(vectors, y * x / lanes)
        sums = problem.groups * step.groups * step.outputs * step.inputs * len(taps)
        cycles += sums * z * vectors * 0.53
    return cycles * ways.met(problem)


class _Method(NamedTuple):
    """A way to compute a problem.

    `refusal` is why it cannot, or None; `cycles` about how many of them an image takes in one
    thread, or inf as soon as they are seen to be more than a limit; `plan` is for at most so
    many threads; `runner` makes a function of a plan that computes, and returns the images
    that must be computed directly because not all of their result is finite.
    """

    refusal: Callable
    cycles: Callable
    plan: Callable
    runner: Callable


METHODS = {
    "direct": _Method(lambda problem: None, _direct_cycles, ways.plan, _direct),
    "winograd": _Method(
        winograd.refusal,
        winograd.cycles,
        lambda problem, threads, _: winograd.plan(problem, threads),
        _program,
    ),
    "fft": _Method(
        fourier.refusal,
        lambda problem, limit, _: fourier.cycles(problem, limit),
        lambda problem, threads, _: fourier.Plan(problem, threads),
        lambda plan: plan.run,
    ),
}


def converts(dtype):
    """Whether an input or an output of this dtype is converted as it is read or written."""
    return dtype.isnative and dtype.name in kernels.NUMBERS


# ---- The choice ---------------------------------------------------------------------


def check(problem, method):
    """Refuse a method that is none, or that cannot compute the problem if there is one."""
    if method == "auto":
        return
    if not isinstance(method, str) or method not in METHODS:
        names = ", ".join(map(repr, ("auto", *METHODS)))
        raise ValueError(f"method must be one of {names}, got {method!r}")
    refusal = problem and METHODS[method].refusal(problem)
    if refusal:
        raise ValueError(f"method {method!r} cannot compute this: {refusal}")


def estimates(problem, packed=False, limited=False):
    """Cycles of one image by each method that accepts the problem; inf, if limited, for losers.

    They depend on the geometry of one image and the instruction set, on nothing else: methods
    round differently, and the same image is to give the same bits in any company.
    """
    problem = problem._replace(images=1)
    found = {}
    for name, method in METHODS.items():
        if method.refusal(problem) is None:
            limit = min(found.values(), default=math.inf) if limited else math.inf
            found[name] = method.cycles(problem, limit, packed)
    return found


class Planned:
    """A problem, planned by the method asked for or, for 'auto', that of the fewest cycles.

    `run(operands, output)` computes; the operands are the input, the weights, the biases. So does
    `run_packed`, where there is a `key`.
    """

    __slots__ = (
        "_compute", "_one", "as_it_lies", "key", "packed", "plan", "problem", "run", "threads",
    )  # fmt: skip

    def __init__(self, problem, method, threads, packed=False):
        if method == "auto":
            found = estimates(problem, packed, limited=True)
            method = min(found, key=found.get)
        self.problem = problem
        self.packed = packed
        self.threads = threads
        self.plan = METHODS[method].plan(problem, threads, packed)
        self._compute = METHODS[method].runner(self.plan)
        # Of what is prepared of packed weights; None where they are read as they lie.
        self.key = self.plan.key if getattr(self.plan, "weights", 0) else None
        self._one = None
        # Whether arrays of another shape do that have the same memory: none is taken apart.
        self.as_it_lies = problem.images == 1 or (
            method == "direct" and not isinstance(self.plan, ways.Sequence)
        )
        self.run = self._compute if method == "direct" else self._run

    def run_packed(self, operands, output, weights):
        """Compute with packed weights, which keep what is prepared of them."""
        first = weights[0]
        key = self.key
        if len(weights) > 1:
            key = (key, *map(id, weights[1:]))
        prepared = first.prepared.get(key)
        if prepared is None:
            # The others are kept as long as what is known by their identities.
            prepared = first.prepare(key, prepare(self.plan, operands), weights[1:])
        self.run(operands, output, prepared)

    def _run(self, operands, output, *prepared):
        """Compute, and compute images again, directly, in which something is not finite.

        Whether that came with the operands or is an overflow on the way: what reaches how far
        is defined by the direct sums.
        """
        again = self._compute(operands, output, *prepared)
        if not again:
            return
        if self._one is None:
            self._one = _direct(ways.plan(self.problem._replace(images=1), self.threads))
        given, *rest = operands
        for i in again:
            # Without an axis for images there is but one.
            part = slice(i, i + 1) if self.problem.images > 1 else ...
            self._one((given[part], *rest), output[part])
