"""Hang the two portraits on a wall, from large to tiny, and note where every face is.

Writes collage.jpg and collage.json beside this file; the same inputs give the same pixels.
Run it with `python assets/make_collage.py`; it needs Pillow only.
"""

from __future__ import annotations

import json
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageEnhance, ImageOps

FOLDER = Path(__file__).resolve().parent
WALL_SIZE = (1180, 1040)  # width, height, as Pillow has it
WALL_COLOUR = (168, 164, 158)
BORDER = 3  # white paper around each print
GAP = 14  # least distance between two prints
PRINT_HEIGHTS = (420, 230, 120, 72, 54)  # one a row; faces come out 12 to 200 pixels tall
BRIGHTNESS = (1.0, 0.8, 1.12, 0.65, 0.9, 1.25, 0.75)  # in turn; 7 and 4 prints never fall in step

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels


class Print(NamedTuple):
    """A cut of a photograph, and the face in it, both in the photograph's pixels."""

    file: str
    cut: tuple[int, int, int, int]
    face: Box
    is_mirrored: bool


# Forehead to chin and cheek to cheek, measured by eye on enlarged photographs.
COLLINS: Box = (178, 64, 271, 178)
HOPPER: Box = (178, 132, 350, 332)

PRINTS = (
    Print("grace_hopper.jpg", (90, 0, 440, 420), HOPPER, is_mirrored=False),
    Print("astronaut.jpg", (92, 0, 352, 300), COLLINS, is_mirrored=False),
    Print("grace_hopper.jpg", (0, 0, 512, 600), HOPPER, is_mirrored=True),
    Print("astronaut.jpg", (0, 0, 512, 512), COLLINS, is_mirrored=True),
)


def develop(item: Print, height: int, brightness: float) -> tuple[Image.Image, Box]:
    """The print at a height, and its face in pixels of that print."""
    left, top, right, bottom = item.cut
    width = round((right - left) * height / (bottom - top))
    with Image.open(FOLDER / item.file) as photograph:
        picture = photograph.convert("RGB").crop(item.cut)
    picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    picture = ImageEnhance.Brightness(picture).enhance(brightness)
    scale_x, scale_y = width / (right - left), height / (bottom - top)
    x1, x2 = (item.face[0] - left) * scale_x, (item.face[2] - left) * scale_x
    y1, y2 = (item.face[1] - top) * scale_y, (item.face[3] - top) * scale_y
    if item.is_mirrored:
        picture = ImageOps.mirror(picture)
        x1, x2 = width - x2, width - x1
    picture = ImageOps.expand(picture, BORDER, (250, 250, 247))
    return picture, (x1 + BORDER, y1 + BORDER, x2 + BORDER, y2 + BORDER)


def hang() -> tuple[Image.Image, list[Box]]:
    """The wall, and all faces on it in reading order."""
    wall = Image.new("RGB", WALL_SIZE, WALL_COLOUR)
    faces: list[Box] = []
    prints, brightness = cycle(PRINTS), cycle(BRIGHTNESS)
    free = WALL_SIZE[1] - sum(height + 2 * BORDER for height in PRINT_HEIGHTS)
    margin = free // (len(PRINT_HEIGHTS) + 1)
    y = margin
    for height in PRINT_HEIGHTS:
        row: list[tuple[Image.Image, Box]] = []
        used = GAP
        while True:
            picture, face = develop(next(prints), height, next(brightness))
            if used + picture.width + GAP > WALL_SIZE[0]:
                break
            row.append((picture, face))
            used += picture.width + GAP
        space = (WALL_SIZE[0] - sum(picture.width for picture, _ in row)) / (len(row) + 1)
        x = space
        for picture, (x1, y1, x2, y2) in row:
            wall.paste(picture, (round(x), y))
            faces.append((x1 + round(x), y1 + y, x2 + round(x), y2 + y))
            x += picture.width + space
        y += height + 2 * BORDER + margin
    return wall, faces


def main() -> None:
    """Write the picture and the list of its faces."""
    wall, faces = hang()
    wall.save(FOLDER / "collage.jpg", quality=92, optimize=True)
    rows = [[round(value, 1) for value in face] for face in faces]
    lines = ",\n".join(f"    {json.dumps(row)}" for row in rows)
    text = f'{{\n  "path": "collage.jpg",\n  "boxes": [\n{lines}\n  ]\n}}\n'
    (FOLDER / "collage.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
