"""The trials of a search, in an Optuna study that any number of processes may work on.

The study is the only memory. Each process takes the next trial under a lock, and holds another lock
while it works on it. That one is gone when a process dies, so whoever comes next takes the trial
over with the rates that it had, and the number of trials is kept exactly.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from featherface.models.nano_b import NanoBConfig
from featherface.pruning.config import SearchError
from featherface.pruning.groups import Rates
from featherface.pruning.proposals import Outcome, Proposal
from featherface.pruning.storage import Disk, Hold, Storage

Propose = Callable[[Sequence[Outcome]], Proposal]
Evaluate = Callable[[NanoBConfig, Path], float | None]


class Trial(NamedTuple):
    """One network that was proposed.

    Attributes:
        number: from 0.
        rates: as drawn; the network has them up to rounding.
        network: its widths.
        parameters: of the network.
        macs: multiply-accumulates at 640x640, counted as the budget wants.
        refused: infeasible points that were counted, not trained, before this one was found.
        loss: after recovery; None while a trial is under way, or when it diverged.
    """

    number: int
    rates: Rates
    network: NanoBConfig
    parameters: int
    macs: int
    refused: int
    loss: float | None


class Search:
    """The trials of a study.

    Args:
        folder: for the files of trials that are worked on.
        settings: what the results depend on, as plain values.
        storage: keeps the study; by default the folder does.

    Raises:
        SearchError: when there is a study with other settings.
    """

    def __init__(
        self, folder: Path, settings: dict[str, Any], storage: Storage | None = None
    ) -> None:
        self._folder = folder
        self._storage: Storage = storage or Disk(folder)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with self._storage.alone():
            self._study = optuna.create_study(
                storage=self._storage.open(),
                study_name=self._storage.study,
                direction="minimize",
                load_if_exists=True,
            )
            found = self._study.user_attrs.get("settings")
            wanted = json.loads(json.dumps(settings))
            if found is None:
                self._study.set_user_attr("settings", wanted)
            elif found != wanted:
                changed = [key for key in wanted if found.get(key) != wanted[key]]
                raise SearchError(
                    f"{self._storage}: its trials were made with another "
                    f"{', '.join(changed) or 'recipe'}; go on with the old one, "
                    "or start in another folder"
                )

    def trials(self) -> list[Trial]:
        """All of them so far, in order."""
        return [_read(trial) for trial in self._study.get_trials(deepcopy=False)]

    def is_complete(self, count: int) -> bool:
        """Whether so many trials are over, in whatever process."""
        over = (TrialState.COMPLETE, TrialState.FAIL)
        return len(self._study.get_trials(deepcopy=False, states=over)) >= count

    def best(self) -> Trial:
        """The trial with the lowest loss.

        Raises:
            SearchError: none has one.
        """
        measured = [trial for trial in self.trials() if trial.loss is not None]
        if not measured:
            raise SearchError(f"{self._storage}: no trial has a result")
        return min(measured, key=lambda trial: (trial.loss, trial.number))

    def run(
        self,
        count: int,
        propose: Propose,
        evaluate: Evaluate,
        *,
        report: Callable[[list[Trial]], None],
    ) -> None:
        """Work on trials until `count` are taken.

        Args:
            count: trials in all, those of other processes and earlier runs included.
            propose: from the trials before to the next point; called for one process at a time.
            evaluate: from a network and a folder for its files to the loss; None to stop at once,
                with the trial left to whoever comes next.
            report: called with all trials after each.
        """
        while (taken := self._take(count, propose)) is not None:
            trial, hold = taken
            try:
                try:
                    loss = evaluate(trial.network, self._folder / f"trial-{trial.number:03}")
                except FloatingPointError:  # a network that diverges is no reason to stop
                    with self._storage.alone():
                        self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
                    continue
                if loss is None:
                    return
                with self._storage.alone():
                    # Finished already when the server lost our hold and another took the trial.
                    self._study.tell(trial.number, loss, skip_if_finished=True)
                    report(self.trials())
            finally:
                hold.release()

    def _take(self, count: int, propose: Propose) -> tuple[Trial, Hold] | None:
        """A trial whose process died, or else a new one; None when all are taken."""
        with self._storage.alone():
            trials = self._study.get_trials(deepcopy=False)
            for trial in trials:
                if trial.state == TrialState.RUNNING and (hold := self._storage.hold(trial.number)):
                    return _read(trial), hold
            if len(trials) >= count:
                return None
            past = [Outcome(trial.network, trial.loss) for trial in map(_read, trials)]
            proposal = propose(past)
            while not (hold := self._storage.hold(len(trials))):
                time.sleep(0.1)  # a process died just here, and the server is yet to notice
            self._study.add_trial(_written(proposal))
            return self.trials()[-1], hold


def _written(proposal: Proposal) -> FrozenTrial:
    """A proposal as a running trial; the study takes it whole or not at all."""
    rates = proposal.rates._asdict()
    return optuna.trial.create_trial(
        state=TrialState.RUNNING,
        params=rates,
        distributions={name: FloatDistribution(0, 1) for name in rates},
        user_attrs={
            "network": proposal.network.to_dict(),
            "parameters": proposal.size.parameters,
            "macs": proposal.size.macs,
            "refused": proposal.refused,
        },
    )


def _read(trial: FrozenTrial) -> Trial:
    about = trial.user_attrs
    return Trial(
        trial.number,
        Rates(**trial.params),
        NanoBConfig.from_dict(about["network"]),
        about["parameters"],
        about["macs"],
        about["refused"],
        trial.value if trial.state == TrialState.COMPLETE else None,
    )
