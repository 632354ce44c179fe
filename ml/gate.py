"""Is this a usable photo of a lesion? Checks of the pixels, then of how the network's features see the picture."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ml.calibration import softmax
from ml.drift import quantiles_of
from ml.gate_quality import blank, fault, hint, quality_limits, quality_scores, spare_room, too_small
from ml.gate_texture import texture
from ml.screening import NOT_CLINICAL, NOT_DERMATOSCOPIC, NOT_SKIN, POOR_QUALITY, USABLE, Gate

Floats = NDArray[np.float64]

KINDS = (USABLE, NOT_DERMATOSCOPIC, NOT_SKIN)
"""The classes of the gate's own small head, for a model that was made for dermatoscopic pictures."""
KINDS_BY_PHOTOS = {"dermatoscopic": KINDS, "clinical": (USABLE, NOT_CLINICAL, NOT_SKIN)}
"""The same by what a model was made for (ml.labels.PHOTO_KINDS): the second is skin in the other kind of photos."""
CLEARLY = 0.5
"""Probability from which a picture of poor quality is called what it shows instead of poor."""
REFUSED = {USABLE: 0.015, "novelty": 0.003}
"""Shares of the validation pictures that the head and the distance to training pictures may refuse."""
MOST_ASKED = 0.9
"""Largest limit on the head's probability: a picture that it is surer of is never refused for it."""
PENALTY = 1e-2
"""On the head's squared weights; chosen by cross-validation (docs/gate.md)."""
NEIGHBOURS = 8
BANK_SIZE = 1500
COMPONENTS = 48
HELD_OUT = 0.3
"""Share of the pictures of other things that is kept from the fit, for measuring the gate."""


@dataclass(frozen=True)
class Seen:
    """What the gate sees of N pictures: pooled `features` [N, D] of the network and `texture` [N, T]."""

    features: NDArray[np.float32]
    texture: NDArray[np.float32]

    def together(self) -> Floats:
        """Both side by side, [N, D + T]."""
        return np.concatenate([self.features, self.texture], axis=1).astype(np.float64)


@dataclass(frozen=True)
class GateModel:
    """The fitted gate: tensors as in `gate.safetensors`, limits as in the card, and which photos it was made for."""

    arrays: Mapping[str, NDArray[np.float32]]
    limits: Mapping[str, float]
    photos: str = "dermatoscopic"

    @classmethod
    def from_card(cls, arrays: Mapping[str, NDArray[np.float32]], entry: Mapping[str, Any]) -> "GateModel":
        """The gate that a card's `gate` entry tells of. Raises KeyError where it tells no limits."""
        return cls(arrays, entry["limits"], "clinical" if entry.get("accepts") == "clinical" else "dermatoscopic")

    @property
    def kinds(self) -> tuple[str, str, str]:
        """The classes of its head."""
        return KINDS_BY_PHOTOS[self.photos]

    def judge(
        self, pixels: NDArray[np.uint8], features: NDArray[np.float32], quality: Mapping[str, float] | None = None
    ) -> Gate:
        """The verdict on one photo, RGB [H, W, 3], and its pooled features [D].

        `quality` are its `quality_scores`, where they have been measured already.
        """
        seen = self.scores(Seen(features[None], texture(pixels)[None]))
        return self.decide({**(quality or quality_scores(pixels)), **seen})

    def decide(self, scores: Mapping[str, float]) -> Gate:
        """The verdict from what was measured: `quality_scores`, and those of `scores`.

        Pictures that are clearly something else are named so first: a dark cat is a cat. What could not be measured is
        refused.
        """
        measured = {name: value for name, value in scores.items() if math.isfinite(value)}
        if len(measured) < len(scores):
            return Gate.refused(NOT_SKIN, "not_skin", rounded(measured))
        hopeless = refused_at_sight(scores)
        if hopeless is not None:
            return hopeless
        scores = rounded(scores)
        poor = fault(scores, self.limits)
        other_skin = self.kinds[1]
        other = NOT_SKIN if scores[NOT_SKIN] >= scores[other_skin] else other_skin
        if poor is not None and scores[other] < CLEARLY:
            return Gate.refused(POOR_QUALITY, poor.reason, scores, poor.limit)
        if not scores[USABLE] >= self.limits[USABLE]:
            return Gate.refused(other, other, scores)
        if poor is not None:
            return Gate.refused(POOR_QUALITY, poor.reason, scores, poor.limit)
        if not scores["novelty"] <= self.limits["novelty"]:
            return Gate.refused(NOT_SKIN, "not_skin", scores)
        return Gate(USABLE, tip=hint(scores), scores=scores)

    def components(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pooled features [D] in the principal components of the training pictures [K]."""
        found: NDArray[np.float32] = project(self.arrays, features[None])[0]
        return found

    def scores(self, seen: Seen) -> dict[str, float]:
        """`novelty` (distance to training pictures) of one picture and, by a head if one was fitted, the probability of
        each kind."""
        novelty = float(neighbour_distance(project(self.arrays, seen.features), self.arrays["bank"])[0])
        return {
            "novelty": novelty,
            **dict(zip(self.kinds, map(float, kind_probabilities(self.arrays, seen)[0]), strict=True)),
        }


def refused_at_sight(scores: Mapping[str, float]) -> Gate | None:
    """The refusal of a photo that is blank or too small, whatever a network would see in it; None for any other.

    `quality_scores` decide; whatever else is among the scores is kept with the refusal.
    """
    scores = rounded(scores)
    empty, small = blank(scores), too_small(scores)
    if empty is not None:
        return Gate.refused(NOT_SKIN, empty.reason, scores, empty.limit)
    if small is not None:
        return Gate.refused(POOR_QUALITY, small.reason, scores, small.limit)
    return None


def rounded(scores: Mapping[str, float]) -> dict[str, float]:
    """Scores as they are kept."""
    return {name: round(value, 4) for name, value in scores.items()}


def kind_probabilities(arrays: Mapping[str, NDArray[np.float32]], seen: Seen) -> Floats:
    """The head's probability of each of its kinds [N, 3]; certain of the first where none was fitted."""
    if "head_weight" not in arrays:
        return np.eye(len(KINDS))[[0] * len(seen.features)]
    if "head_mean" in arrays:
        points = (seen.together() - arrays["head_mean"]) / arrays["head_deviation"]
    else:  # a gate from before pictures were seen by their texture too
        points = standardise(arrays, seen.features)
    return softmax(points @ arrays["head_weight"].T.astype(np.float64) + arrays["head_bias"])


def is_held_out(name: str) -> bool:
    """Whether the picture with this file name is kept from the fit of every gate, by a digest of the name."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 0x1_0000_0000 < HELD_OUT


def standardise(arrays: Mapping[str, NDArray[np.float32]], features: NDArray[np.float32]) -> Floats:
    """Features [N, D] with the training mean taken off and divided by the training deviation."""
    result: Floats = (features.astype(np.float64) - arrays["mean"]) / arrays["deviation"]
    return result


def project(arrays: Mapping[str, NDArray[np.float32]], features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pooled features [N, D] in the principal components of the training pictures [N, K]."""
    return (standardise(arrays, features) @ arrays["components"].T.astype(np.float64)).astype(np.float32)


def neighbour_distance(points: NDArray[np.floating], bank: NDArray[np.floating]) -> Floats:
    """Mean Euclidean distance [N] from points [N, K] to their nearest `NEIGHBOURS` (all, of fewer) in the bank [M, K].

    (Sun, Ming, Zhu, Li 2022, "Out-of-distribution detection with deep nearest neighbors".)
    """
    points, bank = points.astype(np.float64), bank.astype(np.float64)  # differences of large squares
    squares = (points**2).sum(1)[:, None] + (bank**2).sum(1) - 2 * points @ bank.T
    count = min(NEIGHBOURS, squares.shape[1])
    nearest = np.partition(squares, count - 1, axis=1)[:, :count]
    result: Floats = np.sqrt(np.maximum(nearest, 0)).mean(axis=1)
    return result


def fit_frame(training: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """What pooled features are seen against: `mean` and `deviation` [D] of those in `training` [N, D], and their first
    principal `components` [K, D] once standardised."""
    training = training.astype(np.float32)
    arrays = {"mean": training.mean(axis=0), "deviation": training.std(axis=0) + 1e-3}
    _, _, directions = np.linalg.svd(standardise(arrays, training[:4000]), full_matrices=False)
    return {**arrays, "components": directions[:COMPONENTS].astype(np.float32)}


def fit_gate(
    training: Seen,
    validation: Seen,
    qualities: Sequence[Mapping[str, float]],
    others: Mapping[str, Seen],
    seed: int = 0,
    frame: Mapping[str, NDArray[np.float32]] | None = None,
    photos: str = "dermatoscopic",
    most_asked: float = MOST_ASKED,
) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]]:
    """Arrays for `gate.safetensors` and the limits for the card.

    `training` and `validation` are usable pictures; `qualities` the quality scores of training pictures; `others`
    pictures by kind (the last two of `KINDS_BY_PHOTOS` for the `photos` that it is made for), possibly none. The limits
    of head and novelty are set where they refuse the shares `REFUSED` of the validation pictures, the latter with room
    where those are few. `frame` (`mean` and `deviation` [D], `components` [K, D]) is kept where given, else fitted to
    the training pictures; `most_asked` is the largest limit on the head. `inputs` in the card are quantiles of what
    was measured, to tell later whether photos drift away: novelty of the validation pictures, else of the training
    pictures.
    """
    arrays = dict(frame or fit_frame(training.features))
    rows = np.random.default_rng(seed).permutation(len(training.features))[:BANK_SIZE]
    arrays["bank"] = project(arrays, training.features[rows])
    if others:
        arrays |= fit_head(training, others, KINDS_BY_PHOTOS[photos])
    arrays = {name: values.astype(np.float32) for name, values in arrays.items()}
    novelty = neighbour_distance(project(arrays, validation.features), arrays["bank"])
    usable = kind_probabilities(arrays, validation)[:, 0]
    limits = {
        "novelty": float(np.quantile(novelty, 1 - REFUSED["novelty"])) * (1 + spare_room(len(novelty))),
        USABLE: min(most_asked, float(np.quantile(usable, REFUSED[USABLE]))) if others else 0.0,
        **quality_limits(qualities),
    }
    return arrays, {
        "limits": limits,
        "accepts": photos if KINDS_BY_PHOTOS[photos][1] in others else "skin",
        "fitted_on": {kind: len(seen.features) for kind, seen in others.items()},
        "inputs": {
            "novelty": quantiles_of(novelty),
            **{
                name: quantiles_of(np.array([scores[name] for scores in qualities]))
                for name in ("brightness", "sharpness", "short_side")
            },
        },
    }


def fit_head(
    usable: Seen, others: Mapping[str, Seen], names: tuple[str, str, str] = KINDS
) -> dict[str, NDArray[np.float32]]:
    """The head that tells usable pictures from `others` by kind: how it standardises, its weights and its bias."""
    groups = [usable.together(), *(others[name].together() for name in names[1:] if name in others)]
    codes = [0, *(code for code, name in enumerate(names) if name in others)]
    mean, deviation = groups[0].mean(axis=0), groups[0].std(axis=0) + 1e-3
    kinds = np.repeat(codes, [len(group) for group in groups])
    weight, bias = fit_softmax((np.concatenate(groups) - mean) / deviation, kinds, len(names))
    fitted = {"head_mean": mean, "head_deviation": deviation, "head_weight": weight, "head_bias": bias}
    return {name: values.astype(np.float32) for name, values in fitted.items()}


def fit_softmax(
    points: Floats, kinds: NDArray[np.int64], classes: int, penalty: float = PENALTY
) -> tuple[Floats, Floats]:
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
