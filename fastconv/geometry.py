"""All shape arithmetic: sizes, padding, phases. Nothing here sees an array.

An axis is described by its size, kernel size k, stride s, dilation d and its padding
(before, after). Output o of an axis sees the input at  o*s + t  for the *taps* t = k'*d -
before, k' = 0 .. k-1; where that falls outside the input, the border mode decides.
"""

import itertools
import math
import operator
from collections.abc import Sequence

#: Border modes in the order of kernels.pyx, with NumPy's name for the same padding.
PADDING_MODES = {
    "zeros": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
    "symmetric": "symmetric",
}
LARGEST = 2**62


def integer(name, value, minimum):
    """`value` as an int of at least `minimum`."""
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    try:
        result = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name} must be an integer, got {value!r} ({type(value).__name__})"
        ) from None
    if result < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {result}")
    if result > LARGEST:
        raise ValueError(f"{name} is too large: {result}")
    return result


def _is_sequence(value):
    return isinstance(value, Sequence) and not isinstance(value, str)


def per_axis(name, value, rank, minimum) -> tuple[int, ...]:
    """`value`, one integer or one for each axis, as a tuple of `rank` integers."""
    if not _is_sequence(value):
        return (integer(name, value, minimum),) * rank
    if len(value) not in (1, rank):
        raise ValueError(
            f"{name} must be an integer or one for each of the {rank} spatial axes, got {value!r}"
        )
    values = tuple(integer(name, v, minimum) for v in value)
    return values * rank if len(values) == 1 else values


def _same_padding(size, kernel, stride, dilation):
    total = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return total // 2, total - total // 2


def padding_pairs(padding, sizes, kernel, stride, dilation):
    """`padding` in any of its forms as one (before, after) pair for each axis."""
    rank = len(sizes)
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * rank
        if padding == "same":
            return tuple(map(_same_padding, sizes, kernel, stride, dilation))
        raise ValueError(f"padding must be numbers, 'valid' or 'same', got {padding!r}")
    if not _is_sequence(padding):
        return ((integer("padding", padding, 0),) * 2,) * rank
    if len(padding) not in (1, rank):
        raise ValueError(
            f"padding must be an integer, one for each of the {rank} spatial axes, a (before, "
            f"after) pair for each of them, 'valid' or 'same', got {padding!r}"
        )
    pairs = []
    for amount in padding:
        if _is_sequence(amount):
            if len(amount) != 2:
                raise ValueError(
                    f"padding must hold (before, after) pairs, got {amount!r} in {padding!r}"
                )
            pairs.append(tuple(integer("padding", a, 0) for a in amount))
        else:
            pairs.append((integer("padding", amount, 0),) * 2)
    return tuple(pairs) * (rank if len(pairs) == 1 else 1)


def border(padding_mode):
    """The kernels' number of a border mode."""
    try:
        return list(PADDING_MODES).index(padding_mode)
    except ValueError:
        raise ValueError(
            f"padding_mode must be one of {', '.join(map(repr, PADDING_MODES))}, "
            f"got {padding_mode!r}"
        ) from None


def check_kernel(name, kernel):
    if 0 in kernel:
        raise ValueError(f"{name} has an empty kernel: its spatial shape is {tuple(kernel)}")


def check_total(shape, itemsize):
    """Refuse a result whose bytes cannot be counted in a machine word."""
    if math.prod(shape) * itemsize > LARGEST:
        raise ValueError(f"the output would be too large: shape {shape}")


def output_sizes(sizes, kernel, stride, pairs, dilation):
    """Output sizes of a convolution."""
    padded = tuple(n + before + after for n, (before, after) in zip(sizes, pairs, strict=True))
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    if any(e > p for e, p in zip(extent, padded, strict=True)):
        raise ValueError(
            f"weight is larger than the padded input: kernel {kernel} with dilation {dilation} "
            f"covers {extent}, the input {sizes} with padding {pairs} is {padded}"
        )
    if max(padded, default=0) > LARGEST:
        raise ValueError(f"padding makes the input too large: {padded}")
    return tuple((p - e) // s + 1 for p, e, s in zip(padded, extent, stride, strict=True))


def check_border(sizes, pairs, padding_mode):
    if padding_mode != "zeros":
        for size, pair in zip(sizes, pairs, strict=True):
            if size == 0 and any(pair):
                raise ValueError(
                    f"padding_mode {padding_mode!r} cannot pad an empty axis: the input is {sizes}"
                )


def transposed_sizes(sizes, kernel, stride, padding, output_padding, dilation):
    """Output sizes of a transposed convolution."""
    for extra, s, d in zip(output_padding, stride, dilation, strict=True):
        if extra >= max(s, d):
            raise ValueError(
                "output_padding must be smaller than stride or dilation, got output_padding "
                f"{output_padding}, stride {stride}, dilation {dilation}"
            )
    result = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + extra + 1
        for n, k, s, p, extra, d in zip(
            sizes, kernel, stride, padding, output_padding, dilation, strict=True
        )
    )
    if 0 in sizes or min(result) < 1:
        raise ValueError(
            f"the input {sizes} is too small: with kernel {kernel}, stride {stride}, padding "
            f"{padding}, output_padding {output_padding} and dilation {dilation} the output "
            f"would be {result}"
        )
    return result


def conv_taps(kernel, pairs, dilation):
    """The taps of a kernel along each axis, as seen from output 0."""
    return [
        [k * d - before for k in range(size)]
        for size, d, (before, _) in zip(kernel, dilation, pairs, strict=True)
    ]


def transposed_phases(size, kernel, stride, padding, dilation):
    """The phases of one axis of a transposed convolution that some tap reaches.

    Output o = j*s + phase sees input (o + p - k*d) / s for the k that divide: a stride-1
    correlation over j with taps (phase + p - k*d) / s.

    Returns
    -------
    list of (phase, count, [(k, tap), ...])
        with `count` the number of outputs o < `size` of that phase.
    """
    phases = {}
    for k in range(kernel):
        phase = (k * dilation - padding) % stride
        if phase < size:
            tap = (phase + padding - k * dilation) // stride
            phases.setdefault(phase, []).append((k, tap))
    return [(phase, -(-(size - phase) // stride), taps) for phase, taps in sorted(phases.items())]


def within(first, step, count, size):
    """Which of the places first, first + step, .. (so many) lie on an axis of `size`.

    Returns
    -------
    (start, stop)
        of the range of those numbers; what is before or after it is padding.
    """
    start = min(max(-(first // step), 0), count)
    return start, min(max(-((first - size) // step), start), count)


def padded_from(place, size, border):
    """Which element of an axis of `size` a border mode, not zeros, puts at `place`.

    By arithmetic alone, so that `place` may be an integer or an array of them.
    """
    last = size - 1
    match list(PADDING_MODES)[border]:
        case "reflect":
            return last - abs(last - place % max(2 * last, 1))
        case "replicate":
            return (abs(place) - abs(place - last) + last) // 2
        case "circular":
            return place % size
        case "symmetric":
            return (2 * size - 1 - abs(2 * size - 1 - 2 * (place % (2 * size)))) // 2
    raise ValueError(f"border {border} repeats nothing of the axis")


def fast_length(least):
    """The smallest number from `least` on that has no prime factor beyond 5.

    That of scipy.fft.next_fast_len for real data, for estimates that are not to import SciPy.
    """
    best = 1 << max(least - 1, 0).bit_length()
    fives = 1
    while fives < best:
        threes = fives
        while threes < best:
            best = min(best, threes << max(-(-least // threes) - 1, 0).bit_length())
            threes *= 3
        fives *= 5
    return best


def product(axes):
    """All combinations of one item from each axis, the last axis fastest."""
    return list(itertools.product(*axes))


def is_run(sizes, strides, size):
    """Whether axes of these sizes are one run of memory."""
    runs = itertools.accumulate(sizes[:0:-1], initial=size, func=operator.mul)
    return all(
        n == 1 or stride == run
        for n, stride, run in zip(sizes[::-1], strides[::-1], runs, strict=True)
    )
