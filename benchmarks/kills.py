"""kill -9 at random moments of everything that can go on afterwards.

Each job is run once undisturbed. Then it is started, killed, started again, killed again, and at
last left alone; what it has made has to be what it makes undisturbed. After each kill every file
that lies under its final name has to be whole.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from cyclopts import App
from PIL import Image
from safetensors.torch import load_file

from featherface.anchors import FEATHERFACE_V1
from featherface.data.synthetic import write_dataset
from featherface.models.nano_b import NanoB, NanoBConfig
from featherface.models.zoo import nano_b_enhanced_dense
from featherface.training.checkpoint import load_state, save_model
from soak import RESULTS, Row, keep

ROOT = Path(__file__).resolve().parent.parent
CHAIN = 5  # kills of one job before it is left alone
PATIENCE = 600.0  # seconds until a run counts as hanging
TRAINING = """
workers = 0
[[data]]
labels = "labels.txt"
[crop]
size = 64
[fit]
batch = 2
save_minutes = 0
"""

app = App(name="python benchmarks/kills.py", help_format="markdown")

Result = Mapping[str, object]
"""What a job has made, by name; tensors, bytes or plain values."""


class Fault(Exception):
    """Something that is not as promised."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something that is killed.

    Attributes:
        arguments: of the command line, run in a folder where `out` is its own.
        result: what it has made in `out`.
        check: raises a `Fault` if a file in `out` is not whole; gets the undisturbed result.
    """

    arguments: tuple[str, ...]
    result: Callable[[Path], Result]
    check: Callable[[Path, Result], None]


# ---- what is there after a kill --------------------------------------------------------------


def trained(out: Path) -> Result:
    """All tensors of a run, to go on from and to use."""
    state = load_state(out / "state.pt")
    del state["spent"]
    found = flat("state", state)
    found |= flat("model", load_file(out / "model.safetensors"))
    return found | {"seen": [json.loads(each)["seen"] for each in lines(out / "metrics.jsonl")][-1]}


def flat(name: str, value: object) -> dict[str, object]:
    """Nested dictionaries and lists as one dictionary."""
    if isinstance(value, dict):
        parts = {f"{name}.{key}": part for key, part in value.items()}
    elif isinstance(value, list | tuple):
        parts = {f"{name}[{number}]": part for number, part in enumerate(value)}
    else:
        return {name: value}
    return {key: part for each, inner in parts.items() for key, part in flat(each, inner).items()}


def lines(path: Path) -> list[str]:
    """Of a text."""
    return path.read_text().splitlines()


def whole_training(out: Path, wanted: Result) -> None:
    """Every file of a run can be read; of the log a line may be cut off."""
    for path in out.rglob("*"):
        if path.name == "state.pt":
            load_state(path)
        elif path.suffix == ".safetensors":
            load_file(path)
        elif path.name in ("run.json", "pruned.json"):
            json.loads(path.read_text())
        elif path.name == "trials.jsonl":
            list(map(json.loads, lines(path)))
        elif path.suffix == ".png" and not path.name.startswith("."):
            with Image.open(path) as image:
                image.load()
        elif path.suffix == ".db":
            with sqlite3.connect(path) as base:
                expect(base.execute("pragma integrity_check").fetchone() == ("ok",), path.name)


def pruned(out: Path) -> Result:
    """The search, its result, and the soft phase that it came from."""
    (soft,) = out.glob("soft-*/state.pt")
    state = load_state(soft)
    found = flat("soft", {name: state[name] for name in ("model", "average", "seen")})
    found |= flat("pruned", load_file(out / "pruned.safetensors"))
    return found | {name: (out / name).read_text() for name in ("trials.jsonl", "pruned.json")}


def files(out: Path) -> Result:
    """Every file, those hidden ones left out that killed processes may leave behind."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def whole_files(out: Path, wanted: Result) -> None:
    """What lies under its final name is what will lie there; journals have other names."""
    for name, content in files(out).items():
        if not name.endswith(".unfinished"):
            expect(content == wanted.get(name), f"{name} is not whole")


def tables(out: Path) -> Result:
    """The parts of a batch."""
    return {path.name: path.read_bytes() for path in out.glob("*.parquet")}


def whole_tables(out: Path, wanted: Result) -> None:
    """Each part that is there is done."""
    for name, content in tables(out).items():
        expect(content == wanted.get(name), f"{name} is not whole")


def expect(is_so: bool, what: str) -> None:
    """Raises a `Fault` if it is not so."""
    if not is_so:
        raise Fault(what)


def equal(one: Result, other: Result) -> bool:
    """Whether two results are the same, to the last bit."""
    return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)


def _same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    return one == other


# ---- jobs ------------------------------------------------------------------------------------

DATA = ("--data", "data", "--pixels", "pixels", "--quiet")
TEACHER = ("--teacher", "teacher.safetensors")
DENSE = ("--weights", "dense.safetensors")
LIST = ("--format", "coco", "--output", "out/f.json")
DRAWN = ("--draw", "out/drawn", "--crop", "out/faces")
JOBS = {
    "training": Job(("train", "train.toml", "out", *DATA), trained, whole_training),
    "distillation": Job(
        ("distill", "distill.toml", "out", *TEACHER, *DATA), trained, whole_training
    ),
    "search": Job(("prune", "prune.toml", "out", *DENSE, *DATA), pruned, whole_training),
    "folder": Job(("detect", "pictures", *LIST, *DRAWN, "--workers", "2"), files, whole_files),
    "batch": Job(
        ("batch", "pictures", "out", "--part", "3", "--workers", "2"), tables, whole_tables
    ),
    "pictures blurred": Job(("blur", "pictures", "out", "--overwrite"), files, whole_files),
    "video blurred": Job(("blur", "film.mp4", "out/film.mp4", "--overwrite"), files, whole_files),
}
"""By name. Whatever else can go on after a kill belongs here."""


def prepare(folder: Path) -> None:
    """Puts there what all jobs need, small enough that each takes seconds."""
    rng = np.random.default_rng(0)
    write_dataset(folder / "data", rng, pictures=4, size=(160, 160), faces=4)
    start = 'network = "nano_b_enhanced"\n' + TRAINING + "crops = 24\n"
    (folder / "train.toml").write_text(start)
    (folder / "distill.toml").write_text(start + '[distill]\nweights = "learned"\n')
    search = "[prune]\nrecovery = 8\nvalidation = 2\nhold_out = 0.5\nevery = 2\n"
    search += "[prune.search]\ntrials = 4\nstartup = 2\n"
    (folder / "prune.toml").write_text('network = "weights"\n' + TRAINING + "crops = 8\n" + search)
    torch.manual_seed(0)
    widths = ((4, 4, 8, 8, 8, 8), (12,) * 6, (16, 16))
    teacher = NanoBConfig(widths=widths, channels=16, repeats=1, anchors=FEATHERFACE_V1)
    save_model(folder / "teacher.safetensors", NanoB(teacher), {})
    save_model(folder / "dense.safetensors", nano_b_enhanced_dense(), {"name": "dense"})
    (folder / "pictures").mkdir()
    with Image.open(ROOT / "assets" / "astronaut.jpg") as photograph:
        face = photograph.convert("RGB").resize((320, 320))
    for number in range(40):
        face.rotate(number).save(folder / "pictures" / f"{number:02}.jpg")
    make_film(folder / "film.mp4", np.asarray(face))


def make_film(path: Path, face: np.ndarray) -> None:
    """Four seconds in which a face moves over noise."""
    import av

    noise = np.random.default_rng(0).integers(90, 160, (360, 480, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 25, width=480, height=360, pix_fmt="yuv420p")
        for number in range(100):
            frame = noise.copy()
            frame[20:340, number : number + 320] = face
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode(None))


def start(job: Job, folder: Path) -> subprocess.Popen[bytes]:
    """The job's process, with a group of its own."""
    (folder / "out").mkdir(exist_ok=True)
    with (folder / "errors").open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "featherface", *job.arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )


def finish(job: Job, folder: Path) -> float:
    """Lets the job end by itself; the seconds it took."""
    begun = time.monotonic()
    process = start(job, folder)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise Fault(f"has not ended after {PATIENCE} s") from error
    if process.returncode:
        errors = (folder / "errors").read_text()
        raise Fault(f"status {process.returncode}: {errors[-2000:]}")
    return time.monotonic() - begun


def kill(job: Job, folder: Path, after: float) -> bool:
    """Starts the job and kills it after so many seconds; whether it was still at work."""
    process = start(job, folder)
    try:
        process.wait(after)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def torture(job: Job, given: Path, kills: int, rng: np.random.Generator) -> tuple[str, list[str]]:
    """Kills a job so often; what is to be told about it, and the faults."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "undisturbed")
        shutil.copytree(given, folder)
        seconds = finish(job, folder)
        wanted = job.result(folder / "out")
        faults: list[str] = []
        done = runs = early = 0
        while done < kills:
            folder = Path(name, f"killed-{runs}")
            shutil.copytree(given, folder)
            runs += 1
            moments: list[float] = []
            try:
                while done < kills and len(moments) < CHAIN:
                    moments.append(float(rng.uniform(0.1, 1.0)) * seconds)
                    if not kill(job, folder, moments[-1]):  # it was done before
                        early += 1
                        break
                    done += 1
                    job.check(folder / "out", wanted)
                finish(job, folder)
                job.check(folder / "out", wanted)
                expect(equal(job.result(folder / "out"), wanted), "the result is another one")
            except Exception as error:  # whatever cannot be read is a fault as well
                faults.append(f"killed after {moments} s: {type(error).__name__}: {error}")
            shutil.rmtree(folder)
        told = f"{done} kills of {runs} runs of {seconds:.1f} s, {early} ended before"
        return told, faults


@app.default
def main(
    *names: str, kills: int = 50, seed: int = 0, jobs: int = 2, results: Path = RESULTS
) -> int:
    """Kill jobs at random moments.

    How long each takes is in results/soak.md.

    Args:
        names: Which ones; all if none is named.
        kills: Of each job.
        seed: Of the moments.
        jobs: So many side by side.
        results: The table of rows.
    """
    writing = Lock()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        prepare(Path(folder))

        def go(name: str) -> bool:
            begun = time.monotonic()
            told, faults = torture(JOBS[name], Path(folder), kills, np.random.default_rng(seed))
            command = ["python", "benchmarks/kills.py", name, f"--kills={kills}", f"--seed={seed}"]
            row = Row(
                what=f"kill -9: {name}",
                tried=f"`featherface {JOBS[name].arguments[0]}`, killed at random moments",
                outcome=f"{told}; {'equal to undisturbed' if not faults else faults[0]}",
                faults=len(faults),
                minutes=(time.monotonic() - begun) / 60,
                command=shlex.join(command),
            )
            with writing:
                print(f"{name}: {told}, {len(faults)} faults", *faults, sep="\n  ", flush=True)
                keep(row, results)
            return bool(faults)

        return 1 if any([*pool.map(go, names or JOBS)]) else 0


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
