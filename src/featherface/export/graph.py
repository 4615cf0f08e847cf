"""Writes an ONNX graph node by node, in the layout that ONNX Runtime convolves fastest.

ONNX Runtime keeps feature maps in blocks of 8 channels (AVX2) or 16 (AVX-512), as long as widths
are multiples of that and additions provably join equal shapes. So a map is padded with zero
channels, and its shape is written down by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from featherface.models.cost import padded

Attribute = int | float | str | list[int]
Dims = Sequence[int | str]


@dataclass(frozen=True, slots=True)
class Map:
    """A feature map of the graph: the tensor `name`, (B, width, H / stride, W / stride).

    Attributes:
        name: of the tensor.
        channels: those that mean something; they come first, the others are zero.
        stride: pixels a cell, or 0 for one value a channel: (B, width, 1, 1).
        scale: the tensor holds the map times this number.
    """

    name: str
    channels: int
    stride: int
    scale: float = 1.0

    @property
    def width(self) -> int:
        """Channels of the tensor."""
        return padded(self.channels)


class Graph:
    """Nodes, constants and shapes, in the order they were added.

    Attributes:
        opset: version of the operators.
    """

    opset: int

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self._nodes: list[onnx.NodeProto] = []
        self._shapes: list[onnx.ValueInfoProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], onnx.TensorProto] = {}

    def constant(self, value: NDArray[np.generic]) -> str:
        """A tensor that is part of the file; equal ones are kept once."""
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self._constants:
            name = f"constant_{len(self._constants)}"
            self._constants[key] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return self._constants[key].name

    def integers(self, *values: int) -> str:
        """A constant int64 vector."""
        return self.constant(np.array(values, np.int64))

    def floats(self, *values: float) -> str:
        """A constant float32 vector."""
        return self.constant(np.array(values, np.float32))

    def node(self, op: str, *inputs: str, **attributes: Attribute) -> str:
        """Add an operator with one output, and return the name of that.

        Args:
            op: the operator.
            inputs: names of tensors, "" for one that is left out.
            attributes: of the operator.
        """
        return self.output(f"{op}_{len(self._nodes)}", op, *inputs, **attributes)

    def output(self, name: str, op: str, *inputs: str, **attributes: Attribute) -> str:
        """As `node`, with a name for the output: that of one that leaves the graph."""
        node = helper.make_node(op, inputs, [name], name=name)
        pairs = attributes.items()
        node.attribute.extend(helper.make_attribute(key, value) for key, value in pairs)
        self._nodes.append(node)
        return name

    def map(
        self, op: str, *inputs: str, channels: int, stride: int, **attributes: Attribute
    ) -> Map:
        """Add an operator whose output is a padded feature map."""
        return self.declare(Map(self.node(op, *inputs, **attributes), channels, stride))

    def declare(self, x: Map) -> Map:
        """Write down the shape of a map, and return the map."""
        cells = [f"height/{x.stride}", f"width/{x.stride}"] if x.stride else [1, 1]
        shape = ["batch", x.width, *cells]
        self._shapes.append(helper.make_tensor_value_info(x.name, TensorProto.FLOAT, shape))
        return x

    def model(
        self, inputs: dict[str, tuple[int, Dims]], outputs: dict[str, tuple[int, Dims]]
    ) -> onnx.ModelProto:
        """The finished model; inputs and outputs are element type and shape by name."""
        graph = helper.make_graph(
            self._nodes,
            "featherface",
            [helper.make_tensor_value_info(name, *value) for name, value in inputs.items()],
            [helper.make_tensor_value_info(name, *value) for name, value in outputs.items()],
            list(self._constants.values()),
            value_info=self._shapes,
        )
        return helper.make_model(
            graph,
            producer_name="featherface",
            ir_version=9,  # of the year of opset 19, so that older runtimes read it too
            opset_imports=[helper.make_opsetid("", self.opset)],
        )
