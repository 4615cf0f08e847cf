"""Which layers have to lose a channel together, for every channel that a Nano-B can do without.

The same table serves to rank filters, to silence them and to cut them out, so that the three cannot
disagree. Whatever a table does not name keeps its channels: the neck's 32 and the heads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from featherface.models.cbam import hidden_units
from featherface.models.mobilenet import FINER, Widths
from featherface.models.nano_b import NanoBConfig


class Channels(NamedTuple):
    """Channels between two layers; names are those of modules.

    Attributes:
        channels: how many there are.
        ranked: convolutions whose filters make them, ranked together.
        made: norms and further convolutions that give them: silent when all their rows are zero.
        followed: layers with one row a channel that say nothing when the channel is silent.
        read: convolutions that read them, one column a channel.
    """

    channels: int
    ranked: tuple[str, ...]
    made: tuple[str, ...]
    followed: tuple[str, ...] = ()
    read: tuple[str, ...] = ()


def backbone_layout(widths: Widths, prefix: str = "") -> list[Channels]:
    """The stem and the blocks in order, the last channels of each stage (the taps) included.

    A depthwise filter sees one channel: it is not ranked, but goes with the pointwise filter that
    makes its channel. Its norm has to be silenced too, for it gives a constant otherwise.
    """
    names = [
        f"{prefix}stage{s}.{b}" for s, stage in enumerate(widths, 1) for b in range(len(stage))
    ]
    layout = []
    for block, (name, width) in enumerate(zip(names, [w for s in widths for w in s], strict=True)):
        maker, norm = (f"{name}.3", f"{name}.4") if block else (f"{name}.0", f"{name}.1")
        entry = Channels(width, (maker,), (norm,))
        if block + 1 < len(names):
            after = names[block + 1]
            entry = entry._replace(
                made=(norm, f"{after}.1"), followed=(f"{after}.0",), read=(f"{after}.3",)
            )
        layout.append(entry)
    return layout


def network_layout(config: NanoBConfig) -> list[Channels]:
    """All of a network's channels that may go, each after those that it reads."""
    layout = backbone_layout(config.widths, "backbone.")
    ends = [sum(map(len, config.widths[: stage + 1])) - 1 for stage in range(3)]
    for level, end in enumerate(ends):
        layout[end] = _tap(layout[end], level, config)
    if config.scale_decoupling and config.detail:
        finer = layout[FINER - 1]
        layout[FINER - 1] = finer._replace(read=(*finer.read, "decouple.detail"))
    layout += (_bottleneck(f"attention.{n}.channel.mlp", units) for n, units in _units(config))
    layout += _neck(config)
    layout += _context(config.hidden.context)
    return layout


def _tap(entry: Channels, level: int, config: NanoBConfig) -> Channels:
    """A stage's last channels are read by the neck too, after P3's decoupling and attention."""
    mlp = f"attention.{level}.channel.mlp"
    made, followed = entry.made, (*entry.followed, f"{mlp}.2")
    read = (*entry.read, f"{mlp}.0", f"project.{level}.0")
    if level:
        read += (f"project_again.{level - 1}.0",)
    elif config.scale_decoupling:
        added = ("decouple.enhance", "decouple.suppress")
        gates = ("decouple.gate_fine", "decouple.gate_coarse")
        detail = ("decouple.detail",) if config.detail else ()
        made, followed = (*made, *added, *detail), (*followed, *gates)
        read = (*read, *added, *gates)
    return entry._replace(made=made, followed=followed, read=read)


def _units(config: NanoBConfig) -> Iterator[tuple[int, int]]:
    """Hidden units of each level's channel attention, which follow from the taps."""
    for level, stage in enumerate(config.widths):
        yield level, hidden_units(stage[-1])


def _bottleneck(name: str, count: int) -> Channels:
    """Hidden units of two 1x1 convolutions with a ReLU between."""
    return Channels(count, (f"{name}.0",), (), read=(f"{name}.2",))


def _neck(config: NanoBConfig) -> Iterator[Channels]:
    hidden = config.hidden
    if config.semantic:
        yield _bottleneck("inject.enhance.transform", hidden.semantic)
        for level in range(3):
            yield _bottleneck(f"guide.{level}.gate", hidden.guide)
    if config.scale_sequence:
        name = "refine_p3"
        yield _bottleneck(f"{name}.channel", hidden.gate)
        joint = Channels(
            hidden.sequence,
            tuple(f"{name}.reduce.{level}" for level in range(3)),
            (f"{name}.norm.0",),
        )
        if config.elan:
            yield from _elan(joint, f"{name}.mix", config.elan)
        else:
            made = (*joint.made, f"{name}.mix.1")
            followed, read = (f"{name}.mix.0",), (f"{name}.mix.3",)
            yield joint._replace(made=made, followed=followed, read=read)


def _elan(joint: Channels, name: str, depth: int) -> Iterator[Channels]:
    """What goes in and what each convolution gives; the next one and the mix read it."""
    for number in range(depth + 1):
        maker = f"{name}.convs.{number - 1}"
        entry = Channels(joint.channels, (f"{maker}.0",), (f"{maker}.1",)) if number else joint
        after = (f"{name}.convs.{number}.0",) if number < depth else ()
        yield entry._replace(read=(*after, f"{name}.mix.{number}"))


def _context(inner: int) -> Iterator[Channels]:
    """Between the convolutions of the 5x5 branch and of the 7x7 branch."""
    for level in range(3):
        for branch, maker in (("field5", 0), ("field7", 0), ("field7", 3)):
            name = f"context.{level}.{branch}"
            made = (f"{name}.{maker + 1}",)
            yield Channels(inner, (f"{name}.{maker}",), made, read=(f"{name}.{maker + 3}",))
