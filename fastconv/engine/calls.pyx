"""What every call does before its plan is known: arrays are looked at as they lie in C.

A call of a filter that is made again is known as a whole: what it is known by leads to what is run.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.contextvars cimport get_value
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport (
    PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM,
)
cimport numpy as np
from numpy import asarray as np_asarray, empty as np_empty
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

np.import_array()

cdef enum:
    # The most weights by which a call is known, and calls that are.
    MOST_WEIGHTS = 1024
    MOST_CALLS = 1024


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


ctypedef fused wide:
    int32_t
    uint32_t
    int64_t
    uint64_t


cdef extremes(const wide *numbers, Py_ssize_t count):
    cdef wide low = numbers[0]
    cdef wide high = numbers[0]
    cdef Py_ssize_t i
    for i in range(count):
        low = min(low, numbers[i])
        high = max(high, numbers[i])
    return max(-<object> low, <object> high)


def largest_of(np.ndarray array):
    """A bound of the absolute values of integers: that of the dtype, if it is small."""
    cdef Py_ssize_t size = np.PyArray_ITEMSIZE(array)
    cdef bint is_signed = np.PyArray_ISSIGNED(array)
    if size <= 2:
        return 1 << (8 * size - is_signed)
    if not np.PyArray_ISCARRAY_RO(array):
        return max(-int(array.min()), int(array.max()))
    cdef const void *numbers = np.PyArray_DATA(array)
    cdef Py_ssize_t count = np.PyArray_SIZE(array)
    if size == 4 and is_signed:
        return extremes(<const int32_t *> numbers, count)
    if size == 4:
        return extremes(<const uint32_t *> numbers, count)
    if is_signed:
        return extremes(<const int64_t *> numbers, count)
    return extremes(<const uint64_t *> numbers, count)


cdef tuple kinds_of(tuple arguments):
    cdef Py_ssize_t count = PyTuple_GET_SIZE(arguments)
    cdef tuple kinds = PyTuple_New(count)
    cdef Py_ssize_t i
    cdef object kind
    for i in range(count):
        each = <object> PyTuple_GET_ITEM(arguments, i)
        kind = kinds_of(<tuple> each) if type(each) is tuple else type(each)
        Py_INCREF(kind)
        PyTuple_SET_ITEM(kinds, i, kind)
    return kinds


cdef bytes numbers_of(np.ndarray array):
    """The elements, as they follow each other."""
    if not np.PyArray_IS_C_CONTIGUOUS(array):
        return array.tobytes()
    return PyBytes_FromStringAndSize(<char *> np.PyArray_DATA(array), np.PyArray_NBYTES(array))


cdef bytes form_of(np.ndarray array):
    """The dtype, as far as it is one of numbers, and how the array lies."""
    cdef Py_ssize_t i
    cdef int axes = np.PyArray_NDIM(array)
    cdef bytes numbers = PyBytes_FromStringAndSize(NULL, (1 + 2 * axes) * sizeof(Py_ssize_t))
    cdef Py_ssize_t *at = <Py_ssize_t *> PyBytes_AS_STRING(numbers)
    at[0] = np.PyArray_TYPE(array)
    for i in range(axes):
        at[1 + 2 * i] = np.PyArray_DIM(array, i)
        at[2 + 2 * i] = np.PyArray_STRIDE(array, i)
    return numbers


cdef tuple filter_key(name, int threads, input, output, tuple arguments, weights):
    """What the call of a filter is known by; None if it is no plain one."""
    if type(input) is not np.ndarray or not np.PyArray_ISBEHAVED_RO(<np.ndarray> input):
        return None
    out_form = None
    if output is not None:
        if not is_apart(output, (input,)) or not np.PyArray_SAMESHAPE(output, input):
            return None
        if not np.PyArray_IS_C_CONTIGUOUS(<np.ndarray> output):
            return None
        out_form = form_of(<np.ndarray> output)
    if weights is not None:
        if type(weights) is not np.ndarray:
            weights = np_asarray(weights)
        if np.PyArray_SIZE(weights) > MOST_WEIGHTS or not np.PyArray_ISNOTSWAPPED(weights):
            return None
        arguments = (*arguments, form_of(<np.ndarray> weights), numbers_of(<np.ndarray> weights))
    # 1, 1.0 and True are alike, but SciPy does not take each of them.
    return (name, threads, form_of(<np.ndarray> input), out_form, arguments, kinds_of(arguments))


cdef class Again:
    """A call that is made again: what its arrays are like is looked at once.

    `work` has the dtype in which its result is `stored`, and prepared(array, out): a function of
    (array, *weights) and of the output that computes for arrays that lie as these do, and tells by
    False that something is not finite, and those weights. The result has the array's shape if none
    is given.
    """
    cdef object work
    cdef tuple prepared
    cdef tuple shape
    cdef np.dtype stored

    def __init__(self, work, tuple shape=None):
        self.work = work.kept()
        self.prepared = None
        self.stored = work.stored
        self.shape = shape

    cdef run(self, np.ndarray array, out):
        if out is None and self.shape is None:
            out = np.PyArray_EMPTY(
                np.PyArray_NDIM(array), np.PyArray_DIMS(array), self.stored.num, 0)
        elif out is None:
            out = np_empty(self.shape, self.stored)
        if self.prepared is None:
            given = array.view("u1") if np.PyArray_ISBOOL(array) else array
            self.prepared = self.work.prepared(given, out)
        compute, weights = self.prepared
        return None if compute((array, *weights), out) is False else out


cdef class Known:
    """Calls of filters that are made again, by what they are known by.

    `threads` tells how many of them there are to be, and `recorded` is the context's variable that
    is something while calls are not to be computed: then none is known.
    """
    cdef dict calls
    cdef object threads
    cdef object recorded

    def __init__(self, threads, recorded):
        self.calls = {}
        self.threads = threads
        self.recorded = recorded

    def again(self, name, input, output, tuple arguments, weights=None):
        """What a call is known by, or None, and its result if there was one like it.

        It is a plain call, which may be known, if the input is an array in the machine's order of
        bytes, whole elements in memory, and so is the output, of the same shape, contiguous and
        elsewhere, if there is one; and if there are few weights.
        """
        cdef tuple key = filter_key(name, self.threads(), input, output, arguments, weights)
        if key is None:
            return None, None
        try:
            call = self.calls.get(key)
        except TypeError:
            # Not hashable.
            return None, None
        if type(call) is not Again or get_value(self.recorded) is not None:
            return key, None
        return key, (<Again> call).run(input, output)

    def keep(self, key, work, tuple shape=None):
        """Know a call, if it has a key, from now on: it is such a piece of work."""
        if key is not None:
            self.put(key, Again(work, shape))

    def calls_before(self, key):
        """How many calls of that key there were that asked for it; -1 if it is known."""
        before = self.calls.get(key, 0)
        if type(before) is Again:
            return -1
        self.put(key, before + 1)
        return before

    cdef put(self, key, what):
        # Forgotten all together when there are too many.
        if len(self.calls) >= MOST_CALLS:
            self.calls.clear()
        self.calls[key] = what

    def clear(self):
        self.calls.clear()
