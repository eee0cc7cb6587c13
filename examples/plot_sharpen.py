"""
Sharpening and edges of a photograph
====================================

Two things that every image editor does: sharpening by an unsharp mask, and edges by Sobel's
kernels. The functions of :mod:`fastconv.ndimage` are called as SciPy's are, so code that uses
:mod:`scipy.ndimage` changes its import and nothing else. The photograph is of Chelsea the cat,
by Stéfan van der Walt, from scikit-image.
"""

import timeit
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import scipy.ndimage
import skimage.data

import fastconv as fc
from fastconv import ndimage

photo = skimage.data.chelsea().astype(np.float32) / 255
luma = photo @ np.array([0.299, 0.587, 0.114], np.float32)

# %%
# Sharpening
# ----------
#
# What a blur takes away is detail. Added once more than it was there, it makes the photograph
# crisper. The detail of the brightness is given to all colours alike: so none gets a fringe.

detail = luma - ndimage.gaussian_filter(luma, sigma=2)
sharp = np.clip(photo + 1.5 * detail[:, :, np.newaxis], 0, 1)

figure, axes = plt.subplots(1, 2, figsize=(10, 4.3), layout="constrained")
for axis, image, title in zip(axes, (photo, sharp), ("Photograph", "Sharpened"), strict=True):
    axis.imshow(image[20:220, 90:330])
    axis.set(title=title, xticks=[], yticks=[])
plt.show()

# %%
# Edges, and the rim
# ------------------
#
# An edge is where the brightness is steep: Sobel's kernels measure its slope down and to the
# right. At the rim they need pixels beyond it, and ``mode`` says which. Zeros (``"constant"``) are
# the wrong thing: the photograph ends in a cliff, the steepest edge of all. Mirrored or repeated
# pixels make none.


def slope(image, mode):
    return np.hypot(ndimage.sobel(image, 0, mode=mode), ndimage.sobel(image, 1, mode=mode))


figure, axes = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
for axis, mode in zip(axes, ("constant", "reflect"), strict=True):
    picture = axis.imshow(slope(luma, mode)[-60:, :90], cmap="magma", vmax=1.2)
    axis.set(title=f'Lower left corner, mode="{mode}"', xticks=[], yticks=[])
figure.colorbar(picture, ax=axes, extend="max")
plt.show()

rim = np.ones(luma.shape, bool)
rim[1:-1, 1:-1] = False
for mode in ("constant", "wrap", "reflect", "nearest", "mirror"):
    steep = slope(luma, mode)
    print(f"{mode:8}  at the rim {steep[rim].mean():.2f}, elsewhere {steep[~rim].mean():.2f}")

# %%
# Numbers and times
# -----------------
#
# SciPy computes the same numbers but for the last digits. The times are the best of ten calls on
# the machine that made this page, with one thread each, which is all that SciPy has.

for name, arguments in (("gaussian_filter", (luma, 2)), ("sobel", (luma, 0))):
    ours, theirs = (getattr(module, name) for module in (ndimage, scipy.ndimage))
    off = np.abs(ours(*arguments) - theirs(*arguments)).max()
    with fc.num_threads(1):
        times = [
            min(timeit.repeat(partial(f, *arguments), number=1, repeat=10)) for f in (ours, theirs)
        ]
    print(f"{name:15}  {times[0] * 1e3:.2f} ms, SciPy {times[1] * 1e3:.2f} ms, apart by {off:.0e}")
