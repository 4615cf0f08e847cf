"""`featherface label`: pictures to labels by one teacher and two, stopped and gone on with."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherface import Detector
from featherface.boxes import iou
from featherface.data.labels import read_labels
from featherface.metadata import ModelError
from featherface.recipes import label
from featherface.types import Detections
from featherface.weights import DEFAULT

ASSETS = Path(__file__).resolve().parents[2] / "assets"


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """The shipped network as a file of one's own."""
    path = tmp_path / "teacher.onnx"
    shutil.copy(ASSETS.parent / "src" / "featherface" / "weights" / f"{DEFAULT}.onnx", path)
    return path


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Two portraits, one in a sub-folder, and a grey picture without a face."""
    folder = tmp_path / "photographs"
    (folder / "more").mkdir(parents=True)
    shutil.copy(ASSETS / "astronaut.jpg", folder)
    shutil.copy(ASSETS / "grace_hopper.jpg", folder / "more" / "grace hopper.jpg")
    Image.new("RGB", (64, 48), "grey").save(folder / "wall.png")
    return folder


def test_one_teacher(graph: Path, photographs: Path) -> None:
    assert label.main(photographs, teacher=[graph]) == 0
    found = {image.path.name: image for image in read_labels(photographs / "labels.txt")}
    assert found.keys() == {"astronaut.jpg", "grace hopper.jpg", "wall.png"}
    for name, path in (
        ("astronaut.jpg", ASSETS / "astronaut.jpg"),
        ("grace hopper.jpg", ASSETS / "grace_hopper.jpg"),
    ):
        faces = Detector(score=0.5).detect(path)
        assert len(faces) >= 1
        image = found[name]
        np.testing.assert_allclose(image.boxes[~image.ignore], faces.boxes, atol=0.02)
        assert np.isfinite(image.landmarks[~image.ignore]).all()
    assert len(found["wall.png"]) == 0
    assert [path.name for path in photographs.glob(".*")] == []


def test_two_teachers_that_are_one(graph: Path, photographs: Path) -> None:
    once, twice = (photographs / name for name in ("once.txt", "twice.txt"))
    label.main(photographs, teacher=[graph], output=once)
    label.main(photographs, teacher=[graph, graph], output=twice)
    for one, other in zip(read_labels(once), read_labels(twice), strict=True):
        np.testing.assert_allclose(one.boxes[~one.ignore], other.boxes[~other.ignore], atol=0.02)


def test_scrfd_teaches(shared: Path, photographs: Path) -> None:
    peer = shared / "peers" / "scrfd_500m_kps.onnx"
    label.main(photographs, teacher=[peer])
    by_name = {image.path.name: image for image in read_labels(photographs / "labels.txt")}
    image = by_name["astronaut.jpg"]
    ours = Detector(score=0.5).detect(ASSETS / "astronaut.jpg").boxes[:1]
    assert iou(image.boxes[~image.ignore], ours).max() > 0.6


def test_a_stopped_run_goes_on(
    graph: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, pieces = photographs / "whole.txt", photographs / "pieces.txt"
    label.main(photographs, teacher=[graph], output=whole)
    seen: list[str] = []
    detect = Detector.detect

    def counting(self: Detector, path: Path) -> Detections:
        if len(seen) == 1:
            raise KeyboardInterrupt
        seen.append(Path(path).name)
        return detect(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(Detector, "detect", counting)
        with pytest.raises(KeyboardInterrupt):
            label.main(photographs, teacher=[graph], output=pieces)
    (draft,) = photographs.glob(".pieces.txt.*.part")
    assert not pieces.exists()
    draft.write_text(draft.read_text() + "# more/grace hop")  # killed in the middle of a line

    def later(self: Detector, path: Path) -> Detections:
        seen.append(Path(path).name)
        return detect(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(Detector, "detect", later)
        label.main(photographs, teacher=[graph], output=pieces)
    assert sorted(seen) == ["astronaut.jpg", "grace hopper.jpg", "wall.png"]
    assert pieces.read_bytes() == whole.read_bytes()
    assert not draft.exists()


def test_a_broken_picture_is_named_and_left_out(
    graph: Path, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photographs / "broken.jpg").write_text("no picture")
    assert label.main(photographs, teacher=[graph]) == label.FAILED
    assert "broken.jpg" in capsys.readouterr().err
    names = [image.path.name for image in read_labels(photographs / "labels.txt")]
    assert len(names) == 3
    assert "broken.jpg" not in names


def test_only_broken_pictures_are_no_labels(graph: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "broken.jpg").write_text("no picture")
    with pytest.raises(ValueError, match="none of its pictures"):
        label.main(folder, teacher=[graph])
    assert [path.name for path in folder.iterdir()] == ["broken.jpg"]


def test_what_cannot_teach_is_refused(graph: Path, photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one or two"):
        label.main(photographs, teacher=[graph] * 3)
    with pytest.raises(ModelError, match=r"absent\.onnx: no such file"):
        label.main(photographs, teacher=[tmp_path / "absent.onnx"])
    text = tmp_path / "text.onnx"
    text.write_text("no graph")
    with pytest.raises(ModelError, match=r"text\.onnx: cannot teach"):
        label.main(photographs, teacher=[text])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no pictures"):
        label.main(tmp_path / "empty", teacher=[graph])
