"""Sums in the order, and with the roundings, of SciPy's correlate1d and correlate.

Casts to integers tell how a sum was rounded: three times 1/3 is 1 in one order and a little less
in another. So these are in double precision, without fused multiply-adds, and begin with the
middle of the window where the weights are symmetric, whose pairs then share a product:

    sum = w[middle] * x[middle],    sum += w[k] * (x[k] +- x[last - k])  for k = 0, 1, ..

else with its end. As in running.pxd, lines go side by side where their elements do. The taps of a
kernel come one after the other.
"""

from fastconv.engine.plan cimport *
from fastconv.engine.running cimport Lines, places_of, taken
from fastconv.engine.simd cimport *
from fastconv.engine.store cimport store_row

cdef extern from *:
    # Where a row begins that is around the array.
    const Py_ssize_t NOWHERE "PY_SSIZE_T_MIN"

cdef enum:
    # Elements whose sums are computed together; lines that go side by side if their elements do.
    BESIDE = 32
    # Elements of such lines that are computed in turn.
    PIECES = 64
    # The same where each line's elements are side by side.
    STRETCH = 512
    # Rows of the output that share what was converted for a kernel.
    BLOCK = 16


# ---- Lines ------------------------------------------------------------------------------

cdef inline void sum_up(
    double *sums, const real *rows, Py_ssize_t count, Py_ssize_t pitch, const double *weights,
    Py_ssize_t taps, int symmetry,
) noexcept nogil:
    """So many elements, tap k of which lies k rows further on; some vectors at a time."""
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
        for v in range(4):
            near = rows + first * pitch + j + v * lanes
            LOAD_WIDENED(total[v], near)
            total[v] = total[v] * w[0]
            ROUNDED(total[v])
        for k in range(first):
            BROADCAST(w[0], <const char *> (weights + k))
            for v in range(4):
                near = rows + k * pitch + j + v * lanes
                if symmetry:
                    far = near + (taps - 1 - 2 * k) * pitch
                    LOAD_PAIR(x[v], near, far, symmetry)
                else:
                    LOAD_WIDENED(x[v], near)
                x[v] = x[v] * w[0]
                ROUNDED(x[v])
                total[v] = total[v] + x[v]
        for v in range(4):
            STORE(<char *> (sums + j + v * lanes), total[v])
        j += 4 * lanes


cdef inline void sum_line(
    double *sums, const real *rows, Py_ssize_t count, Py_ssize_t pitch, const double *weights,
    int symmetry, const Lines *lines,
) noexcept nogil:
    """The same with the symmetry as a constant, for the compiler."""
    if symmetry > 0:
        sum_up(sums, rows, count, pitch, weights, lines.size, 1)
    elif symmetry < 0:
        sum_up(sums, rows, count, pitch, weights, lines.size, -1)
    else:
        sum_up(sums, rows, count, pitch, weights, lines.size, 0)


cdef inline void sums_across(
    const char *source, char *target, const Py_ssize_t *places, const double *weights,
    int symmetry, double *rows, const Lines *lines,
) noexcept nogil:
    """Lines whose elements are side by side; `rows` has room for PIECES + size rows of BESIDE."""
    cdef double[BESIDE] sums
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t count, i
    while start < lines.length:
        count = min(PIECES, lines.length - start)
        for i in range(count + lines.size - 1):
            taken(rows + i * BESIDE, source, places[start + i], lines)
        for i in range(count):
            sum_line(sums, <const double *> rows + i * BESIDE, lines.count, BESIDE, weights,
                     symmetry, lines)
            store_row(target + (start + i) * lines.along_out, lines.across_out,
                      <const char *> sums, lines.count, lines.stored, <double *> NULL)
        start += count


cdef inline void sums_along(
    const char *source, char *target, const Py_ssize_t *places, const double *weights,
    int symmetry, real *row, const Lines *lines,
) noexcept nogil:
    """One line after the other; `row` has room for STRETCH + size + BESIDE elements."""
    cdef double[STRETCH] sums
    cdef Py_ssize_t start, count, i
    for i in range(lines.count):
        start = 0
        while start < lines.length:
            count = min(STRETCH, lines.length - start)
            places_of(row, source + i * lines.across_in, places, start, count + lines.size - 1,
                      lines)
            sum_line(sums, <const real *> row, count, 1, weights, symmetry, lines)
            store_row(target + i * lines.across_out + start * lines.along_out, lines.along_out,
                      <const char *> sums, count, lines.stored, <double *> NULL)
            start += count


# ---- Kernels ----------------------------------------------------------------------------

# Kernel: `height` rows of `Lines.size` elements in each of some planes. A task has at most BLOCK
# rows of `width` elements of the output; what it sees of the array, converted, stands in scratch
# rows of `pitch` doubles, those of a plane one after the other. `taps` taps that are few are
# given by where they lie there; if there are none, each element of the kernel is one.
cdef struct Kernel:
    Py_ssize_t planes, height, taps, width, pitch


cdef inline void sum_taps(
    double *sums, const double *rows, Py_ssize_t count, const Py_ssize_t *offsets,
    const double *weights, Py_ssize_t taps,
) noexcept nogil:
    """So many elements side by side; some vectors at a time."""
    cdef vd total[4]
    cdef vd x[4]
    cdef vd w[1]
    cdef const char *row
    cdef Py_ssize_t j = 0
    cdef Py_ssize_t k
    cdef int v
    while j < count:
        for v in range(4):
            FILL(total[v], 0)
        for k in range(taps):
            row = <const char *> (rows + offsets[k] + j)
            BROADCAST(w[0], <const char *> (weights + k))
            for v in range(4):
                LOAD(x[v], row + v * VECTOR_BYTES)
                x[v] = x[v] * w[0]
                ROUNDED(x[v])
                total[v] = total[v] + x[v]
        for v in range(4):
            STORE(<char *> (sums + j) + v * VECTOR_BYTES, total[v])
        j += 4 * LANES(w[0])


cdef inline void add_row(
    vd (*totals)[4], const double *row, const double *weights, Py_ssize_t taps, int low, int high,
) noexcept nogil:
    """Add a row of the array to rows low .. high of a band; `weights` are those of row 0."""
    cdef vd x[4]
    cdef vd y[4]
    cdef vd w[1]
    cdef Py_ssize_t k
    cdef int r, v
    for k in range(taps):
        for v in range(BAND_VECTORS):
            LOAD(x[v], <const char *> (row + k) + v * VECTOR_BYTES)
        for r in range(BAND):
            if low <= r < high:
                BROADCAST(w[0], <const char *> (weights - r * taps + k))
                for v in range(BAND_VECTORS):
                    y[v] = x[v] * w[0]
                    ROUNDED(y[v])
                    totals[r][v] = totals[r][v] + y[v]


cdef inline void sum_band(
    double *sums, const double *rows, Py_ssize_t count, const double *weights,
    const Kernel *kernel, Py_ssize_t taps,
) noexcept nogil:
    """BAND rows of so many elements, `pitch` apart; of kernels of three rows and more."""
    cdef vd totals[4][4]
    cdef Py_ssize_t pitch = kernel.pitch
    cdef Py_ssize_t plane = (BLOCK + kernel.height - 1) * pitch
    cdef Py_ssize_t j = 0
    cdef Py_ssize_t p, _i
    cdef const double *row
    cdef const double *at
    cdef int r, v
    while j < count:
        for r in range(BAND):
            for v in range(BAND_VECTORS):
                FILL(totals[r][v], 0)
        at = weights
        for p in range(kernel.planes):
            row = rows + p * plane + j
            add_row(totals, row, at, taps, 0, 1)
            add_row(totals, row + pitch, at + taps, taps, 0, 2)
            add_row(totals, row + 2 * pitch, at + 2 * taps, taps, 0, 3)
            row += 3 * pitch
            at += 3 * taps
            for _i in range(3, kernel.height):
                add_row(totals, row, at, taps, 0, 4)
                row += pitch
                at += taps
            add_row(totals, row, at, taps, 1, 4)
            add_row(totals, row + pitch, at + taps, taps, 2, 4)
            add_row(totals, row + 2 * pitch, at + 2 * taps, taps, 3, 4)
        for r in range(BAND):
            for v in range(BAND_VECTORS):
                STORE(<char *> (sums + r * pitch + j) + v * VECTOR_BYTES, totals[r][v])
        j += BAND_VECTORS * (VECTOR_BYTES // <Py_ssize_t> sizeof(double))


cdef inline void sums_of_kernel(
    const char *source, char *target, const Py_ssize_t *starts, Py_ssize_t top, Py_ssize_t left,
    const Py_ssize_t *places, const Py_ssize_t *offsets, const double *weights, double *rows,
    const Kernel *kernel, const Lines *lines,
) noexcept nogil:
    """A block of the output; `starts` tells, plane by plane, where the rows of the array begin."""
    cdef Py_ssize_t height = min(BLOCK, lines.count - top)
    cdef Py_ssize_t width = min(kernel.width, lines.length - left)
    cdef Py_ssize_t pitch = kernel.pitch
    cdef double *sums = rows + kernel.planes * (BLOCK + kernel.height - 1) * pitch
    cdef double *row
    cdef Py_ssize_t p, y, i
    for p in range(kernel.planes):
        for y in range(height + kernel.height - 1):
            row = rows + (p * (BLOCK + kernel.height - 1) + y) * pitch
            if starts[top + y] == NOWHERE:
                for i in range(width + lines.size - 1):
                    row[i] = lines.fill
            else:
                places_of(row, source + starts[top + y], places, left, width + lines.size - 1,
                          lines)
        starts += lines.count + kernel.height - 1
    for y in range(height):
        if kernel.taps:
            sum_taps(sums, rows + y * pitch, width, offsets, weights, kernel.taps)
        elif y % BAND == 0:
            sum_band(sums, rows + y * pitch, width, weights, kernel, lines.size)
        store_row(target + (top + y) * lines.across_out + left * lines.along_out,
                  lines.along_out,
                  <const char *> (sums + (0 if kernel.taps else y % BAND * pitch)), width,
                  lines.stored, <double *> NULL)
