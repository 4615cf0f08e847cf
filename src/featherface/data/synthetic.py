"""Drawn faces with exact boxes and landmarks, to test and to learn on without photographs.

A face is an ellipse with hair, brows, eyes, nose and mouth, turned and tilted a little, on clutter
made of noise and of shapes, some of which are skin-coloured ellipses without features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from featherface.boxes import intersection
from featherface.data.label_text import write_labels
from featherface.data.labelled import LabelledImage
from featherface.types import Floats, Pixels, Size

Doubles = NDArray[np.float64]
Colour = tuple[int, int, int]

_SMALLEST, _LARGEST = 10, 300  # pixels of face height
_TRIES = 200  # random places before a face counts as too large for the room that is left
_SKINS = ((255, 224, 196), (241, 194, 155), (214, 160, 120), (161, 108, 74), (96, 62, 44))
_HAIRS = ((24, 18, 16), (70, 44, 26), (120, 76, 40), (190, 150, 90), (140, 140, 142))
_LANDMARKS = np.array([[-0.40, -0.14], [0.40, -0.14], [0.0, 0.22], [-0.30, 0.52], [0.30, 0.52]])
"""In units of the half axes of the face, from its centre; y points down."""


class Drawn(NamedTuple):
    """A picture and what is in it.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        boxes: (N, 4) float32 xyxy pixels, exactly around the ellipse of each face.
        landmarks: (N, 5, 2) float32 pixels, in the order of `LANDMARK_NAMES`.
    """

    picture: Pixels
    boxes: Floats
    landmarks: Floats

    def labelled(self, path: Path) -> LabelledImage:
        """The labels of this picture when it is stored as `path`; all are certain."""
        count = len(self.boxes)
        return LabelledImage(
            path=path,
            boxes=self.boxes,
            landmarks=self.landmarks,
            human_landmarks=np.ones(count, np.bool_),
            probability=np.ones(count, np.float32),
            ignore=np.zeros(count, np.bool_),
        )


def draw_faces(rng: np.random.Generator, size: Size, faces: int | Sequence[float]) -> Drawn:
    """Draw a picture of `size` with faces that lie wholly inside and do not overlap.

    Args:
        rng: decides everything; the same state gives the same picture.
        size: (height, width) of the picture in pixels.
        faces: the heights of the faces in pixels; or how many, for random heights from 10 to 300
            pixels, half the picture at most, smaller ones where the room is short.

    Raises:
        ValueError: when there is no room for the faces, or one is under 10 or over 300 pixels.
    """
    if isinstance(faces, int):
        most = min(_LARGEST, max(_SMALLEST, min(size) / 2))
        wanted = np.exp(rng.uniform(np.log(_SMALLEST), np.log(most), faces)).tolist()
    else:
        wanted = list(faces)
        if not all(_SMALLEST <= height <= _LARGEST for height in wanted):
            raise ValueError(f"faces of {wanted} pixels, wanted {_SMALLEST} to {_LARGEST}")
    boxes = np.zeros((0, 4), np.float32)
    poses: list[_Pose] = []
    for height in sorted(wanted, reverse=True):
        pose = _place(rng, size, height, boxes)
        while pose is None and isinstance(faces, int) and height > _SMALLEST:
            height = max(_SMALLEST, height / 2)
            pose = _place(rng, size, height, boxes)
        if pose is None:
            raise ValueError(f"no room for faces of {wanted} pixels in a picture of {size}")
        boxes = np.concatenate([boxes, pose.box()[None]])
        poses.append(pose)

    canvas = Image.fromarray(_background(rng, size))
    for pose in poses:
        _draw_shoulders(rng, canvas, pose)
    for pose in poses:
        _draw_face(rng, canvas, pose)
    noise = rng.normal(0, rng.uniform(1, 5), (*size, 3))
    picture = np.clip(np.asarray(canvas) + noise, 0, 255).astype(np.uint8)
    landmarks = [pose.points(_LANDMARKS) for pose in poses]
    return Drawn(
        picture=picture,
        boxes=boxes,
        landmarks=np.array(landmarks, np.float32).reshape(-1, 5, 2),
    )


def write_dataset(
    folder: str | Path,
    rng: np.random.Generator,
    *,
    pictures: int = 8,
    size: Size = (320, 320),
    faces: int = 6,
) -> Path:
    """Write `images/*.jpg` (every fourth a .png) and `labels.txt`; returns the latter.

    Args:
        folder: is made where it does not exist.
        rng: decides everything.
        pictures: how many.
        size: (height, width) of each.
        faces: the most in one picture; the fewest is none.
    """
    folder = Path(folder)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    labelled = []
    for number in range(pictures):
        drawn = draw_faces(rng, size, int(rng.integers(0, faces + 1)))
        path = folder / "images" / f"drawn_{number:04d}.{'png' if number % 4 == 3 else 'jpg'}"
        Image.fromarray(drawn.picture).save(path, quality=92)
        labelled.append(drawn.labelled(path))
    labels = folder / "labels.txt"
    write_labels(labels, labelled, human=True)
    return labels


class _Pose(NamedTuple):
    """An ellipse in the picture, and where on it the face looks."""

    centre: Doubles  # (2,) pixels
    axes: Doubles  # (2,) half width, half height before the tilt
    tilt: float  # radians, clockwise
    look: Doubles  # (2,) shift of the features in half axes

    def points(self, face: Doubles, *, fixed: bool = False) -> Doubles:
        """(N, 2) points of the face, in half axes -> pixels; fixed ones ignore the look."""
        shifted = face if fixed else face + self.look * (1 - np.abs(face) * 0.5)
        cosine, sine = np.cos(self.tilt), np.sin(self.tilt)
        turn = np.array([[cosine, sine], [-sine, cosine]])
        moved: Doubles = self.centre + (shifted * self.axes) @ turn
        return moved

    def box(self) -> Floats:
        """(4,) xyxy around the ellipse."""
        (a, b), cosine, sine = self.axes, np.cos(self.tilt), np.sin(self.tilt)
        half = np.sqrt([(a * cosine) ** 2 + (b * sine) ** 2, (a * sine) ** 2 + (b * cosine) ** 2])
        return np.concatenate([self.centre - half, self.centre + half]).astype(np.float32)


def _place(rng: np.random.Generator, size: Size, height: float, taken: Floats) -> _Pose | None:
    """A pose whose box has this height, lies inside the picture and clear of the others."""
    tilt = float(np.clip(rng.normal(0, 0.15), -0.4, 0.4))
    slim = rng.uniform(0.70, 0.86)  # width over height
    half = height / 2 / np.hypot(np.cos(tilt), slim * np.sin(tilt))
    look = np.array([rng.uniform(-0.16, 0.16), rng.uniform(-0.06, 0.08)])
    pose = _Pose(np.zeros(2), np.array([slim * half, half]), tilt, look)
    reach = pose.box()[2:].astype(np.float64) + 0.5
    room = np.array(size[::-1]) - 2 * reach
    if (room < 0).any():
        return None
    for _ in range(_TRIES):
        pose = pose._replace(centre=reach + rng.uniform(size=2) * room)
        if not intersection(pose.box()[None], taken).any():
            return pose
    return None


def _disc(x: float, y: float, a: float, b: float, start: float = 0, stop: float = 360) -> Doubles:
    """(32, 2) points on an ellipse, or on a part of it; degrees clockwise from the right."""
    angle = np.radians(np.linspace(start, stop, 32))
    return np.stack([x + a * np.cos(angle), y + b * np.sin(angle)], axis=1)


def _draw_face(rng: np.random.Generator, canvas: Image.Image, pose: _Pose) -> None:
    """Paint one face, anti-aliased: several times larger on a patch that is then shrunk."""
    low, high = np.split(pose.box().astype(np.float64), 2)
    margin = 0.2 * (high - low)
    corner = np.clip(np.floor(low - margin), 0, canvas.size).astype(int)
    far = np.clip(np.ceil(high + margin), 0, canvas.size).astype(int)
    scale = 4 if far[1] - corner[1] < 160 else 2
    extent = (int(far[0] - corner[0]), int(far[1] - corner[1]))
    ground = canvas.crop((*corner.tolist(), *far.tolist()))
    patch = ground.resize((extent[0] * scale, extent[1] * scale), Image.Resampling.BICUBIC)
    brush = ImageDraw.Draw(patch)

    def fill(shape: Doubles, colour: Doubles, *, fixed: bool = False) -> None:
        points = (pose.points(shape, fixed=fixed) - corner) * scale
        brush.polygon([(x, y) for x, y in points.tolist()], fill=_rgb(colour))

    _features(rng, fill)
    canvas.paste(patch.resize(extent, Image.Resampling.BOX), tuple(corner.tolist()))


def _features(rng: np.random.Generator, fill: Callable[..., None]) -> None:
    light = rng.uniform(0.65, 1.08)
    skin = np.array(_SKINS[rng.integers(len(_SKINS))]) * light + rng.normal(0, 5, 3)
    hair = np.array(_HAIRS[rng.integers(len(_HAIRS))]) * light
    fill(_disc(0, -0.12, 1.08, 1.02, 170, 370), hair, fixed=True)
    fill(_disc(0, 0, 1, 1), skin, fixed=True)
    side = rng.choice([-1.0, 1.0])
    fill(_disc(0.45 * side, 0.15, 0.52, 0.72), skin * 0.93, fixed=True)  # the shaded half
    fringe = rng.uniform(-0.75, -0.5)
    edge = float(np.degrees(np.arcsin(-fringe)))
    fill(_disc(0, 0, 1.02, 1.02, 180 + edge, 360 - edge), hair, fixed=True)

    wide, tall = rng.uniform(0.19, 0.25), rng.uniform(0.07, 0.11)
    iris = np.array([[70, 45, 25], [60, 90, 130], [60, 100, 60]])[rng.integers(3)] * light
    for x, y in _LANDMARKS[:2]:
        fill(_disc(x, y, wide + 0.05, tall + 0.05), skin * 0.75)
        fill(_disc(x, y, wide, tall), np.full(3, 240) * light)
        fill(_disc(x, y, 0.11, tall), iris)
        fill(_disc(x, y, 0.05, tall * 0.6), np.full(3, 12))
        fill(_disc(x, y - 0.2, wide + 0.05, 0.06, 180, 360), hair * 0.8)

    (nose_x, nose_y), (left, mouth_y), (right, _) = _LANDMARKS[2:]
    bridge = [[nose_x, -0.1], [nose_x + 0.13, nose_y + 0.03], [nose_x - 0.13, nose_y + 0.03]]
    fill(np.array(bridge), skin * 0.85)
    fill(_disc(nose_x, nose_y, 0.12, 0.06), skin * 0.78)

    lips = np.array([170, 60, 65]) * light * 0.6 + skin * 0.3
    smile, gap = rng.uniform(0.02, 0.12), rng.uniform(0.0, 0.1)
    across = np.linspace(left, right, 16)
    curve = 1 - (across / right) ** 2
    upper = np.stack([across, mouth_y + curve * (smile - 0.07)], axis=1)
    lower = np.stack([across, mouth_y + curve * (smile + 0.08 + gap)], axis=1)
    fill(np.concatenate([upper, lower[::-1]]), lips)
    inner = np.stack([across * 0.8, mouth_y + curve * (smile + 0.01)], axis=1)
    mouth = np.stack([across * 0.8, mouth_y + curve * (smile + 0.02 + gap)], axis=1)
    fill(np.concatenate([inner, mouth[::-1]]), lips * 0.35)


def _draw_shoulders(rng: np.random.Generator, canvas: Image.Image, pose: _Pose) -> None:
    brush = ImageDraw.Draw(canvas)
    cloth = _rgb(rng.uniform(20, 220, 3))
    for shape in (_disc(0, 2.3, 2.1, 1.1), _disc(0, 1.0, 0.5, 0.6)):
        points = pose.points(shape, fixed=True)
        brush.polygon([(x, y) for x, y in points.tolist()], fill=cloth)


def _background(rng: np.random.Generator, size: Size) -> Pixels:
    """Noise at several scales under random shapes, some of the colour and form of a face."""
    height, width = size
    total = np.full((height, width, 3), rng.uniform(60, 190, 3))
    for cells, strength in ((3, 50), (9, 30), (27, 20), (81, 14)):
        grid = rng.normal(128, strength, (cells, cells, 1)) + rng.normal(0, 8, (cells, cells, 3))
        layer = Image.fromarray(np.clip(grid, 0, 255).astype(np.uint8)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        total += np.asarray(layer, np.float64) - 128
    canvas = Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))
    brush = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(4, 16)):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        a, b = np.exp(rng.uniform(np.log(4), np.log(max(8, min(size) / 4)), 2))
        colour = _rgb(rng.uniform(0, 255, 3))
        form = rng.integers(4)
        if form == 0:
            brush.rectangle((x - a, y - b, x + a, y + b), fill=colour)
        elif form == 1:
            brush.ellipse((x - a, y - b, x + a, y + b), fill=colour)
        elif form == 2:
            end = (rng.uniform(0, width), rng.uniform(0, height))
            brush.line((x, y, *end), fill=colour, width=int(rng.integers(1, 8)))
        else:
            bare = _rgb(np.array(_SKINS[rng.integers(len(_SKINS))]) * rng.uniform(0.65, 1.08))
            brush.ellipse((x - 0.8 * a, y - a, x + 0.8 * a, y + a), fill=bare)
    return np.asarray(canvas)


def _rgb(colour: Doubles) -> Colour:
    red, green, blue = np.clip(colour, 0, 255).astype(int).tolist()
    return red, green, blue
