"""Peers that are filters: each plane of an image, each channel of a recording by itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.bench.passes import Pass
from fastconv.bench.peer import Call, Peer, Problem, fastest

#: Multiply-adds that a direct method of SciPy, at about one in a nanosecond, may be asked for.
PATIENCE = 2e9


class OpenCV(Peer):
    """filter2D and sepFilter2D, on one plane after the other."""

    key, label, double = "opencv", "OpenCV", True
    units = 3  # it rounds once; SciPy cuts off after each pass. GaussianBlur has coarse weights.
    needs = ("cv2",)

    def prepare(self, problem: Problem) -> Call | None:
        (cv2,) = self.modules
        cv2.setNumThreads(problem.threads)
        planes = _planes(problem)
        if planes is None or problem.workload.rank > 2:
            return None
        passes = problem.recipe.chains[0]
        wide = [image.reshape(-1, image.shape[-1]) for image in planes]
        border = {"borderType": cv2.BORDER_CONSTANT}
        calls: list[Callable[[], Any]] = []
        for i, image in enumerate(wide):
            kernels = [_kernel(one, i) for one in passes]
            kernels = [kernel.reshape(-1, kernel.shape[-1]) for kernel in kernels]
            if len(passes) == 1:
                anchor = (*passes[0].before[::-1], 0)[:2]
                calls.append(
                    functools.partial(cv2.filter2D, image, -1, *kernels, anchor=anchor, **border)
                )
            else:
                column, line = kernels
                anchor = (passes[1].before[1], passes[0].before[0])
                calls.append(
                    functools.partial(
                        cv2.sepFilter2D, image, -1, line, column, anchor=anchor, **border
                    )
                )
        region = tuple(slice(n) for n in problem.output_shape[2:])

        def array(results: list[Any]) -> NDArray[Any]:
            images = [
                r.reshape(image.shape)[region] for r, image in zip(results, planes, strict=True)
            ]
            return np.stack(images).reshape(problem.output_shape)

        return Call(lambda: [call() for call in calls], array)


class SciPySignal(Peer):
    """The fastest of correlate, fftconvolve and oaconvolve; one thread but for the FFTs."""

    key, label, double = "scipy", "SciPy signal", True
    needs = ("scipy", "scipy.signal", "scipy.fft")

    def prepare(self, problem: Problem) -> Call | None:
        planes = _planes(problem)
        passes = problem.recipe.chains[0]
        if planes is None or len(passes) > 1 or (mode := _mode(passes[0])) is None:
            return None
        _, signal, fft = self.modules
        rank, threads = passes[0].rank, problem.threads
        images, weight = problem.input, passes[0].weight
        flipped = np.flip(weight, tuple(range(2, 2 + rank))).reshape(1, -1, *weight.shape[2:])

        def fourier(function: Callable[..., Any]) -> Call:
            axes = tuple(range(2, 2 + rank))

            def run() -> Any:
                with fft.set_workers(threads):
                    return function(images, flipped, mode, axes)

            return Call(run)

        def direct() -> Any:
            results = [
                signal.correlate(plane, _kernel(passes[0], i), mode, "direct")
                for i, plane in enumerate(planes)
            ]
            return np.stack(results).reshape(problem.output_shape)

        calls = [fourier(signal.fftconvolve), fourier(signal.oaconvolve)]
        if problem.workload.plan.flops / 2 <= PATIENCE / 10:
            calls.append(Call(direct))
        return fastest(*calls)


class SciPyNdimage(Peer):
    """correlate, and correlate1d for lines, on one plane after the other; one thread."""

    key, label, double = "ndimage", "SciPy ndimage", True
    needs = ("scipy", "scipy.ndimage")

    def prepare(self, problem: Problem) -> Call | None:
        planes = _planes(problem)
        if planes is None or problem.workload.plan.flops / 2 > PATIENCE:
            return None
        passes = problem.recipe.chains[0]
        modes = {_mode(one) for one in passes}
        if None in modes or (len(passes) > 1 and modes != {"same"}):
            return None
        region = _region(passes[0])
        correlate, correlate1d = self.modules[1].correlate, self.modules[1].correlate1d

        def filtered(image: NDArray[Any], number: int) -> Any:
            for axis, one in enumerate(passes):
                kernel = _kernel(one, number)
                if len(passes) == 1:
                    image = correlate(image, kernel, mode="constant")
                else:
                    image = correlate1d(image, kernel.ravel(), axis, mode="constant")
            return image[region]

        def array(results: list[Any]) -> NDArray[Any]:
            return np.stack(results).reshape(problem.output_shape)

        return Call(lambda: [filtered(image, i) for i, image in enumerate(planes)], array)


# ---------------------------------------------------------------- what they share


def _planes(problem: Problem) -> list[NDArray[Any]] | None:
    """A few planes, if each is filtered by itself, at once or by lines, without steps or holes."""
    (passes, *others), images = problem.recipe.chains, problem.input
    channels = images.shape[1]
    plain = not others and problem.recipe.shuffle == 1 and len(passes) in (1, images.ndim - 2)
    alone = all(
        one.groups == one.outputs == channels
        and not one.transposed
        and max(one.stride + one.dilation) == 1
        for one in passes
    )
    if not plain or not alone or len(images) * channels > 8:
        return None
    return [plane for image in images for plane in image]


def _kernel(one: Pass, number: int) -> NDArray[Any]:
    """The kernel of the plane of that number."""
    kernel: NDArray[Any] = one.weight[number % one.outputs, 0]
    return kernel


def _mode(one: Pass) -> str | None:
    """The name that SciPy has for the padding."""
    if one.before == tuple(k // 2 for k in one.kernel) and one.after == tuple(
        (k - 1) // 2 for k in one.kernel
    ):
        return "same"
    return None if any(one.before + one.after) else "valid"


def _region(one: Pass) -> tuple[Any, ...]:
    """Where in an output of the input's size the outputs are."""
    if _mode(one) == "same":
        return (...,)
    return tuple(slice(k // 2, -((k - 1) // 2) or None) for k in one.kernel)
