"""Winograd's minimal filtering F(4x4, 3x3): 36 products where direct sums have 144.

A tile of 4 x 4 outputs sees 6 x 6 inputs d and a kernel g of 3 x 3. With three small matrices

    result = At [ (G g Gt) * (Bt d B) ] A        where * multiplies element by element,

(Lavin and Gray, https://arxiv.org/abs/1509.09308), and what * does, summed up over the
channels, is 36 matrix products for the same register tile that direct passes use. The
matrices follow from five points and infinity (Toom and Cook). Here the points are 0, +-3/4
and +-3/2: powers of them are exact, and the rounding error of the whole is about that of a
direct sum, a third of that with the usual points 0, +-1, +-2.

Vectors run along the tiles, so a transform is the same few sums on whole vectors. Tiles of a
dilated kernel lie between each other; these are listed, by rows and by columns, and each is
gathered.
"""

from libc.string cimport memcpy

from fastconv.engine.plan cimport *
from fastconv.engine.simd cimport *

cdef enum:
    TILE = 4
    EDGE = 6
    PRODUCTS = 36

# A row of tiles that are listed, or a column: where it begins, how many of its outputs there are,
# and how many from it on lie element by element, of which there are as many.
cdef struct TileLine:
    Py_ssize_t start, valid, run

# Where a tile of a plan finds them.
cdef struct TileLines:
    const TileLine *rows
    const TileLine *columns
    Py_ssize_t row_count, column_count


cdef inline bint is_short(Py_ssize_t columns, Py_ssize_t lanes) noexcept nogil:
    """Whether rows of so many tiles are laid side by side, by quarters of a vector."""
    return lanes >= 4 and columns * 4 <= lanes * 3


cdef inline void powers(vector *a, vector *b) noexcept nogil:
    """The points 3/4 and 3/2 to the powers 1 to 3."""
    FILL(a[1], 0.75)
    FILL(a[2], 0.5625)
    FILL(a[3], 0.421875)
    FILL(b[1], 1.5)
    FILL(b[2], 2.25)
    FILL(b[3], 3.375)


cdef inline void transform_line(vector *y, const vector *d, int step) noexcept nogil:
    """Bt d of six vectors, one to the next `step` apart; y may be d."""
    cdef vector a[4]
    cdef vector b[4]
    cdef vector even_a, even_b, odd_a, odd_b
    powers(a, b)
    even_a = d[4 * step] - b[2] * d[2 * step]
    even_b = d[4 * step] - a[2] * d[2 * step]
    odd_a = d[3 * step] - b[2] * d[step]
    odd_b = d[3 * step] - a[2] * d[step]
    y[0] = even_a + a[2] * (b[2] * d[0] - d[2 * step])
    y[5 * step] = a[2] * (b[2] * d[step] - d[3 * step]) + (d[5 * step] - b[2] * d[3 * step])
    y[step] = even_a + a[1] * odd_a
    y[2 * step] = even_a - a[1] * odd_a
    y[3 * step] = even_b + b[1] * odd_b
    y[4 * step] = even_b - b[1] * odd_b


cdef inline void load_columns(vector *x, const char **at, Py_ssize_t offset) noexcept nogil:
    """A row of the six columns of a vector of tiles; a quarter of the tiles lies at each `at`."""
    cdef vector v[4]
    cdef vector even[2]
    cdef vector odd[2]
    cdef int i
    for i in range(4):
        LOAD(v[i], at[i] + offset)
    for i in range(2):
        EVEN(even[i], v[2 * i], v[2 * i + 1])
        ODD(odd[i], v[2 * i], v[2 * i + 1])
    EVEN(x[0], even[0], even[1])
    EVEN(x[1], odd[0], odd[1])
    ODD(x[2], even[0], even[1])
    ODD(x[3], odd[0], odd[1])
    # The last two are the first two of the tile beside.
    for i in range(4):
        LOAD(v[i], at[i] + offset + TILE * LANE_BYTES(v[0]))
    for i in range(2):
        EVEN(even[i], v[2 * i], v[2 * i + 1])
        ODD(odd[i], v[2 * i], v[2 * i + 1])
    EVEN(x[4], even[0], even[1])
    EVEN(x[5], odd[0], odd[1])


cdef inline void transform_vector(
    char **target, bint whole, Py_ssize_t plane_pitch, const char **at, Py_ssize_t pitch, vector *_,
) noexcept nogil:
    """Bt d B of a vector of tiles, to one place as a whole or by quarters to four."""
    cdef vector x[PRODUCTS]
    cdef Py_ssize_t _turn
    cdef int i
    for _turn in range(1):
        for i in range(EDGE):
            load_columns(x + EDGE * i, at, i * pitch)
        for i in range(EDGE):
            transform_line(x + EDGE * i, x + EDGE * i, 1)
        for i in range(EDGE):
            transform_line(x + i, x + i, EDGE)
        for i in range(PRODUCTS):
            if whole:
                STORE(target[0] + i * plane_pitch, x[i])
            else:
                STORE_QUARTERS(target[0] + i * plane_pitch, target[1] + i * plane_pitch,
                               target[2] + i * plane_pitch, target[3] + i * plane_pitch, x[i])


cdef inline void transform_inputs(
    char *target, Py_ssize_t plane_pitch, const char *source, Py_ssize_t pitch, Py_ssize_t rows,
    Py_ssize_t columns, Py_ssize_t row_tiles, vector *kind,
) noexcept nogil:
    """Bt d B of all tiles of a channel.

    A row of tiles takes `row_tiles` places, less of which may be used where it is the end of an
    image. Short ones are laid out by quarters of a vector, the last of which may be part empty: the
    next row covers what is too much, or follows it. Of the others each vector covers what the one
    before had too much.
    """
    cdef const char *at[4]
    cdef char *to[4]
    cdef Py_ssize_t size = LANE_BYTES(kind[0])
    cdef Py_ssize_t lanes = VECTOR_BYTES // size
    cdef Py_ssize_t quarter = max(lanes // 4, 1)
    cdef Py_ssize_t quarters = (columns + quarter - 1) // quarter
    cdef bint whole = quarters * quarter == row_tiles
    cdef Py_ssize_t row, x, unit
    cdef int i
    if is_short(columns, lanes) and (whole or QUARTERS):
        unit = 0
        while unit < rows * quarters:
            for i in range(4):
                row = (unit + i) // quarters
                x = (unit + i) % quarters * quarter
                to[i] = target + (row * row_tiles + x) * size
                at[i] = source + TILE * (min(row, rows - 1) * pitch + x * size)
            if whole:
                transform_vector(to, True, plane_pitch, at, pitch, kind)
            else:
                transform_vector(to, False, plane_pitch, at, pitch, kind)
            unit += 4
        return
    for row in range(rows):
        x = 0
        while x < columns:
            for i in range(4):
                at[i] = source + TILE * row * pitch + TILE * x * size + i * VECTOR_BYTES
            to[0] = target + x * size
            transform_vector(to, True, plane_pitch, at, pitch, kind)
            x += lanes
        target += row_tiles * size


cdef inline int neighbours(Py_ssize_t run) noexcept nogil:
    """How many of a run of tiles are moved at once."""
    return 4 if run >= 4 else 2 if run >= 2 else 1


cdef inline void gather_tiles(
    char *target, const char *source, Py_ssize_t row, Py_ssize_t element, Py_ssize_t width,
) noexcept nogil:
    """The 6 x 6 inputs of as many neighbours as are so many bytes wide."""
    cdef int i, j
    for i in range(EDGE):
        for j in range(EDGE):
            memcpy(target + (EDGE * i + j) * VECTOR_BYTES, source + j * element, width)
        source += row


cdef inline void transform_listed(
    char *target, Py_ssize_t plane_pitch, const char *source, Py_ssize_t pitch, Py_ssize_t row,
    Py_ssize_t element, const TileLines *lines, vector *_,
) noexcept nogil:
    """Bt d B of tiles that are listed; their inputs are so many bytes apart along y and x."""
    cdef vector x[PRODUCTS]
    cdef Py_ssize_t size = LANE_BYTES(x[0])
    cdef Py_ssize_t y = 0
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t lane, run
    cdef const char *seen
    cdef char *place
    cdef int i
    while y < lines.row_count:
        lane = 0
        while lane < LANES(x[0]) and y < lines.row_count:
            seen = (source + (lines.rows[y].start - lines.rows[0].start) * pitch
                    + (lines.columns[at].start - lines.columns[0].start) * size)
            place = <char *> x + lane * size
            run = neighbours(min(lines.columns[at].run, lines.column_count - at,
                                 LANES(x[0]) - lane))
            if run == 4:
                gather_tiles(place, seen, row, element, 4 * LANE_BYTES(x[0]))
            elif run == 2:
                gather_tiles(place, seen, row, element, 2 * LANE_BYTES(x[0]))
            else:
                gather_tiles(place, seen, row, element, LANE_BYTES(x[0]))
            lane += run
            at += run
            if at == lines.column_count:
                at = 0
                y += 1
        for i in range(EDGE):
            transform_line(x + EDGE * i, x + EDGE * i, 1)
        for i in range(EDGE):
            transform_line(x + i, x + i, EDGE)
        for i in range(PRODUCTS):
            STORE(target + i * plane_pitch, x[i])
        target += VECTOR_BYTES


cdef inline void weights_line(vector *y, int y_step, const vector *g, int g_step) noexcept nogil:
    """G g of three vectors."""
    cdef vector a[4]
    cdef vector b[4]
    cdef vector n[3]
    cdef vector even, odd
    powers(a, b)
    # The products of a point's distances to the others.
    FILL(n[0], 1 / (0.5625 * 2.25))
    FILL(n[1], 1 / (2 * 0.5625 * (0.5625 - 2.25)))
    FILL(n[2], 1 / (2 * 2.25 * (2.25 - 0.5625)))
    y[0] = n[0] * g[0]
    even = g[0] + a[2] * g[2 * g_step]
    odd = a[1] * g[g_step]
    y[y_step] = n[1] * (even + odd)
    y[2 * y_step] = n[1] * (even - odd)
    even = g[0] + b[2] * g[2 * g_step]
    odd = b[1] * g[g_step]
    y[3 * y_step] = n[2] * (even + odd)
    y[4 * y_step] = n[2] * (even - odd)
    y[5 * y_step] = g[2 * g_step]


cdef inline Py_ssize_t transformed_plane(Py_ssize_t reduction, Py_ssize_t valid) noexcept nogil:
    """From plane to plane; the gap keeps them off each other's cache lines."""
    return reduction * valid + VECTOR_BYTES


cdef inline Py_ssize_t transformed(
    const Pass *step, Py_ssize_t block, Py_ssize_t first, Py_ssize_t size,
) noexcept nogil:
    """Where the transformed weights of a block are, whose first channel is `first` of all."""
    return PRODUCTS * (block * VECTOR_BYTES + first * step.reduction * size)


cdef inline void transform_weights(
    char *target, const char *source, Py_ssize_t reduction, Py_ssize_t valid, vector *_,
) noexcept nogil:
    """G g Gt of `valid` bytes of output channels.

    From [reduction][9][valid] to [36][reduction][valid]. Whole vectors are loaded and stored: what
    is too much is written again by the row that follows, or falls into the gap between planes.
    """
    cdef vector g[9]
    cdef vector half[18]
    cdef vector u[PRODUCTS]
    cdef Py_ssize_t _k, done
    cdef int i
    for _k in range(reduction):
        done = 0
        while done < valid:
            for i in range(9):
                LOAD(g[i], source + i * valid + done)
            for i in range(3):
                weights_line(half + i, 3, g + i, 3)
            for i in range(EDGE):
                weights_line(u + EDGE * i, 1, half + 3 * i, 1)
            for i in range(PRODUCTS):
                STORE(target + i * transformed_plane(reduction, valid) + done, u[i])
            done += VECTOR_BYTES
        source += 9 * valid
        target += valid


cdef inline void result_line(vector *y, int y_step, const vector *m, int m_step) noexcept nogil:
    """At m of six vectors."""
    cdef vector a[4]
    cdef vector b[4]
    cdef vector sum_a, sum_b, apart_a, apart_b
    powers(a, b)
    sum_a = m[m_step] + m[2 * m_step]
    sum_b = m[3 * m_step] + m[4 * m_step]
    apart_a = m[m_step] - m[2 * m_step]
    apart_b = m[3 * m_step] - m[4 * m_step]
    y[0] = m[0] + sum_a + sum_b
    y[y_step] = a[1] * apart_a + b[1] * apart_b
    y[2 * y_step] = a[2] * sum_a + b[2] * sum_b
    y[3 * y_step] = a[3] * apart_a + (b[3] * apart_b + m[5 * m_step])


cdef inline void transform_results(
    char *target, Py_ssize_t target_pitch, const char *source, Py_ssize_t plane_pitch,
    const char *bias, Py_ssize_t vectors, bint listed, vector *_,
) noexcept nogil:
    """At m A of so many vectors of tiles: four rows, the columns of a tile side by side.

    Where tiles are listed, the 16 results of a vector of them one after the other.
    """
    cdef vector m[PRODUCTS]
    cdef vector half[24]
    cdef vector y[16]
    cdef vector z[4]
    cdef vector b[1]
    cdef Py_ssize_t _v
    cdef int i
    BROADCAST(b[0], bias)
    for _v in range(vectors):
        for i in range(PRODUCTS):
            LOAD(m[i], source + i * plane_pitch)
        for i in range(EDGE):
            result_line(half + i, EDGE, m + i, EDGE)
        for i in range(4):
            result_line(y + 4 * i, 1, half + EDGE * i, 1)
        if listed:
            for i in range(16):
                STORE(target + i * VECTOR_BYTES, y[i] + b[0])
            source += VECTOR_BYTES
            target += 16 * VECTOR_BYTES
            continue
        for i in range(4):
            # Column 0 with 2 and 1 with 3, then both: all four in turn.
            ZIP_LOW(z[0], y[4 * i], y[4 * i + 2])
            ZIP_HIGH(z[1], y[4 * i], y[4 * i + 2])
            ZIP_LOW(z[2], y[4 * i + 1], y[4 * i + 3])
            ZIP_HIGH(z[3], y[4 * i + 1], y[4 * i + 3])
            ZIP_LOW(y[4 * i], z[0], z[2])
            ZIP_HIGH(y[4 * i + 1], z[0], z[2])
            ZIP_LOW(y[4 * i + 2], z[1], z[3])
            ZIP_HIGH(y[4 * i + 3], z[1], z[3])
        for i in range(16):
            STORE(target + i // 4 * target_pitch + i % 4 * VECTOR_BYTES, y[i] + b[0])
        source += VECTOR_BYTES
        target += 4 * VECTOR_BYTES


cdef inline void store_tiles(
    char *target, const char *source, Py_ssize_t row, Py_ssize_t element, Py_ssize_t rows_valid,
    Py_ssize_t columns_valid, Py_ssize_t width,
) noexcept nogil:
    """The results of as many neighbours as are so many bytes wide."""
    cdef Py_ssize_t _i
    cdef int j
    for _i in range(rows_valid):
        for j in range(TILE):
            if j < columns_valid:
                memcpy(target + j * element, source + j * VECTOR_BYTES, width)
        target += row
        source += TILE * VECTOR_BYTES


cdef inline void store_listed(
    char *out, Py_ssize_t row, Py_ssize_t element, const char *results, const TileLines *lines,
    const Pass *step, char *test, vector *_,
) noexcept nogil:
    """The results of tiles that are listed, so many bytes apart along y and x, to the output.

    `test` becomes NaN where one of them is infinite or NaN.
    """
    cdef vector x[1]
    cdef vector t[1]
    cdef Py_ssize_t size = LANE_BYTES(x[0])
    cdef Py_ssize_t left = lines.row_count * lines.column_count
    cdef Py_ssize_t lane = 0
    cdef Py_ssize_t y, at, valid, run
    cdef const char *source = results
    cdef char *target
    cdef TileLine column
    cdef int i
    LOAD(t[0], test)
    while left > 0:
        for i in range(16):
            LOAD_PART(x[0], source + i * VECTOR_BYTES, min(left, LANES(x[0])) * size)
            t[0] = t[0] + x[0] * 0
        source += 16 * VECTOR_BYTES
        left -= LANES(x[0])
    STORE(test, t[0])
    for y in range(lines.row_count):
        valid = lines.rows[y].valid
        at = 0
        while at < lines.column_count:
            column = lines.columns[at]
            target = out + lines.rows[y].start * step.out_y + column.start * step.out_x
            run = 1
            if step.out_x == size:
                run = neighbours(min(column.run, lines.column_count - at, LANES(x[0]) - lane))
            source = results + lane * size
            if run == 4:
                store_tiles(target, source, row, element, valid, column.valid,
                            4 * LANE_BYTES(x[0]))
            elif run == 2:
                store_tiles(target, source, row, element, valid, column.valid,
                            2 * LANE_BYTES(x[0]))
            else:
                store_tiles(target, source, row, element, valid, column.valid, LANE_BYTES(x[0]))
            at += run
            lane += run
            if lane == LANES(x[0]):
                lane = 0
                results += 16 * VECTOR_BYTES
