"""Settings and fixtures of the whole suite."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

pytest.register_assert_rewrite("checking")

settings.register_profile("fastconv", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("fastconv")


def pytest_collection_modifyitems(items):
    """Those that start interpreters come first: some run for a minute."""
    items.sort(key=lambda item: "python" not in item.fixturenames)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Whoever is done takes tests over from others."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


@pytest.fixture
def rng():
    return np.random.default_rng(1412_5474)


@pytest.fixture
def python():
    """Run a fresh interpreter; its standard output. A variable given as None is removed."""

    def run(*arguments, timeout=120, **variables):
        environment = {**os.environ, **variables}
        done = subprocess.run(
            [sys.executable, *arguments],
            env={name: value for name, value in environment.items() if value is not None},
            cwd=Path(__file__).parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    return run
