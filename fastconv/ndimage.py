"""The linear filters of scipy.ndimage: the same names, the same numbers, sooner.

Each function takes what SciPy's takes and returns what it returns; the docstrings tell what is
beyond that and where results may be rounded otherwise. What is not computed here (long doubles,
floats cast to integers, empty arrays), the first call with so few elements that SciPy takes less
time than it takes to plan, and every call that is wrong, are left to SciPy's own function, with its
own messages. A call like one before is known as a whole, and begins at once.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv import correlation, filtering
from fastconv.arrays import recorded
from fastconv.engine._calls import Known, largest_of
from fastconv.engine.threads import get_num_threads
from fastconv.originals import original

__all__ = [
    "correlate", "convolve", "correlate1d", "convolve1d",
    "gaussian_filter", "gaussian_filter1d", "gaussian_laplace", "gaussian_gradient_magnitude",
    "uniform_filter", "uniform_filter1d",
    "prewitt", "sobel", "laplace", "generic_laplace", "generic_gradient_magnitude",
]  # fmt: skip

_Output: TypeAlias = DTypeLike | NDArray[Any] | None
_Mode: TypeAlias = str | Sequence[str]
_Ints: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
_Axes: TypeAlias = SupportsIndex | Iterable[SupportsIndex] | None
_Floats: TypeAlias = float | Sequence[float]
_Derivative: TypeAlias = Callable[..., NDArray[Any]]
#: (axis, weights, what the border adds before and after, border).
_Pass: TypeAlias = tuple[int, NDArray[Any], tuple[int, int], str]
_Key: TypeAlias = tuple[Any, ...] | None

#: SciPy's modes among ours.
_BORDERS = {
    "reflect": "symmetric",
    "grid-mirror": "symmetric",
    "constant": "zeros",
    "grid-constant": "zeros",
    "nearest": "replicate",
    "mirror": "reflect",
    "wrap": "circular",
    "grid-wrap": "circular",
}


# ---- Arguments ----------------------------------------------------------------------
#
# What is None here is left to SciPy.


@dataclass(slots=True)
class _Operation:
    """The input and the output of a call, in a form that is computed with."""

    #: The input, bool as uint8.
    array: NDArray[Any]
    #: What the caller wants: an array, or a new one of a dtype.
    output: NDArray[Any] | None
    target: np.dtype[Any]
    fill: complex
    #: What sums are computed in; None for integers, that depends on how large they are.
    dtype: np.dtype[Any] | None = None
    #: Where the result may be written at once.
    out: NDArray[Any] | None = None
    #: What another call like this one is known by.
    key: _Key = None

    @property
    def stored(self) -> np.dtype[Any]:
        """What sums are cast to, if to integers."""
        return np.dtype(np.uint8) if self.target.kind == "b" else self.target.newbyteorder("=")

    def remember(self, work: Any) -> None:
        """All of this call was such a work of filtering.py: so are others like it."""
        if work.stored != self.target and self.target.kind == "b":
            work = filtering.Cast(work, self.target)
        if self.dtype is None and self.array.itemsize > 2:
            work = filtering.Bounded(work, largest_of(self.array))
        if work.stored == self.target:
            _known.keep(self.key, work)

    def result(self, values: NDArray[Any] | None) -> NDArray[Any] | None:
        """What the caller gets."""
        if values is None or values is self.output:
            return values
        if self.output is None and values.dtype == self.target:
            return values
        with np.errstate(over="ignore", invalid="ignore"):
            if self.output is None:
                return values.astype(self.target)
            np.copyto(self.output, values, casting="unsafe")
        return self.output


#: What calls were.
_known = Known(get_num_threads, recorded)

#: Kinds and sizes of dtypes that are computed with; those with little precision are True.
_INTEGERS = {"?": True, "b": True, "B": True, "h": True, "H": True} | dict.fromkeys("iIlq", False)
_REALS = {"f": True, "d": False}
_COMPLEX = {"F": True, "D": False}
_KNOWN = _INTEGERS | _REALS | _COMPLEX


def _operation(
    array: NDArray[Any],
    output: _Output,
    cval: Any,
    dtype: DTypeLike | None,
    complex_weights: bool = False,
    key: _Key = None,
) -> _Operation | None:
    given = array.dtype
    accumulator = None if dtype is None else np.dtype(dtype)
    if accumulator is not None and accumulator.char not in "fdFD":
        raise TypeError(f"dtype must be float32 or float64, to sum up in, got {accumulator}")
    narrow = _KNOWN.get(given.char)
    if narrow is None or not array.size or not array.ndim:
        return None
    if not given.isnative:
        array = array.astype(given.newbyteorder("="))
        given = array.dtype
    complex_result = complex_weights or given.kind == "c"
    out = None
    if output is None:
        target = np.promote_types(given, np.complex64) if complex_result else given
    elif isinstance(output, type | np.dtype):
        target = np.dtype(output)
    elif isinstance(output, str):
        target = np.dtype(output)
        if target.kind == "b":
            return None
    else:
        out = np.asarray(output)
        target = out.dtype
        if out.shape != array.shape or not out.flags.writeable:
            return None
    if type(cval) is not float:
        if isinstance(cval, complex | np.complexfloating):
            if given.kind != "c":
                return None
            cval = complex(cval)
        elif isinstance(cval, int | float | np.integer | np.floating):
            cval = float(cval)
        else:
            return None
    if cval - cval != 0:
        return None
    # Where float32 would not hold it.
    narrow = narrow and abs(cval) < 1e30
    if given.char == "?":
        array = array.view(np.uint8)
    if target.char in _INTEGERS:
        if given.char not in _INTEGERS or complex_result:
            return None
        return _Operation(array, out, target, cval, key=key)
    if target.char not in (_COMPLEX if complex_result else _REALS):
        return None
    narrow = (narrow and target.char in "fF") if accumulator is None else accumulator.char in "fF"
    made = _Operation(array, out, target, cval, _FLOATS[complex_result, narrow], key=key)
    if (
        out is not None
        and target == made.dtype
        and out.flags.aligned
        and not np.may_share_memory(out, array)
    ):
        made.out = out
    return made


_FLOATS: dict[tuple[bool, bool], np.dtype[Any]] = {
    (False, True): np.dtype(np.float32),
    (False, False): np.dtype(np.float64),
    (True, True): np.dtype(np.complex64),
    (True, False): np.dtype(np.complex128),
}


#: Products that are so few that nothing is to be saved but the time to look at the arguments.
_LITTLE = 1 << 16
#: Below how many elements SciPy takes less time than to plan a call, of floats and of others.
_FEW_FOR_KERNEL, _FEW_OTHERS_FOR_KERNEL = 0, 1200
#: Of arrays beyond three axes, in products.
_FEW_BEYOND_KERNELS = 1 << 17
_FEW_FOR_GAUSSIAN, _FEW_OTHERS_FOR_GAUSSIAN = 0, 2048
_FEW_FOR_DIFFERENCE, _FEW_OTHERS_FOR_DIFFERENCE = 0, 3072
_FEW_FOR_LAPLACE, _FEW_OTHERS_FOR_LAPLACE = 0, 2048
_FEW_OTHERS_FOR_MEAN = 4096
#: The same for a line, in elements, not of floats, times what each takes: its taps and some more.
_FEW_FOR_LINE, _OF_ELEMENT = 45_000, 4


def _few(
    key: _Key,
    input: Any,
    dtype: DTypeLike | None,
    floats: int,
    others: int,
    complex_weights: bool = False,
) -> bool:
    """Whether SciPy is to compute a call of few elements.

    Casts to integers are the same numbers here and there: only the first such call of its kind is
    SciPy's, and all of those that turn out not to be one that can be remembered.
    """
    if dtype is not None or type(input) is not np.ndarray:
        return False
    whole = input.dtype.kind in "iub"
    if input.size >= (others if whole or complex_weights else floats):
        return False
    if key is None or not whole or key[3] not in (None, key[2]):
        return True
    return _known.calls_before(key) != 1


def _few_for_kernel(key: _Key, input: Any, weights: Any, dtype: DTypeLike | None) -> bool:
    if dtype is None and type(input) is np.ndarray and input.ndim > 3:
        return input.size * np.size(weights) < _FEW_BEYOND_KERNELS
    return _few(
        key, input, dtype, _FEW_FOR_KERNEL, _FEW_OTHERS_FOR_KERNEL, np.iscomplexobj(weights)
    )


def _few_for_line(key: _Key, input: Any, weights: Any, dtype: DTypeLike | None) -> bool:
    others = _FEW_FOR_LINE // (np.size(weights) + _OF_ELEMENT)
    return _few(key, input, dtype, 0, others, np.iscomplexobj(weights))


def _axes(axes: _Axes, rank: int) -> tuple[int, ...] | None:
    if axes is None:
        return tuple(range(rank))
    try:
        given = (operator.index(axes),) if np.isscalar(axes) else tuple(map(operator.index, axes))  # type: ignore[arg-type]
    except TypeError:
        return None
    if any(not -rank <= a < rank for a in given):
        return None
    normal = tuple(a % rank for a in given)
    return normal if len(set(normal)) == len(normal) else None


def _each(count: int, *values: Any) -> list[list[Any]] | None:
    """Of each argument one value for each axis, as SciPy reads it."""
    lists = []
    for value in values:
        single = isinstance(value, str) or not np.iterable(value)
        lists.append([value] * count if single else list(value))
    return lists if all(len(each) == count for each in lists) else None


def _border(mode: Any) -> str | None:
    return _BORDERS.get(mode) if isinstance(mode, str) else None


def _pads(taps: int, origin: Any) -> tuple[int, int] | None:
    if type(origin) is not int:
        try:
            origin = operator.index(origin)
        except TypeError:
            return None
    before = taps // 2 + origin
    return (before, taps - 1 - before) if 0 <= before < taps else None


def _axis(axis: Any, rank: int) -> int | None:
    try:
        axis = operator.index(axis)
    except TypeError:
        return None
    return axis % rank if -rank <= axis < rank else None


def _passes(operation: _Operation | None, passes: list[_Pass] | None) -> NDArray[Any] | None:
    """Passes in turn, each cast to the output's dtype if that is of integers."""
    if operation is None or not passes:
        return None
    array = operation.array
    fill = operation.fill if any(border == "zeros" for *_, border in passes) else 0.0
    if operation.dtype is None:
        with np.errstate(invalid="ignore"):
            values = filtering.integer_lines(
                array, passes, operation.stored, fill, operation.remember
            )
    else:
        values = filtering.lines(
            array, passes, operation.dtype, operation.out, fill, operation.remember
        )
    return operation.result(values)


# ---- Kernels and lines -----------------------------------------------------------


def _scipy(name: str, *args: Any, axes: _Axes = None, **kwargs: Any) -> NDArray[Any]:
    """What scipy.ndimage makes of a call; not all of its versions know `axes`."""
    if axes is not None:
        kwargs["axes"] = axes
    result: NDArray[Any] = original("scipy.ndimage", name)(*args, **kwargs)
    return result


def correlate(
    input: ArrayLike,
    weights: ArrayLike,
    output: _Output = None,
    mode: str = "reflect",
    cval: complex = 0.0,
    origin: _Ints = 0,
    *,
    axes: _Axes = None,
    dtype: DTypeLike | None = None,
) -> NDArray[Any]:
    """Correlation with a kernel of any rank, as `scipy.ndimage.correlate`.

    Parameters
    ----------
    input : array_like
        Of any rank.
    weights : array_like
        The kernel, with as many axes as are filtered. It is conjugated if it is complex.
    output : dtype, str or ndarray, optional
        The dtype of the result, or an array of the shape of `input` that it goes to, which may
        share its memory. By default a new array of the dtype of `input`, of complex numbers
        if `weights` are.
    mode : {'reflect', 'constant', 'nearest', 'mirror', 'wrap'}, default 'reflect'
        What is beyond the array: ``d c b a | a b c d | d c b a``, the number `cval`,
        ``a a a a | a b c d | d d d d``, ``d c b | a b c d | c b a`` or
        ``a b c d | a b c d | a b c d``. 'grid-mirror', 'grid-constant' and 'grid-wrap' are
        other names of the first, the second and the last.
    cval : scalar, default 0.0
        What is beyond the array for ``mode='constant'``.
    origin : int or sequence of int, default 0
        How far the window lies to the left of its middle, for each axis.
    axes : int or tuple of int, optional
        The axes to filter along; all by default.
    dtype : dtype, optional
        Beyond SciPy: float32 or float64, to sum up in. By default float32 where the result is
        float32 or complex64 and `input` is that or has integers of 8 or 16 bits, else float64.
        Results of integers are what SciPy's are, whatever it is.

    Returns
    -------
    ndarray
        Of the shape of `input`; `output` if that is an array.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        As SciPy's function; TypeError also if `dtype` is none of the above.

    See Also
    --------
    convolve : The same with the kernel flipped.

    Notes
    -----
    Sums are the same as those of `scipy.ndimage.correlate` but for rounding: within ``2 * (n + 4) *
    eps`` of the sum of the absolute products, n being the number of weights and eps that of the
    dtype summed up in, or relative to the largest sums around where FFTs are faster, as with
    ``method='auto'`` of `fastconv.conv`. Casts to integers give SciPy's numbers. Weights that are
    zero are left out, so that they do not spread NaN; SciPy also leaves out those below 2.2e-16.

    A kernel that is an outer product of lines, to 4 eps of each weight, may be computed as passes
    along the axes.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.ndimage
    >>> image = np.arange(25).reshape(5, 5)
    >>> fastconv.ndimage.correlate(image, [[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    array([[  6,  10,  15,  20,  24],
           [ 26,  30,  35,  40,  44],
           [ 51,  55,  60,  65,  69],
           [ 76,  80,  85,  90,  94],
           [ 96, 100, 105, 110, 114]])
    """
    arguments = mode, cval, origin, axes, dtype
    key, result = _known.again("correlate", input, output, arguments, weights)
    if result is None:
        result = _filtered(key, "correlate", input, weights, output, arguments)
    return result


def convolve(
    input: ArrayLike,
    weights: ArrayLike,
    output: _Output = None,
    mode: str = "reflect",
    cval: complex = 0.0,
    origin: _Ints = 0,
    *,
    axes: _Axes = None,
    dtype: DTypeLike | None = None,
) -> NDArray[Any]:
    """Convolution with a kernel of any rank, as `scipy.ndimage.convolve`.

    Parameters
    ----------
    input : array_like
        Of any rank.
    weights : array_like
        The kernel, with as many axes as are filtered.
    output, mode, cval
        As in `correlate`.
    origin : int or sequence of int, default 0
        How far the window lies to the right of its middle, for each axis.
    axes, dtype
        As in `correlate`.

    Returns
    -------
    ndarray
        Of the shape of `input`; `output` if that is an array.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        As SciPy's function; TypeError also if `dtype` is none of the above.

    See Also
    --------
    correlate : The full description.

    Notes
    -----
    As for `correlate`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.ndimage
    >>> image = np.zeros((3, 4))
    >>> image[1, 1] = 1
    >>> fastconv.ndimage.convolve(image, [[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    array([[1., 2., 3., 0.],
           [4., 5., 6., 0.],
           [7., 8., 9., 0.]])
    """
    arguments = mode, cval, origin, axes, dtype
    key, result = _known.again("convolve", input, output, arguments, weights)
    if result is None:
        result = _filtered(key, "convolve", input, weights, output, arguments)
    return result


def _filtered(
    key: _Key,
    name: str,
    input: ArrayLike,
    weights: ArrayLike,
    output: _Output,
    arguments: tuple[Any, ...],
) -> NDArray[Any]:
    """What SciPy's function of this name makes of the arguments: of mode, cval and so on."""
    result = None
    convolution = name == "convolve"
    mode, cval, origin, axes, dtype = arguments
    if output is axes is dtype is None and type(origin) is int and origin == 0:
        result = _plain(key, input, weights, mode, cval, convolution)
    if result is None and not _few_for_kernel(key, input, weights, dtype):
        result = _by_kernel(key, input, weights, output, arguments, convolution)
    if result is None:
        result = _scipy(name, input, weights, output, mode, cval, origin, axes=axes)
    return result


def _plain(
    key: _Key, input: Any, weights: Any, mode: Any, cval: Any, convolution: bool
) -> NDArray[Any] | None:
    """Little work of the plainest kind at once: what else may be asked for takes longer to see."""
    if (
        key is None
        or type(weights) is not np.ndarray
        or type(cval) is not float
        or input.dtype.char not in _REALS
        or weights.dtype.char not in _REALS
        or not 0 < input.size * weights.size <= _LITTLE
        or input.ndim != weights.ndim
        or not 0 < input.ndim <= 3
        or (border := _border(mode)) is None
        or (border == "zeros" and cval != 0)
        or np.count_nonzero(weights) < weights.size
    ):
        return None
    if convolution:
        weights = weights[(slice(None, None, -1),) * weights.ndim]
        pads = tuple([((k - 1) // 2, k // 2) for k in weights.shape])
    else:
        pads = tuple([(k // 2, (k - 1) // 2) for k in weights.shape])
    if _known.calls_before(key):
        _known.keep(key, filtering.plain(input, weights, pads, border))
    result: NDArray[Any] = correlation.correlate(input, weights, pads, border, dtype=input.dtype)
    return result


def _by_kernel(
    key: _Key,
    input: ArrayLike,
    weights: ArrayLike,
    output: _Output,
    arguments: tuple[Any, ...],
    convolution: bool,
) -> NDArray[Any] | None:
    mode, cval, origin, axes, dtype = arguments
    array, kernel = np.asarray(input), np.asarray(weights)
    border = _border(mode)
    along = _axes(axes, array.ndim)
    if border is None or along is None or not kernel.size or kernel.ndim != len(along):
        return None
    kind = kernel.dtype.kind
    if kind not in "fiubc":
        return None
    operation = _operation(array, output, cval, dtype, kind == "c", key)
    sequences = _each(len(along), origin)
    if operation is None or sequences is None:
        return None
    (origins,) = sequences
    kernel = kernel.astype(np.complex128 if kind == "c" else np.float64, copy=False)
    if len(along) < array.ndim:
        kernel = np.expand_dims(kernel, [a for a in range(array.ndim) if a not in along])
        given = dict(zip(along, origins, strict=True))
        origins = [given.get(a, 0) for a in range(array.ndim)]
    if convolution:
        kernel = kernel[(slice(None, None, -1),) * kernel.ndim]
        try:
            origins = [-o - (k % 2 == 0) for o, k in zip(origins, kernel.shape, strict=True)]
        except TypeError:
            return None
    elif kind == "c":
        kernel = kernel.conj()
    pads = tuple(map(_pads, kernel.shape, origins))
    if None in pads:
        return None
    array, fill = operation.array, operation.fill if border == "zeros" else 0.0
    if operation.dtype is None:
        with np.errstate(invalid="ignore"):
            values = filtering.integer_kernel(
                array, kernel, pads, border, fill, operation.stored, operation.remember
            )
    else:
        values = filtering.kernel(
            array, kernel, pads, border, fill, operation.dtype, operation.out,
            remember=operation.remember,
        )  # fmt: skip
    return operation.result(values)


def correlate1d(
    input: ArrayLike,
    weights: ArrayLike,
    axis: SupportsIndex = -1,
    output: _Output = None,
    mode: str = "reflect",
    cval: complex = 0.0,
    origin: SupportsIndex = 0,
    *,
    dtype: DTypeLike | None = None,
) -> NDArray[Any]:
    """Correlation with a line along one axis, as `scipy.ndimage.correlate1d`.

    Parameters
    ----------
    input : array_like
        Of any rank.
    weights : array_like, shape (k,)
        The line; conjugated if it is complex.
    axis : int, default -1
        The axis to filter along.
    output, mode, cval
        As in `correlate`.
    origin : int, default 0
        How far the window lies to the left of its middle.
    dtype
        As in `correlate`.

    Returns
    -------
    ndarray
        Of the shape of `input`; `output` if that is an array.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        As SciPy's function; TypeError also if `dtype` is none of the above.

    Notes
    -----
    Sums are those of SciPy but for rounding, as with `correlate`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.ndimage
    >>> fastconv.ndimage.correlate1d([2, 8, 0, 4, 1, 9, 9, 0], [1, 3])
    array([ 8, 26,  8, 12,  7, 28, 36,  9])
    """
    key, result = _known.again(
        "correlate1d", input, output, (axis, mode, cval, origin, dtype), weights
    )
    if result is None and not _few_for_line(key, input, weights, dtype):
        line = np.asarray(weights)
        result = _along(key, input, line, axis, output, mode, cval, origin, dtype)
    if result is None:
        result = _scipy("correlate1d", input, weights, axis, output, mode, cval, origin)
    return result


def _along(
    key: _Key,
    input: ArrayLike,
    weights: NDArray[Any],
    axis: Any,
    output: _Output,
    mode: Any,
    cval: Any,
    origin: Any,
    dtype: DTypeLike | None,
) -> NDArray[Any] | None:
    array = np.asarray(input)
    border = _border(mode)
    along = _axis(axis, array.ndim)
    pads = _pads(weights.size, origin)
    kind = weights.dtype.kind
    if border is None or along is None or pads is None or weights.ndim != 1 or kind not in "fiubc":
        return None
    operation = _operation(array, output, cval, dtype, kind == "c", key)
    if kind != "c":
        weights = weights.astype(np.float64, copy=False)
        return _passes(operation, [(along, weights, pads, border)])
    if operation is None:
        return None
    return operation.result(
        correlation.correlate(
            operation.array,
            weights.conj(),
            (pads,),
            border,
            fill=operation.fill,
            axes=(along,),
            dtype=operation.dtype,
            out=operation.out,
        )
    )


def convolve1d(
    input: ArrayLike,
    weights: ArrayLike,
    axis: SupportsIndex = -1,
    output: _Output = None,
    mode: str = "reflect",
    cval: complex = 0.0,
    origin: SupportsIndex = 0,
    *,
    dtype: DTypeLike | None = None,
) -> NDArray[Any]:
    """Convolution with a line along one axis, as `scipy.ndimage.convolve1d`.

    Parameters
    ----------
    input : array_like
        Of any rank.
    weights : array_like, shape (k,)
        The line.
    axis : int, default -1
        The axis to filter along.
    output, mode, cval
        As in `correlate`.
    origin : int, default 0
        How far the window lies to the right of its middle.
    dtype
        As in `correlate`.

    Returns
    -------
    ndarray
        Of the shape of `input`; `output` if that is an array.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        As SciPy's function; TypeError also if `dtype` is none of the above.

    Notes
    -----
    Sums are those of SciPy but for rounding, as with `correlate`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.ndimage
    >>> fastconv.ndimage.convolve1d([2, 8, 0, 4, 1, 9, 9, 0], [1, 3])
    array([14, 24,  4, 13, 12, 36, 27,  0])
    """
    key, result = _known.again(
        "convolve1d", input, output, (axis, mode, cval, origin, dtype), weights
    )
    if result is None and not _few_for_line(key, input, weights, dtype):
        line = np.asarray(weights)
        if line.ndim == 1 and isinstance(origin, int):
            line = line[::-1].conj()
            shift = -origin - (line.size % 2 == 0)
            result = _along(key, input, line, axis, output, mode, cval, shift, dtype)
    if result is None:
        result = _scipy("convolve1d", input, weights, axis, output, mode, cval, origin)
    return result


# ---- Gaussians -------------------------------------------------------------------


def gaussian_filter1d(
    input: ArrayLike,
    sigma: float,
    axis: SupportsIndex = -1,
    order: SupportsIndex = 0,
    output: _Output = None,
    mode: str = "reflect",
    cval: complex = 0.0,
    truncate: float = 4.0,
    *,
    radius: SupportsIndex | None = None,
    dtype: DTypeLike | None = None,
) -> NDArray[Any]:
    """Gaussian filter along one axis, as `scipy.ndimage.gaussian_filter1d`.

    Parameters
    ----------
    input : array_like
        Of any rank.
    sigma : float
        The standard deviation of the Gaussian.
    axis : int, default -1
        The axis to filter along.
    order : int, default 0
        Which derivative of the Gaussian; 0 is itself.
    output, mode, cval
        As in `correlate`.
    truncate : float, default 4.0
        Where the Gaussian ends, in standard deviations.
    radius : int, optional
        Where it ends, in elements; then `truncate` is ignored.
    dtype
        As in `correlate`.

    Returns
    -------
    ndarray
        Of the shape of `input`; `output` if that is an array.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        As SciPy's function; TypeError also if `dtype` is none of the above.

    See Also
    --------
    gaussian_filter : The same along several axes.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.ndimage
    >>> fastconv.ndimage.gaussian_filter1d([1.0, 2.0, 3.0, 4.0, 5.0], 1).round(8)
    array([1.42704095, 2.06782203, 3.        , 3.93217797, 4.57295905])
    """
    key, result = _known.again(
        "gaussian1d", input, output, (sigma, axis, order, mode, cval, truncate, radius, dtype)
    )
    if result is None and not _few(key, input, dtype, _FEW_FOR_GAUSSIAN, _FEW_OTHERS_FOR_GAUSSIAN):
        weights = _gaussian(sigma, order, truncate, radius)
        if weights is not None:
            result = _along(key, input, weights, axis, output, mode, cval, 0, dtype)
    if result is None:
        result = _scipy(
            "gaussian_filter1d",
            input,
            sigma,
            axis,
            order,
            output,
            mode,
            cval,
            truncate,
            radius=radius,
        )
    return result


def _gaussian(sigma: Any, order: Any, truncate: Any, radius: Any) -> NDArray[Any] | None:
    try:
        reach = int(truncate * float(sigma) + 0.5) if radius is None else operator.index(radius)
        order = operator.index(order)
        hash(sigma)
    except (TypeError, ValueError, OverflowError):
        return None
    return filtering.gaussian_weights(sigma, order, reach) if reach >= 0 <= order else None


def gaussian_filter(
    input: ArrayLike,
    sigma: _Floats,
    order: _Ints = 0,
    output: _Output = None,
    mode: _Mode = "reflect",
    cval: complex = 0.0,
    truncate: float = 4.0,
    *,
    radius: _Ints | None = None,
    axes: _Axes = None,
    dtype: DTypeLike | None = None,
) -> NDArray[Any]:
    """Gaussian filter along any axes, as `scipy.ndimage.gaussian_filter`.

    Parameters
    ----------
    input : array_like
        Of any rank.
    sigma : float or sequence of float
        The standard deviation of the Gaussian, for each axis; none is filtered
        along where it is zero.
    order : int or sequence of int, default 0
        Which derivative of the Gaussian, for each axis; 0 is itself.
    output, mode, cval
        As in `correlate`; `mode` may be a sequence, one for each axis.
    truncate : float, default 4.0
        Where the Gaussian ends, in standard deviations.
    radius : int or sequence of int, optional
        Where it ends, in elements; then `truncate` is ignored.
    axes : int or tuple of int, optional
        The axes to filter along; all by default. What is given for each axis is for each of these.
    dtype
        As in `correlate`.

    Returns
    -------
    ndarray
        Of the shape of `input`; `output` if that is an array.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        As SciPy's function; TypeError also if `dtype` is none of the above.

    See Also
    --------
    gaussian_filter1d : The same along one axis.

    Notes
    -----
    A pass along each axis. SciPy keeps what is in between in the dtype of the result; that is so
    here for integers, which get SciPy's numbers, while floats are not rounded there if passes are
    computed as one.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.ndimage
    >>> image = np.arange(50, step=2).reshape(5, 5)
    >>> fastconv.ndimage.gaussian_filter(image, sigma=1)
    array([[ 4,  6,  8,  9, 11],
           [10, 12, 14, 15, 17],
           [20, 22, 24, 25, 27],
           [29, 31, 33, 34, 36],
           [35, 37, 39, 40, 42]])
    """
    key, result = _known.again(
        "gaussian", input, output, (sigma, order, mode, cval, truncate, radius, axes, dtype)
    )
    if result is None and not _few(key, input, dtype, _FEW_FOR_GAUSSIAN, _FEW_OTHERS_FOR_GAUSSIAN):
        array = np.asarray(input)
        along = _axes(axes, array.ndim)
        if along is not None:
            passes = _gaussian_passes(along, truncate, sigma, order, mode, radius)
            if passes:
                result = _passes(_operation(array, output, cval, dtype, key=key), passes)
    if result is None:
        result = _scipy(
            "gaussian_filter",
            input,
            sigma,
            order,
            output,
            mode,
            cval,
            truncate,
            radius=radius,
            axes=axes,
        )
    return result


def _gaussian_passes(along: tuple[int, ...], truncate: Any, *each: Any) -> list[_Pass] | None:
    sequences = _each(len(along), *each)
    if sequences is None:
        return None
    passes = []
    for axis, sigma, order, mode, radius in zip(along, *sequences, strict=True):
        if sigma > 1e-15:
            weights, border = _gaussian(sigma, order, truncate, radius), _border(mode)
            if weights is None or border is None:
                return None
            passes.append((axis, weights, (weights.size // 2,) * 2, border))
    return passes


def gaussian_laplace(
    input: ArrayLike,
    sigma: _Floats,
    output: _Output = None,
    mode: _Mode = "reflect",
    cval: complex = 0.0,
    *,
    axes: _Axes = None,
    dtype: DTypeLike | None = None,
    **kwargs: Any,
) -> NDArray[Any]:
    """Sum of the second derivatives of a Gaussian, as `scipy.ndimage.gaussian_laplace`.

    Parameters
    ----------
    input : array_like
        Of any rank.
    sigma : float or sequence of float
        The standard deviation of the Gaussian, for each axis.
    output, mode, cval
        As in `correlate`; `mode` may be a sequence, one for each axis.
    axes, dtype
        As in `correlate`.
    **kwargs
        Further arguments of `gaussian_filter`.

    Returns
    -------
    ndarray
        Of the shape of `input`; `output` if that is an array.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        As SciPy's function; TypeError also if `dtype` is none of the above.

    See Also
    --------
    gaussian_filter : What it is made of.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.ndimage
    >>> image = np.zeros((5, 5))
    >>> image[2, 2] = 100
    >>> fastconv.ndimage.gaussian_laplace(image, 1).round(1)[2]
    array([  5.5,  -9.6, -31.8,  -9.6,   5.5])
    """
    array = np.asarray(input)
    along = _axes(axes, array.ndim)
    sequences = None if along is None else _each(len(along), sigma)
    if along is None or sequences is None:
        return _scipy("gaussian_laplace", input, sigma, output, mode, cval, axes=axes, **kwargs)
    given = dict(zip(along, *sequences, strict=True))
    sigmas = tuple([given.get(a, 0) for a in range(array.ndim)])

    def derivative(
        input: NDArray[Any], axis: int, output: _Output, mode: str, cval: complex
    ) -> NDArray[Any]:
        order = tuple([2 if a == axis else 0 for a in range(input.ndim)])
        return gaussian_filter(input, sigmas, order, output, mode, cval, dtype=dtype, **kwargs)

    return generic_laplace(array, derivative, output, mode, cval, axes=axes)


def gaussian_gradient_magnitude(
    input: ArrayLike,
    sigma: _Floats,
    output: _Output = None,
    mode: _Mode = "reflect",
    cval: complex = 0.0,
    *,
    axes: _Axes = None,
    dtype: DTypeLike | None = None,
    **kwargs: Any,
) -> NDArray[Any]:
    """Length of the gradient of a Gaussian, as `scipy.ndimage.gaussian_gradient_magnitude`.

    Parameters
    ----------
    input : array_like
        Of any rank.
    sigma : float or sequence of float
        The standard deviation of the Gaussian, for each axis.
    output, mode, cval
        As in `correlate`; `mode` may be a sequence, one for each axis.
    axes, dtype
        As in `correlate`.
    **kwargs
        Further arguments of `gaussian_filter`.

    Returns
    -------
    ndarray
        Of the shape of `input`; `output` if that is an array.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        As SciPy's function; TypeError also if `dtype` is none of the above.

    See Also
    --------
    gaussian_filter : What it is made of.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.ndimage
    >>> image = np.zeros((5, 5))
    >>> image[2, 2] = 100
    >>> fastconv.ndimage.gaussian_gradient_magnitude(image, 1).round(1)[2]
    array([3.8, 9.6, 0. , 9.6, 3.8])
    """

    def derivative(
        input: NDArray[Any], axis: int, output: _Output, mode: str, cval: complex
    ) -> NDArray[Any]:
        order = tuple([1 if a == axis else 0 for a in range(input.ndim)])
        return gaussian_filter(input, sigma, order, output, mode, cval, dtype=dtype, **kwargs)

    return generic_gradient_magnitude(input, derivative, output, mode, cval, axes=axes)


# ---- Boxes -----------------------------------------------------------------------


def uniform_filter1d(
    input: ArrayLike,
    size: SupportsIndex,
    axis: SupportsIndex = -1,
    output: _Output = None,
    mode: str = "reflect",
    cval: complex = 0.0,
    origin: SupportsIndex = 0,
    *,
    dtype: DTypeLike | None = None,
) -> NDArray[Any]:
    """Mean of a window along one axis, as `scipy.ndimage.uniform_filter1d`.

    Parameters
    ----------
    input : array_like
        Of any rank.
    size : int
        Of the window.
    axis : int, default -1
        The axis to filter along.
    output, mode, cval, origin, dtype
        As in `correlate`.

    Returns
    -------
    ndarray
        Of the shape of `input`; `output` if that is an array.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        As SciPy's function; TypeError also if `dtype` is none of the above.

    See Also
    --------
    uniform_filter : The same along several axes.

    Notes
    -----
    Results of floats are those of SciPy but for rounding. Windows of 30 and more, along short
    rows of 16 and more, are running sums in double precision, as all of SciPy's are: errors are
    at most a line's length times 2.3e-16 times its largest element, and the cost does not grow
    with the window. NaN and infinity reach as far as their windows; SciPy's, to the end of the
    line. Casts to integers give SciPy's numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.ndimage
    >>> fastconv.ndimage.uniform_filter1d([2, 8, 0, 4, 1, 9, 9, 0], size=3)
    array([4, 3, 4, 1, 4, 6, 6, 3])
    """
    key, result = _known.again("uniform1d", input, output, (size, axis, mode, cval, origin, dtype))
    if result is None and not _few(key, input, dtype, 0, _FEW_OTHERS_FOR_MEAN):
        array = np.asarray(input)
        along = _axis(axis, array.ndim)
        if along is not None:
            result = _averaged(key, array, (along,), size, output, mode, cval, origin, dtype)
    if result is None:
        result = _scipy("uniform_filter1d", input, size, axis, output, mode, cval, origin)
    return result


def uniform_filter(
    input: ArrayLike,
    size: _Ints = 3,
    output: _Output = None,
    mode: _Mode = "reflect",
    cval: complex = 0.0,
    origin: _Ints = 0,
    *,
    axes: _Axes = None,
    dtype: DTypeLike | None = None,
) -> NDArray[Any]:
    """Mean of a box, as `scipy.ndimage.uniform_filter`.

    Parameters
    ----------
    input : array_like
        Of any rank.
    size : int or sequence of int, default 3
        Of the box, along each axis.
    output, mode, cval, origin
        As in `correlate`; `mode` may be a sequence, one for each axis.
    axes : int or tuple of int, optional
        The axes to filter along; all by default. What is given for each axis is for each of these.
    dtype
        As in `correlate`.

    Returns
    -------
    ndarray
        Of the shape of `input`; `output` if that is an array.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        As SciPy's function; TypeError also if `dtype` is none of the above.

    See Also
    --------
    uniform_filter1d : The same along one axis.

    Notes
    -----
    Results of floats are those of SciPy but for rounding. Windows of 30 and more, of planes or
    along short rows of 16 and more, are running sums in double precision, as all of SciPy's are:
    errors are at most a line's length times 2.3e-16 times its largest element, and the cost does
    not grow with the window. NaN and infinity reach as far as their windows; SciPy's, to the end
    of the line. Casts to integers give SciPy's numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.ndimage
    >>> image = np.arange(12, dtype=np.float32).reshape(3, 4)
    >>> fastconv.ndimage.uniform_filter(image, 2)
    array([[0. , 0.5, 1.5, 2.5],
           [2. , 2.5, 3.5, 4.5],
           [6. , 6.5, 7.5, 8.5]], dtype=float32)
    """
    key, result = _known.again("uniform", input, output, (size, mode, cval, origin, axes, dtype))
    if result is None and not _few(key, input, dtype, 0, _FEW_OTHERS_FOR_MEAN):
        array = np.asarray(input)
        along = _axes(axes, array.ndim)
        if along is not None:
            result = _averaged(key, array, along, size, output, mode, cval, origin, dtype)
    if result is None:
        result = _scipy("uniform_filter", input, size, output, mode, cval, origin, axes=axes)
    return result


def _averaged(
    key: _Key,
    array: NDArray[Any],
    along: tuple[int, ...],
    size: Any,
    output: _Output,
    mode: Any,
    cval: Any,
    origin: Any,
    dtype: DTypeLike | None,
) -> NDArray[Any] | None:
    sequences = _each(len(along), size, origin, mode)
    if sequences is None:
        return None
    passes: list[_Pass] = []
    for axis, taps, shift, each in zip(along, *sequences, strict=True):
        try:
            taps = operator.index(taps)
        except TypeError:
            return None
        pads, border = _pads(taps, shift), _border(each)
        if taps < 1 or pads is None or border is None:
            return None
        if taps > 1:
            passes.append((axis, filtering.box_weights(taps), pads, border))
    operation = _operation(array, output, cval, dtype, key=key)
    if operation is None or operation.dtype is not None or not passes:
        return _passes(operation, passes)
    values = filtering.integer_boxes(
        operation.array, passes, operation.stored, operation.fill, operation.remember
    )
    return operation.result(values)


# ---- Differences -----------------------------------------------------------------


def prewitt(
    input: ArrayLike,
    axis: SupportsIndex = -1,
    output: _Output = None,
    mode: _Mode = "reflect",
    cval: complex = 0.0,
    *,
    dtype: DTypeLike | None = None,
) -> NDArray[Any]:
    """Prewitt's derivative along an axis, as `scipy.ndimage.prewitt`.

    Parameters
    ----------
    input : array_like
        Of any rank.
    axis : int, default -1
        Along which ``[-1, 0, 1]`` is correlated with; ``[1, 1, 1]`` is along all others.
    output, mode, cval, dtype
        As in `correlate`; `mode` may be a sequence, one for each axis.

    Returns
    -------
    ndarray
        Of the shape of `input`; `output` if that is an array.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        As SciPy's function; TypeError also if `dtype` is none of the above.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.ndimage
    >>> image = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 1, 1, 1]])
    >>> fastconv.ndimage.prewitt(image)
    array([[0, 3, 3, 0],
           [1, 3, 2, 0],
           [2, 3, 1, 0]])
    """
    return _edges("prewitt", _PREWITT, input, axis, output, mode, cval, dtype)


_DIFFERENCE = np.array([-1.0, 0.0, 1.0])
_PREWITT = np.array([1.0, 1.0, 1.0])
_SOBEL = np.array([1.0, 2.0, 1.0])


def _edges(
    name: str,
    smooth: NDArray[Any],
    input: ArrayLike,
    axis: Any,
    output: _Output,
    mode: Any,
    cval: Any,
    dtype: DTypeLike | None,
) -> NDArray[Any]:
    """A difference along an axis, smoothed along the others; of SciPy's name."""
    key, result = _known.again(name, input, output, (axis, mode, cval, dtype))
    if result is None and not _few(
        key, input, dtype, _FEW_FOR_DIFFERENCE, _FEW_OTHERS_FOR_DIFFERENCE
    ):
        result = _smoothed_difference(smooth, input, axis, output, mode, cval, dtype, key)
    if result is None:
        result = _scipy(name, input, axis, output, mode, cval)
    return result


def _smoothed_difference(
    smooth: NDArray[Any],
    input: ArrayLike,
    axis: Any,
    output: _Output,
    mode: Any,
    cval: Any,
    dtype: DTypeLike | None,
    key: _Key,
) -> NDArray[Any] | None:
    array = np.asarray(input)
    along = _axis(axis, array.ndim)
    sequences = _each(array.ndim, mode)
    if along is None or sequences is None:
        return None
    (modes,) = sequences
    passes: list[_Pass] = []
    for a in (along, *(a for a in range(array.ndim) if a != along)):
        border = _border(modes[a])
        if border is None:
            return None
        passes.append((a, smooth if passes else _DIFFERENCE, (1, 1), border))
    return _passes(_operation(array, output, cval, dtype, key=key), passes)


def sobel(
    input: ArrayLike,
    axis: SupportsIndex = -1,
    output: _Output = None,
    mode: _Mode = "reflect",
    cval: complex = 0.0,
    *,
    dtype: DTypeLike | None = None,
) -> NDArray[Any]:
    """Sobel's derivative along an axis, as `scipy.ndimage.sobel`.

    Parameters
    ----------
    input : array_like
        Of any rank.
    axis : int, default -1
        Along which ``[-1, 0, 1]`` is correlated with; ``[1, 2, 1]`` is along all others.
    output, mode, cval, dtype
        As in `correlate`; `mode` may be a sequence, one for each axis.

    Returns
    -------
    ndarray
        Of the shape of `input`; `output` if that is an array.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        As SciPy's function; TypeError also if `dtype` is none of the above.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.ndimage
    >>> image = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 1, 1, 1]])
    >>> fastconv.ndimage.sobel(image)
    array([[0, 4, 4, 0],
           [1, 4, 3, 0],
           [3, 4, 1, 0]])
    """
    return _edges("sobel", _SOBEL, input, axis, output, mode, cval, dtype)


def laplace(
    input: ArrayLike,
    output: _Output = None,
    mode: _Mode = "reflect",
    cval: complex = 0.0,
    *,
    axes: _Axes = None,
    dtype: DTypeLike | None = None,
) -> NDArray[Any]:
    """Sum of second differences, as `scipy.ndimage.laplace`.

    Parameters
    ----------
    input : array_like
        Of any rank.
    output, mode, cval, axes, dtype
        As in `correlate`; `mode` may be a sequence, one for each axis.

    Returns
    -------
    ndarray
        Of the shape of `input`; `output` if that is an array.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        As SciPy's function; TypeError also if `dtype` is none of the above.

    See Also
    --------
    generic_laplace : The same with other derivatives.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.ndimage
    >>> image = np.zeros((3, 4))
    >>> image[1, 1] = 1
    >>> fastconv.ndimage.laplace(image)
    array([[ 0.,  1.,  0.,  0.],
           [ 1., -4.,  1.,  0.],
           [ 0.,  1.,  0.,  0.]])
    """
    key, result = _known.again("laplace", input, output, (mode, cval, axes, dtype))
    if result is not None:
        return result
    array = np.asarray(input)
    few = _few(key, input, dtype, _FEW_FOR_LAPLACE, _FEW_OTHERS_FOR_LAPLACE)
    if not few:
        result = _laplace(key, array, output, mode, cval, axes, dtype)
    if few or (result is None and array.dtype == bool):
        result = _scipy("laplace", array, output, mode, cval, axes=axes)
    if result is not None:
        return result

    def derivative(
        input: NDArray[Any], axis: int, output: _Output, mode: str, cval: complex
    ) -> NDArray[Any]:
        return correlate1d(input, (1, -2, 1), axis, output, mode, cval, dtype=dtype)

    return generic_laplace(array, derivative, output, mode, cval, axes=axes)


def _laplace(
    key: _Key,
    array: NDArray[Any],
    output: _Output,
    mode: Any,
    cval: Any,
    axes: Any,
    dtype: DTypeLike | None,
) -> NDArray[Any] | None:
    """All derivatives at once, where all of what SciPy does in between can be left out."""
    along = _axes(axes, array.ndim)
    border = _border(mode)
    if not along or border is None or array.ndim > 3:
        return None
    if isinstance(output, np.ndarray) and np.may_share_memory(output, array):
        # SciPy's second derivative is that of the first, then.
        return None
    operation = _operation(array, output, cval, dtype, key=key)
    if operation is None:
        return None
    # SciPy casts each derivative to integers: the same, if nothing wraps around or all does.
    if operation.dtype is None and (
        (operation.target.kind == "u" and operation.target.itemsize > 2)
        or "b" in (array.dtype.kind, operation.target.kind)
        or operation.fill != round(operation.fill.real)
    ):
        return None
    weights = filtering.laplace_weights(array.ndim, along)
    pads = tuple((1, 1) if a in along else (0, 0) for a in range(array.ndim))
    array, fill = operation.array, operation.fill if border == "zeros" else 0.0
    if operation.dtype is None:
        values = filtering.integer_kernel(
            array, weights, pads, border, fill, operation.stored, operation.remember
        )
    else:
        values = filtering.kernel(
            array, weights, pads, border, fill, operation.dtype, operation.out,
            remember=operation.remember,
        )  # fmt: skip
    return operation.result(values)


def generic_laplace(
    input: ArrayLike,
    derivative2: _Derivative,
    output: _Output = None,
    mode: _Mode = "reflect",
    cval: complex = 0.0,
    extra_arguments: Sequence[Any] = (),
    extra_keywords: Mapping[str, Any] | None = None,
    *,
    axes: _Axes = None,
) -> NDArray[Any]:
    """Sum of second derivatives of one's own, as `scipy.ndimage.generic_laplace`.

    Parameters
    ----------
    input : array_like
        Of any rank.
    derivative2 : callable
        Called as ``derivative2(input, axis, output, mode, cval, *extra_arguments,
        **extra_keywords)`` with arrays, first with an array as `output`, then with a dtype.
    output, mode, cval
        As in `correlate`; `mode` may be a sequence, one for each axis.
    extra_arguments : sequence, default ()
        Further arguments of it.
    extra_keywords : dict, optional
        Further keyword arguments of it.
    axes
        As in `correlate`.

    Returns
    -------
    ndarray
        Of the shape of `input`; `output` if that is an array.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        As SciPy's function.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.ndimage
    >>> image = np.array([[0.0, 0.0, 3.0], [0.0, 0.0, 3.0], [4.0, 4.0, 7.0]])
    >>> fastconv.ndimage.generic_laplace(image, fastconv.ndimage.sobel)
    array([[ 0., 12., 12.],
           [16., 28., 28.],
           [16., 28., 28.]])
    """
    return _derived(
        "generic_laplace", input, derivative2, output, mode, cval, extra_arguments,
        extra_keywords, axes,
    )  # fmt: skip


def generic_gradient_magnitude(
    input: ArrayLike,
    derivative: _Derivative,
    output: _Output = None,
    mode: _Mode = "reflect",
    cval: complex = 0.0,
    extra_arguments: Sequence[Any] = (),
    extra_keywords: Mapping[str, Any] | None = None,
    *,
    axes: _Axes = None,
) -> NDArray[Any]:
    """Length of a gradient of one's own, as `scipy.ndimage.generic_gradient_magnitude`.

    Parameters
    ----------
    input : array_like
        Of any rank.
    derivative : callable
        Called as ``derivative(input, axis, output, mode, cval, *extra_arguments,
        **extra_keywords)`` with arrays, first with an array as `output`, then with a dtype. What it
        returns is changed.
    output, mode, cval
        As in `correlate`; `mode` may be a sequence, one for each axis.
    extra_arguments : sequence, default ()
        Further arguments of it.
    extra_keywords : dict, optional
        Further keyword arguments of it.
    axes
        As in `correlate`.

    Returns
    -------
    ndarray
        Of the shape of `input`; `output` if that is an array.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        As SciPy's function.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.ndimage
    >>> image = np.array([[0.0, 0.0, 3.0], [0.0, 0.0, 3.0], [4.0, 4.0, 7.0]])
    >>> fastconv.ndimage.generic_gradient_magnitude(image, fastconv.ndimage.sobel)
    array([[ 0., 12., 12.],
           [16., 20., 20.],
           [16., 20., 20.]])
    """
    return _derived(
        "generic_gradient_magnitude", input, derivative, output, mode, cval, extra_arguments,
        extra_keywords, axes, squared=True,
    )  # fmt: skip


def _derived(
    name: str,
    input: ArrayLike,
    derivative: _Derivative,
    output: _Output,
    mode: _Mode,
    cval: complex,
    extra_arguments: Sequence[Any],
    extra_keywords: Mapping[str, Any] | None,
    axes: _Axes,
    squared: bool = False,
) -> NDArray[Any]:
    """The sum of derivatives along the axes, or the root of that of their squares."""
    array = np.asarray(input)
    along = _axes(axes, array.ndim)
    sequences = None if along is None else _each(len(along), mode)
    operation = _operation(array, output, 0.0, None)
    if not along or sequences is None or operation is None:
        arguments = input, derivative, output, mode, cval, extra_arguments, extra_keywords
        return _scipy(name, *arguments, axes=axes)
    (modes,) = sequences
    more = extra_keywords or {}
    result = operation.output
    if result is None:
        result = np.zeros(array.shape, operation.target)
    derivative(array, along[0], result, modes[0], cval, *extra_arguments, **more)
    if squared:
        np.multiply(result, result, result)
    for axis, each in zip(along[1:], modes[1:], strict=True):
        part = derivative(array, axis, result.dtype, each, cval, *extra_arguments, **more)
        if squared:
            np.multiply(part, part, part)
        result += part
    if squared:
        np.sqrt(result, result, casting="unsafe")
    return result
