"""A trained network as one ONNX file, from pixels to faces, checked before it is put in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor

from featherface.anchors import AnchorSpec, level_shapes
from featherface.export.faces import Candidates, add_faces
from featherface.export.featherface_v1 import featherface_v1
from featherface.export.graph import Dims, Graph
from featherface.export.int8 import quantised
from featherface.export.nano_b import nano_b
from featherface.files import write_atomically
from featherface.metadata import KEY, ModelError, ModelInfo
from featherface.models.deploy import predict
from featherface.models.featherface_v1 import FeatherFaceV1
from featherface.models.nano_b import NanoB
from featherface.types import Pixels

INPUTS: dict[str, tuple[int, Dims]] = {
    "images": (TensorProto.UINT8, ("batch", "height", "width", 3)),
    "score_threshold": (TensorProto.FLOAT, (1,)),
    "iou_threshold": (TensorProto.FLOAT, (1,)),
    "max_faces": (TensorProto.INT64, (1,)),
}
OUTPUTS: dict[str, tuple[int, Dims]] = {
    "boxes": (TensorProto.FLOAT, ("faces", 4)),
    "scores": (TensorProto.FLOAT, ("faces",)),
    "landmarks": (TensorProto.FLOAT, ("faces", 5, 2)),
    "image_index": (TensorProto.INT64, ("faces",)),
}

SCORE_TOLERANCE = 1e-4
PIXEL_TOLERANCE = 1e-2
CHECKED = ((1, 64, 96), (2, 320, 320), (1, 480, 640))
"""Batch, height and width of the pictures that an export is checked with."""


class ExportError(ModelError):
    """A graph that does not say what its network says; nothing was written."""


class Parity(NamedTuple):
    """The largest differences between graph and network over all anchors."""

    score: float
    pixels: float  # of boxes and landmarks


def export_onnx(
    model: NanoB | FeatherFaceV1,
    path: Path,
    info: ModelInfo,
    *,
    calibration: Sequence[Pixels] | None = None,
) -> Parity:
    """Write a network as an ONNX file that holds all of the detection.

    Inputs and outputs are those of `INPUTS` and `OUTPUTS`: uint8 RGB pictures whose sides are
    multiples of 32; the faces of all pictures, picture by picture, each with the best first.

    Args:
        model: in eval mode.
        path: takes the file once it is checked; what was there stays until then.
        info: kept in the file's metadata.
        calibration: pictures (H, W, 3) to quantise with, see `int8`; None keeps all in float32.

    Returns:
        How closely graph and network agree on the pictures of `CHECKED`, before quantisation.

    Raises:
        ExportError: they do not agree.
        ModelError: there is nothing to quantise, or nothing to calibrate with.
        OSError: the file cannot be written.
    """
    graph, candidates = build(model)
    onnx.checker.check_model(graph, full_check=True)
    parity = compare(model, graph, candidates)
    if not (parity.score <= SCORE_TOLERANCE and parity.pixels <= PIXEL_TOLERANCE):
        raise ExportError(
            f"{path}: not written, as the graph differs from the network by {parity.score:.1e} in "
            f"scores and {parity.pixels:.1e} pixels in places; at most {SCORE_TOLERANCE} and "
            f"{PIXEL_TOLERANCE} are right"
        )
    if calibration is not None:
        graph = quantised(graph, calibration)
        info = replace(info, precision="int8 in dense 3x3 convolutions, float32 elsewhere")
    helper.set_model_props(graph, {KEY: info.to_json()})
    write_atomically(path, graph.SerializeToString())
    return parity


def build(model: NanoB | FeatherFaceV1) -> tuple[onnx.ModelProto, Candidates]:
    """The graph of a network, and the names of the tensors before suppression."""
    if isinstance(model, FeatherFaceV1):
        g = Graph(19)  # the first with deformable convolution
        heads = featherface_v1(g, "images", model)
    else:
        # Runtimes of 2024 keep the blocked layout for the operators of 17, not for all later ones.
        g = Graph(17)
        heads = nano_b(g, "images", model)
    candidates = add_faces(g, "images", heads, model.config.anchors)
    return g.model(INPUTS, OUTPUTS), candidates


def compare(model: NanoB | FeatherFaceV1, graph: onnx.ModelProto, candidates: Candidates) -> Parity:
    """Run network and graph on pictures of noise, with every anchor a candidate."""
    open_graph = onnx.ModelProto()
    open_graph.CopyFrom(graph)
    names = (candidates.scores, candidates.boxes, candidates.landmarks)
    for name in names:
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        open_graph.graph.output.append(value)
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors only
    session = ort.InferenceSession(
        open_graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    rng = np.random.default_rng(0)
    differences = []
    for shape in CHECKED:
        images: Pixels = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        feed = {
            "images": images,
            "score_threshold": np.array([-1], np.float32),  # less than any score
            "iou_threshold": np.array([1], np.float32),
            "max_faces": np.array([1], np.int64),
        }
        found = session.run(names, feed)
        expected = [
            _by_level(part, model.config.anchors, shape[1:])
            for part in predict(model, torch.from_numpy(images))
        ]
        differences.append([_furthest(a, b) for a, b in zip(found, expected, strict=True)])
    scores, boxes, landmarks = np.max(differences, axis=0)
    return Parity(float(scores), float(max(boxes, landmarks)))


def _by_level(part: Tensor, spec: AnchorSpec, size: tuple[int, int]) -> NDArray[np.float32]:
    """(B, A, ...) -> (B x A, ...), all pictures' anchors of a level together, as candidates are."""
    shapes = zip(level_shapes(spec, size), spec.per_cell, strict=True)
    levels = part.split([rows * columns * count for (rows, columns), count in shapes], dim=1)
    return torch.cat([level.flatten(0, 1) for level in levels]).numpy()


def _furthest(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The largest difference; NaN, which no tolerance admits, when there is one on either side."""
    return float(np.abs(found.reshape(expected.shape) - expected).max())
