"""What the functions are called with: values, memory layouts, and one problem for each of them."""

from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

DTYPES = (np.float32, np.float64)
PADDING_MODES = ("zeros", "reflect", "replicate", "circular", "symmetric")


# Values


def noise(rng, *shape, dtype=np.float32):
    return rng.standard_normal(shape).astype(dtype)


def whole(rng, *shape, dtype=np.float32):
    """Integers so small that no sum of them is ever rounded."""
    return rng.integers(-8, 9, shape).astype(dtype)


# Memory layouts: each takes an array and returns its values in another kind of view. The memory
# in between is NaN, so that whoever reads it is found out.


def reversed_axes(array):
    return np.flip(np.flip(array).copy())


def every_other(array):
    buffer = np.full([2 * n + 1 for n in array.shape], np.nan, array.dtype)
    view = buffer[tuple(slice(1, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def crop(array):
    buffer = np.full([n + 3 for n in array.shape], np.nan, array.dtype)
    view = buffer[tuple(slice(1, n + 1) for n in array.shape)]
    view[...] = array
    return view


def channels_last(array):
    axis = min(1, array.ndim - 1)
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, axis, -1)), -1, axis)


def transposed(array):
    return array.T.copy().T


def unaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
    view = raw.view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def root(view):
    """The array that owns the memory of `view`."""
    while view.base is not None:
        view = view.base
    return view


WRITEABLE_VIEWS = (np.copy, reversed_axes, every_other, crop, channels_last, transposed)
VIEWS = (*WRITEABLE_VIEWS, unaligned, read_only)


# Problems that hypothesis draws


def drawn(problems, examples):
    """Run test(name, operands, exact, options) on (name, [(shape, view)], options) as drawn.

    The input comes first, with an axis for images that may be left out; values may be such
    that all sums are exact.
    """

    def decorate(test):
        def run(problem, values, dtype, batched, seed):
            name, shapes, options = problem
            rng = np.random.default_rng(seed)
            x, *rest = (view(values(rng, *shape, dtype=dtype)) for shape, view in shapes)
            test(name, [x if batched else x[0], *rest], values is whole, options)

        run.__name__, run.__qualname__ = test.__name__, test.__qualname__
        run.__module__, run.__doc__ = test.__module__, test.__doc__
        return settings(max_examples=examples)(
            given(
                problem=problems,
                values=st.sampled_from([noise, whole]),
                dtype=st.sampled_from(DTYPES),
                batched=st.booleans(),
                seed=st.integers(0, 2**32 - 1),
            )(run)
        )

    return decorate


# One problem for each function


class Problem(NamedTuple):
    name: str
    rank: int
    channels: int
    shapes: tuple
    options: dict

    def __str__(self):
        return self.name

    def operands(self, rng, batch, size, values=noise, dtype=np.float32):
        """Input, weights and bias; the spatial axes of the input are size, size + 1, ..."""
        spatial = range(size, size + self.rank)
        shapes = ((batch, self.channels, *spatial), *self.shapes)
        return [values(rng, *shape, dtype=dtype) for shape in shapes]


def _problems():
    up = {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}
    for rank in (1, 2, 3):
        kernel = (3, 2, 4)[:rank]
        lines = [(6, k) for k in kernel]
        around = {"padding": tuple((k - 1, 1) for k in kernel)}
        for name, rest, options in [
            ("conv", [(6, 2, *kernel), (6,)], {**around, "groups": 2, "padding_mode": "reflect"}),
            ("conv_transpose", [(4, 3, *kernel), (6,)], up),
            ("depthwise_conv", [(8, 1, *kernel), (8,)], {**around, "stride": 2}),
            ("separable_conv", [(8, 1, *kernel), (6, 8), (6,)], {**around, "dilation": 2}),
            ("shuffled_grouped_conv", [(6, 2, *kernel), (6,)], {**around, "groups": 2}),
            ("flattened_conv", [(6, 4), *lines, (6,)], around),
        ]:
            yield Problem(f"{name}{rank}d", rank, 4, tuple(rest), options)
    yield Problem("conv", 2, 4, ((6, 4, 3, 3), (6,)), {"stride": (1, 2), "padding": "same"})
    yield Problem("conv_transpose", 2, 4, ((4, 6, 3, 3), (6,)), {"stride": (3, 2)})
    yield Problem("pointwise_conv", 2, 4, ((6, 4), (6,)), {})
    yield Problem("spatially_separable_conv2d", 2, 4, ((4, 3), (4, 5), (4,)), {"padding": 2})
    yield Problem("spatially_separable_conv3d", 3, 4, ((2,), (3,), (5,), (4,)), {"padding": 2})
    yield Problem("parallel_flattened_conv2d", 2, 4, ((6, 4, 3, 1), (6, 4, 1, 5), (6,)), {})


PROBLEMS = tuple(_problems())
EVERY_PROBLEM = {"argvalues": PROBLEMS, "ids": str}
