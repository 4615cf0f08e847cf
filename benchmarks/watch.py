"""Numbered cases done one after the other in another process, which may crash or hang.

The process prints a line of JSON when a case begins and one when it is done. If it ends in between
or is silent for too long, that case counts as a crash or a hang, and a new process goes on with
the next one.
"""

from __future__ import annotations

import json
import os
import queue
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

SILENCE = 5.0
"""Seconds between two looks at a process that says nothing."""

HANG = 5.0
"""Seconds of processor time that a case may take. Where others have the processor, a second of it
can take minutes, so a process that only waits for its turn does not hang."""

MOST = 4 << 30
"""Bytes that a process may reserve, so that a runaway ends itself and not the machine."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a case ended.

    Attributes:
        number: of the case.
        outcome: as the process says; "crash: ..." or "hang" where it could not.
        seconds: of the processor.
        peak: bytes that the process had in memory at most, all told.
    """

    number: int
    outcome: str
    seconds: float
    peak: int


def watch(command: Sequence[str], numbers: range, *, silence: float = SILENCE) -> Iterator[Done]:
    """Does cases in a process of their own, or in several, one after the other.

    Args:
        command: calls `serve`; gets start, stop and step as its last arguments.
        numbers: of the cases.
        silence: seconds between two looks at a process that says nothing.
    """
    while numbers:
        place = [str(part) for part in (numbers.start, numbers.stop, numbers.step)]
        process = subprocess.Popen([*command, *place], stdout=subprocess.PIPE)
        last: Done | None = None
        for last in _listen(process, silence):
            yield last
        if last is None:
            raise ChildProcessError(f"{command}: ended without a word, status {process.returncode}")
        numbers = numbers[numbers.index(last.number) + 1 :]


def _listen(process: subprocess.Popen[bytes], silence: float) -> Iterator[Done]:
    assert process.stdout
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_forward, args=(process.stdout, lines), daemon=True).start()
    begun: int | None = None
    before = 0.0
    while True:
        try:
            line = lines.get(timeout=silence)
        except queue.Empty:
            if begun is None or process.poll() is not None or not _hangs(process.pid, before):
                continue
            process.kill()
            process.wait()
            yield Done(begun, "hang", HANG, 0)
            return
        if not line:
            break
        facts = json.loads(line)
        if isinstance(facts, int):
            begun, before = facts, _spent(process.pid)
        else:
            begun = None
            yield Done(**facts)
    process.wait()
    if begun is not None:
        code = process.returncode
        name = signal.Signals(-code).name if code < 0 else f"status {code}"
        yield Done(begun, f"crash: {name}", 0.0, 0)


def _hangs(pid: int, before: float) -> bool:
    """Whether a process has used up its time, or waits for something else than a processor."""
    if _spent(pid) - before > HANG:
        return True
    try:
        threads = [each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):  # one of them has just ended
        return False
    return not any(each.rpartition(")")[2].split()[0] == "R" for each in threads)


def _spent(pid: int) -> float:
    """Seconds of the processor that a process has had; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _forward(stream: IO[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    with stream:
        for line in stream:
            lines.put(line)
    lines.put(b"")


def serve(numbers: range, do: Callable[[int], str]) -> None:
    """The part of the other process: does the cases, each of which gives its outcome.

    Raises:
        OSError: this system is no Linux.
    """
    resource.setrlimit(resource.RLIMIT_AS, (MOST, MOST))
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever else is written there
    for number in numbers:
        out.write(f"{number}\n")
        _reset_peak()
        start = time.process_time()
        outcome = do(number)
        seconds = time.process_time() - start
        facts = {"number": number, "outcome": outcome, "seconds": round(seconds, 4)}
        out.write(json.dumps({**facts, "peak": _peak()}) + "\n")


def _peak() -> int:
    """Bytes in memory, at most, since `_reset_peak`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("no VmHWM in /proc/self/status")


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")
