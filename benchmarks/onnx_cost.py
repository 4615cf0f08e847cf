"""What an ONNX file costs: stored numbers and multiply-accumulates, counted alike for everybody.

Counted are convolutions, transposed and deformable ones, and matrix products; a deformable
convolution as a plain one, without its interpolation. Biases, activations, pooling, resizing and
normalisation are not: they are of lower order, and usual counts leave them out too. Shapes are
those that the graph has when it runs: shape inference loses them where a size is computed inside
the graph, as before the Resize of SCRFD.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper

from featherface.types import Size

Shape = tuple[int, ...]

CONVOLUTIONS = ("Conv", "DeformConv", "ConvTranspose")
FLOATING = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
    onnx.TensorProto.DOUBLE,
)
CUT = "forward only: ends at the last convolutions"


def _convolution(inputs: Sequence[Shape], output: Shape) -> int:
    return math.prod(output) * math.prod(inputs[1][1:])  # weight (out, in / groups, kernel...)


def _transposed(inputs: Sequence[Shape], output: Shape) -> int:
    return math.prod(inputs[0]) * math.prod(inputs[1][1:])  # weight (in, out / groups, kernel...)


def _product(inputs: Sequence[Shape], output: Shape) -> int:
    return math.prod(output) * inputs[0][-1]


def _gemm(inputs: Sequence[Shape], output: Shape) -> int:
    # Either operand may be transposed: what the first has beside the rows of the output is summed.
    return math.prod(inputs[0]) * output[-1]


COUNTERS: dict[str, Callable[[Sequence[Shape], Shape], int]] = {
    "Conv": _convolution,
    "DeformConv": _convolution,
    "ConvTranspose": _transposed,
    "MatMul": _product,
    "Gemm": _gemm,
}
"""Multiply-accumulates of a node from the shapes of its inputs and of its output."""


def count_numbers(path: Path) -> int:
    """Floating-point numbers and quantised weights in a file: initialisers and constants.

    Not quite the parameters that were trained: batch norms may be folded into convolutions, and
    widths padded with zeros.
    """
    graph = onnx.load(path).graph
    tensors = list(graph.initializer)
    for node in graph.node:
        if node.op_type == "Constant":
            tensors += [each.t for each in node.attribute if each.name == "value"]
    return sum(
        math.prod(tensor.dims)
        for tensor in tensors
        if tensor.data_type in FLOATING
        or (tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1)  # no zero points
    )


def count_macs(path: Path, *, size: Size) -> int:
    """Multiply-accumulates for one picture of `size`.

    Args:
        path: a graph with one input of four dimensions, (1, 3, H, W) or (1, H, W, 3).
        size: the input's height and width.
    """
    model = onnx.load(path)
    free_size(model)
    counted = [node for node in model.graph.node if node.op_type in COUNTERS]
    wanted = {name for node in counted for name in (*node.input[:2], node.output[0])}
    shapes = _shapes(model, sorted(wanted), size)
    return sum(
        COUNTERS[node.op_type]([shapes[name] for name in node.input[:2]], shapes[node.output[0]])
        for node in counted
    )


def _shapes(model: onnx.ModelProto, names: Sequence[str], size: Size) -> dict[str, Shape]:
    """The shapes that tensors have when the graph runs on a black picture."""
    graph = model.graph
    shown = [f"shape of {name}" for name in names]
    graph.node.extend(
        helper.make_node("Shape", [name], [shape]) for name, shape in zip(names, shown, strict=True)
    )
    del graph.output[:]
    graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.INT64, [None]) for name in shown
    )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    found = session.run(shown, black_picture(model, size))
    return {name: tuple(map(int, shape)) for name, shape in zip(names, found, strict=True)}


def black_picture(model: onnx.ModelProto, size: Size) -> dict[str, np.ndarray]:
    """A value for every input: zeros for the picture, ones for limits such as a threshold."""
    picture = _picture(model)
    is_planar = picture.type.tensor_type.shape.dim[1].dim_value == 3
    shape = (1, 3, *size) if is_planar else (1, *size, 3)
    return {
        value.name: np.zeros(shape, _kind(value)) if value == picture else np.ones(1, _kind(value))
        for value in _inputs(model)
    }


def _kind(value: onnx.ValueInfoProto) -> np.dtype[np.generic]:
    return helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)


def _picture(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    """The input that takes pictures.

    Raises:
        ValueError: not exactly one input has four dimensions.
    """
    inputs = _inputs(model)
    pictures = [value for value in inputs if len(value.type.tensor_type.shape.dim) == 4]
    if len(pictures) != 1:
        names = ", ".join(value.name for value in inputs)
        raise ValueError(f"the graph's inputs are {names}; wanted one of four dimensions")
    return pictures[0]


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs, without the weights that old files list among them."""
    stored = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in stored]


def free_size(model: onnx.ModelProto) -> None:
    """Makes height and width of the picture free, in place, and forgets shapes that follow.

    A graph whose size is free already stays as it is, with all that it says about its shapes.
    """
    dims = _picture(model).type.tensor_type.shape.dim
    sides = [dims[side] for side in ((2, 3) if dims[1].dim_value == 3 else (1, 2))]
    if not any(side.dim_value for side in sides):
        return
    for side, name in zip(sides, ("height", "width"), strict=True):
        side.dim_param = name
    for value in model.graph.output:
        for index, dim in enumerate(value.type.tensor_type.shape.dim):
            dim.dim_param = f"{value.name}_{index}"
    del model.graph.value_info[:]


def last_convolutions(nodes: Iterable[onnx.NodeProto]) -> list[str]:
    """The outputs of those convolutions that no other convolution comes after."""
    nodes = list(nodes)
    followed: set[str] = set()  # tensors that lead to a convolution
    last = []
    for node in reversed(nodes):  # a graph's nodes stand in the order of their use
        is_convolution = node.op_type in CONVOLUTIONS
        if is_convolution and not followed.intersection(node.output):
            last.append(node.output[0])
        if is_convolution or followed.intersection(node.output):
            followed.update(node.input)
    return last[::-1]


def forward_only(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network without what follows it: activations, decoding, suppression.

    The same cut for every detector, so that their times compare. What stands before the first
    convolution stays.

    Raises:
        ValueError: no convolution in the graph.
    """
    graph = model.graph
    ends = last_convolutions(graph.node)
    if not ends:
        raise ValueError("the graph has no convolution, wanted a network")
    needed = set(ends)
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    inputs = [value for value in graph.input if value.name in needed]
    stored = [tensor for tensor in graph.initializer if tensor.name in needed]
    outputs = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ends]
    shapes = [value for value in graph.value_info if value.name in needed.difference(ends)]
    cut = helper.make_graph(kept[::-1], CUT, inputs, outputs, stored, value_info=shapes)
    return helper.make_model(
        cut,
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
        functions=model.functions,
    )
