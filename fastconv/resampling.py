"""Filters along one axis: other sampling rates, rows and columns, fitted polynomials."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv import correlation, filtering, problems
from fastconv.arrays import call, recorded
from fastconv.engine import planning
from fastconv.engine._calls import Known
from fastconv.engine.dispatch import kernels
from fastconv.engine.threads import get_num_threads, team_started
from fastconv.geometry import PADDING_MODES
from fastconv.originals import array_of, original, scipy_signal
from fastconv.sums import FLOATS, NAMES

__all__ = ["resample_poly", "savgol_filter", "sepfir2d", "upfirdn"]

# ---- Other sampling rates -----------------------------------------------------------

#: Products that SciPy has summed up before the engine has been asked.
_FEW, _FEW_2D = 4_000, 3_000

#: From how many phases on there is no plan, which would take longer for each; less are a pass each.
_PHASES = 4
#: Elements of scratch for a block of outputs of each phase; and of the line that others see.
_SCRATCH, _SEEN = 65536, 2048

_REAL = {np.dtype(np.float32), np.dtype(np.float64)}

#: upfirdn's modes that are borders of the engine: NumPy's names.
_EXTENSIONS = {numpys: ours for ours, numpys in PADDING_MODES.items()}


def upfirdn(
    h: ArrayLike,
    x: ArrayLike,
    up: int = 1,
    down: int = 1,
    axis: int = -1,
    mode: str = "constant",
    cval: float = 0,
) -> NDArray[Any]:
    """Zeros inserted, filtered, thinned out: ``y[m] = sum of h[m * down - i * up] * x[i]``.

    Parameters
    ----------
    h : array_like, 1-D
        The filter.
    x : array_like
        The signal.
    up : int, default 1
        After each element of the signal ``up - 1`` zeros are inserted.
    down : int, default 1
        Of the result only every `down`-th element is kept.
    axis : int, default -1
        The axis of `x` along which all this happens.
    mode : str, default 'constant'
        What is around `x`: `cval`, or what `numpy.pad` calls 'symmetric', 'reflect', 'edge' and
        'wrap', or one of SciPy's 'smooth', 'line', 'antireflect' and 'antisymmetric'.
    cval : float, default 0
        What is around `x` with 'constant'.

    Returns
    -------
    ndarray
        Shaped like `x` but for `axis`, which has ``((n - 1) * up + len(h) - 1) // down + 1``
        elements for n of `x`. Its dtype is that of ``np.result_type(h, x, np.float32)``.

    Raises
    ------
    ValueError
        If `h` is not 1-D or is empty, `up` or `down` is less than 1, or `mode` is unknown.
    TypeError
        If a dtype cannot be used.

    See Also
    --------
    resample_poly : Designs the filter, too.
    fastconv.conv_transpose1d : For many channels.

    Notes
    -----
    The semantics are those of `scipy.signal.upfirdn`. No zeros are inserted or multiplied, and
    nothing is computed that is not kept: outputs that meet the same elements of `h` are one
    strided correlation.

    Examples
    --------
    >>> import fastconv.signal
    >>> fastconv.signal.upfirdn([0.5, 1, 0.5], [1, 2, 4], 2)
    array([0.5, 1. , 1.5, 2. , 3. , 4. , 2. ])
    >>> fastconv.signal.upfirdn([1, 1], [1, 2, 4, 8], 1, 2)
    array([1., 6., 8.])
    """
    if type(h) is type(x) is np.ndarray and type(up) is type(down) is int:
        if type(mode) is str and mode == "constant" and type(axis) is int and cval == 0:
            line = _resampled_line(h, x, up, down, axis)
            if line is not None:
                return line
        # SciPy divides by zero where it reflects a single element.
        if 1 not in x.shape and x.size * h.size <= _FEW * down:
            return scipy_signal("upfirdn", h, x, up, down, axis, mode, cval)
    filter_, signal = array_of(h), array_of(x)
    if (
        isinstance(mode, str)
        and mode in _EXTENSIONS
        and (mode != "constant" or cval == 0)
        and _resamplable(filter_, signal, up, down, axis)
        and (signal.size * filter_.size > _FEW * down or signal.shape[axis] == 1)
    ):
        count = ((signal.shape[axis] - 1) * up + filter_.size - 1) // down + 1
        result = _resampled(filter_, signal, up, down, axis, 0, count, _EXTENSIONS[mode])
        if result is not None:
            return result
    return scipy_signal("upfirdn", h, x, up, down, axis, mode, cval)


def _resamplable(h: Any, x: Any, up: Any, down: Any, axis: Any) -> bool:
    return bool(
        h is not None and x is not None and h.ndim == 1 and h.size and x.size
        and all(isinstance(n, (int, np.integer)) for n in (up, down, axis)) and up > 0 < down
        and -x.ndim <= axis < x.ndim
    )  # fmt: skip


def _resampled_line(h: Any, x: Any, up: int, down: int, axis: int) -> NDArray[Any] | None:
    """What upfirdn makes of one line of real numbers, zeros around it; None of anything else.

    With less ado than `_resampled`: it is for the smallest calls.
    """
    dtype = x.dtype
    if (
        dtype not in _REAL
        or h.dtype != dtype
        or not h.ndim == x.ndim == 1
        or not -1 <= axis < 1
        or up < 1
        or down < 1
        or not h.size
        or not x.size
        or not np.isfinite(h).all()
    ):
        return None
    count = ((x.size - 1) * up + h.size - 1) // down + 1
    if count < up:
        return None
    result = np.empty(count, dtype)
    _compute(up, down)(x[None, :, None], h, result[None, :, None], up, down, 0, "zeros")
    return result


def _compute(up: int, down: int) -> Callable[..., None]:
    """What computes that many phases."""
    return _polyphase if up // math.gcd(up, down) >= _PHASES else _passes


def _resampled(
    h: Any, x: Any, up: int, down: int, axis: int, offset: int, count: int, border: str
) -> NDArray[Any] | None:
    """`count` elements of the upsampled and filtered signal, by `down` from `offset` on.

    None if that is not for the engine, nor is less than an output of each phase.
    """
    dtype = np.result_type(h.dtype, x.dtype, np.float32)
    if count < up or dtype.char not in FLOATS or not np.isfinite(h).all():
        return None
    axis %= x.ndim
    # The axis between images and what is next to each other.
    shape = [math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])]
    real = correlation.real_of(dtype)
    parts = [[c.real, c.imag] if c.dtype.kind == "c" else [c] for c in (h, x.reshape(shape))]
    filters, signals = ([p.astype(real, copy=False) for p in part] for part in parts)
    shape[1] = count
    result = np.empty(shape, dtype)
    compute = _compute(up, down)

    def part(signal: Any, filter_: Any, out: Any = None) -> Any:
        if out is None:
            out = np.empty(shape, real)
        compute(signal, filter_, out, up, down, offset, border)
        return out

    if dtype.kind != "c":
        part(signals[0], filters[0], result)
    elif len(filters) * len(signals) == 2:
        part(signals[0], filters[0], result.real)
        part(signals[-1], filters[-1], result.imag)
    else:
        part(signals[0], filters[0], result.real)
        part(signals[0], filters[1], result.imag)
        result.real -= part(signals[1], filters[1])
        result.imag += part(signals[1], filters[0])
    return result.reshape(*x.shape[:axis], count, *x.shape[axis + 1 :])


def _passes(x: Any, h: Any, out: Any, up: int, down: int, offset: int, border: str) -> None:
    """The same of an array (before, n, after) of real numbers: a pass for each phase."""
    if x.shape[2] == 1:
        x, out = x[..., 0], out[..., 0]
    parameters = (up, down, offset, out.shape[1], border)
    call(problems.resampled, NAMES, (x[:, None], h, None), parameters, out[:, None])


def _polyphase(x: Any, h: Any, out: Any, up: int, down: int, offset: int, border: str) -> None:
    """The same without a plan, which takes longer the more phases there are."""
    lanes = kernels.VECTOR // h.itemsize
    taps = -(-h.size // up)
    numbers, around, room, across = _phases(
        x.shape, x.strides, x.dtype, out.shape[1], out.strides, out.dtype, h.size, up, down, offset,
        border,
    )  # fmt: skip
    # Whole vectors of taps, in the order of the signal, for each phase.
    padded = np.zeros(taps * up, h.dtype)
    padded[: h.size] = h
    filters = np.zeros((up, -(-taps // lanes) * lanes), h.dtype)
    filters[:, :taps] = padded.reshape(taps, up)[::-1].T
    threads = planning.worth(get_num_threads(), out.size * (taps + 2 * lanes) / lanes)
    if threads > 1:
        team_started()
    kernels.run_phases(
        x, out, numbers, around, filters, room, across, threads, h.dtype == np.float64
    )


@functools.lru_cache(64)
def _phases(
    shape: Any, strides: Any, given: Any, count: int, out_strides: Any, dtype: Any, size: int,
    up: int, down: int, offset: int, border: str,
) -> Any:  # fmt: skip
    """What run_phases takes: numbers, the border, bytes of scratch, whether lines go across."""
    before, n, after = shape
    taps = -(-size // up)
    lanes = kernels.VECTOR // dtype.itemsize
    common = math.gcd(up, down)
    apart, stride = up // common, down // common
    last = ((count - 1) * down + offset) // up
    pads = max(taps - 1 - offset // up, 0), max(last + 1 - n, 0)
    across = after >= lanes and given == dtype and strides[2] == out_strides[2] == dtype.itemsize
    columns = 0 if across else _columns(count, apart, stride, lanes)
    block = columns * apart or min(max(_SEEN * up // down // lanes, 1) * lanes, _SEEN)
    row = columns + -(-(taps // stride + 3) // lanes) * lanes
    numbers = [
        strides[0], out_strides[0], before, *strides[1:], *out_strides[1:], after, n, taps,
        kernels.NUMBERS[given.name], kernels.NUMBERS[dtype.name], pads[0], count, block, up, down,
        offset, *divmod(down, up), taps, -(-taps // lanes) * lanes, size - (taps - 1) * up, apart,
        stride, columns, row,
    ]  # fmt: skip
    elements = block + block * down // up + 1 + taps
    elements += kernels.PANEL_ROWS * columns + stride * row if columns else 3 * lanes
    room = -(-elements * dtype.itemsize // 64) * 64
    return np.array(numbers, np.intp), filtering.beyond(n, pads, border), room, across


def _columns(count: int, apart: int, stride: int, lanes: int) -> int:
    """How many outputs of each phase are a block whose scratch fits the cache; 0 if too few."""
    vectors = _SCRATCH // (apart + 2 * stride + kernels.PANEL_ROWS) // lanes
    if vectors >= kernels.PHASE_VECTORS:
        vectors -= vectors % kernels.PHASE_VECTORS
    columns = min(vectors, -(-count // apart // lanes)) * lanes
    return columns if 2 * count >= columns * apart else 0


def resample_poly(
    x: ArrayLike,
    up: int,
    down: int,
    axis: int = 0,
    window: Any = ("kaiser", 5.0),
    padtype: str = "constant",
    cval: float | None = None,
) -> NDArray[Any]:
    """Another sampling rate, by a polyphase filter.

    Parameters
    ----------
    x : array_like
        The signal.
    up, down : int
        The rate becomes ``up / down`` of what it was.
    axis : int, default 0
        The axis of `x` that is resampled.
    window : str, tuple or array_like, optional
        The window of the low-pass filter, as for `scipy.signal.firwin`; or the filter itself.
    padtype : str, default 'constant'
        What is around the signal: a mode of `upfirdn`; or 'mean', 'median', 'minimum' or
        'maximum' of the signal.
    cval : float, optional
        What is around it with 'constant'; 0 by default.

    Returns
    -------
    ndarray
        Shaped like `x` but for `axis`, which has ``ceil(n * up / down)`` elements for n of `x`.
        Its dtype is that of floating-point numbers, but at least float32; float64 for integers.

    Raises
    ------
    ValueError
        If `up` or `down` is no integer from 1 on, `window` has more dimensions than one,
        `padtype` is unknown, or `cval` is given without 'constant'.

    See Also
    --------
    upfirdn : With a filter of one's own, and all that it returns.

    Notes
    -----
    The semantics, and the design of the filter, are those of `scipy.signal.resample_poly`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.signal
    >>> ramp = np.arange(0.0, 40.0)
    >>> fastconv.signal.resample_poly(ramp, 3, 2, padtype="line")[30:35].round(1)
    array([20. , 20.7, 21.3, 22. , 22.7])
    """
    result = _resampled_poly(array_of(x), up, down, axis, window, padtype, cval)
    if result is None:
        return scipy_signal("resample_poly", x, up, down, axis, window, padtype, cval)
    return result


_BACKGROUNDS: dict[str, Callable[..., Any]] = {
    "mean": np.mean, "median": np.median, "minimum": np.min, "maximum": np.max,
}  # fmt: skip


def _resampled_poly(
    x: Any, up: Any, down: Any, axis: Any, window: Any, padtype: Any, cval: Any
) -> NDArray[Any] | None:
    """The same; None if SciPy is to do it."""
    h = array_of(window) if isinstance(window, (list, np.ndarray)) else np.ones(1)
    known = isinstance(padtype, str) and (padtype in _EXTENSIONS or padtype in _BACKGROUNDS)
    if not known or cval or not _resamplable(h, x, up, down, axis):
        return None
    if cval is not None and padtype != "constant":
        return None
    common = math.gcd(up, down)
    up, down = up // common, down // common
    if up == down:
        return None
    count = -(-x.shape[axis] * up // down)
    if not isinstance(window, (list, np.ndarray)):
        try:
            h = _low_pass(max(up, down), window)
        except TypeError:
            return None
        if x.dtype.kind in "fc":
            h = h.astype(np.empty(0, x.dtype).real.dtype)
    h = h * h.dtype.type(up)
    border, background = _EXTENSIONS.get(padtype, "zeros"), None
    if padtype in _BACKGROUNDS:
        background = _BACKGROUNDS[padtype](x, axis=axis, keepdims=True)
        x = x - background
    y = _resampled(h, x, up, down, axis, (h.size - 1) // 2, count, border)
    if y is not None and background is not None:
        y += background
    return y


@functools.lru_cache(64)
def _low_pass(rate: int, window: Any) -> Any:
    return original("scipy.signal", "firwin")(20 * rate + 1, 1 / rate, window=window)


# ---- Two dimensions -----------------------------------------------------------------


def sepfir2d(input: ArrayLike, hrow: ArrayLike, hcol: ArrayLike) -> NDArray[Any]:
    """Convolution with a row and a column, and the image's mirror image around it.

    Parameters
    ----------
    input : array_like, 2-D
        The image.
    hrow, hcol : array_like, 1-D
        What to convolve each row and then each column with: odd numbers of elements.

    Returns
    -------
    ndarray
        Of the shape of the image: float32, float64, complex64 or complex128, as the image has
        it; float32 for integers of up to 16 bits.

    Raises
    ------
    ValueError
        If a kernel is even, or something has other dimensions.
    TypeError
        If a kernel's dtype does not fit into that of the result.

    See Also
    --------
    fastconv.spatially_separable_conv2d : For many channels.

    Notes
    -----
    The semantics are those of `scipy.signal.sepfir2d`: the edge is mirrored with itself, as by
    the 'symm' of `convolve2d`. Images smaller than the kernels are mirrored again and again;
    SciPy reads beyond them.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.signal
    >>> image = np.zeros((3, 4), np.float32)
    >>> image[1, 0] = 1
    >>> fastconv.signal.sepfir2d(image, [1, 2, 1], [1, 3, 1])
    array([[3., 1., 0., 0.],
           [9., 3., 0., 0.],
           [3., 1., 0., 0.]], dtype=float32)
    """
    key = found = None
    if type(input) is type(hrow) is type(hcol) is np.ndarray and input.ndim == 2:
        if (
            input.size * (hrow.size + hcol.size) <= _FEW_2D
            and max(hrow.size, hcol.size) <= min(input.shape)
        ):  # fmt: skip
            return scipy_signal("sepfir2d", input, hrow, hcol)
        row_key = hrow.shape, hrow.dtype.str, hrow.tobytes()
        key, found = _known.again("sepfir2d", input, None, row_key, hcol)
    return _separable(input, hrow, hcol, key) if found is None else found


#: What calls with two lines were.
_known = Known(get_num_threads, recorded)


def _separable(input: Any, hrow: Any, hcol: Any, key: Any) -> Any:
    """The same of a call that is not known; it is from now on, if it has a key."""
    image, lines = array_of(input), (array_of(hrow), array_of(hcol))
    if image is None or image.ndim != 2 or any(c is None or c.ndim != 1 for c in lines):
        return scipy_signal("sepfir2d", input, hrow, hcol)
    dtype = np.promote_types(image.dtype, np.float32)
    if (
        dtype.char not in FLOATS
        or any(c.size % 2 == 0 for c in lines)
        or not image.size
        or not all(
            type(given) is not np.ndarray or np.can_cast(c.dtype, dtype)
            for given, c in zip((hrow, hcol), lines, strict=True)
        )
    ):
        return scipy_signal("sepfir2d", input, hrow, hcol)
    if image.dtype.isnative and not any(c.dtype.kind == "c" for c in lines):
        passes = [
            (axis, line[::-1].astype(np.float64), (line.size // 2,) * 2, "symmetric")
            for axis, line in zip((1, 0), lines, strict=True)
        ]
        return filtering.lines(
            image, passes, dtype, None, 0, lambda work: _known.keep(key, work, image.shape)
        )
    for kernel in (lines[0][None, ::-1], lines[1][::-1, None]):
        pads = tuple([(k // 2, k // 2) for k in kernel.shape])
        image = correlation.correlate(image, kernel, pads, "symmetric", dtype=dtype)
    return np.asarray(image)


# ---- Savitzky and Golay -------------------------------------------------------------

_SAVGOL_BORDERS = {
    "mirror": "reflect", "constant": "zeros", "nearest": "replicate", "wrap": "circular",
    "interp": "zeros",
}  # fmt: skip


def savgol_filter(
    x: ArrayLike,
    window_length: int,
    polyorder: int,
    deriv: int = 0,
    delta: float = 1.0,
    axis: int = -1,
    mode: str = "interp",
    cval: float = 0.0,
) -> NDArray[Any]:
    """At each element a polynomial fitted to those around it: the Savitzky-Golay filter.

    Parameters
    ----------
    x : array_like
        The signal. What is not float32 is taken as float64.
    window_length : int
        To how many elements the polynomial is fitted.
    polyorder : int
        Its degree, below `window_length`.
    deriv : int, default 0
        Which of its derivatives to return; 0 is the polynomial itself.
    delta : float, default 1.0
        The distance of the elements, for derivatives.
    axis : int, default -1
        The axis of `x` along which to fit.
    mode : {'interp', 'mirror', 'constant', 'nearest', 'wrap'}
        What is around the signal: with 'interp' (default) nothing, the polynomials of the first
        and the last window serve up to the ends; or the signal mirrored at its last element,
        `cval`, the last element, or the signal again.
    cval : scalar, default 0.0
        What is around it with 'constant'.

    Returns
    -------
    ndarray
        Shaped like `x`; float32 or float64.

    Raises
    ------
    ValueError
        If `mode` is unknown, `polyorder` is not below `window_length`, or with 'interp' the
        signal is shorter than the window.

    Notes
    -----
    The semantics, and the coefficients, are those of `scipy.signal.savgol_filter`. float32 is
    computed in float32, where SciPy adds up in float64 and rounds once.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv.signal
    >>> x = np.array([2.0, 2, 5, 2, 1, 0, 1, 4, 9])
    >>> fastconv.signal.savgol_filter(x, 5, 2).round(2)
    array([1.66, 3.17, 3.54, 2.86, 0.66, 0.17, 1.  , 4.  , 9.  ])
    """
    signal = array_of(x)
    numbers = (window_length, polyorder, deriv, axis)
    if (
        signal is None
        or not signal.size
        or signal.dtype.kind not in "iufb"
        or mode not in _SAVGOL_BORDERS
        or not all(isinstance(n, (int, np.integer)) for n in numbers)
        or not isinstance(delta, (int, float))
        or type(cval) not in (int, float)
        or not -signal.ndim <= axis < signal.ndim
        or (mode == "interp" and window_length > signal.shape[axis])
    ):
        return scipy_signal(
            "savgol_filter", x, window_length, polyorder, deriv, delta, axis, mode, cval
        )
    axis %= signal.ndim
    dtype = np.dtype(np.float32 if signal.dtype == np.float32 else np.float64)
    signal = signal.astype(dtype, copy=False)
    kernel = _savgol_kernel(window_length, polyorder, deriv, float(delta))
    before, after = (window_length - 1) // 2, window_length // 2
    pads = ((before, after),)
    border = _SAVGOL_BORDERS[mode]
    if signal.ndim == 1:
        y = correlation.correlate(signal, kernel, pads, border, fill=cval, dtype=dtype)
    else:
        y = correlation.correlate(
            signal, kernel, pads, border, fill=cval, axes=(axis,), dtype=dtype
        )
    if mode == "interp" and after:
        edges = _savgol_edges(window_length, polyorder, deriv, float(delta))
        for edge, seen, into in (
            (edges[0], slice(0, window_length), slice(0, after)),
            (edges[1], slice(-window_length, None), slice(-after, None)),
        ):
            part = np.tensordot(edge, signal[(slice(None),) * axis + (seen,)], (1, axis))
            y[(slice(None),) * axis + (into,)] = np.moveaxis(part, 0, axis)
    return np.asarray(y)


@functools.lru_cache(64)
def _savgol_kernel(window: int, order: int, deriv: int, delta: float) -> Any:
    coefficients = original("scipy.signal", "savgol_coeffs")
    return coefficients(window, order, deriv=deriv, delta=delta)[::-1].copy()


@functools.lru_cache(64)
def _savgol_edges(window: int, order: int, deriv: int, delta: float) -> Any:
    """What makes of the first and of the last window the outputs that see beyond it.

    That is what SciPy's fit makes of the unit vectors.
    """
    fit = original("scipy.signal", "savgol_filter")
    units = fit(np.eye(window), window, order, deriv, delta, axis=0)
    half = window // 2
    return units[:half].copy(), units[-half:].copy()
