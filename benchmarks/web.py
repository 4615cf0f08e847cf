"""The detector in a browser: size of the first load, time a picture, both beside YuNet-n's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from cyclopts import App

from featherface.evaluation.tables import append_row
from machine import this_machine

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"

HEAD = """# In the browser

By `python benchmarks/web.py --yunet FILE`, in Chromium without a graphics processor, ONNX Runtime
Web with WebAssembly, one thread. First load: all bytes that the server sends (Brotli) to a browser
with nothing in it until the page of `web/` has found the faces of its example and is ready for
working offline; in it ONNX Runtime's WebAssembly, the network and the example picture. Times: both
networks in one worker, turn by turn, on the left 1040 × 1040 pixels of `assets/collage.jpg` at
640 × 640; *graph* is one run of the file (ours decodes and suppresses in it, YuNet's does not),
*whole* goes from decoded pixels to faces in the picture's pixels. Medians over rounds; in brackets
the ratio to YuNet-n's: of times the median of the ratios within a round, of the first load against
the same page with YuNet-n's file in place of ours. [The rows](web.jsonl) have every round.

"""

app = App(name="python benchmarks/web.py", help_format="markdown")


def measure(yunet: Path, rounds: int) -> dict[str, Any]:
    """Builds web/, and runs its benchmark."""
    for arguments in (["build.mjs"], ["build.mjs", "--tests"]):
        subprocess.run(["node", *arguments], cwd=WEB, check=True)
    ran = subprocess.run(
        ["node", "build/bench/run.js", str(yunet.absolute()), str(rounds)],
        cwd=WEB,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


def cells(told: dict[str, Any]) -> dict[str, str]:
    """What the table tells of a run."""
    load = told["first_load_bytes"]
    other = load - told["model_bytes"] + told["yunet_bytes"]
    parts = ", ".join(
        f"{name} {told[f'{key}_bytes'] / 1e3:,.0f}"
        for name, key in (("WebAssembly", "wasm"), ("network", "model"), ("example", "example"))
    )
    row = {
        "first load, KB": f"{load / 1e3:,.0f} (× {load / other:.2f}): {parts}",
        "first faces, s": f"{told['first_faces_s']:.1f}",
    }
    for part in ("graph", "whole"):
        ours, yunet = (np.array(told[name][part]) for name in ("ours", "yunet"))
        ratio = float(np.median(ours / yunet))
        row[f"{part}, ms"] = f"{np.median(ours):.1f} (× {ratio:.2f})"
        row[f"YuNet-n {part}, ms"] = f"{np.median(yunet):.1f}"
    return row


@app.default
def main(
    *,
    yunet: Path = Path("../shared/peers/yunet_n_640_640.onnx"),
    rounds: int = 30,
    results: Path = ROOT / "benchmarks" / "results" / "web.md",
) -> int:
    """Measure the page of web/ and the network in Chromium.

    Needs Node and Chromium, and `npm ci` done in web/. Takes about a minute.

    Args:
        yunet: YuNet-n's released file, 640 x 640.
        rounds: Turns that each network has.
        results: The table; the rows go beside it.
    """
    machine = this_machine()
    told = measure(yunet, rounds)
    row = {
        "date": machine.date,
        "rounds": str(rounds),
        **cells(told),
        "versions": f"featherface {machine.featherface}, "
        f"onnxruntime-web {told['onnxruntime_web']}, Chromium {told['chromium']}",
        "processor": f"{machine.processor}, {machine.cores} cores, load {machine.load:g}",
    }
    append_row(results, row, head=HEAD)
    facts = {
        "date": machine.date,
        "processor": machine.processor,
        "cores": machine.cores,
        "load": machine.load,
        "system": machine.system,
        "featherface": machine.featherface,
        **told,
    }
    with results.with_suffix(".jsonl").open("a", encoding="utf-8") as rows:
        rows.write(json.dumps(facts) + "\n")
    for name, value in row.items():
        print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
