"""Dense 3x3 convolutions in 8-bit integers: static, calibrated, one scale a channel (QDQ).

Only these do enough work for each number they read to pay for the way to integers and back:
ONNX Runtime has its blocked layout, and the activations inside convolutions, for floats alone.
Everything else stays as it is, and so do inputs and outputs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import CalibrationDataReader

from featherface.metadata import ModelError
from featherface.types import Pixels

SIDE = 3
PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")
"""The entry by which ONNX Runtime's tool knows that a graph needs no simplifying first."""


def quantised(graph: onnx.ModelProto, pictures: Sequence[Pixels]) -> onnx.ModelProto:
    """The graph with its dense 3x3 convolutions in integers, without metadata.

    Args:
        graph: from `onnx.build`.
        pictures: (H, W, 3) each, sides multiples of 32; ranges of values are taken from them.

    Raises:
        ModelError: no pictures, or no convolution to quantise.
    """
    if not pictures:
        raise ModelError("no picture to calibrate with, wanted about a hundred photographs")
    names = dense_convolutions(graph)
    if not names:
        raise ModelError("the network has no dense 3x3 convolution, so int8 would change nothing")
    prepared = onnx.ModelProto()
    prepared.CopyFrom(graph)
    onnx.helper.set_model_props(prepared, dict([PREPARED]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantize_static(
            prepared,
            path,
            Feeds(pictures),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            nodes_to_quantize=names,
        )
        found = onnx.load(path)
    del found.metadata_props[:]
    return found


def dense_convolutions(graph: onnx.ModelProto) -> list[str]:
    """Names of the 3x3 convolutions that read all channels, and of the activations behind them."""
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.graph.initializer}
    found: dict[str, str] = {}  # the output of a node -> the node
    for node in graph.graph.node:
        if node.op_type == "Conv":
            groups = [each.i for each in node.attribute if each.name == "group"]
            if groups in ([], [1]) and shapes[node.input[1]][2:] == [SIDE, SIDE]:
                found[node.output[0]] = node.name
        elif node.op_type in ("Relu", "LeakyRelu") and node.input[0] in found:
            found[node.output[0]] = node.name
    return list(found.values())


class Feeds(CalibrationDataReader):  # type: ignore[misc] # ONNX Runtime carries no types
    """The pictures as the graph's inputs, one after the other."""

    def __init__(self, pictures: Sequence[Pixels]) -> None:
        self._pictures: Iterator[Pixels] = iter(pictures)

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        """The next feed, None behind the last."""
        picture = next(self._pictures, None)
        if picture is None:
            return None
        return {
            "images": picture[None],
            "score_threshold": np.array([1], np.float32),  # what follows the network is left out
            "iou_threshold": np.array([1], np.float32),
            "max_faces": np.array([1], np.int64),
        }
