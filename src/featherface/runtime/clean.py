"""Pictures in which no face can be recognised, without what their files say about themselves.

EXIF data hold the place, the camera's number and often a small copy of the picture before it was
altered; comments, XMP and colour profiles may say more. A new file gets the pixels alone: upright,
and in sRGB, since the profile that explained their colours goes too.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageCms

from featherface.files import write_atomically
from featherface.image import SUFFIXES, load, opened
from featherface.runtime.hide import Cover, hide
from featherface.types import Detections, Pixels

QUALITY = 95  # of JPEG and its like

KEPT = (
    *(ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model),
    *(ExifTags.Base.Software, ExifTags.Base.DateTime, ExifTags.Base.Artist),
    ExifTags.Base.Copyright,
)
"""What is kept of the first part of EXIF data, if at all; the rest is about the old file."""

PREVIEWS = (ExifTags.Base.MakerNote, ExifTags.Base.UserComment)
"""What is never kept of the other parts: free space in which cameras hide previews."""


class Covered(NamedTuple):
    """A picture without what its file said about itself, and how many faces are covered in it."""

    image: Image.Image
    faces: int


def cover_faces(
    picture: Path | bytes, detect: Callable[[Pixels], Detections], cover: Cover
) -> Covered:
    """Covers the faces of a picture, a path or the bytes of a file; as `clean` tells.

    Raises:
        ImageError: it cannot be read.
    """
    pixels = _to_srgb(load(picture), picture)
    faces = detect(pixels)
    return Covered(Image.fromarray(hide(pixels, faces.boxes, cover)), len(faces))


def clean(
    path: Path,
    target: Path,
    detect: Callable[[Pixels], Detections],
    *,
    cover: Cover,
    keep_metadata: bool = False,
) -> int:
    """Covers the faces of a picture; `target` is written whole or not at all.

    Of an animation the first frame counts, and alone is written; transparency becomes white.

    Args:
        path: a picture file.
        target: the new file, in the format that its suffix names.
        detect: finds the faces in its pixels; better too many than too few.
        cover: how they are covered.
        keep_metadata: whether EXIF data, with the position, are kept; never the thumbnail.

    Returns:
        How many faces were covered.

    Raises:
        ImageError: it cannot be read.
        OSError: the new file cannot be written.
    """
    image, count = cover_faces(path, detect, cover)
    kept = {"exif": _exif(path)} if keep_metadata else {}
    target.parent.mkdir(parents=True, exist_ok=True)
    # Not straight to the file: Pillow takes a write that a full disk cuts short for a whole one.
    content = io.BytesIO()
    image.save(content, SUFFIXES[target.suffix.lower()], quality=QUALITY, **kept)
    write_atomically(target, content.getvalue())
    return count


def _to_srgb(pixels: Pixels, picture: Path | bytes) -> Pixels:
    """The pixels (H, W, 3) of a file by the profile in it; as they are if it has none for RGB."""
    with opened(picture) as image:
        content = image.info.get("icc_profile")
    if not content:
        return pixels
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        if profile.profile.xcolor_space.strip() != "RGB":
            return pixels  # of grey or CMYK, which is RGB by now
        srgb = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(Image.fromarray(pixels), profile, srgb)
    except (ImageCms.PyCMSError, OSError):  # a broken profile explains nothing
        return pixels
    return np.asarray(converted) if converted else pixels


def _exif(path: Path) -> bytes:
    """What a picture's EXIF data say, without any picture in them."""
    fresh = Image.Exif()
    with opened(path) as image:
        exif = image.getexif()
        fresh.update({tag: exif[tag] for tag in KEPT if tag in exif})
        for part in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            entries = exif.get_ifd(part)
            kept = {tag: entries[tag] for tag in entries if tag not in PREVIEWS}
            fresh.get_ifd(part).update(kept)
    return fresh.tobytes()
