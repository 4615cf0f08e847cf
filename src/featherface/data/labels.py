"""Labelled pictures, whatever file the labels came in: the one door to all readers."""

from __future__ import annotations

from pathlib import Path

from featherface.data.coco import read_coco
from featherface.data.label_text import read_label_text, write_labels
from featherface.data.labelled import LabelError, LabelledImage
from featherface.data.wider_face import is_wider_face, read_wider_face
from featherface.data.yolo import read_yolo, yolo_folders

__all__ = ["LabelError", "LabelledImage", "read_labels", "write_labels"]


def read_labels(path: str | Path, *, images: str | Path | None = None) -> list[LabelledImage]:
    """Read the labels of a data set; the contents say which layout it is.

    * lines of 20 numbers under `# picture` headers, or 21 with a probability (see
      `label_text.py`), and the `label.txt` of RetinaFace, which looks much the same;
    * the annotation text of WIDER FACE, as it comes from there;
    * a COCO JSON file;
    * a YOLO folder, with `images` and `labels` in it, or `images/train` beside `labels/train`.

    A folder may stand for the `labels.txt`, the `label.txt` or the only JSON file in it. Pictures
    are not opened (except for YOLO, whose labels need the size) and may be missing.

    Args:
        path: a file or a folder.
        images: the folder that picture names are relative to, where it is not near the labels.

    Raises:
        LabelError: the labels are malformed (the message names the file and the line), list no
            picture, or are in none of these layouts.
        OSError: the file cannot be read.
    """
    path = Path(path)
    images = None if images is None else Path(images)
    if path.is_dir():
        if folders := None if _named_file(path) else yolo_folders(path, images):
            return read_yolo(*folders)
        path = _named_file(path) or _only_json(path)
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise LabelError.at(path, line, "is not UTF-8 text") from error
    start = text.lstrip()
    if start.startswith(("{", "[")):
        return read_coco(path, text, images)
    if is_wider_face(text) and not start.startswith("#"):
        return read_wider_face(path, text, images)
    return read_label_text(path, text, images)


def _named_file(folder: Path) -> Path | None:
    files = [folder / name for name in ("labels.txt", "label.txt")]
    return next((file for file in files if file.is_file()), None)


def _only_json(folder: Path) -> Path:
    found = list(folder.glob("*.json"))
    if len(found) != 1:
        problem = (
            f"no labels here: wanted labels.txt, label.txt, a single .json file (found"
            f" {len(found)}), or the folders images and labels of YOLO"
        )
        raise LabelError.at(folder, None, problem)
    return found[0]
