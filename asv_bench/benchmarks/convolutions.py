"""Time, peak memory, GFLOP/s and a ratio of every convolution type, in float32 with one thread."""

import os
from functools import partial
from types import FunctionType

import numpy as np

import fastconv
from fastconv.bench.timing import take_turns
from fastconv.bench.workloads import WORKLOADS

from .common import Ready, label

EVERY_LAYER = os.environ.get("FASTCONV_BENCH") == "all"
#: The call of numpy.correlate that is the unit of the ratios: one thread, no commit of ours.
SAMPLES, TAPS = 16384, 256
#: What the dashboard calls the benchmarks of a layer.
MEASURES = {
    "time_call": "time",
    "track_ratio": "time beside numpy.correlate",
    "track_gflops": "GFLOP/s",
    "peakmem_call": "peak memory",
}


class _Layers(Ready):
    """The layers of one kind: the recognisable few, or all if FASTCONV_BENCH=all."""

    param_names = ("layer",)

    def __init_subclass__(cls, kind, title):
        chosen = [row for row in WORKLOADS if row.kind == kind and (EVERY_LAYER or row.quick)]
        cls.rows = {label(row): row for row in chosen}
        cls.params = list(cls.rows)
        for name, measure in MEASURES.items():
            # asv reads a benchmark's pretty name off its function: each class has its own.
            inherited = getattr(cls, name)
            function = FunctionType(inherited.__code__, globals(), name)
            function.__qualname__ = f"{cls.__name__}.{name}"
            function.__dict__ = {**vars(inherited), "pretty_name": f"{title}: {measure}"}
            setattr(cls, name, function)

    def parts(self, layer):
        row = self.rows[layer]
        return row.form.function, row.arrays(), row.form.options

    def time_call(self, layer):
        self.call()

    def peakmem_call(self, layer):
        self.call()

    def in_turns(self):
        """Time the call and numpy.correlate: what hurts one hurts the other."""
        reference = partial(np.correlate, np.ones(SAMPLES, np.float32), np.ones(TAPS, np.float32))
        calls = {"call": self.call, "reference": reference}
        for call in calls.values():
            call()
        timings = take_turns(calls, {}, seconds=0.5, threads=1)
        return timings["call"].seconds, timings["reference"].seconds

    def track_ratio(self, layer):
        """Count no operations: what a commit thinks they are must not hide what it takes."""
        call, reference = self.in_turns()
        return float(f"{call / reference:.4g}")

    track_ratio.unit = "times numpy.correlate"

    def track_gflops(self, layer):
        """Count two operations for each multiply-add of the definition."""
        call, _ = self.in_turns()
        return float(f"{self.rows[layer].plan.flops / call / 1e9:.4g}")

    track_gflops.unit = "GFLOP/s"


class Conv(_Layers, kind="conv", title="Dense"):
    pass


class Pointwise(_Layers, kind="pointwise", title="Pointwise"):
    pass


class Depthwise(_Layers, kind="depthwise", title="Depthwise"):
    pass


class Grouped(_Layers, kind="grouped", title="Grouped"):
    pass


class Dilated(_Layers, kind="dilated", title="Dilated"):
    pass


class Transposed(_Layers, kind="transposed", title="Transposed"):
    pass


class Separable(_Layers, kind="separable", title="Depthwise-separable"):
    pass


class SpatiallySeparable(_Layers, kind="spatially_separable", title="Spatially separable"):
    pass


class ShuffledGrouped(_Layers, kind="shuffled", title="Shuffled grouped"):
    pass


class Flattened(_Layers, kind="flattened", title="Flattened"):
    pass


class ParallelFlattened(_Layers, kind="parallel_flattened", title="Parallel flattened"):
    pass


class Memory:
    """A convolution whose im2col would take 10 GB, by each method; input and output take 126 MB.

    Kernels so long along the first axis are those of which there is much more than input.
    """

    params = ("direct", "winograd", "fft")
    param_names = ("method",)
    timeout = 600

    def setup(self, method):
        self.input = np.ones((1, 32, 51, 128, 128), np.float32)
        self.weight = np.ones((8, 32, 15, 3, 3), np.float32)
        self.out = np.ones((1, 8, 37, 126, 126), np.float32)
        fastconv.set_num_threads(1)
        try:
            fastconv.explain(fastconv.conv3d, self.input, self.weight, method=method)
        except (TypeError, ValueError) as missing:
            raise NotImplementedError("this commit has no such method") from missing

    def peakmem_arrays(self, method):
        pass

    peakmem_arrays.pretty_name = "10 GB of im2col: the arrays alone"

    def peakmem_call(self, method):
        fastconv.conv3d(self.input, self.weight, out=self.out, method=method)

    peakmem_call.pretty_name = "10 GB of im2col: peak memory"
