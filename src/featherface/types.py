"""Values that travel between the parts: what was found in a picture.

A picture is always a uint8 array (H, W, 3) in RGB order; `size` is always (height, width);
boxes are always xyxy float32 in pixels, the top-left corner of the picture being (0, 0).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

    from featherface.image import Picture
    from featherface.runtime.hide import How, Shape

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]
Pixels = NDArray[np.uint8]  # (H, W, 3) RGB
Size = tuple[int, int]  # (height, width)

LANDMARK_NAMES = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
"""Left and right are those of the picture, not of the person."""

COCO_CATEGORY = {
    "id": 1,
    "name": "face",
    "supercategory": "person",
    "keypoints": list(LANDMARK_NAMES),
    "skeleton": [],
}
"""What the annotations of `Detections.to_coco` are of; belongs into a COCO file's categories."""


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
        margin: float = 0.2,
    ) -> Image:
        """A copy of the picture in which these faces cannot be recognised.

        Args:
            picture: as for `Detector.detect`.
            how: "gaussian", "pixelate", or "solid", which is black.
            shape: "box", or the "ellipse" through the corners of the same box.
            margin: what is added to a face's box on each side, as a share of that side.

        Returns:
            An RGB image, upright, without any of the file's metadata.

        Raises:
            ImageError: the picture cannot be read.
            ValueError: how, shape or margin is none of these.
        """
        from PIL import Image

        from featherface.runtime.hide import Cover, hide  # which knows this module

        return Image.fromarray(
            hide(picture, self.boxes, Cover(how=how, shape=shape, margin=margin))
        )

    def to_list(self) -> list[dict[str, Any]]:
        """One plain dictionary a face, ready for JSON: box, score, landmarks."""
        # As doubles, arrays are rounded to what `round` gives for each number, and far sooner.
        boxes, scores, landmarks = (
            np.round(numbers.astype(np.float64), places).tolist()
            for numbers, places in ((self.boxes, 2), (self.scores, 4), (self.landmarks, 2))
        )
        return [
            {"box": box, "score": score, "landmarks": points}
            for box, score, points in zip(boxes, scores, landmarks, strict=True)
        ]

    @classmethod
    def from_list(cls, faces: Iterable[Mapping[str, Any]]) -> Detections:
        """The inverse of `to_list`, up to its rounding.

        Raises:
            KeyError: a face lacks its box, score or landmarks.
        """
        rows = list(faces)
        return cls(
            np.array([face["box"] for face in rows], np.float32).reshape(-1, 4),
            np.array([face["score"] for face in rows], np.float32),
            np.array([face["landmarks"] for face in rows], np.float32).reshape(-1, 5, 2),
        )

    def to_coco(self, image_id: int, *, first_id: int = 1) -> list[dict[str, Any]]:
        """One COCO annotation a face, with five keypoints and the score (Lin et al., 2014).

        They fit a file's `annotations`, whose `categories` then hold `COCO_CATEGORY`, and a list
        of results for `pycocotools.COCO.loadRes` alike.

        Args:
            image_id: of the picture in the file's `images`.
            first_id: of the first annotation, the others count on from it.
        """
        annotations = []
        for number, face in enumerate(self.to_list(), first_id):
            left, top, right, bottom = face["box"]
            width, height = round(right - left, 2), round(bottom - top, 2)
            annotations.append(
                {
                    "id": number,
                    "image_id": image_id,
                    "category_id": COCO_CATEGORY["id"],
                    "bbox": [left, top, width, height],
                    "area": round(width * height, 2),
                    "iscrowd": 0,
                    "score": face["score"],
                    "num_keypoints": len(LANDMARK_NAMES),
                    "keypoints": [value for point in face["landmarks"] for value in (*point, 2)],
                }
            )
        return annotations

    def draw(self, picture: Picture) -> Image:
        """A copy of the picture they were found in, with boxes and landmarks.

        Raises:
            ImageError: the picture cannot be read.
        """
        from featherface.runtime.draw import draw  # a value knows no tools until it is asked

        return draw(picture, self)

    def crop(self, picture: Picture, *, margin: float | None = None) -> list[Image]:
        """Each face cut out of the picture it was found in.

        Args:
            picture: as for `Detector.detect`.
            margin: None turns and scales each face so that its landmarks lie as networks for
                recognition want them, 112 x 112 pixels (`featherface.runtime.crop`); a number
                cuts along the box as it lies, with that share of its sides around it.

        Raises:
            ImageError: the picture cannot be read.
            ValueError: the margin is negative, or the landmarks of a face all fall together.
        """
        from featherface.runtime.crop import crop

        return crop(picture, self, margin=margin)
