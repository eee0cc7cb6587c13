"""The engine: a problem becomes a plan (planning.py), a plan runs (kernels.pyx).

    arrays -> checked -> geometry -> planning -> kernels -> array

kernels.pyx is built once for each instruction set and chosen by dispatch.py; threads.py
says how many threads; system.pyx is the door to the CPU and to OpenMP.
"""

import numpy as np

from fastconv.engine import threads
from fastconv.engine.dispatch import kernels
from fastconv.engine.planning import plan

__all__ = ["plan", "run"]

#: Scratch memory kept for the next call, a block for each call under way at a time.
_workspaces = []
_KEEP = 4
_KEEP_BYTES = 1 << 26


def _aligned_bytes(count):
    """Memory that begins at a cache line, as vectors like it."""
    memory = np.empty(count + 64, np.int8)
    start = -memory.ctypes.data % 64
    return memory[start : start + count]


def run(plan, operands, output, prepared=None):
    """Run a plan on its operands: the input, the weights (or `prepared`), the biases."""
    if plan.threads > 1:
        threads.team_started()
    try:
        workspace = _workspaces.pop()
    except IndexError:
        workspace = None
    size = plan.workspace - (plan.saved if prepared else 0)
    if workspace is None or workspace.size < size:
        workspace = kernels.Workspace(_aligned_bytes(size))
    plan.program.run(operands, output, workspace, plan.threads, prepared)
    if len(_workspaces) < _KEEP and workspace.size <= _KEEP_BYTES:
        _workspaces.append(workspace)
    return output


def prepare(plan, operands):
    """The weights of a plan packed, for many runs."""
    weights = kernels.Workspace(_aligned_bytes(plan.weights))
    plan.program.pack(operands, weights, kernels.Workspace(_aligned_bytes(plan.workspace)))
    return weights
