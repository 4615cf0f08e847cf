"""Studies: arms become recipes, results find their runs, and the table shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import study
from featherface.recipes.config import read_recipe

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted((ROOT / "benchmarks" / "studies").glob("*.toml"))
STUDIES.remove(ROOT / "benchmarks" / "studies" / "base.toml")


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_arm_is_a_recipe(path: Path, tmp_path: Path) -> None:
    about = study.read_toml(path)
    runs = study.runs_of(about)
    assert len({run.folder for run in runs}) == len(runs)
    base = study.read_toml(ROOT / about["recipe"])
    for run in runs:
        recipe = tmp_path / f"{run.folder}.toml"
        recipe.write_text(study.to_toml(study.merged(base, run.settings)))
        assert study.read_toml(recipe) == study.merged(base, run.settings)
        config = read_recipe(recipe)
        assert config.fit.crops == about["set"]["fit"]["crops"]
        assert bool(config.distill) == bool(run.teacher)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_table_is_that_of_the_rows(path: Path) -> None:
    results = ROOT / "benchmarks" / "results" / path.with_suffix(".md").name
    rows = study.read_rows(results.with_suffix(".jsonl"))
    if not rows:
        pytest.skip(f"{path.name} has not been run yet")
    about = study.read_toml(path)
    name = path.relative_to(ROOT)
    assert results.read_text() == study.table(name, about, rows)
    assert all(any(study.is_row_of(run, row) for run in study.runs_of(about)) for row in rows)


def test_tables_are_merged_entry_by_entry() -> None:
    base = {"fit": {"crops": 1, "rate": 2.0}, "seed": 3}
    both = study.merged(base, {"fit": {"crops": 5}, "pool": 4})
    assert both == {"fit": {"crops": 5, "rate": 2.0}, "seed": 3, "pool": 4}
    assert base == {"fit": {"crops": 1, "rate": 2.0}, "seed": 3}


def test_another_setting_is_another_run() -> None:
    about: dict[str, Any] = {"set": {}, "seeds": [1, 2], "arm": [{"name": "a"}]}
    first, second = study.runs_of(about)
    row = {"arm": "a", "seed": 1, "settings": {}, "teacher": None}
    assert study.is_row_of(first, row)
    assert not study.is_row_of(second, row)
    assert not study.is_row_of(first, {**row, "settings": {"seed": 5}})
