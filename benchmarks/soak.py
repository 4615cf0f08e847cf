"""The record of what the project was put through: rows, and the page that is made from them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from featherface.files import write_atomically
from machine import this_machine

RESULTS = Path(__file__).resolve().parent / "results" / "soak.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was tried, and how it ended.

    Attributes:
        what: a short name; a newer row of the same name takes an older one's place.
        tried: what, and how often.
        outcome: what came out.
        faults: how many of them ended otherwise than promised.
        minutes: that it took.
        command: that does it again.
    """

    what: str
    tried: str
    outcome: str
    faults: int
    minutes: float
    command: str


def keep(row: Row, results: Path = RESULTS) -> None:
    """Puts a row, with this machine, in the place of the one of the same name."""
    lines = _read(results)
    machine = asdict(this_machine())
    lines[row.what] = {**asdict(row), "minutes": round(row.minutes, 1), **machine}
    text = "".join(json.dumps(line) + "\n" for line in lines.values())
    write_atomically(results, text.encode())


def _read(results: Path) -> dict[str, dict[str, Any]]:
    """Rows by their name."""
    if not results.is_file():
        return {}
    lines = map(json.loads, results.read_text(encoding="utf-8").splitlines())
    return {line["what"]: line for line in lines}
