"""Whatever the pictures come in, the rows are those of the library."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from featherface import Detector

pytest.importorskip("pyarrow", reason='needs pyarrow: pip install "featherface[batch]"')

import pyarrow as pa
import pyarrow.parquet as pq
from batch_inputs import (
    BROKEN,
    Plain,
    Rows,
    as_list,
    as_parquet,
    as_tar,
    do_all,
    names_in,
)

KINDS: dict[str, Callable[[Path, Path], Path]] = {
    "a folder": lambda folder, _: folder,
    "a list": lambda folder, new: as_list(folder, new / "list.txt"),
    "a Parquet file": lambda folder, new: as_parquet(folder, new / "a.parquet"),
    "structs in Parquet": lambda folder, new: as_parquet(folder, new / "b.parquet", is_nested=True),
    "a tar": lambda folder, new: as_tar(folder, new / "shard-000.tar"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [3, 100])
def test_every_kind_of_input_gives_the_librarys_answers(
    pictures: Path,
    tmp_path: Path,
    detector: Detector,
    answer: Rows,
    plain: Plain,
    kind: str,
    part: int,
) -> None:
    source = KINDS[kind](pictures, tmp_path)
    assert plain(do_all(source, tmp_path / "out", detector, part=part)) == answer
    assert sum(row["error"] is not None for row in answer) == 1
    assert any(row["faces"] for row in answer)


def test_paths_begin_as_they_were_given(
    pictures: Path, tmp_path: Path, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = names_in(pictures)
    rows = do_all("in", "a", detector)
    assert [row["path"] for row in rows] == [f"in/{name}" for name in names]
    Path("list.txt").write_text("\n".join(f"in/{name}" for name in names))
    assert do_all("list.txt", "b", detector) == rows
    as_tar(pictures, Path("in.tar"))
    rows = do_all("in.tar", "c", detector)
    assert [row["path"] for row in rows] == [f"in.tar/{name}" for name in names]


def test_folders_of_shards(
    pictures: Path, tmp_path: Path, detector: Detector, answer: Rows, plain: Plain
) -> None:
    for kind, make in {"tar": as_tar, "parquet": as_parquet}.items():
        folder = tmp_path / kind
        folder.mkdir()
        for name in ("1", "2"):
            make(pictures, folder / f"{name}.{kind}")
        assert plain(do_all(folder, tmp_path / f"out-{kind}", detector)) == answer * 2


@pytest.mark.parametrize("part", range(1, 14))
def test_rows_of_parquet_files_come_once_wherever_they_are_cut(
    pictures: Path, tmp_path: Path, detector: Detector, answer: Rows, plain: Plain, part: int
) -> None:
    source = as_parquet(pictures, tmp_path / "a.parquet")
    assert plain(do_all(source, tmp_path / "out", detector, part=part)) == answer


def test_rows_without_a_path_are_told_by_their_number(
    pictures: Path, tmp_path: Path, detector: Detector
) -> None:
    content = (pictures / "00.png").read_bytes()
    source = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [content, None, content], "id": [1, 2, 3]}), source)
    rows = do_all(source, tmp_path / "out", detector, part=2)
    assert [row["path"] for row in rows] == [f"{source}#{number}" for number in range(3)]
    assert [row["error"] for row in rows] == [None, "has no bytes", None]


def test_the_column_has_to_be_clear(pictures: Path, tmp_path: Path, detector: Detector) -> None:
    content = (pictures / "00.png").read_bytes()
    source = tmp_path / "a.parquet"
    pq.write_table(pa.table({"left": [content], "right": [b""], "id": [1]}), source)
    with pytest.raises(
        ValueError, match=r"a\.parquet: no single column.*left \(binary\).*--column"
    ):
        do_all(source, tmp_path / "out", detector)
    with pytest.raises(ValueError, match="column 'id' holds no bytes"):
        do_all(source, tmp_path / "out", detector, column="id")
    (row,) = do_all(source, tmp_path / "out", detector, column="left")
    assert row["error"] is None


def test_what_is_not_there_has_a_row(pictures: Path, tmp_path: Path, detector: Detector) -> None:
    source = tmp_path / "list.txt"
    source.write_text(f"{pictures}/00.png\n{pictures}/gone.png\n\n{pictures}/00.png\n{pictures}\n")
    rows = do_all(source, tmp_path / "out", detector)
    assert [row["error"] for row in rows] == [
        None,
        "no such file",
        "cannot be read (Is a directory)",
    ]
    assert rows[1]["faces"] is None


@pytest.mark.parametrize("cut", [512, 700, 3 * 1024, 4 * 1024 + 100])
def test_a_tar_that_breaks_off_tells_so(
    pictures: Path, tmp_path: Path, detector: Detector, answer: Rows, plain: Plain, cut: int
) -> None:
    source = as_tar(pictures, tmp_path / "a.tar")
    content = source.read_bytes()
    source.write_bytes(content[:cut])
    *rows, last = do_all(source, tmp_path / "out", detector)
    assert plain(rows) == answer[: len(rows)]
    assert last["path"] == str(source)
    assert "pictures may be missing" in last["error"]


def test_a_tar_that_is_damaged_in_the_middle_tells_so(
    pictures: Path, tmp_path: Path, detector: Detector
) -> None:
    source = as_tar(pictures, tmp_path / "a.tar")
    content = bytearray(source.read_bytes())
    place = content.index(b"06.png")
    content[place : place + 6] = b"06.pnk"  # which its checksum does not fit
    source.write_bytes(content)
    *rows, last = do_all(source, tmp_path / "out", detector)
    assert [row["path"][-6:] for row in rows] == [f"{number:02}.png" for number in range(6)]
    assert "pictures may be missing" in last["error"]


def test_a_file_that_is_no_shard_has_a_row(
    pictures: Path, tmp_path: Path, detector: Detector, answer: Rows, plain: Plain
) -> None:
    for name, make in {"b.parquet": as_parquet, "b.tar": as_tar}.items():
        folder = tmp_path / name.partition(".")[2]
        folder.mkdir()
        make(pictures, folder / name)
        (folder / f"a{name[1:]}").write_text("Dear reader, this is no such file. " * 100)
        first, *rows = do_all(folder, tmp_path / f"out-{name}", detector)
        assert first["path"].endswith(f"a{name[1:]}")
        assert "is broken, or no" in first["error"]
        assert plain(rows) == answer


def test_what_makes_the_detector_fail_is_an_error_of_its_picture(
    pictures: Path, tmp_path: Path, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = Detector.find

    def fail(self: Detector, fitted: list, **more: float) -> list:
        if fitted[0].fit.size[1] == 128:
            raise RuntimeError("no memory")
        return find(self, fitted, **more)

    monkeypatch.setattr(Detector, "find", fail)
    rows = do_all(pictures, tmp_path / "out", detector)
    errors = [row["error"] for row in rows if row["error"] and "no memory" in row["error"]]
    assert errors == ["cannot be looked at (RuntimeError: no memory)"] * 3


def test_inputs_with_nothing_or_too_much_in_them(
    pictures: Path, tmp_path: Path, detector: Detector
) -> None:
    with pytest.raises(ValueError, match="gone: no such file or folder"):
        do_all(tmp_path / "gone", tmp_path / "out", detector)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: nothing to look at there"):
        do_all(tmp_path / "empty", tmp_path / "out", detector)
    as_tar(pictures, pictures / "a.tar")
    with pytest.raises(ValueError, match=r"several kinds \(12 of pictures and 1 of tar\)"):
        do_all(pictures, tmp_path / "out", detector)
    assert not (tmp_path / "out" / "_plan.json").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="file names are not bytes on this system")
def test_names_that_are_no_text(pictures: Path, tmp_path: Path, detector: Detector) -> None:
    for name in names_in(pictures):
        (pictures / name).rename(pictures / os.fsdecode(b"caf\xe9.png"))
    (row,) = do_all(pictures, tmp_path / "out", detector)
    assert row["path"] == rf"{pictures}/caf\udce9.png"
    assert row["error"] is None


def test_hidden_files_and_linked_folders_are_left_out(
    pictures: Path, tmp_path: Path, detector: Detector, answer: Rows, plain: Plain
) -> None:
    content = (pictures / "00.png").read_bytes()
    (pictures / ".hidden").mkdir()
    for name in (".a.png", ".hidden/a.png"):
        (pictures / name).write_bytes(content)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.png").write_bytes(content)
    (pictures / "link").symlink_to(tmp_path / "elsewhere")
    assert plain(do_all(pictures, tmp_path / "out", detector)) == answer


def test_the_broken_picture_says_what_detect_says(answer: Rows) -> None:
    (row,) = (row for row in answer if row["error"])
    assert row["path"] == BROKEN
    assert row["error"].startswith("is no picture of these formats")
