"""Decoding photos: every format that is read, every way in which a file can be wrong."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from ml.data.drawn import draw_lesion
from ml.errors import InvalidImage
from ml.images import MIN_SIDE, decode, dimensions, encode_jpeg, thumbnail

FIXTURES = Path(__file__).parent / "fixtures"
PIXELS = draw_lesion("nv", np.random.default_rng(5), (64, 96))


def encoded(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=image_format, **options)
    return buffer.getvalue()


def photo(image_format: str, **options: object) -> bytes:
    if image_format == "HEIC":
        return (FIXTURES / "drawn.heic").read_bytes()
    return encoded(Image.fromarray(PIXELS), image_format, **options)


FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIC")
PHOTOS = {name: photo(name) for name in FORMATS} | {"progressive": photo("JPEG", progressive=True)}


def reason(data: bytes, **options: int) -> str:
    with pytest.raises(InvalidImage) as caught:
        decode(data, **options)
    assert str(caught.value)
    return caught.value.reason


def mean_difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(float) - other).mean())


@pytest.mark.parametrize("image_format", PHOTOS)
def test_reads_every_format(image_format: str) -> None:
    pixels = decode(PHOTOS[image_format])
    assert pixels.dtype == np.uint8
    assert pixels.shape == (64, 96, 3)
    assert pixels.flags.writeable
    assert pixels.flags.c_contiguous
    assert mean_difference(pixels, PIXELS) < 4
    assert dimensions(PHOTOS[image_format]) == (96, 64)


def test_importing_does_not_open_heic_to_pillow() -> None:
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(io.BytesIO(PHOTOS["HEIC"]))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_turns_pictures_upright(image_format: str, orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    marked = PIXELS.copy()
    marked[:32, :32] = (0, 0, 255)  # the four corners differ, so that no symmetry hides a mistake
    stored = Image.fromarray(marked)
    if orientation in undo:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, image_format, exif=exif, quality=95)
    assert mean_difference(decode(data), marked) < 4
    assert dimensions(data) == (96, 64)
    assert decode(data, max_side=48).shape == (32, 48, 3)


@pytest.mark.parametrize("name", ["drawn-turned.heic", "drawn-turned-by-exif.heic"])
def test_turns_heic_once(name: str) -> None:
    """The first file says it in the container and in EXIF, the second in EXIF alone."""
    data = (FIXTURES / name).read_bytes()
    assert mean_difference(decode(data), np.rot90(PIXELS, -1)) < 4
    assert dimensions(data) == (64, 96)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_ignores_impossible_orientations(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert decode(encoded(Image.fromarray(PIXELS), "JPEG", exif=exif)).shape == (64, 96, 3)


def test_ignores_broken_exif() -> None:
    data = photo("JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff" + b"\xff" * 40)
    assert mean_difference(decode(data), PIXELS) < 4


def test_lays_transparency_on_white() -> None:
    clear = np.dstack([PIXELS, np.zeros(PIXELS.shape[:2], np.uint8)])
    clear[:, :48, 3] = 255
    for image_format in ("PNG", "WEBP"):
        pixels = decode(encoded(Image.fromarray(clear), image_format, lossless=True))
        assert np.array_equal(pixels[:, :48], PIXELS[:, :48])
        assert (pixels[:, 48:] == 255).all()


def test_lays_transparent_palette_colour_on_white() -> None:
    image = Image.new("P", (32, 32), 1)
    image.putpalette([200, 10, 10, 10, 10, 200])
    image.paste(0, (0, 0, 16, 32))
    pixels = decode(encoded(image, "PNG", transparency=0))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[0, 31].tolist() == [10, 10, 200]


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA"])
def test_reads_png_modes(mode: str) -> None:
    image = Image.fromarray(PIXELS).convert(mode)
    assert mean_difference(decode(encoded(image, "PNG")), np.asarray(image.convert("RGB"))) < 1


def test_reads_16_bit_grey() -> None:
    ramp = np.linspace(0, 65535, 64 * 96).reshape(64, 96).astype(np.uint16)
    pixels = decode(encoded(Image.fromarray(ramp), "PNG"))
    assert np.abs(pixels[..., 0] - ramp / 257).max() <= 0.5 + 1e-9
    assert (pixels[0, 0] == 0).all()
    assert (pixels[-1, -1] == 255).all()


def test_reads_16_bit_colour() -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    wide = (PIXELS.astype(">u2") * 257).reshape(64, -1).tobytes()
    rows = b"".join(b"\0" + wide[i * 576 : (i + 1) * 576] for i in range(64))
    header = struct.pack(">IIBBBBB", 96, 64, 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert np.array_equal(decode(b"\x89PNG\r\n\x1a\n" + body), PIXELS)


def test_reads_cmyk_jpeg() -> None:
    data = encoded(Image.fromarray(PIXELS).convert("CMYK"), "JPEG", quality=95)
    assert mean_difference(decode(data), PIXELS) < 5


@pytest.mark.parametrize("image_format", ["MPO", "PNG", "WEBP", "AVIF"])
def test_reads_the_first_of_several_frames(image_format: str) -> None:
    others = [Image.new("RGB", (96, 64), "blue")]
    data = encoded(Image.fromarray(PIXELS), image_format, save_all=True, append_images=others)
    assert mean_difference(decode(data), PIXELS) < 5


def swapped_profile() -> bytes:
    """The sRGB profile with red and blue primaries exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(profile[128:132], "big")
    for position in range(132, 132 + 12 * count, 12):
        name = bytes(profile[position : position + 4])
        profile[position : position + 4] = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}.get(name, name)
    return bytes(profile)


def test_converts_colour_profiles_to_srgb() -> None:
    red = Image.new("RGB", (32, 32), (230, 20, 20))
    pixels = decode(encoded(red, "PNG", icc_profile=swapped_profile()))
    assert pixels[0, 0, 2] > 200
    assert pixels[0, 0, 0] < 60


@pytest.mark.parametrize("profile", [b"nonsense", b"\0" * 200, swapped_profile()[:300]])
def test_ignores_unusable_profiles(profile: bytes) -> None:
    assert np.array_equal(decode(photo("PNG", icc_profile=profile)), PIXELS)


def test_ignores_a_profile_for_another_colour_space() -> None:
    grey = Image.fromarray(PIXELS).convert("L")
    pixels = decode(encoded(grey, "PNG", icc_profile=swapped_profile()))
    assert mean_difference(pixels, np.asarray(grey.convert("RGB"))) < 1


def test_shrinks_but_never_enlarges() -> None:
    large = draw_lesion("mel", np.random.default_rng(0), (300, 400))
    for image_format in ("JPEG", "PNG"):
        data = encoded(Image.fromarray(large), image_format, quality=95)
        assert decode(data, max_side=100).shape == (75, 100, 3)
        assert decode(data, max_side=1000).shape == (300, 400, 3)
    small = decode(encode_jpeg(large), max_side=100)
    assert mean_difference(small, thumbnail(large, 100)) < 3


def test_the_encoder_writes_no_metadata() -> None:
    data = encode_jpeg(PIXELS)
    with Image.open(io.BytesIO(data)) as image:
        assert not image.getexif()
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert mean_difference(decode(data), PIXELS) < 2
    assert thumbnail(PIXELS, 48).shape == (32, 48, 3)
    assert thumbnail(PIXELS, 480).shape == PIXELS.shape


def test_names_what_is_not_a_picture() -> None:
    assert reason(b"") == "empty"
    assert reason(b"hello, this is text") == "not_an_image"
    assert reason(b"\x00") == "not_an_image"
    assert reason(b"PK\x03\x04" + b"\0" * 100) == "not_an_image"
    assert reason(b"<html><body>no</body></html>") == "not_an_image"


@pytest.mark.parametrize("image_format", ["GIF", "BMP", "TIFF", "ICO", "PDF", "JPEG2000"])
def test_declines_other_formats(image_format: str) -> None:
    assert reason(photo(image_format)) == "unsupported_format"


def test_declines_videos_and_vector_graphics() -> None:
    assert reason(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0" * 100) == "unsupported_format"
    assert reason(b'<svg xmlns="http://www.w3.org/2000/svg"/>') == "unsupported_format"


@pytest.mark.parametrize("image_format", PHOTOS)
def test_says_truncated(image_format: str) -> None:
    data = PHOTOS[image_format]
    for share in (0.5, 0.9):
        assert reason(data[: int(len(data) * share)]) == "truncated"


@pytest.mark.parametrize("image_format", FORMATS)
def test_bare_signatures_are_refused(image_format: str) -> None:
    for length in (12, 20, 32):
        assert reason(PHOTOS[image_format][:length]) in ("truncated", "damaged", "unsupported_format")


def test_says_damaged() -> None:
    data = bytearray(PHOTOS["PNG"])
    data[60:90] = b"\0" * 30
    assert reason(bytes(data)) == "damaged"


def test_checks_size_before_decoding() -> None:
    assert reason(PHOTOS["JPEG"], max_pixels=96 * 64 - 1) == "too_many_pixels"
    assert decode(PHOTOS["JPEG"], max_pixels=96 * 64).shape == (64, 96, 3)
    # A header that promises 60,000 x 60,000 pixels, with next to nothing behind it.
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + header
        + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    )
    assert reason(bomb + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))) == "too_many_pixels"
    assert reason(encoded(Image.new("RGB", (400, MIN_SIDE - 1)), "PNG")) == "too_small"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(sorted(PHOTOS)),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12),
    keep=st.floats(0.02, 1),
    cut=st.booleans(),
    max_side=st.sampled_from([None, 40]),
)
def test_no_file_breaks_the_decoder(
    name: str, changes: list[tuple[float, int]], keep: float, cut: bool, max_side: int | None
) -> None:
    data = bytearray(PHOTOS[name])
    for place, value in changes:
        data[round(place**2 * (len(data) - 1))] = value  # more often near the headers
    if cut:
        del data[int(keep * len(data)) :]
    try:
        pixels = decode(bytes(data), max_pixels=1_000_000, max_side=max_side)
    except InvalidImage:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.shape[0] * pixels.shape[1] <= 1_000_000


@settings(max_examples=60, deadline=None)
@given(prefix=st.sampled_from([data[:16] for data in PHOTOS.values()] + [b""]), tail=st.binary(max_size=200))
def test_no_bytes_break_the_decoder(prefix: bytes, tail: bytes) -> None:
    assert reason(prefix + tail, max_pixels=1_000_000)
