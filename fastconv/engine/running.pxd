"""Running means: along a line each sum is the one before, one element in and one out.

In double precision and in the order of SciPy's uniform_filter1d:

    sum[i] = sum[i - 1] + (in - out),    mean[i] = sum[i] / size

Sums of integers are exact; in single precision, too, if they are small. Lines are independent, so
vectors are of some of them where elements of neighbouring lines are neighbours in memory; else
some go through in turn, as a sum waits for the one before; of a single line some stretches, which
are the same however many threads there are. Of planes both in one: a few rows of what the first
pass makes at a time, so that only the input and the output are in memory. Most of those of bytes
are made otherwise: see windows.pxd.
"""

from libc.string cimport memmove

from fastconv.engine.lay_out cimport clip, copy_given
from fastconv.engine.plan cimport *
from fastconv.engine.simd cimport *
from fastconv.engine.store cimport store_row

cdef enum:
    # The most lines that go side by side.
    ACROSS = 256
    # Lines that go in turn, and elements of a piece of them.
    ALONG = 4
    PIECE = 128
    # The most places of a line, border and all, that are put side by side at once.
    WHOLE = 512
    # The longest stretch of a line that is not one of long windows.
    LONGEST = 1 << 14

# What is summed up in, where that is not what waits in memory.
ctypedef fused summed:
    float
    double

# Lines: `count` of them, `across` bytes apart, of elements `along` bytes apart.
cdef struct Lines:
    Py_ssize_t along_in, across_in, along_out, across_out
    Py_ssize_t count, length, size
    Py_ssize_t given, stored
    # How many places of the border come before the first element.
    Py_ssize_t before
    double fill
    # A single line may go in stretches, each so long, as if these were lines: how long, and the
    # first one. The last one begins so much earlier that it ends with the line; what it makes of
    # the one before is dropped, as another thread may have that.
    Py_ssize_t stretch, first


cdef inline Py_ssize_t place_of(
    const Py_ssize_t *border, Py_ssize_t at, const Lines *lines,
) noexcept nogil:
    """Which element stands at a place of a line and its border; -1 is none.

    The border's are listed: those before the line, then those after it.
    """
    if at < lines.before:
        return border[at]
    if at < lines.before + lines.length:
        return at - lines.before
    return border[at - lines.length]


cdef inline bint is_kept(Py_ssize_t number, Py_ssize_t stride, real *_) noexcept nogil:
    """Whether elements in memory are side by side and as they are summed up."""
    return stride == sizeof(real) and number == (FLOAT32 if sizeof(real) == 4 else FLOAT64)


cdef inline const real *taken(
    real *row, const char *source, Py_ssize_t place, const Lines *lines,
) noexcept nogil:
    """Element `place` of all lines as it is summed up; what is around, if that is negative."""
    cdef Py_ssize_t j
    if place < 0:
        for j in range(lines.count):
            row[j] = <real> lines.fill
        return row
    if is_kept(lines.given, lines.across_in, row):
        return <const real *> (source + place * lines.along_in)
    copy_given(<char *> row, source + place * lines.along_in, lines.count, lines.across_in,
               lines.given, row)
    return row


cdef inline summed mean_of(summed sum, summed size, summed weight, bint exact) noexcept nogil:
    """Exact sums, of integers, are divided: a product may fall short of an integer.

    Small ones need not be. Half of one more is too little to make another integer of the mean,
    and much more than a product in single precision is off by.
    """
    if not exact:
        return sum * weight
    if summed is float:
        return (sum + (<float> 0.5 if sum >= 0 else <float> -0.5)) * weight
    return sum / size


cdef inline bint means_across(
    const char *source, char *target, const Py_ssize_t *border, const Lines *lines, real *kind,
) noexcept nogil:
    """Lines whose elements are side by side. Returns whether all has been finite."""
    cdef real[ACROSS] sums
    cdef real[ACROSS] row_in
    cdef real[ACROSS] row_out
    cdef const real *new
    cdef const real *old
    cdef real weight = 1 / <real> lines.size
    cdef bint exact = lines.stored < FLOAT32
    cdef Py_ssize_t i, j
    for j in range(lines.count):
        sums[j] = 0
    for i in range(lines.size):
        new = taken(<real *> row_in, source, place_of(border, i, lines), lines)
        for j in range(lines.count):
            sums[j] += new[j]
    for i in range(lines.length):
        if i:
            new = taken(<real *> row_in, source, place_of(border, i + lines.size - 1, lines), lines)
            old = taken(<real *> row_out, source, place_of(border, i - 1, lines), lines)
            for j in range(lines.count):
                sums[j] += new[j] - old[j]
        for j in range(lines.count):
            row_in[j] = mean_of(sums[j], <real> lines.size, weight, exact)
        store_row(target + i * lines.along_out, lines.across_out, <const char *> row_in,
                  lines.count, lines.stored, kind)
    # What is not finite stays so to the end of its line.
    return all_finite(<const real *> sums, lines.count)


cdef inline void places_around(
    real *row, const char *line, const Py_ssize_t *places, Py_ssize_t first, Py_ssize_t last,
    const Lines *lines,
) noexcept nogil:
    """Some places of one line, from the first to before the last: the border's.

    These are mostly some neighbours, which are converted together.
    """
    cdef real[PIECE] some
    cdef Py_ssize_t low, high, end, i
    while first < last:
        end = min(first + PIECE, last)
        low = lines.length
        high = -1
        for i in range(first, end):
            if places[i] >= 0:
                low = min(low, places[i])
                high = max(high, places[i])
        if high - low < PIECE:
            copy_given(<char *> some, line + low * lines.along_in, max(high - low + 1, 0),
                       lines.along_in, lines.given, row)
            for i in range(first, end):
                row[i] = some[places[i] - low] if places[i] >= 0 else <real> lines.fill
        else:
            for i in range(first, end):
                row[i] = <real> lines.fill
                if places[i] >= 0:
                    copy_given(<char *> (row + i), line + places[i] * lines.along_in, 1, 0,
                               lines.given, row)
        first = end


cdef inline void places_of(
    real *row, const char *line, const Py_ssize_t *border, Py_ssize_t start, Py_ssize_t count,
    const Lines *lines,
) noexcept nogil:
    """So many places of one line, from place `start` on, as they are summed up."""
    cdef Py_ssize_t low = clip(lines.before - start, 0, count)
    cdef Py_ssize_t high = clip(lines.before + lines.length - start, low, count)
    places_around(row, line, border + start, 0, low, lines)
    copy_given(<char *> (row + low), line + (start + low - lines.before) * lines.along_in,
               high - low, lines.along_in, lines.given, row)
    places_around(row, line, border + start - lines.length, high, count, lines)


cdef inline void put_border(
    real *row, const Py_ssize_t *border, const Lines *lines,
) noexcept nogil:
    """What is around a line, whose elements are in the middle of the row."""
    cdef const real *middle = row + lines.before
    cdef Py_ssize_t i
    for i in range(lines.before):
        row[i] = middle[border[i]] if border[i] >= 0 else <real> lines.fill
    row += lines.length
    for i in range(lines.before, lines.size - 1):
        row[i] = middle[border[i]] if border[i] >= 0 else <real> lines.fill


cdef inline void whole_line(
    real *row, const char *line, const Py_ssize_t *border, const Lines *lines,
) noexcept nogil:
    """All places of one line and, before these, the zero that the first window loses."""
    row[0] = 0
    copy_given(<char *> (row + 1 + lines.before), line, lines.length, lines.along_in, lines.given,
               row)
    put_border(row + 1, border, lines)


cdef inline Py_ssize_t begin_of(Py_ssize_t line, const Lines *lines) noexcept nogil:
    """Where a stretch begins; whole lines do at their first element."""
    if lines.stretch == 0:
        return 0
    return min((lines.first + line) * lines.stretch, lines.length - lines.stretch)


cdef inline void pieces_of(
    const real **at, real *pieces, const char *source, const Py_ssize_t *border, Py_ssize_t start,
    Py_ssize_t count, const Lines *lines,
) noexcept nogil:
    """Where the same is of ALONG lines: converted, or in place if it is so and inside.

    The last line stands for those missing.
    """
    cdef bint kept = is_kept(lines.given, lines.along_in, pieces)
    cdef Py_ssize_t place, first, i
    cdef const char *line
    for i in range(ALONG):
        line = source + min(i, lines.count - 1) * lines.across_in
        place = start + begin_of(min(i, lines.count - 1), lines)
        first = place - lines.before
        if kept and first >= 0 and first + count <= lines.length:
            at[i] = <const real *> line + first
        else:
            at[i] = pieces + i * PIECE
            places_of(pieces + i * PIECE, line, border, place, count, lines)


cdef inline void fetch_ahead(
    const char *source, Py_ssize_t place, const Lines *lines,
) noexcept nogil:
    """The hardware does not guess that the next piece of each line comes."""
    cdef Py_ssize_t first, last, i, at
    if lines.along_in < LINE:
        for i in range(lines.count):
            first = place + begin_of(i, lines) - lines.before
            last = min(first + PIECE, lines.length) * lines.along_in
            at = max(first, 0) * lines.along_in
            while at < last:
                PREFETCH_FAR(source + i * lines.across_in + at)
                at += LINE


cdef inline void add_next(summed *sum, summed *window) noexcept nogil:
    """What the window gains there becomes its sum; one by one, or vectors would have one each."""
    sum[0] += window[0]
    ROUNDED(sum[0])
    window[0] = sum[0]


cdef inline void slide(
    real **means, summed *sums, const real **new, const real **old, Py_ssize_t count, summed size,
    bint exact,
) noexcept nogil:
    """Windows of ALONG lines by so many places, at most PIECE."""
    cdef summed[ALONG * PIECE] windows
    cdef summed weight = 1 / size
    cdef summed a = sums[0]
    cdef summed b = sums[1]
    cdef summed c = sums[2]
    cdef summed d = sums[3]
    cdef const real *row_in
    cdef const real *row_out
    cdef real *row
    cdef Py_ssize_t i, r
    for r in range(ALONG):
        row_in = new[r]
        row_out = old[r]
        for i in range(count):
            windows[r * PIECE + i] = <summed> row_in[i] - <summed> row_out[i]
    for i in range(count):
        add_next(&a, &windows[i])
        add_next(&b, &windows[PIECE + i])
        add_next(&c, &windows[2 * PIECE + i])
        add_next(&d, &windows[3 * PIECE + i])
    for r in range(ALONG):
        row = means[r]
        for i in range(count):
            row[i] = <real> mean_of(windows[r * PIECE + i], size, weight, exact)
    sums[0] = a
    sums[1] = b
    sums[2] = c
    sums[3] = d


cdef inline bint means_along(
    const char *source, char *target, const Py_ssize_t *border, const Lines *lines,
    real *kind, summed *_,
) noexcept nogil:
    """ALONG lines that lie one after the other, or less. Floats may be summed up as doubles."""
    cdef real[ALONG * WHOLE] whole
    cdef real[ALONG * PIECE] pieces
    cdef real[ALONG * PIECE] more
    cdef real[ALONG * PIECE] results
    cdef const real *new[ALONG]
    cdef const real *old[ALONG]
    cdef real *means[ALONG]
    cdef Py_ssize_t[ALONG] dropped
    cdef summed[ALONG] sums
    cdef bint exact = lines.stored < FLOAT32
    cdef bint kept = is_kept(lines.stored, lines.along_out, kind)
    cdef Py_ssize_t length = lines.stretch if lines.stretch else lines.length
    cdef bint at_once = not lines.stretch and length + lines.size <= WHOLE
    cdef Py_ssize_t start = 0
    cdef summed test = 0
    cdef Py_ssize_t count, i, j
    cdef char *line
    for i in range(ALONG):
        sums[i] = 0
        if at_once:
            whole_line(<real *> whole + i * WHOLE,
                       source + min(i, lines.count - 1) * lines.across_in, border, lines)
    if at_once:
        for j in range(1, lines.size):
            for i in range(ALONG):
                sums[i] += whole[i * WHOLE + j]
        start = lines.size - 1
    while start < lines.size - 1:
        count = min(PIECE, lines.size - 1 - start)
        pieces_of(new, pieces, source, border, start, count, lines)
        for j in range(count):
            for i in range(ALONG):
                sums[i] += new[i][j]
        start += count
    start = 0
    while start < length:
        count = min(PIECE, length - start)
        if at_once:
            for i in range(ALONG):
                old[i] = whole + i * WHOLE + start
                new[i] = old[i] + lines.size
        else:
            fetch_ahead(source, start + lines.size - 1 + count, lines)
            pieces_of(new, pieces, source, border, start + lines.size - 1, count, lines)
            if start:
                pieces_of(old, more, source, border, start - 1, count, lines)
            else:
                # The first window has nothing to lose.
                pieces_of(old, &more[1], source, border, 0, count - 1, lines)
                for i in range(ALONG):
                    memmove(&more[i * PIECE + 1], old[i], (count - 1) * sizeof(real))
                    more[i * PIECE] = 0
                    old[i] = &more[i * PIECE]
        for i in range(ALONG):
            means[i] = &results[i * PIECE]
            dropped[i] = 0
            if lines.stretch:
                dropped[i] = clip(
                    (lines.first + i) * lines.stretch - begin_of(i, lines) - start, 0, count)
            if kept and i < lines.count and dropped[i] == 0:
                means[i] = <real *> (target + i * lines.across_out) + start + begin_of(i, lines)
        slide(means, sums, new, old, count, <summed> lines.size, exact)
        for i in range(lines.count):
            if not kept or dropped[i]:
                line = target + i * lines.across_out
                line += (start + begin_of(i, lines) + dropped[i]) * lines.along_out
                store_row(line, lines.along_out, <const char *> (means[i] + dropped[i]),
                          count - dropped[i], lines.stored, kind)
        start += count
    for i in range(ALONG):
        test += sums[i] * 0
    return test == 0


cdef inline void row_of_means(
    real *row, const real *new, const real *old, summed *sums, const Py_ssize_t *border,
    bint exact, const Lines *down, const Lines *along,
) noexcept nogil:
    """The next mean down each column, as the second pass sees it, with its border."""
    cdef real *middle = row + along.before
    cdef summed size = down.size
    cdef summed weight = 1 / size
    cdef Py_ssize_t j
    for j in range(along.length):
        sums[j] += <summed> new[j] - <summed> old[j]
        if exact:
            middle[j] = <real> <int> mean_of(sums[j], size, weight, True)
        else:
            middle[j] = <real> mean_of(sums[j], size, weight, False)
    put_border(row, border, along)


cdef inline void short_means(
    real *means, const real *row, Py_ssize_t count, rows *_,
) noexcept nogil:
    """Exact means of as many elements as `rows` has, side by side: none waits for another."""
    cdef real size = sizeof(rows)
    cdef real sum
    cdef Py_ssize_t j
    cdef int i
    for j in range(count):
        sum = row[j]
        for i in range(1, <int> sizeof(rows)):
            sum += row[j + i]
        means[j] = mean_of(sum, size, 1 / size, True)


ctypedef void (*short_t)(void *, const void *, Py_ssize_t, void *) noexcept nogil


cdef inline short_t short_means_of(Py_ssize_t size, real *_) noexcept nogil:
    """The function for so many, or none."""
    if size == 2:
        return <short_t> short_means[real, rows2]
    elif size == 3:
        return <short_t> short_means[real, rows3]
    elif size == 4:
        return <short_t> short_means[real, rows4]
    elif size == 5:
        return <short_t> short_means[real, rows5]
    elif size == 6:
        return <short_t> short_means[real, rows6]
    elif size == 7:
        return <short_t> short_means[real, rows7]
    return NULL


cdef inline bint all_finite(const summed *sums, Py_ssize_t count) noexcept nogil:
    """Tested side by side: one by one, each would wait for the one before."""
    cdef summed[16] tests
    cdef summed test = 0
    cdef Py_ssize_t i = 0
    cdef int j
    for j in range(16):
        tests[j] = 0
    while i + 16 <= count:
        for j in range(16):
            tests[j] += sums[i + j] * 0
        i += 16
    for i in range(i, count):
        test += sums[i] * 0
    for j in range(16):
        test += tests[j]
    return test == 0


cdef inline bint means_of_plane(
    const char *source, char *target, const Py_ssize_t *border_down,
    const Py_ssize_t *border_along, Py_ssize_t top, Py_ssize_t height, real *scratch,
    Py_ssize_t pitch, const Lines *down, const Lines *along, summed *_,
) noexcept nogil:
    """Rows top .. top + height of means down and along; `scratch` has room for 13 rows.

    Returns whether all have been finite.
    """
    cdef real *new_row = scratch
    cdef real *old_row = scratch + pitch
    cdef real *rows = scratch + 2 * pitch
    cdef real *means = scratch + (2 + ALONG) * pitch
    cdef real *zeros = scratch + (2 + 2 * ALONG) * pitch
    cdef summed *sums = <summed *> (zeros + pitch)
    cdef summed[ALONG] totals
    cdef const real *ahead[ALONG]
    cdef const real *behind[ALONG]
    cdef real *results[ALONG]
    cdef const real *new
    cdef const real *old
    cdef bint exact = along.stored < FLOAT32
    cdef short_t few = short_means_of(along.size, scratch) if exact else NULL
    cdef summed size = along.size
    cdef summed test = 0
    cdef Py_ssize_t width = along.length
    cdef Py_ssize_t y = 0
    cdef Py_ssize_t some, place, r, i
    for i in range(width):
        sums[i] = zeros[i] = 0
    for r in range(down.size - 1):
        new = taken(new_row, source, place_of(border_down, top + r, down), down)
        for i in range(width):
            sums[i] += <summed> new[i]
    while y < height:
        some = min(ALONG if few == NULL else 1, height - y)
        for r in range(some):
            place = place_of(border_down, top + y + r + down.size - 1, down)
            new = taken(new_row, source, place, down)
            # The first window has nothing to lose.
            old = zeros
            if y + r:
                place = place_of(border_down, top + y + r - 1, down)
                old = taken(old_row, source, place, down)
            row_of_means(rows + r * pitch, new, old, sums, border_along, exact, down, along)
        for r in range(ALONG):
            totals[r] = 0
        i = 0
        if few != NULL:
            for r in range(some):
                few(means + r * pitch, rows + r * pitch, width, NULL)
            i = width
        else:
            for i in range(along.size):
                for r in range(ALONG):
                    totals[r] += <summed> rows[r * pitch + i]
            for r in range(ALONG):
                means[r * pitch] = <real> mean_of(totals[r], size, 1 / size, exact)
            i = 0
        while i < width - 1:
            for r in range(ALONG):
                ahead[r] = rows + r * pitch + along.size + i
                behind[r] = rows + r * pitch + i
                results[r] = means + r * pitch + 1 + i
            slide(results, totals, ahead, behind, min(PIECE, width - 1 - i), size, exact)
            i += PIECE
        for r in range(some):
            store_row(target + (top + y + r) * along.across_out, along.along_out,
                      <const char *> (means + r * pitch), width, along.stored, scratch)
            test += totals[r] * 0
        y += some
    return test == 0 and all_finite(sums, width)
