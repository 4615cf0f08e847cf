"""Faces followed from frame to frame.

Detections are associated by overlap with, and distance to, the place where a face was heading (as
Bewley et al., "Simple Online and Realtime Tracking", 2016, but greedily, and with a constant
velocity instead of a Kalman filter).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from featherface.boxes import area, iou
from featherface.types import Floats

HOLD = 0.5
"""Seconds that a track is prolonged by, backwards and forwards."""

BRIDGE = 2.0
"""Seconds between two detections that may still be the same face."""

FEW = 3
"""Frames that a track is prolonged by at least, whatever the frame rate."""

SURE = 0.5
"""A track none of whose scores reaches this is weak: most of them are no faces. They are prolonged
by a few frames only, and bridge no more than `HOLD`."""

RECENT = 5
"""Detections that a face's velocity is taken from."""

REACH = 0.6
"""How far from its expected place a face may be found, in sides, and how much more that becomes
a missed frame ..."""

REACH_MORE = 0.15
REACH_MOST = 2.0
"""... and the most."""

ALIKE = 2.0
"""The same face's side does not change by this factor from one detection to the next."""


class Found(NamedTuple):
    """What a detector found in one frame: boxes (N, 4) xyxy and scores (N,)."""

    boxes: Floats
    scores: Floats


@dataclass(slots=True)
class Track:
    """One face: the frames in which it was found, its boxes (4,) there, and its best score."""

    frames: list[int] = field(default_factory=list)
    boxes: list[Floats] = field(default_factory=list)
    best: float = 0.0

    def add(self, frame: int, found: Found, index: int) -> None:
        """One more detection, of a later frame."""
        self.frames.append(frame)
        self.boxes.append(found.boxes[index])
        self.best = max(self.best, float(found.scores[index]))

    @property
    def is_weak(self) -> bool:
        """Whether it may well be no face at all."""
        return self.best < SURE

    @property
    def patience(self) -> float:
        """Seconds after its last detection in which it may be found again."""
        return HOLD if self.is_weak else BRIDGE


@dataclass(frozen=True, slots=True)
class Shot:
    """The frames from `start` up to `end`, in which no scene is cut, and the film's times."""

    start: int
    end: int
    times: Sequence[float]

    def around(self, frame: int, seconds: float) -> tuple[int, int]:
        """The first and the last frame within `seconds`, and never fewer than a few."""
        low = bisect_left(self.times, self.times[frame] - seconds)
        high = bisect_right(self.times, self.times[frame] + seconds) - 1
        return (
            max(self.start, min(low, frame - FEW)),
            min(self.end - 1, max(high, frame + FEW)),
        )


def associate(found: Sequence[Found], shot: Shot) -> list[Track]:
    """Every detection of a shot in exactly one track."""
    tracks: list[Track] = []
    live: list[Track] = []
    for frame in range(shot.start, shot.end):
        live = [each for each in live if frame <= shot.around(each.frames[-1], each.patience)[1]]
        new = found[frame]
        taken: set[int] = set()
        for track, index in _pairs(live, new.boxes, frame, shot.times):
            track.add(frame, new, index)
            taken.add(index)
        for index in range(len(new.boxes)):
            if index not in taken:
                track = Track()
                track.add(frame, new, index)
                tracks.append(track)
                live.append(track)
    return tracks


def _pairs(
    tracks: Sequence[Track], boxes: Floats, frame: int, times: Sequence[float]
) -> Iterator[tuple[Track, int]]:
    """Which track goes on with which of the boxes (N, 4), the best pairs first."""
    if not tracks or not len(boxes):
        return
    # Faces stop, and the times of some videos are wrong: a face may also be where it was.
    known = np.stack([each.boxes[-1] for each in tracks])  # (T, 4)
    expected = np.stack([expect(each, len(each.frames) - 1, frame, times) for each in tracks])
    missed = np.array([[frame - each.frames[-1] - 1] for each in tracks])  # (T, 1)
    reach = np.minimum(REACH + REACH_MORE * missed, REACH_MOST)
    merit = np.maximum(_merit(expected, boxes, reach), _merit(known, boxes, reach))
    while merit.max() > 0:
        row, column = np.unravel_index(merit.argmax(), merit.shape)
        yield tracks[int(row)], int(column)
        merit[row] = 0
        merit[:, column] = 0


def _merit(places: Floats, boxes: Floats, reach: Floats) -> Floats:
    """How well each of the boxes (N, 4) suits each place (T, 4): (T, N), 0 to 2, 0 for not."""
    sides = np.sqrt(np.maximum(area(places), 1))[:, None]  # (T, 1)
    new_sides = np.sqrt(np.maximum(area(boxes), 1))  # (N,)
    way = np.linalg.norm(centre(places)[:, None] - centre(boxes), axis=-1)  # (T, N)
    distance = way / np.maximum(sides, new_sides)
    suits = (distance < reach) & (np.maximum(sides / new_sides, new_sides / sides) < ALIKE)
    merit: Floats = np.where(suits, 1 + iou(places, boxes) - distance / reach, 0)
    return merit


def expect(track: Track, near: int, frame: int, times: Sequence[float]) -> Floats:
    """Where a face heads for after its detection `near`, or came from before it."""
    is_later = frame > track.frames[near]
    far = max(near - RECENT + 1, 0) if is_later else min(near + RECENT, len(track.frames)) - 1
    seconds = times[track.frames[near]] - times[track.frames[far]]
    if seconds == 0:
        return track.boxes[near]
    way = centre(track.boxes[near]) - centre(track.boxes[far])
    ahead = np.float32((times[frame] - times[track.frames[near]]) / seconds)
    box: Floats = track.boxes[near] + np.tile(way * ahead, 2)
    return box


def centre(boxes: Floats) -> Floats:
    """(..., 4) xyxy -> (..., 2)."""
    centre: Floats = (boxes[..., :2] + boxes[..., 2:]) / np.float32(2)
    return centre
