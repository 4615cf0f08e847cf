"""`featherface video`: the faces of every frame of a video or a camera."""

from __future__ import annotations

import json as jsonlib
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from featherface.files import replacing
from featherface.runtime.detector import Detector
from featherface.runtime.draw import draw as draw_faces
from featherface.runtime.progress import Progress
from featherface.runtime.video_in import Frame, Source
from featherface.runtime.video_out import check_writable, writing
from featherface.types import Detections

FAILED = 1  # exit status: parts of the video could not be read


def main(
    video: str,
    /,
    *,
    draw: Path | None = None,
    json: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None,
    weights: str | None = None,
    score: float = 0.5,
    size: Annotated[Literal["original"] | int, Parameter(show_choices=False)] = "original",
    threads: int = 1,
) -> int:
    """Find the faces in every frame of a video, or of a camera until Ctrl-C.

    Args:
        video: A video file, or the number of a camera, 0 being the first.
        draw: Write the video with boxes and landmarks to this file: .mp4, .mov, .mkv, .webm. Sound
            and times stay as they are.
        json: Write one JSON object a frame and line to this file, or to stdout for "-".
        weights: Name of weights that come with featherface, or an .onnx file of your own.
        score: Report faces that score more than this, 0 to 1.
        size: "original", or the pixels that the longer side of each frame is scaled to.
        threads: Processor threads that share the work on a frame.
    """
    if json and str(json).startswith("--"):  # since "-" is allowed, so would be an option
        raise ValueError('--json wants a file, or "-"')
    if draw:
        check_writable(draw)
        if draw.exists() and Path(video).exists() and draw.samefile(video):
            raise ValueError(f"{draw}: would overwrite the video itself")
    detector = Detector(weights, score=score, size=size, threads=threads)
    is_camera = video.isdecimal() and not Path(video).exists()
    counts: list[int] = []  # of the faces in each frame
    started = time.perf_counter()
    with ExitStack() as stack:
        source = stack.enter_context(Source(int(video) if is_camera else video))
        output = _open_json(json, stack)
        sink = stack.enter_context(writing(draw, source)) if draw else None
        bar = Progress(source.expected, unit="frames")
        stack.callback(bar.clear)
        try:
            for part in source.parts(with_sound=sink is not None):
                if isinstance(part, Frame):
                    bar.show(min(part.index, source.expected))
                    faces = detector.detect(part.pixels)
                    counts.append(len(faces))
                    if sink:
                        sink.write(part, np.asarray(draw_faces(part.pixels, faces)))
                    if output:
                        record = jsonlib.dumps(_record(part, faces))
                        print(record, file=output, flush=source.is_camera)
                elif sink:
                    sink.copy(part)
        except KeyboardInterrupt:  # the regular end of what a camera gives
            if not source.is_camera:
                raise
    rate = len(counts) / (time.perf_counter() - started)
    summary = (
        f"{source.name}: {len(counts)} frames, {sum(map(bool, counts))} with faces, "
        f"at most {max(counts, default=0)} at once, {rate:.1f} frames a second"
    )
    print(summary, file=sys.stderr if json == Path("-") else sys.stdout)
    if source.damaged:
        reason = f"{source.damaged} damaged places could not be read well"
        print(f"featherface: {source.name}: {reason}", file=sys.stderr)
    return FAILED if source.damaged else 0


def _record(frame: Frame, faces: Detections) -> dict[str, Any]:
    """What is told about one frame, ready for JSON."""
    height, width = frame.pixels.shape[:2]
    return {
        "frame": frame.index,
        "time": round(frame.time, 6),
        "width": width,
        "height": height,
        "faces": faces.to_list(),
    }


def _open_json(path: Path | None, stack: ExitStack) -> IO[str] | None:
    """Where the JSON lines go; a file is complete, or not there at all."""
    if path is None or path == Path("-"):
        return sys.stdout if path else None
    return stack.enter_context(stack.enter_context(replacing(path)).open("w", encoding="utf-8"))
