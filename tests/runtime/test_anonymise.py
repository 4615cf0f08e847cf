"""No frame leaves the anonymiser with a visible face, also where the detector misses it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import films
import numpy as np
import pytest

from featherface import Detections
from featherface.runtime import filling, tracks
from featherface.runtime.anonymise import Report, anonymise
from featherface.runtime.hide import Cover
from featherface.runtime.video_in import VideoError
from featherface.types import Floats, Pixels

COUNT = 48
MISSED = {
    "every third": set(range(0, COUNT, 3)),
    "a random third": set(np.random.default_rng(3).permutation(COUNT)[: COUNT // 3].tolist()),
    "in a row": {*range(4), *range(18, 26), *range(44, COUNT)},
}


@pytest.fixture(scope="module")
def film() -> films.Film:
    return films.moving_faces(COUNT)


@pytest.fixture(scope="module")
def video(film: films.Film, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return films.write(path, film.frames, metadata={"location": "+48.1+011.5/"})


def run(video: Path, target: Path, missed: set[int] = frozenset(), **options: str) -> Report:
    return anonymise(video, target, films.Forgetful(missed), cover=Cover(**options))


def is_visible(frame: Pixels, faces: Floats) -> bool:
    """Whether the detector, as it comes, finds a face where one of the faces is."""
    found = films.detector().detect(frame, score=0.5).boxes
    centres = (found[:, :2] + found[:, 2:]) / 2
    return any(((face[:2] < centres) & (centres < face[2:])).all(axis=1).any() for face in faces)


def test_the_check_itself_sees_faces(film: films.Film, video: Path) -> None:
    frames = films.read(video)
    assert all(is_visible(*each) for each in zip(frames, film.faces, strict=True))
    assert not is_visible(frames[0], np.array([[150, 20, 190, 60]], np.float32))


# By detection for the soft cover alone: the contour of a head with a mosaic or nothing in it is a
# face to the detector now and then. What is under those is checked pixel by pixel.
@pytest.mark.parametrize("missed", MISSED.values(), ids=MISSED.keys())
def test_no_face_is_seen_though_a_third_is_missed(
    film: films.Film, video: Path, tmp_path: Path, missed: set[int]
) -> None:
    report = run(video, tmp_path / "out.mp4", missed)
    assert report.frames == report.covered == COUNT
    assert report.tracked == len(missed) == COUNT // 3
    frames = films.read(tmp_path / "out.mp4")
    visible = [
        i for i, each in enumerate(zip(frames, film.faces, strict=True)) if is_visible(*each)
    ]
    assert visible == []


@pytest.mark.parametrize("missed", MISSED.values(), ids=MISSED.keys())
@pytest.mark.parametrize("shape", ["ellipse", "box"])
def test_no_pixel_of_a_face_is_left(
    film: films.Film, video: Path, tmp_path: Path, missed: set[int], shape: str
) -> None:
    run(video, tmp_path / "out.mp4", missed, how="solid", shape=shape)
    for index, (frame, faces) in enumerate(
        zip(films.read(tmp_path / "out.mp4"), film.faces, strict=True)
    ):
        for x1, y1, x2, y2 in faces:
            inside = frame[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))]
            assert inside.max() < 60, index  # black, but for the codec's ringing at its edge
        rest = frame[200:, :40]
        assert np.abs(rest.astype(int) - film.frames[index][200:, :40]).mean() < 8


def test_without_a_tracker_the_missed_faces_would_be_seen(
    film: films.Film, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracks, "BRIDGE", 0.0)
    monkeypatch.setattr(tracks, "FEW", 0)
    monkeypatch.setattr(filling, "HOLD", 0.0)
    run(video, tmp_path / "out.mp4", MISSED["every third"])
    frames = films.read(tmp_path / "out.mp4")
    visible = {
        i for i, each in enumerate(zip(frames, film.faces, strict=True)) if is_visible(*each)
    }
    assert visible == MISSED["every third"]


def test_times_sound_and_silence_about_the_place(video: Path, tmp_path: Path) -> None:
    run(video, tmp_path / "out.mp4")
    assert films.times(tmp_path / "out.mp4") == films.times(video)
    assert films.sound(tmp_path / "out.mp4") == films.sound(video)
    assert b"loci" in video.read_bytes()
    assert b"loci" not in (tmp_path / "out.mp4").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_varying_frame_rate_and_a_turned_film(tmp_path: Path) -> None:
    film = films.moving_faces(12)
    ticks = [0, 40, 45, 90, 200, 210, 220, 500, 540, 580, 590, 1000]
    path = films.write(
        tmp_path / "film.mp4",
        [np.rot90(frame) for frame in film.frames],
        ticks=ticks,
        time_base=Fraction(1, 1000),
        matrix=(0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30),
    )
    report = run(path, tmp_path / "out.mp4", {0, 5, 11}, how="solid")
    assert report.tracked == 3
    assert films.times(tmp_path / "out.mp4") == [Fraction(tick, 1000) for tick in ticks]
    for frame, faces in zip(films.read(tmp_path / "out.mp4"), film.faces, strict=True):
        assert frame.shape == (240, 320, 3)
        for x1, y1, x2, y2 in faces.astype(int):
            assert frame[y1:y2, x1:x2].max() < 60


def test_tracks_end_at_a_cut(tmp_path: Path) -> None:
    film = films.moving_faces(20)
    frames = film.frames + [255 - np.zeros_like(film.frames[0])] * 15
    path = films.write(tmp_path / "film.mp4", frames)
    report = run(path, tmp_path / "out.mp4", {18, 19}, how="solid")
    assert report.cuts == 1
    assert report.covered == 20
    assert report.doubts == []
    assert films.read(tmp_path / "out.mp4")[25].min() > 240


def test_doubts_are_told_with_their_times(video: Path, tmp_path: Path) -> None:
    report = run(video, tmp_path / "out.mp4", set(range(10, 28)))
    assert [(start, end) for start, end, _ in report.doubts] == [(0.4, 1.08)]  # one of two
    assert all("a guess of its track for 0.8 s" in why for _, _, why in report.doubts)


def test_a_film_without_faces(tmp_path: Path) -> None:
    path = films.write(tmp_path / "film.mp4", [films.moving_faces(1).frames[0][:20]] * 5)
    assert run(path, tmp_path / "out.mp4") == Report(5, 0, 0, 0, [])
    assert len(films.read(tmp_path / "out.mp4")) == 5


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_damaged_film_is_done_as_far_as_it_goes_and_told(
    film: films.Film, tmp_path: Path, suffix: str
) -> None:
    path = films.write(tmp_path / f"film.{suffix}", film.frames)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(4000)
    path.write_bytes(content)
    report = run(path, tmp_path / f"out.{suffix}")
    assert COUNT // 3 < report.frames <= COUNT
    assert any("damaged places" in why for _, _, why in report.doubts)
    frames = films.read(tmp_path / f"out.{suffix}")
    assert len(frames) == report.frames
    assert not any(is_visible(*each) for each in zip(frames, film.faces, strict=False))


def test_a_film_that_changes_between_the_two_readings(video: Path, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(video.read_bytes())

    def detect(pixels: Pixels) -> Detections:
        if not (tmp_path / "done").exists():
            (tmp_path / "done").touch()
            films.write(tmp_path / "new.mp4", films.moving_faces(5).frames)
            (tmp_path / "new.mp4").replace(path)
        return Detections.empty()

    with pytest.raises(VideoError, match=r"did not read the same twice, frame 5 differs"):
        anonymise(path, tmp_path / "out.mp4", detect, cover=Cover())
    assert not (tmp_path / "out.mp4").exists()
