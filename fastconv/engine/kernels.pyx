"""One engine for every convolution: lay out, multiply, store.

This file is compiled once for each instruction set (see setup.py and dispatch.py), with
what it cimports: plan.pxd (the structures), lay_out.pxd, multiply.pxd, store.pxd and
weights.pxd (the stages), swapped.pxd, filter.pxd, interleaved.pxd, dots.pxd, separable.pxd and
winograd.pxd (ways of their own), simd.pxd over simd.h (vectors); and, for lines and kernels that
are no passes, running.pxd, windows.pxd, ordered.pxd and polyphase.pxd.

A. A *plan* (planning.py) cuts the output into *tiles*: one image, one group, a box of
   output positions. Each thread has its share of the tiles, and helps others when it is done; a
   sum is never split between threads.
B. **Lay out.** The part of the input that a tile sees is copied into the thread's
   scratch: border filled in, each strided axis split into its phases, so that in there
   every tap of a run of consecutive positions is one contiguous vector.

       scratch = [channel][phase z][phase y][phase x][z][y][x]    rows at one fixed pitch

C. **Multiply.** A *pass* computes, for all its output channels m and positions p,

       result[m, p] = bias[m] + sum over k of  weights[m, k] * scratch[taps[k] + p]

   with a register tile of some rows m by a few vectors of p. Positions run on from one
   row of scratch into the next; what falls between two rows is computed and dropped.
   Where a pass is a linear map at each position, what the next tile will see of the input is
   fetched into the cache meanwhile; then, as by all others, weights are.
D. **Store.** The last pass writes to the output, whatever its strides; earlier passes
   write to a second scratch of the same pitch, where the next pass finds its input.
   So separable and flattened convolutions are chains of passes, and the phases of a
   transposed convolution are passes side by side over one lay-out.
E. Where there are few output channels a register tile takes some rows of the output, a
   *band*, so that what is loaded serves several of them.
F. Where an image is so small that its positions would not fill the vectors, a pass is
   *swapped* (swapped.pxd): the vectors run over output channels, the rows of the register
   tile over positions. So do the few positions that direct passes have left over from whole
   vectors. Bands and swapped passes add up the same terms in the same order, so the bits are
   the same.

G. Many input channels may take turns in the scratch, in *parts*; their sums wait in it. Where
   much of what the taps meet is the zeros around the input, taps are *apart*: one after the other
   is laid out, only where it meets more. Swapped passes leave out taps that meet nothing else in
   some rows.
H. Small filters of single channels (filter.pxd), lines on planes (separable.pxd), kernels
   as large as the image (dots.pxd), and linear maps at each position, read the input in place. The
   first output channels of a map *keep* what their register tiles load, for the others, one tap
   after the other in whole cache lines. Small planes of single channels are transposed
   (interleaved.pxd). 3x3 kernels may take Winograd's way (winograd.pxd).

All offsets and strides are in bytes, and all of them fit a Py_ssize_t: planning.py checks.
"""

cimport numpy as np
from cpython.buffer cimport (
    PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cython.parallel cimport parallel, prange
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from fastconv.engine.dots cimport BESIDE, dots_tile
from fastconv.engine.filter cimport filter_tile
from fastconv.engine.interleaved cimport interleaved_tile
from fastconv.engine.lay_out cimport copy_tested, is_zero, lay_out, steps_to
from fastconv.engine.multiply cimport is_few, multiply_bands, multiply_positions
from fastconv.engine.plan cimport *
from fastconv.engine.ordered cimport (
    BESIDE, BLOCK, PIECES, STRETCH, WIDTH, Fast, Kernel, sums_across, sums_along,
    sums_of_kernel,
)
from fastconv.engine.polyphase cimport (
    PANEL, TOGETHER, Phases, phases_across, phases_along, phases_in_columns,
)
from fastconv.engine.running cimport (
    ACROSS, ALONG, LONGEST, PIECE, WHOLE, Lines, means_across, means_along, means_of_plane,
)
from fastconv.engine.separable cimport DOWN, separable_tile
from fastconv.engine.simd cimport *
from fastconv.engine.store cimport bands_to_output, convert, multiply_to_output, store_panel
from fastconv.engine.swapped cimport run_swapped
from fastconv.engine.weights cimport (
    gather, lay_biases, pack_block, pack_phases, transform_block, weights_of,
)
from fastconv.engine.windows cimport (
    Division, byte, bytes_across, bytes_of_plane, divides, means_of_line,
)
from fastconv.engine.winograd cimport (
    PRODUCTS, TILE, TileLine, TileLines, is_short, store_listed, transform_inputs,
    transform_listed, transform_results, transformed, transformed_plane,
)

cdef extern from "openmp.h" nogil:
    int omp_get_thread_num()
    Py_ssize_t TAKE(...)


# The most operands that a call has: an input, weights, a bias.
cdef enum:
    OPERANDS = 8
# Bytes of weights, transposed for all phases, that the first-level cache holds beside others.
cdef enum:
    PHASES_BYTES = 1 << 14


# ---- A pass in one tile --------------------------------------------------------------

cdef void run_pass(
    Memory memory, Memory packed, Py_ssize_t scratch, Table table, const char **operands,
    char *output, const Plan *plan, const Pass *step, const Tile *tile, real *kind,
) noexcept nogil:
    """What one pass has to do in one tile, for one chunk of its output channels."""
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t first = part(tile.chunk, plan.chunks, step.blocks)
    cdef Py_ssize_t last = part(tile.chunk + 1, plan.chunks, step.blocks)
    cdef Py_ssize_t columns = 0
    cdef Py_ssize_t depth, count, done, g, group, plane, b, m, z
    cdef const Py_ssize_t *offsets = &table[step.offsets] if step.taps else NULL
    cdef const char *source
    cdef const char *weights
    cdef const char *bias
    cdef char *target
    cdef int height
    cdef Upcoming *upcoming = &(<Worker *> &memory[scratch]).upcoming
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
                    weights = &packed[step.packed] + (group * step.channels + m) * step.taps * size
                else:
                    weights = weights_of(operands, step, group, m)
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
                        multiply_positions(
                            source + done * plan.pitch, offsets, step.taps, weights, bias,
                            target + done * plan.pitch, step.target_channel,
                            (count - done) * plan.pitch // size, height, False, upcoming, NULL,
                            kind)
                    else:
                        target = (output + step.out_offset + tile.image * step.out_image
                                  + tile.group * step.out_group + g * step.out_inner
                                  + m * step.out_channel + (tile.z + z) * step.out_z
                                  + tile.y * step.out_y + tile.x * step.out_x)
                        done = 0
                        if step.strip_count:
                            done = bands_to_output(
                                source, table, step, weights, bias, target,
                                &memory[scratch + plan.panel], count, columns, plan, kind)
                        if done < count:
                            multiply_to_output(
                                source + done * plan.pitch, offsets, weights, bias,
                                target + done * step.out_y, &memory[scratch + plan.panel],
                                height, count - done, columns, plan, step, upcoming, kind)


cdef void run_pointwise(
    Memory memory, Memory packed, Py_ssize_t scratch, Table table, const char **operands,
    char *output, const Plan *plan, const Pass *step, const Tile *tile, Upcoming *upcoming,
    real *kind,
) noexcept nogil:
    """A linear map at each position, in one tile; the input is read in place.

    Of inputs it is some at a time: for few channels, so that memory is read in long runs along all
    of the tile; for many, so that what the first ones have read and kept, as the others had better
    have it, stays near. Sums wait in the output. What is left at the end is a vector that covers
    some positions again. Weights that few tiles read are packed near at hand.
    """
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t lanes = VECTOR_BYTES // size
    cdef const Py_ssize_t *turn = &table[step.offsets + step.taps]
    cdef const char *source = (operands[0] + tile.image * plan.in_image
                               + tile.group * plan.in_group + tile.x * size)
    cdef Py_ssize_t left = tile.rows_x % lanes
    cdef Py_ssize_t again = (tile.rows_x - lanes) * size
    cdef int lowest = <int> (step.channels // step.blocks)
    cdef bint near = step.near and not (<Worker *> &memory[scratch]).prepared
    cdef char *own = &memory[scratch + step.sums]
    cdef char *panel = &memory[scratch + plan.panel]
    cdef Kept kept
    cdef const Kept *keep = NULL
    cdef const char *weights
    cdef const char *bias
    cdef char *out
    cdef Py_ssize_t b, m, height, k, taps, first, done, i
    if step.positions and is_few(left, lowest, kind) == is_few(left, lowest + 1, kind):
        kept.vectors = &memory[scratch + step.positions]
        kept.offsets = &table[step.column_offsets]
        keep = &kept
    k = 0
    while k < step.taps:
        taps = min(step.taps - k, step.most)
        kept.again = False
        for b in range(part(tile.chunk, plan.chunks, step.blocks),
                       part(tile.chunk + 1, plan.chunks, step.blocks)):
            m = part(b, step.blocks, step.channels)
            height = part(b + 1, step.blocks, step.channels) - m
            first = tile.group * step.channels + m
            weights = own
            if near:
                gather(own, height * size, weights_of(operands, step, tile.group, m), table, k,
                       taps, step, height, kind)
                # Those of the next block come from memory meanwhile.
                upcoming.weights = weights_of(operands, step, tile.group, m + height) - own
            else:
                weights = &packed[step.packed + (first * step.taps + k * height) * size]
            bias = &memory[step.bias + first * size]
            out = (output + step.out_offset + tile.image * step.out_image
                   + tile.group * step.out_group + m * step.out_channel + tile.x * size)
            done = tile.rows_x
            if not is_few(left, height, kind):
                done -= left
            if done < tile.rows_x and k:
                # Sums as they were: those of some positions wait twice.
                for i in range(height):
                    memcpy(panel + i * VECTOR_BYTES, out + again + i * step.out_channel,
                           VECTOR_BYTES)
            multiply_positions(
                source, turn, taps, weights, bias, out, step.out_channel, done, <int> height,
                k > 0, upcoming, keep, kind)
            if done < tile.rows_x:
                multiply_positions(
                    source + again, turn, taps, weights, bias, panel, VECTOR_BYTES, lanes,
                    <int> height, k > 0, NULL, NULL, kind)
                for i in range(height):
                    memcpy(out + again + i * step.out_channel, panel + i * VECTOR_BYTES,
                           VECTOR_BYTES)
            kept.again = True
        k += taps
        turn += step.most + AHEAD


cdef void run_split(
    Memory memory, Memory packed, Py_ssize_t scratch, Table table, const char **operands,
    char *output, Py_ssize_t split, const Plan *plan, const Pass *step, const Tile *tile,
    real *kind,
) noexcept nogil:
    """What one part of the input channels adds, in one tile, to one chunk of the output's.

    Sums wait in the scratch; after the last part they go to the output.
    """
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t start = part(split, plan.splits, plan.channels)
    cdef Py_ssize_t channels = part(split + 1, plan.splits, plan.channels) - start
    cdef Py_ssize_t kernel = step.taps // plan.channels
    cdef Py_ssize_t depth = min(tile.rows_z, step.limit_z - tile.z)
    cdef Py_ssize_t count = min(tile.rows_y, step.limit_y - tile.y)
    cdef Py_ssize_t columns = min(tile.rows_x, step.limit_x - tile.x)
    cdef Py_ssize_t row_length = plan.pitch // size
    cdef Py_ssize_t positions = (count - 1) * row_length + columns
    cdef Py_ssize_t vectors = (positions * size + VECTOR_BYTES - 1) // VECTOR_BYTES
    cdef Py_ssize_t first = part(tile.chunk, plan.chunks, step.blocks)
    cdef Py_ssize_t begin = part(first, step.blocks, step.channels)
    cdef Py_ssize_t b, m, z
    cdef const char *source
    cdef const char *weights
    cdef const char *bias
    cdef char *sums
    cdef int height
    for b in range(first, part(tile.chunk + 1, plan.chunks, step.blocks)):
        m = part(b, step.blocks, step.channels)
        height = <int> (part(b + 1, step.blocks, step.channels) - m)
        weights = (&packed[step.packed] + ((tile.group * step.channels + m) * step.taps
                                           + start * kernel * height) * size)
        bias = &memory[step.bias + (tile.group * step.channels + m) * size]
        for z in range(depth):
            source = &memory[scratch + step.source + z * step.source_z]
            sums = &memory[scratch + step.sums + (m - begin) * step.sums_pitch
                           + z * vectors * VECTOR_BYTES]
            multiply_positions(
                source, &table[step.offsets], channels * kernel, weights, bias, sums,
                step.sums_pitch, positions, height, split > 0, NULL, NULL, kind)
            if split + 1 == plan.splits:
                store_panel(
                    sums, step.sums_pitch, height, 0, positions, row_length, columns,
                    output + step.out_offset + tile.image * step.out_image
                    + tile.group * step.out_group + m * step.out_channel
                    + (tile.z + z) * step.out_z + tile.y * step.out_y + tile.x * step.out_x,
                    plan, step, kind)


# ---- Taps one by one -----------------------------------------------------------------

cdef bint inside(
    Py_ssize_t *low, Py_ssize_t *high, Py_ssize_t tap, Py_ssize_t stride, Py_ssize_t size,
) noexcept nogil:
    """Make a range of outputs those for which a tap meets an axis of so many elements."""
    low[0] = max(low[0], steps_to(-tap, stride))
    high[0] = min(high[0], steps_to(size - tap, stride))
    return low[0] < high[0]


cdef bint meets(
    Tile *box, const Tile *band, const Py_ssize_t *tap, const Plan *plan,
) noexcept nogil:
    """Whether a tap (z, y, x) meets the input in a plane of a band; the box of rows where it does.

    Of a single row it is the columns where it does.
    """
    cdef Py_ssize_t first_z = band.z
    cdef Py_ssize_t last_z = band.z + 1
    cdef Py_ssize_t first_x = band.x
    cdef Py_ssize_t last_x = band.x + band.rows_x
    cdef Py_ssize_t last_y = band.y + band.rows_y
    box[0] = band[0]
    if not (inside(&first_z, &last_z, tap[0], plan.stride_z, plan.size_z)
            and inside(&box.y, &last_y, tap[1], plan.stride_y, plan.size_y)
            and inside(&first_x, &last_x, tap[2], plan.stride_x, plan.size_x)):
        return False
    box.rows_y = last_y - box.y
    if band.rows_y == 1:
        box.x = first_x
        box.rows_x = last_x - first_x
    return True


cdef void lay_tap(
    char *laid, const char *source, Py_ssize_t channels, const Plan *plan, const Tile *box,
    const Py_ssize_t *tap, real *kind,
) noexcept nogil:
    """What a tap sees from the positions of a box, which follow each other; then zeros."""
    cdef Plan own = plan[0]
    cdef Py_ssize_t c
    own.pitch = box.rows_x * <Py_ssize_t> sizeof(real)
    own.plane = own.phase = box.rows_y * own.pitch
    for c in range(channels):
        memset(laid + c * own.channel + own.plane, 0, VECTOR_BYTES)
    lay_out(laid, source, channels, &own, box, tap, kind)


cdef void run_apart(
    Memory memory, Memory packed, Py_ssize_t scratch, Table table, const char **operands,
    char *output, Py_ssize_t split, const Plan *plan, const Pass *step, const Tile *tile,
    real *kind,
) noexcept nogil:
    """As run_split where much of what taps meet is zeros: each is laid out where it meets more.

    *Bands* of columns in which all meet the same taps have positions of their own. What the first
    output channels read is kept for the others.
    """
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t lanes = VECTOR_BYTES // size
    cdef Py_ssize_t start = part(split, plan.splits, plan.channels)
    cdef Py_ssize_t channels = part(split + 1, plan.splits, plan.channels) - start
    cdef Py_ssize_t kernel = step.taps // plan.channels
    cdef Py_ssize_t first = part(tile.chunk, plan.chunks, step.blocks)
    cdef Py_ssize_t last = part(tile.chunk + 1, plan.chunks, step.blocks)
    cdef Py_ssize_t begin = part(first, step.blocks, step.channels)
    cdef int lowest = <int> (step.channels // step.blocks)
    cdef bint all_finite = not packed[step.infinite]
    cdef const char *source = (operands[0] + tile.image * plan.in_image
                               + tile.group * plan.in_group + start * plan.in_channel)
    cdef char *laid = &memory[scratch + plan.layout]
    cdef char *sums = &memory[scratch + step.sums]
    cdef const Py_ssize_t *tap = &table[step.coordinates]
    cdef const Py_ssize_t *cut = &table[step.part_table]
    cdef Py_ssize_t s, z, t, b, m, positions, left
    cdef const char *weights
    cdef char *out
    cdef int height
    cdef bint keeps
    cdef Tile band = tile[0]
    cdef Tile box
    cdef Kept kept
    cdef Upcoming upcoming
    kept.vectors = &memory[scratch + step.positions]
    kept.offsets = &table[step.column_offsets]
    upcoming.left = 0
    band.rows_z = 1
    for s in range(step.parts):
        if step.parts > 1:
            band.x = cut[s]
            band.rows_x = cut[s + 1] - cut[s]
        for z in range(tile.rows_z):
            band.z = tile.z + z
            # Before all taps, of none of the channels: sums begin with the bias.
            for t in range(0 if split else -1, kernel):
                box = band
                if t >= 0:
                    if all_finite and not meets(&box, &band, tap + 3 * t, plan):
                        continue
                    lay_tap(laid, source, channels, plan, &box, tap + 3 * t, kind)
                positions = box.rows_y * box.rows_x
                left = positions % lanes
                keeps = (step.positions
                         and is_few(left, lowest, kind) == is_few(left, lowest + 1, kind))
                kept.again = False
                for b in range(first, last):
                    m = part(b, step.blocks, step.channels)
                    height = <int> (part(b + 1, step.blocks, step.channels) - m)
                    weights = &packed[step.packed] + size * (
                        (tile.group * step.channels + m) * step.taps
                        + (start * kernel + t * channels) * height)
                    # Those of the next block, which may come from afar.
                    upcoming.weights = height * step.taps * size
                    multiply_positions(
                        laid, &table[step.offsets], channels if t >= 0 else 0, weights,
                        &memory[step.bias + (tile.group * step.channels + m) * size],
                        sums + (m - begin) * step.sums_pitch
                        + ((box.y - band.y) * band.rows_x + box.x - band.x) * size,
                        step.sums_pitch, positions, height, t >= 0, &upcoming,
                        &kept if keeps else NULL, kind)
                    kept.again = True
            positions = band.rows_y * band.rows_x
            if split + 1 == plan.splits:
                out = (output + step.out_offset + tile.image * step.out_image
                       + tile.group * step.out_group + band.z * step.out_z
                       + band.y * step.out_y + band.x * step.out_x)
                m = part(last, step.blocks, step.channels) - begin
                store_panel(
                    sums, step.sums_pitch, <int> m, 0, positions, band.rows_x, band.rows_x,
                    out + begin * step.out_channel, plan, step, kind)
            sums += (positions + lanes - 1) // lanes * VECTOR_BYTES + VECTOR_BYTES


# ---- Winograd ------------------------------------------------------------------------

cdef TileLines lines_of(
    Table table, const Plan *plan, const Pass *step, const Tile *tile,
) noexcept nogil:
    """The rows and columns of a tile of a plan, where they are listed."""
    cdef TileLines lines
    lines.rows = <const TileLine *> &table[step.part_table] + tile.y
    lines.columns = <const TileLine *> &table[step.part_table] + plan.grid_y + tile.x
    lines.row_count = tile.rows_y
    lines.column_count = tile.rows_x
    return lines


cdef void transform_tile(
    Memory memory, Py_ssize_t scratch, Table table, const char *source, Py_ssize_t channels,
    const Plan *plan, const Pass *step, const Tile *tile, real *kind,
) noexcept nogil:
    """Lay some channels of a tile out one by one, to [36][inputs and kernel rows in z][tiles]."""
    cdef const Py_ssize_t *offsets = &table[step.offsets]
    cdef char *laid = &memory[scratch + plan.layout]
    cdef char *target = &memory[scratch + step.positions]
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t depth = step.reduction // plan.channels
    cdef Py_ssize_t c, z
    cdef Tile seen = tile[0]
    cdef TileLines lines
    if step.listed:
        lines = lines_of(table, plan, step, tile)
        seen.y = lines.rows[0].start
        seen.x = lines.columns[0].start
        seen.rows_y = lines.rows[tile.rows_y - 1].start - seen.y + 1
        seen.rows_x = lines.columns[tile.rows_x - 1].start - seen.x + 1
    for c in range(channels):
        lay_out(laid, source + c * plan.in_channel, 1, plan, &seen, &table[plan.residues], kind)
        for z in range(depth):
            if step.listed and real is double:
                transform_listed(
                    target, step.plane_pitch, laid + offsets[9 * z], plan.pitch,
                    step.apart_y * plan.pitch, step.apart_x * size, &lines, <vd *> NULL)
            elif step.listed:
                transform_listed(
                    target, step.plane_pitch, laid + offsets[9 * z], plan.pitch,
                    step.apart_y * plan.pitch, step.apart_x * size, &lines, <vf *> NULL)
            elif real is double:
                transform_inputs(
                    target, step.plane_pitch, laid + offsets[9 * z], plan.pitch,
                    tile.rows_y // TILE, tile.rows_x // TILE, step.row_tiles, <vd *> NULL)
            else:
                transform_inputs(
                    target, step.plane_pitch, laid + offsets[9 * z], plan.pitch,
                    tile.rows_y // TILE, tile.rows_x // TILE, step.row_tiles, <vf *> NULL)
            target += step.row_pitch


cdef void store_rows(
    char *out, char *source, Py_ssize_t source_pitch, const Pass *step, const Tile *tile,
    real *test,
) noexcept nogil:
    """Rows of tiles, four columns each, to the output; `test` gets NaN if not all is finite."""
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t rows = min(tile.rows_y, step.limit_y - tile.y)
    cdef Py_ssize_t columns = min(tile.rows_x, step.limit_x - tile.x)
    cdef Py_ssize_t y
    cdef char *row
    cdef char *target
    for y in range(rows):
        row = source + y % TILE * source_pitch + y // TILE * TILE * step.row_tiles * size
        target = out + y * step.out_y
        if step.out_x == size:
            if real is double:
                copy_tested(target, row, columns * size, <char *> test, <vd *> NULL)
            else:
                copy_tested(target, row, columns * size, <char *> test, <vf *> NULL)
        else:
            if real is double:
                copy_tested(row, row, columns * size, <char *> test, <vd *> NULL)
            else:
                copy_tested(row, row, columns * size, <char *> test, <vf *> NULL)
            convert(target, step.out_x, row, columns, test, test)


cdef void finish_winograd(
    char *out, char *panel, Py_ssize_t panel_pitch, const char *results, Py_ssize_t result_plane,
    const char *bias, Py_ssize_t vectors, const TileLines *lines, const Pass *step,
    const Tile *tile, real *test,
) noexcept nogil:
    """The results of one output channel."""
    cdef Py_ssize_t row = step.apart_y * step.out_y
    cdef Py_ssize_t element = step.apart_x * step.out_x
    if real is double:
        transform_results(panel, panel_pitch, results, result_plane, bias, vectors, step.listed,
                          <vd *> NULL)
    else:
        transform_results(panel, panel_pitch, results, result_plane, bias, vectors, step.listed,
                          <vf *> NULL)
    if not step.listed:
        store_rows(out, panel, panel_pitch, step, tile, test)
    elif real is double:
        store_listed(out, row, element, panel, lines, step, <char *> test, <vd *> NULL)
    else:
        store_listed(out, row, element, panel, lines, step, <char *> test, <vf *> NULL)


cdef void run_winograd(
    Memory memory, Memory packed, Py_ssize_t scratch, Table table, const char **operands,
    char *output, Py_ssize_t split, const Plan *plan, const Pass *step, const Tile *tile,
    real *kind,
) noexcept nogil:
    """Products with some channels of a tile; with the last of them, results.

    For one chunk of the output channels, some blocks at a time: all, if there are more splits.
    """
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t places = tile.rows_y // TILE * step.row_tiles
    cdef Py_ssize_t result_plane = step.result_pitch * TALLEST_ROWS + VECTOR_BYTES
    cdef Py_ssize_t panel_pitch = 4 * step.result_pitch + VECTOR_BYTES
    cdef char *results = &memory[scratch + step.columns]
    cdef char *panel = &memory[scratch + plan.panel]
    cdef char *own = &memory[scratch + step.sums]
    cdef const char *source = &memory[scratch + step.positions]
    cdef const char *zeros = <const char *> (<Worker *> &memory[scratch]).zeros
    cdef const char *weights
    cdef char *out = (
        output + step.out_offset + tile.image * step.out_image + tile.group * step.out_group
        + tile.z * step.out_z)
    cdef Py_ssize_t last = part(tile.chunk + 1, plan.chunks, step.blocks)
    cdef Py_ssize_t start = part(tile.chunk, plan.chunks, step.blocks)
    cdef Py_ssize_t splits = max(plan.splits, 1)
    cdef Py_ssize_t depth = step.reduction // plan.channels
    cdef Py_ssize_t before = part(split, splits, plan.channels) * depth
    cdef Py_ssize_t products = part(split + 1, splits, plan.channels) * depth - before
    cdef Py_ssize_t stop, b, m, height, first, i, plane, vectors
    cdef TileLines lines
    cdef bint near = step.near and not (<Worker *> &memory[scratch]).prepared
    cdef real[MAX_LANES] test
    memset(test, 0, VECTOR_BYTES)
    if step.listed:
        lines = lines_of(table, plan, step, tile)
        places = lines.row_count * lines.column_count
    else:
        out += tile.y * step.out_y + tile.x * step.out_x
    vectors = (places * size + VECTOR_BYTES - 1) // VECTOR_BYTES
    while start < last:
        stop = min(start + (1 if near else step.most), last)
        if near:
            m = part(start, step.blocks, step.channels)
            height = part(stop, step.blocks, step.channels) - m
            transform_block(own, &memory[scratch + plan.layout], table, operands, step,
                            tile.group, m, height, kind)
        # A product's inputs stay in the second-level cache for all blocks.
        for plane in range(PRODUCTS):
            for b in range(start, stop):
                m = part(b, step.blocks, step.channels)
                height = part(b + 1, step.blocks, step.channels) - m
                weights = own
                if not near:
                    weights = &packed[step.packed + transformed(
                        step, tile.group * step.blocks + b,
                        tile.group * step.channels + m, size)]
                weights += plane * transformed_plane(step.reduction, height * size)
                multiply_positions(
                    source + plane * step.plane_pitch, &table[step.column_offsets], products,
                    weights + before * height * size, zeros,
                    results + ((b - start) * PRODUCTS + plane) * result_plane,
                    step.result_pitch, places, <int> height, split > 0, NULL, NULL, kind)
        for b in range(start, stop if split + 1 == splits else start):
            m = part(b, step.blocks, step.channels)
            height = part(b + 1, step.blocks, step.channels) - m
            first = tile.group * step.channels + m
            for i in range(height):
                finish_winograd(
                    out + (m + i) * step.out_channel, panel, panel_pitch,
                    results + (b - start) * PRODUCTS * result_plane + i * step.result_pitch,
                    result_plane, &memory[step.bias + (first + i) * size], vectors, &lines, step,
                    tile, test)
        start = stop
    if not is_zero(<const char *> test, kind):
        memory[plan.flags + tile.image] = 1


# ---- One tile -----------------------------------------------------------------------

cdef void find_tile(Tile *tile, Py_ssize_t place, const Plan *plan) noexcept nogil:
    """The tile at a place in their order."""
    cdef Py_ssize_t left = place
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


cdef void look_ahead(
    Upcoming *upcoming, Py_ssize_t place, const char *source, const Plan *plan, const Pass *passes,
    real *_,
) noexcept nogil:
    """What is to be fetched for the tile at a place, while the one before is computed.

    Nothing but for linear maps, whose channels have a tap each: others multiply for so long that
    reading the input is little beside it.
    """
    cdef Tile tile
    upcoming.left = 0
    upcoming.weights = WEIGHTS_AHEAD
    if passes[0].form != DIRECT and passes[0].form != POINTWISE:
        return
    if (passes[0].taps != plan.channels
            or passes[0].most != plan.channels and not passes[0].positions
            or plan.in_x != sizeof(real) or plan.tile_z > 1):
        return
    find_tile(&tile, place, plan)
    if tile.image >= plan.images:
        return
    upcoming.start = (source + tile.image * plan.in_image + tile.group * plan.in_group
                      + tile.z * plan.stride_z * plan.in_z + tile.y * plan.stride_y * plan.in_y
                      + tile.x * plan.stride_x * plan.in_x)
    upcoming.channel = plan.in_channel
    upcoming.row = plan.stride_y * plan.in_y
    upcoming.lines = (tile.rows_x * plan.stride_x * plan.in_x + LINE - 1) // LINE
    upcoming.height = tile.rows_y
    upcoming.rows = tile.rows_y * plan.channels - 1
    upcoming.at = upcoming.start
    upcoming.left = upcoming.lines
    upcoming.y = 0


cdef void run_tile(
    Py_ssize_t index, Memory memory, Memory packed, Py_ssize_t scratch, Table table,
    const char **operands, char *output, const Plan *plan, const Pass *passes, real *kind,
) noexcept nogil:
    """Task `index`: chunks of output channels vary fastest, so that they share a lay-out."""
    cdef Worker *worker = <Worker *> &memory[scratch]
    cdef Tile *tile = &worker.tile
    cdef Py_ssize_t place = index // plan.chunks
    cdef Py_ssize_t i, first
    cdef const char *source
    tile.chunk = index % plan.chunks
    if place != worker.place:
        worker.place = place
        find_tile(tile, place, plan)
        look_ahead(&worker.upcoming, place + 1, operands[0], plan, passes, kind)
        source = operands[0] + tile.image * plan.in_image + tile.group * plan.in_group
        if plan.splits == 0 and passes[0].form == WINOGRAD:
            transform_tile(memory, scratch, table, source, plan.channels, plan, passes, tile,
                           kind)
        elif plan.splits == 0 and passes[0].form <= SWAPPED:
            lay_out(&memory[scratch + plan.layout], source, plan.channels, plan, tile,
                    &table[plan.residues], kind)
    if plan.splits:
        source = operands[0] + tile.image * plan.in_image + tile.group * plan.in_group
        for i in range(plan.splits):
            if passes[0].form == APART:
                run_apart(memory, packed, scratch, table, operands, output, i, plan, passes, tile,
                          kind)
                continue
            first = part(i, plan.splits, plan.channels)
            if passes[0].form == WINOGRAD:
                transform_tile(memory, scratch, table, source + first * plan.in_channel,
                               part(i + 1, plan.splits, plan.channels) - first, plan, passes,
                               tile, kind)
                run_winograd(memory, packed, scratch, table, operands, output, i, plan, passes,
                             tile, kind)
                continue
            lay_out(&memory[scratch + plan.layout], source + first * plan.in_channel,
                    part(i + 1, plan.splits, plan.channels) - first, plan, tile,
                    &table[plan.residues], kind)
            if passes[0].form == SWAPPED:
                run_swapped(memory, packed, scratch, table, operands, output, i, plan, passes,
                            tile, kind)
            else:
                run_split(memory, packed, scratch, table, operands, output, i, plan, passes,
                          tile, kind)
        return
    for i in range(plan.passes):
        if passes[i].form == SWAPPED:
            run_swapped(memory, packed, scratch, table, operands, output, 0, plan, passes + i,
                        tile, kind)
        elif passes[i].form == POINTWISE:
            run_pointwise(memory, packed, scratch, table, operands, output, plan, passes + i, tile,
                          &worker.upcoming, kind)
        elif passes[i].form == FILTER:
            if real is double:
                filter_tile(memory, scratch, table, operands, output, plan, passes + i, tile,
                            <vd *> NULL, kind)
            else:
                filter_tile(memory, scratch, table, operands, output, plan, passes + i, tile,
                            <vf *> NULL, kind)
        elif passes[i].form == INTERLEAVED:
            if real is double:
                interleaved_tile(memory, scratch, table, operands, output, plan, passes + i, tile,
                                 <vd *> NULL, kind)
            else:
                interleaved_tile(memory, scratch, table, operands, output, plan, passes + i, tile,
                                 <vf *> NULL, kind)
        elif passes[i].form == DOTS:
            if real is double:
                dots_tile(memory, operands, output, plan, passes + i, tile, <vd *> NULL, kind)
            else:
                dots_tile(memory, operands, output, plan, passes + i, tile, <vf *> NULL, kind)
        elif passes[i].form == SEPARABLE:
            # Both passes at once.
            if i == 0 and real is double:
                separable_tile(memory, scratch, operands, output, plan, passes, tile, <vd *> NULL,
                               kind)
            elif i == 0:
                separable_tile(memory, scratch, operands, output, plan, passes, tile, <vf *> NULL,
                               kind)
        elif passes[i].form == WINOGRAD:
            run_winograd(memory, packed, scratch, table, operands, output, 0, plan, passes + i,
                         tile, kind)
        else:
            run_pass(memory, packed, scratch, table, operands, output, plan, passes + i, tile,
                     kind)


# ---- The whole ----------------------------------------------------------------------

cdef Py_ssize_t phases_together(const Plan *plan, const Pass *passes) noexcept nogil:
    """Of how many input channels all phases are packed at a time; 0 if each is on its own."""
    cdef Py_ssize_t room = min(plan.scratch_size - plan.layout, PHASES_BYTES)
    if passes.phases == 0:
        return 0
    return room // (passes.phases * TURNED_VECTORS(passes.height) * VECTOR_BYTES)


cdef Py_ssize_t weight_parts(const Plan *plan, const Pass *passes) noexcept nogil:
    """In how many parts weights are packed: blocks of the outputs or, of phases, some inputs."""
    cdef Py_ssize_t together = phases_together(plan, passes)
    cdef Py_ssize_t blocks = 0
    cdef Py_ssize_t s
    if together:
        return plan.groups * ((plan.channels + together - 1) // together)
    for s in range(plan.passes):
        blocks += plan.groups * passes[s].groups * passes[s].blocks
    return blocks


cdef void pack(
    Py_ssize_t index, Memory memory, Memory packed, Py_ssize_t scratch, Table table,
    const char **operands, const Plan *plan, const Pass *passes, real *kind,
) noexcept nogil:
    """Part `index` of the weights of all passes."""
    cdef Py_ssize_t together = phases_together(plan, passes)
    cdef char *own = &memory[scratch + plan.layout]
    cdef Py_ssize_t s, blocks, first
    if together:
        blocks = (plan.channels + together - 1) // together
        first = index % blocks * together
        pack_phases(index // blocks, first, min(together, plan.channels - first), packed, own,
                    table, operands, plan, passes, kind)
        return
    for s in range(plan.passes):
        blocks = plan.groups * passes[s].groups * passes[s].blocks
        if index < blocks:
            pack_block(index, packed, own, table, operands, plan, passes + s, kind)
            return
        index -= blocks


cdef void pack_all(
    Memory memory, Memory packed, Table table, const char **operands, const Plan *plan,
    const Pass *passes, int threads, real *kind,
) noexcept nogil:
    cdef Py_ssize_t blocks = weight_parts(plan, passes)
    cdef Py_ssize_t i
    cdef arithmetic before = 0
    if threads == 1:
        before = begin_arithmetic()
        for i in range(blocks):
            pack(i, memory, packed, plan.scratch, table, operands, plan, passes, kind)
        end_arithmetic(before)
        return
    with parallel(num_threads=threads):
        before = begin_arithmetic()
        for i in prange(blocks, schedule='static'):
            pack(i, memory, packed, plan.scratch + omp_get_thread_num() * plan.scratch_size,
                 table, operands, plan, passes, kind)
        end_arithmetic(before)


cdef void run_share(
    Py_ssize_t share, Py_ssize_t threads, Py_ssize_t tasks, Memory memory, Memory packed,
    Table table, const char **operands, char *output, const Plan *plan, const Pass *passes,
    real *kind,
) noexcept nogil:
    """A thread's own tasks, one after the other; then what others have not begun of theirs.

    It finds in its cache what it read and wrote there in the call before, and none is idle
    while another is held up.
    """
    cdef Py_ssize_t scratch = plan.scratch + omp_get_thread_num() * plan.scratch_size
    cdef Py_ssize_t n, i, last
    cdef Worker *owner
    for n in range(share, share + threads):
        owner = <Worker *> &memory[plan.scratch + n % threads * plan.scratch_size]
        last = part(n % threads + 1, threads, tasks)
        i = TAKE(owner.next)
        while i < last:
            run_tile(i, memory, packed, scratch, table, operands, output, plan, passes, kind)
            i = TAKE(owner.next)


cdef void run_all(
    Memory memory, Memory packed, bint prepared, Table table, const char **operands,
    char *output, const Plan *plan, const Pass *passes, int threads, real *kind,
) noexcept nogil:
    cdef Py_ssize_t tasks = (plan.images * plan.groups * plan.tiles_z * plan.tiles_y
                             * plan.tiles_x * plan.chunks)
    # Some passes pack their weights tile by tile, near at hand.
    cdef Py_ssize_t blocks = 0
    cdef Py_ssize_t i
    cdef Worker *worker
    cdef arithmetic before = begin_arithmetic()
    if not prepared and not passes[0].near:
        blocks = weight_parts(plan, passes)
    for i in range(plan.passes if blocks else 0):
        if passes[i].apart:
            packed[passes[i].infinite] = 0
    if passes[0].form == WINOGRAD:
        memset(&memory[plan.flags], 0, plan.images)
    for i in range(plan.passes):
        lay_biases(memory, operands, passes + i, plan.groups, kind)
    for i in range(threads):
        worker = <Worker *> &memory[plan.scratch + i * plan.scratch_size]
        memset(worker, 0, sizeof(Worker))
        worker.place = -1
        worker.next = part(i, threads, tasks)
        if passes[0].form == FILTER or passes[0].form == INTERLEAVED:
            memset(&memory[plan.scratch + i * plan.scratch_size + plan.layout], 0,
                   passes[0].source - plan.layout)
        worker.prepared = prepared or not passes[0].near
    if threads == 1:
        # No parallel region: nothing wakes up, and a forked child cannot hang.
        for i in range(blocks):
            pack(i, memory, packed, plan.scratch, table, operands, plan, passes, kind)
        for i in range(tasks):
            run_tile(i, memory, packed, plan.scratch, table, operands, output, plan, passes,
                     kind)
        end_arithmetic(before)
        return
    # Threads that start here would keep this one's arithmetic for good.
    end_arithmetic(before)
    with parallel(num_threads=threads):
        before = begin_arithmetic()
        for i in prange(blocks, schedule='static'):
            pack(i, memory, packed, plan.scratch + omp_get_thread_num() * plan.scratch_size,
                 table, operands, plan, passes, kind)
        for i in prange(threads, schedule='static', chunksize=1):
            run_share(i, threads, tasks, memory, packed, table, operands, output, plan, passes,
                      kind)
        end_arithmetic(before)


cdef char *address(array, bint writable) except? NULL:
    """Where an array's first element is; the caller keeps the array alive."""
    if type(array) is np.ndarray:
        return np.PyArray_BYTES(array)
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES | (PyBUF_WRITABLE if writable else 0))
    cdef char *start = <char *> view.buf
    PyBuffer_Release(&view)
    return start


cdef class Workspace:
    """Memory to work in: biases, the scratch of each thread, packed weights."""
    cdef Memory memory

    def __init__(self, Memory memory):
        self.memory = memory

    @property
    def nbytes(self):
        return self.memory.shape[0]

    @property
    def bytes(self):
        """The memory, for what is an operand of one plan and the output of another."""
        return self.memory


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

    def run(self, tuple operands, output, Workspace workspace, int threads, prepared=None):
        """Compute; `operands` are the input, the weights and the biases.

        Weights are packed into the end of the workspace, or are `prepared`, by `pack`.
        Returns the images whose result is not finite, which Winograd's must not decide.
        """
        cdef const char *addresses[OPERANDS]
        cdef int i
        for i in range(len(operands)):
            addresses[i] = NULL if operands[i] is None else address(operands[i], False)
        cdef char *target = address(output, True)
        cdef const Pass *passes = <const Pass *> &self.passes[0]
        cdef bint packed = prepared is not None
        cdef Memory weights = (
            (<Workspace> prepared).memory if packed
            else workspace.memory[self.plan.scratch + threads * self.plan.scratch_size:])
        with nogil:
            if self.is_double:
                run_all(workspace.memory, weights, packed, self.table, addresses, target,
                        &self.plan, passes, threads, <double *> NULL)
            else:
                run_all(workspace.memory, weights, packed, self.table, addresses, target,
                        &self.plan, passes, threads, <float *> NULL)
        if passes.form != WINOGRAD:
            return ()
        return [i for i in range(self.plan.images) if workspace.memory[self.plan.flags + i]]

    def pack(self, tuple operands, Workspace target, Workspace workspace, int threads):
        """Pack the weights of all passes, once for many runs."""
        cdef const char *addresses[OPERANDS]
        cdef const Pass *passes = <const Pass *> &self.passes[0]
        cdef Py_ssize_t i
        for i in range(len(operands)):
            addresses[i] = NULL if operands[i] is None else address(operands[i], False)
        for i in range(self.plan.passes):
            if passes[i].apart:
                target.memory[passes[i].infinite] = 0
        with nogil:
            if self.is_double:
                pack_all(workspace.memory, target.memory, self.table, addresses, &self.plan,
                         passes, threads, <double *> NULL)
            else:
                pack_all(workspace.memory, target.memory, self.table, addresses, &self.plan,
                         passes, threads, <float *> NULL)


# ---- Lines and kernels of their own ----------------------------------------------------

cdef bint lines_of_block(
    Py_ssize_t index, const char *source, char *target, const Py_ssize_t *groups,
    const Py_ssize_t *border, const double *weights, const float *parts, bint halves,
    int symmetry, double *rows, Fast *fast, Py_ssize_t most, bint across, bint single,
    const Lines *all_lines,
) noexcept nogil:
    """Block `index` of at most so many lines; `groups` has strides from group to group.

    Of single precision or not. Returns whether all have been finite.
    """
    cdef Lines lines = all_lines[0]
    cdef Py_ssize_t blocks = (lines.count + most - 1) // most
    cdef Py_ssize_t first = index % blocks * most
    cdef Py_ssize_t i
    cdef Division by
    lines.count = min(most, lines.count - first)
    lines.first = first
    source += index // blocks * groups[0] + first * lines.across_in
    target += index // blocks * groups[1] + first * lines.across_out
    if weights == NULL and divides(&by, &lines):
        if across and lines.across_in == 1 and lines.across_out == 1:
            bytes_across(source, target, border, &lines, by)
            return True
        if (not across and lines.along_in == 1 and lines.along_out == 1
                and lines.size <= lines.length):
            for i in range(lines.count):
                means_of_line(<byte *> target + i * lines.across_out,
                              <const byte *> source + i * lines.across_in, border, &lines, by)
            return True
    if weights == NULL:
        if across and single and lines.given != FLOAT32:
            return means_across(source, target, border, &lines, <float *> NULL)
        if across:
            return means_across(source, target, border, &lines, <double *> NULL)
        if single and lines.given == FLOAT32:
            return means_along(source, target, border, &lines, <float *> NULL, <double *> NULL)
        if single:
            return means_along(source, target, border, &lines, <float *> NULL, <float *> NULL)
        return means_along(source, target, border, &lines, <double *> NULL, <double *> NULL)
    if across and single:
        sums_across(source, target, border, weights, parts, symmetry, halves, <float *> rows, fast,
                    &lines)
    elif across:
        sums_across(source, target, border, weights, NULL, symmetry, False, rows, fast, &lines)
    elif single:
        sums_along(source, target, border, weights, parts, symmetry, halves, <float *> rows, fast,
                   &lines)
    else:
        sums_along(source, target, border, weights, NULL, symmetry, False, rows, fast, &lines)
    return True


cdef void *zeros(Py_ssize_t count) except NULL:
    """So many bytes, and those up to a cache line; the caller frees them."""
    cdef void *memory = calloc(count + LINE, 1)
    if memory == NULL:
        raise MemoryError
    return memory


cdef double *aligned(void *memory) noexcept:
    """The beginning of a cache line, which vectors had better not cross."""
    return <double *> (<char *> memory + (-<Py_ssize_t> memory % LINE + LINE)
                       % LINE)


cdef const Py_ssize_t *first_of(Table border) noexcept:
    """Windows of one element have no border."""
    return &border[0] if border.shape[0] else NULL


cdef Py_ssize_t whole_lines(Py_ssize_t room) noexcept:
    """So many doubles, and those up to the end of a cache line."""
    return (room + LINE - 1) // LINE * LINE


cdef double *fast_sums(void *memory, Py_ssize_t room, int threads, const Fast *fast) noexcept:
    """Scratch of so many doubles for each thread, after what each knows of its fast sums."""
    cdef double *rows = aligned(memory)
    cdef int i
    for i in range(threads):
        (<Fast *> (rows + i * room))[0] = fast[0]
    return rows


cdef class LineFilter:
    """Running means or, with weights, sums in SciPy's order; filtering.py has that of `numbers`.

    Small integers, and means of them, are the same in single precision. Fast sums have weights of
    their own, of two parts each or of one.
    """
    cdef Table numbers
    cdef Table border
    cdef const double[::1] weights
    cdef const float[::1] parts
    cdef Lines lines
    cdef Fast fast
    cdef Py_ssize_t most, room
    cdef int symmetry, threads
    cdef bint across, single, halves

    def __init__(
        self, Table numbers, Table border, double fill, bint across, int threads,
        const double[::1] weights, int symmetry, bint single, const float[::1] parts,
        bint halves, int bits, int doubt,
    ):
        self.numbers = numbers
        self.border = border
        self.weights = weights
        self.parts = parts
        self.symmetry = symmetry
        self.across = across
        self.threads = threads
        self.single = single
        self.halves = halves
        memcpy(&self.lines, &numbers[3], 10 * sizeof(Py_ssize_t))
        self.lines.fill = fill
        self.fast.bits = bits
        self.fast.doubt = doubt
        if weights is None:
            self.most = ACROSS if across else ALONG
            if not across and self.lines.count == 1:
                self.stretch()
        elif across:
            self.most = BESIDE * (2 if single else 1)
            self.room = (PIECES + self.lines.size) * BESIDE
        else:
            self.most = BESIDE
            self.room = STRETCH + self.lines.size + 2 * BESIDE
        self.room = whole_lines(self.room + LINE)

    cdef void stretch(self):
        """A single line in stretches that are longer than windows, if they are not too few."""
        cdef Py_ssize_t length = self.lines.length
        cdef Py_ssize_t stretch = max(
            min((length + ALONG - 1) // ALONG, LONGEST), 2 * self.lines.size, PIECE)
        cdef Division by
        if 2 * stretch <= length and not divides(&by, &self.lines):
            self.lines.stretch = stretch
            self.lines.count = (length + stretch - 1) // stretch
            self.lines.across_in = self.lines.across_out = 0

    def run(self, tuple operands, out):
        """Returns whether all are finite."""
        cdef const char *source = address(operands[0], False)
        cdef char *target = address(out, True)
        cdef int threads = self.threads
        cdef const double *weights = NULL
        cdef const float *parts = NULL
        cdef const Py_ssize_t *places = first_of(self.border)
        cdef Py_ssize_t room = self.room
        cdef Py_ssize_t spoilt = 0
        cdef Py_ssize_t blocks, i
        cdef arithmetic before = 0
        if self.weights is not None:
            weights = &self.weights[0]
        if self.parts is not None:
            parts = &self.parts[0]
        blocks = self.numbers[2] * ((self.lines.count + self.most - 1) // self.most)
        # Zeros: lines that are not there are computed, too.
        cdef void *memory = zeros(threads * room * sizeof(double))
        cdef double *rows = fast_sums(memory, room, threads, &self.fast)
        if threads == 1:
            with nogil:
                before = begin_arithmetic()
                for i in range(blocks):
                    spoilt += not lines_of_block(
                        i, source, target, &self.numbers[0], places, weights, parts, self.halves,
                        self.symmetry, rows + LINE, <Fast *> rows, self.most, self.across,
                        self.single, &self.lines)
                end_arithmetic(before)
        else:
            with nogil, parallel(num_threads=threads):
                before = begin_arithmetic()
                for i in prange(blocks, schedule='static'):
                    spoilt += not lines_of_block(
                        i, source, target, &self.numbers[0], places, weights, parts, self.halves,
                        self.symmetry, rows + omp_get_thread_num() * room + LINE,
                        <Fast *> (rows + omp_get_thread_num() * room), self.most, self.across,
                        self.single, &self.lines)
                end_arithmetic(before)
        free(memory)
        return spoilt == 0


cdef bint block_of_plane(
    Py_ssize_t index, const char *source, char *target, const Py_ssize_t *planes,
    const Py_ssize_t *border_down, const Py_ssize_t *border_along, double *scratch, bint single,
    const Lines *down, const Lines *along,
) noexcept nogil:
    """Block `index` of rows; `planes` has their strides, how many rows, and room for one."""
    cdef Py_ssize_t blocks = (down.length + planes[2] - 1) // planes[2]
    cdef Py_ssize_t top = index % blocks * planes[2]
    cdef Py_ssize_t height = min(planes[2], down.length - top)
    cdef Division by_down, by_along
    source += index // blocks * planes[0]
    target += index // blocks * planes[1]
    if divides(&by_down, down) and divides(&by_along, along):
        bytes_of_plane(source, target, border_down, border_along, top, height, <char *> scratch,
                       down, along, by_down, by_along)
        return True
    if single and down.given == FLOAT32:
        return means_of_plane(source, target, border_down, border_along, top, height,
                              <float *> scratch, planes[3], down, along, <double *> NULL)
    if single:
        return means_of_plane(source, target, border_down, border_along, top, height,
                              <float *> scratch, planes[3], down, along, <float *> NULL)
    return means_of_plane(source, target, border_down, border_along, top, height, scratch,
                          planes[3], down, along, <double *> NULL)


cdef class PlaneFilter:
    """Running means of planes along both axes in turn; filtering.py has that of `numbers`."""
    cdef Table numbers
    cdef Table border_down
    cdef Table border_along
    cdef Lines down
    cdef Lines along
    cdef int threads
    cdef bint single

    def __init__(
        self, Table numbers, Table border_down, Table border_along, double fill, int threads,
        bint single,
    ):
        self.numbers = numbers
        self.border_down = border_down
        self.border_along = border_along
        self.threads = threads
        self.single = single
        memcpy(&self.down, &numbers[5], 10 * sizeof(Py_ssize_t))
        memcpy(&self.along, &numbers[15], 10 * sizeof(Py_ssize_t))
        self.down.fill = self.along.fill = fill

    def run(self, tuple operands, out):
        """Returns whether all are finite."""
        cdef const char *source = address(operands[0], False)
        cdef char *target = address(out, True)
        cdef int threads = self.threads
        cdef const Py_ssize_t *down = first_of(self.border_down)
        cdef const Py_ssize_t *along = first_of(self.border_along)
        cdef const Py_ssize_t *numbers = &self.numbers[0]
        cdef Py_ssize_t spoilt = 0
        cdef Py_ssize_t i
        cdef arithmetic before = 0
        cdef Py_ssize_t blocks = numbers[0] * (
            (self.down.length + numbers[3] - 1) // numbers[3])
        cdef Py_ssize_t room = whole_lines(13 * numbers[4])
        cdef void *memory = zeros(threads * room * sizeof(double))
        cdef double *scratch = aligned(memory)
        if threads == 1:
            with nogil:
                before = begin_arithmetic()
                for i in range(blocks):
                    spoilt += not block_of_plane(
                        i, source, target, numbers + 1, down, along, scratch, self.single,
                        &self.down, &self.along)
                end_arithmetic(before)
        else:
            with nogil, parallel(num_threads=threads):
                before = begin_arithmetic()
                for i in prange(blocks, schedule='static'):
                    spoilt += not block_of_plane(
                        i, source, target, numbers + 1, down, along,
                        scratch + omp_get_thread_num() * room, self.single, &self.down,
                        &self.along)
                end_arithmetic(before)
        free(memory)
        return spoilt == 0


cdef void block_of_kernel(
    Py_ssize_t index, const char *source, char *target, const Py_ssize_t *starts,
    const Py_ssize_t *targets, const Py_ssize_t *border, const Py_ssize_t *offsets,
    const double *weights, const float *quick, double *rows, const Kernel *kernel,
    const Lines *lines,
) noexcept nogil:
    """Block `index` of the output, one of those of each plane of it."""
    cdef Py_ssize_t across = (lines.length + kernel.width - 1) // kernel.width
    cdef Py_ssize_t blocks = (lines.count + BLOCK - 1) // BLOCK * across
    cdef Py_ssize_t plane = index // blocks
    cdef Py_ssize_t top = index % blocks // across * BLOCK
    cdef Py_ssize_t left = index % blocks % across * kernel.width
    cdef Fast *fast = <Fast *> rows
    cdef double *sums = rows + LINE
    rows = sums + BAND * kernel.pitch
    target += targets[plane]
    starts += plane * kernel.planes * (lines.count + kernel.height - 1)
    if quick == NULL:
        sums_of_kernel(source, target, starts, top, left, border, offsets, weights, quick, sums,
                       rows, fast, kernel, lines)
    else:
        sums_of_kernel(source, target, starts, top, left, border, offsets, weights, quick, sums,
                       <float *> rows, fast, kernel, lines)


cdef class KernelFilter:
    """Sums of a kernel in SciPy's order; filtering.py has that of `numbers`.

    `starts` tells where the rows begin that each plane of the output sees, `targets` where it does.
    Fast sums, if there are to be any, have weights of their own.
    """
    cdef Table starts
    cdef Table targets
    cdef Table border
    cdef Table offsets
    cdef const double[::1] weights
    cdef const float[::1] quick
    cdef Kernel kernel
    cdef Lines lines
    cdef Fast fast
    cdef int threads

    def __init__(
        self, Table numbers, Table starts, Table targets, Table border, Table offsets,
        const double[::1] weights, const float[::1] quick, double fill, int threads,
    ):
        self.starts = starts
        self.targets = targets
        self.border = border
        self.offsets = offsets
        self.weights = weights
        self.quick = quick
        self.threads = threads
        memcpy(&self.kernel, &numbers[0], sizeof(Kernel))
        memcpy(&self.lines, &numbers[6], 10 * sizeof(Py_ssize_t))
        self.lines.fill = fill
        self.fast.bits = numbers[16]
        self.fast.doubt = numbers[17]

    def run(self, tuple operands, out):
        cdef const char *source = address(operands[0], False)
        cdef char *target = address(out, True)
        cdef int threads = self.threads
        cdef const float *quick = NULL
        cdef const Py_ssize_t *places = first_of(self.border)
        cdef const Kernel *kernel = &self.kernel
        cdef const Lines *lines = &self.lines
        cdef arithmetic before = 0
        cdef Py_ssize_t i
        if self.quick is not None:
            quick = &self.quick[0]
        cdef Py_ssize_t tasks = (
            self.targets.shape[0] * ((lines.count + BLOCK - 1) // BLOCK)
            * ((lines.length + kernel.width - 1) // kernel.width))
        cdef Py_ssize_t room = whole_lines(
            LINE + (kernel.planes * (BLOCK + kernel.height - 1) + BAND) * kernel.pitch)
        cdef void *memory = zeros(threads * room * sizeof(double))
        cdef double *rows = fast_sums(memory, room, threads, &self.fast)
        if threads == 1:
            with nogil:
                before = begin_arithmetic()
                for i in range(tasks):
                    block_of_kernel(
                        i, source, target, &self.starts[0], &self.targets[0], places,
                        &self.offsets[0], &self.weights[0], quick, rows, kernel, lines)
                end_arithmetic(before)
        else:
            with nogil, parallel(num_threads=threads):
                before = begin_arithmetic()
                for i in prange(tasks, schedule='static'):
                    block_of_kernel(
                        i, source, target, &self.starts[0], &self.targets[0], places,
                        &self.offsets[0], &self.weights[0], quick,
                        rows + omp_get_thread_num() * room, kernel, lines)
                end_arithmetic(before)
        free(memory)


cdef void block_of_phases(
    Py_ssize_t index, const char *source, char *target, const Py_ssize_t *groups,
    const Py_ssize_t *border, const char *filters, real *scratch, Py_ssize_t most, bint across,
    const Phases *phases, const Lines *all_lines, vector *v,
) noexcept nogil:
    """Block `index` of the outputs of one line, or of at most so many that go side by side."""
    cdef Lines lines = all_lines[0]
    cdef Py_ssize_t blocks = (phases.count + phases.block - 1) // phases.block
    cdef Py_ssize_t together = (lines.count + most - 1) // most
    cdef Py_ssize_t start = index % blocks * phases.block
    cdef Py_ssize_t count = min(phases.block, phases.count - start)
    cdef Py_ssize_t first = index // blocks % together * most
    lines.count = min(most, lines.count - first)
    source += index // blocks // together * groups[0] + first * lines.across_in
    target += index // blocks // together * groups[1] + first * lines.across_out
    if across:
        phases_across(source, target, border, filters, start, count, phases, &lines, v)
    elif phases.columns:
        phases_in_columns(source, target, border, filters, start, count, scratch, phases, &lines, v)
    else:
        phases_along(source, target, border, filters, start, count, scratch, phases, &lines, v)


cdef void all_phases(
    const char *source, char *target, const Py_ssize_t *groups, const Py_ssize_t *border,
    const char *filters, char *scratch, Py_ssize_t room, bint across, int threads,
    const Phases *phases, const Lines *lines, vector *v, real *kind,
) noexcept nogil:
    """All blocks; each thread has so many bytes of scratch."""
    cdef Py_ssize_t most = ACROSS if across else 1
    cdef Py_ssize_t tasks = (
        groups[2] * ((lines.count + most - 1) // most)
        * ((phases.count + phases.block - 1) // phases.block))
    cdef arithmetic before = 0
    cdef Py_ssize_t i
    if threads == 1:
        before = begin_arithmetic()
        for i in range(tasks):
            block_of_phases(i, source, target, groups, border, filters, <real *> scratch, most,
                            across, phases, lines, v)
        end_arithmetic(before)
        return
    with parallel(num_threads=threads):
        before = begin_arithmetic()
        for i in prange(tasks, schedule='static'):
            block_of_phases(i, source, target, groups, border, filters,
                            <real *> (scratch + omp_get_thread_num() * room), most, across, phases,
                            lines, v)
        end_arithmetic(before)


def run_phases(
    given, out, Table numbers, Table border, filters, Py_ssize_t room, bint across, int threads,
    bint is_double,
):
    """Lines zero-stuffed, filtered and thinned out; resampling.py has that of `numbers`.

    So many bytes are the scratch of a thread.
    """
    cdef const char *source = address(given, False)
    cdef char *target = address(out, True)
    cdef const char *weights = address(filters, False)
    cdef const Py_ssize_t *places = first_of(border)
    cdef Lines lines
    cdef Phases phases
    memcpy(&lines, &numbers[3], 10 * sizeof(Py_ssize_t))
    memcpy(&phases, &numbers[13], sizeof(Phases))
    lines.fill = 0
    cdef void *memory = zeros(threads * room)
    cdef char *scratch = <char *> aligned(memory)
    with nogil:
        if is_double:
            all_phases(source, target, &numbers[0], places, weights, scratch, room, across,
                       threads, &phases, &lines, <vd *> NULL, <double *> NULL)
        else:
            all_phases(source, target, &numbers[0], places, weights, scratch, room, across,
                       threads, &phases, &lines, <vf *> NULL, <float *> NULL)
    free(memory)


# ---- For fourier.py, planning.py and the benchmarks ----------------------------------

def in_our_arithmetic(work, *arguments):
    """Call work(*arguments), which computes in this thread, in the arithmetic of the kernels."""
    cdef arithmetic before = begin_arithmetic()
    try:
        return work(*arguments)
    finally:
        end_arithmetic(before)


cdef void only_multiply(
    Py_ssize_t turns, const char *numbers, char *result, vector *_,
) noexcept nogil:
    """Twelve independent chains of multiply-adds, and nothing else."""
    cdef vector sums[12]
    cdef vector w[2]
    cdef Py_ssize_t _outer, _turn
    cdef int i
    for _outer in range(1):
        BROADCAST(w[0], numbers)
        BROADCAST(w[1], numbers + LANE_BYTES(w[0]))
        for i in range(12):
            BROADCAST(sums[i], numbers + i * LANE_BYTES(w[0]))
        for _turn in range(turns):
            for i in range(12):
                sums[i] = sums[i] * w[0] + w[1]
        for i in range(12):
            STORE(result + i * VECTOR_BYTES, sums[i])


def peak_work(Py_ssize_t turns, bint is_double):
    """Work at the peak of one core, to be timed; returns the floating-point operations."""
    cdef float[12] floats
    cdef double[12] doubles
    # On the heap, where the compiler cannot see that nobody looks at it.
    cdef char[::1] result = bytearray(12 * VECTOR_BYTES)
    cdef int i
    for i in range(12):
        floats[i] = doubles[i] = 1 / (2. + i)
    with nogil:
        if is_double:
            only_multiply(turns, <const char *> doubles, &result[0], <vd *> NULL)
        else:
            only_multiply(turns, <const char *> floats, &result[0], <vf *> NULL)
    return 2 * 12 * turns * (VECTOR_BYTES // (8 if is_double else 4))


VECTOR = VECTOR_BYTES
ROWS = ROWS_LIMIT
TALLEST = TALLEST_ROWS
FORMS = {
    "direct": DIRECT, "swapped": SWAPPED, "pointwise": POINTWISE, "filter": FILTER,
    "separable": SEPARABLE, "winograd": WINOGRAD, "interleaved": INTERLEAVED, "dots": DOTS,
    "apart": APART,
}
#: What the input and the output may be arrays of.
NUMBERS = {
    "int8": INT8, "uint8": UINT8, "int16": INT16, "uint16": UINT16, "int32": INT32,
    "uint32": UINT32, "int64": INT64, "uint64": UINT64, "float32": FLOAT32, "float64": FLOAT64,
}
BAND_ROWS = BAND
STRIP = BAND_VECTORS * VECTOR_BYTES
BLOCK_ROWS = BLOCK
BLOCK_WIDTH = WIDTH
PANEL_ROWS = PANEL
PHASE_VECTORS = TOGETHER
DOTS_BESIDE = BESIDE
TABLE_SLACK = AHEAD
MOST_DOWN = DOWN
WHOLE_LINE = WHOLE
MOST_RUN = MAX_ROWS
MOST_TWICE = TWICE_ROWS
WORKER = sizeof(Worker)
FEW = bool(FEW_PAY)
EVERY_OTHER = bool(SPREADS)


def row_tiles(Py_ssize_t columns, int size):
    """The places that Winograd's tiles of a row take, for elements of so many bytes."""
    cdef Py_ssize_t lanes = VECTOR_BYTES // size
    cdef Py_ssize_t quarter = max(lanes // 4, 1)
    if QUARTERS or not is_short(columns, lanes):
        return columns
    return (columns + quarter - 1) // quarter * quarter


def turned_vectors(int height):
    """The vectors of output channels in a register tile of so many positions."""
    return TURNED_VECTORS(height)


def vectors(int height):
    """The vectors of positions in a wide register tile of so many rows."""
    return VECTORS(height)
