"""A written video has the times, sound, colours and size of its source, and nothing else of it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import films
import numpy as np
import pytest

from featherface.runtime.video_in import Frame, Source, VideoError
from featherface.runtime.video_out import FORMATS, writing

SECRETS = {"title": "secret", "location": "+48.1+011.5/", "creation_time": "2026-01-01T00:00:00Z"}


def copy(source_path: Path, target: Path, *, keep_metadata: bool = False) -> None:
    with Source(source_path) as source, writing(target, source) as sink:
        if keep_metadata:
            sink.keep_metadata()
        for part in source.parts():
            if isinstance(part, Frame):
                sink.write(part, part.pixels)
            else:
                sink.copy(part)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return films.write(path, films.moving_faces(30).frames, metadata=SECRETS)


@pytest.mark.parametrize("suffix", [".mp4", ".MOV", ".mkv", ".m4v"])
def test_pictures_times_and_sound_stay(tmp_path: Path, film: Path, suffix: str) -> None:
    target = tmp_path / f"copy{suffix}"
    copy(film, target)
    assert films.times(target) == films.times(film)
    assert films.sound(target) == films.sound(film)
    assert len(films.sound(film)) > 10
    for a, b in zip(films.read(film), films.read(target), strict=True):
        assert np.abs(a.astype(int) - b).mean() < 3
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_sound_starts_when_it_did(tmp_path: Path, film: Path) -> None:
    def starts(path: Path) -> list[float]:
        with av.open(str(path)) as container:
            packets = [each for each in container.demux() if each.pts is not None]
            return [
                float(min(p.pts * p.time_base for p in packets if p.stream.type == kind))
                for kind in ("video", "audio")
            ]

    copy(film, tmp_path / "copy.mp4")
    assert starts(tmp_path / "copy.mp4") == starts(film)


def test_vp9_in_webm(tmp_path: Path) -> None:
    silent = films.write(tmp_path / "film.mp4", films.moving_faces(5).frames, with_sound=False)
    copy(silent, tmp_path / "copy.webm")
    assert len(films.read(tmp_path / "copy.webm")) == 5


def test_the_processor_makes_no_difference(
    tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy(film, tmp_path / "fast.mp4")
    form = FORMATS[".mp4"]
    plain = form.options["x264-params"] + ":asm=0"
    monkeypatch.setitem(
        FORMATS, ".mp4", form._replace(options=form.options | {"x264-params": plain})
    )
    copy(film, tmp_path / "plain.mp4")
    assert (tmp_path / "fast.mp4").read_bytes() == (tmp_path / "plain.mp4").read_bytes()


def test_a_varying_frame_rate_is_kept(tmp_path: Path) -> None:
    ticks = [0, 40, 45, 300, 301, 1000, 1040, 5000]
    frames = films.moving_faces(8).frames
    source = films.write(tmp_path / "film.mp4", frames, ticks=ticks, time_base=Fraction(1, 1000))
    stamps = [Fraction(tick, 1000) for tick in ticks]
    assert films.times(source) == stamps
    for name in ("copy.mp4", "copy.mkv"):
        copy(source, tmp_path / name)
        assert films.times(tmp_path / name) == stamps


def test_metadata_are_left_behind_unless_they_are_wanted(tmp_path: Path, film: Path) -> None:
    copy(film, tmp_path / "clean.mp4")
    copy(film, tmp_path / "kept.mp4", keep_metadata=True)
    assert b"secret" in film.read_bytes()
    assert b"secret" not in (tmp_path / "clean.mp4").read_bytes()
    with av.open(str(tmp_path / "kept.mp4")) as kept, av.open(str(film)) as old:
        for key in ("title", "location", "creation_time"):
            assert kept.metadata[key] == old.metadata[key]
    with av.open(str(tmp_path / "clean.mp4")) as container:
        assert not {"title", "location", "creation_time"} & set(container.metadata)
        for stream in container.streams:
            assert "creation_time" not in stream.metadata


def test_only_pictures_and_sound_go_over(tmp_path: Path, film: Path) -> None:
    rich = tmp_path / "rich.mkv"
    with av.open(str(film)) as container, av.open(str(rich), "w") as output:
        streams = [output.add_stream_from_template(stream) for stream in container.streams]
        output.add_attachment(
            "cover.jpg", "image/jpeg", (films.ASSETS / "astronaut.jpg").read_bytes()
        )
        output.set_chapters(
            [
                {
                    "id": 1,
                    "start": 0,
                    "end": 9,
                    "time_base": Fraction(1, 25),
                    "metadata": {"title": "secret"},
                }
            ]
        )
        for packet in container.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                output.mux(packet)
    assert b"secret" in rich.read_bytes()
    copy(rich, tmp_path / "copy.mkv")
    with av.open(str(tmp_path / "copy.mkv")) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        assert container.chapters() == []
    assert b"secret" not in (tmp_path / "copy.mkv").read_bytes()


def test_rotation_is_applied_and_odd_sides_get_a_pixel(tmp_path: Path) -> None:
    turned = films.write(
        tmp_path / "film.mp4",
        films.moving_faces(3).frames,
        matrix=(0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30),
    )
    copy(turned, tmp_path / "copy.mp4")
    with Source(turned) as source, Source(tmp_path / "copy.mp4") as written:
        for a, b in zip(source.frames(), written.frames(), strict=True):
            assert a.pixels.shape == b.pixels.shape == (320, 240, 3)
            assert np.abs(a.pixels.astype(int) - b.pixels).mean() < 3
    with Source(turned) as source, writing(tmp_path / "odd.mp4", source) as sink:
        for frame in source.frames():
            sink.write(frame, frame.pixels[:-1, :-3])
    assert films.read(tmp_path / "odd.mp4")[0].shape == (320, 238, 3)


@pytest.mark.parametrize("colorspace", [1, 5, 2])  # HD, SD, untold
def test_colours_are_those_of_the_source(tmp_path: Path, colorspace: int) -> None:
    rng = np.random.default_rng(1)
    tiles = rng.integers(20, 235, (6, 8, 3)).astype(np.uint8).repeat(16, 0).repeat(16, 1)
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"crf": "5"})
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 128, 96, "yuv420p"
        video.codec_context.colorspace = colorspace
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(tiles, format="rgb24")
            matrix = 5 if colorspace == 2 else colorspace
            frame = frame.reformat(format="yuv420p", dst_colorspace=matrix)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    copy(path, tmp_path / "copy.mp4")
    with Source(path) as source, Source(tmp_path / "copy.mp4") as written:
        assert written.stream.codec_context.colorspace == source.stream.codec_context.colorspace
        for a, b in zip(source.frames(), written.frames(), strict=True):
            middle = np.s_[8::16, 8::16]
            assert np.abs(a.pixels[middle].astype(int) - tiles[middle]).max() <= 8
            assert np.abs(b.pixels[middle].astype(int) - tiles[middle]).max() <= 10


def test_an_error_leaves_what_was_there(tmp_path: Path, film: Path) -> None:
    target = tmp_path / "copy.mp4"
    target.write_bytes(b"old")

    def write_half() -> None:
        with Source(film) as source, writing(target, source) as sink:
            for frame in source.frames():
                sink.write(frame, frame.pixels)
                if frame.index == 20:
                    raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_names_that_tell_no_format_and_folders_that_are_not_there(
    tmp_path: Path, film: Path
) -> None:
    with pytest.raises(VideoError, match=r"copy\.gif: videos are written as \.mp4") as error:
        copy(film, tmp_path / "copy.gif")
    assert all(suffix in str(error.value) for suffix in FORMATS)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        copy(film, tmp_path / "no" / "copy.mp4")


def test_sound_that_does_not_fit(tmp_path: Path, film: Path) -> None:
    with pytest.raises(VideoError, match=r"cannot hold the sound of .* \(aac\); choose .*\.mkv"):
        copy(film, tmp_path / "copy.webm")
    assert list(tmp_path.iterdir()) == []


def test_a_source_of_rgb(tmp_path: Path) -> None:
    path = tmp_path / "screen.mkv"
    frames = films.moving_faces(3).frames
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264rgb", rate=25, options={"crf": "5"})
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 320, 240, "rgb24"
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    copy(path, tmp_path / "copy.mp4")
    for drawn, written in zip(frames, films.read(tmp_path / "copy.mp4"), strict=True):
        assert np.abs(drawn.astype(int) - written).mean() < 4


def test_no_frame_no_file(tmp_path: Path, film: Path) -> None:
    with (
        Source(film) as source,
        pytest.raises(VideoError, match=r"copy\.mp4: there was no frame to write"),
        writing(tmp_path / "copy.mp4", source),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_frames_that_cannot_be_written(tmp_path: Path, film: Path) -> None:
    def write_backwards() -> None:
        with Source(film) as source, writing(tmp_path / "copy.mp4", source) as sink:
            for frame in source.frames():
                sink.write(replace(frame, ticks=-frame.ticks), frame.pixels)

    with pytest.raises(VideoError, match=r"copy\.mp4: cannot be written \(.+\)"):
        write_backwards()
    assert list(tmp_path.iterdir()) == []
