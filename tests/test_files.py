"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from featherface.files import replacing, write_atomically


def test_new_content_replaces_the_old(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    for content in (b"old", b"new"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_error_the_old_file_is_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with suppress(RuntimeError), replacing(path) as draft:
        draft.write_text("ne")
        assert path.read_text() == "old"
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    link = tmp_path / "link.txt"
    link.symlink_to("real.txt")
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, b"through")
    reader.join(timeout=30)
    assert read == [b"through"]
    assert pipe.is_fifo()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "no" / "file.txt", b"")


def test_who_reads_the_old_file_reads_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"old " * 9)
    with path.open("rb") as reader:
        assert reader.read(4) == b"old "
        write_atomically(path, b"new")
        assert reader.read() == b"old " * 8


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(OSError, match=r"No space left on device: '.*file\.txt'"), replacing(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert path.read_text() == "old"
    with pytest.raises(OSError, match=r"^somebody else's$"), replacing(path):
        raise OSError("somebody else's")


@pytest.mark.skipif(os.name == "nt", reason="names are counted otherwise")
def test_the_longest_names_that_there_are(tmp_path: Path) -> None:
    for name in ("n" * 255, "é" * 127):
        with replacing(tmp_path / name) as draft:
            draft.write_bytes(b"new")
            assert draft.name.endswith(f".{os.getpid()}")
        assert (tmp_path / name).read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 2
