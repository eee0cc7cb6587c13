"""What a call takes whose shape is new: it is planned first."""

import numpy as np

import fastconv

#: More lengths than there are plans kept: none is known when its turn comes again.
SHORTEST, LONGEST = 1000, 4000


def _conv1d(images, signal):
    return lambda n: fastconv.conv1d(images[:, :, 0, :n], np.ones((16, 16, 3), np.float32))


def _conv2d(images, signal):
    return lambda n: fastconv.conv2d(images[:, :, :, :n], np.ones((16, 16, 3, 3), np.float32))


def _convolve(images, signal):
    from fastconv.signal import convolve

    return lambda n: convolve(signal[:n], np.ones(31))


CALLS = {"conv1d": _conv1d, "conv2d": _conv2d, "signal.convolve": _convolve}


class NewShape:
    """Each call has another length than those before."""

    params = (list(CALLS),)
    param_names = ("call",)
    rounds = 3
    call = None

    def setup(self, name):
        if self.call is None:
            try:
                self.call = CALLS[name](np.ones((1, 16, 5, LONGEST), np.float32), np.ones(LONGEST))
            except ImportError as missing:
                raise NotImplementedError("this commit has no such function") from missing
            fastconv.set_num_threads(1)
            self.length = LONGEST

    def time_call(self, name):
        self.length = self.length - 1 if self.length > SHORTEST else LONGEST
        self.call(self.length)

    time_call.pretty_name = "A new shape: time"
