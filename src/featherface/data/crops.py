"""Training crops whose faces have the heights that matter, most of them small.

Faces are chosen first and their height in the crop second (log-uniform), so that training sees
small faces as often as crowds hold them, by shrinking large ones with area filtering. Some crops
are mosaics of four, which shows more faces and more pictures for the same work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from featherface.boxes import area
from featherface.data.degrade import degrade, recolour
from featherface.image import PADDING
from featherface.types import Bools, Floats, Pixels

SEEN = 0.4  # share of a face that must lie within the crop, else it is ignored
SWAP = [1, 0, 2, 4, 3]  # landmarks of a mirrored face
NEARLY = (0.6, 1.4)  # scales of a place where a network erred: most errors depend on it
NOWHERE = np.zeros((0, 4), np.float32)


class Faces(NamedTuple):
    """The faces of a picture or a crop, in its pixels."""

    boxes: Floats  # (N, 4)
    landmarks: Floats  # (N, 5, 2), NaN where not known
    probability: Floats  # (N,)
    ignore: Bools  # (N,)

    def rows(self, keep: Bools) -> Faces:
        """The faces that a mask selects."""
        return Faces(
            self.boxes[keep], self.landmarks[keep], self.probability[keep], self.ignore[keep]
        )

    def moved(self, scale: float, x: float, y: float) -> Faces:
        """Scaled by `scale`, then shifted by (x, y)."""
        shift = np.array([x, y], np.float32)
        boxes = self.boxes * np.float32(scale) + np.tile(shift, 2)
        return self._replace(boxes=boxes, landmarks=self.landmarks * np.float32(scale) + shift)


@dataclass(frozen=True, slots=True, kw_only=True)
class CropConfig:
    """How crops are drawn.

    Attributes:
        size: side of the square crop in pixels.
        small: range of small face heights in the crop, drawn log-uniformly.
        large: range of the other heights.
        small_share: how often a height is drawn from `small`.
        background: share of crops cut with no face in mind: around one of the picture's mistakes,
            at about its own scale, or anywhere if none is known.
        mosaic: share of crops made of four smaller ones.
        nested: share of a mosaic's parts that are made of four themselves, which shows pictures
            without crowds so small that their faces are as small as those of crowds.
        enlarge: a picture is never enlarged more than this.
        smallest: faces under this side (square root of the area) in the crop are ignored.
        flip: share of mirrored crops.
        degraded: share of crops that are blurred, resampled, noisy or recompressed.
    """

    size: int = 320
    small: tuple[float, float] = (8.0, 48.0)
    large: tuple[float, float] = (32.0, 440.0)
    small_share: float = 0.5
    background: float = 0.08
    mosaic: float = 0.2
    nested: float = 0.0
    enlarge: float = 2.0
    smallest: float = 6.0
    flip: float = 0.5
    degraded: float = 0.15


def draw_crop(
    picture: Pixels,
    faces: Faces,
    config: CropConfig,
    size: int,
    rng: np.random.Generator,
    *,
    mistakes: Floats = NOWHERE,
) -> tuple[Pixels, Faces]:
    """Cut a square around a face (or anywhere) at a scale that gives the face a drawn height.

    Args:
        mistakes: (N, 4) xyxy, where an earlier network erred; see `mistakes.read_mistakes`.

    Returns:
        The crop (size, size, 3) and its faces. Those that lie mostly outside, or are too small,
        become ignore regions.
    """
    height, width = picture.shape[:2]
    candidates = np.flatnonzero(~faces.ignore)
    if len(candidates) and rng.random() >= config.background:
        odds = faces.probability[candidates].astype(float)
        box = faces.boxes[rng.choice(candidates, p=odds / odds.sum())]
        if rng.random() < config.small_share:
            wanted = np.exp(rng.uniform(*np.log(config.small)))
        else:
            wanted = np.exp(rng.uniform(*np.log(config.large))) * size / config.size
        scale = wanted / max(box[3] - box[1], 1.0)
        centre = (box[:2] + box[2:]) / 2
    elif len(mistakes):
        box = mistakes[rng.integers(len(mistakes))]
        scale = np.exp(rng.uniform(*np.log(NEARLY)))
        centre = (box[:2] + box[2:]) / 2
    else:
        scale = size / (rng.uniform(0.3, 1.3) * min(height, width))
        centre = rng.uniform((0.0, 0.0), (width, height))
    # A picture is not enlarged to a blur, nor shrunk to a stamp.
    scale = float(np.clip(scale, size / (1.4 * max(height, width)), config.enlarge))
    side = size / scale
    corner = [
        _place(rng, centre[axis], side, extent) for axis, extent in enumerate((width, height))
    ]
    crop = cut(picture, corner[0], corner[1], side, size, rng)
    return crop, _settle(faces.moved(scale, -corner[0] * scale, -corner[1] * scale), size, config)


def _place(rng: np.random.Generator, centre: float, side: float, extent: int) -> float:
    """Where a window of `side` starts so that `centre` is well inside and little is empty."""
    start = centre - side * rng.uniform(0.1, 0.9)
    if side >= extent:
        return float(rng.uniform(extent - side, 0))
    return float(np.clip(start, 0, extent - side))


def cut(
    picture: Pixels, x: float, y: float, side: float, size: int, rng: np.random.Generator
) -> Pixels:
    """The square window at (x, y) resampled to `size`; what lies outside is padding."""
    height, width = picture.shape[:2]
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + side, width), min(y + side, height)
    scale = size / side
    x0, y0 = round((left - x) * scale), round((top - y) * scale)
    x1 = max(round((right - x) * scale), x0 + 1)
    y1 = max(round((bottom - y) * scale), y0 + 1)
    rows = slice(int(top), int(np.ceil(bottom)))
    columns = slice(int(left), int(np.ceil(right)))
    window = Image.fromarray(np.ascontiguousarray(picture[rows, columns]))
    kinds = (Image.Resampling.BILINEAR, Image.Resampling.BOX, Image.Resampling.BICUBIC)
    kind = kinds[rng.integers(len(kinds))]
    inner = (left - columns.start, top - rows.start, right - columns.start, bottom - rows.start)
    window = window.resize((x1 - x0, y1 - y0), kind, box=inner, reducing_gap=2.0)
    if window.size == (size, size):
        return np.asarray(window)
    canvas = np.full((size, size, 3), PADDING, np.uint8)
    canvas[y0:y1, x0:x1] = np.asarray(window)[: size - y0, : size - x0]
    return canvas


def _settle(faces: Faces, size: int, config: CropConfig) -> Faces:
    """Decide which faces still count.

    Boxes keep what the border cuts off, so that a face larger than the crop has its true size.
    """
    inside = np.clip(faces.boxes, 0, size)
    seen = area(inside) / np.maximum(area(faces.boxes), 1e-6)
    tiny = np.sqrt(area(inside)) < config.smallest
    settled = faces._replace(ignore=faces.ignore | (seen < SEEN) | tiny)
    return settled.rows(seen > 0.02)


def mirror(crop: Pixels, faces: Faces) -> tuple[Pixels, Faces]:
    """Flip left and right; left landmarks become right ones."""
    width = crop.shape[1]
    boxes = faces.boxes.copy()
    boxes[:, [0, 2]] = width - faces.boxes[:, [2, 0]]
    landmarks = faces.landmarks[:, SWAP].copy()
    landmarks[..., 0] = width - landmarks[..., 0]
    return crop[:, ::-1], faces._replace(boxes=boxes, landmarks=landmarks)


def join(faces: list[Faces]) -> Faces:
    """The faces of several pictures that share one coordinate system."""
    return Faces(*(np.concatenate(column) for column in zip(*faces, strict=True)))


def finish(
    crop: Pixels, faces: Faces, config: CropConfig, rng: np.random.Generator
) -> tuple[Pixels, Faces]:
    """Mirror, recolour and degrade."""
    if rng.random() < config.flip:
        crop, faces = mirror(crop, faces)
    image = recolour(Image.fromarray(np.ascontiguousarray(crop)), rng)
    if rng.random() < config.degraded:
        image = degrade(image, rng)
    return np.asarray(image), faces
