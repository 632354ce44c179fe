"""Which regions of a picture raised the score of a class most: Grad-CAM in closed form, and its picture.

Grad-CAM (Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization")
weights each map of the last convolution by the mean gradient of the class's score with respect to it. In these networks
nothing lies between those maps and the score but average pooling and the head Linear - ReLU - Dropout - Linear, so
that the gradient is a product of two small matrices and no backward pass is needed.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


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
