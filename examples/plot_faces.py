"""
A trained network: faces found by MTCNN
=======================================

MTCNN [1]_ is a cascade of three networks: a tiny one looks at every place of a picture in every
size, a second one takes a closer look at what is left, and a third one also points out the eyes,
the nose and the corners of the mouth. All three are convolutions, so NumPy and fastconv are all
the framework they need. The weights are those of the PyPI package ``mtcnn`` 1.0.0 (MIT licence),
whose own code needs TensorFlow; only its files are read here.

.. [1] K. Zhang, Z. Zhang, Z. Li and Y. Qiao, "Joint Face Detection and Alignment Using Multitask
   Cascaded Convolutional Networks", 2016. https://arxiv.org/abs/1604.02878
"""

import importlib.metadata
import math

import joblib
import matplotlib.pyplot as plt
import numpy as np
import skimage.data
from matplotlib.patches import Rectangle
from PIL import Image

import fastconv as fc

# %%
# Weights
# -------
#
# A file holds arrays: for each layer a kernel, a bias and the slopes of its PReLU, then a kernel
# and a bias for each output. Kernels are (height, width, inputs, outputs), as in Keras. Dense
# layers are convolutions as large as what they see, with the width first. The outputs share their
# input, so one pointwise convolution gives all of them. :func:`fastconv.pack` prepares a kernel
# once for many calls. The files are pickles: load them only from those whose code you would run.


def load(name):
    folder = importlib.metadata.distribution("mtcnn").locate_file("mtcnn/assets/weights")
    arrays = joblib.load(folder / f"{name}.lz4")
    layers, channels = [], 3
    while len(arrays[1]) != 4:  # the first output is the four sides of a box
        kernel, bias, slope, *arrays = arrays
        if kernel.ndim == 2:
            side = math.isqrt(len(kernel) // channels)
            kernel = kernel.reshape(side, side, channels, -1).swapaxes(0, 1)
        layers.append((fc.pack(kernel.transpose(3, 2, 0, 1)), bias, slope.reshape(-1, 1, 1)))
        channels = len(bias)
    kernels = [kernel.reshape(channels, -1).T for kernel in arrays[::2]]
    return layers, fc.pack(np.concatenate(kernels)), np.concatenate(arrays[1::2])


def max_pool(x, size):
    """Maxima of size x size pixels, two apart; what is too short at the end counts, too."""
    rest = [(0, (n - size) % 2) for n in x.shape[2:]]
    x = np.pad(x, [(0, 0), (0, 0), *rest], constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (2, 3))
    return windows[:, :, ::2, ::2].max((4, 5))


def run(network, pools, images):
    """Probabilities (N, ...), sides of boxes (N, 4, ...) and landmarks, if any, (N, 10, ...)."""
    layers, heads, head_bias = network
    x = np.stack(images).transpose(0, 3, 1, 2).astype(np.float32) / 128 - 127.5 / 128
    for (weight, bias, slope), pool in zip(layers, pools, strict=True):
        x = fc.conv2d(x, weight, bias)
        x = np.where(x > 0, x, slope * x)
        if pool:
            x = max_pool(x, pool)
    y = fc.pointwise_conv(x, heads, head_bias)
    return 1 / (1 + np.exp(y[:, -2] - y[:, -1])), y[:, :4], y[:, 4:-2]


# %%
# The cascade
# -----------
#
# Of boxes that overlap the most probable one stays.


def best(scores, boxes, most):
    """Indices of the boxes, none of which shares more than `most` with a better one."""
    order, kept = np.argsort(-scores), []
    area = np.prod(boxes[:, 2:] - boxes[:, :2], 1)
    while len(order):
        first, order = order[0], order[1:]
        kept.append(first)
        low = np.maximum(boxes[first, :2], boxes[order, :2])
        high = np.minimum(boxes[first, 2:], boxes[order, 2:])
        common = np.prod(np.maximum(high - low, 0), 1)
        order = order[common <= most * (area[first] + area[order] - common)]
    return kept


def propose(photo, network, smallest=20):
    """P-Net: 12 x 12 pixels at each place of the photograph, in ever smaller copies of it."""
    scores, boxes = np.empty(0), np.empty((0, 4))
    scale = 12 / smallest
    while min(photo.size) * scale >= 12:
        small = photo.resize([round(n * scale) for n in photo.size], Image.Resampling.BOX)
        probability, sides, _ = run(network, (2, 0, 0), [small])
        y, x = np.nonzero(probability[0] > 0.6)
        found = (2 * np.stack([x, y, x, y], 1) + [0, 0, 12, 12] + 12 * sides[0, :, y, x]) / scale
        kept = best(probability[0, y, x], found, 0.5)
        scores = np.append(scores, probability[0, y, x][kept])
        boxes = np.append(boxes, found[kept], 0)
        scale *= 0.709
    return boxes[best(scores, boxes, 0.7)]


def refine(photo, boxes, network, pools, size, least):
    """R-Net and O-Net: a closer look at a square around each box."""
    half = (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True) / 2
    corner = (boxes[:, :2] + boxes[:, 2:]) / 2 - half
    squares = np.hstack([corner, corner + 2 * half])
    shape, area = (size, size), Image.Resampling.BOX
    crops = [photo.crop(np.round(box).tolist()).resize(shape, area) for box in squares]
    scores, sides, marks = (y[..., 0, 0] for y in run(network, pools, crops))
    boxes = squares + 2 * half * sides
    points = corner[:, :, None] + 2 * half[:, :, None] * marks.reshape(len(marks), 2, -1)
    sure = np.flatnonzero(scores > least)
    kept = sure[best(scores[sure], boxes[sure], 0.7)]
    return scores[kept], boxes[kept], points[kept]


# %%
# A portrait
# ----------
#
# Eileen Collins, photographed by NASA.

portrait = Image.fromarray(skimage.data.astronaut())
proposed = propose(portrait, load("pnet"))
_, refined, _ = refine(portrait, proposed, load("rnet"), (3, 3, 0, 0), 24, 0.7)
scores, faces, points = refine(portrait, refined, load("onet"), (3, 3, 2, 0, 0), 48, 0.8)

figure, axes = plt.subplots(1, 3, figsize=(10, 3.7), layout="constrained")
for axis, boxes, name in zip(axes, (proposed, refined, faces), "PRO", strict=True):
    axis.imshow(portrait)
    axis.set(title=f"After {name}-Net: {len(boxes)}", xticks=[], yticks=[])
    for x, y, right, bottom in boxes:
        axis.add_patch(Rectangle((x, y), right - x, bottom - y, fill=False, color="yellow"))
for x, y in points:
    axes[2].scatter(x, y, s=8, color="cyan")
plt.show()

# %%
# TensorFlow 2.21 on the same weights, by ``mtcnn.MTCNN().detect_faces``, found the face below. The
# networks agree to six digits; crops are scaled in another way, which moves a box by some pixels.
# Such things matter: with bilinear crops, a fold of the suit is a face, too, by 86 %.

theirs = np.array([181.6, 63.7, 264.6, 171.1])
their_points = np.array([[203.5, 245.4, 224.2, 201.8, 244.4], [100.1, 102.2, 126.4, 138.6, 140.4]])
print(f"Found: {len(faces)}, sure by {scores[0]:.2%}; TensorFlow by 99.91%")
off = np.abs(faces[0] - theirs).max()
print(f"Its box: {faces[0].round(1)}, {off:.1f} pixels off TensorFlow's at most")
off = np.abs(points[0] - their_points).max()
print(f"Eyes, nose and mouth: {off:.1f} pixels off at most")
