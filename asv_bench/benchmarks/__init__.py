"""Benchmarks of fastconv for asv: how to run them is in the README next door.

What is measured is the same on every commit: the workloads are those of this checkout, whichever
commit is installed.
"""

import sys
from pathlib import Path
from types import ModuleType

_package = ModuleType("fastconv.bench")
_package.__path__ = [str(Path(__file__).parents[2] / "fastconv" / "bench")]
sys.modules["fastconv.bench"] = _package
