"""A second look at large pictures, shrunk, for faces that are too large at their full size.

A face that is larger than the network's largest anchor looks like none to it, or like several.
Shrunk, such a face has a usual size, and the look costs a quarter of the first at most.
"""

from __future__ import annotations

import numpy as np

from featherface.image import Fit, Fitted, fit
from featherface.runtime.tiles import Look, merge
from featherface.types import Detections, Floats

LARGE = 1280
"""Pictures with more pixels along their longer side are looked at twice,"""

SHRUNK = 640
"""the second time with so many."""

FACE = 192
"""Smaller faces, in pixels of the first look, are none of the second one's business;"""

LARGEST = 512
"""larger ones than this, the largest anchor, none of the first one's."""


def add_large_faces(
    look: Look, picture: Fitted, found: Detections, *, overlap: float
) -> Detections:
    """Looks again if the picture is large, and brings both looks together.

    Args:
        look: finds the faces of fitted pictures, in pixels of what they were made from.
        picture: as it was looked at.
        found: its faces.
        overlap: IoU above which the weaker of two boxes goes.

    Returns:
        Like `found`, best score first.
    """
    if max(picture.pixels.shape[:2]) <= LARGE:
        return found
    pixels, again = fit(picture.pixels, long_side=SHRUNK)
    scale = picture.fit.scale * again.scale
    (shrunk,) = look([Fitted(pixels, Fit(picture.fit.size, scale))])
    shrunk = shrunk[_sides(shrunk, picture) > FACE]
    found = found[_sides(found, picture) <= LARGEST]
    both = Detections(
        np.concatenate([found.boxes, shrunk.boxes]),
        np.concatenate([found.scores, shrunk.scores]),
        np.concatenate([found.landmarks, shrunk.landmarks]),
    )
    views = np.repeat([0, 1], [len(found), len(shrunk)])
    # What the first look sees within a face too large for it is doubtful, however sure it is.
    rank = both.scores * np.where(_sides(both, picture) > LARGEST, 2, 1)
    both = both[merge(both.boxes, rank, views, overlap)]
    return both[np.argsort(-both.scores, kind="stable")]


def _sides(faces: Detections, picture: Fitted) -> Floats:
    """(N,) the longer side of each box, in pixels of the first look."""
    sides: Floats = picture.fit.apply(faces.boxes[:, 2:] - faces.boxes[:, :2]).max(1, initial=0)
    return sides
