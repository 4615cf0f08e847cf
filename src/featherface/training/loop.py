"""The training loop: forward, losses, backward, step, average; log, save, resume."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from featherface.data.loader import Batch
from featherface.files import write_atomically
from featherface.models.layers import normalise
from featherface.models.nano_b import NanoB
from featherface.training.average import Average
from featherface.training.checkpoint import CheckpointError, load_state, save_model, save_state
from featherface.training.distill import BETAS, DistillationCriterion
from featherface.training.losses import Criterion, Losses, own_count
from featherface.training.schedule import learning_rate

Report = Callable[[dict[str, float]], None]
Adjust = Callable[[NanoB, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """How a run goes.

    Attributes:
        crops: crops to see, over all ranks; the run is over when they are seen,
        minutes: or when so much time has been spent training, whichever comes first (a year,
            unless told).
        batch: crops a step, over all ranks.
        rate: peak learning rate.
        warmup: share of the run spent warming up.
        hold: share of the run after which the rate falls.
        decay: weight decay, on convolution weights only.
        average: decay of the weight average, per step.
        bfloat16: run the forward pass in bfloat16.
        save_minutes: time between checkpoints.
    """

    crops: int = 1_000_000
    minutes: float = 365 * 24 * 60.0
    batch: int = 32
    rate: float = 2e-3
    warmup: float = 0.01
    hold: float = 0.0
    decay: float = 0.01
    average: float = 0.999
    bfloat16: bool = False
    save_minutes: float = 5.0


def fit(
    model: NanoB,
    batches: Callable[[int], Iterator[Batch]],
    criterion: Criterion,
    anchors: Tensor,
    run: Path,
    config: FitConfig,
    *,
    facts: dict[str, Any],
    rank: int = 0,
    ranks: int = 1,
    report: Report = lambda _: None,
    adjust: Adjust = lambda _model, _seen: None,
) -> Average:
    """Train a network, going on from `run/state.pt` when there is one.

    Ctrl-C and SIGTERM end the run after the step, with everything saved. A run may go on with
    another number of ranks: they share each batch, and its losses and gradients are those of one
    process up to rounding. The exception is batch norm, which takes its statistics from a rank's
    own crops (torch synchronises them on GPUs only); those kept are the first rank's.

    Args:
        model: the network; changed in place.
        batches: from the number of crops already seen to this rank's batches from there on.
        criterion: see `losses`; the weights that a `DistillationCriterion` learns are trained,
            logged and saved too.
        anchors: (A, 4) cxcywh of the crop size.
        run: folder for state.pt, model.safetensors (the average) and metrics.jsonl.
        facts: provenance, kept in the checkpoint.
        report: called with each line of metrics.jsonl.
        adjust: changes the network after each step, given the crops seen; a pure function of
            both, so that a resumed run equals an uninterrupted one.

    Returns:
        The weight average, which is the result.

    Raises:
        FloatingPointError: when a loss or a gradient is not finite; the last checkpoint is
            untouched.
        CheckpointError: when `run/state.pt` cannot be read, is of another network, or is not the
            same for all ranks.
    """
    model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    average = Average(model, decay=config.average)
    distillation = criterion if isinstance(criterion, DistillationCriterion) else None
    groups = _groups(model, config.decay)
    if distillation:
        taught = [*distillation.parameters()]
        groups.append({"params": taught, "weight_decay": 0.0, "betas": BETAS})
    optimiser = torch.optim.AdamW(groups, lr=config.rate)
    seen, spent = 0, 0.0
    if (run / "state.pt").exists():
        seen, spent = _restore(run / "state.pt", model, average, optimiser, distillation)
    if rank == 0:
        _forget(run / "metrics.jsonl", seen)
    network: nn.Module = model
    if ranks > 1:
        _check_start(run, seen)
        network = nn.parallel.DistributedDataParallel(model)

    def save() -> None:
        if rank:
            return
        state = {
            "model": model.state_dict(),
            "average": average.model.state_dict(),
            "average_steps": average.steps,
            "optimiser": optimiser.state_dict(),
            "seen": seen,
            "spent": spent,
        }
        if distillation:
            state["criterion"] = distillation.state_dict()
        save_model(run / "model.safetensors", average.model, {**facts, "crops": seen})
        save_state(run / "state.pt", state)

    started = tick = saved = time.monotonic()
    before, logged = spent, seen
    totals: dict[str, float] = {}
    divisor = _count_of_all if ranks > 1 else own_count
    source = batches(seen)
    stop = False
    with _requests_to_end() as stopped:
        while seen < config.crops and spent < config.minutes * 60 and not stop:
            batch = next(source)
            done = max(seen / config.crops, spent / (config.minutes * 60))
            rate = learning_rate(done, peak=config.rate, warmup=config.warmup, hold=config.hold)
            for group in optimiser.param_groups:
                group["lr"] = rate
            with torch.autocast("cpu", torch.bfloat16, enabled=config.bfloat16):
                raw = network(normalise(batch.images))
            losses = criterion(type(raw)(*(part.float() for part in raw)), batch, anchors, divisor)
            loss = torch.stack(list(losses.values())).sum()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            if distillation and ranks > 1:  # the network's gradients are averaged by now
                for parameter in distillation.parameters():
                    if parameter.grad is not None:
                        torch.distributed.all_reduce(parameter.grad)
                        parameter.grad /= ranks
            norm = clip_grad_norm_(model.parameters(), 10.0)
            if not torch.isfinite(loss + norm):
                raise FloatingPointError(
                    f"{run}: after {seen} crops the losses are {losses}, the gradient's norm {norm}"
                )
            optimiser.step()
            seen += config.batch
            adjust(model, seen)
            average.update(model)

            now = time.monotonic()
            spent, stop, values = _agree(before + now - started, stopped, losses, ranks)
            for name, value in zip(losses, values, strict=True):
                totals[name] = totals.get(name, 0.0) + value * config.batch
            if now - tick > 30 or seen >= config.crops or spent >= config.minutes * 60:
                line = {name: total / (seen - logged) for name, total in totals.items()}
                line |= {"seen": seen, "minutes": spent / 60, "rate": rate}
                line["crops_per_second"] = (seen - logged) / (now - tick)
                line |= distillation.weights() if distillation else {}
                totals, tick, logged = {}, now, seen
                if rank == 0:
                    _append(run / "metrics.jsonl", line)
                    report(line)
            if now - saved > config.save_minutes * 60:
                saved = now
                save()
    save()
    return average


def is_finished(run: Path, config: FitConfig) -> bool:
    """Whether a run came to its end; a signal stops it before, with everything saved."""
    state = load_state(run / "state.pt")
    is_over: bool = state["seen"] >= config.crops or state["spent"] >= config.minutes * 60
    return is_over


def _restore(
    path: Path,
    model: NanoB,
    average: Average,
    optimiser: torch.optim.Optimizer,
    distillation: DistillationCriterion | None,
) -> tuple[int, float]:
    """Put everything back as it was saved; returns the crops seen and the seconds spent."""
    state = load_state(path)
    try:
        model.load_state_dict(state["model"])
        average.model.load_state_dict(state["average"])
        average.steps = state["average_steps"]
        optimiser.load_state_dict(state["optimiser"])
        if distillation:
            distillation.load_state_dict(state["criterion"])
        return int(state["seen"]), float(state["spent"])
    except (LookupError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path}: is of another network ({reason}); start in another folder, or delete it"
        ) from error


def _groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weight decay for convolution kernels; none for norms, biases and fusion weights."""
    kernels = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": kernels, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]


@contextmanager
def _requests_to_end() -> Iterator[list[int]]:
    """Notes Ctrl-C and SIGTERM in the list, so that the step is finished and the state saved."""
    received: list[int] = []
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, lambda number, _: received.append(number)) for kind in kinds]
    try:
        yield received
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


class _Agreed(NamedTuple):
    """What all ranks know after a step."""

    spent: float  # by the first rank's clock
    stop: bool  # some rank was asked to end: all do at this step
    losses: list[float]  # of the whole batch


def _agree(spent: float, stopped: list[int], losses: Losses, ranks: int) -> _Agreed:
    values = torch.stack(list(losses.values())).detach().double()
    if ranks == 1:
        return _Agreed(spent, bool(stopped), values.tolist())
    is_first = torch.distributed.get_rank() == 0
    ours = torch.tensor([spent if is_first else 0.0, len(stopped)], dtype=torch.float64)
    shared = torch.cat([ours, values / ranks])
    torch.distributed.all_reduce(shared)
    return _Agreed(float(shared[0]), bool(shared[1]), shared[2:].tolist())


def _count_of_all(count: Tensor) -> Tensor:
    """A `Divisor`: the mean over ranks of sums divided by it is the whole batch's loss."""
    total = count.clone()
    torch.distributed.all_reduce(total)
    return total.clamp(min=1) / torch.distributed.get_world_size()


def _check_start(run: Path, seen: int) -> None:
    """Ranks on another machine may look at another folder.

    Raises:
        CheckpointError: when they do not go on from the same place.
    """
    bounds = torch.tensor([seen, -seen])
    torch.distributed.all_reduce(bounds, torch.distributed.ReduceOp.MAX)
    most, least = int(bounds[0]), -int(bounds[1])
    if most != least:
        raise CheckpointError(
            f"{run / 'state.pt'}: some ranks go on after {most} crops, others after {least}; all "
            "machines have to see the same folder, or have a copy of the file in theirs"
        )


def _forget(path: Path, seen: int) -> None:
    """Drop the lines that were written after the state that the run goes on from."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            is_before = json.loads(line)["seen"] <= seen
        except ValueError:  # cut off when the process was killed
            break
        if is_before:
            kept.append(line + "\n")
    write_atomically(path, "".join(kept).encode())


def _append(path: Path, line: dict[str, float]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({name: round(value, 6) for name, value in line.items()}) + "\n")
