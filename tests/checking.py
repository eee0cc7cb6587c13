"""Call a function of fastconv and its oracle, and compare."""

import math

import numpy as np

import fastconv
import oracle


def check(name, *operands, exact=False, out=None, method=None, **options):
    """Return what the function called `name` returns, once its oracle has approved of it.

    Also checked: the result is a plain array of the promised dtype, or `out` itself, and the
    operands are what they were.
    """
    arrays = leaves(operands)
    before = [np.array(array) for array in arrays]
    choices = {"out": out, "method": method}
    keywords = {**options, **{name: value for name, value in choices.items() if value is not None}}

    actual = getattr(fastconv, name)(*operands, **keywords)

    assert type(actual) is np.ndarray
    assert actual.dtype == result_dtype(*arrays)
    assert out is None or actual is out
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy, f"{name} changed an operand")
        assert not np.may_share_memory(actual, array)
    if method == "fft":
        compare_norms(actual, getattr(oracle, name), operands, options)
    else:
        compare(actual, getattr(oracle, name), operands, options, exact)
    return actual


def compare(actual, reference, operands, options, exact=False):
    """`actual` is reference(*operands, **options) up to rounding, or exactly.

    A sum of K products in any order is off by at most K + 1 roundings of eps / 2, each relative
    to the sum of the absolute products; the float64 reference doubles that. K is the reference
    of ones, the sum of the absolute products is the reference of absolute values. A composition
    of several sums has no more roundings than that, but for one of each pass.
    """
    expected = reference(*operands, **options)
    assert actual.shape == expected.shape
    limit = 2 / np.finfo(actual.dtype).eps
    surely = exact and surely_below(limit, reference, operands)
    magnitude = 0 if surely else reference(*each(np.abs, operands), **options)
    if exact:
        assert np.max(magnitude, initial=0) < limit, "not exact in this dtype"
        np.testing.assert_array_equal(actual, expected)
        return
    terms = numbers_of_terms(reference, operands, options)
    allowed = np.finfo(actual.dtype).eps * (terms + 4) * magnitude
    excess = np.abs(actual - expected) - allowed
    wrong = ~(excess <= 0)
    assert not wrong.any(), (
        f"{np.count_nonzero(wrong)} of {wrong.size} elements are wrong, the first at "
        f"{tuple(map(int, np.argwhere(wrong)[0]))}: {actual[wrong][0]}, not {expected[wrong][0]} "
        f"(within {allowed[wrong][0]})"
    )


def numbers_of_terms(reference, operands, options):
    """How many products each sum has; those of a convolution are the same for all channels."""
    x, w, *biases = each(np.ones_like, operands)
    if not reference.__name__.startswith("conv"):
        return reference(x, w, *biases, **options)
    rank = w.ndim - 2
    inputs = x.shape[-rank - 1] // options.get("groups", 1)
    x = x[(slice(0, 1), slice(0, inputs)) if x.ndim == rank + 2 else slice(0, inputs)]
    w = w[:1] if reference is oracle.conv else w[:inputs, :1]
    return reference(x, w, *(b if b is None else b[:1] for b in biases), **{**options, "groups": 1})


def surely_below(limit, reference, operands):
    """Whether no sum of absolute products can reach the limit, seen without adding them up."""
    if not reference.__name__.startswith("conv"):
        return False
    x, w, b = (*(np.abs(np.asarray(a, float)) for a in operands if a is not None), np.zeros(1))[:3]
    return w.sum() * x.max(initial=0) + b.max(initial=0) < limit


def compare_norms(actual, reference, operands, options):
    """`actual` is reference(*operands, **options) within what docs/accuracy.md says of 'fft'.

    It says so of each block that goes through a transform. Blocks are not seen from here, but
    the whole padded image has no smaller norm and, along each axis, half as many elements.
    """
    expected = reference(*operands, **options)
    assert actual.shape == expected.shape
    x, w, b = (*(np.asarray(a, np.float64) for a in operands), np.zeros(1))[:3]
    rank = w.ndim - 2
    stride, dilation = (oracle.per_axis(options.get(n, 1), rank) for n in ("stride", "dilation"))
    sizes = x.shape[-rank:]
    pads = oracle.pad_widths(options.get("padding", 0), sizes, w.shape[2:], stride, dilation)
    mode = oracle.NUMPY_MODES[options.get("padding_mode", "zeros")]
    x = np.pad(x, [(0, 0)] * (x.ndim - rank) + pads, mode=mode)
    norms = np.linalg.norm(x) * np.linalg.norm(w.reshape(len(w), -1), axis=1).max(initial=0)
    elements = math.prod(2 * n for n in x.shape[-rank:])
    allowed = (10 * np.log2(elements) + w.shape[1]) * norms + np.abs(b).max(initial=0)
    error = np.abs(actual - expected).max(initial=0)
    assert error <= np.finfo(actual.dtype).eps * allowed


def result_dtype(*arrays):
    """NumPy's promotion, then float64 instead of an integer."""
    dtype = np.result_type(*arrays)
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def each(function, operands):
    """The operands, each through `function`; absent ones and tuples of biases stay such."""

    def one(operand):
        if operand is None:
            return None
        return each(function, operand) if isinstance(operand, tuple) else function(operand)

    return tuple(map(one, operands))


def leaves(operands):
    """All arrays among the operands."""
    found = []
    each(found.append, operands)
    return found
