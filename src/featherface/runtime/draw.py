"""Detections drawn on the picture they were found in, for people to look at."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw

from featherface.image import SUFFIXES, Picture, load
from featherface.types import Detections

BOX = "#00e5a0"
EDGE = "#003b2a"
POINTS = ("#ffd400", "#ffd400", "#ff4fa3", "#4db8ff", "#4db8ff")
"""A colour a landmark: eyes, nose, corners of the mouth."""


def draw(picture: Picture, faces: Detections) -> Image.Image:
    """A copy of the picture with a box around each face and a dot on each landmark.

    Lines grow with the picture, but never so much that a small face drowns in its own box: the
    box lies around the face, and dots are left out where they would touch each other.

    Args:
        picture: as for `Detector.detect`.
        faces: what was found in it, in its pixels.

    Returns:
        An RGB image of the picture's size, upright.

    Raises:
        ImageError: the picture cannot be read.
    """
    image = Image.fromarray(load(picture))
    pen = ImageDraw.Draw(image)
    for box, points in zip(faces.boxes, faces.landmarks, strict=True):
        left, top, right, bottom = box.tolist()
        side = min(right - left, bottom - top)
        line = max(1, round(min(max(image.size) / 400, side / 16)))
        if line > 1:  # a dark edge keeps the line visible on any ground
            edge = line + 1
            pen.rectangle((left - edge, top - edge, right + edge, bottom + edge), None, EDGE, edge)
        pen.rectangle((left - line, top - line, right + line, bottom + line), None, BOX, line)
        dot = side / 28
        for (x, y), colour in zip(points.tolist(), POINTS, strict=True):
            if dot >= 1:
                pen.ellipse((x - dot, y - dot, x + dot, y + dot), colour, EDGE)
            elif dot >= 0.5:
                pen.point((x, y), colour)
    return image


def encode(image: Image.Image, suffix: str) -> bytes:
    """An image as the content of a file, in the format that the suffix stands for, else as PNG."""
    content = io.BytesIO()
    image.save(content, SUFFIXES.get(suffix.lower(), "PNG"), quality=92)
    return content.getvalue()
