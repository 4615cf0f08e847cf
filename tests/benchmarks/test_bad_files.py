"""The short form of `benchmarks/bad_files.py`, and the page that soaking leaves."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import bad_files
import kills
from soak import RESULTS, Row, keep, page, read

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


@pytest.mark.slow
@pytest.mark.parametrize("what", ["names", "links", "pipes", "read-only", "full disk"])
def test_odd_files_and_disks(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        assert bad_files.TRIED[what](tmp_path)
    except PermissionError as error:
        pytest.skip(str(error))


def test_many_files(tmp_path: Path) -> None:
    assert bad_files.many(tmp_path, 30).startswith("30 files in ")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["distillation", "pictures blurred"])
def test_killed_at_a_random_moment(name: str, tmp_path: Path) -> None:
    results = tmp_path / "soak.jsonl"
    assert kills.main(name, kills=1, seed=3, results=results) == 0
    assert read(results)[0]["faults"] == 0


def test_a_row_takes_the_place_of_the_one_of_its_name(tmp_path: Path) -> None:
    results = tmp_path / "soak.jsonl"
    facts = {"tried": "a | b", "faults": 0, "minutes": 1.26, "command": "python x.py"}
    for what, outcome in (("a", "1"), ("b", "2"), ("a", "3")):
        keep(Row(what=what, outcome=outcome, **facts), results)
    assert [(row["what"], row["outcome"]) for row in read(results)] == [("a", "3"), ("b", "2")]
    text = results.with_suffix(".md").read_text()
    assert "| a | a \\| b | 3 | 0 | 1.3 | `python x.py` |" in text


def test_the_committed_page_says_what_the_rows_say() -> None:
    rows = read()
    assert RESULTS.with_suffix(".md").read_text(encoding="utf-8") == page(rows)
    assert all(row["faults"] == 0 for row in rows)


def test_every_part_of_the_soak_has_its_row() -> None:
    killed = {f"kill -9: {name}" for name in kills.JOBS}
    wanted = {"pictures", "other inputs", "many files", "clients", *bad_files.TRIED, *killed}
    assert {row["what"] for row in read()} == wanted
