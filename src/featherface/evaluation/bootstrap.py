"""How far figures would move with other pictures of the same kind: the bootstrap over pictures.

Efron, "Bootstrap methods: another look at the jackknife", 1979: draw as many pictures as there
are, with replacement, and measure again. Two runs on the same pictures are drawn alike, so that
what is hard for both cancels out of their difference. For WIDER FACE the scores keep the
normalisation of the whole run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from featherface.evaluation.average_precision import Measure, Tally, measure
from featherface.evaluation.matching import Doubles

RESAMPLES = 1000
COVERAGE = 0.95


class Interval(NamedTuple):
    """The middle 95% of the resamples; NaN where none has a figure."""

    low: float
    high: float


class Samples(NamedTuple):
    """A measure, and what it is on every resample (R,), NaN where that has no faces."""

    measure: Measure
    ap: Doubles
    recall: Doubles


@dataclass(frozen=True, slots=True)
class Difference:
    """What a figure of a run is above that of another, and the interval of that."""

    ap: float
    ap_interval: Interval
    recall: float
    recall_interval: Interval


def resample(
    tallies: Mapping[str, Tally], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Samples]:
    """Measure again on pictures drawn by chance, all figures on the same ones.

    Args:
        tallies: what each figure counts, of the same pictures.
        resamples: how often.
        seed: the same seed draws the same pictures, for any run on as many.
    """
    rng = np.random.default_rng(seed)
    pictures = max((len(each.faces) for each in tallies.values()), default=0)
    samples = {
        name: Samples(measure(counts), *np.full((2, resamples), np.nan))
        for name, counts in tallies.items()
    }
    for at in range(resamples if pictures else 0):
        weights = np.bincount(rng.integers(0, pictures, pictures), minlength=pictures)
        for name, counts in tallies.items():
            figure = measure(counts, weights)
            samples[name].ap[at], samples[name].recall[at] = figure.ap, figure.recall
    return samples


def interval(values: Doubles) -> Interval:
    """The middle 95% of resampled figures (R,)."""
    values = values[np.isfinite(values)]
    if not len(values):
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(values, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Interval(float(low), float(high))


def difference(new: Samples, old: Samples) -> Difference:
    """What a measure gained; both resampled with the same seed, on the same pictures."""
    return Difference(
        ap=new.measure.ap - old.measure.ap,
        ap_interval=interval(new.ap - old.ap),
        recall=new.measure.recall - old.measure.recall,
        recall_interval=interval(new.recall - old.recall),
    )
