"""Running means: along a line each sum is the one before, one element in and one out.

In double precision and in the order of SciPy's uniform_filter1d:

    sum[i] = sum[i - 1] + (in - out),    mean[i] = sum[i] / size

Sums of integers are exact; in single precision, too, if they are small. Lines are independent, so
some of them go side by side: as they are where elements of neighbouring lines are neighbours in
memory, else transposed, piece by piece.
"""

from fastconv.engine.lay_out cimport clip, copy_given
from fastconv.engine.plan cimport *
from fastconv.engine.simd cimport *
from fastconv.engine.store cimport store_row
from fastconv.engine.weights cimport transpose

cdef enum:
    # The most lines that go side by side, and elements of a piece of theirs.
    ACROSS = 256
    PIECE = 128

# What is summed up in, where that is not what waits in memory.
ctypedef fused summed:
    vf
    vd

# Lines: `count` of them, `across` bytes apart, of elements `along` bytes apart.
cdef struct Lines:
    Py_ssize_t along_in, across_in, along_out, across_out
    Py_ssize_t count, length, size
    Py_ssize_t given, stored
    # How many places of the border come before the first element.
    Py_ssize_t before
    double fill


cdef inline const real *taken(
    real *row, const char *source, Py_ssize_t place, const Lines *lines,
) noexcept nogil:
    """Element `place` of all lines as it is summed up; what is around, if that is negative."""
    cdef Py_ssize_t j
    if place < 0:
        for j in range(lines.count):
            row[j] = <real> lines.fill
        return row
    if real is double and lines.given == FLOAT64:
        return <const real *> (source + place * lines.along_in)
    copy_given(<char *> row, source + place * lines.along_in, lines.count, lines.across_in,
               lines.given, row)
    return row


cdef inline void divide(
    real *means, const real *sums, Py_ssize_t count, const Lines *lines,
) noexcept nogil:
    """Sums of integers are divided: a product may fall short of an integer.

    Small ones need not be. Half of one more is too little to make another integer of the mean,
    and much more than a product in single precision is off by.
    """
    cdef real size = lines.size
    cdef real weight = 1 / size
    cdef Py_ssize_t j
    if real is float:
        for j in range(count):
            means[j] = (sums[j] + (<float> 0.5 if sums[j] >= 0 else <float> -0.5)) * weight
    elif lines.stored >= FLOAT32:
        for j in range(count):
            means[j] = sums[j] * weight
    else:
        for j in range(count):
            means[j] = sums[j] / size


cdef inline bint means_across(
    const char *source, char *target, const Py_ssize_t *places, const Lines *lines, real *kind,
) noexcept nogil:
    """Lines whose elements are side by side. Returns whether all has been finite."""
    cdef real[ACROSS] sums
    cdef real[ACROSS] row_in
    cdef real[ACROSS] row_out
    cdef const real *new
    cdef const real *old
    cdef real test = 0
    cdef Py_ssize_t i, j
    for j in range(lines.count):
        sums[j] = 0
    for i in range(lines.size):
        new = taken(<real *> row_in, source, places[i], lines)
        for j in range(lines.count):
            sums[j] += new[j]
    for i in range(lines.length):
        if i:
            new = taken(<real *> row_in, source, places[i + lines.size - 1], lines)
            old = taken(<real *> row_out, source, places[i - 1], lines)
            for j in range(lines.count):
                sums[j] += new[j] - old[j]
        divide(<real *> row_in, <const real *> sums, lines.count, lines)
        store_row(target + i * lines.along_out, lines.across_out, <const char *> row_in,
                  lines.count, lines.stored, kind)
    # What is not finite stays so to the end of its line.
    for j in range(lines.count):
        test += sums[j] * 0
    return test == 0


cdef inline void places_around(
    real *row, const char *line, const Py_ssize_t *places, Py_ssize_t first, Py_ssize_t last,
    const Lines *lines,
) noexcept nogil:
    """Some places of one line one by one, from the first to before the last: the border's."""
    cdef Py_ssize_t i
    for i in range(first, last):
        row[i] = <real> lines.fill
        if places[i] >= 0:
            copy_given(<char *> (row + i), line + places[i] * lines.along_in, 1, 0, lines.given,
                       row)


cdef inline void places_of(
    real *row, const char *line, const Py_ssize_t *places, Py_ssize_t start, Py_ssize_t count,
    const Lines *lines,
) noexcept nogil:
    """So many places of one line, from place `start` on, as they are summed up."""
    cdef Py_ssize_t low = clip(lines.before - start, 0, count)
    cdef Py_ssize_t high = clip(lines.before + lines.length - start, low, count)
    places_around(row, line, places + start, 0, low, lines)
    copy_given(<char *> (row + low), line + (start + low - lines.before) * lines.along_in,
               high - low, lines.along_in, lines.given, row)
    places_around(row, line, places + start, high, count, lines)


cdef inline void piece_of(
    real *piece, const char *source, const Py_ssize_t *places, Py_ssize_t start,
    Py_ssize_t count, const Lines *lines, vector *kind,
) noexcept nogil:
    """The same of some lines, as [place][lanes]; the last line stands for those missing."""
    cdef real[PIECE * MAX_LANES] rows
    cdef Py_ssize_t lanes = VECTOR_BYTES // <Py_ssize_t> sizeof(real)
    cdef Py_ssize_t next = start + count - lines.before
    cdef Py_ssize_t j, at
    for j in range(lanes):
        # The hardware does not guess that the next piece of each line comes.
        at = next * lines.along_in
        while at < min(next + PIECE, lines.length) * lines.along_in:
            PREFETCH_FAR(source + min(j, lines.count - 1) * lines.across_in + at)
            at += max(LINE, lines.along_in)
        places_of(&rows[j * PIECE], source + min(j, lines.count - 1) * lines.across_in, places,
                  start, count, lines)
    transpose(<char *> piece, VECTOR_BYTES, <const char *> rows, PIECE * sizeof(real),
              PIECE // lanes, <int> lanes, kind)


cdef inline void put_piece(
    char *target, const real *piece, Py_ssize_t count, const Lines *lines, vector *kind,
) noexcept nogil:
    """The same way back."""
    cdef real[PIECE * MAX_LANES] rows
    cdef Py_ssize_t lanes = VECTOR_BYTES // <Py_ssize_t> sizeof(real)
    cdef Py_ssize_t i
    for i in range(PIECE // lanes):
        transpose(<char *> &rows[i * lanes], PIECE * sizeof(real),
                  <const char *> &piece[i * lanes * lanes], VECTOR_BYTES, 1, <int> lanes, kind)
    for i in range(lines.count):
        store_row(target + i * lines.across_out, lines.along_out, <const char *> &rows[i * PIECE],
                  count, lines.stored, <real *> NULL)


cdef inline void add_places(summed *sums, const real *piece, Py_ssize_t count) noexcept nogil:
    """So many places of all lines to their sums."""
    cdef Py_ssize_t most = VECTOR_BYTES // <Py_ssize_t> sizeof(real) // LANES(sums[0])
    cdef summed x[1]
    cdef Py_ssize_t _i
    cdef int v
    for _i in range(count):
        for v in range(most):
            LOAD_WIDENED(x[0], piece)
            sums[v] = sums[v] + x[0]
            piece += LANES(x[0])


cdef inline void put_sums(
    real *means, const summed *sums, const summed *weight, bint exact,
) noexcept nogil:
    """Means; sums that are exact, which `divide` divides later, as they are."""
    cdef Py_ssize_t most = VECTOR_BYTES // <Py_ssize_t> sizeof(real) // LANES(sums[0])
    cdef summed x[1]
    cdef int v
    for v in range(most):
        x[0] = sums[v] if exact else sums[v] * weight[0]
        STORE_NARROWED(means, x[0])
        means += LANES(x[0])


cdef inline void slide(
    real *means, summed *sums, const real *new, const real *old, Py_ssize_t count,
    const summed *weight, bint exact,
) noexcept nogil:
    """Windows of all lines by so many places, one after the other."""
    cdef Py_ssize_t lanes = VECTOR_BYTES // <Py_ssize_t> sizeof(real)
    cdef Py_ssize_t half = LANES(sums[0])
    cdef summed first[1]
    cdef summed second[1]
    cdef summed x[1]
    cdef summed y[1]
    cdef Py_ssize_t _i
    first[0] = sums[0]
    second[0] = sums[1]
    for _i in range(count):
        LOAD_WIDENED(x[0], new)
        LOAD_WIDENED(y[0], old)
        first[0] = first[0] + (x[0] - y[0])
        y[0] = first[0] if exact else first[0] * weight[0]
        STORE_NARROWED(means, y[0])
        if half < lanes:
            LOAD_WIDENED(x[0], (new + half))
            LOAD_WIDENED(y[0], (old + half))
            second[0] = second[0] + (x[0] - y[0])
            y[0] = second[0] if exact else second[0] * weight[0]
            STORE_NARROWED((means + half), y[0])
        means += lanes
        new += lanes
        old += lanes
    sums[0] = first[0]
    sums[1] = second[0]


ctypedef void (*slide_t)(
    void *, void *, const void *, const void *, Py_ssize_t, const void *, bint,
) noexcept nogil


cdef inline bint means_along(
    const char *source, char *target, const Py_ssize_t *places, real *ring, const Lines *lines,
    vector *kind, summed *_,
) noexcept nogil:
    """Lines that lie one after the other, as many as there are lanes, or less.

    The elements of a window wait in a ring, which has room for 2 * PIECE more of them. Floats may
    be summed up as doubles.
    """
    cdef real[PIECE * MAX_LANES] means
    cdef summed sums[2]
    cdef summed weight[1]
    cdef Py_ssize_t lanes = VECTOR_BYTES // <Py_ssize_t> sizeof(real)
    cdef Py_ssize_t room = (lines.size + 2 * PIECE - 1) // PIECE * PIECE
    cdef Py_ssize_t all_places = lines.length + lines.size - 1
    cdef bint exact = lines.stored < FLOAT32
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t oldest = 0
    cdef double test = 0
    cdef Py_ssize_t count, done, i, run
    cdef real *piece
    cdef slide_t slides = <slide_t> slide[real, summed]
    cdef int v
    # A function of its own: in here, registers are full of what transposes.
    OPAQUE(slides)
    FILL(weight[0], 1. / lines.size)
    for v in range(2):
        FILL(sums[v], 0)
    while start < all_places:
        count = min(PIECE, all_places - start)
        piece = ring + start % room * lanes
        piece_of(piece, source, places, start, count, lines, kind)
        # The first sum of a line has all of its window to come.
        i = max(min(lines.size - 1 - start, count), 0)
        add_places(sums, <const real *> piece, i)
        done = 0
        if start + i == lines.size - 1 and i < count:
            add_places(sums, <const real *> piece + i * lanes, 1)
            put_sums(<real *> means, sums, weight, exact)
            i += 1
            done = 1
        while i < count:
            run = min(count - i, room - oldest)
            slides(&means[done * lanes], sums, <const real *> piece + i * lanes,
                   <const real *> ring + oldest * lanes, run, weight, exact)
            oldest = oldest + run if oldest + run < room else 0
            done += run
            i += run
        if done:
            if exact:
                divide(<real *> means, <const real *> means, done * lanes, lines)
            put_piece(target + max(start - lines.size + 1, 0) * lines.along_out,
                      <const real *> means, done, lines, kind)
        start += count
    for i in range(lanes):
        if summed is vd:
            test += (<double *> sums)[i] * 0
        else:
            test += (<float *> sums)[i] * 0
    return test == 0
