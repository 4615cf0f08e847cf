"""Areas of a picture made unrecognisable, for good.

What is put over an area knows no more than a handful of colours of it, so there is nothing that
sharpening could bring back; a plain Gaussian blur of small radius can be undone to a good part
(McPherson, Shokri, Shmatikov, "Defeating Image Obfuscation with Deep Learning", 2016, show how
much weak blurs and mosaics give away). Only "solid" leaves nothing at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from featherface.image import Picture, load
from featherface.types import Bools, Floats, Pixels, Size

How = Literal["gaussian", "pixelate", "solid"]
Shape = Literal["ellipse", "box"]

CELLS = 4
"""Colours that are left of an area along its longer side; a face fills about half of it."""

MIN_CELL = 8
"""Pixels that share a colour at least: of a tiny face, one or two colours are left."""

FINE = 6
"""Samples a cell and direction, where the Gaussian blur is computed ..."""

SPREAD = 4
"""... and its standard deviation in samples: a sixth of the area's longer side."""

FEATHER = 0.12
"""Width of the soft edge around a Gaussian blur, as a share of the area's shorter side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """How faces are covered.

    Attributes:
        how: "gaussian", "pixelate", or "solid", which is black.
        shape: "box", or the "ellipse" through the corners of the same box.
        margin: what is added to a face's box on each side, as a share of that side.

    Raises:
        ValueError: an unknown word, or a margin below 0.
    """

    how: How = "gaussian"
    shape: Shape = "ellipse"
    margin: float = 0.2

    def __post_init__(self) -> None:
        if self.how not in ("gaussian", "pixelate", "solid"):
            raise ValueError(f"how is {self.how!r}, wanted gaussian, pixelate or solid")
        if self.shape not in ("ellipse", "box"):
            raise ValueError(f"shape is {self.shape!r}, wanted ellipse or box")
        if not 0 <= self.margin <= 10:
            raise ValueError(f"margin is {self.margin}, wanted 0 to 10 times a face's side")


def hide(picture: Picture, boxes: Floats, cover: Cover) -> Pixels:
    """A copy of a picture in which no pixel of any box is left as it was.

    Every pixel that a box, grown by the margin, touches is replaced; soft edges lie outside.

    Args:
        picture: as for `Detector.detect`.
        boxes: (N, 4) xyxy in its pixels; they may reach beyond it.
        cover: how.

    Raises:
        ImageError: the picture cannot be read.
    """
    pixels = load(picture).copy()
    for box in boxes:
        area = _area(box, cover, pixels.shape[:2])
        if area is None:
            continue
        window = pixels[area.rows, area.columns]
        distance = area.distance
        new = _replace(window, cover.how)
        if cover.how == "gaussian":
            weight = np.clip(1 - distance / area.feather, 0, 1)[..., None]  # 1 within the area
            window[...] = np.rint(new * weight + window * (1 - weight)).astype(np.uint8)
        else:
            window[distance <= 0] = new[distance <= 0]
    return pixels


def hidden(boxes: Floats, cover: Cover, size: Size) -> Bools:
    """The pixels (H, W) that `hide` replaces wholly in a picture of that size."""
    mask = np.zeros(size, np.bool_)
    for box in boxes:
        if area := _area(box, cover, size):
            mask[area.rows, area.columns] |= area.distance <= 0
    return mask


class _Area(NamedTuple):
    """Where one box has its effect, soft edge included.

    `distance` (h, w) tells how many pixels each pixel of the window lies outside; 0 is within.
    """

    rows: slice
    columns: slice
    distance: Floats
    feather: float


def _area(box: Floats, cover: Cover, size: Size) -> _Area | None:
    """None for a box that lies outside the picture, or is turned inside out."""
    centre = (box[:2] + box[2:]) / 2  # x, y
    half = (box[2:] - box[:2]) / 2 * (1 + 2 * cover.margin)
    if not (half > 0).all():
        return None
    if cover.shape == "ellipse":
        half = half * np.float32(np.sqrt(2))  # so that the corners of the box lie on it
    feather = max(1.0, FEATHER * 2 * float(half.min()))
    reach = half + (feather if cover.how == "gaussian" else 0)
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(centre + reach), size[::-1]).astype(int)
    if (low >= high).any():
        return None
    # From the centre to that point of each pixel which is nearest to it: a pixel that the area
    # only touches is within.
    x, y = (
        np.clip(
            np.abs(np.arange(low[i], high[i], dtype=np.float32) + 0.5 - centre[i]) - 0.5, 0, None
        )
        for i in (0, 1)
    )
    if cover.shape == "ellipse":
        radius = np.hypot((x / half[0])[None, :], (y / half[1])[:, None])
        distance = (radius - 1) * half.min()
    else:
        distance = np.maximum((x - half[0])[None, :], (y - half[1])[:, None])
    rows, columns = slice(low[1], high[1]), slice(low[0], high[0])
    return _Area(rows, columns, np.maximum(distance, 0), feather)


def _replace(window: Pixels, how: How) -> Pixels:
    """What a window (h, w, 3) becomes, everywhere."""
    if how == "solid":
        return np.zeros_like(window)
    height, width = window.shape[:2]
    cell = max(MIN_CELL, max(height, width) / CELLS)
    columns, rows = (max(1, round(side / cell)) for side in (width, height))
    image = Image.fromarray(window)
    if how == "pixelate":
        coarse = image.resize((columns, rows), Image.Resampling.BOX)
        return np.asarray(coarse.resize((width, height), Image.Resampling.NEAREST))
    # A wave of three periods across the area, or more, keeps less than a hundredth of its height,
    # which is about what rounding to 8 bits takes away.
    fine = image.resize((FINE * columns, FINE * rows), Image.Resampling.BOX)
    soft = fine.filter(ImageFilter.GaussianBlur(SPREAD))
    return np.asarray(soft.resize((width, height), Image.Resampling.BICUBIC))
