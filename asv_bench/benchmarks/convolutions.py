"""Time, peak memory and GFLOP/s of every convolution type, in float32 with one thread."""

import os
import time

import numpy as np

import fastconv
from fastconv.bench.workloads import WORKLOADS, find

EVERY_LAYER = os.environ.get("FASTCONV_BENCH") == "all"


def names(kind):
    """List the layers of one kind: the recognisable few, or all if FASTCONV_BENCH=all."""
    return [row.name for row in WORKLOADS if row.kind == kind and (EVERY_LAYER or row.quick)]


def best_seconds(run, budget=0.5):
    """Time the fastest of the runs that fit into a budget of seconds, after one to warm up."""
    run()
    best, end = float("inf"), time.perf_counter() + budget
    while (start := time.perf_counter()) < end:
        run()
        best = min(best, time.perf_counter() - start)
    return best


class _Layers:
    """The layers of one kind; a subclass names it."""

    kind: str
    param_names = ("layer",)
    timeout = 600

    def setup(self, layer):
        row = find(layer)
        self.function, _, self.options = row.form
        self.arguments = row.arrays()
        fastconv.set_num_threads(1)

    def run(self):
        return self.function(*self.arguments, **self.options)

    def time_call(self, layer):
        self.run()

    def peakmem_call(self, layer):
        self.run()

    def track_gflops(self, layer):
        flops = fastconv.explain(self.function, *self.arguments, **self.options).flops
        return round(flops / best_seconds(self.run) / 1e9, 2)

    track_gflops.unit = "GFLOP/s"


class Conv(_Layers):
    kind, params = "conv", names("conv")


class Pointwise(_Layers):
    kind, params = "pointwise", names("pointwise")


class Depthwise(_Layers):
    kind, params = "depthwise", names("depthwise")


class Grouped(_Layers):
    kind, params = "grouped", names("grouped")


class Dilated(_Layers):
    kind, params = "dilated", names("dilated")


class Transposed(_Layers):
    kind, params = "transposed", names("transposed")


class Separable(_Layers):
    kind, params = "separable", names("separable")


class SpatiallySeparable(_Layers):
    kind, params = "spatially_separable", names("spatially_separable")


class ShuffledGrouped(_Layers):
    kind, params = "shuffled", names("shuffled")


class Flattened(_Layers):
    kind, params = "flattened", names("flattened")


class ParallelFlattened(_Layers):
    kind, params = "parallel_flattened", names("parallel_flattened")


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

    def peakmem_arrays(self, method):
        pass

    def peakmem_call(self, method):
        fastconv.conv3d(self.input, self.weight, out=self.out, method=method)
