"""Any picture as RGB pixels, and the way from its pixels to the network's input and back.

The only place that reads pictures and the only one where Pillow's (width, height) occurs.
Coordinates are continuous: (0, 0) is the corner of the first pixel, not its centre, so a
picture shrunk by a factor has all its coordinates multiplied by that factor and nothing else.
"""

from __future__ import annotations

import io
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from featherface.rgb import as_stored, orientation_of, strips, to_rgb, turn
from featherface.types import Floats, Pixels, Size

Picture = str | os.PathLike[str] | bytes | Image.Image | Pixels

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF")
"""What Pillow may open: what photographs, scans and screenshots come in, decoded in this process.

Left out is what starts another program (EPS), what hardly any camera or browser knows (JPEG 2000
and some forty more; every decoder is one more that can be attacked), and icons. MPO, of cameras
with two lenses, is a JPEG with more behind it, and its first picture is read.
"""

SUFFIXES = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), "JPEG"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "PPM"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **{".png": "PNG", ".gif": "GIF", ".bmp": "BMP", ".webp": "WEBP", ".avif": "AVIF"},
}
"""File name endings of pictures, and the format behind each."""

MAX_PIXELS = int(os.environ.get("FEATHERFACE_MAX_PIXELS") or 62_000_000)
"""The largest picture that is decoded, by what its header says, before anything is decoded.

No format takes more than 16 bytes a pixel, which makes 1 GB of this limit: a WebP file of 34 bytes
can ask for it. Full-frame cameras have 61 million pixels; the environment variable raises it.
"""

MAX_BYTES = 8
"""Of a file for each pixel of the limit; RGB of 16 bits has 6 without any compression."""

MAX_SCANS = 100
"""Passes over a JPEG of the largest size; what has more must be smaller by as much. Encoders make
1 to 18, but thousands of a few bytes would fit in a small file, and each takes its time."""

MULTIPLE = 32
"""Sides of the network's input are multiples of this, its coarsest stride."""

PADDING = 0
"""Black fills the input beyond the picture: no texture, and the colour that cameras, scans and
films leave around a picture themselves. Crops made for training should be filled with it too."""

DETAIL = 1
"""Shrinking by whole factors, in JPEG decoding or by averaging, goes no further than to this many
times the size that is wanted; the rest is resampled. 2 found no more faces, and took longer."""

SPARE_BLOCKS = 4
"""Blocks of up to 16 MB that Pillow keeps for its next pictures. To take fresh memory for every
picture and give it back, as Pillow does by itself, can cost more than decoding."""


class ImageError(ValueError):
    """A picture that cannot be used; the message names it and gives the reason."""


class FormatError(ImageError):
    """No picture of the formats that are read, by how it begins."""


class SizeError(ImageError):
    """More pixels or bytes than are allowed, or than there is memory for."""


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
        FormatError: a file of an unknown format.
        SizeError: more than `MAX_PIXELS`.
        ImageError: no such file, an empty or broken one, or an array of another type or shape.
        TypeError: something that is no picture at all.
    """
    if isinstance(picture, np.ndarray):
        return _rgb_array(picture)
    with opened(picture) as image:
        _check_work(image)
        image.load()
        orientation = orientation_of(image)
        width, height = image.size
        is_turned = orientation >= 5
        upright = np.empty((width, height, 3) if is_turned else (height, width, 3), np.uint8)
        stored = as_stored(upright, orientation)
        for top, strip in strips(image):
            stored[top : top + strip.height] = np.asarray(strip)
        return upright


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
        return Fitted(_pad(pixels, picture), Fit((pixels.shape[0], pixels.shape[1])))
    with opened(picture) as image:
        _check_work(image)
        stored = image.size  # (width, height) as it lies in the file
        longest = max(stored)
        # Whole target pixels only, or the scale would not be the same in both directions: a last
        # row or column that is covered in part is left out. Less than one pixel becomes one.
        target = [max(1, side * long_side // longest) for side in stored]
        shrink = 1.0  # stored pixels a decoded one
        if not isinstance(picture, Image.Image):  # a draft would change an image of the caller's
            draft = image.draft(None, (DETAIL * target[0], DETAIL * target[1]))
            shrink = stored[0] / draft[1][2] if draft else 1.0
        image.load()
        orientation = orientation_of(image)
        left, right = _span(stored[0], target[0] * longest / long_side, orientation in (2, 3, 7, 8))
        top, bottom = _span(stored[1], target[1] * longest / long_side, orientation in (3, 4, 6, 7))
        resized = to_rgb(image).resize(
            (target[0], target[1]),
            Image.Resampling.BILINEAR,  # BOX is quicker, but moves things by up to 0.2 pixels
            box=(left / shrink, top / shrink, right / shrink, bottom / shrink),
            reducing_gap=DETAIL,
        )
        upright = np.asarray(turn(resized, orientation))
    size = stored if orientation >= 5 else (stored[1], stored[0])
    return Fitted(_pad(upright, picture), Fit(size, long_side / longest))


def shown_size(picture: Picture) -> Size:
    """(height, width) as it is looked at; reads no more than the header.

    Raises:
        ImageError: as `load`, as far as a header tells.
        TypeError: as `load`.
    """
    with opened(picture) as image:
        width, height = image.size
        is_tiff = image.format == "TIFF"  # whose size is told as if it were turned already
        lies = not is_tiff and orientation_of(image) >= 5
        return (width, height) if lies else (height, width)


def _span(side: int, part: float, is_turned: bool) -> tuple[float, float]:
    """Where `part` of a side of the stored picture begins and ends; at its end if turned."""
    part = min(side, part)
    return (side - part, side) if is_turned else (0, part)


@contextmanager
def opened(picture: Picture) -> Iterator[Image.Image]:
    """The picture, of a format and a size that is allowed, but not decoded yet.

    Whatever fails while it is open becomes an `ImageError` that names it.

    Raises:
        ImageError: as `load`.
        TypeError: as `load`.
    """
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
            _check_ordinary(Path(picture))
            with Path(picture).open("rb") as stream:
                yield _identify(stream, os.fstat(stream.fileno()).st_size)
    except ImageError as error:
        raise type(error)(f"{name}: {error}") from None
    except FileNotFoundError as error:
        raise ImageError(f"{name}: no such file") from error
    except Image.DecompressionBombError as error:  # of plugins that look at sizes too
        limit = f"{min(MAX_PIXELS, 2 * (Image.MAX_IMAGE_PIXELS or MAX_PIXELS)):,}"
        raise SizeError(f"{name}: has more than {limit} pixels, wanted fewer; shrink it") from error
    except MemoryError as error:
        raise SizeError(f"{name}: does not fit in memory, shrink it first") from error
    except Exception as error:  # broken files make the decoders raise nearly anything
        raise ImageError(f"{name}: cannot be read ({error or type(error).__name__})") from error


def _name(picture: Picture) -> str:
    """What messages call a picture."""
    if isinstance(picture, str | os.PathLike):
        return os.fspath(picture)
    if isinstance(picture, bytes):
        return "the bytes given"
    if isinstance(picture, np.ndarray):
        return "the array given"
    if isinstance(picture, Image.Image):
        return "the PIL image given"
    raise TypeError(
        "a picture is a path, bytes, a PIL image or a uint8 array (H, W, 3), "
        f"not {type(picture).__name__}"
    )


def _check_ordinary(path: Path) -> None:
    """A pipe would be waited for, a device read without an end."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise ImageError("is a folder, wanted a picture file")
    if not stat.S_ISREG(mode):
        raise ImageError("is a pipe or a device, wanted a picture file")


def _identify(stream: IO[bytes], length: int) -> Image.Image:
    """Reads no more than the header.

    As `Image.open` does, but without its limit, which warns at one size and fails at another, and
    telling what is broken from what is of another format.
    """
    if length == 0:
        raise ImageError("is empty, wanted a picture")
    if length > MAX_BYTES * MAX_PIXELS:
        raise SizeError(f"has {length:,} bytes, more than a picture of {MAX_PIXELS:,} pixels")
    if not set(FORMATS) <= Image.OPEN.keys():
        Image.init()
    start = stream.read(16)
    is_known = False
    for format in FORMATS:
        factory, accept = Image.OPEN[format]
        try:
            if accept and accept(start) is not True:  # a text tells what is not installed
                continue
            is_known = True
            stream.seek(0)
            image = factory(stream, "")
        except (SyntaxError, IndexError, TypeError, struct.error):  # none of this format, after all
            continue
        return _check_size(image)
    if is_known:
        raise ImageError("is broken, wanted a whole picture")
    raise FormatError(f"is no picture of these formats: {', '.join(FORMATS)}")


def _check_size(image: Image.Image) -> Image.Image:
    width, height = image.size
    if not 0 < width * height <= MAX_PIXELS:
        kind = SizeError if width * height else ImageError
        raise kind(
            f"has {width} x {height} pixels, wanted 1 to {MAX_PIXELS:,} in all; shrink it, or set "
            "FEATHERFACE_MAX_PIXELS"
        )
    return image


def _check_work(image: Image.Image) -> None:
    """Refuses what would keep a decoder busy for minutes with a file of a few bytes."""
    if not (isinstance(image, ImageFile.ImageFile) and image.fp and image.tile):
        return  # is decoded already
    coding = image.tile[0][0]
    if coding == "bmp_rle":  # byte by byte, in Python; of drawings, if of anything
        raise ImageError("is a BMP file with run-length coding; save it as PNG")
    if coding == "jpeg":
        width, height = image.size
        scans = _count(image.fp, b"\xff\xda")
        if scans > MAX_SCANS and width * height * scans > MAX_PIXELS * MAX_SCANS:
            raise ImageError(f"is a JPEG of {scans} scans, too many for its size; save it anew")


def _count(stream: IO[bytes], mark: bytes) -> int:
    """How often two bytes occur in a file; its position stays."""
    place = stream.seek(0, os.SEEK_CUR)
    stream.seek(0)
    count, last = 0, b""
    while chunk := stream.read(1 << 20):
        count += (last + chunk).count(mark)
        last = chunk[-1:]
    stream.seek(place)
    return count


def _rgb_array(array: NDArray[Any]) -> Pixels:
    """An array checked; grey gets its three channels."""
    is_grey = array.ndim == 2
    if array.dtype != np.uint8 or 0 in array.shape or not (is_grey or array.shape[2:] == (3,)):
        raise ImageError(
            f"the array given is {array.dtype} of shape {array.shape}, wanted uint8, "
            "RGB (H, W, 3) or grey (H, W), with at least one pixel"
        )
    return np.repeat(array[..., None], 3, axis=2) if is_grey else array


def _pad(pixels: Pixels, picture: Picture) -> Pixels:
    """Fills up at the right and the bottom to multiples of `MULTIPLE`.

    Raises:
        SizeError: the picture is so narrow that this makes far more of it than is allowed.
    """
    height, width = (-(-side // MULTIPLE) * MULTIPLE for side in pixels.shape[:2])
    if (height, width) == pixels.shape[:2]:
        return np.ascontiguousarray(pixels)
    if height * width > 2 * MAX_PIXELS:
        sides = f"{pixels.shape[1]} x {pixels.shape[0]}"
        raise SizeError(f"{_name(picture)}: {sides} pixels are too narrow a strip, cut it up")
    padded = np.full((height, width, 3), PADDING, np.uint8)
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    return padded
