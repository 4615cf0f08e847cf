"""`featherface prune` from a dense network to a smaller one, in one go, killed, and by two."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from featherface.models.layers import count_parameters
from featherface.models.zoo import nano_b_enhanced_dense
from featherface.recipes.config import RecipeError
from featherface.recipes.prune import main
from featherface.recipes.train import main as train
from featherface.training.checkpoint import load_model, load_state, save_model

ROOT = Path(__file__).resolve().parents[2]
RECIPE = """
network = "weights"
workers = 0
[[data]]
labels = "labels.txt"
[crop]
size = 64
[fit]
crops = 8
batch = 2
save_minutes = 0
[prune]
recovery = 8
validation = 2
hold_out = 0.5
every = 2
[prune.search]
trials = 4
startup = 2
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "prune.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("dense") / "dense.safetensors"
    save_model(path, nano_b_enhanced_dense(), {"name": "nano_b_enhanced_dense"})
    return path


@pytest.fixture(scope="module")
def whole(recipe: Path, dense: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    main(recipe, run, weights=dense, data=drawn, quiet=True)
    return run


def rows(run: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]


def test_the_result_is_smaller_and_can_be_used(
    whole: Path, recipe: Path, drawn: Path, tmp_path: Path
) -> None:
    model, facts = load_model(whole / "pruned.safetensors")
    assert abs(count_parameters(model) - 136_000) <= 2_000
    assert tuple(stage[-1] for stage in model.config.widths) == (27, 50, 87)
    assert facts["name"] == "nano_b_enhanced"
    recipe = tmp_path / "tune.toml"
    recipe.write_text(RECIPE.partition("[prune]")[0])
    run = tmp_path / "tuned"
    train(recipe, run, data=drawn, weights=whole / "pruned.safetensors", crops=2, quiet=True)
    train(recipe, run, data=drawn, crops=4, quiet=True)  # a resumed run needs no --weights
    tuned, facts = load_model(run / "model.safetensors")
    assert tuned.config == model.config
    assert facts["crops"] == 4
    assert facts["start"] == "all weights of pruned.safetensors"
    with pytest.raises(RecipeError, match="say which with --weights"):
        train(recipe, tmp_path / "other", data=drawn, quiet=True)


def test_what_a_run_tells(whole: Path) -> None:
    trials = rows(whole)
    assert [row["number"] for row in trials] == [0, 1, 2, 3]
    with (whole / "trials.csv").open(newline="") as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == [r["loss"] for r in trials]
    about = json.loads((whole / "pruned.json").read_text())
    best = min(trials, key=lambda row: row["loss"])
    assert about["trial"] == best["number"]
    assert about["parameters"] == best["parameters"]
    assert about["largest_difference_silenced_to_cut"] < 1e-4
    assert about["losses"]["cut"] == pytest.approx(about["losses"]["silenced"], abs=1e-4)
    kept = about["kept"]["backbone.stage3.1.3"]
    assert len(kept) == len(set(kept)) == 87
    assert about["of"]["backbone.stage3.1.3"] == 128
    for name in ("search.png", "channels.png"):
        with Image.open(whole / name) as picture:
            assert picture.width > 1000
    assert load_state(soft_state(whole))["seen"] == 8
    assert not list(whole.glob("trial-*"))


def soft_state(run: Path) -> Path | None:
    return next(run.glob("soft-*/state.pt"), None)


def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "featherface", "prune", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def wait(is_time: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while not is_time() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


def kill_when(is_time: Callable[[], bool], *arguments: str | Path) -> None:
    process = start(*arguments)
    wait(is_time, process)
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_killed_in_search_and_soft_phase_equals_uninterrupted(
    whole: Path, recipe: Path, dense: Path, drawn: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = (recipe, run, "--data", drawn)
    kill_when((run / "trial-002" / "state.pt").exists, *command, "--weights", dense)
    assert len(rows(run)) < 4
    assert not soft_state(run)
    kill_when(lambda: bool(soft_state(run)), *command)
    assert not (run / "pruned.safetensors").exists()
    main(recipe, run, data=drawn, quiet=True)

    assert rows(run) == rows(whole)
    one, other = load_state(soft_state(run)), load_state(soft_state(whole))
    for part in ("model", "average"):
        assert all(torch.equal(one[part][name], value) for name, value in other[part].items())
    (ours, _), (theirs, _) = (load_model(each / "pruned.safetensors") for each in (run, whole))
    assert ours.config == theirs.config
    state = ours.state_dict()
    assert all(torch.equal(state[name], value) for name, value in theirs.state_dict().items())
    found, expected = (json.loads((each / "pruned.json").read_text()) for each in (run, whole))
    assert found == expected


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one folder", "database"])
def test_a_killed_worker_s_trial_is_finished_by_the_other(
    kind: str,
    whole: Path,
    recipe: Path,
    dense: Path,
    drawn: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """Two in one folder, or each in its own as on two machines."""
    given: list[str | Path] = ["--weights", dense, "--data", drawn, "--pixels", tmp_path / "pixels"]
    folders = [tmp_path / "prune"] * 2
    if kind == "database":
        folders = [tmp_path / name / tmp_path.name for name in ("one", "other")]
        given += ["--storage", request.getfixturevalue("database")]
    one = start(recipe, folders[0], *given)
    wait((folders[0] / "trial-000" / "state.pt").exists, one)
    os.kill(one.pid, signal.SIGSTOP)  # in the middle of its trial until it is killed
    other = start(recipe, folders[1], *given)
    try:
        wait((folders[1] / "trial-001").exists, other)
    finally:
        one.kill()
        one.communicate()
        _, said = other.communicate(timeout=600)
    assert other.returncode == 0, said
    found = rows(folders[1])
    assert [row["number"] for row in found] == [0, 1, 2, 3]
    assert found[0] == rows(whole)[0], "the first trial has its rates, and the result they give"
    assert len({json.dumps([row["widths"], row["hidden"]]) for row in found}) == 4
    assert all(row["loss"] for row in found)
    assert (folders[1] / "pruned.safetensors").exists()


def test_a_run_is_of_one_network_and_one_recipe(
    whole: Path, recipe: Path, dense: Path, drawn: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    save_model(other, nano_b_enhanced_dense(), {})
    with pytest.raises(RecipeError, match=r"other\.safetensors: is not the network that"):
        main(recipe, whole, weights=other, data=drawn, quiet=True)
    with pytest.raises(ValueError, match=r"study\.db.*another search"):
        main(recipe, whole, data=drawn, strategy="random", quiet=True)
    with pytest.raises(RecipeError, match="give a dense network with --weights"):
        main(recipe, tmp_path / "new", data=drawn, quiet=True)
    with pytest.raises(RecipeError, match="use it with `featherface prune`"):
        train(recipe, tmp_path / "new", data=drawn, weights=dense, quiet=True)


def test_pictures_for_both_sides(recipe: Path, dense: Path, drawn: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.toml"
    few.write_text(RECIPE.replace("hold_out = 0.5", "hold_out = 0.001"))
    with pytest.raises(RecipeError, match=r"hold_out: 0\.001 of 4 pictures leaves none to measure"):
        main(few, tmp_path / "run", weights=dense, data=drawn, quiet=True)
