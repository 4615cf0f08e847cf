"""The faces of a video or a camera, frame after frame."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from featherface.runtime.video_in import Source
from featherface.types import Detections, Pixels

Detect = Callable[[Pixels], Detections]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A frame and what was found in it.

    Attributes:
        index: 0 for the first frame.
        time: seconds, as the video states it; a camera counts from its first frame.
        pixels: (H, W, 3) uint8 RGB, upright.
        faces: in its pixels.
    """

    index: int
    time: float
    pixels: Pixels
    faces: Detections


def stream(video: str | os.PathLike[str] | int, detect: Detect) -> Iterator[Seen]:
    """Looks for faces in every frame of a video; no more than a frame is kept.

    Args:
        video: a path, or the number of a camera.
        detect: finds the faces of one frame.

    Raises:
        VideoError: it cannot be opened, or has no frame that can be decoded.
    """
    with Source(video) as source:
        for frame in source.frames():
            yield Seen(frame.index, frame.time, frame.pixels, detect(frame.pixels))
