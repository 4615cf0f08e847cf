"""Failures: the worst come first, and the sheet shows them where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherface.data.labelled import LabelledImage
from featherface.evaluation.failures import (
    draw_failures,
    operating_score,
    worst_alarms,
    worst_misses,
)
from featherface.evaluation.labelled import evaluate
from featherface.evaluation.matching import ScoredBoxes
from featherface.evaluation.report import Report

FACES = [[0, 0, 20, 20], [40, 0, 80, 40], [100, 0, 130, 30], [150, 0, 190, 40]]
IGNORED = 3


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.full((100, 300, 3), 90, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    return tmp_path / "grey.png"


@pytest.fixture
def predictions() -> list[ScoredBoxes]:
    boxes = [FACES[2], FACES[2], [200, 50, 230, 80], [210, 0, 260, 50], FACES[IGNORED], FACES[0]]
    boxes.append([900, 900, 930, 930])  # outside the picture
    scores = np.array([0.9, 0.7, 0.6, 0.8, 0.95, 0.1, 0.05])
    return [ScoredBoxes(np.array(boxes, np.float64), scores)]


@pytest.fixture
def report(picture: Path, predictions: list[ScoredBoxes]) -> Report:
    label = LabelledImage(
        path=picture,
        boxes=np.array(FACES, np.float32),
        landmarks=np.full((4, 5, 2), np.nan, np.float32),
        human_landmarks=np.zeros(4, np.bool_),
        probability=np.ones(4, np.float32),
        ignore=np.arange(4) == IGNORED,
    )
    return evaluate(predictions, [label])


def test_worst_come_first(report: Report, predictions: list[ScoredBoxes]) -> None:
    assert operating_score(report) == 0.9
    misses = worst_misses(report, 0.9, 10)
    assert [(list(each.box), each.note) for each in misses] == [
        (FACES[1], "never found"),
        (FACES[0], "score 0.10"),
    ]
    assert worst_misses(report, 0.1, 10) == misses[:1]
    alarms = worst_alarms(report, predictions, 10)
    assert [each.note for each in alarms] == [
        "score 0.80",
        "score 0.70, second box",
        "score 0.60",
        "score 0.05",
    ]
    assert list(alarms[0].box) == [210, 0, 260, 50]
    assert worst_alarms(report, predictions, 1) == alarms[:1]


def test_sheet_shows_the_boxes(
    tmp_path: Path, report: Report, predictions: list[ScoredBoxes], picture: Path
) -> None:
    draw_failures(tmp_path / "sheet.png", report, predictions, [picture])
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).astype(int)
    half = len(sheet) // 2
    yellow = (sheet[..., 0] > 200) & (sheet[..., 1] > 180) & (sheet[..., 2] < 80)
    red = (sheet[..., 0] > 200) & (sheet[..., 1] < 90) & (sheet[..., 2] < 90)
    assert yellow[:half].any()
    assert not yellow[half:].any()
    assert red[half:].sum() > red[:half].sum()


def test_a_detector_that_finds_nothing(tmp_path: Path, report: Report, picture: Path) -> None:
    nothing = [ScoredBoxes(np.zeros((0, 4)), np.zeros(0))]
    label = LabelledImage(
        path=picture,
        boxes=np.array(FACES, np.float32),
        landmarks=np.full((4, 5, 2), np.nan, np.float32),
        human_landmarks=np.zeros(4, np.bool_),
        probability=np.ones(4, np.float32),
        ignore=np.zeros(4, np.bool_),
    )
    blind = evaluate(nothing, [label])
    assert len(worst_misses(blind, operating_score(blind), 10)) == 4
    assert worst_alarms(blind, nothing, 10) == []
    draw_failures(tmp_path / "sheet.png", blind, nothing, [picture])
    assert Image.open(tmp_path / "sheet.png").size[0] > 1000
