"""`featherface blur`, as from a shell."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import films
import numpy as np
import pytest
from PIL import Image

from featherface.cli import main

Output = pytest.CaptureFixture[str]
ROOT = Path(__file__).resolve().parent.parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "src")}


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with pictures, a video and something else."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    with Image.open(films.ASSETS / "astronaut.jpg") as image:
        image.resize((200, 200)).save(tmp_path / "in" / "a.jpg")
    film = films.moving_faces(8)
    Image.fromarray(film.frames[0]).save(tmp_path / "in" / "sub" / "two.png")
    Image.new("RGB", (64, 64), "green").save(tmp_path / "in" / "none.png")
    films.write(tmp_path / "in" / "sub" / "film.mp4", film.frames)
    (tmp_path / "in" / "notes.txt").write_text("names")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blur(*tokens: str) -> int:
    """The exit status."""
    with pytest.raises(SystemExit) as end:
        main(["blur", *tokens])
    assert isinstance(end.value.code, int)
    return end.value.code


def files(folder: Path) -> list[str]:
    return sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*.*"))


def count_faces(picture: Path | np.ndarray) -> int:
    return len(films.detector().detect(picture, score=0.5))


def test_one_picture(album: Path, capsys: Output) -> None:
    assert count_faces(album / "in" / "a.jpg") == 1
    assert blur("in/a.jpg", "out.png") == 0
    assert re.fullmatch(r"in.a\.jpg -> out\.png: \d faces? covered\n", capsys.readouterr().out)
    assert count_faces(album / "out.png") == 0


def test_a_folder_with_all_that_is_in_it(album: Path, capsys: Output) -> None:
    assert blur("in", "out", "--how", "solid") == 0
    assert files(album / "out") == ["a.jpg", "none.png", "sub/film.mp4", "sub/two.png"]
    out, err = capsys.readouterr()
    assert f"{Path('in/none.png')} -> {Path('out/none.png')}: no face found" in out
    assert "film.mp4: 8 frames, faces covered in 8, 0 of them resting on tracking alone" in out
    assert "4 files: 4 done, 0 done but unsure, 0 failed" in out
    assert err == ""
    assert count_faces(album / "out" / "sub" / "two.png") == 0
    assert not any(map(count_faces, films.read(album / "out" / "sub" / "film.mp4")))


def test_several_files_into_a_folder(album: Path) -> None:
    assert blur("in/a.jpg", "in/sub/two.png", "out") == 0
    assert files(album / "out") == ["a.jpg", "sub/two.png"]
    assert blur("in/a.jpg", "out/") == 2  # is there already


def test_the_options_reach_the_picture(album: Path) -> None:
    results = []
    for number, options in enumerate(
        (
            [],
            ["--how", "pixelate"],
            ["--how", "solid"],
            ["--shape", "box"],
            ["--margin", "0.6"],
            ["--score", "1"],
        )
    ):
        assert blur("in/a.jpg", f"{number}.png", *options) == 0
        results.append(Image.open(f"{number}.png").tobytes())
    assert len(set(results)) == 6


def test_nothing_is_overwritten_by_accident(album: Path, capsys: Output) -> None:
    before = (album / "in" / "none.png").read_bytes()
    assert blur("in/a.jpg", "in/none.png") == 2
    assert "is there already; to replace it: --overwrite" in capsys.readouterr().err
    assert blur("in/a.jpg", "in/sub/two.png", "in/none.png") == 2
    assert "is a file, wanted a folder" in capsys.readouterr().err
    assert blur("in/a.jpg", "in/a.jpg", "--overwrite") == 2
    assert "would overwrite" in capsys.readouterr().err
    assert blur("in", "in", "--overwrite") == 2
    assert (album / "in" / "none.png").read_bytes() == before
    assert blur("in/a.jpg", "in/none.png", "--overwrite") == 0
    assert (album / "in" / "none.png").read_bytes() != before


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        ([], "PATHS"),
        (["in/a.jpg"], "wanted what to blur, and where to put it"),
        (["in/void", "out"], "no pictures and no videos in this folder"),
        (["in/a.jpg", "out.doc"], "out.doc: pictures are written as"),
        (["in/a.jpg", "out.jpg", "--how", "sharpen"], "--how"),
        (["in/a.jpg", "out.jpg", "--margin", "-1"], "margin is -1.0, wanted 0"),
        (["in/a.jpg", "out.jpg", "--score", "2"], "score is 2"),
    ],
)
def test_misuse(album: Path, capsys: Output, tokens: list[str], reason: str) -> None:
    (album / "in" / "void").mkdir()
    assert blur(*tokens) == 2
    assert reason in capsys.readouterr().err


def test_what_fails_is_named_and_the_rest_is_done(album: Path, capsys: Output) -> None:
    (album / "in" / "text.jpg").write_text("Dear reader")
    (album / "in" / "text.mp4").write_text("Dear reader")
    assert blur("in", "out") == 1
    out, err = capsys.readouterr()
    assert "6 files: 4 done, 0 done but unsure, 2 failed" in out
    assert "text.jpg: is no picture of these formats" in err
    assert "text.mp4: cannot be opened as a video" in err
    assert files(album / "out") == ["a.jpg", "none.png", "sub/film.mp4", "sub/two.png"]


def test_doubts_have_their_own_exit_status(album: Path, capsys: Output) -> None:
    film = films.moving_faces(40)
    wall = film.frames[0][200:, :200].repeat(6, 0)[:240, :].repeat(2, 1)[:, :320]
    films.write(album / "lost.mp4", film.frames[:10] + [wall] * 30)
    assert blur("lost.mp4", "out.mp4") == 3
    out, err = capsys.readouterr()
    assert out.startswith("lost.mp4 -> out.mp4: 40 frames, faces covered in 22")
    assert "featherface: lost.mp4: unsure: 0:00.4 to 0:00.8: a face is lost" in err
    assert Path("out.mp4").is_file()
    pictures = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green")]
    pictures[0].save("moving.gif", save_all=True, append_images=pictures[1:])
    assert blur("moving.gif", "still.gif") == 3
    assert "only the first of its 2 pictures is kept" in capsys.readouterr().err


def test_videos_that_cannot_be_written_again_become_mp4(album: Path) -> None:
    films.write(
        album / "in" / "old.avi", films.moving_faces(3).frames, codec="mpeg4", with_sound=False
    )
    assert blur("in/old.avi", "out/") == 0
    assert files(album / "out") == ["old.avi.mp4"]
    assert len(films.read(album / "out" / "old.avi.mp4")) == 3


def test_pictures_need_no_extra_and_videos_name_it(album: Path) -> None:
    program = (
        "import sys\n"
        "sys.modules['av'] = None  # as if it were not installed\n"
        "from featherface.cli import main\n"
        "main(sys.argv[1:])"
    )

    def run(*tokens: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, *tokens]
        return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)

    ran = run("blur", "in/a.jpg", "out.jpg")
    assert (ran.returncode, ran.stderr) == (0, "")
    for tokens in (["blur", "in/sub/film.mp4", "out.mp4"], ["video", "in/sub/film.mp4"]):
        ran = run(*tokens)
        wanted = f'{tokens[0]} needs av, please: pip install "featherface[video]"'
        assert ran.stderr == f"featherface: {wanted}\n"
        assert ran.returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_killed_half_way_leaves_nothing_under_the_final_name(album: Path) -> None:
    film = films.moving_faces(48)
    films.write(album / "long.mp4", film.frames * 4, with_sound=False)
    out = album / "out"
    out.mkdir()
    command = [sys.executable, "-m", "featherface", "blur", "long.mp4", "out/"]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list(out.iterdir()):  # the second reading has begun
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (out / "long.mp4").exists()
    assert all(each.name.startswith(".") for each in out.iterdir())


def test_interrupted_leaves_nothing(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from featherface.runtime import anonymise

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(anonymise, "hide", interrupt)
    assert blur("in/sub/film.mp4", "out/film.mp4") == 130
    assert list((album / "out").iterdir()) == []
