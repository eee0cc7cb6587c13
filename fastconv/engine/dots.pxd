"""Dots: all that an output sees of an image is one run of memory, and so are its weights.

That is so where a kernel is as large as the image, as in a layer that is fully connected. Vectors
run along both, so that weights are read as they lie, once for some images. The lanes of a sum are
added up at the end, in the same order for each.
"""

from fastconv.engine.plan cimport *
from fastconv.engine.simd cimport *
from fastconv.engine.weights cimport weights_of

cdef enum:
    # Output channels at a time beside some images.
    BESIDE = 4


cdef inline void add_dots(
    vector *sums, const char *source, Py_ssize_t image, const char *weights, Py_ssize_t channel,
    Py_ssize_t last, Py_ssize_t bytes, width *_,
) noexcept nogil:
    """A vector's number of sums: of as many channels or, wide, of BESIDE, in turn, by some images.

    Those beyond the last channel are its own; it is the last one of a vector's number for one
    image. The rows of weights of four channels share an address.
    """
    cdef vector x[MAX_LANES]
    cdef vector w[MAX_LANES]
    cdef const char *rows[MAX_LANES]
    cdef Py_ssize_t done
    cdef int channels = min(LANES(x[0]), BESIDE) if width is wide else LANES(x[0])
    cdef int images = LANES(x[0]) // channels
    cdef int i
    for i in range(channels):
        if width is wide:
            rows[i] = weights + min(i, last) * channel
        else:
            rows[i] = weights + i // 4 * 4 * channel
    for i in range(LANES(x[0])):
        FILL(sums[i], 0)
    for done in range(bytes // VECTOR_BYTES):
        for i in range(images):
            LOAD(x[i], source + i * image)
        for i in range(channels):
            LOAD(w[i], rows[i] + (0 if width is wide else i % 4 * channel))
        for i in range(LANES(x[0])):
            sums[i] = sums[i] + w[i % channels] * x[i // channels]
        source += VECTOR_BYTES
        for i in range(channels):
            rows[i] += VECTOR_BYTES
    bytes %= VECTOR_BYTES
    if bytes:
        for i in range(images):
            LOAD_PART(x[i], source + i * image, bytes)
        for i in range(channels):
            LOAD_PART(w[i], rows[i] + (0 if width is wide else i % 4 * channel), bytes)
        for i in range(LANES(x[0])):
            sums[i] = sums[i] + w[i % channels] * x[i // channels]


cdef inline void add_pairs(vector *sums, int pairs, int turn) noexcept nogil:
    """One vector of two, in each of which two lanes become one."""
    cdef vector even[1]
    cdef vector odd[1]
    cdef int i
    for i in range(pairs):
        TURN_EVEN(even[0], sums[2 * i], sums[2 * i + 1], turn)
        TURN_ODD(odd[0], sums[2 * i], sums[2 * i + 1], turn)
        sums[i] = even[0] + odd[0]


cdef inline void add_lanes(vector *sums) noexcept nogil:
    """Each lane of the first one is what the lanes of one of a vector's number of sums come to."""
    add_pairs(sums, LANES(sums[0]) >> 1, 0)
    if LANES(sums[0]) > 2:
        add_pairs(sums, LANES(sums[0]) >> 2, 1)
    if LANES(sums[0]) > 4:
        add_pairs(sums, LANES(sums[0]) >> 3, 2)
    if LANES(sums[0]) > 8:
        add_pairs(sums, LANES(sums[0]) >> 4, 3)


cdef inline void dots(
    char *target, const char *source, Py_ssize_t image, const char *weights, Py_ssize_t channel,
    Py_ssize_t last, Py_ssize_t bytes, vector *_, width *kind,
) noexcept nogil:
    """See add_dots: a vector of such sums."""
    cdef vector sums[MAX_LANES]
    cdef Py_ssize_t _run
    for _run in range(1):
        add_dots(sums, source, image, weights, channel, last, bytes, kind)
        add_lanes(sums)
        STORE(target, sums[0])


cdef inline void add_bias(
    char *out, Py_ssize_t channel, const real *sums, const real *bias, Py_ssize_t count, vector *_,
) noexcept nogil:
    """Results of up to a vector's number of output channels."""
    cdef vector x[1]
    cdef vector b[1]
    cdef Py_ssize_t i
    if channel == <Py_ssize_t> sizeof(real):
        LOAD_PART(x[0], <const char *> sums, count * channel)
        LOAD_PART(b[0], <const char *> bias, count * channel)
        x[0] = x[0] + b[0]
        STORE_PART(out, x[0], count * channel)
        return
    for i in range(count):
        (<real *> (out + i * channel))[0] = bias[i] + sums[i]


cdef inline void dots_tile(
    Memory memory, const char **operands, char *output, const Plan *plan, const Pass *step,
    const Tile *tile, vector *v, real *kind,
) noexcept nogil:
    """A chunk of the output channels of some images, which are along x here."""
    cdef Py_ssize_t bytes = step.taps * LANE_BYTES(v[0])
    cdef Py_ssize_t lanes = LANES(v[0])
    cdef Py_ssize_t beside = min(lanes, BESIDE)
    cdef Py_ssize_t together = lanes // beside
    cdef real[MAX_LANES] sums
    cdef const char *source
    cdef const char *weights
    cdef const real *bias
    cdef char *out
    cdef Py_ssize_t b, first, count, again, image, pitch, q, m, i
    for b in range(part(tile.chunk, plan.chunks, step.blocks),
                   part(tile.chunk + 1, plan.chunks, step.blocks)):
        first = b * lanes
        count = min(lanes, step.channels - first)
        # The last ones are computed beside some of those before, if there are enough.
        again = min(lanes - count, first)
        weights = weights_of(operands, step, tile.group, first)
        bias = <const real *> &memory[step.bias] + tile.group * step.channels + first
        source = operands[0] + tile.group * plan.in_group + tile.x * plan.in_x
        out = (output + step.out_offset + tile.group * step.out_group
               + first * step.out_channel + tile.x * step.out_x)
        image = 0
        while image < tile.rows_x:
            if image + together > tile.rows_x and count + again == lanes:
                dots(<char *> sums, source, 0, weights - again * step.weight_channel,
                     step.weight_channel, lanes - 1, bytes, v, <single *> NULL)
                add_bias(out, step.out_channel, sums + again, bias, count, v)
                image += 1
                source += plan.in_x
                out += step.out_x
                continue
            # One image stands for some where few channels are all there are.
            pitch = plan.in_x if image + together <= tile.rows_x else 0
            for q in range((count + beside - 1) // beside):
                m = q * beside
                dots(<char *> sums, source, pitch, weights + m * step.weight_channel,
                     step.weight_channel, count - 1 - m, bytes, v, <wide *> NULL)
                for i in range(together if pitch else 1):
                    add_bias(out + m * step.out_channel + i * step.out_x, step.out_channel,
                             sums + i * beside, bias + m, min(beside, count - m), v)
            image += together if pitch else 1
            source += pitch * together if pitch else plan.in_x
            out += step.out_x * (together if pitch else 1)
