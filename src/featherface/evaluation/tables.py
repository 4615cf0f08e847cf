"""Evaluations as text: tables for the terminal, rows of Markdown for the record of results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from rich.table import Table

from featherface.evaluation.average_precision import BANDS, PRECISION
from featherface.evaluation.bootstrap import COVERAGE, RESAMPLES, Difference, Interval
from featherface.evaluation.record import PROTOCOLS, Old, Record
from featherface.evaluation.wider_face import LISTS
from featherface.files import write_atomically

NONE = "–"

COLUMNS = ("all", *LISTS, *BANDS)
"""Figures of the Markdown table; those of the bands are of the hard list for WIDER FACE."""

HEAD = f"""# Accuracy

Rows are written by `featherface evaluate --row`. Each cell is an average precision, in brackets
its {COVERAGE:.0%} interval from a bootstrap over pictures ({RESAMPLES} resamples). Bands are face
heights in pixels of the stored picture, other faces ignored. For WIDER FACE the bands are of the
hard list, and it is the {PROTOCOLS["wider"]}; otherwise {PROTOCOLS["labelled"]}.

"""


def table(record: Record) -> Table:
    """The measures of a run."""
    drawn = Table(
        title=f"{record.detector} on {record.data}",
        caption=f"{record.conditions}; {PROTOCOLS[record.report.protocol]}",
    )
    drawn.add_column("faces of height, px" if "all" in record.samples else "list, height in px")
    for heading in ("faces", "AP", f"{COVERAGE:.0%} interval"):
        drawn.add_column(heading, justify="right")
    for heading in (f"recall at precision {PRECISION}", f"{COVERAGE:.0%} interval"):
        drawn.add_column(heading, justify="right")
    for name, measure in record.report.measures.items():
        ap, recall = record.intervals(name)
        figures = (_figure(measure.ap), _span(ap), _figure(measure.recall), _span(recall))
        drawn.add_row(name, f"{measure.faces:,}", *figures)
    return drawn


def difference_table(old: Old, gains: Mapping[str, Difference]) -> Table:
    """What was gained over an earlier run; an interval without 0 is no noise."""
    drawn = Table(
        title=f"gain over {old.detector}",
        caption=f"earlier: {old.conditions}; * where the {COVERAGE:.0%} interval leaves 0 out",
    )
    drawn.add_column("measure")
    for name in ("AP", f"recall at precision {PRECISION}"):
        drawn.add_column(name, justify="right")
        drawn.add_column(f"{COVERAGE:.0%} interval", justify="right")
    for name, gain in gains.items():
        drawn.add_row(
            name,
            *(_figure(gain.ap, "+"), _gain(gain.ap_interval)),
            *(_figure(gain.recall, "+"), _gain(gain.recall_interval)),
        )
    return drawn


def landmark_line(record: Record) -> str | None:
    """The landmark error as a sentence, if there is one."""
    landmarks = record.report.landmarks
    if not (landmarks and landmarks.faces):
        return None
    return (
        f"landmarks: {landmarks.mean:.2%} of the face's size from those set by people, "
        f"mean of {landmarks.faces:,} faces found"
    )


def markdown_row(record: Record) -> dict[str, str]:
    """The cells of a row, by the headings of their columns."""
    measures = record.report.measures
    bands = "hard " if record.report.protocol == "wider" else ""
    cells = {"date": record.date[:10], "detector": record.detector}
    cells |= {"sha256": record.sha256[:8] or NONE, "data": record.data}
    cells |= {"conditions": record.conditions}
    for column in COLUMNS:
        name = f"{bands}{column}" if column in BANDS else column
        cells[column] = NONE
        if name in measures and measures[name].faces:
            cells[column] = f"{_figure(measures[name].ap)} ({_span(record.intervals(name)[0])})"
    landmarks = record.report.landmarks
    known = landmarks is not None and landmarks.faces > 0
    cells["landmark error"] = f"{landmarks.mean:.2%}" if landmarks and known else NONE
    return cells | {"command": f"`{record.command}`"}


def append_row(path: Path, row: Mapping[str, str], *, head: str = HEAD) -> None:
    """Add a row to a Markdown table at the end of a file; a new file gets `head` and headings.

    Raises:
        ValueError: the table there has other columns.
    """
    headings = _line(row)
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if not text:
        text = f"{head}{headings}\n{_line(dict.fromkeys(row, '---'), values=True)}\n"
    elif headings not in text.splitlines():
        raise ValueError(f"{path}: its table has other columns; wanted {headings}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, f"{text.rstrip()}\n{_line(row, values=True)}\n".encode())


def _line(row: Mapping[str, str], *, values: bool = False) -> str:
    cells = (row[name] if values else name for name in row)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _figure(value: float, sign: str = "") -> str:
    return f"{value:{sign}.3f}" if math.isfinite(value) else NONE


def _span(ends: Interval) -> str:
    return "–".join(map(_figure, ends)) if math.isfinite(ends.low) else NONE


def _gain(ends: Interval) -> str:
    if not math.isfinite(ends.low):
        return NONE
    sure = " *" if ends.low > 0 or ends.high < 0 else "  "
    return f"{_figure(ends.low, '+')} to {_figure(ends.high, '+')}{sure}"
