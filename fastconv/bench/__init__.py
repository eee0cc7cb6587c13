"""The benchmark: fastconv beside the machine's limits and whatever peers are installed.

    workloads.tsv -> workloads -> passes -> peers -> contest -> results -> report
    namesakes: calls that SciPy has, too -> rivals

`python -m fastconv bench` is its command line (command.py); `run` is the same for Python.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Sequence
from contextlib import closing

import numpy as np

import fastconv
from fastconv.bench import machine
from fastconv.bench.contest import contest
from fastconv.bench.methods import Method
from fastconv.bench.namesakes import DTYPES
from fastconv.bench.peers import found
from fastconv.bench.results import Contender, Results, Row, read
from fastconv.bench.timing import Limits
from fastconv.bench.workloads import Dtype, members, select

__all__ = ["Contender", "Results", "Row", "members", "read", "run"]


def run(
    sets: Sequence[str] = ("quick",),
    *,
    containing: str = "",
    threads: Sequence[int] = (1,),
    dtype: Dtype | Sequence[Dtype] | None = None,
    batch: int | None = None,
    peers: Sequence[str] | None = None,
    seconds: float = 1.0,
    progress: Callable[[Results, int, str], None] | None = None,
) -> Results:
    """Time workloads, beside the machine's limits and beside peers.

    All contenders of a workload take turns in one process, warm, and so do a loop of multiply-adds
    and a copy of as much memory as the workload touches. Outputs are compared before: who computes
    something else is not timed.

    Parameters
    ----------
    sets : sequence of str, default ('quick',)
        Names of sets of workloads, as ``members`` lists them: networks, classes, 'quick', 'all'.
    containing : str, default ''
        Only workloads whose name contains this.
    threads : sequence of int, default (1,)
        How many threads fastconv and its peers may use, one run after the other.
    dtype : {'float32', 'float64', 'uint8', 'int16', 'complex64'}, or several of them, optional
        What to compute in: layers in float32 by default, or in float64, where peers that do not
        have it do not take part; rows of 'signal' and 'ndimage' are in a dtype each, and only
        those in one of these take part, by default all.
    batch : int, optional
        How many images to compute at a time, instead of as many as each workload has; of
        layers only.
    peers : sequence of str, optional
        Which peers take part; by default all that are installed, of 'torch', 'onnxruntime',
        'openvino', 'ncnn', 'jax', 'opencv', 'scipy' (its signal module) and 'ndimage' (SciPy's).
        Or 'direct', 'winograd' and 'fft': methods of fastconv, with plain and with packed weights,
        where a call has a choice, beside the one that it takes by itself.
    seconds : float, default 1.0
        How long to measure each workload, all contenders together. Each takes three turns at
        least; one that is ten times as slow as the fastest takes one, if three do not fit.
    progress : callable, optional
        Called before each workload, and once after the last, with the results so far, how many
        workloads there are in all, and the name of the next one.

    Returns
    -------
    Results
        Plain data: ``Results.rows`` has a ``Row`` for each workload and number of threads, each
        with the times of all contenders and what is derived of them; ``Results.write`` makes a
        JSON file of it, which ``read`` reads.

    Raises
    ------
    ValueError
        If there is no such set, workload or peer, or a number is not positive.

    See Also
    --------
    fastconv.explain : What one call would do.

    Notes
    -----
    The times are lower quartiles. A workload's limit is the longer one of two times: what its
    multiply-adds take at the peak of the machine, and what copying takes that touches as many
    bytes as input, weights and output have. Methods that save arithmetic can be faster than that.

    Peers that bring weights into an order of their own before the call (ONNX Runtime, OpenVINO,
    ncnn) are compared with fastconv's call with packed weights, where there is one, the others
    with the plain call. The ratio of a row is the smaller one of both.

    Afterwards PyTorch and OpenCV have as many threads as they were given last.

    Examples
    --------
    >>> from fastconv import bench
    >>> results = bench.run(["mission"], containing="simple", peers=["ndimage"], seconds=0.01)
    >>> [row.name for row in results.rows]
    ['mission simple']
    >>> results.rows[0].gflops > 0
    True
    """
    numbers = {"threads": threads, "batch": [1 if batch is None else batch], "seconds": [seconds]}
    for name, given in numbers.items():
        if not all(number > 0 for number in given):
            raise ValueError(f"{name} must be positive, got {min(given)}")
    dtypes = [dtype] if isinstance(dtype, str) else dtype or DTYPES
    if unknown := [wanted for wanted in dtypes if wanted not in DTYPES]:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {unknown[0]!r}")
    chosen = [row.of_batch(batch) for row in select(sets, containing)]
    if not chosen:
        raise ValueError(f"no workload of {', '.join(sets)} has {containing!r} in its name")
    rows = {
        each: [row for row in chosen if each in (row.dtypes if dtype else row.dtypes[:1])]
        for each in dtypes
    }
    total = len(threads) * sum(map(len, rows.values()))
    if not total:
        raise ValueError(f"no workload of {', '.join(sets)} is computed in {' or '.join(dtypes)}")
    contenders = found(peers)
    results = Results(
        datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        machine.describe(),
        {"fastconv": fastconv.__version__, "numpy": np.__version__}
        | {peer.label: peer.version for peer in contenders if not isinstance(peer, Method)},
        fastconv.show_config("dicts") or {},
    )
    for number, (each, some) in itertools.product(threads, rows.items()):
        if not some:
            continue
        with closing(Limits(number, each)) as limits, fastconv.num_threads(number):
            for row in some:
                if progress:
                    progress(results, total, row.name)
                results.rows.append(contest(row, contenders, limits, each, seconds))
    if progress:
        progress(results, total, "")
    return results
