"""Figures on sets so small that they can be computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from featherface.evaluation.average_precision import Tally, curve, measure, recall_at, tally
from featherface.evaluation.matching import Matches, ScoredBoxes, Truth, match

FACES = [[0, 0, 10, 10], [100, 0, 110, 10], [200, 0, 210, 10], [300, 0, 310, 10]]
NOWHERE = [500, 500, 510, 510]


def one_picture(found: list[tuple[list[int], float]], lists: list[int] | None = None) -> Matches:
    truth = Truth(("a/b",), (np.array(FACES, np.float64),), (np.array(lists or [1] * 4, np.int64),))
    boxes = np.array([box for box, _ in found], np.float64).reshape(-1, 4)
    return match([ScoredBoxes(boxes, np.array([s for _, s in found], float))], truth, border=0)


def count(matches: Matches) -> Tally:
    return tally(matches, matches.face_lists == 1)


def test_area_under_the_envelope_by_hand() -> None:
    # Precision 1/1, 1/2, 2/3, 3/4 at recall 1/4, 1/4, 1/2, 3/4; the envelope is 1, then 3/4.
    found = [(FACES[0], 0.9), (NOWHERE, 0.8), (FACES[1], 0.7), (FACES[2], 0.6)]
    counts = count(one_picture(found))
    assert measure(counts).ap == pytest.approx(0.25 * 1 + 0.5 * 0.75)
    assert curve(counts).precision.tolist() == pytest.approx([1, 1 / 2, 2 / 3, 3 / 4])
    assert curve(counts).recall.tolist() == [0.25, 0.25, 0.5, 0.75]
    assert measure(counts).recall == 0.25
    assert recall_at(curve(counts), 0.75) == 0.75


def test_order_of_predictions_does_not_matter(rng: np.random.Generator) -> None:
    found = [(FACES[0], 0.9), (NOWHERE, 0.8), (FACES[1], 0.7), (FACES[2], 0.6)]
    shuffled = [found[row] for row in rng.permutation(4)]
    assert measure(count(one_picture(shuffled))) == measure(count(one_picture(found)))


def test_second_box_on_a_face_is_a_false_alarm() -> None:
    counts = count(one_picture([(FACES[0], 0.9), (FACES[0], 0.8), (FACES[1], 0.7)]))
    assert counts.hits.tolist() == [True, False, True]
    assert measure(counts).ap == pytest.approx(0.25 * 1 + 0.25 * 2 / 3)


def test_equal_scores_are_one_step() -> None:
    # Were they taken one by one, the hit that happens to come first would have precision 1.
    counts = count(one_picture([(FACES[0], 0.5), (NOWHERE, 0.5)]))
    assert curve(counts).precision.tolist() == [0.5]
    assert measure(counts).ap == pytest.approx(0.25 * 0.5)


def test_ignored_faces_are_neither_misses_nor_false_alarms() -> None:
    found = [(FACES[3], 0.9), (FACES[3], 0.8), (FACES[0], 0.7)]
    assert measure(count(one_picture(found, [1, 1, 0, 0]))).ap == 0.5
    assert measure(count(one_picture(found, [1, 0, 0, 0]))).ap == 1


def test_nothing_found_and_nothing_to_find() -> None:
    nothing = measure(count(one_picture([])))
    assert (nothing.faces, nothing.ap, nothing.recall) == (4, 0, 0)
    alarms = measure(count(one_picture([(NOWHERE, 0.9)])))
    assert (alarms.ap, alarms.recall) == (0, 0)
    no_faces = measure(count(one_picture([(FACES[0], 0.9)], [0, 0, 0, 0])))
    assert no_faces.faces == 0
    assert math.isnan(no_faces.ap)
    assert math.isnan(no_faces.recall)


def test_thresholds_above_all_scores_have_precision_and_recall_zero() -> None:
    matches = one_picture([(FACES[0], 0.5)])
    counts = tally(matches, matches.face_lists == 1, thresholds=np.array([0.9, 0.5, 0.1]))
    assert curve(counts).precision.tolist() == [0, 1, 1]
    assert curve(counts).recall.tolist() == [0, 0.25, 0.25]


def test_weights_repeat_pictures(rng: np.random.Generator) -> None:
    boxes = [np.array(FACES[:n], np.float64) for n in (1, 2, 4)]
    lists = [np.ones(len(box), np.int64) for box in boxes]
    found = [
        ScoredBoxes(np.array([*box[:-1], NOWHERE], np.float64), rng.random(len(box)))
        for box in boxes
    ]

    def run(rows: list[int]) -> Tally:
        truth = Truth(
            tuple(map(str, rows)), tuple(boxes[r] for r in rows), tuple(lists[r] for r in rows)
        )
        return count(match([found[r] for r in rows], truth, border=0))

    weighted = measure(run([0, 1, 2]), np.array([2, 0, 3]))
    assert weighted == measure(run([0, 0, 2, 2, 2]))
