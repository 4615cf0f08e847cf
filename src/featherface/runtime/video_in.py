"""Videos and cameras as upright RGB frames with their times; the only place that decodes them.

Decoding is left to FFmpeg, by PyAV. A frame's time is the one that the file states, so a varying
frame rate needs no special care; frames that cannot be decoded are counted, not silently lost.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import cast

import numpy as np

from featherface.types import Pixels

try:
    import av
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'videos need av, please: pip install "featherface[video]"', name=error.name
    ) from error

from av.sidedata.sidedata import SideDataContainer, Type
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

CAMERAS = {
    "linux": ("v4l2", "/dev/video{}"),
    "darwin": ("avfoundation", "{}:none"),
}
"""The system -> FFmpeg's name of its cameras, and what it calls the camera of a number. That of
Windows goes by names."""

MISSING = 0.5
"""Seconds that a video may end before the time it promises."""

UNTAGGED = 5
"""The colour matrix of a video that names none, ITU-R BT.601, which is what FFmpeg assumes."""

MATRICES = {1: 1, 7: 7, 9: 9}
"""FFmpeg's number of a colour matrix in a file -> its number in conversions; the rest is 601."""


class VideoError(ValueError):
    """A video that cannot be used; the message names it and gives the reason."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame as it is looked at.

    Attributes:
        index: 0 for the first.
        time: seconds, as the file states it, where the first need not be 0; a camera counts from
            its first frame.
        pixels: (H, W, 3) uint8 RGB, upright.
        ticks: `time` in units of the source's time base; rising from frame to frame.
        length: that the frame is shown, in the same units; 0 if the file does not tell.
    """

    index: int
    time: float
    pixels: Pixels
    ticks: int
    length: int


class Source:
    """An open video file or camera; to be read once, and closed by `with`.

    Attributes:
        name: for messages.
        is_camera: whether frames come as they happen, without an end.
        damaged: frames and packets so far that could not be decoded, or not well.
        stream: PyAV's stream of pictures.
        sound: PyAV's streams of sound.
        metadata: what the file says about itself, such as the place where it was taken.
    """

    def __init__(self, video: str | os.PathLike[str] | int) -> None:
        """Opens a video.

        Args:
            video: the path of a file, or the number of a camera (0 is the first).

        Raises:
            VideoError: no such file or camera, no video, or nothing to see in it.
        """
        self.is_camera = isinstance(video, int)
        self.name = f"camera {video}" if isinstance(video, int) else os.fspath(video)
        self.damaged = 0
        try:
            if isinstance(video, int):
                if sys.platform not in CAMERAS:
                    raise VideoError(f"{self.name}: cameras cannot be opened on {sys.platform}")
                driver, place = CAMERAS[sys.platform]
                self._container = av.open(place.format(video), "r", format=driver)
            else:
                # A play list must not lead to what lies elsewhere.
                options = {"protocol_whitelist": "file"}
                self._container = av.open(
                    _existing(video), "r", options=options, metadata_errors="replace"
                )
        except (av.FFmpegError, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise VideoError(f"{self.name}: cannot be opened as a video ({reason})") from error
        streams = [
            each
            for each in self._container.streams.video
            if each.codec_context and not each.disposition & Disposition.attached_pic
        ]
        if not streams:
            self._container.close()
            raise VideoError(f"{self.name}: has no video stream, only sound or a cover picture")
        self.stream: VideoStream = max(streams, key=lambda each: each.width * each.height)
        self.stream.thread_type = "AUTO"
        self.sound = [each for each in self._container.streams.audio if each.codec_context]
        self.metadata = dict(self._container.metadata)
        self.time_base: Fraction = self.stream.time_base or Fraction(1, 90_000)
        self._index = 0
        self._start: int | None = None  # ticks of a camera's first frame
        self._last = -(2**62)  # ticks of the frame before

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._container.close()

    @property
    def rate(self) -> Fraction:
        """Frames a second on average, as far as the file tells."""
        return self.stream.average_rate or self.stream.guessed_rate or Fraction(25)

    @property
    def expected(self) -> int:
        """Frames that there should be, about; 0 if the file does not tell."""
        if self.stream.frames:
            return self.stream.frames
        seconds = (self._container.duration or 0) / av.time_base
        return 0 if self.is_camera else max(0, round(seconds * self.rate))

    @property
    def matrix(self) -> int:
        """The colour matrix, as FFmpeg's conversions number it."""
        return MATRICES.get(self.stream.codec_context.colorspace, UNTAGGED)

    def frames(self) -> Iterator[Frame]:
        """All frames, in the order in which they are shown.

        Raises:
            VideoError: not a single frame could be decoded, or their size changes on the way.
        """
        for part in self.parts(with_sound=False):
            if isinstance(part, Frame):
                yield part

    def parts(self, *, with_sound: bool = True) -> Iterator[Frame | av.Packet[Stream]]:
        """Frames, and the packets of sound between them, undecoded, as they lie in the file.

        Raises:
            VideoError: as `frames`.
        """
        size: tuple[int, ...] | None = None
        seen = 0.0  # seconds
        sound = self.sound if with_sound else []
        for packet in self._packets([self.stream, *sound]):
            if packet is not None and packet.stream_index != self.stream.index:
                if packet.dts is not None:
                    yield packet
                continue
            for decoded in self._decode(packet):
                frame = self._upright(decoded)
                size = size or frame.pixels.shape
                if frame.pixels.shape != size:
                    raise VideoError(f"{self.name}: its pictures change size at {frame.time:.1f} s")
                seen = frame.time
                yield frame
        if not self._index:
            raise VideoError(f"{self.name}: has no frame that can be decoded")
        # A reader may take damage for the end of the file, and say nothing.
        self.damaged += self._promised() - seen > MISSING

    def _promised(self) -> float:
        """Seconds that the file says its pictures last; 0 if it does not say."""
        if self.is_camera:
            return 0.0
        if self.stream.duration and self.stream.time_base:
            return float(self.stream.duration * self.stream.time_base)
        clock = self.stream.metadata.get("DURATION", "").split(":")  # Matroska's, "00:01:02.5"
        try:
            hours, minutes, seconds = map(float, clock)
        except ValueError:
            whole = self._container.duration or 0  # of the longest stream
            return 0.0 if self.sound else whole / av.time_base
        return 3600 * hours + 60 * minutes + seconds

    def _packets(self, streams: list[Stream]) -> Iterator[av.Packet[Stream] | None]:
        """The packets of some streams, and None as the end."""
        try:
            yield from self._container.demux(streams)
        except av.FFmpegError:  # the file is cut off, or the camera gone
            self.damaged += 1
        yield None

    def _decode(self, packet: av.Packet[Stream] | None) -> list[VideoFrame]:
        """The frames that a packet completes; None gives those that are left at the end."""
        try:
            frames = self.stream.decode(packet)
        except av.EOFError:  # was told already that there is no more
            return []
        except av.FFmpegError:
            self.damaged += 1
            return []
        self.damaged += sum(frame.is_corrupt for frame in frames)
        return frames

    def _upright(self, frame: VideoFrame) -> Frame:
        ticks = frame.dts if frame.pts is None else frame.pts
        length = frame.duration or 0
        if ticks is None:  # a bare stream of pictures has no times
            ticks = self._last + length if self._index else 0
            if not length:
                ticks = round(self._index / self.rate / self.time_base)
        if self.is_camera:  # whose clock began long ago
            self._start = ticks if self._start is None else self._start
            ticks -= self._start
        self._last = max(ticks, self._last + 1)
        rgb = frame.to_ndarray(format="rgb24", src_colorspace=self.matrix)
        pixels = np.ascontiguousarray(_turn(rgb.astype(np.uint8, copy=False), frame))
        upright = Frame(self._index, float(self._last * self.time_base), pixels, self._last, length)
        self._index += 1
        return upright


def _existing(video: str | os.PathLike[str]) -> str:
    """A path that cannot be taken for an address on a network."""
    path = Path(video)
    if not path.exists():
        raise FileNotFoundError(2, "no such file")
    return str(path.absolute())


def _turn(pixels: Pixels, frame: VideoFrame) -> Pixels:
    """A stored picture as the display matrix says that it be shown, in quarter turns and flips.

    The matrix, row by row (a, b, u, c, d, v, x, y, w), takes x to ax + cy and y to bx + dy.
    """
    try:
        data = cast(SideDataContainer, frame.side_data)[Type.DISPLAYMATRIX]
    except KeyError:
        return pixels
    matrix = np.frombuffer(bytes(data), np.int32)
    a, b, c, d = (int(matrix[index]) for index in (0, 1, 3, 4))
    if abs(b) > abs(a):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    if a < 0:
        pixels = pixels[:, ::-1]
    return pixels[::-1] if d < 0 else pixels
