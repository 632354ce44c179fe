"""Bad picture files, made from good ones by a seeded mutator that knows how the formats are built.

`bad_file(number, seed)` is the same file on every machine with the same Pillow: a run can be divided and resumed.
"""

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from ml.data.drawn import draw_lesion

HEIC = Path(__file__).resolve().parent.parent / "tests" / "ml" / "fixtures"
EXTREMES = (0, 1, 2, 15, 127, 128, 255, 256, 32767, 32768, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
TOKENS = (
    b"\xff\xd8\xff\xe0", b"\xff\xd9", b"\xff\xda", b"\xff\xc0", b"\xff\xc2", b"\xff\xdd", b"\xff\xd0", b"\xff\xfe",
    b"\x89PNG\r\n\x1a\n", b"IHDR", b"PLTE", b"IDAT", b"IEND", b"iCCP", b"tRNS", b"acTL", b"fdAT", b"eXIf", b"zTXt",
    b"RIFF", b"WEBP", b"VP8 ", b"VP8L", b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"EXIF", b"XMP ", b"ICCP",
    b"ftyp", b"avif", b"heic", b"mif1", b"meta", b"iprp", b"ispe", b"iloc", b"iinf", b"grid", b"irot", b"mdat",
    b"Exif\0\0MM\0*", b"Exif\0\0II*\0", b"MPF\0", b"Adobe", b"ICC_PROFILE\0", b"http://ns.adobe.com/xap/1.0/\0",
    b"GIF89a", b"BM", b"%PDF-1.7", b"PK\x03\x04", b"<svg onload=alert(1)>", b"<?php system($_GET[0]);", b"\0" * 64,
    b"\xff" * 64,
)  # fmt: skip


def encoded(image: Image.Image, image_format: str, **options: object) -> bytes:
    """A picture as a file."""
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def metadata(orientation: int = 6) -> Image.Exif:
    """EXIF with an orientation, a place and nested directories."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "a description"
    exif.get_ifd(0x8769)[0x9286] = b"a comment"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 1.0)})
    return exif


@cache
def good_files() -> tuple[bytes, ...]:
    """Files of every format that is read, in its modes, and some of formats that are declined."""
    photo = Image.fromarray(draw_lesion("nv", np.random.default_rng(5), (96, 128)))
    other = Image.fromarray(draw_lesion("mel", np.random.default_rng(6), (96, 128)))
    clear = photo.copy()
    clear.putalpha(Image.linear_gradient("L").resize(photo.size))
    deep = Image.fromarray(np.linspace(0, 65535, 96 * 128).reshape(96, 128).astype(np.uint16))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    frames = {"save_all": True, "append_images": [other, photo]}
    files = [
        encoded(photo, "JPEG"), encoded(photo, "JPEG", progressive=True, subsampling=0),
        encoded(other, "MPO", **frames),
        encoded(photo, "JPEG", exif=metadata(), icc_profile=profile, comment=b"a comment"),
        encoded(photo.convert("CMYK"), "JPEG"), encoded(photo.convert("L"), "JPEG", restart_marker_blocks=2),
        encoded(photo, "PNG", exif=metadata(3), icc_profile=profile), encoded(clear, "PNG"), encoded(deep, "PNG"),
        encoded(photo.convert("P"), "PNG"), encoded(photo.convert("1"), "PNG"), encoded(photo, "PNG", **frames),
        encoded(photo, "WEBP", exif=metadata(8), icc_profile=profile), encoded(clear, "WEBP", lossless=True),
        encoded(photo, "WEBP", **frames), encoded(clear, "WEBP"),
        encoded(photo, "AVIF", exif=metadata(5), icc_profile=profile), encoded(clear, "AVIF"),
        encoded(photo, "AVIF", **frames), *(path.read_bytes() for path in sorted(HEIC.glob("*.heic"))),
        encoded(photo, "GIF"), encoded(photo, "BMP"), encoded(photo, "TIFF"), encoded(photo, "ICO"),
        encoded(photo, "PDF"),
    ]  # fmt: skip
    return tuple(files)


def parts(data: bytes) -> list[tuple[int, int, int, int]]:
    """Segments, chunks or boxes: start, end, where the length is written, and in how many bytes."""
    found: list[tuple[int, int, int, int]] = []
    if data.startswith(b"\xff\xd8"):
        place = 2
        while place + 4 <= len(data) and data[place] == 0xFF:
            end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
            found.append((place, min(end, len(data)), place + 2, 2))
            place = max(end, place + 2)
    elif data.startswith(b"\x89PNG"):
        place = 8
        while place + 12 <= len(data):
            end = place + 12 + int.from_bytes(data[place : place + 4], "big")
            found.append((place, min(end, len(data)), place, 4))
            place = end
    elif data[:4] == b"RIFF":
        place = 12
        while place + 8 <= len(data):
            length = int.from_bytes(data[place + 4 : place + 8], "little")
            found.append((place, min(place + 8 + length, len(data)), place + 4, 4))
            place += 8 + length + length % 2
    elif data[4:8] == b"ftyp":
        names = (b"ftyp", b"meta", b"hdlr", b"pitm", b"iloc", b"iinf", b"iprp", b"ipco", b"ispe", b"av1C", b"hvcC")
        for name in (*names, b"pixi", b"ipma", b"colr", b"irot", b"mdat", b"iref", b"infe"):
            place = data.find(name) - 4
            if place >= 0:
                end = place + max(8, int.from_bytes(data[place : place + 4], "big"))
                found.append((place, min(end, len(data)), place, 4))
    return found


def flip_bits(data: bytes, choice: random.Random) -> bytes:
    """Flip some bits, more of them near the head."""
    changed = bytearray(data)
    for _ in range(choice.choice((1, 1, 2, 4, 16, 64))):
        changed[int(choice.random() ** choice.choice((1, 2, 4)) * len(changed))] ^= 1 << choice.randrange(8)
    return bytes(changed)


def set_bytes(data: bytes, choice: random.Random) -> bytes:
    """Overwrite a stretch with one value or with noise."""
    start = choice.randrange(len(data))
    size = min(choice.choice((1, 2, 4, 32, 500)), len(data) - start)
    fill = choice.randbytes(size) if choice.random() < 0.5 else bytes([choice.choice((0, 255, 127))]) * size
    return data[:start] + fill + data[start + size :]


def lie_about_lengths(data: bytes, choice: random.Random) -> bytes:
    """Write an extreme length into a segment, chunk or box."""
    found = parts(data)
    if not found:
        return set_bytes(data, choice)
    _, _, place, size = choice.choice(found)
    length: int = choice.choice((*EXTREMES, choice.randrange(2 ** (8 * size)), len(data) - place)) % 2 ** (8 * size)
    written = length.to_bytes(size, "little" if data[:4] == b"RIFF" else "big")
    return data[:place] + written + data[place + size :]


def rearrange(data: bytes, choice: random.Random) -> bytes:
    """Drop, repeat or move a segment, chunk or box."""
    found = parts(data)
    if not found:
        return truncate(data, choice)
    start, end, _, _ = choice.choice(found)
    target = choice.choice(found)[0]
    match choice.randrange(3):
        case 0:
            return data[:start] + data[end:]
        case 1:
            return data[:start] + data[start:end] * choice.choice((2, 5, 200)) + data[end:]
        case _:
            moved, rest = data[start:end], data[:start] + data[end:]
            return rest[:target] + moved + rest[target:]


def splice(data: bytes, choice: random.Random) -> bytes:
    """The beginning of one file and the end of another."""
    other = choice.choice(good_files())
    return data[: choice.randrange(len(data))] + other[choice.randrange(len(other)) :]


def truncate(data: bytes, choice: random.Random) -> bytes:
    """Stop early."""
    return data[: int(choice.random() ** choice.choice((0.5, 1, 3)) * len(data))]


def repeat(data: bytes, choice: random.Random) -> bytes:
    """Repeat a stretch many times."""
    start = choice.randrange(len(data))
    piece = data[start : start + choice.choice((1, 8, 64, 1000))]
    return data[:start] + piece * choice.choice((2, 10, 1000)) + data[start:]


def insert_token(data: bytes, choice: random.Random) -> bytes:
    """Put a word of some format somewhere, between or over what is there."""
    token, place = choice.choice(TOKENS), choice.randrange(len(data) + 1)
    return data[:place] + token + data[place + choice.choice((0, len(token))) :]


def extreme_size(data: bytes, choice: random.Random) -> bytes:
    """Announce another width and height, near to the limit or far beyond it."""
    sides = [choice.choice((0, 1, 15, 16, 129, 1000, 7000, 16383, 50_000, 65_500, 2**31 - 1)) for _ in range(2)]
    for marker, offset, size in ((b"\xff\xc0", 5, 2), (b"\xff\xc2", 5, 2), (b"IHDR", 4, 4), (b"ispe", 8, 4)):
        place = data.find(marker)
        if place >= 0 and (size == 4 or data.startswith(b"\xff\xd8")):
            wrong = b"".join((side % 2 ** (8 * size)).to_bytes(size, "big") for side in sides)
            return data[: place + offset] + wrong + data[place + offset + 2 * size :]
    place = data.find(b"VP8X")
    if place >= 0:
        wrong = b"".join((side % 2**24).to_bytes(3, "little") for side in sides)
        return data[: place + 12] + wrong + data[place + 18 :]
    return flip_bits(data, choice)


def append(data: bytes, choice: random.Random) -> bytes:
    """Let another kind of file follow: a polyglot."""
    return data + choice.choice((*TOKENS, choice.choice(good_files()))) * choice.choice((1, 3))


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flip_bits, set_bytes, lie_about_lengths, rearrange, splice, truncate, repeat, insert_token, extreme_size, append,
)  # fmt: skip


def with_right_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have the checksums that belong to what is now in them: damage that is not found by these."""
    fixed = bytearray(data)
    for start, end, _, _ in parts(data) if data.startswith(b"\x89PNG") else []:
        if end - start >= 12:
            fixed[end - 4 : end] = struct.pack(">I", zlib.crc32(bytes(fixed[start + 4 : end - 4])))
    return bytes(fixed)


def bad_file(number: int, seed: int = 0, limit: int = 2_000_000) -> bytes:
    """File `number` of the series `seed`: one to three mutations of a good file, at most `limit` bytes."""
    choice = random.Random(f"{seed}:{number}")  # noqa: S311  # not a secret
    data = choice.choice(good_files())
    for _ in range(choice.choice((1, 1, 1, 2, 3))):
        if data:
            data = choice.choice(MUTATIONS)(data, choice)[:limit]
    return with_right_checksums(data) if choice.random() < 0.6 else data
