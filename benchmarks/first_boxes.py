"""A new process up to its first boxes: `python first_boxes.py FAMILY GRAPH PICTURE SIDE`.

Prints how many faces there are, and the most memory that the process ever had, in bytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from entrants import OPEN
from featherface.image import fit


def peak_memory() -> int:
    """Bytes of this process that were in memory at once, at most.

    Linux counts in `ru_maxrss` what the parent had when it started this process; the high-water
    mark in /proc is of this program alone.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (row for row in status.read_text().splitlines() if row.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def main() -> None:
    """Detects once and reports."""
    family, graph, picture, side = sys.argv[1:]
    finder = OPEN[family](Path(graph), threads=1)
    (faces,) = finder.find([fit(picture, long_side=int(side))], score=0.5)
    print(json.dumps({"faces": len(faces), "peak": peak_memory()}))


if __name__ == "__main__":
    main()
