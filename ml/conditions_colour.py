"""Colour arithmetic behind `ml.conditions`: linear light, CIELAB, illuminants and skin tones, on float32 arrays.

sRGB and its linear light are those of IEC 61966-2-1:1999; CIELAB is CIE 15:2018 with the white of illuminant D65.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

DAYLIGHT_KELVIN = 6504.0
"""Colour temperature of the light for which a picture counts as balanced."""

_LEVELS = np.arange(256) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(np.float32)
_RGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_FROM_RELATIVE_XYZ = np.linalg.inv(_RGB_TO_XYZ / _RGB_TO_XYZ.sum(axis=1, keepdims=True)).astype(np.float32)


def to_linear(pixels: Pixels) -> Floats:
    """sRGB 0..255 -> linear light 0..1, of the same shape."""
    return _LINEAR[pixels]


def from_linear(light: Floats) -> Pixels:
    """Linear light [..., 3] -> sRGB 0..255; what lies outside 0..1 is clipped, as a sensor clips it."""
    light = np.clip(light, 0, 1)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** np.float32(1 / 2.4) - 0.055)
    pixels: Pixels = np.rint(255 * encoded).astype(np.uint8)
    return pixels


def from_lab(lab: Floats) -> Pixels:
    """CIELAB [..., 3] -> sRGB [..., 3], the inverse of `ml.features.cielab`; colours that sRGB has not are clipped."""
    y = (lab[..., 0] + 16) / 116
    root = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    relative = np.where(root > 6 / 29, root**3, (116 * root - 16) * 27 / 24389).astype(np.float32)
    return from_linear(relative @ _FROM_RELATIVE_XYZ.T)


def temperature_gains(kelvin: float) -> Floats:
    """Gain [3] of red, green and blue in linear light when a picture balanced for daylight is lit at `kelvin`.

    Luminance stays. Chromaticity of the Planckian locus by the cubic fits of Kang et al. 2002, "Design of advanced
    color temperature control system for HDTV applications", good from 1667 K to 25000 K; ValueError outside.
    """
    gains = _planckian(kelvin) / _planckian(DAYLIGHT_KELVIN)
    gains /= _RGB_TO_XYZ[1] @ gains
    return gains.astype(np.float32)


def _planckian(kelvin: float) -> NDArray[np.float64]:
    """Linear sRGB [3] of a black body at luminance 1."""
    if not 1667 <= kelvin <= 25000:
        raise ValueError("a colour temperature from 1667 to 25000 K")
    t = 1000 / kelvin
    if kelvin < 4000:
        x = np.polyval([-0.2661239, -0.2343589, 0.8776956, 0.179910], t)
        cubic = (
            [-1.1063814, -1.34811020, 2.18555832, -0.20219683]
            if kelvin < 2222
            else [-0.9549476, -1.37418593, 2.09137015, -0.16748867]
        )
    else:
        x = np.polyval([-3.0258469, 2.1070379, 0.2226347, 0.240390], t)
        cubic = [3.0817580, -5.87338670, 3.75112997, -0.37001483]
    y = np.polyval(cubic, x)
    rgb: NDArray[np.float64] = np.linalg.solve(_RGB_TO_XYZ, np.array([x / y, 1.0, (1 - x - y) / y]))
    return rgb
