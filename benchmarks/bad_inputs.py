"""Networks, states, labels, results and recipes that are spoiled, through what reads them.

Each has to be read, or refused by an error of ours that names the file, without a crash.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from cyclopts import App
from PIL import Image

from featherface import Detector
from featherface.data.labels import LabelError, read_labels
from featherface.evaluation.record import RecordError, read_record
from featherface.evaluation.results import ResultError, read_results
from featherface.metadata import ModelError
from featherface.models.nano_b import NanoB, NanoBConfig
from featherface.recipes.config import RecipeError, read_recipe
from featherface.runtime.journal import Journal
from featherface.training.checkpoint import (
    CheckpointError,
    load_model,
    load_state,
    save_model,
    save_state,
)
from soak import RESULTS, Row, keep
from spoil import WAYS
from watch import HANG, serve, watch

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "src" / "featherface" / "weights"
BLACK = np.zeros((64, 64, 3), np.uint8)
POINTS = "15 20 0 25 20 0 20 25 0 16 30 0 24 30 0"
SETTINGS = {"score": 0.5}

app = App(name="python benchmarks/bad_inputs.py", help_format="markdown")


class Kind(NamedTuple):
    """Files of one kind.

    Attributes:
        name: of the file, which readers may look at.
        content: of a good one.
        read: reads it, from its path.
        errors: what may be raised, with the path in the message.
        edge: bytes at the beginning and at the end that are spoiled, in which the structure is.
    """

    name: str
    content: bytes
    read: Callable[[Path], object]
    errors: tuple[type[Exception], ...]
    edge: int = 1 << 30


@cache
def kinds() -> dict[str, Kind]:
    """By name."""
    torch.manual_seed(0)
    widths = ((4, 4, 8, 8, 8, 8), (12,) * 6, (16, 16))
    tiny = NanoB(NanoBConfig(widths=widths, channels=16, repeats=1))
    graph = (WEIGHTS / "nano_b_enhanced.onnx").read_bytes()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "file")
        save_model(path, tiny, {})
        weights = path.read_bytes()
        save_state(path, {"model": tiny.state_dict(), "seen": 3, "spent": 0.5})
        state = path.read_bytes()
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
        "annotations": [
            {"image_id": 1, "bbox": [1, 2, 3, 4], "category_id": 1, "keypoints": [1, 2, 2] * 5}
        ],
        "categories": [{"id": 1, "name": "face"}],
    }
    record = {
        **{"format": 1, "detector": "d", "conditions": "c", "protocol": "labelled"},
        "pictures": [{"name": "a/b", "faces": [[9.0, 1]], "predictions": [[0.5, 9.0, 0]]}],
    }
    ours = f"# a.jpg\n10.5 10 20 30 {POINTS} 0\n# b.jpg\n1 2 3 4 {POINTS} 2\n"
    soft = f"# a.jpg\n10.5 10 20 30 {POINTS} 3 0.25\n"
    retina = f"# 0--Parade/a.jpg\n10 10 20 30 {POINTS} 0.82\n"
    wider = "0--Parade/a.jpg\n2\n1 2 3 4 0 0 0 0 0 0\n5 6 7 8 0 0 0 1 0 0\nb.jpg\n0\n"
    journal = f'{{"settings": {json.dumps(SETTINGS)}, "process": 4}}\n'
    journal += '{"path": "a.jpg", "width": 9, "height": 9, "faces": [], "stamp": null}\n'
    label = (LabelError,)
    found = {
        "graph": Kind("a.onnx", graph, look_through, (ModelError, MemoryError), 60_000),
        "weights": Kind("a.safetensors", weights, load_model, (CheckpointError,), 20_000),
        "state": Kind("state.pt", state, load_state, (CheckpointError,), 20_000),
        "labels": Kind("labels.txt", ours.encode(), read_labels, label),
        "soft labels": Kind("labels.txt", soft.encode(), read_labels, label),
        "RetinaFace labels": Kind("label.txt", retina.encode(), read_labels, label),
        "WIDER FACE labels": Kind("wider.txt", wider.encode(), read_labels, label),
        "COCO labels": Kind("a.json", json.dumps(coco, indent=1).encode(), read_labels, label),
        "YOLO labels": Kind("labels/a.txt", b"0 0.5 0.5 0.2 0.2\n", read_yolo, label),
        "results": Kind("a/b.txt", b"b\n1\n1 2 3 4 0.5\n", read_result, (ResultError,)),
        "record": Kind("r.json", json.dumps(record).encode(), read_record, (RecordError,)),
        "recipe": Kind(
            "r.toml", (ROOT / "configs" / "prune.toml").read_bytes(), read_recipe, (RecipeError,)
        ),
        "journal": Kind("f.unfinished", journal.encode(), read_journal, (ValueError,)),
    }
    return found


def look_through(path: Path) -> None:
    """A graph has to be run: much is found wrong only then."""
    Detector(path).detect(BLACK)


def read_yolo(path: Path) -> None:
    """A label file beside its picture."""
    (path.parent.parent / "images").mkdir(exist_ok=True)
    Image.fromarray(BLACK).save(path.parent.parent / "images" / "a.png")
    read_labels(path.parent.parent)


def read_result(path: Path) -> None:
    """One file of a folder."""
    read_results(path.parent.parent, ["a/b"])


def read_journal(path: Path) -> None:
    """Whatever stands there, a run begins anew or goes on."""
    journal = Journal(path, SETTINGS)
    with closing(journal):
        for picture in [path for path in map(Path, ("a.jpg", "b.jpg")) if journal.is_done(path)]:
            journal.read(picture)


def spoil(number: int) -> tuple[str, Kind, bytes]:
    """The spoiled file of that number, always the same one, and what was done to it."""
    rng = np.random.default_rng([2027, number])
    name = list(kinds())[number % len(kinds())]
    kind = kinds()[name]
    file = kind.content
    if len(file) > 2 * kind.edge:
        start = kind.edge if rng.random() < 0.5 else len(file) - kind.edge
        head, tail = (file[:start], file[start:])
        what, part = _apply(head if start == kind.edge else tail, rng)
        file = part + tail if start == kind.edge else head + part
    else:
        what, file = _apply(file, rng)
    return f"{name} + {what}", kind, file


def _apply(file: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    ways = [way for way in WAYS if way != "size"]
    done = []
    for _ in range(rng.choice([1, 1, 2])):
        way = ways[rng.integers(len(ways))]
        if file:
            file = WAYS[way](file, rng)
        done.append(way)
    return " + ".join(done), file


@app.default
def main(*, files: int = 13_000, results: Path = RESULTS) -> int:
    """Read spoiled files, and tell what became of them.

    Takes about five minutes of a core; Linux only.

    Args:
        files: How many, of all kinds together.
        results: The table of rows.
    """
    begun = time.perf_counter()
    outcomes: Counter[str] = Counter()
    faults: list[str] = []
    for done in watch([sys.executable, __file__, "serve"], range(files)):
        kind = done.outcome.partition(":")[0]
        outcomes[kind] += 1
        if kind not in ("read", "refused") or done.seconds > HANG:
            faults.append(f"{done.number}: {done.outcome}, {done.seconds} s")
            print(faults[-1], "|", spoil(done.number)[0], file=sys.stderr)
    row = Row(
        what="other inputs",
        tried=f"{files:,} spoiled files: {', '.join(kinds())}",
        outcome=f"{outcomes['read']:,} were read, {outcomes['refused']:,} refused by name",
        faults=len(faults),
        minutes=(time.perf_counter() - begun) / 60,
        command=f"python benchmarks/bad_inputs.py --files {files}",
    )
    keep(row, results)
    print(row.outcome)
    return 1 if faults else 0


@app.command(name="serve")
def serve_numbers(start: int, stop: int, step: int) -> None:
    """The process that is watched; not for people."""
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # ONNX Runtime may write there
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        serve(range(start, stop, step), lambda number: look(number, Path(folder)))


def look(number: int, folder: Path) -> str:
    """What became of a spoiled file: read, refused, or what is wrong."""
    _, kind, content = spoil(number)
    path = folder / str(number % len(kinds())) / kind.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    try:
        kind.read(path)
    except kind.errors as error:
        is_named = str(path.parent) in str(error) or isinstance(error, MemoryError)
        return "refused" if is_named else f"unnamed: {error}"
    except Exception as error:
        return f"other error: {type(error).__name__}: {error}"
    return "read"


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
