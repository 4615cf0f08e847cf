"""`featherface calibrate`: weights whose scores are probabilities on labelled pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from featherface.evaluation.calibration import calibrate, nearest_size, outcomes
from featherface.evaluation.matching import match
from featherface.evaluation.prediction import Conditions
from featherface.recipes.evaluate import load_predictor, look, open_data
from featherface.runtime.detector import OVERLAP
from featherface.training.checkpoint import load_model, save_model

FLOOR = 0.05  # what scores less is hardly ever a face, and there is a lot of it
SHRINK = (1, 2)  # at half the size too, where small faces are many, labelled at twice their size


def main(weights: Path, labels: Path, output: Path, *, threads: int = 1) -> None:
    """Rescale a network's scores so that a score is the probability of a face.

    The default threshold of 0.5 becomes the point where faces and false alarms are equally likely.
    Each size of anchor gets a shift of its own, so small faces may gain on large ones; the order of
    the scores of one size stays. Looks at the pictures as they are, and shrunk to half.

    Args:
        weights: The model.safetensors of a training run.
        labels: Labels in any format that training reads: a file, or a folder with one.
        output: Where to write the calibrated weights; may be the same file.
        threads: Processor threads that share the work on a picture.
    """
    predictor = load_predictor(str(weights), threads=threads)
    model, facts = load_model(weights)
    sizes = [size for level in model.config.anchors.sizes for size in level]
    seen, groups = [], []
    for shrink in SHRINK:
        data = open_data(labels, None, shrink=shrink)
        conditions = Conditions("original", FLOOR, OVERLAP, shrink)
        found = look(predictor, data.pictures, conditions).predictions
        outcome = outcomes(match(found, data.truth, border=0))
        boxes = np.concatenate([each.boxes for each in found]).astype(np.float32)
        seen.append(outcome)
        groups.append(nearest_size(boxes, sizes)[outcome.rows])
    scores, is_face, _ = map(np.concatenate, zip(*seen, strict=True))
    line = calibrate(scores, is_face, np.concatenate(groups), groups=len(sizes))
    model.heads.rescale_scores(line.scale, line.shifts.tolist())
    about = {name: facts[name] for name in facts if name not in ("network", "config")}
    save_model(output, model, {**about, "calibrated": f"on {data.name}"})
    shifts = ", ".join(f"{size:g} px {s:+.2f}" for size, s in zip(sizes, line.shifts, strict=True))
    print(f"{output}: logits times {line.scale:.3f}; by size of anchor, {shifts}")
