"""`featherface distill` from labels and a teacher to files, killed, and in two processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from featherface.anchors import FEATHERFACE_V1, NANO_B, AnchorSpec, make_anchors
from featherface.data.loader import Batch, stream
from featherface.models.layers import normalise
from featherface.models.nano_b import NanoB, NanoBConfig
from featherface.models.zoo import nano_b_enhanced
from featherface.recipes.config import RecipeError, read_recipe
from featherface.recipes.distill import main
from featherface.recipes.export import main as export
from featherface.recipes.train import main as train
from featherface.recipes.train import open_data
from featherface.training.checkpoint import CheckpointError, load_model, load_state, save_model
from featherface.training.distill import DistillationCriterion, DistillConfig, nested_anchors
from featherface.training.losses import Divisor, aligned_loss
from featherface.training.teacher import load_teacher

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = ((4, 4, 8, 8, 8, 8), (12,) * 6, (16, 16))
TABLE = '\n[distill]\nweights = "learned"\n'


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The smoke run, shorter, with a teacher."""
    path = tmp_path / "recipe.toml"
    text = (ROOT / "configs" / "smoke.toml").read_text(encoding="utf-8")
    assert "crops = 32\n" in text
    path.write_text(text.replace("crops = 32\n", "crops = 8\n") + TABLE)
    return path


def write_teacher(path: Path, sizes: tuple[tuple[int, ...], ...] = FEATHERFACE_V1.sizes) -> Path:
    """A very small network with V1's anchors."""
    torch.manual_seed(9)
    spec = AnchorSpec((8, 16, 32), sizes)
    save_model(path, NanoB(NanoBConfig(widths=WIDTHS, channels=16, repeats=1, anchors=spec)), {})
    return path


def lines(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_run_in_pieces_equals_a_whole_one(recipe: Path, drawn: Path, tmp_path: Path) -> None:
    teacher = write_teacher(tmp_path / "teacher.safetensors")
    before = teacher.read_bytes()
    pieces, whole = tmp_path / "pieces", tmp_path / "whole"
    steady = recipe.read_text().replace("warmup = 0.25\n", "warmup = 0.0\nhold = 1.0\n")
    recipe.write_text(steady)
    main(recipe, pieces, teacher=teacher, data=drawn, crops=4, quiet=True)
    main(recipe, pieces, teacher=teacher, data=drawn, quiet=True)
    main(recipe, whole, teacher=teacher, data=drawn, quiet=True)
    one, other = (load_state(run / "state.pt") for run in (pieces, whole))
    assert torch.equal(one["criterion"]["log_variance"], other["criterion"]["log_variance"])
    assert all(torch.equal(one["model"][name], value) for name, value in other["model"].items())
    assert teacher.read_bytes() == before

    model, facts = load_model(whole / "model.safetensors")
    assert facts["teacher"] == "teacher.safetensors"
    told = {"temperature": 4.0, "weights": "learned", "smallest": 0.0}
    assert facts["recipe"]["distill"] == told
    assert model.state_dict().keys() == nano_b_enhanced().state_dict().keys()
    assert json.loads((whole / "run.json").read_text())["teacher"] == "teacher.safetensors"
    for name in ("kd_class", "kd_box", "kd_weight_class", "kd_weight_box", "kd_weight_landmark"):
        assert lines(whole)[-1][name] > 0
    train_run = tmp_path / "train"
    recipe.write_text(recipe.read_text().removesuffix(TABLE))
    train(recipe, train_run, data=drawn, crops=4, quiet=True)
    widths = []
    for run in (whole, train_run):
        with Image.open(run / "curves.png") as picture:
            widths.append(picture.width)
    assert widths[0] > widths[1]  # it shows the weights too


def test_two_processes_learn_the_same_weights(recipe: Path, drawn: Path, tmp_path: Path) -> None:
    teacher = write_teacher(tmp_path / "teacher.safetensors")
    run = tmp_path / "run"
    start = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "featherface"]
    options = ["--teacher", str(teacher), "--data", str(drawn), "--crops", "4"]
    ran = subprocess.run(
        [sys.executable, "-m", *start, "distill", str(recipe), str(run), *options],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    state = load_state(run / "state.pt")
    assert state["seen"] == 4
    assert len(state["criterion"]["log_variance"]) == 3
    # Adam kept a tenth of the mean of both ranks' gradients; here are those gradients.
    config = read_recipe(recipe)
    torch.manual_seed(config.seed)
    model = nano_b_enhanced().train().to(memory_format=torch.channels_last)
    crops = open_data(
        config, drawn, tmp_path / "pixels", NANO_B, rank=0, progress=lambda done, total: None
    )
    size = (config.crop.size,) * 2
    anchors = torch.from_numpy(make_anchors(NANO_B, size))
    rows = torch.from_numpy(nested_anchors(FEATHERFACE_V1, NANO_B, size))
    batches = [next(stream(crops, batch=2, workers=0, rank=rank, ranks=2)) for rank in (0, 1)]

    def gradient(batch: Batch, divisor: Divisor) -> Tensor:
        criterion = DistillationCriterion(
            aligned_loss, load_teacher(teacher), rows, DistillConfig()
        )
        losses = criterion(model(normalise(batch.images)), batch, anchors, divisor)
        torch.stack(list(losses.values())).sum().backward()
        assert criterion.log_variance.grad is not None
        return criterion.log_variance.grad

    counts: list[list[Tensor]] = [[], []]  # by rank, what each divisor is asked for

    def counted(rank: int, count: Tensor) -> Tensor:
        counts[rank].append(count)
        return count.clamp(min=1)

    for rank, batch in enumerate(batches):
        gradient(batch, partial(counted, rank))
    together = [sum(pair).clamp(min=1) / 2 for pair in zip(*counts, strict=True)]
    gradients = []
    for batch in batches:
        asked = iter(together)
        gradients.append(gradient(batch, lambda _, asked=asked: next(asked)))
    last = state["optimiser"]["param_groups"][-1]["params"][0]
    found = state["optimiser"]["state"][last]["exp_avg"]
    torch.testing.assert_close(found, 0.1 * (gradients[0] + gradients[1]) / 2, rtol=1e-3, atol=1e-5)
    assert not torch.allclose(gradients[0], gradients[1], rtol=1e-2)


def test_an_exported_teacher_and_its_cache_teach_the_same(
    recipe: Path, drawn: Path, tmp_path: Path
) -> None:
    weights = ROOT / "src" / "featherface" / "weights" / "nano_b_enhanced.safetensors"
    graph, cache = tmp_path / "teacher.onnx", tmp_path / "answers"
    export(weights, graph)
    recipe.write_text("pool = 4\n" + recipe.read_text())
    runs = {name: tmp_path / name for name in ("torch", "onnx", "kept", "again")}
    main(recipe, runs["torch"], teacher=weights, data=drawn, quiet=True)
    main(recipe, runs["onnx"], teacher=graph, data=drawn, quiet=True)
    main(recipe, runs["kept"], teacher=graph, cache=cache, data=drawn, quiet=True)
    entries = {path: path.stat().st_mtime_ns for path in cache.rglob("*.npz")}
    assert len(entries) == 4  # of 8 crops that were seen
    main(recipe, runs["again"], teacher=graph, cache=cache, data=drawn, quiet=True)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.npz")} == entries
    wanted = load_state(runs["torch"] / "state.pt")["criterion"]["log_variance"]
    for name in ("onnx", "kept", "again"):
        found = load_state(runs[name] / "state.pt")["criterion"]["log_variance"]
        torch.testing.assert_close(found, wanted, rtol=1e-2, atol=1e-4)


def test_the_table_belongs_to_distill(recipe: Path, drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"recipe\.toml: has a \[distill\] table"):
        train(recipe, tmp_path / "run", data=drawn, quiet=True)
    assert not (tmp_path / "run").exists()


def test_teachers_that_cannot_teach_are_refused(recipe: Path, drawn: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(CheckpointError, match=r"absent\.safetensors: no such file"):
        main(recipe, run, teacher=tmp_path / "absent.safetensors", data=drawn, quiet=True)
    sizes = ((16, 24), (64, 128), (256, 512))
    teacher = write_teacher(tmp_path / "teacher.safetensors", sizes)
    with pytest.raises(ValueError, match="does not nest"):
        main(recipe, run, teacher=teacher, data=drawn, quiet=True)
    assert not (run / "run.json").exists()
