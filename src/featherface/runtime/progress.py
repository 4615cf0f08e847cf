"""One line on the terminal that tells how far a long job is."""

from __future__ import annotations

import sys
import time

WIDTH = 24  # of the bar, in characters


class Progress:
    """Done, rate and time left on stderr; silent for one item, or when stderr is no terminal."""

    def __init__(self, total: int, *, unit: str) -> None:
        self._total = total
        self._unit = unit
        self._started = time.monotonic()
        self._is_shown = total > 1 and sys.stderr.isatty()

    def show(self, done: int) -> None:
        """Draws the line; `clear` it before anything else is printed."""
        if not self._is_shown:
            return
        filled = "█" * (done * WIDTH // self._total)
        line = f"{filled:░<{WIDTH}} {done}/{self._total} {self._unit}"
        if done:
            rate = done / (time.monotonic() - self._started)
            minutes, seconds = divmod(round((self._total - done) / rate), 60)
            line += f", {rate:.1f} a second, {minutes}:{seconds:02} left"
        self._write(line)

    def clear(self) -> None:
        """Takes the line away."""
        if self._is_shown:
            self._write("")

    def _write(self, line: str) -> None:
        print(f"\r\x1b[2K{line}", end="", file=sys.stderr, flush=True)
