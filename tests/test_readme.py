"""The first page and docs/ keep their word: commands, examples, links, the picture."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from featherface.boxes import iou

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted((ROOT / "docs").glob("*.md"))
ELSEWHERE = {
    "video.md": "tests/runtime/test_stream.py",  # which has a film
    "server.md": "tests/server/test_server_page.py",  # and this one a server
}
"""Pages whose snippets need more than pictures, and where they are run."""
COLLAGE = ROOT / "assets" / "collage.jpg"
KNOWN = np.array(json.loads(COLLAGE.with_suffix(".json").read_text())["boxes"], np.float32)

needs_weights = pytest.mark.skipif(
    not (ROOT / "src/featherface/weights/nano_b_enhanced.onnx").is_file(),
    reason="src/featherface/weights/nano_b_enhanced.onnx is absent",
)


@pytest.mark.parametrize("name", ["find", "test"])
def test_each_marked_command_is_one_block(name: str) -> None:
    mark = f"<!-- command: {name} -->"
    assert README.count(mark) == 1
    assert re.search(re.escape(mark) + r"\n```sh\n[^`]+\n```\n", README)


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_local_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert local
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_the_map_names_what_exists() -> None:
    first_cells = re.findall(r"^\| (`.+?) \|", README, flags=re.MULTILINE)
    paths = [path for cell in first_cells for path in re.findall(r"`([^`]+)`", cell)]
    package = "src/featherface"
    missing = [p for p in paths if not (ROOT / p).exists() and not (ROOT / package / p).exists()]
    assert len(paths) > 10
    assert missing == []


@needs_weights
def test_the_example_runs_and_finds_faces() -> None:
    (example,) = re.findall(r"```python\n(.+?)```", README, flags=re.DOTALL)
    ran = subprocess.run(
        [sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) > len(KNOWN) / 2


@needs_weights
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name not in ELSEWHERE],
    ids=lambda page: page.name,
)
def test_the_snippets_of_a_page_run_one_after_the_other(page: Path, tmp_path: Path) -> None:
    if page.name == "scale.md":
        pytest.importorskip("pyarrow", reason='needs pyarrow: pip install "featherface[batch]"')
        pytest.importorskip("pandas", reason="needs pandas, which reads the rows there too")
    shutil.copytree(ROOT / "assets", tmp_path / "assets")
    snippets = re.findall(r"```python\n(.+?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert snippets
    ran = subprocess.run(
        [sys.executable, "-W", "error:::__main__", "-c", "\n".join(snippets)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout


def test_the_collage_is_what_its_script_makes() -> None:
    wall, faces = runpy.run_path(str(ROOT / "assets" / "make_collage.py"))["hang"]()
    np.testing.assert_allclose(np.array(faces), KNOWN, atol=0.06)
    heights = KNOWN[:, 3] - KNOWN[:, 1]
    assert heights.min() < 13
    assert heights.max() >= 200
    assert (KNOWN[:, 2:].max(axis=0) < wall.size).all()


@needs_weights
def test_shipped_weights_find_the_known_faces() -> None:
    from featherface import Detector

    found = Detector().detect(COLLAGE)
    overlap = iou(KNOWN, found.boxes)  # (47, N)
    is_found = overlap.max(axis=1, initial=0) >= 0.5
    is_large = KNOWN[:, 3] - KNOWN[:, 1] >= 32
    assert is_found[is_large].all()
    assert is_found[~is_large].mean() >= 0.75
    false_alarms = (overlap.max(axis=0, initial=0) < 0.5).sum()
    assert false_alarms <= len(KNOWN) // 10
    best = found.landmarks[overlap[is_large].argmax(axis=1)]  # (n, 5, 2)
    assert (best[:, 0, 0] < best[:, 1, 0]).all()  # left eye left of right eye
    assert (best[:, :2, 1].max(axis=1) < best[:, 3:, 1].min(axis=1)).all()  # eyes above mouth
