"""Swapped passes: vectors run over output channels, the rows of the register tile over positions.

For images so small that their positions would not fill the vectors. They are laid out without
a halo along x, so that positions follow each other in the scratch, whatever the tap.
"""

from libc.string cimport memcpy, memset

from fastconv.engine.lay_out cimport copy
from fastconv.engine.plan cimport *
from fastconv.engine.simd cimport *
from fastconv.engine.weights cimport gather, is_finite, transpose, weights_of


# Positions of a register tile that meet nothing but zeros at a tap.
cdef enum:
    FIRST = 1
    LAST = 2

# Weights to be fetched while others are multiplied: rows of `length` bytes, `pitch` apart.
cdef struct Ahead:
    const char *row
    const char *at
    Py_ssize_t left, length, pitch


cdef inline void multiply_turned(
    const char *source, Py_ssize_t channel, Py_ssize_t channels, const Py_ssize_t *places,
    const char *weights, const Py_ssize_t *columns, const Py_ssize_t *ends, Py_ssize_t taps,
    Py_ssize_t kernel, Ahead *ahead, const char *start, Py_ssize_t start_pitch, char *target,
    vector *_, rows *__,
) noexcept nogil:
    """The register tile: some positions, by some vectors of output channels.

    Sums begin with rows at `start`. A channel has some taps: their positions lie at `places`,
    their weights at `columns`, and `ends` says whether the first or the last position is left
    out; from channel to channel it is `channel` and `kernel` bytes. What is ahead is fetched
    meanwhile, a cache line for each tap.
    """
    cdef vector sums[MAX_ROWS][4]
    cdef vector w[4]
    cdef vector x[1]
    cdef Py_ssize_t _run, _c, t
    cdef const char *at
    cdef const char *weight
    # In registers: a number that waits in memory would take longer than the multiplication.
    cdef const char *soon = ahead.at
    cdef Py_ssize_t left = ahead.left
    cdef Py_ssize_t skip
    cdef int i, j
    for _run in range(1):
        for i in range(<int> sizeof(rows)):
            for j in range(TURNED_VECTORS(sizeof(rows))):
                LOAD(sums[i][j], start + i * start_pitch + j * VECTOR_BYTES)
        for _c in range(channels):
            for t in range(taps):
                at = source + places[t]
                weight = weights + columns[t]
                PREFETCH_FAR(soon)
                soon += VECTOR_BYTES
                for j in range(TURNED_VECTORS(sizeof(rows))):
                    LOAD(w[j], weight + j * VECTOR_BYTES)
                skip = ends[t] if ENDS else 0
                for i in range(<int> sizeof(rows)):
                    if i == 0 and skip & FIRST or i == <int> sizeof(rows) - 1 and skip & LAST:
                        continue
                    BROADCAST(x[0], at + i * LANE_BYTES(x[0]))
                    for j in range(TURNED_VECTORS(sizeof(rows))):
                        if FULL(sizeof(rows)) and j == 3:
                            # Its register has a sum: it is loaded by each multiplication.
                            OPAQUE(weight)
                            LOAD(w[j], weight + j * VECTOR_BYTES)
                        sums[i][j] = sums[i][j] + x[0] * w[j]
            source += channel
            weights += kernel
            left -= taps * VECTOR_BYTES
            if left <= 0:
                ahead.row += ahead.pitch
                left = ahead.length
                soon = ahead.row
        ahead.at = soon
        ahead.left = left
        for i in range(<int> sizeof(rows)):
            for j in range(TURNED_VECTORS(sizeof(rows))):
                STORE(target + (i * TURNED_VECTORS(sizeof(rows)) + j) * VECTOR_BYTES, sums[i][j])


ctypedef void (*turned_t)(
    const char *, Py_ssize_t, Py_ssize_t, const Py_ssize_t *, const char *, const Py_ssize_t *,
    const Py_ssize_t *, Py_ssize_t, Py_ssize_t, Ahead *, const char *, Py_ssize_t, char *, void *,
    void *,
) noexcept nogil


cdef inline turned_t turned_of(Py_ssize_t height, vector *_) noexcept nogil:
    """The register tile of so many positions."""
    if height == 1:
        return <turned_t> multiply_turned[vector, rows1]
    elif height == 2:
        return <turned_t> multiply_turned[vector, rows2]
    elif height == 3:
        return <turned_t> multiply_turned[vector, rows3]
    elif height == 4:
        return <turned_t> multiply_turned[vector, rows4]
    elif height == 5:
        return <turned_t> multiply_turned[vector, rows5]
    elif height == 6:
        return <turned_t> multiply_turned[vector, rows6]
    elif height == 7:
        return <turned_t> multiply_turned[vector, rows7]
    elif height == 8:
        return <turned_t> multiply_turned[vector, rows8]
    elif height == 9:
        return <turned_t> multiply_turned[vector, rows9]
    elif height == 10:
        return <turned_t> multiply_turned[vector, rows10]
    elif height == 11:
        return <turned_t> multiply_turned[vector, rows11]
    elif height == 12:
        return <turned_t> multiply_turned[vector, rows12]
    elif height == 13:
        return <turned_t> multiply_turned[vector, rows13]
    return <turned_t> multiply_turned[vector, rows14]


cdef inline void transpose_spread(
    char *target, Py_ssize_t target_pitch, const char *source, Py_ssize_t source_pitch,
    Py_ssize_t squares, int height, vector *v,
) noexcept nogil:
    """As transpose, to every other place of each row of the target."""
    cdef vector square[MAX_LANES]
    cdef Py_ssize_t _square
    cdef int i
    for _square in range(squares):
        transpose(<char *> square, VECTOR_BYTES, source, source_pitch, 1, height, v)
        for i in range(LANES(square[0])):
            STORE_SPREAD(target + i * target_pitch, square[i], height * LANE_BYTES(square[0]))
        source += VECTOR_BYTES
        target += LANES(square[0]) * target_pitch


cdef inline void store_turned(
    char *out, const char *sums, Py_ssize_t pitch, Py_ssize_t count, Py_ssize_t row_length,
    Py_ssize_t columns, Py_ssize_t width, const Pass *step, real *_,
) noexcept nogil:
    """Rows of positions, some vectors of output channels each, to channels of positions."""
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t lanes = VECTOR_BYTES // size
    cdef Py_ssize_t whole = width // lanes
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t j, k, left
    cdef int height
    cdef char *target
    # Whether positions follow each other in the output. The stride within a row of one may be any.
    cdef bint in_turn = (columns == row_length and step.out_x == size
                         and step.out_y == row_length * size)
    while i < count:
        left = count - i if in_turn else columns - i % row_length
        if left <= 0:
            i += row_length - i % row_length
            continue
        height = <int> min(lanes, left)
        target = out + i // row_length * step.out_y + i % row_length * step.out_x
        j = 0
        if step.out_channel == size:
            for k in range(height):
                copy(target + k * step.out_x, sums + (i + k) * pitch, width * size)
            j = width
        elif SPREADS and step.out_x == 2 * size:
            if real is double:
                transpose_spread(target, step.out_channel, sums + i * pitch, pitch, whole, height,
                                 <vd *> NULL)
            else:
                transpose_spread(target, step.out_channel, sums + i * pitch, pitch, whole, height,
                                 <vf *> NULL)
            j = whole * lanes
        elif step.out_x == size:
            if real is double:
                transpose(target, step.out_channel, sums + i * pitch, pitch, whole, height,
                          <vd *> NULL)
            else:
                transpose(target, step.out_channel, sums + i * pitch, pitch, whole, height,
                          <vf *> NULL)
            j = whole * lanes
        for j in range(j, width):
            for k in range(height):
                (<real *> (target + j * step.out_channel + k * step.out_x))[0] = (
                    <const real *> (sums + (i + k) * pitch))[j]
        i += height


cdef inline bint meets(
    const Py_ssize_t *tap, Py_ssize_t y, Py_ssize_t x, const Plan *plan,
) noexcept nogil:
    """Whether a tap meets the input, not zeros around it, at an output of a plane that it meets."""
    return (0 <= tap[1] + y * plan.stride_y < plan.size_y
            and 0 <= tap[2] + x * plan.stride_x < plan.size_x)


cdef inline Py_ssize_t reaching(
    Py_ssize_t *places, Table table, const Plan *plan, const Pass *step, Py_ssize_t kernel,
    const Tile *tile, Py_ssize_t z, Py_ssize_t first, Py_ssize_t last, Py_ssize_t row_length,
) noexcept nogil:
    """List the taps that meet more than zeros in the rows of a tile's positions first to last.

    Their positions, their weights, and which of these two positions meet nothing but zeros.
    """
    cdef Py_ssize_t first_y = tile.y + first // row_length
    cdef Py_ssize_t last_y = tile.y + last // row_length
    cdef Py_ssize_t first_x = tile.x + first % row_length
    cdef Py_ssize_t last_x = tile.x + last % row_length
    cdef Py_ssize_t end_x = tile.x + tile.rows_x - 1
    cdef const Py_ssize_t *tap = &table[step.coordinates]
    cdef Py_ssize_t count = 0
    cdef Py_ssize_t t
    for t in range(kernel):
        if (0 <= tap[0] + z * plan.stride_z < plan.size_z
                and tap[1] + last_y * plan.stride_y >= 0
                and tap[1] + first_y * plan.stride_y < plan.size_y
                and tap[2] + end_x * plan.stride_x >= 0
                and tap[2] + tile.x * plan.stride_x < plan.size_x):
            places[count] = table[step.offsets + t]
            places[kernel + count] = table[step.column_offsets + t]
            places[2 * kernel + count] = (
                (0 if meets(tap, first_y, first_x, plan) else FIRST)
                + (0 if meets(tap, last_y, last_x, plan) else LAST))
            count += 1
        tap += 3
    return count


cdef inline void run_swapped(
    Memory memory, Memory packed, Py_ssize_t scratch, Table table, const char **operands,
    char *output, Py_ssize_t split, const Plan *plan, const Pass *step, const Tile *tile,
    real *kind,
) noexcept nogil:
    """What a part of the input channels adds, in one tile, to one chunk of the output's.

    Sums wait in the scratch; after the last part they go to the output. Taps that meet nothing
    but zeros in some rows, or at the ends of some positions, are left out there.
    """
    cdef Py_ssize_t size = sizeof(real)
    cdef Py_ssize_t pitch = TURNED_VECTORS(step.height) * VECTOR_BYTES
    cdef Py_ssize_t wide = pitch // size
    cdef Py_ssize_t splits = max(plan.splits, 1)
    cdef Py_ssize_t start = part(split, splits, plan.channels)
    cdef Py_ssize_t channels = part(split + 1, splits, plan.channels) - start
    cdef Py_ssize_t kernel = step.taps // plan.channels
    cdef Py_ssize_t depth = min(tile.rows_z, step.limit_z - tile.z)
    cdef Py_ssize_t rows = min(tile.rows_y, step.limit_y - tile.y)
    cdef Py_ssize_t columns = min(tile.rows_x, step.limit_x - tile.x)
    cdef Py_ssize_t row_length = plan.pitch // size
    cdef Py_ssize_t count = (rows - 1) * row_length + columns
    cdef Py_ssize_t first = part(tile.chunk, plan.chunks, step.blocks)
    cdef Py_ssize_t blocks = (count + step.height - 1) // step.height
    cdef bint even = count > 0 and TURNED_VECTORS(<int> (count // blocks)) * VECTOR_BYTES == pitch
    cdef Py_ssize_t column, m, width, z, block, at, height, taps
    cdef char *bias = &memory[scratch + step.columns]
    cdef Py_ssize_t *listed = <Py_ssize_t *> &memory[scratch + step.positions]
    cdef const Py_ssize_t *places
    cdef bint prepared = (<Worker *> &memory[scratch]).prepared
    cdef bint all_finite, fewer
    cdef const char *weights
    cdef const char *source
    cdef const char *last
    cdef Ahead ahead
    cdef char *sums
    cdef turned_t multiply_positions, multiply_fewer
    if rows <= 0 or columns <= 0:
        return
    # Blocks of two heights that make up all positions or, if these have other vectors, of one.
    height = (count + blocks - 1) // blocks if even else step.height
    if real is double:
        multiply_positions = turned_of(height, <vd *> NULL)
        multiply_fewer = turned_of(height - 1, <vd *> NULL)
    else:
        multiply_positions = turned_of(height, <vf *> NULL)
        multiply_fewer = turned_of(height - 1, <vf *> NULL)
    for column in range(first, part(tile.chunk + 1, plan.chunks, step.blocks)):
        m = column * wide
        width = min(wide, step.channels - m)
        memset(bias, 0, pitch)
        memcpy(bias, &memory[step.bias + (tile.group * step.channels + m) * size], width * size)
        if prepared:
            weights = &packed[step.packed + ((tile.group * step.blocks + column) * step.taps
                                             + start * kernel) * pitch]
            all_finite = step.apart and not packed[step.infinite]
        else:
            weights = bias + pitch
            gather(bias + pitch, pitch, weights_of(operands, step, tile.group, m), table,
                   start * kernel, channels * kernel, step, width, kind)
            all_finite = step.apart and is_finite(
                weights, channels * kernel * pitch // VECTOR_BYTES, kind)
        # The weights of the next column, which may come from afar.
        if prepared:
            ahead.row = weights + step.taps * pitch
            ahead.length = ahead.pitch = channels * kernel * pitch
            last = ahead.row
        else:
            ahead.row = (weights_of(operands, step, tile.group, m + wide)
                         + start * kernel * size)
            ahead.length = channels * kernel * size
            ahead.pitch = step.weight_channel
            last = ahead.row + (wide - 1) * ahead.pitch
        ahead.at = ahead.row
        ahead.left = ahead.length
        for z in range(depth):
            source = &memory[scratch + step.source + z * step.source_z]
            sums = &memory[scratch + step.sums]
            if splits > 1:
                sums += ((column - first) * plan.tile_z + z) * step.sums_pitch
            # From the middle on: there all taps are used, and weights come in as they lie.
            for block in range(blocks):
                at = (block + blocks // 2) % blocks
                fewer = even and part(at + 1, blocks, count) - part(at, blocks, count) < height
                at = part(at, blocks, count) if even else at * height
                places = &table[step.offsets]
                taps = kernel
                if all_finite:
                    taps = reaching(
                        listed, table, plan, step, kernel, tile, tile.z + z, at,
                        min(at + height - fewer, count) - 1, row_length)
                    places = listed
                (multiply_fewer if fewer else multiply_positions)(
                    source + at * size, step.source_channel, channels, places, weights,
                    places + kernel, places + 2 * kernel, taps, kernel * pitch, &ahead,
                    sums + at * pitch if split else bias, pitch if split else 0,
                    sums + at * pitch, NULL, NULL)
                if ahead.row > last:
                    # All of them are here.
                    ahead.row = ahead.at = bias
                    ahead.length = ahead.left = ahead.pitch = 0
            if split + 1 == splits:
                store_turned(
                    output + step.out_offset + tile.image * step.out_image
                    + tile.group * step.out_group + m * step.out_channel
                    + (tile.z + z) * step.out_z + tile.y * step.out_y + tile.x * step.out_x,
                    sums, pitch, count, row_length, columns, width, step, kind)
