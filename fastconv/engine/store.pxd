"""Store: results of a register tile to the output, whatever its strides."""

from fastconv.engine.lay_out cimport copy
from fastconv.engine.multiply cimport multiply_line, multiply_vectors
from fastconv.engine.plan cimport *
from fastconv.engine.simd cimport *


cdef inline void store_panel(
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


cdef inline void multiply_some(
    const char *source, const Py_ssize_t *offsets, const Pass *step, const char *weights,
    const char *bias, char *target, Py_ssize_t pitch, Py_ssize_t vectors, int height,
    real *kind,
) noexcept nogil:
    """So many vectors of positions; some more where the taps are a line, by eights."""
    if not step.line:
        multiply_vectors(source, offsets, step.taps, weights, bias, target, pitch, vectors,
                         height, False, kind)
    elif real is double:
        multiply_line(source + offsets[0], step.taps, weights, bias, target, (vectors + 7) // 8,
                      <vd *> NULL)
    else:
        multiply_line(source + offsets[0], step.taps, weights, bias, target, (vectors + 7) // 8,
                      <vf *> NULL)


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
    cdef Py_ssize_t count, y
    cdef Py_ssize_t run = (8 if step.line else VECTORS(height)) * lanes
    cdef Py_ssize_t whole = 8 * lanes if step.line else lanes
    cdef Py_ssize_t at_most = plan.panel_pitch // <Py_ssize_t> sizeof(real) // run * run
    if step.out_x == sizeof(real) and (
            row_count == 1 or columns == row_length and step.out_y == plan.pitch):
        # The output takes whole vectors as they are; only what is left needs a panel.
        position = positions // whole * whole
        multiply_some(source, offsets, step, weights, bias, out, step.out_channel,
                      position // lanes, height, kind)
    elif step.out_x == sizeof(real) and columns % whole == 0:
        # Rows of whole vectors go to the output one by one.
        for y in range(row_count):
            multiply_some(source + y * plan.pitch, offsets, step, weights, bias,
                          out + y * step.out_y, step.out_channel, columns // lanes, height, kind)
        return
    while position < positions:
        count = min(at_most, positions - position)
        multiply_some(
            source + position * <Py_ssize_t> sizeof(real), offsets, step, weights, bias, panel,
            plan.panel_pitch, (count + lanes - 1) // lanes, height, kind)
        store_panel(
            panel, plan.panel_pitch, height, position, count, row_length, columns, out, step,
            kind)
        position += count
