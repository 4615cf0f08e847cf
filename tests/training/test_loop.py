"""The training loop: a run that was stopped and resumed equals one that was not."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from featherface.data.loader import Batch, CropDataset, stream
from featherface.models.heads import Raw
from featherface.models.nano_b import NanoB
from featherface.training import loop
from featherface.training.average import Average
from featherface.training.checkpoint import CheckpointError, load_model, load_state, save_state
from featherface.training.loop import FitConfig, fit
from featherface.training.losses import CRITERIA, Divisor, Losses, aligned_loss

STEPS, BATCH = 5, 2
STEP_SECONDS = 31.0  # as the clock goes here: every step is logged
CONFIG = FitConfig(crops=STEPS * BATCH, batch=BATCH, warmup=0.2, hold=0.5)
SAVING = dataclasses.replace(CONFIG, save_minutes=0.0)  # after every step


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count()
    clock = SimpleNamespace(monotonic=lambda: STEP_SECONDS * next(ticks))
    monkeypatch.setattr(loop, "time", clock)


@pytest.fixture
def go(tiny: NanoB, crops: CropDataset, anchors: Tensor) -> Callable[..., Average]:
    """Train a fresh tiny network in a folder; kill it after some steps."""

    def run(
        folder: Path,
        *,
        config: FitConfig = CONFIG,
        kill_after: int | None = None,
        send: signal.Signals | None = None,
        workers: int = 0,
        criterion: str = "aligned",
        widths: tuple[tuple[int, ...], ...] = tiny.config.widths,
    ) -> Average:
        folder.mkdir(exist_ok=True)

        def batches(seen: int) -> Iterator[Batch]:
            source = stream(crops, batch=config.batch, workers=workers, first=seen)
            for step in count():
                if step == kill_after:
                    raise Killed
                if send and step == 2:
                    signal.raise_signal(send)
                yield next(source)

        torch.manual_seed(3)
        plain = dataclasses.replace(tiny.config, scale_sequence=False, semantic=False)
        model = NanoB(dataclasses.replace(plain, widths=widths))
        facts = {"recipe": "a test"}
        return fit(model, batches, CRITERIA[criterion], anchors, folder, config, facts=facts)

    return run


def metrics(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def assert_equal(one: Any, other: Any, where: str = "state") -> None:
    """Bit for bit."""
    assert type(one) is type(other), where
    if isinstance(one, Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key, value in one.items():
            assert_equal(value, other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_equal(left, right, f"{where}[{number}]")
    else:
        assert one == other, where


@pytest.mark.parametrize(
    ("kills", "workers", "criterion"),
    [((3,), 0, "multibox"), ((2, 1), 0, "aligned"), ((1, 2), 1, "aligned")],
    ids=["once", "twice", "twice, with a worker"],
)
def test_a_resumed_run_equals_an_uninterrupted_one(
    go: Callable[..., Average], tmp_path: Path, kills: tuple[int, ...], workers: int, criterion: str
) -> None:
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    expected = go(whole, criterion=criterion)
    for kill_after in kills:
        with pytest.raises(Killed):
            go(pieces, config=SAVING, kill_after=kill_after, workers=workers, criterion=criterion)
    found = go(pieces, workers=workers, criterion=criterion)

    # Weights, average, optimiser, crops seen and even the time spent.
    assert_equal(load_state(pieces / "state.pt"), load_state(whole / "state.pt"))
    assert_equal(found.model.state_dict(), expected.model.state_dict())
    assert (pieces / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert [line["seen"] for line in metrics(whole)] == [BATCH * (n + 1) for n in range(STEPS)]
    assert metrics(pieces) == metrics(whole)


def test_what_was_done_after_the_last_save_is_done_again(
    go: Callable[..., Average], tmp_path: Path
) -> None:
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    seldom = dataclasses.replace(CONFIG, save_minutes=1.5)  # after the third step
    go(whole, config=seldom)
    with pytest.raises(Killed):
        go(pieces, config=seldom, kill_after=4)
    assert load_state(pieces / "state.pt")["seen"] == 3 * BATCH
    assert metrics(pieces)[-1]["seen"] == 4 * BATCH
    with (pieces / "metrics.jsonl").open("a") as file:
        file.write('{"class": 0.31, "se')  # killed while it wrote
    go(pieces, config=seldom)
    assert metrics(pieces) == metrics(whole)
    ours, theirs = load_state(pieces / "state.pt"), load_state(whole / "state.pt")
    assert_equal(ours, theirs)


def test_killed_before_the_first_save_is_a_new_run(
    go: Callable[..., Average], tmp_path: Path
) -> None:
    never = dataclasses.replace(CONFIG, save_minutes=1e9)
    with pytest.raises(Killed):
        go(tmp_path, config=never, kill_after=2)
    assert not (tmp_path / "state.pt").exists()
    go(tmp_path, config=never)
    assert [line["seen"] for line in metrics(tmp_path)] == [BATCH * (n + 1) for n in range(STEPS)]


@pytest.mark.parametrize(
    "change", [{"model": 3}, {"average": []}, {"optimiser": {}}, {"seen": None}, {"spent": "long"}]
)
def test_a_state_with_entries_of_another_kind_is_named(
    go: Callable[..., Average], tmp_path: Path, change: dict[str, object]
) -> None:
    go(tmp_path, config=dataclasses.replace(CONFIG, crops=BATCH))
    path = tmp_path / "state.pt"
    save_state(path, load_state(path) | change)
    with pytest.raises(CheckpointError, match=r"state\.pt: is of another network"):
        go(tmp_path)


def test_the_result_is_the_average(go: Callable[..., Average], tmp_path: Path) -> None:
    average = go(tmp_path)
    model, about = load_model(tmp_path / "model.safetensors")
    assert_equal(model.state_dict(), average.model.state_dict())
    assert about["crops"] == STEPS * BATCH
    assert about["recipe"] == "a test"
    assert_equal(load_state(tmp_path / "state.pt")["average"], average.model.state_dict())
    state, lines = load_state(tmp_path / "state.pt"), metrics(tmp_path)
    bias = "heads.class_logits.0.bias"
    assert not torch.equal(state["model"][bias], state["average"][bias])
    go(tmp_path)  # there is nothing left to do
    assert_equal(load_state(tmp_path / "state.pt"), state)
    assert metrics(tmp_path) == lines


@pytest.mark.parametrize("request_to_end", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_end_it_saves_and_goes_on_later(
    go: Callable[..., Average], tmp_path: Path, request_to_end: signal.Signals
) -> None:
    handler = signal.getsignal(request_to_end)
    go(tmp_path, send=request_to_end)
    assert signal.getsignal(request_to_end) is handler
    state = load_state(tmp_path / "state.pt")
    assert state["seen"] == 3 * BATCH
    go(tmp_path)
    assert load_state(tmp_path / "state.pt")["seen"] == STEPS * BATCH


def test_time_ends_a_run_too(go: Callable[..., Average], tmp_path: Path) -> None:
    timed = dataclasses.replace(CONFIG, crops=10**9, minutes=2.0)
    go(tmp_path, config=timed)  # the fourth step ends after 124 s
    assert load_state(tmp_path / "state.pt")["seen"] == 4 * BATCH
    last = metrics(tmp_path)[-1]
    assert last["seen"] == 4 * BATCH
    assert last["rate"] < CONFIG.rate  # the schedule knew how little time there was
    # More time, and it goes on.
    go(tmp_path, config=dataclasses.replace(timed, minutes=2.5))
    assert load_state(tmp_path / "state.pt")["seen"] == 5 * BATCH


def test_no_time_at_all(go: Callable[..., Average], tmp_path: Path) -> None:
    go(tmp_path, config=dataclasses.replace(CONFIG, minutes=0.0))
    assert load_state(tmp_path / "state.pt")["seen"] == 0
    assert not (tmp_path / "metrics.jsonl").exists()


@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_a_loss_or_gradient_that_is_not_finite_stops_the_run(
    tiny: NanoB, crops: CropDataset, anchors: Tensor, tmp_path: Path, bad: str
) -> None:
    steps = count()

    def criterion(raw: Raw, batch: Batch, anchors: Tensor, divisor: Divisor) -> Losses:
        losses = aligned_loss(raw, batch, anchors, divisor)
        if next(steps) == 2:
            if bad == "loss":
                return losses | {"box": losses["box"] * float("nan")}
            root = (raw.box_deltas * 0).sum().abs().sqrt()  # 0, of infinite slope
            return losses | {"box": losses["box"] + root}
        return losses

    def batches(seen: int) -> Iterator[Batch]:
        return stream(crops, batch=BATCH, workers=0, first=seen)

    with pytest.raises(FloatingPointError, match="after 4 crops"):
        fit(tiny, batches, criterion, anchors, tmp_path, SAVING, facts={})
    state = load_state(tmp_path / "state.pt")
    assert state["seen"] == 2 * BATCH
    assert all(value.isfinite().all() for value in state["model"].values())


def test_another_networks_state_is_refused(go: Callable[..., Average], tmp_path: Path) -> None:
    go(tmp_path, config=dataclasses.replace(CONFIG, crops=BATCH))
    wider = ((8, 8, 8, 8, 8, 8), (12,) * 6, (16, 16))
    with pytest.raises(CheckpointError, match=r"state\.pt: is of another network"):
        go(tmp_path, widths=wider)
    save_state(tmp_path / "state.pt", {"something": 1})
    with pytest.raises(CheckpointError, match=r"state\.pt: is of another network"):
        go(tmp_path)


def test_weight_decay_is_for_kernels_only(tiny: NanoB) -> None:
    decayed, rest = loop._groups(tiny, 0.01)
    assert decayed["weight_decay"] == 0.01
    assert rest["weight_decay"] == 0
    names = {id(parameter): name for name, parameter in tiny.named_parameters()}
    assert len(decayed["params"]) + len(rest["params"]) == len(names)
    for parameter in decayed["params"]:
        assert parameter.ndim == 4, names[id(parameter)]
    norms = [m for m in tiny.modules() if isinstance(m, nn.BatchNorm2d)]
    free = {id(parameter) for parameter in rest["params"]}
    assert {id(norm.weight) for norm in norms} <= free


def test_bfloat16_trains(go: Callable[..., Average], tmp_path: Path) -> None:
    go(tmp_path, config=dataclasses.replace(CONFIG, bfloat16=True, crops=2 * BATCH))
    state = load_state(tmp_path / "state.pt")["model"]
    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float32}
