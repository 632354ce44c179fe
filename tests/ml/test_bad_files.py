"""Files that were made to do harm, one kind after the other, and some hundreds from the mutator."""

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from benchmarks.mutations import bad_file, good_files, with_right_checksums
from ml import decoding
from ml.errors import InvalidImage
from ml.images import MAX_PIXELS
from tests.ml.test_decoding import many_scans
from tests.ml.test_images import PHOTOS, PIXELS, encoded, mean_difference

READ = ("JPEG", "PNG", "WEBP", "AVIF", "HEIC")
PHOTO = Image.fromarray(PIXELS)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def outcome(data: bytes, **options: int) -> NDArray[np.uint8] | str:
    """The picture, looked over, or the reason of the refusal."""
    try:
        pixels = decoding.decode(data, **options)
    except InvalidImage as error:
        return error.reason
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.shape[0] * pixels.shape[1] <= options.get("max_pixels", MAX_PIXELS)
    return pixels


def chunk(name: bytes, body: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_with(*chunks: bytes) -> bytes:
    """The photo as a PNG with further chunks after its header."""
    data = PHOTOS["PNG"]
    return data[:33] + b"".join(chunks) + data[33:]


def jpeg_with(*segments: bytes) -> bytes:
    """The photo as a JPEG with further segments after its start."""
    data = PHOTOS["JPEG"]
    return data[:2] + b"".join(segments) + data[2:]


def segment(marker: int, body: bytes) -> bytes:
    """A JPEG segment."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def archive() -> bytes:
    """A ZIP file, as a JAR is one."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("META-INF/MANIFEST.MF", "Main-Class: Evil")
    return file.getvalue()


def test_some_hundred_mutated_files() -> None:
    outcomes = [outcome(bad_file(number, seed=1), max_side=2400) for number in range(300)]
    reasons = {one for one in outcomes if isinstance(one, str)}
    assert {"truncated", "damaged", "unsupported_format", "too_many_pixels"} <= reasons
    assert sum(not isinstance(one, str) for one in outcomes) > 30


def test_the_mutator_makes_the_same_files_again() -> None:
    assert [bad_file(number, 3) for number in range(40)] == [bad_file(number, 3) for number in range(40)]
    assert bad_file(5, 3) != bad_file(5, 4)
    good = good_files()
    assert sum(not isinstance(outcome(file), str) for file in good) >= 19, "what it begins with is read"
    assert with_right_checksums(PHOTOS["PNG"]) == PHOTOS["PNG"]


@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize("tail", ["zip", "html", "php", "gif", "picture"])
def test_polyglots_are_the_picture_that_they_begin_with(kind: str, tail: str) -> None:
    tails = {
        "zip": archive(),
        "html": b"<html><script>alert(1)</script></html>",
        "php": b"<?php system($_GET['c']); ?>",
        "gif": encoded(PHOTO, "GIF"),
        "picture": encoded(Image.new("RGB", (96, 64), "blue"), "JPEG"),
    }
    found = outcome(PHOTOS[kind] + tails[tail])
    if isinstance(found, str):
        assert found in ("truncated", "damaged")
    else:
        assert mean_difference(found, PIXELS) < 5


def test_files_of_another_kind_with_a_picture_in_them_are_declined() -> None:
    jpeg = PHOTOS["JPEG"]
    assert outcome(b"GIF89a" + archive()) == "unsupported_format"  # GIFAR
    assert outcome(b"%PDF-1.7\n" + jpeg) == "unsupported_format"
    assert outcome(archive() + jpeg) == "not_an_image"
    assert outcome(b"<html>" + jpeg) == "not_an_image"
    assert outcome(b" " + jpeg) == "not_an_image"
    assert outcome(b"#!/bin/sh\n" + PHOTOS["PNG"]) == "not_an_image"
    assert not isinstance(outcome(jpeg_with(segment(0xFE, b"%PDF-1.7 <?php"))), str), "inside a comment it is a comment"


def recursive_exif(entries: int = 1) -> bytes:
    """A directory whose sub-directories, and whose successor, are itself."""
    directory = b"".join(struct.pack(">HHII", tag, 4, 1, 8) for tag in (0x8769, 0x8825, 0xA005, 0x014A)[:entries])
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, entries) + directory + struct.pack(">I", 8)


HOSTILE_EXIF = {
    "recursive": recursive_exif(),
    "recursive everywhere": recursive_exif(4),
    "huge count": b"Exif\0\0MM\0*"
    + struct.pack(">IH", 8, 1)
    + struct.pack(">HHII", 0x0112, 3, 2**32 - 1, 26)
    + bytes(9),
    "many entries": b"Exif\0\0II*\0" + struct.pack("<IH", 8, 65535) + struct.pack("<HHII", 0x0112, 3, 1, 1) * 5000,
    "far offset": b"Exif\0\0MM\0*" + struct.pack(">I", 2**32 - 1) + bytes(20),
    "orientation as text": b"Exif\0\0MM\0*"
    + struct.pack(">IH", 8, 1)
    + struct.pack(">HHI4s", 0x0112, 2, 4, b"6\0\0\0"),
    "orientation as fraction": b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + struct.pack(">HHII", 0x0112, 5, 1, 26),
}


@pytest.mark.parametrize("name", HOSTILE_EXIF)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_hostile_exif_costs_no_picture(name: str, kind: str) -> None:
    try:
        data = encoded(PHOTO, kind, exif=HOSTILE_EXIF[name])
    except TypeError:
        pytest.skip("the encoder refuses to write this one")
    found = outcome(data)
    assert not isinstance(found, str)
    assert mean_difference(found, PIXELS) < 5


@pytest.mark.parametrize("profile", [b"x", SRGB[:130], SRGB[:128] + b"\xff\xff\xff\xff" + SRGB[132:],
                                     bytes(1_000_000), SRGB[:36] + b"none" + SRGB[40:]])  # fmt: skip
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_broken_and_huge_profiles_cost_no_picture(kind: str, profile: bytes) -> None:
    try:
        data = encoded(PHOTO, kind, icc_profile=profile)
    except (OSError, ValueError):
        pytest.skip("the encoder refuses to write this one")
    found = outcome(data)
    assert not isinstance(found, str)
    assert mean_difference(found, PIXELS) < 5


def test_a_profile_of_another_colour_space_is_ignored() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    found = outcome(encoded(PHOTO, "PNG", icc_profile=lab))
    assert not isinstance(found, str)
    assert mean_difference(found, PIXELS) < 5


@pytest.mark.parametrize("name", [b"iCCP", b"zTXt", b"iTXt"])
def test_compressed_bombs_in_png_chunks(name: bytes) -> None:
    bomb = zlib.compress(bytes(200_000_000), 9)
    head = {b"iCCP": b"p\0\0", b"zTXt": b"k\0\0", b"iTXt": b"k\0\1\0\0\0"}[name]
    found = outcome(png_with(*[chunk(name, head + bomb)] * 4))
    assert isinstance(found, str) or mean_difference(found, PIXELS) < 1


def test_a_bomb_of_pixels_is_refused_by_its_header() -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 1, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(200_000_000), 9))
    assert outcome(b"\x89PNG\r\n\x1a\n" + header + rows + chunk(b"IEND", b"")) == "too_many_pixels"
    short = PHOTOS["JPEG"].index(b"\xff\xc0")
    for height, width in ((65_500, 65_500), (65_535, 900)):
        data = PHOTOS["JPEG"][: short + 5] + struct.pack(">HH", height, width) + PHOTOS["JPEG"][short + 9 :]
        assert outcome(data) == "too_many_pixels"
    assert outcome(png_with(), max_pixels=100) == "too_many_pixels"


def test_a_jpeg_may_have_some_scans_but_not_any_number() -> None:
    assert not isinstance(outcome(many_scans(3, side=64)), str)
    assert outcome(many_scans(60_000)) == "too_complex"


@pytest.mark.parametrize("kind", READ)
def test_the_name_and_the_declared_type_do_not_matter(kind: str) -> None:
    """They are never asked for: bytes are all that the decoder is given."""
    assert not isinstance(outcome(PHOTOS[kind]), str)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 8, 12])
def test_tiny_files(size: int) -> None:
    for kind in READ:
        assert isinstance(outcome(PHOTOS[kind][:size]), str)
    assert isinstance(outcome(bytes(size)), str)
