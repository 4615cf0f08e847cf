"""Files anywhere: local, in memory through fsspec, on a real S3 server on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from featherface import Detector

pytest.importorskip("pyarrow", reason='needs pyarrow: pip install "featherface[batch]"')

from batch_inputs import Plain, Rows, as_parquet, as_tar, do_all, names_in, rows_of
from s3 import Bucket, serving

from featherface.batch.part import Job
from featherface.batch.places import place_of


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    """A bucket on a server that listens on this machine only."""
    with serving() as found:
        yield found


@pytest.fixture(params=["local", "memory", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new folder, by its name or URI."""
    if request.param == "local":
        return str(tmp_path / "new")
    if request.param == "memory":
        pytest.importorskip("fsspec", reason="needs fsspec")
        return f"memory://{tmp_path.name}/new"
    bucket: Bucket = request.getfixturevalue("bucket")
    return bucket.uri(f"{tmp_path.name}/new folder")


def test_a_place_behaves_like_a_folder(folder: str) -> None:
    place = place_of(folder)
    assert not place.is_folder()
    assert place.names() == []
    place.make_folder()
    (place / "sub").make_folder()
    for name in ("b.txt", "a b#c.txt", "sub/c.txt", ".hidden", "sub/.hidden"):
        (place / name).write(name.encode())
    assert place.is_folder()
    assert not place.is_file()
    assert place.names() == ["a b#c.txt", "b.txt"]
    assert place.names(is_deep=True) == ["a b#c.txt", "b.txt", "sub/c.txt"]
    file = place / "a b#c.txt"
    assert file.is_file()
    assert not file.is_folder()
    file.write(b"another")
    assert file.read() == b"another"
    with file.open() as opened:
        opened.seek(2)
        assert opened.read(3) == b"oth"
    for _ in range(2):
        file.delete()
    assert not file.is_file()
    with pytest.raises(FileNotFoundError):
        file.read()


def test_names_for_people_hold_no_secrets_and_no_options() -> None:
    place = place_of("s3://key:secret@bucket/a/b.tar?region=us-east-1") / "c"
    assert place.shown == "s3://bucket/a/b.tar/c"
    assert place.path == "bucket/a/b.tar/c"
    assert place_of("file:///tmp/a").path == "/tmp/a"


def test_a_uri_that_nobody_opens_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^floppy://: neither pyarrow nor fsspec opens it"):
        place_of("floppy://a/b")


def test_from_s3_to_s3(
    pictures: Path, tmp_path: Path, detector: Detector, answer: Rows, plain: Plain, bucket: Bucket
) -> None:
    there = place_of(bucket.uri(f"{tmp_path.name}/in"))
    for name in names_in(pictures):
        (there / name).write((pictures / name).read_bytes())
    shards = place_of(bucket.uri(f"{tmp_path.name}/shards"))
    (shards / "tar/a.tar").write(as_tar(pictures, tmp_path / "a.tar").read_bytes())
    (shards / "parquet/a.parquet").write(as_parquet(pictures, tmp_path / "a.parquet").read_bytes())
    for name in ("in", "shards/tar", "shards/parquet"):
        output = bucket.uri(f"{tmp_path.name}/out/{name}")
        rows = do_all(bucket.uri(f"{tmp_path.name}/{name}"), output, detector)
        assert plain(rows) == answer
        assert all(bucket.secret not in row["path"] for row in rows)
    assert rows[0]["path"] == "00.png"  # of the Parquet file's own column
    rows = rows_of(bucket.uri(f"{tmp_path.name}/out/in"))
    assert rows[0]["path"] == f"s3://{bucket.name}/{tmp_path.name}/in/00.png"
    local = do_all(bucket.uri(f"{tmp_path.name}/in"), tmp_path / "out", detector)
    assert local == rows


def test_a_small_object_appears_by_one_request(
    pictures: Path, tmp_path: Path, detector: Detector, bucket: Bucket
) -> None:
    output = bucket.uri(f"{tmp_path.name}/out")
    job = Job.begin(str(pictures), output, detector, part=12)
    before = len(bucket.requests)
    assert job.do(0).failure == ""
    puts = [line for line in bucket.requests[before:] if line.startswith(("PUT", "POST"))]
    part = [line for line in puts if "part-0000000.parquet" in line]
    assert len(part) == 1
    assert "uploadId" not in part[0]


def test_another_start_on_s3_does_nothing_twice_and_refuses_other_options(
    pictures: Path, tmp_path: Path, toy_graph: Path, detector: Detector, bucket: Bucket
) -> None:
    output = bucket.uri(f"{tmp_path.name}/out")
    rows = do_all(pictures, output, detector)
    before = len(bucket.requests)
    assert do_all(pictures, output, detector) == rows
    written = [line for line in bucket.requests[before:] if not line.startswith(("GET", "HEAD"))]
    assert written == []
    with pytest.raises(ValueError, match=r"^s3://.*/out: was begun with score 0.5, now 0.4"):
        do_all(pictures, output, Detector(toy_graph, score=0.4))


def test_a_store_that_cannot_be_reached_fails_the_part_and_blames_no_picture(
    pictures: Path, tmp_path: Path, detector: Detector
) -> None:
    with serving() as bucket:
        there = place_of(bucket.uri("in"))
        for name in names_in(pictures):
            (there / name).write((pictures / name).read_bytes())
        job = Job.begin(bucket.uri("in"), str(tmp_path / "out"), detector, part=12)
    outcome = job.do(0)
    assert outcome.failure
    assert not (tmp_path / "out" / "part-0000000.parquet").exists()
