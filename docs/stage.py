"""Gathers the pages of the site: `python docs/stage.py`, then `zensical build --strict`.

The site is laid out as the repository, so a link that works in one works in the other. Pages are
those of the navigation in mkdocs.yml; pictures and files that they link to come along.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
CONFIG = "mkdocs.yml"
TARGET = "build/docs"
OWN = ("docs", "benchmarks/results", "src/featherface/weights")
"""Folders whose pages all have to be in the navigation."""

COMMANDS = "<!-- commands -->"
"""Stands in a page where the help of all commands goes."""

FENCE = re.compile(r"^(`{3,}).*?^\1`*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s#]*)(?:#[^)\s]*)?\)")
SOURCE = re.compile(r'\bsrc="([^"]+)"')


class StageError(ValueError):
    """A site that cannot be gathered; the message names the page and what is wrong."""


def main() -> None:
    """Gathers everything in a new folder `build/docs`."""
    try:
        count = stage(ROOT, ROOT / TARGET)
    except StageError as error:
        sys.exit(f"docs: {error}")
    print(f"{TARGET}: {count} files")


def stage(root: Path, target: Path) -> int:
    """Copies the pages and what they link to; returns how many files that are.

    Args:
        root: the repository.
        target: made anew.

    Raises:
        StageError: a page or a file that is linked to is not there, a page is linked to or lies in
            docs/ and is not in the navigation.
    """
    config = yaml.safe_load((root / CONFIG).read_text(encoding="utf-8"))
    pages = list(pages_of(config["nav"]))
    own = [path for folder in OWN for path in (root / folder).rglob("*.md")]
    if missing := sorted({path.relative_to(root).as_posix() for path in own} - set(pages)):
        raise StageError(f"{', '.join(missing)}: not in the navigation of {CONFIG}")
    shutil.rmtree(target, ignore_errors=True)
    files = set(config.get("extra_css", ()))
    for page in pages:
        if not (root / page).is_file():
            raise StageError(f"{page}: is in the navigation of {CONFIG}, and not there")
        text = (root / page).read_text(encoding="utf-8")
        for link in links(text):
            path = Path(os.path.normpath(Path(page).parent / link)).as_posix()
            if not (root / path).is_file():
                raise StageError(f"{page}: links to {link}, which is no file")
            if path.endswith(".md") and path not in pages:
                raise StageError(f"{page}: links to {link}, which is not in the navigation")
            files.add(path)
        put(target / page, text.replace(COMMANDS, help_of_commands()) if COMMANDS in text else text)
    for path in files - set(pages):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, target / path)
    return len(files | set(pages))


def pages_of(nav: Iterable[Any]) -> Iterator[str]:
    """The pages of a navigation, with those of its sections."""
    for entry in nav:
        (value,) = entry.values()
        if isinstance(value, str):
            yield value
        else:
            yield from pages_of(value)


def links(text: str) -> list[str]:
    """What a page links to or shows, other web sites and places in itself left out."""
    prose = FENCE.sub("", text)
    found = LINK.findall(prose) + SOURCE.findall(prose)
    return [link for link in found if link and "://" not in link and not link.startswith("mailto:")]


def help_of_commands() -> str:
    """The help of every command, as Markdown with a heading each."""
    from featherface.cli import app  # imports everything that a command needs, torch too

    text = app.generate_docs(output_format="markdown", heading_level=1)
    return text[text.index("\n## featherface detect") :].replace("```console", "```text")


def put(path: Path, text: str) -> None:
    """Writes a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
