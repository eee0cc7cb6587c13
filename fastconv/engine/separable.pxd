"""Separable: a line of taps down the columns of a plane, then one along its rows, or one of them.

Four rows of the output at a time, without a lay-out. What the columns make of all rows that these
see, or these rows themselves, stands in the scratch, and the line along the rows finds it there.
The border is what it makes of that: each column is treated alike.
"""

from libc.string cimport memset

from fastconv.engine.lay_out cimport border_source, clip, copy, copy_given, is_given
from fastconv.engine.multiply cimport multiply_line
from fastconv.engine.plan cimport *
from fastconv.engine.simd cimport *
from fastconv.engine.store cimport is_stored, store_row
from fastconv.engine.weights cimport weights_of

cdef enum:
    # The most taps down a column.
    DOWN = 64
    # Vectors of a row from which on it is worth one to begin with a cache line.
    HEADED = 8


cdef inline void add_down(
    vector (*sums)[4], const char *row, const mask *inside, const char *weights, int low, int high,
    reach *_,
) noexcept nogil:
    """Add a row to rows low .. high of a band; `weights` is that of row 0."""
    cdef vector x[4]
    cdef vector w[1]
    cdef int r, j
    for j in range(FILTER_VECTORS(sizeof(reach))):
        if reach is inner:
            LOAD(x[j], row + j * VECTOR_BYTES)
        else:
            LOAD_MASKED(x[j], row + j * VECTOR_BYTES, inside[j])
    for r in range(BAND):
        if low <= r < high:
            BROADCAST(w[0], weights - r * LANE_BYTES(w[0]))
            for j in range(FILTER_VECTORS(sizeof(reach))):
                sums[r][j] = sums[r][j] + w[0] * x[j]


cdef inline void down_band(
    const char **rows, Py_ssize_t column, Py_ssize_t taps, const mask *inside,
    const char *weights, const char *bias, char *target, Py_ssize_t pitch, int height,
    Py_ssize_t valid, Py_ssize_t ahead, Py_ssize_t out_ahead, vector *_, reach *s,
) noexcept nogil:
    """Four rows of what the columns make, or fewer, some vectors of each; `valid` bytes are stored.

    Meanwhile the rows that the next band will see first are fetched, and what it will write to.
    """
    cdef vector sums[4][4]
    cdef vector w[1]
    cdef Py_ssize_t size = LANE_BYTES(sums[0][0])
    cdef Py_ssize_t i, left, _run
    cdef int r, j
    for _run in range(1):
        BROADCAST(w[0], bias)
        for r in range(BAND):
            for j in range(FILTER_VECTORS(sizeof(reach))):
                sums[r][j] = w[0]
        if out_ahead:
            for r in range(BAND):
                for j in range(FILTER_VECTORS(sizeof(reach))):
                    PREFETCH_FAR(target + out_ahead + r * pitch + j * VECTOR_BYTES)
        if ahead:
            for r in range(BAND):
                for j in range(FILTER_VECTORS(sizeof(reach))):
                    PREFETCH_FAR(rows[taps - 1 + r] + column + ahead + j * VECTOR_BYTES)
        # Three taps at least: rows at both ends are not seen by all of the band.
        add_down(sums, rows[0] + column, inside, weights, 0, 1, s)
        add_down(sums, rows[1] + column, inside, weights + size, 0, 2, s)
        add_down(sums, rows[2] + column, inside, weights + 2 * size, 0, 3, s)
        for i in range(3, taps):
            add_down(sums, rows[i] + column, inside, weights + i * size, 0, 4, s)
        add_down(sums, rows[taps] + column, inside, weights + taps * size, 1, 4, s)
        add_down(sums, rows[taps + 1] + column, inside, weights + (taps + 1) * size, 2, 4, s)
        add_down(sums, rows[taps + 2] + column, inside, weights + (taps + 2) * size, 3, 4, s)
        for r in range(BAND):
            for j in range(FILTER_VECTORS(sizeof(reach))):
                left = valid - j * VECTOR_BYTES
                if r < height and left >= VECTOR_BYTES:
                    STORE(target + r * pitch + j * VECTOR_BYTES, sums[r][j])
                elif r < height and left > 0:
                    STORE_PART(target + r * pitch + j * VECTOR_BYTES, sums[r][j], left)


cdef inline void along_band(
    const char *source, Py_ssize_t pitch, Py_ssize_t taps, const char *weights, const char *bias,
    char *target, Py_ssize_t out_pitch, int rows, Py_ssize_t valid, Py_ssize_t ahead, vector *_,
    span *__,
) noexcept nogil:
    """Four rows of the output, or fewer, one or two vectors of each; `valid` bytes are stored.

    Meanwhile what the next band will write to is fetched, if that is memory.
    """
    cdef vector sums[4][4]
    cdef vector x[1]
    cdef vector w[1]
    cdef Py_ssize_t k, left, _run
    cdef int r, j
    for _run in range(1):
        BROADCAST(w[0], bias)
        for r in range(BAND):
            for j in range(FILTER_VECTORS(sizeof(span))):
                sums[r][j] = w[0]
        if ahead:
            for r in range(BAND):
                for j in range(FILTER_VECTORS(sizeof(span))):
                    PREFETCH_FAR(target + ahead + r * out_pitch + j * VECTOR_BYTES)
        for k in range(taps):
            BROADCAST(w[0], weights + k * LANE_BYTES(w[0]))
            for r in range(BAND):
                for j in range(FILTER_VECTORS(sizeof(span))):
                    LOAD(x[0], source + r * pitch + k * LANE_BYTES(w[0]) + j * VECTOR_BYTES)
                    sums[r][j] = sums[r][j] + w[0] * x[0]
        for r in range(BAND):
            for j in range(FILTER_VECTORS(sizeof(span))):
                left = valid - j * VECTOR_BYTES
                if r < rows and left >= VECTOR_BYTES:
                    STORE(target + r * out_pitch + j * VECTOR_BYTES, sums[r][j])
                elif r < rows and left > 0:
                    STORE_PART(target + r * out_pitch + j * VECTOR_BYTES, sums[r][j], left)


cdef inline void down(
    const char **rows, Py_ssize_t width, Py_ssize_t head, const Pass *step, const char *weights,
    const char *bias, char *target, Py_ssize_t pitch, int height, Py_ssize_t ahead,
    Py_ssize_t out_ahead, vector *v,
) noexcept nogil:
    """A band of so many columns; after the first `head` of them rows begin with a cache line."""
    cdef Py_ssize_t lanes = LANES(v[0])
    cdef Py_ssize_t x = 0
    cdef Py_ssize_t column, count, j
    cdef mask inside[4]
    while x < width:
        count = head if x == 0 and 0 < head < width else width - x
        for j in range(4):
            MASK(inside[j], 0, clip(count - j * lanes, 0, lanes), v[0])
        column = x * LANE_BYTES(v[0])
        if count >= BAND_VECTORS * lanes:
            count = BAND_VECTORS * lanes
            down_band(rows, column, step.taps, inside, weights, bias, target + column, pitch,
                      height, count * LANE_BYTES(v[0]), ahead, out_ahead, v, <inner *> NULL)
        elif count <= lanes:
            down_band(rows, column, step.taps, inside, weights, bias, target + column, pitch,
                      height, count * LANE_BYTES(v[0]), ahead, out_ahead, v, <single *> NULL)
        elif count <= 2 * lanes:
            down_band(rows, column, step.taps, inside, weights, bias, target + column, pitch,
                      height, count * LANE_BYTES(v[0]), ahead, out_ahead, v, <pair *> NULL)
        else:
            down_band(rows, column, step.taps, inside, weights, bias, target + column, pitch,
                      height, count * LANE_BYTES(v[0]), ahead, out_ahead, v, <wide *> NULL)
        x += count


cdef inline void along(
    const char *source, Py_ssize_t pitch, Py_ssize_t width, const Pass *step,
    const char *weights, const char *bias, char *target, Py_ssize_t out_pitch, int rows,
    Py_ssize_t ahead, vector *v,
) noexcept nogil:
    """A band of the output; of narrow rows together."""
    cdef Py_ssize_t size = LANE_BYTES(v[0])
    cdef Py_ssize_t lanes = LANES(v[0])
    cdef Py_ssize_t at
    cdef int r
    if width > 2 * lanes:
        for r in range(rows):
            at = 0
            while ahead and at < width * size:
                PREFETCH_FAR(target + r * out_pitch + ahead + at)
                at += LINE
            multiply_line(source + r * pitch, step.taps, weights, bias, target + r * out_pitch,
                          width * size, v)
    elif width > lanes:
        along_band(source, pitch, step.taps, weights, bias, target, out_pitch, rows, width * size,
                   ahead, v, <pair *> NULL)
    else:
        along_band(source, pitch, step.taps, weights, bias, target, out_pitch, rows, width * size,
                   ahead, v, <single *> NULL)


cdef inline real of_column(
    const char *plane, Py_ssize_t at, Py_ssize_t column, const Pass *step, const real *weights,
    const Plan *plan,
) noexcept nogil:
    """What one column makes of the rows from coordinate `at` on."""
    cdef real total = 0
    cdef real x[1]
    cdef Py_ssize_t i, line
    for i in range(step.taps):
        line = border_source(at + i, plan.size_y, plan.border)
        x[0] = 0
        if line >= 0:
            copy_given(<char *> x, plane + line * plan.in_y + column * plan.in_x, 1, 0,
                       plan.given, x)
        total += weights[i] * x[0]
    return total


cdef inline void find_border(
    real *row, const char *plane, Py_ssize_t at, Py_ssize_t start, Py_ssize_t count,
    Py_ssize_t low, Py_ssize_t high, const Pass *down, const real *weights, const Plan *plan,
) noexcept nogil:
    """What is around `low` .. `high` of a row that the columns have made, or that was copied."""
    cdef Py_ssize_t p = 0
    cdef Py_ssize_t i
    while p < count:
        if p == low and high > low:
            p = high
            continue
        i = border_source(start + p, plan.size_x, plan.border)
        row[p] = 0
        if low <= i - start < high:
            row[p] = row[i - start]
        elif i >= 0 and down != NULL:
            row[p] = of_column(plane, at, i, down, weights, plan)
        elif i >= 0:
            copy_given(<char *> (row + p), plane + at * plan.in_y + i * plan.in_x, 1, 0,
                       plan.given, row)
        p += 1


cdef inline void separable_plane(
    char *scratch, const char *plane, char *target, const char *down_weights,
    const char *along_weights, const char *bias, const Plan *plan, const Pass *passes,
    const Tile *tile, vector *v, real *kind,
) noexcept nogil:
    """A tile of one plane, band by band."""
    cdef const Pass *last = passes + plan.passes - 1
    cdef const Pass *step = NULL
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t pitch = passes.sums_pitch
    # What the rows of the tile see, and where that is in the plane.
    cdef Py_ssize_t start = tile.x + (last.first_x if last.line else 0)
    cdef Py_ssize_t count = tile.rows_x + (last.taps - 1 if last.line else 0)
    cdef Py_ssize_t low = clip(-start, 0, count)
    cdef Py_ssize_t high = clip(plan.size_x - start, low, count)
    cdef Py_ssize_t taps = 1 if passes.line else passes.taps
    cdef Py_ssize_t seen = taps + BAND - 1
    cdef bint in_place = is_given(plan, kind) and plan.in_x == size
    cdef bint stored = is_stored(plan, kind) and last.out_x == size
    cdef Py_ssize_t ahead = BAND * plan.in_y if in_place and plan.far else 0
    cdef Py_ssize_t out_ahead = BAND * last.out_y if stored and plan.far else 0
    # Loads that cross from one cache line into the next take twice as long.
    cdef Py_ssize_t head = 0
    cdef const char *zeros = scratch
    cdef char *middle = scratch + pitch
    cdef char *lines = scratch + passes.source
    cdef char *panel = scratch + last.target
    cdef const char *rows[DOWN + 3]
    cdef Py_ssize_t first = tile.y + (0 if passes.line else passes.first_y)
    cdef Py_ssize_t next = first
    cdef Py_ssize_t row = 0
    cdef Py_ssize_t at, place, out_pitch, i
    cdef char *out
    cdef char *into
    cdef int r, height
    if not passes.line:
        step = passes
    if in_place and plan.in_y % LINE == 0 and high - low >= HEADED * LANES(v[0]):
        head = (LINE - <Py_ssize_t> (plane + (start + low) * size) % LINE) % LINE // size
    while row < tile.rows_y:
        height = <int> min(BAND, tile.rows_y - row)
        at = first + row
        out = target + (tile.y + row) * last.out_y + tile.x * last.out_x
        into = out if stored else panel
        out_pitch = last.out_y if stored else pitch
        for i in range(seen):
            place = -1
            if i < taps + height - 1:
                place = border_source(at + i, plan.size_y, plan.border)
            rows[i] = zeros
            if place >= 0 and in_place:
                rows[i] = plane + place * plan.in_y + (start + low) * size
            elif place >= 0:
                rows[i] = lines + (at + i - first) % seen * pitch
                if at + i >= next:
                    copy_given(<char *> rows[i],
                               plane + place * plan.in_y + (start + low) * plan.in_x, high - low,
                               plan.in_x, plan.given, kind)
        next = at + seen
        if not last.line:
            down(rows, count, head, step, down_weights, bias, into, out_pitch, height, ahead,
                 out_ahead, v)
        else:
            if step != NULL:
                down(rows, high - low, head, step, down_weights, zeros, middle + low * size, pitch,
                     BAND, ahead, 0, v)
            for r in range(height):
                if step == NULL:
                    copy(middle + r * pitch + low * size, rows[r], (high - low) * size)
                find_border(<real *> (middle + r * pitch), plane, at + r, start, count, low, high,
                            step, <const real *> down_weights, plan)
            along(middle, pitch, tile.rows_x, last, along_weights, bias, into, out_pitch, height,
                  out_ahead, v)
        if not stored:
            for r in range(height):
                store_row(out + r * last.out_y, last.out_x, panel + r * pitch, tile.rows_x,
                          plan.stored, kind)
        row += BAND


cdef inline void separable_tile(
    Memory memory, Py_ssize_t scratch, const char **operands, char *output, const Plan *plan,
    const Pass *passes, const Tile *tile, vector *v, real *kind,
) noexcept nogil:
    cdef const Pass *last = passes + plan.passes - 1
    cdef Py_ssize_t z
    # A row of zeros, as wide as what a tile sees.
    if not passes.line:
        memset(&memory[scratch + plan.layout], 0, passes.sums_pitch)
    for z in range(tile.z, tile.z + tile.rows_z):
        separable_plane(
            &memory[scratch + plan.layout],
            operands[0] + tile.image * plan.in_image + tile.group * plan.in_group + z * plan.in_z,
            output + last.out_offset + tile.image * last.out_image
            + tile.group * last.out_group + z * last.out_z,
            weights_of(operands, passes, tile.group, 0),
            weights_of(operands, last, tile.group, 0),
            &memory[last.bias + tile.group * <Py_ssize_t> sizeof(real)], plan, passes, tile,
            v, kind)
