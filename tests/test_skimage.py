"""scikit-image's filters give the same pictures when SciPy's names stand for our functions.

A picture may be off by eps, times the terms that are added up one pass after the other, times the
largest sum of their absolute values: `terms` and `magnitude` below, for pictures from 0 to 1.
"""

import contextlib
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from skimage import data, feature, filters, metrics, restoration, util

import fastconv
import fastconv.ndimage
import fastconv.signal
from fastconv import originals

PICTURES = {"camera": data.camera, "astronaut": data.astronaut, "brick": data.brick}
#: Of match_template; the bricks' standard deviation is more than a tenth in all windows.
TEMPLATE = slice(100, 120), slice(200, 230)
GAUSS = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256


@dataclass
class Case:
    """A function of scikit-image, what it calls of ours, and what rounding may do."""

    function: Any
    called: str
    terms: int
    magnitude: float
    picture: str = "camera"


CASES = {
    "gaussian": Case(lambda x: filters.gaussian(x, 2), "gaussian_filter", 2 * 17, 1),
    "gaussian, constant": Case(
        lambda x: filters.gaussian(x, (3, 0.5), mode="constant", cval=0.5, truncate=3),
        "gaussian_filter", 19 + 3, 1,
    ),
    "gaussian, colours": Case(
        lambda x: filters.gaussian(x, 1.5, channel_axis=-1), "gaussian_filter", 2 * 13, 1,
        "astronaut",
    ),
    "sobel": Case(filters.sobel, "convolve", 9, 2),
    "sobel_h": Case(filters.sobel_h, "convolve", 9, 2),
    "sobel_v": Case(filters.sobel_v, "convolve", 9, 2),
    "scharr": Case(filters.scharr, "convolve", 9, 2),
    "prewitt": Case(filters.prewitt, "convolve", 9, 2),
    "farid": Case(filters.farid, "convolve", 25, 2),
    "laplace": Case(filters.laplace, "convolve", 9, 8),
    "gabor": Case(lambda x: filters.gabor(x, 0.2), "convolve", 25**2, 2),
    "unsharp_mask": Case(
        lambda x: filters.unsharp_mask(x, radius=3, amount=2), "gaussian_filter", 2 * 25, 5
    ),
    "difference_of_gaussians": Case(
        lambda x: filters.difference_of_gaussians(x, 1, 4), "gaussian_filter", 2 * 33, 2
    ),
    "threshold_local": Case(
        lambda x: filters.threshold_local(x, 35, offset=0.1), "gaussian_filter", 2 * 49, 1
    ),
    "corner_harris": Case(feature.corner_harris, "sobel gaussian_filter", 9 + 2 * 9, 3 * 4**4),
    "hessian_matrix": Case(
        lambda x: feature.hessian_matrix(x, 2, use_gaussian_derivatives=True),
        "gaussian_filter", 4 * 17, 1,
    ),
    "match_template": Case(
        lambda x: feature.match_template(x, x[TEMPLATE], pad_input=True),
        "fftconvolve", 10 * 20, 1 / 0.1**2, "brick",
    ),
    "structural_similarity": Case(
        lambda x: metrics.structural_similarity(x, x[::-1], data_range=1, full=True)[1],
        "uniform_filter", 4 * 2 * 7, 4 / 0.03**2,
    ),
    "richardson_lucy": Case(
        lambda x: restoration.richardson_lucy(x, GAUSS.astype(x.dtype), 5), "convolve",
        5 * 2 * 25, 4, "brick",
    ),
}  # fmt: skip


@contextlib.contextmanager
def watched():
    """The names of our functions that are called meanwhile, and how often SciPy's were."""
    names = {
        getattr(module, name).__code__: name
        for module in (fastconv.signal, fastconv.ndimage)
        for name in module.__all__
    }
    seen = set()

    def profile(frame, event, _):
        if event == "call" and frame.f_code in names:
            seen.add(names[frame.f_code])

    sys.setprofile(profile)
    try:
        yield seen
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_same_picture(name, dtype, monkeypatch):
    case = CASES[name]
    picture = util.img_as_float64(PICTURES[case.picture]())[::2, ::2].astype(dtype)
    expected = np.asarray(case.function(picture))
    with fastconv.patch_scipy(), watched() as seen:

        def refuse(*_, **__):
            pytest.fail("handed over to SciPy")

        monkeypatch.setattr(originals, "_kept", dict.fromkeys(originals._kept, refuse))
        actual = np.asarray(case.function(picture))
    assert set(case.called.split()) <= seen
    assert actual.dtype == expected.dtype
    assert actual.dtype in (dtype, np.float64)
    assert np.ptp(expected) > 0.01, "nothing to see"
    allowed = np.finfo(dtype).eps * (case.terms + 4) * case.magnitude
    np.testing.assert_allclose(actual, expected, rtol=0, atol=allowed)
