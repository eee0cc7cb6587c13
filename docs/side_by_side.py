"""Writes side_by_side.md and its pictures: SciPy's calls, ours, the time of each, the result.

    python docs/side_by_side.py [PHOTO]

It needs `pip install ".[bench]"`, and scikit-image for its photograph if no other one is given.
What is shown is what was run: each call is text, evaluated with SciPy's modules and with ours.
"""

from __future__ import annotations

import argparse
import importlib
import math
import statistics
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

import fastconv
from fastconv.bench import machine
from fastconv.bench.report import FAINT, INK, figure
from fastconv.bench.timing import error, take_turns, tolerance

MODULES = "signal", "ndimage"
#: Pixels along each side of a picture, between both, and levels of grey.
SIZE, GAP, LEVELS = 240, 8, 48
THREADS = 1, 2


class Example(NamedTuple):
    """A call, and what makes its arrays."""

    title: str
    call: str
    given: str


PHOTO = "photo = np.asarray(picture, np.float32)"
SOUND = """
time = np.arange(10 * 44_100) / 44_100
sound = np.float32(np.sin(2 * np.pi * 220 * time * (1 + time / 20)))
"""
NOISE = "noise = np.random.default_rng(0).standard_normal(sound.shape, np.float32)"

EXAMPLES = (
    Example("Blur", "ndimage.gaussian_filter(photo, 5)", PHOTO),
    Example("Blur of bytes", "ndimage.gaussian_filter(grey, 2)", "grey = np.asarray(picture)"),
    Example("Mean of a square", "ndimage.uniform_filter(photo, 31)", PHOTO),
    Example("Edges, one way", "ndimage.sobel(photo)", PHOTO),
    Example("Edges, all ways", "ndimage.gaussian_gradient_magnitude(photo, 2)", PHOTO),
    Example("Spots", "ndimage.gaussian_laplace(photo, 3)", PHOTO),
    Example(
        "Motion",
        "ndimage.correlate(photo, motion, mode='nearest')",
        f"{PHOTO}\nmotion = np.eye(21, dtype=np.float32) / 21",
    ),
    Example(
        "Sharper",
        "signal.convolve2d(photo, sharpen, 'same', 'symm')",
        f"{PHOTO}\nsharpen = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], np.float32)",
    ),
    Example(
        "Compare with a detail",
        "signal.correlate(flat, detail, 'same')",
        "flat = np.asarray(picture, np.float32)\nflat -= ndimage.gaussian_filter(flat, 10)\n"
        "detail = flat[96:160, 192:256]",
    ),
    Example(
        "Out of focus",
        "signal.fftconvolve(photo, disc, 'same')",
        f"{PHOTO}\nx = np.arange(-20, 21)\ndisc = np.float32(x**2 + x[:, None] ** 2 <= 400)",
    ),
    Example(
        "A volume",
        "ndimage.gaussian_filter(volume, 3)",
        "volume = np.random.default_rng(0).random((96, 128, 128), np.float32)",
    ),
    Example(
        "Reverberation",
        "signal.oaconvolve(sound, room)",
        f"{SOUND}{NOISE}\nroom = noise[:44_100] * np.exp(-5 * np.float32(time[:44_100]))",
    ),
    Example("Another sampling rate", "signal.resample_poly(sound, 160, 147)", SOUND),
    Example("Smoother", "signal.savgol_filter(sound + noise, 101, 3)", f"{SOUND}{NOISE}"),
)


class Measured(NamedTuple):
    """An example that was run."""

    example: Example
    file: str
    off: float
    #: Seconds of SciPy's call and of ours, for each number of threads.
    seconds: dict[int, tuple[float, float]]

    def ratio(self, threads: int) -> float:
        """How many times as fast ours is."""
        theirs, ours = self.seconds[threads]
        return theirs / ours


def measure(example: Example, picture: Image.Image, folder: Path, seconds: float) -> Measured:
    """Compare the results, draw them, and time both calls, taking turns."""
    scipy_fft = importlib.import_module("scipy.fft")
    calls, results = {}, []
    code = compile(example.call, example.title, "eval")
    for package in "scipy", "fastconv":
        names: dict[str, Any] = {"np": np, "picture": picture}
        names["ndimage"] = importlib.import_module("scipy.ndimage")
        exec(example.given, names)
        names |= {name: importlib.import_module(f"{package}.{name}") for name in MODULES}
        calls[package] = lambda names=names: eval(code, names)
        results.append(calls[package]())
    theirs, ours = results
    off = error(ours, theirs)
    integers = theirs.dtype.kind in "iu"
    allowed = 1 if integers else tolerance(1000, theirs.dtype.name)
    if ours.dtype != theirs.dtype or not off <= allowed:
        raise SystemExit(f"{example.call}: {ours.dtype} and off by {off:g}")
    file = f"{example.title.lower().replace(', ', '-').replace(' ', '-')}.png"
    draw = draw_lines if theirs.ndim == 1 else draw_images
    draw(theirs, ours, folder / file)
    times = {}
    for threads in THREADS:
        with scipy_fft.set_workers(threads), fastconv.num_threads(threads):
            turns = take_turns(calls, {}, seconds, threads)
        times[threads] = turns["scipy"].seconds, turns["fastconv"].seconds
    return Measured(example, file, off, times)


def draw_images(theirs: Any, ours: Any, path: Path) -> None:
    """Draw SciPy's result and ours side by side, in the same greys."""
    if theirs.ndim == 3:
        theirs, ours = (volume[len(volume) // 2] for volume in (theirs, ours))
    low, high = np.percentile(theirs, (0.5, 99.5))
    both = np.full((SIZE, 2 * SIZE + GAP), LEVELS - 1, np.uint8)
    for left, image in (0, theirs), (SIZE + GAP, ours):
        scaled = Image.fromarray(np.float32((image - low) / (high - low)))
        small = np.clip(np.asarray(scaled.resize((SIZE, SIZE))), 0, 1)
        both[:, left : left + SIZE] = np.rint(small * (LEVELS - 1))
    drawn = Image.fromarray(both).convert("P")
    drawn.putpalette([round(255 * i / (LEVELS - 1)) for i in range(LEVELS) for _ in "rgb"])
    drawn.save(path, optimize=True)


def draw_lines(theirs: Any, ours: Any, path: Path) -> None:
    """Draw some samples of both results, ours over SciPy's."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=((2 * SIZE + GAP) / 100, SIZE / 100), layout="constrained")
    axis = picture.subplots()
    part = slice(len(theirs) // 2, len(theirs) // 2 + 600)
    axis.plot(theirs[part], color=FAINT, linewidth=5, label="SciPy")
    axis.plot(ours[part], color=INK, linewidth=1, label="fastconv")
    axis.set_axis_off()
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    picture.savefig(path, dpi=100, metadata={"Software": None})


# ---------------------------------------------------------------- the page


def page(measured: list[Measured], folder: str) -> str:
    """Write the page."""
    scipy = importlib.import_module("scipy")
    about = machine.describe()
    means = (statistics.geometric_mean(one.ratio(n) for one in measured) for n in THREADS)
    head = f"""# Side by side

SciPy's call and ours: `from scipy import ndimage, signal` becomes `from fastconv import ndimage,
signal`. Milliseconds are lower quartiles, both taking turns, of SciPy {scipy.__version__} and
fastconv {fastconv.__version__} on {about["usable_cores"]} cores of: {about["cpu"]}. With two
threads SciPy's FFTs have two, too; the rest of it has one.

This page and its pictures were written by `python docs/side_by_side.py`. The photograph has 512x512
pixels, by default those of scikit-image's `camera`; the sound has 441 000 samples.

| | 1 thread: SciPy | fastconv | times as fast | 2 threads: SciPy | fastconv | times as fast |
|---|--:|--:|--:|--:|--:|--:|
"""
    lines = [
        f"| [{one.example.title}](#{anchor(one.example.title)}) | "
        + " | ".join(
            text
            for n in THREADS
            for text in (*map(milliseconds, one.seconds[n]), figure(one.ratio(n)))
        )
        + " |"
        for one in measured
    ]
    mean = " | ".join(f"| | {figure(value)}" for value in means)
    return "\n".join([head + "\n".join(lines), f"| geometric mean | {mean} |", ""]) + "".join(
        section(one, folder) for one in measured
    )


def section(one: Measured, folder: str) -> str:
    """Write the part of a call."""
    title, call, given = one.example
    rows = [
        f"| `{package}.{call}` | " + " | ".join(milliseconds(one.seconds[n][i]) for n in THREADS)
        for i, package in enumerate(("scipy", "fastconv"))
    ]
    return f"""
## {title}

```python
{given.strip()}
```

| | ms, 1 thread | 2 threads |
|---|--:|--:|
{rows[0]} |
{rows[1]} |

![SciPy's result and fastconv's]({folder}/{one.file})

{difference(one.off)}
"""


def difference(off: float) -> str:
    """Tell how far apart the results are."""
    if off == 0:
        return "The results are equal."
    if off >= 1:
        return f"The results differ by {off:g} at most."
    digits = math.ceil(-math.log10(off))
    return f"The results differ by less than 1e-{digits - 1} of the largest number."


def anchor(title: str) -> str:
    """Give the name that a heading is linked by."""
    return title.lower().replace(",", "").replace(" ", "-")


def milliseconds(seconds: float) -> str:
    """Write a time."""
    return figure(1e3 * seconds)


def photograph(path: Path | None) -> Image.Image:
    """Read a photograph in greys, scikit-image's by default."""
    if path is None:
        found = find_spec("skimage")
        if found is None or not found.origin:
            raise SystemExit("give a photograph, or pip install scikit-image")
        path = Path(found.origin).parent / "data" / "camera.png"
    with Image.open(path) as file:
        return file.convert("L").resize((512, 512))


def main(arguments: list[str] | None = None) -> None:
    """Run all examples, and write the page."""
    parser = argparse.ArgumentParser(description="Write side_by_side.md and its pictures.")
    parser.add_argument("photo", nargs="?", type=Path, metavar="PHOTO")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    parser.add_argument("--seconds", type=float, default=1.0, help="for each call, both together")
    options = parser.parse_args(arguments)
    picture = photograph(options.photo)
    folder = options.output.with_suffix("")
    folder.mkdir(exist_ok=True)
    measured = [measure(one, picture, folder, options.seconds) for one in EXAMPLES]
    options.output.write_text(page(measured, folder.name), "utf-8")


if __name__ == "__main__":
    main()
