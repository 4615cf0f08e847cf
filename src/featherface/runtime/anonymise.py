"""A video in which no face can be recognised, as far as faces are found.

The video is read twice: first to find and follow all faces, then to cover them, so that a face
that is found late is covered early. In between, a box and a score a face and frame are kept, and
48 numbers a frame for the scene cuts.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from featherface.runtime.filling import Doubt, Plan, follow
from featherface.runtime.hide import Cover, hide
from featherface.runtime.shots import SHAPE, colours, find_cuts
from featherface.runtime.stream import Detect
from featherface.runtime.tracks import Found
from featherface.runtime.video_in import Frame, Source, VideoError
from featherface.runtime.video_out import check_writable, writing
from featherface.types import Size

Tell = Callable[[int, int], None]
"""Is called with the steps done and the steps there are, about; two steps a frame."""


class Report(NamedTuple):
    """What was done to a video.

    Attributes:
        frames: in all.
        covered: frames with something to cover.
        tracked: of these, frames in which an area rests on tracking alone.
        cuts: between scenes.
        doubts: times in seconds, from and to, and the reason to look there.
    """

    frames: int
    covered: int
    tracked: int
    cuts: int
    doubts: list[tuple[float, float, str]]


class _Survey(NamedTuple):
    """What the first reading has found out."""

    plan: Plan
    ticks: Sequence[int]
    times: Sequence[float]
    cuts: list[int]
    damaged: int


def anonymise(
    video: str | os.PathLike[str],
    target: Path,
    detect: Detect,
    *,
    cover: Cover,
    keep_metadata: bool = False,
    tell: Tell = lambda done, total: None,
) -> Report:
    """Covers the faces of a video; `target` comes to be in one step, when all is done.

    Args:
        video: the path of a file.
        target: the new file; sound and times of the frames are those of `video`.
        detect: finds the faces of one frame; better too many than too few.
        cover: how they are covered.
        keep_metadata: whether the new file states what the old one does: title, place, camera.
        tell: is told how far it is.

    Raises:
        VideoError: the video cannot be read, or the new file cannot hold what it has to.
        OSError: the new file cannot be written.
    """
    check_writable(target)
    survey = _survey(video, detect, tell)
    total = len(survey.ticks)
    with Source(video) as source, writing(target, source) as sink:
        if keep_metadata:
            sink.keep_metadata()
        written = 0
        for part in source.parts():
            if not isinstance(part, Frame):
                sink.copy(part)
                continue
            if part.index >= total or part.ticks != survey.ticks[part.index]:
                break
            boxes = survey.plan.areas[part.index].boxes
            sink.write(part, hide(part.pixels, boxes, cover))
            written += 1
            tell(total + written, 2 * total)
        if written != total:
            raise VideoError(f"{source.name}: did not read the same twice, frame {written} differs")
    return _report(survey)


def _survey(video: str | os.PathLike[str], detect: Detect, tell: Tell) -> _Survey:
    # Flat arrays: a few little objects a frame, between frames that come and go, would keep the
    # memory of those from being given back.
    boxes, scores, counts = array("f"), array("f"), array("q")
    ticks, times, looks = array("q"), array("d"), array("H")
    size: Size = (0, 0)
    with Source(video) as source:
        expected = source.expected
        for frame in source.frames():
            faces = detect(frame.pixels)
            boxes.frombytes(faces.boxes.tobytes())
            scores.frombytes(faces.scores.tobytes())
            counts.append(len(faces))
            ticks.append(frame.ticks)
            times.append(frame.time)
            looks.frombytes(colours(frame.pixels).tobytes())
            size = (frame.pixels.shape[0], frame.pixels.shape[1])
            tell(len(ticks), 2 * max(expected, len(ticks)))
        damaged = source.damaged
    ends = np.cumsum(counts)[:-1]
    found = [
        Found(each, marks)
        for each, marks in zip(
            np.split(np.frombuffer(boxes, np.float32).reshape(-1, 4), ends),
            np.split(np.frombuffer(scores, np.float32), ends),
            strict=True,
        )
    ]
    cuts = find_cuts(np.frombuffer(looks, np.uint16).reshape(len(ticks), *SHAPE))
    plan = follow(found, times=times, cuts=cuts, size=size)
    return _Survey(plan, ticks, times, cuts, damaged)


def _report(survey: _Survey) -> Report:
    areas, doubts = survey.plan
    times = survey.times
    if survey.damaged:
        reason = f"{survey.damaged} damaged places; what could not be read is not in the new file"
        doubts = [Doubt(0, len(times) - 1, reason), *doubts]
    return Report(
        frames=len(areas),
        covered=sum(len(each.boxes) > 0 for each in areas),
        tracked=sum(not each.is_found.all() for each in areas),
        cuts=len(survey.cuts),
        doubts=[(times[first], times[last], reason) for first, last, reason in doubts],
    )
