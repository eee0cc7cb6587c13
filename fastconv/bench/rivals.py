"""What else computes a call that SciPy has by the same name: SciPy, OpenCV and PyTorch.

A rival's label says which; None in place of a call says that it would take too long: more than
PATIENCE multiply-adds, or a fraction of that where one takes longer than a nanosecond.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastconv.bench.namesakes import PATIENCE, Namesake
from fastconv.bench.peer import Call, Peer

Rivals: TypeAlias = dict[str, Call | None]
_Run: TypeAlias = Callable[[], Any]


def rivals(peer: Peer, row: Namesake, arguments: list[Any], outputs: int, threads: int) -> Rivals:
    """Make the calls of a peer that compute the row, by their labels."""
    make = RIVALS.get(peer.key)
    return make(peer, row, arguments, row.terms * outputs, threads) if make else {}


# ---------------------------------------------------------------- SciPy


def _signal(peer: Peer, row: Namesake, arguments: list[Any], work: float, threads: int) -> Rivals:
    """The same call; of correlate and convolve its other methods, too."""
    if row.set != "signal":
        return {}
    _, signal, fft = peer.modules
    same = functools.partial(row.of_module("scipy"), *arguments, **row.options)
    slow = PATIENCE if np.ndim(arguments[0]) == 1 else PATIENCE / 10

    def with_workers(run: _Run) -> Call:
        def within() -> Any:
            with fft.set_workers(threads):
                return run()

        return Call(within)

    if row.function in ("correlate2d", "convolve2d"):
        return {peer.label: Call(same) if work <= slow else None}
    found: Rivals = {peer.label: with_workers(same)}
    if row.function in ("correlate", "convolve"):
        array, kernel, mode = arguments
        direct = Call(functools.partial(same, method="direct"))
        found[f"{peer.label} direct"] = direct if work <= slow else None
        found[f"{peer.label} fft"] = with_workers(functools.partial(same, method="fft"))
        if array.dtype.kind not in "iu":  # of those it makes no integers
            if row.function == "correlate":
                kernel = np.flip(kernel).conj()
            overlapped = functools.partial(signal.oaconvolve, array, kernel, mode)
            found[f"{peer.label} oaconvolve"] = with_workers(overlapped)
    return found


def _ndimage(peer: Peer, row: Namesake, arguments: list[Any], work: float, threads: int) -> Rivals:
    """The same call."""
    if row.set != "ndimage":
        return {}
    same = functools.partial(row.of_module("scipy"), *arguments, **row.options)
    return {peer.label: Call(same) if work <= PATIENCE else None}


# ---------------------------------------------------------------- OpenCV


def _opencv(peer: Peer, row: Namesake, arguments: list[Any], work: float, threads: int) -> Rivals:
    """The filter of images, or of a line as an image of one row."""
    (cv2,) = peer.modules
    cv2.setNumThreads(threads)
    kinds = {"signal": _SignalOfOpenCV, "ndimage": _NdimageOfOpenCV}
    image = arguments[0]
    if not isinstance(image, np.ndarray) or image.ndim > 2 or image.dtype.kind == "c":
        return {}
    filters = kinds[row.set](cv2, image)
    make = getattr(filters, row.function, None)
    run = make and make(*arguments[1:], **row.options)
    if not run:
        return {}
    return {peer.label: Call(run, lambda result: result.reshape(image.shape))}


class _OfOpenCV:
    """Functions by the names and with the arguments of SciPy's; None of what OpenCV has not."""

    def __init__(self, cv2: Any, image: NDArray[Any]):
        self.cv2, self.image = cv2, np.atleast_2d(image)
        self.unsigned = image.dtype.kind == "u"
        self.borders = {
            "reflect": cv2.BORDER_REFLECT,
            "symm": cv2.BORDER_REFLECT,
            "mirror": cv2.BORDER_REFLECT_101,
            "nearest": cv2.BORDER_REPLICATE,
            "constant": cv2.BORDER_CONSTANT,
            "fill": cv2.BORDER_CONSTANT,
        }

    def call(self, function: str, *arguments: Any, mode: str, **options: Any) -> _Run | None:
        """Make the call with the border of that name."""
        if mode not in self.borders:
            return None
        return functools.partial(
            getattr(self.cv2, function), self.image, *arguments,
            borderType=self.borders[mode], **options,
        )  # fmt: skip

    def filtered(self, kernel: NDArray[Any], mode: str) -> _Run | None:
        """Correlate with an odd kernel."""
        kernel = np.atleast_2d(kernel)
        if 0 in (n % 2 for n in kernel.shape):
            return None
        dtype = np.result_type(kernel, np.float32)
        return self.call("filter2D", -1, np.ascontiguousarray(kernel, dtype), mode=mode)

    def lines(self, column: Any, line: Any, mode: str) -> _Run | None:
        """Correlate with a column and with a line."""
        return self.call("sepFilter2D", -1, np.array(line), np.array(column), mode=mode)


class _NdimageOfOpenCV(_OfOpenCV):
    def correlate(self, weights: NDArray[Any], mode: str = "reflect") -> _Run | None:
        return self.filtered(weights, mode)

    def convolve(self, weights: NDArray[Any], mode: str = "reflect") -> _Run | None:
        return self.filtered(np.flip(weights), mode)

    def correlate1d(self, weights: NDArray[Any], axis: int = -1) -> _Run | None:
        one = np.ones(1, weights.dtype)
        column, line = (weights, one) if axis == 0 else (one, weights)
        return self.lines(column, line, "reflect")

    def gaussian_filter(self, sigma: float, mode: str = "reflect") -> _Run | None:
        size = 2 * int(4 * sigma + 0.5) + 1
        return self.call("GaussianBlur", (size, size), sigma, mode=mode)

    def uniform_filter(self, size: int, mode: str = "reflect") -> _Run | None:
        return self.call("blur", (size, size), mode=mode)

    def sobel(self, axis: int = -1, mode: str = "reflect") -> _Run | None:
        along = (0, 1) if axis == 0 else (1, 0)
        return None if self.unsigned else self.call("Sobel", -1, *along, ksize=3, mode=mode)

    def prewitt(self, axis: int = -1, mode: str = "reflect") -> _Run | None:
        along, across = np.array([-1.0, 0, 1]), np.ones(3)
        column, line = (along, across) if axis == 0 else (across, along)
        return None if self.unsigned else self.lines(column, line, mode)

    def laplace(self, mode: str = "reflect") -> _Run | None:
        return None if self.unsigned else self.call("Laplacian", -1, ksize=1, mode=mode)


class _SignalOfOpenCV(_OfOpenCV):
    def correlate(self, kernel: NDArray[Any], mode: str) -> _Run | None:
        return self.correlate2d(kernel, mode)

    def convolve(self, kernel: NDArray[Any], mode: str) -> _Run | None:
        return self.convolve2d(kernel, mode)

    def correlate2d(self, kernel: NDArray[Any], mode: str, boundary: str = "fill") -> _Run | None:
        wraps = self.unsigned and kernel.size > 255  # where OpenCV stops at the largest
        return self.filtered(kernel, boundary) if mode == "same" and not wraps else None

    def convolve2d(self, kernel: NDArray[Any], mode: str, boundary: str = "fill") -> _Run | None:
        return self.correlate2d(np.flip(kernel), mode, boundary)

    def sepfir2d(self, row: NDArray[Any], column: NDArray[Any]) -> _Run | None:
        return self.lines(column[::-1], row[::-1], "reflect")


# ---------------------------------------------------------------- PyTorch


def _torch(peer: Peer, row: Namesake, arguments: list[Any], work: float, threads: int) -> Rivals:
    """A convolution of one channel, of floats."""
    if row.function not in ("correlate", "convolve") or row.set != "signal":
        return {}
    array, kernel, mode = arguments
    if array.dtype.kind != "f" or (mode == "same" and 0 in (n % 2 for n in kernel.shape)):
        return {}
    if work > PATIENCE / 10:  # it may need memory for each product
        return {peer.label: None}
    torch, functional = peer.modules
    torch.set_num_threads(threads)
    if row.function == "convolve":
        kernel = np.flip(kernel)
    shares = {"full": 1, "same": 0.5, "valid": 0}
    padding = [int((n - 1) * shares[mode]) for n in kernel.shape]
    with torch.inference_mode():
        image, weight = (torch.tensor(one.copy())[None, None] for one in (array, kernel))
    function = getattr(functional, f"conv{array.ndim}d")
    run = functools.partial(function, image, weight, padding=padding)
    return {peer.label: Call(run, lambda result: result[0, 0].numpy())}


RIVALS: dict[str, Callable[[Peer, Namesake, list[Any], float, int], Rivals]] = {
    "scipy": _signal,
    "ndimage": _ndimage,
    "opencv": _opencv,
    "torch": _torch,
}
