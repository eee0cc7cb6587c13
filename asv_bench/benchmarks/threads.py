"""How the time of a convolution falls as threads are added."""

import os

from fastconv.bench.workloads import find

from .common import Ready, label

NAMES = ["VGG-19 conv3_2", "MobileNet conv3_1/dw", "image 1024x1024, 9x9", "mission simple"]
LAYERS = {label(row): row for row in map(find, NAMES)}


class Threads(Ready):
    """One, two, four, ... threads, as many as the machine has at the most."""

    param_names = ("layer", "threads")
    params = (
        list(LAYERS),
        [2**power for power in range(os.cpu_count().bit_length())],
    )

    def parts(self, layer, threads):
        self.threads = threads
        row = LAYERS[layer]
        return row.form.function, row.arrays(), row.form.options

    def time_call(self, layer, threads):
        self.call()

    time_call.pretty_name = "By number of threads: time"
