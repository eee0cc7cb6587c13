"""Calls that SciPy has by the same name: the sets `signal` and `ndimage`.

Each row is one call of fastconv.signal or fastconv.ndimage in one dtype; its name is that call,
with shapes where arrays stand. Rows are made from grids of sizes; what all must be quick to see
is named in QUICK.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: What the rows are computed in.
DTYPES = ("float32", "float64", "uint8", "int16", "complex64")
#: The modules, each a set of its own.
SETS = ("signal", "ndimage")

#: Multiply-adds that a peer whose work grows with the kernel may be asked for: some two seconds.
PATIENCE = 2e9


class Noise(NamedTuple):
    """An argument that is drawn: an array of samples, or the taps of a kernel."""

    shape: tuple[int, ...]
    taps: bool = False

    def drawn(self, name: str, dtype: str, noise: np.random.Generator) -> NDArray[Any]:
        """Draw it for a module.

        Integers are so few that sums stay in range; ndimage averages grey levels instead.
        """
        kind = np.dtype(dtype).kind
        if kind in "iu" and name == "ndimage" and self.taps:
            weights: NDArray[Any] = noise.random(self.shape)
            weights /= weights.sum()
            return weights
        if kind in "iu":
            return noise.integers(256 if name == "ndimage" else 2, size=self.shape, dtype=dtype)
        numbers = noise.standard_normal(self.shape)
        if kind == "c":
            return (numbers + 1j * noise.standard_normal(self.shape)).astype(dtype)
        return numbers.astype(dtype)

    def __str__(self) -> str:
        return "x".join(map(str, self.shape))


@dataclass(frozen=True)
class Namesake:
    """One row: a function of fastconv.signal or fastconv.ndimage, and its arguments."""

    set: str
    function: str
    dtype: str
    arguments: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)

    batch = 1

    @property
    def name(self) -> str:
        """The call, with shapes in place of arrays."""
        texts = [str(one) if isinstance(one, Noise) else repr(one) for one in self.arguments]
        texts += [f"{name}={value!r}" for name, value in self.options.items()]
        return f"{self.set}.{self.function}({', '.join(texts)})"

    @property
    def dtypes(self) -> tuple[str, ...]:
        """What the row can be computed in."""
        return (self.dtype,)

    @property
    def sets(self) -> frozenset[str]:
        """All names that select the row."""
        quick = self.dtype in QUICK.get(self.name, "").split()
        return frozenset({"scipy", self.set, *(["scipy-quick"] if quick else [])})

    @property
    def terms(self) -> int:
        """Multiply-adds that the definition has for an output."""
        return max(1, TERMS[self.function](*self.arguments))

    def of_module(self, package: str) -> Callable[..., NDArray[Any]]:
        """Find the function in a package: fastconv's, or SciPy's."""
        module = importlib.import_module(f"{package}.{self.set}")
        function: Callable[..., NDArray[Any]] = getattr(module, self.function)
        return function

    def drawn(self) -> list[Any]:
        """Give the arguments, arrays of noise among them."""
        noise = np.random.default_rng(0)
        return [
            one.drawn(self.set, self.dtype, noise) if isinstance(one, Noise) else one
            for one in self.arguments
        ]

    def of_batch(self, _: int | None) -> Namesake:
        """Give the same row: there are no batches."""
        return self


# ---------------------------------------------------------------- work by the definition


def _gaussian(image: Noise, sigma: float) -> int:
    return len(image.shape) * (2 * int(4 * sigma + 0.5) + 1)


def _kernel(_: Noise, taps: Noise, *others: Any) -> int:
    return math.prod(taps.shape)


def _rank(image: Noise, *others: Any) -> int:
    return 3 * len(image.shape)


TERMS: dict[str, Callable[..., int]] = {
    **dict.fromkeys(("correlate", "convolve", "correlate2d", "convolve2d"), _kernel),
    **dict.fromkeys(("fftconvolve", "oaconvolve", "correlate1d"), _kernel),
    **dict.fromkeys(("sobel", "prewitt", "laplace"), _rank),
    "gaussian_filter": _gaussian,
    "gaussian_laplace": lambda image, sigma: len(image.shape) * _gaussian(image, sigma),
    "gaussian_gradient_magnitude": lambda image, sigma: len(image.shape) * _gaussian(image, sigma),
    "uniform_filter": lambda image, size: 2 * len(image.shape),
    "sepfir2d": lambda image, row, column: row.shape[0] + column.shape[0],
    "upfirdn": lambda taps, _, up, down: taps.shape[0] // up,
    "resample_poly": lambda _, up, down: 20 * max(up, down) // up,
    "savgol_filter": lambda _, window, order: window,
}

# ---------------------------------------------------------------- the rows

#: Dtypes, the function, its arguments and options.
_Row: TypeAlias = tuple[Sequence[str], str, tuple[Any, ...], dict[str, Any]]

_REAL = DTYPES[:2]
_IMAGE = DTYPES[:4]
_SOME = ("float32", "uint8")


def _samples(*shape: int) -> Noise:
    return Noise(shape)


def _taps(*shape: int) -> Noise:
    return Noise(shape, taps=True)


def _ndimage() -> Iterator[_Row]:
    middle, large, volume = _samples(1024, 1024), _samples(4096, 4096), _samples(128, 128, 128)
    images: dict[Noise, Sequence[str]] = {_samples(256, 256): _SOME, middle: DTYPES, large: _SOME}
    modes = [{"mode": mode} for mode in ("mirror", "nearest", "constant", "wrap")]
    for (image, dtypes), k in product(images.items(), (3, 5, 9, 15, 31)):
        yield dtypes, "correlate", (image, _taps(k, k)), {}
    for k in 3, 9, 31:
        yield _IMAGE, "convolve", (middle, _taps(k, k)), {}
    for k in 3, 5:
        yield DTYPES, "correlate", (volume, _taps(k, k, k)), {}
    for k, axis in product((3, 9, 31), (0, 1)):
        yield _IMAGE, "correlate1d", (middle, _taps(k)), {"axis": axis}
        yield ("float32",), "correlate1d", (large, _taps(k)), {"axis": axis}
    for axis in range(3):
        yield _SOME, "correlate1d", (volume, _taps(9)), {"axis": axis}
    for sigma in 1, 2, 5, 10:
        yield DTYPES, "gaussian_filter", (middle, sigma), {}
        yield _SOME, "gaussian_filter", (large, sigma), {}
        yield _SOME, "gaussian_filter", (volume, sigma), {}
    for size in 3, 9, 31, 101:
        yield DTYPES, "uniform_filter", (middle, size), {}
        yield _SOME, "uniform_filter", (large, size), {}
    yield _SOME, "uniform_filter", (volume, 5), {}
    for options in modes:
        yield _SOME, "correlate", (middle, _taps(5, 5)), options
        yield _SOME, "gaussian_filter", (middle, 2), options
        yield _SOME, "uniform_filter", (middle, 9), options
        yield ("float32", "int16"), "sobel", (middle,), options
    for image, function in product((middle, large), ("sobel", "prewitt", "laplace")):
        yield DTYPES if image is middle else ("float32",), function, (image,), {}
    for function in "sobel", "prewitt":
        yield ("float32", "int16"), function, (middle,), {"axis": 0}
    yield _SOME, "laplace", (volume,), {}
    for function in "gaussian_laplace", "gaussian_gradient_magnitude":
        yield _IMAGE, function, (middle, 2), {}
        yield ("float32",), function, (volume, 2), {}
    tiny = _samples(8, 8)
    yield DTYPES, "correlate", (tiny, _taps(3, 3)), {}
    yield DTYPES, "correlate1d", (_samples(32), _taps(5)), {}
    yield _SOME, "gaussian_filter", (tiny, 1), {}
    yield _SOME, "uniform_filter", (tiny, 3), {}
    for function in "sobel", "laplace":
        yield _SOME, function, (tiny,), {}


def _signal() -> Iterator[_Row]:
    dtypes: Sequence[str]
    counts = 64, 1000, 10_000, 100_000, 1_000_000, 10_000_000
    for n, k in product(counts, (3, 16, 64, 256, 1000, 10_000, 100_000)):
        if k <= n:
            wide = n in (10_000, 1_000_000) and k in (3, 64, 1000)
            yield DTYPES if wide else _REAL, "correlate", (_samples(n), _taps(k), "full"), {}
    for n, k in product((1000, 1_000_000), (3, 64, 1000)):
        yield _REAL, "convolve", (_samples(n), _taps(k), "same"), {}
        yield ("float32",), "convolve", (_samples(n), _taps(k), "valid"), {}
    for n, k in product((64, 256, 512, 1024, 2048), (3, 9, 31, 101, 255)):
        if k < n:
            dtypes = DTYPES if n == 512 else _REAL
            yield dtypes, "correlate", (_samples(n, n), _taps(k, k), "same"), {}
    for k in 9, 31:
        yield _REAL, "convolve", (_samples(512, 512), _taps(k, k), "full"), {}
    for n, k in product((64, 128), (3, 5, 9, 15)):
        dtypes = _REAL if n == 64 else ("float32",)
        yield dtypes, "correlate", (_samples(n, n, n), _taps(k, k, k), "same"), {}
    image = _samples(512, 512)
    for boundary in "fill", "wrap", "symm":
        arguments = image, _taps(9, 9), "same", boundary
        yield ("float32", "uint8", "complex64"), "correlate2d", arguments, {}
        yield _REAL, "convolve2d", (image, _taps(3, 3), "same", boundary), {}
    channels = _samples(64, 100_000)
    for k in 255, 4095:
        for function in "oaconvolve", "fftconvolve":
            yield ("float32", "complex64"), function, (channels, _taps(1, k), "same", 1), {}
    for function in "oaconvolve", "fftconvolve":
        yield _REAL, function, (_samples(1024, 1024), _taps(101, 101), "same"), {}
    float_or_complex = *_REAL, "complex64"
    for up, down in (1, 2), (2, 1), (3, 2), (160, 147):
        taps = _taps(20 * max(up, down) + 1)
        yield float_or_complex, "upfirdn", (taps, _samples(1_000_000), up, down), {}
        yield float_or_complex, "resample_poly", (_samples(1_000_000), up, down), {}
    yield _REAL, "upfirdn", (_taps(64), _samples(64, 10_000), 1, 2), {}
    yield _REAL, "resample_poly", (_samples(1000), 3, 2), {}
    for window in 11, 101:
        yield _REAL, "savgol_filter", (_samples(1_000_000), window, 3), {}
    yield _REAL, "savgol_filter", (_samples(1024, 1024), 11, 3), {}
    yield _REAL, "sepfir2d", (_samples(1024, 1024), _taps(9), _taps(9)), {}
    yield DTYPES, "correlate", (_samples(32), _taps(5), "full"), {}
    yield DTYPES, "convolve", (_samples(8, 8), _taps(3, 3), "same"), {}
    yield _SOME, "correlate2d", (_samples(8, 8), _taps(3, 3), "same"), {}
    yield _REAL, "savgol_filter", (_samples(64), 11, 3), {}


NAMESAKES = [
    Namesake(name, function, dtype, arguments, options)
    for name, rows in zip(SETS, (_signal(), _ndimage()), strict=True)
    for dtypes, function, arguments, options in rows
    for dtype in dtypes
]

#: The rows of the set `scipy-quick`, each with its dtypes.
QUICK = {
    "signal.correlate(32, 5, 'full')": "float32",
    "signal.correlate(1000, 64, 'full')": "float32",
    "signal.correlate(1000000, 3, 'full')": "float32",
    "signal.correlate(1000000, 64, 'full')": "float32 float64 int16 complex64",
    "signal.correlate(1000000, 1000, 'full')": "float32",
    "signal.correlate(1000000, 100000, 'full')": "float32",
    "signal.correlate(64x64, 3x3, 'same')": "float32",
    "signal.correlate(512x512, 9x9, 'same')": "float32 uint8",
    "signal.correlate(1024x1024, 31x31, 'same')": "float32",
    "signal.correlate(1024x1024, 101x101, 'same')": "float64",
    "signal.correlate(64x64x64, 5x5x5, 'same')": "float32",
    "signal.convolve2d(512x512, 3x3, 'same', 'symm')": "float32",
    "signal.oaconvolve(64x100000, 1x255, 'same', 1)": "float32",
    "signal.fftconvolve(1024x1024, 101x101, 'same')": "float32",
    "signal.upfirdn(61, 1000000, 3, 2)": "float32",
    "signal.resample_poly(1000000, 160, 147)": "float32",
    "signal.savgol_filter(1000000, 11, 3)": "float64",
    "signal.sepfir2d(1024x1024, 9, 9)": "float32",
    "ndimage.correlate(8x8, 3x3)": "float32 uint8",
    "ndimage.correlate(1024x1024, 3x3)": "float32 uint8",
    "ndimage.correlate(1024x1024, 9x9)": "float32 float64 uint8",
    "ndimage.correlate(1024x1024, 5x5, mode='nearest')": "float32",
    "ndimage.correlate(128x128x128, 3x3x3)": "float32",
    "ndimage.correlate1d(1024x1024, 9, axis=0)": "float32",
    "ndimage.correlate1d(1024x1024, 9, axis=1)": "float32",
    "ndimage.gaussian_filter(1024x1024, 2)": "float32 float64 uint8 int16 complex64",
    "ndimage.gaussian_filter(1024x1024, 10)": "float32",
    "ndimage.gaussian_filter(128x128x128, 2)": "float32",
    "ndimage.uniform_filter(1024x1024, 9)": "float32 uint8",
    "ndimage.uniform_filter(1024x1024, 101)": "float32",
    "ndimage.sobel(1024x1024)": "float32 int16",
    "ndimage.prewitt(1024x1024)": "float32",
    "ndimage.laplace(1024x1024)": "float32",
    "ndimage.gaussian_laplace(1024x1024, 2)": "float32",
    "ndimage.gaussian_gradient_magnitude(1024x1024, 2)": "float32",
}
