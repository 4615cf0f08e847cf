"""The short form of `benchmarks/bad_clients.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import bad_clients
from soak import read


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_harm_for_some_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bad_clients, "WITHIN", float("inf"))  # a test looks at no clock
    results = tmp_path / "soak.jsonl"
    assert bad_clients.main(seconds=5, results=results) == 0
    (row,) = read(results)
    assert "endless chunks" in row["tried"]
    assert "crowds" in row["tried"]
