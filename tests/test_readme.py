"""The first page and docs/ keep their word: commands, snippets, links, the picture."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pages
import pytest

from featherface.boxes import iou

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUN = [
    page
    for page in pages.PAGES
    if any(block.is_run for block in pages.blocks(page)) and not pages.run_by(page)
]
LINKING = sorted({*pages.PAGES, *ROOT.glob("[A-Z]*.md"), *ROOT.glob("*/README.md")})
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


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    prose = pages.BLOCK.sub("", page.read_text(encoding="utf-8"))
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose)
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []
    for target in set(targets) - set(local):
        assert urlsplit(target).scheme == "https", target
        assert urlsplit(target).hostname, target


def test_the_map_names_what_exists() -> None:
    first_cells = re.findall(r"^\| (`.+?) \|", README, flags=re.MULTILINE)
    paths = [path for cell in first_cells for path in re.findall(r"`([^`]+)`", cell)]
    package = "src/featherface"
    missing = [p for p in paths if not (ROOT / p).exists() and not (ROOT / package / p).exists()]
    assert len(paths) > 10
    assert missing == []


@needs_weights
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.slow if pages.is_slow(page) else ()) for page in RUN],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_what_a_page_shows_runs_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    for package in pages.needs(page):
        pytest.importorskip(package)
    ran = pages.run(page, tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_block_runs_or_says_why_not(page: Path) -> None:
    assert (ROOT / pages.run_by(page)).exists()
    for block in pages.blocks(page):
        assert block.language in ("python", "sh", "js", "json", "text"), block.text
        assert re.fullmatch(r"((not run|command|run by): .+)?", block.mark), block.mark
        if block.language == "js":  # part of a program that a test runs
            assert block.text in (ROOT / "examples/javascript/detect.mjs").read_text("utf-8")
        if block.language == "json":
            json.loads(block.text)


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
