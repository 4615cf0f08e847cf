"""Faces followed through a film, so that one missed frame does not reveal a face.

Detections are associated by overlap with, and distance to, the place where a face was heading (as
Bewley et al., "Simple Online and Realtime Tracking", 2016, but greedily, and with a constant
velocity instead of a Kalman filter). All frames are known beforehand, so gaps are filled from both
sides, and each track is prolonged before its first and after its last detection.

Tracks only ever add: what was found in a frame is covered there whatever track it went to, so a
wrong association can cover too much, but never uncover a face.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from featherface.boxes import area, intersection, iou
from featherface.types import Bools, Floats, Size

HOLD = 0.5
"""Seconds that a track is prolonged by, backwards and forwards."""

BRIDGE = 2.0
"""Seconds between two detections that may still be the same face."""

FEW = 3
"""Frames that a track is prolonged by at least, whatever the frame rate."""

SURE = 0.5
"""A track none of whose scores reaches this is weak: most of them are no faces. They are prolonged
by a few frames only, and bridge no more than `HOLD`."""

GROWTH = 0.04
"""What an area grows by, on each side, a frame away from a detection: this share of the face's
side, ..."""

DRIFT = 0.25
"""... and this share of the way that the face makes in a frame, ..."""

LIMIT = 0.5
"""... but never more than this share of the face's side."""

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

SAME = 0.5
"""Shared area, as a part of the smaller one, from which on a face that was found is taken for the
one that a track lost."""


class Found(NamedTuple):
    """What a detector found in one frame: boxes (N, 4) xyxy and scores (N,)."""

    boxes: Floats
    scores: Floats


class Areas(NamedTuple):
    """What is to be covered in one frame.

    Attributes:
        boxes: (M, 4) xyxy, grown by how uncertain they are.
        is_found: (M,) whether a face was found there in this very frame; otherwise only its track
            says that it is there.
    """

    boxes: Floats
    is_found: Bools


class Doubt(NamedTuple):
    """Frames, the first to the last, at which somebody should look, and the reason."""

    first: int
    last: int
    reason: str


class Plan(NamedTuple):
    """The areas of every frame, and what is doubtful about them."""

    areas: list[Areas]
    doubts: list[Doubt]


@dataclass(slots=True)
class _Track:
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
        return self.best < SURE

    @property
    def patience(self) -> float:
        """Seconds after its last detection in which it may be found again."""
        return HOLD if self.is_weak else BRIDGE


@dataclass(frozen=True, slots=True)
class _Shot:
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


def follow(
    found: Sequence[Found], *, times: Sequence[float], cuts: Sequence[int], size: Size
) -> Plan:
    """Follows the faces of a whole film and says what is to be covered in each frame.

    Args:
        found: what was found in each frame.
        times: of each frame, in seconds, rising.
        cuts: indices of the frames that begin a new shot. No track goes over one.
        size: (height, width) of the frames.
    """
    boxes: list[list[Floats]] = [[] for _ in found]
    is_found: list[list[bool]] = [[] for _ in found]
    doubts: list[Doubt] = []
    borders = [0, *cuts, len(found)]
    for start, end in pairwise(borders):
        shot = _Shot(start, end, times)
        for track in _associate(found, shot):
            places = dict(_fill(track, shot))
            seen = set(track.frames)
            for frame, box in places.items():
                boxes[frame].append(box)
                is_found[frame].append(frame in seen)
            doubts += _doubts(track, places, found, shot, size)
    areas = [
        Areas(np.array(each, np.float32).reshape(-1, 4), np.array(flags, np.bool_))
        for each, flags in zip(boxes, is_found, strict=True)
    ]
    return Plan(areas, _merge(doubts))


def _associate(found: Sequence[Found], shot: _Shot) -> list[_Track]:
    """Every detection of a shot in exactly one track."""
    tracks: list[_Track] = []
    live: list[_Track] = []
    for frame in range(shot.start, shot.end):
        live = [each for each in live if frame <= shot.around(each.frames[-1], each.patience)[1]]
        new = found[frame]
        taken: set[int] = set()
        for track, index in _pairs(live, new.boxes, frame, shot.times):
            track.add(frame, new, index)
            taken.add(index)
        for index in range(len(new.boxes)):
            if index not in taken:
                track = _Track()
                track.add(frame, new, index)
                tracks.append(track)
                live.append(track)
    return tracks


def _pairs(
    tracks: Sequence[_Track], boxes: Floats, frame: int, times: Sequence[float]
) -> Iterator[tuple[_Track, int]]:
    """Which track goes on with which of the boxes (N, 4), the best pairs first."""
    if not tracks or not len(boxes):
        return
    # Faces stop, and the times of some videos are wrong: a face may also be where it was.
    known = np.stack([each.boxes[-1] for each in tracks])  # (T, 4)
    expected = np.stack([_expect(each, len(each.frames) - 1, frame, times) for each in tracks])
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
    way = np.linalg.norm(_centre(places)[:, None] - _centre(boxes), axis=-1)  # (T, N)
    distance = way / np.maximum(sides, new_sides)
    suits = (distance < reach) & (np.maximum(sides / new_sides, new_sides / sides) < ALIKE)
    merit: Floats = np.where(suits, 1 + iou(places, boxes) - distance / reach, 0)
    return merit


def _fill(track: _Track, shot: _Shot) -> Iterator[tuple[int, Floats]]:
    """The box of a track in each frame from some before its first to some after its last."""
    seconds = 0.0 if track.is_weak else HOLD
    first, last = track.frames[0], track.frames[-1]
    for frame in range(shot.around(first, seconds)[0], first):
        yield frame, _prolong(track, frame, shot.times)
    for index, frame in enumerate(track.frames):
        box = track.boxes[index]
        if 0 < index < len(track.frames) - 1:
            before, after = track.frames[index - 1], track.frames[index + 1]
            if after - before <= 2 * FEW:
                # A single box can be too small or to one side; its neighbours know better.
                box = _hull(box, _between(track, index - 1, index + 1, frame, shot.times))
        yield frame, box
        if index + 1 < len(track.frames):
            for gap in range(frame + 1, track.frames[index + 1]):
                yield gap, _bridge(track, index, gap, shot.times)
    for frame in range(last + 1, shot.around(last, seconds)[1] + 1):
        yield frame, _prolong(track, frame, shot.times)


def _doubts(
    track: _Track,
    places: dict[int, Floats],
    found: Sequence[Found],
    shot: _Shot,
    size: Size,
) -> Iterator[Doubt]:
    """Where a face may be that nothing covers, or that is covered by a guess."""
    if track.is_weak:
        return
    for before, after in pairwise(track.frames):
        seconds = shot.times[after] - shot.times[before]
        if seconds > HOLD and after - before > FEW:
            reason = f"a face is covered by a guess of its track for {seconds:.1f} s"
            yield Doubt(before + 1, after - 1, reason)
    low, high = min(places), max(places)
    first, last = track.frames[0], track.frames[-1]
    if low > shot.start and _is_inside(places[low], size):
        frames = range(low, first)
        if not any(_is_at(places[frame], found[frame].boxes) for frame in frames):
            yield Doubt(low, first, "a face appears, not at the picture's edge")
    if high < shot.end - 1 and _is_inside(places[high], size):
        frames = range(last + 1, high + 1)
        if not any(_is_at(places[frame], found[frame].boxes) for frame in frames):
            yield Doubt(last, high, "a face is lost, not at the picture's edge")


def _merge(doubts: Iterable[Doubt]) -> list[Doubt]:
    """Doubts that overlap and have the same reason are one."""
    merged: list[Doubt] = []
    for doubt in sorted(doubts, key=lambda each: (each.reason, each.first)):
        before = merged[-1] if merged else None
        if before and before.reason == doubt.reason and doubt.first <= before.last:
            last = max(before.last, doubt.last)
            merged[-1] = Doubt(before.first, last, doubt.reason)
        else:
            merged.append(doubt)
    return sorted(merged)


def _is_inside(box: Floats, size: Size) -> bool:
    """Whether the picture goes on around a box."""
    return bool((box[:2] > 0).all() and (box[2:] < np.array(size[::-1])).all())


def _is_at(box: Floats, boxes: Floats) -> bool:
    """Whether one of the boxes (N, 4) is at the place of another (4,)."""
    shared = intersection(box[None], boxes)[0]  # (N,)
    return bool((shared > SAME * np.minimum(area(box), area(boxes))).any())


def _between(track: _Track, before: int, after: int, frame: int, times: Sequence[float]) -> Floats:
    """The box at a frame between two detections of a track, by straight and even motion."""
    begin, end = times[track.frames[before]], times[track.frames[after]]
    share = np.float32((times[frame] - begin) / (end - begin) if end > begin else 0.5)
    box: Floats = track.boxes[before] * (1 - share) + track.boxes[after] * share
    return box


def _expect(track: _Track, near: int, frame: int, times: Sequence[float]) -> Floats:
    """Where a face heads for after its detection `near`, or came from before it."""
    is_later = frame > track.frames[near]
    far = max(near - RECENT + 1, 0) if is_later else min(near + RECENT, len(track.frames)) - 1
    seconds = times[track.frames[near]] - times[track.frames[far]]
    if seconds == 0:
        return track.boxes[near]
    way = _centre(track.boxes[near]) - _centre(track.boxes[far])
    ahead = np.float32((times[frame] - times[track.frames[near]]) / seconds)
    box: Floats = track.boxes[near] + np.tile(way * ahead, 2)
    return box


def _bridge(track: _Track, before: int, frame: int, times: Sequence[float]) -> Floats:
    """The box of a track between a detection and the next one.

    It covers the straight way from one to the other, and where the face was heading for after the
    nearer one, or came from.
    """
    straight = _between(track, before, before + 1, frame, times)
    gaps = [abs(frame - track.frames[index]) for index in (before, before + 1)]
    away = min(gaps)
    near = before + gaps.index(away)
    expected = _expect(track, near, frame, times)
    step = np.linalg.norm(_centre(expected) - _centre(track.boxes[near])) / away
    most = _grow(straight, away, np.inf)
    held = np.concatenate([np.maximum(expected[:2], most[:2]), np.minimum(expected[2:], most[2:])])
    return _grow(_hull(straight, held), away, float(step))


def _prolong(track: _Track, frame: int, times: Sequence[float]) -> Floats:
    """The box of a track beyond its end, whether the face went on or stayed where it was."""
    near = len(track.frames) - 1 if frame > track.frames[-1] else 0
    known = track.boxes[near]
    expected = _expect(track, near, frame, times)
    away = abs(frame - track.frames[near])
    step = np.linalg.norm(_centre(expected) - _centre(known)) / away
    return _grow(_hull(known, expected), away, float(step))


def _grow(box: Floats, away: int, step: float) -> Floats:
    """A box that is `away` frames from a detection, of a face that moves `step` pixels a frame."""
    sides = box[2:] - box[:2]
    more = np.minimum((GROWTH * sides + DRIFT * step) * away, LIMIT * sides)
    grown: Floats = np.concatenate([box[:2] - more, box[2:] + more]).astype(np.float32)
    return grown


def _hull(a: Floats, b: Floats) -> Floats:
    return np.concatenate([np.minimum(a[:2], b[:2]), np.maximum(a[2:], b[2:])])


def _centre(boxes: Floats) -> Floats:
    """(..., 4) xyxy -> (..., 2)."""
    centre: Floats = (boxes[..., :2] + boxes[..., 2:]) / np.float32(2)
    return centre
