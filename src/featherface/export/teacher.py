"""An exported network that answers for every anchor, for a student to follow.

ONNX Runtime needs a third of torch's time for FeatherFace V1. The graph is the one that detects:
its logits of all anchors and its candidates before suppression are read from inside.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper
from torch import Tensor

from featherface.anchors import AnchorSpec, make_anchors
from featherface.export.faces import CANDIDATES, Inside
from featherface.metadata import KEY, ModelError, ModelInfo
from featherface.models.decode import encode_boxes, encode_points
from featherface.models.heads import Raw

SEEN = 0.04
"""Anchors that score more get their codes; the others' are zero."""

NEVER = {"iou_threshold": np.array([1], np.float32), "max_faces": np.array([1], np.int64)}
"""What suppression would do is not looked at."""


class OnnxTeacher:
    """Answers for the crops that a student sees, without gradient.

    Attributes:
        anchors: the network's own.
    """

    anchors: AnchorSpec

    def __init__(self, path: Path) -> None:
        """Opens a file that `featherface export` has made.

        Raises:
            ModelError: there is no such file, or it is another kind of graph.
        """
        if not path.is_file():
            raise ModelError(f"{path}: no such file; give a teacher's .onnx or .safetensors")
        try:
            model = onnx.load(path, load_external_data=False)  # whose files may lie anywhere
        except Exception as error:  # of protobuf, whose errors have no types
            raise ModelError(f"{path}: is not an ONNX file ({error})") from error
        if any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer):
            raise ModelError(f"{path}: keeps weights in other files, which are not read")
        facts = {entry.key: entry.value for entry in model.metadata_props}
        self.anchors = ModelInfo.from_json(facts.get(KEY), source=str(path)).anchors
        levels = [Inside.of(number) for number in range(len(self.anchors.strides))]
        self._names = [
            *(level.logits for level in levels),
            *(level.faces for level in levels),
            CANDIDATES.boxes,
            CANDIDATES.landmarks,
        ]
        if not {name for node in model.graph.node for name in node.output}.issuperset(self._names):
            raise ModelError(
                f"{path}: was made by an older featherface and hides its scores; make it again "
                "with: featherface export"
            )
        integers = {level.faces for level in levels}
        model.graph.output.extend(
            helper.make_tensor_value_info(
                name, TensorProto.INT64 if name in integers else TensorProto.FLOAT, None
            )
            for name in self._names
        )
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1  # beside a student that trains on one
        options.log_severity_level = 3  # errors only
        try:
            self._session = ort.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # of ONNX Runtime, likewise
            raise ModelError(f"{path}: is not an ONNX graph that can be run ({error})") from error

    def __call__(self, images: Tensor) -> Raw:
        """(B, S, S, 3) uint8 RGB -> Raw of all anchors; codes where no face is seen are zero."""
        feed = {"images": images.numpy(), "score_threshold": np.array([SEEN], np.float32)}
        *levels, boxes, landmarks = self._session.run(self._names, feed | NEVER)
        logits, faces = levels[: len(levels) // 2], levels[len(levels) // 2 :]
        size = (images.shape[1], images.shape[2])
        starts = np.cumsum([0, *(level.shape[1] for level in logits)])
        picture = torch.from_numpy(np.concatenate([level[0] for level in faces]))
        anchor = torch.from_numpy(
            np.concatenate([level[1] + start for level, start in zip(faces, starts, strict=False)])
        )
        priors = torch.from_numpy(make_anchors(self.anchors, size))[anchor]
        half = torch.from_numpy(np.concatenate(logits, axis=1)) / 2  # (B, A)
        raw = Raw(
            torch.stack([-half, half], dim=2),
            torch.zeros(*half.shape, 4),
            torch.zeros(*half.shape, 10),
        )
        raw.box_deltas[picture, anchor] = encode_boxes(torch.from_numpy(boxes), priors)
        raw.landmark_deltas[picture, anchor] = encode_points(torch.from_numpy(landmarks), priors)
        return raw
