"""The progress line: on terminals only, and gone in the end."""

from __future__ import annotations

import io
import sys

import pytest

from featherface.runtime.progress import Progress


class Terminal(io.StringIO):
    """A stream that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = Progress(4, unit="pictures")
    for done in range(4):
        bar.show(done)
        bar.clear()
    lines = terminal.getvalue().split("\r\x1b[2K")
    assert " 0/4 pictures" in lines[1]
    assert " 3/4 pictures" in lines[-2]
    assert "left" in lines[-2]
    assert lines[-1] == ""


@pytest.mark.parametrize(
    ("stream", "total"), [(io.StringIO(), 9), (Terminal(), 1), (Terminal(), 0)]
)
def test_it_is_silent_otherwise(
    stream: io.StringIO, total: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    bar = Progress(total, unit="pictures")
    bar.show(0)
    bar.clear()
    assert stream.getvalue() == ""
