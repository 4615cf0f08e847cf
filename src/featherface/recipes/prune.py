"""`featherface prune`: a dense network in, one that is really smaller out (after B-FPGM).

Search for a rate per layer group, soft pruning at the rates found, surgery. All that is left to do
is `featherface train` or `distill` with the network as --weights.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from cyclopts import Parameter
from filelock import Timeout
from torch import Tensor

from featherface.data.loader import CropDataset, stream
from featherface.files import write_atomically
from featherface.models.cost import cost
from featherface.models.nano_b import NanoB
from featherface.pruning.config import PruneConfig
from featherface.pruning.groups import realised
from featherface.pruning.layout import network_layout
from featherface.pruning.proposals import propose
from featherface.pruning.search import Search, Trial
from featherface.pruning.soft import soft_pruning
from featherface.pruning.storage import Database, Disk, Storage, lock
from featherface.pruning.surgery import choose_channels, cut_network, silence
from featherface.recipes.config import RecipeError, TrainConfig, read_recipe
from featherface.recipes.progress import TrainingProgress
from featherface.recipes.prune_crops import open_crops
from featherface.recipes.prune_report import plot_channels, plot_search, write_trials
from featherface.recipes.train import adjusted, join_ranks
from featherface.training.checkpoint import load_model, save_model
from featherface.training.loop import fit, is_finished
from featherface.training.losses import CRITERIA
from featherface.training.recovery import CALIBRATION, Recovery, recalibrate

DENSE, SMALLER = "dense.safetensors", "pruned.safetensors"
NAME = "nano_b_enhanced"  # what a pruned network of these taps is called
STARTING = 15  # seconds until the workers of a process that was killed are gone


def main(
    recipe: Path,
    run: Path,
    *,
    weights: Path | None = None,
    data: Path = Path(),
    trials: int | None = None,
    strategy: Literal["bayes", "random", "uniform"] | None = None,
    acquisition: Literal["ei", "ucb"] | None = None,
    multiple: int | None = None,
    crops: int | None = None,
    seed: int | None = None,
    pixels: Path | None = None,
    storage: str | None = None,
    quiet: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Make a network smaller, or go on with a run that was stopped.

    Trials may be shared: start the same command several times, or under torchrun; on several
    machines, with --storage. With one process the result depends on the seed alone.

    Args:
        recipe: a TOML file like configs/prune.toml.
        run: folder for the results; if it holds a `study.db` the search goes on.
        weights: model.safetensors of the dense network; a run that goes on has its own copy.
        data: folder that the recipe's labelled sets lie in.
        trials: networks to try, instead of the recipe's number.
        strategy: how to look for rates, instead of the recipe's.
        acquisition: of the Bayesian search, instead of the recipe's.
        multiple: widths in multiples of this, and the work counted as an export pads it.
        crops: length of the soft phase, instead of the recipe's.
        seed: instead of the recipe's.
        pixels: folder for the decoded pictures, by default beside the run.
        storage: postgresql://USER@HOST/DATABASE that keeps the trials instead of `study.db`; there
            the study is called like the run's folder, of which each machine may have its own.
        quiet: no progress on the terminal.
    """
    config = adjusted(read_recipe(recipe), crops, None, seed)
    prune = config.prune or PruneConfig()
    search = dataclasses.replace(
        prune.search,
        trials=trials or prune.search.trials,
        strategy=strategy or prune.search.strategy,
        acquisition=acquisition or prune.search.acquisition,
    )
    budget = dataclasses.replace(prune.budget, multiple=multiple or prune.budget.multiple)
    prune = dataclasses.replace(prune, search=search, budget=budget)
    place = Database(storage, run.resolve().name) if storage else Disk(run)
    rank, ranks = join_ranks()
    try:
        _prune(_Run(config, prune, run, rank, ranks, quiet), weights, data, pixels, place)
    finally:
        if ranks > 1:
            torch.distributed.destroy_process_group()


@dataclass(frozen=True, slots=True)
class _Run:
    """What all stages share."""

    config: TrainConfig
    prune: PruneConfig
    folder: Path
    rank: int
    ranks: int
    quiet: bool

    def say(self, text: str) -> None:
        """Tell the user, once."""
        if not (self.rank or self.quiet):
            print(text, flush=True)


def _prune(
    r: _Run, weights: Path | None, data: Path, pixels: Path | None, storage: Storage
) -> None:
    """All stages; each does only what is left of it."""
    r.folder.mkdir(parents=True, exist_ok=True)
    dense, digest = _dense(r.folder, weights)
    progress = TrainingProgress(r.config.fit, shown=not (r.rank or r.quiet))
    train, recovery = open_crops(
        r.config,
        r.prune,
        dense,
        data,
        pixels or r.folder.parent / "pixels",
        rank=r.rank,
        progress=progress.decoding,
    )
    search = Search(r.folder, _settings(r, digest), storage)
    count = r.prune.search.trials
    search.run(
        count,
        functools.partial(propose, dense.config, r.prune.budget, r.prune.search, r.config.seed),
        recovery,
        report=lambda trials: _report_trials(r, trials),
    )
    if r.ranks > 1:
        torch.distributed.barrier()
    if not search.is_complete(count):
        r.say(f"{r.folder}: some trials are not over yet; the same command goes on")
        return
    best = search.best()
    if r.rank == 0:
        write_trials(r.folder, search.trials())  # a process may have died before it did
        plot_search(r.folder, dense.config, search.trials())
    r.say(f"best: trial {best.number}, loss {best.loss:.4f}, {best.parameters:,} parameters")
    try:
        with lock(r.folder, f"soft-{r.rank}").acquire(timeout=STARTING):
            soft = _soft_phase(r, dense, best, train, recovery.anchors)
            if soft and r.rank == 0:
                _surgery(r, recovery, soft, best)
    except Timeout:
        r.say(f"{r.folder}: another process is busy with the soft phase")


def _dense(folder: Path, weights: Path | None) -> tuple[NanoB, str]:
    """The network to prune, kept in the folder so that the file may change; and its digest."""
    copy = folder / DENSE
    if weights:
        load_model(weights)  # an error names the user's file
        with lock(folder, "study"):
            if not copy.exists():
                write_atomically(copy, weights.read_bytes())
            elif copy.read_bytes() != weights.read_bytes():
                raise RecipeError(
                    f"{weights}: is not the network that {folder} began with; leave out --weights "
                    "to go on with that one, or start in another folder"
                )
    elif not copy.exists():
        raise RecipeError(f"{folder}: nothing to prune yet; give a dense network with --weights")
    return load_model(copy)[0], hashlib.sha256(copy.read_bytes()).hexdigest()


def _settings(r: _Run, digest: str) -> dict[str, Any]:
    """What the losses of two trials have to have in common to be compared."""
    config, prune, fit = r.config, r.prune, r.config.fit
    return {
        "network": digest,
        "seed": config.seed,
        "data": [dataclasses.asdict(part) for part in config.data],
        "crowd": config.crowd,
        "crop": dataclasses.asdict(config.crop),
        "criterion": config.criterion,
        "fit": [fit.batch, fit.rate, fit.decay, fit.average, fit.bfloat16],
        "crops": [prune.recovery, prune.validation, prune.hold_out],
        "budget": dataclasses.asdict(prune.budget),
        "search": dataclasses.asdict(dataclasses.replace(prune.search, trials=1)),
    }


def _report_trials(r: _Run, trials: list[Trial]) -> None:
    """After each trial, while no other process writes."""
    write_trials(r.folder, trials)
    done = [trial for trial in trials if trial.loss is not None]
    best = min(trial.loss for trial in done if trial.loss is not None)
    if not r.quiet:
        print(f"{len(done)} of {r.prune.search.trials} trials, best loss {best:.4f}", flush=True)


def _soft_phase(
    r: _Run, dense: NanoB, best: Trial, train: CropDataset, anchors: Tensor
) -> NanoB | None:
    """Train with filters that are silenced now and then; None when a signal asked to stop."""
    folder = r.folder / f"soft-{best.number:03}"  # more trials may bring another best one
    folder.mkdir(exist_ok=True)
    config = r.config.fit
    model = NanoB(dense.config)
    model.load_state_dict(dense.state_dict())
    with TrainingProgress(config, shown=not (r.rank or r.quiet)) as progress:
        average = fit(
            model,
            lambda seen: stream(
                train,
                batch=config.batch // r.ranks,
                workers=r.config.workers,
                first=seen,
                rank=r.rank,
                ranks=r.ranks,
            ),
            CRITERIA[r.config.criterion],
            anchors,
            folder,
            config,
            facts={"name": "soft"},
            rank=r.rank,
            ranks=r.ranks,
            report=progress.report,
            adjust=soft_pruning(best.network, every=r.prune.every, batch=config.batch),
        )
    if r.rank == 0 and not is_finished(folder, config):
        r.say(f"{folder}: stopped; the same command goes on")
        return None
    return average.model


def _surgery(r: _Run, recovery: Recovery, soft: NanoB, best: Trial) -> None:
    """Cut out what was silenced, and say what that changed."""
    losses = {"dense": recovery.measure(recovery.dense), "after soft phase": recovery.measure(soft)}
    kept = choose_channels(soft, best.network)
    silence(soft, kept)
    losses["silenced"] = recovery.measure(soft)
    smaller = cut_network(soft, best.network, heard=kept).eval()
    losses["cut"] = recovery.measure(smaller)
    apart = recovery.difference(soft, smaller)
    recalibrate(smaller, recovery.recovery[:CALIBRATION])
    losses["norms recalibrated"] = recovery.measure(smaller)
    size = cost(smaller.config)
    layout = network_layout(soft.config)
    names = [entry.ranked[0] for entry in layout]
    stays = {name: rows.tolist() for name, rows in zip(names, kept, strict=True)}
    of = {name: entry.channels for name, entry in zip(names, layout, strict=True)}
    about = {
        "trial": best.number,
        "rates": realised(soft.config, best.network)._asdict(),
        "parameters": size.parameters,
        "macs": size.macs,
        "losses": losses,
        "largest_difference_silenced_to_cut": apart,
        "kept": stays,
        "of": of,
    }
    facts = {"name": NAME, "recipe": dataclasses.asdict(r.config), "start": "pruned"}
    save_model(r.folder / SMALLER, smaller, facts)
    text = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in about.items())
    write_atomically(r.folder / "pruned.json", f"{{\n{text}\n}}\n".encode())
    plot_channels(r.folder, stays, of)
    r.say(
        f"{r.folder / SMALLER}: {size.parameters:,} parameters, {size.macs / 1e6:,.1f} M MACs; "
        f"loss {losses['norms recalibrated']:.4f}, dense {losses['dense']:.4f}. Fine-tune it:\n"
        f"featherface train configs/pruned.toml RUN --weights {r.folder / SMALLER}"
    )
