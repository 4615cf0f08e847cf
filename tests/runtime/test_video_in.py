"""Any video as upright frames with their times."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
import films
import numpy as np
import pytest

from featherface.runtime import video_in
from featherface.runtime.video_in import Frame, Source, VideoError

ONE = 1 << 16


def corners(count: int = 6) -> list[np.ndarray]:
    """Frames that tell how they are turned: red top left, green top right, blue bottom left."""
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:20, :20, 0] = 255
    frame[:20, -20:, 1] = 255
    frame[-20:, :20, 2] = 255
    return [frame] * count


def frames(path: Path) -> list[Frame]:
    with Source(path) as source:
        return list(source.frames())


def test_frames_in_their_order_and_time(tmp_path: Path) -> None:
    film = films.moving_faces(10)
    path = films.write(tmp_path / "film.mp4", film.frames)
    with Source(path) as source:
        assert source.expected == 10
        assert source.rate == 25
        found = list(source.frames())
        assert source.damaged == 0
    assert [frame.index for frame in found] == list(range(10))
    assert [frame.time for frame in found] == pytest.approx([0.04 * i for i in range(10)])
    for frame, drawn in zip(found, film.frames, strict=True):
        assert frame.pixels.dtype == np.uint8
        assert np.abs(frame.pixels.astype(int) - drawn).mean() < 6


def test_a_varying_frame_rate(tmp_path: Path) -> None:
    ticks = [0, 40, 45, 300, 301, 1000]
    path = films.write(
        tmp_path / "film.mkv", corners(), ticks=ticks, time_base=Fraction(1, 1000), with_sound=False
    )
    assert [frame.time for frame in frames(path)] == pytest.approx([t / 1000 for t in ticks])


@pytest.mark.parametrize(
    ("matrix", "shown"),  # shown: colours at the top left, top right, bottom left
    [
        ((ONE, 0, 0, ONE), "rgb"),
        ((0, ONE, -ONE, 0), "br-"),  # as phones write it: a quarter to the right
        ((-ONE, 0, 0, -ONE), "-bg"),
        ((0, -ONE, ONE, 0), "g-r"),
        ((-ONE, 0, 0, ONE), "gr-"),  # mirrored
        ((ONE, 0, 0, -ONE), "b-r"),
        ((0, ONE, ONE, 0), "rbg"),
        ((0, -ONE, -ONE, 0), "-gb"),
    ],
)
def test_rotation_and_mirroring(
    tmp_path: Path, matrix: tuple[int, int, int, int], shown: str
) -> None:
    a, b, c, d = matrix
    path = films.write(
        tmp_path / "film.mp4",
        corners(),
        matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30),
        with_sound=False,
    )
    pixels = frames(path)[0].pixels
    assert pixels.shape == ((64, 48, 3) if a == 0 else (48, 64, 3))
    assert pixels.flags.c_contiguous
    places = [pixels[5, 5], pixels[5, -5], pixels[-5, 5]]
    assert "".join("rgb"[p.argmax()] if p.max() > 100 else "-" for p in places) == shown


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "mpg"])
def test_containers(tmp_path: Path, suffix: str) -> None:
    codec = {"avi": "mpeg4", "mpg": "mpeg2video"}.get(suffix, "libx264")
    path = films.write(tmp_path / f"film.{suffix}", corners(), codec=codec, with_sound=False)
    found = frames(path)
    assert len(found) == 6
    ticks = [frame.ticks for frame in found]
    assert ticks == sorted(set(ticks))


def test_broken_and_missing_files(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("Dear reader, this is no video. " * 100)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    for path in (text, empty, tmp_path / "gone.mp4", tmp_path):
        with pytest.raises(VideoError, match=r"cannot be opened as a video \(.+\)") as error:
            Source(path)
        assert str(path) in str(error.value)


def test_no_address_on_a_network_is_opened() -> None:
    with pytest.raises(VideoError, match="no such file"):
        Source("http://localhost:1/film.mp4")


def test_a_play_list_leads_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:9", "#EXTINF:9,", "http://localhost:1/a.ts"]
    path.write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))
    with pytest.raises(VideoError, match=r"film\.mp4"):
        frames(path)


def test_sound_alone(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        container.mux(stream.encode(films._tone(0)))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match=r"song\.mp4: has no video stream"):
        Source(path)


def test_a_stream_without_frames(tmp_path: Path) -> None:
    path = tmp_path / "none.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        stream = container.add_stream("aac", rate=16000)
        container.mux(stream.encode(films._tone(0)))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match=r"none\.mkv: has no frame that can be decoded"):
        frames(path)


def test_a_video_that_is_cut_off(tmp_path: Path) -> None:
    film = films.moving_faces(40)
    path = films.write(tmp_path / "film.mkv", film.frames)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    found = frames(path)
    assert 10 < len(found) < 40


def test_damage_is_counted(tmp_path: Path) -> None:
    film = films.moving_faces(40)
    path = films.write(tmp_path / "film.mkv", film.frames, with_sound=False)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)
    with Source(path) as source:
        found = list(source.frames())
        assert source.damaged > 0
    assert len(found) > 10


def test_a_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = "testsrc=duration=0.4:size=64x48:rate=25,setpts=PTS+{}/TB"  # as late as the number
    monkeypatch.setitem(video_in.CAMERAS, sys.platform, ("lavfi", picture))
    with Source(5) as source:
        assert source.is_camera
        assert source.name == "camera 5"
        assert source.expected == 0
        found = list(source.frames())
    assert [frame.time for frame in found] == pytest.approx([0.04 * i for i in range(10)])
    assert found[0].pixels.shape == (48, 64, 3)
    assert found[0].pixels.std() > 50


def test_no_such_camera() -> None:
    with pytest.raises(VideoError, match="camera 93: cannot be opened as a video"):
        Source(93)
