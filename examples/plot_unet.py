"""
Down and up again: noise taken out of a photograph
==================================================

A U-Net goes down by convolutions of stride 2 and up by transposed ones; what is lost on the way
down skips to the same level of the way up. One network of this kind needs no training: the Haar
wavelet. Its way up is the transpose of its way down, and since its kernels are orthonormal, the
photograph comes back as it was. Between the two, details that are mostly noise can be dropped [1]_.
The photograph is of a cameraman, from scikit-image.

.. [1] R. R. Coifman and D. L. Donoho, "Translation-Invariant De-Noising", 1995.
   https://doi.org/10.1007/978-1-4612-2544-7_9
"""

import matplotlib.pyplot as plt
import numpy as np
import skimage.data
from skimage.metrics import peak_signal_noise_ratio
from skimage.restoration import denoise_tv_chambolle

import fastconv as fc
from fastconv import ndimage

# %%
# The network
# -----------
#
# Of each 2 x 2 pixels one kernel takes the sum, three take differences, all of them halved. The sum
# goes on down; the differences are the skip connection.

low, high = np.array([[1, 1], [1, -1]], np.float32) / np.sqrt(2, dtype=np.float32)
haar = np.stack([np.outer(a, b) for a in (low, high) for b in (low, high)])[:, np.newaxis]


def down(x, levels):
    skips = []
    for _ in range(levels):
        x = fc.conv2d(x, haar, stride=2)
        skips.append(x[:, 1:])
        x = x[:, :1]
    return x, skips


def up(x, skips):
    for skip in reversed(skips):
        x = fc.conv_transpose2d(np.concatenate([x, skip], axis=1), haar, stride=2)
    return x


photo = skimage.data.camera().astype(np.float32) / 255
coarse, skips = down(photo[np.newaxis, np.newaxis], 4)
again = up(coarse, skips)[0, 0]
print(f"There and back: {np.abs(again - photo).max():.0e} apart at most")

figure, axes = plt.subplots(1, 5, figsize=(10, 2.4), layout="constrained")
axes[0].imshow(coarse[0, 0], cmap="gray")
axes[0].set_title(f"the bottom, {coarse.shape[2]} x {coarse.shape[3]}")
for axis, skip in zip(axes[:0:-1], skips, strict=True):
    axis.imshow(np.abs(skip[0]).sum(0), cmap="magma", vmax=np.percentile(np.abs(skip).sum(1), 99))
    axis.set_title(f"details, {skip.shape[2]} x {skip.shape[3]}")
for axis in axes:
    axis.set(xticks=[], yticks=[])
plt.show()

# %%
# Noise
# -----
#
# Orthonormal kernels leave white noise as it is: as strong in each difference as in each pixel.
# So a difference below three times the noise says little, and is dropped. It does matter where the
# grid of 2 x 2 pixels lies: the mean over 64 shifts, which are one batch, shows no blocks.

noise = 0.1
noisy = photo + np.random.default_rng(0).normal(0, noise, photo.shape).astype(np.float32)


def denoise(images):
    coarse, skips = down(images, 4)
    return up(coarse, [np.where(np.abs(skip) > 3 * noise, skip, 0) for skip in skips])


shifts = [(i, j) for i in range(8) for j in range(8)]
batch = np.stack([np.roll(noisy, shift, (0, 1)) for shift in shifts])[:, np.newaxis]
back = [np.roll(y[0], (-i, -j), (0, 1)) for y, (i, j) in zip(denoise(batch), shifts, strict=True)]

results = {
    "noisy": noisy,
    "Haar, one grid": denoise(noisy[np.newaxis, np.newaxis])[0, 0],
    "Haar, 64 grids": np.mean(back, 0),
}

# %%
# What else is used: a Gaussian blur and total variation, each at the best of several strengths. The
# best is known by the photograph without noise only, which nobody has in earnest; the threshold
# above needs just the strength of the noise. Total variation is a little ahead of it even so.


def quality(image):
    return peak_signal_noise_ratio(photo, image, data_range=1)


blurs = (ndimage.gaussian_filter(noisy, sigma) for sigma in np.arange(0.8, 2, 0.1))
results["best Gaussian"] = max(blurs, key=quality)
flat = (denoise_tv_chambolle(noisy, weight) for weight in np.arange(0.08, 0.15, 0.02))
results["best total variation"] = max(flat, key=quality)

figure, axes = plt.subplots(2, 3, figsize=(10, 7), layout="constrained")
for axis, (name, image) in zip(axes.flat, {"photograph": photo, **results}.items(), strict=True):
    axis.imshow(image[60:260, 150:350], cmap="gray", vmin=0, vmax=1)
    decibels = "" if image is photo else f", {quality(image):.1f} dB"
    axis.set(title=name + decibels, xticks=[], yticks=[])
plt.show()  # sphinx_gallery_thumbnail_number = 2

for name, image in results.items():
    print(f"{name:21} {quality(image):.2f} dB")
