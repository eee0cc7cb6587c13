"""Every kind of convolution for NumPy arrays, at the speed of the machine.

Arrays are (N, C, ...): images, channels, one to three spatial axes; N may be left out.

=======================================  ==================================================
conv, conv1d, conv2d, conv3d             strided, dilated, grouped, any padding
conv_transpose, conv_transpose1d .. 3d   upsampling, the transpose of conv
pointwise_conv                           1x1: a linear map of the channels
depthwise_conv1d .. 3d                   each channel by itself
separable_conv1d .. 3d                   depthwise, then pointwise
spatially_separable_conv2d, 3d           outer products of lines, for each channel by itself
channel_shuffle                          exchange of channels between groups
shuffled_grouped_conv1d .. 3d            grouped, then shuffled
flattened_conv1d .. 3d                   outer products of lines, across the channels, too
pack                                     a weight prepared once for many calls
parallel_flattened_conv2d                a vertical and a horizontal line, summed
set_num_threads, get_num_threads         how many threads a call may use
num_threads                              the same for a block of code
show_config, explain                     what runs here, and what a call would do
patch_scipy                              scipy.signal's and scipy.ndimage's names switched to ours
=======================================  ==================================================

The modules `fastconv.signal` and `fastconv.ndimage` have SciPy's names for the same engine.

Imports flow one way: the public face (functional, variants; signal and ndimage by way of
correlation) describes a call with problems, which asks geometry; arrays checks operands and
keeps plans; engine chooses the method and runs them.
"""

from importlib import import_module as _import
from types import ModuleType as _Module

from fastconv._version import __version__
from fastconv.engine.threads import get_num_threads, num_threads, set_num_threads
from fastconv.functional import *
from fastconv.functional import __all__ as _functional
from fastconv.info import *
from fastconv.info import __all__ as _info
from fastconv.packing import *
from fastconv.packing import __all__ as _packing
from fastconv.patching import *
from fastconv.patching import __all__ as _patching
from fastconv.variants import *
from fastconv.variants import __all__ as _variants

__all__ = [
    "__version__",
    "get_num_threads",
    "num_threads",
    "set_num_threads",
    *_functional,
    *_info,
    *_packing,
    *_patching,
    *_variants,
]


def __getattr__(name: str) -> _Module:
    """`fastconv.signal` and `fastconv.ndimage` are there without an import of their own."""
    if name in ("ndimage", "signal"):
        return _import(f"fastconv.{name}")
    raise AttributeError(f"module 'fastconv' has no attribute {name!r}")
