"""Convolution by the Fourier transform, in blocks: overlap-save.

A correlation is a product of spectra, as far as it does not wrap around. So the output is
cut into blocks, each computed from the piece of the input that it sees:

    spectrum of block[m] = sum over c of  spectrum of piece[c] * conj(spectrum of w[m, c])

A. A strided axis is split into its phases, as in kernels.pyx. Each is a channel more, and
   nothing is computed that is not stored.
B. The spectra of the kernels are computed once for each call or, where they would take more
   than `SPECTRA` bytes, for a *panel* of them at a time.
C. A *unit* of work is some blocks next to each other along x, of one image and some groups.
   Its output channels go through the inverse transform in *batches*. Threads share units.
   What goes through a transform together depends on the geometry of one image alone, not on
   the batch, the threads or the machine, so that the bits do not either.
D. Transforms go axis by axis: forward over what is not yet known to be zero, back over what
   is still wanted. scipy.fft computes them in the precision of its operand, in the thread that
   calls it: its own workers would not have the arithmetic of the kernels (simd.h).
E. One element that is not finite spoils its block. `Plan.run` tells which images have such
   blocks, and the engine computes these images directly.
"""

import functools
import itertools
import math
import os
import threading
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from fastconv import geometry
from fastconv.engine import dispatch, planning

#: Bytes that go through a transform together, to stay in the cache.
TOGETHER = 1 << 20
#: Bytes that are multiplied and added up together.
PRODUCTS = 1 << 18
#: Bytes of a piece of the input, of all channels, that are not exceeded without need.
PIECE = 1 << 23
#: Bytes of spectra of kernels that are kept.
SPECTRA = 1 << 26
#: Cycles of work that are worth starting another thread.
WORTH_A_THREAD = 1_000_000


# ---- What it can do -----------------------------------------------------------------


def _lines(step):
    """The taps along each axis."""
    return [sorted({tap[a] for tap in step.taps}) for a in range(3)]


def _evenly(line):
    """From the first to the last tap by the distance of the first two."""
    return list(range(line[0], line[-1] + 1, line[1] - line[0])) if len(line) > 1 else line


def _weight_strides(step, lines):
    """The strides of the weights along each axis; None if `gather` is not made of such."""
    counts = [len(line) for line in lines]
    units = [math.prod(counts[a + 1 :]) for a in range(3)]
    strides = [step.gather[u] if n > 1 else 0 for u, n in zip(units, counts, strict=True)]
    offsets = [[s * k for k in range(n)] for s, n in zip(strides, counts, strict=True)]
    return strides if step.gather == [sum(o) for o in geometry.product(offsets)] else None


def refusal(problem):
    """Why this problem cannot be computed so; None if it can."""
    if len(problem.steps) != 1:
        return "it takes one kernel, not a chain or a fan of them"
    (step,) = problem.steps
    lines = _lines(step)
    evenly = all(line == _evenly(line) for line in lines)
    if not evenly or step.taps != geometry.product(lines) or not _weight_strides(step, lines):
        return "it takes kernels that are boxes"
    if step.groups != 1 or not step.inputs:
        return "it takes input channels, at least one for each group"
    if step.output.offset or step.output.sizes != problem.grid:
        return "it takes results without gaps"
    return None


# ---- How to cut ---------------------------------------------------------------------


class _Axis(NamedTuple):
    """One axis of the input and of the kernel.

    Each phase has its first element r and, of the kernel, which elements fall on it and at
    which places. By an element at `place`, output o sees element stride * (o + place) + r of
    the input. So a block sees `halo` places more than it has outputs.
    """

    phases: list[tuple[int, slice, slice]]
    halo: int


def _axis(line, stride):
    dilation = line[1] - line[0] if len(line) > 1 else 1
    # So many elements on, which is so many places on, is the next one of the same phase.
    apart = stride // math.gcd(stride, dilation)
    step = dilation * apart // stride
    phases = []
    for k in range(min(apart, len(line))):
        elements = slice(k, len(line), apart)
        place, phase = divmod(dilation * k, stride)
        last = place + step * (len(line[elements]) - 1)
        phases.append((line[0] + phase, elements, slice(place, last + 1, step)))
    return _Axis(phases, (line[-1] - line[0]) // stride)


def _lengths(outputs, halo):
    """Lengths of transforms worth trying: for one block, two, three, ever more of them."""
    counts = {*range(1, 13), *(int(1.25**i) for i in range(12, 64))}
    blocks = {-(-outputs // n) for n in counts}
    return sorted({geometry.fast_length(b + halo) for b in blocks if 4 * b > halo or b == outputs})


class _Cut(NamedTuple):
    """The length of the transforms along each axis, and what goes together.

    That is `row` blocks along x, so many `groups`, and a `batch` of output channels. All are
    numbers, or arrays of numbers to choose from.
    """

    lengths: tuple
    blocks: tuple
    row: int
    groups: int
    batch: int


def _cut(problem, axes, inputs, lengths):
    blocks = tuple(
        np.ceil(n / (length - axis.halo))
        for n, length, axis in zip(problem.grid, lengths, axes, strict=True)
    )
    size = math.prod(lengths) * problem.dtype.itemsize
    row = np.clip(np.minimum(TOGETHER // size, PIECE // (size * inputs)), 1, blocks[2])
    groups = np.clip(TOGETHER // (size * inputs * row), 1, problem.groups)
    batch = np.clip(TOGETHER // (size * row * groups), 1, max(problem.steps[0].outputs, 1))
    return _Cut(lengths, blocks, row, groups, batch)


def _costs(problem, axes, inputs, cut):
    """Rough cycles of one image in one thread, in the sense of costs.pyx."""
    (step,) = problem.steps
    size = problem.dtype.itemsize
    lz, ly, lx = cut.lengths
    half = lx // 2 + 1
    blocks, outputs, together = math.prod(cut.blocks), step.outputs, cut.groups * cut.row
    bz, by, _ = (length - axis.halo for length, axis in zip(cut.lengths, axes, strict=True))
    hz, hy, _ = (axis.halo + 1 for axis in axes)
    each, alone = (2.15, 4.2) if size == 4 else (3.2, 3.0)
    # What does not fit the cache takes longer.
    each = each * (1 + 0.3 * np.log2(np.maximum(lz * ly * lx * size / (5 << 18), 1)))

    def transform(rows, y, z, count):
        """So many lines along each axis, of count images at once."""
        # pocketfft takes as many rows as fill vectors of 16 bytes, and those left over alone.
        left = count * rows % (16 // size) / (count * rows)
        columns = y * np.where(ly > 1, _line(ly), 0) + z * np.where(lz > 1, _line(lz), 0)
        return rows * _line(lx) * (each + alone * left) + 2 * columns * each

    pieces = blocks * inputs * transform(lz * ly, lz * half, ly * half, together * inputs)
    pieces = pieces * np.ceil(outputs * _kernel_bytes(cut, inputs, size) / SPECTRA)
    results = blocks * outputs * transform(bz * by, bz * half, ly * half, together * cut.batch)
    kernels = outputs * inputs * transform(hz * hy, hz * half, ly * half, outputs * inputs)
    products = blocks * outputs * inputs * lz * ly * half * 0.45 * size
    copies = (blocks * (inputs + outputs) + outputs * inputs) * lz * ly * lx * 0.13 * size
    work = problem.groups * (pieces + results + kernels + products + copies)
    return work + _calls(problem, inputs, cut)


def _calls(problem, inputs, cut):
    """Cycles of the calls alone: some microseconds for each, some of them for each stage."""
    outputs, size = problem.steps[0].outputs, problem.dtype.itemsize
    parts = np.ceil(problem.groups / cut.groups)
    units = parts * cut.blocks[0] * cut.blocks[1] * np.ceil(cut.blocks[2] / cut.row)
    batches = units * np.ceil(outputs / cut.batch)
    kernel = _kernel_bytes(cut, inputs, size)
    kernels = parts * np.ceil(2 * outputs * kernel / TOGETHER)
    products = batches * inputs * np.ceil(cut.batch * cut.row * kernel / inputs / PRODUCTS)
    return 30_000 * units + 60_000 * (batches + kernels) + 3_000 * products


def _kernel_bytes(cut, inputs, size):
    """Of the spectra that belong to one output channel, of the groups that go together."""
    lz, ly, lx = cut.lengths
    return cut.groups * inputs * lz * ly * (lx // 2 + 1) * 2 * size


def _line(length):
    """The elements of a line, in units of work."""
    return length * (0.7 + 0.05 * np.log2(length))


def _choose(problem):
    """The axes, the best cut, and about how many cycles one image takes in one thread."""
    (step,) = problem.steps
    axes = [_axis(line, s) for line, s in zip(_lines(step), problem.stride, strict=True)]
    inputs = step.inputs * math.prod(len(axis.phases) for axis in axes)
    tries = [_lengths(n, axis.halo) for n, axis in zip(problem.grid, axes, strict=True)]
    grids = np.meshgrid(*(np.array(t, np.float64) for t in tries), indexing="ij")
    cut = _cut(problem, axes, inputs, tuple(n.ravel() for n in grids))
    cycles = _costs(problem, axes, inputs, cut)
    piece = math.prod(cut.lengths) * inputs * problem.dtype.itemsize
    at = int(np.argmin(np.where(piece > max(PIECE, piece.min()), np.inf, cycles)))
    best = _Cut(
        *(tuple(int(n[at]) for n in numbers) for numbers in cut[:2]),
        *(int(n[at]) for n in cut[2:]),
    )
    return axes, best, float(cycles[at])


def cycles(problem, limit):
    """About how many cycles one image takes in one thread; inf if more than a limit."""
    (step,) = problem.steps
    inputs, outputs = step.inputs, step.outputs
    # Each input and each output is transformed, each pair of them multiplied at least once.
    size = problem.dtype.itemsize
    least = 1.5 * (inputs + outputs) + 0.15 * size * inputs * outputs
    if 150_000 + problem.groups * math.prod(problem.grid) * least > limit:
        return math.inf
    # As measured beside direct sums; and where both take about as long it is these, whose error is
    # smaller.
    return 1.4 * _choose(problem)[-1]


# ---- The plan -----------------------------------------------------------------------


class Plan:
    """What the engine runs and `explain` tells, as planning.Plan."""

    def __init__(self, problem, threads):
        (step,) = problem.steps
        lines = _lines(step)
        self.problem, self.step = problem, step
        self.axes, self.cut, cycles = _choose(problem)
        lengths = self.cut.lengths
        self.kernel = tuple(map(len, lines))
        self.weight_strides = (step.strides[0], *step.strides[2:], *_weight_strides(step, lines))
        self.block = tuple(n - axis.halo for n, axis in zip(lengths, self.axes, strict=True))
        self.phases = geometry.product([axis.phases for axis in self.axes])
        self.inputs = step.inputs * len(self.phases)
        self.spectrum = (*lengths[:2], lengths[2] // 2 + 1)
        self.dtype = np.result_type(problem.dtype, np.complex64)
        self.threads = max(1, min(threads, int(problem.images * cycles) // WORTH_A_THREAD))
        # Where there are too few units to share, each is one of some batches only.
        units = self._units()
        self.splits = min(-(-self.threads // units), -(-step.outputs // self.cut.batch))

        self.method = "fft of " + (" x ".join(str(n) for n in lengths if n > 1) or "1")
        self.tile = tuple(map(min, self.block, problem.grid))
        self.tasks = units * self.splits
        self.flops = planning.flops(problem)
        self.workspace = self._workspace()
        # glibc keeps as much freed memory as was ever freed at once. Otherwise each call would
        # get its buffers from the system anew, and page faults double the time of small ones.
        np.empty(min(self.workspace, 1 << 24), np.int8)

    def _units(self):
        cut, problem = self.cut, self.problem
        rows = cut.blocks[0] * cut.blocks[1] * -(-cut.blocks[2] // cut.row)
        return problem.images * -(-problem.groups // cut.groups) * rows

    def kernel_bytes(self):
        """Of the spectra that belong to one output channel, of the groups that go together."""
        return _kernel_bytes(self.cut, self.inputs, self.problem.dtype.itemsize)

    def panels(self):
        """Groups and output channels whose kernels' spectra are kept at a time."""
        cut, outputs = self.cut, self.step.outputs
        kept = max(SPECTRA // self.kernel_bytes(), 1)
        groups = max(kept // outputs, 1) * cut.groups
        # Whole batches, or a part of one where its spectra alone would be too many.
        batches = max(kept // cut.batch * cut.batch, min(kept, cut.batch))
        for g in _parts(slice(0, self.problem.groups), groups):
            for m in _parts(slice(0, outputs), batches):
                yield g, m

    def _workspace(self):
        """About how many bytes there are at a time, all threads together."""
        cut = self.cut
        groups, outputs = next(self.panels())
        kernels = -(-(groups.stop - groups.start) // cut.groups) * (outputs.stop - outputs.start)
        one = self.kernel_bytes() // self.inputs * cut.row
        return kernels * self.kernel_bytes() + self.threads * one * (
            2 * self.inputs + 3 * cut.batch
        )

    def run(self, operands, output):
        """Compute; returns the images whose result is not finite."""
        return _Call(self, operands, output).compute()


def _parts(whole, most):
    """A range in parts of at most so many."""
    return [slice(i, min(i + most, whole.stop)) for i in range(whole.start, whole.stop, most)]


def share(work, jobs, threads):
    """Do all jobs, each as work(*job), in so many threads, of which this one is one."""
    if threads == 1:
        for job in jobs:
            dispatch.kernels.in_our_arithmetic(work, *job)
        return
    jobs = iter(jobs)
    lock = threading.Lock()

    def worker():
        while True:
            with lock:
                job = next(jobs, None)
            if job is None:
                return
            dispatch.kernels.in_our_arithmetic(work, *job)

    helpers = [_helpers(threads - 1).submit(worker) for _ in range(threads - 1)]
    try:
        worker()
    finally:
        # Those that other calls have kept busy until now are not needed any more.
        running = [helper for helper in helpers if not helper.cancel()]
        for helper in running:
            helper.result()


@functools.lru_cache(maxsize=8)
def _helpers(count):
    """Threads that wait for work: to start some takes as long as a small convolution."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(count)


if hasattr(os, "register_at_fork"):
    # A child of a process has none of its threads.
    os.register_at_fork(after_in_child=_helpers.cache_clear)


# ---- A call -------------------------------------------------------------------------


class _Call:
    """One call of a plan: its operands as the plan sees them."""

    def __init__(self, plan, operands, output):
        # Only here, so that `import fastconv` does not wait for it.
        import scipy.fft

        problem, step = plan.problem, plan.step
        counts = (problem.groups, step.outputs)
        self.fft = scipy.fft
        self.plan = plan
        self.source = as_strided(
            operands[0],
            (problem.images, problem.groups, problem.channels, *problem.sizes),
            problem.in_strides,
        )
        self.weight = as_strided(
            operands[step.operand],
            (*counts, step.inputs, *plan.kernel),
            plan.weight_strides,
        )
        self.bias = None
        if step.bias is not None:
            strides = (step.outputs * step.bias_stride, step.bias_stride, 0, 0, 0)
            self.bias = as_strided(operands[step.bias], (*counts, 1, 1, 1), strides)
        out = step.output
        self.target = as_strided(
            output,
            (problem.images, *counts, *out.sizes),
            (out.image, out.group, out.channel, *out.spatial),
        )
        self.spoilt = set()

    def compute(self):
        plan, cut = self.plan, self.plan.cut
        for groups, outputs in plan.panels():
            parts, batches = _parts(groups, cut.groups), _parts(outputs, cut.batch)
            few = _parts(outputs, max(TOGETHER // (2 * plan.kernel_bytes()), 1))
            # The groups and outputs that the spectra of kernels begin with.
            self.first = groups.start, outputs.start
            if len(parts) * len(few) == 1:
                self.kernels = dispatch.kernels.in_our_arithmetic(self.spectra_of, groups, outputs)
            else:
                counts = (groups.stop - groups.start, plan.inputs, outputs.stop - outputs.start)
                self.kernels = np.empty((*counts, *plan.spectrum), plan.dtype)
                share(self.keep_spectra, itertools.product(parts, few), plan.threads)
            units = itertools.product(
                range(plan.problem.images),
                parts,
                range(cut.blocks[0]),
                range(cut.blocks[1]),
                _parts(slice(0, cut.blocks[2]), cut.row),
                _parts(outputs, -(-len(batches) // plan.splits) * cut.batch),
            )
            share(self.unit, units, plan.threads)
        return sorted(self.spoilt)

    def spectra_of(self, groups, outputs):
        """The spectra of kernels (group, input, output, z, y, x), conjugate."""
        plan = self.plan
        weight = self.weight[groups, outputs]
        apart = np.zeros(
            (*weight.shape[:3], len(plan.phases), *(axis.halo + 1 for axis in plan.axes)),
            weight.dtype,
        )
        for phase, along in enumerate(plan.phases):
            _, elements, places = zip(*along, strict=True)
            apart[(..., phase, *places)] = weight[(..., *elements)]
        spectra = self.forward(apart)
        np.conjugate(spectra, out=spectra)
        return spectra.reshape(*weight.shape[:2], plan.inputs, *plan.spectrum).swapaxes(1, 2)

    def kept_spectra(self, groups, outputs):
        g, m = self.first
        return self.kernels[
            groups.start - g : groups.stop - g, :, outputs.start - m : outputs.stop - m
        ]

    def keep_spectra(self, groups, outputs):
        self.kept_spectra(groups, outputs)[...] = self.spectra_of(groups, outputs)

    def unit(self, image, groups, z, y, row, outputs):
        """Some blocks of an image, for some groups and output channels."""
        plan = self.plan
        if image in self.spoilt:
            return
        first = (z * plan.block[0], y * plan.block[1], row.start * plan.block[2])
        blocks = row.stop - row.start
        with np.errstate(all="ignore"):
            spectra = self.forward(self.pieces(image, groups, first, blocks))
            for batch in _parts(outputs, plan.cut.batch):
                products = self.products(spectra, self.kept_spectra(groups, batch))
                result = self.inverse(products)
                if not np.isfinite(result.sum()):
                    self.spoilt.add(image)
                    return
                self.store(result, image, groups, batch, first)

    def pieces(self, image, groups, first, blocks):
        """What blocks that begin at output `first` see: (group, input, block, z, y, x)."""
        plan, problem = self.plan, self.plan.problem
        counts = (*plan.block[:2], blocks * plan.block[2])
        halos = [axis.halo for axis in plan.axes]
        lengths = [n + halo for n, halo in zip(counts, halos, strict=True)]
        pieces = []
        for along in plan.phases:
            places = [
                (f * s + begin, s, min(n, grid - f) + halo)
                for f, s, (begin, _, _), n, grid, halo in zip(
                    first, problem.stride, along, counts, problem.grid, halos, strict=True
                )
            ]
            region = _region(self.source[image, groups], places, lengths, problem.border)
            region = region.astype(problem.dtype, copy=False)
            g, c, z, y, x = region.strides
            shape = (*region.shape[:2], blocks, *lengths[:2], plan.cut.lengths[2])
            pieces.append(as_strided(region, shape, (g, c, plan.block[2] * x, z, y, x)))
        if len(pieces) == 1:
            return pieces[0]
        stacked = np.stack(pieces, axis=2)
        return stacked.reshape(stacked.shape[0], plan.inputs, *stacked.shape[3:])

    def forward(self, pieces):
        """Spectra of pieces, zeros after them up to the lengths of the transforms."""
        z, y, x = self.plan.cut.lengths
        spectra = self.fft.rfft(pieces, x, workers=1)
        if y > 1:
            spectra = self.fft.fft(spectra, y, axis=-2, overwrite_x=True, workers=1)
        if z > 1:
            spectra = self.fft.fft(spectra, z, axis=-3, overwrite_x=True, workers=1)
        return spectra

    def inverse(self, spectra):
        """Blocks of spectra, without what has wrapped around."""
        z, y, x = self.plan.block
        if self.plan.cut.lengths[0] > 1:
            spectra = self.fft.ifft(spectra, axis=-3, overwrite_x=True, workers=1)[..., :z, :, :]
        if self.plan.cut.lengths[1] > 1:
            spectra = self.fft.ifft(spectra, axis=-2, overwrite_x=True, workers=1)[..., :y, :]
        return self.fft.irfft(spectra, self.plan.cut.lengths[2], workers=1)[..., :x]

    def products(self, spectra, kernels):
        """Their products, added up over the inputs: (group, output, block, z, y, x)."""
        groups, inputs, blocks = spectra.shape[:3]
        sums = np.empty((groups, kernels.shape[2], blocks, *self.plan.spectrum), self.plan.dtype)
        most = max(PRODUCTS // sums[:, :1].nbytes, 1)
        for part in _parts(slice(0, sums.shape[1]), most):
            into, each = sums[:, part], np.empty_like(sums[:, part])
            for i in range(inputs):
                np.multiply(spectra[:, i, None], kernels[:, i, part, None], out=each if i else into)
                if i:
                    into += each
        return sums

    def store(self, result, image, groups, outputs, first):
        """Put blocks (group, output, block, z, y, x) where they belong, with the bias."""
        z, y, x = first
        blocks, rows, columns, width = result.shape[2:]
        into = self.target[image, groups, outputs, z : z + rows, y : y + columns, x:]
        if self.bias is not None:
            result += self.bias[groups, outputs, None]
        result = result[..., : into.shape[2], : into.shape[3], :]
        whole = min(blocks, into.shape[4] // width)
        if whole:
            apart = into[..., : whole * width].reshape(*into.shape[:4], whole, width)
            apart[...] = np.moveaxis(result[:, :, :whole], 2, 4)
        if whole < blocks:
            rest = into[..., whole * width :]
            rest[...] = result[:, :, whole, :, :, : rest.shape[4]]


def _region(source, places, lengths, border):
    """A part of images (group, channel, z, y, x), or of their padding; zeros after it.

    `places` along an axis are (first, step, how many), `lengths` what it is to be filled up to.
    """
    inside, into, around = [], [], []
    for (first, step, seen), size in zip(places, source.shape[2:], strict=True):
        start, stop = geometry.within(first, step, seen, size)
        inside.append(slice(max(first + start * step, 0), max(first + stop * step, 0), step))
        into.append(slice(start, stop))
        around.append(None)
        if border and stop - start < seen:
            around[-1] = geometry.padded_from(first + step * np.arange(seen), size, border)
    given = source[(..., *inside)]
    if given.shape[2:] == tuple(lengths):
        return given
    result = np.zeros((*source.shape[:2], *lengths), source.dtype)
    result[(..., *into)] = given
    # The border along an axis: where axes before it have theirs, too.
    for axis, index in enumerate(around):
        if index is None:
            continue
        for strip in (slice(0, into[axis].start), slice(into[axis].stop, len(index))):
            # The strip first, which leaves little.
            part = source[(slice(None),) * (2 + axis) + (index[strip],)]
            for other in {0, 1, 2} - {axis}:
                part = part[(slice(None),) * (2 + other) + (inside[other],)]
            result[(..., *into[:axis], strip, *into[axis + 1 :])] = part
        into[axis], inside[axis] = slice(0, len(index)), index
    return result
