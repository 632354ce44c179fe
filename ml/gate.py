"""Is this a usable photo of a lesion? Checks of the pixels, then of how the network's features see the picture."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ml.calibration import softmax
from ml.gate_quality import blank, fault, quality_limits
from ml.screening import NOT_DERMATOSCOPIC, NOT_SKIN, POOR_QUALITY, USABLE, Gate

Floats = NDArray[np.float64]

KINDS = (USABLE, NOT_DERMATOSCOPIC, NOT_SKIN)
"""The classes of the gate's own small head."""
CLEARLY = 0.5
"""Probability from which a picture of poor quality is called what it shows instead of poor."""
NEIGHBOURS = 8
BANK_SIZE = 1500
COMPONENTS = 48
HELD_OUT = 0.3
"""Share of the pictures of other things that is kept from the fit, for measuring the gate."""

@dataclass(frozen=True)
class GateModel:
    """The fitted gate: tensors as in `gate.safetensors`, limits as in the card."""

    arrays: Mapping[str, NDArray[np.float32]]
    limits: Mapping[str, float]

    def judge(self, scores: dict[str, float], features: NDArray[np.float32]) -> Gate:
        """The verdict on one photo from its `quality_scores` and its pooled features [D].

        Pictures that are clearly something else are named so first: a dark cat is a cat.
        """
        scores = {name: round(value, 4) for name, value in {**scores, **self.feature_scores(features)}.items()}
        empty = blank(scores)
        if empty is not None:
            return Gate.refused(NOT_SKIN, empty.reason, scores, empty.limit)
        poor = fault(scores, self.limits)
        other = NOT_SKIN if scores[NOT_SKIN] >= scores[NOT_DERMATOSCOPIC] else NOT_DERMATOSCOPIC
        if poor is not None and (poor.reason == "too_small" or scores[other] < CLEARLY):
            return Gate.refused(POOR_QUALITY, poor.reason, scores, poor.limit)
        if scores[USABLE] < self.limits[USABLE]:
            return Gate.refused(other, other, scores)
        if poor is not None:
            return Gate.refused(POOR_QUALITY, poor.reason, scores, poor.limit)
        if scores["novelty"] > self.limits["novelty"]:
            return Gate.refused(NOT_SKIN, "not_skin", scores)
        return Gate(USABLE, scores=scores)

    def components(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pooled features [D] in the principal components of the training pictures [K]."""
        unit = standardise(self.arrays, features[None])
        found: NDArray[np.float32] = (unit @ self.arrays["components"].T)[0].astype(np.float32)
        return found

    def feature_scores(self, features: NDArray[np.float32]) -> dict[str, float]:
        """`novelty` (distance to training pictures) and, where a head was fitted, the probability of each kind."""
        unit = standardise(self.arrays, features[None])
        novelty = float(neighbour_distance(unit @ self.arrays["components"].T, self.arrays["bank"])[0])
        if "head_weight" not in self.arrays:
            return {"novelty": novelty, USABLE: 1.0, NOT_DERMATOSCOPIC: 0.0, NOT_SKIN: 0.0}
        logits = unit @ self.arrays["head_weight"].T.astype(np.float64) + self.arrays["head_bias"]
        return {"novelty": novelty, **dict(zip(KINDS, map(float, softmax(logits)[0]), strict=True))}


def is_held_out(name: str) -> bool:
    """Whether the picture with this file name is kept from the fit of every gate, by a digest of the name."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 0x1_0000_0000 < HELD_OUT


def standardise(arrays: Mapping[str, NDArray[np.float32]], features: NDArray[np.float32]) -> Floats:
    """Features [N, D] with the training mean taken off and divided by the training deviation."""
    result: Floats = (features.astype(np.float64) - arrays["mean"]) / arrays["deviation"]
    return result


def neighbour_distance(points: Floats, bank: NDArray[np.float32]) -> Floats:
    """Mean Euclidean distance [N] from points [N, K] to their nearest `NEIGHBOURS` in the bank [M, K].

    (Sun, Ming, Zhu, Li 2022, "Out-of-distribution detection with deep nearest neighbors".)
    """
    squares = (points**2).sum(1)[:, None] + (bank.astype(np.float64) ** 2).sum(1) - 2 * points @ bank.T
    nearest = np.partition(squares, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    result: Floats = np.sqrt(np.maximum(nearest, 0)).mean(axis=1)
    return result


def fit_gate(
    training: NDArray[np.float32],
    validation: NDArray[np.float32],
    qualities: Sequence[dict[str, float]],
    others: Mapping[str, NDArray[np.float32]],
    refused: float = 0.01,
    seed: int = 0,
) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]]:
    """Arrays for `gate.safetensors` and the limits for the card.

    `training` [N, D] and `validation` [M, D] are features of usable pictures; `qualities` the quality scores of
    training pictures; `others` features of pictures by kind ('not_skin', 'not_dermatoscopic'), possibly none. Each of
    the two feature limits is set where it refuses the share `refused` of the validation pictures.
    """
    training = training.astype(np.float32)
    arrays = {"mean": training.mean(axis=0), "deviation": training.std(axis=0) + 1e-3}
    unit = standardise(arrays, training)
    _, _, directions = np.linalg.svd(unit[:4000], full_matrices=False)
    arrays["components"] = directions[:COMPONENTS].astype(np.float32)
    rows = np.random.default_rng(seed).permutation(len(unit))[:BANK_SIZE]
    arrays["bank"] = (unit[rows] @ arrays["components"].T).astype(np.float32)
    arrays = {name: values.astype(np.float32) for name, values in arrays.items()}
    held = standardise(arrays, validation)
    novelty = neighbour_distance(held @ arrays["components"].T, arrays["bank"])
    limits = {"novelty": float(np.quantile(novelty, 1 - refused)), USABLE: 0.0}
    if others:
        points = np.concatenate([unit, *(standardise(arrays, others[kind]) for kind in KINDS[1:] if kind in others)])
        kinds = [0] * len(unit)
        for position, kind in enumerate(KINDS[1:], start=1):
            kinds += [position] * len(others.get(kind, ()))
        weight, bias = fit_softmax(points, np.array(kinds), len(KINDS))
        arrays["head_weight"], arrays["head_bias"] = weight.astype(np.float32), bias.astype(np.float32)
        usable = softmax(held @ weight.T + bias)[:, 0]
        limits[USABLE] = min(0.5, float(np.quantile(usable, refused)))
    limits.update(quality_limits(qualities))
    return arrays, {"limits": limits, "accepts": USABLE, "fitted_on": {k: len(v) for k, v in others.items()}}


def fit_softmax(points: Floats, kinds: NDArray[np.int64], classes: int, penalty: float = 1e-3) -> tuple[Floats, Floats]:
    """Multinomial logistic regression, every class of equal weight: weight [classes, D] and bias [classes]."""
    count, width = points.shape
    share = np.bincount(kinds, minlength=classes).astype(np.float64)
    importance = (1.0 / np.maximum(share, 1))[kinds] / np.count_nonzero(share)

    def objective(values: Floats) -> tuple[float, Floats]:
        weight, bias = values[:-classes].reshape(classes, width), values[-classes:]
        probabilities = softmax(points @ weight.T + bias)
        loss = -(importance * np.log(np.maximum(probabilities[np.arange(count), kinds], 1e-12))).sum()
        error = probabilities * importance[:, None]
        error[np.arange(count), kinds] -= importance
        gradient = np.concatenate([(error.T @ points + 2 * penalty * weight).ravel(), error.sum(axis=0)])
        return float(loss + penalty * (weight**2).sum()), gradient

    start = np.zeros(classes * width + classes)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return found.x[:-classes].reshape(classes, width), found.x[-classes:]
