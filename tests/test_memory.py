"""Memory beyond input, weights and output: what README.md says, by plans and by the process."""

import re
import sys

import numpy as np
import pytest

import fastconv

MIB = 1 << 20
SHAPES = [
    # Many channels; many of them on large images, dilated, in three dimensions.
    ((1, 4096, 64, 64), (64, 4096, 3, 3), {"padding": 1}),
    ((1, 960, 96, 96), (320, 960, 3, 3), {"padding": 1}),
    ((1, 2048, 33, 33), (256, 2048, 3, 3), {"padding": 18, "dilation": 18}),
    ((1, 1024, 32, 32, 32), (64, 1024, 3, 3, 3), {"padding": 1}),
    # Long lines, large images, many images.
    ((1, 16, 10**7), (16, 16, 9), {}),
    ((1, 1, 10**7), (1, 1, 10**5), {}),
    ((1, 64, 4096, 4096), (64, 64, 3, 3), {"padding": 1}),
    ((1, 1, 8192, 8192), (1, 1, 101, 101), {}),
    ((1, 1, 3, 10**7), (1, 1, 3, 3), {"padding": 1}),
    ((1, 1, 512, 512, 512), (1, 1, 5, 5, 5), {}),
    ((10**5, 3, 64, 64), (8, 3, 3, 3), {}),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", ["direct", "winograd", "fft"])
@pytest.mark.parametrize(("input", "weight", "options"), SHAPES, ids=str)
def test_workspace(input, weight, options, method, threads, dtype):
    x, w = (np.broadcast_to(dtype(0), shape) for shape in (input, weight))
    if method == "winograd" and weight[-2:] != (3, 3):
        return
    with fastconv.num_threads(threads):
        told = fastconv.explain(fastconv.conv, x, w, method=method, **options)
    channels = weight[1] * (weight[2] if len(weight) == 5 else 1)
    # The input of one block of the Fourier transforms, of all channels.
    block = np.prod([int(n) for n in re.findall(r"\d+", told.method)]) * w.itemsize * weight[1]
    weights, thread = {
        "direct": (w.nbytes, 4 * MIB),
        "winograd": (4.6 * w.nbytes, max(8 * MIB, 36 * 128 * channels) + 126 * channels * 8 + MIB),
        "fft": (64 * MIB, 2.3 * max(8 * MIB, block) + 6 * MIB),
    }[method]
    assert told.workspace <= weights + told.threads * thread + input[0] + MIB


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count in other units")
@pytest.mark.parametrize("method", ["direct", "winograd", "fft"])
def test_of_the_process(python, method):
    """A convolution whose im2col would take 1.4 GB; input and output take 20 MB."""
    output = python(
        "-c",
        f"""
import resource
import numpy as np
import fastconv

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

fastconv.set_num_threads(1)
x, w = np.ones((1, 8, 51, 96, 96), np.float32), np.ones((4, 8, 15, 3, 3), np.float32)
out = np.ones((1, 4, 37, 94, 94), np.float32)
told = fastconv.explain(fastconv.conv3d, x, w, out=out, method="{method}")
fastconv.conv3d(x[..., :16, :20, :20], w, method="{method}")
before = peak()
fastconv.conv3d(x, w, out=out, method="{method}")
print(peak() - before, told.workspace)
""",
    )
    grown, told = map(int, output.split())
    assert grown <= told + 4 * MIB <= 100 * MIB
