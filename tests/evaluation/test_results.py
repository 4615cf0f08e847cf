"""Official result files: what is written is read back, and nothing else is believed."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from featherface.evaluation.matching import ScoredBoxes
from featherface.evaluation.results import ResultError, read_results, write_results
from featherface.types import Detections

NAMES = ["0--Parade/0_Parade_1", "1--Handshaking/1_Handshaking_1"]


def test_round_trip(tmp_path: Path, rng: np.random.Generator) -> None:
    corner = rng.uniform(0, 1000, (7, 2)).astype(np.float32)
    boxes = np.concatenate([corner, corner + rng.uniform(1, 90, (7, 2))], axis=1, dtype=np.float32)
    scores = rng.random(7, dtype=np.float32)
    found = Detections(boxes, scores, np.zeros((7, 5, 2), np.float32))
    write_results(tmp_path, NAMES, [found, Detections.empty()])
    first, second = read_results(tmp_path, NAMES)
    order = np.argsort(-scores)
    assert np.array_equal(first.boxes, boxes[order])
    assert np.array_equal(first.scores, scores[order])
    assert len(second.boxes) == len(second.scores) == 0


def test_files_are_those_of_the_official_tool(tmp_path: Path) -> None:
    found = ScoredBoxes(np.array([[1.5, 2, 4, 6.25], [0, 0, 3, 3]]), np.array([0.25, 0.5]))
    write_results(tmp_path, NAMES[:1], [found])
    text = (tmp_path / "0--Parade" / "0_Parade_1.txt").read_text()
    assert text == "0_Parade_1\n2\n0.0 0.0 3.0 3.0 0.5\n1.5 2.0 2.5 4.25 0.25\n"


def test_missing_files_are_no_predictions_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_results(tmp_path, NAMES[:1], [ScoredBoxes(np.array([[0, 0, 3.0, 3]]), np.array([0.5]))])
    with caplog.at_level(logging.WARNING):
        first, second = read_results(tmp_path, NAMES)
    assert (len(first.scores), len(second.scores)) == (1, 0)
    assert "1 of 2" in caplog.text
    assert f"{NAMES[1]}.txt" in caplog.text


def test_a_folder_without_any_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"no result files .*0_Parade_1\.txt"):
        read_results(tmp_path, NAMES)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name\n2\n0 0 3 3 0.5\n", "2 boxes promised, 1 there"),
        ("name\n1\n0 0 3 0.5\n", ":3: wanted `x y w h score`"),
        ("name\n2\n0 0 3 3 0.5\n\n0 0 3 3 0.5 7\n", ":5: wanted `x y w h score`"),
        ("name\n2\n0 0 3 3 0.5\n0 x 3 3 0.5\n", ":4: wanted `x y w h score`"),
        ("name\n", "a count"),
        ("name\nmany\n", "a count"),
        ("name\n1\n0 0 3 nan 0.5\n", ":3: .*finite"),
    ],
)
def test_malformed_files_are_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / f"{NAMES[0]}.txt"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ResultError, match=f"0_Parade_1.*{problem}"):
        read_results(tmp_path, NAMES[:1])


def test_blank_lines_and_an_empty_file_are_fine(tmp_path: Path) -> None:
    path = tmp_path / f"{NAMES[0]}.txt"
    path.parent.mkdir()
    for text, count in (("", 0), ("name\r\n1\r\n\r\n1 2 3 4 0.5 \r\n", 1), ("name\n0\n", 0)):
        path.write_text(text)
        (found,) = read_results(tmp_path, NAMES[:1])
        assert found.boxes.shape == (count, 4)


def test_pictures_of_one_name_would_share_a_file(tmp_path: Path) -> None:
    twice = [NAMES[0], NAMES[0]]
    with pytest.raises(ResultError, match=r"two of the pictures .*0_Parade_1\.txt"):
        write_results(tmp_path, twice, [Detections.empty()] * 2)
    with pytest.raises(ResultError, match="two of the pictures"):
        read_results(tmp_path, twice)
