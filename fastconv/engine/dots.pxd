"""Dots: all that an output sees of an image is one run of memory, and so are its weights.

That is so where a kernel is as large as the image, as in a layer that is fully connected. Vectors
run along both, so that weights are read as they lie, once for some images. The lanes of a sum are
added up at the end, in the same order for each.
"""

from fastconv.engine.plan cimport *
from fastconv.engine.simd cimport *
from fastconv.engine.weights cimport weights_of

cdef enum:
    # Output channels at a time: of one image, of some.
    MOST = 8
    BESIDE = 4


cdef inline void add_dots(
    vector *sums, const char *source, Py_ssize_t image, const char *weights, Py_ssize_t channel,
    Py_ssize_t last, Py_ssize_t bytes, int channels, int images,
) noexcept nogil:
    """Sums of some channels, in turn, by some images; those beyond the last one are its own."""
    cdef vector x[MAX_LANES]
    cdef vector w[MAX_LANES]
    cdef const char *rows[MAX_LANES]
    cdef Py_ssize_t at = 0
    cdef int i
    for i in range(channels):
        rows[i] = weights + min(i, last) * channel
    for i in range(channels * images):
        FILL(sums[i], 0)
    while at + VECTOR_BYTES <= bytes:
        for i in range(images):
            LOAD(x[i], source + i * image + at)
        for i in range(channels):
            LOAD(w[i], rows[i] + at)
        for i in range(channels * images):
            sums[i] = sums[i] + w[i % channels] * x[i // channels]
        at += VECTOR_BYTES
    if at < bytes:
        for i in range(images):
            LOAD_PART(x[i], source + i * image + at, bytes - at)
        for i in range(channels):
            LOAD_PART(w[i], rows[i] + at, bytes - at)
        for i in range(channels * images):
            sums[i] = sums[i] + w[i % channels] * x[i // channels]


cdef inline void add_lanes(vector *sums) noexcept nogil:
    """Each lane of the first one is what the lanes of one of a vector's number of sums come to."""
    cdef vector low[1]
    cdef vector high[1]
    cdef int i, turn
    # Halves of two sums become one vector, and so on until each lane has a sum.
    for turn in range(LOG2_LANES(sums[0])):
        for i in range(LANES(sums[0]) >> (turn + 1)):
            ZIP_LOW(low[0], sums[i], sums[i + (LANES(sums[0]) >> (turn + 1))])
            ZIP_HIGH(high[0], sums[i], sums[i + (LANES(sums[0]) >> (turn + 1))])
            sums[i] = low[0] + high[0]


cdef inline void dots(
    char *target, const char *source, Py_ssize_t image, const char *weights, Py_ssize_t channel,
    Py_ssize_t last, Py_ssize_t bytes, vector *_, width *__,
) noexcept nogil:
    """A vector of sums: of as many output channels or, wide, of BESIDE of them by some images.

    Those beyond the last channel are its own.
    """
    cdef vector sums[MAX_LANES]
    cdef Py_ssize_t _run
    cdef int i
    for _run in range(1):
        if width is wide:
            add_dots(sums, source, image, weights, channel, last, bytes,
                     min(LANES(sums[0]), BESIDE), LANES(sums[0]) // min(LANES(sums[0]), BESIDE))
        else:
            for i in range(max(LANES(sums[0]) // MOST, 1)):
                add_dots(sums + i * MOST, source, image, weights + min(i * MOST, last) * channel,
                         channel, max(last - i * MOST, 0), bytes, min(LANES(sums[0]), MOST), 1)
        add_lanes(sums)
        STORE(target, sums[0])


cdef inline void dots_tile(
    Memory memory, const char **operands, char *output, const Plan *plan, const Pass *step,
    const Tile *tile, vector *v, real *kind,
) noexcept nogil:
    """A chunk of the output channels of some images, which are along x here."""
    cdef Py_ssize_t bytes = step.taps * LANE_BYTES(v[0])
    cdef Py_ssize_t beside = min(LANES(v[0]), BESIDE)
    cdef Py_ssize_t together = LANES(v[0]) // beside
    cdef real[MAX_LANES] sums
    cdef const char *source
    cdef const char *weights
    cdef const real *bias
    cdef char *out
    cdef Py_ssize_t b, first, height, image, q, m, i
    for b in range(part(tile.chunk, plan.chunks, step.blocks),
                   part(tile.chunk + 1, plan.chunks, step.blocks)):
        first = part(b, step.blocks, step.channels)
        height = part(b + 1, step.blocks, step.channels) - first
        weights = weights_of(operands, step, tile.group, first)
        bias = <const real *> &memory[step.bias] + tile.group * step.channels + first
        source = operands[0] + tile.group * plan.in_group + tile.x * plan.in_x
        out = (output + step.out_offset + tile.group * step.out_group
               + first * step.out_channel + tile.x * step.out_x)
        image = 0
        while image + together <= tile.rows_x and together > 1:
            for q in range((height + beside - 1) // beside):
                m = q * beside
                dots(<char *> sums, source, plan.in_x, weights + m * step.weight_channel,
                     step.weight_channel, height - 1 - m, bytes, v, <wide *> NULL)
                for i in range(together * min(beside, height - m)):
                    (<real *> (out + (m + i // together) * step.out_channel
                               + i % together * step.out_x))[0] = (
                        bias[m + i // together] + sums[i % together * beside + i // together])
            image += together
            source += together * plan.in_x
            out += together * step.out_x
        while image < tile.rows_x:
            dots(<char *> sums, source, plan.in_x, weights, step.weight_channel, height - 1, bytes,
                 v, <single *> NULL)
            for i in range(height):
                (<real *> (out + i * step.out_channel))[0] = bias[i] + sums[i]
            image += 1
            source += plan.in_x
            out += step.out_x
