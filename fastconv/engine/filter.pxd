"""Filter: small squares of taps, or a cross of five, on one plane, without a lay-out.

Where a group has one input channel, and its rows are contiguous, bands of four output rows
read the input in place. Zeros outside of it are masked, or a row of them above and below. Rows
that go on somehow have others above and below, and their ends are laid out; all ends are, where
there are no masks. The taps are added in the order in which direct passes add them.

Bands go from one end of the rows to the other, so that memory is read and written nearly in its
order.
"""

from fastconv.engine.lay_out cimport border_source, clip, copy
from fastconv.engine.plan cimport *
from fastconv.engine.simd cimport *


cdef enum:
    # Bytes of planes of which the next one is fetched.
    SMALL = 1 << 12


cdef inline int tap_of(int row, int column, square *_) noexcept nogil:
    """Which of the taps this is, if it is one."""
    if not 0 <= row < <int> sizeof(square):
        return -1
    if square is cross3:
        # One, three and one.
        return column + 1 if row == 1 else -1 if column != 1 else 2 * row
    return row * <int> sizeof(square) + column


cdef inline void filter_row(
    vector (*sums)[4], const char *row, const char *weights, const mask *inside, int i,
    square *a, stride *_, reach *__,
) noexcept nogil:
    """Add what row i of the input, as the band sees it, is to the band's rows."""
    cdef vector x[4]
    cdef vector y[1]
    cdef vector w[1]
    cdef const char *at
    cdef const mask *of
    cdef Py_ssize_t k
    cdef int j, r, tap
    for k in range(<int> sizeof(square)):
        for j in range(FILTER_VECTORS(sizeof(reach))):
            at = row + k * LANE_BYTES(w[0]) + j * <int> sizeof(stride) * VECTOR_BYTES
            of = inside + (k * FILTER_VECTORS(sizeof(reach)) + j) * <int> sizeof(stride)
            if reach is inner or not MASKS:
                LOAD(x[j], at)
            else:
                LOAD_MASKED(x[j], at, of[0])
            if stride is stride2:
                if reach is inner or not MASKS:
                    LOAD(y[0], at + VECTOR_BYTES)
                else:
                    LOAD_MASKED(y[0], at + VECTOR_BYTES, of[1])
                EVEN(x[j], x[j], y[0])
        for r in range(BAND):
            tap = tap_of(i - r * <int> sizeof(stride), <int> k, a)
            if tap >= 0:
                BROADCAST(w[0], weights + tap * LANE_BYTES(w[0]))
                for j in range(FILTER_VECTORS(sizeof(reach))):
                    sums[r][j] = sums[r][j] + w[0] * x[j]


cdef inline void filter_band(
    const char **rows, Py_ssize_t column, const char *weights, const char *bias,
    const mask *inside, char *target, Py_ssize_t pitch, Py_ssize_t valid, vector *_,
    square *a, stride *b, reach *c,
) noexcept nogil:
    """Four rows of the output, some vectors of each; `valid` bytes are stored."""
    cdef vector sums[4][4]
    cdef vector w[1]
    cdef Py_ssize_t left, _run
    cdef int i, j
    for _run in range(1):
        BROADCAST(w[0], bias)
        for i in range(BAND):
            for j in range(FILTER_VECTORS(sizeof(reach))):
                sums[i][j] = w[0]
        filter_row(sums, rows[0] + column, weights, inside, 0, a, b, c)
        filter_row(sums, rows[1] + column, weights, inside, 1, a, b, c)
        filter_row(sums, rows[2] + column, weights, inside, 2, a, b, c)
        filter_row(sums, rows[3] + column, weights, inside, 3, a, b, c)
        filter_row(sums, rows[4] + column, weights, inside, 4, a, b, c)
        filter_row(sums, rows[5] + column, weights, inside, 5, a, b, c)
        if 3 * <int> sizeof(stride) + <int> sizeof(square) > 6:
            filter_row(sums, rows[6] + column, weights, inside, 6, a, b, c)
            filter_row(sums, rows[7] + column, weights, inside, 7, a, b, c)
        if 3 * <int> sizeof(stride) + <int> sizeof(square) > 8:
            filter_row(sums, rows[8] + column, weights, inside, 8, a, b, c)
        if 3 * <int> sizeof(stride) + <int> sizeof(square) > 9:
            filter_row(sums, rows[9] + column, weights, inside, 9, a, b, c)
        if 3 * <int> sizeof(stride) + <int> sizeof(square) > 10:
            filter_row(sums, rows[10] + column, weights, inside, 10, a, b, c)
        if 3 * <int> sizeof(stride) + <int> sizeof(square) > 11:
            filter_row(sums, rows[11] + column, weights, inside, 11, a, b, c)
            filter_row(sums, rows[12] + column, weights, inside, 12, a, b, c)
        for i in range(BAND):
            for j in range(FILTER_VECTORS(sizeof(reach))):
                left = valid - j * VECTOR_BYTES
                if reach is inner or left >= VECTOR_BYTES:
                    STORE(target + i * pitch + j * VECTOR_BYTES, sums[i][j])
                elif left > 0:
                    STORE_PART(target + i * pitch + j * VECTOR_BYTES, sums[i][j], left)


ctypedef void (*filter_t)(
    const char **, Py_ssize_t, const char *, const char *, const mask *, char *, Py_ssize_t,
    Py_ssize_t, void *, void *, void *, void *,
) noexcept nogil


cdef inline filter_t filter_of_square(
    Py_ssize_t taps, vector *_, stride *__, reach *___,
) noexcept nogil:
    if taps == 5:
        return <filter_t> filter_band[vector, cross3, stride, reach]
    if taps == 9:
        return <filter_t> filter_band[vector, square3, stride, reach]
    if taps == 25:
        return <filter_t> filter_band[vector, square5, stride, reach]
    return <filter_t> filter_band[vector, square7, stride, reach]


cdef inline filter_t filter_of(
    Py_ssize_t taps, Py_ssize_t step, vector *v, reach *n,
) noexcept nogil:
    """The band for so many taps and a stride."""
    if step == 1:
        return filter_of_square(taps, v, <stride1 *> NULL, n)
    return filter_of_square(taps, v, <stride2 *> NULL, n)


cdef inline const char *in_order(
    char *target, const char *weights, Table table, const Pass *step, real *_,
) noexcept nogil:
    """The weights in the order of the taps; where they are, if they are so there."""
    cdef Py_ssize_t t
    if step.contiguous:
        return weights
    for t in range(step.taps):
        (<real *> target)[t] = (<const real *> (weights + table[step.gather + t]))[0]
    return target


cdef inline void find_inside(
    mask *inside, Py_ssize_t x, Py_ssize_t vectors, const Plan *plan, const Pass *step, vector *v,
) noexcept nogil:
    """What is in the rows that the strip from output `x` on loads; all, if they go on somehow."""
    cdef Py_ssize_t lanes = VECTOR_BYTES // LANE_BYTES(v[0])
    cdef Py_ssize_t at, first, last, j, k
    for k in range(step.kernel):
        for j in range(vectors * plan.stride_x):
            # The first column of a vector that is loaded.
            at = x * plan.stride_x + step.first_x + k + j * lanes
            first = 0 if plan.border else clip(-at, 0, lanes)
            last = lanes if plan.border else clip(plan.size_x - at, first, lanes)
            MASK(inside[k * vectors * plan.stride_x + j], first, last, v[0])


cdef inline void lay_end(
    char *target, const char *row, Py_ssize_t start, Py_ssize_t count, const Py_ssize_t *before,
    const Py_ssize_t *after, const Plan *plan, real *_,
) noexcept nogil:
    """So many elements of a row and of what continues it before and after, or zeros."""
    cdef Py_ssize_t low = clip(-start, 0, count)
    cdef Py_ssize_t high = clip(plan.size_x - start, low, count)
    cdef Py_ssize_t i
    copy(target + low * <Py_ssize_t> sizeof(real), row + (start + low) * <Py_ssize_t> sizeof(real),
         (high - low) * <Py_ssize_t> sizeof(real))
    for i in range(low):
        (<real *> target)[i] = (<const real *> row)[before[-start - i]] if plan.border else 0
    for i in range(high, count):
        (<real *> target)[i] = (
            (<const real *> row)[after[start + i - plan.size_x]] if plan.border else 0)


cdef inline void fetch(
    const char *start, Py_ssize_t rows, Py_ssize_t pitch, Py_ssize_t bytes
) noexcept nogil:
    """Fetch the cache lines of so many bytes of rows."""
    cdef Py_ssize_t row, at
    if pitch <= bytes:
        # Each goes on where the one before ended.
        bytes = rows * pitch
        rows = 1
    for row in range(rows):
        at = 0
        while at < bytes:
            PREFETCH_FAR(start + row * pitch + at)
            at += LINE
        if bytes % LINE:
            PREFETCH_FAR(start + row * pitch + bytes - 1)


cdef inline void filter_tile(
    Memory memory, Py_ssize_t scratch, Table table, const char **operands, char *output,
    const Plan *plan, const Pass *step, const Tile *tile, vector *v, real *kind,
) noexcept nogil:
    """Bands of four rows of all planes, from one end to the other in strips of a few vectors.

    The last band covers some rows again. Bands see too little of a row at a time for the hardware
    to guess what comes next. Where memory is far, what the next band, or this one of the next tile
    if planes are small, will read and write is fetched meanwhile.
    """
    cdef Py_ssize_t size = LANE_BYTES(v[0])
    cdef Py_ssize_t wide_x = BAND_VECTORS * (VECTOR_BYTES // size)
    cdef const char *zeros = &memory[scratch + plan.layout]
    cdef const char *source = (operands[0] + tile.image * plan.in_image
                               + tile.group * plan.in_group + tile.z * plan.in_z)
    cdef char *target = (output + step.out_offset + tile.image * step.out_image
                         + tile.group * step.out_group + tile.z * step.out_z)
    cdef const char *rows[FILTER_ROWS]
    cdef const char *starts[FILTER_ROWS]
    cdef const char *ends[FILTER_ROWS]
    cdef const char **given
    # Columns that continue a row: at -i, and at size_x + i.
    cdef Py_ssize_t before[MOST_TAPS + 1]
    cdef Py_ssize_t after[MOST_TAPS + 1]
    # Of the first strip, the last but one and the last.
    cdef mask inside[3][MOST_TAPS * 8]
    cdef char ordered[MOST_TAPS * MOST_TAPS * 8]
    cdef filter_t middle = filter_of(step.taps, plan.stride_x, v, <inner *> NULL)
    cdef filter_t first = filter_of(step.taps, plan.stride_x, v, <wide *> NULL)
    cdef filter_t last = first
    cdef filter_t band
    cdef Py_ssize_t seen = 3 * plan.stride_y + step.kernel
    cdef Py_ssize_t strips = (tile.rows_x - 1) // wide_x
    cdef Py_ssize_t rest = tile.rows_x - strips * wide_x
    # The first strip that reaches beyond the rows' ends, which is the last or the one before.
    cdef Py_ssize_t ending = max(strips - (
        strips * wide_x * plan.stride_x + step.first_x + step.kernel - 1 > plan.size_x), 0)
    cdef Py_ssize_t vectors = BAND_VECTORS
    cdef Py_ssize_t ahead = (step.first_y + seen) * plan.in_y
    cdef Py_ssize_t out_ahead = BAND * step.out_y
    cdef Py_ssize_t at, line, row, strip, x, width, column, _g, j, m
    cdef const char *at_row
    cdef const char *upcoming
    cdef const char *weights
    cdef const char *bias
    cdef char *out
    cdef bint laid = plan.border or not MASKS
    if plan.border:
        for j in range(step.kernel + 1):
            before[j] = border_source(-j, plan.size_x, plan.border)
            after[j] = border_source(plan.size_x + j, plan.size_x, plan.border)
    if laid:
        for j in range(seen):
            starts[j] = &memory[scratch + step.source + j * step.row_pitch]
            ends[j] = starts[j] + seen * step.row_pitch
    # Small planes are done before the hardware has seen where they lie.
    cdef bint small = plan.tiles_y == 1 and plan.size_y * plan.in_y <= SMALL
    if small:
        ahead = plan.in_group
        out_ahead = step.out_group
    if rest * size <= VECTOR_BYTES:
        vectors = 1
        last = filter_of(step.taps, plan.stride_x, v, <single *> NULL)
    elif rest * size <= 2 * VECTOR_BYTES:
        vectors = 2
        last = filter_of(step.taps, plan.stride_x, v, <pair *> NULL)
    find_inside(inside[2], strips * wide_x, vectors, plan, step, v)
    for j in range(min(strips, 2)):
        find_inside(inside[j], j * (strips - 1) * wide_x, BAND_VECTORS, plan, step, v)
    row = 0
    while row < tile.rows_y:
        at = tile.y + min(row, tile.rows_y - BAND)
        for j in range(seen):
            line = border_source(at * plan.stride_y + step.first_y + j, plan.size_y, plan.border)
            rows[j] = source + line * plan.in_y if line >= 0 else zeros
        upcoming = source + at * plan.stride_y * plan.in_y + ahead
        out = target + at * step.out_y
        weights = operands[step.operand] + tile.group * step.weight_outer
        bias = &memory[step.bias + tile.group * step.groups * step.channels * size]
        for _g in range(step.groups):
            if laid:
                # All at once: vectors that have just been stored are not there to load at once.
                for j in range(seen):
                    if ending > 0:
                        lay_end(<char *> starts[j], rows[j], step.first_x,
                                (wide_x - 1) * plan.stride_x + step.kernel, before, after, plan,
                                kind)
                    x = ending * wide_x
                    lay_end(<char *> ends[j], rows[j], x * plan.stride_x + step.first_x,
                            (tile.rows_x - x - 1) * plan.stride_x + step.kernel, before, after,
                            plan, kind)
            for strip in range(strips + 1):
                x = strip * wide_x
                width = rest
                band = last
                j = 2
                if strip < strips:
                    width = wide_x
                    band = middle if laid or 0 < strip < ending else first
                    j = min(strip, 1)
                if small or plan.far:
                    fetch(upcoming + x * plan.stride_x * size, BAND * plan.stride_y, plan.in_y,
                          width * plan.stride_x * size)
                if plan.far:
                    fetch(out + out_ahead + x * size, BAND, step.out_y, width * size)
                given = rows
                column = x * plan.stride_x + step.first_x
                if laid and strip >= ending:
                    given = ends
                    column = (strip - ending) * wide_x * plan.stride_x
                elif laid and strip == 0:
                    given = starts
                    column = 0
                for m in range(step.channels):
                    band(given, column * size,
                         in_order(ordered, weights + m * step.weight_channel, table, step, kind),
                         bias + m * size, inside[j], out + x * size + m * step.out_channel,
                         step.out_y, width * size, NULL, NULL, NULL, NULL)
            # The next plane. One row after the other: the band waits for vectors that are stored.
            for j in range(seen):
                at_row = rows[j]
                OPAQUE(at_row)
                if at_row != zeros:
                    rows[j] = at_row + plan.in_channel
            upcoming += plan.in_channel
            out += step.out_inner
            weights += step.weight_inner
            bias += step.channels * size
        row += BAND
