"""Which rates to try next: a Gaussian process, random points, or one rate for all groups.

B-FPGM (Kaparinos and Mezaris, WACVW 2025) searches the rates by Bayesian optimisation and lets
infeasible points pass with a penalty. Here the size of a network is known exactly before anything
is trained, so points are drawn until enough are feasible, and only those are compared: no trial and
no model capacity is spent on learning what can be counted.

The model is BoTorch's: Optuna's own GPSampler has expected improvement only, and B-FPGM's result
rests on the upper confidence bound (its library's default, kappa 2.576), so both are offered.

A proposal depends on the seed, its number and the trials before it, on nothing else: no sampler has
a state that a killed process could take with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.acquisition.analytic import LogExpectedImprovement, UpperConfidenceBound
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms import Standardize
from botorch.models.utils.gpytorch_modules import get_covar_module_with_dim_scaled_prior
from gpytorch.mlls import ExactMarginalLogLikelihood
from numpy.typing import NDArray
from torch import Tensor

from featherface.models.nano_b import NanoBConfig
from featherface.pruning.config import SearchConfig, SearchError
from featherface.pruning.groups import Budget, Rates, Size, narrowed, realised, size_of

GROUPS = len(Rates._fields)
POOL = 400  # feasible points that the acquisition is worked out for
NEAR = 5  # so many of the best points are varied a little, for half of the pool
SPREAD = 0.05  # by this standard deviation
ENOUGH = 2  # results that a model needs, however many trials are under way
DRAWS = 20_000  # points counted before the search is called hopeless
GRID = 2_000  # uniform rates that are counted


@dataclass(frozen=True, slots=True)
class Outcome:
    """A trial that was proposed before.

    Attributes:
        network: its widths.
        loss: its result, None while it runs in another process.
    """

    network: NanoBConfig
    loss: float | None


class Proposal(NamedTuple):
    """A point to try."""

    rates: Rates  # as drawn
    network: NanoBConfig
    size: Size
    refused: int  # infeasible points that were counted on the way


class _Space:
    """Rates to networks; counts, and remembers what is not to be proposed again."""

    def __init__(
        self, dense: NanoBConfig, budget: Budget, history: Sequence[Outcome], highest: float
    ) -> None:
        self.dense, self.budget, self.highest = dense, budget, highest
        self.known = {outcome.network for outcome in history}
        self.refused = 0

    def consider(self, point: Sequence[float]) -> Proposal | None:
        """The network of these rates, when it is feasible and new."""
        rates = Rates(*(float(rate) for rate in point))
        network = narrowed(self.dense, rates, multiple=self.budget.multiple)
        size = size_of(self.dense, network, self.budget)
        if not size.is_allowed:
            self.refused += 1
        elif network not in self.known:
            self.known.add(network)
            return Proposal(rates, network, size, self.refused)
        return None

    def draw(self, rng: np.random.Generator, centres: Sequence[Rates] = ()) -> Iterator[Proposal]:
        """New feasible points, everywhere or around the centres, until the draws are used up."""
        for _ in range(DRAWS):
            if centres:
                centre = np.array(centres[int(rng.integers(len(centres)))])
                point = np.clip(rng.normal(centre, SPREAD), 0, self.highest)
            else:
                point = rng.uniform(0, self.highest, GROUPS)
            if found := self.consider(point.tolist()):
                yield found

    def uniform(self) -> list[Proposal]:
        """All feasible networks with one rate for every group, ascending."""
        grid = np.linspace(0, self.highest, GRID)
        return [found for rate in grid if (found := self.consider([rate] * GROUPS))]


def propose(
    dense: NanoBConfig, budget: Budget, config: SearchConfig, seed: int, history: Sequence[Outcome]
) -> Proposal:
    """The point for trial number `len(history)`.

    The first point of a Bayesian or random search is the uniform one nearest to the wanted size,
    the next ones are the same random ones for both. A uniform search goes through the feasible
    rates, those that come nearest to the wanted size first.

    Args:
        dense: what is to be pruned.
        budget: what is feasible.
        config: strategy and its constants.
        seed: of the search.
        history: the trials before this one.

    Raises:
        SearchError: when no feasible point is left or none can be found.
    """
    space = _Space(dense, budget, history, config.highest)
    rng = np.random.default_rng((seed, len(history)))
    if config.strategy == "uniform" or not history:
        near = sorted(space.uniform(), key=lambda p: abs(p.size.parameters - budget.parameters))
        if near:
            return near[0]._replace(refused=space.refused)
        if config.strategy == "uniform":
            raise SearchError(
                f"after {len(history)} trials no other uniform rate is feasible; "
                "widen prune.budget.tolerance or ask for fewer trials"
            )
    measured = sum(outcome.loss is not None for outcome in history)
    if config.strategy == "random" or len(history) < config.startup or measured < ENOUGH:
        for found in space.draw(rng):
            return found
        raise _hopeless(space)
    return _bayesian(space, config, rng, history)


def _bayesian(
    space: _Space, config: SearchConfig, rng: np.random.Generator, history: Sequence[Outcome]
) -> Proposal:
    """The point of a pool with the highest acquisition."""
    done = sorted((o.loss, i) for i, o in enumerate(history) if o.loss is not None)
    best = [realised(space.dense, history[i].network) for _, i in done[:NEAR]]
    pool: list[Proposal] = []
    for centres, wanted in ((best, POOL // 2), ([], POOL)):
        for found in space.draw(rng, centres):
            pool.append(found)
            if len(pool) >= wanted:
                break
    if not pool:
        raise _hopeless(space)
    points = _features(space, [proposal.network for proposal in pool])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        acquisition = _acquisition(space, config, history)
        with torch.no_grad():
            values: NDArray[np.float64] = acquisition(points[:, None]).numpy()
    return pool[int(values.argmax())]._replace(refused=space.refused)


def _acquisition(
    space: _Space, config: SearchConfig, history: Sequence[Outcome]
) -> AcquisitionFunction:
    """Of a Gaussian process with a Matern 5/2 kernel; lower losses are better.

    Trials that still run elsewhere count as if they brought what the model expects of them.
    """
    done = [outcome for outcome in history if outcome.loss is not None]
    points = _features(space, [outcome.network for outcome in done])
    losses = torch.tensor([outcome.loss for outcome in done], dtype=torch.float64)[:, None]
    model = _fitted(points, losses)
    running = [outcome.network for outcome in history if outcome.loss is None]
    if running:
        believed = _features(space, running)
        with torch.no_grad():
            expected = model.posterior(believed).mean
        model = _fitted(torch.cat([points, believed]), torch.cat([losses, expected]))
    if config.acquisition == "ei":
        return LogExpectedImprovement(model, best_f=losses.min(), maximize=False)
    return UpperConfidenceBound(model, beta=config.kappa**2, maximize=False)


def _fitted(points: Tensor, losses: Tensor) -> SingleTaskGP:
    model = SingleTaskGP(
        points,
        losses,
        covar_module=get_covar_module_with_dim_scaled_prior(GROUPS, use_rbf_kernel=False),
        outcome_transform=Standardize(m=1),
    )
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    return model.eval()


def _features(space: _Space, networks: Sequence[NanoBConfig]) -> Tensor:
    """Rates after rounding, in units of the highest: (N, 5). Equal networks are equal points."""
    rates = [realised(space.dense, network) for network in networks]
    return torch.tensor(rates, dtype=torch.float64) / space.highest


def _hopeless(space: _Space) -> SearchError:
    budget = space.budget
    return SearchError(
        f"none of {space.refused} points is a new network of {budget.parameters} +- "
        f"{budget.tolerance} parameters and at most {budget.macs:.0%} of the work; "
        "widen prune.budget or raise prune.search.highest"
    )
