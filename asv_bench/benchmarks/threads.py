"""How the time of a convolution falls as threads are added."""

import os

import fastconv
from fastconv.bench.workloads import find

LAYERS = ["VGG-19 conv3_2", "MobileNet conv3_1/dw", "image 1024x1024, 9x9", "mission simple"]


class Threads:
    """One, two, four, ... threads, as many as the machine has at the most."""

    param_names = ("layer", "threads")
    params = (
        LAYERS,
        [2**power for power in range(os.cpu_count().bit_length())],
    )

    def setup(self, layer, threads):
        row = find(layer)
        self.function, _, self.options = row.form
        self.arguments = row.arrays()
        fastconv.set_num_threads(threads)

    def time_call(self, layer, threads):
        self.function(*self.arguments, **self.options)
