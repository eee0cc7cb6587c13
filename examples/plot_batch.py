"""
A folder of photographs, with progress
======================================

A small program: it sharpens all photographs of a folder, shows how far it is, and reports files
that are broken without stopping at them::

    python plot_batch.py IN OUT --amount 0.8

Without arguments, as for this page, it makes itself a folder of scikit-image's photographs, one of
them cut short.
"""

import argparse
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import skimage.data
from PIL import Image, ImageOps
from rich.progress import track

import fastconv as fc
from fastconv import ndimage

# %%
# One file
# --------
#
# Of the three channels of a JPEG file, brightness and two of colour, only the first is sharpened.
# It is computed with as float32: differences of uint8 would wrap around. Rounding and clipping make
# it uint8 again.


def sharpen(source, target, amount):
    with Image.open(source) as image:
        luma, *colours = ImageOps.exif_transpose(image).convert("YCbCr").split()
    values = np.asarray(luma, np.float32)
    with fc.num_threads(1):
        values += amount * (values - ndimage.gaussian_filter(values, sigma=2))
    luma = Image.fromarray(values.round().clip(0, 255).astype(np.uint8))
    Image.merge("YCbCr", (luma, *colours)).convert("RGB").save(target)


# %%
# All files
# ---------
#
# Threads do, since Pillow, NumPy and fastconv let go of Python's lock while they compute. Processes
# would have to be started, and each would import everything again. There is a thread for each core,
# so fastconv's functions need not share out their work, too: hence :func:`fastconv.num_threads`
# above. It counts for the thread that says it, which is why it stands in the function that the pool
# runs; :func:`fastconv.set_num_threads` would count for the whole process.


def sharpen_all(source, target, amount):
    """Sharpen the files of one folder into another, and return how many could not be."""
    target.mkdir(parents=True, exist_ok=True)
    failures = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = {
            pool.submit(sharpen, path, target / path.name, amount): path
            for path in sorted(source.iterdir())
        }
        for job in track(as_completed(jobs), "Sharpening", len(jobs)):
            if error := job.exception():
                failures += 1
                print(f"{jobs[job].name} is left out: {error}")
    return failures


# %%
# Samples
# -------


def make_samples(folder):
    for name in ("astronaut", "camera", "chelsea", "coffee", "coins", "rocket"):
        Image.fromarray(getattr(skimage.data, name)()).save(folder / f"{name}.jpg", quality=95)
    whole = (folder / "coins.jpg").read_bytes()
    (folder / "coins.jpg").write_bytes(whole[: len(whole) // 2])


def compare(source, target):
    """Show a part of each photograph above that of its sharpened copy."""
    paths = sorted(target.iterdir())
    _, axes = plt.subplots(2, len(paths), figsize=(10, 4.3), layout="constrained")
    for column, path in zip(axes.T, paths, strict=True):
        for axis, folder in zip(column, (source, target), strict=True):
            with Image.open(folder / path.name) as image:
                x, y = image.width // 2, image.height // 4
                axis.imshow(image.convert("RGB").crop((x - 70, y - 70, x + 70, y + 70)))
            axis.set(xticks=[], yticks=[])
        column[0].set_title(path.stem)
    plt.show()


# %%
# The program
# -----------

parser = argparse.ArgumentParser(description="Sharpen the photographs of a folder.")
parser.add_argument("folders", nargs="*", type=Path, metavar="IN OUT", help="by default: samples")
parser.add_argument("--amount", type=float, default=0.8, help="how much detail is added")
options = parser.parse_args()

if len(options.folders) == 2:
    sys.exit(1 if sharpen_all(*options.folders, options.amount) else 0)
if options.folders:
    parser.error("give both folders, IN and OUT, or none")
with tempfile.TemporaryDirectory() as folder:
    source, target = Path(folder, "in"), Path(folder, "out")
    source.mkdir()
    make_samples(source)
    failures = sharpen_all(source, target, options.amount)
    print(f"{len(list(target.iterdir()))} photographs sharpened, {failures} left out")
    compare(source, target)
