"""What holds for the whole package: who imports whom, what is shipped, how modules look."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import featherface

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "featherface"
MODULES = sorted(PACKAGE.rglob("*.py"))
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "src")}


def name_of(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def test_import_contracts() -> None:
    program = "from importlinter.cli import lint_imports_command as main; main()"
    ran = run(sys.executable, "-c", program, "--no-cache")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_importing_the_package_and_the_command_line_stays_light() -> None:
    program = (
        "import sys, featherface, featherface.cli\n"
        "print({'torch', 'scipy', 'matplotlib', 'onnx'} & set(sys.modules) or 'light')"
    )
    ran = run(sys.executable, "-c", program)
    assert ran.stdout.strip() == "light", ran.stdout + ran.stderr


def test_every_public_name_is_there() -> None:
    assert featherface.__all__ == sorted(featherface.__all__)
    assert all(hasattr(featherface, name) for name in featherface.__all__)


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_module(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module starts with a docstring that says its idea"
    assert text.count("\n") <= 400, "a module of more than 400 lines is two"
    assert module.stem not in {"utils", "common", "helpers", "misc"}
    if module.stem != "cli" and module.parent.name != "recipes":
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        prints = [call for call in calls if ast.unparse(call.func) == "print"]
        to_stdout = [call for call in prints if "file" not in {each.arg for each in call.keywords}]
        assert to_stdout == [], "only commands write to stdout"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source archive."""
    folder = tmp_path_factory.mktemp("dist")
    ran = run(
        sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder


def shipped_files() -> set[str]:
    """All that belongs to the package, weights and model cards included."""
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(PACKAGE.parent).as_posix() for path in files}


def test_wheel_is_small_and_whole(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert wheel.stat().st_size < 5_000_000
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    inside = {name for name in names if name.startswith("featherface/")}
    assert inside == shipped_files()
    assert {name.rpartition("/")[2] for name in names} >= {"LICENSE", "NOTICE", "py.typed"}


def test_source_archive_is_whole(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    wanted = {f"src/{name}" for name in shipped_files()}
    assert wanted | {"LICENSE", "NOTICE", "README.md", "assets/collage.jpg"} <= names


def test_the_same_source_gives_the_same_wheel(built: Path, tmp_path: Path) -> None:
    """In another place and at another time."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE", ".gitignore"):
        shutil.copy(ROOT / name, copy)
    unbuilt = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, copy / "src" / "featherface", ignore=unbuilt)
    for path in copy.rglob("*"):
        os.utime(path, (1e9, 1e9))
    command = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist")
    subprocess.run(command, cwd=copy, env=ENVIRONMENT, capture_output=True, check=True)
    (first,) = built.glob("*.whl")
    (second,) = (tmp_path / "dist").glob("*.whl")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


@pytest.fixture
def metadata(built: Path) -> Message:
    """What the wheel says of itself."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_a_plain_install_brings_four_libraries(metadata: Message) -> None:
    requirements = metadata.get_all("Requires-Dist", [])
    plain = {re.split(r"[<>=;\[ ]", line)[0] for line in requirements if "extra ==" not in line}
    assert plain == {"numpy", "onnxruntime", "pillow", "cyclopts"}


def test_one_version_everywhere(metadata: Message) -> None:
    assert metadata["Version"] == featherface.__version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [featherface.__version__]


def test_weights_stay_under_a_megabyte() -> None:
    files = [*PACKAGE.glob("weights/*.onnx"), *PACKAGE.glob("weights/*.safetensors")]
    sizes = {file.name: file.stat().st_size for file in files}
    assert all(size < 1_000_000 for size in sizes.values()), sizes
