"""Two ranks that share a batch: losses and gradients are those of one process that has all of it.

Batch norm is the exception, and kept in evaluation mode here: its statistics are of a rank's own
crops. What one process gives is the reference.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn

from featherface.data.loader import Batch, CropDataset, stream
from featherface.models.heads import Raw
from featherface.models.nano_b import NanoB, NanoBConfig
from featherface.training.checkpoint import CheckpointError
from featherface.training.distill import DistillationCriterion, DistillConfig
from featherface.training.loop import FitConfig, fit
from featherface.training.losses import CRITERIA, Criterion

RANKS, BATCH = 2, 4
CONFIG = FitConfig(crops=BATCH, batch=BATCH, warmup=0.0)
NAMES = (*CRITERIA, "distillation")


def criterion_of(name: str, anchors: Tensor) -> Criterion:
    """By name; the teacher of a distillation answers at random, differently for each crop."""
    if name in CRITERIA:
        return CRITERIA[name]

    def teacher(images: Tensor) -> Raw:
        shade = images.float().mean((1, 2, 3))[:, None, None] / 255  # other crops, other answers
        rng = torch.Generator().manual_seed(0)
        return Raw(*(shade * torch.randn(1, len(anchors), n, generator=rng) for n in (2, 4, 10)))

    rows = torch.arange(len(anchors))
    return DistillationCriterion(CRITERIA["multibox"], teacher, rows, DistillConfig())


def one_step(
    name: str, crops: CropDataset, anchors: Tensor, folder: Path, rank: int, ranks: int
) -> None:
    """Trains for a step; leaves the gradients, the losses, and what the labels count."""
    folder.mkdir(exist_ok=True)
    found: dict[str, Any] = {}
    criterion = criterion_of(name, anchors)

    def batches(seen: int) -> Iterator[Batch]:
        source = stream(crops, batch=BATCH // ranks, workers=0, first=seen, rank=rank, ranks=ranks)
        for batch in source:
            found["faces"] = len(batch.boxes)
            yield batch

    def look(model: NanoB, seen: int) -> None:
        found["gradients"] = {key: value.grad for key, value in model.named_parameters()}

    fit(
        fresh(),
        batches,
        criterion,
        anchors,
        folder,
        CONFIG,
        facts={},
        rank=rank,
        ranks=ranks,
        adjust=look,
    )
    if isinstance(criterion, DistillationCriterion):
        found["gradients"]["log_variance"] = criterion.log_variance.grad
    torch.save(found, folder / "found.pt")


def fresh() -> NanoB:
    """Every kind of module, few channels; the same each time."""
    torch.manual_seed(0)
    widths = ((4, 4, 8, 8, 8, 8), (12,) * 6, (16, 16))
    return NanoB(NanoBConfig(widths=widths, channels=16, repeats=1))


def work(rank: int, crops: CropDataset, anchors: Tensor, folder: Path) -> None:
    """One of the ranks; the first one also does all of it alone, before."""
    nn.BatchNorm2d.train = lambda self, _=True: nn.Module.train(self, False)  # stays so in `fit`
    for name in NAMES if rank == 0 else ():
        one_step(name, crops, anchors, folder / f"{name} alone", 0, 1)
    meeting = f"file://{folder / 'meeting'}"
    torch.distributed.init_process_group("gloo", meeting, rank=rank, world_size=RANKS)
    for name in NAMES:
        one_step(name, crops, anchors, folder / f"{name} {rank}", rank, RANKS)
    # Only the first one's folder has a state by now.
    with pytest.raises(CheckpointError) as error:
        one_step(NAMES[0], crops, anchors, folder / f"{NAMES[0]} {rank}", rank, RANKS)
    (folder / f"refused {rank}").write_text(str(error.value))
    # What still holds the group, a traceback or a cycle, can keep its threads until Python's end:
    # ranks were seen to abort there, everything written.
    del error
    gc.collect()
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def steps(crops: CropDataset, anchors: Tensor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A step with each criterion, alone and shared."""
    folder = tmp_path_factory.mktemp("steps")
    mp.spawn(work, (crops, anchors, folder), nprocs=RANKS)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_gradients_and_losses_are_those_of_one_process(steps: Path, name: str) -> None:
    alone, one, other = (
        torch.load(steps / f"{name} {part}" / "found.pt") for part in ("alone", 0, 1)
    )
    assert one["faces"] + other["faces"] == alone["faces"]
    assert one["faces"] != other["faces"], "a mean of the ranks' means would be another"
    assert alone["gradients"].keys() == one["gradients"].keys()
    largest = max(value.abs().max() for value in alone["gradients"].values())
    assert largest > 1e-3
    for found in (one, other):
        for key, value in alone["gradients"].items():
            torch.testing.assert_close(
                found["gradients"][key], value, rtol=1e-5, atol=1e-5 * float(largest), msg=key
            )
    wanted, told = (
        json.loads((steps / f"{name} {part}" / "metrics.jsonl").read_text())
        for part in ("alone", 0)
    )
    losses = wanted.keys() - {"minutes", "crops_per_second"}
    assert {"class", "box", "landmark"} <= losses
    assert {key: told[key] for key in losses} == pytest.approx(
        {key: wanted[key] for key in losses}, rel=1e-5, abs=2e-6
    )


@pytest.mark.slow
def test_ranks_do_not_go_on_from_different_states(steps: Path) -> None:
    for rank in range(RANKS):
        said = (steps / f"refused {rank}").read_text()
        assert f"{rank}/state.pt: some ranks go on after 4 crops, others after 0" in said
