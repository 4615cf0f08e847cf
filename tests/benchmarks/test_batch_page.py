"""The table of batches and the block in docs/scale.md say what the rows say, and are not stale."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from batch_page import PAGE, ROWS, TABLE, Measured, block, publish, read, table
from table import END, START, replace_block

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


@pytest.fixture
def row() -> Measured:
    """Made-up figures, every one of them different."""
    rates = {"pool 1": 45.0, "pool 2": 88.0, "ray 1": 42.0, "ray 2": 80.0}
    return Measured(
        date="2026-11-26",
        processor="a processor",
        cores=2,
        load=0.1,
        python="3.11.7",
        onnxruntime="1.32.0",
        pyarrow="26.0.1",
        ray="2.60.0",
        featherface="0.1.0",
        pictures=1000,
        rounds=2,
        rates=rates,
        bests={name: rate + 1 for name, rate in rates.items()},
        starts={"pool": 1.5, "ray": 9.5},
        many=5000,
        memory={"pool": (300_000_000, 310_000_000), "ray": (1_500_000_000, 1_510_000_000)},
        parts_a_second=100.0,
        plan_microseconds=36.0,
        plan_bytes=170.0,
        read_bytes=125_000.0,
        face_bytes=82.0,
        faces=20.0,
    )


def test_the_block_extends_the_figures(row: Measured) -> None:
    text = block(row)
    assert "| ray, two nodes | 42.0 | 80.0 | 1.90 | 9.5 |" in text
    # 1e9 / (40 a second and core x 1000 cores) = 25,000 s = 6.9 h; 40,000 x 125 KB = 5 GB
    assert "| 1,000 | 6.9 | 6,944 | 5.00 | 40.0 |" in text
    assert "Two actors did 1.90 times the work of one, and 91% of what" in text
    assert "125 TB of pictures" in text
    assert "82 GB for one face a picture, 1.6 TB for as many as here" in text
    assert "feeds 2,500 actors" in text
    assert "10.0 hours and 170 GB for a billion" in text


def test_the_table_has_a_line_a_row(row: Measured) -> None:
    text = table([row, replace(row, date="2026-11-27")])
    assert "| 2026-11-26 | 1,000 × 2 | 45.0 (best 46.0) | 88.0 (best 89.0) | " in text
    assert "| 1.90 | 91% | 1.5 and 9.5 | 5,000 | 300 and 310 | 1500 and 1510 | " in text
    assert text.count("\n| 2026-11-2") == 2


def test_publishing_twice_changes_nothing(row: Measured, tmp_path: Path) -> None:
    page = tmp_path / "scale.md"
    page.write_text(f"before\n{START}\nold\n{END}\nafter\n")
    (tmp_path / ROWS).write_text(json.dumps(asdict(row)) + "\n")
    publish(tmp_path, page)
    first = page.read_text()
    assert first == f"before\n{START}\n{block(row)}{END}\nafter\n"
    publish(tmp_path, page)
    assert page.read_text() == first


def test_the_page_and_the_table_show_the_committed_rows() -> None:
    rows = read(RESULTS / ROWS)
    page = PAGE.read_text(encoding="utf-8")
    assert page == replace_block(page, block(rows[-1])), "stale; run: python benchmarks/batch.py"
    assert (RESULTS / TABLE).read_text(encoding="utf-8") == table(rows)
