"""`featherface evaluate` from end to end, on result files and on a network."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherface.data.labels import read_labels
from featherface.evaluation.labelled import truth_of
from featherface.evaluation.matching import ScoredBoxes
from featherface.evaluation.results import write_results
from featherface.recipes.evaluate import main, open_data

FACES = {
    "a": [[10, 10, 24, 30], [60, 20, 90, 60]],
    "b": [[5, 5, 100, 110]],
    "c": [],
}


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A labelled folder of three grey pictures."""
    folder = tmp_path / "toy"
    (folder / "images").mkdir(parents=True)
    lines = []
    for name, faces in FACES.items():
        Image.new("RGB", (160, 128), "grey").save(folder / "images" / f"{name}.jpg")
        lines.append(f"# images/{name}.jpg")
        for x1, y1, x2, y2 in faces:
            lines.append(" ".join(map(str, [x1, y1, x2 - x1, y2 - y1, *[-1] * 15, 0])))
    (folder / "labels.txt").write_text("\n".join(lines) + "\n")
    return folder


def results(folder: Path, labels: Path, *, misses: int, shift: float = 0) -> Path:
    """Result files that find all faces but the first `misses`, and nothing else."""
    found: list[ScoredBoxes] = []
    left = misses
    for faces in FACES.values():
        kept = faces[min(left, len(faces)) :]
        left -= len(faces) - len(kept)
        boxes = np.array(kept, np.float64).reshape(-1, 4) + np.float64(shift)
        found.append(ScoredBoxes(boxes, np.linspace(0.9, 0.5, len(boxes))))
    write_results(folder, truth_of(read_labels(labels)).names, found)
    return folder


def run(*args: object, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command prints."""
    from cyclopts import App

    app = App(default_command=main, result_action="return_value")
    app([str(arg) for arg in args], exit_on_error=False)
    return capsys.readouterr().out


def cells(line: str) -> Sequence[str]:
    return [cell.strip() for cell in re.split("[│|]", line)[1:-1]]


def test_result_files_from_end_to_end(
    tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = results(tmp_path / "good", labels, misses=0)
    record, row, plots = tmp_path / "good.json", tmp_path / "rows.md", tmp_path / "plots"
    options = ("--json", record, "--row", row, "--plots", plots)
    printed = run(labels, "--results", good, *options, capsys=capsys)
    rows = {cells(line)[0]: cells(line) for line in printed.splitlines() if "│" in line}
    assert rows["all"][1:3] == ["3", "1.000"]
    assert rows["<16"][1:3] == ["0", "–"]
    assert json.loads(record.read_text())["measures"]["all"]["ap"] == 1
    assert cells(row.read_text().splitlines()[-1])[1] == "good"
    assert {path.name for path in plots.iterdir()} == {"curves.png", "failures.png"}

    worse = results(tmp_path / "worse", labels, misses=1)
    printed = run(labels, "--results", worse, "--compare", record, capsys=capsys)
    gain = printed[printed.index("gain over good") :]
    (line,) = (line for line in gain.splitlines() if line.startswith("│ all"))
    assert cells(line)[1] == "-0.333"


def test_what_is_written_is_read_by_the_same_command(
    tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = results(tmp_path / "run", labels, misses=1, shift=2)
    copy = tmp_path / "copy" / "run"
    printed = run(labels, "--results", first, "--write-results", copy, capsys=capsys)
    assert run(labels, "--results", copy, capsys=capsys) == printed


def test_a_network_in_torch(
    tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    from featherface.models.zoo import nano_b
    from featherface.training.checkpoint import save_model

    save_model(tmp_path / "model.safetensors", nano_b(), {})
    record = tmp_path / "run.json"
    weights = ("--weights", tmp_path / "model.safetensors")
    printed = run(labels, *weights, "--size", 64, "--json", record, capsys=capsys)
    about = json.loads(record.read_text())
    assert about["conditions"] == "long side 64, score floor 0.001, suppression IoU 0.4"
    assert about["conditions"] in printed
    assert len(about["sha256"]) == 64


def test_wider_face_without_its_lists_is_a_labelled_folder(tmp_path: Path) -> None:
    images = tmp_path / "WIDER_val" / "images" / "0--Parade"
    images.mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(images / "one.jpg")
    split = tmp_path / "wider_face_split"
    split.mkdir()
    annotation = "0--Parade/one.jpg\n1\n4 5 20 30 0 0 0 0 0 0\n"
    (split / "wider_face_val_bbx_gt.txt").write_text(annotation)
    data = open_data(None, tmp_path)
    assert data.pictures == [images / "one.jpg"]
    assert data.truth.names == ("0--Parade/one",)
    assert data.labels is not None


def test_wider_face_with_its_lists(shared: Path) -> None:
    data = open_data(None, shared / "data" / "wider_gt")
    assert data.labels is None
    picture = "WIDER_val/images/0--Parade/0_Parade_marchingband_1_465.jpg"
    assert data.pictures[0] == shared / "data" / "wider_gt" / picture


def test_labels_shrink_with_their_pictures(labels: Path) -> None:
    data = open_data(labels, None, shrink=2)
    assert data.labels is not None
    for name, boxes in zip(FACES, data.truth.boxes, strict=True):
        np.testing.assert_array_equal(boxes, np.array(FACES[name]).reshape(-1, 4) / 2)


def test_misuse_says_what_to_type(tmp_path: Path, labels: Path) -> None:
    with pytest.raises(ValueError, match=r"either labels, .* or --wider"):
        main()
    with pytest.raises(ValueError, match="either labels"):
        main(labels, wider=tmp_path)
    with pytest.raises(ValueError, match="give one"):
        main(labels, weights="x", results=tmp_path)
    with pytest.raises(ValueError, match="goes with labels alone"):
        main(labels, shrink=2, plots=tmp_path)
    with pytest.raises(ValueError, match="wanted 1 or more"):
        main(labels, shrink=0.5)
    with pytest.raises(FileNotFoundError, match=r"neither wider_face_val\.mat nor"):
        main(wider=tmp_path)
