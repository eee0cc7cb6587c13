"""Examples of README.md, of docs and of docstrings run; docstrings know their parameters."""

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

import fastconv

TOP = Path(__file__).parents[1]
FUNCTIONS = [name for name in fastconv.__all__ if inspect.isfunction(getattr(fastconv, name))]
MODULES = sorted({getattr(fastconv, name).__module__ for name in FUNCTIONS})


@pytest.mark.parametrize("module", MODULES)
def test_docstrings(module):
    failed, attempted = doctest.testmod(importlib.import_module(module))
    assert attempted
    assert not failed


@pytest.mark.parametrize("page", ["README.md", "docs/scipy.md"])
def test_pages(page):
    failed, attempted = doctest.testfile(str(TOP / page), module_relative=False, encoding="utf-8")
    assert attempted
    assert not failed


@pytest.mark.parametrize("name", FUNCTIONS)
def test_sections(name):
    function = getattr(fastconv, name)
    text = inspect.getdoc(function)
    sections = dict(
        re.findall(r"^(\w[\w ]+)\n-{3,}\n(.*?)(?=^\w[\w ]+\n---|\Z)", text, re.M | re.S)
    )
    documented = re.findall(r"^([\w*][^:\n]*?)(?: :.*)?$", sections.get("Parameters", ""), re.M)
    documented = [parameter.strip(" *") for line in documented for parameter in line.split(",")]
    assert documented == list(inspect.signature(function).parameters)
    assert f"fastconv.{name}(" in sections["Examples"]
    if name not in ("set_num_threads", "num_threads"):
        assert "Returns" in sections
    if documented:
        assert "Raises" in sections
