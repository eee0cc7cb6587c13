"""SciPy's names stand for our functions for as long as they should, and no longer."""

import importlib
import importlib.util
import pickle
import sys
import threading
import types

import numpy as np
import pytest
from scipy import ndimage, signal
from scipy.ndimage import gaussian_filter as smooth
from skimage.filters import edges
from skimage.metrics import _structural_similarity as similarity
from skimage.restoration import deconvolution

import fastconv
import fastconv.ndimage
import fastconv.signal
from fastconv import originals

#: SciPy's functions, before anything is patched, and ours.
SCIPYS, OURS = (
    {
        (f"scipy.{module}", name): getattr(importlib.import_module(f"{package}.{module}"), name)
        for module in ("signal", "ndimage")
        for name in importlib.import_module(f"fastconv.{module}").__all__
    }
    for package in ("scipy", "fastconv")
)
SMOOTH = "scipy.ndimage", "gaussian_filter"


def in_force():
    """Whether SciPy's names stand for our functions: all of them, or none."""
    found = set()
    for (module, name), scipys in SCIPYS.items():
        function = getattr(sys.modules[module], name)
        patched = getattr(function, "__wrapped__", None) is OURS[module, name]
        assert patched or function is scipys
        found.add(patched)
    assert len(found) == 1, "half a patch"
    return found.pop()


def attributes():
    """All attributes of all modules of SciPy and scikit-image and of this one, as they are."""
    return {
        (module, name): value
        for module in list(sys.modules)
        if module.partition(".")[0] in ("scipy", "skimage", __name__)
        for name, value in list(vars(sys.modules[module]).items())
        if not name.startswith("__")
    }


def leftovers():
    """Where any module still has one of our functions by SciPy's name."""
    return [
        (module.__name__, name)
        for module in list(sys.modules.values())
        if isinstance(module, types.ModuleType)
        for name, value in list(vars(module).items())
        if isinstance(value, types.FunctionType)
        and value.__module__ in ("scipy.signal", "scipy.ndimage")
        and value.__code__.co_filename.startswith(fastconv.__path__[0])
    ]


@pytest.fixture(autouse=True)
def nothing_left():
    assert not in_force()
    yield
    assert not in_force()
    assert not leftovers()


def test_reaches():
    with fastconv.patch_scipy():
        assert in_force()
        assert smooth is ndimage.gaussian_filter
        assert edges.convolve is ndimage.convolve
        assert similarity.uniform_filter is ndimage.uniform_filter
        assert deconvolution.convolve is signal.convolve
        assert fastconv.ndimage.gaussian_filter is not smooth
        assert leftovers()


def test_same_bits(rng):
    image = rng.random((20, 30), np.float32)
    expected = fastconv.ndimage.gaussian_filter(image, sigma=2, mode="wrap")
    with fastconv.patch_scipy():
        np.testing.assert_array_equal(smooth(image, sigma=2, mode="wrap"), expected)


def test_private_modules_stay():
    """What SciPy's functions call inside, also when ours hand over to them, is SciPy's."""
    private = {
        key: value
        for key, value in attributes().items()
        if key[0].startswith("scipy.") and key[0] not in ("scipy.signal", "scipy.ndimage")
    }
    with fastconv.patch_scipy():
        during = attributes()
        assert all(during[key] is value for key, value in private.items())


def test_undoes_all():
    before = attributes()
    with fastconv.patch_scipy():
        during = attributes()
        changed = {key for key, value in before.items() if during[key] is not value}
        assert {("scipy.ndimage", "sobel"), ("skimage.filters.edges", "convolve")} <= changed
        assert (__name__, "smooth") in changed
        assert len(changed) >= len(SCIPYS) + 2
    after = attributes()
    assert before.keys() <= after.keys()
    assert [key for key, value in before.items() if after[key] is not value] == []


def test_undoes_after_exception():
    before = attributes()

    def fail():
        with fastconv.patch_scipy():
            assert in_force()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    after = attributes()
    assert [key for key, value in before.items() if after[key] is not value] == []


MODULE = """
import scipy.signal
from scipy.ndimage import gaussian_filter as smooth
from scipy.signal import *
from fastconv.ndimage import sobel, gaussian_filter
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Import a module that has SciPy's and our functions by many names."""
    (tmp_path / "of_a_user.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda: importlib.import_module("of_a_user")
    sys.modules.pop("of_a_user", None)


@pytest.mark.parametrize("when", ["before", "meanwhile", "first before", "gone"])
def test_modules(when, module):
    """A module has what SciPy has, whenever it was imported, and keeps what it took from us."""
    outer = fastconv.patch_scipy() if when == "first before" else None
    user = module() if when in ("before", "gone", "first before") else None
    with fastconv.patch_scipy():
        user = module()
        assert user.smooth is ndimage.gaussian_filter is not SCIPYS[SMOOTH]
        assert user.oaconvolve is signal.oaconvolve is user.scipy.signal.oaconvolve
        assert user.gaussian_filter is fastconv.ndimage.gaussian_filter
        if when == "gone":
            del sys.modules["of_a_user"]
    if outer:
        assert user.smooth is ndimage.gaussian_filter is not SCIPYS[SMOOTH]
        outer.undo()
    assert user.smooth is SCIPYS[SMOOTH]
    assert user.oaconvolve is SCIPYS["scipy.signal", "oaconvolve"]
    assert user.gaussian_filter is fastconv.ndimage.gaussian_filter
    assert user.sobel is fastconv.ndimage.sobel


def test_strange_modules(tmp_path, monkeypatch):
    """Modules that load themselves are left asleep; what is no module is no matter."""
    path = tmp_path / "asleep.py"
    path.write_text("from scipy.ndimage import sobel\n")
    spec = importlib.util.spec_from_file_location("asleep", path)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    asleep = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "asleep", asleep)
    spec.loader.exec_module(asleep)
    monkeypatch.setitem(sys.modules, "none", None)
    monkeypatch.setitem(sys.modules, "object", object())
    strange = types.ModuleType("strange")
    strange.array, strange.unhashable, strange.sobel = np.zeros(3), [], ndimage.sobel
    monkeypatch.setitem(sys.modules, "strange", strange)
    with fastconv.patch_scipy():
        assert "sobel" not in object.__getattribute__(asleep, "__dict__")
        assert strange.sobel is ndimage.sobel
    assert "sobel" not in object.__getattribute__(asleep, "__dict__")
    assert asleep.sobel is SCIPYS["scipy.ndimage", "sobel"]
    assert strange.sobel is SCIPYS["scipy.ndimage", "sobel"]


def test_other_patches_stay(monkeypatch):
    """A function that somebody else has put there is not ours to replace."""
    monkeypatch.setattr(ndimage, "sobel", abs)
    with fastconv.patch_scipy():
        assert ndimage.sobel is abs
        assert ndimage.prewitt.__wrapped__ is fastconv.ndimage.prewitt
    assert ndimage.sobel is abs
    monkeypatch.undo()


def test_permanent():
    patch = fastconv.patch_scipy()
    assert in_force()
    assert "in force" in repr(patch)
    patch.undo()
    assert not in_force()
    assert "undone" in repr(patch)
    patch.undo()
    assert not in_force()


def test_nests():
    with fastconv.patch_scipy() as outer:
        with fastconv.patch_scipy() as inner:
            assert inner is not outer
        assert in_force()
        inner.undo()
        assert in_force()
        with fastconv.patch_scipy():
            outer.undo()
            assert in_force()
        assert not in_force()


def test_entered_again():
    patch = fastconv.patch_scipy()
    with patch, patch:
        with patch:
            pass
        assert in_force()
    assert not in_force()
    with patch:
        assert in_force()
    assert not in_force()


def test_threads():
    """However threads come and go: patched while anyone needs it, SciPy's own afterwards."""
    barrier = threading.Barrier(8)
    outside = SCIPYS["scipy.ndimage", "sobel"], SCIPYS["scipy.ndimage", "convolve"]
    wrong = []

    def work(seed):
        random = np.random.default_rng(seed)
        barrier.wait()
        for _ in range(20):
            with fastconv.patch_scipy():
                looks = ((ndimage.sobel, edges.convolve) for _ in range(random.integers(20)))
                wrong.extend(look for look in looks if set(look) & set(outside))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not in_force()


def test_threads_share_one():
    """The first to come leaves first; the last one still finds what it came for."""
    patch = fastconv.patch_scipy()
    entered, left = threading.Event(), threading.Event()
    seen = []

    def work():
        with patch:
            entered.set()
            left.wait(60)
            seen.append(in_force())

    thread = threading.Thread(target=work)
    with patch:
        thread.start()
        entered.wait(60)
    left.set()
    thread.join()
    assert seen == [True]
    assert not in_force()


def test_originals():
    with fastconv.patch_scipy():
        for (module, name), function in SCIPYS.items():
            assert originals.original(module, name) is function


def test_originals_first_asked_late(python):
    python(
        "-c",
        "import fastconv, scipy.ndimage\n"
        "sobel = scipy.ndimage.sobel\n"
        "def scipys(sobel=sobel): return sobel\n"
        "fastconv.patch_scipy()\n"
        "assert sobel is scipy.ndimage.sobel is not scipys()\n"
        "from fastconv.originals import original\n"
        "assert original('scipy.ndimage', 'sobel') is scipys()",
    )


def test_originals_race(monkeypatch):
    """A thread that finds our function, as the patch was quicker, does not keep it."""
    kept = {}

    def slow_import(module):
        kept["scipy.ndimage", "sobel"] = SCIPYS["scipy.ndimage", "sobel"]
        return fastconv.ndimage

    monkeypatch.setattr(originals, "_kept", kept)
    monkeypatch.setattr(originals.importlib, "import_module", slow_import)
    assert originals.original("scipy.ndimage", "sobel") is SCIPYS["scipy.ndimage", "sobel"]


def test_pickles():
    """By SciPy's name, so that a process that is not patched can read it."""
    with fastconv.patch_scipy():
        pickled = pickle.dumps(ndimage.sobel)
        assert pickle.loads(pickled) is ndimage.sobel
    assert pickle.loads(pickled) is SCIPYS["scipy.ndimage", "sobel"]


def test_import_is_light(python):
    python(
        "-c",
        "import sys, fastconv\n"
        "assert not {'scipy', 'fastconv.signal', 'fastconv.ndimage'} & sys.modules.keys()",
    )


SCRIPT = """
from scipy.ndimage import sobel
import fastconv
fastconv.patch_scipy()
import scipy.ndimage, fastconv.ndimage
assert sobel is scipy.ndimage.sobel and sobel.__wrapped__ is fastconv.ndimage.sobel
"""


def test_program(python):
    """The main module has names, too; nothing holds the patch, and it stays."""
    python("-c", SCRIPT)
