"""What the stages of the engine hand to each other."""

from fastconv.engine.simd cimport MAX_ROWS

# The fields of planning.Plan and planning.Pass, in their order.
cdef struct Plan:
    Py_ssize_t passes
    Py_ssize_t images, groups, channels
    Py_ssize_t in_image, in_group, in_channel, in_z, in_y, in_x
    Py_ssize_t size_z, size_y, size_x
    Py_ssize_t border
    Py_ssize_t stride_z, stride_y, stride_x
    Py_ssize_t halo_z, halo_y, halo_x
    Py_ssize_t phases_z, phases_y, phases_x
    Py_ssize_t residues
    Py_ssize_t grid_z, grid_y, grid_x
    Py_ssize_t tile_z, tile_y, tile_x
    Py_ssize_t tiles_z, tiles_y, tiles_x
    Py_ssize_t chunks, splits
    Py_ssize_t pitch, plane, phase, channel
    Py_ssize_t layout, panel, panel_pitch, given, stored
    Py_ssize_t far, flags, scratch, scratch_size

cdef struct Pass:
    Py_ssize_t groups, planes, channels, taps, blocks
    Py_ssize_t operand, weight_outer, weight_inner, weight_channel, weight_input
    Py_ssize_t gather, contiguous, phases
    Py_ssize_t packed, near
    Py_ssize_t bias_operand, bias_stride, bias_each, bias
    Py_ssize_t source, source_group, source_plane, source_z, source_channel, offsets
    Py_ssize_t halo_z, halo_y
    Py_ssize_t target, target_group, target_plane, target_channel, target_z
    Py_ssize_t form, height, positions, columns, column_offsets
    Py_ssize_t reduction, row_tiles, row_pitch, plane_pitch, result_pitch
    Py_ssize_t parts, part_table, listed, apart_y, apart_x
    Py_ssize_t strips, strip_count
    Py_ssize_t kernel, first_y, first_x, line, by_rows, shift
    Py_ssize_t sums, sums_pitch, apart, most, coordinates, infinite
    Py_ssize_t out_offset, out_image, out_group, out_inner, out_channel, out_z, out_y, out_x
    Py_ssize_t limit_z, limit_y, limit_x

# A strip: taps that lie side by side in one row of the scratch, and what they are to the
# rows first .. last of a band. The weight of row r is `weight` - (r - first) * `step`.
cdef struct Strip:
    Py_ssize_t first, last, taps, offsets, weight, step

# The tile that a thread is at: its origin, its extent and what it belongs to.
cdef struct Tile:
    Py_ssize_t image, group, chunk
    Py_ssize_t z, y, x
    Py_ssize_t rows_z, rows_y, rows_x

# What a thread will read next: cache lines along rows, `height` of each channel; channels are
# `channel` bytes apart. The next line is `at`, so many of its row are left, and rows after it.
# And so many bytes from the weights of a tap are those to be fetched beside it.
cdef struct Upcoming:
    const char *at
    const char *start
    Py_ssize_t left, lines, rows, y, height, row, channel, weights

# The vectors of a tile, as a register tile loads them: where they are to be kept or, again, are;
# then offsets from tap to tap.
cdef struct Kept:
    char *vectors
    const Py_ssize_t *offsets
    bint again

# At the start of each thread's scratch; place -1: nothing laid out yet. Prepared: the weights
# were packed before the call. Next: of the thread's tasks, the first that nobody has taken.
cdef struct Worker:
    bint prepared
    Py_ssize_t place
    Py_ssize_t next
    Tile tile
    Upcoming upcoming
    double zeros[MAX_ROWS]

# How a pass computes.
cdef enum:
    DIRECT, SWAPPED, POINTWISE, FILTER, SEPARABLE, WINOGRAD, INTERLEAVED, DOTS, APART

cdef enum:
    ZEROS, REFLECT, REPLICATE, CIRCULAR, SYMMETRIC

# What the input and the output are arrays of.
cdef enum:
    INT8, UINT8, INT16, UINT16, INT32, UINT32, INT64, UINT64, FLOAT32, FLOAT64

ctypedef fused real:
    float
    double

ctypedef fused number:
    signed char
    unsigned char
    short
    unsigned short
    int
    unsigned int
    long long
    unsigned long long
    float
    double

# Views, so that a checked build (FASTCONV_DEBUG) finds an offset that is out of bounds.
ctypedef const Py_ssize_t[::1] Table
ctypedef char[::1] Memory


cdef inline Py_ssize_t part(Py_ssize_t index, Py_ssize_t parts, Py_ssize_t whole) noexcept nogil:
    """Where part `index` of an even division starts."""
    return index * whole // parts
