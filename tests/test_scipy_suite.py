"""SciPy's own tests of the functions that we replace pass with ours; see scipy_plugin.py."""

import os
import re

import pytest

from fastconv import ndimage, signal

#: Which of our functions each file of SciPy's calls.
FILES = {
    "signal.tests.test_signaltools": (
        "choose_conv_method", "convolve", "convolve2d", "correlate", "correlate2d",
        "correlation_lags", "fftconvolve", "oaconvolve", "resample_poly",
    ),
    "signal.tests.test_upfirdn": ("upfirdn",),
    "signal.tests.test_savitzky_golay": ("savgol_filter",),
    "signal.tests.test_bsplines": ("sepfir2d",),
    "ndimage.tests.test_filters": tuple(ndimage.__all__),
}  # fmt: skip
#: What takes longest of SciPy's tests is of functions that we do not have.
OTHERS = "-k", "not filtfilt_gust and not VectorizedFilter"
OPTIONS = ("-c", os.devnull, "-p", "no:cacheprovider", "-p", "scipy_plugin", "-m", "not slow")


def test_files():
    """No function of ours is left out."""
    for module in (signal, ndimage):
        name = module.__name__.rpartition(".")[2]
        tested = (names for file, names in FILES.items() if file.startswith(f"{name}."))
        assert set().union(*tested) == set(module.__all__)


@pytest.mark.parametrize("option", [(), ("--small",)], ids=["as it is", "small"])
@pytest.mark.parametrize("file", FILES)
def test_file(file, option, python):
    command = ("-m", "pytest", "-q", *OPTIONS, *OTHERS, *option, "--pyargs", f"scipy.{file}")
    output = python(*command, timeout=600)
    lines = re.findall(r"^scipy\.(\w+)\.(\w+): (\d+), handed over: (\d+)$", output, re.M)
    calls = {(module, name): (int(n), int(handed_over)) for module, name, n, handed_over in lines}
    for name in FILES[file]:
        n, handed_over = calls[file.partition(".")[0], name]
        # What is generic is the caller's function.
        assert n > (handed_over if option and not name.startswith("generic") else 0)


def test_file_of_no_concern(python):
    """Tests that pass without a call of ours prove nothing, and the plugin fails them."""
    with pytest.raises(AssertionError, match=r"calls of fastconv =+\s+none\s[\s=]+\d+ passed"):
        python("-m", "pytest", *OPTIONS, "--pyargs", "scipy.ndimage.tests.test_fourier")
