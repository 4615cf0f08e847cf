"""The official WIDER FACE protocol (Yang et al., 2016): average precision, easy, medium and hard.

The three lists share one matching; 1000 thresholds are looked up in sorted scores, where the
Matlab tool and its Python ports loop over thresholds and pictures: same counts, same bits, a
hundred times faster. Guarded are what makes the ports return NaN: scores that are all equal, and
thresholds that nothing reaches. The hard list is also told by face height, others ignored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featherface.evaluation.average_precision import BANDS, Tally, tally
from featherface.evaluation.labelled import in_band
from featherface.evaluation.matching import Doubles, Matches, Scored, Truth, match
from featherface.evaluation.report import Report

PROTOCOL = "wider"
LISTS = {"easy": 1, "medium": 2, "hard": 4}
"""The lists, and the bit that each has in `Truth.lists`."""

BOXES = "wider_face_val.mat"
FOLDERS = (".", "ground_truth", "wider_face_split", "eval_tools/ground_truth")
"""Where the .mat files usually lie, seen from the data set's folder."""

THRESHOLDS: Doubles = 1 - np.arange(1, 1001) / 1000


def evaluate(predictions: Sequence[Scored], truth: Truth) -> Report:
    """Score predictions by the official protocol, all lists at once.

    The measures are "easy", "medium", "hard", and "hard <16" and so on for the bands of
    `average_precision.BANDS`.

    Args:
        predictions: one for each picture of `truth`, empty where there are none.
        truth: from `read_ground_truth`.

    Raises:
        ValueError: the numbers of pictures differ, or a prediction is not finite.
    """
    matches = match(predictions, truth, border=1)
    return Report.of(PROTOCOL, truth, matches, tallies(matches))


def tallies(matches: Matches) -> dict[str, Tally]:
    """What each figure counts."""
    matches = dataclasses.replace(matches, scores=normalise(matches.scores))
    counted = {name: (matches.face_lists & bit) > 0 for name, bit in LISTS.items()}
    official = {
        name: tally(matches, faces, thresholds=THRESHOLDS) for name, faces in counted.items()
    }
    bands = {
        f"hard {name}": tally(
            matches, counted["hard"] & in_band(matches, band), band, thresholds=THRESHOLDS
        )
        for name, band in BANDS.items()
    }
    return official | bands


def normalise(scores: Doubles) -> Doubles:
    """The scores of a whole run brought to 0 to 1; all 0 when they are all equal."""
    if not len(scores):
        return scores
    low, high = scores.min(), scores.max()
    return np.asarray((scores - low) / (high - low if high > low else 1.0))


def find_ground_truth(folder: Path) -> Path | None:
    """The folder with the official .mat files, in the data set's folder or near it."""
    return next((folder / name for name in FOLDERS if (folder / name / BOXES).is_file()), None)


def read_ground_truth(folder: Path) -> Truth:
    """Read the four official .mat files of the validation set.

    Args:
        folder: holds `wider_face_val.mat` and `wider_easy_val.mat`, `..medium..`, `..hard..`.

    Raises:
        OSError: a file is missing.
        ValueError: a file is not what its name says.
    """
    names: list[str] = []
    boxes: list[Doubles] = []
    lists: list[NDArray[np.int64]] = []
    main = _load(folder / BOXES, "event_list", "file_list", "face_bbx_list")
    listed = {
        bit: _load(folder / f"wider_{name}_val.mat", "gt_list") for name, bit in LISTS.items()
    }
    for event, files, annotated, *counts in zip(
        *main, *(values for (values,) in listed.values()), strict=True
    ):
        for row, file in enumerate(files[0].flat):
            xywh = annotated[0].flat[row].reshape(-1, 4).astype(np.float64)
            bits = np.zeros(len(xywh), np.int64)
            for bit, count in zip(listed, counts, strict=True):
                bits[count[0].flat[row].reshape(-1).astype(np.int64) - 1] |= bit
            names.append(f"{event[0][0]}/{file[0]}")
            boxes.append(np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1))
            lists.append(bits)
    return Truth(tuple(names), tuple(boxes), tuple(lists))


def _load(path: Path, *variables: str) -> list[Any]:
    """The named cell arrays of a Matlab file."""
    from scipy.io import loadmat  # in the extra `evaluate`, for this alone
    from scipy.io.matlab import MatReadError

    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: not there; wanted the four .mat files of the official WIDER FACE evaluation"
        )
    try:
        contents = loadmat(path, variable_names=variables)
        return [contents[name] for name in variables]
    except (MatReadError, KeyError, ValueError, NotImplementedError) as error:
        raise ValueError(f"{path}: is not that ground truth of WIDER FACE ({error})") from error
