"""Draws the network and its blocks from the code: `python docs/diagrams.py`, or `make diagrams`.

Writes docs/diagrams/*.svg; a test fails when they no longer show what the code does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import torch
from layout import Place, arrange
from torch import nn
from tracing import SIDE, Recorder, Step, tensors

from featherface.files import write_atomically
from featherface.models.nano_b import NanoB
from featherface.training.checkpoint import load_model
from featherface.weights import DEFAULT, FOLDER

TARGET = Path(__file__).resolve().parent / "diagrams"
FILLS = {
    "end": "#ffffff",
    "part": "#cfe3ff",
    "conv": "#ffe3b8",
    "move": "#d3efd6",
    "sum": "#e9e9ee",
}
LINE, INK, PALE = "#8b93a1", "#17202c", "#4a5563"
LETTER, MARGIN, BETWEEN = 7.0, 8.0, 36.0  # pixels: a letter's width, the border, between rows


class Diagram(NamedTuple):
    """A picture of one part of the network.

    Attributes:
        path: of the module in the network, "" for all of it.
        names: of what goes in.
        parts: pattern of the paths, within the module, of what is one box.
    """

    path: str
    names: tuple[str, ...]
    parts: str = "none"


DIAGRAMS = {
    "nano_b_enhanced": Diagram(
        "",
        ("picture",),
        r"backbone\.stage1\.\d|backbone\.stage\d|decouple|inject|refine_p3|heads"
        r"|(attention|project|project_again|bifpn|guide|refine|context)\.\d",
    ),
    "mobilenet": Diagram("backbone", ("picture",), r"stage\d\.\d+"),
    "depthwise_separable": Diagram("backbone.stage1.2", ("input",)),
    "scale_decoupling": Diagram("decouple", ("C3", "C2")),
    "cbam": Diagram("attention.0", ("input",)),
    "semantic_injection": Diagram("inject", ("P3", "P4", "P5")),
    "bifpn_layer": Diagram(
        "bifpn.0", ("P3", "P4", "P5", "second P4", "second P5"), r"p\d_(down|out)"
    ),
    "fuse_node": Diagram("bifpn.0.p4_out", ("first", "second", "third")),
    "gated_fusion": Diagram("guide.0", ("input",)),
    "scale_sequence_attention": Diagram("refine_p3", ("P3", "P4", "P5")),
    "context_module": Diagram("context.0", ("input",)),
    "heads": Diagram("heads", ("P3", "P4", "P5")),
}


def main() -> None:
    """Writes all diagrams."""
    TARGET.mkdir(exist_ok=True)
    for name, text in draw_all().items():
        write_atomically(TARGET / f"{name}.svg", text.encode())
        print(TARGET / f"{name}.svg")


def draw_all() -> dict[str, str]:
    """The text of each SVG by its name."""
    model = shipped()
    inputs = inputs_of(model, {diagram.path for diagram in DIAGRAMS.values()})
    return {
        name: draw(name, steps_of(model.get_submodule(diagram.path), diagram, inputs[diagram.path]))
        for name, diagram in DIAGRAMS.items()
    }


def shipped() -> NanoB:
    """The network whose weights ship, without them."""
    model, _ = load_model(Path(str(FOLDER / f"{DEFAULT}.safetensors")))
    with torch.device("meta"):
        return NanoB(model.config).eval()


def inputs_of(model: NanoB, paths: set[str]) -> dict[str, tuple[Any, ...]]:
    """What the modules of these paths are given for one picture of 640 x 640."""
    seen: dict[str, tuple[Any, ...]] = {}

    def keep(path: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        return lambda _module, args: seen.setdefault(path, args) and None

    hooks = [model.get_submodule(path).register_forward_pre_hook(keep(path)) for path in paths]
    with torch.no_grad():
        model(torch.empty(1, 3, SIDE, SIDE, device="meta"))
    for hook in hooks:
        hook.remove()
    return seen


def steps_of(module: nn.Module, diagram: Diagram, args: tuple[Any, ...]) -> list[Step]:
    """What happens in a module."""
    count = sum(1 for _ in tensors(args))
    names = list(diagram.names[:count])
    is_part = re.compile(diagram.parts).fullmatch
    return Recorder(module, lambda path: bool(is_part(path))).run(*args, names=names)


def draw(name: str, steps: list[Step]) -> str:
    """The steps as an SVG, to be read on light and on dark ground."""
    texts = {id(step): lines_of(step) for step in steps}
    lanes = lanes_of(steps)
    places = {
        id(step): Place(max(map(len, texts[id(step)])) * LETTER + 22, lane)
        for step, lane in zip(steps, lanes, strict=True)
    }
    for step in steps:
        for source in step.sources:
            places[id(step)].above.append(places[id(source)])
            places[id(source)].below.append(places[id(step)])
    rows = arrange(list(places.values()))
    tall = {id(places[id(step)]): 16.0 * len(texts[id(step)]) + 14 for step in steps}
    width = max(place.x + place.width / 2 for row in rows for place in row) + 2 * MARGIN
    tops, y = [], MARGIN
    for row in rows:
        tops.append(y)
        y += max(tall.get(id(place), 0) for place in row) + BETWEEN
    heights = [max(tall.get(id(place), 0) for place in row) for row in rows]
    middles = [top + height / 2 for top, height in zip(tops, heights, strict=True)]
    size = f"{math.ceil(width)} {math.ceil(y - BETWEEN + MARGIN)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" '
        f'width="{size.split()[0]}" role="img" font-family="Helvetica, Arial, sans-serif">',
        f"<title>{escape(name)}</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="90"><path d="M0 0 8 4 0 8z" fill="{LINE}"/></marker></defs>',
    ]
    for row in rows:
        for place in row:
            for other in place.below:
                parts.append(line(place, other, middles, heights, tall))
    for step in steps:
        place = places[id(step)]
        parts.append(box(step, texts[id(step)], place, middles[place.row], tall[id(place)]))
    return "\n".join([*parts, "</svg>", ""])


def lanes_of(steps: list[Step]) -> list[float]:
    """Fine maps on the left, coarse ones on the right; what has no map stands by its sources."""
    lanes: dict[int, float] = {}
    for step in steps:
        widths = [shape[-1] for shape in step.shapes if len(shape) == 3 and shape[-1] > 1]
        levels = [math.log2(80 / width) for width in widths]
        before = [lanes[id(source)] for source in step.sources]
        lane = sum(levels) / len(levels) if levels else sum(before) / max(len(before), 1)
        lanes[id(step)] = max(lane, 0.0)
    return list(lanes.values())


def lines_of(step: Step) -> list[str]:
    """The text in a box: what it does, the shapes that it gives, its parameters."""
    shapes = list(dict.fromkeys(" × ".join(f"{n:,}" for n in shape) for shape in step.shapes))
    lines = [step.label, "  ·  ".join(shapes)]
    if step.is_repeated:
        lines.append("the same weights")
    elif step.parameters:
        lines.append(f"{step.parameters:,} parameter" + "s" * (step.parameters > 1))
    return lines


def line(
    start: Place, end: Place, middles: list[float], heights: list[float], tall: dict[int, float]
) -> str:
    """A line from the lower edge of one place to the upper edge of another.

    Where it passes boxes it is upright, so that it never crosses one.
    """
    y1 = middles[start.row] + tall.get(id(start), 0) / 2
    y2 = middles[end.row] - tall.get(id(end), 0) / 2
    x1, x2 = port(start, start.below, end), port(end, end.above, start)
    low = middles[start.row] + heights[start.row] / 2
    high = middles[end.row] - heights[end.row] / 2
    bend = (low + high) / 2
    tip = ' marker-end="url(#tip)"' if end.width else ""
    path = (
        f"M{x1:.1f} {y1:.1f}V{low:.1f}C{x1:.1f} {bend:.1f} {x2:.1f} {bend:.1f} {x2:.1f} {high:.1f}"
        f"V{y2:.1f}"
    )
    return f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.6"{tip}/>'


def port(place: Place, others: list[Place], other: Place) -> float:
    """Where one of the lines to or from a place meets it: side by side, in their order."""
    near = sorted(others, key=lambda each: each.x)
    step = min(place.width / (len(near) + 1), 90.0)
    return place.x + (near.index(other) - (len(near) - 1) / 2) * step + MARGIN


def box(step: Step, lines: list[str], place: Place, y: float, height: float) -> str:
    """A box with its text."""
    x = place.x + MARGIN
    round_by = height / 2 if step.kind == "end" else 5
    parts = [
        f'<rect x="{x - place.width / 2:.1f}" y="{y - height / 2:.1f}" width="{place.width:.1f}" '
        f'height="{height:.1f}" rx="{round_by:.1f}" fill="{FILLS[step.kind]}" stroke="{LINE}"/>'
    ]
    for number, text in enumerate(lines):
        style = f'font-weight="bold" fill="{INK}"' if number == 0 else f'fill="{PALE}"'
        down = y - height / 2 + 20 + 16 * number
        parts.append(
            f'<text x="{x:.1f}" y="{down:.1f}" font-size="12.5" text-anchor="middle" {style}>'
            f"{escape(text)}</text>"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    main()
