"""What is done with one picture, in a thread: bytes in, JSON or the bytes of a new picture out."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image

from featherface.image import (
    MAX_PIXELS,
    MULTIPLE,
    FormatError,
    ImageError,
    SizeError,
    fit,
    opened,
)
from featherface.runtime.clean import QUALITY, cover_faces
from featherface.runtime.detector import Detector
from featherface.runtime.hide import Cover
from featherface.runtime.record import Record
from featherface.server.limits import Limits, Refusal
from featherface.types import Detections, Pixels

Side = int | Literal["original"]

STATUSES = ((FormatError, 415), (SizeError, 413))
"""What a picture that cannot be read is answered with; any other is broken, 422."""


class Picture(NamedTuple):
    """A picture as a client sent it; the name is for its answer alone."""

    name: str
    content: bytes


class Found(NamedTuple):
    """What is told about a picture.

    Attributes:
        text: JSON, the record of the command line.
        faces: how many.
        refusal: why there is no more than an error in it.
    """

    text: str
    faces: int = 0
    refusal: Refusal | None = None


class Blurred(NamedTuple):
    """A new picture.

    Attributes:
        content: of its file.
        media_type: of its format.
        faces: covered in it.
    """

    content: bytes
    media_type: str
    faces: int


def find(
    picture: Picture, detector: Detector, *, score: float, size: Side, limits: Limits
) -> Found:
    """The faces of a picture, or why it cannot be looked at."""
    path = Path(picture.name)
    try:
        check(picture.content, size=size, limits=limits)
        fitted = fit(picture.content, long_side=_long_side(size))
        (faces,) = detector.find([fitted], score=score)
    except (Refusal, ImageError) as error:
        refusal = _refusal(error, picture.name)
        return Found(json.dumps(Record(path, error=refusal.reason).to_dict()), refusal=refusal)
    return Found(json.dumps(Record(path, fitted.fit.size, faces).to_dict()), len(faces))


def blur(
    picture: Picture, detector: Detector, *, score: float, size: Side, cover: Cover, limits: Limits
) -> Blurred | Refusal:
    """The picture with its faces covered, in the format it had, without any metadata."""

    def detect(pixels: Pixels) -> Detections:
        return detector.find([fit(pixels, long_side=_long_side(size))], score=score)[0]

    try:
        form = check(picture.content, size=size, limits=limits)
        image, count = cover_faces(picture.content, detect, cover)
    except (Refusal, ImageError) as error:
        return _refusal(error, picture.name)
    with io.BytesIO() as stream:
        image.save(stream, form, quality=QUALITY)
        return Blurred(stream.getvalue(), Image.MIME[form], count)


def check(content: bytes, *, size: Side, limits: Limits) -> str:
    """The format of a picture, by its header alone, if it is one that is served.

    Raises:
        Refusal: too many pixels.
        ImageError: an unknown format, or a broken header.
    """
    try:
        with opened(content) as image:
            width, height = image.size
            form = image.format or ""
    except SizeError as error:  # says how to set the limit, which a client cannot
        most = min(limits.max_pixels, MAX_PIXELS)
        raise Refusal(413, f"is too large, {most:,} pixels may be sent; shrink it") from error
    if width * height > limits.max_pixels:
        raise Refusal(
            413, f"has {width} x {height} pixels, {limits.max_pixels:,} may be sent; shrink it"
        )
    scaled = [
        side if size == "original" else max(1, side * size // max(width, height))
        for side in (width, height)
    ]
    across, down = (-(-side // MULTIPLE) * MULTIPLE for side in scaled)
    if across * down > limits.max_pixels:
        raise Refusal(
            413,
            f"becomes {across} x {down} pixels, {limits.max_pixels:,} may be looked at; "
            "ask for a smaller size",
        )
    return form


def _long_side(size: Side) -> int | None:
    return None if size == "original" else size


def _refusal(error: Refusal | ImageError, name: str) -> Refusal:
    """The same with the picture's name in front."""
    if isinstance(error, Refusal):
        return Refusal(error.status, f"{name}: {error.reason}", error.headers)
    reason = str(error).partition(": ")[2] or str(error)  # instead of what the library calls it
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), 422)
    return Refusal(status, f"{name}: {reason}")
