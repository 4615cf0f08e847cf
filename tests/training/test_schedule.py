"""The learning rate over a run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featherface.training.schedule import learning_rate

PEAK = 2e-3


def rates(warmup: float, hold: float, *, points: int = 2001) -> np.ndarray:
    done = np.linspace(0, 1, points)
    return np.array([learning_rate(d, peak=PEAK, warmup=warmup, hold=hold) for d in done])


@given(st.floats(0, 0.5), st.floats(0, 0.95))
def test_up_then_level_then_down(warmup: float, hold: float) -> None:
    values, done = rates(warmup, hold, points=401), np.linspace(0, 1, 401)
    assert (values > 0).all()
    assert (values <= PEAK * (1 + 1e-9)).all()
    steps = np.diff(values)
    assert (steps[done[1:] <= warmup] > 0).all()
    assert (steps[done[:-1] >= warmup] <= 1e-12).all()
    level = (done >= warmup) & (done <= hold)
    np.testing.assert_allclose(values[level], PEAK)
    assert values[-1] == pytest.approx(PEAK / 100)


@pytest.mark.parametrize(("warmup", "hold"), [(0.01, 0.0), (0.1, 0.7), (0.0, 0.3)])
def test_no_jumps(warmup: float, hold: float) -> None:
    steps = np.abs(np.diff(rates(warmup, hold)))
    assert steps.max() < PEAK * 1.1 / (max(warmup, 0.3) if warmup == 0 else warmup) / 2000


def test_half_way_down_the_cosine() -> None:
    middle = learning_rate(0.8, peak=PEAK, warmup=0.0, hold=0.6)
    assert middle == pytest.approx(PEAK * (0.01 + 0.99 / 2))


def test_a_rate_held_to_the_end() -> None:
    assert learning_rate(1.0, peak=PEAK, warmup=0.1, hold=1.0) == PEAK
