"""Faces frame by frame, from Python."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import films
import numpy as np
import pytest
from PIL import Image

from featherface.boxes import iou


def test_every_frame_and_its_faces(tmp_path: Path) -> None:
    film = films.moving_faces(8)
    path = films.write(tmp_path / "film.mp4", film.frames)
    seen = list(films.detector().stream(path, score=0.5))
    assert [each.index for each in seen] == list(range(8))
    assert [each.time for each in seen] == pytest.approx([0.04 * i for i in range(8)])
    for each, faces in zip(seen, film.faces, strict=True):
        assert (iou(faces, each.faces.boxes).max(axis=1) > 0.6).all()
        again = films.detector().detect(each.pixels, score=0.5)
        np.testing.assert_array_equal(again.boxes, each.faces.boxes)


def test_only_what_is_looked_at_is_read(tmp_path: Path) -> None:
    path = films.write(tmp_path / "film.mp4", films.moving_faces(8).frames)
    seen = films.detector().stream(str(path))
    assert next(seen).index == 0
    assert next(seen).index == 1
    seen.close()


def test_without_the_extra(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "sys.modules['av'] = None  # as if it were not installed\n"
        "from featherface import Detector\n"
        "Detector().stream('film.mp4')"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 1
    assert 'videos need av, please: pip install "featherface[video]"' in ran.stderr


def test_the_snippets_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (films.ASSETS.parent / "docs" / "video.md").read_text(encoding="utf-8")
    film = films.moving_faces(4)
    films.write(tmp_path / "talk.mp4", film.frames)
    Image.fromarray(film.frames[0]).save(tmp_path / "party.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for snippet in re.findall(r"```python\n(.+?)```", page, flags=re.DOTALL):
        exec(snippet, names)
    assert np.asarray(names["clean"]).shape == (240, 320, 3)
    assert len(films.detector().detect(names["clean"], score=0.9)) == 0
