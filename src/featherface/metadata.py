"""What a network's file says about itself, kept inside ONNX graphs and safetensors files alike.

Nothing is ever guessed from tensor counts or file names: a file without these facts is refused.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from featherface.anchors import AnchorSpec

KEY = "featherface"
"""The metadata entry that holds the JSON text."""

FORMAT = 1
"""Version of that text, and of the inputs and outputs that an exported graph has."""


class ModelError(ValueError):
    """A network's file that cannot be used; the message names it, the reason and the way out."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The facts of one trained network.

    Attributes:
        name: of the architecture, as in the table of networks.
        parameters: learnable numbers.
        macs_640: multiplications with addition for one picture of 640 x 640.
        anchors: what its outputs refer to.
        recipe: the configuration file it was trained with.
        data: what it was trained on.
        data_licence: what that data may be used for.
        trained: when, for how long, to which result.
        precision: of the numbers that it computes with.
    """

    name: str
    parameters: int
    macs_640: int
    anchors: AnchorSpec
    recipe: str = ""
    data: str = ""
    data_licence: str = ""
    trained: str = ""
    precision: str = "float32"

    def to_json(self) -> str:
        """One line of JSON, the text to keep under `KEY`."""
        return json.dumps({"format": FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, text: str | None, *, source: str) -> ModelInfo:
        """The inverse of `to_json`.

        Args:
            text: what was found under `KEY`, None if nothing was.
            source: the file, for messages.

        Raises:
            ModelError: no text, no such JSON, or a format that this version does not know.
        """
        if text is None:
            raise ModelError(
                f"{source}: has no entry {KEY!r} in its metadata, so it is not a featherface "
                "network; make the file with: featherface export"
            )
        try:
            facts = json.loads(text)
            version = facts.pop("format")
            if version == FORMAT:
                anchors = facts.pop("anchors")
                return cls(
                    **facts,
                    anchors=AnchorSpec(
                        strides=tuple(anchors["strides"]),
                        sizes=tuple(tuple(sizes) for sizes in anchors["sizes"]),
                        variances=tuple(anchors["variances"]),
                    ),
                )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelError(
                f"{source}: the entry {KEY!r} of its metadata is damaged ({error}); "
                "make the file again with: featherface export"
            ) from error
        raise ModelError(
            f"{source}: is of format {version!r}, and this version of featherface reads format "
            f"{FORMAT}; export it again, or: pip install --upgrade featherface"
        )
