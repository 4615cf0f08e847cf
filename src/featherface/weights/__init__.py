"""The weights that ship with the package, found offline and checked before use.

`SHA256SUMS` beside them is the table, in the format of the tool of that name; after a change:
`sha256sum *.onnx *.safetensors > SHA256SUMS`. What a network is stands in its own metadata
(`featherface.metadata`), how it was made and how good it is in the card `<name>.md`.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files

from featherface.metadata import ModelError

DEFAULT = "nano_b_enhanced"
"""The network that is used when none is named."""

FOLDER = files(__name__)


def sums() -> dict[str, str]:
    """SHA-256 of every weight file that ships, by file name."""
    table = FOLDER / "SHA256SUMS"
    if not table.is_file():
        return {}
    rows = (line.split() for line in table.read_text().splitlines())
    return {name.removeprefix("*"): digest for digest, name in rows}


def names() -> tuple[str, ...]:
    """The networks that ship ready for detection."""
    return tuple(name.removesuffix(".onnx") for name in sums() if name.endswith(".onnx"))


def read(name: str, *, suffix: str = ".onnx") -> bytes:
    """The content of a file that ships: ".onnx" for detection, ".safetensors" for training.

    Raises:
        ModelError: no such weights ship, or the file is damaged.
    """
    file = f"{name}{suffix}"
    wanted = sums().get(file)
    if wanted is None:
        ship = ", ".join(each for each in sums() if each.endswith(suffix)) or "none"
        raise ModelError(
            f"{file}: does not ship with featherface (what does: {ship}); give one of those names, "
            f"or the path of a {suffix} file"
        )
    content = (FOLDER / file).read_bytes()
    if hashlib.sha256(content).hexdigest() != wanted:
        raise ModelError(
            f"{file}: is damaged, its SHA-256 is not {wanted}; "
            "install it again: pip install --force-reinstall featherface"
        )
    return content
