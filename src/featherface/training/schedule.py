"""The learning rate as a function of how much of a run is done."""

from __future__ import annotations

import math


def learning_rate(done: float, *, peak: float, warmup: float, hold: float) -> float:
    """Linear warm-up, level until `hold`, then half a cosine down to a hundredth.

    Args:
        done: share of the run that lies behind, 0 to 1.
        peak: the highest rate.
        warmup: share of the run spent rising.
        hold: share of the run until which the rate stays at its peak.
    """
    if done < warmup:
        return peak * (done / warmup + 0.02) / 1.02
    if done <= hold:
        return peak
    fall = (min(done, 1.0) - max(hold, warmup)) / (1 - max(hold, warmup))
    return peak * (0.01 + 0.99 * (1 + math.cos(math.pi * fall)) / 2)
