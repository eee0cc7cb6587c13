"""Weights in the order in which the register tiles read them."""

from libc.string cimport memcpy, memset

from fastconv.engine.lay_out cimport copy, copy_tested, is_zero
from fastconv.engine.plan cimport *
from fastconv.engine.simd cimport *
from fastconv.engine.winograd cimport transform_weights, transformed


cdef inline void turn(vector *square) noexcept nogil:
    """Transpose a square of elements, in registers."""
    cdef vector turned[MAX_LANES]
    cdef int i, level
    for level in range(LOG2_LANES(square[0])):
        for i in range(LANES(square[0]) // 2):
            TURN_EVEN(turned[i], square[2 * i], square[2 * i + 1], level)
            TURN_ODD(turned[i + LANES(square[0]) // 2], square[2 * i], square[2 * i + 1], level)
        for i in range(LANES(square[0])):
            square[i] = turned[i]


cdef inline void transpose(
    char *target, Py_ssize_t target_pitch, const char *source, Py_ssize_t source_pitch,
    Py_ssize_t squares, int height, vector *_,
) noexcept nogil:
    """Squares of elements along a row of the source become rows of the target.

    Only `height` rows of the source are there, at most as many as a vector has lanes.
    """
    cdef vector a[MAX_LANES]
    cdef Py_ssize_t _square
    cdef int i
    for _square in range(squares):
        for i in range(LANES(a[0])):
            LOAD(a[i], source + min(i, height - 1) * source_pitch)
        turn(a)
        for i in range(LANES(a[0])):
            if height == LANES(a[0]):
                STORE(target + i * target_pitch, a[i])
            else:
                STORE_PART(target + i * target_pitch, a[i], height * LANE_BYTES(a[0]))
        source += VECTOR_BYTES
        target += LANES(a[0]) * target_pitch


cdef inline void transpose_half(
    char *target, const char *source, Py_ssize_t source_pitch, Py_ssize_t count, vector *_,
) noexcept nogil:
    """Rows, half as many as a vector has lanes, so that columns follow each other; `count` vectors.

    A round fewer than for a square leaves two columns side by side in each vector.
    """
    cdef vector a[MAX_LANES]
    cdef vector turned[MAX_LANES]
    cdef Py_ssize_t _vector
    cdef int i, _round
    for _vector in range(count):
        for i in range(LANES(a[0]) // 2):
            LOAD(a[i], source + i * source_pitch)
        for _round in range(LOG2_LANES(a[0]) - 1):
            for i in range(LANES(a[0]) // 4):
                ZIP_LOW(turned[2 * i], a[i], a[i + LANES(a[0]) // 4])
                ZIP_HIGH(turned[2 * i + 1], a[i], a[i + LANES(a[0]) // 4])
            for i in range(LANES(a[0]) // 2):
                a[i] = turned[i]
        for i in range(LANES(a[0]) // 2):
            STORE(target + i * VECTOR_BYTES, a[i])
        source += VECTOR_BYTES
        target += LANES(a[0]) // 2 * VECTOR_BYTES


cdef inline void transpose_any(
    char *target, Py_ssize_t target_pitch, const char *source, Py_ssize_t source_pitch,
    Py_ssize_t columns, Py_ssize_t height, vector *_,
) noexcept nogil:
    """Columns of so many rows, however many, become rows of whole vectors."""
    cdef vector a[MAX_LANES]
    cdef Py_ssize_t size = LANE_BYTES(a[0])
    cdef Py_ssize_t t, width
    cdef const char *last
    cdef int i
    while height > 0:
        last = source + (min(height, LANES(a[0])) - 1) * source_pitch
        for t in range((columns + LANES(a[0]) - 1) // LANES(a[0])):
            width = min(LANES(a[0]), columns - t * LANES(a[0]))
            for i in range(LANES(a[0])):
                LOAD_PART(a[i], (source + i * source_pitch if i < height else last)
                          + t * VECTOR_BYTES, width * size)
            turn(a)
            for i in range(LANES(a[0])):
                if i < width:
                    STORE(target + (t * LANES(a[0]) + i) * target_pitch, a[i])
        height -= LANES(a[0])
        source += LANES(a[0]) * source_pitch
        target += VECTOR_BYTES


cdef inline void gather(
    char *target, Py_ssize_t pitch, const char *source, Table table, Py_ssize_t first,
    Py_ssize_t taps, const Pass *step, Py_ssize_t height, real *_,
) noexcept nogil:
    """Some taps of `height` output channels from `source` on, as [taps][pitch]."""
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t lanes = VECTOR_BYTES // size
    cdef const Py_ssize_t *offsets = &table[step.gather] if taps else NULL
    cdef Py_ssize_t done = 0
    cdef Py_ssize_t i, k
    cdef const char *begin
    if step.contiguous and 2 * height == lanes and pitch == height * size and lanes >= 4:
        done = taps // lanes * lanes
        begin = source + first * size
        if real is double:
            transpose_half(target, begin, step.weight_channel, done // lanes, <vd *> NULL)
        else:
            transpose_half(target, begin, step.weight_channel, done // lanes, <vf *> NULL)
    elif step.weight_channel == size:
        # Output channels lie side by side.
        for k in range(taps):
            copy(target + k * pitch, source + offsets[first + k], height * size)
        done = taps
    elif step.contiguous:
        done = taps // lanes * lanes
        for i in range((height + lanes - 1) // lanes):
            begin = source + first * size + i * lanes * step.weight_channel
            if real is double:
                transpose(
                    target + i * VECTOR_BYTES, pitch, begin, step.weight_channel,
                    done // lanes, <int> min(lanes, height - i * lanes), <vd *> NULL)
            else:
                transpose(
                    target + i * VECTOR_BYTES, pitch, begin, step.weight_channel,
                    done // lanes, <int> min(lanes, height - i * lanes), <vf *> NULL)
    for k in range(done, taps):
        for i in range(height):
            (<real *> (target + k * pitch))[i] = (
                <const real *> (source + offsets[first + k] + i * step.weight_channel))[0]


cdef inline const char *weights_of(
    const char **operands, const Pass *step, Py_ssize_t group, Py_ssize_t m,
) noexcept nogil:
    """Where the weights of output channel m of a group are."""
    return operands[step.operand] + (
        group // step.groups * step.weight_outer + group % step.groups * step.weight_inner
        + m * step.weight_channel)


cdef inline void lay_biases(
    Memory memory, const char **operands, const Pass *step, Py_ssize_t groups, real *_,
) noexcept nogil:
    """The biases of a pass side by side; added to zero, so that -0 becomes 0."""
    cdef real *biases = <real *> &memory[step.bias]
    cdef const char *source
    cdef real bias
    cdef Py_ssize_t _m, i
    if step.bias_operand < 0:
        memset(biases, 0, groups * step.groups * step.channels * sizeof(real))
        return
    source = operands[step.bias_operand]
    for _m in range(groups * step.groups * step.channels // step.bias_each):
        bias = 0 + (<const real *> source)[0]
        for i in range(step.bias_each):
            biases[i] = bias
        biases += step.bias_each
        source += step.bias_stride


cdef inline void test_vectors(
    char *test, const char *weights, Py_ssize_t count, vector *_,
) noexcept nogil:
    """`test` becomes NaN where a number of so many vectors is infinite or NaN, else zero."""
    cdef vector t[1]
    cdef vector x[1]
    cdef Py_ssize_t k
    FILL(t[0], 0)
    for k in range(count):
        LOAD(x[0], weights + k * VECTOR_BYTES)
        t[0] = t[0] + x[0] * 0
    STORE(test, t[0])


cdef inline bint is_finite(const char *weights, Py_ssize_t count, real *kind) noexcept nogil:
    """Whether so many vectors have no infinity and no NaN."""
    cdef real[MAX_LANES] test
    if real is double:
        test_vectors(<char *> test, weights, count, <vd *> NULL)
    else:
        test_vectors(<char *> test, weights, count, <vf *> NULL)
    return is_zero(<const char *> test, kind)


cdef inline bint set_apart(
    char *target, const char *source, Py_ssize_t channels, Py_ssize_t kernel, Py_ssize_t valid,
    real *kind,
) noexcept nogil:
    """Rows [channel][tap] as [tap][channel]; whether all is finite."""
    cdef Py_ssize_t t, c
    cdef real[MAX_LANES] test
    memset(test, 0, VECTOR_BYTES)
    for t in range(kernel):
        for c in range(channels):
            if real is double:
                copy_tested(target, source + (c * kernel + t) * valid, valid, <char *> test,
                            <vd *> NULL)
            else:
                copy_tested(target, source + (c * kernel + t) * valid, valid, <char *> test,
                            <vf *> NULL)
            target += valid
    return is_zero(<const char *> test, kind)


cdef inline void transform_block(
    char *target, char *scratch, Table table, const char **operands, const Pass *step,
    Py_ssize_t group, Py_ssize_t m, Py_ssize_t height, real *kind,
) noexcept nogil:
    """The weights of a block of output channels from m on as Winograd's method wants them."""
    cdef Py_ssize_t valid = height * <Py_ssize_t> sizeof(real)
    gather(scratch, valid, weights_of(operands, step, group, m), table, 0, step.taps, step,
           height, kind)
    if real is double:
        transform_weights(target, scratch, step.reduction, valid, <vd *> NULL)
    else:
        transform_weights(target, scratch, step.reduction, valid, <vf *> NULL)


cdef inline void pack_block(
    Py_ssize_t index, Memory weights, char *scratch, Table table, const char **operands,
    const Plan *plan, const Pass *step, real *kind,
) noexcept nogil:
    """The weights of one block of output channels of one group, as the passes read them.

    [taps][rows] for direct ones, [part of the channels][tap][channel][rows] where taps are
    apart, [taps][some vectors] for swapped ones; Winograd's transformed.
    """
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t group = index // step.blocks
    cdef Py_ssize_t b = index % step.blocks
    cdef Py_ssize_t m, height, first, pitch, kernel, split, start, taps
    cdef const char *source
    cdef char *target
    if step.packed < 0 or step.taps == 0:
        return
    if step.form == SWAPPED:
        pitch = TURNED_VECTORS(step.height) * VECTOR_BYTES
        m = b * pitch // size
        target = &weights[step.packed + index * step.taps * pitch]
        memset(target, 0, step.taps * pitch)
        gather(target, pitch, weights_of(operands, step, group, m), table, 0, step.taps, step,
               min(pitch // size, step.channels - m), kind)
        if step.apart and not is_finite(target, step.taps * pitch // VECTOR_BYTES, kind):
            weights[step.infinite] = 1
        return
    m = part(b, step.blocks, step.channels)
    height = part(b + 1, step.blocks, step.channels) - m
    first = group * step.channels + m
    source = weights_of(operands, step, group, m)
    target = &weights[step.packed + first * step.taps * size]
    if step.form == APART:
        kernel = step.taps // plan.channels
        for split in range(plan.splits):
            start = part(split, plan.splits, plan.channels) * kernel
            taps = part(split + 1, plan.splits, plan.channels) * kernel - start
            gather(scratch, height * size, source, table, start, taps, step, height, kind)
            if not set_apart(target + start * height * size, scratch, taps // kernel, kernel,
                             height * size, kind):
                weights[step.infinite] = 1
        return
    if step.form == DIRECT or step.form == POINTWISE:
        gather(target, height * size, source, table, 0, step.taps, step, height, kind)
        return
    transform_block(&weights[step.packed + transformed(step, index, first, size)], scratch, table,
                    operands, step, group, m, height, kind)


cdef inline void pack_phases(
    Py_ssize_t group, Py_ssize_t first, Py_ssize_t count, Memory weights, char *turned,
    Table table, const char **operands, const Plan *plan, const Pass *passes, real *kind,
) noexcept nogil:
    """The weights of all phases, which are swapped passes, from some of the input channels.

    What lies between the first and the last element of a kernel is transposed, for vectors of the
    outputs; each phase has its taps of that.
    """
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t pitch = TURNED_VECTORS(passes.height) * VECTOR_BYTES
    cdef Py_ssize_t b, m, height, c, s, t, taps
    cdef const Pass *step
    cdef const char *source
    cdef const char *tap
    cdef char *target
    for b in range(passes.blocks):
        m = b * pitch // size
        height = min(pitch // size, passes.channels - m)
        source = weights_of(operands, passes, group, m) + first * passes.weight_input
        for c in range(count):
            if real is double:
                transpose_any(turned + c * passes.phases * pitch, pitch, source,
                              passes.weight_channel, passes.phases, height, <vd *> NULL)
            else:
                transpose_any(turned + c * passes.phases * pitch, pitch, source,
                              passes.weight_channel, passes.phases, height, <vf *> NULL)
            source += passes.weight_input
        for s in range(plan.passes):
            step = passes + s
            taps = step.taps // plan.channels
            target = &weights[step.packed] + (
                (group * passes.blocks + b) * step.taps + first * taps) * pitch
            memset(target, 0, count * taps * pitch)
            for c in range(count):
                for t in range(taps):
                    tap = turned + (c * passes.phases + table[step.gather + t] // size) * pitch
                    copy(target, tap, height * size)
                    target += pitch
            taps *= count * pitch
            if step.apart and not is_finite(target - taps, taps // VECTOR_BYTES, kind):
                weights[step.infinite] = 1
