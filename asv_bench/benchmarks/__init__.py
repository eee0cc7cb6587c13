"""Benchmarks of fastconv for asv: how to run them is in the README next door.

What is measured is the same on every commit: the workloads are those of this checkout, whichever
commit is installed. NumPy's products of matrices have one thread, as all but `Threads` has.
"""

import os
import sys
from pathlib import Path
from types import ModuleType

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is imported

_package = ModuleType("fastconv.bench")
_package.__path__ = [str(Path(__file__).parents[2] / "fastconv" / "bench")]
sys.modules["fastconv.bench"] = _package
