"""What is to be covered in each frame, so that one missed frame does not reveal a face.

All frames are known beforehand: gaps in a track are filled from both sides, and each track is
prolonged before its first and after its last detection, in areas that grow with uncertainty.

Tracks only ever add: what was found in a frame is covered there whatever track it went to, so a
wrong association can cover too much, but never uncover a face.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from featherface.boxes import area, intersection
from featherface.runtime.tracks import FEW, HOLD, Found, Shot, Track, associate, centre, expect
from featherface.types import Bools, Floats, Size

GROWTH = 0.04
"""What an area grows by, on each side, a frame away from a detection: this share of the face's
side, ..."""

DRIFT = 0.25
"""... and this share of the way that the face makes in a frame, ..."""

LIMIT = 0.5
"""... but never more than this share of the face's side."""

SAME = 0.5
"""Shared area, as a part of the smaller one, from which on a face that was found is taken for the
one that a track lost."""


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
        shot = Shot(start, end, times)
        for track in associate(found, shot):
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


def _fill(track: Track, shot: Shot) -> Iterator[tuple[int, Floats]]:
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
    track: Track,
    places: dict[int, Floats],
    found: Sequence[Found],
    shot: Shot,
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


def _between(track: Track, before: int, after: int, frame: int, times: Sequence[float]) -> Floats:
    """The box at a frame between two detections of a track, by straight and even motion."""
    begin, end = times[track.frames[before]], times[track.frames[after]]
    share = np.float32((times[frame] - begin) / (end - begin) if end > begin else 0.5)
    box: Floats = track.boxes[before] * (1 - share) + track.boxes[after] * share
    return box


def _bridge(track: Track, before: int, frame: int, times: Sequence[float]) -> Floats:
    """The box of a track between a detection and the next one.

    It covers the straight way from one to the other, and where the face was heading for after the
    nearer one, or came from.
    """
    straight = _between(track, before, before + 1, frame, times)
    gaps = [abs(frame - track.frames[index]) for index in (before, before + 1)]
    away = min(gaps)
    near = before + gaps.index(away)
    expected = expect(track, near, frame, times)
    step = np.linalg.norm(centre(expected) - centre(track.boxes[near])) / away
    most = _grow(straight, away, np.inf)
    held = np.concatenate([np.maximum(expected[:2], most[:2]), np.minimum(expected[2:], most[2:])])
    return _grow(_hull(straight, held), away, float(step))


def _prolong(track: Track, frame: int, times: Sequence[float]) -> Floats:
    """The box of a track beyond its end, whether the face went on or stayed where it was."""
    near = len(track.frames) - 1 if frame > track.frames[-1] else 0
    known = track.boxes[near]
    expected = expect(track, near, frame, times)
    away = abs(frame - track.frames[near])
    step = np.linalg.norm(centre(expected) - centre(known)) / away
    return _grow(_hull(known, expected), away, float(step))


def _grow(box: Floats, away: int, step: float) -> Floats:
    """A box that is `away` frames from a detection, of a face that moves `step` pixels a frame."""
    sides = box[2:] - box[:2]
    more = np.minimum((GROWTH * sides + DRIFT * step) * away, LIMIT * sides)
    grown: Floats = np.concatenate([box[:2] - more, box[2:] + more]).astype(np.float32)
    return grown


def _hull(a: Floats, b: Floats) -> Floats:
    return np.concatenate([np.minimum(a[:2], b[:2]), np.maximum(a[2:], b[2:])])
