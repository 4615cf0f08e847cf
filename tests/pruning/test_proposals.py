"""Which points are proposed, and that a Gaussian process is of use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from featherface.models.mobilenet import DENSE
from featherface.models.nano_b import NanoBConfig
from featherface.pruning.config import SearchConfig, SearchError
from featherface.pruning.groups import Budget, Rates, realised, size_of
from featherface.pruning.proposals import Outcome, Proposal, propose

NETWORK = NanoBConfig(widths=DENSE)
BUDGET = Budget(tolerance=4_000)
BEST = Rates(0.05, 0.12, 0.3, 0.4, 0.1)
CONFIG = SearchConfig(trials=20, startup=6)


def loss(proposal: Proposal) -> float:
    """A bowl around BEST."""
    found = np.array(realised(NETWORK, proposal.network))
    return float(np.square(found - BEST).sum())


def run(config: SearchConfig, seed: int, count: int, budget: Budget = BUDGET) -> list[Proposal]:
    history: list[Outcome] = []
    proposals = []
    for _ in range(count):
        proposals.append(propose(NETWORK, budget, config, seed, history))
        history.append(Outcome(proposals[-1].network, loss(proposals[-1])))
    return proposals


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        replace(CONFIG, acquisition="ucb"),
        replace(CONFIG, strategy="random"),
        replace(CONFIG, strategy="uniform"),
    ],
    ids=["ei", "ucb", "random", "uniform"],
)
def test_points_are_feasible_new_and_the_same_again(config: SearchConfig) -> None:
    proposals = run(config, 0, 9)
    for proposal in proposals:
        assert proposal.size == size_of(NETWORK, proposal.network, BUDGET)
        assert proposal.size.is_allowed
        assert proposal.refused > 0, "most points are not feasible"
    assert len({proposal.network for proposal in proposals}) == len(proposals)
    assert run(config, 0, 9) == proposals
    if config.strategy != "uniform":
        assert run(config, 1, 9)[1:] != proposals[1:]


def test_strategies_begin_alike_and_then_differ() -> None:
    ei, ucb, random = (
        run(replace(CONFIG, **change), 3, 8)
        for change in ({}, {"acquisition": "ucb"}, {"strategy": "random"})
    )
    assert len(set(ei[0].rates)) == 1, "the first point has one rate for all"
    assert ei[: CONFIG.startup] == ucb[: CONFIG.startup] == random[: CONFIG.startup]
    assert ei[6:] != random[6:]
    assert ei[6:] != ucb[6:]


def test_bayesian_search_beats_random_search_on_a_bowl() -> None:
    gains = []
    for seed in range(2):
        bayes = min(map(loss, run(CONFIG, seed, 13)))
        random = min(map(loss, run(replace(CONFIG, strategy="random"), seed, 13)))
        gains.append(random - bayes)
    assert min(gains) >= 0
    assert sum(gains) > 0.01


def test_a_running_trial_moves_the_next_one_elsewhere() -> None:
    history = [Outcome(p.network, loss(p)) for p in run(CONFIG, 0, 8)]
    first = propose(NETWORK, BUDGET, CONFIG, 0, history)
    second = propose(NETWORK, BUDGET, CONFIG, 0, [*history, Outcome(first.network, None)])
    assert second.network != first.network
    assert second.size.is_allowed


def test_uniform_rates_go_out_from_the_wanted_size() -> None:
    proposals = run(replace(CONFIG, strategy="uniform"), 0, 5)
    distances = [abs(p.size.parameters - BUDGET.parameters) for p in proposals]
    assert distances == sorted(distances)
    assert all(len(set(p.rates)) == 1 for p in proposals)


def test_uniform_rates_come_to_an_end() -> None:
    with pytest.raises(SearchError, match="no other uniform rate is feasible"):
        run(replace(CONFIG, strategy="uniform"), 0, 20, Budget(tolerance=300))


@pytest.mark.parametrize("strategy", ["bayes", "random", "uniform"])
def test_a_budget_that_cannot_be_met_is_said_to_be_so(strategy: str) -> None:
    with pytest.raises(SearchError, match=r"feasible|none of"):
        run(replace(CONFIG, strategy=strategy), 0, 1, Budget(parameters=179_000, tolerance=10))


def test_nothing_measured_or_nothing_to_tell_apart() -> None:
    networks = [proposal.network for proposal in run(replace(CONFIG, strategy="random"), 0, 7)]
    unknown = [Outcome(network, None) for network in networks]
    alike = [Outcome(network, 2.0) for network in networks]
    for history in (unknown, alike):
        for acquisition in ("ei", "ucb"):
            config = replace(CONFIG, acquisition=acquisition)
            assert propose(NETWORK, BUDGET, config, 0, history).size.is_allowed
