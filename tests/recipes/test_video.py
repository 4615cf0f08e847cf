"""`featherface video`, as from a shell."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path

import films
import numpy as np
import pytest

from featherface.boxes import iou
from featherface.cli import main
from featherface.runtime import video_in

Output = pytest.CaptureFixture[str]


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> films.Film:
    """A folder to stand in, with a film in it."""
    film = films.moving_faces(10)
    films.write(tmp_path / "film.mp4", film.frames)
    monkeypatch.chdir(tmp_path)
    return film


def video(*tokens: str) -> int:
    """The exit status."""
    with pytest.raises(SystemExit) as end:
        main(["video", *tokens])
    assert isinstance(end.value.code, int)
    return end.value.code


def test_a_line_that_sums_it_up(film: films.Film, capsys: Output) -> None:
    assert video("film.mp4") == 0
    out, err = capsys.readouterr()
    assert out.startswith("film.mp4: 10 frames, 10 with faces, at most 2 at once, ")
    assert err == ""


@pytest.mark.parametrize("name", ["-", "faces.jsonl"])
def test_json(film: films.Film, capsys: Output, name: str) -> None:
    assert video("film.mp4", "--json", name) == 0
    out, err = capsys.readouterr()
    text = out if name == "-" else Path(name).read_text()
    assert "10 frames" in (err if name == "-" else out)
    records = [json.loads(line) for line in text.splitlines()]
    assert [record["frame"] for record in records] == list(range(10))
    assert [record["time"] for record in records] == pytest.approx([0.04 * i for i in range(10)])
    for record, faces in zip(records, film.faces, strict=True):
        assert (record["width"], record["height"]) == (320, 240)
        boxes = np.array([face["box"] for face in record["faces"]], np.float32)
        assert (iou(faces, boxes).max(axis=1) > 0.6).all()


def test_drawn_boxes_sound_and_times(film: films.Film) -> None:
    ticks = [0, 40, 45, 90, 200, 210, 220, 500, 540, 1000]
    films.write(Path("film.mp4"), film.frames, ticks=ticks, time_base=Fraction(1, 1000))
    assert video("film.mp4", "--draw", "drawn.mp4") == 0
    assert films.times(Path("drawn.mp4")) == [Fraction(tick, 1000) for tick in ticks]
    assert films.sound(Path("drawn.mp4")) == films.sound(Path("film.mp4"))
    for frame, drawn, faces in zip(
        film.frames, films.read(Path("drawn.mp4")), film.faces, strict=True
    ):
        change = np.abs(drawn.astype(int) - frame).max(axis=-1) > 60
        x1, y1, x2, y2 = faces[0].astype(int)
        assert change[y1 - 4 : y2 + 4, x1 - 4 : x2 + 4].sum() > 30
        assert not change[200:, :40].any()


def test_a_camera(film: films.Film, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    source = "testsrc=duration=0.4:size=64x48:rate=25,setpts=PTS+{}/TB"
    monkeypatch.setitem(video_in.CAMERAS, sys.platform, ("lavfi", source))
    assert video("7", "--draw", "drawn.mp4", "--json", "faces.jsonl") == 0
    assert capsys.readouterr().out.startswith("camera 7: 10 frames, ")
    assert films.times(Path("drawn.mp4")) == [Fraction(i, 25) for i in range(10)]
    assert len(Path("faces.jsonl").read_text().splitlines()) == 10


def test_ctrl_c_ends_a_camera_well_and_a_file_without_a_trace(
    film: films.Film, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    from featherface import Detections, Detector

    calls = []

    def detect(self: Detector, picture: object) -> Detections:
        calls.append(picture)
        if len(calls) % 5 == 0:
            raise KeyboardInterrupt
        return Detections.empty()

    monkeypatch.setattr(Detector, "detect", detect)
    source = "testsrc=size=64x48:rate=25,setpts=PTS+{}/TB"  # without an end
    monkeypatch.setitem(video_in.CAMERAS, sys.platform, ("lavfi", source))
    assert video("0", "--draw", "drawn.mp4") == 0
    assert "camera 0: 4 frames" in capsys.readouterr().out
    assert len(films.read(Path("drawn.mp4"))) == 4
    assert video("film.mp4", "--draw", "new.mp4", "--json", "new.jsonl") == 130
    assert sorted(each.name for each in Path.cwd().iterdir()) == ["drawn.mp4", "film.mp4"]


def test_damage_is_told(film: films.Film, capsys: Output) -> None:
    content = bytearray(Path("film.mp4").read_bytes())
    content[8000:12000] = bytes(4000)
    Path("film.mp4").write_bytes(content)
    assert video("film.mp4") == 1
    assert "damaged places could not be read well" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        (["gone.mp4"], "gone.mp4: cannot be opened as a video (no such file)"),
        (["film.mp4", "--draw", "out.gif"], "out.gif: videos are written as"),
        (["film.mp4", "--draw", "film.mp4"], "would overwrite the video itself"),
        (["film.mp4", "--draw", "no/out.mp4"], "no such folder"),
        (["film.mp4", "--json", "--draw"], "--json"),
        (["film.mp4", "--score", "7"], "score is 7"),
    ],
)
def test_misuse(film: films.Film, capsys: Output, tokens: list[str], reason: str) -> None:
    assert video(*tokens) == 2
    assert reason in capsys.readouterr().err
