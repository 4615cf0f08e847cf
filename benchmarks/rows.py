"""The rows that a run leaves behind: JSON lines, each with the machine it comes from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from featherface.files import write_atomically
from machine import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a detector costs, apart from time.

    Attributes:
        detector: its name.
        file: of its graph.
        file_bytes: that file.
        parameters: trained, as told by those who trained it.
        numbers: floating-point numbers in the file.
        gmac_640: 1e9 multiply-accumulates for 640 x 640.
        gmac_vga: the same for 640 x 480.
        start_ms: a new process up to the first boxes.
        peak_bytes: of memory in that process.
        install_bytes: what has to be installed to run it; None if that was not measured.
    """

    detector: str
    file: str
    file_bytes: int
    parameters: int
    numbers: int
    gmac_640: float
    gmac_vga: float
    start_ms: float
    peak_bytes: int
    install_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Times of a detector: medians over rounds, the best round, the median ratio to the reference.

    Attributes:
        detector: its name.
        height: of the input.
        width: of the input.
        threads: of ONNX Runtime.
        rounds: turns that each detector had.
        repeats: timed runs a turn.
        forward_ms: the network up to its last convolutions.
        forward_best_ms: the same, best round.
        forward_ratio: to the reference.
        end_ms: decoded picture to boxes in its pixels.
        end_best_ms: the same, best round.
        end_ratio: to the reference.
        fit_ms: of `end_ms`, resizing and padding.
    """

    detector: str
    height: int
    width: int
    threads: int
    rounds: int
    repeats: int
    forward_ms: float
    forward_best_ms: float
    forward_ratio: float
    end_ms: float
    end_best_ms: float
    end_ratio: float
    fit_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How many faces of a labelled folder a detector finds.

    Attributes:
        detector: its name.
        labels: the folder.
        pictures: in it.
        faces: labelled, those to be ignored left out, by their height.
        shrink: how many times smaller pictures and faces were made first.
        conditions: size, score floor, suppression.
        ap: average precision at IoU 0.5, likewise; None where there are none.
        ap_gain: what `ap` is above that of the reference, and the 95% interval of that over
            pictures (low, high), likewise.
        recall: at precision 0.9, likewise.
        landmark_faces: faces found whose landmarks a person has set.
        landmark_error: mean distance of their landmarks over the face's size.
    """

    detector: str
    labels: str
    pictures: int
    faces: dict[str, int]
    shrink: float
    conditions: str
    ap: dict[str, float | None]
    ap_gain: dict[str, list[float | None]]
    recall: dict[str, float | None]
    landmark_faces: int
    landmark_error: float | None


REFERENCE = "YuNet-n"
"""The detector that ratios and differences refer to."""

T = TypeVar("T")
Row = TypeVar("Row", Cost, Speed, Accuracy)
KINDS = {Cost: "cost", Speed: "speed", Accuracy: "accuracy"}


@dataclass(frozen=True, slots=True)
class Run:
    """All rows of one run; detectors in the order in which tables show them.

    `accuracies` has every detector once for each `shrink`.
    """

    machine: Machine
    costs: tuple[Cost, ...]
    speeds: tuple[Speed, ...]
    accuracies: tuple[Accuracy, ...]

    @property
    def detectors(self) -> list[str]:
        """Their names."""
        return [cost.detector for cost in self.costs]

    def shrunk(self, times: float = 1.0) -> list[Accuracy]:
        """Accuracies on pictures made so many times smaller."""
        return [each for each in self.accuracies if each.shrink == times]


def write(run: Run, path: Path) -> None:
    """Writes the rows, one a line, in the place of those that were there."""
    machine = asdict(run.machine)
    rows: list[Cost | Speed | Accuracy] = [*run.costs, *run.speeds, *run.accuracies]
    lines = [json.dumps({"kind": KINDS[type(row)], **asdict(row), **machine}) for row in rows]
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def read(path: Path) -> Run:
    """The inverse of `write`.

    Raises:
        OSError: no such file.
        ValueError: rows of several runs, or none.
    """
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    machines = {_pick(Machine, line) for line in lines}
    if len(machines) != 1:
        raise ValueError(f"{path}: has rows of {len(machines)} runs, wanted those of one")
    return Run(machines.pop(), _all(Cost, lines), _all(Speed, lines), _all(Accuracy, lines))


def _all(kind: type[Row], lines: Sequence[dict[str, Any]]) -> tuple[Row, ...]:
    """The rows of one kind."""
    return tuple(_pick(kind, line) for line in lines if line["kind"] == KINDS[kind])


def _pick(kind: type[T], line: dict[str, Any]) -> T:
    """What of a line belongs into one dataclass."""
    return kind(**{field.name: line[field.name] for field in fields(kind)})  # type: ignore[arg-type]
