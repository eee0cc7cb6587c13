"""Calls of fastconv.signal and fastconv.ndimage beside SciPy's own, with one thread."""

from fastconv.bench.namesakes import NAMESAKES

from .common import Ready

#: What is measured, all in float32.
CALLS = [
    "signal.correlate(32, 5, 'full')",
    "signal.correlate(1000000, 64, 'full')",
    "signal.correlate(1000000, 100000, 'full')",
    "signal.correlate(512x512, 9x9, 'same')",
    "signal.oaconvolve(64x100000, 1x255, 'same', 1)",
    "signal.resample_poly(1000000, 160, 147)",
    "ndimage.correlate(8x8, 3x3)",
    "ndimage.correlate(1024x1024, 9x9)",
    "ndimage.correlate(128x128x128, 3x3x3)",
    "ndimage.gaussian_filter(1024x1024, 2)",
    "ndimage.uniform_filter(1024x1024, 101)",
    "ndimage.sobel(1024x1024)",
]


class Calls(Ready):
    """The same call of both packages."""

    param_names = ("call", "package")
    params = (CALLS, ["fastconv", "scipy"])

    def parts(self, call, package):
        row = next(row for row in NAMESAKES if (row.name, row.dtype) == (call, "float32"))
        return row.of_module(package), row.drawn(), row.options

    def time_call(self, call, package):
        self.call()

    time_call.pretty_name = "SciPy's names: time"

    def peakmem_call(self, call, package):
        self.call()

    peakmem_call.pretty_name = "SciPy's names: peak memory"
