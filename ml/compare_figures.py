"""How good a model is, from the evaluations that lie beside bundles: one table's row, with interval or deviation."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from ml.bundle import Bundle
from ml.data.manifest import load_dataset, load_manifest
from ml.errors import DatasetError
from ml.evaluate import describe_bundle, evaluate
from ml.evaluate_folds import match_folds, spread
from ml.labels import Status, load_taxonomy

EVALUATION = Path("evaluation") / "metrics.json"
FIGURES = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "auroc")
FIGURES_PROTOCOL = (
    "Measured on test pictures, once. With two classes precision, recall, F1 and AUROC are those of the malignant or "
    "infectious one, else means over classes. Brackets hold 95 % intervals from a bootstrap over lesions; where a "
    "model was trained and tested in folds, the mean over folds and, after the sign, their standard deviation."
)


def evaluation_of(bundle: Bundle) -> dict[str, Any] | None:
    """The test evaluation beside a bundle; None where there is none, or it is of other files or another split."""
    try:
        figures: dict[str, Any] = json.loads((bundle.path / EVALUATION).read_text(encoding="utf-8"))
        fits = figures["bundle"]["sha256"] == describe_bundle(bundle)["sha256"] and figures["split"] == "test"
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return figures if fits else None


def evaluate_missing(group: Sequence[Bundle], data: Sequence[Path], *, progress: bool = True) -> None:
    """Evaluate, on test, each bundle of a group that has no evaluation, and put that beside it.

    `data` are prepared data sets, of which the one that the bundle was trained on is taken. Raises DatasetError where
    it is not among them, or as `ml.evaluate.evaluate` does.
    """
    if all(evaluation_of(bundle) for bundle in group) or not data:
        return
    for folder in data:
        manifest, fold = load_manifest(folder), group[0].card.data.get("fold")
        if (fold or 0) > manifest.folds or bool(manifest.folds) != (fold is not None):
            continue
        if group[0].card.data.get("split_digests") != load_dataset(folder, fold).fingerprint()["split_digests"]:
            continue
        numbered = {0: group[0]} if fold is None else match_folds(group, manifest)
        for number, bundle in numbered.items():
            if evaluation_of(bundle) is None:
                evaluate(
                    bundle, folder, "test", bundle.path / EVALUATION.parent, fold=number or None, progress=progress
                )
        return
    raise DatasetError(
        f"{group[0].card.name} was trained on none of the data given; give --data with what it was trained on."
    )


def compared(group: Sequence[Bundle]) -> dict[str, Any]:
    """What a row says of quality: `figures` by name with `value` and `low`, `high` or `deviation`, `images`,
    `lesions`, `folds` (0 for one split) and `overlap`, the verdict on what training saw. `figures` is empty where any
    of the bundles has no evaluation.
    """
    found = [evaluation_of(bundle) for bundle in group]
    evaluations = [figures for figures in found if figures is not None]
    row: dict[str, Any] = {
        "folds": len(group) if "fold" in group[0].card.data else 0,
        "images": sum(figures["n_images"] for figures in evaluations),
        "lesions": sum(figures["n_lesions"] for figures in evaluations),
        "overlap": sorted({figures["overlap_with_training"]["verdict"] for figures in evaluations}),
        "figures": {},
    }
    if len(evaluations) < len(group):
        return row
    rows = [figures_of(figures, positive_class(group[0])) for figures in evaluations]
    if row["folds"]:
        table = spread([{name: entry["value"] for name, entry in own.items()} for own in rows])
        row["figures"] = {name: {"value": e["mean"], "deviation": e["deviation"]} for name, e in table.items()}
    else:
        row["figures"] = rows[0]
    return row


def positive_class(bundle: Bundle) -> str | None:
    """Of two classes the one to find: the malignant or infectious one, else the first; None for more classes."""
    labels = load_taxonomy(bundle.card.label_set).labels
    if len(labels) != 2:
        return None
    found = [label.code for label in labels if label.status in (Status.MALIGNANT, Status.INFECTIOUS)]
    return found[0] if found else labels[0].code


def figures_of(figures: Mapping[str, Any], positive: str | None) -> dict[str, dict[str, float | None]]:
    """The compared figures of one evaluation: `value`, `low` and `high` (None where undefined or without interval)."""
    intervals = figures["intervals"]
    found = {name: _entry(figures[name], intervals[name]) for name in ("accuracy", "balanced_accuracy")}
    if positive is not None:
        row = figures["per_class"][positive]
        return found | {
            name: _entry(row[name], row["intervals"][name]) for name in ("precision", "recall", "f1", "auroc")
        }
    for name in ("precision", "recall"):
        values = [row[name] for row in figures["per_class"].values() if row[name] is not None]
        # Evaluations of earlier versions have no interval of the precision.
        bounds = intervals.get(f"macro_{name}", (None, None))
        found[name] = _entry(fmean(values) if values else None, bounds)
    # Where every class is there, the mean of their recalls is the balanced accuracy, whose interval is known.
    if all(row["recall"] is not None for row in figures["per_class"].values()):
        found["recall"] = found["balanced_accuracy"]
    found["f1"] = _entry(figures["macro_f1"], intervals["macro_f1"])
    found["auroc"] = _entry(figures["macro_auroc"], intervals["macro_auroc"])
    return found


def _entry(value: float | None, bounds: Sequence[float | None]) -> dict[str, float | None]:
    return {"value": value, "low": bounds[0], "high": bounds[1]}
