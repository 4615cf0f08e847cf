"""Pictures that are spoiled in a hundred thousand ways, through `featherface.image`.

Each has to become pixels or an `ImageError` that names it, in seconds, in less than 1 GB, without
a crash. One in fifty goes through a detector as well.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
from cyclopts import App
from PIL import Image

from featherface import Detector, ImageError
from featherface.image import fit, load
from soak import RESULTS, Row, keep
from spoil import sources, spoil
from watch import HANG, Done, serve, watch

SAMPLE = 50  # one in so many goes through a detector
FILED = 4  # one in so many is read from a file, which libtiff does itself
SIDE = 96  # longer side for the detector, and for every other picture that is read
MEMORY = 10**9  # bytes, what no picture may need

app = App(name="python benchmarks/bad_pictures.py", help_format="markdown")


@app.default
def main(*, pictures: int = 100_000, first: int = 0, results: Path = RESULTS) -> int:
    """Read spoiled pictures, and tell what became of them.

    Takes about ten minutes of a core; Linux only.

    Args:
        pictures: How many.
        first: Number of the first one; each number is always the same picture.
        results: The table of rows.
    """
    start = time.perf_counter()
    command = [sys.executable, __file__, "serve"]
    outcomes: Counter[str] = Counter()
    slowest = largest = Done(0, "", 0.0, 0)
    faults: list[str] = []
    for done in watch(command, range(first, first + pictures)):
        kind = done.outcome.partition(":")[0]
        outcomes[kind] += 1
        slowest = max(slowest, done, key=lambda each: each.seconds)
        largest = max(largest, done, key=lambda each: each.peak)
        is_bad = kind not in ("pixels", "refused") or done.seconds > HANG or done.peak > MEMORY
        if is_bad:
            faults.append(f"{done.number}: {done.outcome}, {done.seconds} s, {done.peak:,} bytes")
            print(faults[-1], "|", spoil(done.number, _sources())[0], file=sys.stderr)
    row = Row(
        what="pictures",
        tried=f"{pictures:,} spoiled pictures from {len(_sources())} sources in 8 formats",
        outcome=f"{outcomes['pixels']:,} gave pixels, {outcomes['refused']:,} an ImageError; "
        f"slowest {slowest.seconds:.1f} s of processor, most memory {largest.peak / 1e6:.0f} MB",
        faults=len(faults),
        minutes=(time.perf_counter() - start) / 60,
        command=f"python benchmarks/bad_pictures.py --pictures {pictures}",
    )
    keep(row, results)
    print(row.outcome)
    return 1 if faults else 0


@app.command(name="serve")
def serve_numbers(start: int, stop: int, step: int) -> None:
    """The process that is watched; not for people."""
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff writes there itself
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "picture.jpg")
        serve(range(start, stop, step), lambda number: look(number, place))


def look(number: int, place: Path) -> str:
    """What became of a spoiled picture: pixels, refused, or what is wrong."""
    _, file = spoil(number, _sources())
    picture: bytes | Path = file
    if number % FILED == 0:
        place.write_bytes(file)
        picture = place
    name = str(place) if number % FILED == 0 else "the bytes given"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", Image.DecompressionBombWarning)
        try:
            if number % SAMPLE == 0:
                _detector().detect(picture)
            pixels = load(picture) if number % 2 else fit(picture, long_side=SIDE).pixels
        except ImageError as error:
            return "refused" if str(error).startswith(f"{name}: ") else f"unnamed: {error}"
        except Exception as error:
            return f"other error: {type(error).__name__}: {error}"
    if any(issubclass(each.category, Image.DecompressionBombWarning) for each in told):
        return "warned: of a decompression bomb"
    is_good = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
    return "pixels" if is_good and pixels.size else f"no picture: {pixels.dtype} {pixels.shape}"


@cache
def _sources() -> dict[str, bytes]:
    return sources()


@cache
def _detector() -> Detector:
    return Detector(size=SIDE)


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
