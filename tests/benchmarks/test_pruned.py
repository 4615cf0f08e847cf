"""The page on pruning says what its rows say."""

from __future__ import annotations

import json

from pruned import RESULTS, report


def test_the_page_is_that_of_the_rows() -> None:
    rows = RESULTS / "pruned.jsonl"
    text = report([json.loads(line) for line in rows.read_text().splitlines()])
    assert rows.with_suffix(".md").read_text() == text
