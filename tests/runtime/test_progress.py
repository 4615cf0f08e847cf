"""The progress line: on terminals only, and gone in the end."""

from __future__ import annotations

import io
import sys

import pytest

from featherface.runtime.progress import Progress, one_line


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


def test_the_line_stays_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand lines a second would cost more than the work they tell of."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = Progress(1000, unit="pictures")
    for done in range(1000):
        bar.show(done)
    assert terminal.getvalue().count("pictures") < 100


def test_what_an_earlier_run_did_does_not_count_for_the_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    now = 0.0
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("time.monotonic", lambda: now)
    bar = Progress(400, unit="pictures", done=100)
    now = 10.0
    bar.show(120)
    assert terminal.getvalue().endswith(" 120/400 pictures, 2.0 a second, 2:20 left")
    now = 4000.0
    bar.finish("400 pictures, 9 faces")
    assert terminal.getvalue().endswith("\r\x1b[2K400 pictures, 9 faces, 1:06:40\n")


def test_names_do_nothing_to_the_terminal() -> None:
    assert one_line("a b/\x1b[2Jé\n\r\x9b\u2028\udcff.jpg") == (
        "a b/\\x1b[2Jé\\n\\r\\x9b\\u2028\udcff.jpg"
    )
