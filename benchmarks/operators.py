"""Where a network's time goes: `python benchmarks/operators.py FILE...`, by operator and by node.

ONNX Runtime times every node. Of each convolution and matrix product the table also tells which
share of the processor's matrix peak it reaches; that peak is measured in the same process, as the
quicker of a product of matrices and a convolution that have everything in their favour.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from cyclopts import App

from featherface.files import write_atomically
from featherface.types import Size
from machine import this_machine
from onnx_cost import COUNTERS, black_picture, forward_only, free_size
from peak import PROVIDER, peak_flops
from race import bind
from table import markdown

SIZE: Size = (640, 640)
SUFFIX = "_kernel_time"  # of the events that are a node's own work
TOTALS = ("operator", "nodes", "ms", "share of time", "MMAC", "share of peak")
SLOWEST = ("node", "operator", "shapes", "µs", "share of peak")

app = App(name="python benchmarks/operators.py", help_format="markdown")


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the graph as ONNX Runtime runs it.

    Attributes:
        name: ONNX Runtime's.
        operator: its type, "depthwise Conv" for one that has a group for each channel.
        microseconds: median over runs.
        shapes: of its first two inputs and its first output.
        macs: multiply-accumulates as they are run, channels padded to the processor's block
            included; none are counted for operators other than `COUNTERS`.
    """

    name: str
    operator: str
    microseconds: float
    shapes: tuple[list[int], ...]
    macs: int


@app.default
def main(
    *files: Path, runs: int = 30, top: int = 20, results: Path | None = None, title: str = ""
) -> int:
    """Profile networks, up to their last convolutions, at 640 x 640 on one thread.

    Args:
        files: ONNX files, ours or others'.
        runs: Of every network; the median counts.
        top: How many nodes are listed.
        results: Markdown file to write; printed if not given.
        title: First line of it.
    """
    missing = [str(file) for file in files if not file.is_file()]
    if missing or not files:
        print(f"operators.py: no such file: {' '.join(missing) or 'none given'}", file=sys.stderr)
        return 2
    bind(1)
    peak = peak_flops()
    parts = [f"# {title or 'Time by operator'}\n\n{_conditions(peak, runs)}\n"]
    parts += [f"## {file.name}\n\n{_section(profile(file, runs), peak, top)}" for file in files]
    text = "\n".join(parts)
    if results is None:
        print(text)
    else:
        write_atomically(results, text.encode())
    return 0


def profile(file: Path, runs: int) -> list[Node]:
    """The nodes of a network, the slowest first."""
    model = onnx.load(file)
    free_size(model)
    model = forward_only(model)
    feed = black_picture(model, SIZE)
    for name, value in feed.items():
        if value.ndim == 4:
            pixels = np.random.default_rng(0).integers(0, 256, value.shape)
            feed[name] = pixels.astype(value.dtype)
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = f"{folder}/profile"
        options.optimized_model_filepath = f"{folder}/optimised.onnx"
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = ort.InferenceSession(model.SerializeToString(), options, [PROVIDER])
        for _ in range(runs):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text())
        optimised = onnx.load(f"{folder}/optimised.onnx").graph
    groups = {
        node.name: each.i
        for node in optimised.node
        for each in node.attribute
        if each.name == "group"
    }
    times: dict[str, list[float]] = defaultdict(list)
    facts = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(SUFFIX):
            name = event["name"].removesuffix(SUFFIX)
            times[name].append(event["dur"])
            facts[name] = event["args"]
    nodes = [
        _node(name, float(np.median(found)), facts[name], groups.get(name, 1))
        for name, found in times.items()
    ]
    return sorted(nodes, key=lambda node: -node.microseconds)


def _node(name: str, microseconds: float, facts: dict[str, object], group: int) -> Node:
    operator = str(facts["op_name"])
    inputs, outputs = _shapes(facts["input_type_shape"]), _shapes(facts["output_type_shape"])
    counter = COUNTERS.get(operator)
    macs = counter(inputs[:2], outputs[0]) if counter else 0
    kind = f"depthwise {operator}" if group > 1 else operator
    return Node(name, kind, microseconds, (*inputs[:2], *outputs[:1]), macs)


def _shapes(told: object) -> list[list[int]]:
    assert isinstance(told, list)
    return [next(iter(each.values())) for each in told]


def _section(nodes: Sequence[Node], peak: float, top: int) -> str:
    whole = sum(node.microseconds for node in nodes)
    kinds: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        kinds[node.operator].append(node)
    totals = sorted(kinds.items(), key=lambda kind: -sum(n.microseconds for n in kind[1]))
    lines = [_totals("all", nodes, whole, peak)]
    lines += [_totals(operator, found, whole, peak) for operator, found in totals]
    slowest = [
        (
            node.name,
            node.operator,
            " · ".join("×".join(map(str, shape)) for shape in node.shapes),
            f"{node.microseconds:.0f}",
            _share(node.macs, node.microseconds, peak),
        )
        for node in nodes[:top]
    ]
    return f"{markdown(TOTALS, lines)}\nThe slowest nodes:\n\n{markdown(SLOWEST, slowest)}"


def _totals(operator: str, nodes: Sequence[Node], whole: float, peak: float) -> tuple[str, ...]:
    taken, macs = sum(n.microseconds for n in nodes), sum(n.macs for n in nodes)
    return (
        operator,
        str(len(nodes)),
        f"{taken / 1000:.2f}",
        f"{taken / whole:.1%}",
        f"{macs / 1e6:.1f}" if macs else "",
        _share(macs, taken, peak),
    )


def _share(macs: int, microseconds: float, peak: float) -> str:
    return f"{2 * macs / (microseconds * 1e-6) / peak:.0%}" if macs else ""


def _conditions(peak: float, runs: int) -> str:
    machine = this_machine()
    return (
        f"By `python benchmarks/operators.py`, {SIZE[0]} × {SIZE[1]}, one thread, up to the last "
        f"convolutions, median of {runs} runs.\n"
        f"{machine.processor}, {machine.date}, load {machine.load:g}, onnxruntime "
        f"{machine.onnxruntime}. Matrix peak {peak / 1e9:.0f} GFLOP/s."
    )


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
