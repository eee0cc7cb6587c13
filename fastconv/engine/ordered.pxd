"""Sums in the order, and with the roundings, of SciPy's correlate1d and correlate.

Casts to integers tell how a sum was rounded: three times 1/3 is 1 in one order and a little less
in another. So these are in double precision, without fused multiply-adds, and begin with the
middle of the window where the weights are symmetric, whose pairs then share a product:

    sum = w[middle] * x[middle],    sum += w[k] * (x[k] +- x[last - k])  for k = 0, 1, ..

else with its end. As in running.pxd, lines go side by side. The taps of a kernel come one after the
other.
"""

from fastconv.engine.plan cimport *
from fastconv.engine.running cimport PIECE, Lines, piece_of, places_of, put_piece, taken
from fastconv.engine.simd cimport *
from fastconv.engine.store cimport store_row

cdef extern from *:
    # Where a row begins that is around the array.
    const Py_ssize_t NOWHERE "PY_SSIZE_T_MIN"

cdef enum:
    # Lines that go side by side if their elements do: several vectors.
    BESIDE = 64


cdef inline void sum_up(
    double *sums, const double *rows, Py_ssize_t count, Py_ssize_t pitch, const double *weights,
    Py_ssize_t taps, int symmetry, vector *_,
) noexcept nogil:
    """So many elements, tap k of which lies k rows further on; some vectors at a time."""
    cdef vector total[4]
    cdef vector x[4]
    cdef vector y[4]
    cdef vector w[1]
    cdef Py_ssize_t first = taps // 2 if symmetry else taps - 1
    cdef Py_ssize_t j = 0
    cdef Py_ssize_t k
    cdef int v
    while j < count:
        BROADCAST(w[0], <const char *> (weights + first))
        for v in range(4):
            LOAD(total[v], <const char *> (rows + first * pitch + j) + v * VECTOR_BYTES)
            total[v] = total[v] * w[0]
            ROUNDED(total[v])
        for k in range(first):
            BROADCAST(w[0], <const char *> (weights + k))
            for v in range(4):
                LOAD(x[v], <const char *> (rows + k * pitch + j) + v * VECTOR_BYTES)
                if symmetry:
                    LOAD(y[v], <const char *> (rows + (taps - 1 - k) * pitch + j)
                         + v * VECTOR_BYTES)
                    x[v] = x[v] + y[v] if symmetry > 0 else x[v] - y[v]
                x[v] = x[v] * w[0]
                ROUNDED(x[v])
                total[v] = total[v] + x[v]
        for v in range(4):
            STORE(<char *> (sums + j) + v * VECTOR_BYTES, total[v])
        j += 4 * LANES(w[0])


cdef inline void sums_across(
    const char *source, char *target, const Py_ssize_t *places, const double *weights,
    int symmetry, double *rows, const Lines *lines,
) noexcept nogil:
    """Lines whose elements are side by side; `rows` has room for PIECE + size rows of BESIDE."""
    cdef double[BESIDE] sums
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t count, i
    while start < lines.length:
        count = min(PIECE, lines.length - start)
        for i in range(count + lines.size - 1):
            taken(rows + i * BESIDE, source, places[start + i], lines)
        for i in range(count):
            sum_up(sums, rows + i * BESIDE, lines.count, BESIDE, weights, lines.size, symmetry,
                   <vd *> NULL)
            store_row(target + (start + i) * lines.along_out, lines.across_out,
                      <const char *> sums, lines.count, lines.stored, <double *> NULL)
        start += count


cdef inline void sums_along(
    const char *source, char *target, const Py_ssize_t *places, const double *weights,
    int symmetry, double *rows, const Lines *lines,
) noexcept nogil:
    """Lines that lie one after the other, as many as there are lanes, or less."""
    cdef double[PIECE * MAX_LANES] sums
    cdef Py_ssize_t lanes = VECTOR_BYTES // <Py_ssize_t> sizeof(double)
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t count, i
    while start < lines.length:
        count = min(PIECE, lines.length - start)
        i = 0
        while i < count + lines.size - 1:
            piece_of(rows + i * lanes, source, places, start + i,
                     min(PIECE, count + lines.size - 1 - i), lines, <vd *> NULL)
            i += PIECE
        sum_up(sums, rows, count * lanes, lanes, weights, lines.size, symmetry, <vd *> NULL)
        put_piece(target + start * lines.along_out, <const double *> sums, count, lines,
                  <vd *> NULL)
        start += count


# Kernel: `rows` of it meet rows of the array, each in a scratch row of `pitch` doubles; `taps`
# taps lie at some offsets there. A task has at most `width` elements of a row of the output.
cdef struct Kernel:
    Py_ssize_t rows, taps, pitch, width


cdef inline void sum_taps(
    double *sums, const double *rows, Py_ssize_t count, const Py_ssize_t *offsets,
    const double *weights, Py_ssize_t taps, vector *_,
) noexcept nogil:
    """So many elements side by side; some vectors at a time."""
    cdef vector total[4]
    cdef vector x[4]
    cdef vector w[1]
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


cdef inline void sums_of_kernel(
    const char *source, char *target, const Py_ssize_t *starts, Py_ssize_t start,
    const Py_ssize_t *places, const Py_ssize_t *offsets, const double *weights, double *rows,
    const Kernel *kernel, const Lines *lines,
) noexcept nogil:
    """A row of the output from `start` on; `starts` tells where the rows it sees begin."""
    cdef Py_ssize_t count = min(kernel.width, lines.length - start)
    cdef double *sums = rows + kernel.rows * kernel.pitch
    cdef Py_ssize_t r, i
    for r in range(kernel.rows):
        if starts[r] == NOWHERE:
            for i in range(count + lines.size - 1):
                rows[r * kernel.pitch + i] = lines.fill
        else:
            places_of(rows + r * kernel.pitch, source + starts[r], places, start,
                      count + lines.size - 1, lines)
    sum_taps(sums, rows, count, offsets, weights, kernel.taps, <vd *> NULL)
    store_row(target + start * lines.along_out, lines.along_out, <const char *> sums, count,
              lines.stored, <double *> NULL)
