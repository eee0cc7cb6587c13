"""SciPy's `scipy.signal`, as far as it convolves, on fastconv's engine.

Same names, arguments, dtypes and exceptions, the same values within rounding. What is not
for the engine (empty arrays, objects, long double, arguments that are wrong) goes to SciPy.

=======================================  ==================================================
correlate, convolve                      any rank, directly or by FFT, whichever is faster
correlation_lags, choose_conv_method     which shifts, which method
fftconvolve, oaconvolve                  the same along some axes
correlate2d, convolve2d                  with borders that wrap or mirror
sepfir2d                                 a column and a row, mirrored borders
upfirdn, resample_poly                   other sampling rates
savgol_filter                            polynomials fitted to a moving window
=======================================  ==================================================

Rounding errors of direct sums are those of `fastconv.conv`: relative to each element's own
terms. FFTs, which large kernels take, have errors relative to the largest ones around. Sums
of integers are exact and wrap in their dtype. NaN and infinity reach as far as they do in
direct sums, whichever method was chosen.
"""

from __future__ import annotations

import functools
import math
import operator
import timeit
import warnings
from collections.abc import Sequence
from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv import correlation, filtering, sums
from fastconv.arrays import recorded
from fastconv.engine._calls import Known
from fastconv.engine.threads import get_num_threads
from fastconv.originals import array_of, scipy_signal
from fastconv.resampling import resample_poly, savgol_filter, sepfir2d, upfirdn

__all__ = [
    "choose_conv_method", "convolve", "convolve2d", "correlate", "correlate2d",
    "correlation_lags", "fftconvolve", "oaconvolve", "resample_poly", "savgol_filter",
    "sepfir2d", "upfirdn",
]  # fmt: skip

Mode: TypeAlias = Literal["full", "same", "valid"]
SignalMethod: TypeAlias = Literal["auto", "direct", "fft"]
Boundary: TypeAlias = Literal["fill", "wrap", "symm"]
Axes: TypeAlias = SupportsIndex | Sequence[SupportsIndex]


# ---- What is wanted, and of what ----------------------------------------------------

_MODES = ("full", "same", "valid")
_METHODS = ("auto", "direct", "fft")
#: What is computed here, by `dtype.char`: float16 in float32, integers exactly.
_KNOWN = sums.FLOATS + "e?bBhHiIlLqQ"


def _usable(a: Any, b: Any) -> bool:
    """Whether both are arrays of the same rank, and hold something."""
    return bool(
        a is not None and b is not None and a.ndim == b.ndim and a.ndim and a.size and b.size
    )


def _scipy(name: str, *arguments: Any, **beyond: Any) -> NDArray[Any]:
    """What SciPy makes of a call that is not for us: its result, or its exception."""
    result = scipy_signal(name, *arguments)
    given = [key for key, value in beyond.items() if value is not None]
    if given:
        raise TypeError(
            f"{' and '.join(given)}: only for arrays of numbers up to complex128 that have "
            "elements and axes"
        )
    return result


def _accumulator(natural: Any, dtype: Any) -> Any:
    """The dtype asked for, if numbers of the natural one may become such."""
    if dtype is None:
        return natural
    dtype = np.dtype(dtype).newbyteorder("=")
    if dtype.char not in _KNOWN:
        raise TypeError(f"dtype must be of integers, float16 to complex128, or bool, got {dtype}")
    if not np.can_cast(natural, dtype, "same_kind"):
        raise TypeError(f"dtype {dtype} cannot hold a result of {natural}")
    return dtype


def _axes_of(axes: Any, rank: int) -> tuple[int, ...]:
    """Axes as the user gave them, none negative, in order."""
    if not (chosen := np.lib.array_utils.normalize_axis_tuple(axes, rank)):
        raise ValueError("when provided, axes cannot be empty")
    return tuple(sorted(chosen))


def _check_out(out: Any, shape: tuple[int, ...], dtype: Any) -> None:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, got {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, expected {shape}")
    if not np.can_cast(dtype, out.dtype, "same_kind"):
        raise TypeError(f"out has dtype {out.dtype}, the result is {dtype}")
    if not out.flags.writeable:
        raise ValueError("out is read-only, expected a writeable array")


#: Products that are so few that nothing is to be saved but the time to look at the arguments.
_LITTLE = 1 << 18
#: Products that NumPy (in one dimension) and SciPy (in two) have summed up before the engine
#: has been asked, by `dtype.kind`: it knows neither integers nor complex numbers.
_FEW = {"b": 20_000, "i": 32_000, "u": 32_000, "f": 7_000, "c": 20_000}
#: The same where NumPy has loops for kernels of up to 11 elements.
_FEW_BY_FEW = 20_000
_FEW_2D = {"b": 0, "i": 10_000, "u": 10_000, "f": 1_500, "c": 4_000}
#: Products of all elements, which are no fewer, that are not even looked at.
_FEWEST = 600
#: Floats, and integers, of which plain images are.
_PLAIN = "fdbBhHiIlLqQ"


# ---- Any rank -----------------------------------------------------------------------


def correlate(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: Mode = "full",
    method: SignalMethod = "auto",
    *,
    axes: Axes | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Cross-correlation of two arrays of any rank.

    In one dimension it is::

        z[l] = sum over i of  in1[i + l] * conj(in2[i])

    for the lags `l` that `correlation_lags` tells; in more dimensions the same along each axis.

    Parameters
    ----------
    in1, in2 : array_like
        Of the same rank: integers, float16 to complex128; bools in one dimension.
    mode : {'full', 'same', 'valid'}
        All lags at which they meet (default); those of a result shaped like `in1`, in the
        middle of them; or those at which one covers the other along each axis.
    method : {'auto', 'direct', 'fft'}
        'direct' adds up the products, 'fft' multiplies spectra; 'auto' (default) takes what is
        estimated to be faster, by the shapes and dtypes alone.
    axes : int or sequence of int, optional
        Correlate along these only; the others broadcast. All by default.
    dtype : dtype_like, optional
        What to sum up in and to return: a larger one than the default, for integers that are
        not to wrap.
    out : ndarray, optional
        Where to put the result: of its shape, and of a dtype it may be cast to. It may overlap
        the operands.

    Returns
    -------
    ndarray
        Its dtype is that of the product of the arrays, or `dtype`.

    Raises
    ------
    ValueError
        If the ranks differ, an array is empty, 'valid' finds none that covers the other, a name
        is unknown, bools have more than one dimension, or `out` has another shape.
    TypeError
        If the dtypes, or `dtype`, or `out` cannot be used.

    See Also
    --------
    convolve : The same without turning `in2` around.
    correlate2d : With other borders, in two dimensions.

    Notes
    -----
    The semantics are those of `scipy.signal.correlate`; `axes`, `dtype` and `out` are ours.
    float16 is computed in float32, and rounded once. Sums of integers are exact, modulo 2 to
    the number of bits of the result, with any method.

    Examples
    --------
    >>> import fastconv.signal
    >>> fastconv.signal.correlate([1.0, 2.0, 3.0], [0.0, 1.0, 0.5])
    array([0.5, 2. , 3.5, 3. , 0. ])

    Each row with a pattern of its own, in integers that do not wrap:

    >>> import numpy as np
    >>> rows = np.array([[100, 100, 0], [0, 100, 100]], np.uint8)
    >>> patterns = np.array([[1, 1], [2, 2]], np.uint8)
    >>> fastconv.signal.correlate(rows, patterns, "valid", axes=1)
    array([[200, 100],
           [200, 144]], dtype=uint8)
    >>> fastconv.signal.correlate(rows, patterns, "valid", axes=1, dtype=int)
    array([[200, 100],
           [200, 400]])
    """
    return _sum("correlate", in1, in2, mode, method, axes, dtype, out)


def convolve(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: Mode = "full",
    method: SignalMethod = "auto",
    *,
    axes: Axes | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Convolution of two arrays: in one dimension, ``z[l] = sum over i of in1[l - i] * in2[i]``.

    Parameters
    ----------
    in1, in2 : array_like
    mode : {'full', 'same', 'valid'}
    method : {'auto', 'direct', 'fft'}
    axes : int or sequence of int, optional
    dtype : dtype_like, optional
    out : ndarray, optional
        All as in `correlate`.

    Returns
    -------
    ndarray
        As from `correlate`.

    Raises
    ------
    ValueError, TypeError
        As from `correlate`.

    See Also
    --------
    correlate : The same with `in2` turned around and conjugated.
    fastconv.conv : With channels, strides and dilation.

    Notes
    -----
    The semantics are those of `scipy.signal.convolve`; `axes`, `dtype` and `out` are ours.

    Examples
    --------
    >>> import fastconv.signal
    >>> fastconv.signal.convolve([1, 2, 3], [0, 1, 10])
    array([ 0,  1, 12, 23, 30])
    >>> fastconv.signal.convolve([1, 2, 3], [0, 1, 10], "same")
    array([ 1, 12, 23])
    """
    return _sum("convolve", in1, in2, mode, method, axes, dtype, out)


def _sum(
    name: str, in1: Any, in2: Any, mode: Any, method: Any, axes: Any, dtype: Any, out: Any
) -> NDArray[Any]:
    if axes is dtype is out is None and method in ("auto", "direct"):
        key, sooner = _again(name, in1, in2, mode, method)
        if sooner is None:
            sooner = _plain(key, name, in1, in2, mode)
        if sooner is not None:
            return sooner
    a, b = array_of(in1), array_of(in2)
    if not _usable(a, b) or mode not in _MODES or method not in _METHODS:
        return _scipy(name, in1, in2, mode, method, axes=axes, dtype=dtype, out=out)
    result = _accumulator(np.promote_types(a.dtype, b.dtype), dtype)
    exact = result.kind in "iub"
    sizes, taps = a.shape, b.shape
    longer = a.ndim == 1 and (mode != "same" or sizes >= taps)
    if result.char not in _KNOWN or (result.kind == "b" and (not longer or method == "fft")):
        return _scipy(name, in1, in2, mode, method, axes=axes, dtype=dtype, out=out)
    if axes is not None:
        axes = _axes_of(axes, a.ndim)
        sums.broadcasting(a, b, axes)
        sizes, taps = (tuple([c.shape[i] for i in axes]) for c in (a, b))
    window = sums.window(sizes, taps, mode)
    if window is None:
        return _scipy(name, in1, in2, mode, method, axes=axes, dtype=dtype, out=out)
    if out is not None:
        _check_out(out, sums.shape_of(a, b, window[1], axes), result)
    if longer and method != "fft":
        # SciPy's own way, for what is small, and for kernels that are not finite: beyond the
        # ends of an array there is nothing that they could be multiplied with.
        shorter = b if a.size >= b.size else a
        few = taps[0] * window[1][0] <= _FEW[result.kind] and result.char != "e"
        if few or not (exact or sums.is_finite(shorter)):
            if dtype is not None:
                a, b = a.astype(result), b.astype(result)
            return _finished(
                (np.correlate if name == "correlate" else np.convolve)(a, b, mode), out
            )
    if name == "correlate":
        b = sums.reversed_conjugate(b, axes)
    products = min(a.size, b.size) * math.prod(window[1])
    plain = a.ndim == 2 and axes is dtype is None and method != "fft"
    if plain and result.kind in "iuc" and products <= _FEW_2D[result.kind]:
        return _finished(scipy_signal("convolve2d", a, b, mode), out)
    if method == "fft" and not exact:
        # In the precision of SciPy, which takes integers as float64.
        wide = np.promote_types(*(_as_float(c.dtype) for c in (a, b)))
        found = sums.convolve(a, b, window, axes, np.promote_types(result, wide), method)
        if found is not None:
            return _finished(found.astype(result, copy=False), out)
        warnings.warn(
            "Use of fft convolution on input with NaN or infinity, or on numbers too large for "
            "it: summed up directly instead",
            RuntimeWarning,
            stacklevel=3,
        )
        method = "direct"
    return _finished(sums.convolve(a, b, window, axes, result, method), out)


#: What calls of two or three dimensions were.
_known = Known(get_num_threads, recorded)


def _again(
    name: str, a: Any, b: Any, *arguments: Any
) -> tuple[tuple[Any, ...] | None, NDArray[Any] | None]:
    """What a call is known by, if it is a plain one, and its result if there was one like it."""
    if type(a) is type(b) is np.ndarray and 1 < a.ndim <= 3:
        return _known.again(name, a, None, arguments, b)
    return None, None


def _engines(
    key: tuple[Any, ...] | None,
    a: NDArray[Any],
    kernel: NDArray[Any],
    pads: tuple[tuple[int, int], ...],
    border: str,
    shape: tuple[int, ...],
) -> NDArray[Any] | None:
    """A call that the engine computes as it is; from the third one on, all like it are known.

    None of integers if floats would not hold their sums. The first call of a few is SciPy's, which
    are the same numbers.
    """
    before = 0 if key is None else _known.calls_before(key)
    result: NDArray[Any]
    if a.dtype.kind in "fc":
        result = correlation.correlate(a, kernel, pads, border, dtype=a.dtype, method="direct")
        known = before == 1 and a.dtype.kind == "f"
        work = filtering.plain(a, kernel, pads, border, "direct") if known else None
    else:
        if before == 0 and kernel.size * math.prod(shape) <= _FEW_2D["i"]:
            return None
        work = filtering.plain(a, kernel, pads, border, "direct")
        if work is None:
            return None
        result = filtering.result_of(work, a, shape)
    if before and work is not None:
        _known.keep(key, work, shape)
    return result


def _plain(
    key: tuple[Any, ...] | None, name: str, a: Any, b: Any, mode: Any
) -> NDArray[Any] | None:
    """Little work of the plainest kind at once: what else may be asked for takes longer to see."""
    if (
        type(a) is not np.ndarray
        or type(b) is not np.ndarray
        or not 1 <= a.ndim == b.ndim <= 3
        or not b.size
        or not all(map(operator.ge, a.shape, b.shape))
        or a.size * b.size > _LITTLE
        or a.dtype != b.dtype
        or a.dtype.char not in (_PLAIN if a.ndim > 1 else "fd")
        or not a.dtype.isnative
        or mode not in _MODES
    ):
        return None
    if a.ndim == 1:
        if a.size * b.size <= (_FEW_BY_FEW if b.size <= 11 else _FEW["f"]):
            return (np.correlate if name == "correlate" else np.convolve)(a, b, mode)
        if not sums.is_finite(b):
            return None
    kernel = b if name == "correlate" else sums.flipped(b)
    pads = sums.pads(b.shape, mode)
    _, counts = sums.window(a.shape, b.shape, mode)
    return _engines(key, a, kernel, pads, "zeros", counts)


def _as_float(dtype: Any) -> Any:
    """What SciPy's FFTs make of a dtype."""
    if dtype.char in sums.FLOATS:
        return dtype.newbyteorder("=")
    return np.dtype(np.float32 if dtype.char == "e" else np.float64)


def _finished(result: NDArray[Any], out: NDArray[Any] | None) -> NDArray[Any]:
    if out is None:
        return result
    np.copyto(out, result, casting="same_kind")
    return out


def correlation_lags(in1_len: int, in2_len: int, mode: Mode = "full") -> NDArray[np.int_]:
    """The lags of a 1-D cross-correlation, in the order of what `correlate` returns.

    Parameters
    ----------
    in1_len, in2_len : int
        The lengths of its operands.
    mode : {'full', 'same', 'valid'}
        Its mode.

    Returns
    -------
    ndarray of int
        For each element of the correlation by how much `in2` was shifted.

    Raises
    ------
    ValueError
        If there is no such mode.

    See Also
    --------
    correlate : What this belongs to.

    Notes
    -----
    That of `scipy.signal.correlation_lags`, to whose 'same' the lags are one too high where
    `in1_len` is odd and `in2_len` is even.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.signal
    >>> x = np.array([0.0, 0.0, 3.0, 1.0])
    >>> y = np.array([3.0, 1.0])
    >>> z = fastconv.signal.correlate(x, y)
    >>> int(fastconv.signal.correlation_lags(x.size, y.size)[z.argmax()])
    2
    """
    if mode == "full":
        return np.arange(1 - in2_len, in1_len)
    if mode == "same":
        start = (in1_len + in2_len - 1) // 2 - in1_len // 2 - in2_len + 1
        return np.arange(start, start + in1_len)
    if mode == "valid":
        apart = in1_len - in2_len
        return np.arange(min(apart, 0), max(apart, 0) + 1)
    raise ValueError(f"Mode {mode} is invalid")


def choose_conv_method(
    in1: ArrayLike, in2: ArrayLike, mode: Mode = "full", measure: bool = False
) -> Any:
    """Which method of `convolve` and `correlate` is faster here.

    Parameters
    ----------
    in1, in2 : array_like
    mode : {'full', 'same', 'valid'}
        As in `convolve`.
    measure : bool, default False
        Try both, instead of what 'auto' does: to estimate.

    Returns
    -------
    method : {'direct', 'fft'}
        The faster method.
    times : dict of float
        Only with `measure`: seconds that each takes.

    Raises
    ------
    ValueError
        If `convolve` would.

    See Also
    --------
    convolve, correlate : What this is about.

    Notes
    -----
    The arguments are those of `scipy.signal.choose_conv_method`, the answer is about our
    methods: direct sums are the better choice for far larger kernels than in SciPy.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.signal
    >>> image = np.zeros((1000, 1000))
    >>> fastconv.signal.choose_conv_method(image, np.ones((9, 9)))
    'direct'
    >>> fastconv.signal.choose_conv_method(image, np.ones((300, 300)))
    'fft'
    """
    if measure:
        times = {}
        for method in ("fft", "direct"):
            timer = timeit.Timer(lambda: convolve(in1, in2, mode, method))  # noqa: B023
            once = timer.timeit(1)
            number = max(int(5e-3 / max(once, 1e-7)), 1)
            times[method] = min(once, *(t / number for t in timer.repeat(3, number)))
        return min(times, key=times.__getitem__), times
    a, b = array_of(in1), array_of(in2)
    if not _usable(a, b) or mode not in _MODES:
        return scipy_signal("choose_conv_method", in1, in2, mode)
    window = sums.window(a.shape, b.shape, mode)
    if window is None:
        raise ValueError(
            "For 'valid' mode, one must be at least as large as the other in every dimension"
        )
    dtype = np.promote_types(a.dtype, b.dtype)
    if dtype.kind not in "iufc":
        return "direct"
    if b.size > a.size:
        a, b = b, a
    if dtype.char not in sums.FLOATS:
        dtype = np.dtype(np.float32 if dtype.char == "e" else np.float64)
    return "fft" if sums.by_fft(a.shape, b.shape, window[0], window[1], dtype) else "direct"


# ---- Along some axes ----------------------------------------------------------------


def fftconvolve(
    in1: ArrayLike, in2: ArrayLike, mode: Mode = "full", axes: Axes | None = None
) -> NDArray[Any]:
    """Convolution of floating-point numbers along some axes; the others broadcast.

    Parameters
    ----------
    in1, in2 : array_like
        Of the same rank. Integers are taken as float64.
    mode : {'full', 'same', 'valid'}
        As in `convolve`, along `axes`. With 'same' the result is shaped like `in1`.
    axes : int or sequence of int, optional
        Along which to convolve; all by default. Along the others the sizes are the same, or
        one of them is 1.

    Returns
    -------
    ndarray
        Of float32, float64, complex64 or complex128, as the arrays have it; empty if one of them
        is.

    Raises
    ------
    ValueError
        If the ranks differ, the shapes do not fit, `axes` has the same twice or none, or a
        name is unknown.

    See Also
    --------
    convolve : Keeps integers.
    oaconvolve : The same function.

    Notes
    -----
    The semantics are those of `scipy.signal.fftconvolve`. By FFT or directly, whichever is
    estimated to be faster; nor does one NaN spoil the whole result.

    Examples
    --------
    >>> import fastconv.signal
    >>> fastconv.signal.fftconvolve([[1, 2, 3], [4, 5, 6]], [[1, 1]], axes=1)
    array([[ 1.,  3.,  5.,  3.],
           [ 4.,  9., 11.,  6.]])
    """
    return _along("fftconvolve", in1, in2, mode, axes)


def oaconvolve(
    in1: ArrayLike, in2: ArrayLike, mode: Mode = "full", axes: Axes | None = None
) -> NDArray[Any]:
    """Convolution of floating-point numbers along some axes; the others broadcast.

    Parameters
    ----------
    in1, in2 : array_like
    mode : {'full', 'same', 'valid'}
    axes : int or sequence of int, optional
        As in `fftconvolve`.

    Returns
    -------
    ndarray
        As from `fftconvolve`.

    Raises
    ------
    ValueError
        As from `fftconvolve`.

    See Also
    --------
    fftconvolve : The same function: it cuts large arrays into blocks, too.

    Notes
    -----
    The semantics are those of `scipy.signal.oaconvolve`.

    Examples
    --------
    >>> import fastconv.signal
    >>> fastconv.signal.oaconvolve([1, 2, 3, 4, 5], [1, 1], "valid")
    array([3., 5., 7., 9.])
    """
    return _along("oaconvolve", in1, in2, mode, axes)


@functools.lru_cache(maxsize=256)
def _plain_along(
    sizes: tuple[int, ...], taps: tuple[int, ...], dtype: np.dtype[Any],
    kernel_dtype: np.dtype[Any], mode: str,
) -> tuple[Any, np.dtype[Any]] | None:  # fmt: skip
    """The window and the dtype of a convolution along all axes of two arrays, if that is plain."""
    if len(sizes) != len(taps) or 0 in sizes or 0 in taps or 1 in sizes or 1 in taps:
        return None
    if mode not in _MODES or not all(c.char in sums.FLOATS for c in (dtype, kernel_dtype)):
        return None
    window = sums.window(sizes, taps, mode)
    return None if window is None else (window, np.promote_types(dtype, kernel_dtype))


def _along(name: str, in1: Any, in2: Any, mode: Any, axes: Any) -> NDArray[Any]:
    if type(in1) is type(in2) is np.ndarray and axes is None and type(mode) is str:
        plain = _plain_along(in1.shape, in2.shape, in1.dtype, in2.dtype, mode)
        if plain is not None and (in1.ndim > 1 or in1.size * in2.size > _FEW[plain[1].kind]):
            return sums.convolve(in1, in2, plain[0], None, plain[1], "auto")
    a, b = array_of(in1), array_of(in2)
    if not _usable(a, b) or mode not in _MODES or not all(c.dtype.char in _KNOWN for c in (a, b)):
        return _scipy(name, in1, in2, mode, axes)
    try:
        chosen = tuple(range(a.ndim)) if axes is None else _axes_of(axes, a.ndim)
        # Others broadcast, too.
        chosen = tuple([i for i in chosen if 1 not in (a.shape[i], b.shape[i])])
        others = sums.broadcasting(a, b, chosen)
    except (TypeError, ValueError):
        return _scipy(name, in1, in2, mode, axes)
    window = sums.window([a.shape[i] for i in chosen], [b.shape[i] for i in chosen], mode)
    if window is None:
        return _scipy(name, in1, in2, mode, axes)
    if mode == "same":
        # SciPy returns the middle where `in1` would broadcast.
        for i in others:
            if a.shape[i] == 1 < b.shape[i]:
                middle = (b.shape[i] - 1) // 2
                b = b[(slice(None),) * i + (slice(middle, middle + 1),)]
    if not chosen:
        return np.asarray(a * b)
    dtype = np.promote_types(_as_float(a.dtype), _as_float(b.dtype))
    if a.ndim == 1 and a.size * b.size <= _FEW[dtype.kind] and (mode != "same" or a.size >= b.size):
        return np.convolve(a.astype(dtype, copy=False), b.astype(dtype, copy=False), mode)
    return sums.convolve(a, b, window, chosen if others else None, dtype, "auto")


# ---- Two dimensions -----------------------------------------------------------------

#: SciPy's names of borders that are known here.
_BORDERS = {
    "fill": "zeros", "pad": "zeros",
    "wrap": "circular", "circular": "circular",
    "symm": "symmetric", "symmetric": "symmetric",
}  # fmt: skip


def correlate2d(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: Mode = "full",
    boundary: Boundary = "fill",
    fillvalue: complex = 0,
    *,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Cross-correlation of two 2-D arrays, with what is around the first.

    Parameters
    ----------
    in1, in2 : array_like, 2-D
        Of integers or of float16 to complex128.
    mode : {'full', 'same', 'valid'}
        As in `correlate`; but with 'same' and an even kernel the other one of two middles.
    boundary : {'fill', 'wrap', 'symm'}
        What is around `in1`: `fillvalue` (default), `in1` again and again, or its mirror image,
        its edge twice.
    fillvalue : scalar, default 0
        What 'fill' is.
    dtype : dtype_like, optional
    out : ndarray, optional
        As in `correlate`.

    Returns
    -------
    ndarray
        Its dtype is that of the product of the arrays, or `dtype`.

    Raises
    ------
    ValueError
        If an array is not 2-D, 'valid' finds none that covers the other, a name is unknown,
        `fillvalue` is not a scalar, or `out` has another shape.
    TypeError
        If `dtype` or `out` cannot be used.

    See Also
    --------
    convolve2d : The same without turning `in2` around.

    Notes
    -----
    The semantics are those of `scipy.signal.correlate2d`; `dtype`, `out` and float16 are ours.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.signal
    >>> image = np.arange(9).reshape(3, 3)
    >>> fastconv.signal.correlate2d(image, [[-1, 0, 1]], "same", "symm")
    array([[1, 2, 1],
           [1, 2, 1],
           [1, 2, 1]])
    """
    return _sum2d("correlate2d", in1, in2, mode, boundary, fillvalue, dtype, out)


def convolve2d(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: Mode = "full",
    boundary: Boundary = "fill",
    fillvalue: complex = 0,
    *,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Convolution of two 2-D arrays, with what is around the first.

    Parameters
    ----------
    in1, in2 : array_like, 2-D
    mode : {'full', 'same', 'valid'}
    boundary : {'fill', 'wrap', 'symm'}
    fillvalue : scalar, default 0
    dtype : dtype_like, optional
    out : ndarray, optional
        As in `correlate2d`.

    Returns
    -------
    ndarray
        As from `correlate2d`.

    Raises
    ------
    ValueError, TypeError
        As from `correlate2d`.

    See Also
    --------
    correlate2d : The same with `in2` turned around and conjugated.

    Notes
    -----
    The semantics are those of `scipy.signal.convolve2d`; `dtype`, `out` and float16 are ours.

    Examples
    --------
    >>> import fastconv.signal
    >>> fastconv.signal.convolve2d([[1, 2], [3, 4]], [[1, 1]], "same", "wrap")
    array([[3, 3],
           [7, 7]])
    """
    return _sum2d("convolve2d", in1, in2, mode, boundary, fillvalue, dtype, out)


def _sum2d(
    name: str, in1: Any, in2: Any, mode: Any, boundary: Any, fill: Any, dtype: Any, out: Any
) -> NDArray[Any]:
    if dtype is out is None:
        key, found = _again(name, in1, in2, mode, boundary, fill)
        if found is None and key is not None:
            found = _plain_sum2d(key, name, in1, in2, mode, boundary, fill)
        if found is not None:
            return found
    a, b = array_of(in1), array_of(in2)
    ours = _usable(a, b) and a.ndim == 2 and mode in _MODES and isinstance(boundary, str)
    border = _BORDERS.get(boundary) if ours else None
    window = _window2d(name, a.shape, b.shape, mode) if border else None
    if window is None or type(fill) not in (int, float, complex):
        return _scipy(name, in1, in2, mode, boundary, fill, dtype=dtype, out=out)
    result = _accumulator(np.promote_types(a.dtype, b.dtype), dtype)
    known = result.char in _KNOWN and result.kind != "b"
    few = b.size * math.prod(window[1]) <= _FEW_2D.get(result.kind, 0) and dtype is None is out
    if (few and result.char != "e") or not known or (border == "zeros" and not _fits(fill, result)):
        return _scipy(name, in1, in2, mode, boundary, fill, dtype=dtype, out=out)
    if out is not None:
        _check_out(out, window[1], result)
    sizes, taps = a.shape, b.shape
    if name == "correlate2d":
        b = sums.reversed_conjugate(b)
    if border == "zeros" and result.kind in "iu":
        fill = int(fill)
    elif fill.imag:
        a = a.astype(result, copy=False)
    if mode == "valid" or (border == "zeros" and fill == 0):
        found = sums.convolve(a, b, window, None, result, "auto")
        if mode == "valid" and name == "correlate2d" and not all(map(operator.ge, sizes, taps)):
            # SciPy turns the arrays around, and then conjugates the other one.
            found = found.conj()
    else:
        found = sums.bordered(a, b, window, border, fill, result)
    return _finished(found, out)


def _plain_sum2d(
    key: tuple[Any, ...], name: str, a: Any, b: Any, mode: Any, boundary: Any, fill: Any
) -> NDArray[Any] | None:
    """The same of what is plainly the engine's, or is so little that SciPy is not kept waiting."""
    plain = None
    if type(mode) is type(boundary) is str and fill == 0:
        plain = _plain2d(name, a.shape, b.shape, a.dtype, b.dtype, mode, boundary)
    if plain is None:
        few = a.size * b.size <= _FEWEST and "e" not in (a.dtype.char, b.dtype.char)
    else:
        few = a.dtype.kind == "c" and b.size * math.prod(plain[2]) <= _FEW_2D["c"]
    if few:
        return scipy_signal(name, a, b, mode, boundary, fill)
    if plain is None:
        return None
    kernel = sums.flipped(b) if name == "convolve2d" else b.conj()
    return _engines(key, a, kernel, *plain)


def _window2d(name: str, sizes: tuple[int, ...], taps: tuple[int, ...], mode: str) -> Any:
    """As sums.window, but for where 'same' begins in a correlation."""
    if name == "correlate2d" and mode == "same":
        return tuple([k // 2 for k in taps]), sizes
    return sums.window(sizes, taps, mode)


@functools.lru_cache(maxsize=256)
def _plain2d(
    name: str, sizes: tuple[int, ...], taps: tuple[int, ...], dtype: np.dtype[Any],
    kernel_dtype: np.dtype[Any], mode: str, boundary: str,
) -> tuple[tuple[tuple[int, int], ...], str, tuple[int, ...]] | None:  # fmt: skip
    """The border of a plain image that meets a smaller kernel directly: how wide, and which.

    And the shape of the result. None where there is more to be seen to.
    """
    border = _BORDERS.get(boundary)
    known = dtype == kernel_dtype and dtype.char in _PLAIN + sums.FLOATS
    if border is None or mode not in _MODES or not known:
        return None
    if not len(sizes) == len(taps) == 2 or any(map(operator.gt, taps, sizes)) or 0 in taps:
        return None
    first, counts = _window2d(name, sizes, taps, mode)
    floats = dtype.char in sums.FLOATS
    if math.prod(counts) <= sums.FEW_SUMS and not (floats and math.prod(taps) < sums.LONG_SUM):
        return None
    if sums.by_fft(sizes, taps, first, counts, dtype if floats else np.dtype(float)):
        return None
    pads = tuple(map(sums.around, sizes, taps, first, counts))
    return pads, "zeros" if mode == "valid" else border, counts


def _fits(fill: complex, dtype: np.dtype[Any]) -> bool:
    """Whether SciPy takes this as a fillvalue, and makes the same of it as we do."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return not isinstance(fill, complex) and limits.min <= fill <= limits.max
    return dtype.kind == "c" or not isinstance(fill, complex)
