"""Two detectors' answers become faces, doubts or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from featherface.data.agreement import agree
from featherface.types import Detections

PATH = Path("picture.jpg")


def found(*faces: tuple[float, float, float], shift: float = 0.0) -> Detections:
    """Faces of 40 x 40 pixels at (x, y) with a score; landmarks at the same places in each."""
    corners = np.array([(x, y) for x, y, _ in faces], np.float32).reshape(-1, 2)
    points = np.array([[10, 12], [30, 12], [20, 20], [12, 30], [28, 30]], np.float32)
    return Detections(
        np.concatenate([corners, corners + 40], axis=1),
        np.array([score for *_, score in faces], np.float32),
        corners[:, None] + points + np.float32(shift),
    )


@pytest.mark.parametrize("finders", [1, 2])
def test_nothing_found_is_a_picture_without_faces(finders: int) -> None:
    labels = agree(PATH, [found()] * finders)
    assert len(labels) == 0


def test_one_detector_is_believed_when_it_is_sure() -> None:
    labels = agree(PATH, [found((0, 0, 0.9), (100, 0, 0.5), (200, 0, 0.4))])
    assert labels.ignore.tolist() == [False, False, True]
    assert labels.probability.tolist() == [1, 1, 0]
    assert np.isfinite(labels.landmarks[:2]).all()
    assert np.isnan(labels.landmarks[2]).all()
    assert not labels.human_landmarks.any()


@pytest.mark.parametrize(
    ("one", "other", "is_face"),
    [(0.6, 0.5, True), (0.7, 0.35, True), (0.36, 0.8, True), (0.65, 0.4, False)],
)
def test_two_that_see_the_same_have_to_be_sure(one: float, other: float, is_face: bool) -> None:
    labels = agree(PATH, [found((0, 0, one)), found((4, 0, other))])
    assert labels.ignore.tolist() == ([False] if is_face else [True, True])


def test_boxes_are_means_weighted_by_score() -> None:
    labels = agree(PATH, [found((0, 0, 0.9)), found((2, 0, 0.6))])
    np.testing.assert_allclose(labels.boxes, [[0.8, 0, 40.8, 40]], rtol=1e-5)
    np.testing.assert_allclose(labels.landmarks[0, 0], [10.8, 12], rtol=1e-5)


def test_landmarks_that_lie_apart_are_not_known() -> None:
    labels = agree(PATH, [found((0, 0, 0.9)), found((0, 0, 0.9), shift=5)])
    assert labels.ignore.tolist() == [False]
    assert np.isnan(labels.landmarks).all()


def test_what_one_alone_sees_is_ignored() -> None:
    labels = agree(PATH, [found((0, 0, 0.9), (100, 0, 0.9)), found((200, 0, 0.95), (0, 0, 0.8))])
    assert labels.boxes[:, 0].tolist() == [0, 100, 200]
    assert labels.ignore.tolist() == [False, True, True]


def test_a_second_box_on_an_agreed_face_is_dropped() -> None:
    labels = agree(PATH, [found((0, 0, 0.9)), found((0, 0, 0.9), (6, 6, 0.6))])
    assert len(labels) == 1


def test_each_box_agrees_with_one_other() -> None:
    labels = agree(PATH, [found((0, 0, 0.9), (12, 0, 0.8)), found((2, 0, 0.9))])
    assert (~labels.ignore).sum() == 1
