"""Nothing that a photo's file says beside its pixels is kept or served: EXIF, places, profiles, comments, anything."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image, ImageCms

from ml.data.drawn import draw_lesion
from tests.webapp.api import send
from tests.webapp.routes import addresses
from webapp.config import Config

MARK = b"Mark-Of-The-Sender-7731"
FIXTURES = Path(__file__).resolve().parent.parent / "ml" / "fixtures"
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">' + MARK + b"</x:xmpmeta>"
# What a plain picture is made of: JFIF, tables, frame, scan (ITU-T T.81); header, palette, data, end (PNG).
JPEG_SEGMENTS = {0xE0, 0xDB, 0xC0, 0xC4, 0xDA, 0xDD}
PNG_CHUNKS = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}


def exif() -> Image.Exif:
    """EXIF with the mark as description, maker's note, comment and place."""
    found = Image.Exif()
    mark = MARK.decode()
    found.update({0x010E: mark, 0x010F: mark, 0x013B: mark, 0x8298: mark, 0x9C9B: mark.encode("utf-16-le")})
    found.get_ifd(0x8769).update({0x927C: MARK, 0x9286: b"ASCII\0\0\0" + MARK, 0xA420: mark, 0xA431: mark})
    found.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 1.0), 0x1B: b"ASCII\0\0\0" + MARK, 0x1D: mark})
    return found


def profile() -> bytes:
    """A colour profile that has the mark for its description."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return made + MARK + bytes(-len(made + MARK) % 4)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def encoded(kind: str, image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, exif=exif(), icc_profile=profile(), **options)
    return file.getvalue()


def marked(kind: str) -> bytes:
    """A photo with the mark in everything that its format can carry beside pixels, and behind its end."""
    image = Image.fromarray(draw_lesion("nv", np.random.default_rng(2)))
    if kind == "HEIC":
        data = (FIXTURES / "drawn-turned-by-exif.heic").read_bytes()
        for name in (b"free", b"uuid"):
            body = MARK * 4
            data += struct.pack(">I", 8 + len(body)) + name + body
        return data
    if kind == "PNG":
        data = encoded(kind, image)
        texts = [
            chunk(b"tEXt", b"Comment\0" + MARK), chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
            chunk(b"zTXt", b"Author\0\0" + zlib.compress(MARK)), chunk(b"tIME", bytes(7)), chunk(b"maRk", MARK),
        ]  # fmt: skip
        return data[:33] + b"".join(texts) + data[33:] + MARK
    if kind == "MPO":
        return encoded(kind, image, save_all=True, append_images=[image]) + MARK
    if kind == "JPEG":
        data = encoded(kind, image, quality=95)
        iptc = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0" + struct.pack(">H", len(MARK)) + MARK
        xmp = b"http://ns.adobe.com/xap/1.0/\0" + XMP
        more = [segment(0xFE, MARK), segment(0xE1, xmp), segment(0xEB, MARK), segment(0xED, iptc)]
        return data[:2] + b"".join(more) + data[2:] + MARK
    return encoded(kind, image, xmp=XMP) + (MARK if kind == "AVIF" else b"")


def segments(data: bytes) -> Iterator[int]:
    """Markers of a JPEG file's segments; asserts that the file ends where its picture does."""
    assert data[:2] == b"\xff\xd8"
    place = 2
    while place < len(data):
        assert data[place] == 0xFF
        marker = data[place + 1]
        if marker == 0xD9:
            assert place + 2 == len(data), "something follows the picture"
            return
        yield marker
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        while marker == 0xDA and not (data[place] == 0xFF and data[place + 1] not in (0, *range(0xD0, 0xD8))):
            place += 1
    raise AssertionError("the picture has no end")


def assert_plain(data: bytes) -> None:
    """The file is a picture and nothing else."""
    if data.startswith(b"\x89PNG"):
        place = 8
        while place < len(data):
            assert data[place + 4 : place + 8] in PNG_CHUNKS
            place += 12 + int.from_bytes(data[place : place + 4], "big")
        return
    assert set(segments(data)) <= JPEG_SEGMENTS
    assert data[6:11] == b"JFIF\0"
    assert int.from_bytes(data[4:6], "big") == 16, "JFIF without a thumbnail"


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "WEBP", "AVIF", "HEIC"])
def test_nothing_beside_the_pixels_is_kept_or_served(
    app: Flask, config: Config, admin: FlaskClient, upload: Callable[..., object], kind: str
) -> None:
    photo = marked(kind)
    assert MARK in photo
    web = upload((photo, f"{MARK.decode()}.jpg"))
    assert web.status_code == 303  # type: ignore[attr-defined]
    body = send(admin, photo).json
    assert body is not None
    tokens = [web.headers["Location"].rsplit("/", 1)[1], body["id"]]  # type: ignore[attr-defined]
    pictures: dict[str, int] = {}
    for token in tokens:
        for number in (1, 2):
            values = {"token": token, "position": 1, "number": 1, "photo_id": number, "screening_id": number}
            for rule, address in addresses(app, values, "GET"):
                if rule.endpoint in ("static", "screening.language"):
                    continue
                for query in ("", "?size=small") if "photo" in rule.rule else ("",):
                    answer = admin.get(address + query)
                    assert MARK not in answer.data, rule
                    assert all(MARK.decode() not in value for _, value in answer.headers), rule
                    # Vector drawings, of figures and of codes to scan, are written from no picture.
                    if answer.mimetype in ("image/jpeg", "image/png", "image/webp"):
                        assert_plain(answer.data)
                        pictures[rule.endpoint] = pictures.get(rule.endpoint, 0) + 1
    assert pictures.keys() >= {"screening.photo", "admin.photo"}
    if kind != "HEIC":  # its fixture is too small to be answered
        assert pictures.keys() >= {"screening.heatmap", "admin.heatmap", "api.heatmap", "admin.measures_picture"}
    kept = [path for path in config.instance.rglob("*") if path.is_file()]
    assert sum(path.suffix == ".jpg" for path in kept) == 4
    for path in kept:
        assert MARK not in path.read_bytes(), path
        assert MARK.decode().encode("utf-16-le") not in path.read_bytes(), path
        assert MARK.decode() not in path.name
        if path.suffix == ".jpg":
            assert_plain(path.read_bytes())
            assert Image.open(path).info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_what_is_not_plain_is_noticed() -> None:
    with pytest.raises(AssertionError):
        assert_plain(marked("JPEG"))
    with pytest.raises(AssertionError):
        assert_plain(marked("PNG"))
