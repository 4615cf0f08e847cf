"""What videos cost beside the bare detector on the same decoded frames.

    python benchmarks/video.py

Makes a film of the portraits of assets/ moving over a wall, 640 x 480, with a tone, runs the
detector on its decoded frames, `featherface video --draw` and `featherface blur` turn by turn, and
appends a row to results/video.md.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from fractions import Fraction
from importlib.metadata import version
from io import StringIO
from pathlib import Path

import av
import numpy as np
from cyclopts import App
from PIL import Image, ImageFilter

from featherface import Detector
from featherface.evaluation.tables import append_row
from featherface.recipes import blur, video
from featherface.runtime.video_in import Source
from machine import this_machine

ROOT = Path(__file__).resolve().parent.parent
SIZE = (640, 480)  # width, height, as Pillow has it

HEAD = """# Speed of videos

Frames a second of a film of 640 x 480 pixels with faces, H.264 and sound, by
`python benchmarks/video.py`: the bare detector on frames that are decoded already, `featherface
video --draw`, `featherface blur` (which reads the film twice), and `blur` of all three kinds of
cover. Each in turn, the median over rounds; in brackets the median ratio to the bare detector's
time within a round. The detector has one thread; decoding and H.264 take what they want.

"""

app = App(name="python benchmarks/video.py", help_format="markdown")


def film(path: Path, count: int) -> None:
    """Two portraits wander over a rough wall."""
    noise = np.random.default_rng(0).integers(60, 200, (SIZE[1] // 8, SIZE[0] // 8, 3))
    wall = Image.fromarray(noise.astype(np.uint8)).resize(SIZE).filter(ImageFilter.GaussianBlur(6))
    heads = []
    for name in ("astronaut.jpg", "grace_hopper.jpg"):
        with Image.open(ROOT / "assets" / name) as image:
            heads.append(image.convert("RGB").resize((150, 180)))
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=25, options={"crf": "20"})
        assert isinstance(pictures, av.VideoStream)
        pictures.width, pictures.height, pictures.pix_fmt = *SIZE, "yuv420p"
        sound = container.add_stream("aac", rate=48000)
        for index in range(count):
            frame = wall.copy()
            for number, head in enumerate(heads):
                turn = index / 40 + 3 * number
                place = (round(240 + 230 * np.sin(turn)), round(140 + 130 * np.cos(0.7 * turn)))
                frame.paste(head, place)
            picture = av.VideoFrame.from_image(frame)
            picture.pts, picture.time_base = index, Fraction(1, 25)
            container.mux(pictures.encode(picture))
            at = np.arange(1920 * index, 1920 * (index + 1)) / 48000
            wave = (8000 * np.sin(2 * np.pi * 440 * at)).astype(np.int16)
            tone = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
            tone.sample_rate, tone.pts, tone.time_base = 48000, 1920 * index, Fraction(1, 48000)
            container.mux(sound.encode(tone))
        container.mux(pictures.encode(None))
        container.mux(sound.encode(None))


@app.default
def main(
    *,
    frames: int = 200,
    rounds: int = 5,
    results: Path = ROOT / "benchmarks" / "results" / "video.md",
) -> int:
    """Time the detector, `video` and `blur` on the same film.

    Args:
        frames: Of the film.
        rounds: Turns that each has.
        results: The table.
    """
    machine = this_machine()
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder, "film.mp4"), Path(folder, "out.mp4")
        film(path, frames)
        with Source(path) as source:
            decoded = [frame.pixels for frame in source.frames()]
        detector = Detector(score=blur.SCORE)
        turns: dict[str, Callable[[], object]] = {
            "detector": lambda: [detector.detect(pixels) for pixels in decoded],
            "video --draw": lambda: video.main(str(path), draw=out, score=blur.SCORE),
            "blur": lambda: blur.main([path, out], overwrite=True),
            "blur --how pixelate": lambda: blur.main([path, out], how="pixelate", overwrite=True),
            "blur --how solid": lambda: blur.main([path, out], how="solid", overwrite=True),
        }
        seconds = {name: np.zeros(rounds) for name in turns}
        for turn in range(rounds):
            for name, run in turns.items():
                start = time.perf_counter()
                with redirect_stdout(StringIO()):
                    run()
                seconds[name][turn] = time.perf_counter() - start
    row = {"date": machine.date, "frames x rounds": f"{frames} x {rounds}"}
    for name, each in seconds.items():
        ratio = float(np.median(each / seconds["detector"]))
        row[name] = f"{frames / np.median(each):.1f} (× {ratio:.2f})"
    row["versions"] = (
        f"featherface {machine.featherface}, onnxruntime {machine.onnxruntime}, "
        f"av {version('av')}, Python {machine.python}"
    )
    row["processor"] = f"{machine.processor}, {machine.cores} cores, load {machine.load:g}"
    append_row(results, row, head=HEAD)
    for name, value in row.items():
        print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
