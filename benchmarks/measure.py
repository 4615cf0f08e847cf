"""Turns detectors into rows: their times, their costs, their accuracy."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from entrants import OPEN, OVERLAPS, Entrant
from featherface.data.labelled import LabelledImage
from featherface.data.labels import read_labels
from featherface.evaluation.bootstrap import Difference, difference, resample
from featherface.evaluation.labelled import evaluate
from featherface.evaluation.prediction import Conditions, predict
from featherface.evaluation.report import Report
from featherface.types import Pixels, Size
from install import installed_bytes
from onnx_cost import count_macs, count_numbers
from race import Event, race
from rows import REFERENCE, Accuracy, Cost, Speed

FOLDER = Path(__file__).resolve().parent
COLLAGE = FOLDER.parent / "assets" / "collage.jpg"
SQUARE: Size = (640, 640)
VGA: Size = (480, 640)
THREADS = (1, 2)
ENLARGED = 1.6  # a picture is so many times larger than the input that it is shrunk to
FLOOR = 0.001  # where scores are probabilities, 0.02 would cut off a hundredth of the faces
FOREIGN_NEEDS = ("onnxruntime", "numpy", "pillow")

Tell = Callable[[str], None]


def speeds(
    entrants: Sequence[Entrant], *, rounds: int, repeats: int, tell: Tell
) -> tuple[Speed, ...]:
    """Every detector's times at every size and number of threads."""
    reference = _reference(entrants)
    pictures = {size: picture_for(size) for size in (SQUARE, VGA)}
    found = race(
        entrants,
        pictures,
        threads=THREADS,
        rounds=rounds,
        repeats=repeats,
        tell=lambda turn: tell(f"time, round {turn + 1} of {rounds}"),
    )
    lines = []
    for size in pictures:
        for threads in THREADS:
            forward, end, shrink = (
                found[Event(size, threads, stage)] for stage in ("forward", "end", "fit")
            )
            lines += [
                Speed(
                    detector=entrant.name,
                    height=size[0],
                    width=size[1],
                    threads=threads,
                    rounds=rounds,
                    repeats=repeats,
                    forward_ms=round(forward.median()[who], 3),
                    forward_best_ms=round(forward.best()[who], 3),
                    forward_ratio=round(forward.ratio(reference)[who], 4),
                    end_ms=round(end.median()[who], 3),
                    end_best_ms=round(end.best()[who], 3),
                    end_ratio=round(end.ratio(reference)[who], 4),
                    fit_ms=round(shrink.median()[who], 3),
                )
                for who, entrant in enumerate(entrants)
            ]
    return tuple(lines)


def picture_for(size: Size) -> Pixels:
    """The collage, decoded, cut to the shape of `size` and larger than it by `ENLARGED`."""
    height, width = (round(ENLARGED * side) for side in size)
    with Image.open(COLLAGE) as collage:
        return np.asarray(ImageOps.fit(collage.convert("RGB"), (width, height)))


def costs(
    entrants: Sequence[Entrant], *, starts: int, is_installing: bool, tell: Tell
) -> tuple[Cost, ...]:
    """What every detector costs apart from time."""
    installed: dict[bool, int] = {}
    if is_installing:
        tell("installations")
        ours, others = installed_bytes([str(FOLDER.parent)]), installed_bytes(FOREIGN_NEEDS)
        installed = {True: ours, False: others}
    begun = _starts(entrants, starts, tell)
    return tuple(
        Cost(
            detector=entrant.name,
            file=entrant.file.name,
            file_bytes=entrant.file.stat().st_size,
            parameters=entrant.parameters,
            numbers=count_numbers(entrant.file),
            gmac_640=round(count_macs(entrant.file, size=SQUARE) / 1e9, 6),
            gmac_vga=round(count_macs(entrant.file, size=VGA) / 1e9, 6),
            start_ms=round(float(np.median([start[0] for start in each])), 1),
            peak_bytes=int(np.median([start[1] for start in each])),
            install_bytes=installed.get(entrant.family == "featherface"),
        )
        for entrant, each in zip(entrants, begun, strict=True)
    )


def _starts(entrants: Sequence[Entrant], starts: int, tell: Tell) -> list[list[tuple[float, int]]]:
    """Milliseconds and peak memory of new processes, for every detector, in turns."""
    found: list[list[tuple[float, int]]] = [[] for _ in entrants]
    for turn in range(starts + 1):
        tell(f"start, round {turn} of {starts}")
        for entrant, each in zip(entrants, found, strict=True):
            program = [sys.executable, str(FOLDER / "first_boxes.py"), entrant.family]
            begin = time.perf_counter()
            ran = subprocess.run(
                [*program, str(entrant.graph), str(COLLAGE), str(max(SQUARE))],
                stdout=subprocess.PIPE,
                check=True,
            )
            elapsed = 1000 * (time.perf_counter() - begin)
            if turn:  # the first start brings the files into the system's cache
                each.append((elapsed, json.loads(ran.stdout)["peak"]))
    return found


def network_costs(
    entrants: Sequence[Entrant], *, rounds: int, repeats: int, tell: Tell
) -> dict[str, dict[str, float]]:
    """What each network takes at 640 x 640 on one thread, the first one's time being 1."""
    times = race(
        entrants,
        {SQUARE: picture_for(SQUARE)},
        threads=[1],
        rounds=rounds,
        repeats=repeats,
        tell=lambda turn: tell(f"round {turn + 1} of {rounds}"),
    )[Event(SQUARE, 1, "forward")]
    return {
        entrant.name: {
            "parameters": entrant.parameters,
            "gmac": round(count_macs(entrant.file, size=SQUARE) / 1e9, 4),
            "forward_ms": round(times.median()[who], 2),
            "forward_ratio": round(times.ratio(0)[who], 3),
        }
        for who, entrant in enumerate(entrants)
    }


def accuracies(
    entrants: Sequence[Entrant], folder: Path, *, shrink: float, tell: Tell
) -> tuple[Accuracy, ...]:
    """How well every detector finds the faces of a labelled folder, shrunk so many times first."""
    labels = [label.shrunk(shrink) for label in read_labels(folder)]
    conditions = [
        Conditions("original", score=FLOOR, overlap=OVERLAPS[entrant.family], shrink=shrink)
        for entrant in entrants
    ]
    tell(f"accuracies on {len(labels)} photographs, shrunk {shrink:g} times")
    with ProcessPoolExecutor(max(THREADS), get_context("spawn")) as pool:
        reports = list(pool.map(_report, entrants, conditions, repeat(labels)))
    tell("how far accuracies would move with other photographs")
    samples = [resample(report.tallies) for report in reports]
    known = samples[_reference(entrants)]
    return tuple(
        Accuracy(
            detector=entrant.name,
            labels="/".join(folder.resolve().parts[-2:]),
            pictures=len(labels),
            faces={name: each.faces for name, each in report.measures.items()},
            shrink=shrink,
            conditions=str(condition),
            ap={name: _figure(each.ap) for name, each in report.measures.items()},
            ap_gain={name: _gain(difference(own[name], known[name])) for name in own},
            recall={name: _figure(each.recall) for name, each in report.measures.items()},
            landmark_faces=report.landmarks.faces if report.landmarks else 0,
            landmark_error=_figure(report.landmarks.mean) if report.landmarks else None,
        )
        for entrant, condition, report, own in zip(
            entrants, conditions, reports, samples, strict=True
        )
    )


def _report(entrant: Entrant, conditions: Conditions, labels: list[LabelledImage]) -> Report:
    finder = OPEN[entrant.family](entrant.graph, threads=1)
    return evaluate([predict(finder, label.path, conditions) for label in labels], labels)


def _gain(gain: Difference) -> list[float | None]:
    return [_figure(gain.ap), *map(_figure, gain.ap_interval)]


def _figure(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 5)


def _reference(entrants: Sequence[Entrant]) -> int:
    """Where the detector stands that others are compared with."""
    return [entrant.name for entrant in entrants].index(REFERENCE)
