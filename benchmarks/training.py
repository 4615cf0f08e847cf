"""Crops a second of each part of training, next to a plain version of it.

Everything is measured on drawn faces: the sampler alone, the network in two memory layouts, targets
and loss, and the whole loop with one process and two. Appends a table to results/training.md.

    python benchmarks/training.py
    python benchmarks/training.py --teacher ../shared/weights/featherface_v1_widerface.safetensors
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from featherface.anchors import FEATHERFACE_V1, NANO_B, make_anchors
from featherface.boxes import area, intersection
from featherface.data.crops import CropConfig, Faces
from featherface.data.labels import read_labels
from featherface.data.loader import Batch, CropDataset, collate, stream
from featherface.data.pixels import PixelStore
from featherface.data.synthetic import write_dataset
from featherface.data.targets import AnchorGrid, make_target
from featherface.models.decode import encode_boxes, encode_points
from featherface.models.heads import Raw
from featherface.models.layers import normalise
from featherface.models.nano_b import NanoB
from featherface.models.zoo import nano_b_enhanced, nano_b_enhanced_dense
from featherface.recipes.export import main as export
from featherface.recipes.teachers import open_teacher
from featherface.training.distill import DistillationCriterion, DistillConfig, nested_anchors
from featherface.training.loop import FitConfig, fit
from featherface.training.losses import (
    FORCED,
    NEGATIVES,
    OVERLAP,
    Criterion,
    aligned_loss,
    multibox_loss,
)
from machine import this_machine

RESULTS = Path(__file__).parent / "results" / "training.md"
WARM = 2  # steps that do not count
HEADER = """# Training speed

`python benchmarks/training.py`: crops of 320 x 320 pixels a second, `nano_b_enhanced_dense`, drawn
faces. "Plain" is what the line above it is compared with.

| date | processor | versions | part | variant | processes x threads | crops/s |
|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Measure everything, or be one of the processes of a measured loop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10, help="steps that are timed")
    parser.add_argument("--batch", type=int, default=32, help="crops a step")
    parser.add_argument("--size", type=int, default=320, help="side of a crop")
    parser.add_argument("--results", type=Path, default=RESULTS, help="table to append to")
    parser.add_argument("--teacher", type=Path, help="FeatherFace V1: measure only the cost of it")
    parser.add_argument("--loop", type=Path, help=argparse.SUPPRESS)  # folder with the pictures
    given = parser.parse_args()
    if given.loop:
        rate = _loop(given.loop, given.steps, given.batch, given.size)
        if os.environ.get("RANK", "0") == "0":
            print(rate)
        return
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        write_dataset(folder, rng, pictures=16, size=(720, 960), faces=24)
        if given.teacher:
            crops = _crops(Path(folder), given.size)
            rows = [*_taught(crops, given.teacher, Path(folder), given.steps, given.batch)]
            _append(given.results, rows)
            return
        rows = [
            *_sampler(_crops(Path(folder), given.size), given.steps * given.batch),
            *_network(given.steps, given.batch, given.size),
            *_losses(_crops(Path(folder), given.size), given.steps, given.batch),
            *_loops(Path(folder), given.steps, given.batch, given.size),
        ]
    _append(given.results, rows)


Row = tuple[str, str, str, float]  # part, variant, processes x threads, crops/s


def _crops(folder: Path, size: int) -> CropDataset:
    """The sampler over the drawn pictures."""
    images = read_labels(folder)
    store = PixelStore(folder / "pixels", [image.path for image in images])
    return CropDataset(store, images, np.ones(len(images)), CropConfig(size=size), NANO_B, seed=0)


def _rate(step: Callable[[int], object], steps: int, crops: int) -> float:
    """Crops a second of `step`, which is given its number and takes `crops` crops."""
    for number in range(WARM):
        step(number)
    started = time.perf_counter()
    for number in range(steps):
        step(WARM + number)
    return steps * crops / (time.perf_counter() - started)


def _sampler(dataset: CropDataset, crops: int) -> Iterator[Row]:
    """Cutting crops, with and without the work on targets."""
    torch.set_num_threads(1)
    whole = _rate(dataset.__getitem__, crops, 1)
    yield "sampler", "crop and targets", "1 x 1", whole
    alone = _rate(lambda number: dataset.draw(np.random.default_rng(number)), crops, 1)
    yield "sampler", "crop alone", "1 x 1", alone


def _network(steps: int, batch: int, size: int) -> Iterator[Row]:
    """Forward and backward in both memory layouts."""
    images = torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8)
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for name, layout in (
            ("channels last", torch.channels_last),
            ("plain layout", torch.contiguous_format),
        ):
            model = nano_b_enhanced_dense().to(memory_format=layout).train()
            pixels = normalise(images).contiguous(memory_format=layout)

            def step(_: int, model: NanoB = model, pixels: Tensor = pixels) -> None:
                model.zero_grad(set_to_none=True)
                torch.stack([part.square().mean() for part in model(pixels)]).sum().backward()

            yield "forward and backward", name, f"1 x {threads}", _rate(step, steps, batch)


def _losses(dataset: CropDataset, steps: int, batch: int) -> Iterator[Row]:
    """Targets, loss and its gradient: pairs and one call a batch, or tables crop by crop."""
    torch.set_num_threads(1)
    drawn = [dataset.draw(np.random.default_rng(number)) for number in range(batch)]
    grid, anchors = dataset.grid, torch.from_numpy(dataset.grid.anchors)
    widths = (2, 4, 10)
    raw = Raw(*(torch.randn(batch, len(anchors), n).requires_grad_() for n in widths))

    def sparse(_: int) -> None:
        targets = collate([(crop, make_target(grid, faces)) for crop, faces in drawn])
        torch.stack(list(multibox_loss(raw, targets, anchors).values())).sum().backward()

    def dense(_: int) -> None:
        plain_multibox(raw, [faces for _, faces in drawn], anchors).backward()

    _check_plain(drawn, anchors, grid, raw)
    yield "targets and multibox loss", "pairs, batched", "1 x 1", _rate(sparse, steps, batch)
    yield "targets and multibox loss", "plain", "1 x 1", _rate(dense, steps, batch)


def plain_multibox(raw: Raw, faces: list[Faces], anchors: Tensor) -> Tensor:
    """The textbook form: a table of all anchors by all faces, and two sorts, for every crop."""
    corners = torch.cat(
        [anchors[:, :2] - anchors[:, 2:] / 2, anchors[:, :2] + anchors[:, 2:] / 2], 1
    )
    sums = torch.zeros(3)
    positives = with_landmarks = torch.zeros(())
    for crop, every in enumerate(faces):
        counted = every.rows(~every.ignore)
        regions = every.boxes[every.ignore]
        ignored = torch.zeros(len(anchors), dtype=torch.bool)
        if len(regions):
            share = intersection(corners.numpy(), regions) / area(corners.numpy())[:, None]
            ignored = torch.from_numpy(share.max(1) > 0.5)
        boxes = torch.from_numpy(counted.boxes)
        face, positive = _match(corners, boxes)
        probability = torch.from_numpy(counted.probability)[face] if len(boxes) else face.float()
        target = torch.where(positive, probability, 0.0)
        logits = raw.class_logits[crop, :, 1] - raw.class_logits[crop, :, 0]
        entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        rivals = entropy.detach().masked_fill(positive | ignored, -1)
        rank = rivals.argsort(descending=True).argsort()
        hard = (rank < max(int(positive.sum()) * NEGATIVES, 16)) & (rivals >= 0)
        sums[0] = sums[0] + entropy[positive | hard].sum()
        positives = positives + target.sum()
        if not len(boxes):
            continue
        code = encode_boxes(boxes[face], anchors)
        error = functional.smooth_l1_loss(raw.box_deltas[crop], code, reduction="none").sum(1)
        sums[1] = sums[1] + 2 * (error * target)[positive].sum()
        landmarks = torch.from_numpy(counted.landmarks)
        known = positive & landmarks.isfinite().all(2).all(1)[face]
        code = encode_points(landmarks.nan_to_num()[face], anchors)
        error = functional.smooth_l1_loss(raw.landmark_deltas[crop], code, reduction="none").sum(1)
        sums[2] = sums[2] + (error * target)[known].sum()
        with_landmarks = with_landmarks + target[known].sum()
    return sums[:2].sum() / positives.clamp(min=1) + sums[2] / with_landmarks.clamp(min=1)


def _match(corners: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """The face of every anchor (A,), and which anchors are positive (A,)."""
    if not len(boxes):
        nothing = torch.zeros(len(corners), dtype=torch.long)
        return nothing, nothing.bool()
    sides = torch.minimum(corners[:, None, 2:], boxes[:, 2:])
    sides = (sides - torch.maximum(corners[:, None, :2], boxes[:, :2])).clamp(min=0)
    shared = sides.prod(2)
    areas = [(x[:, 2:] - x[:, :2]).prod(1) for x in (corners, boxes)]
    table = shared / (areas[0][:, None] + areas[1] - shared).clamp(min=1e-9)  # (A, N)
    forced = (table >= table.amax(0)) & (table >= FORCED)
    bid, face = (table + forced).max(1)
    return face, (bid >= OVERLAP) & ((table >= OVERLAP) | forced).any(1)


def _check_plain(
    drawn: list[tuple[np.ndarray, Faces]], anchors: Tensor, grid: AnchorGrid, raw: Raw
) -> None:
    """Both forms agree on small faces (of large ones the pairs leave out far-off anchors)."""
    small = []
    for crop, faces in drawn:
        is_small = faces.boxes[:, 3] - faces.boxes[:, 1] < 16
        small.append((crop, faces.rows(is_small)))
    targets = collate([(crop, make_target(grid, faces)) for crop, faces in small])
    ours = torch.stack(list(multibox_loss(raw, targets, anchors).values())).sum()
    torch.testing.assert_close(ours, plain_multibox(raw, [faces for _, faces in small], anchors))


def _loops(folder: Path, steps: int, batch: int, size: int) -> Iterator[Row]:
    """The real loop in processes of its own, and a plain one."""
    for processes, threads in ((1, 1), (1, 2), (2, 1)):
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        options = {"--loop": folder, "--steps": steps, "--batch": batch, "--size": size}
        ran = subprocess.run(
            [
                *(sys.executable, *(launcher if processes > 1 else [])),
                *(__file__, *(str(word) for option in options.items() for word in option)),
            ],
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        yield "whole loop", "as it is", f"{processes} x {threads}", float(ran.stdout)
    torch.set_num_threads(2)
    yield "whole loop", "plain", "1 x 2", _plain_loop(_crops(folder, size), steps, batch)


def _loop(folder: Path, steps: int, batch: int, size: int) -> float:
    """Crops a second of `fit`, over all ranks."""
    ranks, rank = (int(os.environ.get(name, "0")) for name in ("WORLD_SIZE", "RANK"))
    ranks = max(ranks, 1)
    if ranks > 1:
        torch.distributed.init_process_group("gloo")
    dataset, times = _crops(folder, size), []

    def batches(seen: int) -> Iterator[Batch]:
        source = stream(
            dataset, batch=batch // ranks, workers=1, first=seen, rank=rank, ranks=ranks
        )
        for targets in source:
            times.append(time.perf_counter())
            yield targets

    config = FitConfig(crops=(WARM + steps + 1) * batch, batch=batch)
    anchors = torch.from_numpy(make_anchors(NANO_B, (size, size)))
    with tempfile.TemporaryDirectory() as run:
        fit(
            nano_b_enhanced_dense(),
            batches,
            multibox_loss,
            anchors,
            Path(run),
            config,
            facts={},
            rank=rank,
            ranks=ranks,
        )
    if ranks > 1:
        torch.distributed.destroy_process_group()
    return steps * batch / (times[WARM + steps] - times[WARM])


def _taught(
    dataset: CropDataset, weights: Path, folder: Path, steps: int, batch: int
) -> Iterator[Row]:
    """A student's step without a teacher, and with one that is asked in three ways."""
    torch.set_num_threads(1)
    graph, answers = folder / "teacher.onnx", folder / "answers"
    export(weights, graph)
    teachers = {
        "no teacher": None,
        "V1 in torch": open_teacher(weights),
        "V1 in ONNX Runtime": open_teacher(graph),
        "V1, answers kept": open_teacher(graph, answers),
    }
    batches = [
        collate([dataset[number * batch + n] for n in range(batch)])
        for number in range(WARM + steps)
    ]
    size = (dataset.config.size,) * 2
    anchors = torch.from_numpy(dataset.grid.anchors)
    rows = torch.from_numpy(nested_anchors(FEATHERFACE_V1, NANO_B, size))
    for name, teacher in teachers.items():
        model = nano_b_enhanced().to(memory_format=torch.channels_last).train()
        criterion: Criterion = aligned_loss
        if teacher:
            for each in batches if name == "V1, answers kept" else ():
                teacher(each.images)
            criterion = DistillationCriterion(aligned_loss, teacher, rows, DistillConfig())

        def step(number: int, model: NanoB = model, criterion: Criterion = criterion) -> None:
            model.zero_grad(set_to_none=True)
            raw = model(normalise(batches[number].images))
            losses = criterion(raw, batches[number], anchors)
            torch.stack(list(losses.values())).sum().backward()

        yield "a step with a teacher", name, "1 x 1", _rate(step, steps, batch)


def _plain_loop(dataset: CropDataset, steps: int, batch: int) -> float:
    """No workers, the usual layout, the textbook loss."""
    model: nn.Module = nano_b_enhanced_dense().train()
    optimiser = torch.optim.AdamW(model.parameters())
    anchors = torch.from_numpy(dataset.grid.anchors)

    def step(number: int) -> None:
        drawn = [dataset.draw(np.random.default_rng(number * batch + n)) for n in range(batch)]
        images = torch.from_numpy(np.stack([crop for crop, _ in drawn]))
        raw = model(normalise(images).contiguous())
        optimiser.zero_grad()
        plain_multibox(raw, [faces for _, faces in drawn], anchors).backward()
        optimiser.step()

    return _rate(step, steps, batch)


def _append(path: Path, rows: list[Row]) -> None:
    """One line a row, with where and when it was measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(HEADER, encoding="utf-8")
    machine = this_machine()
    place = f"{machine.date} | {machine.processor}, {machine.cores} cores, load {machine.load}"
    place += f" | torch {torch.__version__}, Python {machine.python}"
    with path.open("a", encoding="utf-8") as file:
        for part, variant, setting, rate in rows:
            line = f"| {place} | {part} | {variant} | {setting} | {rate:.1f} |"
            print(line)
            file.write(line + "\n")


if __name__ == "__main__":
    main()
