"""Reading pictures of every kind, and the way to the network's input and back."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from featherface.image import (
    FORMATS,
    MAX_PIXELS,
    MAX_SCANS,
    MULTIPLE,
    SPARE_BLOCKS,
    SUFFIXES,
    Fit,
    FormatError,
    ImageError,
    SizeError,
    fit,
    load,
    shown_size,
)
from featherface.rgb import TURNS
from featherface.types import Floats, Pixels

ORIENTATION = 0x0112


def ramp(height: int = 24, width: int = 40) -> Pixels:
    """A smooth picture without any symmetry."""
    y, x = np.mgrid[:height, :width]
    red, green = 255 * x / max(1, width - 1), 255 * y / max(1, height - 1)
    return np.stack([red, green, (red + green) / 3], axis=-1).astype(np.uint8)


def encode(image: Image.Image, format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def stored_as(image: Image.Image, orientation: int) -> tuple[Image.Image, Image.Exif]:
    """How a camera held otherwise would have stored the same view, and its EXIF data."""
    inverse = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    turn = inverse.get(orientation, TURNS.get(orientation))
    return (image if turn is None else image.transpose(turn)), exif


# ---- what kinds of pictures -----------------------------------------------------------------


def test_path_bytes_image_and_array_are_the_same_picture(tmp_path: Path) -> None:
    pixels = ramp()
    path = tmp_path / "ramp.png"
    Image.fromarray(pixels).save(path)
    for picture in (path, str(path), path.read_bytes(), Image.open(path), pixels):
        np.testing.assert_array_equal(load(picture), pixels)


def test_grey_array_becomes_rgb() -> None:
    grey = ramp()[..., 0]
    np.testing.assert_array_equal(load(grey), np.stack([grey] * 3, axis=-1))


@pytest.mark.parametrize(
    ("mode", "tolerance"),
    [
        ("RGB", 0),
        ("RGBA", 0),
        ("RGBa", 0),
        ("RGBX", 0),
        ("CMYK", 0),
        ("YCbCr", 4),
        ("HSV", 8),
        ("P", 16),
        ("PA", 16),
    ],
)
def test_colour_modes(mode: str, tolerance: int) -> None:
    image = Image.fromarray(ramp())
    if mode in ("P", "PA"):
        image = image.quantize(256)
    elif mode == "RGBa":
        image = image.convert("RGBA")
    image = image.convert(mode)
    assert image.mode == mode
    difference = load(image).astype(int) - ramp()
    assert np.abs(difference).max() <= tolerance


@pytest.mark.parametrize("mode", ["L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"])
def test_grey_modes(mode: str) -> None:
    grey = ramp()[..., 0]
    if mode == "La":
        image = Image.fromarray(grey).convert("LA").convert("La")
    elif mode.startswith("I;16"):
        order = "big" if mode == "I;16B" else "little"
        raw = (grey.astype(np.uint16) * 257).astype(">u2" if order == "big" else "<u2").tobytes()
        image = Image.frombytes(mode, (40, 24), raw)
    else:
        image = Image.fromarray(grey).convert(mode)
    np.testing.assert_array_equal(load(image), np.stack([grey] * 3, axis=-1))


def test_black_and_white() -> None:
    image = Image.fromarray(ramp()).convert("1")
    assert set(np.unique(load(image))) == {0, 255}


def test_lab() -> None:
    image = Image.new("LAB", (4, 4), (255, 128, 128))
    assert load(image).min() >= 250


@pytest.mark.parametrize(("bits", "white"), [(10, 1023), (12, 4095), (14, 16383), (16, 65535)])
def test_deep_grey_is_scaled_by_its_range(bits: int, white: int) -> None:
    grey = ramp()[..., 0].astype(np.float64)
    deep = np.round(grey * white / 255).astype(np.uint16)
    for format in ("PNG", "TIFF"):
        found = load(encode(Image.fromarray(deep), format))
        assert np.abs(found[..., 0] - grey).max() <= 1, f"{format} of {bits} bits"


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([[0.0, 0.5, 1.0]], [0, 128, 255]),
        ([[0.0, 51.0, 255.0]], [0, 51, 255]),
        ([[0.0, np.nan, 1.0]], [0, 0, 255]),
        ([[-1.0, 0.0, 1.0]], [0, 128, 255]),
        ([[0.0, 500_000.0, 1_000_000.0]], [0, 128, 255]),
        ([[0.0, 0.0, 0.0]], [0, 0, 0]),
        ([[-3e38, 0.0, 3e38]], [0, 128, 255]),
        ([[np.nan, np.inf, -np.inf]], [0, 0, 0]),
    ],
)
def test_fractions_and_floats(values: list[list[float]], wanted: list[int]) -> None:
    image = Image.fromarray(np.asarray(values, np.float32))
    assert load(image)[0, :, 0].tolist() == pytest.approx(wanted, abs=1)


def test_what_is_transparent_is_white() -> None:
    clear = Image.new("RGBA", (3, 2), (200, 0, 0, 0))
    assert load(clear).tolist() == np.full((2, 3, 3), 255).tolist()
    half = Image.new("RGBA", (1, 1), (0, 0, 0, 128))
    assert load(half).tolist() == [[[127, 127, 127]]]
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 9, 99, 199])
    palette.putpixel((1, 0), 1)
    file = encode(palette, "PNG", transparency=0)
    assert load(file).tolist() == [[[255, 255, 255], [9, 99, 199]]]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "LA", "I;16", "F"])
@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_a_picture_in_strips_is_the_picture_at_once(
    mode: str, orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Image.fromarray(ramp())
    image = (
        Image.fromarray(ramp()[..., 0].astype(np.uint16) * 200)
        if mode == "I;16"
        else image.quantize(99)
        if mode == "P"
        else image.convert(mode)
    )
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(ramp()[..., 1]))
    image.getexif()[ORIENTATION] = orientation
    wanted, small = load(image), fit(image, long_side=20).pixels
    monkeypatch.setattr("featherface.rgb.STRIP", 7 * image.width)
    np.testing.assert_array_equal(load(image), wanted)
    np.testing.assert_array_equal(fit(image, long_side=20).pixels, small)
    monkeypatch.setattr("featherface.rgb.STRIP", 1)
    np.testing.assert_array_equal(load(image), wanted)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_animation_is_its_first_frame(format: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    file = encode(frames[0], format, save_all=True, append_images=frames[1:])
    assert abs(load(file).astype(int) - [255, 0, 0]).max() <= 4


@pytest.mark.parametrize("format", ["JPEG", "MPO", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF"])
def test_formats(format: str) -> None:
    grey = Image.fromarray(ramp()).convert("L").convert("RGB")
    assert np.abs(load(encode(grey, format)).astype(int) - np.asarray(grey)).max() < 24


# ---- EXIF -----------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    image, exif = stored_as(Image.fromarray(ramp()), orientation)
    for format in ("PNG", "TIFF"):
        file = encode(image, format, exif=exif)
        np.testing.assert_array_equal(load(file), ramp())
        assert shown_size(file) == (24, 40)
        np.testing.assert_array_equal(fit(file, long_side=40).pixels[:24, :40], ramp())


@pytest.mark.filterwarnings("ignore:::PIL")
def test_broken_exif_is_ignored() -> None:
    file = encode(Image.fromarray(ramp()), "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + bytes(9))
    np.testing.assert_array_equal(load(file), ramp())


# ---- fitting --------------------------------------------------------------------------------


@given(
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    long_side=st.none() | st.integers(1, 200),
    points=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=5),
)
def test_undo_is_the_inverse_of_apply(
    height: int, width: int, long_side: int | None, points: list[tuple[float, float]]
) -> None:
    fitted = fit(np.full((height, width, 3), 255, np.uint8), long_side=long_side)
    assert fitted.fit.size == (height, width)
    assert all(side % MULTIPLE == 0 for side in fitted.pixels.shape[:2])
    covered = np.max(fitted.pixels, axis=2) > 0
    for axis, side in enumerate((height, width)):
        lines = np.count_nonzero(np.max(covered, axis=1 - axis))
        assert lines == pytest.approx(max(1, side * fitted.fit.scale), abs=1), "white is covered"
    assert covered[0, 0]
    xy = np.asarray(points, np.float32).reshape(-1, 2) * [width, height]
    there: Floats = fitted.fit.apply(xy.astype(np.float32))
    np.testing.assert_allclose(fitted.fit.undo(there), xy, rtol=1e-6, atol=1e-30)


def test_a_picture_of_the_right_size_is_not_touched() -> None:
    pixels = ramp(64, 96)
    assert fit(pixels).pixels is pixels
    np.testing.assert_array_equal(fit(pixels, long_side=96).pixels, pixels)


def test_padding_is_black_and_at_the_right_and_the_bottom() -> None:
    pixels = np.full((40, 70, 3), 9, np.uint8)
    padded = fit(pixels).pixels
    assert padded.shape == (64, 96, 3)
    assert (padded[:40, :70] == 9).all()
    assert padded.sum() == 9 * pixels.size


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("long_side", [61, 100, 333, 1500])
def test_a_spot_is_found_where_it_was(orientation: int, long_side: int, tmp_path: Path) -> None:
    """Also when a JPEG is decoded at 1/2 to 1/8, with sides that eight does not divide."""
    upright = np.zeros((757, 1003, 3), np.uint8)
    upright[600:680, 60:180] = 255
    image, exif = stored_as(Image.fromarray(upright), orientation)
    path = tmp_path / "spot.jpg"
    image.save(path, exif=exif, quality=95)
    pixels, placed = fit(path, long_side=long_side)
    weight = pixels[..., 0].astype(float)
    centres = (np.arange(weight.shape[1]) + 0.5, np.arange(weight.shape[0]) + 0.5)
    spot = [
        np.average(centres[0], weights=weight.sum(0)),
        np.average(centres[1], weights=weight.sum(1)),
    ]
    assert placed == Fit((757, 1003), long_side / 1003)
    np.testing.assert_allclose(placed.undo(np.asarray(spot, np.float32)), [120, 640], atol=1)


def test_decoding_a_jpeg_at_a_fraction_changes_little() -> None:
    file = encode(Image.fromarray(ramp(800, 1200)), "JPEG", quality=95)
    quick = fit(file, long_side=96).pixels.astype(int)
    slow = fit(load(file), long_side=96).pixels.astype(int)
    assert np.abs(quick - slow).max() <= 4


def test_an_image_of_the_callers_stays_as_it_is() -> None:
    image = Image.open(io.BytesIO(encode(Image.fromarray(ramp(400, 600)), "JPEG")))
    fit(image, long_side=32)
    assert image.size == (600, 400)
    assert np.asarray(image).shape == (400, 600, 3)


@pytest.mark.parametrize(("before", "after"), [(0, SPARE_BLOCKS), (1, 1), (9, 9)])
def test_memory_is_kept_for_the_next_picture_unless_the_caller_decided(
    before: int, after: int
) -> None:
    was = Image.core.get_blocks_max()
    try:
        Image.core.set_blocks_max(before)
        fit(Image.new("RGB", (40, 30)))
        assert Image.core.get_blocks_max() == after
    finally:
        Image.core.set_blocks_max(was)


def test_what_is_rgb_already_is_not_copied_but_stays_the_callers() -> None:
    image = Image.fromarray(ramp(40, 60))
    pixels = load(image)
    pixels[:] = 0
    fitted = fit(image, long_side=60).pixels
    np.testing.assert_array_equal(fitted[:40, :60], ramp(40, 60))


@pytest.mark.parametrize("size", [(1, 1), (10, 20_000), (20_000, 10)])
@pytest.mark.parametrize("long_side", [None, 1, 640])
def test_extreme_shapes(size: tuple[int, int], long_side: int | None) -> None:
    pixels, placed = fit(np.full((*size, 3), 7, np.uint8), long_side=long_side)
    assert placed.size == size
    assert pixels.any()
    assert all(side % MULTIPLE == 0 for side in pixels.shape[:2])


# ---- what cannot be read --------------------------------------------------------------------


def png_of_size(width: int, height: int) -> bytes:
    """A PNG file that claims a size and has next to nothing in it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0"))


JPEG = encode(Image.fromarray(ramp(200, 300)), "JPEG")


@pytest.mark.parametrize(
    ("name", "content", "kind", "reason"),
    [
        ("empty.jpg", b"", ImageError, "is empty"),
        ("truncated.jpg", JPEG[: len(JPEG) // 2], ImageError, "truncated"),
        ("header.jpg", JPEG[:20], ImageError, "is broken, wanted a whole picture"),
        ("text.jpg", b"Dear reader, hello.\n" * 9, FormatError, "no picture of these formats: JP"),
        ("huge.png", png_of_size(60_000, 60_000), SizeError, "has 60000 x 60000 pixels, wanted 1"),
        ("zero.png", png_of_size(0, 600), ImageError, "is broken"),
        ("hollow.png", png_of_size(600, 600), ImageError, "cannot be read"),
        ("program.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%Pages: 1\n", FormatError, "no picture of"),
    ],
)
@pytest.mark.parametrize("long_side", [None, 64])
def test_broken_files(
    name: str,
    content: bytes,
    kind: type[ImageError],
    reason: str,
    long_side: int | None,
    tmp_path: Path,
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for content_or_path, called in ((path, path), (content, "the bytes given")):
        with pytest.raises(ImageError, match=reason) as error:
            fit(content_or_path, long_side=long_side)
        assert type(error.value) is kind
        assert str(error.value).startswith(f"{called}: ")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nowhere\.jpg: no such file"):
        load(tmp_path / "nowhere.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        load(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_are_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", Path("/dev/zero")):
        with pytest.raises(ImageError, match=f"^{path}: is a pipe or a device"):
            load(path)


def test_only_what_is_named_is_opened_however_the_file_is_called(tmp_path: Path) -> None:
    assert set(SUFFIXES.values()) == set(FORMATS)
    for format in ("TGA", "ICO", "PCX", "SGI", "JPEG2000", "EPS", "PDF"):
        file = encode(Image.fromarray(ramp()), format)
        for name in ("picture", "picture.jpg", f"picture.{format.lower()}"):
            (tmp_path / name).write_bytes(file)
            with pytest.raises(ImageError, match="is no picture of these formats: JPEG, PNG"):
                load(tmp_path / name)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("pixels", [MAX_PIXELS + 1, 100_000_000, 200_000_000, 2**31 - 1])
def test_the_limit_is_ours_and_tells_how_to_raise_it(pixels: int) -> None:
    """Pillow's own warns from 89 million on, and fails at twice that, in other words."""
    for size in ((pixels, 1), (1, pixels)):
        message = f"has {size[0]} x {size[1]} pixels, wanted 1 to 62,000,000 in all; shrink it, or"
        with pytest.raises(SizeError, match=f"{message} set FEATHERFACE_MAX_PIXELS"):
            load(png_of_size(*size))


def test_the_limit_of_a_process_is_set_from_outside() -> None:
    code = "from featherface import image; print(image.MAX_PIXELS)"
    for value, wanted in (("", "62000000"), ("123456", "123456")):
        environment = os.environ | {"FEATHERFACE_MAX_PIXELS": value}
        told = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.strip() == wanted


def test_a_file_far_larger_than_any_picture_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.webp"
    with path.open("wb") as file:
        file.write(encode(Image.fromarray(ramp()), "WEBP"))
        file.truncate(8 * MAX_PIXELS + 1)
    with pytest.raises(SizeError, match="has 496,000,001 bytes, more than a picture"):
        load(path)


@pytest.mark.parametrize("long_side", [None, 16_000_000])
def test_a_strip_of_one_pixel_is_not_padded_to_more_than_is_allowed(long_side: int | None) -> None:
    line = np.zeros((1, 16_000_000, 3), np.uint8)
    with pytest.raises(SizeError, match="the array given: 16000000 x 1 pixels are too narrow"):
        fit(line, long_side=long_side)


def test_a_jpeg_of_too_many_scans() -> None:
    file = encode(Image.fromarray(ramp(64, 64)), "JPEG", progressive=True)
    frame, scan = file.index(b"\xff\xc2") + 5, file.rindex(b"\xff\xda")
    huge = file[:frame] + struct.pack(">HH", 6000, 10_000) + file[frame + 4 :]
    for long_side in (None, 64):
        assert fit(huge, long_side=long_side).fit.size == (6000, 10_000)
        many = huge[:-2] + MAX_SCANS * huge[scan:-2] + huge[-2:]
        with pytest.raises(ImageError, match=r"is a JPEG of 110 scans, too many.*; save it anew"):
            fit(many, long_side=long_side)
    small = file[:-2] + MAX_SCANS * file[scan:-2] + file[-2:]
    assert load(small).shape == (64, 64, 3)


def test_a_bmp_with_run_lengths() -> None:
    header = struct.pack("<IiiHHIIiiII", 40, 30_000, 2000, 1, 8, 1, 6, 0, 0, 256, 0)
    offset = 14 + len(header) + 1024
    start = struct.pack("<2sIII", b"BM", offset + 6, 0, offset)
    file = start + header + bytes(1024) + b"\0\x02\xff\xff\0\x01"
    with pytest.raises(ImageError, match="run-length coding; save it as PNG"):
        load(file)


@pytest.mark.filterwarnings("ignore:::PIL")
@pytest.mark.parametrize("length", range(20))
def test_the_first_bytes_alone_are_no_picture(length: int) -> None:
    for file in (*FILES, b"P6 1 1 255 abc", b"BM"):
        with pytest.raises(ImageError, match=r"is empty|is broken|cannot be read|is no picture"):
            load(file[: min(length, len(file) - 1)])


def test_more_pixels_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    file = encode(Image.fromarray(ramp(24, 40)), "PNG")
    monkeypatch.setattr("featherface.image.MAX_PIXELS", 24 * 40)
    assert load(file).shape == (24, 40, 3)
    monkeypatch.setattr("featherface.image.MAX_PIXELS", 24 * 40 - 1)
    with pytest.raises(ImageError, match="has 40 x 24 pixels, wanted 1 to 959"):
        load(file)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_of_other_kinds(array: Any) -> None:
    for long_side in (None, 64):
        with pytest.raises(ImageError, match="the array given is"):
            fit(array, long_side=long_side)


def test_an_image_without_pixels() -> None:
    with pytest.raises(ImageError, match="PIL image given: has 0 x 5 pixels"):
        load(Image.new("RGB", (0, 5)))


def test_no_picture_at_all() -> None:
    with pytest.raises(TypeError, match="not int"):
        load(7)  # type: ignore[arg-type]


FILES = [encode(Image.fromarray(ramp()), name) for name in ("JPEG", "PNG", "GIF", "WEBP", "TIFF")]


@pytest.mark.filterwarnings("ignore:::PIL")
@given(
    file=st.sampled_from(FILES),
    at=st.floats(0, 1),
    patch=st.binary(min_size=1, max_size=8),
    cut=st.integers(0, 40),
)
def test_damaged_files_give_pixels_or_an_image_error(
    file: bytes, at: float, patch: bytes, cut: int
) -> None:
    start = int(at * len(file))
    damaged = file[:start] + patch + file[start + len(patch) + cut :]
    with suppress(ImageError):
        pixels = load(damaged)
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
