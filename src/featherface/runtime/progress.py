"""Lines on the terminal: how far a long job is, and names that do no harm there."""

from __future__ import annotations

import sys
import time
import unicodedata

WIDTH = 24  # of the bar, in characters
PAUSE = 0.1  # seconds between two lines at least: more nobody can read


def one_line(text: str) -> str:
    """A text that tells a name, which may hold line ends, or orders to the terminal."""
    return "".join(
        repr(sign)[1:-1] if unicodedata.category(sign) in ("Cc", "Zl", "Zp") else sign
        for sign in text
    )


class Progress:
    """Done, rate and time left on stderr; silent for one item, or when stderr is no terminal."""

    def __init__(self, total: int, *, unit: str, done: int = 0) -> None:
        """Begins to count the time.

        Args:
            total: items in all.
            unit: what an item is called, in the plural.
            done: items that an earlier run has done; they do not count for the rate.
        """
        self._total = total
        self._unit = unit
        self._before = done
        self._started = time.monotonic()
        self._shown = float("-inf")  # when the line was written that is there; -inf for none
        self._is_shown = total > 1 and sys.stderr.isatty()

    def show(self, done: int) -> None:
        """Draws the line; `clear` it before anything else is printed."""
        now = time.monotonic()
        if not self._is_shown or now - self._shown < PAUSE:
            return
        filled = "█" * (done * WIDTH // self._total)
        line = f"{filled:░<{WIDTH}} {done}/{self._total} {self._unit}"
        if done > self._before:
            rate = (done - self._before) / (now - self._started)
            line += f", {rate:.1f} a second, {_clock((self._total - done) / rate)} left"
        self._write(line)
        self._shown = now

    def clear(self) -> None:
        """Takes the line away."""
        if self._shown > 0:
            self._write("")
            self._shown = float("-inf")

    def finish(self, summary: str) -> None:
        """Puts a last line in its place, which stays, with the time that all took."""
        if self._is_shown:
            self._write(f"{summary}, {_clock(time.monotonic() - self._started)}\n")

    def _write(self, line: str) -> None:
        print(f"\r\x1b[2K{line}", end="", file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    """Such as 0:07, 12:40 or 3:05:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
