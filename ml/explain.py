"""Which regions of a picture raised the score of a class most: Grad-CAM in closed form, and its picture.

Grad-CAM (Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization")
weights each map of the last convolution by the mean gradient of the class's score with respect to it. In these networks
nothing lies between those maps and the score but average pooling and the head Linear - ReLU - Dropout - Linear, so
that the gradient is a product of two small matrices and no backward pass is needed.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.images import thumbnail
from ml.transforms.serving import seen_part

Floats = NDArray[np.float32]

PICTURE_SIDE = 800
"""Longest side, in pixels, of a photo with its heatmap."""

MAX_COVER = 0.7
"""Opacity of the colour where the heatmap is highest; where it is 0 the photo shows through untouched."""

COVER_EXPONENT = 0.75
"""Below 1, so that the colour of faint heat can be told."""

UNSEEN = 0.35
"""Brightness, as a share, of what the network does not see."""

COLOUR_STOPS = (
    (68, 1, 84), (71, 45, 123), (59, 82, 139), (44, 114, 142), (33, 145, 140), (40, 174, 128), (94, 201, 98),
    (173, 220, 48), (253, 231, 37),
)  # fmt: skip
"""Nine evenly spaced colours of viridis (van der Walt and Smith 2015): evenly perceived steps that keep their order for
colour-blind people and in grey. The legend in static/css/components.css has the same."""


def head_gradient(
    features: Floats, weight1: Floats, bias1: Floats, weight2: Floats, classes: NDArray[np.int64]
) -> Floats:
    """Gradient of one class's logit with respect to the pooled features, dropout being off.

    Pooled features [B, D]; the head's first layer [E, D] and [E], its second layer [C, E]; the class wanted of each
    picture [B] -> [B, D] = (weight2[c] * (weight1 f + bias1 > 0)) weight1.
    """
    active = features @ weight1.T + bias1 > 0
    gradient: Floats = (weight2[classes] * active) @ weight1
    return gradient


def class_activation(maps: Floats, gradient: Floats) -> Floats:
    """Grad-CAM of average-pooled maps [B, D, h, w], whose pooled values have this gradient [B, D] -> [B, h, w], from 0.

    Each of the h * w values of a map has an h * w th of the gradient of their mean. Only what raises the score is kept.
    """
    cells = maps.shape[2] * maps.shape[3]
    raised: Floats = np.einsum("bdhw,bd->bhw", maps, gradient / np.float32(cells), optimize=True)
    return np.maximum(raised, 0)


def lay_over(pixels: NDArray[np.uint8], heatmap: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A photo in grey with a heatmap in colour laid over it, RGB [h, w, 3], the longer side at most PICTURE_SIDE.

    Photo [H, W, 3]; heatmap [G, G], 0 to 255, over the square that the network sees (ml.transforms.serving.square).
    What lies outside of that square is darkened.
    """
    photo = thumbnail(pixels, PICTURE_SIDE)
    rows, columns = seen_part(photo.shape[0], photo.shape[1])
    grey = np.asarray(Image.fromarray(photo).convert("L")).astype(np.float32)[..., None]
    picture = np.repeat(UNSEEN * grey, 3, axis=2)
    seen = grey[rows, columns]
    size = (seen.shape[1], seen.shape[0])
    values = Image.fromarray(heatmap.astype(np.float32) / 255)  # not in bytes, whose steps would show
    heat = np.asarray(values.resize(size, Image.Resampling.BICUBIC)).clip(0, 1)
    cover = MAX_COVER * (heat**COVER_EXPONENT)[..., None]
    picture[rows, columns] = (1 - cover) * seen + cover * _colours(heat)
    rounded: NDArray[np.uint8] = np.rint(np.clip(picture, 0, 255)).astype(np.uint8)
    return rounded


def _colours(heat: Floats) -> Floats:
    stops = np.linspace(0, 1, len(COLOUR_STOPS))
    return np.stack([np.interp(heat, stops, channel) for channel in np.transpose(COLOUR_STOPS)], -1, dtype=np.float32)
