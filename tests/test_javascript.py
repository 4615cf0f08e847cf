"""The example in JavaScript finds what featherface finds."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherface import Detector

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "javascript"
NETWORK = ROOT / "src" / "featherface" / "weights" / "nano_b_enhanced.onnx"

pytestmark = [
    pytest.mark.skipif(not shutil.which("node"), reason="needs Node"),
    pytest.mark.skipif(
        not (EXAMPLE / "node_modules").is_dir(),
        reason="needs its packages: cd examples/javascript && npm ci",
    ),
]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["node", EXAMPLE / "detect.mjs", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_boxes_and_landmarks_are_those_of_featherface(tmp_path: Path) -> None:
    picture = tmp_path / "odd.png"
    with Image.open(ROOT / "assets" / "collage.jpg") as wall:
        wall.crop((0, 0, 701, 801)).save(picture)  # sides that need padding, a face at the edge
    expected = Detector(score=0.3).detect(picture)
    ran = run(NETWORK, picture, "0.3")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert len(found) == len(expected) > 3
    np.testing.assert_allclose([face["box"] for face in found], expected.boxes, atol=0.5)
    np.testing.assert_allclose([face["landmarks"] for face in found], expected.landmarks, atol=0.5)
    np.testing.assert_allclose([face["score"] for face in found], expected.scores, atol=1e-3)


def test_transparent_pictures_lie_on_white(tmp_path: Path) -> None:
    picture = tmp_path / "clear.png"
    with Image.open(ROOT / "assets" / "astronaut.jpg") as portrait:
        rgba = portrait.convert("RGBA")
    rgba.putalpha(
        Image.linear_gradient("L").resize(rgba.size).point(lambda value: 255 - value // 2)
    )
    rgba.save(picture)
    expected = Detector().detect(picture)
    found = json.loads(run(NETWORK, picture).stdout)
    np.testing.assert_allclose([face["box"] for face in found], expected.boxes, atol=0.5)


def test_without_arguments_it_says_how_it_is_called() -> None:
    ran = run()
    assert ran.returncode == 2
    assert "usage" in ran.stderr
