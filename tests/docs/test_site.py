"""The site: everything is gathered, built without a warning, and asks nothing of the network."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import stage
import yaml

import featherface
from featherface.cli import NAMES

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
REFERENCE = sorted((ROOT / "docs" / "reference").glob("*.md"))


class References(HTMLParser):
    """What a page loads: scripts, styles, pictures, fonts."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload", "preconnect"):
            self.loaded.append(given.get("href") or "")
        elif tag in ("script", "img", "iframe"):
            self.loaded.append(given.get("src") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    zensical = shutil.which("zensical", path=str(Path(sys.executable).parent))
    if not zensical:
        pytest.skip('needs pip install "featherface[docs]"')
    folder = tmp_path_factory.mktemp("site")
    stage.stage(ROOT, folder / stage.TARGET)
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    config = config.replace("paths: [src]", f"paths: [{ROOT / 'src'}]")
    (folder / "mkdocs.yml").write_text(config, encoding="utf-8")
    ran = subprocess.run(
        [zensical, "build", "--strict"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder / "site"


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        references = References()
        references.feed(page.read_text(encoding="utf-8"))
        assert [link for link in references.loaded if re.match(r"(https?:)?//", link)] == []
        assert "googleapis" not in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_reference_has_the_docstrings_and_the_commands(site: Path) -> None:
    text = (site / "docs/reference/index.html").read_text(encoding="utf-8")
    for name in featherface.__all__:
        assert re.search(rf'id="featherface\.{name}"', text), name
    assert "Finds the faces of one picture." in text
    commands = (site / "docs/commands.html").read_text(encoding="utf-8")
    for name in NAMES:
        assert f'id="featherface-{name}"' in commands


def test_every_module_is_on_a_page_of_the_reference() -> None:
    told = set(re.findall(r"^::: (\S+)$", "\n".join(p.read_text("utf-8") for p in REFERENCE), re.M))
    modules = {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for path in SOURCE.rglob("*.py")
        if path.name != "__main__.py" and len(ast.parse(path.read_text("utf-8")).body) > 1
    }
    assert modules - told == {"featherface"}
    assert told - modules == {f"featherface.{name}" for name in featherface.__all__}


def test_every_page_is_in_the_navigation_once() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]
    pages = list(stage.pages_of(nav))
    assert len(pages) == len(set(pages))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A repository of two pages and a picture."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "mkdocs.yml").write_text("nav:\n  - A: README.md\n  - B:\n      - C: docs/c.md\n")
    (tmp_path / "README.md").write_text("[c](docs/c.md#top) [x](https://x.org) ![p](p.png)\n")
    (tmp_path / "docs" / "c.md").write_text("```sh\n[no](link.md)\n```\n[up](../README.md)\n")
    (tmp_path / "p.png").write_bytes(b"picture")
    return tmp_path


def test_pages_come_with_what_they_link_to(small: Path) -> None:
    assert stage.stage(small, small / "build") == 3
    files = {
        path.relative_to(small / "build").as_posix() for path in (small / "build").rglob("*.*")
    }
    assert files == {"README.md", "docs/c.md", "p.png"}


def test_what_is_missing_is_named(small: Path) -> None:
    (small / "p.png").unlink()
    with pytest.raises(stage.StageError, match=r"README\.md: links to p\.png, which is no file"):
        stage.stage(small, small / "build")
    (small / "p.png").write_bytes(b"picture")
    (small / "docs" / "d.md").write_text("new\n")
    with pytest.raises(stage.StageError, match=r"docs/d\.md: not in the navigation"):
        stage.stage(small, small / "build")
