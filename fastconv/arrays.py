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
from fastconv.engine.threads import get_num_threads

_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)
_SUPPORTED = "float32, float64 and integers"

#: Planned calls by their key, oldest first; forgotten all together when there are too many.
_calls = {}
_MOST_CALLS = 1024

#: Where `explain` collects planned calls instead of running them.
recorded: contextvars.ContextVar[list[Call] | None] = contextvars.ContextVar(
    "fastconv_recorded", default=None
)


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
    return _FLOAT64 if dtype.kind in "iu" else dtype


def promoted(arrays):
    """The operands in the one dtype to compute in; those that have it are not copied."""
    dtype = _result_dtype(arrays)
    return {name: np.require(array, dtype, "A") for name, array in arrays.items()}


def _operands(named):
    """Operands by name, their dtype if it is one that kernels compute in, else None."""
    arrays = {}
    dtype = None
    plain = True
    for name, value in named:
        if value is None and name == "bias":
            continue
        if type(value) is not np.ndarray:
            value = as_operand(name, value)
        arrays[name] = value
        if dtype is None:
            dtype = value.dtype
        # An array that owns its memory is aligned; a view may start or step anywhere.
        plain = plain and value.dtype is dtype and (value.base is None or value.flags.aligned)
    return arrays, dtype if plain and (dtype is _FLOAT32 or dtype is _FLOAT64) else None


def _converted(arrays, describe, parameters, out):
    """The operands in the dtype to compute in; everything else is checked before."""
    for name, array in arrays.items():
        as_operand(name, array)
    dtype = _result_dtype(arrays)
    _, shape, _ = describe(arrays, None, *parameters)
    if out is not None:
        _check_out(out, shape, dtype, arrays)
    return promoted(arrays), dtype


def _check_out(out, shape, dtype, arrays):
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, got {type(out).__name__}")
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


class Call:
    """A planned call: what to allocate, what to run."""

    __slots__ = ("dtype", "fill", "plan", "shape")

    def __init__(self, problem, shape, fill, dtype):
        self.dtype = dtype
        self.shape = shape
        self.fill = fill
        self.plan = None
        if problem is not None and 0 not in shape:
            self.plan = engine.plan(problem, get_num_threads())


def call(describe, named, *parameters, out=None) -> NDArray[Any]:
    """Compute what `describe` says of the operands and parameters.

    Parameters
    ----------
    describe : callable
        Of problems.py: checks shapes and values, returns (problem, output shape, fill).
    named : tuple of (name, array_like or None)
        The operands: the input, then weights, then bias.
    *parameters
        What the caller gave, unchecked.
    out : ndarray, optional
        Where the result goes.
    """
    arrays, dtype = _operands(named)
    if dtype is None:
        arrays, dtype = _converted(arrays, describe, parameters, out)
    key = [describe, dtype, get_num_threads()]
    for array in arrays.values():
        key += array.shape, array.strides
    for parameter in parameters:
        # 1, 1.0 and True are equal keys, their texts are not.
        plain = type(parameter) is int or type(parameter) is str
        key.append(parameter if plain else repr(parameter))
    if out is not None:
        key.append((type(out), getattr(out, "strides", None)))
    key = tuple(key)
    planned = _calls.get(key)
    if planned is None:
        planned = _plan(describe, arrays, parameters, out, dtype)
        if len(_calls) >= _MOST_CALLS:
            _calls.clear()
        _calls[key] = planned
    if out is not None:
        _check_out(out, planned.shape, dtype, arrays)
    calls = recorded.get()
    if calls is not None:
        calls.append(planned)
        return np.broadcast_to(np.zeros((), dtype), planned.shape)
    if out is None:
        out = np.empty(planned.shape, dtype)
    if planned.fill:
        bias = arrays.get("bias", np.zeros(1, dtype))
        axis = len(planned.shape) - planned.fill - 1
        out[...] = bias.reshape((1,) * axis + (-1,) + (1,) * planned.fill)
    if planned.plan is not None:
        engine.run(planned.plan, tuple(arrays.values()), out)
    return out


def _plan(describe, arrays, parameters, out, dtype):
    strides = None
    if isinstance(out, np.ndarray):
        strides = out.strides
    problem, shape, fill = describe(arrays, strides, *parameters)
    geometry.check_total(shape, dtype.itemsize)
    if out is not None:
        _check_out(out, shape, dtype, arrays)
    return Call(problem, shape, fill, dtype)
