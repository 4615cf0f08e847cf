"""What `--tiles` finds in a large picture, against one look at it: recall, time, memory."""

from __future__ import annotations

import runpy
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from cyclopts import App
from PIL import Image

from featherface import Detections, Detector
from featherface.boxes import iou
from featherface.data.labels import LabelledImage, read_labels
from featherface.evaluation.tables import append_row
from featherface.image import load
from featherface.types import Bools, Floats, Pixels
from first_boxes import peak_memory
from machine import this_machine

ROOT = Path(__file__).resolve().parent.parent
CANVAS = (4000, 6000)  # height, width
TILE = 640
LOOKS = {  # what is measured -> size and tiles of the detector
    "once, long side 640": (640, None),
    "once, long side 2,000": (2000, None),
    "once, original": ("original", None),
    f"tiles of {TILE}": ("original", TILE),
    f"long side 12,000, tiles of {TILE}": (12000, TILE),
}
BANDS = {"under 16 px": (0, 16), "16–32 px": (16, 32), "32 px and more": (32, np.inf)}
PRINTS = {3600: 1, 900: 4, 300: 30, 120: 120, 72: 240, 54: 240, 36: 240}
"""Height of a portrait on the wall -> how many; the faces are about half as tall."""

HEAD = """# Large pictures with tiny faces

One picture of 6000 × 4000, looked at in several ways; by `python benchmarks/tiles.py`, one thread.
*wall*: the two portraits of `assets/`, 733 times at random places on a plain ground, one of them
with a face of 2,000 pixels. *photographs*: those of `faces/val` (not published) side by side, as
large as they are, until the picture is full. Recall: share of the labelled faces found with IoU of
at least 0.5 at score 0.5, by height. False: found, and no labelled face, not even one to be
ignored. Twice: labelled faces found more than once. Time is from decoded pixels to boxes.

"""

app = App(name="python benchmarks/tiles.py", help_format="markdown")


class Scene(NamedTuple):
    """A large picture and the faces in it."""

    pixels: Pixels
    boxes: Floats  # (N, 4)
    ignore: Bools  # (N,)


class Outcome(NamedTuple):
    """What one look brought, and what it cost."""

    found: Detections
    seconds: float
    peak: int


def wall() -> Scene:
    """The two portraits, many times, at known places that do not overlap."""
    develop = runpy.run_path(str(ROOT / "assets" / "make_collage.py"))
    rng = np.random.default_rng(0)
    canvas = Image.new("RGB", CANVAS[::-1], develop["WALL_COLOUR"])
    taken = np.zeros((CANVAS[0] // 4, CANVAS[1] // 4), np.bool_)  # a quarter of the size will do
    faces = []
    for height, count in PRINTS.items():
        for _ in range(count):
            item = develop["PRINTS"][rng.integers(len(develop["PRINTS"]))]
            brightness = float(rng.choice(develop["BRIGHTNESS"]))
            picture, face = develop["develop"](item, height, brightness)
            width, tall = -(-picture.width // 4), -(-picture.height // 4)
            for _ in range(1000):
                x = int(rng.integers(taken.shape[1] - width))
                y = int(rng.integers(taken.shape[0] - tall))
                if not taken[y : y + tall, x : x + width].any():
                    break
            else:
                continue  # no room left for it
            taken[y : y + tall, x : x + width] = True
            canvas.paste(picture, (4 * x, 4 * y))
            faces.append(np.add(face, (4 * x, 4 * y, 4 * x, 4 * y)))
    return Scene(np.asarray(canvas), np.array(faces, np.float32), np.zeros(len(faces), np.bool_))


def photographs(labels: list[LabelledImage]) -> Scene:
    """Labelled photographs in rows, as many as there is room for."""
    canvas = np.zeros((*CANVAS, 3), np.uint8)
    boxes, ignore = [], []
    left = top = row = 0
    for label in labels:
        pixels = load(label.path)
        height, width = pixels.shape[:2]
        if left + width > CANVAS[1]:
            left, top, row = 0, top + row, 0
        if top + height > CANVAS[0]:
            break
        canvas[top : top + height, left : left + width] = pixels
        boxes.append(label.boxes + np.tile(np.array([left, top], np.float32), 2))
        ignore.append(label.ignore)
        left, row = left + width, max(row, height)
    return Scene(canvas, np.concatenate(boxes), np.concatenate(ignore))


def look(pixels: Pixels, size: int | str, tiles: int | None) -> Outcome:
    """Detects in a process of its own, so that its memory can be told."""
    detector = Detector(size=size, tiles=tiles)
    start = time.perf_counter()
    (found,) = detector.find([detector.fit(pixels)])
    return Outcome(found, time.perf_counter() - start, peak_memory())


def measure(scene: Scene, outcome: Outcome) -> dict[str, str]:
    """The cells of a row."""
    overlap = iou(scene.boxes, outcome.found.boxes) >= 0.5  # (N, M)
    is_found = overlap.any(axis=1)
    heights = scene.boxes[:, 3] - scene.boxes[:, 1]
    cells = {}
    for name, (low, high) in BANDS.items():
        band = (heights >= low) & (heights < high) & ~scene.ignore
        cells[f"recall {name}"] = f"{is_found[band].mean():.3f} of {band.sum()}"
    cells["false"] = str((~overlap.any(axis=0)).sum())
    twice = (overlap.sum(axis=1) > 1).sum()
    return cells | {
        "twice": str(twice),
        "time, s": f"{outcome.seconds:.2f}",
        "peak memory, MB": f"{outcome.peak / 1e6:.0f}",
    }


@app.default
def main(
    *,
    labels: Path = Path("../shared/data/faces/val"),
    results: Path = ROOT / "benchmarks" / "results" / "tiles.md",
) -> int:
    """Look at a large picture at once and in tiles.

    Appends rows to the table of results. Takes about two minutes, and several GB of memory.

    Args:
        labels: Labelled photographs; without them only the wall is looked at.
        results: The table.
    """
    scenes = {"wall": wall()}
    if labels.is_dir():
        scenes["photographs"] = photographs(read_labels(labels))
    machine = this_machine()
    for scene_name, scene in scenes.items():
        for name, (size, tiles) in LOOKS.items():
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                outcome = process.submit(look, scene.pixels, size, tiles).result()
            row = {
                "date": machine.date,
                "picture": scene_name,
                "looked at": name,
                **measure(scene, outcome),
                "versions": f"featherface {machine.featherface}, onnxruntime {machine.onnxruntime}",
                "processor": f"{machine.processor}, load {machine.load:g}",
            }
            append_row(results, row, head=HEAD)
            print(" · ".join(f"{key}: {value}" for key, value in row.items()))
    return 0


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
