"""What a recipe says of pruning; free of the libraries that search."""

from __future__ import annotations

from dataclasses import dataclass, field

from featherface.pruning.groups import Budget

STRATEGIES = ("bayes", "random", "uniform")
ACQUISITIONS = ("ei", "ucb")


class SearchError(ValueError):
    """A search that cannot go on; the message says why and what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig:
    """How rates are looked for.

    Attributes:
        strategy: "bayes", "random", or "uniform" for one rate for all groups.
        acquisition: of the Bayesian search: "ei", expected improvement, or "ucb", confidence bound.
        kappa: standard deviations of that bound.
        trials: networks to train.
        startup: so many of them before the Gaussian process begins.
        highest: rates lie between 0 and this.
    """

    strategy: str = "bayes"
    acquisition: str = "ei"
    kappa: float = 2.576
    trials: int = 40
    startup: int = 10
    highest: float = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneConfig:
    """From a dense network to a smaller one.

    Attributes:
        budget: how large it may be.
        search: how rates are looked for.
        recovery: crops that each trial trains on, kept in memory, always the same ones.
        validation: crops that each trial is measured on, likewise.
        hold_out: share of the pictures that only `validation` sees.
        every: soft phase: steps after which filters are ranked and silenced again.
    """

    budget: Budget = field(default_factory=Budget)
    search: SearchConfig = field(default_factory=SearchConfig)
    recovery: int = 640
    validation: int = 256
    hold_out: float = 0.1
    every: int = 100
