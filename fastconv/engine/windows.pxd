"""Means of bytes, as 16-bit integers: exact, and cut off to what SciPy cuts off to.

Down the columns each sum is the one before, one byte in and one out. Along a row the sum of a
window is that of smaller ones side by side, which are sums of smaller ones: no sum waits for the
one before, and vectors hold many.
"""

from libc.string cimport memcpy, memset

from fastconv.engine.lay_out cimport clip
from fastconv.engine.plan cimport UINT8
from fastconv.engine.running cimport ACROSS, Lines, place_of
from fastconv.engine.simd cimport OPAQUE, rows, rows1, rows2, rows3, rows5

cdef enum:
    # The most bytes whose sum 16 bits hold.
    MOST_BYTES = 257
    # Means of a line that are made together.
    SOME = 1024

ctypedef unsigned char byte
ctypedef unsigned short word

# A sum divided by the size of its window is sum * factor >> 16 >> shift.
cdef struct Division:
    word factor
    int shift


cdef inline bint divides(Division *by, const Lines *lines) noexcept nogil:
    """Whether these are means of bytes, all of which such a division gets right."""
    cdef Py_ssize_t size = lines.size
    if lines.given != UINT8 or lines.stored != UINT8 or not 2 <= size <= MOST_BYTES:
        return False
    if not 0 <= lines.fill <= 255 or lines.fill != <byte> lines.fill:
        return False
    by.shift = 0
    while 2 << by.shift < size:
        by.shift += 1
    # Rounded up, it is too large by less than one in the last place of any sum's quotient.
    by.factor = <word> (((1 << (16 + by.shift)) + size - 1) // size)
    return 255 * size * (by.factor * size - (1 << (16 + by.shift))) < 1 << (16 + by.shift)


cdef inline byte divided(word sum, Division by) noexcept nogil:
    # In 16 bits, as compilers see if the shift cannot be one of more.
    cdef word whole = <word> (<unsigned int> sum * <unsigned int> by.factor >> 16)
    return <byte> <word> (whole >> (by.shift & 15))


cdef inline void next_means(
    byte *means, word *sums, const byte *new, const byte *old, Py_ssize_t count, Division by,
) noexcept nogil:
    """Sums of columns, one byte in and one out, and their means."""
    cdef Py_ssize_t j
    for j in range(count):
        sums[j] = <word> (sums[j] + new[j] - old[j])
        means[j] = divided(sums[j], by)


ctypedef void (*next_means_t)(
    byte *, word *, const byte *, const byte *, Py_ssize_t, Division,
) noexcept nogil
ctypedef void (*windows_t)(
    byte *, const byte *, Py_ssize_t, Py_ssize_t, Division,
) noexcept nogil


cdef inline void add_pairs(
    word *sums, const word *a, const word *b, Py_ssize_t count,
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        sums[i] = <word> (a[i] + b[i])


cdef inline void add_few(
    word *sums, const byte *row, Py_ssize_t count, rows *_,
) noexcept nogil:
    """Sums of as many bytes as `rows` has, side by side."""
    cdef Py_ssize_t i
    cdef int j
    for i in range(count):
        sums[i] = row[i]
        for j in range(1, <int> sizeof(rows)):
            sums[i] = <word> (sums[i] + row[i + j])


cdef inline const word *add_many(word *memory, Py_ssize_t length, Py_ssize_t size) noexcept nogil:
    """Sums of so many of the first `length` words, side by side, in one of four rows of memory."""
    # At each place the sums of `bit` bytes, and of so many as the lower bits of the size say.
    cdef word *sums = memory
    cdef word *next_sums = memory + (SOME + MOST_BYTES)
    cdef word *rest = memory + 2 * (SOME + MOST_BYTES)
    cdef word *next_rest = memory + 3 * (SOME + MOST_BYTES)
    cdef Py_ssize_t bit = 1
    cdef Py_ssize_t reach = 0
    while 2 * bit <= size:
        if size & bit:
            if reach:
                add_pairs(next_rest, sums, rest + bit, length - reach - bit + 1)
                rest, next_rest = next_rest, rest
            else:
                memcpy(rest, sums, (length - bit + 1) * sizeof(word))
            reach += bit
        add_pairs(next_sums, sums, sums + bit, length - 2 * bit + 1)
        sums, next_sums = next_sums, sums
        bit *= 2
    if reach:
        add_pairs(next_sums, sums, rest + bit, length - size + 1)
        sums = next_sums
    return sums


cdef inline void windows(
    byte *means, const byte *row, Py_ssize_t count, Py_ssize_t size, Division by,
) noexcept nogil:
    """Means of so many windows side by side, at most SOME."""
    cdef word[4 * (SOME + MOST_BYTES)] memory
    cdef const word *sums = memory
    cdef Py_ssize_t i
    if size == 2:
        add_few(memory, row, count, <rows2 *> NULL)
    elif size == 3:
        add_few(memory, row, count, <rows3 *> NULL)
    elif size == 5:
        add_few(memory, row, count, <rows5 *> NULL)
    else:
        add_few(memory, row, count + size - 1, <rows1 *> NULL)
        sums = add_many(memory, count + size - 1, size)
    for i in range(count):
        means[i] = divided(sums[i], by)


cdef inline byte place_or_fill(
    const byte *line, Py_ssize_t place, const Lines *lines,
) noexcept nogil:
    return line[place] if place >= 0 else <byte> lines.fill


cdef inline void means_of_line(
    byte *means, const byte *line, const Py_ssize_t *border, const Lines *lines, Division by,
) noexcept nogil:
    """All windows of a line, with what is around it."""
    cdef byte[SOME + MOST_BYTES] kept
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t count, some, first, low, high, i
    cdef const byte *row
    # Not inlined: a compiler that knows how a factor came about does not see that it has 16 bits.
    cdef windows_t windows_out_of_line = windows
    OPAQUE(windows_out_of_line)
    while start < lines.length:
        some = min(SOME, lines.length - start)
        count = some + lines.size - 1
        first = start - lines.before
        row = line + first
        if first < 0 or first + count > lines.length:
            low = clip(-first, 0, count)
            high = clip(lines.length - first, low, count)
            for i in range(low):
                kept[i] = place_or_fill(line, border[start + i], lines)
            memcpy(kept + low, row + low, high - low)
            for i in range(high, count):
                kept[i] = place_or_fill(line, border[start + i - lines.length], lines)
            row = kept
        windows_out_of_line(means + start, row, some, lines.size, by)
        start += some


cdef inline const byte *row_at(
    const char *source, Py_ssize_t place, const byte *around, const Lines *lines,
) noexcept nogil:
    return <const byte *> source + place * lines.along_in if place >= 0 else around


cdef inline void first_sums(
    word *sums, const char *source, const Py_ssize_t *border, Py_ssize_t top,
    const byte *around, Py_ssize_t count, const Lines *lines,
) noexcept nogil:
    """Sums of so many columns over the rows of the first window, but for its last."""
    cdef const byte *new
    cdef Py_ssize_t i, j
    memset(sums, 0, count * sizeof(word))
    for i in range(top, top + lines.size - 1):
        new = row_at(source, place_of(border, i, lines), around, lines)
        for j in range(count):
            sums[j] = <word> (sums[j] + new[j])


cdef inline void bytes_across(
    const char *source, char *target, const Py_ssize_t *border, const Lines *lines, Division by,
) noexcept nogil:
    """Columns that lie side by side, at most ACROSS."""
    cdef word[ACROSS] sums
    cdef byte[ACROSS] around
    cdef byte[ACROSS] zeros
    cdef const byte *new
    cdef const byte *old = zeros
    cdef Py_ssize_t i
    cdef next_means_t next_out_of_line = next_means
    OPAQUE(next_out_of_line)
    memset(around, <int> lines.fill, ACROSS)
    memset(zeros, 0, ACROSS)
    first_sums(sums, source, border, 0, around, lines.count, lines)
    for i in range(lines.length):
        new = row_at(source, place_of(border, i + lines.size - 1, lines), around, lines)
        # The first window has nothing to lose.
        if i:
            old = row_at(source, place_of(border, i - 1, lines), around, lines)
        next_out_of_line(<byte *> target + i * lines.along_out, sums, new, old, lines.count, by)


cdef inline void bytes_of_plane(
    const char *source, char *target, const Py_ssize_t *border_down,
    const Py_ssize_t *border_along, Py_ssize_t top, Py_ssize_t height, char *scratch,
    const Lines *down, const Lines *along, Division by_down, Division by_along,
) noexcept nogil:
    """Rows top .. top + height of means down and along; `scratch` has room for five rows."""
    cdef Py_ssize_t width = along.length
    cdef word *sums = <word *> scratch
    cdef byte *around = <byte *> scratch + 2 * width
    cdef byte *zeros = around + width
    cdef byte *means = zeros + width
    cdef const byte *new
    cdef const byte *old = zeros
    cdef Py_ssize_t i
    cdef next_means_t next_out_of_line = next_means
    OPAQUE(next_out_of_line)
    memset(around, <int> down.fill, width)
    memset(zeros, 0, width)
    first_sums(sums, source, border_down, top, around, width, down)
    for i in range(top, top + height):
        new = row_at(source, place_of(border_down, i + down.size - 1, down), around, down)
        if i > top:
            old = row_at(source, place_of(border_down, i - 1, down), around, down)
        next_out_of_line(means, sums, new, old, width, by_down)
        means_of_line(<byte *> target + i * along.across_out, means, border_along, along, by_along)
