"""Polyphase filters: what zeros between elements, a filter, and thinning out come to.

Of the line with up - 1 zeros after each element, filtered, output m is element

    m * down + offset = place * up + phase,  sum over q of filter[phase + q * up] * line[place - q]

so each phase has taps of its own, which stand side by side here, in the order of the line. Every
`apart`-th output is of the same phase and sees the line `stride` elements on. Vectors are

- of such outputs, whose elements stand side by side in scratch: every `stride`-th in one row;
- of neighbouring lines, where their elements are neighbours in memory;
- else, where there are few of either, along the taps, and the lanes of some outputs' sums are
  added up together.
"""

from fastconv.engine.dots cimport add_lanes
from fastconv.engine.plan cimport *
from fastconv.engine.running cimport Lines, is_kept, place_of, places_of
from fastconv.engine.simd cimport *
from fastconv.engine.store cimport store_row

cdef enum:
    # Vectors of neighbouring lines, or of outputs of a phase, at a time.
    TOGETHER = 8
    # Outputs at a time whose vectors run along the taps.
    MOST = 8
    # Phases whose outputs are put in order together.
    PANEL = 16

# `count` outputs, `block` of which are a task. Each phase has `taps` taps in `pitch` elements, the
# others zero; from phase `whole` on, the first one is missing. From output to output it is `places`
# and `phases` more. A block has `columns` outputs of each phase, if any, and rows in scratch have
# `row` elements.
cdef struct Phases:
    Py_ssize_t count, block, up, down, offset, places, phases, taps, pitch, whole
    Py_ssize_t apart, stride, columns, row

# What an output sees begins at `place` of its line and the border, and it is of that phase.
cdef struct Seen:
    Py_ssize_t place, phase


cdef inline Seen seen_by(
    Py_ssize_t output, const Phases *phases, const Lines *lines,
) noexcept nogil:
    cdef Py_ssize_t at = output * phases.down + phases.offset
    cdef Seen seen
    seen.place = at // phases.up - (phases.taps - 1) + lines.before
    seen.phase = at % phases.up
    return seen


cdef inline void advance(Seen *seen, const Phases *phases) noexcept nogil:
    """To the next output."""
    cdef Py_ssize_t phase = seen.phase + phases.phases
    cdef bint carry = phase >= phases.up
    seen.phase = phase - (phases.up if carry else 0)
    seen.place += phases.places + carry


cdef inline void add_taps(
    vector *sums, const char **rows, const char **filters, Py_ssize_t bytes, int count,
) noexcept nogil:
    """Some sums of as many taps, each of its own part of the line and its own phase."""
    cdef vector x[MAX_LANES]
    cdef vector w[MAX_LANES]
    cdef Py_ssize_t at = 0
    cdef int i
    for i in range(count):
        FILL(sums[i], 0)
    while at < bytes:
        for i in range(count):
            LOAD(x[i], rows[i] + at)
            LOAD(w[i], filters[i] + at)
            sums[i] = sums[i] + w[i] * x[i]
        at += VECTOR_BYTES


cdef inline void add_phases(
    char *target, const char **rows, const char **filters, Py_ssize_t bytes, vector *_,
) noexcept nogil:
    """A vector of outputs."""
    cdef vector sums[MAX_LANES]
    cdef Py_ssize_t _run
    cdef int i
    for _run in range(1):
        for i in range(max(LANES(sums[0]) // MOST, 1)):
            add_taps(sums + i * MOST, rows + i * MOST, filters + i * MOST, bytes,
                     min(LANES(sums[0]), MOST))
        add_lanes(sums)
        STORE(target, sums[0])


cdef inline void add_again(
    real *results, const char **rows, const char **filters, const char *first,
    const Phases *phases, Py_ssize_t count,
) noexcept nogil:
    """Outputs that are not finite: taps that are none have met what is not."""
    cdef const real *x
    cdef const real *w
    cdef Py_ssize_t i, k, missing
    for i in range(count):
        if results[i] * 0 != 0:
            x = <const real *> rows[i]
            w = <const real *> filters[i]
            missing = (filters[i] - first) // (phases.pitch * <Py_ssize_t> sizeof(real))
            results[i] = 0
            for k in range(1 if missing >= phases.whole else 0, phases.taps):
                results[i] += w[k] * x[k]


cdef inline const char *line_seen(
    real *scratch, const char *source, const Py_ssize_t *border, Py_ssize_t start,
    Py_ssize_t length, Py_ssize_t more, const Lines *lines,
) noexcept nogil:
    """So many places of a line from `start` on, copied if need be; after them `more` are read."""
    cdef Py_ssize_t first = start - lines.before
    if is_kept(lines.given, lines.along_in, scratch) and (
            first >= 0 and first + length + more <= lines.length):
        return source + first * sizeof(real)
    places_of(scratch, source, border, start, length, lines)
    return <const char *> scratch


cdef inline Py_ssize_t length_seen(
    Py_ssize_t first, Py_ssize_t count, const Phases *phases, const Lines *lines,
) noexcept nogil:
    """How many places of a line some outputs see."""
    return (seen_by(first + count - 1, phases, lines).place - seen_by(first, phases, lines).place
            + phases.taps)


cdef inline void phases_along(
    const char *source, char *target, const Py_ssize_t *border, const char *filters,
    Py_ssize_t first, Py_ssize_t count, real *scratch, const Phases *phases, const Lines *lines,
    vector *v,
) noexcept nogil:
    """Outputs first .. first + count of one line, whose elements or whose border are copied.

    `scratch` has room for the outputs, what they see, and two vectors.
    """
    cdef const char *rows[MAX_LANES]
    cdef const char *weights[MAX_LANES]
    cdef Py_ssize_t size = sizeof(real)
    cdef Seen seen = seen_by(first, phases, lines)
    cdef Py_ssize_t start = seen.place
    cdef Py_ssize_t length = length_seen(first, count, phases, lines)
    cdef real *results = scratch
    cdef const char *line = line_seen(scratch + count + LANES(v[0]), source, border, start, length,
                                      LANES(v[0]), lines)
    cdef real test
    cdef Py_ssize_t done = 0
    cdef int i
    while done < count:
        for i in range(LANES(v[0])):
            rows[i] = line + (seen.place - start) * size
            weights[i] = filters + seen.phase * phases.pitch * size
            if done + i < count - 1:
                advance(&seen, phases)
        add_phases(<char *> (results + done), rows, weights, phases.pitch * size, v)
        test = 0
        for i in range(LANES(v[0])):
            test += results[done + i] * 0
        if test != 0:
            add_again(results + done, rows, weights, filters, phases,
                      min(LANES(v[0]), count - done))
        done += LANES(v[0])
    store_row(target + first * lines.along_out, lines.along_out, <const char *> results, count,
              lines.stored, results)


cdef inline void add_across(
    char *target, const char *source, const char *filter, const Seen *seen,
    const Py_ssize_t *border, Py_ssize_t missing, Py_ssize_t bytes, int vectors,
    const Phases *phases, const Lines *lines, vector *_,
) noexcept nogil:
    """One output of some neighbouring lines; what is not there is left out."""
    cdef vector sums[TOGETHER]
    cdef vector x[1]
    cdef vector w[1]
    cdef const char *row
    cdef Py_ssize_t k, place
    cdef int i
    for i in range(vectors):
        FILL(sums[i], 0)
    for k in range(missing, phases.taps):
        place = place_of(border, seen.place + k, lines)
        if place >= 0:
            row = source + place * lines.along_in
            BROADCAST(w[0], filter + k * LANE_BYTES(w[0]))
            for i in range(vectors):
                if bytes >= VECTOR_BYTES:
                    LOAD(x[0], row + i * VECTOR_BYTES)
                else:
                    LOAD_PART(x[0], row, bytes)
                sums[i] = sums[i] + w[0] * x[0]
    for i in range(vectors):
        if bytes >= VECTOR_BYTES:
            STORE(target + i * VECTOR_BYTES, sums[i])
        else:
            STORE_PART(target, sums[i], bytes)


cdef inline void phases_across(
    const char *source, char *target, const Py_ssize_t *border, const char *filters,
    Py_ssize_t first, Py_ssize_t count, const Phases *phases, const Lines *lines, vector *v,
) noexcept nogil:
    """Outputs first .. first + count of lines whose elements are side by side."""
    cdef Py_ssize_t bytes = lines.count * LANE_BYTES(v[0])
    cdef Seen seen = seen_by(first, phases, lines)
    cdef const char *filter
    cdef Py_ssize_t _m, at, missing
    target += first * lines.along_out
    for _m in range(count):
        filter = filters + seen.phase * phases.pitch * LANE_BYTES(v[0])
        missing = 1 if seen.phase >= phases.whole else 0
        at = 0
        while at + TOGETHER * VECTOR_BYTES <= bytes:
            add_across(target + at, source + at, filter, &seen, border, missing, VECTOR_BYTES,
                       TOGETHER, phases, lines, v)
            at += TOGETHER * VECTOR_BYTES
        while at < bytes:
            add_across(target + at, source + at, filter, &seen, border, missing,
                       min(bytes - at, VECTOR_BYTES), 1, phases, lines, v)
            at += VECTOR_BYTES
        target += lines.along_out
        advance(&seen, phases)


cdef inline void add_columns(
    char *target, const char *rows, const char *filter, Py_ssize_t place, Py_ssize_t missing,
    int vectors, const Phases *phases, vector *_,
) noexcept nogil:
    """Some outputs of one phase, the first of which sees the scratch from `place` on."""
    cdef vector sums[TOGETHER]
    cdef vector x[1]
    cdef vector w[1]
    cdef Py_ssize_t row = (place + missing) % phases.stride
    cdef Py_ssize_t column = (place + missing) // phases.stride
    cdef Py_ssize_t size = LANE_BYTES(w[0])
    cdef Py_ssize_t pitch = phases.row * size
    cdef Py_ssize_t back = phases.stride * pitch - size
    cdef Py_ssize_t k
    cdef int i
    rows += row * pitch + column * size
    for i in range(vectors):
        FILL(sums[i], 0)
    for k in range(missing, phases.taps):
        BROADCAST(w[0], filter + k * size)
        for i in range(vectors):
            LOAD(x[0], rows + i * VECTOR_BYTES)
            sums[i] = sums[i] + w[0] * x[0]
        row += 1
        rows += pitch
        if row == phases.stride:
            row = 0
            rows -= back
    for i in range(vectors):
        STORE(target + i * VECTOR_BYTES, sums[i])


cdef inline void phases_in_columns(
    const char *source, char *target, const Py_ssize_t *border, const char *filters,
    Py_ssize_t first, Py_ssize_t count, real *scratch, const Phases *phases, const Lines *lines,
    vector *v,
) noexcept nogil:
    """Outputs first .. first + count of one line, `columns` of each phase at most.

    `scratch` has room for the block, PANEL rows of columns, `stride` rows, and what is seen.
    """
    cdef real *results = scratch
    cdef real *panel = results + phases.block
    cdef real *rows = panel + PANEL * phases.columns
    cdef Seen seen = seen_by(first, phases, lines)
    cdef Py_ssize_t start = seen.place
    cdef Py_ssize_t length = length_seen(first, count, phases, lines)
    cdef const real *line = <const real *> line_seen(
        rows + phases.stride * phases.row, source, border, start, length, 0, lines)
    cdef Py_ssize_t bytes = (count + phases.apart - 1) // phases.apart * LANE_BYTES(v[0])
    cdef Py_ssize_t together, vectors, at, i, j, p
    cdef const char *filter
    cdef char *sums
    i = 0
    for j in range((length + phases.stride - 1) // phases.stride):
        for p in range(min(phases.stride, length - i)):
            rows[p * phases.row + j] = line[i + p]
        i += phases.stride
    i = 0
    while i < min(phases.apart, count):
        together = min(PANEL, min(phases.apart, count) - i)
        for p in range(together):
            filter = filters + seen.phase * phases.pitch * LANE_BYTES(v[0])
            sums = <char *> (panel + p * phases.columns)
            at = 0
            while at < bytes:
                vectors = (bytes - at + VECTOR_BYTES - 1) // VECTOR_BYTES
                if vectors >= TOGETHER:
                    add_columns(sums + at, <const char *> rows + at, filter, seen.place - start,
                                seen.phase >= phases.whole, TOGETHER, phases, v)
                    at += TOGETHER * VECTOR_BYTES
                elif vectors >= 4:
                    add_columns(sums + at, <const char *> rows + at, filter, seen.place - start,
                                seen.phase >= phases.whole, 4, phases, v)
                    at += 4 * VECTOR_BYTES
                elif vectors >= 2:
                    add_columns(sums + at, <const char *> rows + at, filter, seen.place - start,
                                seen.phase >= phases.whole, 2, phases, v)
                    at += 2 * VECTOR_BYTES
                else:
                    add_columns(sums + at, <const char *> rows + at, filter, seen.place - start,
                                seen.phase >= phases.whole, 1, phases, v)
                    at += VECTOR_BYTES
            advance(&seen, phases)
        for j in range((count - i + phases.apart - 1) // phases.apart):
            for p in range(min(together, count - i - j * phases.apart)):
                results[j * phases.apart + i + p] = panel[p * phases.columns + j]
        i += together
    store_row(target + first * lines.along_out, lines.along_out, <const char *> results, count,
              lines.stored, results)
