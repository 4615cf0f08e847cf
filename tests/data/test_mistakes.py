"""Mistakes of an earlier network: what it found where no label is, picture by picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from featherface.data.labelled import LabelError, LabelledImage
from featherface.data.labels import read_labels
from featherface.data.mistakes import read_mistakes
from featherface.types import Detections, Floats

FACE, IGNORED = [10, 10, 50, 50], [100, 10, 140, 60]
APART = [200, 100, 230, 140]


@pytest.fixture
def images(tmp_path: Path) -> list[LabelledImage]:
    """A picture with a face and an ignore region, and one with nothing."""
    points = "0 0 -1 " * 5
    lines = ["# a.png", f"10 10 40 40 {points}0", f"100 10 40 50 {points}1", "# b.png"]
    (tmp_path / "labels.txt").write_text("\n".join(lines) + "\n")
    return read_labels(tmp_path)


def record(path: Path, *boxes: list[int]) -> str:
    """A line as `featherface detect` writes it."""
    found = Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.ones(len(boxes), np.float32),
        np.zeros((len(boxes), 5, 2), np.float32),
    )
    return json.dumps({"path": str(path), "width": 300, "height": 200, "faces": found.to_list()})


def mistakes(tmp_path: Path, images: list[LabelledImage], *lines: str) -> list[list[list[float]]]:
    file = tmp_path / "found.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found: list[Floats] = read_mistakes(file, images)
    assert all(boxes.shape[1:] == (4,) for boxes in found)
    return [boxes.tolist() for boxes in found]


def test_what_touches_a_label_is_no_mistake(tmp_path: Path, images: list[LabelledImage]) -> None:
    beside, corner, within = [49, 10, 90, 50], [40, 40, 80, 80], [110, 20, 115, 25]
    lines = [record(images[0].path, FACE, IGNORED, APART, beside, corner, within)]
    assert mistakes(tmp_path, images, *lines) == [[APART, beside, corner], []]
    far_inside = record(images[0].path, [30, 30, 70, 70])  # a quarter of the face
    assert mistakes(tmp_path, images, far_inside) == [[], []]


def test_pictures_are_told_apart(tmp_path: Path, images: list[LabelledImage]) -> None:
    other = record(tmp_path / "other.png", APART)
    broken = json.dumps({"path": str(images[0].path), "error": "cannot be read"})
    lines = [other, record(images[1].path, FACE, APART), broken]
    assert mistakes(tmp_path, images, *lines) == [[], [FACE, APART]]


def test_a_path_may_be_given_differently(
    tmp_path: Path, images: list[LabelledImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert mistakes(tmp_path, images, record(Path("b.png"), APART)) == [[], [APART]]


@pytest.mark.parametrize(
    "line", ["{", "3", '{"faces": []}', '{"path": "a.png", "faces": [{"box": [1, 2, 3]}]}']
)
def test_a_line_that_is_no_record_is_named(
    tmp_path: Path, images: list[LabelledImage], line: str
) -> None:
    with pytest.raises(LabelError, match=r"found\.jsonl:2: wanted a line of `featherface detect"):
        mistakes(tmp_path, images, record(images[0].path), line)


def test_a_file_of_another_kind(tmp_path: Path, images: list[LabelledImage]) -> None:
    (tmp_path / "found.jsonl").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(LabelError, match=r"found\.jsonl:1: wanted a line"):
        read_mistakes(tmp_path / "found.jsonl", images)


def test_a_file_of_other_pictures(tmp_path: Path, images: list[LabelledImage]) -> None:
    with pytest.raises(LabelError, match=r"knows none of the pictures, such as .*a\.png"):
        mistakes(tmp_path, images, record(tmp_path / "other.png", APART))
