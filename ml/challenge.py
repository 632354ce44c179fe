"""Champion and challenger on one promotion set: both answer it, and the numbers decide (see ml.promotion)."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from ml import metrics
from ml.bundle import CASES, Bundle
from ml.data.manifest import PROMOTION, Dataset, ImageRecord, load_dataset
from ml.errors import BundleError, DatasetError
from ml.evaluate import BATCH_SIZE, describe_bundle, predict_records, training_overlap
from ml.predictions import Predictions
from ml.promotion import compare
from ml.provenance import met
from ml.screen import Screener
from ml.similar import CaseIndex

Told = Callable[[int, int], None]
RESAMPLES = 2000
EVERY_SKIN = "skin"
"""What a gate `accepts` that was not taught to refuse the other kind of photos (see ml.gate.fit_gate)."""


def challenge(
    champion: Bundle,
    challenger: Bundle,
    folder: Path,
    margin: float,
    *,
    told: Told = lambda done, of: None,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Let both models answer the promotion split of the prepared data in `folder`; whether the challenger may answer
    in the champion's place, and every number that says so, as plain JSON types (`ml.promotion.Verdict` and more).

    `told` is called with images answered and to be answered, those of both models counted. Models that cannot be
    compared (other classes, or images that one has learnt from), and a challenger whose gate was not taught to refuse
    what the champion's refuses, are refused without an answer: then there is no `figures`. Raises DatasetError where
    there is no such split or it cannot be read.
    """
    dataset = _promotion_set(folder)
    of = 2 * len(dataset.split(PROMOTION))

    def answers() -> list[Predictions]:
        first = _answers(champion, dataset, lambda done: told(done, of))
        return [first, _answers(challenger, dataset, lambda done: told(of // 2 + done, of))]

    return _decided(champion, challenger, dataset, margin, answers, resamples)


def challenge_both_ways(
    champion: Bundle, challenger: Bundle, folder: Path, margin: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `challenge` says of the challenger, and of the champion in the challenger's place; both answer only once."""
    dataset = _promotion_set(folder)

    @cache
    def answers() -> list[Predictions]:
        return [_answers(bundle, dataset, lambda done: None) for bundle in (champion, challenger)]

    return (
        _decided(champion, challenger, dataset, margin, answers),
        _decided(challenger, champion, dataset, margin, lambda: answers()[::-1]),
    )


def _promotion_set(folder: Path) -> Dataset:
    dataset = load_dataset(folder)
    if not dataset.split(PROMOTION):
        raise DatasetError(f"{folder} has no promotion split; 'flask data promotion-set' gives it one.")
    return dataset


def _answers(bundle: Bundle, dataset: Dataset, told: Callable[[int], None]) -> Predictions:
    return predict_records(
        Screener(bundle), dataset.folder, dataset.split(PROMOTION), batch_size=BATCH_SIZE, progress=False, told=told
    )


def _decided(
    champion: Bundle,
    challenger: Bundle,
    dataset: Dataset,
    margin: float,
    answers: Callable[[], list[Predictions]],
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """See `challenge`; `answers` gives those of both, and is not called where they cannot be compared."""
    records = dataset.split(PROMOTION)
    common: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "champion": describe_bundle(champion),
        "challenger": describe_bundle(challenger),
        "promotion_digest": dataset.digest(PROMOTION),
        "margin": margin,
        "gates": [bundle.card.gate.get("accepts", EVERY_SKIN) for bundle in (champion, challenger)],
        "images": len(records),
        "lesions": len({record.lesion_id for record in records}),
    }
    reasons, notes = _incomparable(champion, challenger, dataset, records)
    if reasons:
        return common | {"passes": False, "reasons": reasons, "notes": notes}
    before, after = answers()
    verdict = compare(before, after, margin, resamples=resamples)
    return asdict(verdict) | common | {"notes": notes, "answers": [_summary(one) for one in (before, after)]}


def _incomparable(
    champion: Bundle, challenger: Bundle, dataset: Dataset, records: tuple[ImageRecord, ...]
) -> tuple[list[str], list[str]]:
    """Reasons why the two cannot be compared on these images, and what is not known about that."""
    reasons, notes = [], []
    if challenger.card.label_set != champion.card.label_set or challenger.card.classes != champion.card.classes:
        reasons.append("other_classes")
    elif dataset.classes != champion.card.classes:
        reasons.append("set_of_other_classes")
    if not _gates_as_well(challenger.card.gate, champion.card.gate):
        reasons.append("gate_accepts_more")
    for role, bundle in (("champion", champion), ("challenger", challenger)):
        known = _has_met(bundle, dataset, records)
        if known:
            reasons.append(f"{role}_has_met_them")
        elif known is None:
            notes.append(f"{role}_may_have_met_them")
    return reasons, notes


def _gates_as_well(gate: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether a gate, by its entry in the card, was taught to refuse every kind of photos that another was.

    The promotion set has only photos that both are made for, so that no answer to it can tell.
    """
    unlearnt = set(before.get("measured", {})) - set(gate.get("measured", {}))
    return not unlearnt and before.get("accepts", EVERY_SKIN) in (EVERY_SKIN, gate.get("accepts", EVERY_SKIN))


def _has_met(bundle: Bundle, dataset: Dataset, records: tuple[ImageRecord, ...]) -> bool | None:
    """Whether a model learnt from some of these images or lesions; None where its files cannot tell.

    A bundle's list of images tells for certain. Without one, its card tells where it was trained on this very
    preparation or on another split of it, and its confirmed cases name training images and lesions.
    """
    found = met(bundle, (record.sha256 for record in records))
    if found is not None:
        return found > 0
    if bundle.card.data.get("split_digests") == dataset.fingerprint()["split_digests"]:
        return False  # the promotion split of a dataset shares nothing with its other splits
    verdict = training_overlap(bundle, dataset, PROMOTION)["verdict"]
    if verdict != "unknown":
        return verdict == "overlap"
    if (bundle.path / CASES).is_file():
        try:
            cases = CaseIndex.load(bundle.path / CASES).cases
        except BundleError:
            return None
        if {case.image for case in cases} & {record.path.stem for record in records}:
            return True
    return None


def _summary(answers: Predictions) -> Mapping[str, Any]:
    """Statuses by true class, and the confusion matrix, of one model."""
    codes = answers.taxonomy.codes
    matrix = metrics.confusion_matrix(answers.labels, answers.predicted, len(codes))
    return {"confusion": matrix.astype(int).tolist(), "accuracy": float(metrics.accuracy(matrix))}
