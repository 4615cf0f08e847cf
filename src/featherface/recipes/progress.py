"""What a training run shows on the terminal: one bar, speed, losses, time left."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from featherface.training.loop import FitConfig


class TrainingProgress:
    """A bar on a terminal, plain lines in a log file, nothing when not shown."""

    def __init__(self, config: FitConfig, *, shown: bool) -> None:
        self._config = config
        self._shown = shown
        self._console = Console(stderr=True, quiet=not shown)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:5.1f} %"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not (shown and sys.stderr.isatty()),
        )
        self._task = self._bar.add_task("training", total=1.0)

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def decoding(self, done: int, total: int) -> None:
        """Pictures decoded so far."""
        if done % 500 == 0 or done == total:
            self._console.print(f"decoded {done} of {total} pictures")

    def report(self, line: dict[str, float]) -> None:
        """A line of metrics.jsonl."""
        share = max(line["seen"] / self._config.crops, line["minutes"] / self._config.minutes)
        losses = "  ".join(f"{name} {line[name]:.3f}" for name in ("class", "box", "landmark"))
        text = f"{line['seen']:,.0f} crops  {line['crops_per_second']:.1f}/s  {losses}"
        if sys.stderr.isatty():
            self._bar.update(self._task, completed=share, description=text)
        else:
            left = line["minutes"] * (1 - share) / share if share else 0.0
            self._console.print(f"{text}  {share:.1%}  {left:.0f} min left", highlight=False)
