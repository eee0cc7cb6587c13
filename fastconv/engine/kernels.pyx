"""One engine for every convolution: lay out, multiply, store.

This file is compiled once for each instruction set (see setup.py and dispatch.py).

A. A *plan* (planning.py) cuts the output into *tiles*: one image, one group, a box of
   output positions. Threads take tiles; a sum is never split between threads.
B. **Lay out.** The part of the input that a tile sees is copied into the thread's
   scratch: border filled in, each strided axis split into its phases, so that in there
   every tap of a run of consecutive positions is one contiguous vector.

       scratch = [channel][phase z][phase y][phase x][z][y][x]    rows at one fixed pitch

C. **Multiply.** A *pass* computes, for all its output channels m and positions p,

       result[m, p] = bias[m] + sum over k of  weights[m, k] * scratch[taps[k] + p]

   with a register tile of some rows m by a few vectors of p. Positions run on from one
   row of scratch into the next; what falls between two rows is computed and dropped.
D. **Store.** The last pass writes to the output, whatever its strides; earlier passes
   write to a second scratch of the same pitch, where the next pass finds its input.
   So separable and flattened convolutions are chains of passes, and the phases of a
   transposed convolution are passes side by side over one lay-out.
E. Where there are few output channels a register tile takes some rows of the output, a
   *band*, so that what is loaded serves several of them.
F. Where an image is so small that its positions would not fill the vectors, a pass is
   *swapped*: the vectors run over output channels, the rows of the register tile over
   positions. Bands and swapped passes add up the same terms in the same order, so the bits
   are the same.

All offsets and strides are in bytes, and all of them fit a Py_ssize_t: planning.py checks.
"""

from cpython.buffer cimport (
    PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cython.parallel cimport parallel, prange
from libc.string cimport memcpy, memset

from fastconv.engine.simd cimport *

cdef extern from "openmp.h" nogil:
    int omp_get_thread_num()


# The fields of planning.Plan and planning.Pass, in their order.
cdef struct Plan:
    Py_ssize_t passes
    Py_ssize_t images, groups, channels
    Py_ssize_t in_image, in_group, in_channel, in_z, in_y, in_x
    Py_ssize_t size_z, size_y, size_x
    Py_ssize_t border
    Py_ssize_t stride_z, stride_y, stride_x
    Py_ssize_t first_z, first_y, first_x
    Py_ssize_t halo_z, halo_y, halo_x
    Py_ssize_t phases_z, phases_y, phases_x
    Py_ssize_t residues
    Py_ssize_t grid_z, grid_y, grid_x
    Py_ssize_t tile_z, tile_y, tile_x
    Py_ssize_t tiles_z, tiles_y, tiles_x
    Py_ssize_t chunks
    Py_ssize_t pitch, plane, phase, channel
    Py_ssize_t layout, panel, panel_pitch
    Py_ssize_t scratch, scratch_size

cdef struct Pass:
    Py_ssize_t groups, planes, channels, taps, blocks
    Py_ssize_t operand, weight_outer, weight_inner, weight_channel, gather, contiguous
    Py_ssize_t packed
    Py_ssize_t bias_operand, bias_stride, bias
    Py_ssize_t source, source_group, source_plane, source_z, offsets
    Py_ssize_t halo_z, halo_y
    Py_ssize_t target, target_group, target_plane, target_channel, target_z
    Py_ssize_t swapped, positions, columns, column_offsets
    Py_ssize_t strips, strip_count
    Py_ssize_t out_offset, out_image, out_group, out_inner, out_channel, out_z, out_y, out_x
    Py_ssize_t limit_z, limit_y, limit_x

# The tile that a thread is at: its origin, its extent and what it belongs to.
cdef struct Tile:
    Py_ssize_t image, group, chunk
    Py_ssize_t z, y, x
    Py_ssize_t rows_z, rows_y, rows_x

# At the start of each thread's scratch; place -1: nothing laid out yet.
cdef struct Worker:
    Py_ssize_t place
    Tile tile
    double zeros[MAX_ROWS]

cdef enum:
    ZEROS, REFLECT, REPLICATE, CIRCULAR, SYMMETRIC
    OPERANDS = 8

ctypedef fused real:
    float
    double

# Views, so that a checked build (FASTCONV_DEBUG) finds an offset that is out of bounds.
ctypedef const Py_ssize_t[::1] Table
ctypedef char[::1] Memory

ctypedef void (*multiply_t)(
    const char *, const Py_ssize_t *, Py_ssize_t, const char *, const char *,
    char *, Py_ssize_t, Py_ssize_t, void *, void *, void *,
) noexcept nogil


cdef inline Py_ssize_t part(Py_ssize_t index, Py_ssize_t parts, Py_ssize_t whole) noexcept nogil:
    """Where part `index` of an even division starts."""
    return index * whole // parts


# ---- Lay out ------------------------------------------------------------------------

cdef inline Py_ssize_t border_source(Py_ssize_t i, Py_ssize_t n, Py_ssize_t border) noexcept nogil:
    """The element of an axis of n that stands at coordinate i, or -1 for a zero."""
    if 0 <= i < n:
        return i
    if border == ZEROS:
        return -1
    if border == REPLICATE or n == 1:
        return 0 if i < 0 else n - 1
    if border == CIRCULAR:
        i %= n
        return i + n if i < 0 else i
    # Both mirrors repeat: 'reflect' leaves the edge out of its image, 'symmetric' does not.
    cdef Py_ssize_t edge = 1 if border == SYMMETRIC else 0
    cdef Py_ssize_t period = 2 * (n - 1 + edge)
    i %= period
    if i < 0:
        i += period
    return i if i < n else period - i - edge


cdef inline Py_ssize_t clip(Py_ssize_t value, Py_ssize_t low, Py_ssize_t high) noexcept nogil:
    return low if value < low else high if value > high else value


cdef inline void copy(char *target, const char *source, Py_ssize_t count) noexcept nogil:
    """memcpy for rows, which are short."""
    cdef vf x[1]
    while count >= VECTOR_BYTES:
        LOAD(x[0], source)
        STORE(target, x[0])
        source += VECTOR_BYTES
        target += VECTOR_BYTES
        count -= VECTOR_BYTES
    if count > 0:
        LOAD_PART(x[0], source, count)
        STORE_PART(target, x[0], count)


cdef inline void copy_strided(
    char *target, const char *source, Py_ssize_t count, Py_ssize_t stride, real *_,
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        (<real *> target)[i] = (<const real *> (source + i * stride))[0]


cdef inline void copy_even(
    char *target, const char *source, Py_ssize_t count, vector *_,
) noexcept nogil:
    """Every other element, as a stride of two wants them. Reads no odd one after the last."""
    cdef vector x[3]
    cdef Py_ssize_t left
    while count > LANES(x[0]):
        LOAD(x[0], source)
        LOAD(x[1], source + VECTOR_BYTES)
        EVEN(x[2], x[0], x[1])
        STORE(target, x[2])
        source += 2 * VECTOR_BYTES
        target += VECTOR_BYTES
        count -= LANES(x[0])
    if count > 0:
        left = (2 * count - 1) * LANE_BYTES(x[0])
        LOAD_PART(x[0], source, min(left, VECTOR_BYTES))
        x[1] = x[0]
        if left > VECTOR_BYTES:
            LOAD_PART(x[1], source + VECTOR_BYTES, left - VECTOR_BYTES)
        EVEN(x[2], x[0], x[1])
        STORE_PART(target, x[2], count * LANE_BYTES(x[0]))


cdef inline void lay_border(
    char *target, const char *source, Py_ssize_t first, Py_ssize_t step, Py_ssize_t start,
    Py_ssize_t stop, const Plan *plan, real *_,
) noexcept nogil:
    """Elements start .. stop of a row, all of them outside the input."""
    cdef real *row = <real *> target
    cdef Py_ssize_t i, at
    for i in range(start, stop):
        at = border_source(first + i * step, plan.size_x, plan.border)
        row[i] = 0 if at < 0 else (<const real *> (source + at * plan.in_x))[0]


cdef inline void lay_row(
    char *target, const char *source, Py_ssize_t first, Py_ssize_t step, Py_ssize_t count,
    Py_ssize_t low, Py_ssize_t high, const Plan *plan, real *kind,
) noexcept nogil:
    """One row of one phase: coordinates first, first + step, ...; low .. high lie inside."""
    cdef const char *inside = source + (first + low * step) * plan.in_x
    cdef Py_ssize_t stride = step * plan.in_x
    cdef Py_ssize_t size = sizeof(real)
    if stride == size:
        copy(target + low * size, inside, (high - low) * size)
    elif stride == 2 * size:
        if real is double:
            copy_even(target + low * size, inside, high - low, <vd *> NULL)
        else:
            copy_even(target + low * size, inside, high - low, <vf *> NULL)
    else:
        copy_strided(target + low * size, inside, high - low, stride, kind)
    lay_border(target, source, first, step, 0, low, plan, kind)
    lay_border(target, source, first, step, high, count, plan, kind)


cdef void lay_out(
    char *scratch, const char *source, const Plan *plan, const Tile *tile,
    const Py_ssize_t *residues, real *kind,
) noexcept nogil:
    """Fill the scratch with what one tile sees of its channels."""
    cdef const Py_ssize_t *residues_z = residues
    cdef const Py_ssize_t *residues_y = residues_z + plan.phases_z
    cdef const Py_ssize_t *residues_x = residues_y + plan.phases_y
    cdef Py_ssize_t count_z = tile.rows_z + plan.halo_z
    cdef Py_ssize_t count_y = tile.rows_y + plan.halo_y
    cdef Py_ssize_t count_x = tile.rows_x + plan.halo_x
    cdef Py_ssize_t c, pz, py, px, z, y, at_z, at_y, first, low, high
    cdef char *target
    cdef char *row
    for px in range(plan.phases_x):
        first = (tile.x + plan.first_x) * plan.stride_x + residues_x[px]
        low = clip((plan.stride_x - 1 - first) // plan.stride_x if first < 0 else 0, 0, count_x)
        high = plan.size_x - first
        high = clip((high + plan.stride_x - 1) // plan.stride_x if high > 0 else 0, low, count_x)
        for c in range(plan.channels):
            for pz in range(plan.phases_z):
                for py in range(plan.phases_y):
                    target = scratch + c * plan.channel + (
                        (pz * plan.phases_y + py) * plan.phases_x + px) * plan.phase
                    for z in range(count_z):
                        at_z = border_source(
                            (tile.z + plan.first_z + z) * plan.stride_z + residues_z[pz],
                            plan.size_z, plan.border)
                        for y in range(count_y):
                            at_y = border_source(
                                (tile.y + plan.first_y + y) * plan.stride_y + residues_y[py],
                                plan.size_y, plan.border)
                            row = target + z * plan.plane + y * plan.pitch
                            if count_x * <Py_ssize_t> sizeof(real) < plan.pitch:
                                memset(row, 0, plan.pitch)
                            if at_z < 0 or at_y < 0:
                                memset(row, 0, plan.pitch)
                            else:
                                lay_row(
                                    row, source + c * plan.in_channel
                                    + at_z * plan.in_z + at_y * plan.in_y,
                                    first, plan.stride_x, count_x, low, high, plan, kind)


# ---- Multiply -----------------------------------------------------------------------

cdef void multiply(
    const char *source, const Py_ssize_t *offsets, Py_ssize_t taps,
    const char *weights, const char *bias, char *target, Py_ssize_t pitch, Py_ssize_t runs,
    vector *_, rows *__, width *___,
) noexcept nogil:
    """The register tile, `runs` times along the positions; weights are [taps][rows].

    Everything but the loops over runs and taps unrolls. Being inside the loop over runs
    is what lets GCC keep `sums` in registers from its first line to its last.
    """
    cdef vector sums[MAX_ROWS][MAX_VECTORS]
    cdef vector x[MAX_VECTORS]
    cdef vector w[MAX_ROWS]
    cdef Py_ssize_t run, k
    cdef int i, j
    cdef const char *at
    cdef const char *weight
    for run in range(runs):
        for i in range(<int> sizeof(rows)):
            BROADCAST(w[i], bias + i * LANE_BYTES(w[0]))
            for j in range(VECTORS(sizeof(rows)) if width is wide else 1):
                sums[i][j] = w[i]
        weight = weights
        for k in range(taps):
            at = source + offsets[k]
            for j in range(VECTORS(sizeof(rows)) if width is wide else 1):
                LOAD(x[j], at + j * VECTOR_BYTES)
            for i in range(<int> sizeof(rows)):
                BROADCAST(w[i], weight + i * LANE_BYTES(w[0]))
                for j in range(VECTORS(sizeof(rows)) if width is wide else 1):
                    sums[i][j] = sums[i][j] + w[i] * x[j]
            weight += <int> sizeof(rows) * LANE_BYTES(w[0])
        for i in range(<int> sizeof(rows)):
            for j in range(VECTORS(sizeof(rows)) if width is wide else 1):
                STORE(target + i * pitch + j * VECTOR_BYTES, sums[i][j])
        source += VECTOR_BYTES * (VECTORS(sizeof(rows)) if width is wide else 1)
        target += VECTOR_BYTES * (VECTORS(sizeof(rows)) if width is wide else 1)


# The register tiles by element size, width and rows.
cdef multiply_t TILES[2][2][15]

cdef void list_tiles(vector *_, width *__, multiply_t *tiles) noexcept:
    tiles[1] = <multiply_t> multiply[vector, rows1, width]
    tiles[2] = <multiply_t> multiply[vector, rows2, width]
    tiles[3] = <multiply_t> multiply[vector, rows3, width]
    tiles[4] = <multiply_t> multiply[vector, rows4, width]
    tiles[5] = <multiply_t> multiply[vector, rows5, width]
    tiles[6] = <multiply_t> multiply[vector, rows6, width]
    tiles[7] = <multiply_t> multiply[vector, rows7, width]
    tiles[8] = <multiply_t> multiply[vector, rows8, width]
    tiles[9] = <multiply_t> multiply[vector, rows9, width]
    tiles[10] = <multiply_t> multiply[vector, rows10, width]
    tiles[11] = <multiply_t> multiply[vector, rows11, width]
    tiles[12] = <multiply_t> multiply[vector, rows12, width]
    tiles[13] = <multiply_t> multiply[vector, rows13, width]
    tiles[14] = <multiply_t> multiply[vector, rows14, width]

list_tiles(<vf *> NULL, <single *> NULL, TILES[0][0])
list_tiles(<vf *> NULL, <wide *> NULL, TILES[0][1])
list_tiles(<vd *> NULL, <single *> NULL, TILES[1][0])
list_tiles(<vd *> NULL, <wide *> NULL, TILES[1][1])


cdef inline void multiply_vectors(
    const char *source, const Py_ssize_t *offsets, Py_ssize_t taps,
    const char *weights, const char *bias, char *target, Py_ssize_t pitch,
    Py_ssize_t vectors, int height, real *_,
) noexcept nogil:
    """So many vectors of positions: wide runs for as long as they fill, then single ones."""
    cdef int kind = real is double
    cdef Py_ssize_t runs = vectors // VECTORS(height)
    cdef Py_ssize_t done = runs * VECTORS(height)
    if runs:
        TILES[kind][1][height](
            source, offsets, taps, weights, bias, target, pitch, runs, NULL, NULL, NULL)
    if vectors > done:
        TILES[kind][0][height](
            source + done * VECTOR_BYTES, offsets, taps, weights, bias,
            target + done * VECTOR_BYTES, pitch, vectors - done, NULL, NULL, NULL)


# ---- Bands --------------------------------------------------------------------------

# A strip: taps that lie side by side in one row of the scratch, and what they are to the
# rows first .. last of a band. The weight of row r is `weight` - (r - first) * `step`.
cdef struct Strip:
    Py_ssize_t first, last, taps, offsets, weight, step


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


cdef void multiply_band(
    const char *source, const Py_ssize_t *offsets, const Strip *strips, Py_ssize_t strip_count,
    const char *weights, const char *bias, char *target, Py_ssize_t pitch, Py_ssize_t valid,
    Py_ssize_t runs, vector *_, width *kind,
) noexcept nogil:
    """Four rows of one output channel, `runs` times along them; `valid` bytes are stored."""
    cdef vector sums[4][4]
    cdef vector w[1]
    cdef Py_ssize_t run, s, left
    cdef int i, j
    cdef const Strip *strip
    for run in range(runs):
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
    """As many whole bands as there are in a number of rows; returns the rows done."""
    cdef const Strip *strips = <const Strip *> &table[step.strips]
    cdef const Py_ssize_t *offsets = &table[0]
    cdef Py_ssize_t vectors = (valid + VECTOR_BYTES - 1) // VECTOR_BYTES
    # A wide run may be part empty, if that is less work than single ones.
    cdef Py_ssize_t runs = (vectors + BAND_VECTORS // 4) // BAND_VECTORS
    cdef Py_ssize_t done = min(runs * BAND_VECTORS, vectors)
    cdef Py_ssize_t y
    for y in range(row_count // BAND):
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
        source += BAND * pitch
        target += BAND * target_pitch
    return row_count // BAND * BAND


# ---- Store --------------------------------------------------------------------------

cdef void store_panel(
    const char *panel, Py_ssize_t panel_pitch, int height, Py_ssize_t position,
    Py_ssize_t count, Py_ssize_t row_length, Py_ssize_t columns, char *out, const Pass *step,
    real *kind,
) noexcept nogil:
    """Positions position .. position + count of some rows of the result, to the output."""
    cdef Py_ssize_t y = position // row_length
    cdef Py_ssize_t x = position % row_length
    cdef Py_ssize_t done = 0
    cdef Py_ssize_t length, j
    cdef const char *source
    cdef char *target
    cdef int i
    while done < count:
        length = min(columns - x, count - done)
        if length > 0:
            for i in range(height):
                target = out + i * step.out_channel + y * step.out_y + x * step.out_x
                source = panel + i * panel_pitch + done * <Py_ssize_t> sizeof(real)
                if step.out_x == sizeof(real):
                    copy(target, source, length * <Py_ssize_t> sizeof(real))
                else:
                    for j in range(length):
                        (<real *> (target + j * step.out_x))[0] = (<const real *> source)[j]
        done += row_length - x
        x = 0
        y += 1


cdef inline void multiply_to_output(
    const char *source, const Py_ssize_t *offsets, const char *weights, const char *bias,
    char *out, char *panel, int height, Py_ssize_t row_count, Py_ssize_t columns,
    const Plan *plan, const Pass *step, real *kind,
) noexcept nogil:
    """The rows of one z of a tile, for one block of output channels."""
    cdef Py_ssize_t lanes = VECTOR_BYTES // <Py_ssize_t> sizeof(real)
    cdef Py_ssize_t row_length = plan.pitch // <Py_ssize_t> sizeof(real)
    cdef Py_ssize_t positions = (row_count - 1) * row_length + columns
    cdef Py_ssize_t position = 0
    cdef Py_ssize_t count
    cdef Py_ssize_t run = VECTORS(height) * lanes
    cdef Py_ssize_t at_most = plan.panel_pitch // <Py_ssize_t> sizeof(real) // run * run
    if row_count == 1 and step.out_x == sizeof(real):
        # The output takes whole vectors as they are; only what is left needs a panel.
        position = positions // lanes * lanes
        multiply_vectors(
            source, offsets, step.taps, weights, bias, out, step.out_channel,
            positions // lanes, height, kind)
    while position < positions:
        count = min(at_most, positions - position)
        multiply_vectors(
            source + position * <Py_ssize_t> sizeof(real), offsets, step.taps, weights, bias,
            panel, plan.panel_pitch, (count + lanes - 1) // lanes, height, kind)
        store_panel(
            panel, plan.panel_pitch, height, position, count, row_length, columns, out, step,
            kind)
        position += count


# ---- Transpose ----------------------------------------------------------------------

cdef void transpose(
    char *target, Py_ssize_t target_pitch, const char *source, Py_ssize_t source_pitch,
    Py_ssize_t squares, int height, vector *_,
) noexcept nogil:
    """Squares of elements along a row of the source become rows of the target.

    Only `height` rows of the source are there, at most as many as a vector has lanes.
    """
    cdef vector a[MAX_LANES]
    cdef vector b[MAX_LANES]
    cdef Py_ssize_t square
    cdef int i, turn
    for square in range(squares):
        for i in range(LANES(a[0])):
            LOAD(a[i], source + min(i, height - 1) * source_pitch)
        for turn in range(LOG2_LANES(a[0])):
            for i in range(LANES(a[0]) // 2):
                ZIP_LOW(b[2 * i], a[i], a[i + LANES(a[0]) // 2])
                ZIP_HIGH(b[2 * i + 1], a[i], a[i + LANES(a[0]) // 2])
            for i in range(LANES(a[0])):
                a[i] = b[i]
        for i in range(LANES(a[0])):
            STORE_PART(target + i * target_pitch, a[i], height * LANE_BYTES(a[0]))
        source += VECTOR_BYTES
        target += LANES(a[0]) * target_pitch


# ---- Swapped ------------------------------------------------------------------------

cdef void gather_positions(
    Memory memory, Py_ssize_t scratch, Table table, const Plan *plan, const Pass *step,
    const Tile *tile, real *_,
) noexcept nogil:
    """The scratch as [block of positions][1 + taps][position]; row 0 is one, for the bias."""
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t rows_y = min(tile.rows_y, step.limit_y - tile.y)
    cdef Py_ssize_t rows_x = min(tile.rows_x, step.limit_x - tile.x)
    cdef Py_ssize_t count = min(tile.rows_z, step.limit_z - tile.z) * rows_y * rows_x
    cdef Py_ssize_t blocks = (count + ROWS_LIMIT - 1) // ROWS_LIMIT
    cdef Py_ssize_t sources[MAX_ROWS]
    cdef Py_ssize_t lengths[MAX_ROWS]
    cdef Py_ssize_t b, k, i, at, height, segments, length
    cdef const char *source = &memory[scratch + step.source]
    cdef char *target = &memory[scratch + step.positions]
    if count <= 0:
        return
    for b in range(blocks):
        at = part(b, blocks, count)
        height = part(b + 1, blocks, count) - at
        # A block is cut where a row of the output ends.
        segments = 0
        i = 0
        while i < height:
            length = min(rows_x - (at + i) % rows_x, height - i)
            sources[segments] = (
                (at + i) // (rows_x * rows_y) * step.source_z
                + (at + i) // rows_x % rows_y * plan.pitch + (at + i) % rows_x * size)
            lengths[segments] = length * size
            segments += 1
            i += length
        for i in range(height):
            (<real *> target)[i] = 1
        target += height * size
        for k in range(step.taps):
            for i in range(segments):
                copy(target, source + table[step.offsets + k] + sources[i], lengths[i])
                target += lengths[i]


cdef void gather_columns(
    char *target, Memory memory, Table table, const char **operands, const Pass *step,
    Py_ssize_t group, Py_ssize_t m, Py_ssize_t width, real *_,
) noexcept nogil:
    """Output channels m .. m + width as [1 + taps][two vectors]; row 0 is the bias."""
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t lanes = VECTOR_BYTES // size
    cdef Py_ssize_t pitch = 2 * VECTOR_BYTES
    cdef Py_ssize_t done = 0
    cdef Py_ssize_t i, k
    cdef const Py_ssize_t *gather = &table[step.gather]
    cdef const char *source = operands[step.operand] + (
        group * step.weight_outer + m * step.weight_channel)
    memset(target, 0, pitch)
    memcpy(target, &memory[step.bias + (group * step.channels + m) * size], width * size)
    target += pitch
    if step.contiguous:
        done = step.taps // lanes * lanes
        for i in range((width + lanes - 1) // lanes):
            if real is double:
                transpose(target + i * VECTOR_BYTES, pitch,
                          source + i * lanes * step.weight_channel, step.weight_channel,
                          done // lanes, <int> min(lanes, width - i * lanes), <vd *> NULL)
            else:
                transpose(target + i * VECTOR_BYTES, pitch,
                          source + i * lanes * step.weight_channel, step.weight_channel,
                          done // lanes, <int> min(lanes, width - i * lanes), <vf *> NULL)
    for k in range(done, step.taps):
        for i in range(width):
            (<real *> (target + k * pitch))[i] = (
                <const real *> (source + gather[k] + i * step.weight_channel))[0]


cdef void run_swapped(
    Memory memory, Py_ssize_t scratch, Table table, const char **operands, char *output,
    const Plan *plan, const Pass *step, const Tile *tile, real *kind,
) noexcept nogil:
    """A swapped pass in one tile, for one chunk of its output channels."""
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t wide = 2 * VECTOR_BYTES // size
    cdef Py_ssize_t rows_y = min(tile.rows_y, step.limit_y - tile.y)
    cdef Py_ssize_t rows_x = min(tile.rows_x, step.limit_x - tile.x)
    cdef Py_ssize_t count = min(tile.rows_z, step.limit_z - tile.z) * rows_y * rows_x
    cdef Py_ssize_t blocks = (count + ROWS_LIMIT - 1) // ROWS_LIMIT
    cdef Py_ssize_t column, b, at, height, i, j, m, width
    cdef char *columns = &memory[scratch + step.columns]
    cdef char *panel = &memory[scratch + plan.panel]
    cdef char *out
    cdef const char *zeros = <const char *> (<Worker *> &memory[scratch]).zeros
    if count <= 0:
        return
    for column in range(part(tile.chunk, plan.chunks, step.blocks),
                        part(tile.chunk + 1, plan.chunks, step.blocks)):
        m = column * wide
        width = min(wide, step.channels - m)
        gather_columns(columns, memory, table, operands, step, tile.group, m, width, kind)
        for b in range(blocks):
            at = part(b, blocks, count)
            height = part(b + 1, blocks, count) - at
            multiply_vectors(
                columns, &table[step.column_offsets], step.taps + 1,
                &memory[scratch + step.positions + at * (step.taps + 1) * size], zeros, panel,
                2 * VECTOR_BYTES, 2 if width * size > VECTOR_BYTES else 1, <int> height, kind)
            for i in range(height):
                out = (output + step.out_offset + tile.image * step.out_image
                       + tile.group * step.out_group + m * step.out_channel
                       + (tile.z + (at + i) // (rows_x * rows_y)) * step.out_z
                       + (tile.y + (at + i) // rows_x % rows_y) * step.out_y
                       + (tile.x + (at + i) % rows_x) * step.out_x)
                for j in range(width):
                    (<real *> (out + j * step.out_channel))[0] = (
                        <const real *> (panel + i * 2 * VECTOR_BYTES))[j]


# ---- One tile -----------------------------------------------------------------------

cdef void run_pass(
    Memory memory, Py_ssize_t scratch, Table table, const char **operands, char *output,
    const Plan *plan, const Pass *step, const Tile *tile, real *kind,
) noexcept nogil:
    """What one pass has to do in one tile, for one chunk of its output channels."""
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t first = part(tile.chunk, plan.chunks, step.blocks)
    cdef Py_ssize_t last = part(tile.chunk + 1, plan.chunks, step.blocks)
    cdef Py_ssize_t columns = 0
    cdef Py_ssize_t depth, count, done, vectors, g, group, plane, b, m, z
    cdef const Py_ssize_t *offsets = &table[step.offsets] if step.taps else NULL
    cdef const char *source
    cdef const char *weights
    cdef const char *bias
    cdef char *target
    cdef int height
    if step.target < 0:
        depth = min(tile.rows_z, step.limit_z - tile.z)
        count = min(tile.rows_y, step.limit_y - tile.y)
        columns = min(tile.rows_x, step.limit_x - tile.x)
        if count <= 0 or columns <= 0:
            return
    else:
        depth = tile.rows_z + step.halo_z
        count = tile.rows_y + step.halo_y
    for g in range(step.groups):
        group = tile.group * step.groups + g
        for plane in range(step.planes):
            for b in range(first, last):
                m = part(b, step.blocks, step.channels)
                height = part(b + 1, step.blocks, step.channels) - m
                if step.packed >= 0:
                    weights = &memory[step.packed] + (group * step.channels + m) * step.taps * size
                else:
                    weights = operands[step.operand] + (
                        tile.group * step.weight_outer + g * step.weight_inner)
                bias = &memory[step.bias + (group * step.channels + m) * size]
                for z in range(depth):
                    source = &memory[scratch + step.source + g * step.source_group
                                     + plane * step.source_plane + z * step.source_z]
                    if step.target >= 0:
                        target = &memory[scratch + step.target + g * step.target_group
                                         + plane * step.target_plane + m * step.target_channel
                                         + z * step.target_z]
                        done = 0
                        if step.strip_count:
                            done = multiply_bands(
                                source, table, step, weights, bias, target, plan.pitch, count,
                                plan.pitch, plan.pitch, kind)
                        vectors = ((count - done) * plan.pitch + VECTOR_BYTES - 1) // VECTOR_BYTES
                        multiply_vectors(
                            source + done * plan.pitch, offsets, step.taps, weights, bias,
                            target + done * plan.pitch, step.target_channel, vectors, height,
                            kind)
                    else:
                        target = (output + step.out_offset + tile.image * step.out_image
                                  + tile.group * step.out_group + g * step.out_inner
                                  + m * step.out_channel + (tile.z + z) * step.out_z
                                  + tile.y * step.out_y + tile.x * step.out_x)
                        done = 0
                        if step.strip_count:
                            done = multiply_bands(
                                source, table, step, weights, bias, target, step.out_y, count,
                                columns * size, plan.pitch, kind)
                        if done < count:
                            multiply_to_output(
                                source + done * plan.pitch, offsets, weights, bias,
                                target + done * step.out_y, &memory[scratch + plan.panel],
                                height, count - done, columns, plan, step, kind)


cdef void run_tile(
    Py_ssize_t index, Memory memory, Py_ssize_t scratch, Table table, const char **operands,
    char *output, const Plan *plan, const Pass *passes, real *kind,
) noexcept nogil:
    """Task `index`: chunks of output channels vary fastest, so that they share a lay-out."""
    cdef Worker *worker = <Worker *> &memory[scratch]
    cdef Tile *tile = &worker.tile
    cdef Py_ssize_t place = index // plan.chunks
    cdef Py_ssize_t left = place
    cdef Py_ssize_t i
    tile.chunk = index % plan.chunks
    if place != worker.place:
        worker.place = place
        tile.x = left % plan.tiles_x * plan.tile_x
        left //= plan.tiles_x
        tile.y = left % plan.tiles_y * plan.tile_y
        left //= plan.tiles_y
        tile.z = left % plan.tiles_z * plan.tile_z
        left //= plan.tiles_z
        tile.group = left % plan.groups
        tile.image = left // plan.groups
        tile.rows_z = min(plan.tile_z, plan.grid_z - tile.z)
        tile.rows_y = min(plan.tile_y, plan.grid_y - tile.y)
        tile.rows_x = min(plan.tile_x, plan.grid_x - tile.x)
        lay_out(
            &memory[scratch + plan.layout],
            operands[0] + tile.image * plan.in_image + tile.group * plan.in_group,
            plan, tile, &table[plan.residues], kind)
        for i in range(plan.passes):
            if passes[i].swapped:
                gather_positions(memory, scratch, table, plan, passes + i, tile, kind)
    for i in range(plan.passes):
        if passes[i].swapped:
            run_swapped(memory, scratch, table, operands, output, plan, passes + i, tile, kind)
        else:
            run_pass(memory, scratch, table, operands, output, plan, passes + i, tile, kind)


# ---- Weights ------------------------------------------------------------------------

cdef void pack_block(
    Py_ssize_t index, Memory memory, Table table, const char **operands, const Pass *step,
    real *_,
) noexcept nogil:
    """One block of output channels of one group: its biases, its weights as [taps][rows]."""
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t lanes = VECTOR_BYTES // size
    cdef Py_ssize_t group = index // step.blocks
    cdef Py_ssize_t b = index % step.blocks
    cdef Py_ssize_t m = part(b, step.blocks, step.channels)
    cdef Py_ssize_t height = part(b + 1, step.blocks, step.channels) - m
    cdef Py_ssize_t first = group * step.channels + m
    cdef Py_ssize_t done = 0
    cdef const Py_ssize_t *gather
    cdef real *bias = <real *> &memory[step.bias + first * size]
    cdef const char *source
    cdef char *target
    cdef Py_ssize_t i, k
    for i in range(height):
        # Added to zero, as by a swapped pass: -0 becomes 0.
        bias[i] = 0
        if step.bias_operand >= 0:
            bias[i] = bias[i] + (
                <const real *> (operands[step.bias_operand] + (first + i) * step.bias_stride))[0]
    if step.packed < 0 or step.taps == 0:
        return
    gather = &table[step.gather]
    target = &memory[step.packed + first * step.taps * size]
    source = operands[step.operand] + (
        group // step.groups * step.weight_outer + group % step.groups * step.weight_inner
        + m * step.weight_channel)
    if step.contiguous:
        done = step.taps // lanes * lanes
        for i in range((height + lanes - 1) // lanes):
            if real is double:
                transpose(
                    target + i * VECTOR_BYTES, height * size,
                    source + i * lanes * step.weight_channel, step.weight_channel,
                    done // lanes, <int> min(lanes, height - i * lanes), <vd *> NULL)
            else:
                transpose(
                    target + i * VECTOR_BYTES, height * size,
                    source + i * lanes * step.weight_channel, step.weight_channel,
                    done // lanes, <int> min(lanes, height - i * lanes), <vf *> NULL)
    for k in range(done, step.taps):
        for i in range(height):
            (<real *> target)[k * height + i] = (
                <const real *> (source + gather[k] + i * step.weight_channel))[0]


# ---- The whole ----------------------------------------------------------------------

cdef void pack(
    Py_ssize_t index, Memory memory, Table table, const char **operands, const Plan *plan,
    const Pass *passes, real *kind,
) noexcept nogil:
    """Block `index` of the blocks of all passes."""
    cdef Py_ssize_t s, blocks
    for s in range(plan.passes):
        blocks = plan.groups * passes[s].groups * passes[s].blocks
        if index < blocks:
            pack_block(index, memory, table, operands, passes + s, kind)
            return
        index -= blocks


cdef void run_all(
    Memory memory, Table table, const char **operands, char *output, const Plan *plan,
    const Pass *passes, int threads, real *kind,
) noexcept nogil:
    cdef Py_ssize_t tasks = (plan.images * plan.groups * plan.tiles_z * plan.tiles_y
                             * plan.tiles_x * plan.chunks)
    cdef Py_ssize_t blocks = 0
    cdef Py_ssize_t i
    for i in range(plan.passes):
        blocks += plan.groups * passes[i].groups * passes[i].blocks
    for i in range(threads):
        memset(&memory[plan.scratch + i * plan.scratch_size], 0, sizeof(Worker))
        (<Worker *> &memory[plan.scratch + i * plan.scratch_size]).place = -1
    if threads == 1:
        # No parallel region: nothing wakes up, and a forked child cannot hang.
        for i in range(blocks):
            pack(i, memory, table, operands, plan, passes, kind)
        for i in range(tasks):
            run_tile(i, memory, plan.scratch, table, operands, output, plan, passes, kind)
        return
    with parallel(num_threads=threads):
        for i in prange(blocks, schedule='static'):
            pack(i, memory, table, operands, plan, passes, kind)
        for i in prange(tasks, schedule='dynamic', chunksize=1):
            run_tile(i, memory, plan.scratch + omp_get_thread_num() * plan.scratch_size, table,
                     operands, output, plan, passes, kind)


cdef char *address(array, bint writable) except? NULL:
    """Where an array's first element is; the caller keeps the array alive."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES | (PyBUF_WRITABLE if writable else 0))
    cdef char *start = <char *> view.buf
    PyBuffer_Release(&view)
    return start


cdef class Workspace:
    """Memory to work in: packed weights, then the scratch of each thread."""
    cdef Memory memory

    def __init__(self, Memory memory):
        self.memory = memory

    @property
    def size(self):
        return self.memory.shape[0]


cdef class Program:
    """A plan that runs: the integers of planning.py as the structures of this file."""
    cdef Plan plan
    cdef Table passes
    cdef Table table
    cdef bint is_double

    def __init__(self, Table plan, Table passes, Table table, bint is_double):
        if (plan.shape[0] * sizeof(Py_ssize_t) != sizeof(Plan)
                or passes.shape[0] * sizeof(Py_ssize_t) != plan[0] * sizeof(Pass)):
            raise ValueError("the fields of planning.py are not those of kernels.pyx")
        memcpy(&self.plan, &plan[0], sizeof(Plan))
        self.passes = passes
        self.table = table
        self.is_double = is_double

    def run(self, tuple operands, output, Workspace workspace, int threads):
        """Compute; `operands` are the input, the weights and the biases."""
        cdef const char *addresses[OPERANDS]
        cdef int i
        for i in range(len(operands)):
            addresses[i] = NULL if operands[i] is None else address(operands[i], False)
        cdef char *target = address(output, True)
        cdef const Pass *passes = <const Pass *> &self.passes[0]
        with nogil:
            if self.is_double:
                run_all(workspace.memory, self.table, addresses, target, &self.plan, passes,
                        threads, <double *> NULL)
            else:
                run_all(workspace.memory, self.table, addresses, target, &self.plan, passes,
                        threads, <float *> NULL)


VECTOR = VECTOR_BYTES
ROWS = ROWS_LIMIT
BAND_ROWS = BAND


def vectors(int height):
    """The vectors of positions in a wide register tile of so many rows."""
    return VECTORS(height)
