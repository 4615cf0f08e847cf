"""Picture files of every format that is read, and ways to spoil them, all from a number.

The sources are small, so that a hundred thousand of them take minutes; what is large about a
spoiled one is what its header claims.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms

from featherface.image import MAX_PIXELS

WIDTH, HEIGHT = 61, 47
"""Of all sources: two numbers that are easily found again in a file."""

SIDE = int(MAX_PIXELS**0.5)
CLAIMS = (
    *((0, 0), (0, 1), (1, 1), (WIDTH, 0), (WIDTH, HEIGHT - 1), (WIDTH + 1, HEIGHT)),
    *((640, 480), (16, 4000), (4000, 16), (1, 65535), (65535, 1), (65535, 65535)),
    *((SIDE + 1, SIDE + 1), (16383, 16383), (16384, 16384), (2**15, 2**15), (2**31 - 1, 1)),
    *((2**31 - 1, 2**31 - 1), (2**32 - 1, 2**32 - 1), (2**32 - 1, 1), (MAX_PIXELS + 1, 1)),
)
"""Sizes that a header may claim, and that are refused or soon decoded."""

ALLOWED = ((SIDE, SIDE), (65500, MAX_PIXELS // 65500), (MAX_PIXELS // 65500, 65500))
"""Sizes at the limit: each of them may take a second and a gigabyte."""

NUMBERS = (0, 1, 2, 7, 8, 16, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1, 2**31, 2**32 - 1)

File = Callable[[bytes, np.random.Generator], bytes]


def sources() -> dict[str, bytes]:
    """Whole files by name, the name of the format first."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    smooth = np.stack([4 * x, 5 * y, 2 * (x + y)], axis=-1)
    rgb = Image.fromarray((smooth + rng.integers(0, 30, smooth.shape)).clip(0, 255).astype("uint8"))
    grey, clear, palette = rgb.convert("L"), rgb.convert("RGBA"), rgb.quantize(64)
    clear.putalpha(Image.fromarray((4 * x).astype(np.uint8)))
    deep = Image.fromarray((1000 * x + 100 * y).clip(0, 65535).astype(np.uint16))
    real = Image.fromarray((x / 61).astype(np.float32))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "camera"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (1.0, 2.0, 3.0)
    said = {"exif": exif, "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))}
    said["icc_profile"] = said["icc_profile"].tobytes()  # type: ignore[attr-defined]
    found = {
        "JPEG": _file(rgb, "JPEG"),
        "JPEG progressive": _file(rgb, "JPEG", progressive=True),
        "JPEG progressive 4:4:4": _file(rgb, "JPEG", progressive=True, subsampling=0),
        "JPEG grey": _file(grey, "JPEG"),
        "JPEG CMYK": _file(rgb.convert("CMYK"), "JPEG"),
        "JPEG CMYK progressive": _file(rgb.convert("CMYK"), "JPEG", progressive=True),
        "JPEG restarts": _file(rgb, "JPEG", restart_marker_rows=1),
        "JPEG said": _file(rgb, "JPEG", **said),
        "JPEG MPO": _moving(rgb, "MPO"),
        "PNG": _file(rgb, "PNG", **said),
        "PNG clear": _file(clear, "PNG"),
        "PNG palette": _file(palette, "PNG", transparency=3),
        "PNG deep": _file(deep, "PNG"),
        "PNG black": _file(rgb.convert("1"), "PNG"),
        "PNG grey clear": _file(clear.convert("LA"), "PNG"),
        "PNG moving": _moving(rgb, "PNG"),
        "PNG interlaced": _interlaced(np.asarray(rgb)),
        "GIF": _file(palette, "GIF"),
        "GIF clear": _file(clear, "GIF"),
        "GIF moving": _moving(palette, "GIF"),
        "BMP": _file(rgb, "BMP"),
        "BMP clear": _file(clear, "BMP"),
        "BMP palette": _file(palette, "BMP"),
        "BMP black": _file(rgb.convert("1"), "BMP"),
        "BMP lengths": _run_lengths(),
        "PPM": _file(rgb, "PPM"),
        "PPM grey": _file(grey, "PPM"),
        "PPM deep": _file(deep, "PPM"),
        "PPM black": _file(rgb.convert("1"), "PPM"),
        "PPM real": _file(real, "PPM"),
        "PPM plain": f"P3 {WIDTH} {HEIGHT} 255 ".encode() + b"7 99 200 " * (WIDTH * HEIGHT),
        "WEBP": _file(rgb, "WEBP", **said),
        "WEBP lossless": _file(rgb, "WEBP", lossless=True),
        "WEBP clear": _file(clear, "WEBP"),
        "WEBP clear lossless": _file(clear, "WEBP", lossless=True),
        "WEBP moving": _moving(rgb, "WEBP"),
        "AVIF": _file(rgb, "AVIF", **said),
        "AVIF clear": _file(clear, "AVIF"),
        "AVIF 4:4:4": _file(rgb, "AVIF", subsampling="4:4:4"),
        "AVIF moving": _moving(rgb, "AVIF"),
        "TIFF said": _file(rgb, "TIFF", **said),
        "TIFF deep": _file(deep, "TIFF", compression="tiff_lzw"),
        "TIFF deep raw": _file(deep, "TIFF"),
        "TIFF real": _file(real, "TIFF", compression="tiff_adobe_deflate"),
        "TIFF clear": _file(clear, "TIFF", compression="tiff_lzw"),
        "TIFF CMYK": _file(rgb.convert("CMYK"), "TIFF"),
        "TIFF palette": _file(palette, "TIFF", compression="packbits"),
        "TIFF pages": _moving(rgb, "TIFF"),
        "TIFF large": _file(rgb, "TIFF", big_tiff=True),
    }
    for name in ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg", "zstd", "lzma"):
        found[f"TIFF {name}"] = _file(rgb, "TIFF", compression=name)
    for name in ("group3", "group4", "tiff_ccitt"):
        found[f"TIFF {name}"] = _file(rgb.convert("1"), "TIFF", compression=name)
    return found


def _file(image: Image.Image, format: str, **options: Any) -> bytes:
    with io.BytesIO() as stream:
        image.copy().save(stream, format, **options)  # saving leaves options behind in an image
        return stream.getvalue()


def _moving(image: Image.Image, format: str) -> bytes:
    return _file(image, format, save_all=True, append_images=[image.rotate(180)])


def _interlaced(pixels: np.ndarray) -> bytes:
    """PNG in seven passes, which Pillow reads and does not write."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
    rows = b"".join(
        b"\0" + row.tobytes()
        for top, left, down, right in (*passes, (1, 0, 2, 1))
        for row in pixels[top::down, left::right]
    )
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def _run_lengths() -> bytes:
    """BMP with run lengths, which is refused before it is decoded."""
    rows = b"".join(bytes((WIDTH, row, 0, 0)) for row in range(HEIGHT)) + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 8, 1, len(rows), 0, 0, 256, 0)
    place = 14 + len(header) + 1024
    start = struct.pack("<2sIHHI", b"BM", place + len(rows), 0, 0, place)
    return start + header + bytes(1024) + rows


# ---- ways to spoil ---------------------------------------------------------------------------


def flip(file: bytes, rng: np.random.Generator) -> bytes:
    """Turns one to sixteen bits."""
    spoiled = np.frombuffer(file, np.uint8).copy()
    places = rng.integers(0, len(spoiled), rng.integers(1, 17))
    spoiled[places] ^= (1 << rng.integers(0, 8, len(places))).astype(np.uint8)
    return spoiled.tobytes()


def cut(file: bytes, rng: np.random.Generator) -> bytes:
    """Ends it early."""
    return file[: rng.integers(0, len(file))]


def drop(file: bytes, rng: np.random.Generator) -> bytes:
    """Leaves out a piece."""
    start, end = np.sort(rng.integers(0, len(file) + 1, 2))
    return file[:start] + file[min(end, start + 200) :]


def repeat(file: bytes, rng: np.random.Generator) -> bytes:
    """Puts a piece there up to forty times."""
    start, end = np.sort(rng.integers(0, len(file) + 1, 2))
    return file[:end] + file[start:end] * int(rng.integers(1, 40)) + file[end:]


def overwrite(file: bytes, rng: np.random.Generator) -> bytes:
    """Puts telling numbers over one to four places, most of them near the beginning."""
    spoiled = bytearray(file)
    for _ in range(rng.integers(1, 5)):
        number, form = rng.choice(NUMBERS), rng.choice(["<H", ">H", "<I", ">I", "B"])
        content = struct.pack(form, int(number) % (1 << 8 * struct.calcsize(form)))
        end = len(spoiled) if rng.random() < 0.3 else min(len(spoiled), 300)
        place = int(rng.integers(0, max(1, end)))
        spoiled[place : place + len(content)] = content
    return bytes(spoiled)


def claim(file: bytes, rng: np.random.Generator) -> bytes:
    """Makes the header claim another size."""
    width, height = CLAIMS[rng.integers(len(CLAIMS))]
    if rng.random() < 0.05:
        width, height = ALLOWED[rng.integers(len(ALLOWED))]
    return resize(file, width, height)


def resize(file: bytes, width: int, height: int) -> bytes:
    """The file with another size in its header, wherever it stands and in whatever form."""
    forms = ((">HH", 16), ("<HH", 16), (">II", 32), ("<II", 32))
    for form, bits in forms[3:] if file.startswith(b"BM") else forms:
        limit = (1 << bits) - 1
        new = [min(width, limit), min(height, limit)]
        for swapped in (False, True):
            old = [WIDTH, HEIGHT]
            if swapped:
                old, new = old[::-1], new[::-1]
            file = file.replace(struct.pack(form, *old), struct.pack(form, *new))
    if file[8:12] == b"WEBP":
        wide, high = (max(1, min(side, 1 << 24)) - 1 for side in (width, height))
        canvas = file.find(b"VP8X")
        if canvas >= 0:
            sides = wide.to_bytes(3, "little") + high.to_bytes(3, "little")
            file = file[: canvas + 12] + sides + file[canvas + 18 :]
        for at in _places(file, b"VP8L"):
            bits = int.from_bytes(file[at + 9 : at + 13], "little") & ~0xFFFFFFF
            packed = bits | min(wide, 0x3FFF) | min(high, 0x3FFF) << 14
            file = file[: at + 9] + packed.to_bytes(4, "little") + file[at + 13 :]
    for tag, side in ((0x100, width), (0x101, height)):  # of TIFF, as a short and as a long number
        for kind in (3, 4):
            old_side = WIDTH if tag == 0x100 else HEIGHT
            old_entry = struct.pack("<HHII", tag, kind, 1, old_side)
            file = file.replace(old_entry, struct.pack("<HHII", tag, 4, 1, min(side, 2**32 - 1)))
            old_entry = struct.pack("<HHQQ", tag, kind, 1, old_side)  # in files for more than 4 GB
            file = file.replace(old_entry, struct.pack("<HHQQ", tag, 4, 1, min(side, 2**32 - 1)))
    return file.replace(f" {WIDTH} {HEIGHT} ".encode(), f" {width} {height} ".encode()).replace(
        f"\n{WIDTH} {HEIGHT}\n".encode(), f"\n{width} {height}\n".encode()
    )


def _places(file: bytes, mark: bytes) -> list[int]:
    return [at for at in range(len(file)) if file.startswith(mark, at)]


def signed(file: bytes) -> bytes:
    """A PNG file with the checks of its chunks made good, so that lies in them are believed."""
    if not file.startswith(b"\x89PNG\r\n\x1a\n"):
        return file
    spoiled, place = bytearray(file), 8
    while place + 12 <= len(spoiled):
        end = place + 8 + int.from_bytes(spoiled[place : place + 4], "big")
        if end + 4 > len(spoiled):
            break
        spoiled[end : end + 4] = struct.pack(">I", zlib.crc32(spoiled[place + 4 : end]))
        place = end + 4
    return bytes(spoiled)


WAYS: dict[str, File] = {
    "bits": flip,
    "cut": cut,
    "drop": drop,
    "repeat": repeat,
    "numbers": overwrite,
    "size": claim,
}
"""What is done to a file; a splice and noise are made by `spoil` itself."""


def spoil(number: int, files: dict[str, bytes]) -> tuple[str, bytes]:
    """The spoiled file of that number, always the same one, and what was done to which source."""
    rng = np.random.default_rng([2026, number])
    names = list(files)
    name = names[number % len(names)]  # every source equally often
    file = files[name]
    what = [name]
    if rng.random() < 0.12:
        other = names[rng.integers(len(names))]
        file = file[: rng.integers(len(file))] + files[other][rng.integers(len(files[other])) :]
        what.append(f"spliced with {other}")
    elif rng.random() < 0.02:
        file = file[:16] + rng.bytes(int(rng.integers(0, 2000)))
        what.append("noise")
    ways = list(WAYS)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        way = ways[rng.integers(len(ways))]
        if file:
            file = WAYS[way](file, rng)
        what.append(way)
    return " + ".join(what), signed(file) if rng.random() < 0.7 else file
