"""The size bands, ignore regions and landmarks of labelled folders."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from featherface.data.labelled import LabelledImage
from featherface.evaluation.labelled import evaluate, truth_of
from featherface.types import Detections


def square(left: float, side: float) -> list[float]:
    return [left, 0, left + side, side]


def labelled(boxes: list[list[float]], ignore: list[bool] | None = None) -> LabelledImage:
    count = len(boxes)
    return LabelledImage(
        path=Path("set/images/a.jpg"),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        landmarks=np.zeros((count, 5, 2), np.float32),
        human_landmarks=np.zeros(count, np.bool_),
        probability=np.ones(count, np.float32),
        ignore=np.array(ignore or [False] * count, np.bool_),
    )


def detections(boxes: list[list[float]], scores: list[float]) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.zeros((len(boxes), 5, 2), np.float32),
    )


def test_bands_count_their_own_faces_and_ignore_the_others() -> None:
    faces = [square(0, 12), square(100, 20), square(200, 50), square(400, 96)]
    report = evaluate([detections(faces[1:3], [0.9, 0.8])], [labelled(faces)])
    figures = {name: (each.faces, each.ap) for name, each in report.measures.items()}
    assert figures == {
        "all": (4, 0.5),
        "<16": (1, 0.0),
        "16-32": (1, 1.0),
        "<32": (2, 0.5),
        "32-96": (1, 1.0),
        ">96": (1, 0.0),  # a face of 96 px is no longer under 96
    }


def test_false_alarm_counts_in_the_band_of_its_own_height() -> None:
    face, alarm = square(0, 20), square(300, 60)
    measures = evaluate([detections([alarm, face], [0.9, 0.8])], [labelled([face])]).measures
    assert measures["16-32"].ap == 1
    assert measures["all"].ap == 0.5
    for side, ap in ((15.9, 1), (16, 0.5), (31.9, 0.5), (32, 1)):
        found = evaluate([detections([square(300, side), face], [0.9, 0.8])], [labelled([face])])
        assert found.measures["16-32"].ap == ap


def test_boxes_are_continuous() -> None:
    # Half of the pixels are shared where boxes are counted with their last ones, a third where not.
    found = detections([[0, 1, 2, 3]], [0.9])
    assert evaluate([found], [labelled([[0, 0, 2, 2]])]).measures["all"].ap == 0


def test_second_box_counts_in_the_band_of_the_face() -> None:
    face = square(0, 32)
    double = [0.0, 0.0, 32.0, 28.0]  # of a height under 32 itself
    measures = evaluate([detections([face, double], [0.8, 0.9])], [labelled([face])]).measures
    assert measures["32-96"].ap == 1  # the double, first to come, is the hit
    found = evaluate([detections([double, double, face], [0.9, 0.8, 0.7])], [labelled([face])])
    assert found.tallies["32-96"].hits.tolist() == [True, False, False]
    assert len(found.tallies["<32"].hits) == 0


def test_ignore_regions_take_what_meets_them_and_nothing_else() -> None:
    region, face = square(0, 100), square(300, 40)
    labels = [labelled([region, face], [True, False])]
    meets, within = square(5, 90), square(10, 30)
    measures = evaluate([detections([meets, face], [0.9, 0.8])], labels).measures
    assert (measures["all"].faces, measures["all"].ap) == (1, 1)
    assert evaluate([detections([within, face], [0.9, 0.8])], labels).measures["all"].ap == 0.5


def test_pictures_without_faces_only_have_false_alarms() -> None:
    labels = [labelled([]), labelled([square(0, 20)])]
    found = [detections([square(0, 20)], [0.9]), detections([square(0, 20)], [0.8])]
    assert evaluate(found, labels).measures["all"].ap == 0.5
    assert evaluate([Detections.empty()] * 2, labels).measures["all"].ap == 0
    assert math.isnan(evaluate([], []).measures["all"].ap)


def test_landmark_error_is_relative_to_the_face() -> None:
    left = np.array([0, 200, 400])
    boxes = np.stack(
        [left, 0 * left, left + 40, 0 * left + 90], axis=1, dtype=np.float32
    )  # size 60
    points = np.arange(30, dtype=np.float32).reshape(3, 5, 2)
    label = LabelledImage(
        path=Path("images/a.jpg"),
        boxes=boxes,
        landmarks=points,
        human_landmarks=np.array([True, False, True]),
        probability=np.ones(3, np.float32),
        ignore=np.array([False, False, True]),
    )
    moved = points + np.array([3, 4], np.float32)  # 5 px away
    # Unsorted, with a second box on the face; the landmarks of the next face were not set by a
    # person, and the last one is ignored.
    found = Detections(
        boxes[[1, 0, 0, 2]],
        np.array([0.9, 0.5, 0.8, 0.7], np.float32),
        np.stack([points[1] + 50, points[0] + 50, moved[0], points[2] + 50]),
    )
    landmarks = evaluate([found], [label]).landmarks
    assert landmarks is not None
    assert landmarks.faces == 1
    assert landmarks.mean == pytest.approx(5 / 60)


def test_no_landmark_error_without_landmarks() -> None:
    for found, labels in (([], []), ([Detections.empty()], [labelled([square(0, 20)])])):
        landmarks = evaluate(found, labels).landmarks
        assert landmarks is not None
        assert landmarks.faces == 0
        assert math.isnan(landmarks.mean)


def test_pictures_are_named_by_folder_and_stem() -> None:
    assert truth_of([labelled([])]).names == ("images/a",)
