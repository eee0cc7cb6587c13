"""How near the peak: layers of workloads.tsv beside the multiply-adds a core can do at best.

    python peak.py [NAME] [--kind KIND] [--dtype float32] [--threads 1] [--seconds 0.5]

NAME is a part of the layers' names, "ResNet-50" by default. Each layer and the peak are
measured in turn, again and again, and the lower quartile of each is taken: what other
programs do on the machine then hurts both alike.
"""

import argparse
import time

import numpy as np

import fastconv
from fastconv.bench.workloads import WORKLOADS
from fastconv.engine.dispatch import kernels

TURNS = 1 << 16


def seconds(function, *arguments, **options):
    start = time.perf_counter()
    function(*arguments, **options)
    return time.perf_counter() - start


def measure(layer, dtype, duration):
    """Seconds and operations of a layer, and the peak in operations a second."""
    function, _, options = layer.form
    arguments = layer.arrays(dtype.name)
    work = fastconv.explain(function, *arguments, **options).flops
    function(*arguments, **options)
    double = dtype == np.float64
    layers, peaks = [], []
    while sum(layers) + sum(peaks) < duration or len(layers) < 5:
        layers.append(seconds(function, *arguments, **options))
        peaks.append(seconds(kernels.peak_work, TURNS, double))
    peak = kernels.peak_work(TURNS, double) / np.percentile(peaks, 25)
    return np.percentile(layers, 25), work, peak


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", default="ResNet-50")
    parser.add_argument("--kind")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.5)
    given = parser.parse_args()
    chosen = [
        layer
        for layer in WORKLOADS
        if given.name in layer.name and given.kind in (None, layer.kind)
    ]
    fastconv.set_num_threads(given.threads)
    print(f"{'layer':<44} {'ms':>8} {'GFLOP/s':>8} {'share of the peak':>18}")
    shares = []
    for layer in chosen:
        time_, work, peak = measure(layer, np.dtype(given.dtype), given.seconds)
        shares.append(work / time_ / peak / given.threads)
        name = f"{layer.name} ({layer.kind})"
        print(
            f"{name:<44} {time_ * 1e3:8.3f} {work / time_ / 1e9:8.1f} {shares[-1]:9.0%} of "
            f"{given.threads * peak / 1e9:4.0f}",
            flush=True,
        )
    if shares:
        print(f"lowest {min(shares):.0%}, median {np.median(shares):.0%}")


if __name__ == "__main__":
    main()
