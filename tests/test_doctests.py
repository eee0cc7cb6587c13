"""Examples of README.md, of docs and of docstrings run; docstrings know their parameters.

What pages show of other libraries runs as well, with those that are installed. On pages of
docs/types it gives what the page's own example gives, in docs/migration.md what ours beside it
does.
"""

import doctest
import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

import fastconv

TOP = Path(__file__).parents[1]
FUNCTIONS = [name for name in fastconv.__all__ if inspect.isfunction(getattr(fastconv, name))]
MODULES = sorted({getattr(fastconv, name).__module__ for name in FUNCTIONS})
#: README.md and the pages that have examples.
PAGES = [
    path.relative_to(TOP).as_posix()
    for folder, pattern in (
        (TOP, "README.md"),
        (TOP / "docs", "*.md"),
        (TOP / "docs/types", "*.md"),
    )
    for path in sorted(folder.glob(pattern))
    if ">>> " in path.read_text("utf-8")
]
MODULES_OF_PEERS = {"PyTorch": "torch", "Keras": "keras", "SciPy": "scipy", "ONNX": "onnxruntime"}
#: What pages show of other libraries: the page, the library, the code.
SNIPPETS = [
    pytest.param(page, peer, code, id=f"{Path(page).stem}-{peer}")
    for page in PAGES
    for peer, code in re.findall(
        r"^:::\{tab-item\} (\w+)\n```python\n(.*?)^```",
        (TOP / page).read_text("utf-8"),
        re.M | re.S,
    )
]
#: Rows of docs/migration.md: the heading, their call, ours.
ROWS = [
    (heading, *row)
    for heading, text in re.findall(
        r"^## (.*?)\n(.*?)(?=^## |\Z)",
        (TOP / "docs/migration.md").read_text("utf-8"),
        re.M | re.S,
    )
    for row in re.findall(r"^\| `([^|]*)` \| `(fc\.[^|]*)` \|$", text, re.M)
]


@pytest.mark.parametrize("module", MODULES)
def test_docstrings(module):
    failed, attempted = doctest.testmod(importlib.import_module(module))
    assert attempted
    assert not failed


@pytest.mark.parametrize("page", PAGES)
def test_pages(page):
    failed, attempted = doctest.testfile(str(TOP / page), module_relative=False, encoding="utf-8")
    assert attempted
    assert not failed


def test_nothing_is_overlooked():
    for page in PAGES:
        if page.startswith("docs/types/"):
            shown = {peer for where, peer, _ in (one.values for one in SNIPPETS) if where == page}
            assert shown >= {"PyTorch", "Keras", "ONNX"}
    text = (TOP / "docs/migration.md").read_text("utf-8")
    assert len(ROWS) == text.count("| `fc.") > 0


def run_onnx(names):
    """Run the nodes that a page makes, on its arrays, in float32."""
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    nodes = names.get("nodes") or [names["node"]]
    made = {name for node in nodes for name in node.output}
    needed = dict.fromkeys(name for node in nodes for name in node.input if name not in made)
    arrays = {
        name: names[name] if names[name].dtype.kind == "i" else names[name].astype(np.float32)
        for name in needed
    }
    types = {
        name: onnx.helper.np_dtype_to_tensor_dtype(array.dtype) for name, array in arrays.items()
    }
    value = onnx.helper.make_tensor_value_info
    inputs = [value(name, types[name], array.shape) for name, array in arrays.items()]
    graph = onnx.helper.make_graph(
        nodes, "page", inputs, [value("y", onnx.TensorProto.FLOAT, names["y"].shape)]
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.checker.check_model(model, full_check=True)
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, arrays)[0]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("page", "peer", "code"), SNIPPETS)
def test_peers(page, peer, code):
    pytest.importorskip(MODULES_OF_PEERS[peer])
    test = doctest.DocTestParser().get_doctest(
        (TOP / page).read_text("utf-8"), {}, page, None, None
    )
    doctest.DocTestRunner().run(test, clear_globs=False)
    names = test.globs
    exec(code, names)
    theirs = names["theirs"] if "theirs" in names else run_onnx(names)
    np.testing.assert_allclose(np.squeeze(theirs), np.squeeze(names["y"]), rtol=1e-5, atol=1e-5)


def channels_last(name, array):
    """Bring images and weights into the order of Keras."""
    if name == "d":
        array = array.reshape(4, 2, 3, 3).transpose(2, 3, 0, 1)
    elif name in ("w", "g", "q", "t"):
        array = array.transpose(2, 3, 1, 0)
    elif name == "x":
        array = np.moveaxis(array, 1, -1)
    return array


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("heading", "theirs", "ours"), ROWS)
def test_migration(rng, heading, theirs, ours):
    shapes = {
        "x": (2, 4, 9, 10), "b": (6,), "w": (6, 4, 3, 3), "g": (6, 2, 3, 3), "d": (8, 1, 3, 3),
        "q": (6, 8, 1, 1), "t": (4, 6, 3, 3), "y": (2, 6, 7, 8),
        "image": (9, 10), "kernel": (3, 3), "line": (20,), "taps": (3,),
    }  # fmt: skip
    arrays = {name: rng.random(shape, np.float32) for name, shape in shapes.items()}
    result = eval(ours, {"fc": fastconv, "np": np} | arrays)
    if heading == "torch.nn.functional":
        torch = pytest.importorskip("torch")
        names = {"F": torch.nn.functional, "nn": torch.nn}
        arrays = {name: torch.tensor(array) for name, array in arrays.items()}
    elif heading == "Keras":
        names = {"ops": pytest.importorskip("keras").ops}
        arrays = {name: channels_last(name, array) for name, array in arrays.items()}
        result = np.moveaxis(result, 1, -1)
    elif heading == "OpenCV":
        names = {"cv2": pytest.importorskip("cv2")}
    else:
        names = {"signal": scipy.signal, "ndimage": scipy.ndimage}
    np.testing.assert_allclose(eval(theirs, names | arrays), result, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("module", ["fastconv", "fastconv.signal", "fastconv.ndimage"])
def test_reference(module):
    page = TOP / "docs/reference" / f"{module.rpartition('.')[2]}.md"
    listed = re.findall(r"^   ([a-zA-Z]\w+)$", page.read_text("utf-8"), re.M)
    public = set(importlib.import_module(module).__all__) - {"__version__"}
    assert sorted(listed) == sorted(public)


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
