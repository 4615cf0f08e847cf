"""What the README and the pages in docs/ show, as programs that a test can run.

A page's python and sh blocks run one after the other, as a reader would type them. A block that
cannot be run here is marked in the line above it: `<!-- not run: REASON -->`; blocks that CI runs
in environments of their own have `<!-- command: NAME -->`. A page that takes long is marked
`<!-- slow -->` in a line of its own, one that a test of its own runs `<!-- run by: TEST -->`, one
that wants more packages `<!-- needs: PACKAGES -->`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import films
import numpy as np
from PIL import Image

from featherface.data.synthetic import write_dataset

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WEIGHTS = ROOT / "src/featherface/weights"
SLOW = "<!-- slow -->\n"
NEEDS = re.compile(r"^<!-- needs: (.+) -->$", re.MULTILINE)
RUN_BY = re.compile(r"^<!-- run by: (\S+) -->$", re.MULTILINE)
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]+?) -->\n)?^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
START = """
import subprocess

def _shell(text):
    subprocess.run(["bash", "-euo", "pipefail", "-c", text], check=True)
"""


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        language: that it names.
        text: between the fences.
        mark: of the comment above it, "" for none.
    """

    language: str
    text: str
    mark: str

    @property
    def is_run(self) -> bool:
        """Neither marked nor of another language."""
        return self.language in ("python", "sh") and not self.mark


def is_slow(page: Path) -> bool:
    """Whether the page says that it takes long."""
    return SLOW in page.read_text(encoding="utf-8")


def run_by(page: Path) -> str:
    """The test that runs a page's snippets, "" for the one that runs all others."""
    found = RUN_BY.search(page.read_text(encoding="utf-8"))
    return found[1] if found else ""


def needs(page: Path) -> list[str]:
    """Packages that a page wants."""
    found = NEEDS.search(page.read_text(encoding="utf-8"))
    return found[1].split() if found else []


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    return [
        Block(found["language"], found["text"], found["mark"] or "")
        for found in BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]


def program(page: Path) -> str:
    """A page's blocks as one Python program."""
    parts = [START]
    for block in blocks(page):
        if block.is_run:
            parts.append(block.text if block.language == "python" else f"_shell({block.text!r})\n")
    return "\n".join(parts)


def run(page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a page in a folder that holds what pages speak of."""
    furnish(folder)
    scripts = Path(sys.executable).parent
    return subprocess.run(
        [sys.executable, "-W", "error:::__main__", "-c", program(page)],
        cwd=folder,
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT / "src"),
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",  # small tensors are slowest on many threads
        },
        capture_output=True,
        text=True,
        check=False,
    )


def furnish(folder: Path) -> None:
    """Puts pictures, a film, labels and weights into a folder, by the names that pages use."""
    shutil.copytree(ROOT / "assets", folder / "assets")
    shutil.copytree(ROOT / "configs", folder / "configs")
    (folder / "holiday" / "beach").mkdir(parents=True)
    (folder / "photos").mkdir()
    for name, source in {
        "holiday/first.jpg": "astronaut.jpg",
        "holiday/beach/second.jpg": "grace_hopper.jpg",
        "photos/first.jpg": "astronaut.jpg",
        "photos/second.jpg": "grace_hopper.jpg",
        "photo.jpg": "astronaut.jpg",
        "crowd.jpg": "collage.jpg",
    }.items():
        shutil.copyfile(ROOT / "assets" / source, folder / name)
    film = films.moving_faces(8)
    for name in ("talk.mp4", "interview.mp4"):
        films.write(folder / name, film.frames)
    Image.fromarray(film.frames[0]).save(folder / "party.jpg")
    write_dataset(folder / "labels", np.random.default_rng(0), pictures=4, size=(160, 160))
    for name in ("a.onnx", "b.onnx"):
        shutil.copyfile(WEIGHTS / "nano_b_enhanced.onnx", folder / name)
    shutil.copyfile(WEIGHTS / "nano_b_enhanced.safetensors", folder / "nano_b_enhanced.safetensors")
