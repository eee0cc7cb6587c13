"""What a call takes whose shape is new: it is planned first."""

import numpy as np

import fastconv

from .common import Ready

#: More lengths than there are plans kept: none is known when its turn comes again.
SHORTEST, LONGEST = 1000, 4000


def _conv1d():
    function = fastconv.conv1d
    image, weight = np.ones((1, 16, LONGEST), np.float32), np.ones((16, 16, 3), np.float32)
    return lambda n: function(image[..., :n], weight)


def _conv2d():
    function = fastconv.conv2d
    image, weight = np.ones((1, 16, 5, LONGEST), np.float32), np.ones((16, 16, 3, 3), np.float32)
    return lambda n: function(image[..., :n], weight)


def _convolve():
    from fastconv.signal import convolve

    signal, taps = np.ones(LONGEST), np.ones(31)
    return lambda n: convolve(signal[:n], taps)


CALLS = {"conv1d": _conv1d, "conv2d": _conv2d, "signal.convolve": _convolve}


class NewShape(Ready):
    """Each call has another length than those before."""

    params = (list(CALLS),)
    param_names = ("call",)
    length = LONGEST

    def parts(self, name):
        return CALLS[name](), (), {}

    def time_call(self, name):
        self.length = self.length - 1 if self.length > SHORTEST else LONGEST
        self.call(self.length)

    time_call.pretty_name = "A new shape: time"
