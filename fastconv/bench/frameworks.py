"""Peers that are frameworks: they compute every workload, by a graph or a call for each pass."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.bench.passes import Pass, Recipe
from fastconv.bench.peer import Call, Peer, Problem, fastest


class Torch(Peer):
    """torch.nn.functional, on tensors made beforehand."""

    key, label, double = "torch", "PyTorch", True
    needs = ("torch", "torch.nn.functional")

    def prepare(self, problem: Problem) -> Call | None:
        torch, functional = self.modules
        torch.set_num_threads(problem.threads)
        with torch.inference_mode():  # its tensors need no guard around the call
            tensor = torch.from_numpy(problem.input).clone()
            chains = [[self.step(one) for one in chain] for chain in problem.recipe.chains]
        shuffle = problem.recipe.shuffle
        if len(chains) == len(chains[0]) == shuffle == 1:
            return Call(functools.partial(chains[0][0], tensor))

        def run() -> Any:
            ends = (functools.reduce(_apply, chain, tensor) for chain in chains)
            total = functools.reduce(torch.add, ends)
            return functional.channel_shuffle(total, shuffle) if shuffle > 1 else total

        return Call(run)

    def step(self, one: Pass) -> Callable[[Any], Any]:
        """Make the function of a pass."""
        torch, functional = self.modules
        weight = torch.from_numpy(one.weight).clone()
        name = f"conv{'_transpose' if one.transposed else ''}{one.rank}d"
        function, stride, dilation = getattr(functional, name), one.stride, one.dilation
        if one.transposed:
            tail = one.before, one.output_padding, one.groups, dilation
            return lambda x: function(x, weight, None, stride, *tail)
        groups, before = one.groups, one.before
        if one.is_symmetric:
            return lambda x: function(x, weight, None, stride, before, dilation, groups)
        pads = [n for pair in zip(one.before[::-1], one.after[::-1], strict=True) for n in pair]
        zeros = (0,) * one.rank
        return lambda x: function(
            functional.pad(x, pads), weight, None, stride, zeros, dilation, groups
        )


class Jax(Peer):
    """lax.conv_general_dilated, compiled."""

    key, label, double = "jax", "JAX", True
    needs = ("jax", "jax.lax", "jax.numpy")

    def __init__(self) -> None:
        super().__init__()
        self.threads: int | None = None

    def prepare(self, problem: Problem) -> Call | None:
        jax, _, numpy = self.modules
        if self.threads is None:  # XLA reads NPROC at its first call, and then never again
            os.environ["NPROC"] = str(problem.threads)
            self.threads = problem.threads
        if problem.threads != self.threads:
            return None
        jax.config.update("jax_enable_x64", problem.input.dtype == np.float64)
        chains = [[self.step(one) for one in chain] for chain in problem.recipe.chains]
        shuffle = problem.recipe.shuffle

        def compute(x: Any, weights: Any) -> Any:
            def chained(steps: Any, weights: Any) -> Any:
                value = x
                for step, weight in zip(steps, weights, strict=True):
                    value = step(value, weight)
                return value

            total = sum(map(chained, chains, weights))
            if shuffle > 1:
                n, channels, *size = total.shape
                total = total.reshape(n, shuffle, channels // shuffle, *size).swapaxes(1, 2)
                total = total.reshape(n, channels, *size)
            return total

        compiled = jax.jit(compute)
        weights = [[numpy.asarray(_as_conv(one)) for one in c] for c in problem.recipe.chains]
        x = numpy.asarray(problem.input)
        return Call(lambda: compiled(x, weights).block_until_ready())

    def step(self, one: Pass) -> Callable[[Any, Any], Any]:
        """Make the function of a pass; a transposed one is a convolution of spread inputs."""
        ones = (1,) * one.rank
        stride, spread, pads = one.stride, ones, [*zip(one.before, one.after, strict=True)]
        if one.transposed:
            stride, spread = ones, one.stride
            reach = [d * (k - 1) for d, k in zip(one.dilation, one.kernel, strict=True)]
            ends = zip(reach, one.before, one.after, one.output_padding, strict=True)
            pads = [(r - before, r - after + more) for r, before, after, more in ends]
        lax = self.modules[1]
        return lambda x, weight: lax.conv_general_dilated(
            x, weight, stride, pads, spread, one.dilation, feature_group_count=one.groups
        )


class OnnxRuntime(Peer):
    """A model of one node, or of one for each pass, whose weights are constants."""

    key, label, packs = "onnxruntime", "ONNX Runtime", True
    needs = ("onnxruntime", "onnx", "onnx.helper", "onnx.numpy_helper")

    def prepare(self, problem: Problem) -> Call | None:
        runtime = self.modules[0]
        options = runtime.SessionOptions()
        options.intra_op_num_threads = problem.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = runtime.InferenceSession(
            self.model(problem), options, providers=["CPUExecutionProvider"]
        )
        feeds = {"input": problem.input}
        output = np.empty(problem.output_shape, problem.input.dtype)
        binding = session.io_binding()
        tensor = runtime.OrtValue.ortvalue_from_numpy
        values = tensor(problem.input), tensor(output)
        binding.bind_ortvalue_input("input", values[0])
        binding.bind_ortvalue_output("output", values[1])
        return fastest(
            Call(lambda: session.run(None, feeds), lambda result: result[0]),
            Call(lambda: session.run_with_iobinding(binding), lambda _: values[1].numpy()),
        )

    def model(self, problem: Problem) -> bytes:
        """Build the model."""
        _, onnx, helper, numpy_helper = self.modules
        nodes, weights, ends = [], [], []
        for c, chain in enumerate(problem.recipe.chains):
            value = "input"
            for p, one in enumerate(chain):
                weight, result = f"weight_{c}_{p}", f"value_{c}_{p}"
                weights.append(numpy_helper.from_array(one.weight, weight))
                attributes = {
                    "strides": one.stride,
                    "pads": one.before + one.after,
                    "dilations": one.dilation,
                    "group": one.groups,
                    **({"output_padding": one.output_padding} if one.transposed else {}),
                }
                kind = "ConvTranspose" if one.transposed else "Conv"
                nodes.append(helper.make_node(kind, [value, weight], [result], **attributes))
                value = result
            ends.append(value)
        if len(ends) > 1:
            value = "sum"
            nodes.append(helper.make_node("Sum", ends, [value]))
        if (groups := problem.recipe.shuffle) > 1:
            n, channels, *size = problem.output_shape
            split = [n, groups, channels // groups, *size]
            for name, shape in ("split", split), ("shape", problem.output_shape):
                weights.append(numpy_helper.from_array(np.array(shape, np.int64), name))
            order = [0, 2, 1, *range(3, len(split))]
            nodes += [
                helper.make_node("Reshape", [value, "split"], ["groups"]),
                helper.make_node("Transpose", ["groups"], ["shuffled"], perm=order),
                helper.make_node("Reshape", ["shuffled", "shape"], ["output"]),
            ]
        else:
            nodes[-1].output[0] = "output"
        float32 = onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            nodes,
            "workload",
            [helper.make_tensor_value_info("input", float32, problem.input.shape)],
            [helper.make_tensor_value_info("output", float32, problem.output_shape)],
            weights,
        )
        opset = helper.make_opsetid("", 17)  # old enough for every runtime in use
        model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
        serialized: bytes = model.SerializeToString()
        return serialized


class OpenVino(Peer):
    """A compiled model whose weights are constants, asked for one result at a time."""

    key, label, packs = "openvino", "OpenVINO", True
    needs = ("openvino", "openvino.opset8")

    def __init__(self) -> None:
        super().__init__()
        self.core = self.modules[0].Core()

    @property
    def version(self) -> str:
        return str(self.modules[0].__version__).split("-")[0]

    def prepare(self, problem: Problem) -> Call | None:
        openvino, ops = self.modules
        parameter = ops.parameter(problem.input.shape, np.float32)
        ends = (functools.reduce(self.step, chain, parameter) for chain in problem.recipe.chains)
        value = functools.reduce(ops.add, ends)
        if problem.recipe.shuffle > 1:
            value = ops.shuffle_channels(value, 1, problem.recipe.shuffle)
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": problem.threads,
        }
        model = openvino.Model([value], [parameter])
        request = self.core.compile_model(model, "CPU", settings).create_infer_request()
        request.set_input_tensor(openvino.Tensor(problem.input, shared_memory=True))

        def asynchronous() -> None:  # does not make a dictionary of the results
            request.start_async()
            request.wait()

        def array(_: Any) -> Any:
            return request.get_output_tensor().data

        return fastest(Call(request.infer, array), Call(asynchronous, array))

    def step(self, value: Any, one: Pass) -> Any:
        """Make the node of a pass."""
        ops = self.modules[1]
        geometry = [list(one.stride), list(one.before), list(one.after), list(one.dilation)]
        weight = one.weight
        if one.groups > 1:
            weight = weight.reshape(one.groups, len(weight) // one.groups, *weight.shape[1:])
        if not one.transposed:
            function = ops.group_convolution if one.groups > 1 else ops.convolution
            return function(value, ops.constant(weight), *geometry)
        stride, before, after, dilation = geometry
        function = (
            ops.group_convolution_backprop_data if one.groups > 1 else ops.convolution_backprop_data
        )
        return function(
            value,
            ops.constant(weight),
            stride,
            pads_begin=before,
            pads_end=after,
            dilations=dilation,
            output_padding=list(one.output_padding),
        )


class Ncnn(Peer):
    """A network whose weights are loaded, in plain float32; one call for each image."""

    key, label, packs = "ncnn", "ncnn", True
    needs = ("ncnn",)

    #: The layers of one, two and three spatial axes.
    SUFFIXES = ("1D", "", "3D")
    #: Numbers of the parameters for each axis, x last: kernel, dilation, stride, before, after,
    #: output padding.
    AXES = ((21, 11, 1), (22, 12, 2), (23, 13, 3), (24, 14, 4), (17, 16, 15), (20, 19, 18))

    def __init__(self) -> None:
        super().__init__()
        (ncnn,) = self.modules
        # As its own benchmark has them: memory is kept for the next call.
        self.allocators = ncnn.UnlockedPoolAllocator(), ncnn.PoolAllocator()

    def prepare(self, problem: Problem) -> Call | None:
        (ncnn,) = self.modules
        net = ncnn.Net()
        options = net.opt
        options.num_threads = problem.threads
        options.use_vulkan_compute = False
        for narrow in ("fp16", "bf16", "int8"):
            for use in ("packed", "storage", "arithmetic", "inference"):
                if hasattr(options, f"use_{narrow}_{use}"):
                    setattr(options, f"use_{narrow}_{use}", False)
        options.blob_allocator, options.workspace_allocator = self.allocators
        text, passes, last = self.network(problem.recipe)
        with tempfile.TemporaryDirectory() as folder:
            parameters, weights = Path(folder, "net.param"), Path(folder, "net.bin")
            parameters.write_text(text)
            with weights.open("wb") as file:
                for one in passes:
                    file.write(bytes(4))  # what follows is float32
                    file.write(np.ascontiguousarray(_as_ncnn(one)).tobytes())
            if net.load_param(str(parameters)) or net.load_model(str(weights)):
                raise RuntimeError("ncnn cannot load the network")
        network = _Network(net, self.allocators)
        images = [ncnn.Mat(image).clone() for image in problem.input]

        def run() -> list[Any]:
            results = []
            for image in images:
                extractor = network.net.create_extractor()
                extractor.input("input", image)
                status, result = extractor.extract(last)
                if status:
                    raise RuntimeError(f"ncnn failed with status {status}")
                results.append(result)
            return results

        def array(results: list[Any]) -> NDArray[Any]:
            return np.stack([np.array(result) for result in results])

        return Call(run, array)

    def network(self, recipe: Recipe) -> tuple[str, list[Pass], str]:
        """Write the layers; tell the order of their weights, and the name of the output."""
        layers, passes, ends = ["Input input 0 1 input"], [], []
        starts = ["input"]
        if len(recipe.chains) > 1:
            starts = [f"input_{c}" for c in range(len(recipe.chains))]
            layers.append(f"Split split 1 {len(starts)} input {' '.join(starts)}")
        for c, (value, chain) in enumerate(zip(starts, recipe.chains, strict=True)):
            for p, one in enumerate(chain):
                layers.append(self.layer(one, f"value_{c}_{p}", value))
                passes.append(one)
                value = f"value_{c}_{p}"
            ends.append(value)
        last = ends[0]
        if len(ends) > 1:
            last = "sum"
            layers.append(f"Eltwise sum {len(ends)} 1 {' '.join(ends)} sum 0=1")
        if recipe.shuffle > 1:
            layers.append(f"ShuffleChannel shuffle 1 1 {last} shuffled 0={recipe.shuffle}")
            last = "shuffled"
        blobs = sum(int(layer.split()[3]) for layer in layers)
        return "\n".join(["7767517", f"{len(layers)} {blobs}", *layers, ""]), passes, last

    def layer(self, one: Pass, name: str, source: str) -> str:
        """Write the layer of a pass."""
        kind = "Deconvolution" if one.transposed else "Convolution"
        kind += "DepthWise" if one.groups > 1 else ""
        numbers = {0: one.outputs, 5: 0, 6: one.weight.size}
        values = one.kernel, one.dilation, one.stride, one.before, one.after, one.output_padding
        for ids, value in zip(self.AXES, values, strict=True):
            numbers |= dict(zip(ids[-one.rank :], value, strict=False))
        if one.groups > 1:
            numbers[7] = one.groups
        settings = " ".join(f"{key}={value}" for key, value in sorted(numbers.items()))
        return f"{kind}{self.SUFFIXES[one.rank - 1]} {name} 1 1 {source} {name} {settings}"


# ---------------------------------------------------------------- what they share


class _Network:
    """A network that ends before the allocators do: it has weights there."""

    def __init__(self, net: Any, allocators: Any):
        self.net, self.allocators = net, allocators

    def __del__(self) -> None:
        self.net = None


def _apply(value: Any, step: Callable[[Any], Any]) -> Any:
    return step(value)


def _as_conv(one: Pass) -> NDArray[Any]:
    """The weights of the convolution that a transposed one is: flipped, channels exchanged."""
    if not one.transposed:
        return one.weight
    flipped = np.flip(one.weight, tuple(range(2, one.weight.ndim)))
    grouped = flipped.reshape(one.groups, -1, *flipped.shape[1:]).swapaxes(1, 2)
    return np.ascontiguousarray(grouped.reshape(one.outputs, -1, *flipped.shape[2:]))


def _as_ncnn(one: Pass) -> NDArray[Any]:
    """Weights with the output channels first."""
    if not one.transposed:
        return one.weight
    grouped = one.weight.reshape(one.groups, -1, *one.weight.shape[1:])
    return grouped.swapaxes(1, 2)
