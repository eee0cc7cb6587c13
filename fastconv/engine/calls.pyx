"""What every call does before its plan is known: arrays are looked at as they lie in C."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
cimport numpy as np


cdef bint is_key(value) noexcept:
    """Whether a parameter is a key as it is: equal to nothing that means something else."""
    if type(value) is tuple:
        for each in <tuple> value:
            if not is_key(each):
                return False
        return True
    return value is None or type(value) is int or type(value) is str


def key_of(describe, method, int threads, bint packed, tuple parameters, strides, tuple operands):
    """All that the plan of a call depends on, to be looked up by.

    None if the operands must be converted first: plain arrays in the machine's order of bytes,
    whole elements in memory, are what the engine reads, all but the first of one of two dtypes.
    """
    cdef Py_ssize_t size = 2
    cdef Py_ssize_t i
    cdef int given = -1
    cdef int dtype = -1
    cdef np.ndarray array
    for operand in operands:
        if type(operand) is not np.ndarray:
            return None
        array = <np.ndarray> operand
        if not np.PyArray_ISBEHAVED_RO(array):
            return None
        if given < 0:
            given = np.PyArray_TYPE(array)
        elif dtype < 0:
            dtype = np.PyArray_TYPE(array)
            if dtype != np.NPY_FLOAT and dtype != np.NPY_DOUBLE:
                return None
        elif np.PyArray_TYPE(array) != dtype:
            return None
        size += 1 + 2 * np.PyArray_NDIM(array)
    cdef bytes numbers = PyBytes_FromStringAndSize(NULL, size * sizeof(Py_ssize_t))
    cdef Py_ssize_t *at = <Py_ssize_t *> PyBytes_AS_STRING(numbers)
    at[0] = 4 * threads + 2 * packed + (dtype == np.NPY_DOUBLE)
    at[1] = given
    at += 2
    for operand in operands:
        array = <np.ndarray> operand
        at[0] = np.PyArray_NDIM(array)
        for i in range(np.PyArray_NDIM(array)):
            at[1 + 2 * i] = np.PyArray_DIM(array, i)
            at[2 + 2 * i] = np.PyArray_STRIDE(array, i)
        at += 1 + 2 * np.PyArray_NDIM(array)
    # As texts 1, 1.0 and True are different keys.
    return (describe, method, parameters if is_key(parameters) else repr(parameters), strides,
            numbers)


cdef void memory_of(np.ndarray array, const char **first, const char **end) noexcept:
    """Between which addresses the elements lie."""
    cdef Py_ssize_t i, reach
    first[0] = np.PyArray_BYTES(array)
    end[0] = first[0] + np.PyArray_ITEMSIZE(array)
    for i in range(np.PyArray_NDIM(array)):
        reach = (np.PyArray_DIM(array, i) - 1) * np.PyArray_STRIDE(array, i)
        if reach < 0:
            first[0] += reach
        else:
            end[0] += reach


def is_apart(out, tuple operands):
    """Whether results can go to `out` at once: it is plain, and far from all operands."""
    cdef const char *first
    cdef const char *end
    cdef const char *other_first
    cdef const char *other_end
    if type(out) is not np.ndarray or not np.PyArray_ISBEHAVED(out):
        return False
    memory_of(out, &first, &end)
    for operand in operands:
        if type(operand) is not np.ndarray:
            return False
        memory_of(operand, &other_first, &other_end)
        if first < other_end and other_first < end:
            return False
    return True


cdef tuple kinds_of(tuple arguments):
    cdef list kinds = []
    for each in arguments:
        kinds.append(kinds_of(<tuple> each) if type(each) is tuple else type(each))
    return tuple(kinds)


cdef bytes form_of(np.ndarray array, bint contiguous):
    """The dtype, as far as it is one of numbers, something else to be told apart, and the shape."""
    cdef Py_ssize_t i
    cdef int axes = np.PyArray_NDIM(array)
    cdef bytes numbers = PyBytes_FromStringAndSize(NULL, (axes + 1) * sizeof(Py_ssize_t))
    cdef Py_ssize_t *at = <Py_ssize_t *> PyBytes_AS_STRING(numbers)
    at[0] = 2 * np.PyArray_TYPE(array) + contiguous
    for i in range(axes):
        at[1 + i] = np.PyArray_DIM(array, i)
    return numbers


def filter_key(name, input, output, tuple arguments, weights=None):
    """What the call of a filter is known by; None if it is no plain one.

    That is one of a plain array in the machine's order of bytes and of an output, if any, that is
    like it and lies elsewhere. Weights are an array.
    """
    if type(input) is not np.ndarray or not np.PyArray_ISNOTSWAPPED(<np.ndarray> input):
        return None
    cdef bint contiguous = np.PyArray_IS_C_CONTIGUOUS(<np.ndarray> input)
    cdef bytes form = form_of(<np.ndarray> input, contiguous)
    if output is not None and not (
        is_apart(output, (input,))
        and np.PyArray_IS_C_CONTIGUOUS(<np.ndarray> output)
        and form_of(<np.ndarray> output, contiguous) == form
    ):
        return None
    if weights is not None:
        if not np.PyArray_ISNOTSWAPPED(<np.ndarray> weights):
            return None
        arguments = (*arguments, form_of(<np.ndarray> weights, True), weights.tobytes())
    # 1, 1.0 and True are alike, but SciPy does not take each of them.
    return name, form, arguments, kinds_of(arguments)
