"""How the time of a convolution falls as threads are added."""

import os

import fastconv

from .workloads import call

LAYERS = {
    "VGG-19 conv3_2": "conv",
    "MobileNet conv3_1/dw": "depthwise",
    "image 1024x1024, 9x9": "conv",
    "mission simple": "conv",
}


class Threads:
    """One, two, four, ... threads, as many as the machine has at the most."""

    param_names = ("layer", "threads")
    params = (
        list(LAYERS),
        [2**power for power in range(os.cpu_count().bit_length())],
    )

    def setup(self, layer, threads):
        self.function, self.arguments, self.options = call(LAYERS[layer], layer)
        fastconv.set_num_threads(threads)

    def time_call(self, layer, threads):
        self.function(*self.arguments, **self.options)
