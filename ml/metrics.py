"""Figures of merit of a classifier: pure functions of arrays.

Shapes: `labels` and `predicted` are class indices [N]; `probabilities` is [N, C] with rows that sum to one; `positive`
is a boolean vector [N]; `scores` is [N], higher meaning more likely positive. `weights`, where a function takes it,
is [N] or [R, N]: how often each image counts. With [R, N] the result has a leading axis of R, one value per row of
weights, which is how a bootstrap evaluates a thousand resamples at once. Without it every image counts once.

A figure that is not defined (the recall of a class that does not occur, say) is NaN; averages leave it out.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

CALIBRATION_BINS = 15


def confusion_matrix(labels: Ints, predicted: Ints, classes: int, weights: Floats | None = None) -> Floats:
    """Count of images by true class (rows) and predicted class (columns): [..., C, C]."""
    cells = labels * classes + predicted
    counts = _sum_by(cells, classes * classes, _weights(weights, len(labels)))
    return counts.reshape(*counts.shape[:-1], classes, classes)


def accuracy(matrix: Floats) -> Floats:
    """Share of images whose class is right, of a confusion matrix [..., C, C]."""
    return _ratio(np.trace(matrix, axis1=-2, axis2=-1), matrix.sum(axis=(-2, -1)))


def recall(matrix: Floats) -> Floats:
    """Share of each true class that is found, [..., C]; NaN for a class that does not occur."""
    return _ratio(_diagonal(matrix), matrix.sum(axis=-1))


def precision(matrix: Floats) -> Floats:
    """Share of the images given each class that belong to it, [..., C].

    0 for a class that occurs but is never predicted, NaN for one that neither occurs nor is predicted.
    """
    value = _ratio(_diagonal(matrix), matrix.sum(axis=-2))
    return np.where(np.isnan(value) & (matrix.sum(axis=-1) > 0), 0.0, value)


def f1(matrix: Floats) -> Floats:
    """Harmonic mean of precision and recall of each class, [..., C]; NaN where a class neither occurs nor is given."""
    return _ratio(2 * _diagonal(matrix), matrix.sum(axis=-1) + matrix.sum(axis=-2))


def balanced_accuracy(matrix: Floats) -> Floats:
    """Mean recall over the classes that occur."""
    return mean_defined(recall(matrix))


def quadratic_kappa(matrix: Floats) -> Floats:
    """Cohen's kappa with quadratic weights, of a confusion matrix of ordered classes [..., C, C].

    1 for agreement, 0 for no more than chance gives. NaN where chance leaves nothing to disagree about.

    (Cohen 1968, "Weighted kappa".)
    """
    classes = matrix.shape[-1]
    distance = (np.arange(classes)[:, None] - np.arange(classes)) ** 2.0
    expected = matrix.sum(axis=-1)[..., :, None] * matrix.sum(axis=-2)[..., None, :]
    total = matrix.sum(axis=(-2, -1))
    return 1 - _ratio((distance * matrix).sum(axis=(-2, -1)) * total, (distance * expected).sum(axis=(-2, -1)))


def macro_f1(matrix: Floats) -> Floats:
    """Mean F1 over the classes that occur or are predicted."""
    return mean_defined(f1(matrix))


def auroc(positive: Bools, scores: Floats, weights: Floats | None = None) -> Floats:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    By ranks (Mann-Whitney), so exact with ties. NaN where only one of the two kinds is present.
    """
    order = np.argsort(scores, kind="stable")
    weight = _weights(weights, len(scores))[..., order]
    ups, downs = weight * positive[order], weight * ~positive[order]
    starts = _starts_of_ties(scores[order])
    ups_tied, downs_tied = np.add.reduceat(ups, starts, axis=-1), np.add.reduceat(downs, starts, axis=-1)
    downs_below = np.cumsum(downs_tied, axis=-1) - downs_tied
    wins = (ups_tied * (downs_below + downs_tied / 2)).sum(axis=-1)
    return _ratio(wins, ups.sum(axis=-1) * downs.sum(axis=-1))


def auroc_per_class(labels: Ints, probabilities: Floats, weights: Floats | None = None) -> Floats:
    """AUROC of each class against all others, [..., C]."""
    classes = probabilities.shape[1]
    return np.stack([auroc(labels == c, probabilities[:, c], weights) for c in range(classes)], axis=-1)


def macro_auroc(labels: Ints, probabilities: Floats, weights: Floats | None = None) -> Floats:
    """Mean of the one-against-the-rest AUROC over the classes where it is defined."""
    return mean_defined(auroc_per_class(labels, probabilities, weights))


def sensitivity(positive: Bools, flagged: Bools, weights: Floats | None = None) -> Floats:
    """Share of the positives that are flagged."""
    weight = _weights(weights, len(positive))
    return _ratio(weight @ (positive & flagged), weight @ positive)


def specificity(positive: Bools, flagged: Bools, weights: Floats | None = None) -> Floats:
    """Share of the negatives that are not flagged."""
    return sensitivity(~positive, ~flagged, weights)


class Curve(NamedTuple):
    """A curve swept by a threshold from high to low: flagged are the scores at or above it."""

    x: Floats
    y: Floats
    thresholds: Floats


def roc_curve(positive: Bools, scores: Floats) -> Curve:
    """False positive rate (x) and sensitivity (y) at every distinct score, from (0, 0) at +inf to (1, 1)."""
    thresholds, hits, alarms = _counts_at_thresholds(positive, scores)
    x, y = _ratio(alarms, alarms[-1]), _ratio(hits, hits[-1])
    start = np.zeros(1)
    return Curve(np.append(start, x), np.append(start, y), np.append([np.inf], thresholds))


def precision_recall_curve(positive: Bools, scores: Floats) -> Curve:
    """Recall (x) and precision (y) at every distinct score, from the highest score down."""
    thresholds, hits, alarms = _counts_at_thresholds(positive, scores)
    return Curve(_ratio(hits, hits[-1]), _ratio(hits, hits + alarms), thresholds)


def average_precision(positive: Bools, scores: Floats) -> float:
    """Precision averaged over the steps of recall (no interpolation); NaN without positives."""
    curve = precision_recall_curve(positive, scores)
    return float((np.diff(curve.x, prepend=0.0) * curve.y).sum())


def brier_score(labels: Ints, probabilities: Floats, weights: Floats | None = None) -> Floats:
    """Mean squared distance between the probabilities and the truth, summed over classes: 0 (perfect) to 2.

    The original definition for several classes (Brier, "Verification of forecasts expressed in terms of
    probability", 1950).
    """
    truth = np.eye(probabilities.shape[1])[labels]
    weight = _weights(weights, len(labels))
    return _ratio(weight @ ((probabilities - truth) ** 2).sum(axis=1), weight.sum(axis=-1))


class ReliabilityBins(NamedTuple):
    """Stated confidence against what came true, in equal-width bins over (0, 1], each [..., B]."""

    images: Floats
    confidence: Floats  # mean stated probability, NaN in an empty bin
    frequency: Floats  # share that came true, NaN in an empty bin


def reliability_bins(
    confidence: Floats, correct: Bools, bins: int = CALIBRATION_BINS, weights: Floats | None = None
) -> ReliabilityBins:
    """Sort statements of confidence [N] into bins; bin b holds (b / bins, (b + 1) / bins], the first also 0."""
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    weight = _weights(weights, len(confidence))
    count = _sum_by(index, bins, weight)
    stated, true = _sum_by(index, bins, weight * confidence), _sum_by(index, bins, weight * correct)
    return ReliabilityBins(count, _ratio(stated, count), _ratio(true, count))


def calibration_error(
    confidence: Floats, correct: Bools, bins: int = CALIBRATION_BINS, weights: Floats | None = None
) -> Floats:
    """Mean gap between stated confidence and what came true, over bins weighted by their count: 0 to 1."""
    table = reliability_bins(confidence, correct, bins, weights)
    gaps = np.where(table.images > 0, table.images * np.abs(table.confidence - table.frequency), 0.0)
    return _ratio(gaps.sum(axis=-1), table.images.sum(axis=-1))


def expected_calibration_error(
    labels: Ints, probabilities: Floats, bins: int = CALIBRATION_BINS, weights: Floats | None = None
) -> Floats:
    """Calibration error of the top class (Guo et al., "On calibration of modern neural networks", 2017)."""
    correct = probabilities.argmax(axis=1) == labels
    return calibration_error(probabilities.max(axis=1), correct, bins, weights)


def classwise_calibration_error(
    labels: Ints, probabilities: Floats, bins: int = CALIBRATION_BINS, weights: Floats | None = None
) -> Floats:
    """Calibration error of every class's own probability, averaged over classes (Kull et al., "Beyond temperature
    scaling: obtaining well-calibrated multi-class probabilities with Dirichlet calibration", 2019)."""
    each = [calibration_error(probabilities[:, c], labels == c, bins, weights) for c in range(probabilities.shape[1])]
    return mean_defined(np.stack(each, axis=-1))


def wilson_interval(successes: float, total: float, level: float = 0.95) -> tuple[float, float]:
    """Interval of a proportion (Wilson, "Probable inference, the law of succession, and statistical inference", 1927).

    `successes` of `total` independent trials; (NaN, NaN) without trials.
    """
    if total <= 0:
        return math.nan, math.nan
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share = successes / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_defined(values: Floats) -> Floats:
    """Mean over the last axis without the NaNs; NaN where there is nothing else."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))


def _weights(weights: Floats | None, count: int) -> Floats:
    return np.ones(count) if weights is None else weights


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Quotient, NaN where the denominator is zero."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    quotient: Floats = np.divide(top, bottom, out=np.full(bottom.shape, np.nan), where=bottom != 0)
    return quotient


def _diagonal(matrix: Floats) -> Floats:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _sum_by(index: Ints, size: int, weight: Floats) -> Floats:
    """Sum of the weights [..., N] by index [N]: [..., size]."""
    total: Floats = weight @ np.eye(size)[index]
    return total


def _starts_of_ties(ordered: Floats) -> Ints:
    """Where each run of equal values begins."""
    return np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))


def _counts_at_thresholds(positive: Bools, scores: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct scores, high to low, with the positives and the negatives at or above each."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    hits, alarms = np.cumsum(positive[order])[ends], np.cumsum(~positive[order])[ends]
    return ordered[ends], hits.astype(np.float64), alarms.astype(np.float64)
