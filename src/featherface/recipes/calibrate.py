"""`featherface calibrate`: weights whose scores are probabilities on labelled pictures."""

from __future__ import annotations

from pathlib import Path

from featherface.evaluation.calibration import calibrate, outcomes
from featherface.evaluation.matching import match
from featherface.evaluation.prediction import Conditions
from featherface.recipes.evaluate import load_predictor, look, open_data
from featherface.runtime.detector import OVERLAP
from featherface.training.checkpoint import load_model, save_model

FLOOR = 0.05  # what scores less is hardly ever a face, and there is a lot of it


def main(weights: Path, labels: Path, output: Path, *, threads: int = 1) -> None:
    """Rescale a network's scores so that a score is the probability of a face.

    The order of the scores stays, and with it every AP; the default threshold of 0.5 becomes the
    point where faces and false alarms are equally likely.

    Args:
        weights: The model.safetensors of a training run.
        labels: Labels in any format that training reads: a file, or a folder with one.
        output: Where to write the calibrated weights; may be the same file.
        threads: Processor threads that share the work on a picture.
    """
    data = open_data(labels, None)
    conditions = Conditions("original", FLOOR, OVERLAP)
    found = look(load_predictor(str(weights), threads=threads), data.pictures, conditions)
    line = calibrate(*outcomes(match(found.predictions, data.truth, border=0)))
    model, facts = load_model(weights)
    model.heads.rescale_scores(line.scale, line.shift)
    about = {name: facts[name] for name in facts if name not in ("network", "config")}
    save_model(output, model, {**about, "calibrated": f"on {data.name}"})
    print(f"{output}: logits times {line.scale:.3f}, plus {line.shift:.3f}")
