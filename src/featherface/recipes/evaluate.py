"""`featherface evaluate`: predictions and labels in; figures, a record and pictures out."""

from __future__ import annotations

import hashlib
import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from cyclopts import Parameter
from rich.console import Console

from featherface import __version__
from featherface import weights as shipped
from featherface.data.labels import LabelledImage, read_labels
from featherface.evaluation import labelled, wider_face
from featherface.evaluation.bootstrap import difference, resample
from featherface.evaluation.matching import Scored, Truth
from featherface.evaluation.prediction import Conditions, Finder, predict
from featherface.evaluation.record import (
    Old,
    Record,
    check_comparable,
    read_record,
    write_record,
)
from featherface.evaluation.report import Report
from featherface.evaluation.results import read_results, write_results
from featherface.evaluation.tables import (
    append_row,
    difference_table,
    landmark_line,
    markdown_row,
    table,
)
from featherface.runtime.detector import OVERLAP, Detector
from featherface.runtime.progress import Progress

ANNOTATIONS = ("wider_face_val_bbx_gt.txt", "wider_face_split/wider_face_val_bbx_gt.txt")
"""The annotation text of WIDER FACE, which knows all boxes but not the three lists."""

LIBRARIES = ("numpy", "onnxruntime")
"""Whose versions a record tells."""

WIDTH = 110  # of tables that do not go to a terminal


@dataclass(frozen=True, slots=True)
class Data:
    """Pictures with what is known of them.

    Attributes:
        name: for people.
        truth: the annotated boxes.
        pictures: the files, which need not be there when results are read.
        labels: None for the official lists of WIDER FACE.
    """

    name: str
    truth: Truth
    pictures: list[Path]
    labels: list[LabelledImage] | None

    def evaluate(self, predictions: Sequence[Scored]) -> Report:
        """Score predictions by the protocol that the data calls for."""
        if self.labels is None:
            return wider_face.evaluate(predictions, self.truth)
        return labelled.evaluate(predictions, self.labels)


class Predictor(NamedTuple):
    """Something that finds faces, and what it is."""

    finder: Finder
    name: str
    sha256: str


class Found(NamedTuple):
    """Predictions, who made them and how."""

    predictions: Sequence[Scored]
    name: str
    sha256: str
    conditions: str


def main(
    labels: Path | None = None,
    /,
    *,
    weights: str | None = None,
    results: Path | None = None,
    wider: Path | None = None,
    size: Annotated[
        Literal["original", "multiscale"] | int, Parameter(show_choices=False)
    ] = "original",
    shrink: float = 1.0,
    score_floor: float = 0.001,
    threads: int = 1,
    write: Annotated[Path | None, Parameter(name="--write-results")] = None,
    json: Path | None = None,
    plots: Path | None = None,
    compare: Path | None = None,
    row: Path | None = None,
) -> None:
    """Measure a detector's accuracy on labelled pictures, or on WIDER FACE by its own protocol.

    Args:
        labels: Labels in any format that training reads: a file, or a folder with one.
        weights: Name of weights that come with featherface, an .onnx file of your own, or the
            model.safetensors of a training run.
        results: Score these result files (event/picture.txt, as the official WIDER FACE tool
            reads them) instead of running a detector.
        wider: Folder of WIDER FACE, instead of labels: WIDER_val/images, and the .mat files of
            the official evaluation, in it, in ground_truth or in wider_face_split.
        size: "original", the pixels that the longer side is scaled to (640 is the VGA protocol),
            or "multiscale": half, whole and double size, each mirrored too.
        shrink: Make pictures, and the faces in them, so many times smaller first. 2 turns faces
            that were labelled at twice the size into small ones.
        score_floor: Boxes that score less are left out. A high floor costs recall, most of all when
            scores are probabilities (`featherface calibrate`): many a face scores under 0.02 then.
        threads: Processor threads that share the work on a picture.
        write: Put result files for the official tool into this folder.
        json: Write the figures, and what a later --compare needs, to this file.
        plots: Put precision-recall curves and a sheet of the worst failures into this folder.
        compare: Tell the gain over an earlier --json file, with the interval of chance.
        row: Append a row to the Markdown table in this file.
    """
    if shrink != 1 and (wider or results or write or plots):
        raise ValueError(
            "--shrink: goes with labels alone; --wider, --results, --write-results and --plots know"
            " the pictures at their own size"
        )
    if not 1 <= shrink < math.inf:
        raise ValueError(f"--shrink {shrink:g}: wanted 1 or more, how many times smaller")
    data = open_data(labels, wider, shrink=shrink)
    old = read_record(compare) if compare else None
    if results:
        if weights:
            raise ValueError("--weights and --results: give one, they are two detectors")
        predictions = read_results(results, data.truth.names)
        found = Found(predictions, results.name, "", "result files as they are")
    else:
        conditions = Conditions(size, score_floor, OVERLAP, shrink)
        found = look(load_predictor(weights, threads=threads), data.pictures, conditions)
    if write:
        write_results(write, data.truth.names, found.predictions)
    report = data.evaluate(found.predictions)
    if compare and old:
        check_comparable(compare, old, report)
    record = Record(
        detector=found.name,
        sha256=found.sha256,
        data=data.name,
        conditions=found.conditions,
        command=shlex.join(["featherface", *sys.argv[1:]]),
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        versions={"featherface": __version__} | {name: version(name) for name in LIBRARIES},
        report=report,
        samples=resample(report.tallies),
    )
    show(record, old)
    if json:
        write_record(json, record)
    if row:
        append_row(row, markdown_row(record))
    if plots:
        plot(plots, record, found.predictions, data.pictures)


def open_data(labels: Path | None, wider: Path | None, *, shrink: float = 1.0) -> Data:
    """The pictures to look at; labels are of the pictures made so many times smaller.

    Raises:
        ValueError: not exactly one of the two is given.
        LabelError: the labels cannot be understood.
        OSError: files are missing.
    """
    if wider and not labels:
        if folder := wider_face.find_ground_truth(wider):
            truth = wider_face.read_ground_truth(folder)
            pictures = [wider / "WIDER_val" / "images" / f"{name}.jpg" for name in truth.names]
            return Data("WIDER FACE val", truth, pictures, None)
        texts = [wider / name for name in ANNOTATIONS]
        labels = next((text for text in texts if text.is_file()), None)
        if not labels:
            raise FileNotFoundError(
                f"{wider}: neither {wider_face.BOXES} nor {ANNOTATIONS[0]} is there"
            )
    elif wider or not labels:
        raise ValueError("give either labels, as in `featherface evaluate FOLDER`, or --wider")
    images = [image.shrunk(shrink) for image in read_labels(labels)]
    folder = labels.parent if labels.is_file() else labels
    name = "/".join(folder.resolve().parts[-2:])
    return Data(name, labelled.truth_of(images), [image.path for image in images], images)


def load_predictor(weights: str | None, *, threads: int) -> Predictor:
    """Open weights of any kind: a name that ships, an .onnx file, a training run's safetensors.

    Raises:
        ModelError: there are no such weights, or they cannot be used.
        ImportError: torch is needed and not installed.
    """
    name = weights or shipped.DEFAULT
    path = Path(name)
    if path.suffix == ".safetensors":
        import torch

        from featherface.recipes.torch_finder import TorchFinder
        from featherface.training.checkpoint import load_model

        torch.set_num_threads(threads)
        model, _ = load_model(path)
        finder: Finder = TorchFinder(model, overlap=OVERLAP)
    else:
        finder = Detector(name, threads=threads)
    content = shipped.read(name) if name == path.stem else path.read_bytes()
    return Predictor(finder, "/".join(path.parts[-2:]), hashlib.sha256(content).hexdigest())


def look(predictor: Predictor, pictures: Sequence[Path], conditions: Conditions) -> Found:
    """Find the faces of all pictures.

    Raises:
        ImageError: a picture cannot be read.
    """
    bar = Progress(len(pictures), unit="pictures")
    predictions = []
    for done, picture in enumerate(pictures):
        bar.show(done)
        predictions.append(predict(predictor.finder, picture, conditions))
    bar.clear()
    return Found(predictions, predictor.name, predictor.sha256, str(conditions))


def show(record: Record, old: Old | None) -> None:
    """Print the figures, and what they gained."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    console.print(table(record))
    if line := landmark_line(record):
        console.print(line)
    if old:
        before = resample(old.tallies())
        gains = {name: difference(new, before[name]) for name, new in record.samples.items()}
        console.print(difference_table(old, gains))


def plot(
    folder: Path, record: Record, predictions: Sequence[Scored], pictures: Sequence[Path]
) -> None:
    """Draw the curves, and the failures where there are pictures to draw them on."""
    from featherface.evaluation.curves import plot_curves
    from featherface.evaluation.failures import draw_failures

    folder.mkdir(parents=True, exist_ok=True)
    plot_curves(folder / "curves.png", record)
    if all(picture.is_file() for picture in pictures):
        draw_failures(folder / "failures.png", record.report, predictions, pictures)
