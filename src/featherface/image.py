"""Any picture as RGB pixels, and the way from its pixels to the network's input and back.

The only place that reads pictures and the only one where Pillow's (width, height) occurs.
Coordinates are continuous: (0, 0) is the corner of the first pixel, not its centre, so a
picture shrunk by a factor has all its coordinates multiplied by that factor and nothing else.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from featherface.types import Floats, Pixels, Size

Picture = str | os.PathLike[str] | bytes | Image.Image | Pixels

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF")
"""What Pillow may open: formats decoded in this process, none that starts another program."""

SUFFIXES = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), "JPEG"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "PPM"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **{".png": "PNG", ".gif": "GIF", ".bmp": "BMP", ".webp": "WEBP", ".avif": "AVIF"},
}
"""File name endings of pictures, and the format behind each."""

MAX_PIXELS = 178_956_970
"""The largest picture that is decoded; Pillow too refuses anything larger."""

MULTIPLE = 32
"""Sides of the network's input are multiples of this, its coarsest stride."""

PADDING = 0
"""Black fills the input beyond the picture: no texture, and the colour that cameras, scans and
films leave around a picture themselves. Crops made for training should be filled with it too."""

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

DETAIL = 1
"""Shrinking by whole factors, in JPEG decoding or by averaging, goes no further than to this many
times the size that is wanted; the rest is resampled. 2 found no more faces, and took longer."""

SPARE_BLOCKS = 4
"""Blocks of up to 16 MB that Pillow keeps for its next pictures. To take fresh memory for every
picture and give it back, as Pillow does by itself, can cost more than decoding."""


class ImageError(ValueError):
    """A picture that cannot be used; the message names it and gives the reason."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How a picture lies in the network's input: at the top left, scaled by one factor.

    Attributes:
        size: (height, width) of the upright picture.
        scale: input pixels a picture pixel.
    """

    size: Size
    scale: float = 1.0

    def apply(self, points: Floats) -> Floats:
        """Coordinates (..., 2) or boxes (..., 4) of the picture -> those of the input."""
        return points * np.float32(self.scale)

    def undo(self, points: Floats) -> Floats:
        """The inverse of `apply`."""
        return points / np.float32(self.scale)


class Fitted(NamedTuple):
    """A picture ready for the network: pixels (H, W, 3), H and W multiples of 32, and its fit."""

    pixels: Pixels
    fit: Fit


def load(picture: Picture) -> Pixels:
    """A picture of any kind, upright, as RGB pixels.

    EXIF orientation is applied (not to an array, which has none). Grey, palette, CMYK and every
    other mode of Pillow becomes RGB; transparent pixels are laid on white; 16-bit, 32-bit and
    float pictures are scaled so that the smallest usual white (1 for floats, 255, 1023, 4095,
    16383, 65535) that holds their maximum becomes 255. Of an animation the first frame counts.

    Args:
        picture: a path, the bytes of a file, a PIL image, or a uint8 array, RGB (H, W, 3) or
            grey (H, W).

    Returns:
        (H, W, 3) uint8; an RGB array is returned as it is, without a copy.

    Raises:
        ImageError: no such file, an empty, broken or unknown file, more than `MAX_PIXELS`, or
            an array of another type or shape.
        TypeError: something that is no picture at all.
    """
    if isinstance(picture, np.ndarray):
        return _rgb_array(picture)
    with _open(picture) as image:
        return np.array(_turn(_to_rgb(image), _orientation(image)))


def fit(picture: Picture, *, long_side: int | None = None) -> Fitted:
    """A picture as the network wants it: scaled if asked, padded at the right and the bottom.

    Args:
        picture: as for `load`.
        long_side: pixels that the longer side shall get, by shrinking or enlarging; None keeps
            the size. A JPEG file much larger than that is decoded at a fraction of its size.

    Raises:
        ImageError: as `load`.
        TypeError: as `load`.
    """
    if long_side is None:
        pixels = load(picture)
        return Fitted(_pad(pixels), Fit((pixels.shape[0], pixels.shape[1])))
    with _open(picture) as image:
        stored = image.size  # (width, height) as it lies in the file
        orientation = _orientation(image)
        longest = max(stored)
        # Whole target pixels only, or the scale would not be the same in both directions: a last
        # row or column that is covered in part is left out. Less than one pixel becomes one.
        target = [max(1, side * long_side // longest) for side in stored]
        shrink = 1.0  # stored pixels a decoded one
        if not isinstance(picture, Image.Image):  # a draft would change an image of the caller's
            draft = image.draft(None, (DETAIL * target[0], DETAIL * target[1]))
            shrink = stored[0] / draft[1][2] if draft else 1.0
        left, right = _span(stored[0], target[0] * longest / long_side, orientation in (2, 3, 7, 8))
        top, bottom = _span(stored[1], target[1] * longest / long_side, orientation in (3, 4, 6, 7))
        resized = _to_rgb(image).resize(
            (target[0], target[1]),
            Image.Resampling.BILINEAR,  # BOX is quicker, but moves things by up to 0.2 pixels
            box=(left / shrink, top / shrink, right / shrink, bottom / shrink),
            reducing_gap=DETAIL,
        )
        upright = np.asarray(_turn(resized, orientation))
    size = stored if orientation >= 5 else (stored[1], stored[0])
    return Fitted(_pad(upright), Fit(size, long_side / longest))


def _span(side: int, part: float, is_turned: bool) -> tuple[float, float]:
    """Where `part` of a side of the stored picture begins and ends; at its end if turned."""
    part = min(side, part)
    return (side - part, side) if is_turned else (0, part)


@contextmanager
def _open(picture: Picture) -> Iterator[Image.Image]:
    """The picture, not decoded yet; whatever fails while it is open becomes an `ImageError`."""
    allocator = Image.core  # type: ignore[attr-defined] # documented, but not among its exports
    if not allocator.get_blocks_max():  # unless somebody has decided about it already
        allocator.set_blocks_max(SPARE_BLOCKS)
    if isinstance(picture, np.ndarray):
        yield Image.fromarray(_rgb_array(picture))
        return
    name = _name(picture)
    try:
        if isinstance(picture, Image.Image):
            yield _check_size(picture)
        elif isinstance(picture, bytes):
            with io.BytesIO(picture) as stream:
                yield _identify(stream, len(picture))
        else:
            with Path(picture).open("rb") as stream:
                yield _identify(stream, os.fstat(stream.fileno()).st_size)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    except FileNotFoundError as error:
        raise ImageError(f"{name}: no such file") from error
    except IsADirectoryError as error:
        raise ImageError(f"{name}: is a folder, wanted a picture file") from error
    except UnidentifiedImageError as error:
        formats = ", ".join(FORMATS)
        raise ImageError(f"{name}: is broken, or no picture of these: {formats}") from error
    except Exception as error:  # broken files make the decoders raise nearly anything
        raise ImageError(f"{name}: cannot be read ({error or type(error).__name__})") from error


def _name(picture: Picture) -> str:
    """What messages call a picture."""
    if isinstance(picture, str | os.PathLike):
        return os.fspath(picture)
    if isinstance(picture, bytes):
        return "the bytes given"
    if isinstance(picture, Image.Image):
        return "the PIL image given"
    raise TypeError(
        "a picture is a path, bytes, a PIL image or a uint8 array (H, W, 3), "
        f"not {type(picture).__name__}"
    )


def _identify(stream: IO[bytes], length: int) -> Image.Image:
    """Reads no more than the header."""
    if length == 0:
        raise ImageError("is empty, wanted a picture")
    return _check_size(Image.open(stream, formats=FORMATS))


def _check_size(image: Image.Image) -> Image.Image:
    width, height = image.size
    if not 0 < width * height <= MAX_PIXELS:
        raise ImageError(f"has {width} x {height} pixels, wanted 1 to {MAX_PIXELS:,} in all")
    return image


def _rgb_array(array: NDArray[Any]) -> Pixels:
    """An array checked; grey gets its three channels."""
    is_grey = array.ndim == 2
    if array.dtype != np.uint8 or 0 in array.shape or not (is_grey or array.shape[2:] == (3,)):
        raise ImageError(
            f"the array given is {array.dtype} of shape {array.shape}, wanted uint8, "
            "RGB (H, W, 3) or grey (H, W), with at least one pixel"
        )
    return np.repeat(array[..., None], 3, axis=2) if is_grey else array


def _orientation(image: Image.Image) -> int:
    """1 to 8 as EXIF counts them; a picture with broken EXIF data is taken as it lies."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # the parser raises nearly anything, and the pixels may still be fine
        return 1
    return orientation if orientation in TURNS else 1


def _turn(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def _to_rgb(image: Image.Image) -> Image.Image:
    """Every mode of Pillow becomes RGB as `load` tells."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = Image.fromarray(_to_bytes(np.asarray(image)))
    elif image.has_transparency_data:
        page = Image.new("RGBA", image.size, BACKGROUND)
        straight = image.convert("LA") if image.mode == "La" else image
        image = Image.alpha_composite(page, straight.convert("RGBA"))
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")  # which copies, even from RGB


def _to_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey of 16 bits, 32 bits or fractions (H, W) scaled, not clipped, to 0 to 255."""
    whites = WHITES if values.dtype.kind == "f" else WHITES[1:]
    grey = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
    black = min(0.0, float(grey.min()))
    brightest = float(grey.max())
    white = next((white for white in whites if brightest <= white), brightest)
    return ((grey - black) * (255 / (white - black)) + 0.5).astype(np.uint8)


def _pad(pixels: Pixels) -> Pixels:
    """Fills up at the right and the bottom to multiples of `MULTIPLE`."""
    height, width = (-(-side // MULTIPLE) * MULTIPLE for side in pixels.shape[:2])
    if (height, width) == pixels.shape[:2]:
        return np.ascontiguousarray(pixels)
    padded = np.full((height, width, 3), PADDING, np.uint8)
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    return padded
