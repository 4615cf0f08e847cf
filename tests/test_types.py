"""The value that detection gives back."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from featherface.types import COCO_CATEGORY, LANDMARK_NAMES, Detections


@pytest.fixture
def found(rng: np.random.Generator) -> Detections:
    """Three faces."""
    return Detections(
        rng.random((3, 4), np.float32),
        np.array([0.9, 0.8, 0.7], np.float32),
        rng.random((3, len(LANDMARK_NAMES), 2), np.float32),
    )


@pytest.mark.parametrize(
    "rows",
    [np.array([True, False, True]), np.array([0, 2]), slice(0, 3, 2)],
    ids=["mask", "indices", "slice"],
)
def test_rows_stay_together(found: Detections, rows: np.ndarray | slice) -> None:
    chosen = found[rows]
    assert len(chosen) == 2
    for name in ("boxes", "scores", "landmarks"):
        np.testing.assert_array_equal(getattr(chosen, name), getattr(found, name)[[0, 2]])


def test_no_face_is_an_answer() -> None:
    empty = Detections.empty()
    assert len(empty) == 0
    assert empty.to_list() == []
    assert empty.boxes.shape == (0, 4)
    assert empty.landmarks.shape == (0, 5, 2)
    assert len(empty[np.zeros(0, np.bool_)]) == 0


def test_plain_values_survive_json(found: Detections) -> None:
    faces = json.loads(json.dumps(found.to_list()))
    assert [face["score"] for face in faces] == [0.9, 0.8, 0.7]
    np.testing.assert_allclose([face["box"] for face in faces], found.boxes, atol=0.0051)
    np.testing.assert_allclose([face["landmarks"] for face in faces], found.landmarks, atol=0.0051)


def test_it_pickles(found: Detections) -> None:
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.boxes, found.boxes)
    assert len(again) == 3


@pytest.mark.parametrize(
    ("boxes", "scores", "landmarks"),
    [((2, 4), (3,), (3, 5, 2)), ((3, 5), (3,), (3, 5, 2)), ((3, 4), (3,), (3, 10))],
    ids=["length", "columns", "flat landmarks"],
)
def test_shapes_that_disagree(
    boxes: tuple[int, ...], scores: tuple[int, ...], landmarks: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="shapes"):
        Detections(*(np.zeros(shape, np.float32) for shape in (boxes, scores, landmarks)))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_from_list_is_the_inverse(found: Detections, count: int) -> None:
    copy = Detections.from_list(json.loads(json.dumps(found[:count].to_list())))
    assert copy.boxes.dtype == copy.scores.dtype == copy.landmarks.dtype == np.float32
    for name in ("boxes", "scores", "landmarks"):
        assert getattr(copy, name).shape == getattr(found[:count], name).shape
        np.testing.assert_allclose(getattr(copy, name), getattr(found[:count], name), atol=0.0051)
    assert copy.to_list() == found[:count].to_list()


def test_coco_annotations_count_on() -> None:
    faces = Detections(
        np.array([[1, 2, 4, 8], [0, 0, 2, 2]], np.float32),
        np.array([0.75, 0.5], np.float32),
        np.arange(20, dtype=np.float32).reshape(2, 5, 2),
    )
    first, second = faces.to_coco(7, first_id=40)
    assert first == {
        "id": 40,
        "image_id": 7,
        "category_id": COCO_CATEGORY["id"],
        "bbox": [1, 2, 3, 6],
        "area": 18,
        "iscrowd": 0,
        "score": 0.75,
        "num_keypoints": 5,
        "keypoints": [0, 1, 2, 2, 3, 2, 4, 5, 2, 6, 7, 2, 8, 9, 2],
    }
    assert (second["id"], second["image_id"]) == (41, 7)
    assert Detections.empty().to_coco(1) == []
