"""Bytes of a picture to an upright RGB array, or `InvalidImage` saying why not: in this very process.

Only what this program has written itself is decoded here directly, such as the photos it keeps. Files from outside go
through ml.decoding, which has the same two functions and runs these in processes of their own.

Which decoder runs is decided here, from the first bytes, among a short list; a file's name or declared type is never
asked. Sizes are checked before any pixel is decoded.
"""

import io
from collections.abc import Callable, Iterator
from typing import Literal, TypeVar

import numpy as np
import pi_heif
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from ml.errors import ImageFault, InvalidImage

MAX_BYTES: int = 200 * 1024 * 1024
"""No file that holds one photo is larger, whoever brings it; what people send is held to MAX_UPLOAD_MB beside."""
MAX_PIXELS: int = 50_000_000
MIN_SIDE: int = 16  # pixels; nothing can be recognised in less

T = TypeVar("T")
Kind = Literal["jpeg", "png", "webp", "avif", "heic"]

# Brands of the ISO base media file format (ISO/IEC 14496-12; HEIF: ISO/IEC 23008-12, annex B; AVIF: AOMedia).
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"})

# Picture formats that are recognised only to be declined by name: GIF, BMP, TIFF and camera raw, JPEG 2000, JPEG XL,
# Photoshop, icons, PDF, SVG, OpenEXR.
_DECLINED_PREFIXES = (
    b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+", b"\x00\x00\x00\x0cjP  ",
    b"\xff\x4f\xff\x51",
    b"\xff\x0a", b"\x00\x00\x00\x0cJXL ", b"8BPS", b"\x00\x00\x01\x00", b"%PDF-", b"<svg", b"v/1\x01", b"FUJIFILM",
)  # fmt: skip

# EXIF orientation (EXIF 2.32, tag 0x0112) to the operation that turns the stored picture upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS, max_side: int | None = None) -> NDArray[np.uint8]:
    """Decode one picture to upright sRGB, [H, W, 3], 0 to 255, contiguous and writable.

    Reads JPEG (also MPO), PNG, WebP, AVIF and HEIC; of several frames the first. Transparency is laid on white, CMYK,
    grey, palette and 16-bit pictures become 8-bit RGB, and an embedded colour profile is converted to sRGB (one that
    cannot be used is ignored). `max_side` shrinks the picture so that its longer side has at most that many pixels.

    Raises InvalidImage, and nothing else, for anything that is not such a picture: `empty`, `not_an_image`,
    `unsupported_format`, `too_many_pixels` (checked before decoding), `too_small`, `truncated`, `damaged`,
    `too_complex`.
    """
    kind = sniff(data)

    def read() -> NDArray[np.uint8]:
        image = _open(data, kind)
        _check_size(image.size, max_pixels)
        if max_side is not None:
            scale = min(1.0, max_side / max(image.size))
            # JPEG only: decodes at 1/2, 1/4 or 1/8 where that is still no smaller than what is asked for.
            image.draft(None, (max(1, round(image.width * scale)), max(1, round(image.height * scale))))
        image.load()
        _check_size(image.size, max_pixels)  # a container may announce another size than its picture has
        orientation = _orientation(image, data)
        profile = image.info.get("icc_profile")
        image = _flatten(image)
        if max_side is not None:
            image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        image = _to_srgb(image, profile)
        if orientation in _UPRIGHT:
            image = image.transpose(_UPRIGHT[orientation])
        return np.array(image, dtype=np.uint8)

    return _guarded(read, data, kind)


def dimensions(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Upright (width, height) in pixels from the header alone. Raises InvalidImage as `decode` does."""
    kind = sniff(data)

    def read() -> tuple[int, int]:
        image = _open(data, kind)
        _check_size(image.size, max_pixels)
        width, height = image.size
        return (height, width) if _orientation(image, data) in (5, 6, 7, 8) else (width, height)

    return _guarded(read, data, kind)


def encode_jpeg(pixels: NDArray[np.uint8], *, quality: int = 92) -> bytes:
    """Encode RGB pixels [H, W, 3] as a JPEG without any metadata. `quality` is libjpeg's, 1 to 95."""
    buffer = io.BytesIO()
    # Full chroma resolution: the colours of a lesion are what a reader looks at.
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality, subsampling="4:4:4")
    return buffer.getvalue()


def encode_grey_png(values: NDArray[np.uint8]) -> bytes:
    """Encode values [H, W] as an 8-bit grey PNG without any metadata."""
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def thumbnail(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Shrink RGB pixels [H, W, 3] so that the longer side has at most `side` pixels; never enlarges."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.array(image, dtype=np.uint8)


def load_decoders() -> None:
    """Import whatever Pillow would import at the first picture of a format: later nothing can be opened any more."""
    from PIL import AvifImagePlugin, JpegImagePlugin, MpoImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401

    Image.preinit()
    decode(encode_jpeg(np.zeros((MIN_SIDE, MIN_SIDE, 3), np.uint8)))


def sniff(data: bytes) -> Kind:
    """Tell the format from the first bytes. Raises InvalidImage for anything not on the list."""
    if not data:
        raise InvalidImage("empty", "The file is empty.")
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        brands = _brands(data)
        if brands & _AVIF_BRANDS:
            return "avif"
        if brands & _HEIC_BRANDS:
            return "heic"
        raise InvalidImage("unsupported_format", "The file is a video or another media file, not a photo.")
    if data.startswith(_DECLINED_PREFIXES) or data[128:132] == b"DICM":
        raise InvalidImage("unsupported_format", "This image format is not read; use JPEG, PNG, WebP, HEIC or AVIF.")
    raise InvalidImage("not_an_image", "The file is not an image.")


def _brands(data: bytes) -> set[bytes]:
    """Major and compatible brands of an ISO media file's leading `ftyp` box."""
    end = min(int.from_bytes(data[:4], "big"), len(data), 512)
    return {data[8:12]} | {data[start : start + 4] for start in range(16, end - 3, 4)}


def _open(data: bytes, kind: Kind) -> Image.Image:
    """Read the header; the pixels stay packed until `load`."""
    if kind != "heic":
        return Image.open(io.BytesIO(data), formats=[kind.upper()])
    # pi_heif is called by itself and never registered with Pillow, which would open HEIC to every Image.open.
    image: Image.Image = pi_heif.HeifImageFile(io.BytesIO(data))
    return image


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise InvalidImage("too_many_pixels", f"The picture has more than {max_pixels // 1_000_000} megapixels.")
    if min(width, height) < MIN_SIDE:
        raise InvalidImage("too_small", f"The picture is smaller than {MIN_SIDE} by {MIN_SIDE} pixels.")


def _orientation(image: Image.Image, data: bytes) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none, it cannot be read, or the decoder has seen to it."""
    if image.format == "HEIF":
        # The container's own rotation (irot, imir) comes first and pi_heif applies it; only without one EXIF counts.
        meta = next((data[start:end] for name, start, end in _boxes(data) if name == b"meta"), b"")
        stored = image.info.get("original_orientation")
        return 1 if b"irot" in meta or b"imir" in meta or not isinstance(stored, int) else stored
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a broken EXIF block fails in many ways and must not cost the picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _flatten(image: Image.Image) -> Image.Image:
    """One of the modes L, RGB or CMYK: 16 bits cut to 8, palettes resolved, transparency laid on white."""
    if image.mode.startswith("I"):  # 16-bit grey
        values = np.asarray(image, dtype=np.float64) * (255 / 65535)
        return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layered).convert("RGB")
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")


def _to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Convert through the embedded colour profile where it is usable, otherwise by Pillow's plain rule."""
    if isinstance(profile, bytes) and profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # a broken profile or one for another colour space: the numbers are taken as sRGB
    return image.convert("RGB")


def _guarded(read: Callable[[], T], data: bytes, kind: Kind) -> T:
    """Run a decoder on untrusted bytes. Whatever it raises becomes InvalidImage with a reason."""
    try:
        return read()
    except InvalidImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InvalidImage("too_many_pixels", "The picture has too many pixels.") from None
    except MemoryError:
        raise InvalidImage("too_complex", "Decoding the picture takes too much memory.") from None
    except Exception:  # decoders raise OSError, SyntaxError, ValueError, struct.error and more
        reason: ImageFault = "truncated" if _ends_early(data, kind) else "damaged"
        message = "The file is incomplete." if reason == "truncated" else "The file is damaged."
        raise InvalidImage(reason, message) from None


def _ends_early(data: bytes, kind: Kind) -> bool:
    """Whether the file stops before the end that its format announces."""
    if kind == "jpeg":
        return b"\xff\xd9" not in data[-4096:]
    if kind == "webp":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    return _png_ends_early(data) if kind == "png" else _boxes_end_early(data)


def _header(data: bytes, position: int) -> tuple[int, bytes]:
    """Length and name at the head of a PNG chunk or an ISO media box; a header cut short reads as a long box."""
    length, name = data[position : position + 4], data[position + 4 : position + 8]
    return (int.from_bytes(length, "big"), name) if len(name) == 4 else (len(data) + 8, b"none")


def _png_ends_early(data: bytes) -> bool:
    position = 8
    while position < len(data):
        length, name = _header(data, position)
        position += 12 + length
        if name == b"IEND":
            return position > len(data)
    return True


def _boxes_end_early(data: bytes) -> bool:
    return any(end > len(data) for _, _, end in _boxes(data))


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and announced end of an ISO media file's outermost boxes, up to the first that makes no sense."""
    position = 0
    while position < len(data):
        length, name = _header(data, position)
        if length == 1:
            length = int.from_bytes(data[position + 8 : position + 16], "big")
        elif length == 0:  # this box runs to the end of the file
            length = len(data) - position
        if length < 8:
            return
        yield name, position, position + length
        position += length
