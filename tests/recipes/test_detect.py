"""`featherface detect`: lines, formats, drawings and crops, called as from a shell."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featherface import Detector
from featherface.cli import main
from featherface.evaluation.results import read_results

Output = pytest.CaptureFixture[str]


def detect(*tokens: str) -> int:
    """The exit status."""
    with pytest.raises(SystemExit) as end:
        main(["detect", "--weights", "toy.onnx", *tokens])
    assert isinstance(end.value.code, int)
    return end.value.code


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_line_for_each_picture(photos: Path, capsys: Output) -> None:
    assert detect("in") == 0
    out, err = capsys.readouterr()
    lines = [line.rsplit(",", 1) for line in out.splitlines()]
    names = [str(Path(name)) for name in ("in/a.png", "in/sub/b.jpg", "in/sub/none.png")]
    assert [line[0] for line in lines] == [
        f"{name}: {count}"
        for name, count in zip(names, ("1 face", "2 faces", "0 faces"), strict=True)
    ]
    assert all(line[1].endswith(" ms") for line in lines)
    assert err == ""


def test_json_lines_say_what_the_detector_finds(photos: Path, capsys: Output) -> None:
    assert detect("in/sub/b.jpg", "in/sub/none.png", "--format", "jsonl", "--score", "0.2") == 0
    out, _ = capsys.readouterr()
    faces, none = (json.loads(line) for line in out.splitlines())
    found = Detector("toy.onnx", score=0.2).detect("in/sub/b.jpg")
    assert faces == {
        "path": str(Path("in/sub/b.jpg")),
        "width": 96,
        "height": 64,
        "faces": found.to_list(),
    }
    assert len(faces["faces"]) == 2
    assert none["faces"] == []


@pytest.mark.parametrize("name", ["faces.jsonl", "faces.json", "faces.csv", "faces.JSON"])
def test_a_file_is_in_the_format_of_its_name(photos: Path, name: str, capsys: Output) -> None:
    (photos / name).write_text("old")
    assert detect("in", "--output", name) == 0
    assert capsys.readouterr() == ("", "")
    assert detect("in", "--format", Path(name).suffix[1:].lower(), "--output", "-") == 0
    assert (photos / name).read_text() == capsys.readouterr().out
    assert not list(photos.glob("*.unfinished"))


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        (["--output", "faces.xml"], r"faces.xml: of which format\? add --format with one of: json"),
        (["--output", "faces"], r"faces: of which format\?"),
        (["--output", "-"], r"-: of which format\?"),
        (["--format", "yolo"], "yolo is a file for each picture, wanted --output FOLDER"),
        (["--format", "txt", "--output", "-"], "txt is a file for each picture"),
        (["--format", "yolo", "--output", "text.jpg"], "text.jpg: a file is in the way"),
        (["--format", "coco", "--output", "in"], "in: is a folder, and coco is one file"),
        (["--format", "json", "--output", "in/a.png"], "in/a.png: would overwrite one of"),
        (["--draw", "out", "--crop", "./out"], "out: crops would mix with drawings there"),
        (["--draw", "text.jpg/sub"], r"text.jpg.sub: a file is in the way"),
        (["--workers", "0"], "workers is 0, wanted at least 1"),
        (["--tiles", "9"], "tiles is 9, wanted at least 128"),
        (["--margin", "0.2"], r"margin is 0.2, wanted 0 or more, and --crop FOLDER with it"),
        (["--margin", "-1", "--crop", "out"], r"margin is -1.0, wanted 0 or more"),
    ],
)
def test_misuse(photos: Path, capsys: Output, tokens: list[str], reason: str) -> None:
    before = files(photos)
    assert detect("in", *tokens) == 2
    _, err = capsys.readouterr()
    assert re.match(f"featherface: {reason}", err), err
    assert files(photos) == before


def test_the_size_is_that_of_the_picture_whatever_it_is_scaled_to(
    photos: Path, capsys: Output
) -> None:
    for size in ("original", "48", "640"):
        assert detect("in/a.png", "--format", "jsonl", "--size", size) == 0
        record = json.loads(capsys.readouterr().out)
        assert (record["width"], record["height"]) == (96, 64)


@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_a_broken_picture_is_named_and_the_others_come_out(
    photos: Path, capsys: Output, form: str
) -> None:
    Path("void").mkdir()
    assert detect("text.jpg", "in/a.png", "gone.png", "void", "--format", form) == 1
    out, err = capsys.readouterr()
    rows = out.splitlines() if form == "jsonl" else []
    records: list[dict[str, Any]] = [json.loads(row) for row in rows] or json.loads(out)
    assert [record["path"] for record in records] == ["text.jpg", "in/a.png", "gone.png", "void"]
    assert ["error" in record for record in records] == [True, False, True, True]
    errors = err.splitlines()
    assert len(errors) == 3
    assert errors[0].startswith("featherface: text.jpg: ")
    assert errors[1] == "featherface: gone.png: no such file"
    assert errors[2].startswith("featherface: void: no pictures in this folder")
    assert "faces" not in records[0]


def test_drawings_keep_names_and_sub_folders(photos: Path) -> None:
    assert detect("in", "--draw", "out") == 0
    assert files(photos / "out") == ["a.png", "sub/b.jpg", "sub/none.png"]
    drawn = np.asarray(Image.open(photos / "out" / "a.png"))
    assert drawn.shape == (64, 96, 3)
    assert (drawn != np.asarray(Image.open(photos / "in" / "a.png"))).any()


def test_drawings_do_not_overwrite_the_pictures(photos: Path, capsys: Output) -> None:
    before = (photos / "in" / "a.png").read_bytes()
    assert detect("in/a.png", "--draw", "in") == 2
    assert "would overwrite" in capsys.readouterr().err
    assert (photos / "in" / "a.png").read_bytes() == before


def test_crops_are_counted_by_picture(photos: Path) -> None:
    assert detect("in", "--crop", "faces", "--margin", "0.5") == 0
    assert files(photos / "faces") == ["a_1.png", "sub/b_1.png", "sub/b_2.png"]
    assert Image.open(photos / "faces" / "a_1.png").size == (48, 48)  # ends at the border
    assert detect("in", "--crop", "aligned") == 0
    assert files(photos / "aligned") == files(photos / "faces")
    assert Image.open(photos / "aligned" / "a_1.png").size == (112, 112)


def test_crops_do_not_mix_with_pictures(photos: Path, capsys: Output) -> None:
    before = files(photos)
    assert detect("in/a.png", "--crop", "in") == 2
    assert "in: crops would mix with pictures there" in capsys.readouterr().err
    assert files(photos) == before


def test_a_folder_inside_the_searched_one(photos: Path, capsys: Output) -> None:
    """What is made there is not searched for faces itself, and nothing there is overwritten."""
    assert detect("in", "--draw", "in/drawn", "--format", "csv") == 0
    assert files(photos / "in" / "drawn") == ["a.png", "sub/b.jpg", "sub/none.png"]
    capsys.readouterr()
    assert detect("in", "--draw", "in/drawn") == 2
    assert "in/drawn: is not empty, and lies in" in capsys.readouterr().err
    assert detect("in", "--draw", "in/sub") == 2
    assert files(photos / "in" / "sub") == ["b.jpg", "none.png"]


def test_labels_may_lie_beside_the_pictures(photos: Path) -> None:
    assert detect("in", "--format", "yolo", "--output", "in") == 0
    assert {"a.txt", "sub/b.txt", "sub/none.txt"} < set(files(photos / "in"))


@pytest.mark.parametrize("options", [("--crop",), ("--format", "yolo", "--output")])
def test_pictures_that_would_share_a_file(
    photos: Path, capsys: Output, options: tuple[str, ...]
) -> None:
    (photos / "in" / "a.jpg").write_bytes((photos / "in" / "sub" / "b.jpg").read_bytes())
    assert detect("in", *options, "out") == 2
    assert "a.png: what is made of it would overwrite what is made of" in capsys.readouterr().err
    assert not (photos / "out").exists()


def test_several_workers_make_the_same(photos: Path, capsys: Output) -> None:
    for number in range(12):
        (photos / "in" / f"{number}.png").write_bytes((photos / "in" / "a.png").read_bytes())
    options = ["in", "text.jpg", "--format", "coco", "--draw", "{}/d", "--crop", "{}/c"]
    for workers in ("1", "3"):
        tokens = [*(option.format(workers) for option in options), "--output", f"{workers}.json"]
        assert detect(*tokens, "--workers", workers) == 1
        assert capsys.readouterr().err.count("\n") == 1
    assert (photos / "1.json").read_bytes() == (photos / "3.json").read_bytes()
    assert files(photos / "1") == files(photos / "3")
    for name in files(photos / "1"):
        assert (photos / "1" / name).read_bytes() == (photos / "3" / name).read_bytes()


def test_tiles_find_what_shrinking_loses(photos: Path, capsys: Output) -> None:
    pixels = np.zeros((640, 960, 3), np.uint8)
    pixels[320:352, 640:672, 0] = 255
    Image.fromarray(pixels).save("large.png")
    counts = []
    for options in (("--size", "96"), ("--tiles", "256")):
        assert detect("large.png", "--format", "jsonl", *options) == 0
        counts.append(len(json.loads(capsys.readouterr().out)["faces"]))
    assert counts == [0, 1]


Stdin = Callable[[bytes], None]


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Stdin:
    """Gives the command something to read."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))


@pytest.mark.parametrize(
    "text", [b"in/a.png\nin/sub\n", b"in/a.png\r\n\r\nin/sub", b"in/a.png\0in/sub\0"]
)
def test_a_list_on_stdin(photos: Path, capsys: Output, stdin: Stdin, text: bytes) -> None:
    stdin(text)
    assert detect("-", "--score", "0.4", "text.jpg") == 1
    names = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["in/a.png", "in/sub/b.jpg", "in/sub/none.png"]


def test_an_empty_list_is_no_picture(photos: Path, capsys: Output, stdin: Stdin) -> None:
    stdin(b"")
    assert detect("-", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_patterns_that_the_shell_left_alone(photos: Path, capsys: Output) -> None:
    assert detect("in/**/*.p[n]g", "*.tif") == 1
    out, err = capsys.readouterr()
    assert [line.split(":")[0] for line in out.splitlines()] == ["in/a.png", "in/sub/none.png"]
    assert err == "featherface: *.tif: no such file\n"


ODD = [b"two  words.png", b"two\nlines.png", b"caf\xe9.png", b"-.png", "Gesicht-äß.png".encode()]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are not bytes on this system")
@pytest.mark.parametrize("form", ["", "json", "jsonl", "csv", "coco", "yolo", "txt"])
def test_odd_names(photos: Path, capsys: Output, form: str) -> None:
    names = sorted(os.fsdecode(name) for name in ODD)
    for name in names:
        (photos / "in" / "sub" / name).write_bytes((photos / "in" / "a.png").read_bytes())
    output = ("--format", form, "--output", f"out.{form}") if form else ()
    assert detect("in/sub", "--draw", "drawn", "--crop", "faces", *output) == 0
    assert set(names) < set(files(photos / "drawn"))
    assert {f"{name[:-4]}_1.png" for name in names} < set(files(photos / "faces"))
    if form in ("yolo", "txt"):
        assert {f"{name[:-4]}.txt" for name in names} < set(files(photos / f"out.{form}"))
        found = read_results(photos / "out.txt", [n[:-4] for n in names]) if form == "txt" else []
        assert all(len(picture.boxes) == 1 for picture in found)
    elif form:
        text = (photos / f"out.{form}").read_bytes().decode()  # it is valid UTF-8
        if form != "csv":
            assert all(json.dumps(f"in/sub/{name}") in text for name in names)
    else:
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == len(names) + 2
        assert sum("two\\nlines.png: 1 face" in line for line in lines) == 1


def test_a_picture_given_twice_is_done_once(photos: Path, capsys: Output) -> None:
    assert detect("in/a.png", "in", "in/sub/../a.png", str(photos / "in" / "a.png")) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "in/a.png",
        "in/sub/b.jpg",
        "in/sub/none.png",
    ]


def test_links_in_circles(photos: Path, capsys: Output) -> None:
    (photos / "in" / "up").symlink_to("..")
    (photos / "in" / "round.jpg").symlink_to("round.jpg")
    assert detect("in", "--format", "jsonl", "--draw", "out") == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 4
    assert err.startswith("featherface: in/round.jpg: cannot be read (")
    assert files(photos / "out") == ["a.png", "sub/b.jpg", "sub/none.png"]


@pytest.mark.skipif(not os.access("/sys", os.R_OK), reason="needs /sys, where nobody may write")
@pytest.mark.parametrize(
    "options", [("--draw", "/sys/kernel/drawn"), ("--output", "/sys/kernel/faces.csv")]
)
def test_a_folder_that_may_not_be_written_to(
    photos: Path, capsys: Output, options: tuple[str, ...]
) -> None:
    assert detect("in", *options) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("featherface: /sys/kernel")
    assert err.count("\n") == 1


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read and write everything"
)
def test_what_may_not_be_read_or_written(photos: Path, capsys: Output) -> None:
    (photos / "in" / "a.png").chmod(0)
    (photos / "out").mkdir(mode=0o500)
    assert detect("in") == 1
    assert "in/a.png: cannot be read (" in capsys.readouterr().err
    assert detect("in", "--draw", "out") == 2
    assert "out: may not be written to, name another folder" in capsys.readouterr().err
