"""Every instruction set that the machine has; what the import chooses and what it costs."""

import importlib.util
import platform
import re
import shutil
import subprocess

import pytest

import fastconv

KNOWN = ("v2", "v3", "v4")
SIMD = fastconv.show_config(mode="dicts")["simd"]
CHOSEN, AVAILABLE = SIMD["chosen"], SIMD["available"]
CORE = [
    "test_mission.py",
    "test_conv.py::test_drawn",
    "test_conv.py::test_every_width",
    "test_conv.py::test_every_number_of_output_channels",
    "test_conv.py::test_every_kernel_shape",
    "test_conv.py::test_out_may_be_any_view",
    "test_conv.py::test_reaches_only_the_windows_that_cover_it",
    "test_denormals.py",
    "test_packing.py::test_same_bits",
    "test_packing.py::test_from_many_threads",
    "test_paths.py",
    "test_transposed.py::test_every_width",
    "test_variants.py::test_every_function",
    "test_threads.py::test_any_number_of_threads",
    "test_threads.py::test_few_and_many_tiles",
    "test_threads.py::test_taps_that_are_left_out",
    "test_winograd.py::test_any_end_of_any_tile",
    "test_winograd.py::test_every_width",
]

#: What is AVX's or AVX-512's alone in a disassembly: registers, and the instructions' first letter.
AVX = r"%[yz]mm|\tv[a-z]"
AVX512 = r"%zmm|%k[0-7]|%[xy]mm(1[6-9]|[23][0-9])"

IMPORT = """
try:
    import fastconv
except Exception as error:
    print(type(error).__name__, error)
else:
    print(fastconv.show_config(mode="dicts")["simd"]["chosen"])
"""


@pytest.mark.parametrize("level", AVAILABLE)
def test_forced(python, level):
    assert python("-c", IMPORT, FASTCONV_SIMD=level).strip() == level


@pytest.mark.parametrize("level", [level for level in AVAILABLE if level != CHOSEN])
def test_core(python, level):
    """The levels that the rest of the suite does not run on.

    Of what is done in both dtypes, that in one: vectors of 2 numbers in v2, of 8 in v3.
    """
    options = "-q", "-x", "-p", "no:cacheprovider", "--hypothesis-seed=0"
    other = "float32" if level == "v2" else "float64"
    python("-m", "pytest", *options, "-k", f"not {other}", *CORE, FASTCONV_SIMD=level, timeout=200)


@pytest.mark.parametrize("variable", [None, ""])
def test_best_is_the_default(python, variable):
    assert python("-c", IMPORT, FASTCONV_SIMD=variable).strip() == AVAILABLE[-1]


@pytest.mark.parametrize("level", ["v1", "v5", "V3", "avx2", "3", " v3"])
def test_unknown(python, level):
    error, message = python("-c", IMPORT, FASTCONV_SIMD=level).split(maxsplit=1)
    assert error == "ValueError"
    assert "FASTCONV_SIMD" in message and level in message
    assert all(known in message for known in AVAILABLE)


@pytest.mark.parametrize("level", KNOWN)
def test_unsupported(python, level):
    if level in AVAILABLE:
        pytest.skip("this machine supports it")
    error, message = python("-c", IMPORT, FASTCONV_SIMD=level).split(maxsplit=1)
    assert error == "RuntimeError"
    assert "FASTCONV_SIMD" in message and level in message


@pytest.mark.skipif(shutil.which("objdump") is None, reason="needs objdump")
@pytest.mark.parametrize(
    ("module", "registers", "beyond"),
    [
        ("_system", None, AVX),
        ("_calls", None, AVX),
        ("_kernels_v2", "xmm", AVX),
        ("_kernels_v3", "ymm", AVX512),
        ("_kernels_v4", "zmm", None),
    ],
)
def test_machine_code(module, registers, beyond):
    """The vectors of its instruction set, and nothing that older CPUs do not know."""
    spec = importlib.util.find_spec(f"fastconv.engine.{module}")
    if platform.machine() not in ("x86_64", "AMD64") or spec is None:
        pytest.skip("not built here")
    command = "objdump", "-d", "--no-show-raw-insn", spec.origin
    code = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert code.count("\n") > 1000
    assert registers is None or f"%{registers}" in code
    assert beyond is None or re.search(beyond, code) is None


def test_import_brings_nothing_heavy(python):
    """SciPy waits for the method that needs it, the rest for the demonstration."""
    output = python(
        "-c",
        """
import sys
import numpy as np
import fastconv

fastconv.conv2d(np.ones((1, 2, 9, 9)), np.ones((3, 2, 3, 3)))
fastconv.show_config()
print({"scipy", "matplotlib", "PIL", "rich", "threadpoolctl"} & set(sys.modules))
""",
    )
    assert output.splitlines()[-1] == "set()"


def test_import_keeps_subnormal_numbers(python):
    """A library linked with -ffast-math would flush them to zero in the whole process."""
    output = python("-c", "import fastconv; tiny = 5e-324; print(tiny * 1.0 > 0)")
    assert output.strip() == "True"
