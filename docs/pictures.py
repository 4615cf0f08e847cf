"""Makes the pictures of the pages by the shipped weights: `python docs/pictures.py`.

`make picture` calls it; do so when weights change. What they show is the collage of assets/, an
example to look at and no measurement.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from PIL import Image

from featherface import Detections, Detector, load_image
from featherface.boxes import iou
from featherface.types import LANDMARK_NAMES

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "pictures"
COLLAGE = ROOT / "assets" / "collage.jpg"
PORTRAIT = ROOT / "assets" / "astronaut.jpg"
SIZES = (320, 640, 1280)
COLOUR = "#c2255c"
JPEG = {"quality": 85}


def main() -> None:
    """Writes every picture."""
    mpl.use("Agg")
    FOLDER.mkdir(exist_ok=True)
    coordinates()
    sizes()
    scores()
    hidden()
    cut_out()
    tuned()


def coordinates() -> None:
    """A face with everything that is told of it."""
    pixels = load_image(PORTRAIT)[20:200, 110:350]
    faces = Detector().detect(pixels)[:1]
    figure, axes = plt.subplots(figsize=(8, 6.2), layout="tight")
    axes.imshow(pixels, extent=(0, pixels.shape[1], pixels.shape[0], 0))
    frame(axes, faces)
    x1, y1, x2, y2 = faces.boxes[0]
    for x, y, text, side in ((x1, y1, "x1, y1", "right"), (x2, y2, "x2, y2", "left")):
        axes.plot(x, y, "o", color=COLOUR)
        label(axes, x, y, f" {text} ", ha=side)
    points = zip(LANDMARK_NAMES, faces.landmarks[0], strict=True)
    for number, (name, (x, y)) in enumerate(points):
        axes.plot(x, y, "o", color="white", markeredgecolor="black")
        side = "right" if number in (0, 3) else "left"
        label(axes, x, y - 4, f" {name.replace('_', ' ')} ", ha=side)
    axes.set(xlabel="x in pixels, from the left edge", ylabel="y in pixels, from the upper edge")
    figure.savefig(FOLDER / "coordinates.jpg", dpi=100, pil_kwargs=JPEG)
    plt.close(figure)


def sizes() -> None:
    """The collage, looked at in several sizes."""
    pixels = load_image(COLLAGE)
    figure, row = plt.subplots(1, len(SIZES), figsize=(13, 4.6), layout="tight")
    for axes, size in zip(row, SIZES, strict=True):
        faces = Detector(size=size).detect(pixels)
        axes.imshow(pixels)
        frame(axes, faces)
        axes.set_title(f"size={size}: {np.count_nonzero(matches(faces))} of {len(known())} faces")
        axes.set_axis_off()
    figure.savefig(FOLDER / "sizes.jpg", dpi=110, pil_kwargs=JPEG)
    plt.close(figure)


def scores() -> None:
    """What a threshold lets through."""
    faces = Detector(score=0.02).detect(COLLAGE)
    thresholds = np.linspace(0.02, 0.99, 98)
    found, false = [], []
    for threshold in thresholds:
        rows = faces[faces.scores > threshold]
        right = np.count_nonzero(matches(rows))
        found.append(right)
        false.append(len(rows) - right)
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="tight")
    axes.axhline(len(known()), color="grey", linestyle=":", label="faces in the picture")
    axes.step(thresholds, found, color="#1c7ed6", where="post", label="faces found")
    axes.step(thresholds, false, color=COLOUR, where="post", label="boxes that are none")
    axes.axvline(0.5, color="grey", linewidth=0.8)
    axes.set(xlabel="threshold (0.5 unless you say so)", ylabel="number", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.savefig(FOLDER / "scores.png", dpi=90)
    plt.close(figure)


def hidden() -> None:
    """The ways to make a face unrecognisable."""
    pixels = load_image(PORTRAIT)[:300, 90:390]
    faces = Detector(score=0.2).detect(pixels)
    figure, row = plt.subplots(1, 4, figsize=(12, 3.4), layout="tight")
    row[0].imshow(pixels)
    row[0].set_title("as it was")
    for axes, how in zip(row[1:], ("gaussian", "pixelate", "solid"), strict=True):
        axes.imshow(np.asarray(faces.blur(pixels, how=how)))
        axes.set_title(f'how="{how}"')
    for axes in row:
        axes.set_axis_off()
    figure.savefig(FOLDER / "blur.jpg", dpi=90, pil_kwargs=JPEG)
    plt.close(figure)


def cut_out() -> None:
    """Aligned crops of the largest faces."""
    faces = Detector().detect(COLLAGE)
    largest = np.argsort(faces.boxes[:, 1] - faces.boxes[:, 3])[:6]
    figure, row = plt.subplots(1, 6, figsize=(12, 2.2), layout="tight")
    for axes, face in zip(row, faces[largest].crop(COLLAGE), strict=True):
        axes.imshow(face)
        axes.set_axis_off()
    figure.savefig(FOLDER / "crops.jpg", dpi=90, pil_kwargs=JPEG)
    plt.close(figure)


def tuned() -> None:
    """Before and after training: the page about it makes this picture itself."""
    sys.path.append(str(ROOT / "tests"))
    import pages

    with tempfile.TemporaryDirectory() as name:
        ran = pages.run(ROOT / "docs" / "train.md", Path(name))
        if ran.returncode:
            raise RuntimeError(ran.stderr)
        with Image.open(Path(name) / "before_after.png") as picture:
            picture.save(FOLDER / "tuned.jpg", **JPEG)


def known() -> np.ndarray:
    """(47, 4), where the faces of the collage are."""
    return np.array(json.loads(COLLAGE.with_suffix(".json").read_text())["boxes"], np.float32)


def matches(faces: Detections) -> np.ndarray:
    """(N,), which of the boxes is the best one on a known face."""
    overlap = iou(known(), faces.boxes)  # (47, N)
    is_match = np.zeros(len(faces), np.bool_)
    for row in overlap[overlap.max(axis=1, initial=0) >= 0.5]:
        is_match[row.argmax()] = True
    return is_match


def frame(axes: Axes, faces: Detections) -> None:
    """Draws boxes."""
    for x1, y1, x2, y2 in faces.boxes:
        axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=COLOUR, lw=1.8))


def label(axes: Axes, x: float, y: float, text: str, *, ha: str) -> None:
    """Text that can be read on any ground."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
    axes.text(x, y, text, ha=ha, va="bottom", fontsize=10, bbox=box)


if __name__ == "__main__":
    main()
