"""Store: results of a register tile to the output, whatever its strides."""

from fastconv.engine.lay_out cimport copy
from fastconv.engine.multiply cimport is_few, multiply_bands, multiply_line, multiply_positions
from fastconv.engine.plan cimport *
from fastconv.engine.simd cimport *


cdef inline bint is_stored(const Plan *plan, real *_) noexcept nogil:
    """Whether the output has the type that is computed in."""
    if real is double:
        return plan.stored == FLOAT64
    return plan.stored == FLOAT32


cdef inline number cut_off(real x, number *_) noexcept nogil:
    """By way of a type that has all the values, and that vectors can be converted to."""
    if number is float or number is double:
        return <number> x
    if sizeof(number) <= 2:
        return <number> <int> x
    if sizeof(number) == 4:
        return <number> <long long> x
    return <number> x


cdef inline void spread(
    char *target, const char *source, Py_ssize_t count, vector *_,
) noexcept nogil:
    """So many bytes to every other place of the output."""
    cdef vector x[1]
    while count >= VECTOR_BYTES:
        LOAD(x[0], source)
        STORE_SPREAD(target, x[0], VECTOR_BYTES)
        source += VECTOR_BYTES
        target += 2 * VECTOR_BYTES
        count -= VECTOR_BYTES
    if count > 0:
        LOAD_PART(x[0], source, count)
        STORE_SPREAD(target, x[0], count)


cdef inline void convert(
    char *target, Py_ssize_t stride, const char *source, Py_ssize_t count, number *_, real *__,
) noexcept nogil:
    """Numbers side by side, cut off to another type as by C: NumPy's way, too."""
    cdef Py_ssize_t i
    cdef const real *x = <const real *> source
    cdef number *row = <number *> target
    if stride != sizeof(number):
        if SPREADS and stride == 2 * sizeof(number):
            if number is float and real is float:
                spread(target, source, count * sizeof(float), <vf *> NULL)
                return
            elif number is double and real is double:
                spread(target, source, count * sizeof(double), <vd *> NULL)
                return
        for i in range(count):
            (<number *> (target + i * stride))[0] = cut_off(x[i], row)
        return
    for i in range(count):
        row[i] = cut_off(x[i], row)


cdef inline void store_numbers(
    char *target, Py_ssize_t stride, const char *source, Py_ssize_t count, Py_ssize_t stored,
    real *kind,
) noexcept nogil:
    """Results side by side to the output, in the type that it has."""
    if stored == FLOAT32:
        convert(target, stride, source, count, <float *> NULL, kind)
    elif stored == FLOAT64:
        convert(target, stride, source, count, <double *> NULL, kind)
    elif stored == UINT8:
        convert(target, stride, source, count, <unsigned char *> NULL, kind)
    elif stored == INT8:
        convert(target, stride, source, count, <signed char *> NULL, kind)
    elif stored == UINT16:
        convert(target, stride, source, count, <unsigned short *> NULL, kind)
    elif stored == INT16:
        convert(target, stride, source, count, <short *> NULL, kind)
    elif stored == UINT32:
        convert(target, stride, source, count, <unsigned int *> NULL, kind)
    elif stored == INT32:
        convert(target, stride, source, count, <int *> NULL, kind)
    elif stored == UINT64:
        convert(target, stride, source, count, <unsigned long long *> NULL, kind)
    elif stored == INT64:
        convert(target, stride, source, count, <long long *> NULL, kind)


ctypedef void (*store_t)(
    char *, Py_ssize_t, const char *, Py_ssize_t, Py_ssize_t, const void *,
) noexcept nogil


cdef inline void store_row(
    char *target, Py_ssize_t stride, const char *source, Py_ssize_t count, Py_ssize_t stored,
    real *kind,
) noexcept nogil:
    """The same, not inlined."""
    cdef store_t store_out_of_line = <store_t> store_numbers[real]
    OPAQUE(store_out_of_line)
    store_out_of_line(target, stride, source, count, stored, kind)


cdef inline void store_panel(
    const char *panel, Py_ssize_t panel_pitch, int height, Py_ssize_t position,
    Py_ssize_t count, Py_ssize_t row_length, Py_ssize_t columns, char *out, const Plan *plan,
    const Pass *step, real *kind,
) noexcept nogil:
    """Positions position .. position + count of some rows of the result, to the output."""
    cdef Py_ssize_t y = position // row_length
    cdef Py_ssize_t x = position % row_length
    cdef Py_ssize_t done = 0
    cdef Py_ssize_t length
    cdef const char *source
    cdef char *target
    cdef int i
    cdef bint whole = is_stored(plan, kind) and step.out_x == sizeof(real)
    while done < count:
        length = min(columns - x, count - done)
        if length > 0:
            for i in range(height):
                target = out + i * step.out_channel + y * step.out_y + x * step.out_x
                source = panel + i * panel_pitch + done * <Py_ssize_t> sizeof(real)
                if whole:
                    copy(target, source, length * <Py_ssize_t> sizeof(real))
                else:
                    store_row(target, step.out_x, source, length, plan.stored, kind)
        done += row_length - x
        x = 0
        y += 1


cdef inline Py_ssize_t bands_to_output(
    const char *source, Table table, const Pass *step, const char *weights, const char *bias,
    char *out, char *panel, Py_ssize_t row_count, Py_ssize_t columns, const Plan *plan, real *kind,
) noexcept nogil:
    """As multiply_bands, to an output of any type: returns the rows done."""
    cdef Py_ssize_t valid = columns * <Py_ssize_t> sizeof(real)
    cdef Py_ssize_t row = 0
    cdef Py_ssize_t at
    if is_stored(plan, kind):
        return multiply_bands(source, table, step, weights, bias, out, step.out_y, row_count,
                              valid, plan.pitch, kind)
    if row_count < BAND:
        return 0
    while row < row_count:
        # The last band covers some rows again.
        at = min(row, row_count - BAND)
        multiply_bands(source + at * plan.pitch, table, step, weights, bias, panel, valid, BAND,
                       valid, plan.pitch, kind)
        store_panel(panel, 0, 1, 0, BAND * columns, columns, columns, out + at * step.out_y, plan,
                    step, kind)
        row += BAND
    return row_count


cdef inline void multiply_some(
    const char *source, const Py_ssize_t *offsets, const Pass *step, const char *weights,
    const char *bias, char *target, Py_ssize_t pitch, Py_ssize_t count, int height,
    Upcoming *upcoming, real *kind,
) noexcept nogil:
    """So many positions."""
    cdef Py_ssize_t bytes = count * sizeof(real)
    if not step.line:
        multiply_positions(source, offsets, step.taps, weights, bias, target, pitch, count,
                           height, False, upcoming, NULL, kind)
    elif real is double:
        multiply_line(source + offsets[0], step.taps, weights, bias, target, bytes, <vd *> NULL)
    else:
        multiply_line(source + offsets[0], step.taps, weights, bias, target, bytes, <vf *> NULL)


cdef inline void multiply_to_output(
    const char *source, const Py_ssize_t *offsets, const char *weights, const char *bias,
    char *out, char *panel, int height, Py_ssize_t row_count, Py_ssize_t columns,
    const Plan *plan, const Pass *step, Upcoming *upcoming, real *kind,
) noexcept nogil:
    """The rows of one z of a tile, for one block of output channels."""
    cdef Py_ssize_t lanes = VECTOR_BYTES // <Py_ssize_t> sizeof(real)
    cdef Py_ssize_t row_length = plan.pitch // <Py_ssize_t> sizeof(real)
    cdef Py_ssize_t positions = (row_count - 1) * row_length + columns
    cdef Py_ssize_t position = 0
    cdef Py_ssize_t count, y
    cdef Py_ssize_t run = (8 if step.line else VECTORS(height)) * lanes
    cdef Py_ssize_t at_most = plan.panel_pitch // <Py_ssize_t> sizeof(real) // run * run
    cdef bint in_place = is_stored(plan, kind) and step.out_x == sizeof(real)
    if in_place and (
            row_count == 1 or columns == row_length and step.out_y == plan.pitch):
        # The output takes whole vectors as they are; only what is left may need a panel.
        position = positions // lanes * lanes
        if step.line or is_few(positions - position, height, kind):
            position = positions
        multiply_some(source, offsets, step, weights, bias, out, step.out_channel, position,
                      height, upcoming, kind)
    elif in_place and (step.line or step.by_rows and columns % lanes == 0):
        # Rows of whole vectors, or those of a line of taps, go to the output one by one.
        for y in range(row_count):
            multiply_some(source + y * plan.pitch, offsets, step, weights, bias,
                          out + y * step.out_y, step.out_channel, columns, height, upcoming,
                          kind)
        return
    while position < positions:
        count = min(at_most, positions - position)
        multiply_some(
            source + position * <Py_ssize_t> sizeof(real), offsets, step, weights, bias, panel,
            plan.panel_pitch, count, height, upcoming, kind)
        store_panel(
            panel, plan.panel_pitch, height, position, count, row_length, columns, out, plan,
            step, kind)
        position += count
