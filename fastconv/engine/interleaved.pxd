"""Interleaved: groups of one channel, on planes whose rows would not fill vectors.

A vector has one element of each of some groups, so that all of its lanes count however short the
rows are, and with any stride. Planes of so many groups are transposed into the scratch, zeros
around them; results are transposed on their way out. The taps are added in the order in which
direct passes add them.
"""

from fastconv.engine.filter cimport fetch
from fastconv.engine.lay_out cimport copy
from fastconv.engine.plan cimport *
from fastconv.engine.simd cimport *
from fastconv.engine.weights cimport is_finite, turn


cdef inline void interleave(
    char *target, const Py_ssize_t *places, const char *source, Py_ssize_t pitch,
    Py_ssize_t count, Py_ssize_t height, vector *_,
) noexcept nogil:
    """So many elements of each of `height` rows: vectors of one of each, at their places.

    The last square has vectors beyond them, which have places, too. Where a row is follows from
    the one before: all the distances from the first would be more than there are registers.
    """
    cdef vector square[MAX_LANES]
    cdef Py_ssize_t left = count * LANE_BYTES(square[0])
    cdef const char *row
    cdef int i
    while left > 0:
        row = source
        if left >= VECTOR_BYTES:
            for i in range(LANES(square[0])):
                LOAD(square[i], row)
                row += pitch if i < height - 1 else 0
                OPAQUE(row)
        else:
            for i in range(LANES(square[0])):
                LOAD_PART(square[i], row, left)
                row += pitch if i < height - 1 else 0
                OPAQUE(row)
        turn(square)
        for i in range(LANES(square[0])):
            STORE(target + places[i], square[i])
        places += LANES(square[0])
        source += VECTOR_BYTES
        left -= VECTOR_BYTES


cdef inline void separate(
    char *target, Py_ssize_t pitch, const char *source, Py_ssize_t count, Py_ssize_t height,
    vector *_,
) noexcept nogil:
    """So many vectors, and what is beyond them in a square, as elements of `height` rows."""
    cdef vector square[MAX_LANES]
    cdef char rows[MAX_LANES * VECTOR_BYTES]
    cdef Py_ssize_t left = count * LANE_BYTES(square[0])
    cdef char *row
    cdef int i
    while left > 0:
        row = target
        for i in range(LANES(square[0])):
            LOAD(square[i], source + i * VECTOR_BYTES)
        turn(square)
        if left >= VECTOR_BYTES and height == LANES(square[0]):
            for i in range(LANES(square[0])):
                STORE(row, square[i])
                row += pitch
                OPAQUE(row)
        else:
            for i in range(LANES(square[0])):
                STORE(rows + i * VECTOR_BYTES, square[i])
            for i in range(height):
                copy(row + i * pitch, rows + i * VECTOR_BYTES, min(left, VECTOR_BYTES))
        source += LANES(square[0]) * VECTOR_BYTES
        target += VECTOR_BYTES
        left -= VECTOR_BYTES


cdef inline void multiply_interleaved(
    const char *source, const Py_ssize_t *offsets, Py_ssize_t taps, const char *weights,
    const char *bias, char *target, vector *_, rows *__, stride *___,
) noexcept nogil:
    """As many outputs as `rows` has, side by side."""
    cdef vector sums[MAX_ROWS]
    cdef vector w[1]
    cdef vector x[1]
    cdef Py_ssize_t _run, k
    cdef int i
    cdef const char *at
    for _run in range(1):
        LOAD(w[0], bias)
        for i in range(<int> sizeof(rows)):
            sums[i] = w[0]
        for k in range(taps):
            at = source + offsets[k]
            LOAD(w[0], weights + k * VECTOR_BYTES)
            for i in range(<int> sizeof(rows)):
                LOAD(x[0], at + i * <int> sizeof(stride) * VECTOR_BYTES)
                sums[i] = sums[i] + w[0] * x[0]
        for i in range(<int> sizeof(rows)):
            STORE(target + i * VECTOR_BYTES, sums[i])


ctypedef void (*interleaved_t)(
    const char *, const Py_ssize_t *, Py_ssize_t, const char *, const char *, char *, void *,
    void *, void *,
) noexcept nogil


cdef inline interleaved_t interleaved_of(Py_ssize_t count, vector *_, stride *__) noexcept nogil:
    """The kernel for so many outputs side by side."""
    if count == 1:
        return <interleaved_t> multiply_interleaved[vector, rows1, stride]
    elif count == 2:
        return <interleaved_t> multiply_interleaved[vector, rows2, stride]
    elif count == 3:
        return <interleaved_t> multiply_interleaved[vector, rows3, stride]
    elif count == 4:
        return <interleaved_t> multiply_interleaved[vector, rows4, stride]
    elif count == 5:
        return <interleaved_t> multiply_interleaved[vector, rows5, stride]
    elif count == 6:
        return <interleaved_t> multiply_interleaved[vector, rows6, stride]
    elif count == 7:
        return <interleaved_t> multiply_interleaved[vector, rows7, stride]
    elif count == 8:
        return <interleaved_t> multiply_interleaved[vector, rows8, stride]
    elif count == 9:
        return <interleaved_t> multiply_interleaved[vector, rows9, stride]
    elif count == 10:
        return <interleaved_t> multiply_interleaved[vector, rows10, stride]
    elif count == 11:
        return <interleaved_t> multiply_interleaved[vector, rows11, stride]
    elif count == 12:
        return <interleaved_t> multiply_interleaved[vector, rows12, stride]
    elif count == 13:
        return <interleaved_t> multiply_interleaved[vector, rows13, stride]
    return <interleaved_t> multiply_interleaved[vector, rows14, stride]


cdef inline void multiply_two(
    const char *source, const Py_ssize_t *offsets, const Py_ssize_t *seen, Py_ssize_t shift,
    Py_ssize_t below, const char *weights, const char *bias, char *target, Py_ssize_t pitch,
    vector *_, rows *__,
) noexcept nogil:
    """As many outputs as `rows` has, and those below: what both see is loaded once.

    What one sees by a tap, that below does by the one `shift` before. `seen` has the first tap
    and how many there are, of both.
    """
    cdef vector sums[MAX_ROWS][2]
    cdef vector w[2]
    cdef vector x[1]
    cdef Py_ssize_t alone = min(seen[2] + shift, seen[0] + seen[1])
    cdef Py_ssize_t _run, k
    cdef int i
    cdef const char *at
    for _run in range(1):
        LOAD(w[0], bias)
        for i in range(<int> sizeof(rows)):
            sums[i][0] = w[0]
            sums[i][1] = w[0]
        for k in range(seen[0], alone):
            at = source + offsets[k]
            LOAD(w[0], weights + k * VECTOR_BYTES)
            for i in range(<int> sizeof(rows)):
                LOAD(x[0], at + i * VECTOR_BYTES)
                sums[i][0] = sums[i][0] + w[0] * x[0]
        for k in range(alone, seen[0] + seen[1]):
            at = source + offsets[k]
            LOAD(w[0], weights + k * VECTOR_BYTES)
            LOAD(w[1], weights + (k - shift) * VECTOR_BYTES)
            for i in range(<int> sizeof(rows)):
                LOAD(x[0], at + i * VECTOR_BYTES)
                sums[i][0] = sums[i][0] + w[0] * x[0]
                sums[i][1] = sums[i][1] + w[1] * x[0]
        for k in range(max(seen[2], seen[0] + seen[1] - shift), seen[2] + seen[3]):
            at = source + below + offsets[k]
            LOAD(w[0], weights + k * VECTOR_BYTES)
            for i in range(<int> sizeof(rows)):
                LOAD(x[0], at + i * VECTOR_BYTES)
                sums[i][1] = sums[i][1] + w[0] * x[0]
        for i in range(<int> sizeof(rows)):
            STORE(target + i * VECTOR_BYTES, sums[i][0])
            STORE(target + pitch + i * VECTOR_BYTES, sums[i][1])


ctypedef void (*two_t)(
    const char *, const Py_ssize_t *, const Py_ssize_t *, Py_ssize_t, Py_ssize_t, const char *,
    const char *, char *, Py_ssize_t, void *, void *,
) noexcept nogil


cdef inline two_t two_of(Py_ssize_t count, vector *_) noexcept nogil:
    """The kernel for so many outputs side by side, and those below."""
    if count == 1:
        return <two_t> multiply_two[vector, rows1]
    elif count == 2:
        return <two_t> multiply_two[vector, rows2]
    elif count == 3:
        return <two_t> multiply_two[vector, rows3]
    elif count == 4:
        return <two_t> multiply_two[vector, rows4]
    elif count == 5:
        return <two_t> multiply_two[vector, rows5]
    elif count == 6:
        return <two_t> multiply_two[vector, rows6]
    elif count == 7:
        return <two_t> multiply_two[vector, rows7]
    elif count == 8:
        return <two_t> multiply_two[vector, rows8]
    elif count == 9:
        return <two_t> multiply_two[vector, rows9]
    elif count == 10:
        return <two_t> multiply_two[vector, rows10]
    elif count == 11:
        return <two_t> multiply_two[vector, rows11]
    elif count == 12:
        return <two_t> multiply_two[vector, rows12]
    elif count == 13:
        return <two_t> multiply_two[vector, rows13]
    return <two_t> multiply_two[vector, rows14]


cdef inline void interleaved_tile(
    Memory memory, Py_ssize_t scratch, Table table, const char **operands, char *output,
    const Plan *plan, const Pass *step, const Tile *tile, vector *v, real *kind,
) noexcept nogil:
    """All outputs of some groups, which are along z here, some rows of them at a time.

    Rows of outputs are cut into runs of one length, the last of which covers some again. Where
    memory is far, what the next tile will read and write is fetched meanwhile.
    """
    cdef Py_ssize_t size = LANE_BYTES(v[0])
    cdef Py_ssize_t height = tile.rows_z
    cdef Py_ssize_t row_bytes = tile.rows_x * VECTOR_BYTES
    cdef Py_ssize_t runs = (tile.rows_x + step.height - 1) // step.height
    cdef const Py_ssize_t *places = &table[step.positions]
    cdef const Py_ssize_t *offsets = &table[step.offsets]
    cdef char *laid = &memory[scratch + plan.layout]
    cdef char *weights = &memory[scratch + step.columns]
    cdef char *bias = weights + step.taps * VECTOR_BYTES
    cdef char *results = &memory[scratch + step.sums]
    cdef const char *given = operands[step.operand] + tile.z * step.weight_outer
    cdef const char *source = operands[0] + tile.image * plan.in_image + tile.z * plan.in_z
    cdef Py_ssize_t ahead = height * plan.in_z // tile.rows_y
    cdef Py_ssize_t out_ahead = height * step.out_z // tile.rows_y
    cdef const char *row
    cdef char *out
    cdef char *at
    cdef interleaved_t multiply
    # For each row, the first of the taps that meet more than the zeros around, and how many do.
    cdef const Py_ssize_t *seen = &table[step.coordinates]
    cdef const Py_ssize_t *some
    cdef Py_ssize_t all_taps[4]
    cdef two_t multiply_both = two_of(step.height, v) if TWICE_ROWS else NULL
    cdef Py_ssize_t below = plan.stride_y * plan.pitch
    cdef Py_ssize_t m, y, r, x, count, i
    cdef bint all_finite, both
    all_taps[:] = [0, step.taps, 0, step.taps]
    if plan.stride_x == 1:
        multiply = interleaved_of(step.height, v, <stride1 *> NULL)
    else:
        multiply = interleaved_of(step.height, v, <stride2 *> NULL)
    interleave(laid, places, source, plan.in_z, plan.size_y * plan.size_x, height, v)
    for m in range(step.channels):
        interleave(weights, &table[step.column_offsets], given + m * step.weight_channel,
                   step.weight_outer, step.taps, height, v)
        all_finite = is_finite(weights, step.taps, kind)
        for i in range(VECTOR_BYTES // size):
            (<real *> bias)[i] = (<const real *> &memory[step.bias])[
                (tile.z + min(i, height - 1)) * step.channels + m]
        out = (output + step.out_offset + tile.image * step.out_image + tile.z * step.out_z
               + m * step.out_channel)
        y = 0
        while y < tile.rows_y:
            count = min(step.most, tile.rows_y - y)
            r = 0
            while r < count:
                row = laid + (y + r) * below
                some = seen + 2 * (y + r) if all_finite else all_taps
                both = step.shift > 0 and r + 1 < count
                if plan.far:
                    if m == 0:
                        fetch(source + height * plan.in_z + (y + r) * ahead, 1 + both, ahead, ahead)
                    fetch(out + height * step.out_z + (y + r) * out_ahead, 1 + both, out_ahead,
                          out_ahead)
                for i in range(runs):
                    x = min(i * step.height, tile.rows_x - step.height)
                    at = results + r * row_bytes + x * VECTOR_BYTES
                    if both:
                        multiply_both(row + x * VECTOR_BYTES, offsets, some, step.shift, below,
                                      weights, bias, at, row_bytes, NULL, NULL)
                    else:
                        multiply(row + x * plan.stride_x * VECTOR_BYTES, offsets + some[0],
                                 some[1], weights + some[0] * VECTOR_BYTES, bias, at, NULL, NULL,
                                 NULL)
                r += 1 + both
            separate(out + y * step.out_y, step.out_z, results, count * tile.rows_x, height, v)
            y += count
