"""Sums in the order, and with the roundings, of SciPy's correlate1d and correlate.

Casts to integers tell how a sum was rounded: three times 1/3 is 1 in one order and a little less
in another. So these are in double precision, without fused multiply-adds, and begin with the
middle of the window where the weights are symmetric, whose pairs then share a product:

    sum = w[middle] * x[middle],    sum += w[k] * (x[k] +- x[last - k])  for k = 0, 1, ..

else with its end. As in running.pxd, lines go side by side where their elements do. The taps of a
kernel come one after the other.

Few sums are so near to an integer that this matters. Those of small integers are first computed
fast, in whatever order and with multiply-adds; where these might be on either side of an integer,
by a bound of their roundings, they are computed again as above.
"""

from fastconv.engine.plan cimport *
from fastconv.engine.running cimport Lines, place_of, places_of, taken
from fastconv.engine.simd cimport *
from fastconv.engine.store cimport store_row

cdef extern from *:
    # Where a row begins that is around the array.
    const Py_ssize_t NOWHERE "PY_SSIZE_T_MIN"

cdef enum:
    # Elements whose sums are computed together; lines that go side by side if their elements do.
    # Twice as many are floats.
    BESIDE = 32
    # Elements of such lines that are computed in turn.
    PIECES = 64
    # The same where each line's elements are side by side.
    STRETCH = 512
    # Rows of the output that share what was converted for a kernel.
    BLOCK = 16
    # The most elements of these that are computed together.
    WIDTH = 128
    # How often in turn fast sums are left out at most where they have been in vain.
    PATIENCE = 16

# Fast sums are in units of 2 ** -bits, and are off by less than half of `doubt` of these.
cdef struct Fast:
    Py_ssize_t bits, doubt
    # In vain in turn; to be left out.
    Py_ssize_t failures, rest
    # The last element of a flat area, where sums are integers but for roundings, and its sum.
    float flat, flat_sum


# ---- Fast sums --------------------------------------------------------------------------

cdef inline bint is_due(Fast *fast) noexcept nogil:
    """Whether to try."""
    if fast.rest == 0:
        return True
    fast.rest -= 1
    return False


cdef inline void note(Fast *fast, bint in_vain) noexcept nogil:
    """What became of some."""
    fast.failures = min(fast.failures + 1, PATIENCE + 1) if in_vain else 0
    fast.rest = max(fast.failures - 1, 0)


cdef inline void cut(float *values, const double *sums, Py_ssize_t count) noexcept nogil:
    """Small sums cut off to integers."""
    cdef Py_ssize_t j
    for j in range(count):
        values[j] = <float> <int> sums[j]


cdef inline bint is_flat(
    const float *rows, Py_ssize_t pitch, const Py_ssize_t *offsets, Py_ssize_t taps,
) noexcept nogil:
    """Whether a vector of sums is of equal elements: taps are rows apart, or at offsets."""
    cdef vf first[1]
    cdef vf x[1]
    cdef vi difference[1]
    cdef Py_ssize_t k
    BROADCAST(first[0], <const char *> (rows + (offsets[0] if offsets != NULL else 0)))
    difference[0] = differing(first[0], first[0])
    for k in range(taps):
        LOAD(x[0], (rows + (offsets[k] if offsets != NULL else k * pitch)))
        difference[0] = difference[0] | differing(x[0], first[0])
    return not any(difference[0])


# ---- Lines ------------------------------------------------------------------------------

cdef inline void sum_up(
    double *sums, const real *rows, Py_ssize_t count, Py_ssize_t pitch, const double *weights,
    Py_ssize_t taps, int symmetry, int vectors,
) noexcept nogil:
    """So many elements, tap k of which lies k rows further on; some vectors at a time, up to 4."""
    cdef vd total[4]
    cdef vd x[4]
    cdef vd w[1]
    cdef Py_ssize_t first = taps // 2 if symmetry else taps - 1
    cdef Py_ssize_t lanes = LANES(w[0])
    cdef Py_ssize_t j = 0
    cdef Py_ssize_t k
    cdef const real *near
    cdef const real *far
    cdef int v
    while j < count:
        BROADCAST(w[0], <const char *> (weights + first))
        for v in range(vectors):
            near = rows + first * pitch + j + v * lanes
            LOAD_WIDENED(total[v], near)
            total[v] = total[v] * w[0]
            ROUNDED(total[v])
        for k in range(first):
            BROADCAST(w[0], <const char *> (weights + k))
            for v in range(vectors):
                near = rows + k * pitch + j + v * lanes
                if symmetry:
                    far = near + (taps - 1 - 2 * k) * pitch
                    LOAD_PAIR(x[v], near, far, symmetry)
                else:
                    LOAD_WIDENED(x[v], near)
                x[v] = x[v] * w[0]
                ROUNDED(x[v])
                total[v] = total[v] + x[v]
        for v in range(vectors):
            STORE(<char *> (sums + j + v * lanes), total[v])
        j += vectors * lanes


cdef inline int sum_fast(
    float *values, const float *rows, Py_ssize_t pitch, const float *parts, Py_ssize_t taps,
    int symmetry, bint halves, const Fast *fast,
) noexcept nogil:
    """Four vectors of floats, cut off; returns in which this is in doubt, one bit for each.

    If weights are of two parts, which come in turn, the first ones' sums are exact and what is
    left is small.
    """
    cdef vf head[4]
    cdef vf tail[4]
    cdef vf x[1]
    cdef vf y[1]
    cdef vf w[2]
    cdef vi units[1]
    cdef Py_ssize_t kept = taps // 2 + 1 if symmetry else taps
    cdef Py_ssize_t lanes = LANES(w[0])
    cdef Py_ssize_t k
    cdef const float *near
    cdef int v
    cdef int in_doubt = 0
    for v in range(4):
        FILL(head[v], 0 if halves else fast.doubt // 2)
        FILL(tail[v], fast.doubt // 2)
    for k in range(kept):
        BROADCAST(w[0], <const char *> (parts + (2 * k if halves else k)))
        if halves:
            BROADCAST(w[1], <const char *> (parts + 2 * k + 1))
        for v in range(4):
            near = rows + k * pitch + v * lanes
            LOAD(x[0], near)
            if symmetry and k < kept - 1:
                LOAD(y[0], (near + (taps - 1 - 2 * k) * pitch))
                x[0] = x[0] + y[0] if symmetry > 0 else x[0] - y[0]
            head[v] = head[v] + x[0] * w[0]
            if halves:
                tail[v] = tail[v] + x[0] * w[1]
    for v in range(4):
        units[0] = to_units(head[v])
        if halves:
            units[0] = units[0] + to_units(tail[v])
        in_doubt |= CUT(values + v * lanes, units[0], <int> fast.bits, <int> fast.doubt) << v
    return in_doubt


cdef inline void sum_line(
    double *sums, const real *rows, Py_ssize_t count, Py_ssize_t pitch, const double *weights,
    int symmetry, int vectors, const Lines *lines,
) noexcept nogil:
    """As sum_up, with the symmetry as a constant, for the compiler."""
    if symmetry > 0:
        sum_up(sums, rows, count, pitch, weights, lines.size, 1, vectors)
    elif symmetry < 0:
        sum_up(sums, rows, count, pitch, weights, lines.size, -1, vectors)
    else:
        sum_up(sums, rows, count, pitch, weights, lines.size, 0, vectors)


cdef inline bint sum_again(
    float *values, const float *rows, Py_ssize_t pitch, const double *weights, int symmetry,
    Fast *fast, const Lines *lines,
) noexcept nogil:
    """One vector of floats in SciPy's order, cut off; returns whether it is not of a flat area."""
    cdef double[MAX_LANES] sums
    cdef bint flat = is_flat(rows, pitch, NULL, lines.size)
    cdef int i
    if flat and rows[0] == fast.flat:
        for i in range(MAX_LANES):
            values[i] = fast.flat_sum
        return False
    sum_line(sums, rows, MAX_LANES, pitch, weights, symmetry, 2, lines)
    cut(values, sums, MAX_LANES)
    if flat:
        fast.flat = rows[0]
        fast.flat_sum = values[0]
    return not flat


cdef inline int sum_some(
    float *values, const float *rows, Py_ssize_t pitch, const float *parts, int symmetry,
    bint halves, const Fast *fast, const Lines *lines,
) noexcept nogil:
    """As sum_fast, with the symmetry and the parts as constants."""
    if symmetry > 0 and halves:
        return sum_fast(values, rows, pitch, parts, lines.size, 1, True, fast)
    if symmetry > 0:
        return sum_fast(values, rows, pitch, parts, lines.size, 1, False, fast)
    if symmetry < 0:
        return sum_fast(values, rows, pitch, parts, lines.size, -1, True, fast)
    if halves:
        return sum_fast(values, rows, pitch, parts, lines.size, 0, True, fast)
    return sum_fast(values, rows, pitch, parts, lines.size, 0, False, fast)


cdef inline void put_line(
    char *target, Py_ssize_t stride, const real *rows, Py_ssize_t count, Py_ssize_t pitch,
    const double *weights, const float *parts, int symmetry, bint halves, Fast *fast,
    const Lines *lines,
) noexcept nogil:
    """Sums of so many elements, at most STRETCH, to the output; of floats fast ones."""
    cdef double[STRETCH] sums
    cdef float[STRETCH] values
    cdef Py_ssize_t j = 0
    cdef Py_ssize_t some
    cdef int in_doubt, repeated, v
    if real is double:
        sum_line(sums, rows, count, pitch, weights, symmetry, 4, lines)
        store_row(target, stride, <const char *> sums, count, lines.stored, <double *> NULL)
        return
    while j < count:
        some = min(4 * MAX_LANES, count - j)
        if is_due(fast):
            in_doubt = sum_some(&values[j], rows + j, pitch, parts, symmetry, halves, fast, lines)
            repeated = 0
            for v in range(4):
                if in_doubt >> v & 1:
                    repeated += sum_again(&values[j + v * MAX_LANES], rows + j + v * MAX_LANES,
                                          pitch, weights, symmetry, fast, lines)
            note(fast, repeated == 4)
        else:
            sum_line(sums, rows + j, some, pitch, weights, symmetry, 4, lines)
            cut(&values[j], sums, some)
        j += some
    store_row(target, stride, <const char *> values, count, lines.stored, <float *> NULL)


cdef inline void sums_across(
    const char *source, char *target, const Py_ssize_t *border, const double *weights,
    const float *parts, int symmetry, bint halves, real *rows, Fast *fast, const Lines *lines,
) noexcept nogil:
    """Lines whose elements are side by side; `rows` has room for PIECES + size rows of these."""
    cdef Py_ssize_t beside = BESIDE * (8 // <Py_ssize_t> sizeof(real))
    cdef Py_ssize_t last = lines.length + lines.size - 2
    cdef Py_ssize_t bytes = lines.count * lines.across_in
    cdef Py_ssize_t at, place
    cdef const char *next
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t count, i
    while start < lines.length:
        count = min(PIECES, lines.length - start)
        for i in range(count + lines.size - 1):
            place = place_of(border, min(start + i + 2 * AHEAD, last), lines)
            next = source + max(place, 0) * lines.along_in
            at = 0
            while at < bytes:
                PREFETCH(next + at)
                at += max(LINE, lines.across_in)
            PREFETCH(next + bytes - 1)
            taken(rows + i * beside, source, place_of(border, start + i, lines), lines)
        for i in range(count):
            put_line(target + (start + i) * lines.along_out, lines.across_out,
                     <const real *> rows + i * beside, lines.count, beside, weights, parts,
                     symmetry, halves, fast, lines)
        start += count


cdef inline void sums_along(
    const char *source, char *target, const Py_ssize_t *border, const double *weights,
    const float *parts, int symmetry, bint halves, real *row, Fast *fast, const Lines *lines,
) noexcept nogil:
    """One line after the other; `row` has room for STRETCH + size + 2 * BESIDE elements."""
    cdef Py_ssize_t start, count, i
    for i in range(lines.count):
        start = 0
        while start < lines.length:
            count = min(STRETCH, lines.length - start)
            places_of(row, source + i * lines.across_in, border, start, count + lines.size - 1,
                      lines)
            put_line(target + i * lines.across_out + start * lines.along_out, lines.along_out,
                     <const real *> row, count, 1, weights, parts, symmetry, halves,
                     fast, lines)
            start += count


# ---- Kernels ----------------------------------------------------------------------------

# Kernel: `height` rows of `Lines.size` elements in each of some planes. A task has at most BLOCK
# rows of `width` elements of the output; what it sees of the array, converted, stands in scratch
# rows of `pitch` elements, those of a plane one after the other. `taps` taps are given by where
# they lie there; those of a dense kernel are all there are, one after the other.
cdef struct Kernel:
    Py_ssize_t planes, height, taps, dense, width, pitch


cdef inline void add_product(
    vector *total, const vector *x, const vector *w, bint fast,
) noexcept nogil:
    """To a sum that is rounded as SciPy's; a multiply-add, if it is fast."""
    cdef vector product[1]
    product[0] = x[0] * w[0]
    if not fast:
        ROUNDED(product[0])
    total[0] = total[0] + product[0]


cdef inline void sum_taps(
    char *sums, const real *rows, Py_ssize_t count, const Py_ssize_t *offsets,
    const char *weights, Py_ssize_t taps, const Fast *fast, int vectors, vector *_,
) noexcept nogil:
    """So many elements side by side; some vectors at a time, up to 4."""
    cdef vector total[4]
    cdef vector x[1]
    cdef vector w[1]
    cdef Py_ssize_t lanes = LANES(w[0])
    cdef Py_ssize_t j = 0
    cdef Py_ssize_t k
    cdef const real *row
    cdef int v
    while j < count:
        for v in range(vectors):
            FILL(total[v], fast.doubt // 2 if fast != NULL else 0)
        for k in range(taps):
            BROADCAST(w[0], weights + k * LANE_BYTES(w[0]))
            for v in range(vectors):
                row = rows + offsets[k] + j + v * lanes
                LOAD_WIDENED(x[0], row)
                add_product(&total[v], x, w, fast != NULL)
        for v in range(vectors):
            STORE(sums + j * LANE_BYTES(w[0]) + v * VECTOR_BYTES, total[v])
        j += vectors * lanes


cdef inline void add_row(
    vector (*totals)[4], const real *row, const char *weights, Py_ssize_t taps, int low, int high,
    bint fast,
) noexcept nogil:
    """Add a row of the array to rows low .. high of a band; `weights` are those of row 0."""
    cdef vector x[4]
    cdef vector w[1]
    cdef Py_ssize_t lanes = LANES(w[0])
    cdef Py_ssize_t k
    cdef int r, v
    for k in range(taps):
        for v in range(BAND_VECTORS):
            LOAD_WIDENED(x[v], (row + k + v * lanes))
        for r in range(BAND):
            if low <= r < high:
                BROADCAST(w[0], weights + (k - r * taps) * LANE_BYTES(w[0]))
                for v in range(BAND_VECTORS):
                    add_product(&totals[r][v], &x[v], w, fast)


cdef inline void sum_band(
    char *sums, const real *rows, Py_ssize_t count, const char *weights,
    const Kernel *kernel, Py_ssize_t taps, const Fast *fast, vector *_,
) noexcept nogil:
    """BAND rows of so many elements, `pitch` apart; of kernels of three rows and more."""
    cdef vector totals[4][4]
    cdef Py_ssize_t size = LANE_BYTES(totals[0][0])
    cdef Py_ssize_t pitch = kernel.pitch
    cdef Py_ssize_t plane = (BLOCK + kernel.height - 1) * pitch
    cdef Py_ssize_t line = taps * size
    cdef bint quick = fast != NULL
    cdef Py_ssize_t j = 0
    cdef Py_ssize_t p, _i
    cdef const real *row
    cdef const char *at
    cdef int r, v
    while j < count:
        for r in range(BAND):
            for v in range(BAND_VECTORS):
                FILL(totals[r][v], fast.doubt // 2 if quick else 0)
        at = weights
        for p in range(kernel.planes):
            row = rows + p * plane + j
            add_row(totals, row, at, taps, 0, 1, quick)
            add_row(totals, row + pitch, at + line, taps, 0, 2, quick)
            add_row(totals, row + 2 * pitch, at + 2 * line, taps, 0, 3, quick)
            row += 3 * pitch
            at += 3 * line
            for _i in range(3, kernel.height):
                add_row(totals, row, at, taps, 0, 4, quick)
                row += pitch
                at += line
            add_row(totals, row, at, taps, 1, 4, quick)
            add_row(totals, row + pitch, at + line, taps, 2, 4, quick)
            add_row(totals, row + 2 * pitch, at + 2 * line, taps, 3, 4, quick)
        for r in range(BAND):
            for v in range(BAND_VECTORS):
                STORE(sums + (r * pitch + j) * size + v * VECTOR_BYTES, totals[r][v])
        j += BAND_VECTORS * LANES(totals[0][0])


cdef inline bint sum_taps_again(
    float *values, const float *rows, const Py_ssize_t *offsets, const double *weights,
    Py_ssize_t taps, Fast *fast,
) noexcept nogil:
    """One vector of floats in SciPy's order, cut off; returns whether it is not of a flat area."""
    cdef double[MAX_LANES] sums
    cdef bint flat = is_flat(rows, 0, offsets, taps)
    cdef int i
    if flat and rows[offsets[0]] == fast.flat:
        for i in range(MAX_LANES):
            values[i] = fast.flat_sum
        return False
    sum_taps(<char *> sums, rows, MAX_LANES, offsets, <const char *> weights, taps, NULL, 2,
             <vd *> NULL)
    cut(values, sums, MAX_LANES)
    if flat:
        fast.flat = rows[offsets[0]]
        fast.flat_sum = values[0]
    return not flat


cdef inline void cut_row(
    float *values, const float *sums, const float *rows, Py_ssize_t count,
    const Py_ssize_t *offsets, const double *weights, Py_ssize_t taps, Fast *fast,
) noexcept nogil:
    """Fast sums of a row cut off to integers; those in doubt are computed again."""
    cdef vf x[1]
    cdef Py_ssize_t j = 0
    cdef Py_ssize_t repeated = 0
    while j < count:
        LOAD(x[0], (sums + j))
        if CUT(values + j, to_units(x[0]), <int> fast.bits, <int> fast.doubt):
            repeated += sum_taps_again(values + j, rows + j, offsets, weights, taps, fast)
        j += MAX_LANES
    note(fast, 2 * repeated * MAX_LANES > count)


cdef inline void sums_of_kernel(
    const char *source, char *target, const Py_ssize_t *starts, Py_ssize_t top, Py_ssize_t left,
    const Py_ssize_t *border, const Py_ssize_t *offsets, const double *weights,
    const float *quick, double *sums, real *rows, Fast *fast, const Kernel *kernel,
    const Lines *lines,
) noexcept nogil:
    """A block of the output; `starts` tells, plane by plane, where the rows of the array begin.

    There is room for BAND rows of sums and for what the block sees. Floats are summed up fast.
    """
    cdef float[WIDTH] values
    cdef Py_ssize_t height = min(BLOCK, lines.count - top)
    cdef Py_ssize_t width = min(kernel.width, lines.length - left)
    cdef Py_ssize_t pitch = kernel.pitch
    cdef real *row
    cdef char *out
    cdef Py_ssize_t p, y, i
    cdef bint is_fast = False
    for p in range(kernel.planes):
        for y in range(height + kernel.height - 1):
            row = rows + (p * (BLOCK + kernel.height - 1) + y) * pitch
            if starts[top + y] == NOWHERE:
                for i in range(width + lines.size - 1):
                    row[i] = <real> lines.fill
            else:
                places_of(row, source + starts[top + y], border, left, width + lines.size - 1,
                          lines)
        starts += lines.count + kernel.height - 1
    for y in range(height):
        row = rows + y * pitch
        i = y % BAND * pitch if kernel.dense else 0
        if i == 0:
            is_fast = real is float and is_due(fast)
            if kernel.dense and is_fast:
                sum_band(<char *> sums, <const real *> row, width, <const char *> quick, kernel,
                         lines.size, fast, <vf *> NULL)
            elif kernel.dense:
                sum_band(<char *> sums, <const real *> row, width, <const char *> weights, kernel,
                         lines.size, NULL, <vd *> NULL)
            elif is_fast:
                sum_taps(<char *> sums, <const real *> row, width, offsets, <const char *> quick,
                         kernel.taps, fast, 4, <vf *> NULL)
            else:
                sum_taps(<char *> sums, <const real *> row, width, offsets,
                         <const char *> weights, kernel.taps, NULL, 4, <vd *> NULL)
        out = target + (top + y) * lines.across_out + left * lines.along_out
        if is_fast:
            cut_row(values, <const float *> sums + i, <const float *> row, width, offsets, weights,
                    kernel.taps, fast)
            store_row(out, lines.along_out, <const char *> values, width, lines.stored,
                      <float *> NULL)
        else:
            store_row(out, lines.along_out, <const char *> (sums + i), width, lines.stored,
                      <double *> NULL)
