"""The detectors that are compared, each as one ONNX file, brought to the same terms.

The foreign files fix their input at 640 x 640; it is freed, which changes neither results nor
time. Every file also gets a twin that ends at its last convolutions, for the network's own time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yunet
from featherface.evaluation.prediction import Finder
from featherface.runtime import scrfd
from featherface.runtime.detector import OVERLAP, Detector
from featherface.runtime.scrfd import Scrfd
from rows import REFERENCE
from yunet import YuNet

Family = Literal["featherface", "yunet", "scrfd"]

OPEN: dict[str, Callable[..., Finder]] = {
    "featherface": Detector,
    "yunet": YuNet,
    "scrfd": Scrfd,
}
"""Who runs the graphs of a family."""

OVERLAPS: dict[str, float] = {
    "featherface": OVERLAP,
    "yunet": yunet.OVERLAP,
    "scrfd": scrfd.OVERLAP,
}
"""IoU that each family suppresses at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A detector.

    Attributes:
        name: as tables show it.
        family: who runs it.
        file: as it is released.
        graph: the same with a free input size; runs end to end.
        forward: `graph` up to its last convolutions.
        parameters: as told by those who trained it.
    """

    name: str
    family: Family
    file: Path
    graph: Path
    forward: Path
    parameters: int


def enter_all(
    ours: Path, v1: Path, peers: Path, *, folder: Path, int8: Path | None = None
) -> list[Entrant]:
    """The detectors, in the order of the tables.

    Args:
        ours: the graph of our network.
        v1: the graph of FeatherFace V1, from our own exporter.
        peers: folder with the foreign files.
        folder: where derived files go.
        int8: the graph of our network with integers, if it takes part.

    Raises:
        FileNotFoundError: one of the files is missing.
        ValueError: one of them is not a detector's graph.
    """
    yunet_n, scrfd_500m = peers / "yunet_n_640_640.onnx", peers / "scrfd_500m_kps.onnx"
    told, told_v1 = (Detector(file).info for file in (ours, v1))
    entrants = [
        enter(f"featherface {told.name}", "featherface", ours, told.parameters, folder),
        enter("FeatherFace V1", "featherface", v1, told_v1.parameters, folder),
        enter(REFERENCE, "yunet", yunet_n, yunet.PARAMETERS, folder),
        enter("SCRFD-500M", "scrfd", scrfd_500m, scrfd.PARAMETERS, folder),
    ]
    if int8 is not None:
        name = f"featherface {told.name} int8"
        entrants.append(enter(name, "featherface", int8, told.parameters, folder))
    return entrants


def enter(name: str, family: Family, file: Path, parameters: int, folder: Path) -> Entrant:
    """Derives the two graphs of a detector."""
    import onnx  # here, so that a process that only detects does not carry it

    from onnx_cost import forward_only, free_size

    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file, wanted the graph of {name}")
    place = folder / name.replace(" ", "_")
    graph, forward = place.with_suffix(".free.onnx"), place.with_suffix(".forward.onnx")
    model = onnx.load(file)
    free_size(model)
    onnx.save(model, graph)
    onnx.save(forward_only(model), forward)
    return Entrant(
        name=name,
        family=family,
        file=file,
        graph=file if family == "featherface" else graph,
        forward=forward,
        parameters=parameters,
    )
