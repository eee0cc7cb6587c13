"""What is installed: small, of few dependencies, with the machine's kernels and one OpenMP."""

import importlib.metadata
import os
import re

import pytest
from numpy._core._multiarray_umath import __cpu_features__ as cpu

import fastconv

CONFIG = fastconv.show_config(mode="dicts")

#: A feature, as NumPy finds them, without which a CPU is not of the level.
LEVELS = {"v2": "SSE42", "v3": "FMA3", "v4": "AVX512_SKX", "neon": "ASIMD"}

RUNTIMES = """
import threadpoolctl
for library in threadpoolctl.threadpool_info():
    if library["user_api"] == "openmp":
        print(library["filepath"])
"""

COMPANY = """
import numpy as np
x = np.arange(4 * 64 * 99 * 99, dtype=np.float32).reshape(4, 64, 99, 99) % 7
w = np.arange(64 * 64 * 9, dtype=np.float32).reshape(64, 64, 3, 3) % 5
for i in range(3):
    ours = fastconv.conv2d(x, w)
    theirs = torch.nn.functional.conv2d(torch.from_numpy(x), torch.from_numpy(w)).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)
"""


def test_dependencies():
    always = [text for text in importlib.metadata.requires("fastconv") if "extra ==" not in text]
    assert {re.match(r"[\w-]+", text)[0] for text in always} == {"numpy", "scipy"}


def test_licences():
    """Ours, and those of the OpenMP runtimes that wheels have copies of."""
    names = importlib.metadata.metadata("fastconv").get_all("License-File")
    assert {name.rpartition("/")[2] for name in names} == {"LICENSE", "libgomp.txt", "libomp.txt"}
    for name in names:
        assert importlib.metadata.distribution("fastconv").read_text(f"licenses/{name}")


@pytest.mark.skipif(CONFIG["debug"], reason="has what debuggers want")
def test_size():
    files = importlib.metadata.files("fastconv")
    assert sum(file.locate().stat().st_size for file in files) <= 10 << 20


def test_openmp_is_on():
    """But in a build without it, on purpose, tested with the same variable."""
    expected = os.environ.get("FASTCONV_NO_OPENMP", "0") in ("", "0")
    assert CONFIG["openmp"]["enabled"] == expected


def test_simd_level():
    """All that the machine has, but in a build of some, tested with the same variable."""
    built = os.environ.get("FASTCONV_BUILD_SIMD") or ",".join(LEVELS)
    levels = (level for level, feature in LEVELS.items() if cpu.get(feature))
    expected = [level for level in levels if level in built.split(",")]
    assert list(CONFIG["simd"]["available"]) == expected
    assert CONFIG["simd"]["chosen"] == os.environ.get("FASTCONV_SIMD", expected[-1])


@pytest.mark.skipif(not CONFIG["openmp"]["enabled"], reason="needs OpenMP")
def test_one_openmp_runtime(python):
    paths = python("-c", f"import fastconv.ndimage, fastconv.signal{RUNTIMES}").splitlines()
    assert len(set(paths)) == 1, paths


@pytest.mark.parametrize("order", ["fastconv, torch", "torch, fastconv"])
def test_in_company_of_another_runtime(python, order):
    """PyTorch brings its own: neither crashes, nor hangs, nor computes something else."""
    pytest.importorskip("torch")
    python("-c", f"import {order}{COMPANY}")
