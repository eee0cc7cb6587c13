"""Separable: a line of taps down the columns of a plane, then one along its rows; no lay-out.

Four rows of the output at a time. What the columns make of all rows that these see stands in the
scratch, and the rows find it there. The border is what it makes of that: each column is treated
alike. Taps are added up in the order in which passes over a lay-out add them.
"""

from libc.string cimport memset

from fastconv.engine.lay_out cimport border_source, clip, copy_given, is_given
from fastconv.engine.plan cimport *
from fastconv.engine.simd cimport *
from fastconv.engine.store cimport is_stored, store_row
from fastconv.engine.weights cimport weights_of

cdef enum:
    # The most taps down a column.
    DOWN = 64


cdef inline void add_down(
    vector (*sums)[4], const char *row, const mask *inside, const char *weights, int low, int high,
    span *_,
) noexcept nogil:
    """Add a row to rows low .. high of a band; `weights` is that of row 0."""
    cdef vector x[4]
    cdef vector w[1]
    cdef int r, j
    for j in range(FILTER_VECTORS(sizeof(span))):
        LOAD_MASKED(x[j], row + j * VECTOR_BYTES, inside[j])
    for r in range(BAND):
        if low <= r < high:
            BROADCAST(w[0], weights - r * LANE_BYTES(w[0]))
            for j in range(FILTER_VECTORS(sizeof(span))):
                sums[r][j] = sums[r][j] + w[0] * x[j]


cdef inline void down_band(
    const char **rows, Py_ssize_t column, Py_ssize_t taps, const mask *inside,
    const char *weights, char *target, Py_ssize_t pitch, Py_ssize_t ahead, vector *_, span *s,
) noexcept nogil:
    """Four rows of what the columns make, some vectors of each.

    Meanwhile the rows that the next band will see first are fetched.
    """
    cdef vector sums[4][4]
    cdef Py_ssize_t size = LANE_BYTES(sums[0][0])
    cdef Py_ssize_t i, _run
    cdef int r, j
    for _run in range(1):
        for r in range(BAND):
            for j in range(FILTER_VECTORS(sizeof(span))):
                FILL(sums[r][j], 0)
        if ahead:
            for r in range(BAND):
                for j in range(FILTER_VECTORS(sizeof(span))):
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
            for j in range(FILTER_VECTORS(sizeof(span))):
                STORE(target + r * pitch + j * VECTOR_BYTES, sums[r][j])


cdef inline void along_band(
    const char *source, Py_ssize_t pitch, Py_ssize_t taps, const char *weights, const char *bias,
    char *target, Py_ssize_t out_pitch, int rows, Py_ssize_t valid, Py_ssize_t ahead, vector *_,
    span *__,
) noexcept nogil:
    """Four rows of the output, or fewer, some vectors of each; `valid` bytes are stored.

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
    const char **rows, Py_ssize_t width, const Pass *step, const char *weights, char *target,
    Py_ssize_t ahead, vector *v,
) noexcept nogil:
    """A band of so many columns."""
    cdef Py_ssize_t lanes = LANES(v[0])
    cdef Py_ssize_t x = 0
    cdef Py_ssize_t column, j
    cdef mask inside[4]
    while x < width:
        for j in range(4):
            MASK(inside[j], 0, clip(width - x - j * lanes, 0, lanes), v[0])
        column = x * LANE_BYTES(v[0])
        if width - x <= lanes:
            down_band(rows, column, step.taps, inside, weights, target + column, step.sums_pitch,
                      ahead, v, <single *> NULL)
            x += lanes
        elif width - x <= 2 * lanes:
            down_band(rows, column, step.taps, inside, weights, target + column, step.sums_pitch,
                      ahead, v, <pair *> NULL)
            x += 2 * lanes
        else:
            down_band(rows, column, step.taps, inside, weights, target + column, step.sums_pitch,
                      ahead, v, <wide *> NULL)
            x += BAND_VECTORS * lanes


cdef inline void along(
    const char *source, Py_ssize_t pitch, Py_ssize_t width, const Pass *step,
    const char *weights, const char *bias, char *target, Py_ssize_t out_pitch, int rows,
    Py_ssize_t ahead, vector *v,
) noexcept nogil:
    """A band of the output."""
    cdef Py_ssize_t size = LANE_BYTES(v[0])
    cdef Py_ssize_t lanes = LANES(v[0])
    cdef Py_ssize_t x = 0
    while x < width:
        if width - x <= lanes:
            along_band(source + x * size, pitch, step.taps, weights, bias, target + x * size,
                       out_pitch, rows, (width - x) * size, ahead, v, <single *> NULL)
            x += lanes
        elif width - x <= 2 * lanes:
            along_band(source + x * size, pitch, step.taps, weights, bias, target + x * size,
                       out_pitch, rows, (width - x) * size, ahead, v, <pair *> NULL)
            x += 2 * lanes
        else:
            along_band(source + x * size, pitch, step.taps, weights, bias, target + x * size,
                       out_pitch, rows, (width - x) * size, ahead, v, <wide *> NULL)
            x += BAND_VECTORS * lanes


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


cdef inline void separable_plane(
    char *scratch, const char *plane, char *target, const char *down_weights,
    const char *along_weights, const char *bias, const Plan *plan, const Pass *passes,
    const Tile *tile, vector *v, real *kind,
) noexcept nogil:
    """A tile of one plane, band by band."""
    cdef const Pass *step = passes
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t pitch = step.sums_pitch
    # What the rows of the tile see, and where that is in the plane.
    cdef Py_ssize_t start = tile.x + passes[1].first_x
    cdef Py_ssize_t count = tile.rows_x + passes[1].taps - 1
    cdef Py_ssize_t low = clip(-start, 0, count)
    cdef Py_ssize_t high = clip(plan.size_x - start, low, count)
    cdef Py_ssize_t seen = step.taps + BAND - 1
    cdef bint in_place = is_given(plan, kind) and plan.in_x == size
    cdef bint stored = is_stored(plan, kind) and passes[1].out_x == size
    cdef const char *zeros = scratch
    cdef char *middle = scratch + step.target
    cdef char *lines = scratch + step.source
    cdef char *panel = scratch + passes[1].target
    cdef const char *rows[DOWN + 3]
    cdef Py_ssize_t first = tile.y + step.first_y
    cdef Py_ssize_t next = first
    cdef Py_ssize_t row = 0
    cdef Py_ssize_t at, line, i, p
    cdef real *middle_row
    cdef char *out
    cdef int r, height
    while row < tile.rows_y:
        height = <int> min(BAND, tile.rows_y - row)
        at = first + row
        for i in range(seen):
            line = -1
            if i < step.taps + height - 1:
                line = border_source(at + i, plan.size_y, plan.border)
            rows[i] = zeros
            if line >= 0 and in_place:
                rows[i] = plane + line * plan.in_y + (start + low) * size
            elif line >= 0:
                rows[i] = lines + (at + i - first) % seen * pitch
                if at + i >= next:
                    copy_given(<char *> rows[i],
                               plane + line * plan.in_y + (start + low) * plan.in_x, high - low,
                               plan.in_x, plan.given, kind)
        next = at + seen
        down(rows, high - low, step, down_weights, middle + low * size,
             BAND * plan.in_y if in_place and plan.far else 0, v)
        for r in range(height):
            middle_row = <real *> (middle + r * pitch)
            p = 0
            while p < count:
                if p == low and high > low:
                    # The border is what comes before and after these.
                    p = high
                    continue
                i = border_source(start + p, plan.size_x, plan.border)
                middle_row[p] = 0
                if low <= i - start < high:
                    middle_row[p] = middle_row[i - start]
                elif i >= 0:
                    middle_row[p] = of_column(plane, at + r, i, step,
                                              <const real *> down_weights, plan)
                p += 1
        out = target + (tile.y + row) * passes[1].out_y + tile.x * passes[1].out_x
        if stored:
            along(middle, pitch, tile.rows_x, passes + 1, along_weights, bias, out,
                  passes[1].out_y, height, BAND * passes[1].out_y if plan.far else 0, v)
        else:
            along(middle, pitch, tile.rows_x, passes + 1, along_weights, bias, panel, pitch,
                  height, 0, v)
            for r in range(height):
                store_row(out + r * passes[1].out_y, passes[1].out_x, panel + r * pitch,
                          tile.rows_x, plan.stored, kind)
        row += BAND


cdef inline void separable_tile(
    Memory memory, Py_ssize_t scratch, const char **operands, char *output, const Plan *plan,
    const Pass *passes, const Tile *tile, vector *v, real *kind,
) noexcept nogil:
    cdef Py_ssize_t z
    # A row of zeros, as wide as what a tile sees.
    memset(&memory[scratch + plan.layout], 0, passes.sums_pitch)
    for z in range(tile.z, tile.z + tile.rows_z):
        separable_plane(
            &memory[scratch + plan.layout],
            operands[0] + tile.image * plan.in_image + tile.group * plan.in_group + z * plan.in_z,
            output + passes[1].out_offset + tile.image * passes[1].out_image
            + tile.group * passes[1].out_group + z * passes[1].out_z,
            weights_of(operands, passes, tile.group, 0),
            weights_of(operands, passes + 1, tile.group, 0),
            &memory[passes[1].bias + tile.group * <Py_ssize_t> sizeof(real)], plan, passes, tile,
            v, kind)
