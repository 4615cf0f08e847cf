"""How much disk an installation takes: every package from the index, nothing compiled yet."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path


def installed_bytes(requirements: Sequence[str]) -> int:
    """Installs into an empty folder, with all that is required, and adds up the files.

    Raises:
        subprocess.CalledProcessError: pip failed; it has said why.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"]
        subprocess.run([*command, "--target", folder, *requirements], check=True)
        files = (path for path in Path(folder).rglob("*") if path.is_file())
        return sum(file.stat().st_size for file in files)
