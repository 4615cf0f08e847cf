"""Average precision, recall and landmark error on any labelled pictures, by the size of the faces.

The matching rule is the official one of WIDER FACE (`matching`), with two differences: the area
under the curve is exact, over every score there is, and boxes are continuous (IoU without the
extra pixel, which flatters faces under 32 px by two points here). For a band of heights all other
faces are ignored: neither misses, nor false alarms where they are found; a prediction that meets
no face is a false alarm in the band that its own height lies in. Ignore regions are boxes like
faces, and follow the same rule: what meets one (IoU >= 0.5, and no face more) is left out. What
merely lies within one counts, since the regions meant here are boxes of single doubtful faces;
one drawn around a whole crowd excuses nothing that is found in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featherface.data.labelled import LabelledImage
from featherface.evaluation.average_precision import BANDS, Tally, tally
from featherface.evaluation.matching import Matches, Scored, Truth, match
from featherface.evaluation.report import LandmarkError, Report
from featherface.types import Bools, Detections

PROTOCOL = "labelled"
COUNTED = 1


def evaluate(predictions: Sequence[Scored], labels: Sequence[LabelledImage]) -> Report:
    """Score predictions against labels.

    The measures are "all" and the bands of `average_precision.BANDS`.

    Args:
        predictions: one for each labelled picture, in their order, in pixels of the stored
            picture, with scores down to a low floor such as 0.02. Landmarks are compared where
            they are `Detections`.
        labels: the pictures.

    Raises:
        ValueError: the numbers of pictures differ, or a prediction is not finite.
    """
    truth = truth_of(labels)
    matches = match(predictions, truth, border=0)
    return Report.of(
        PROTOCOL, truth, matches, tallies(matches), landmark_error(predictions, labels, matches)
    )


def truth_of(labels: Sequence[LabelledImage]) -> Truth:
    """The labels as the matching wants them; a picture is named by its folder and stem."""
    return Truth(
        names=tuple(f"{label.path.parent.name}/{label.path.stem}" for label in labels),
        boxes=tuple(label.boxes.astype(np.float64) for label in labels),
        lists=tuple(np.where(label.ignore, 0, COUNTED) for label in labels),
    )


def tallies(matches: Matches) -> dict[str, Tally]:
    """What each figure counts."""
    faces = matches.face_lists == COUNTED
    by_band = {
        name: tally(matches, faces & in_band(matches, band), band) for name, band in BANDS.items()
    }
    return {"all": tally(matches, faces), **by_band}


def in_band(matches: Matches, band: tuple[float, float]) -> Bools:
    """(F,) the annotated boxes whose height is in the band."""
    return (matches.face_heights >= band[0]) & (matches.face_heights < band[1])


def landmark_error(
    predictions: Sequence[Scored], labels: Sequence[LabelledImage], matches: Matches
) -> LandmarkError:
    """Compare the landmarks of the faces that were found with those that people set."""
    if not (labels and all(isinstance(each, Detections) for each in predictions)):
        return LandmarkError(0, float("nan"))
    guessed = np.concatenate([e.landmarks for e in predictions if isinstance(e, Detections)])
    marked = np.concatenate([label.landmarks for label in labels])  # (F, 5, 2)
    boxes = np.concatenate([label.boxes for label in labels]).astype(np.float64)
    by_person = np.concatenate([label.human_landmarks & ~label.ignore for label in labels])
    rows = np.flatnonzero(matches.first)
    rows = rows[by_person[matches.faces[rows]]]
    if not len(rows):
        return LandmarkError(0, float("nan"))
    faces = matches.faces[rows]
    offset = guessed[matches.rows[rows]].astype(np.float64) - marked[faces]  # (N, 5, 2)
    size = np.sqrt(np.prod(boxes[faces, 2:] - boxes[faces, :2], axis=1))
    return LandmarkError(len(rows), float((np.hypot(*offset.T).mean(axis=0) / size).mean()))
