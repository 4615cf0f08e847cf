"""What a time is worth nothing without: the machine, the versions, the day."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from featherface import __version__

SPEED_FLAGS = ("avx2", "fma", "avx512f", "avx_vnni", "avx512_vnni")
"""Instructions that decide how fast a network runs; generic processor names do not tell them."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when a run took place.

    Attributes:
        date: day, UTC.
        processor: its name, and its instructions for matrix work.
        cores: that this process may use.
        load: of the system over the last minute, when the run began; 0 is a quiet machine.
        system: operating system.
        python: version, as the rest.
        numpy: version.
        onnxruntime: version.
        pillow: version.
        featherface: version.
        peak_gflops: floating-point operations a nanosecond of one thread, where measured.
    """

    date: str
    processor: str
    cores: int
    load: float
    system: str
    python: str
    numpy: str
    onnxruntime: str
    pillow: str
    featherface: str
    peak_gflops: float | None = None


def this_machine() -> Machine:
    """The machine that this process runs on, now."""
    is_posix = hasattr(os, "sched_getaffinity")
    return Machine(
        date=datetime.now(timezone.utc).date().isoformat(),
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if is_posix else os.cpu_count() or 1,
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else -1.0,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        numpy=version("numpy"),
        onnxruntime=version("onnxruntime"),
        pillow=version("pillow"),
        featherface=__version__,
    )


def _processor() -> str:
    table = Path("/proc/cpuinfo")
    facts: dict[str, str] = {}
    if table.is_file():
        first = table.read_text().split("\n\n")[0]
        facts = {
            key.strip(): value.strip()
            for key, _, value in (line.partition(":") for line in first.splitlines())
        }
    name = facts.get("model name") or platform.processor() or platform.machine()
    flags = [flag for flag in SPEED_FLAGS if flag in facts.get("flags", "").split()]
    return f"{name} ({' '.join(flags)})" if flags else name
