"""A plugin of pytest with which SciPy's own tests, which come with its wheel, test fastconv.

In this folder, for one file or for one test of it::

    python -m pytest -c /dev/null -p scipy_plugin --pyargs scipy.ndimage.tests.test_filters

SciPy's names are patched before its tests are imported. At the end stands how often they called
each function of ours, and how often ours handed over to SciPy's; none at all is a failure. Most of
its tests are so small that this saves time: with ``--small`` they are computed by us nevertheless.
"""

import collections
import functools
import importlib
import sys

import pytest

import fastconv
from fastconv import originals

#: Tests that fail, each with its reason, which docs/scipy.md gives, too. By the file, then what
#: pytest calls the test in it, without parameters.
EXPECTED = {
    "test_signaltools::TestDecimate::test_complex_fir_dlti": (
        "compares bits of upfirdn, which is ours, with those of decimate, which is SciPy's"
    ),
}

_calls = collections.Counter()
_handed_over = collections.Counter()


def _counted(function, counter, name):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        counter[name] += 1
        return function(*args, **kwargs)

    return wrapper


def pytest_addoption(parser):
    parser.addoption("--small", action="store_true", help="hand over no problem for its size")


def pytest_configure(config):
    config.addinivalue_line("filterwarnings", "error")
    # SciPy's markers are used before they are registered, and pytest warns of some manners.
    config.addinivalue_line("filterwarnings", "ignore::pytest.PytestWarning")
    fastconv.patch_scipy()
    if config.getoption("small"):
        _compute_small_problems()
    for module in ("signal", "ndimage"):
        public = importlib.import_module(f"scipy.{module}")
        for name in importlib.import_module(f"fastconv.{module}").__all__:
            key = public.__name__, name
            scipys = originals.original(*key)
            ours = _counted(getattr(public, name), _calls, ".".join(key))
            _tell_apart(ours, scipys)
            setattr(public, name, ours)
            originals._kept[key] = _counted(scipys, _handed_over, ".".join(key))


def _compute_small_problems():
    """No number of products is few."""
    found = [
        (module, constant)
        for name, module in sys.modules.items()
        if name.startswith("fastconv.")
        for constant in vars(module)
        if constant.startswith("_FEW")
    ]
    assert found, "there is no such limit any more"
    for module, constant in found:
        limit = getattr(module, constant)
        setattr(module, constant, dict.fromkeys(limit, -1) if isinstance(limit, dict) else -1)


def _tell_apart(ours, scipys):
    """SciPy's tests look up by the function what it can do with other kinds of arrays."""
    from scipy._lib import _array_api

    table = getattr(_array_api, "xp_capabilities_table", {})
    if scipys in table:
        table[ours] = table[scipys]


def pytest_collection_modifyitems(items):
    for item in items:
        module = item.module.__name__.rpartition(".")[2]
        name = item.nodeid.partition("::")[2].partition("[")[0]
        reason = EXPECTED.get(f"{module}::{name}")
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=reason))


def pytest_sessionfinish(session):
    if not _calls and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("calls of fastconv")
    for name in sorted(_calls):
        terminalreporter.line(f"{name}: {_calls[name]}, handed over: {_handed_over[name]}")
    if not _calls:
        terminalreporter.line("none")
