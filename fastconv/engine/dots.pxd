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
    # Sums at a time, at most.
    MOST = 16
    # Bytes of weights that stay in the first-level cache while all images go by.
    NEAR = 1 << 14


cdef inline void add_dots(
    vector *sums, const char *source, Py_ssize_t image, const char *weights, Py_ssize_t channel,
    Py_ssize_t bytes, width *_,
) noexcept nogil:
    """Sums of as many channels as a vector has lanes or, wide, of BESIDE, in turn, by IMAGES.

    The rows of four channels share an address, from which each is so many times `channel` away.
    """
    cdef vector x[MOST]
    cdef vector w[MOST]
    cdef const char *rows[MOST]
    cdef Py_ssize_t _vector
    cdef int channels = BESIDE if width is wide else LANES(x[0])
    cdef int images = IMAGES if width is wide else 1
    cdef int i
    for i in range((channels + 3) // 4):
        rows[i] = weights + 4 * i * channel
    for i in range(channels * images):
        FILL(sums[i], 0)
    for _vector in range(bytes // VECTOR_BYTES):
        for i in range(images):
            LOAD(x[i], source + i * image)
        for i in range(channels):
            LOAD(w[i], rows[i // 4] + i % 4 * channel)
        for i in range(channels * images):
            sums[i] = sums[i] + w[i % channels] * x[i // channels]
        source += VECTOR_BYTES
        for i in range((channels + 3) // 4):
            rows[i] += VECTOR_BYTES
    bytes %= VECTOR_BYTES
    if bytes:
        for i in range(images):
            LOAD_PART(x[i], source + i * image, bytes)
        for i in range(channels):
            LOAD_PART(w[i], rows[i // 4] + i % 4 * channel, bytes)
        for i in range(channels * images):
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
    Py_ssize_t bytes, vector *_, width *kind,
) noexcept nogil:
    """See add_dots: such sums, each of all its lanes."""
    cdef vector sums[MOST]
    cdef Py_ssize_t _run
    cdef int i
    for _run in range(1):
        add_dots(sums, source, image, weights, channel, bytes, kind)
        for i in range(BESIDE * IMAGES // LANES(sums[0]) if width is wide else 1):
            add_lanes(sums + i * LANES(sums[0]))
            STORE(target + i * VECTOR_BYTES, sums[i * LANES(sums[0])])


cdef inline void add_bias(
    char *out, Py_ssize_t channel, const real *sums, const real *bias, Py_ssize_t count, vector *_,
) noexcept nogil:
    """Results of some output channels, at once if they are side by side and a vector holds them."""
    cdef vector x[1]
    cdef vector b[1]
    cdef Py_ssize_t i
    if channel == <Py_ssize_t> sizeof(real) and count <= LANES(x[0]):
        LOAD_PART(x[0], <const char *> sums, count * channel)
        LOAD_PART(b[0], <const char *> bias, count * channel)
        x[0] = x[0] + b[0]
        STORE_PART(out, x[0], count * channel)
        return
    for i in range(count):
        (<real *> (out + i * channel))[0] = bias[i] + sums[i]


cdef inline void some_dots(
    Memory memory, const char **operands, char *output, const Plan *plan, const Pass *step,
    const Tile *tile, Py_ssize_t first, Py_ssize_t end, Py_ssize_t image, int images,
    vector *v, width *kind, real *_,
) noexcept nogil:
    """Some channels of an image or, wide, of some images; one stands for all of them, if it is one.

    The last channels are computed beside some of those before; else, where there are few, one
    channel stands for some.
    """
    cdef Py_ssize_t bytes = step.taps * LANE_BYTES(v[0])
    cdef Py_ssize_t channels = step.channels
    cdef Py_ssize_t each = LANES(v[0]) if width is single else BESIDE if channels >= BESIDE else 1
    cdef const char *source = (operands[0] + tile.group * plan.in_group
                               + (tile.x + image) * plan.in_x)
    cdef const real *bias = <const real *> &memory[step.bias] + tile.group * channels
    cdef char *out = (output + step.out_offset + tile.group * step.out_group
                      + (tile.x + image) * step.out_x)
    cdef real[MOST] sums
    cdef Py_ssize_t m = first
    cdef Py_ssize_t start
    cdef int i
    while m < end:
        start = min(m, channels - each)
        dots(<char *> sums, source, plan.in_x if images > 1 else 0,
             weights_of(operands, step, tile.group, start), step.weight_channel if each > 1 else 0,
             bytes, v, kind)
        for i in range(images):
            add_bias(out + m * step.out_channel + i * step.out_x, step.out_channel,
                     sums + i * BESIDE + m - start, bias + m, min(each, end - m), v)
        m += each


cdef inline void dots_tile(
    Memory memory, const char **operands, char *output, const Plan *plan, const Pass *step,
    const Tile *tile, vector *v, real *kind,
) noexcept nogil:
    """A chunk of the output channels of some images, which are along x here."""
    cdef Py_ssize_t some = tile.rows_x // IMAGES * IMAGES
    cdef Py_ssize_t near = max(NEAR // (step.taps * LANE_BYTES(v[0])) // BESIDE, 1) * BESIDE
    cdef Py_ssize_t block, first, end, m, image
    for block in range(part(tile.chunk, plan.chunks, step.blocks),
                       part(tile.chunk + 1, plan.chunks, step.blocks)):
        first = block * step.height
        end = min(first + step.height, step.channels)
        m = first
        while m < end:
            image = 0
            while image < some:
                some_dots(memory, operands, output, plan, step, tile, m, min(m + near, end), image,
                          IMAGES, v, <wide *> NULL, kind)
                image += IMAGES
            m += near
        for image in range(some, tile.rows_x):
            if step.channels >= LANES(v[0]):
                some_dots(memory, operands, output, plan, step, tile, first, end, image, 1, v,
                          <single *> NULL, kind)
            else:
                some_dots(memory, operands, output, plan, step, tile, first, end, image, 1, v,
                          <wide *> NULL, kind)
