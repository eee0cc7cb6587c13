"""Multiply: the register tiles, for many output channels and for bands of rows."""

from fastconv.engine.plan cimport *
from fastconv.engine.simd cimport *


cdef inline void next_row(Upcoming *upcoming) noexcept nogil:
    """Go on to the next row of what is to be fetched; no lines are left if there is none."""
    upcoming.left = 0
    if upcoming.rows == 0:
        return
    upcoming.rows -= 1
    upcoming.left = upcoming.lines
    upcoming.y += 1
    if upcoming.y == upcoming.height:
        upcoming.y = 0
        upcoming.start += upcoming.channel
    upcoming.at = upcoming.start + upcoming.y * upcoming.row


cdef inline Py_ssize_t weights_ahead(const Upcoming *upcoming) noexcept nogil:
    """How far from the weights of a tap those are that are fetched beside it.

    The hardware follows them, too, but stops at the end of each page.
    """
    return WEIGHTS_AHEAD if upcoming == NULL else upcoming.weights


cdef inline void multiply(
    const char *source, const Py_ssize_t *offsets, Py_ssize_t taps,
    const char *weights, const char *bias, char *target, Py_ssize_t pitch, Py_ssize_t runs,
    Py_ssize_t from_run, char *kept, Py_ssize_t to_tap, bint resume, Upcoming *upcoming,
    vector *_, rows *__, span *___,
) noexcept nogil:
    """The register tile, `runs` times along the positions; weights are [taps][rows].

    From run to run it is `from_run` bytes. Sums begin with the bias or, to resume, with what the
    target holds. What is loaded may be kept, `to_tap` bytes from tap to tap. Meanwhile what is
    ahead is fetched into the second-level cache, a cache line beside each tap; then weights are.

    Everything but the loops over runs and taps unrolls. Being inside the loop over runs
    is what lets GCC keep `sums` in registers from its first line to its last.
    """
    cdef vector sums[MAX_ROWS][MAX_VECTORS]
    cdef vector x[MAX_VECTORS]
    cdef vector w[MAX_ROWS]
    cdef Py_ssize_t _run, k
    cdef int i, j
    cdef const char *at
    cdef const char *weight
    cdef Py_ssize_t bytes = <int> sizeof(rows) * LANE_BYTES(w[0])
    # What is fetched next, and how many lines of its row are left: none if it is weights.
    cdef const char *far
    cdef Py_ssize_t line = bytes
    cdef Py_ssize_t left = 0
    if upcoming != NULL and upcoming.left:
        far = upcoming.at
        left = upcoming.left
        line = LINE
    for _run in range(runs):
        if resume:
            for i in range(<int> sizeof(rows)):
                for j in range(WIDTH_OF(sizeof(rows), sizeof(span))):
                    LOAD(sums[i][j], target + i * pitch + j * VECTOR_BYTES)
        else:
            for i in range(<int> sizeof(rows)):
                BROADCAST(w[i], bias + i * LANE_BYTES(w[0]))
                for j in range(WIDTH_OF(sizeof(rows), sizeof(span))):
                    sums[i][j] = w[i]
        weight = weights
        if left <= 0:
            left = 0
            far = weights + weights_ahead(upcoming)
        for k in range(taps):
            at = source + offsets[k + AHEAD]
            for j in range(WIDTH_OF(sizeof(rows), sizeof(span))):
                PREFETCH(at + j * VECTOR_BYTES)
            PREFETCH_FAR(far)
            far += line
            left -= 1
            if not left:
                next_row(upcoming)
                far = upcoming.at
                left = upcoming.left
                if not left:
                    far = weight + weights_ahead(upcoming)
                    line = bytes
            at = source + offsets[k]
            for j in range(WIDTH_OF(sizeof(rows), sizeof(span))):
                LOAD(x[j], at + j * VECTOR_BYTES)
            if <int> sizeof(rows) <= ROWS_LIMIT and kept != NULL:
                for j in range(WIDTH_OF(sizeof(rows), sizeof(span))):
                    STORE(kept + j * VECTOR_BYTES, x[j])
                kept += to_tap
            for i in range(<int> sizeof(rows)):
                BROADCAST(w[i], weight + i * LANE_BYTES(w[0]))
                for j in range(WIDTH_OF(sizeof(rows), sizeof(span))):
                    sums[i][j] = sums[i][j] + w[i] * x[j]
            weight += bytes
        for i in range(<int> sizeof(rows)):
            for j in range(WIDTH_OF(sizeof(rows), sizeof(span))):
                STORE(target + i * pitch + j * VECTOR_BYTES, sums[i][j])
        source += from_run
        target += VECTOR_BYTES * WIDTH_OF(sizeof(rows), sizeof(span))
    if left > 0:
        upcoming.at = far
        upcoming.left = left


ctypedef void (*multiply_t)(
    const char *, const Py_ssize_t *, Py_ssize_t, const char *, const char *, char *, Py_ssize_t,
    Py_ssize_t, Py_ssize_t, char *, Py_ssize_t, bint, Upcoming *, void *, void *, void *,
) noexcept nogil


cdef inline multiply_t tile_of(int height, vector *_, width *__) noexcept nogil:
    """The register tile of so many rows."""
    if height == 1:
        return <multiply_t> multiply[vector, rows1, width]
    elif height == 2:
        return <multiply_t> multiply[vector, rows2, width]
    elif height == 3:
        return <multiply_t> multiply[vector, rows3, width]
    elif height == 4:
        return <multiply_t> multiply[vector, rows4, width]
    elif height == 5:
        return <multiply_t> multiply[vector, rows5, width]
    elif height == 6:
        return <multiply_t> multiply[vector, rows6, width]
    elif height == 7:
        return <multiply_t> multiply[vector, rows7, width]
    elif height == 8:
        return <multiply_t> multiply[vector, rows8, width]
    elif height == 9:
        return <multiply_t> multiply[vector, rows9, width]
    elif height == 10:
        return <multiply_t> multiply[vector, rows10, width]
    elif height == 11:
        return <multiply_t> multiply[vector, rows11, width]
    elif height == 12:
        return <multiply_t> multiply[vector, rows12, width]
    elif height == 13:
        return <multiply_t> multiply[vector, rows13, width]
    return <multiply_t> multiply[vector, rows14, width]


cdef inline multiply_t pair_of(int height, vector *_) noexcept nogil:
    """The register tile of two vectors, of as many rows as leave three or four to a wide one."""
    if height == 6:
        return <multiply_t> multiply[vector, rows6, pair]
    elif height == 7:
        return <multiply_t> multiply[vector, rows7, pair]
    elif height == 8:
        return <multiply_t> multiply[vector, rows8, pair]
    return <multiply_t> multiply[vector, rows9, pair]


cdef inline void multiply_few(
    const char *source, const Py_ssize_t *offsets, Py_ssize_t taps,
    const char *weights, const char *bias, char *target, Py_ssize_t pitch, int height,
    bint resume, Py_ssize_t ahead, rows *_,
) noexcept nogil:
    """As many positions as `rows` has: a vector of sums, over the output channels, for each.

    A register tile would multiply by vectors that are empty for the most part. Each sum is in the
    same order as there.
    """
    cdef vf sums[MAX_ROWS]
    cdef vf x[1]
    cdef vf w[1]
    cdef float[MAX_ROWS * MAX_LANES] kept
    cdef Py_ssize_t valid = height * LANE_BYTES(w[0])
    cdef Py_ssize_t _run, k
    cdef int i, j
    cdef const char *at
    if resume:
        for j in range(height):
            for i in range(<int> sizeof(rows)):
                kept[i * MAX_LANES + j] = (<const float *> (target + j * pitch))[i]
    for _run in range(1):
        for i in range(<int> sizeof(rows)):
            LOAD_PART(sums[i], <const char *> &kept[i * MAX_LANES] if resume else bias, valid)
        for k in range(taps):
            at = source + offsets[k + AHEAD]
            PREFETCH(at)
            PREFETCH_FAR(weights + ahead)
            at = source + offsets[k]
            LOAD_PART(w[0], weights, valid)
            for i in range(<int> sizeof(rows)):
                BROADCAST(x[0], at + i * LANE_BYTES(w[0]))
                sums[i] = sums[i] + w[0] * x[0]
            weights += valid
        for i in range(<int> sizeof(rows)):
            STORE(<char *> &kept[i * MAX_LANES], sums[i])
    for j in range(height):
        for i in range(<int> sizeof(rows)):
            (<float *> (target + j * pitch))[i] = kept[i * MAX_LANES + j]


cdef inline void multiply_beside(
    const char *source, const Py_ssize_t *offsets, Py_ssize_t taps, const char *weights,
    const char *bias, char *target, Py_ssize_t pitch, Py_ssize_t runs, Py_ssize_t from_run,
    char *kept, Py_ssize_t to_tap, const char *few, const Py_ssize_t *few_offsets,
    char *few_target, bint resume, Py_ssize_t ahead, rows *_,
) noexcept nogil:
    """The wide register tile and, beside each run, one of the last few positions.

    Alone such a position waits for each of its sums; here there is other work meanwhile.
    """
    cdef vf sums[MAX_ROWS][MAX_VECTORS]
    cdef vf x[MAX_VECTORS]
    cdef vf w[MAX_ROWS]
    cdef vf beside[1]
    cdef vf all_weights[1]
    cdef float[MAX_ROWS + MAX_LANES] column
    cdef Py_ssize_t valid = <int> sizeof(rows) * LANE_BYTES(w[0])
    cdef Py_ssize_t _run, k
    cdef int i, j
    cdef const char *at
    cdef const char *weight
    for _run in range(runs):
        if resume:
            for i in range(<int> sizeof(rows)):
                for j in range(VECTORS(sizeof(rows))):
                    LOAD(sums[i][j], target + i * pitch + j * VECTOR_BYTES)
                column[i] = (<const float *> (few_target + i * pitch))[0]
        else:
            for i in range(<int> sizeof(rows)):
                BROADCAST(w[i], bias + i * LANE_BYTES(w[0]))
                for j in range(VECTORS(sizeof(rows))):
                    sums[i][j] = w[i]
        LOAD_PART(beside[0], <const char *> column if resume else bias, valid)
        weight = weights
        for k in range(taps):
            at = source + offsets[k + AHEAD]
            for j in range(VECTORS(sizeof(rows))):
                PREFETCH(at + j * VECTOR_BYTES)
            PREFETCH_FAR(weight + ahead)
            at = source + offsets[k]
            for j in range(VECTORS(sizeof(rows))):
                LOAD(x[j], at + j * VECTOR_BYTES)
            if kept != NULL:
                for j in range(VECTORS(sizeof(rows))):
                    STORE(kept + j * VECTOR_BYTES, x[j])
                kept += to_tap
            LOAD_PART(all_weights[0], weight, valid)
            for i in range(<int> sizeof(rows)):
                BROADCAST(w[i], weight + i * LANE_BYTES(w[0]))
                for j in range(VECTORS(sizeof(rows))):
                    sums[i][j] = sums[i][j] + w[i] * x[j]
            BROADCAST(x[0], few + few_offsets[k])
            beside[0] = beside[0] + all_weights[0] * x[0]
            weight += valid
        for i in range(<int> sizeof(rows)):
            for j in range(VECTORS(sizeof(rows))):
                STORE(target + i * pitch + j * VECTOR_BYTES, sums[i][j])
        STORE(<char *> column, beside[0])
        for i in range(<int> sizeof(rows)):
            (<float *> (few_target + i * pitch))[0] = column[i]
        source += from_run
        target += VECTOR_BYTES * VECTORS(sizeof(rows))
        few += LANE_BYTES(w[0])
        few_target += LANE_BYTES(w[0])


ctypedef void (*few_t)(
    const char *, const Py_ssize_t *, Py_ssize_t, const char *, const char *, char *, Py_ssize_t,
    int, bint, Py_ssize_t, void *,
) noexcept nogil


cdef inline few_t few_of(Py_ssize_t count) noexcept nogil:
    """The kernel for so many positions."""
    if count == 1:
        return <few_t> multiply_few[rows1]
    elif count == 2:
        return <few_t> multiply_few[rows2]
    elif count == 3:
        return <few_t> multiply_few[rows3]
    elif count == 4:
        return <few_t> multiply_few[rows4]
    elif count == 5:
        return <few_t> multiply_few[rows5]
    elif count == 6:
        return <few_t> multiply_few[rows6]
    return <few_t> multiply_few[rows7]


cdef inline bint is_few(Py_ssize_t count, Py_ssize_t height, real *_) noexcept nogil:
    """Whether so many positions, less than a vector's, had better be multiplied on their own."""
    if real is double:
        return False
    return FEW_PAY and 0 < 2 * count <= height <= VECTOR_BYTES // <int> sizeof(float)


cdef inline void multiply_positions(
    const char *source, const Py_ssize_t *offsets, Py_ssize_t taps,
    const char *weights, const char *bias, char *target, Py_ssize_t pitch,
    Py_ssize_t count, int height, bint resume, Upcoming *upcoming, const Kept *keep, real *kind,
) noexcept nogil:
    """So many positions: wide runs of vectors for as long as they fill, then pairs, then one.

    The last one may be part empty, and its target is written as a whole; or the last few positions
    are multiplied on their own, if that is less work. The vectors may be kept, run after run, or
    be those that have been kept.
    """
    cdef Py_ssize_t lanes = VECTOR_BYTES // <Py_ssize_t> sizeof(real)
    cdef Py_ssize_t left = count % lanes
    cdef bint few = is_few(left, height, kind)
    cdef Py_ssize_t vectors = count // lanes + (left > 0 and not few)
    cdef int most = VECTORS(height)
    cdef const char *start = source
    cdef const char *last = source + (count - left) * <Py_ssize_t> sizeof(real)
    cdef const Py_ssize_t *places = offsets
    cdef Py_ssize_t to_tap = most * VECTOR_BYTES
    cdef bint again = keep != NULL and keep.again
    cdef char *kept = NULL
    cdef Py_ssize_t ahead = weights_ahead(upcoming)
    cdef Py_ssize_t runs[3]
    cdef multiply_t tile
    cdef Py_ssize_t from_run, done
    cdef int i, each
    runs[0] = vectors // most
    runs[1] = 0
    done = vectors % most
    if height >= 6 and most > 2:
        if most == 3 and done == 1 and runs[0]:
            # Two pairs take less time than three vectors and a single one.
            runs[0] -= 1
            done = 4
        runs[1] = done // 2
        done %= 2
    runs[2] = done
    if again:
        source = keep.vectors
        places = keep.offsets
    elif keep != NULL:
        kept = keep.vectors
    for i in range(4):
        # Runs with a position beside, wide ones, pairs, single ones.
        each = most if i < 2 else 4 - i
        done = runs[max(i - 1, 0)]
        if i == 0:
            done = left if few and done >= left and (height == 7 or height == 8) else 0
        if not done:
            continue
        from_run = taps * to_tap if again else each * VECTOR_BYTES
        if i == 0:
            if height == 7:
                multiply_beside(source, places, taps, weights, bias, target, pitch, done, from_run,
                                kept, to_tap, last, offsets, target + (last - start), resume,
                                ahead, <rows7 *> NULL)
            else:
                multiply_beside(source, places, taps, weights, bias, target, pitch, done, from_run,
                                kept, to_tap, last, offsets, target + (last - start), resume,
                                ahead, <rows8 *> NULL)
            runs[0] -= done
            few = False
        else:
            if real is double:
                tile = (tile_of(height, <vd *> NULL, <wide *> NULL) if i == 1
                        else pair_of(height, <vd *> NULL) if i == 2
                        else tile_of(height, <vd *> NULL, <single *> NULL))
            else:
                tile = (tile_of(height, <vf *> NULL, <wide *> NULL) if i == 1
                        else pair_of(height, <vf *> NULL) if i == 2
                        else tile_of(height, <vf *> NULL, <single *> NULL))
            tile(source, places, taps, weights, bias, target, pitch, done, from_run, kept, to_tap,
                 resume, upcoming, NULL, NULL, NULL)
        source += done * from_run
        target += done * each * VECTOR_BYTES
        if kept != NULL:
            kept += done * taps * to_tap
    if few:
        few_of(left)(last, offsets, taps, weights, bias, target, pitch, height, resume, ahead, NULL)


# ---- Lines --------------------------------------------------------------------------

cdef inline void load_line(
    vector *x, const char *source, const vector *given, const vector *by, int i,
) noexcept nogil:
    """Vector i of what a tap sees. Three of eight are loaded while others are shifted."""
    if not SHIFTS or i % 3 == 1:
        LOAD(x[0], source + i * VECTOR_BYTES)
    else:
        SHIFTED(x[0], given[i], given[i + 1], by[0])


cdef inline void add_line(
    vector *sums, const char *source, Py_ssize_t taps, const char *weights, int vectors,
) noexcept nogil:
    """Add taps side by side to some vectors of positions, up to eight."""
    cdef vector given[9]
    cdef vector by[1]
    cdef vector x[1]
    cdef vector w[1]
    cdef Py_ssize_t k
    cdef int i
    while taps > 0:
        if SHIFTS:
            NO_SHIFT(by[0])
            for i in range(vectors + 1):
                LOAD(given[i], source + i * VECTOR_BYTES)
        for k in range(min(taps, LANES(w[0]))):
            BROADCAST(w[0], weights + k * LANE_BYTES(w[0]))
            for i in range(vectors):
                load_line(x, source + k * LANE_BYTES(w[0]), given, by, i)
                sums[i] = sums[i] + w[0] * x[0]
            NEXT_SHIFT(by[0])
        source += VECTOR_BYTES
        weights += VECTOR_BYTES
        taps -= LANES(w[0])


cdef inline void multiply_run(
    const char *source, Py_ssize_t taps, const char *weights, const char *bias, char *target,
    Py_ssize_t valid, Py_ssize_t runs, int vectors, vector *_,
) noexcept nogil:
    """A line of taps at some vectors of positions, up to eight, `runs` times; `valid` bytes of all.

    A vector of positions sees at tap k + lanes what the next one sees at tap k: of taps that
    far apart four at a time share what is loaded, if they are many. Those left over are added last.
    """
    cdef vector sums[8]
    cdef vector given[12]
    cdef vector by[1]
    cdef vector x[1]
    cdef vector w[4]
    cdef Py_ssize_t _run, block, k, left
    cdef Py_ssize_t blocks = taps // (4 * LANES(x[0]))
    cdef Py_ssize_t shared = 4 * blocks * VECTOR_BYTES
    cdef int i, b
    cdef const char *at
    cdef const char *weight
    for _run in range(runs):
        BROADCAST(w[0], bias)
        for i in range(vectors):
            sums[i] = w[0]
        for block in range(blocks):
            at = source + 4 * block * VECTOR_BYTES
            if SHIFTS:
                NO_SHIFT(by[0])
                for i in range(vectors + 4):
                    LOAD(given[i], at + i * VECTOR_BYTES)
            for k in range(LANES(x[0])):
                weight = weights + 4 * block * VECTOR_BYTES + k * LANE_BYTES(x[0])
                for b in range(4):
                    BROADCAST(w[b], weight + b * VECTOR_BYTES)
                for i in range(vectors + 3):
                    load_line(x, at + k * LANE_BYTES(w[0]), given, by, i)
                    for b in range(4):
                        if 0 <= i - b < vectors:
                            sums[i - b] = sums[i - b] + w[b] * x[0]
                NEXT_SHIFT(by[0])
        add_line(sums, source + shared, taps - 4 * blocks * LANES(x[0]), weights + shared, vectors)
        for i in range(vectors):
            left = valid - i * VECTOR_BYTES
            if left >= VECTOR_BYTES:
                STORE(target + i * VECTOR_BYTES, sums[i])
            elif left > 0:
                STORE_PART(target + i * VECTOR_BYTES, sums[i], left)
        source += vectors * VECTOR_BYTES
        target += vectors * VECTOR_BYTES
        valid -= vectors * VECTOR_BYTES


cdef inline void multiply_line(
    const char *source, Py_ssize_t taps, const char *weights, const char *bias, char *target,
    Py_ssize_t valid, vector *v,
) noexcept nogil:
    """One output channel of taps side by side, so many bytes of positions."""
    # A run of eight may be part empty, if that is less work than two others.
    cdef Py_ssize_t runs = (valid + 4 * VECTOR_BYTES - 1) // (8 * VECTOR_BYTES)
    cdef Py_ssize_t done = runs * 8 * VECTOR_BYTES
    cdef Py_ssize_t left = valid - done
    multiply_run(source, taps, weights, bias, target, valid, runs, 8, v)
    if left > 2 * VECTOR_BYTES:
        multiply_run(source + done, taps, weights, bias, target + done, left, 1, 4, v)
    elif left > VECTOR_BYTES:
        multiply_run(source + done, taps, weights, bias, target + done, left, 1, 2, v)
    elif left > 0:
        multiply_run(source + done, taps, weights, bias, target + done, left, 1, 1, v)


# ---- Bands --------------------------------------------------------------------------

cdef inline void band_strip(
    vector (*sums)[4], const char *source, const Py_ssize_t *offsets, Py_ssize_t taps,
    const char *weights, Py_ssize_t step, int first, int last, width *_,
) noexcept nogil:
    """Add one strip to rows first .. last of a band; both are constants where it is called."""
    cdef vector x[4]
    cdef vector w[1]
    cdef Py_ssize_t k
    cdef int i, j
    for k in range(taps):
        for j in range(BAND_VECTORS if width is wide else 1):
            LOAD(x[j], source + offsets[k] + j * VECTOR_BYTES)
        for i in range(first, last):
            BROADCAST(w[0], weights + k * LANE_BYTES(w[0]) - (i - first) * step)
            for j in range(BAND_VECTORS if width is wide else 1):
                sums[i][j] = sums[i][j] + w[0] * x[j]


cdef inline void multiply_band(
    const char *source, const Py_ssize_t *offsets, const Strip *strips, Py_ssize_t strip_count,
    const char *weights, const char *bias, char *target, Py_ssize_t pitch, Py_ssize_t valid,
    Py_ssize_t runs, vector *_, width *kind,
) noexcept nogil:
    """Four rows of one output channel, `runs` times along them; `valid` bytes are stored."""
    cdef vector sums[4][4]
    cdef vector w[1]
    cdef Py_ssize_t _run, s, left
    cdef int i, j
    cdef const Strip *strip
    for _run in range(runs):
        BROADCAST(w[0], bias)
        for i in range(BAND):
            for j in range(BAND_VECTORS if width is wide else 1):
                sums[i][j] = w[0]
        for s in range(strip_count):
            strip = strips + s
            if strip.first == 0 and strip.last == 4:
                band_strip(sums, source, offsets + strip.offsets, strip.taps,
                           weights + strip.weight, strip.step, 0, 4, kind)
            elif strip.first == 0:
                if strip.last == 1:
                    band_strip(sums, source, offsets + strip.offsets, strip.taps,
                               weights + strip.weight, strip.step, 0, 1, kind)
                elif strip.last == 2:
                    band_strip(sums, source, offsets + strip.offsets, strip.taps,
                               weights + strip.weight, strip.step, 0, 2, kind)
                else:
                    band_strip(sums, source, offsets + strip.offsets, strip.taps,
                               weights + strip.weight, strip.step, 0, 3, kind)
            elif strip.first == 1:
                if strip.last == 2:
                    band_strip(sums, source, offsets + strip.offsets, strip.taps,
                               weights + strip.weight, strip.step, 1, 2, kind)
                elif strip.last == 3:
                    band_strip(sums, source, offsets + strip.offsets, strip.taps,
                               weights + strip.weight, strip.step, 1, 3, kind)
                else:
                    band_strip(sums, source, offsets + strip.offsets, strip.taps,
                               weights + strip.weight, strip.step, 1, 4, kind)
            elif strip.first == 2:
                if strip.last == 3:
                    band_strip(sums, source, offsets + strip.offsets, strip.taps,
                               weights + strip.weight, strip.step, 2, 3, kind)
                else:
                    band_strip(sums, source, offsets + strip.offsets, strip.taps,
                               weights + strip.weight, strip.step, 2, 4, kind)
            else:
                band_strip(sums, source, offsets + strip.offsets, strip.taps,
                           weights + strip.weight, strip.step, 3, 4, kind)
        for i in range(BAND):
            for j in range(BAND_VECTORS if width is wide else 1):
                left = valid - j * VECTOR_BYTES
                if left >= VECTOR_BYTES:
                    STORE(target + i * pitch + j * VECTOR_BYTES, sums[i][j])
                elif left > 0:
                    STORE_PART(target + i * pitch + j * VECTOR_BYTES, sums[i][j], left)
        source += VECTOR_BYTES * (BAND_VECTORS if width is wide else 1)
        target += VECTOR_BYTES * (BAND_VECTORS if width is wide else 1)
        valid -= VECTOR_BYTES * (BAND_VECTORS if width is wide else 1)


cdef inline Py_ssize_t multiply_bands(
    const char *source, Table table, const Pass *step, const char *weights, const char *bias,
    char *target, Py_ssize_t target_pitch, Py_ssize_t row_count, Py_ssize_t valid,
    Py_ssize_t pitch, real *_,
) noexcept nogil:
    """Rows by bands, the last of which covers some rows again; returns the rows done.

    Which are all, or none if there are less than a band has.
    """
    cdef const Strip *strips = <const Strip *> &table[step.strips]
    cdef const Py_ssize_t *offsets = &table[0]
    cdef Py_ssize_t vectors = (valid + VECTOR_BYTES - 1) // VECTOR_BYTES
    # A wide run may be part empty, if that is less work than single ones.
    cdef Py_ssize_t runs = (vectors + BAND_VECTORS // 4) // BAND_VECTORS
    cdef Py_ssize_t done = min(runs * BAND_VECTORS, vectors)
    cdef Py_ssize_t row = 0
    cdef Py_ssize_t step_rows
    if row_count < BAND:
        return 0
    while row < row_count:
        if real is double:
            multiply_band(source, offsets, strips, step.strip_count, weights, bias, target,
                          target_pitch, valid, runs, <vd *> NULL, <wide *> NULL)
            multiply_band(source + done * VECTOR_BYTES, offsets, strips, step.strip_count,
                          weights, bias, target + done * VECTOR_BYTES, target_pitch,
                          valid - done * VECTOR_BYTES, vectors - done, <vd *> NULL,
                          <single *> NULL)
        else:
            multiply_band(source, offsets, strips, step.strip_count, weights, bias, target,
                          target_pitch, valid, runs, <vf *> NULL, <wide *> NULL)
            multiply_band(source + done * VECTOR_BYTES, offsets, strips, step.strip_count,
                          weights, bias, target + done * VECTOR_BYTES, target_pitch,
                          valid - done * VECTOR_BYTES, vectors - done, <vf *> NULL,
                          <single *> NULL)
        step_rows = min(BAND, row_count - row - BAND) if row + BAND < row_count else BAND
        row += step_rows
        source += step_rows * pitch
        target += step_rows * target_pitch
    return row_count
