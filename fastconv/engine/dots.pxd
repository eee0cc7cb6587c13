"""Dots: all that an output sees of an image is one run of memory, and so are its weights.

That is so where a kernel is as large as the image, as in a layer that is fully connected. Vectors
run along both, so that weights are read as they lie, once for some images. The lanes of a sum are
added up at the end, in the same order for each. Where there are few terms that would take longer
than the terms themselves: there vectors run over output channels, and sums are in the terms' order.
"""

from libc.string cimport memcpy

from fastconv.engine.plan cimport *
from fastconv.engine.simd cimport *
from fastconv.engine.weights cimport transpose_any, weights_of

cdef enum:
    # Output channels at a time beside some images.
    BESIDE = 4
    # Sums at a time, at most.
    MOST = 16
    # Vectors that a few terms fill.
    FEW = 2
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


cdef inline void map_images(
    char *out, Py_ssize_t out_image, Py_ssize_t out_channel, const char *source, Py_ssize_t image,
    Py_ssize_t terms, const char *weights, const char *bias, Py_ssize_t valid, vector *_, rows *__,
) noexcept nogil:
    """A vector of output channels, so many bytes of it, of as many images as `rows` has."""
    cdef vector sums[MAX_ROWS]
    cdef vector x[1]
    cdef vector w[1]
    cdef const char *some[MAX_ROWS]
    cdef char given[MAX_ROWS * VECTOR_BYTES]
    cdef Py_ssize_t size = LANE_BYTES(x[0])
    cdef Py_ssize_t _run, _k, at
    cdef int i
    for i in range((<int> sizeof(rows) + 3) // 4):
        some[i] = source + 4 * i * image
    for _run in range(1):
        LOAD_PART(w[0], bias, valid)
        for i in range(<int> sizeof(rows)):
            sums[i] = w[0]
        for _k in range(terms):
            LOAD(w[0], weights)
            for i in range(<int> sizeof(rows)):
                BROADCAST(x[0], some[i // 4] + i % 4 * image)
                sums[i] = sums[i] + w[0] * x[0]
            for i in range((<int> sizeof(rows) + 3) // 4):
                some[i] += size
            weights += VECTOR_BYTES
        if out_channel == size:
            for i in range(<int> sizeof(rows)):
                STORE_PART(out + i * out_image, sums[i], valid)
            return
        for i in range(<int> sizeof(rows)):
            STORE(given + i * VECTOR_BYTES, sums[i])
    for i in range(<int> sizeof(rows)):
        for at in range(valid // size):
            memcpy(out + i * out_image + at * out_channel,
                   given + i * VECTOR_BYTES + at * size, size)


cdef inline void map_tile(
    const char *biases, const char **operands, char *output, const Plan *plan, const Pass *step,
    const Tile *tile, vector *v,
) noexcept nogil:
    """The same as dots_tile, of few terms."""
    cdef Py_ssize_t size = LANE_BYTES(v[0])
    cdef Py_ssize_t lanes = LANES(v[0])
    cdef char weights[FEW * MAX_LANES * VECTOR_BYTES]
    cdef const char *bias
    cdef const char *source
    cdef char *out
    cdef Py_ssize_t first, end, count, image
    first = part(tile.chunk, plan.chunks, step.blocks) * step.height
    end = min(part(tile.chunk + 1, plan.chunks, step.blocks) * step.height, step.channels)
    while first < end:
        count = min(lanes, end - first)
        transpose_any(weights, VECTOR_BYTES, weights_of(operands, step, tile.group, first),
                      step.weight_channel, step.taps, count, v)
        bias = biases + (tile.group * step.channels + first) * size
        source = operands[0] + tile.group * plan.in_group + tile.x * plan.in_x
        out = (output + step.out_offset + tile.group * step.out_group
               + first * step.out_channel + tile.x * step.out_x)
        image = 0
        while image < tile.rows_x:
            if image + 8 <= tile.rows_x:
                map_images(out + image * step.out_x, step.out_x, step.out_channel,
                           source + image * plan.in_x, plan.in_x, step.taps, weights, bias,
                           count * size, v, <rows8 *> NULL)
                image += 8
            else:
                map_images(out + image * step.out_x, step.out_x, step.out_channel,
                           source + image * plan.in_x, plan.in_x, step.taps, weights, bias,
                           count * size, v, <rows1 *> NULL)
                image += 1
        first += lanes


ctypedef void (*map_t)(
    const char *, const char **, char *, const Plan *, const Pass *, const Tile *, void *,
) noexcept nogil


cdef inline void dots_tile(
    Memory memory, const char **operands, char *output, const Plan *plan, const Pass *step,
    const Tile *tile, vector *v, real *kind,
) noexcept nogil:
    """A chunk of the output channels of some images, which are along x here."""
    cdef Py_ssize_t some = tile.rows_x // IMAGES * IMAGES
    cdef Py_ssize_t near = max(NEAR // (step.taps * LANE_BYTES(v[0])) // BESIDE, 1) * BESIDE
    cdef Py_ssize_t block, first, end, m, image
    # Inline it took a sixth longer for three terms.
    cdef map_t map_out_of_line = <map_t> map_tile[vector]
    if step.taps <= FEW * LANES(v[0]):
        OPAQUE(map_out_of_line)
        map_out_of_line(&memory[step.bias], operands, output, plan, step, tile, NULL)
        return
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
