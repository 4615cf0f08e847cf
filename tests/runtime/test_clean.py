"""Pictures without faces that can be recognised, and without what their files told."""

from __future__ import annotations

import io
from pathlib import Path

import films
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from featherface import ImageError
from featherface.runtime.clean import clean
from featherface.runtime.hide import Cover, hidden

SECRETS = (b"Maker", b"Canon", b"2026:01", b"a comment", b"hidden note")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A portrait that lies on its side, with all that a camera writes into a file."""
    with Image.open(films.ASSETS / "astronaut.jpg") as image:
        upright = image.convert("RGB").resize((256, 256))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "Canon"
    exif[ExifTags.Base.DateTime] = "2026:01:02 03:04:05"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = b"Maker's preview"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"hidden note"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] = 200
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (48.0, 8.0, 0.0)
    path = tmp_path / "photo.jpg"
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lying.save(path, exif=exif, comment=b"a comment", icc_profile=profile, quality=95)
    return path


def test_faces_are_covered_upright(photo: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.jpg"
    assert clean(photo, target, films.detector().detect, cover=Cover()) == 1
    with Image.open(target) as image:
        result = np.asarray(image)
    with Image.open(films.ASSETS / "astronaut.jpg") as image:
        upright = np.asarray(image.convert("RGB").resize((256, 256)))
    faces = films.detector().detect(upright)
    mask = hidden(faces.boxes, Cover(), (256, 256))
    change = np.abs(result.astype(int) - upright).mean(axis=-1)
    assert change[~mask].mean() < 6
    assert change[mask].mean() > 20
    assert len(films.detector().detect(result, score=0.3)) == 0  # a head it still is


def test_nothing_but_the_picture_is_in_the_file(photo: Path, tmp_path: Path) -> None:
    content = photo.read_bytes()
    assert all(secret in content for secret in SECRETS)
    for name in ("out.jpg", "out.png", "out.webp", "out.tif"):
        clean(photo, tmp_path / name, films.detector().detect, cover=Cover())
        written = (tmp_path / name).read_bytes()
        assert not any(secret in written for secret in SECRETS)
        assert b"Exif" not in written
        with Image.open(tmp_path / name) as image:
            exif = image.getexif()
            assert not set(exif) & {ExifTags.Base.Make, ExifTags.Base.Orientation}
            assert not exif.get_ifd(ExifTags.IFD.GPSInfo)
            assert "icc_profile" not in image.info


@pytest.mark.parametrize("form", ["jpg", "png", "webp", "tif"])
def test_a_picture_that_does_not_fit_is_not_left_there(
    photo: Path, tmp_path: Path, form: str
) -> None:
    resource = pytest.importorskip("resource", reason="only Unix limits the size of files")
    target = tmp_path / f"out.{form}"
    clean(photo, target, films.detector().detect, cover=Cover())
    whole = target.read_bytes()
    target.unlink()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) - 1, limits[1]))  # like a full disk
    try:
        with pytest.raises(OSError, match=target.name):
            clean(photo, target, films.detector().detect, cover=Cover())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(tmp_path.iterdir()) == [photo], "nothing half is there"


def test_metadata_can_be_kept_but_no_picture_in_them(photo: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.jpg"
    clean(photo, target, films.detector().detect, cover=Cover(), keep_metadata=True)
    written = target.read_bytes()
    assert not any(secret in written for secret in (b"Maker's", b"hidden note", b"a comment"))
    with Image.open(target) as image:
        exif = image.getexif()
    assert exif[ExifTags.Base.Make] == "Canon"
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] == (48.0, 8.0, 0.0)
    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 200
    assert ExifTags.Base.Orientation not in exif


@pytest.mark.parametrize("keep_metadata", [False, True])
def test_a_thumbnail_never_survives(photo: Path, tmp_path: Path, keep_metadata: bool) -> None:
    with Image.open(photo) as image:
        small = io.BytesIO()
        image.resize((64, 64)).save(small, "JPEG")
        # A second directory of EXIF data with the thumbnail, put together by hand.
        head = b"Exif\0\0MM\0\x2a\0\0\0\x08"
        first = b"\0\x01" + b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0" + (26).to_bytes(4, "big")
        offset = 26 + 2 + 24 + 4
        second = b"\0\x02" + b"\x02\x01\0\x04\0\0\0\x01" + offset.to_bytes(4, "big")
        second += b"\x02\x02\0\x04\0\0\0\x01" + len(small.getvalue()).to_bytes(4, "big") + bytes(4)
        exif = head + first + second + small.getvalue()
        image.save(photo, exif=exif)
    thumbnail = small.getvalue()[-300:-100]
    assert thumbnail in photo.read_bytes()
    target = tmp_path / "out.jpg"
    clean(photo, target, films.detector().detect, cover=Cover(), keep_metadata=keep_metadata)
    assert thumbnail not in target.read_bytes()
    with Image.open(target) as image:
        assert not image.getexif().get_ifd(ExifTags.IFD.IFD1)


def test_colours_of_a_profile_become_those_of_srgb(tmp_path: Path) -> None:
    lab_like = ImageCms.createProfile("sRGB")
    del lab_like
    swapped = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for a, b in ((b"rXYZ", b"bXYZ"),):  # red and blue change places
        i, j = swapped.index(a), swapped.index(b)
        swapped[i : i + 4], swapped[j : j + 4] = b, a
    path = tmp_path / "blue.png"
    Image.new("RGB", (64, 64), (250, 10, 10)).save(path, icc_profile=bytes(swapped))
    clean(path, tmp_path / "out.png", films.detector().detect, cover=Cover())
    with Image.open(tmp_path / "out.png") as image:
        red, _, blue = image.getpixel((5, 5))
    assert blue > 200 > 60 > red


def test_a_broken_profile_and_grey(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.new("RGB", (64, 64), (250, 10, 10)).save(path, icc_profile=b"no profile" * 30)
    clean(path, tmp_path / "out.png", films.detector().detect, cover=Cover())
    Image.new("L", (64, 64), 99).save(path)
    clean(path, tmp_path / "grey.png", films.detector().detect, cover=Cover())
    with Image.open(tmp_path / "grey.png") as image:
        assert image.getpixel((0, 0)) == (99, 99, 99)


def test_only_the_first_picture_of_a_file_is_written(photo: Path, tmp_path: Path) -> None:
    with Image.open(photo) as image:
        pictures = [image.convert("RGB")] * 2
        pictures[0].save(tmp_path / "two.tif", save_all=True, append_images=pictures[1:])
        pictures[0].save(
            tmp_path / "two.gif", save_all=True, append_images=[Image.new("RGB", (256, 256))]
        )
    for name in ("two.tif", "two.gif"):
        clean(tmp_path / name, tmp_path / f"out-{name}", films.detector().detect, cover=Cover())
        with Image.open(tmp_path / f"out-{name}") as image:
            assert getattr(image, "n_frames", 1) == 1


def test_errors_leave_nothing(tmp_path: Path) -> None:
    path = tmp_path / "text.jpg"
    path.write_text("Dear reader")
    for source in (path, tmp_path / "gone.jpg"):
        with pytest.raises(ImageError, match=str(source)):
            clean(source, tmp_path / "out.jpg", films.detector().detect, cover=Cover())
    assert [each.name for each in tmp_path.iterdir()] == ["text.jpg"]


@pytest.mark.parametrize(
    "suffix", sorted({".jpg", ".png", ".gif", ".bmp", ".ppm", ".webp", ".tif"})
)
@pytest.mark.parametrize("keep_metadata", [False, True])
def test_every_format(photo: Path, tmp_path: Path, suffix: str, keep_metadata: bool) -> None:
    target = tmp_path / f"out{suffix}"
    detect = films.detector().detect
    assert clean(photo, target, detect, cover=Cover(), keep_metadata=keep_metadata) == 1
    with Image.open(target) as image:
        assert image.size == (256, 256)
        assert image.getexif().get(ExifTags.Base.Orientation, 1) == 1
