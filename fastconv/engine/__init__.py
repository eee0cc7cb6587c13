"""The engine: a problem becomes a plan, by one of several methods, and the plan runs.

    arrays -> checked -> geometry -> planning -> kernels -> array

planning.py plans for kernels.pyx, which is built once for each instruction set and chosen by
dispatch.py; fourier.py plans for scipy.fft. threads.py says how many threads; system.pyx is
the door to the CPU and to OpenMP.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fastconv.engine import fourier, planning, threads, winograd
from fastconv.engine.dispatch import kernels

__all__ = ["METHODS", "Planned", "check", "estimates"]

# ---- Methods ------------------------------------------------------------------------

#: Scratch memory kept for the next call, a block for each call under way at a time.
_workspaces = []
_KEEP = 4
_KEEP_BYTES = 1 << 26


def _aligned_bytes(count):
    """Memory that begins at a cache line, as vectors like it."""
    memory = np.empty(count + 64, np.int8)
    start = -memory.ctypes.data % 64
    return memory[start : start + count]


def _program(plan):
    """The function that runs a plan for the kernels, in a workspace of its own."""
    run, count = plan.program.run, plan.threads
    whole, rest = plan.workspace, plan.workspace - plan.saved

    def run_program(operands, output, prepared=None):
        if count > 1:
            threads.team_started()
        try:
            workspace = _workspaces.pop()
        except IndexError:
            workspace = None
        size = rest if prepared else whole
        if workspace is None or workspace.size < size:
            workspace = kernels.Workspace(_aligned_bytes(size))
        again = run(operands, output, workspace, count, prepared)
        if len(_workspaces) < _KEEP and workspace.size <= _KEEP_BYTES:
            _workspaces.append(workspace)
        return again

    return run_program


def prepare(plan, operands):
    """The weights of a plan for the kernels packed, for many runs."""
    weights = kernels.Workspace(_aligned_bytes(plan.weights))
    plan.program.pack(operands, weights, kernels.Workspace(_aligned_bytes(plan.workspace)))
    return weights


def _direct_cycles(problem, limit):
    """The multiply-adds alone, at nearly two vectors a cycle."""
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
    return cycles


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
    "direct": _Method(lambda problem: None, _direct_cycles, planning.plan, _program),
    # To be winograd.refusal, once its error is bounded and tested.
    "winograd": _Method(
        lambda problem: "it is not built",
        lambda problem, _: winograd.cycles(problem),
        winograd.plan,
        _program,
    ),
    "fft": _Method(fourier.refusal, fourier.cycles, fourier.Plan, lambda plan: plan.run),
}


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


def estimates(problem, limited=False):
    """Cycles of one image by each method that accepts the problem; inf, if limited, for losers.

    They depend on the geometry of one image and the instruction set, on nothing else: methods
    round differently, and the same image is to give the same bits in any company.
    """
    problem = problem._replace(images=1)
    found = {}
    for name, method in METHODS.items():
        if method.refusal(problem) is None:
            limit = min(found.values(), default=math.inf) if limited else math.inf
            found[name] = method.cycles(problem, limit)
    return found


class Planned:
    """A problem, planned by the method asked for or, for 'auto', that of the fewest cycles.

    `run(operands, output)` computes; the operands are the input, the weights, the biases.
    """

    __slots__ = ("_compute", "_one", "plan", "problem", "run", "threads")

    def __init__(self, problem, method, threads):
        if method == "auto":
            found = estimates(problem, limited=True)
            method = min(found, key=found.get)
        self.problem = problem
        self.threads = threads
        self.plan = METHODS[method].plan(problem, threads)
        self._compute = METHODS[method].runner(self.plan)
        self._one = None
        self.run = self._compute if method == "direct" else self._run

    def _run(self, operands, output):
        """Compute, and compute images again, directly, in which something is not finite.

        Whether that came with the operands or is an overflow on the way: what reaches how far
        is defined by the direct sums.
        """
        again = self._compute(operands, output)
        if again and self._one is None:
            self._one = _program(planning.plan(self.problem._replace(images=1), self.threads))
        given, *rest = operands
        for i in again:
            # Without an axis for images there is but one.
            part = slice(i, i + 1) if self.problem.images > 1 else ...
            self._one((given[part], *rest), output[part])
