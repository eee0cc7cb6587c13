"""The examples that the package was asked to run, one test each."""

import numpy as np

import fastconv
from checking import check
from samples import noise


def test_standard(rng):
    x, w, b = noise(rng, 1, 4, 5, 5), noise(rng, 8, 4, 3, 3), noise(rng, 8)
    assert check("conv2d", x, w, b, padding=1).shape == (1, 8, 5, 5)


def test_pointwise_both_ways(rng):
    x, w, b = noise(rng, 10, 64, 128, 128), noise(rng, 1, 64), noise(rng, 1)
    linear = check("pointwise_conv", x, w, b)
    kernel = fastconv.conv2d(x, w[:, :, np.newaxis, np.newaxis], b)
    assert linear.shape == (10, 1, 128, 128)
    np.testing.assert_array_equal(kernel, linear)


def test_spatially_separable(rng):
    x, row, column = noise(rng, 1, 1, 64, 64), noise(rng, 1, 1, 1, 3), noise(rng, 1, 1, 3, 1)
    assert check("conv2d", x, row, padding=(0, 1)).shape == (1, 1, 64, 64)
    assert check("conv2d", x, column, padding=(1, 0)).shape == (1, 1, 64, 64)
    assert check("conv2d", x, row).shape == (1, 1, 64, 62)
    assert check("conv2d", x, column).shape == (1, 1, 62, 64)
    y = check("spatially_separable_conv2d", x, column, row, padding=1)
    assert y.shape == (1, 1, 64, 64)


def test_depthwise(rng):
    x, w, b = noise(rng, 1, 3, 64, 64), noise(rng, 3, 1, 3, 3), noise(rng, 3)
    y = check("conv2d", x, w, b, padding=1, groups=3)
    assert y.shape == (1, 3, 64, 64)
    np.testing.assert_array_equal(check("depthwise_conv2d", x, w, b, padding=1), y)


def test_depthwise_separable(rng):
    x, depthwise = noise(rng, 1, 3, 64, 64), noise(rng, 3, 1, 3, 3)
    pointwise, b = noise(rng, 64, 3, 1, 1), noise(rng, 64)
    y = check("separable_conv2d", x, depthwise, pointwise, b, padding=1)
    assert y.shape == (1, 64, 64, 64)


def test_grouped(rng):
    x, w, b = noise(rng, 1, 4, 10, 10), noise(rng, 4, 2, 3, 3), noise(rng, 4)
    assert check("conv2d", x, w, b, padding=1, groups=2).shape == (1, 4, 10, 10)


def test_shuffled_grouped(rng):
    x, w, b = noise(rng, 1, 16, 32, 32), noise(rng, 32, 4, 3, 3), noise(rng, 32)
    y = check("shuffled_grouped_conv2d", x, w, b, padding=1, groups=4)
    assert y.shape == (1, 32, 32, 32)
    grouped = fastconv.conv2d(x, w, b, padding=1, groups=4)
    np.testing.assert_array_equal(check("channel_shuffle", grouped, 4), y)


def test_transposed(rng):
    x, w, b = noise(rng, 1, 3, 32, 32), noise(rng, 3, 6, 3, 3), noise(rng, 6)
    y = check("conv_transpose2d", x, w, b, stride=2, padding=1, output_padding=1)
    assert y.shape == (1, 6, 64, 64)


def test_dilated(rng):
    x, w, b = noise(rng, 1, 3, 32, 32), noise(rng, 6, 3, 3, 3), noise(rng, 6)
    assert check("conv2d", x, w, b, padding=2, dilation=2).shape == (1, 6, 32, 32)


def test_flattened(rng):
    x, b = noise(rng, 1, 3, 32, 32), noise(rng, 6)
    lateral, vertical, horizontal = noise(rng, 6, 3), noise(rng, 6, 3), noise(rng, 6, 3)
    y = check("flattened_conv2d", x, lateral, vertical, horizontal, b, padding=1)
    assert y.shape == (1, 6, 32, 32)


def test_parallel_flattened(rng):
    x, b = noise(rng, 1, 3, 32, 32), noise(rng, 6)
    vertical, horizontal = noise(rng, 6, 3, 3, 1), noise(rng, 6, 3, 1, 3)
    y = check("parallel_flattened_conv2d", x, vertical, horizontal, b)
    assert y.shape == (1, 6, 32, 32)
