"""The boundary: arrays are checked once here, calls are planned once here.

Every public function hands its operands to `call` together with a function of problems.py
that describes them. What depends on shapes, strides, dtypes and parameters alone is kept,
so a repeated call costs a look-up, one allocation and the computation.
"""

from __future__ import annotations

import contextvars
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import engine, geometry
from fastconv.engine._calls import is_apart, key_of
from fastconv.engine.packed import PackedWeight
from fastconv.engine.threads import get_num_threads

_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)
_SUPPORTED = "float32, float64 and integers"

#: Planned calls by their key, and what of others was checked; forgotten all together when there are
#: too many.
_calls = {}
_MOST_CALLS = 1024

#: Where `explain` collects planned calls instead of running them.
recorded: contextvars.ContextVar[list[Call] | None] = contextvars.ContextVar(
    "fastconv_recorded", default=None
)


class Unasked:
    """The direct method where nobody asked for it, and why it is that."""

    def __init__(self, why: str):
        self.why = why


ONLY = Unasked("there is no other method")
EXACT = Unasked("sums of integers stay exact")


def as_array(name: str, value: Any) -> NDArray[Any]:
    """`value` as an ndarray that shares its memory where it can."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; fill it first, its mask would be ignored")
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    if not hasattr(value, "__array__") and hasattr(value, "__dlpack__"):
        return np.from_dlpack(value)
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} cannot be made an array: {error}") from None


def as_operand(name, value):
    """`value` as an ndarray of a dtype that can be computed with."""
    if value is None:
        raise TypeError(f"{name} must be an array of {_SUPPORTED}, got None")
    array = as_array(name, value)
    dtype = array.dtype
    if dtype.kind not in "iu" and dtype.newbyteorder("=") not in (_FLOAT32, _FLOAT64):
        raise TypeError(f"{name} has dtype {dtype}, expected one of {_SUPPORTED}")
    return array


def _result_dtype(arrays):
    """The dtype to compute in: NumPy's promotion, and float64 if that is an integer."""
    dtype = np.result_type(*(array.dtype for array in arrays.values())).newbyteorder("=")
    return _FLOAT32 if dtype == _FLOAT32 else _FLOAT64


def promoted(arrays, dtype=None):
    """The operands as the engine reads them, in the dtype to compute in.

    Those that are so are not copied, nor is the first one, the input, if it is converted as it
    is read.
    """
    if dtype is None:
        dtype = _result_dtype(arrays)
    first = next(iter(arrays))
    return {
        name: array
        if name == first and array.flags.aligned and engine.converts(array.dtype)
        else np.require(array, dtype, "A")
        for name, array in arrays.items()
    }


def _strides_of(out):
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, got {type(out).__name__}")
    return out.strides


def _check_out(out, shape, dtype, arrays):
    if out.dtype != dtype:
        raise TypeError(f"out has dtype {out.dtype}, expected {dtype}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, expected {shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only, expected a writeable array")
    if not out.flags.aligned:
        raise ValueError("out is not aligned, expected an array of whole elements in memory")
    extent = sorted(
        (abs(stride), size) for stride, size in zip(out.strides, shape, strict=True) if size > 1
    )
    reach = out.itemsize
    for stride, size in extent:
        if stride < reach and out.size:
            raise ValueError(f"out overlaps itself: shape {out.shape}, strides {out.strides}")
        reach = stride * (size - 1) + reach
    for name, array in arrays.items():
        if _shares_memory(out, array):
            raise ValueError(f"out overlaps {name}, expected memory of its own")


def _shares_memory(a, b):
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=10**5)
    except np.exceptions.TooHardError:
        return True


def _check_method(problem, method):
    if not isinstance(method, Unasked):
        engine.check(problem, method)


def _stored(problem, dtype):
    """The dtype of the output: that which is computed in, unless the problem has another one."""
    return dtype if problem is None or problem.stored == problem.dtype else problem.stored


class Call:
    """A planned call: what to allocate, what to run, and the method that was wanted."""

    __slots__ = ("dtype", "fill", "method", "planned", "run", "run_packed", "shape", "stored")

    def __init__(self, problem, shape, fill, dtype, method, packed):
        self.dtype = dtype
        self.stored = _stored(problem, dtype)
        self.shape = shape
        self.fill = fill
        self.method = method
        self.planned = self.run = self.run_packed = None
        if problem is not None and 0 not in shape:
            wanted = "direct" if isinstance(method, Unasked) else method
            self.planned = engine.Planned(problem, wanted, get_num_threads(), packed)
            self.run = self.planned.run
            if self.planned.key is not None:
                self.run_packed = self.planned.run_packed


def call(describe, names, operands, parameters, out=None, method=ONLY, dtype=None) -> NDArray[Any]:
    """Compute what `describe` says of the operands and parameters.

    Parameters
    ----------
    describe : callable
        Of problems.py: checks shapes and values, returns (problem, output shape, fill).
    names : tuple of str
        What the operands are called: the input, then weights, last the bias.
    operands : tuple of array_like
        The operands; None for the bias if there is none.
    parameters : tuple
        What the caller gave, unchecked.
    out : ndarray, optional
        Where the result goes.
    method : str, optional
        What the caller gave, unchecked, if there is a choice.
    dtype : dtype, optional
        To compute in, which all operands but the first have; if it is not what they promote to.
    """
    if operands[-1] is None:
        operands = operands[:-1]
    packed = None
    weight = operands[1]
    if type(weight) is PackedWeight:
        if len(names) == 3:
            packed = (weight,)
            operands = (operands[0], weight._array, *operands[2:])
        else:
            operands, packed = _unpacked(names, operands)
    # What follows is most of the time of the smallest calls: one look-up for plain arrays.
    if type(method) is not str:
        _check_method(None, method)
    strides = None if out is None else _strides_of(out)
    key = key_of(
        describe, method, get_num_threads(), packed is not None, parameters, strides, operands
    )
    planned = None if key is None else _calls.get(key)
    if planned is None:
        operands, planned = _planned(
            describe, names, operands, parameters, out, method, packed is not None, dtype
        )
    if packed and planned.dtype != weight._array.dtype:
        raise TypeError(
            f"the weight is packed for {weight.dtype}, the call would compute in {planned.dtype}"
        )
    if out is not None and not (
        out.shape == planned.shape and out.dtype == planned.stored and is_apart(out, operands)
    ):
        _check_out(out, planned.shape, planned.stored, dict(zip(names, operands, strict=False)))
    calls = recorded.get()
    if calls is not None:
        calls.append(planned)
        return np.broadcast_to(np.zeros((), planned.stored), planned.shape)
    if out is None:
        out = np.empty(planned.shape, planned.stored)
    if planned.fill:
        bias = operands[-1] if len(operands) == len(names) else np.zeros(1, planned.dtype)
        axis = len(planned.shape) - planned.fill - 1
        out[...] = bias.reshape((1,) * axis + (-1,) + (1,) * planned.fill)
    if planned.run is not None:
        if packed and planned.run_packed is not None:
            planned.run_packed(operands, out, packed)
        else:
            planned.run(operands, out)
    return out


def prepared(describe, names, operands, parameters, out, method=ONLY, dtype=None):
    """What `call` runs for memory that lies as these do: a function of operands and `out`.

    None if there is more to it.
    """
    if operands[-1] is None:
        operands = operands[:-1]
    given, planned = _planned(describe, names, operands, parameters, out, method, False, dtype)
    plain = given[0] is operands[0] and not planned.fill and planned.planned is not None
    return planned.run if plain and planned.planned.as_it_lies else None


def _unpacked(names, operands):
    """The operands without packed ones, and those if they are all of the weights."""
    packed = tuple(operand for operand in operands if type(operand) is PackedWeight)
    if len({operand.dtype for operand in packed}) > 1:
        raise TypeError("the weights are packed for different dtypes")
    arrays = tuple(
        operand.array if type(operand) is PackedWeight else operand for operand in operands
    )
    return arrays, packed if len(packed) == len(names) - 2 else None


def _planned(describe, names, operands, parameters, out, method, packed, dtype):
    """The operands as plain arrays that the engine reads, and the call planned for such."""
    named = zip(names, operands, strict=False)
    arrays = {name: as_operand(name, value) for name, value in named}
    if dtype is None:
        dtype = _result_dtype(arrays)
    if not all(array.dtype == dtype and array.flags.aligned for array in arrays.values()):
        # Everything is checked before anything is converted.
        _check(describe, arrays, parameters, out, method, dtype)
        if method == "auto" and all(array.dtype.kind in "iu" for array in arrays.values()):
            method = EXACT
        arrays = promoted(arrays, dtype)
    operands = tuple(arrays.values())
    strides = None if out is None else out.strides
    key = key_of(describe, method, get_num_threads(), packed, parameters, strides, operands)
    planned = _calls.get(key)
    if planned is None:
        problem, shape, fill = describe(arrays, strides, *parameters)
        geometry.check_total(shape, dtype.itemsize)
        _check_method(problem, method)
        if out is not None:
            _check_out(out, shape, _stored(problem, dtype), arrays)
        planned = Call(problem, shape, fill, dtype, method, packed)
        _remember(key, planned)
    return operands, planned


def _check(describe, arrays, parameters, out, method, dtype):
    """Whether the operands, which are not of that dtype yet, can be computed with.

    A description takes longer than little work: what it says of the output is remembered.
    """
    kinds = tuple((array.shape, array.dtype) for array in arrays.values())
    key = (describe, method, repr(parameters), dtype, kinds)
    found = _calls.get(key)
    if found is None:
        problem, shape, _ = describe(arrays, None, *parameters)
        _check_method(problem, method)
        found = shape, _stored(problem, dtype)
        _remember(key, found)
    if out is not None:
        _check_out(out, *found, arrays)


def _remember(key, found):
    if len(_calls) >= _MOST_CALLS:
        _calls.clear()
    _calls[key] = found
