"""The short form of `benchmarks/bad_pictures.py`, and of the other inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bad_inputs
import bad_pictures
from featherface.image import FORMATS, ImageError, load
from soak import read
from spoil import HEIGHT, WIDTH, resize, signed, sources, spoil

linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")


def test_sources_are_good_pictures_of_every_format() -> None:
    files = sources()
    assert {name.partition(" ")[0] for name in files} == set(FORMATS)
    for name, file in files.items():
        if name == "BMP lengths":
            with pytest.raises(ImageError, match="run-length"):
                load(file)
        else:
            assert sorted(load(file).shape) == [3, HEIGHT, WIDTH], name


def test_a_number_is_always_the_same_spoiled_file() -> None:
    files = sources()
    made = [spoil(number, files) for number in range(200)]
    assert made == [spoil(number, files) for number in range(200)]
    assert len({file for _, file in made}) > 190


def test_a_claimed_size_is_believed_until_it_is_refused() -> None:
    for name, file in sources().items():
        if name != "BMP lengths":
            with pytest.raises(
                ImageError, match=r"has (\d+ x \d+ pixels, wanted|more than 62,000,000 pixels)"
            ):
                load(signed(resize(file, 16_000, 16_000)))


@linux
def test_three_hundred_spoiled_pictures(tmp_path: Path) -> None:
    results = tmp_path / "soak.jsonl"
    assert bad_pictures.main(pictures=300, first=1_000_000, results=results) == 0
    (row,) = read(results)
    assert row["faults"] == 0
    assert "300 spoiled pictures" in row["tried"]


@linux
@pytest.mark.slow
def test_spoiled_files_of_all_other_kinds(tmp_path: Path) -> None:
    results = tmp_path / "soak.jsonl"
    assert bad_inputs.main(files=20 * len(bad_inputs.kinds()), results=results) == 0
    assert read(results)[0]["faults"] == 0


def test_good_files_of_all_other_kinds_are_read(tmp_path: Path) -> None:
    for name, kind in bad_inputs.kinds().items():
        path = tmp_path / name / kind.name
        path.parent.mkdir(parents=True)
        path.write_bytes(kind.content)
        kind.read(path)


def test_only_the_structure_of_large_files_is_spoiled() -> None:
    graph = list(bad_inputs.kinds()).index("graph")
    what, kind, file = bad_inputs.spoil(graph)
    assert what.startswith("graph + ")
    middle = kind.content[kind.edge : -kind.edge]
    assert middle in file
    assert file != kind.content
    assert isinstance(np.frombuffer(file, np.uint8), np.ndarray)
