"""Lay out: what a tile sees of the input goes to the scratch, borders and phases sorted out."""

from libc.string cimport memset

from fastconv.engine.plan cimport *
from fastconv.engine.simd cimport *


cdef inline Py_ssize_t border_source(Py_ssize_t i, Py_ssize_t n, Py_ssize_t border) noexcept nogil:
    """The element of an axis of n that stands at coordinate i, or -1 for a zero."""
    if 0 <= i < n:
        return i
    if border == ZEROS:
        return -1
    if border == REPLICATE or n == 1:
        return 0 if i < 0 else n - 1
    if border == CIRCULAR:
        i %= n
        return i + n if i < 0 else i
    # Both mirrors repeat: 'reflect' leaves the edge out of its image, 'symmetric' does not.
    cdef Py_ssize_t edge = 1 if border == SYMMETRIC else 0
    cdef Py_ssize_t period = 2 * (n - 1 + edge)
    i %= period
    if i < 0:
        i += period
    return i if i < n else period - i - edge


cdef inline Py_ssize_t clip(Py_ssize_t value, Py_ssize_t low, Py_ssize_t high) noexcept nogil:
    return low if value < low else high if value > high else value


cdef inline void copy(char *target, const char *source, Py_ssize_t count) noexcept nogil:
    """memcpy for rows, which are short."""
    cdef vf x[1]
    while count >= VECTOR_BYTES:
        LOAD(x[0], source)
        STORE(target, x[0])
        source += VECTOR_BYTES
        target += VECTOR_BYTES
        count -= VECTOR_BYTES
    if count > 0:
        LOAD_PART(x[0], source, count)
        STORE_PART(target, x[0], count)


cdef inline void copy_tested(
    char *target, const char *source, Py_ssize_t count, char *test, vector *_,
) noexcept nogil:
    """Copy bytes; `test` becomes NaN where one of the numbers was infinite or NaN."""
    cdef vector x[1]
    cdef vector t[1]
    LOAD(t[0], test)
    while count > 0:
        if count >= VECTOR_BYTES:
            LOAD(x[0], source)
            STORE(target, x[0])
        else:
            LOAD_PART(x[0], source, count)
            STORE_PART(target, x[0], count)
        t[0] = t[0] + x[0] * 0
        source += VECTOR_BYTES
        target += VECTOR_BYTES
        count -= VECTOR_BYTES
    STORE(test, t[0])


cdef inline bint is_zero(const char *test, real *_) noexcept nogil:
    """Whether a vector of tests, for which nothing was NaN, is zero in every lane."""
    cdef int i
    for i in range(VECTOR_BYTES // <int> sizeof(real)):
        if not (<const real *> test)[i] == 0:
            return False
    return True


cdef inline void copy_inside(
    char *target, const char *source, Py_ssize_t low, Py_ssize_t high, Py_ssize_t count,
) noexcept nogil:
    """A row of `count` bytes: the source between low and high, zeros around it."""
    cdef vf x[1]
    cdef mask inside[1]
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t left
    while at < count:
        if at >= low and at + VECTOR_BYTES <= high:
            LOAD(x[0], source + at)
            STORE(target + at, x[0])
        else:
            left = min(count - at, VECTOR_BYTES)
            if high > at and low < at + left:
                MASK(inside[0], max(low - at, 0) // LANE_BYTES(x[0]),
                     min(high - at, left) // LANE_BYTES(x[0]), x[0])
                LOAD_MASKED(x[0], source + at, inside[0])
            else:
                FILL(x[0], 0)
            STORE_PART(target + at, x[0], left)
        at += VECTOR_BYTES


cdef inline void convert(
    char *target, const char *source, Py_ssize_t count, Py_ssize_t stride, number *_, real *__,
) noexcept nogil:
    """Numbers of any type, anywhere, side by side in the type that is computed in."""
    cdef Py_ssize_t i
    if stride == sizeof(number):
        for i in range(count):
            (<real *> target)[i] = <real> (<const number *> source)[i]
        return
    for i in range(count):
        (<real *> target)[i] = <real> (<const number *> (source + i * stride))[0]


cdef inline void copy_numbers(
    char *target, const char *source, Py_ssize_t count, Py_ssize_t stride, Py_ssize_t given,
    real *kind,
) noexcept nogil:
    """The same for the type that the input has."""
    if given == FLOAT32:
        convert(target, source, count, stride, <float *> NULL, kind)
    elif given == FLOAT64:
        convert(target, source, count, stride, <double *> NULL, kind)
    elif given == UINT8:
        convert(target, source, count, stride, <unsigned char *> NULL, kind)
    elif given == INT8:
        convert(target, source, count, stride, <signed char *> NULL, kind)
    elif given == UINT16:
        convert(target, source, count, stride, <unsigned short *> NULL, kind)
    elif given == INT16:
        convert(target, source, count, stride, <short *> NULL, kind)
    elif given == UINT32:
        convert(target, source, count, stride, <unsigned int *> NULL, kind)
    elif given == INT32:
        convert(target, source, count, stride, <int *> NULL, kind)
    elif given == UINT64:
        convert(target, source, count, stride, <unsigned long long *> NULL, kind)
    elif given == INT64:
        convert(target, source, count, stride, <long long *> NULL, kind)


ctypedef void (*copy_t)(
    char *, const char *, Py_ssize_t, Py_ssize_t, Py_ssize_t, const void *,
) noexcept nogil


cdef inline void copy_given(
    char *target, const char *source, Py_ssize_t count, Py_ssize_t stride, Py_ssize_t given,
    real *kind,
) noexcept nogil:
    """The same, not inlined."""
    cdef copy_t copy_out_of_line = <copy_t> copy_numbers[real]
    OPAQUE(copy_out_of_line)
    copy_out_of_line(target, source, count, stride, given, kind)


cdef inline bint is_given(const Plan *plan, real *_) noexcept nogil:
    """Whether the input has the type that is computed in."""
    if real is double:
        return plan.given == FLOAT64
    return plan.given == FLOAT32


cdef inline void lay_rows(
    char *target, const char *source, Py_ssize_t rows, Py_ssize_t row, Py_ssize_t ahead,
    Py_ssize_t low, Py_ssize_t high, const Plan *plan, vector *_,
) noexcept nogil:
    """Rows, or every second or fourth element of them, by the stride; zeros but from low to high.

    The source is where element 0 would be, its rows are `row` apart. Meanwhile what is `ahead` of
    it is fetched.
    """
    cdef vector x[4]
    cdef mask inside[4]
    cdef Py_ssize_t left = plan.pitch // LANE_BYTES(x[0])
    cdef Py_ssize_t step = plan.stride_x
    cdef Py_ssize_t _y, first, last, stored
    cdef const char *given
    cdef char *laid
    cdef int j
    while left > 0:
        # What is after the last of these elements is not read: it may lie behind the array.
        for j in range(4):
            first = clip(step * low - j * LANES(x[0]), 0, LANES(x[0]))
            last = clip(step * (high - 1) + 1 - j * LANES(x[0]), first, LANES(x[0]))
            MASK(inside[j], first, last, x[0])
        given = source
        laid = target
        stored = min(left, LANES(x[0])) * LANE_BYTES(x[0])
        if step == 4:
            for _y in range(rows):
                for j in range(4):
                    LOAD_MASKED(x[j], given + j * VECTOR_BYTES, inside[j])
                    PREFETCH(given + ahead + j * VECTOR_BYTES)
                for j in range(2):
                    EVEN(x[j], x[2 * j], x[2 * j + 1])
                EVEN(x[0], x[0], x[1])
                STORE_PART(laid, x[0], stored)
                given += row
                laid += plan.pitch
        elif step == 2:
            for _y in range(rows):
                for j in range(2):
                    LOAD_MASKED(x[j], given + j * VECTOR_BYTES, inside[j])
                    PREFETCH(given + ahead + j * VECTOR_BYTES)
                EVEN(x[0], x[0], x[1])
                STORE_PART(laid, x[0], stored)
                given += row
                laid += plan.pitch
        elif low <= 0 and high >= LANES(x[0]) and left >= LANES(x[0]):
            for _y in range(rows):
                LOAD(x[0], given)
                STORE(laid, x[0])
                PREFETCH(given + ahead)
                given += row
                laid += plan.pitch
        else:
            for _y in range(rows):
                LOAD_MASKED(x[0], given, inside[0])
                STORE_PART(laid, x[0], stored)
                PREFETCH(given + ahead)
                given += row
                laid += plan.pitch
        source += step * VECTOR_BYTES
        target += VECTOR_BYTES
        low -= LANES(x[0])
        high -= LANES(x[0])
        left -= LANES(x[0])


cdef inline void lay_border(
    char *target, const char *source, Py_ssize_t first, Py_ssize_t step, Py_ssize_t start,
    Py_ssize_t stop, const Plan *plan, real *kind,
) noexcept nogil:
    """Elements start .. stop of a row, all of them outside the input."""
    cdef real *row = <real *> target
    cdef Py_ssize_t i, at
    if plan.border == ZEROS:
        for i in range(start, stop):
            row[i] = 0
        return
    for i in range(start, stop):
        at = border_source(first + i * step, plan.size_x, plan.border)
        copy_given(<char *> (row + i), source + at * plan.in_x, 1, 0, plan.given, kind)


cdef inline void lay_row(
    char *target, const char *source, Py_ssize_t first, Py_ssize_t step, Py_ssize_t count,
    Py_ssize_t low, Py_ssize_t high, const Plan *plan, real *kind,
) noexcept nogil:
    """One row of one phase: coordinates first, first + step, ...; low .. high lie inside."""
    cdef const char *inside = source + (first + low * step) * plan.in_x
    cdef Py_ssize_t stride = step * plan.in_x
    cdef Py_ssize_t size = sizeof(real)
    cdef bint given = is_given(plan, kind)
    if given and stride == size:
        if plan.border == ZEROS:
            copy_inside(target, inside - low * size, low * size, high * size, count * size)
            return
        copy(target + low * size, inside, (high - low) * size)
    elif given and (step == 2 or step == 4) and plan.in_x == size:
        if real is double:
            lay_rows(target, source + first * size, 1, 0, 0, low, high, plan, <vd *> NULL)
        else:
            lay_rows(target, source + first * size, 1, 0, 0, low, high, plan, <vf *> NULL)
    else:
        copy_given(target + low * size, inside, high - low, stride, plan.given, kind)
    lay_border(target, source, first, step, 0, low, plan, kind)
    lay_border(target, source, first, step, high, count, plan, kind)


cdef inline void fetch_row(
    const char *source, Py_ssize_t first, Py_ssize_t count, const Plan *plan,
) noexcept nogil:
    """What a row of the next channel is made of: the hardware does not guess where it lies."""
    cdef Py_ssize_t at = max(first, 0) * plan.in_x
    cdef Py_ssize_t end = min(first + count * plan.stride_x, plan.size_x) * plan.in_x
    if 0 < plan.in_x <= LINE:
        while at < end:
            PREFETCH(source + at)
            at += LINE


cdef inline void lay_plane(
    char *target, const char *source, Py_ssize_t first_y, Py_ssize_t rows, Py_ssize_t shift,
    const Plan *plan, real *_,
) noexcept nogil:
    """Whole rows from `first_y` on, shifted, all at once: what came round an edge is cleared."""
    cdef Py_ssize_t width = plan.size_x
    cdef Py_ssize_t low = clip(-first_y, 0, rows)
    cdef Py_ssize_t high = clip(plan.size_y - first_y, low, rows)
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t start = low * width + max(0, -shift)
    cdef Py_ssize_t stop = high * width - max(0, shift)
    cdef Py_ssize_t edge = min(max(shift, -shift), width)
    cdef real *row
    cdef Py_ssize_t y, x
    if low:
        memset(target, 0, low * width * size)
    if high < rows:
        memset(target + high * width * size, 0, (rows - high) * width * size)
    if stop > start:
        copy(target + start * size, source + (first_y * width + start + shift) * size,
             (stop - start) * size)
    for y in range(low, high):
        row = <real *> target + y * width + (width - edge if shift > 0 else 0)
        for x in range(edge):
            row[x] = 0


cdef inline Py_ssize_t steps_to(Py_ssize_t limit, Py_ssize_t stride) noexcept nogil:
    """How many of 0, stride, ... lie below a limit."""
    return (limit + stride - 1) // stride if limit > 0 else 0


cdef inline void lay_part(
    char *target, const char *source, Py_ssize_t first_y, Py_ssize_t rows, Py_ssize_t ahead,
    Py_ssize_t low, Py_ssize_t high, const Plan *plan, real *_,
) noexcept nogil:
    """Parts of the rows of a plane from `first_y` on, zeros around the input."""
    cdef Py_ssize_t row = plan.stride_y * plan.in_y
    cdef Py_ssize_t above = clip(steps_to(-first_y, plan.stride_y), 0, rows)
    cdef Py_ssize_t end = clip(steps_to(plan.size_y - first_y, plan.stride_y), above, rows)
    if low == high:
        end = above = 0
    memset(target, 0, above * plan.pitch)
    memset(target + end * plan.pitch, 0, (rows - end) * plan.pitch)
    target += above * plan.pitch
    source += first_y * plan.in_y + above * row
    if real is double:
        lay_rows(target, source, end - above, row, ahead, low, high, plan, <vd *> NULL)
    else:
        lay_rows(target, source, end - above, row, ahead, low, high, plan, <vf *> NULL)


cdef inline void lay_out(
    char *scratch, const char *source, Py_ssize_t channels, const Plan *plan, const Tile *tile,
    const Py_ssize_t *residues, real *kind,
) noexcept nogil:
    """Fill the scratch with what one tile sees of some channels."""
    cdef const Py_ssize_t *residues_z = residues
    cdef const Py_ssize_t *residues_y = residues_z + plan.phases_z
    cdef const Py_ssize_t *residues_x = residues_y + plan.phases_y
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t count_z = tile.rows_z + plan.halo_z
    cdef Py_ssize_t count_y = tile.rows_y + plan.halo_y
    cdef Py_ssize_t count_x = tile.rows_x + plan.halo_x
    cdef Py_ssize_t c, pz, py, px, z, y, at_z, at_y, first, low, high
    cdef const char *at
    cdef char *target
    cdef char *row
    cdef bint outside
    cdef bint plain = (is_given(plan, kind) and plan.border == ZEROS
                       and plan.in_x == sizeof(real))
    # Long rows had better be copied one after the other, as memory has them.
    cdef bint parts = plain and (
        plan.stride_x == 2 or plan.stride_x == 4
        or plan.stride_x == 1 and count_y >= BAND and plan.pitch <= 2 * VECTOR_BYTES)
    cdef bint whole = (
        plain and plan.stride_x == 1 and plan.stride_y == 1
        and plan.in_y == plan.size_x * plan.in_x and plan.pitch == plan.in_y
        and tile.rows_x == plan.size_x)
    for c in range(channels):
        for px in range(plan.phases_x):
            first = tile.x * plan.stride_x + residues_x[px]
            low = clip(steps_to(-first, plan.stride_x), 0, count_x)
            high = clip(steps_to(plan.size_x - first, plan.stride_x), low, count_x)
            for pz in range(plan.phases_z):
                for py in range(plan.phases_y):
                    target = scratch + c * plan.channel + (
                        (pz * plan.phases_y + py) * plan.phases_x + px) * plan.phase
                    for z in range(count_z):
                        at_z = border_source(
                            (tile.z + z) * plan.stride_z + residues_z[pz],
                            plan.size_z, plan.border)
                        if whole and at_z >= 0:
                            lay_plane(
                                target + z * plan.plane, source + c * plan.in_channel
                                + at_z * plan.in_z, tile.y + residues_y[py], count_y, first,
                                plan, kind)
                            continue
                        if parts and at_z >= 0:
                            lay_part(
                                target + z * plan.plane, source + c * plan.in_channel
                                + at_z * plan.in_z + first * size,
                                tile.y * plan.stride_y + residues_y[py], count_y,
                                plan.in_channel if px == 0 else 0, low, high, plan, kind)
                            continue
                        for y in range(count_y):
                            at_y = border_source(
                                (tile.y + y) * plan.stride_y + residues_y[py],
                                plan.size_y, plan.border)
                            row = target + z * plan.plane + y * plan.pitch
                            outside = at_z < 0 or at_y < 0
                            if outside or count_x * <Py_ssize_t> sizeof(real) < plan.pitch:
                                memset(row, 0, plan.pitch)
                            if outside:
                                continue
                            at = (source + c * plan.in_channel + at_z * plan.in_z
                                  + at_y * plan.in_y)
                            if px == 0:
                                fetch_row(at + plan.in_channel, first, count_x, plan)
                            lay_row(row, at, first, plan.stride_x, count_x, low, high, plan, kind)
