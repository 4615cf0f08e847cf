"""The Markdown table that results are kept in."""

from __future__ import annotations

from pathlib import Path

import pytest

from featherface.evaluation.tables import append_row


def test_rows_are_appended_under_one_heading(tmp_path: Path) -> None:
    path = tmp_path / "results" / "table.md"
    append_row(path, {"date": "1", "AP": "0.5"}, head="# Title\n\n")
    append_row(path, {"date": "2", "AP": "a | b"}, head="# Title\n\n")
    lines = ["# Title", "", "| date | AP |", "| --- | --- |", "| 1 | 0.5 |", r"| 2 | a \| b |"]
    assert path.read_text() == "\n".join(lines) + "\n"


def test_a_table_with_other_columns_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    append_row(path, {"date": "1", "AP": "0.5"})
    before = path.read_text()
    with pytest.raises(ValueError, match=r"table\.md: its table has other columns"):
        append_row(path, {"date": "1", "recall": "0.5"})
    assert path.read_text() == before
