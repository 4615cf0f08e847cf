"""A teacher's answers on disk, so that a crop that comes back is not asked about again.

An entry is found by the pixels of its crop: whatever changes a crop (labels, recipe, code, seed)
makes another entry, and a stale one is never read. Classes are kept of every anchor, in half
precision; boxes and landmarks only where the teacher sees a face, which is the only place where
they are compared.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from featherface.files import replacing
from featherface.models.heads import Raw
from featherface.training.distill import SEEN
from featherface.training.teacher import Answers

MARGIN = 0.8  # codes are kept from this share of SEEN on: rounding may lift a score over it


class CachedTeacher:
    """Answers as the teacher does, to the half precision that is kept.

    Safe for several processes on one folder: entries are written whole, and equal ones twice at
    worst. Broken entries are made anew.

    Args:
        teacher: whose answers are kept.
        folder: one for each teacher, see `folder_for`; made when it is missing.
    """

    def __init__(self, teacher: Answers, folder: Path) -> None:
        self.teacher = teacher
        self.anchors = teacher.anchors
        self.folder = folder

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Raw:
        """(B, S, S, 3) uint8 RGB -> Raw; codes where no face is seen are zero."""
        paths = [self._path(image) for image in images]
        entries = [_read(path) for path in paths]
        missing = [row for row, entry in enumerate(entries) if entry is None]
        if missing:
            for row, entry in zip(missing, _split(self.teacher(images[missing])), strict=True):
                _write(paths[row], entry)
                entries[row] = entry
        answers = [_unpack(*entry) for entry in entries if entry]
        return Raw(*(torch.stack(part) for part in zip(*answers, strict=True)))

    def _path(self, image: Tensor) -> Path:
        key = hashlib.blake2b(image.numpy().tobytes(), digest_size=12).hexdigest()
        return self.folder / key[:2] / f"{key[2:]}.npz"


Entry = tuple[np.ndarray, np.ndarray, np.ndarray]  # (T,) float16, (M,) int32, (M, 14) float32


def folder_for(cache: Path, teacher: Path) -> Path:
    """The folder of one teacher within a cache: another file, another folder."""
    return cache / hashlib.sha256(teacher.read_bytes()).hexdigest()[:16]


def _split(raw: Raw) -> list[Entry]:
    """What is kept of each crop."""
    logits = (raw.class_logits[..., 1] - raw.class_logits[..., 0]).half()
    codes = torch.cat([raw.box_deltas, raw.landmark_deltas], dim=2)
    entries = []
    for line, code in zip(logits, codes, strict=True):
        seen = torch.nonzero(line.float().sigmoid() > MARGIN * SEEN)[:, 0]
        entries.append((line.numpy(), seen.int().numpy(), code[seen].numpy()))
    return entries


def _unpack(logits: np.ndarray, seen: np.ndarray, codes: np.ndarray) -> Raw:
    """The answer for one crop: (T, 2), (T, 4), (T, 10)."""
    half = torch.from_numpy(logits).float() / 2
    full = torch.zeros(len(half), codes.shape[1])
    full[torch.from_numpy(seen).long()] = torch.from_numpy(codes)
    return Raw(torch.stack([-half, half], dim=1), full[:, :4], full[:, 4:])


def _read(path: Path) -> Entry | None:
    try:
        with path.open("rb") as stream, np.load(stream) as file:
            return file["logits"], file["seen"], file["codes"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # not there, or not whole


def _write(path: Path, entry: Entry) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    logits, seen, codes = entry
    with replacing(path) as draft, draft.open("wb") as file:
        np.savez(file, logits=logits, seen=seen, codes=codes)
