"""What a fault in a photo does to answers: figures of each step, paired with the same pictures as they are.

A model should refuse before it errs. It errs at a step where the answered pictures do worse than the very same pictures
unchanged, by more than chance: the 95 % interval of the change of their balanced accuracy lies below 0, or that of the
change of malignant pictures answered "benign" lies above 0. It refuses in time where at least half of the pictures at
that step are refused.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml import metrics
from ml.bootstrap import bootstrap
from ml.labels import Status, Taxonomy
from ml.metrics import Bools, Floats, Ints
from ml.predictions import gate_counts
from ml.screening import Gate

REFUSED_IN_TIME = 0.5
"""Share of refused pictures from which a model counts as refusing a step."""

MIN_ANSWERED = 10
"""Answered pictures below which nothing is said of how the answers did."""

HOLDS, REFUSES, ERRS = "holds", "refuses_first", "errs_first"

PROTOCOL = (
    "One image a lesion, as many lesions of each class as there are up to an equal share, one image at a time. "
    "'balanced_accuracy' is over all images whatever the gate says of them, 'answered_balanced_accuracy' over those "
    "that it lets pass; 'change' and 'answered_change' are how far these lie from the balanced accuracy of the same "
    "images unchanged. Of all malignant images, 'malignant_watched' were answered malignant or uncertain, "
    "'malignant_refused' refused and 'malignant_called_benign' answered benign; 'called_benign_change' is the change "
    "of the last. 'status_flips' and 'class_flips' are shares of the images answered both unchanged and at this step. "
    "'risk_change' is the mean change of malignant risk. Intervals are 95 % percentile intervals from a bootstrap over "
    "lesions."
)

_SCORES = ("brightness", "contrast", "sharpness", "novelty")


@dataclass(frozen=True)
class Answers:
    """Answers to N images at one step: `labels` [N] are the true class indices, `lesions` [N] the lesion of each.

    `probabilities` [N, C], calibrated, and `predicted` [N], the index of the class that the model names, are there
    whatever the gate says; `statuses` and `gates` [N] are what a person would have been told.
    """

    taxonomy: Taxonomy
    images: tuple[str, ...]
    labels: Ints
    lesions: tuple[str, ...]
    probabilities: Floats
    predicted: Ints
    statuses: tuple[str, ...]
    gates: tuple[Gate, ...]

    def malignant(self) -> Bools:
        """Whether the true class is a malignant one, [N]."""
        malignant: Bools = np.isin(self.labels, self.taxonomy.malignant)
        return malignant

    def risk(self) -> Floats:
        """Sum of the probabilities of the malignant classes, [N]."""
        total: Floats = self.probabilities[:, list(self.taxonomy.malignant)].sum(axis=1)
        return total

    def has_status(self, status: Status) -> Bools:
        """Whether each image was given this status, [N]."""
        given: Bools = np.array(self.statuses) == status.value
        return given


def measure_step(now: Answers, before: Answers, *, resamples: int, seed: int) -> dict[str, Any]:
    """Figures of the same N images at one step (`now`) and unchanged (`before`), as plain JSON types.

    An undefined figure is None. For a label set without malignant classes those about malignancy are left out.
    """
    spans = bootstrap(lambda weights: _figures(now, before, weights), now.lesions, resamples=resamples, seed=seed)
    names = {name for gate in now.gates for name in gate.scores}
    return {
        **{name: _number(span.value) for name, span in spans.items()},
        "answered": int((~now.has_status(Status.REFUSED)).sum()),
        "gate": gate_counts(now.gates),
        "scores": {
            name: _number(float(np.median([gate.scores[name] for gate in now.gates])))
            for name in _SCORES
            if name in names
        },
        "intervals": {name: [_number(span.low), _number(span.high)] for name, span in spans.items()},
    }


def _figures(now: Answers, before: Answers, weights: Floats) -> dict[str, Floats]:
    refused = now.has_status(Status.REFUSED)
    answered = weights * ~refused
    both = weights * (~refused & ~before.has_status(Status.REFUSED))
    everything, own = _balanced_accuracy(now, weights), _balanced_accuracy(now, answered)
    found = {
        "balanced_accuracy": everything,
        "change": everything - _balanced_accuracy(before, weights),
        "answered_balanced_accuracy": own,
        "answered_change": own - _balanced_accuracy(before, answered),
        "refused": _share(refused, weights),
        "class_flips": _share(now.predicted != before.predicted, both),
        "status_flips": _share(np.array(now.statuses) != np.array(before.statuses), both),
    }
    if not now.taxonomy.malignant:
        return found
    malignant = weights * now.malignant()
    benign, was_benign = now.has_status(Status.BENIGN), before.has_status(Status.BENIGN)
    return found | {
        "malignant_watched": _share(~refused & ~benign, malignant),
        "malignant_refused": _share(refused, malignant),
        "malignant_called_benign": _share(benign, malignant),
        "called_benign_change": _share(benign, malignant) - _share(was_benign, malignant),
        "risk_change": _mean(now.risk() - before.risk(), weights),
        "malignant_risk_change": _mean(now.risk() - before.risk(), malignant),
    }


@dataclass(frozen=True)
class Verdict:
    """Whether a model refuses a condition before it errs: `kind` is one of `holds`, `refuses_first`, `errs_first`;
    `erring` are the steps (from 0) where it errs, `unrefused` those of them that it does not refuse in time."""

    kind: str
    erring: tuple[int, ...]
    unrefused: tuple[int, ...]
    sentence: str


def judge(title: str, names: Sequence[str], steps: Sequence[Mapping[str, Any]]) -> Verdict:
    """The verdict on one condition, from `measure_step` of each of its steps and how each step is written."""
    erring = tuple(i for i, step in enumerate(steps) if errs(step))
    unrefused = tuple(i for i in erring if steps[i]["refused"] < REFUSED_IN_TIME)
    spared = [
        i
        for i, step in enumerate(steps)
        if step["refused"] >= REFUSED_IN_TIME and (i in erring or _below_zero(step["intervals"]["change"]))
    ]
    if not erring and not spared:
        most = max(range(len(steps)), key=lambda i: steps[i]["refused"])
        share = steps[most]["refused"]
        tail = f", though up to {share:.0%} of the pictures are refused (at {names[most]})" if share >= 0.1 else ""
        return Verdict(HOLDS, (), (), f"{title}: no step makes the answered pictures measurably worse{tail}.")
    if not unrefused:
        first, last = spared[0], spared[-1]
        more = f", {steps[last]['refused']:.0%} at {names[last]}" if last != first else ""
        return Verdict(
            REFUSES, erring, (),
            f"{title}: it refuses before it errs. Without the gate answers would worsen at {names[first]}; "
            f"{steps[first]['refused']:.0%} are refused there{more}.",
        )  # fmt: skip
    first = unrefused[0]
    return Verdict(
        ERRS, erring, unrefused,
        f"{title}: it errs before it refuses, at {', '.join(names[i] for i in unrefused)}. At {names[first]}, where "
        f"{steps[first]['refused']:.0%} are refused, {_harm(steps[first])}.",
    )  # fmt: skip


def errs(step: Mapping[str, Any]) -> bool:
    """Whether the answers at a step are worse than those to the same pictures unchanged, by more than chance."""
    return _falls(step) or _hides(step)


def _falls(step: Mapping[str, Any]) -> bool:
    return step["answered"] >= MIN_ANSWERED and _below_zero(step["intervals"]["answered_change"])


def _below_zero(bounds: Sequence[float | None]) -> bool:
    return bounds[1] is not None and bounds[1] < 0


def _hides(step: Mapping[str, Any]) -> bool:
    low = step["intervals"].get("called_benign_change", (None, None))[0]
    return low is not None and low > 0


def tone_sentence(figures: Mapping[str, Any]) -> str:
    """What becomes of answers when only the skin around the lesion takes other tones, from `conditions.json`."""
    (condition,) = (condition for condition in figures["conditions"] if condition["name"] == "skin_tone")
    steps, names = condition["steps"], [step["step"] for step in condition["steps"]]
    flips = [None if step["status_flips"] is None else f"{step['status_flips']:.0%}" for step in steps]
    refused = [f"{step['refused']:.0%}" for step in steps]
    parts = [
        "When only the tone of the skin around the lesion moves, "
        f"{_listed(names, flips, 'of the pictures answered before and after get another status')}.",
        f"{_listed(names, refused, 'are refused')}.",
    ]
    if all(step.get("risk_change") is not None for step in steps):
        changes = [
            f"{_points(step['risk_change'])} ({' to '.join(map(_points, step['intervals']['risk_change']))})"
            for step in steps
        ]
        parts.append(f"The mean malignant risk changes by {_listed(names, changes, 'percentage points')}.")
    return " ".join(parts)


def _points(share: float) -> str:
    return f"{round(100 * share):+d}"


def _listed(names: Sequence[str], values: Sequence[str | None], what: str) -> str:
    """Values as "a `what` at tone I, b at II and c at III"; those that are None are left out."""
    told = [(value, name) for name, value in zip(names, values, strict=True) if value is not None]
    if not told:
        return f"none {what}"
    parts = [f"{told[0][0]} {what} at tone {told[0][1]}", *(f"{value} at {name}" for value, name in told[1:])]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _harm(step: Mapping[str, Any]) -> str:
    parts = []
    if _falls(step):
        low, high = step["intervals"]["answered_change"]
        parts.append(
            f"the balanced accuracy of the answered falls by {-100 * step['answered_change']:.0f} points "
            f"({-100 * high:.0f} to {-100 * low:.0f})"
        )
    if _hides(step):
        now, change = step["malignant_called_benign"], step["called_benign_change"]
        parts.append(f"malignant pictures answered “benign” go from {now - change:.0%} to {now:.0%}")
    return " and ".join(parts)


def _balanced_accuracy(answers: Answers, weights: Floats) -> Floats:
    classes = len(answers.taxonomy.codes)
    matrix = metrics.confusion_matrix(answers.labels, answers.predicted, classes, weights)
    return metrics.balanced_accuracy(matrix)


def _share(chosen: Bools, weights: Floats) -> Floats:
    return _mean(chosen.astype(np.float64), weights)


def _mean(values: Floats, weights: Floats) -> Floats:
    """Weighted mean of [N] under each row of weights [R, N]: [R]; NaN where a row has no weight."""
    total = weights.sum(axis=-1)
    mean: Floats = np.divide(weights @ values, total, out=np.full(total.shape, np.nan), where=total > 0)
    return mean


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
