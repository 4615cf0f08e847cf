"""Values that travel between the parts: what was found in a picture.

A picture is always a uint8 array (H, W, 3) in RGB order; `size` is always (height, width);
boxes are always xyxy float32 in pixels, the top-left corner of the picture being (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from featherface.image import Picture
    from featherface.runtime.hide import How, Shape

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]
Pixels = NDArray[np.uint8]  # (H, W, 3) RGB
Size = tuple[int, int]  # (height, width)

LANDMARK_NAMES = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
"""Left and right are those of the picture, not of the person."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The faces of one picture, best score first.

    Attributes:
        boxes: (N, 4) float32, xyxy in pixels of the picture that was given.
        scores: (N,) float32, 0 to 1.
        landmarks: (N, 5, 2) float32, xy in pixels, in the order of `LANDMARK_NAMES`.

    Raises:
        ValueError: when the three lengths or the shapes disagree.
    """

    boxes: Floats
    scores: Floats
    landmarks: Floats

    def __post_init__(self) -> None:
        count = len(self.scores)
        found = (self.boxes.shape, self.scores.shape, self.landmarks.shape)
        wanted = ((count, 4), (count,), (count, 5, 2))
        if found != wanted:
            raise ValueError(f"boxes, scores, landmarks have shapes {found}, wanted {wanted}")

    @classmethod
    def empty(cls) -> Detections:
        """No face at all, which is a legal answer."""
        return cls(
            np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32)
        )

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: Bools | Integers | slice) -> Detections:
        """The faces that a mask, an index array or a slice selects."""
        return Detections(self.boxes[rows], self.scores[rows], self.landmarks[rows])

    def blur(
        self,
        picture: Picture,
        *,
        how: How = "gaussian",
        shape: Shape = "ellipse",
        margin: float = 0.1,
    ) -> Pixels:
        """A copy of the picture in which these faces cannot be recognised.

        Args:
            picture: as for `Detector.detect`.
            how: "gaussian", "pixelate", or "solid", which is black.
            shape: "box", or the "ellipse" through the corners of the same box.
            margin: what is added to a face's box on each side, as a share of that side.

        Returns:
            (H, W, 3) uint8 RGB, upright.

        Raises:
            ImageError: the picture cannot be read.
            ValueError: how, shape or margin is none of these.
        """
        from featherface.runtime.hide import Cover, hide  # which knows this module

        return hide(picture, self.boxes, Cover(how=how, shape=shape, margin=margin))

    def to_list(self) -> list[dict[str, Any]]:
        """One plain dictionary a face, ready for JSON: box, score, landmarks."""
        return [
            {
                "box": [round(float(v), 2) for v in box],
                "score": round(float(score), 4),
                "landmarks": [[round(float(v), 2) for v in point] for point in points],
            }
            for box, score, points in zip(self.boxes, self.scores, self.landmarks, strict=True)
        ]
