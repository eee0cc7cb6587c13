"""fastconv beside PyTorch, OpenCV and SciPy, those of them that are installed.

    python versus.py [--threads 1] [--seconds 1.5]

Everything is float32. All contenders of a row take turns in one process, warm, and the
lower quartile of each one's times is taken. SciPy has one thread, always. Prints the
table of the README.
"""

import argparse
import functools
import importlib
import time

import numpy as np

import fastconv


def found(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


torch, cv2 = found("torch"), found("cv2")
signal, ndimage = found("scipy.signal"), found("scipy.ndimage")
noise = np.random.default_rng(0)


def random(*shape):
    return noise.standard_normal(shape).astype(np.float32)


def layer(name, function, input_shape, weight_shape, **options):
    """A row that PyTorch has, too: by the same name, with the same arguments."""
    x, w = random(*input_shape), random(*weight_shape)
    calls = {"fastconv": functools.partial(getattr(fastconv, function), x, w, **options)}
    if torch:
        peer = getattr(torch.nn.functional, function)
        calls["PyTorch"] = functools.partial(
            peer, torch.from_numpy(x), torch.from_numpy(w), **options
        )
    return name, calls


def image(size):
    """A row of one image and one square kernel."""
    x, w = random(1024, 1024), random(size, size)
    name, calls = layer(
        f"one image 1024x1024, {size}x{size}", "conv2d", (1, 1, 1024, 1024), (1, 1, size, size),
        padding=size // 2,
    )  # fmt: skip
    if cv2:
        calls["OpenCV filter2D"] = functools.partial(cv2.filter2D, x, -1, w)
    calls["SciPy ndimage"] = functools.partial(ndimage.correlate, x, w)
    calls["SciPy fftconvolve"] = functools.partial(signal.fftconvolve, x, w, mode="same")
    return name, calls


def separable(size):
    x, line = random(1024, 1024), random(size)
    batch = x[None, None]
    calls = {
        "fastconv": functools.partial(
            fastconv.spatially_separable_conv2d, batch, line, line, padding=size // 2
        )
    }
    if cv2:
        calls["OpenCV sepFilter2D"] = functools.partial(cv2.sepFilter2D, x, -1, line, line)
    return f"one image 1024x1024, separable {size} + {size}", calls


def rows():
    yield layer("3x3, 64 channels, 56x56", "conv2d", (1, 64, 56, 56), (64, 64, 3, 3), padding=1)
    yield layer("1x1, 256 to 64 channels, 56x56", "conv2d", (1, 256, 56, 56), (64, 256, 1, 1))
    yield layer(
        "7x7 stride 2, 3 to 64 channels, 224x224", "conv2d", (1, 3, 224, 224), (64, 3, 7, 7),
        stride=2, padding=3,
    )  # fmt: skip
    yield layer("3x3, 512 channels, 7x7", "conv2d", (1, 512, 7, 7), (512, 512, 3, 3), padding=1)
    yield layer(
        "3x3 dilated by 3, 512 channels, 38x57", "conv2d", (1, 512, 38, 57), (512, 512, 3, 3),
        padding=3, dilation=3,
    )  # fmt: skip
    yield layer(
        "3x3, 32 groups of 16 channels, 56x56", "conv2d", (1, 512, 56, 56), (512, 16, 3, 3),
        padding=1, groups=32,
    )  # fmt: skip
    yield layer(
        "depthwise 3x3, 128 channels, 56x56", "conv2d", (1, 128, 56, 56), (128, 1, 3, 3),
        padding=1, groups=128,
    )  # fmt: skip
    yield layer(
        "transposed 4x4 stride 2, 256 to 128 channels, 32x32", "conv_transpose2d",
        (1, 256, 32, 32), (256, 128, 4, 4), stride=2, padding=1,
    )  # fmt: skip
    yield layer(
        "3-D 3x3x3, 32 channels, 32x64x64", "conv3d", (1, 32, 32, 64, 64), (32, 32, 3, 3, 3),
        padding=1,
    )  # fmt: skip
    yield layer("1-D 64 taps, 1 channel, a million samples", "conv1d", (1, 1, 10**6), (1, 1, 64))
    yield from map(image, (3, 9, 31))
    yield from map(separable, (9, 31))
    yield layer(
        "the smallest: 3x3, 4 to 8 channels, 5x5", "conv2d", (1, 4, 5, 5), (8, 4, 3, 3), padding=1
    )


def measure(calls, duration):
    """Milliseconds of each contender."""
    times = {name: [] for name in calls}
    for call in calls.values():
        call()
    start = time.perf_counter()
    while time.perf_counter() - start < duration or len(times["fastconv"]) < 5:
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - began)
    return {name: 1e3 * np.percentile(values, 25) for name, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.5)
    given = parser.parse_args()
    fastconv.set_num_threads(given.threads)
    if torch:
        torch.set_num_threads(given.threads)
    if cv2:
        cv2.setNumThreads(given.threads)
    print("| convolution | fastconv, ms | best peer, ms | ratio |")
    print("|---|--:|--:|--:|")
    for name, calls in rows():
        times = measure(calls, given.seconds)
        ours = times.pop("fastconv")
        peer = min(times, key=times.get, default=None)
        best = f"{peer} {times[peer]:.3g} | {times[peer] / ours:.2f}" if peer else " | "
        print(f"| {name} | {ours:.3g} | {best} |", flush=True)


if __name__ == "__main__":
    main()
