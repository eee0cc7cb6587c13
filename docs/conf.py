"""Settings of the documentation, which `sphinx-build -W -n docs docs/_build/html` builds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

import fastconv

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for the extensions of our own

project = "fastconv"
author = copyright = "The fastconv developers"
version = release = fastconv.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "drawings",
    "records",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]

# ---- Pages

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# ---- Docstrings

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections have them
numpydoc_show_class_members = False
numpydoc_validation_checks = {
    "all",  # but for sections and sentences that would say nothing new
    *"ES01 EX01 GL01 GL08 PR04 PR07 RT03 SA01 SS03 SS05 SS06 YD01".split(),
}
numpydoc_validation_exclude = {"Explanation", "PackedWeight"}  # they have attributes instead
default_role = "autolink"  # a link where there is something of that name
nitpick_ignore_regex = [
    ("py:.*", r"(numpy|scipy|threadpoolctl)\..*"),  # other people's pages are not at hand
]

# ---- The gallery

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "abort_on_example_error": True,
    "backreferences_dir": None,
    "capture_repr": (),
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
}

# ---- Links to other sites, which the builder linkcheck follows

linkcheck_anchors = False
linkcheck_retries = 2
linkcheck_timeout = 30
linkcheck_ignore = [r"https://doi\.org/"]  # publishers refuse what is no browser

# ---- HTML

html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = "fastconv"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = html_use_index = html_domain_indices = False
html_math_renderer = "mathml"


def write_math(translator: Any, node: nodes.math | nodes.math_block) -> None:
    """Write a formula as MathML, which browsers draw by themselves: no script, no network."""
    block = isinstance(node, nodes.math_block)
    formula = tex2mathml(node.astext(), as_block=block)
    translator.body.append(f'<div class="formula">{formula}</div>' if block else formula)
    raise nodes.SkipNode


#: Where links of files that pages include lead to, seen from here.
LINKS = {
    "](../docs/": "](",
    "](docs/": "](",
    "](CONTRIBUTING.md": "](contributing.md",
    "](CHANGELOG.md": "](changelog.md",
    "](asv_bench/README.md": "](benchmarks.md",
    "](asv_bench/": "](../asv_bench/",
    "](asv_bench)": "](benchmarks.md)",
    "](asv.conf": "](../asv_bench/asv.conf",
    "](record": "](../asv_bench/record",
}


def close_blocks(app: Any, page: str, content: list[str]) -> None:
    """Take away the empty line that ends an example for doctest."""
    content[0] = content[0].replace("\n\n```\n", "\n```\n")


def follow_links(app: Any, path: Path, page: str, content: list[str]) -> None:
    """Let links of an included file lead to pages."""
    close_blocks(app, page, content)
    for old, new in LINKS.items():
        content[0] = content[0].replace(old, new)


def setup(app: Any) -> None:
    """Add what is said above."""
    app.add_html_math_renderer("mathml", (write_math, None), (write_math, None))
    app.connect("source-read", close_blocks)
    app.connect("include-read", follow_links)
