"""What each kind of convolution is to the engine: shapes checked, a `Problem` described.

Each function takes the operands by name, the strides of the output if it exists already,
and the parameters as the user gave them. It returns

    (problem or None, shape of the output, rank of what must be filled first or 0)

Nothing here reads an element. Strides are in bytes.
"""

import itertools
import math

import numpy as np

from fastconv import geometry
from fastconv.engine.planning import Output, Problem, Step

_EVERY = (True, True, True)
_NONE = (False, False, False)


def _deep(values, fill):
    """Spatial values as three, the missing outer axes filled."""
    return (fill,) * (3 - len(values)) + tuple(values)


class _Input:
    """The input of a call: batched or not.

    The dtype to compute in is that of the other operands; the result may be `stored` in another.
    """

    def __init__(self, arrays, rank, stored=None):
        array, *_, last = arrays.values()
        if array.ndim not in (rank + 1, rank + 2):
            raise ValueError(
                f"input must have {rank + 2} axes (N, C, and {rank} spatial) or {rank + 1} "
                f"without N, got shape {array.shape}"
            )
        self.array = array
        self.dtype = last.dtype
        self.stored = np.dtype(stored) if stored else last.dtype
        self.rank = rank
        self.batch = array.shape[: array.ndim - rank - 1]
        self.channels = array.shape[-rank - 1] if rank else array.shape[-1]
        self.sizes = array.shape[array.ndim - rank :]

    def problem(self, groups, border, stride, grid, steps, channels=None):
        array = self.array
        strides = array.strides
        per_group = self.channels // groups if groups else 0
        channel = strides[array.ndim - self.rank - 1]
        return Problem(
            self.dtype,
            array.dtype,
            self.stored,
            math.prod(self.batch),
            groups,
            per_group,
            _deep(self.sizes, 1),
            (
                strides[0] if self.batch else 0,
                per_group * channel,
                channel,
                *_deep(strides[array.ndim - self.rank :], 0),
            ),
            border,
            _deep(stride, 1),
            _deep(grid, 1),
            steps,
        )


class _Out:
    """The output of a call, laid out as the caller has it or C-contiguous."""

    def __init__(self, given, channels, sizes, strides):
        self.shape = (*given.batch, channels, *sizes)
        if strides is None or len(strides) != len(self.shape):
            strides = [given.stored.itemsize] * len(self.shape)
            for a in reversed(range(len(self.shape) - 1)):
                strides[a] = strides[a + 1] * self.shape[a + 1]
        first = len(given.batch)
        self.image = strides[0] if first else 0
        self.channel = strides[first]
        self.spatial = tuple(strides[first + 1 :])
        self.sizes = tuple(sizes)

    def whole(self, group=0, inner=0, channel=None):
        return self.part(
            group, inner, channel, (0,) * len(self.sizes), (1,) * len(self.sizes), self.sizes
        )

    def part(self, group, inner, channel, first, step, sizes):
        """Every step-th output from `first` on, so many."""
        return Output(
            sum(f * s for f, s in zip(first, self.spatial, strict=True)),
            self.image,
            group,
            inner,
            self.channel if channel is None else channel,
            _deep([n * s for n, s in zip(step, self.spatial, strict=True)], 0),
            _deep(sizes, 1),
        )


def _bias(arrays, channels):
    """The bias as a step knows it: which operand, and its stride."""
    bias = arrays.get("bias")
    if bias is None:
        return None, 0
    if bias.shape != (channels,):
        raise ValueError(f"bias has shape {bias.shape}, expected ({channels},)")
    return list(arrays).index("bias"), bias.strides[0]


def _rank(weight, rank):
    """The spatial rank that a weight of a rank-generic function has."""
    if rank is not None:
        if weight.ndim != rank + 2:
            raise ValueError(
                f"weight must have {rank + 2} axes for {rank} spatial ones, "
                f"got shape {weight.shape}"
            )
        return rank
    if weight.ndim not in (3, 4, 5):
        raise ValueError(f"weight must have 3, 4 or 5 axes, got shape {weight.shape}")
    return weight.ndim - 2


def _check_groups(groups, given, outputs, inputs, name):
    """`inputs` is what the weight has, per group."""
    if given.channels % groups:
        raise ValueError(
            f"groups must divide the input's channels, got groups {groups} and "
            f"{given.channels} channels (input shape {given.array.shape})"
        )
    if outputs % groups:
        raise ValueError(
            f"groups must divide the output channels, got groups {groups} and {outputs} "
            f"(shape of {name})"
        )
    if inputs * groups != given.channels:
        raise ValueError(
            f"{name} expects {inputs * groups} input channels ({inputs} in each of {groups} "
            f"groups), the input has {given.channels} (shape {given.array.shape})"
        )


def _gather(strides, kernel):
    """Byte offsets of the weights of a kernel, the last axis fastest."""
    return [
        sum(i * s for i, s in zip(index, strides, strict=True))
        for index in geometry.product([range(k) for k in kernel])
    ]


def _taps(axes):
    return [_deep(tap, 0) for tap in geometry.product(axes)]


def convolution(
    arrays, strides, rank, stride, padding, dilation, groups, padding_mode, stored=None,
    shuffle=False,
):  # fmt: skip
    """Any (grouped) convolution: one pass. The result may be stored in a dtype of its own."""
    weight = arrays["weight"]
    rank = _rank(weight, rank)
    given = _Input(arrays, rank, stored)
    stride = geometry.per_axis("stride", stride, rank, 1)
    dilation = geometry.per_axis("dilation", dilation, rank, 1)
    groups = geometry.integer("groups", groups, 1)
    border = geometry.border(padding_mode)
    outputs, inputs, *kernel = weight.shape
    geometry.check_kernel("weight", kernel)
    pairs = geometry.padding_pairs(padding, given.sizes, kernel, stride, dilation)
    _check_groups(groups, given, outputs, inputs, "weight")
    bias, bias_stride = _bias(arrays, outputs)
    sizes = geometry.output_sizes(given.sizes, kernel, stride, pairs, dilation)
    geometry.check_border(given.sizes, pairs, padding_mode)
    out = _Out(given, outputs, sizes, strides)
    each = outputs // groups
    step = Step(
        1, bias, bias_stride, 1, inputs, each,
        _taps(geometry.conv_taps(kernel, pairs, dilation)),
        _gather(weight.strides[2:], kernel),
        (each * weight.strides[0], 0, weight.strides[0], weight.strides[1]),
        _EVERY,
        # Shuffled: channel m of group g is stored at m * groups + g.
        out.whole(out.channel, 0, groups * out.channel)
        if shuffle
        else out.whole(each * out.channel),
    )  # fmt: skip
    return given.problem(groups, border, stride, sizes, [step]), out.shape, 0


def pointwise(arrays, strides):
    """A linear map of the channels at each position; a matrix has no axes for the kernel."""
    given, weight = arrays["input"], arrays["weight"]
    if weight.ndim == 2:
        if not 2 <= given.ndim <= 5:
            raise ValueError(
                "input must have shape (N, C, ...) with 0 to 3 spatial axes for a weight "
                f"(Cout, Cin), got {given.shape}"
            )
        arrays = {**arrays, "weight": weight[(...,) + (None,) * (given.ndim - 2)]}
    elif not 3 <= weight.ndim <= 5 or weight.shape[2:] != (1,) * (weight.ndim - 2):
        raise ValueError(
            f"weight must have shape (Cout, Cin) or (Cout, Cin, 1, ...), got {weight.shape}"
        )
    rank = arrays["weight"].ndim - 2
    return convolution(arrays, strides, rank, 1, 0, 1, 1, "zeros")


def correlation(arrays, strides, pads, padding_mode, stored=None, kept=None, dilation=1):
    """One array and one kernel without axes for images and channels.

    `kept`, a byte for each weight, is zero where it is to be left out, whatever it meets.
    """
    rank = arrays["weight"].ndim
    lifted = {**arrays, "input": arrays["input"][None], "weight": arrays["weight"][None, None]}
    strides = None if strides is None else (0, *strides)
    problem, shape, fill = convolution(
        lifted, strides, rank, 1, pads, dilation, 1, padding_mode, stored
    )
    if kept is not None:
        (step,) = problem.steps
        taps, gather = (list(itertools.compress(a, kept)) for a in (step.taps, step.gather))
        problem = problem._replace(steps=[step._replace(taps=taps, gather=gather)])
    return problem, shape[1:], fill


def line(arrays, strides, axis, before, after, padding_mode, stored=None, dilation=1):
    """One array and a line of weights along one of its axes."""
    given, weight = arrays["input"], arrays["weight"]
    others = [a for a in range(given.ndim) if a != axis]
    pads = [(0, 0)] * given.ndim
    pads[axis] = (before, after)
    arrays = {**arrays, "weight": np.expand_dims(weight, others)}
    return correlation(arrays, strides, pads, padding_mode, stored, dilation=dilation)


def lines(arrays, strides, pads, padding_mode, stored=None, beside=None):
    """One array and a line of weights along each of its axes, or all but the one `beside`."""
    given = arrays["input"]
    shape = given.shape
    if beside is None:
        given = given[None]
        strides = None if strides is None else (0, *strides)
    else:
        given = np.moveaxis(given, beside, 0)[:, None]
        if strides is not None:
            strides = (strides[beside], 0, *strides[:beside], *strides[beside + 1 :])
    problem, _, fill = spatially_separable(
        {**arrays, "input": given}, strides, len(pads), 1, pads, 1, padding_mode, stored
    )
    return problem, shape, fill


def shuffled(arrays, strides, rank, stride, padding, dilation, groups):
    """A grouped convolution whose output channels are shuffled between the groups."""
    return convolution(
        arrays, strides, rank, stride, padding, dilation, groups, "zeros", shuffle=True
    )


def transposed(arrays, strides, rank, stride, padding, output_padding, groups, dilation):
    """Transposed convolution: a pass for each phase of the output, side by side."""
    weight = arrays["weight"]
    rank = _rank(weight, rank)
    given = _Input(arrays, rank)
    stride = geometry.per_axis("stride", stride, rank, 1)
    if isinstance(padding, str):
        raise TypeError(f"padding must be integers for a transposed convolution, got {padding!r}")
    padding = geometry.per_axis("padding", padding, rank, 0)
    output_padding = geometry.per_axis("output_padding", output_padding, rank, 0)
    dilation = geometry.per_axis("dilation", dilation, rank, 1)
    groups = geometry.integer("groups", groups, 1)
    inputs, each, *kernel = weight.shape
    geometry.check_kernel("weight", kernel)
    if inputs != given.channels:
        raise ValueError(
            f"weight expects {inputs} input channels, the input has {given.channels} "
            f"(shape {given.array.shape})"
        )
    _check_groups(groups, given, groups, inputs // groups, "weight")
    bias, bias_stride = _bias(arrays, groups * each)
    sizes = geometry.transposed_sizes(
        given.sizes, kernel, stride, padding, output_padding, dilation
    )
    out = _Out(given, groups * each, sizes, strides)
    if not any(padding) and math.prod(given.sizes) == 1 and sizes == tuple(kernel):
        problem = _spread(given, weight, out, groups, bias, bias_stride)
        if problem:
            return problem, out.shape, 0
    axes = [
        geometry.transposed_phases(*axis)
        for axis in zip(sizes, kernel, stride, padding, dilation, strict=True)
    ]
    steps = []
    for phases in geometry.product(axes):
        places = geometry.product([taps for _, _, taps in phases])
        steps.append(
            Step(
                1, bias, bias_stride, 1, inputs // groups, each,
                [_deep([tap for _, tap in place], 0) for place in places],
                [
                    sum(k * s for (k, _), s in zip(place, weight.strides[2:], strict=True))
                    for place in places
                ],
                (inputs // groups * weight.strides[0], 0, weight.strides[1], weight.strides[0]),
                _EVERY,
                out.part(
                    each * out.channel, 0, None, [phase for phase, _, _ in phases], stride,
                    [count for _, count, _ in phases],
                ),
            )
        )  # fmt: skip
    grid = [max((count for _, count, _ in phases), default=0) for phases in axes]
    # Where no tap reaches some phase, the output is the bias.
    gaps = any(len(phases) < min(s, n) for phases, s, n in zip(axes, stride, sizes, strict=True))
    problem = given.problem(groups, 0, (1,) * rank, grid, steps) if steps else None
    return problem, out.shape, rank if gaps else 0


def _spread(given, weight, out, groups, bias, bias_stride):
    """A kernel for one position: a linear map of the images to all that a channel's kernel has.

    None unless weights and output follow each other alike.
    """
    size = weight.itemsize
    _, each, *kernel = weight.shape
    positions = math.prod(kernel)
    alike = all(
        geometry.is_run((each, *kernel), strides, size)
        for strides in (weight.strides[1:], (out.channel, *out.spatial))
    )
    if not alike or given.stored != given.dtype:
        return None
    images = (1, 1, math.prod(given.batch))
    problem = given.problem(groups, 0, (), (), [])
    image, *apart = problem.in_strides[:3]
    step = Step(
        1, bias, bias_stride, 1, problem.channels, each * positions, [(0, 0, 0)], [0],
        (problem.channels * weight.strides[0], 0, size, weight.strides[0]), _EVERY,
        Output(0, 0, each * out.channel, 0, size, (0, 0, out.image), images), positions,
    )  # fmt: skip
    return problem._replace(
        images=1, sizes=images, in_strides=(0, *apart, 0, 0, image), grid=images, steps=[step]
    )


def resampled(arrays, strides, up, down, offset, count, padding_mode):
    """Zeros inserted, filtered and thinned out along the first axis after the channels.

    Output m is the sum over i of weight[m * down + offset - i * up] * input[i], as far as
    there are such weights. Every `apart`-th output meets the same of them, and sees the input
    `stride` elements on: a pass for each of the first `apart` outputs, side by side.
    """
    given = _Input(arrays, arrays["input"].ndim - 2)
    (weight,) = arrays["weight"].strides
    taps = arrays["weight"].shape[0]
    rest = given.sizes[1:]
    out = _Out(given, given.channels, (count, *rest), strides)
    common = math.gcd(up, down)
    apart, stride = up // common, down // common
    steps = []
    for m in range(min(apart, count)):
        place, phase = divmod(m * down + offset, up)
        elements = range(phase, taps, up)
        if elements:
            steps.append(
                Step(
                    1, None, 0, 1, 1, 1,
                    [_deep((place - q, *(0 for _ in rest)), 0) for q in range(len(elements))],
                    [weight * k for k in elements],
                    (0, 0, 0, 0),
                    _EVERY,
                    out.part(
                        out.channel, 0, None, (m, *(0 for _ in rest)),
                        (apart, *(1 for _ in rest)), (-(-(count - m) // apart), *rest),
                    ),
                )
            )  # fmt: skip
    grid = (-(-count // apart), *rest)
    border = geometry.border(padding_mode)
    problem = given.problem(1, border, (stride, *(1 for _ in rest)), grid, steps)
    gaps = len(steps) < min(apart, count)
    return problem if steps else None, out.shape, len(given.sizes) if gaps else 0


def _deep_reduces(axis, rank, first):
    """What a one-axis pass reduces; the first one also disposes of the axes not there."""
    return tuple(a == 3 - rank + axis or (first and a < 3 - rank) for a in range(3))


def _line(operand, axis, rank, weight_strides, taps, first, groups, output=None, bias=(None, 0)):
    """A pass along one axis, for each channel by itself."""
    outer, inner, along = weight_strides
    return Step(
        operand, *bias, groups, 1, 1,
        [_deep([t if a == axis else 0 for a in range(rank)], 0) for t in taps],
        [along * k for k in range(len(taps))],
        (outer, inner, 0, 0),
        _deep_reduces(axis, rank, first),
        output,
    )  # fmt: skip


def depthwise(arrays, strides, rank, stride, padding, dilation):
    """A grouped convolution with a group for each channel."""
    given = _Input(arrays, rank)
    weight = arrays["weight"]
    if weight.ndim != rank + 2 or weight.shape[1] != 1:
        raise ValueError(f"weight must have shape (C*K, 1, and {rank} spatial), got {weight.shape}")
    check_multiplier("weight", weight, given.channels)
    return convolution(arrays, strides, rank, stride, padding, dilation, given.channels, "zeros")


def separable(arrays, strides, rank, stride, padding, dilation):
    """Depthwise, then pointwise: the second pass reads what the first left in the scratch."""
    depthwise = arrays["depthwise_weight"]
    pointwise = arrays["pointwise_weight"]
    if depthwise.ndim != rank + 2 or depthwise.shape[1] != 1:
        raise ValueError(
            f"depthwise_weight must have shape (C*K, 1, and {rank} spatial), got {depthwise.shape}"
        )
    given = _Input(arrays, rank)
    stride = geometry.per_axis("stride", stride, rank, 1)
    dilation = geometry.per_axis("dilation", dilation, rank, 1)
    middle, _, *kernel = depthwise.shape
    multiplier = check_multiplier("depthwise_weight", depthwise, given.channels)
    if pointwise.shape not in (pointwise.shape[:1] + (middle,) + (1,) * n for n in (0, rank)):
        raise ValueError(
            f"pointwise_weight must have shape (Cout, {middle}) or (Cout, {middle}, and {rank} "
            f"ones), got {pointwise.shape}"
        )
    outputs = pointwise.shape[0]
    geometry.check_kernel("depthwise_weight", kernel)
    pairs = geometry.padding_pairs(padding, given.sizes, kernel, stride, dilation)
    bias, bias_stride = _bias(arrays, outputs)
    sizes = geometry.output_sizes(given.sizes, kernel, stride, pairs, dilation)
    out = _Out(given, outputs, sizes, strides)
    steps = [
        Step(
            1, None, 0, given.channels, 1, multiplier,
            _taps(geometry.conv_taps(kernel, pairs, dilation)),
            _gather(depthwise.strides[2:], kernel),
            (0, multiplier * depthwise.strides[0], depthwise.strides[0], 0),
            _EVERY, None,
        ),
        Step(
            2, bias, bias_stride, 1, middle, outputs, [(0, 0, 0)], [0],
            (0, 0, *pointwise.strides[:2]), _NONE, out.whole(),
        ),
    ]  # fmt: skip
    return given.problem(1, 0, stride, sizes, steps), out.shape, 0


def check_multiplier(name, weight, channels):
    """How many outputs each channel of a depthwise convolution has."""
    if channels == 0 or weight.shape[0] % channels:
        raise ValueError(
            f"{name} must have a multiple of the input's {channels} channels, got {weight.shape}"
        )
    return weight.shape[0] // channels


def _line_weight(name, weight, axis, rank, channels):
    """A (k,), (C, k) or (C, 1, .. k ..) weight: its length and (channel, element) strides."""
    along = 2 + axis
    full = (
        (channels, 1, *(weight.shape[along] if a == axis else 1 for a in range(rank)))
        if (weight.ndim == rank + 2)
        else None
    )
    if weight.ndim == 1:
        return weight.shape[0], (0, weight.strides[0])
    if weight.ndim == 2 and weight.shape[0] == channels:
        return weight.shape[1], weight.strides
    if weight.shape == full:
        return weight.shape[along], (weight.strides[0], weight.strides[along])
    ones = ", ".join("k" if a == axis else "1" for a in range(rank))
    raise ValueError(
        f"{name} must have shape (k,), ({channels}, k) or ({channels}, 1, {ones}), "
        f"got {weight.shape}"
    )


def spatially_separable(
    arrays, strides, rank, stride, padding, dilation, padding_mode="zeros", stored=None
):
    """One pass along each axis, first to last, for each channel by itself."""
    given = _Input(arrays, rank, stored)
    stride = geometry.per_axis("stride", stride, rank, 1)
    dilation = geometry.per_axis("dilation", dilation, rank, 1)
    border = geometry.border(padding_mode)
    names = [name for name in arrays if name.startswith("weight")]
    lines = [
        _line_weight(name, arrays[name], axis, rank, given.channels)
        for axis, name in enumerate(names)
    ]
    kernel = [k for k, _ in lines]
    for name, k in zip(names, kernel, strict=True):
        geometry.check_kernel(name, [k])
    pairs = geometry.padding_pairs(padding, given.sizes, kernel, stride, dilation)
    bias = _bias(arrays, given.channels)
    sizes = geometry.output_sizes(given.sizes, kernel, stride, pairs, dilation)
    geometry.check_border(given.sizes, pairs, padding_mode)
    out = _Out(given, given.channels, sizes, strides)
    taps = geometry.conv_taps(kernel, pairs, dilation)
    steps = [
        _line(
            1 + axis, axis, rank, (per_channel, 0, along), taps[axis], axis == 0, 1,
            *((out.whole(out.channel), bias) if axis == rank - 1 else ()),
        )
        for axis, (_, (per_channel, along)) in enumerate(lines)
    ]  # fmt: skip
    return given.problem(given.channels, border, stride, sizes, steps), out.shape, 0


def flattened(arrays, strides, rank, stride, padding, dilation):
    """Across the channels, then along each axis."""
    given = _Input(arrays, rank)
    stride = geometry.per_axis("stride", stride, rank, 1)
    dilation = geometry.per_axis("dilation", dilation, rank, 1)
    lateral = arrays["lateral"]
    if lateral.ndim != 2 or lateral.shape[1] != given.channels:
        raise ValueError(
            f"lateral must have shape (F, {given.channels}) for the input {given.array.shape}, "
            f"got {lateral.shape}"
        )
    filters = lateral.shape[0]
    names = [name for name in arrays if name not in ("input", "lateral", "bias")]
    for name in names:
        if arrays[name].ndim != 2 or arrays[name].shape[0] != filters:
            raise ValueError(
                f"{name} must have shape ({filters}, k) for lateral {lateral.shape}, "
                f"got {arrays[name].shape}"
            )
        geometry.check_kernel(name, arrays[name].shape[1:])
    kernel = [arrays[name].shape[1] for name in names]
    pairs = geometry.padding_pairs(padding, given.sizes, kernel, stride, dilation)
    bias = _bias(arrays, filters)
    sizes = geometry.output_sizes(given.sizes, kernel, stride, pairs, dilation)
    out = _Out(given, filters, sizes, strides)
    taps = geometry.conv_taps(kernel, pairs, dilation)
    steps = [
        Step(1, None, 0, 1, given.channels, filters, [(0, 0, 0)], [0],
             (0, 0, *lateral.strides), _NONE, None)
    ]  # fmt: skip
    steps += [
        _line(
            2 + axis, axis, rank, (0, *arrays[name].strides), taps[axis], axis == 0, filters,
            *((out.whole(0, out.channel), bias) if axis == rank - 1 else ()),
        )
        for axis, name in enumerate(names)
    ]  # fmt: skip
    return given.problem(1, 0, stride, sizes, steps), out.shape, 0


def crossed(arrays, strides, kernel, stride, padding, dilation):
    """A vertical and a horizontal kernel, summed: one pass over the taps of a cross.

    The weight is (F, C, kv + kh), the vertical taps first.
    """
    weight = arrays["weight"]
    rank = 2
    given = _Input(arrays, rank)
    stride = geometry.per_axis("stride", stride, rank, 1)
    dilation = geometry.per_axis("dilation", dilation, rank, 1)
    outputs, inputs, _ = weight.shape
    pairs = geometry.padding_pairs(padding, given.sizes, kernel, stride, dilation)
    _check_groups(1, given, outputs, inputs, "weight_vertical")
    bias, bias_stride = _bias(arrays, outputs)
    sizes = geometry.output_sizes(given.sizes, kernel, stride, pairs, dilation)
    out = _Out(given, outputs, sizes, strides)
    along_y, along_x = geometry.conv_taps(kernel, pairs, dilation)
    # With 'same' each kernel is padded along its own axis only; else the window is.
    centre = [
        0 if padding == "same" else taps[(k - 1) // 2]
        for taps, k in zip((along_y, along_x), kernel, strict=True)
    ]
    step = Step(
        1, bias, bias_stride, 1, inputs, outputs,
        [(0, t, centre[1]) for t in along_y] + [(0, centre[0], t) for t in along_x],
        [weight.strides[2] * k for k in range(weight.shape[2])],
        (0, 0, *weight.strides[:2]),
        _EVERY, out.whole(),
    )  # fmt: skip
    return given.problem(1, 0, stride, sizes, [step]), out.shape, 0
