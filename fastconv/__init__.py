"""Every kind of convolution for NumPy arrays, at the speed of the machine.

Imports flow one way: the public face (functional, variants) describes a call with
problems, which asks geometry; arrays checks operands and keeps plans; engine runs them.
"""

from fastconv._version import __version__
from fastconv.engine.threads import get_num_threads, num_threads, set_num_threads
from fastconv.functional import *
from fastconv.functional import __all__ as _functional
from fastconv.info import *
from fastconv.info import __all__ as _info
from fastconv.variants import *
from fastconv.variants import __all__ as _variants

__all__ = [
    "__version__",
    "get_num_threads",
    "num_threads",
    "set_num_threads",
    *_functional,
    *_info,
    *_variants,
]
