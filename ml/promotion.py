"""May a model take another's place? Their answers to the same pictures, compared lesion by lesion.

Sensitivity is that of what people are told, at each model's own thresholds: a picture that the gate refuses is not
found. Differences are paired, since both models answer the same pictures: their interval comes from a bootstrap that
draws lesions, and is widened where few lesions are told apart, for no resample can show what did not happen once.

Whoever changes these rules raises their version in webapp.promotion.decisions.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ml import metrics
from ml.bootstrap import Interval, bootstrap
from ml.labels import Status, Taxonomy
from ml.metrics import Bools, Floats
from ml.predictions import Predictions

MELANOMA = "mel"
LEVEL = 0.95
Z = 1.959964
ECE_LIMIT = 0.10
"""Largest mean gap between stated confidence and truth, beyond what chance alone makes of as many pictures."""
ECE_WORSE = 0.03
"""How much larger than the other model's the gap may be, where the difference is significant."""
REFUSED_MORE = 0.05
"""How much larger the share of refused pictures may be, where the difference is significant."""
CLEARED_LESS = 0.10
"""How much smaller the share of harmless pictures told to be harmless may be, where the difference is significant."""
SIMULATIONS = 200


@dataclass(frozen=True)
class Paired:
    """One figure of both models with the interval of their difference, challenger minus champion.

    `lesions` are those that the figure rests on; `gained` and `lost` those that only the challenger, or only the
    champion, gets right (half of a lesion's pictures or more); `p` is the exact two-sided probability of such a
    difference by chance (McNemar 1947, "Note on the sampling error of the difference between correlated proportions").
    """

    champion: float | None
    challenger: float | None
    difference: float | None
    low: float | None
    high: float | None
    lesions: int
    gained: int = 0
    lost: int = 0
    p: float | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger may answer, the numbers that it rests on by name, and why not: codes in `reasons`.

    `needed` is, by reason, the number of lesions that could tell, where more of them could.
    """

    passes: bool
    reasons: tuple[str, ...]
    figures: dict[str, Paired]
    calibration: dict[str, float | None]
    serious: tuple[str, ...]
    margin: float
    images: int
    lesions: int
    needed: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def serious_classes(taxonomy: Taxonomy) -> tuple[str, ...]:
    """The classes that must not be missed: the malignant ones, or else the contagious ones."""
    malignant = tuple(taxonomy.codes[index] for index in taxonomy.malignant)
    return malignant or tuple(label.code for label in taxonomy.labels if label.status is Status.INFECTIOUS)


def compare(champion: Predictions, challenger: Predictions, margin: float, *, resamples: int = 2000) -> Verdict:
    """Both models' answers to the same pictures in the same order, held against each other.

    `margin` is the loss of sensitivity, as a share, that must be ruled out at 95 %. Raises ValueError for answers to
    different pictures.
    """
    if [r.sha256 for r in champion.records] != [r.sha256 for r in challenger.records]:
        raise ValueError("the two models answered different pictures")
    taxonomy = champion.taxonomy
    serious = serious_classes(taxonomy)
    alarm = Status.MALIGNANT if taxonomy.malignant else Status.INFECTIOUS
    of_class = np.array([record.label for record in champion.records])
    ill = np.isin(of_class, serious)
    both = (champion, challenger)

    def paired(among: Bools, *told: str) -> Paired:
        one, other = (answers.has_status(*told)[among] for answers in both)
        lesions = [lesion for lesion, a in zip(champion.lesions, among, strict=True) if a]
        return pair(one, other, lesions, resamples=resamples)

    figures = {"sensitivity": paired(ill, alarm)}
    if MELANOMA in serious:
        figures["melanoma"] = paired(of_class == MELANOMA, alarm)
    if taxonomy.malignant:
        figures["examined"] = paired(ill, Status.MALIGNANT, Status.UNCERTAIN)
    figures["cleared"] = paired(~ill, *(s for s in (Status.BENIGN, Status.HEALTHY, Status.UNCERTAIN) if s != alarm))
    figures["refused"] = paired(np.ones(len(ill), np.bool_), Status.REFUSED)
    calibration = _calibration(champion, challenger, resamples)
    reasons, needed = _judge(figures, calibration, margin)
    return Verdict(
        passes=not reasons,
        reasons=tuple(reasons),
        figures=figures,
        calibration=calibration,
        serious=serious,
        margin=margin,
        images=len(champion.records),
        lesions=len(set(champion.lesions)),
        needed=needed,
    )


def pair(champion: Bools, challenger: Bools, lesions: Sequence[str], *, resamples: int, seed: int = 0) -> Paired:
    """The shares of two yes-or-no answers [N] to the same pictures of these `lesions` [N], and their difference.

    The interval holds both that of a bootstrap over lesions and Agresti and Min's (2005, "Simple improved confidence
    intervals for comparing matched proportions"), which is not empty where both models agree on every lesion.
    """
    if not len(lesions):
        return Paired(None, None, None, None, None, 0)
    one, other = champion.astype(np.float64), challenger.astype(np.float64)

    def shares(weights: Floats) -> dict[str, Floats]:
        total = weights.sum(axis=-1)
        difference = weights @ (other - one)
        return {"difference": np.divide(difference, total, out=np.full(total.shape, np.nan), where=total > 0)}

    drawn = bootstrap(shares, lesions, resamples=resamples, seed=seed)["difference"]
    names, place = np.unique(np.asarray(lesions), return_inverse=True)
    sizes = np.bincount(place)
    right = [np.bincount(place, weights=answers) >= sizes / 2 for answers in (one, other)]
    gained, lost = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
    low, high = _agresti_min(gained, lost, len(names))
    return Paired(
        champion=float(one.mean()),
        challenger=float(other.mean()),
        difference=drawn.value,
        low=min(drawn.low, low),
        high=max(drawn.high, high),
        lesions=len(names),
        gained=gained,
        lost=lost,
        p=exact_mcnemar(gained, lost),
    )


def exact_mcnemar(gained: int, lost: int) -> float:
    """Two-sided probability of a split of the differing lesions at least as uneven as this, were both models equal."""
    total = gained + lost
    tail = sum(math.comb(total, k) for k in range(min(gained, lost) + 1)) / 2**total
    return min(1.0, 2.0 * float(tail))


def least_lesions(margin: float) -> int:
    """Lesions below which no answer, not even full agreement, rules out a loss of `margin`, with 97.5 % certainty.

    With n lesions and no loss seen, a loss of up to 1 - 0.025^(1/n) is still possible (Hanley and Lippman-Hand 1983,
    "If nothing goes wrong, is everything all right?").
    """
    return math.ceil(math.log((1 - LEVEL) / 2) / math.log(1 - margin))


def _agresti_min(gained: int, lost: int, lesions: int) -> tuple[float, float]:
    count, up, down = lesions + 2, gained + 0.5, lost + 0.5
    centre = (up - down) / count
    half = Z * math.sqrt(max(0.0, up + down - (up - down) ** 2 / count)) / count
    return max(-1.0, centre - half), min(1.0, centre + half)


def _judge(
    figures: dict[str, Paired], calibration: dict[str, float | None], margin: float
) -> tuple[list[str], dict[str, int]]:
    """The reasons for a refusal, and for each the lesions that could have told."""
    reasons: list[str] = []
    needed: dict[str, int] = {}
    least = least_lesions(margin)
    for name in ("sensitivity", "melanoma", "examined"):
        found = figures.get(name)
        if found is None:
            continue
        if found.lesions < least:
            reasons.append(f"{name}_too_few")
            needed[reasons[-1]] = least
        elif found.low is not None and found.difference is not None and found.low < -margin:
            reasons.append(f"{name}_lower")
            if found.difference > -margin:  # more lesions could tell
                differing = max(1, found.gained + found.lost) / found.lesions
                enough = math.ceil(Z**2 * differing / (margin + found.difference) ** 2)
                needed[reasons[-1]] = max(least, min(enough, 100_000))
    error, worse, surely = (calibration[name] for name in ("beyond_chance", "difference", "difference_low"))
    if error is None or error > ECE_LIMIT:
        reasons.append("calibration_broken")
    elif worse is not None and surely is not None and worse > ECE_WORSE and surely > 0:
        reasons.append("calibration_worse")
    refused, cleared = figures["refused"], figures["cleared"]
    if refused.difference is not None and refused.difference > REFUSED_MORE and (refused.low or 0) > 0:
        reasons.append("refuses_more")
    if cleared.difference is not None and cleared.difference < -CLEARED_LESS and (cleared.high or 0) < 0:
        reasons.append("alarms_more")
    return reasons, needed


def _calibration(champion: Predictions, challenger: Predictions, resamples: int) -> dict[str, float | None]:
    labels = champion.labels

    def errors(weights: Floats) -> dict[str, Floats]:
        each = [
            metrics.expected_calibration_error(labels, p.probabilities, weights=weights) for p in (champion, challenger)
        ]
        return {"champion": each[0], "challenger": each[1], "difference": each[1] - each[0]}

    found: dict[str, Interval] = bootstrap(errors, champion.lesions, resamples=resamples)
    chance = _error_by_chance(challenger.probabilities)
    own = found["challenger"].number()
    return {
        "champion": found["champion"].number(),
        "challenger": own,
        "by_chance": chance,
        "beyond_chance": None if own is None else max(0.0, own - chance),
        "difference": found["difference"].number(),
        "difference_low": found["difference"].bounds()[0],
        "difference_high": found["difference"].bounds()[1],
    }


def _error_by_chance(probabilities: Floats, seed: int = 0) -> float:
    """The calibration error that labels drawn from the probabilities [N, C] themselves have: what few pictures make of
    a perfectly calibrated model (Vaicenavicius and others 2019, "Evaluating model calibration in classification")."""
    rng = np.random.default_rng(seed)
    steps = probabilities.cumsum(axis=1)
    steps /= steps[:, -1:]
    drawn = [
        metrics.expected_calibration_error((rng.random((len(steps), 1)) > steps).sum(axis=1), probabilities)
        for _ in range(SIMULATIONS)
    ]
    return float(np.mean(drawn))
