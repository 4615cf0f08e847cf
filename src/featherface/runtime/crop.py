"""Faces cut out of their picture: aligned for recognition, or as they lie.

Aligned faces follow ArcFace (Deng et al., CVPR 2019): the similarity transform (turn, one scale,
shift) that brings the five landmarks nearest to a fixed template, by the closed form of Umeyama
(IEEE PAMI 1991). Unlike the usual code, which samples single pixels, a large face is averaged on
its way down to 112 pixels.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featherface.image import Picture, load
from featherface.types import Detections

Doubles = NDArray[np.float64]

SIDE = 112
"""Pixels of an aligned face in each direction."""

TEMPLATE: Doubles = 0.5 + np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
"""(5, 2) where the landmarks of an aligned face lie. ArcFace counts from the centre of the first
pixel, this project from its corner: hence the half."""


def similarity(source: Doubles, target: Doubles) -> Doubles:
    """The turn, scale and shift that bring points nearest to others: least squares, no mirroring.

    Args:
        source: (K, 2) points.
        target: (K, 2) where they shall go.

    Returns:
        (2, 3): a point (x, y) goes to this times (x, y, 1). Umeyama 1991, equations 40 to 43.

    Raises:
        ValueError: all points of the source are one.
    """
    middle, wanted = source.mean(axis=0), target.mean(axis=0)
    spread = np.square(source - middle).sum(axis=1).mean()
    if not spread > 0:
        raise ValueError("all landmarks of a face are one point, so it cannot be aligned")
    covariance = (target - wanted).T @ (source - middle) / len(source)  # (2, 2)
    left, strength, right = np.linalg.svd(covariance)
    sign = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    turn = (left * sign) @ right
    scale = (strength * sign).sum() / spread
    return np.column_stack([scale * turn, wanted - scale * turn @ middle])


def crop(picture: Picture, faces: Detections, *, margin: float | None = None) -> list[Image.Image]:
    """What `Detections.crop` does.

    Aligned faces are black where they reach beyond the picture; others end at its border.
    """
    if margin is not None and not 0 <= margin < math.inf:
        raise ValueError(f"margin is {margin}, wanted a share of the box's sides, 0 or more")
    image = Image.fromarray(load(picture))
    if margin is None:
        return [_aligned(image, points.astype(np.float64)) for points in faces.landmarks]
    return [_plain(image, box.astype(np.float64), margin) for box in faces.boxes]


def _plain(image: Image.Image, box: Doubles, margin: float) -> Image.Image:
    """The box and its margin, in whole pixels, at least one."""
    around = margin * (box[2:] - box[:2])
    limit = np.array(image.size)
    low = np.clip(np.floor(box[:2] - around), 0, limit - 1).astype(int)
    high = np.clip(np.ceil(box[2:] + around), low + 1, limit).astype(int)
    return image.crop((*low.tolist(), *high.tolist()))


def _aligned(image: Image.Image, points: Doubles) -> Image.Image:
    """The face with landmarks (5, 2), as ArcFace wants it."""
    back = _inverse(similarity(points, TEMPLATE))  # of the aligned face -> of the picture
    scale = min(1.0, 1 / math.hypot(*back[:, 0]))
    corners = np.array([[0, 0, 1], [SIDE, 0, 1], [0, SIDE, 1], [SIDE, SIDE, 1]]) @ back.T  # (4, 2)
    border = 3 / scale  # what the last step looks at around each point
    low = np.maximum(np.floor(corners.min(axis=0) - border), 0)
    high = np.minimum(np.ceil(corners.max(axis=0) + border), image.size)
    if (high <= low).any():
        return Image.new("RGB", (SIDE, SIDE))  # all of it lies beyond the picture
    size = np.maximum(1, np.round(scale * (high - low))).astype(int)
    part = image.resize(
        (int(size[0]), int(size[1])), Image.Resampling.LANCZOS, (*low.tolist(), *high.tolist())
    )
    to_part = size / (high - low)
    back[:, 2] -= low
    back *= to_part[:, None]
    return part.transform(
        (SIDE, SIDE), Image.Transform.AFFINE, back.ravel().tolist(), Image.Resampling.BICUBIC
    )


def _inverse(transform: Doubles) -> Doubles:
    """(2, 3) -> (2, 3)."""
    matrix = np.linalg.inv(transform[:, :2])
    return np.column_stack([matrix, -matrix @ transform[:, 2]])
