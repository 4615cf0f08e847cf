"""A video written frame by frame: times kept, sound copied as it is, nothing else taken over.

Only pictures and sound go into the new file. Subtitles, chapters, cover pictures and streams of
data (in which cameras and drones keep their position) stay behind, and so does all metadata of
the file unless it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, cast

import av
import numpy as np
from av.stream import Stream

from featherface.files import replacing
from featherface.runtime.video_in import Frame, Source, VideoError
from featherface.types import Pixels


class _Format(NamedTuple):
    """FFmpeg's name of a container and a codec, and the codec's options: next to lossless."""

    container: str
    codec: str
    options: dict[str, str]


# x264's planning with AVX-512 depends on more than the pictures, so that the same film came out
# with other bytes now and then; this takes the version for any processor.
_PLAN = {"x264-params": "cpu-independent=1"}
_H264 = ("libx264", {"crf": "18", "preset": "veryfast", **_PLAN})
_VP9 = ("libvpx-vp9", {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"})
UNTOLD = 2
"""FFmpeg's number of a colour matrix that is not told."""

NARROW = 1
"""FFmpeg's number of television's range of brightness, 16 to 235 of 255; 2 is the full range."""

FORMATS = {
    ".mp4": _Format("mp4", *_H264),
    ".m4v": _Format("mp4", *_H264),
    ".mov": _Format("mov", *_H264),
    ".mkv": _Format("matroska", *_H264),
    ".webm": _Format("webm", *_VP9),
}
"""File name endings of the videos that can be written."""


def check_writable(path: Path) -> None:
    """Refuses a file name that does not tell the format.

    Raises:
        VideoError: its ending is none of `FORMATS`.
    """
    if path.suffix.lower() not in FORMATS:
        wanted = ", ".join(FORMATS)
        raise VideoError(f"{path}: videos are written as {wanted}, not {path.suffix or 'without'}")


class Sink:
    """An open video file to write to; made by `writing`."""

    def __init__(self, draft: Path, path: Path, source: Source) -> None:
        """Opens the file.

        Args:
            draft: where it is written.
            path: what it will be called.
            source: where the times, colours and sound come from.
        """
        self._path, self._source = path, source
        self._format = FORMATS[path.suffix.lower()]
        flags = {"movflags": "+faststart"} if self._format.container in ("mp4", "mov") else {}
        self._container = av.open(str(draft), "w", format=self._format.container, options=flags)
        self._stream: av.VideoStream | None = None  # till the first frame, which tells the size
        self._sound: dict[int, Stream] = {}
        self._early: list[av.Packet[Stream]] = []  # of sound, before the first frame
        self._range = source.stream.codec_context.color_range or NARROW

    def keep_metadata(self) -> None:
        """Takes over what the source says about itself; before the first frame."""
        self._container.metadata.update(self._source.metadata)

    def write(self, frame: Frame, pixels: Pixels) -> None:
        """Adds a frame (H, W, 3), the same for all, at the time of `frame`.

        A side of an odd number of pixels gets one more, a copy of the last.

        Raises:
            VideoError: this kind of file cannot hold the sound.
        """
        height, width = pixels.shape[:2]
        if height % 2 or width % 2:
            pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        stream = self._stream or self._open(rgb.width, rgb.height)
        picture = rgb.reformat(
            format="yuv420p", dst_colorspace=self._source.matrix, dst_color_range=self._range
        )
        picture.colorspace = stream.codec_context.colorspace
        picture.pts, picture.time_base = frame.ticks, self._source.time_base
        picture.duration = frame.length
        self._container.mux(stream.encode(picture))

    def _open(self, width: int, height: int) -> av.VideoStream:
        """The stream of pictures, first in the file, and those of sound."""
        source = self._source
        stream = cast(
            av.VideoStream,
            self._container.add_stream(
                self._format.codec,
                source.rate,
                self._format.options,
                width=width,
                height=height,
                time_base=source.time_base,
            ),
        )
        like, context = source.stream.codec_context, stream.codec_context
        context.pix_fmt = "yuv420p"
        context.thread_type = "AUTO"
        context.colorspace = like.colorspace or UNTOLD  # 0 is RGB, which this is not
        context.color_range = self._range
        context.color_primaries, context.color_trc = like.color_primaries, like.color_trc
        if ratio := like.sample_aspect_ratio:
            is_turned = (height > width) != (like.height > like.width)
            context.sample_aspect_ratio = 1 / ratio if is_turned else ratio
        for each in source.sound:
            try:
                self._sound[each.index] = self._container.add_stream_from_template(each)
            except ValueError as error:
                raise VideoError(
                    f"{self._path}: cannot hold the sound of {source.name} "
                    f"({each.codec_context.name}); choose a name that ends in .mkv"
                ) from error
        self._stream = stream
        for packet in self._early:
            self.copy(packet)
        self._early.clear()
        return stream

    def copy(self, packet: av.Packet[Stream]) -> None:
        """Adds a packet of the source's sound, as it is."""
        if self._stream is None:
            self._early.append(packet)
            return
        packet.stream = self._sound[packet.stream.index]
        self._container.mux(packet)

    def finish(self) -> None:
        """Writes what is still on its way, and the end of the file.

        Raises:
            VideoError: not a single frame was written.
        """
        if self._stream is None:
            raise VideoError(f"{self._path}: there was no frame to write")
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def close(self) -> None:
        """Lets go of the file as it is."""
        with suppress(av.FFmpegError):
            self._container.close()


@contextmanager
def writing(path: Path, source: Source) -> Iterator[Sink]:
    """Gives a video to write to, which takes the place of `path` when all went well.

    Raises:
        VideoError: the ending of `path` tells no format that can be written, the frames or the
            sound do not suit it, or the disk is full.
        OSError: the folder does not exist, or may not be written to.
    """
    check_writable(path)
    with replacing(path) as draft:
        sink = Sink(draft, path, source)
        try:
            yield sink
            sink.finish()
        except av.FFmpegError as error:
            raise VideoError(f"{path}: cannot be written ({error.strerror})") from error
        finally:
            sink.close()
