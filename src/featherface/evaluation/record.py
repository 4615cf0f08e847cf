"""An evaluation as JSON: the figures to read, and the matches that let them be compared later."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featherface.evaluation import labelled, wider_face
from featherface.evaluation.average_precision import PRECISION, Tally
from featherface.evaluation.bootstrap import Interval, Samples, interval
from featherface.evaluation.matching import Matches, first_to_meet
from featherface.evaluation.report import Report
from featherface.files import write_atomically

FORMAT = 1

TALLIES = {labelled.PROTOCOL: labelled.tallies, wider_face.PROTOCOL: wider_face.tallies}

PROTOCOLS = {
    labelled.PROTOCOL: "AP at IoU 0.5, exact area",
    wider_face.PROTOCOL: "AP of the WIDER FACE tool, IoU 0.5 with its extra pixel",
}
"""What a reader has to be told with every figure."""


class RecordError(ValueError):
    """A file that no comparison can be made with; the message names it."""


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A report with what it is about.

    Attributes:
        detector: name of the weights, or of the folder of results.
        sha256: of the weights, "" for results.
        data: what was looked at.
        conditions: how.
        command: that gives the same.
        date: ISO 8601.
        versions: of the libraries that matter.
        report: the figures.
        samples: their resamples.
    """

    detector: str
    sha256: str
    data: str
    conditions: str
    command: str
    date: str
    versions: dict[str, str]
    report: Report
    samples: dict[str, Samples]

    def intervals(self, name: str) -> tuple[Interval, Interval]:
        """Those of AP and recall of one measure."""
        return interval(self.samples[name].ap), interval(self.samples[name].recall)


@dataclass(frozen=True, slots=True, eq=False)
class Old:
    """What is read back from a record: enough for a comparison."""

    detector: str
    conditions: str
    protocol: str
    names: tuple[str, ...]
    matches: Matches

    def tallies(self) -> dict[str, Tally]:
        """What each figure counts."""
        return TALLIES[self.protocol](self.matches)


def write_record(path: Path, record: Record) -> None:
    """Write a record as JSON, one picture a line."""
    report = record.report
    about = {
        "format": FORMAT,
        "detector": record.detector,
        "sha256": record.sha256,
        "data": record.data,
        "protocol": report.protocol,
        "about": PROTOCOLS[report.protocol],
        "conditions": record.conditions,
        "command": record.command,
        "date": record.date,
        "versions": record.versions,
        "measures": {name: _measure(record, name) for name in report.measures},
    }
    if report.landmarks:
        mean = _number(report.landmarks.mean)
        about["landmarks"] = {"faces": report.landmarks.faces, "mean_error": mean}
    about["columns"] = {
        "faces": ["height", "lists it counts in, as bits"],
        "predictions": ["score", "height", "row of the face it meets, -1 for none"],
    }
    head = json.dumps(about, indent=1)[:-2]
    lines = ",\n".join(json.dumps(each) for each in _pictures(report))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, f'{head},\n "pictures": [\n{lines}\n ]\n}}\n'.encode())


def read_record(path: Path) -> Old:
    """Read what `write_record` wrote.

    Raises:
        OSError: the file cannot be read.
        RecordError: it is no such file.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise RecordError(f"{path}: has format {data['format']}, wanted {FORMAT}")
        pictures = data["pictures"]
        names = tuple(str(each["name"]) for each in pictures)
        old = Old(data["detector"], data["conditions"], data["protocol"], names, _matches(pictures))
        if old.protocol not in TALLIES:
            raise RecordError(f"{path}: unknown protocol {old.protocol!r}")
    except (KeyError, TypeError, IndexError, ValueError) as error:
        if isinstance(error, RecordError):
            raise
        raise RecordError(
            f"{path}: is no record of an evaluation, as --json writes it ({error})"
        ) from error
    return old


def check_comparable(path: Path, old: Old, report: Report) -> None:
    """See that both runs looked at the same faces.

    Raises:
        RecordError: they did not.
    """
    same = (
        old.protocol == report.protocol
        and old.names == report.truth.names
        and np.array_equal(old.matches.face_pictures, report.matches.face_pictures)
        and np.array_equal(old.matches.face_lists, report.matches.face_lists)
        and np.array_equal(old.matches.face_heights, report.matches.face_heights)
    )
    if not same:
        raise RecordError(f"{path}: is about other pictures, labels or another protocol")


def _measure(record: Record, name: str) -> dict[str, Any]:
    figure = record.report.measures[name]
    ap, recall = record.intervals(name)
    return {
        "faces": figure.faces,
        "ap": _number(figure.ap),
        "ap_interval": [_number(end) for end in ap],
        f"recall_at_precision_{PRECISION}": _number(figure.recall),
        "recall_interval": [_number(end) for end in recall],
    }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def _pictures(report: Report) -> list[dict[str, Any]]:
    """The matches, a dictionary a picture; faces are counted from 0 in each."""
    matches = report.matches
    starts = np.searchsorted(matches.face_pictures, np.arange(matches.count + 1))
    ends = np.searchsorted(matches.pictures, np.arange(matches.count + 1))
    local = np.where(matches.faces < 0, -1, matches.faces - starts[matches.pictures])
    faces = list(zip(matches.face_heights.tolist(), matches.face_lists.tolist(), strict=True))
    columns = (matches.scores, matches.heights, local)
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    return [
        {
            "name": name,
            "faces": faces[starts[at] : starts[at + 1]],
            "predictions": rows[ends[at] : ends[at + 1]],
        }
        for at, name in enumerate(report.truth.names)
    ]


def _matches(pictures: list[dict[str, Any]]) -> Matches:
    """The inverse of `_pictures`."""
    made = [len(each["predictions"]) for each in pictures]
    annotated = [len(each["faces"]) for each in pictures]
    rows = np.array([row for each in pictures for row in each["predictions"]], np.float64)
    faces = np.array([row for each in pictures for row in each["faces"]], np.float64)
    rows, faces = rows.reshape(-1, 3), faces.reshape(-1, 2)
    index = np.arange(len(pictures))
    offset = np.repeat(np.cumsum([0, *annotated])[:-1], made)
    met = np.where(rows[:, 2] < 0, -1, rows[:, 2] + offset).astype(np.int64)
    return Matches(
        count=len(pictures),
        pictures=np.repeat(index, np.array(made, np.int64)),
        rows=np.arange(len(rows)),
        scores=rows[:, 0],
        heights=rows[:, 1],
        faces=met,
        first=first_to_meet(met),
        face_pictures=np.repeat(index, np.array(annotated, np.int64)),
        face_heights=faces[:, 0],
        face_lists=faces[:, 1].astype(np.int64),
    )
