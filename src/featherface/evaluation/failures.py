"""What a detector does worst, to look at: faces it missed and false alarms it was sure of.

Judged at the score where precision falls below 0.9, so that what counts as a miss does not depend
on how scores happen to be spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from featherface.evaluation.average_precision import PRECISION, curve, tally
from featherface.evaluation.matching import Reals, Scored
from featherface.evaluation.report import Report
from featherface.evaluation.wider_face import LISTS
from featherface.files import replacing
from featherface.image import load
from featherface.types import Bools

COLUMNS, ROWS = 8, 3
CROP = 3.0  # side of a crop, in sides of the box it is about
SMALLEST = 64  # pixels of a crop's side
FOUND, MISSED, ALARM, IGNORED = "#2fd02f", "#ffd400", "#ff3030", "#b0b0b0"


@dataclass(frozen=True, slots=True)
class Failure:
    """One miss or false alarm.

    Attributes:
        picture: row of the picture.
        box: x1, y1, x2, y2.
        note: what to say of it.
    """

    picture: int
    box: tuple[float, ...]
    note: str


def operating_score(report: Report) -> float:
    """The lowest score at which precision is still 0.9; infinity where it never is."""
    counts = tally(report.matches, _counted(report))
    good = np.flatnonzero(curve(counts).precision >= PRECISION)
    return float(counts.scores[good[-1]]) if len(good) else float("inf")


def worst_misses(report: Report, score: float, count: int) -> list[Failure]:
    """Counted faces not found at this score: those of the lowest score first, the largest first."""
    matches = report.matches
    best = np.full(len(matches.face_lists), -np.inf)
    best[matches.faces[matches.first]] = matches.scores[matches.first]
    missed = np.flatnonzero(_counted(report) & (best < score))
    order = missed[np.lexsort([-matches.face_heights[missed], best[missed]])][:count]
    boxes = _boxes(report.truth.boxes)
    return [
        Failure(
            picture=int(matches.face_pictures[face]),
            box=tuple(boxes[face]),
            note=f"score {best[face]:.2f}" if np.isfinite(best[face]) else "never found",
        )
        for face in order
    ]


def worst_alarms(report: Report, predictions: Sequence[Scored], count: int) -> list[Failure]:
    """False alarms, the best scores first: nothing there, or a second box on a face."""
    matches = report.matches
    met = matches.faces >= 0
    counted = np.zeros(len(met), np.bool_)
    counted[met] = _counted(report)[matches.faces[met]]
    alarms = np.flatnonzero(~met | (counted & ~matches.first))
    order = alarms[np.argsort(-matches.scores[alarms], kind="stable")][:count]
    boxes = _boxes([each.boxes for each in predictions])[matches.rows]
    return [
        Failure(
            picture=int(matches.pictures[row]),
            box=tuple(boxes[row]),
            note=f"score {matches.scores[row]:.2f}{', second box' if met[row] else ''}",
        )
        for row in order
    ]


def draw_failures(
    path: Path, report: Report, predictions: Sequence[Scored], pictures: Sequence[Path]
) -> None:
    """Draw the worst failures on crops of their pictures, as a PNG.

    Args:
        path: the PNG.
        report: of these predictions.
        predictions: as they were scored.
        pictures: the files, in the same order.

    Raises:
        ImageError: a picture cannot be read.
    """
    score = operating_score(report)
    misses = worst_misses(report, score, COLUMNS * ROWS)
    alarms = worst_alarms(report, predictions, COLUMNS * ROWS)
    figure = Figure(figsize=(1.75 * COLUMNS, 2 * (2.05 * ROWS + 0.45)), layout="constrained")
    parts = figure.subfigures(2, 1, squeeze=False)[:, 0]
    at = f"at score {score:.2f}, where precision is {PRECISION}"
    if np.isinf(score):
        at = f"(precision never reaches {PRECISION}, so all are)"
    legend = "green: labelled, grey: ignored, red: predicted"
    sheets = (
        (misses, MISSED, f"worst misses {at} (yellow; {legend})"),
        (alarms, ALARM, f"worst false alarms (thick red; {legend})"),
    )
    for part, (failures, colour, title) in zip(parts, sheets, strict=True):
        part.suptitle(title, fontsize=11)
        panels = part.subplots(ROWS, COLUMNS, squeeze=False)
        for axes in panels.flat:
            axes.axis("off")
        for axes, failure in zip(panels.flat, failures, strict=False):
            _draw_one(axes, failure, colour, report, predictions, pictures, score)
    with replacing(path) as draft:
        figure.savefig(draft, format="png", dpi=100)


def _draw_one(
    axes: Axes,
    failure: Failure,
    colour: str,
    report: Report,
    predictions: Sequence[Scored],
    pictures: Sequence[Path],
    score: float,
) -> None:
    """A square crop around one failure, with all boxes that reach into it."""
    x1, y1, x2, y2 = failure.box
    half = max(SMALLEST, CROP * max(x2 - x1, y2 - y1)) / 2
    left, top = (x1 + x2) / 2 - half, (y1 + y2) / 2 - half
    pixels = load(pictures[failure.picture])
    height, width = pixels.shape[:2]
    first_x, first_y = max(0, int(left)), max(0, int(top))
    last_x, last_y = min(width, int(left + 2 * half) + 1), min(height, int(top + 2 * half) + 1)
    crop = pixels[first_y:last_y, first_x:last_x]
    if crop.size:  # others' boxes may lie outside the picture
        axes.imshow(crop, extent=(first_x, last_x, last_y, first_y), interpolation="nearest")
    counts = report.truth.lists[failure.picture] & _bit(report) > 0
    for box, counted in zip(report.truth.boxes[failure.picture], counts, strict=True):
        _outline(axes, tuple(box), FOUND if counted else IGNORED, 1)
    found = predictions[failure.picture]
    for box in found.boxes[found.scores >= score]:
        _outline(axes, tuple(box), ALARM, 1)
    _outline(axes, failure.box, colour, 2.5)
    axes.set(xlim=(left, left + 2 * half), ylim=(top + 2 * half, top))
    name = pictures[failure.picture].stem
    axes.set_title(f"{name[-22:]}\n{y2 - y1:.0f} px, {failure.note}", fontsize=7)


def _outline(axes: Axes, box: tuple[float, ...], colour: str, width: float) -> None:
    x1, y1, x2, y2 = box
    shape = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=width)
    axes.add_patch(shape)


def _bit(report: Report) -> int:
    """The bit of the list with the most faces."""
    return LISTS["hard"] if "hard" in report.measures else 1


def _counted(report: Report) -> Bools:
    """(F,) the annotated boxes that count in that list."""
    return np.asarray(report.matches.face_lists & _bit(report) > 0)


def _boxes(parts: Sequence[Reals]) -> Reals:
    return np.concatenate([*parts, np.zeros((0, 4))])
