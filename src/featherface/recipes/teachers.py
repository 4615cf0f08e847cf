"""Any teacher by its file: torch weights or an exported graph, with or without a cache."""

from __future__ import annotations

from pathlib import Path

from featherface.training.cache import CachedTeacher, folder_for
from featherface.training.teacher import Answers, load_teacher


def open_teacher(path: Path, cache: Path | None = None) -> Answers:
    """The teacher in a .safetensors file, or in an .onnx file that `featherface export` made.

    Args:
        path: the file.
        cache: folder that keeps its answers.

    Raises:
        CheckpointError: the .safetensors file is missing or holds no teacher.
        ModelError: the .onnx file is missing or is another kind of graph.
    """
    teacher: Answers
    if path.suffix == ".onnx":
        from featherface.export.teacher import OnnxTeacher  # needs the extra `export`

        teacher = OnnxTeacher(path)
    else:
        teacher = load_teacher(path)
    return CachedTeacher(teacher, folder_for(cache, path)) if cache else teacher
