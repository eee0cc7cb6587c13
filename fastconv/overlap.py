"""Convolutions of large arrays with large kernels: products of spectra, block by block.

The wanted part of a full convolution is cut into blocks, each computed from the piece of the
array that it sees (overlap-save). One block is the textbook's FFT convolution. The engine has
such a method, too, for many channels; its plan lists the taps, which takes longer than the
convolution where they are many thousands.

A. What a transform leaves wrapped around is not stored, so its length need not cover that.
B. Transforms go axis by axis: forward over what is not yet known to be zero, back over what
   is still wanted.
C. Blocks of a single axis go through a transform side by side: scipy.fft takes several lines
   at a time into vector registers, which is three times as fast.
D. A long line for which the cache has no room beside others is folded into a matrix, whose
   columns and rows are transformed in turn, which are many lines again [1]_.
E. The cut depends on shapes and dtype alone, so that the number of threads changes no bit.

.. [1] D. H. Bailey, "FFTs in external or hierarchical memory", Journal of Supercomputing 4,
   1990. https://doi.org/10.1007/BF00162341
"""

import cmath
import functools
import itertools
import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

from fastconv.correlation import real_of
from fastconv.engine import fourier
from fastconv.engine.threads import get_num_threads
from fastconv.geometry import fast_length

#: Bytes that go through a transform together, to stay in the cache.
_TOGETHER = 1 << 20
#: Points of a transform that are worth more than one thread, and those of all blocks.
_WORTH_THREADS = 1 << 19
_WORTH_SHARING = 1 << 17
#: Points of a line that is worth folding.
_FOLDED = 1 << 15
#: Microseconds of calls into SciPy and NumPy: for a convolution, and for each of its blocks.
_CALL, _BLOCK = 25.0, 30.0
#: What a line takes alone to what it takes beside enough others, by the dtype's character.
_ALONE = {"f": 2.5, "d": 1.9, "F": 1.9, "D": 1.4}


# ---- What it costs ------------------------------------------------------------------


def _microseconds(lengths, dtype, lines):
    """Of the transforms of a block there and back, in one thread, `lines` of them together."""
    points, itemsize = math.prod(lengths), dtype.itemsize
    nanoseconds = 0.08 * itemsize**0.75
    # Beyond the cache each step takes longer.
    beyond = math.log2(max(points * itemsize / _TOGETHER, 1))
    if len(lengths) > 1:
        nanoseconds *= 1 + 0.4 * max(beyond - 0.3, 0)
    elif _folds(lengths, dtype, lines):
        nanoseconds *= 1.3 + 0.1 * beyond
    else:
        alone = 1 if _fills(lengths, dtype, lines) else _ALONE[dtype.char]
        nanoseconds *= alone * (1 + 0.6 * beyond)
    return points * (2 * nanoseconds * math.log2(max(points, 2)) + itemsize / 8) / 1000


def _fills(lengths, dtype, lines):
    """Whether there are lines side by side enough to fill the vectors of scipy.fft."""
    return len(lengths) > 1 or lines * real_of(dtype).itemsize >= 16


def _folds(lengths, dtype, lines):
    """Whether a single line is folded, because it is long and cannot have enough beside it."""
    return not _fills(lengths, dtype, lines) and lengths[0] >= _FOLDED


def _together(length, itemsize):
    """Blocks of one axis that go through a transform side by side."""
    return max(_TOGETHER // (length * itemsize), 1)


def _side_by_side(blocks, length, itemsize):
    """Of so many blocks of one axis those that go together: parts that threads can share evenly."""
    most = _together(length, itemsize)
    if blocks <= most or most < 8:
        return min(blocks, most)
    parts = -(-blocks // most // 4) * 4
    # scipy.fft takes up to four lines into a vector.
    return -(-blocks // parts // 4) * 4


def _length(least):
    """The next length that is fast; as a matrix, too, whose rows are to be on other cache lines."""
    length = fast_length(least)
    return fast_length(length + 1) if length >= _FOLDED and length % 4096 == 0 else length


def _candidates(size, taps, first, count):
    """Outputs of a block along one axis, and the length of its transform, to choose from."""
    shorter = {_length(n * taps) for n in (2, 3, 4, 6, 8, 16, 32)}
    shorter |= {max(length, 1 << 10) for length in shorter} if taps > 1 else set()
    cuts = [(length - taps + 1, length) for length in shorter if length - taps + 1 < count]
    low, high = max(first - taps + 1, 0), min(first + count, size)
    start = first - low
    least = max(start + count, high - low + taps - 1 - start, high - low, taps)
    return [*cuts, (count, _length(least))]


@functools.lru_cache(1024)
def plan(sizes, taps, first, counts, dtype, beside=1):
    """How to cut: microseconds by estimate, (outputs of a block, length) for each axis, folded.

    Everything is a tuple with a number for each axis, but for the dtype, how many such
    convolutions there are beside each other, of which the time is that of one, and whether lines
    are folded.
    """
    best, itemsize = (math.inf, None, False), dtype.itemsize
    axes = map(_candidates, sizes, taps, first, counts)
    for cut in itertools.product(*axes):
        lengths = [length for _, length in cut]
        blocks = math.prod(-(-n // block) for (block, _), n in zip(cut, counts, strict=True))
        lines = _side_by_side(blocks, lengths[0], itemsize) if len(cut) == 1 else 1
        calls = -(-blocks // lines)
        part = min(_together(math.prod(lengths), itemsize), beside)
        lines *= part
        time = _CALL / beside + _BLOCK * calls / part
        time += blocks * _microseconds(lengths, dtype, lines)
        # The kernel's own, which has no other beside it.
        time += 0.5 * _microseconds(lengths, dtype, 1)
        best = min(best, (time, cut, _folds(lengths, dtype, lines)))
    return best


# ---- What it does -------------------------------------------------------------------


def convolve(array, kernel, out, first):
    """A part of the full convolution over the last axes; the others broadcast.

    Parameters
    ----------
    array, kernel : ndarray
        Of the same rank and dtype: float32, float64, complex64 or complex128.
    out : ndarray
        Of the same rank and dtype: where the wanted part goes.
    first : tuple of int
        Its first output in the full convolution, along each of the last axes.

    Returns
    -------
    bool
        Whether all is finite. If not, it would spoil whole blocks, and `out` is not finished.
    """
    rank = len(first)
    sizes, taps, counts = (a.shape[-rank:] for a in (array, kernel, out))
    others = out.shape[:-rank]
    _, cut, folded = plan(sizes, taps, first, counts, array.dtype, math.prod(others))
    lengths = tuple(length for _, length in cut)
    work = _blocks
    if rank == 1 and cut[0][0] < counts[0]:
        work, kernel = _lines, kernel[..., None, :]
    # Where there is much beside these axes, a part of it after the other.
    parts = [...]
    if others:
        each = math.prod(others[1:]) * math.prod(lengths) * array.itemsize
        step = max(_TOGETHER // each, 1)
        parts = [slice(i, i + step) for i in range(0, others[0], step)]
    transforms = None
    with np.errstate(all="ignore"):
        for part in parts:
            one, two, into = (
                a if part is ... or a.shape[0] == 1 else a[part] for a in (array, kernel, out)
            )
            if transforms is None or two is not kernel:
                transforms = (_Folded if folded else _Transforms)(two, lengths)
            if not work(one, transforms, taps, first, cut, into):
                return False
    return True


class _Transforms:
    """Transforms of such lengths over the last axes, and what the kernel's is."""

    def __init__(self, kernel, lengths):
        # Only here, so that `import fastconv` does not wait for it.
        import scipy.fft

        self.fft = scipy.fft
        self.lengths = lengths
        self.complex = kernel.dtype.kind == "c"
        self.single = math.prod(kernel.shape[: -len(lengths)]) == 1
        self.spectrum = self.forward(kernel)

    def _workers(self, array):
        return get_num_threads() if array.size >= _WORTH_THREADS else 1

    def forward(self, array):
        """The spectrum of an array with zeros after it."""
        transform = self.fft.fft if self.complex else self.fft.rfft
        workers = self._workers(array)
        spectrum = transform(array, self.lengths[-1], workers=workers)
        for axis in range(-2, -len(self.lengths) - 1, -1):
            spectrum = self.fft.fft(
                spectrum, self.lengths[axis], axis, overwrite_x=True, workers=workers
            )
        return spectrum

    def inverse(self, spectrum, wanted):
        """Those elements of what has this spectrum; `wanted` is a slice for each axis."""
        workers = self._workers(spectrum)
        rank = len(self.lengths)
        for axis in range(-rank, -1):
            spectrum = self.fft.ifft(spectrum, axis=axis, overwrite_x=True, workers=workers)
            spectrum = spectrum[(..., wanted[axis], *(slice(None),) * (-axis - 1))]
        if self.complex:
            result = self.fft.ifft(spectrum, overwrite_x=True, workers=workers)
        else:
            result = self.fft.irfft(spectrum, self.lengths[-1], workers=workers)
        return result[..., wanted[-1]]

    def through(self, array, wanted):
        """Those elements of its convolution with the kernel."""
        spectrum = self.forward(array)
        # In place, unless the array is broadcast to many kernels.
        into = spectrum if self.single else None
        spectrum = np.multiply(spectrum, self.spectrum, out=into)
        return self.inverse(spectrum, wanted)


class _Folded(_Transforms):
    """The same of a long line as a matrix: of its columns, then, turned, of its rows.

    The spectrum is left as it lies there, in an order of its own.
    """

    def __init__(self, kernel, lengths):
        (length,) = lengths
        self.rows = _rows(length)
        self.columns = length // self.rows
        # Columns of real numbers have the second half of their spectra in the first.
        kept = self.rows if kernel.dtype.kind == "c" else self.rows // 2 + 1
        self.turns = np.empty((kept, self.columns), np.result_type(kernel, np.complex64))
        _turn(self.turns, length)
        super().__init__(kernel, lengths)

    def forward(self, array):
        transform = self.fft.fft if self.complex else self.fft.rfft
        workers = self._workers(array)
        (length,), size = self.lengths, array.shape[-1]
        if size < length:
            array, given = np.zeros((*array.shape[:-1], length), array.dtype), array
            array[..., :size] = given
        matrix = array.reshape(*array.shape[:-1], self.rows, self.columns)
        spectrum = transform(matrix, axis=-2, workers=workers)
        spectrum *= self.turns
        return self.fft.fft(spectrum, overwrite_x=True, workers=workers)

    def inverse(self, spectrum, wanted):
        workers = self._workers(spectrum)
        spectrum = self.fft.ifft(spectrum, overwrite_x=True, workers=workers)
        spectrum *= self.turns.conj()
        transform = self.fft.ifft if self.complex else self.fft.irfft
        result = transform(spectrum, self.rows, axis=-2, overwrite_x=True, workers=workers)
        return result.reshape(*result.shape[:-2], *self.lengths)[..., wanted[-1]]


@functools.lru_cache(1024)
def _rows(length):
    """A square as nearly as it can be, with a pitch that is no multiple of 64 points if it can."""
    divisors = [n for n in range(1, math.isqrt(length) + 1) if length % n == 0]
    good = [n for n in divisors if length // n % 64 and 4 * n * n > length]
    return max(good or divisors)


def _turn(turns, length):
    """Fill in exp(-2 pi i j k / length) for row j and column k, from few of them."""
    rows, columns = turns.shape
    near = math.isqrt(columns)
    angles = -2j * np.pi / length * np.arange(rows)[:, None]
    fine = np.exp(angles * np.arange(near))
    for k in range(0, columns, near):
        part = turns[:, k : k + near]
        np.multiply(fine[:, : part.shape[1]], np.exp(angles * k), out=part, casting="same_kind")


def _shared(work, jobs, points):
    """Whether work(job) is true of all jobs, each of so many points, which threads share."""
    jobs = list(jobs)
    threads = get_num_threads() if len(jobs) * points >= _WORTH_SHARING else 1
    done = []

    def one(job):
        done.append(work(job))

    def elsewhere(job):
        # Other threads have a state of their own.
        with np.errstate(all="ignore"):
            one(job)

    threads = min(threads, len(jobs))
    fourier.share(one if threads == 1 else elsewhere, ((job,) for job in jobs), threads)
    return all(done)


def _blocks(array, transforms, taps, first, cut, out):
    """Block after block of any rank; whether all of it is finite."""
    rank = len(cut)
    sizes, counts = array.shape[-rank:], out.shape[-rank:]

    def work(begin):
        into, seen, wanted = [], [], []
        for b, f, n, k, size, (block, _) in zip(
            begin, first, counts, taps, sizes, cut, strict=True
        ):
            end = min(b + block, n)
            low = max(f + b - k + 1, 0)
            into.append(slice(b, end))
            seen.append(slice(low, min(f + end, size)))
            wanted.append(slice(f + b - low, f + end - low))
        result = transforms.through(array[(..., *seen)], wanted)
        out[(..., *into)] = result
        return cmath.isfinite(result.sum())

    ranges = (range(0, n, block) for n, (block, _) in zip(counts, cut, strict=True))
    return _shared(work, itertools.product(*ranges), math.prod(transforms.lengths))


def _lines(array, transforms, taps, first, cut, out):
    """Blocks of one axis side by side; whether all of it is finite."""
    (taps,), (first,), ((block, length),) = taps, first, cut
    size, count = array.shape[-1], out.shape[-1]
    together = _side_by_side(-(-count // block), length, array.itemsize)

    def work(begin):
        blocks = min(together, -(-(count - begin) // block))
        low = first + begin - taps + 1
        high = low + (blocks - 1) * block + length
        piece = array[..., max(low, 0) : min(high, size)]
        if low < 0 or high > size:
            whole = np.zeros((*array.shape[:-1], high - low), array.dtype)
            whole[..., max(-low, 0) :][..., : piece.shape[-1]] = piece
            piece = whole
        shape, (*others, along) = (*piece.shape[:-1], blocks, length), piece.strides
        piece = as_strided(piece, shape, (*others, block * along, along))
        result = transforms.through(piece, (slice(taps - 1, length),))
        into = out[..., begin : begin + blocks * block]
        into[...] = result.reshape(*result.shape[:-2], -1)[..., : into.shape[-1]]
        return cmath.isfinite(result.sum())

    return _shared(work, range(0, count, together * block), together * length)
