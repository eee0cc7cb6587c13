"""The demonstration: every convolution type on one photograph, checked, timed and pictured.

Each *study* below is one convolution type with a kernel designed by hand, so that the effect
on the photograph can be understood by looking at it. `run` computes every study, compares it
with the same thing done by `scipy.signal.correlate` in float64, and reports in a table and in
a picture. Photographs are float32 arrays of shape (3, height, width) from 0 to 1.
"""

import importlib.metadata
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.signal
from PIL import Image, ImageDraw, ImageFont, ImageOps
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import fastconv

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
CREDIT = "by danielbuechele, CC BY 2.0, from scikit-learn"
NOTES = """
ms: median time of a call. error: the largest difference from SciPy in float64. bound: what \
rounding may do to a sum of K products, K eps max|x| sum|w|. against SciPy: how many times as \
fast as scipy.signal.correlate in float32 (one thread, one call for each output channel and \
pass; strides computed and dropped, dilation by zeros between the taps).
"""


class DemoError(Exception):
    """The demonstration cannot be given: the message says why, and what would help."""


@dataclass(frozen=True)
class Study:
    """One convolution type at work.

    Attributes
    ----------
    kind, effect : str
        The convolution type, and what a viewer sees.
    function : callable
        The function of fastconv.
    reference : callable
        The same by SciPy, taking the same arguments.
    arguments : tuple of ndarray
        The input and the weights.
    options : dict
        The keyword arguments of both.
    picture : callable
        Turns the output into a photograph.
    passes : tuple of ndarray
        The weights of consecutive convolutions, one output per row; by default the arguments'.
    """

    kind: str
    effect: str
    function: Callable
    reference: Callable
    arguments: tuple
    options: dict = field(default_factory=dict)
    picture: Callable = lambda output: output
    passes: tuple = ()

    def tolerance(self) -> float:
        """Bound the rounding error: one eps for each of K terms of the largest possible sum."""
        rows = [np.atleast_2d(np.abs(w)) for w in self.passes or self.arguments[1:]]
        rows = [w.reshape(len(w), -1) for w in rows]
        terms = sum(w.shape[1] for w in rows)
        gain = np.prod([w.sum(1).max() for w in rows])
        largest = gain * np.abs(self.arguments[0]).max() + np.abs(self.options.get("bias", 0)).max()
        return float(np.finfo(np.float32).eps * terms * largest)


# ---------------------------------------------------------------- the same things by SciPy


def scipy_conv(
    x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"
):
    """Convolve with one `scipy.signal.correlate` per output channel.

    SciPy knows neither dilation nor stride: kernels get zeros between their taps, and results
    that a stride leaves out are computed and dropped.
    """
    images = x if x.ndim == weight.ndim else x[None]
    spatial = range(2, weight.ndim)
    pads = padding if isinstance(padding, tuple) else ((padding, padding),) * len(spatial)
    mode = "constant" if padding_mode == "zeros" else padding_mode
    images = np.pad(images, [(0, 0), (0, 0), *pads], mode)

    spread = [dilation * (weight.shape[axis] - 1) + 1 for axis in spatial]
    kernels = np.zeros((*weight.shape[:2], *spread), weight.dtype)
    kernels[(..., *[slice(None, None, dilation)] * len(spatial))] = weight

    inputs, outputs = weight.shape[1], len(weight) // groups
    results = []
    for channel, kernel in enumerate(kernels):
        first = channel // outputs * inputs
        source = images[:, first : first + inputs]
        result = scipy.signal.correlate(source, kernel[None], mode="valid")
        results.append(result[(slice(None), 0, *[slice(None, None, stride)] * len(spatial))])
    output = np.stack(results, 1)
    if bias is not None:
        output += bias.reshape(-1, *[1] * len(spatial))
    return output if x.ndim == weight.ndim else output[0]


def scipy_transpose(x, weight, stride, padding, groups):
    """Transpose a one-channel-per-group convolution: zeros between pixels, kernel turned."""
    height, width = ((n - 1) * stride + 1 for n in x.shape[1:])
    spread = np.zeros((len(x), height, width), x.dtype)
    spread[:, ::stride, ::stride] = x
    outside = weight.shape[-1] - 1 - padding
    return scipy_conv(spread, weight[:, :, ::-1, ::-1], padding=outside, groups=groups)


def scipy_pointwise(x, weight):
    """Map colours to colours, pixel by pixel."""
    return scipy_conv(x, weight.reshape(*weight.shape[:2], 1, 1))


def scipy_depthwise(x, weight):
    """Convolve each channel by itself."""
    return scipy_conv(x, weight, groups=len(x))


def scipy_separable(x, depthwise, pointwise):
    """Convolve each channel by itself, then mix the channels."""
    return scipy_pointwise(scipy_depthwise(x, depthwise), pointwise)


def scipy_spatially_separable(x, vertical, horizontal):
    """Convolve the columns, then the rows."""
    taps = np.broadcast_to(vertical, (len(x), 1, len(vertical)))
    columns = scipy_depthwise(x, taps[..., None])
    taps = np.broadcast_to(horizontal, (len(x), 1, len(horizontal)))
    return scipy_depthwise(columns, taps[..., None, :])


def scipy_flattened(x, lateral, vertical, horizontal):
    """Convolve across the channels, then the columns, then the rows."""
    columns = scipy_depthwise(scipy_pointwise(x, lateral), vertical[:, None, :, None])
    return scipy_depthwise(columns, horizontal[:, None, None, :])


def scipy_parallel_flattened(x, vertical, horizontal):
    """Add a convolution of the columns and one of the rows, zeros around the picture."""
    rows, columns = vertical.shape[2] // 2, horizontal.shape[3] // 2
    down = scipy_conv(x, vertical, padding=((rows, rows), (0, 0)))
    return down + scipy_conv(x, horizontal, padding=((0, 0), (columns, columns)))


def scipy_shuffled(x, weight, groups):
    """Convolve by groups, then let the channels take turns."""
    output = scipy_conv(x, weight, groups=groups)
    return output.reshape(groups, -1, *output.shape[1:]).swapaxes(0, 1).reshape(output.shape)


# ---------------------------------------------------------------- kernels and photographs


def gaussian(sigma: float, radius: int, order: int = 0) -> np.ndarray:
    """Sample a Gaussian of unit sum, or its first or second derivative, at 2*radius + 1 taps."""
    x = np.arange(-radius, radius + 1, dtype=np.float32)
    bell = np.exp(-0.5 * (x / sigma) ** 2)
    slope = (1, -x / sigma**2, (x**2 / sigma**2 - 1) / sigma**2)[order]
    return (slope * bell / bell.sum()).astype(np.float32)


def identity(size: int) -> np.ndarray:
    """Make the kernel that changes nothing."""
    return np.pad(np.ones((1, 1), np.float32), size // 2)


def framed(photo: np.ndarray, border: int) -> np.ndarray:
    """Continue a photograph beyond its edges, for convolutions that have no padding mode."""
    return np.pad(photo, [(0, 0), (border, border), (border, border)], "reflect")


def stretched(output: np.ndarray, percentile: float = 99.5) -> np.ndarray:
    """Scale an output so that its strong values, all but a few outliers, fill 0 to 1."""
    return output / max(np.percentile(np.abs(output), percentile), 1e-6)


# ---------------------------------------------------------------- the studies


def edges(photo: np.ndarray) -> Study:
    """See edges in eight directions, as the eye's cortex does: a bank of Gabor wavelets."""
    y, x = np.mgrid[-5:6, -5:6].astype(np.float32)
    angles = np.pi / 8 * np.arange(8, dtype=np.float32)[:, None, None]
    wave = np.exp(2j * np.pi / 7 * (x * np.cos(angles) + y * np.sin(angles)))
    bell = np.outer(gaussian(2.2, 5), gaussian(2.2, 5))
    wavelets = bell * (wave - (bell * wave).sum((1, 2), keepdims=True))
    bank = np.concatenate([wavelets.real, wavelets.imag]).astype(np.float32)
    hues = 0.5 + 0.5 * np.cos(2 * angles[:, :, 0] - 2 * np.pi / 3 * np.arange(3))

    def picture(output):
        energy = output[:8] ** 2 + output[8:] ** 2
        return stretched(np.einsum("ohw,oc->chw", energy, hues), 98) ** 0.5

    return Study(
        "simple, stride 2",
        "eight Gabor directions, a hue for each",
        fastconv.conv2d,
        scipy_conv,
        (photo, bank[:, None] * LUMA[:, None, None]),
        {"stride": 2, "padding": 5, "padding_mode": "reflect"},
        picture,
    )


def sepia(photo: np.ndarray) -> Study:
    """Tone the photograph as an old print: a 1x1 kernel mixes its colours."""
    tones = [[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]]
    weight = np.array(tones, np.float32)[:, :, None, None]
    return Study(
        "pointwise, 1 x 1",
        "sepia: one colour matrix",
        fastconv.pointwise_conv,
        scipy_pointwise,
        (photo, weight),
    )


def infrared(photo: np.ndarray) -> Study:
    """Turn leaves red and red green, as infrared film does: a linear map of the colours."""
    film = [[-0.7, 2.4, -0.7], [0.9, -0.3, 0.4], [0.4, -0.4, 1.0]]
    return Study(
        "pointwise, linear map",
        "infrared film: leaves turn red",
        fastconv.pointwise_conv,
        scipy_pointwise,
        (photo[None], np.array(film, np.float32)),
        picture=lambda output: output[0],
    )


def soften(photo: np.ndarray) -> Study:
    """Blur with a wide Gaussian: 49 + 49 taps in place of 2401."""
    bell = gaussian(8, 24)
    return Study(
        "spatially separable",
        "Gaussian blur, 49 + 49 taps for 49 x 49",
        fastconv.spatially_separable_conv2d,
        scipy_spatially_separable,
        (framed(photo, 24), bell, bell),
    )


def sharpen(photo: np.ndarray) -> Study:
    """Sharpen each colour by itself: the photograph, and what a blur would lose once more."""
    blur = np.outer(gaussian(1.6, 4), gaussian(1.6, 4))
    mask = identity(9) + 2.5 * (identity(9) - blur)
    return Study(
        "depthwise",
        "unsharp masking, colour by colour",
        fastconv.depthwise_conv2d,
        scipy_depthwise,
        (framed(photo, 4), np.tile(mask, (3, 1, 1, 1))),
    )


def watercolour(photo: np.ndarray) -> Study:
    """Paint crisp brightness over soft colours: each channel twice, then six channels mixed."""
    blur = np.outer(gaussian(4, 12), gaussian(4, 12))
    crisp = identity(25)
    depthwise = np.tile(np.stack([blur, crisp])[:, None], (3, 1, 1, 1))
    soft = 1.7 * np.eye(3, dtype=np.float32) - 1.7 * LUMA
    pointwise = np.stack([soft, np.tile(LUMA, (3, 1))], 2).reshape(3, 6)
    return Study(
        "depthwise separable",
        "crisp brightness over soft colours",
        fastconv.separable_conv2d,
        scipy_separable,
        (framed(photo, 12), depthwise, pointwise),
    )


def pop_art(photo: np.ndarray) -> Study:
    """Print four duotones: twelve channels in four groups, each with its own two inks."""
    inks = np.array(
        [
            [[0.16, 0.05, 0.36], [1.00, 0.83, 0.25]],
            [[0.05, 0.25, 0.33], [1.00, 0.55, 0.52]],
            [[0.55, 0.06, 0.24], [0.62, 0.95, 0.85]],
            [[0.10, 0.12, 0.16], [0.98, 0.62, 0.90]],
        ],
        np.float32,
    )
    shadow, light = inks[:, 0].ravel(), inks[:, 1].ravel()
    blur = np.outer(gaussian(1, 2), gaussian(1, 2))
    mask = identity(5) + 2 * (identity(5) - blur)
    contrast = 1.6
    ink = contrast * (light - shadow)[:, None] * LUMA
    small = framed(photo[:, ::2, ::2], 2)

    def picture(output):
        one, two, three, four = np.split(output, 4)
        return np.block([[one, two], [three, four]])

    return Study(
        "grouped",
        "four groups print four duotones",
        fastconv.conv2d,
        scipy_conv,
        (np.tile(small, (4, 1, 1)), ink[:, :, None, None] * mask),
        {"bias": shadow - 0.3 * (light - shadow), "groups": 4},
        picture,
    )


def harris_shutter(photo: np.ndarray) -> Study:
    """Expose three moments at once: the shuffle takes red, green and blue from three frames."""
    width = photo.shape[2]
    shift = 1 + width // 48
    wide = framed(photo, shift)[:, shift:-shift]
    frames = np.concatenate([wide[:, :, i * shift :][:, :, :width] for i in range(3)])
    colours = np.concatenate([np.roll(np.eye(3, dtype=np.float32), -i, 0) for i in range(3)])
    return Study(
        "grouped, shuffled",
        "three frames, a colour from each",
        fastconv.shuffled_grouped_conv2d,
        scipy_shuffled,
        (frames, colours.reshape(9, 3, 1, 1)),
        {"groups": 3},
        lambda output: output[:3],
    )


def enlarge(photo: np.ndarray) -> Study:
    """Enlarge a thumbnail eight times: each pixel of it paints a pyramid on the output."""
    height, width = (n // 8 for n in photo.shape[1:])
    thumbnail = photo.reshape(3, height, 8, width, 8).mean((2, 4))
    ramp = np.float32(1 - np.abs(np.arange(16) - 7.5) / 8)
    pyramid = np.outer(ramp, ramp)
    phases = pyramid.reshape(2, 8, 2, 8).transpose(1, 3, 0, 2)

    def picture(output):
        pixels = thumbnail.repeat(8, 1).repeat(8, 2)
        half = photo.shape[2] // 2
        seam = np.ones((3, photo.shape[1], 4), np.float32)
        return np.concatenate([pixels[:, :, : half - 2], seam, output[:, :, half + 2 :]], 2)

    return Study(
        "transposed",
        "a thumbnail, eight times as large",
        fastconv.conv_transpose2d,
        scipy_transpose,
        (framed(thumbnail, 1), np.tile(pyramid, (3, 1, 1, 1))),
        {"stride": 8, "padding": 12, "groups": 3},
        picture,
        (phases.reshape(64, 4),),
    )


def relief(photo: np.ndarray) -> Study:
    """Keep the detail of one scale: 25 taps, eight pixels apart, see as far as 33 x 33."""
    spline = np.array([1, 4, 6, 4, 1], np.float32) / 16
    wavelet = identity(5) - np.outer(spline, spline)
    weight = np.zeros((3, 3, 5, 5), np.float32)
    weight[range(3), range(3)] = wavelet
    return Study(
        "dilated",
        "wavelet detail, 25 taps over 33 x 33",
        fastconv.conv2d,
        scipy_conv,
        (framed(photo, 16), weight),
        {"dilation": 8},
        lambda output: 0.5 + 0.5 * stretched(output),
    )


def normals(photo: np.ndarray) -> Study:
    """Feel the surface: brightness as height, its slopes as the colours of a normal map."""
    bell, slope = gaussian(1.5, 5), gaussian(1.5, 5, 1)

    def picture(output):
        steep = np.stack([output[0], output[1], np.full_like(output[0], 0.05)])
        return 0.5 + 0.5 * steep / np.sqrt((steep**2).sum(0))

    return Study(
        "flattened",
        "brightness as a surface: its normals",
        fastconv.flattened_conv2d,
        scipy_flattened,
        (framed(photo, 5), np.stack([LUMA] * 2), np.stack([bell, slope]), np.stack([slope, bell])),
        picture=picture,
    )


def sketch(photo: np.ndarray) -> Study:
    """Draw with a pencil: the curvature along columns and rows adds up to the Laplacian."""
    curve = gaussian(1.2, 4, 2) * LUMA[:, None]
    vertical, horizontal = curve[None, :, :, None], curve[None, :, None, :]
    return Study(
        "parallel flattened",
        "pencil: curvature down plus across",
        fastconv.parallel_flattened_conv2d,
        scipy_parallel_flattened,
        (framed(photo, 4), vertical, horizontal),
        picture=lambda output: 1 - 0.9 * np.clip(stretched(output[:, 4:-4, 4:-4], 97), 0, 1),
        passes=(np.concatenate([vertical.ravel(), horizontal.ravel()]),),
    )


def wind(photo: np.ndarray) -> Study:
    """Let the wind blow: every row is a signal, and each sample trails behind it."""
    length = 96
    trail = np.exp(np.arange(1 - length, 1, dtype=np.float32) / 24)
    trail *= 0.7 / trail.sum()
    trail[-1] += 0.3
    return Study(
        "1-D, causal",
        "wind: every row is a signal that echoes",
        fastconv.conv1d,
        scipy_conv,
        (photo.transpose(1, 0, 2), np.tile(trail, (3, 1, 1))),
        {"padding": ((length - 1, 0),), "padding_mode": "reflect", "groups": 3},
        lambda output: output.transpose(1, 0, 2),
    )


def zoom(photo: np.ndarray) -> Study:
    """Zoom during a long exposure: sixteen frames are a volume, time is its depth."""
    frames, (height, width) = 16, photo.shape[1:]
    image = to_image(photo)
    film = np.empty((3, frames, height, width), np.float32)
    for frame in range(frames):
        inset = 0.016 * frame * width / 2, 0.016 * frame * height / 2
        box = (*inset, width - inset[0], height - inset[1])
        film[:, frame] = to_photo(image.resize((width, height), Image.Resampling.BICUBIC, box=box))
    exposure = np.exp(-np.arange(frames) / 8)
    cube = exposure[:, None, None] * np.outer(gaussian(0.6, 1), gaussian(0.6, 1))
    weight = np.tile(np.float32(cube / cube.sum()), (3, 1, 1, 1, 1))
    return Study(
        "3-D",
        "sixteen frames of a zoom, one exposure",
        fastconv.conv3d,
        scipy_conv,
        (film, weight),
        {"padding": ((0, 0), (1, 1), (1, 1)), "padding_mode": "reflect", "groups": 3},
        lambda output: output[:, 0],
    )


STUDIES = (
    *(edges, sepia, infrared, soften, sharpen),
    *(watercolour, pop_art, harris_shutter, enlarge, relief),
    *(normals, sketch, wind, zoom),
)


# ---------------------------------------------------------------- measuring


@dataclass(frozen=True)
class Result:
    """What one study came to."""

    study: Study
    output: np.ndarray
    explanation: fastconv.Explanation
    seconds: float
    scipy_seconds: float
    error: float

    @property
    def passed(self) -> bool:
        """Whether rounding explains all of the error."""
        return self.error <= self.study.tolerance()


def seconds_of(call: Callable, budget: float) -> float:
    """Time a call: the median of as many runs as fit into a budget of seconds."""
    times: list[float] = []
    while not times or sum(times) < budget:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def perform(study: Study) -> Result:
    """Compute, check and time one study."""
    function, reference, options = study.function, study.reference, study.options
    output = function(*study.arguments, **options)
    exact = reference(*(np.float64(array) for array in study.arguments), **options)
    same_shape = output.shape == exact.shape
    return Result(
        study,
        output,
        fastconv.explain(function, *study.arguments, **options),
        seconds_of(lambda: function(*study.arguments, **options), 0.3),
        seconds_of(lambda: reference(*study.arguments, **options), 0.6),
        float(np.abs(output - exact).max()) if same_shape else float("inf"),
    )


# ---------------------------------------------------------------- the photograph


def to_image(photo: np.ndarray) -> Image.Image:
    """Show an array, coloured or grey, as an image; what is out of range is clipped."""
    pixels = np.uint8(255 * np.moveaxis(np.clip(photo, 0, 1), 0, 2) + 0.5)
    return Image.fromarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def to_photo(image: Image.Image) -> np.ndarray:
    """Read an image into an array."""
    return np.ascontiguousarray(np.moveaxis(np.asarray(image, np.float32) / 255, 2, 0))


def open_photo(path: Path | None, size: int) -> np.ndarray:
    """Load a photograph, its longer side `size` pixels, its sides multiples of eight."""
    if path is None:
        try:  # the file's place only: importing scikit-learn takes longer than the convolutions
            shipped = importlib.metadata.distribution("scikit-learn")
        except importlib.metadata.PackageNotFoundError:
            raise DemoError(
                'the photograph comes with scikit-learn: pip install "fastconv[demo]", '
                "or name a photograph of yours"
            ) from None
        path = Path(str(shipped.locate_file("sklearn/datasets/images/china.jpg")))
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file).convert("RGB")
    except FileNotFoundError:
        raise DemoError(f"there is no photograph {path}") from None
    except IsADirectoryError:
        raise DemoError(f"{path} is a directory, not a photograph") from None
    except Image.UnidentifiedImageError:
        raise DemoError(f"{path} is not an image that Pillow can read") from None
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DemoError(f"cannot read {path}: {error}") from None
    scale = size / max(image.size)
    width, height = (max(size // 3, round(side * scale)) // 8 * 8 for side in image.size)
    return to_photo(ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS))


def check_writable(path: Path) -> None:
    """Fail early, not after the work, if the picture cannot be written."""
    if path.is_dir():
        raise DemoError(f"cannot write {path}: it is a directory")
    if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
        raise DemoError(f"cannot write {path}: no image format for {path.suffix!r}, try .png")
    if not path.parent.is_dir():
        raise DemoError(f"cannot write {path}: there is no directory {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise DemoError(f"cannot write {path}: permission denied")


# ---------------------------------------------------------------- the report


def figure(value: float) -> str:
    """Write a number with three digits, two if it is less than one, without an exponent."""
    return f"{float(f'{value:.{2 + (value >= 1)}g}'):.6g}"


def shape_text(array: np.ndarray) -> str:
    """Write the shape of an array."""
    return "×".join(map(str, array.shape))


def table_of(results: list[Result]) -> Table:
    """Lay out the table, two lines for each study."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("convolution\ninput ∗ weights → output")
    table.add_column("method")
    for heading in ("ms", "error\nbound", "against\nSciPy"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        study, colour = result.study, "green" if result.passed else "bold red"
        shapes = f"{' ∗ '.join(map(shape_text, study.arguments))} → {shape_text(result.output)}"
        table.add_row(
            f"[bold]{study.kind}[/]\n[dim]{shapes}[/]",
            result.explanation.method.replace(", ", "\n"),
            figure(1e3 * result.seconds),
            f"[{colour}]{result.error:.0e}[/]\n[dim]{study.tolerance():.0e}[/]",
            f"{figure(result.scipy_seconds / result.seconds)}×",
        )
    return table


def engine_of(results: list[Result]) -> str:
    """Name what computed: version, SIMD level and threads."""
    simd, threads = results[0].explanation.simd, fastconv.get_num_threads()
    return f"fastconv {fastconv.__version__}, SIMD {simd}, {threads} thread{'s'[: threads > 1]}"


def sheet_of(photo: np.ndarray, results: list[Result], credit: str) -> Image.Image:
    """Hang the photograph and what became of it on one sheet, captions below."""
    paper, ink, faint = "#f6f3ec", "#23211d", "#8a857a"
    columns, rows, margin, header = 5, -(-(len(results) + 1) // 5), 72, 176
    width = 520
    height = round(width * photo.shape[1] / photo.shape[2])
    across, down = width + 36, height + 120
    size = 2 * margin + columns * across - 36, header + rows * down
    sheet = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(sheet)
    title, large, small = map(ImageFont.load_default, (60, 26, 20))

    def hang(place, image, name, effect, time=""):
        x, y = margin + place % columns * across, header + place // columns * down
        sheet.paste(image.resize((width, height), Image.Resampling.LANCZOS), (x, y))
        draw.text((x, y + height + 34), name, ink, large, "ls")
        draw.text((x + width, y + height + 34), time, faint, small, "rs")
        draw.text((x, y + height + 64), effect, faint, small, "ls")

    draw.text((margin, 118), "One photograph, fourteen convolutions", ink, title, "ls")
    draw.text((size[0] - margin, 118), engine_of(results), faint, large, "rs")
    hang(0, to_image(photo), "the photograph", credit)
    for place, result in enumerate(results, 1):
        study, time = result.study, f"{figure(1e3 * result.seconds)} ms"
        hang(place, to_image(study.picture(result.output)), study.kind, study.effect, time)
    return sheet


def run(path: Path | None, output: Path, size: int) -> int:
    """Give the demonstration.

    Parameters
    ----------
    path : Path or None
        The photograph, or None for the one that scikit-learn ships.
    output : Path
        The picture to write.
    size : int
        How many pixels the longer side of the photograph is given.

    Returns
    -------
    int
        The exit status: 0 if every study agrees with SciPy, 1 otherwise.
    """
    check_writable(output)
    photo = open_photo(path, size)
    results = []
    columns = BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(STUDIES))
        for build in STUDIES:
            study = build(photo)
            progress.update(task, description=f"{study.kind}: {study.effect}")
            results.append(perform(study))
            progress.advance(task)

    try:
        sheet_of(photo, results, "" if path else CREDIT).save(output)
    except (OSError, ValueError) as error:
        raise DemoError(f"cannot write {output}: {error}") from None
    failed = [result.study.kind for result in results if not result.passed]
    console = Console(highlight=False)
    console.print(f"{engine_of(results)}; a photograph of {shape_text(photo)} in float32\n")
    console.print(table_of(results))
    console.print(NOTES)
    if failed:
        console.print(f"[bold red]Disagrees with SciPy: {', '.join(failed)}.[/]")
    console.print(f"The picture is in {output}.", markup=False, soft_wrap=True)
    return 1 if failed else 0
