"""The record of what the project was put through: rows, and the page that is made from them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from featherface.files import write_atomically
from machine import this_machine

RESULTS = Path(__file__).resolve().parent / "results" / "soak.jsonl"

HEAD = """# Bad inputs tried, faults survived

`make soak` does all of it again; each row has its own command, and the minutes that it took, on a
busy machine where the load is high. A fault is anything but what `SECURITY.md` promises.

| what | tried | outcome | faults | minutes | command | date, load |
| --- | --- | --- | ---: | ---: | --- | --- |
"""

MENDED = """
Load is that of the system when the part ended, its own with it. Processor: {processor}, {cores}
cores; Python {python}, Pillow {pillow}, ONNX Runtime {onnxruntime}.

## Found and mended on the way

- A WebP file of 34 bytes could ask for 16 bytes of memory for each of the 179 million pixels that
  were allowed; 62 million are, now.
- Turning to RGB held several copies of the whole picture at once; now it goes strip by strip.
- A picture 1 pixel high and millions wide was within the limit, and padded to 32 times as much.
- Thousands of scans of a few bytes in a JPEG, and run lengths in a BMP, kept a processor busy.
- TIFF pictures with an EXIF orientation were turned twice when they were scaled.
- Floats near the ends of their range overflowed; pipes and devices were waited for.
- YOLO labels opened their pictures with every format that Pillow knows.
- A graph could name files of the folder where the process runs for its weights; one with other
  inputs or outputs, or that gave NaN, failed late and with a traceback, or gave NaN boxes.
- The error of a full disk did not say which file; a draft of a file whose name has 250 bytes had
  a name too long.
- Plots, tables and WIDER FACE result files were written in place: a kill left half of them.
- A folder named `x.jpg` was taken for a picture when blurring, and escape sequences in names
  reached the terminal.
- A journal with lines of another kind ended a run with a traceback.
- A picture at which a whole `batch` was killed three times was taken for what killed it.
- The same video came out with other bytes now and then: x264 with AVX-512 plans differently.
"""


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
    """Puts a row, with this machine, in the place of the one of the same name; renews the page."""
    line = {**asdict(row), "minutes": round(row.minutes, 1), **asdict(this_machine())}
    lines = read(results)
    names = [each["what"] for each in lines]
    if row.what in names:
        lines[names.index(row.what)] = line
    else:
        lines.append(line)
    write_atomically(results, "".join(json.dumps(each) + "\n" for each in lines).encode())
    publish(results)


def publish(results: Path = RESULTS) -> None:
    """Writes the page beside the rows."""
    write_atomically(results.with_suffix(".md"), page(read(results)).encode())


def read(results: Path = RESULTS) -> list[dict[str, Any]]:
    """The rows, in the order in which they came; none if there is no file."""
    if not results.is_file():
        return []
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]


def page(rows: list[dict[str, Any]]) -> str:
    """The rows as a table, and what was mended."""
    lines = "".join(
        f"| {row['what']} | {_cell(row['tried'])} | {_cell(row['outcome'])} | {row['faults']} "
        f"| {row['minutes']} | `{row['command']}` | {row['date']}, {row['load']:g} |\n"
        for row in rows
    )
    return HEAD + lines + MENDED.format(**rows[-1])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(publish())
