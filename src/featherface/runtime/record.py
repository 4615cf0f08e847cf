"""What is told about one picture: its faces, or why it could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featherface.types import Detections, Size


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A picture that was looked at.

    Attributes:
        path: of the picture, as it was given.
        size: (height, width), upright.
        faces: what was found, in pixels of the upright picture.
        error: why it could not be read, naming it; size and faces then say nothing.
    """

    path: Path
    size: Size = (0, 0)
    faces: Detections = field(default_factory=Detections.empty)
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A plain dictionary, ready for JSON: path, width, height and faces, or path and error."""
        if self.error:
            return {"path": str(self.path), "error": self.error}
        height, width = self.size
        facts = {"path": str(self.path), "width": width, "height": height}
        return {**facts, "faces": self.faces.to_list()}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Record:
        """The inverse of `to_dict`, up to its rounding."""
        path = Path(facts["path"])
        if "error" in facts:
            return cls(path, error=facts["error"])
        faces = Detections.from_list(facts["faces"])
        return cls(path, (facts["height"], facts["width"]), faces)
