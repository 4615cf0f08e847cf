"""Tables say what the rows say; the committed ones, and the README's, are not stale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from machine import this_machine
from plot import draw
from rows import Accuracy, Cost, Run, Speed, read, write
from table import (
    END,
    README,
    RESULTS,
    ROWS,
    SHRINK,
    START,
    TABLES,
    publish,
    replace_block,
    summary,
    tables,
)

BANDS = ("all", "<16", "16-32", "<32", "32-96", ">96")
NAMES = ("featherface a", "FeatherFace V1", "YuNet-n", "SCRFD-500M")


@pytest.fixture
def run() -> Run:
    """A run with made-up figures, every one of them different."""
    costs = tuple(
        Cost(
            detector=name,
            file=f"{index}.onnx",
            file_bytes=100_000 * index + 400,
            parameters=1_234_567 + index,
            numbers=1_134_567 + index,
            gmac_640=0.1 * index + 0.0123,
            gmac_vga=0.1 * index + 0.0456,
            start_ms=200.0 + index,
            peak_bytes=90_000_000 + 1_000_000 * index,
            install_bytes=None if index == 2 else 140_000_000 + 1_000_000 * index,
        )
        for index, name in enumerate(NAMES)
    )
    speeds = tuple(
        Speed(
            detector=name,
            height=height,
            width=640,
            threads=threads,
            rounds=30,
            repeats=3,
            forward_ms=base + 0.1,
            forward_best_ms=base,
            forward_ratio=base / 16,
            end_ms=base + 5.3,
            end_best_ms=base + 5.2,
            end_ratio=(base + 5) / 21,
            fit_ms=4.4,
        )
        for height in (640, 480)
        for threads in (1, 2)
        for base, name in zip((9.0, 79.0, 16.0, 22.0), NAMES, strict=True)
    )
    accuracies = tuple(
        Accuracy(
            detector=name,
            labels="faces/val",
            pictures=213,
            faces=dict.fromkeys(BANDS, 1807),
            shrink=shrink,
            conditions="original size",
            ap={b: 0.95 - 0.05 * shrink - 0.1 * index - 0.01 * i for i, b in enumerate(BANDS)},
            ap_gain={band: [0.1 * index, -0.02, None] for band in BANDS},
            recall=dict.fromkeys(BANDS, 0.5) | {">96": None},
            landmark_faces=40 + index,
            landmark_error=0.0444 if index else None,
        )
        for shrink in (1, SHRINK)
        for index, name in enumerate(NAMES)
    )
    return Run(this_machine(), costs, speeds, accuracies)


def test_rows_come_back_as_they_were_written(run: Run, tmp_path: Path) -> None:
    write(run, tmp_path / ROWS)
    assert read(tmp_path / ROWS) == run


def test_every_row_carries_date_versions_processor_and_threads(run: Run, tmp_path: Path) -> None:
    write(run, tmp_path / ROWS)
    lines = (tmp_path / ROWS).read_text().splitlines()
    assert len(lines) == 4 + 16 + 8
    for line in lines:
        assert run.machine.processor in line
        assert all(f'"{key}"' in line for key in ("date", "onnxruntime", "python", "cores"))
    assert sum('"threads": 2' in line for line in lines) == 8


def test_rows_of_two_runs_are_refused(run: Run, tmp_path: Path) -> None:
    write(run, tmp_path / ROWS)
    first = (tmp_path / ROWS).read_text()
    write(replace(run, machine=replace(run.machine, date="1999-12-31")), tmp_path / ROWS)
    (tmp_path / ROWS).write_text(first + (tmp_path / ROWS).read_text())
    with pytest.raises(ValueError, match="2 runs"):
        read(tmp_path / ROWS)


def test_the_summary_has_a_line_for_every_detector(run: Run) -> None:
    lines = summary(run).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:6]] == [f"| {name}" for name in NAMES]
    assert lines[3] == (
        "| FeatherFace V1 | 1,234,568 | 100 KB | 0.112 | 79.1 ms (× 4.94) | 84.3 ms (× 4.00)"
        " | 84.3 ms (× 4.00) | 0.800 | 0.770 (0.720) |"
    )
    assert "213 photographs with 1,807 faces" in summary(run)


def test_tables_have_all_figures(run: Run) -> None:
    page = tables(run)
    assert page.count("| 640 × 480, 2, ") == 4
    assert (
        "| YuNet-n (`2.onnx`) | 1,234,569 | 1,134,569 | 200 | 0.212 | 0.246 | 202 | 92 | – |"
        in page
    )
    assert "| SCRFD-500M | 0.600 | 0.590 | 0.580 | 0.570 | 0.560 | 0.550 | 0.044 |" in page
    assert "| SCRFD-500M | 0.550 | 0.540 | 0.530 | 0.520 | 0.510 | 0.500 | 0.044 |" in page
    assert f"| FeatherFace V1 {'| +0.100 (-0.020 to –) ' * 6}|" in page
    assert page.count("| FeatherFace V1 | 0.500 | 0.500 | 0.500 | 0.500 | 0.500 | – |") == 2


def test_publishing_twice_changes_nothing(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"# before\n\n{START}\nold\n{END}\n\nafter\n")
    write(run, tmp_path / ROWS)
    publish(tmp_path, page)
    first = page.read_text()
    assert first == f"# before\n\n{START}\n{summary(run)}{END}\n\nafter\n"
    assert (tmp_path / TABLES).read_text() == tables(run)
    publish(tmp_path, page)
    assert page.read_text() == first


@pytest.mark.parametrize(
    "page", ["", f"{START}\n", f"{END}\n{START}\n", f"{START}\n{END}\n{END}\n"]
)
def test_pages_without_the_two_markers_are_refused(page: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        replace_block(page, "new\n")


def test_the_same_rows_give_the_same_plot(run: Run, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw(run, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as plot:
        assert plot.width > plot.height > 400
        assert len(plot.convert("RGB").getcolors(1_000_000)) > 50  # not blank


def test_the_readme_shows_the_committed_rows() -> None:
    path = RESULTS / ROWS
    block = summary(read(path)) if path.is_file() else ""
    page = README.read_text(encoding="utf-8")
    assert page == replace_block(page, block), "stale; run: python benchmarks/table.py"


def test_the_committed_tables_show_the_committed_rows() -> None:
    if not (RESULTS / ROWS).is_file():
        pytest.skip(f"benchmarks/results/{ROWS} is absent: nothing was measured yet")
    page = (RESULTS / TABLES).read_text(encoding="utf-8")
    assert page == tables(read(RESULTS / ROWS)), "stale; run: python benchmarks/table.py"
