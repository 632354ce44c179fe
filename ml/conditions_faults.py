"""What goes wrong when a person photographs a lesion with a phone, as pure functions of pixels.

Every function takes RGB uint8 [H, W, 3] and returns another of the same shape. Lengths are shares of the picture's
width, so that a picture of any size gets the same fault.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import gaussian_filter

from ml.conditions_colour import from_lab, from_linear, temperature_gains, to_linear
from ml.features import cielab

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

DARK_RIM = 40
"""Mean of red, green and blue below which pixels are the dark rim of a dermatoscope's view, not skin."""
SKIN_HUES, SKIN_CHROMA = (-45.0, 85.0), 5.0
"""Hues in degrees of CIELAB between which skin lies, and the chroma that it has at least: so wide that in three of four
dermatoscopic pictures of HAM10000 all around the lesion counts."""
LEAST_SKIN = 0.1
"""Share of what surrounds the lesion under which the colours are not trusted."""

SKIN_TONES = {"I": (74, 14), "II": (68, 16), "III": (62.5, 18), "IV": (56.5, 19), "V": (47, 18), "VI": (36, 12)}
"""(L*, b*) of the six tones. Their typology angles, 60, 48, 35, 19, -9 and -49 degrees, lie within the six groups that
Chardon et al. 1991 and Del Bino and Bernerd 2013 ("Variations in skin colour and the biological consequences of
ultraviolet radiation exposure") set at 55, 41, 28, 10 and -30: very light, light, intermediate, tan, brown, dark. The
Roman numbers are a habit only: a Fitzpatrick type is how skin reacts to the sun, and only loosely a colour."""


def central_ellipse(height: int, width: int) -> Mask:
    """What stands for a lesion that was not found: an ellipse in the middle, half as wide and high as the picture."""
    rows, columns = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    ellipse: Mask = rows**2 + columns**2 <= 0.25
    return ellipse


def gaussian_blur(pixels: Pixels, radius: float) -> Pixels:
    """Out of focus: a Gaussian (as three box filters) whose standard deviation is the share `radius` of the width."""
    blur = ImageFilter.GaussianBlur(radius * pixels.shape[1])
    return np.array(Image.fromarray(pixels).filter(blur))


def motion_blur(pixels: Pixels, length: float, rng: np.random.Generator) -> Pixels:
    """The hand moved: the mean along a straight path, `length` (share of the width) long, in a random direction."""
    reach = length * pixels.shape[1] / 2
    half = int(np.ceil(reach)) + 1
    angle = rng.uniform(0, np.pi)
    steps = np.linspace(-reach, reach, 4 * half + 1)
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    x, y = half + steps * np.cos(angle), half + steps * np.sin(angle)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for right in (0, 1):
        for below in (0, 1):
            weight = np.abs(1 - right - (x - left)) * np.abs(1 - below - (y - top))
            np.add.at(kernel, (np.minimum(top + below, 2 * half), np.minimum(left + right, 2 * half)), weight)
    kernel /= kernel.sum()
    return _pixels(_convolved(pixels.astype(np.float32), kernel))


def _convolved(values: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each channel of [H, W, 3] convolved with [K, K], the picture reflected at its rim; by Fourier transform."""
    pad = len(kernel) // 2
    padded = np.pad(values, ((pad, pad), (pad, pad), (0, 0)), mode="symmetric")
    shape = [next_fast_len(side, real=True) for side in padded.shape[:2]]
    spectrum = rfft2(padded, s=shape, axes=(0, 1)) * rfft2(kernel, s=shape)[..., None]
    blurred = irfft2(spectrum, s=shape, axes=(0, 1))
    height, width = values.shape[:2]
    result: NDArray[np.float32] = blurred[2 * pad : 2 * pad + height, 2 * pad : 2 * pad + width]
    return result


def noise(pixels: Pixels, deviation: float, rng: np.random.Generator) -> Pixels:
    """Too little light for the sensor: noise with the standard deviation `deviation`, in grey levels, at mid grey.

    Half of its variance there is read noise, alike everywhere, and half shot noise, which grows in proportion to the
    grey level (Foi et al. 2008, "Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data").
    Each pixel and channel by itself.
    """
    values = pixels.astype(np.float32)
    spread = np.float32(deviation) * np.sqrt(np.float32(0.5) + values / 256)
    return _pixels(values + spread * rng.standard_normal(values.shape, np.float32))


def jpeg(pixels: Pixels, quality: float) -> Pixels:
    """Sent through a messenger: written as JPEG at `quality` (1..95, colour at half resolution) and read again."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=round(quality), subsampling="4:2:0")
    with Image.open(buffer) as image:
        return np.array(image)


def exposure(pixels: Pixels, stops: float) -> Pixels:
    """Exposed `stops` too long (above 0) or too short: linear light times 2 ** stops, clipped at white."""
    return from_linear(to_linear(pixels) * np.float32(2**stops))


def temperature(pixels: Pixels, kelvin: float) -> Pixels:
    """White balance left at daylight under light of `kelvin`: low is warm (orange), high is cold (blue)."""
    return from_linear(to_linear(pixels) * temperature_gains(kelvin))


def green_cast(pixels: Pixels, gain: float) -> Pixels:
    """A fluorescent tube's cast: green light times `gain`, red and blue divided by its root."""
    gains = np.array([gain**-0.5, gain, gain**-0.5], np.float32)
    return from_linear(to_linear(pixels) * gains)


def zoom_in(pixels: Pixels, factor: float) -> Pixels:
    """Held too near: the central 1 / `factor` of each side fills the picture."""
    height, width = pixels.shape[:2]
    tall, wide = height / factor, width / factor
    box = ((width - wide) / 2, (height - tall) / 2, (width + wide) / 2, (height + tall) / 2)
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC, box=box)
    return np.asarray(image)


def zoom_out(pixels: Pixels, factor: float, mask: Mask) -> Pixels:
    """Held too far away: the picture at `factor` (below 1) of its size, amid its own skin.

    The surroundings carry on the light at the picture's edge, with the skin's fine texture reflected again and again;
    the lesion (`mask` [H, W]) and a dark rim are left out of both, so that there is one lesion still.
    """
    height, width = pixels.shape[:2]
    tall, wide = max(1, round(height * factor)), max(1, round(width * factor))
    top, left = (height - tall) // 2, (width - wide) // 2
    around = ((top, height - tall - top), (left, width - wide - left), (0, 0))
    small = _resized(pixels, tall, wide)
    skin = _resized(_skin_share(pixels, mask), tall, wide).astype(np.float32) / np.float32(255)
    light = _smooth_skin(small, skin)
    texture = skin[..., None] * (small - light)
    result = _pixels(np.pad(light, around, mode="edge") + np.pad(texture, around, mode="symmetric"))
    result[top : top + tall, left : left + wide] = small
    return result


def rotation(pixels: Pixels, degrees: float) -> Pixels:
    """Turned about its centre; the corners are filled by reflection."""
    height, width = pixels.shape[:2]
    pad = int(np.ceil((np.hypot(height, width) - min(height, width)) / 2)) + 2
    image = Image.fromarray(np.pad(pixels, ((pad, pad), (pad, pad), (0, 0)), mode="symmetric"))
    turned = image.rotate(degrees, Image.Resampling.BICUBIC)
    return np.asarray(turned.crop((pad, pad, pad + width, pad + height)))


def skin_tone(pixels: Pixels, tone: str, mask: Mask) -> Pixels:
    """The skin around the lesion (`mask` [H, W]) brought to one of `SKIN_TONES` in CIELAB; the lesion stays as it is.

    What is not of a skin's colour stays too. L* of the skin is scaled so that its median is the tone's, as a pigment
    that absorbs would do. b* moves by what it differs between the tones at the skin's own L* and at the new one, so
    that a cast of the camera's stays. a* stays, being the blood's, and so do texture and light. The change fades in
    over a rim of a fiftieth of the width. This asks what the surroundings alone do to an answer: a lesion on darker
    skin may look different itself.
    """
    lab = cielab(pixels)
    coloured = _skin_coloured(lab, ~mask)
    skin = coloured & (_skin_share(pixels, mask) > 128)
    if not skin.any():
        return pixels.copy()
    own = max(float(np.median(lab[..., 0][skin])), 1.0)
    lightness, yellowness = SKIN_TONES[tone]
    tones = sorted(SKIN_TONES.values())
    usual = np.interp(own, [tone[0] for tone in tones], [tone[1] for tone in tones])
    share = _blurred(255 * (~mask & coloured).astype(np.uint8), 0.01 * pixels.shape[1]) / np.float32(255)
    lit = np.clip(lab[..., 0] / own, 0, 1)  # what is black stays black
    lab[..., 0] = np.clip(lab[..., 0] * (1 + share * (lightness / own - 1)), 0, 100)
    lab[..., 2] += share * lit * np.float32(yellowness - usual)
    return np.where((share > 0)[..., None], from_lab(lab), pixels)


def _skin_coloured(lab: NDArray[np.float32], around: Mask) -> Mask:
    """Which pixels [H, W] of CIELAB [H, W, 3] have a colour that skin has in any light: red to yellow, and not grey.

    So cloth, walls and writing in an ordinary photo keep their colours. Where hardly anything `around` the lesion
    [H, W] has such a colour, the picture has a cast, and its colours tell nothing: then all of it counts.
    """
    hue, chroma = np.degrees(np.arctan2(lab[..., 2], lab[..., 1])), np.hypot(lab[..., 1], lab[..., 2])
    found: Mask = (hue > SKIN_HUES[0]) & (hue < SKIN_HUES[1]) & (chroma > SKIN_CHROMA)
    return found if not around.any() or found[around].mean() >= LEAST_SKIN else np.ones_like(found)


def _skin_share(pixels: Pixels, mask: Mask) -> NDArray[np.uint8]:
    """How far each pixel [H, W] is skin, 0..255: neither lesion nor the dark rim of a dermatoscope, with soft edges.

    The lesion's border is seldom quite where the mask has it, so the mask is grown by about a twentieth of the width.
    """
    grown = _blurred(255 * mask.astype(np.uint8), 0.03 * pixels.shape[1]) > 12
    skin = ~grown & (pixels.mean(axis=2) >= DARK_RIM)
    return _blurred(255 * skin.astype(np.uint8), 0.01 * pixels.shape[1])


def _smooth_skin(pixels: Pixels, skin: NDArray[np.float32]) -> NDArray[np.float32]:
    """The skin's colour [H, W, 3] without its fine texture, carried on under whatever is not skin.

    `skin` [H, W] is a share in 0..1. (Knutsson and Westin 1993, "Normalized and differential convolution".)
    """
    values, sigma = pixels.astype(np.float32), 0.08 * pixels.shape[1]
    known = skin[..., None]
    total = np.maximum(known.sum(axis=(0, 1)), 1)
    mean = (values * known).sum(axis=(0, 1)) / total
    # Far from any skin its mean takes over.
    stacked = np.concatenate([values * known, known], axis=2)
    smooth = np.stack([_coarsely_blurred(stacked[..., i], sigma) for i in range(4)], axis=-1)
    result: NDArray[np.float32] = (smooth[..., :3] + 0.01 * mean) / (smooth[..., 3:] + 0.01)
    return result


def _coarsely_blurred(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """[H, W] with a wide Gaussian, computed at a quarter of the size."""
    image = Image.fromarray(values)
    small = image.resize((max(1, image.width // 4), max(1, image.height // 4)), Image.Resampling.BOX)
    blurred = gaussian_filter(np.asarray(small), sigma / 4, mode="nearest", truncate=3.0)
    return np.asarray(Image.fromarray(blurred).resize(image.size, Image.Resampling.BICUBIC))


def _blurred(values: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(values).filter(ImageFilter.GaussianBlur(sigma)))


def _resized(values: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.LANCZOS))


def _pixels(values: NDArray[np.float32]) -> Pixels:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
