"""The examples: each runs as the script that it is, and finds what it says it finds."""

import importlib.metadata
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage

EXAMPLES = Path(__file__).parents[1] / "examples"


def missing(package):
    """Whether it is not installed; to import it may need more than the example does."""
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return True
    return False


MISSING = [*filter(missing, "matplotlib mtcnn pillow pygame-ce rich scikit-image".split())]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


@pytest.fixture
def run(python, tmp_path):
    """Run an example, its temporary files where the test's are; its standard output."""

    def run(name, *arguments):
        script = EXAMPLES / f"plot_{name}.py"
        return python(script, *arguments, MPLBACKEND="Agg", TMPDIR=str(tmp_path))

    return run


def numbers(pattern, text):
    """The numbers of the only match of a pattern, in which # stands for each of them."""
    pattern = re.escape(pattern).replace(r"\#", r"\s*([-+.e\d]+)")
    (match,) = re.findall(pattern, text)
    return [float(number) for number in ([match] if isinstance(match, str) else match)]


def test_sharpen(run):
    output = run("sharpen")
    rims = dict(re.findall(r"(\w+) +at the rim ([.\d]+)", output))
    assert float(rims.pop("constant")) > 10 * float(rims["reflect"]) > 0
    assert set(rims) == {"wrap", "reflect", "nearest", "mirror"}
    apart = re.findall("apart by (.*)", output)
    assert len(apart) == 2
    assert all(float(each) < 1e-6 for each in apart)


def test_sound(run):
    output = run("sound")
    assert numbers("The bands add up to the sound: # apart", output)[0] < 1e-6
    # The sound is a loop of four bars, so that the beats in it are a whole number.
    assert numbers("s: # a minute, # in all", output) == [135, 16]
    late, apart = numbers("# ms late; # apart", output)
    assert late == 18
    assert apart < 1e-5


def test_unet(run):
    output = run("unet")
    assert numbers("There and back: # apart", output)[0] < 1e-5
    decibels = dict(re.findall(r"^(.+?) +([.\d]+) dB$", output, re.M))
    noisy, one, many, gaussian, variation = map(float, decibels.values())
    assert noisy == pytest.approx(20, abs=0.1)  # noise of a tenth of the range
    assert noisy + 5 < one < many - 2
    assert gaussian + 1 < many < variation


def test_faces(run):
    output = run("faces")
    found, sure = numbers("Found: #, sure by #%", output)
    assert found == 1
    assert sure > 99
    assert numbers("# pixels off TensorFlow's at most", output)[0] < 4
    assert numbers("# pixels off at most", output)[0] < 4


def test_batch_samples(run):
    output = run("batch")
    assert "coins.jpg is left out: image file is truncated" in output
    assert "5 photographs sharpened, 1 left out" in output


def test_batch(run, rng, tmp_path):
    from PIL import Image

    source, target = tmp_path / "in", tmp_path / "of" / "out"
    source.mkdir()
    pixels = rng.integers(0, 256, (40, 50), np.uint8)
    Image.fromarray(pixels).save(source / "noise.png")
    run("batch", source, target, "--amount", "0.5")
    values = pixels.astype(np.float64)
    values += 0.5 * (values - scipy.ndimage.gaussian_filter(values, 2))
    sharp = np.asarray(Image.open(target / "noise.png"))
    assert sharp.dtype == np.uint8
    expected = np.repeat(values.clip(0, 255)[:, :, np.newaxis], 3, 2)
    np.testing.assert_allclose(sharp, expected, atol=0.51)


def test_batch_failure(run, tmp_path):
    (tmp_path / "README.txt").write_text("no photograph")
    with pytest.raises(AssertionError, match=r"README\.txt is left out"):
        run("batch", tmp_path, tmp_path / "out")
