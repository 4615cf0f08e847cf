"""Small films for tests: two known faces move over a wall, to a tone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from PIL import Image

from featherface import Detections, Detector
from featherface.types import Floats, Pixels

ASSETS = Path(__file__).resolve().parent.parent / "assets"
SIZE = (240, 320)
SIDE = 64  # of the square portraits


@cache
def detector() -> Detector:
    return Detector(score=0.2)


class Portrait(NamedTuple):
    """A square picture and the box of the face in it."""

    pixels: Pixels
    box: Floats


@cache
def portraits() -> tuple[Portrait, ...]:
    """Astronaut and Grace Hopper, head only."""
    return tuple(_portrait(ASSETS / name) for name in ("astronaut.jpg", "grace_hopper.jpg"))


def _portrait(path: Path) -> Portrait:
    x1, y1, x2, y2 = detector().detect(path).boxes[0]
    half = 0.9 * max(x2 - x1, y2 - y1)
    left, top = round((x1 + x2) / 2 - half), round((y1 + y2) / 2 - half)
    side = round(2 * half)
    with Image.open(path) as image:
        crop = image.convert("RGB").crop((left, top, left + side, top + side))
    scale = SIDE / side
    box = np.array([x1 - left, y1 - top, x2 - left, y2 - top], np.float32) * np.float32(scale)
    return Portrait(np.asarray(crop.resize((SIDE, SIDE), Image.Resampling.LANCZOS)), box)


class Film(NamedTuple):
    """Frames (H, W, 3) and the boxes (2, 4) of the faces in each."""

    frames: list[Pixels]
    faces: list[Floats]


def moving_faces(count: int = 48, *, start: int = 0) -> Film:
    """The first face goes to the right, the second comes down and goes left, on a bow."""
    rng = np.random.default_rng(0)
    wall = rng.integers(70, 190, (*SIZE, 3)).astype(np.float32)
    for axis in (0, 1):  # a rough, but not a noisy wall
        wall = sum(np.roll(wall, shift, axis) for shift in range(-4, 5)) / 9
    frames, faces = [], []
    for index in range(start, start + count):
        frame = np.clip(wall, 0, 255).astype(np.uint8)
        turn = index / 48
        corners = [
            (8 + 150 * turn, 20 + 12 * np.sin(7 * turn)),
            (230 - 140 * np.sin(2 * turn), 90 + 70 * turn),
        ]
        boxes = []
        for portrait, (x, y) in zip(portraits(), corners, strict=True):
            left, top = round(float(x)), round(float(y))
            frame[top : top + SIDE, left : left + SIDE] = portrait.pixels
            boxes.append(portrait.box + np.array([left, top, left, top], np.float32))
        frames.append(frame)
        faces.append(np.array(boxes))
    return Film(frames, faces)


def write(
    path: Path,
    frames: Sequence[Pixels],
    *,
    ticks: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    matrix: Sequence[int] | None = None,
    metadata: dict[str, str] | None = None,
    with_sound: bool = True,
    codec: str = "libx264",
) -> Path:
    """A video of these frames, 25 a second if `ticks` do not say otherwise, and of a tone."""
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as container:
        container.metadata.update(metadata or {})
        video = container.add_stream(codec, rate=25, options={"crf": "12", "preset": "ultrafast"})
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.time_base = time_base
        if matrix:
            video.set_display_matrix(matrix)
        sound = container.add_stream("aac", rate=16000) if with_sound else None
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = ticks[index] if ticks else index
            frame.time_base = time_base
            container.mux(video.encode(frame))
            if sound:
                container.mux(sound.encode(_tone(index)))
        container.mux(video.encode(None))
        if sound:
            container.mux(sound.encode(None))
    return path


def _tone(index: int) -> av.AudioFrame:
    """A 25th of a second."""
    at = np.arange(640 * index, 640 * (index + 1))
    wave = (8000 * np.sin(2 * np.pi * 440 * at / 16000)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 16000, 640 * index, Fraction(1, 16000)
    return frame


def read(path: Path) -> list[Pixels]:
    """All frames as they lie in the file."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def times(path: Path) -> list[Fraction]:
    """When each frame is shown, in seconds after the first."""
    with av.open(str(path)) as container:
        stamps = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    return [stamp - stamps[0] for stamp in stamps]


def sound(path: Path) -> list[bytes]:
    """The packets of sound."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


class Forgetful:
    """Finds the faces that are there, but not in the frames it is told to miss."""

    def __init__(self, missed: set[int]) -> None:
        self._missed = missed
        self._frames: Iterator[int] = iter(range(10**9))

    def __call__(self, pixels: Pixels) -> Detections:
        is_missed = next(self._frames) in self._missed
        return Detections.empty() if is_missed else detector().detect(pixels)
