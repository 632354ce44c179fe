"""From logits to probabilities one can read as such, to a named class, and to the two thresholds on risk."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ml import metrics
from ml.bootstrap import bootstrap

Floats = NDArray[np.float64]

ROUNDING = 1e-9


@dataclass(frozen=True)
class Calibration:
    """Logits are divided by `temperature` and shifted by `bias` [C] before the softmax.

    Temperature scaling (Guo, Pleiss, Sun, Weinberger 2017, "On calibration of modern neural networks", section 4.2)
    with a bias per class, which puts back the class frequencies that a weighted loss took out.
    """

    temperature: float
    bias: tuple[float, ...]

    def probabilities(self, logits: Floats) -> Floats:
        """Logits [N, C] -> probabilities [N, C]; rows sum to one."""
        return softmax(logits / self.temperature + np.asarray(self.bias))


def softmax(logits: Floats) -> Floats:
    """Softmax over the last axis, without overflow."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Floats = exponents / exponents.sum(axis=-1, keepdims=True)
    return result


def fit_calibration(logits: Floats, labels: NDArray[np.int64], shrinkage: float = 0.01) -> Calibration:
    """Temperature and bias of least cross-entropy on validation logits [N, C] and labels [N].

    `shrinkage` pulls the biases, squared, towards zero, so that a class with few validation images gets no wild one.
    """
    count, classes = logits.shape

    def objective(values: Floats) -> tuple[float, Floats]:
        scaled = logits * np.exp(-values[0]) + values[1:]
        probabilities = softmax(scaled)
        loss = -np.log(np.maximum(probabilities[np.arange(count), labels], 1e-12)).mean()
        error = probabilities.copy()
        error[np.arange(count), labels] -= 1
        error /= count
        gradient = np.concatenate([[-(error * logits).sum() * np.exp(-values[0])], error.sum(axis=0)])
        gradient[1:] += 2 * shrinkage * values[1:]
        return float(loss + shrinkage * (values[1:] ** 2).sum()), gradient

    found = minimize(
        objective, np.zeros(classes + 1), jac=True, method="L-BFGS-B", bounds=[(-3, 3), *[(-5, 5)] * classes]
    )
    bias = found.x[1:] - found.x[1:].mean()
    return Calibration(float(np.exp(found.x[0])), tuple(float(b) for b in bias))


def named_class(probabilities: Floats, priors: Floats, power: float) -> NDArray[np.int64]:
    """Index [N] of the class to name: the largest p / prior^power, with probabilities [N, C] and priors [C].

    With power 0 it is the most probable class. A higher power names rare classes sooner, so that a dermatofibroma is
    not lost among naevi fifty times as common (Saerens, Latinne, Decaestecker 2002, on adjusting to other priors).
    """
    scores = np.log(np.maximum(probabilities, 1e-12)) - power * np.log(np.maximum(priors, 1e-6))
    chosen: NDArray[np.int64] = scores.argmax(axis=-1)
    return chosen


def fit_prior_power(probabilities: Floats, labels: NDArray[np.int64], priors: Floats) -> float:
    """The power for `named_class` with the best balanced accuracy on validation; the smallest within 0.002 of it."""
    powers = np.linspace(0.0, 1.0, 21)
    present = np.unique(labels)
    figures = []
    for power in powers:
        named = named_class(probabilities, priors, float(power))
        figures.append(np.mean([(named[labels == c] == c).mean() for c in present]))
    best = max(figures)
    return float(next(p for p, f in zip(powers, figures, strict=True) if f >= best - 0.002))


def fit_thresholds(
    risk: Floats, malignant: NDArray[np.bool_], lesions: Sequence[str], sensitivity: float, missed: float
) -> dict[str, float]:
    """The thresholds `malignant` and `uncertain` on validation risk [N], from its malignant images [N].

    Malignant lesions are counted: the images of one, by its name in `lesions` [N], share its weight. `malignant` is the
    highest value whose sensitivity has a lower bound of at least `sensitivity`, of the 95 % interval of a bootstrap
    over lesions. `uncertain` is the highest below which at most the share `missed` of malignant lesions to come is
    expected to fall: of n lesions here, of which the share r lies below, (n r + 1) / (n + 1) <= `missed` (conformal
    risk control, Angelopoulos and others 2022, arXiv:2208.02814; the share r itself says too little, since the
    threshold was chosen on these lesions). Where too few exist to support a bound, a threshold falls to the lowest
    risk among them: flag all of them.
    """
    if not malignant.any():
        return {"malignant": 0.5, "uncertain": 0.1}
    own, names = risk[malignant], np.asarray(lesions)[malignant]
    _, lesion, images = np.unique(names, return_inverse=True, return_counts=True)
    share = 1 / images[lesion]
    everyone = np.ones(len(own), np.bool_)

    def bound(threshold: float) -> float:
        flagged = own >= threshold
        found = bootstrap(lambda times: {"": metrics.sensitivity(everyone, flagged, times * share)}, names.tolist())
        return found[""].low

    values = np.unique(own)
    # Every resample's sensitivity only falls as the threshold rises, and so does the bound.
    first = bisect_left(range(len(values)), True, key=lambda at: bound(float(values[at])) < sensitivity - ROUNDING)
    upper = float(values[max(first - 1, 0)])
    count = lesion.max() + 1
    expected = np.array([share[own < value].sum() + 1 for value in values]) / (count + 1)
    lower = float(values[max(int(np.count_nonzero(expected <= missed + ROUNDING)) - 1, 0)])
    return {"malignant": upper, "uncertain": min(lower, upper)}
