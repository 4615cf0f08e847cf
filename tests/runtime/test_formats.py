"""Every format is read back by a reader that is not ours, or that had been there before."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherface.data.labels import read_labels
from featherface.evaluation.results import read_results
from featherface.runtime.formats import COLUMNS, FILES, STREAMS
from featherface.runtime.record import Record
from featherface.types import LANDMARK_NAMES, Detections

ODD = 'läng, "lich"\nund\udce9.png'


def faces(count: int) -> Detections:
    rng = np.random.default_rng(count)
    corner = rng.uniform(0, 100, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 60, (count, 2))], axis=1)
    scores = np.sort(rng.uniform(0.5, 1, count))[::-1]
    points = rng.uniform(-5, 200, (count, 5, 2))
    return Detections(
        boxes.astype(np.float32), scores.astype(np.float32), points.astype(np.float32)
    )


@pytest.fixture
def records() -> list[Record]:
    """Three pictures, one of them without a face, and a broken one."""
    return [
        Record(Path("in/one.jpg"), (180, 240), faces(1)),
        Record(Path("in/gone.jpg"), error="in/gone.jpg: no such file"),
        Record(Path("in/none.png"), (200, 160), faces(0)),
        Record(Path("in/sub", ODD), (300, 170), faces(3)),
    ]


def text(form: str, records: Iterable[Record]) -> str:
    return "".join(STREAMS[form](records))


def assert_same(one: Detections, other: Detections) -> None:
    assert len(one) == len(other)
    np.testing.assert_allclose(one.boxes, other.boxes, atol=0.0051)
    np.testing.assert_allclose(one.scores, other.scores, atol=0.000051)
    np.testing.assert_allclose(one.landmarks, other.landmarks, atol=0.0051)


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_json(records: list[Record], form: str) -> None:
    written = text(form, records)
    rows = json.loads(written) if form == "json" else map(json.loads, written.splitlines())
    for record, row in zip(records, rows, strict=True):
        copy = Record.from_dict(row)
        assert (copy.path, copy.size, copy.error) == (record.path, record.size, record.error)
        assert_same(copy.faces, record.faces)


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "coco"])
def test_no_pictures(form: str) -> None:
    written = text(form, [])
    if form in ("json", "coco"):
        json.loads(written)
    assert written.count("\n") == {"json": 2, "jsonl": 0, "csv": 1, "coco": 6}[form]


def test_csv(records: list[Record]) -> None:
    rows = list(csv.DictReader(io.StringIO(text("csv", records), newline="")))
    assert len(rows) == 4
    assert tuple(rows[0]) == COLUMNS
    assert [row["path"] for row in rows] == ["in/one.jpg", *[f"in/sub/{ODD}"] * 3]
    assert [row["height"] for row in rows] == ["180", "300", "300", "300"]
    found = [*records[0].faces.to_list(), *records[3].faces.to_list()]
    for row, face in zip(rows, found, strict=True):
        assert [float(row[side]) for side in ("x1", "y1", "x2", "y2")] == face["box"]
        assert float(row["score"]) == face["score"]
        points = [[float(row[f"{name}_{axis}"]) for axis in "xy"] for name in LANDMARK_NAMES]
        assert points == face["landmarks"]


def test_coco_by_its_own_tools(records: list[Record], tmp_path: Path) -> None:
    pycocotools = pytest.importorskip("pycocotools.coco")
    path = tmp_path / "faces.json"
    path.write_text(text("coco", records))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = pycocotools.COCO(path)
    assert coco.getCatIds(catNms=["face"]) == [1]
    assert coco.loadCats(1)[0]["keypoints"] == list(LANDMARK_NAMES)
    images = coco.loadImgs(coco.getImgIds())
    assert [image["file_name"] for image in images] == [
        "in/one.jpg",
        "in/none.png",
        f"in/sub/{ODD}",
    ]
    whole = [record for record in records if not record.error]
    for image, record in zip(images, whole, strict=True):
        assert (image["height"], image["width"]) == record.size
        entries = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        boxes = np.array([entry["bbox"] for entry in entries]).reshape(-1, 4)
        np.testing.assert_allclose(
            boxes[:, :2] + boxes[:, 2:], record.faces.boxes[:, 2:], atol=0.02
        )
        points = np.array([entry["keypoints"] for entry in entries]).reshape(-1, 5, 3)
        np.testing.assert_allclose(points[..., :2], record.faces.landmarks, atol=0.006)
        assert [entry["score"] for entry in entries] == pytest.approx(record.faces.scores, abs=1e-4)


def test_coco_results_by_its_own_tools(records: list[Record], tmp_path: Path) -> None:
    """What `Detections.to_coco` gives is a list of results as well: found against itself, AP 1."""
    pycocotools = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    path = tmp_path / "faces.json"
    path.write_text(text("coco", records))
    results = records[0].faces.to_coco(1) + records[3].faces.to_coco(3, first_id=2)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = pycocotools.COCO(path)
        judge = evaluation.COCOeval(coco, coco.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    assert judge.stats[0] == pytest.approx(1)


def test_coco_by_our_reader(records: list[Record], tmp_path: Path) -> None:
    path = tmp_path / "faces.json"
    path.write_text(text("coco", records))
    labels = read_labels(path)
    assert [len(label.boxes) for label in labels] == [1, 0, 3]
    np.testing.assert_allclose(labels[2].boxes, records[3].faces.boxes, atol=0.02)
    np.testing.assert_allclose(labels[2].landmarks, records[3].faces.landmarks, atol=0.006)


def write(records: list[Record], form: str, folder: Path) -> None:
    """One file a picture."""
    for record in records:
        if not record.error:
            path = (folder / record.path).with_suffix(".txt")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(FILES[form](record), encoding="utf-8", errors="backslashreplace")


def test_yolo(records: list[Record], tmp_path: Path) -> None:
    records[3] = Record(Path("in/sub/three.png"), records[3].size, records[3].faces)
    for record in records:
        if not record.error:
            picture = tmp_path / "images" / record.path
            picture.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", record.size[::-1]).save(picture)
    write(records, "yolo", tmp_path / "labels")
    plain = np.loadtxt(tmp_path / "labels/in/sub/three.txt", ndmin=2)
    assert plain.shape == (3, 5)
    assert (plain[:, 0] == 0).all()
    assert ((plain >= 0) & (plain <= 1)).all()
    assert (tmp_path / "labels/in/none.txt").read_text() == ""
    labels = {label.path.name: label for label in read_labels(tmp_path)}
    assert {name: len(label.boxes) for name, label in labels.items()} == {
        "none.png": 0,
        "one.jpg": 1,
        "three.png": 3,
    }
    np.testing.assert_allclose(labels["three.png"].boxes, records[3].faces.boxes, atol=0.006)


def test_wider_face_results(records: list[Record], tmp_path: Path) -> None:
    write(records, "txt", tmp_path)
    whole = [record for record in records if not record.error]
    names = [record.path.with_suffix("").as_posix() for record in whole]
    for record, found in zip(whole, read_results(tmp_path, names), strict=True):
        np.testing.assert_allclose(found.boxes, record.faces.boxes, atol=0.02)
        np.testing.assert_allclose(found.scores, record.faces.scores, atol=0.000051)


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "coco"])
def test_streams_flow(form: str) -> None:
    """A picture is told before the next but one is looked at."""
    taken = 0

    def endless() -> Iterator[Record]:
        nonlocal taken
        while True:
            taken += 1
            yield Record(Path(f"{taken}.jpg"), (99, 99), faces(1))

    parts = STREAMS[form](endless())
    written = ""
    while taken < 5:
        written += next(parts)
    score = str(faces(1).to_list()[0]["score"])
    assert written.count(score) >= 3
