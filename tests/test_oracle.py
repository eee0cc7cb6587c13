"""The oracles themselves, against loops over the definition."""

import numpy as np
import pytest

import oracle
from samples import PADDING_MODES, noise, whole


@pytest.mark.parametrize("padding_mode", PADDING_MODES)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_conv(rng, rank, padding_mode):
    x, b = whole(rng, 2, 2, *(5, 4, 3)[:rank]), whole(rng, 4)
    w = whole(rng, 4, 1, *(3, 1, 2)[:rank])
    for geometry in [
        {},
        {"stride": 2, "padding": 1},
        {"stride": (3, 1, 2)[:rank], "dilation": (1, 3, 2)[:rank], "padding": 2},
        {"padding": ((0, 11), (7, 1), (2, 3))[:rank], "dilation": 2},
    ]:
        geometry = {"groups": 2, "padding_mode": padding_mode, **geometry}
        expected = oracle.naive_conv(x, w, b, **geometry)
        np.testing.assert_array_equal(oracle.conv(x, w, b, **geometry), expected)
        np.testing.assert_array_equal(oracle.conv(x[0], w, b, **geometry), expected[0])


@pytest.mark.parametrize("padding_mode", PADDING_MODES)
def test_padding_modes_on_one_sample(rng, padding_mode):
    x, w = whole(rng, 1, 1, 1), whole(rng, 1, 1, 3)
    for pads in [(0, 2), (3, 4)]:
        geometry = {"padding": (pads,), "padding_mode": padding_mode}
        expected = oracle.naive_conv(x, w, **geometry)
        np.testing.assert_array_equal(oracle.conv(x, w, **geometry), expected)


def test_same_padding_is_the_least_that_gives_every_output(rng):
    for n, k, s, d in np.ndindex(12, 5, 5, 3):
        n, k, s, d = int(n) + 1, int(k) + 1, int(s) + 1, int(d) + 1
        outputs, total = -(-n // s), 0
        while (n + total - d * (k - 1) - 1) // s + 1 < outputs:
            total += 1
        expected = [(total // 2, total - total // 2)]
        assert oracle.pad_widths("same", [n], [k], [s], [d]) == expected
        x, w = np.ones((1, 1, n)), np.ones((1, 1, k))
        assert oracle.conv(x, w, stride=s, padding="same", dilation=d).shape[2] == outputs


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_conv_transpose(rng, rank):
    x, b = whole(rng, 2, 4, *(4, 3, 2)[:rank]), whole(rng, 6)
    w = whole(rng, 4, 3, *(3, 1, 2)[:rank])
    for geometry in [
        {},
        {"stride": 2, "padding": 1, "output_padding": 1},
        {"stride": (3, 1, 2)[:rank], "dilation": 2, "output_padding": (2, 1, 0)[:rank]},
        {"stride": 4, "padding": (2, 0, 1)[:rank], "dilation": (1, 3, 2)[:rank]},
    ]:
        geometry = {"groups": 2, **geometry}
        expected = oracle.naive_conv_transpose(x, w, b, **geometry)
        np.testing.assert_array_equal(oracle.conv_transpose(x, w, b, **geometry), expected)
        np.testing.assert_array_equal(oracle.conv_transpose(x[0], w, b, **geometry), expected[0])


def test_nothing_to_sum(rng):
    b = noise(rng, 3)
    expected = np.broadcast_to(b[:, np.newaxis], (2, 3, 5))
    np.testing.assert_array_equal(oracle.conv(np.ones((2, 0, 5)), np.ones((3, 0, 1)), b), expected)
    assert oracle.conv(np.ones((0, 4, 5)), np.ones((3, 4, 2)), b).shape == (0, 3, 4)


def test_pointwise_is_a_matrix_product(rng):
    x, w, b = whole(rng, 2, 4, 3, 5), whole(rng, 6, 4), whole(rng, 6)
    expected = np.einsum("mc,nchw->nmhw", w, x) + b[:, np.newaxis, np.newaxis]
    np.testing.assert_array_equal(oracle.pointwise_conv(x, w, b), expected)
    np.testing.assert_array_equal(oracle.pointwise_conv(x[:, :, 0, 0], w, b), expected[:, :, 0, 0])
    np.testing.assert_array_equal(oracle.pointwise_conv(x, w[:, :, None, None], b), expected)


def test_flattened_is_a_convolution_with_the_outer_product(rng):
    x, b = whole(rng, 2, 4, 6, 7), whole(rng, 5)
    lateral, vertical, horizontal = whole(rng, 5, 4), whole(rng, 5, 3), whole(rng, 5, 2)
    outer = np.einsum("fc,fi,fj->fcij", lateral, vertical, horizontal)
    geometry = {"stride": (2, 1), "padding": ((1, 2), (0, 1)), "dilation": (1, 2)}
    np.testing.assert_array_equal(
        oracle.flattened_conv2d(x, lateral, vertical, horizontal, b, **geometry),
        oracle.naive_conv(x, outer, b, **geometry),
    )


def test_line_weights_may_have_three_shapes(rng):
    x, v, h = whole(rng, 2, 3, 6, 7), whole(rng, 4), whole(rng, 3)
    outer = np.broadcast_to(np.outer(v, h), (3, 1, 4, 3))
    expected = oracle.naive_conv(x, outer, groups=3)
    rows, columns = np.tile(v, (3, 1)), np.tile(h, (3, 1))
    for weights in [
        (v, h),
        (rows, columns),
        (rows[:, None, :, None], columns[:, None, None, :]),
    ]:
        np.testing.assert_array_equal(oracle.spatially_separable_conv2d(x, *weights), expected)


@pytest.mark.parametrize("stride", [1, 3])
def test_parallel_flattened_is_the_sum_of_two_convolutions(rng, stride):
    x, vertical, horizontal = whole(rng, 2, 3, 6, 7), whole(rng, 5, 3, 3, 1), whole(rng, 5, 3, 1, 5)
    for padding, tall, wide in [
        ("same", "same", "same"),
        ((1, 2), (1, 0), (0, 2)),
        ((2, 3), (2, 1), (1, 3)),
    ]:
        expected = oracle.conv(x, vertical, stride=stride, padding=tall)
        expected += oracle.conv(x, horizontal, stride=stride, padding=wide)
        actual = oracle.parallel_flattened_conv2d(
            x, vertical, horizontal, padding=padding, stride=stride
        )
        np.testing.assert_array_equal(actual, expected)


def test_shuffle():
    x = np.arange(4).reshape(1, 4, 1)
    assert oracle.channel_shuffle(x, 2).ravel().tolist() == [0, 2, 1, 3]
