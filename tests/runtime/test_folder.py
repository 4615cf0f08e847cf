"""The pictures that a command line names, and the places of their copies."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from featherface.runtime.folder import expand, find_pictures, place, within


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with the pictures of two summers."""
    names = (
        "summer/b.jpg summer/a.PNG summer/sea/b.jpg summer/notes.txt summer/.hidden.jpg "
        "summer/.trash/c.jpg winter/b.jpg winter/snow/deep/d.webp empty/notes.txt odd.name"
    )
    for name in names.split():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paths(*names: str) -> list[Path]:
    return [Path(name) for name in names]


def test_a_folder_stands_for_its_pictures(photos: Path) -> None:
    wanted = paths("summer/a.PNG", "summer/b.jpg", "summer/sea/b.jpg")
    assert find_pictures(paths("summer")) == wanted


def test_files_are_taken_as_they_are_in_the_order_given(photos: Path) -> None:
    given = paths("winter/b.jpg", "odd.name", "missing.jpg", "summer/.hidden.jpg")
    assert find_pictures(given) == given


def test_each_picture_comes_once(photos: Path) -> None:
    found = find_pictures(paths("summer/b.jpg", "summer", "summer"))
    assert found == paths("summer/b.jpg", "summer/a.PNG", "summer/sea/b.jpg")


def test_a_folder_without_pictures_is_not_forgotten(photos: Path) -> None:
    assert find_pictures(paths("empty")) == paths("empty")


def test_one_folder_keeps_its_sub_folders(photos: Path) -> None:
    given = paths("winter")
    places = place(find_pictures(given), given=given, target=Path("out"))
    assert list(places.values()) == paths("out/b.jpg", "out/snow/deep/d.webp")


def test_one_file_needs_no_sub_folder(photos: Path) -> None:
    given = paths("winter/snow/deep/d.webp")
    assert place(given, given=given, target=Path("out"))[given[0]] == Path("out/d.webp")


@pytest.mark.parametrize(
    "given",
    [
        ("summer", "winter"),
        ("summer/b.jpg", "summer/sea/b.jpg", "winter/b.jpg"),
        ("summer/../winter/b.jpg", "summer"),
        (".", "summer"),
    ],
)
def test_no_two_copies_share_a_place_and_none_leaves_the_target(
    photos: Path, given: tuple[str, ...]
) -> None:
    pictures = find_pictures(paths(*given))
    places = place(pictures, given=paths(*given), target=photos / "out")
    assert list(places) == pictures
    assert len({copy.resolve() for copy in places.values()}) == len(
        {picture.resolve() for picture in pictures}
    )
    for picture, copy in places.items():
        assert copy.name == picture.name
        assert copy.resolve().is_relative_to(photos / "out")


@pytest.mark.parametrize("target", ["summer", "winter/../summer", "link"])
def test_originals_are_never_overwritten(photos: Path, target: str) -> None:
    (photos / "link").symlink_to("summer")
    given = paths("summer")
    with pytest.raises(ValueError, match=r"would overwrite summer.a\.PNG"):
        place(find_pictures(given), given=given, target=Path(target))


def test_two_ways_to_one_picture(photos: Path) -> None:
    (photos / "again").symlink_to("summer")
    given = paths("summer/b.jpg", "winter/../summer/b.jpg", str(photos / "summer/b.jpg"), "again")
    assert find_pictures(given) == paths("summer/b.jpg", "again/a.PNG", "again/sea/b.jpg")


def test_a_link_to_a_picture_is_one(photos: Path) -> None:
    (photos / "summer" / "c.jpg").symlink_to("b.jpg")
    names = "summer/a.PNG", "summer/b.jpg", "summer/c.jpg", "summer/sea/b.jpg"
    assert find_pictures(paths("summer")) == paths(*names)


def test_links_that_go_round_in_circles(photos: Path) -> None:
    (photos / "summer" / "sea" / "up").symlink_to("..")
    (photos / "summer" / "self").symlink_to("self")
    (photos / "summer" / "round.jpg").symlink_to("round.jpg")
    found = find_pictures(paths("summer"))
    names = "summer/a.PNG", "summer/b.jpg", "summer/round.jpg", "summer/sea/b.jpg"
    assert found == paths(*names)
    places = place(found, given=paths("summer"), target=Path("out"))
    assert places[Path("summer/round.jpg")] == Path("out/round.jpg")


def test_folders_that_are_left_out(photos: Path) -> None:
    assert find_pictures(paths("summer"), without=[photos / "summer" / "sea"]) == paths(
        "summer/a.PNG", "summer/b.jpg"
    )


def test_two_pictures_that_would_share_a_file(photos: Path) -> None:
    (photos / "winter" / "b.png").touch()
    given = paths("winter")
    with pytest.raises(ValueError, match=r"b\.png: what is made of it would overwrite .*b\.jpg"):
        place(find_pictures(given), given=given, target=Path("out"), suffix=".txt")
    assert len(place(find_pictures(given), given=given, target=Path("out"))) == 3


def test_suffix_takes_the_place_of_the_last_one(photos: Path) -> None:
    given = paths("a.b.jpg")
    assert place(given, given=given, target=Path("out"), suffix=".txt")[given[0]] == Path(
        "out/a.b.txt"
    )


def listed(*names: str, text: bytes = b"") -> list[Path]:
    return expand(paths(*names), listed=io.BytesIO(text))


def test_patterns(photos: Path) -> None:
    assert listed("winter/?.jpg", "*mer/[ab].*") == paths(
        "winter/b.jpg", "summer/a.PNG", "summer/b.jpg"
    )
    assert listed("**/d.webp") == paths("winter/snow/deep/d.webp")
    assert listed("nothing*.jpg") == paths("nothing*.jpg")


def test_a_name_that_looks_like_a_pattern(photos: Path) -> None:
    (photos / "winter" / "[b].jpg").touch()
    assert listed("winter/[b].jpg") == paths("winter/[b].jpg")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are not bytes on this system")
def test_lists(photos: Path) -> None:
    assert listed("a", "-", "b", text=b"x y\nz*\r\n\n\xe9") == [
        *paths("a", "x y", "z*"),
        Path(os.fsdecode(b"\xe9")),
        *paths("b"),
    ]
    assert listed("-", text=b"two\nlines\0\xe9\0") == [
        Path("two\nlines"),
        Path(os.fsdecode(b"\xe9")),
    ]
    assert listed("-") == []


def test_a_folder_with_the_name_of_a_picture_is_a_folder(photos: Path) -> None:
    folder = photos / "winter" / "album.jpg"
    folder.mkdir()
    (folder / "film.mp4").touch()
    (folder / "e.jpg").touch()
    assert within(Path("winter"), suffixes={".jpg", ".mp4"}) == paths(
        "winter/album.jpg/e.jpg", "winter/album.jpg/film.mp4", "winter/b.jpg"
    )
    assert find_pictures(paths("winter/album.jpg")) == paths("winter/album.jpg/e.jpg")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_links_that_lead_to_themselves_are_files_that_cannot_be_read(photos: Path) -> None:
    Path("winter/loop.jpg").symlink_to("loop.jpg")
    Path("winter/snow/up").symlink_to("..")
    assert find_pictures(paths("winter")) == paths(
        "winter/b.jpg", "winter/loop.jpg", "winter/snow/deep/d.webp"
    )
