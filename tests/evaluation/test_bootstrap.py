"""Intervals: as wide as chance, and nothing where nothing differs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from plain_wider_face import disturb

from featherface.evaluation.average_precision import Tally, tally
from featherface.evaluation.bootstrap import difference, interval, resample
from featherface.evaluation.matching import ScoredBoxes, Truth, match


def truth_of(pictures: int, faces: int = 6) -> Truth:
    """The same row of faces in every picture."""
    left = np.arange(faces) * 60.0
    boxes = np.stack([left, left * 0, left + 40, left * 0 + 40], axis=1)
    names = tuple(map(str, range(pictures)))
    return Truth(names, (boxes,) * pictures, (np.ones(faces, np.int64),) * pictures)


def count(truth: Truth, predictions: list[ScoredBoxes]) -> dict[str, Tally]:
    matches = match(predictions, truth, border=0)
    return {"all": tally(matches, matches.face_lists == 1)}


def test_identical_runs_differ_by_nothing(rng: np.random.Generator) -> None:
    truth = truth_of(10)
    counts = count(truth, disturb(truth, rng, alarms=1, decimals=3))
    first, second = (resample(counts, resamples=50)["all"] for _ in range(2))
    gain = difference(first, second)
    assert (gain.ap, gain.ap_interval) == (0, (0, 0))
    assert (gain.recall, gain.recall_interval) == (0, (0, 0))
    assert interval(first.ap).low < first.measure.ap < interval(first.ap).high


def test_paired_difference_is_surer_than_either_figure(rng: np.random.Generator) -> None:
    truth = truth_of(40)
    old = disturb(truth, rng, alarms=2, decimals=3)
    # The new run drops one low false alarm in each picture: little, but always to the good.
    new = []
    for boxes, each in zip(truth.boxes, old, strict=True):
        far = (each.boxes[:, None, :2] - boxes[None, :, :2] > 60).all((1, 2))
        keep = ~far
        new.append(ScoredBoxes(each.boxes[keep], each.scores[keep]))
    before, after = (resample(count(truth, run), resamples=200)["all"] for run in (old, new))
    gain = difference(after, before)
    assert gain.ap > 0
    assert 0 < gain.ap_interval.low < gain.ap < gain.ap_interval.high
    width = gain.ap_interval.high - gain.ap_interval.low
    assert width < interval(after.ap).high - interval(after.ap).low


def test_more_pictures_make_narrower_intervals(rng: np.random.Generator) -> None:
    widths = []
    for pictures in (10, 160):
        truth = truth_of(pictures)
        counts = count(truth, disturb(truth, rng, alarms=1, decimals=3))
        low, high = interval(resample(counts, resamples=200)["all"].ap)
        widths.append(high - low)
    assert widths[1] < widths[0] / 2  # a fourth, but for chance


def test_seed_decides(rng: np.random.Generator) -> None:
    truth = truth_of(10)
    counts = count(truth, disturb(truth, rng, alarms=1, decimals=3))
    first, same, other = (resample(counts, resamples=20, seed=seed)["all"].ap for seed in (1, 1, 2))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("pictures", [0, 3])
def test_no_faces_no_interval(pictures: int) -> None:
    truth = truth_of(pictures, faces=0)
    nothing = [ScoredBoxes(np.zeros((0, 4)), np.zeros(0))] * pictures
    samples = resample(count(truth, nothing), resamples=10)["all"]
    assert all(map(math.isnan, interval(samples.ap)))
    assert math.isnan(difference(samples, samples).ap)
