"""Any picture of Pillow's as RGB, strip by strip, and how it is turned upright.

In strips, what a conversion takes in memory does not grow with the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from featherface.types import Pixels

BACKGROUND = "white"
"""What shows through transparent pixels: the page that such a picture is usually seen on."""

WHITES = (1, 255, 1023, 4095, 16383, 65535)
"""Usual values of white, in pictures of fractions and of 8, 10, 12, 14 and 16 bits."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what sets the stored picture upright."""

STRIP = 256 * 1024
"""Pixels that are converted at a time; 2 MB stay in a processor's cache."""


def orientation_of(image: Image.Image) -> int:
    """1 to 8 as EXIF counts them; a picture with broken EXIF data is taken as it lies.

    Of a loaded picture: Pillow turns a TIFF itself while it loads.
    """
    try:
        told = image.getexif().get(ExifTags.Base.Orientation)
        return next((turn for turn in TURNS if turn == told), 1)
    except Exception:  # the parser raises nearly anything, and the pixels may still be fine
        return 1


def turn(image: Image.Image, orientation: int) -> Image.Image:
    """Sets a stored picture upright."""
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def as_stored(upright: Pixels, orientation: int) -> Pixels:
    """A view (H, W, 3) of upright pixels in which they lie as they are stored: undoes `turn`."""
    view = upright.transpose(1, 0, 2) if orientation >= 5 else upright
    if orientation in (3, 4, 6, 7):  # their rows are stored from the last to the first
        view = view[::-1]
    return view[:, ::-1] if orientation in (2, 3, 7, 8) else view


def to_rgb(image: Image.Image) -> Image.Image:
    """Every mode of Pillow becomes RGB, as `image.load` tells."""
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    page = Image.new("RGB", image.size)
    for top, strip in strips(image):
        page.paste(strip, (0, top))
    return page


def strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The picture as RGB, strip by strip, and the row where each begins."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        black, white = _levels(np.asarray(strip) for _, strip in _cut(image))
        for top, strip in _cut(image):
            grey = (_finite(np.asarray(strip)) - black) * (255 / (white - black)) + 0.5
            yield top, Image.fromarray(grey.astype(np.uint8)).convert("RGB")
        return
    is_clear = image.has_transparency_data
    for top, strip in _cut(image):
        if is_clear:
            page = Image.new("RGBA", strip.size, BACKGROUND)
            straight = strip.convert("LA") if strip.mode == "La" else strip
            strip = Image.alpha_composite(page, straight.convert("RGBA"))
        yield top, strip if strip.mode == "RGB" else strip.convert("RGB")


def _cut(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Strips of about `STRIP` pixels, and where each begins."""
    width, height = image.size
    rows = max(1, STRIP // width)
    if rows >= height:
        yield 0, image
        return
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(top + rows, height)))


def _finite(values: NDArray[Any]) -> NDArray[np.float64]:
    """In a precision that differences of float32 cannot leave; what is no number is black."""
    return np.nan_to_num(values.astype(np.float64), posinf=0, neginf=0)


def _levels(strips: Iterable[NDArray[Any]]) -> tuple[float, float]:
    """What becomes 0 and 255 in grey of 16 bits, 32 bits or fractions: scaled, never clipped."""
    ends = [
        (strip.dtype.kind, grey.min(), grey.max()) for strip in strips for grey in [_finite(strip)]
    ]
    kinds, lows, highs = zip(*ends, strict=True)
    whites = WHITES if kinds[0] == "f" else WHITES[1:]
    brightest = float(max(highs))
    white = next((white for white in whites if brightest <= white), brightest)
    return min(0.0, float(min(lows))), float(white)
