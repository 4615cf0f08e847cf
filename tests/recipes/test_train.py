"""`featherface train` from labels to files, in one process, killed, and in two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from featherface.data import loader
from featherface.data.crops import Faces
from featherface.data.labels import LabelError, read_labels
from featherface.models.layers import count_parameters
from featherface.models.zoo import nano_b_enhanced
from featherface.recipes.config import RecipeError
from featherface.recipes.train import main
from featherface.training.checkpoint import load_model, load_state, save_model
from featherface.types import Floats, Pixels

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ROOT / "configs" / "smoke.toml"
FILES = {"curves.png", "metrics.jsonl", "model.safetensors", "run.json", "state.pt"}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A shorter smoke run that saves after every step."""
    path = tmp_path / "recipe.toml"
    text = SMOKE.read_text(encoding="utf-8")
    assert "crops = 32\n" in text
    path.write_text(text.replace("crops = 32\n", "crops = 12\nsave_minutes = 0\n"))
    return path


def command(*arguments: str | Path, ranks: int = 1) -> list[str]:
    torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", "-m"]
    start = torchrun if ranks > 1 else []
    return [sys.executable, "-m", *start, "featherface", "train", *map(str, arguments)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}


def seen(run: Path) -> list[int]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["seen"] for line in lines]


def test_the_smoke_recipe_in_two_processes(drawn: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    ran = subprocess.run(
        command(SMOKE, run, "--data", drawn, ranks=2),
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert {path.name for path in run.iterdir()} == FILES
    assert ran.stderr.count("decoded 4 of 4 pictures") == 1, "only one of them decodes"
    assert seen(run) == [32]
    assert load_state(run / "state.pt")["seen"] == 32
    model, about = load_model(run / "model.safetensors")
    assert about["recipe"]["criterion"] == "aligned"
    assert all(value.isfinite().all() for value in model.state_dict().values())
    fresh = nano_b_enhanced().state_dict()
    assert not torch.equal(
        model.state_dict()["heads.class_logits.0.bias"], fresh["heads.class_logits.0.bias"]
    )


def test_killed_and_resumed_equals_uninterrupted(recipe: Path, drawn: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    pixels = tmp_path / "pixels"
    process = subprocess.Popen(
        command(recipe, killed, "--data", drawn, "--pixels", pixels),
        env=environment(),
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 120
    while not (killed / "state.pt").exists() and time.monotonic() < deadline:
        assert process.poll() in (None, 0), process.communicate()
        time.sleep(0.01)
    process.kill()
    process.communicate()
    main(recipe, killed, data=drawn, pixels=pixels, quiet=True)
    main(recipe, whole, data=drawn, pixels=pixels, quiet=True)

    one, other = load_state(killed / "state.pt"), load_state(whole / "state.pt")
    assert one["seen"] == other["seen"] == 12
    for part in ("model", "average"):
        assert one[part].keys() == other[part].keys()
        assert all(torch.equal(one[part][name], value) for name, value in other[part].items())
    for parameter, moments in other["optimiser"]["state"].items():
        ours = one["optimiser"]["state"][parameter]
        assert all(torch.equal(ours[name], value) for name, value in moments.items())
    assert seen(killed)[-1] == seen(whole)[-1] == 12


def test_what_a_run_says_of_itself(recipe: Path, drawn: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    main(recipe, run, data=drawn, crops=4, seed=3, quiet=True)
    about = json.loads((run / "run.json").read_text())
    assert about["name"] == "nano_b_enhanced"
    assert about["parameters"] == count_parameters(nano_b_enhanced())
    assert about["start"] == "scratch"
    assert about["recipe"]["fit"]["crops"] == 4
    assert about["recipe"]["seed"] == 3
    with Image.open(run / "curves.png") as picture:
        assert picture.width > 500

    # A run that started from weights still says so after it was resumed.
    later = tmp_path / "later"
    for crops in (4, 8):
        main(recipe, later, data=drawn, crops=crops, weights=run / "model.safetensors", quiet=True)
    _, facts = load_model(later / "model.safetensors")
    assert facts["crops"] == 8
    assert facts["start"] == "all weights of model.safetensors"
    assert seen(later) == [4, 8]


def test_a_moment_is_enough(recipe: Path, drawn: Path, tmp_path: Path) -> None:
    main(recipe, tmp_path / "short", data=drawn, minutes=1e-9, quiet=True)
    assert seen(tmp_path / "short") == [4]
    assert {path.name for path in (tmp_path / "short").iterdir()} == FILES
    main(recipe, tmp_path / "none", data=drawn, minutes=0, quiet=True)
    assert {path.name for path in (tmp_path / "none").iterdir()} == FILES - {
        "metrics.jsonl",
        "curves.png",
    }


def test_a_teacher_is_not_trained(recipe: Path, drawn: Path, tmp_path: Path) -> None:
    recipe.write_text(recipe.read_text().replace('"nano_b_enhanced"', '"featherface_v1"'))
    with pytest.raises(RecipeError, match="'featherface_v1' is a teacher"):
        main(recipe, tmp_path / "run", data=drawn, quiet=True)


def test_a_recipe_adds_a_look_at_stride_4(recipe: Path, drawn: Path, tmp_path: Path) -> None:
    given, run = tmp_path / "given.safetensors", tmp_path / "run"
    save_model(given, nano_b_enhanced(), {"name": "given"})
    first, _, rest = recipe.read_text().partition("[[data]]")
    lines = [line for line in first.splitlines() if not line.startswith("network")]
    recipe.write_text(
        "\n".join([*lines, 'network = "weights"', "detail = true", "[[data]]"]) + rest
    )
    main(recipe, run, data=drawn, weights=given, crops=4, quiet=True)
    model, about = load_model(run / "model.safetensors")
    assert (model.config.detail, about["name"]) == (True, "given")
    assert about["start"] == "all weights of given.safetensors, stride 4 from zero"
    assert model.decouple.detail.weight.any()
    main(recipe, run, data=drawn, weights=given, crops=8, quiet=True)  # and it goes on
    assert seen(run)[-1] == 8


def test_missing_labels_are_named(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises((LabelError, OSError), match=r"labels\.txt"):
        main(recipe, tmp_path / "run", data=tmp_path, quiet=True)


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"absent\.toml: no such recipe"):
        main(tmp_path / "absent.toml", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_mistakes_are_shown_again(
    recipe: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []
    cut = loader.draw_crop

    def noted(*given: Any, mistakes: Floats) -> tuple[Pixels, Faces]:
        shown.append(len(mistakes))
        return cut(*given, mistakes=mistakes)

    monkeypatch.setattr(loader, "draw_crop", noted)
    recipe.write_text("workers = 0\n" + recipe.read_text())
    picture = read_labels(drawn)[0].path
    face = {"box": [0, 0, 1, 1], "score": 0.4, "landmarks": [[0, 0]] * 5}
    found = tmp_path / "found.jsonl"
    found.write_text(json.dumps({"path": str(picture), "faces": [face] * 3}) + "\n")
    main(recipe, tmp_path / "run", data=drawn, mistakes=found, quiet=True)
    assert set(shown) == {0, 3}
    assert json.loads((tmp_path / "run" / "run.json").read_text())["mistakes"] == 3

    with pytest.raises(RecipeError, match="began with 3 mistakes, now 0 are given"):
        main(recipe, tmp_path / "run", data=drawn, quiet=True)
    main(recipe, tmp_path / "run", data=drawn, mistakes=found, quiet=True)
    with pytest.raises(OSError, match=r"absent\.jsonl"):
        main(recipe, tmp_path / "no", data=drawn, mistakes=tmp_path / "absent.jsonl", quiet=True)
