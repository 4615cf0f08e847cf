"""A process that is watched: what it says, how it crashes, that it hangs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from watch import watch

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")

PROGRAM = """
import os, sys, time
sys.path.insert(0, {benchmarks!r})
from watch import serve

def do(number):
    if number == 2:
        os.abort()
    if number == 5:
        time.sleep(60)
    if number == 6:
        print("noise", flush=True)
        bytearray(200_000_000)
    return "fine"

serve(range(*map(int, sys.argv[1:])), do)
"""


def test_a_crash_and_a_hang_are_told_and_the_rest_is_done() -> None:
    benchmarks = str(Path(__file__).resolve().parents[2] / "benchmarks")
    command = [sys.executable, "-c", PROGRAM.format(benchmarks=benchmarks)]
    found = list(watch(command, range(8), silence=5))
    assert [done.number for done in found] == list(range(8))
    outcomes = {done.number: done.outcome for done in found}
    assert outcomes.pop(2) == "crash: SIGABRT"
    assert outcomes.pop(5) == "hang"
    assert set(outcomes.values()) == {"fine"}
    peaks = {done.number: done.peak for done in found}
    assert peaks[6] > 200_000_000
    assert peaks[7] < 100_000_000, "the peak is that of one case"


def test_a_process_that_says_nothing_is_an_error() -> None:
    with pytest.raises(ChildProcessError, match="ended without a word, status 0"):
        list(watch([sys.executable, "-c", ""], range(3)))
