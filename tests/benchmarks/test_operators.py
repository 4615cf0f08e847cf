"""The profile: every node counted once, convolutions with their work."""

from __future__ import annotations

from pathlib import Path

import pytest

from operators import main, profile
from peak import peak_flops


def test_nodes_come_with_time_and_work(toy_graph: Path) -> None:
    nodes = profile(toy_graph, 2)
    assert len({node.name for node in nodes}) == len(nodes)
    assert all(node.microseconds >= 0 for node in nodes)
    assert [n.microseconds for n in nodes] == sorted((n.microseconds for n in nodes), reverse=True)
    (conv,) = (node for node in nodes if node.macs)
    outputs = conv.shapes[2][1]  # one, padded to the processor's block
    assert conv.macs == 20 * 20 * 3 * outputs
    assert "Conv" in conv.operator


def test_the_page_tells_all(
    toy_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operators.bind", lambda threads: None)  # other tests keep their cores
    page = tmp_path / "page.md"
    assert main(toy_graph, runs=1, top=2, results=page, title="A toy") == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# A toy\n")
    assert f"## {toy_graph.name}" in text
    assert "GFLOP/s" in text
    assert "| all |" in text


def test_what_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(tmp_path / "absent.onnx") == 2
    assert "absent.onnx" in capsys.readouterr().err
    assert main() == 2


def test_the_peak_is_that_of_a_processor() -> None:
    assert 1e8 < peak_flops(runs=2) < 1e13
