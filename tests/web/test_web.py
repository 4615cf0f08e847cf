"""The browser's detector gives what Python's gives, for the same pictures and the same weights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import featherface
from featherface import Detections, Detector, weights
from featherface.image import fit

ROOT = Path(__file__).resolve().parent.parent.parent
WEB = ROOT / "web"
CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
SECONDS = 120

MISSING = [
    wanted
    for wanted, is_there in {
        "node": shutil.which("node"),
        "web/node_modules (npm ci in web/)": (WEB / "node_modules").is_dir(),
        "web/site (npm run build in web/)": (WEB / "site").is_dir(),
    }.items()
    if not is_there
]
needs_node = pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")
needs_chromium = pytest.mark.skipif(
    not CHROMIUM.is_file(), reason=f"needs Chromium at {CHROMIUM}: apt-get install chromium"
)


def node(script: str, jobs: list[dict[str, Any]], folder: Path) -> str:
    """Runs one of web/tests with jobs, and gives what it prints."""
    path = folder / "jobs.json"
    path.write_text(json.dumps(jobs))
    subprocess.run(["node", "build.mjs", "--tests"], cwd=WEB, check=True, timeout=SECONDS)
    ran = subprocess.run(
        ["node", f"build/tests/{script}.js", str(path)],
        cwd=WEB,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@needs_node
def test_pictures_are_scaled_to_the_bytes_that_pillow_gives(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    jobs = []
    shapes = [(1, 1), (1, 40), (333, 7), (97, 61), (480, 640), (701, 1180), (1500, 1001)]
    sizes = [None, 1, 31, 64, 97, 200, 320, 333, 640, 1000]
    for number, (height, width) in enumerate(shapes):
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        path = tmp_path / f"{number}.rgba"
        path.write_bytes(np.dstack([pixels, np.full_like(pixels[..., :1], 255)]).tobytes())
        for size in sizes:
            fitted = tmp_path / f"{number}_{size}.rgb"
            job = {"pixels": str(path), "width": width, "height": height, "size": size}
            jobs.append({**job, "fitted": str(fitted)})
            fitted.with_suffix(".wanted").write_bytes(fit(pixels, long_side=size).pixels.tobytes())
    node("fitted", jobs, tmp_path)
    unequal = []
    for job in jobs:
        fitted = Path(job["fitted"])
        found, wanted = (
            np.frombuffer(path.read_bytes(), np.uint8).astype(int)
            for path in (fitted, fitted.with_suffix(".wanted"))
        )
        assert len(found) == len(wanted)
        # From Pillow 13 on, a picture much higher than wide is scaled down its columns first.
        rounding = 1 if job["height"] > 8 * job["width"] else 0
        if np.abs(found - wanted).max() > rounding:
            unequal.append((job["height"], job["width"], job["size"]))
    assert unequal == []


@needs_node
@needs_chromium
def test_faces_are_those_of_python_to_a_fraction_of_a_pixel(tmp_path: Path) -> None:
    collage = Image.open(ROOT / "assets" / "collage.jpg")
    collage.save(tmp_path / "collage.png")
    collage.resize((2360, 2080)).save(tmp_path / "large.png")
    astronaut = Image.open(ROOT / "assets" / "astronaut.jpg")
    astronaut.save(tmp_path / "astronaut.png")
    astronaut.resize([4 * side for side in astronaut.size]).save(tmp_path / "portrait.png")
    clear = collage.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size).point(lambda v: 255 * (v > 90)))
    clear.save(tmp_path / "clear.png")
    turned = Image.Exif()
    turned[0x0112] = 6  # stored lying on its side
    collage.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=turned)
    jobs: list[dict[str, Any]] = [
        {"path": str(tmp_path / name), "size": size, "score": score}
        for name, size, score in [
            ("collage.png", "original", 0.5),
            ("collage.png", 640, 0.3),
            ("collage.png", 1250, 0.5),
            ("large.png", "original", 0.5),
            ("portrait.png", "original", 0.5),
            ("large.png", 800, 0.5),
            ("astronaut.png", 333, 0.5),
            ("clear.png", "original", 0.5),
            ("turned.png", "original", 0.5),
        ]
    ]
    answers = json.loads(node("found", jobs, tmp_path))
    for job, answer in zip(jobs, answers, strict=True):
        wanted = Detector(size=job["size"], score=job["score"]).detect(job["path"])
        found = Detections.from_list(answer["faces"])
        assert len(wanted) > 0, job
        assert len(found) == len(wanted), job
        np.testing.assert_allclose(found.boxes, wanted.boxes, atol=0.5, err_msg=str(job))
        np.testing.assert_allclose(found.landmarks, wanted.landmarks, atol=0.5, err_msg=str(job))
        np.testing.assert_allclose(found.scores, wanted.scores, atol=0.01, err_msg=str(job))


@needs_node
def test_the_package_carries_the_weights_that_python_takes() -> None:
    shipped = weights.read(weights.DEFAULT)
    assert (WEB / "dist" / "featherface.onnx").read_bytes() == shipped


def test_the_versions_are_the_same() -> None:
    assert json.loads((WEB / "package.json").read_text())["version"] == featherface.__version__


def test_the_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (WEB / "package-lock.json").read_text()
