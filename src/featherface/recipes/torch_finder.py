"""A network in torch as a finder of faces: what a training run measures itself with.

The exported graph does the same in one piece; here suppression is the numpy one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from featherface.boxes import area, nms
from featherface.image import Fitted
from featherface.models.deploy import predict
from featherface.models.featherface_v1 import FeatherFaceV1
from featherface.models.nano_b import NanoB
from featherface.types import Detections


class TorchFinder:
    """Looks at fitted pictures one by one, as `Detector.find` does.

    Args:
        model: put into eval mode while it looks.
        overlap: IoU above which the weaker of two boxes goes.
    """

    def __init__(self, model: NanoB | FeatherFaceV1, *, overlap: float) -> None:
        self._model = model
        self._overlap = overlap

    def find(self, pictures: Sequence[Fitted], *, score: float) -> list[Detections]:
        """The faces of each picture that score more than `score`, in pixels of that picture."""
        was_training = self._model.training
        self._model.eval()
        try:
            return [self._look(picture, score) for picture in pictures]
        finally:
            self._model.train(was_training)

    def _look(self, picture: Fitted, score: float) -> Detections:
        device = next(self._model.parameters()).device
        found = predict(self._model, torch.tensor(picture.pixels, device=device)[None])
        scores, boxes, points = (values[0].cpu().numpy() for values in found)
        rows = np.flatnonzero(scores > score)
        rows = rows[nms(boxes[rows], scores[rows], self._overlap)]
        height, width = picture.fit.size
        limit = np.array([width, height, width, height], np.float32)
        faces = Detections(
            np.clip(picture.fit.undo(boxes[rows]), 0, limit),
            scores[rows],
            picture.fit.undo(points[rows]),
        )
        return faces[area(faces.boxes) > 0]
