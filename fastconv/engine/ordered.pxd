"""Sums along a line in the order, and with the roundings, of SciPy's correlate1d.

Casts to integers tell how a sum was rounded: three times 1/3 is 1 in one order and a little less
in another. So these are in double precision, without fused multiply-adds, and begin with the
middle of the window where the weights are symmetric, whose pairs then share a product:

    sum = w[middle] * x[middle],    sum += w[k] * (x[k] +- x[last - k])  for k = 0, 1, ..

else with its end. As in running.pxd, lines go side by side.
"""

from fastconv.engine.plan cimport *
from fastconv.engine.running cimport PIECE, Lines, piece_of, put_piece, taken
from fastconv.engine.simd cimport *
from fastconv.engine.store cimport store_row

cdef enum:
    # Lines that go side by side if their elements do: several vectors.
    BESIDE = 64


cdef inline void sum_up(
    double *sums, const double *rows, Py_ssize_t width, const double *weights, Py_ssize_t taps,
    int symmetry, vector *_,
) noexcept nogil:
    """One element of `width` lines, from `taps` rows of them."""
    cdef vector total[1]
    cdef vector x[2]
    cdef vector w[1]
    cdef Py_ssize_t first = taps // 2 if symmetry else taps - 1
    cdef Py_ssize_t j = 0
    cdef Py_ssize_t k
    while j < width:
        LOAD(total[0], <const char *> (rows + first * width + j))
        BROADCAST(w[0], <const char *> (weights + first))
        total[0] = total[0] * w[0]
        ROUNDED(total[0])
        for k in range(first):
            LOAD(x[0], <const char *> (rows + k * width + j))
            if symmetry:
                LOAD(x[1], <const char *> (rows + (taps - 1 - k) * width + j))
                x[0] = x[0] + x[1] if symmetry > 0 else x[0] - x[1]
            BROADCAST(w[0], <const char *> (weights + k))
            x[0] = x[0] * w[0]
            ROUNDED(x[0])
            total[0] = total[0] + x[0]
        STORE(<char *> (sums + j), total[0])
        j += LANES(total[0])


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
            sum_up(sums, rows + i * BESIDE, BESIDE, weights, lines.size, symmetry, <vd *> NULL)
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
            piece_of(rows + i * lanes, source, places + start + i,
                     min(PIECE, count + lines.size - 1 - i), lines)
            i += PIECE
        for i in range(count):
            sum_up(sums + i * lanes, rows + i * lanes, lanes, weights, lines.size, symmetry,
                   <vd *> NULL)
        put_piece(target + start * lines.along_out, sums, count, lines)
        start += count
