"""What the tests of batches share; nothing here needs pyarrow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featherface import Detector, ImageError

BROKEN = "05.png"
Rows = list[dict[str, Any]]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of a dozen pictures with a red cell more or less; one of them broken."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for number in range(12):
        pixels = np.zeros((64, 32 * (1 + number % 4), 3), np.uint8)
        pixels[:32, : 32 * (number % 3)] = (255, 0, 0)
        name = f"{number:02}.png" if number < 10 else f"sub/{number}.png"
        Image.fromarray(pixels).save(folder / name)
    (folder / BROKEN).write_text("Dear reader")
    (folder / "notes.json").write_text("{}")
    return folder


@pytest.fixture
def detector(toy_graph: Path) -> Detector:
    """Takes red cells for faces."""
    return Detector(toy_graph)


@pytest.fixture
def answer(pictures: Path, detector: Detector) -> Rows:
    """What the rows have to be, without their paths' beginnings: the library's own answers."""
    rows: Rows = []
    for name in names_of(pictures):
        try:
            fitted = detector.fit(pictures / name)
            found = detector.detect(pictures / name)
        except ImageError as error:
            reason = str(error).removeprefix(f"{pictures / name}: ")
            row = {"width": None, "height": None, "faces": None, "error": reason}
        else:
            height, width = fitted.fit.size
            faces = [
                {"box": box.tolist(), "score": float(score), "landmarks": points.ravel().tolist()}
                for box, score, points in zip(
                    found.boxes, found.scores, found.landmarks, strict=True
                )
            ]
            row = {"width": width, "height": height, "faces": faces, "error": None}
        rows.append({"path": name, **row})
    return rows


@pytest.fixture
def plain(pictures: Path) -> Callable[[Rows], Rows]:
    """Cuts the beginnings off the paths of rows."""
    names = names_of(pictures)

    def cut(rows: Rows) -> Rows:
        def short(path: str) -> str:
            return next(name for name in names if path == name or path.endswith(f"/{name}"))

        return [{**row, "path": short(row["path"])} for row in rows]

    return cut


def names_of(folder: Path) -> list[str]:
    """The pictures of a folder as a batch takes them."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
