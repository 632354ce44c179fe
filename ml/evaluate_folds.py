"""`evaluate_folds`: every fold's own model on that fold, and the mean and deviation of each figure over the folds."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ml.bundle import Bundle
from ml.data.manifest import Dataset, load_manifest
from ml.errors import DatasetError
from ml.evaluate import BATCH_SIZE, Request, evaluate
from ml.evaluate_metrics import CLASSIFICATION
from ml.files import write_json
from ml.provenance import met

FOLDS_FILE = "folds.json"
PER_CLASS = ("precision", "recall", "f1", "auroc")
PROTOCOL = (
    "Each fold's model answers images of its own fold alone; neither they nor their lesions or near-duplicates were "
    "trained on. The mean is over folds, each counting the same; the deviation is the sample standard deviation "
    "over folds, which is not an interval: folds share most of their training images."
)


def evaluate_folds(
    bundles: Sequence[Bundle],
    dataset_folder: Path,
    split: str,
    out: Path,
    request: Request = Request(),  # noqa: B008  # frozen
    *,
    batch_size: int = BATCH_SIZE,
    resamples: int = 1000,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """Evaluate the model of each fold on its own fold into `out/fold-N/`, and write `out/folds.json`.

    `bundles` are one for each fold of the dataset, in any order: each card says which fold it is of. Returns what
    `folds.json` holds. Raises DatasetError where a fold has no model or two, or a model was trained on another fold or
    on other data: then its fold's test images may be among what it learnt from.
    """
    dataset = load_manifest(dataset_folder)
    by_fold = match_folds(bundles, dataset)
    options: dict[str, Any] = {"batch_size": batch_size, "resamples": resamples, "seed": seed, "progress": progress}
    figures = {
        number: evaluate(bundle, dataset_folder, split, out / f"fold-{number}", request, fold=number, **options)
        for number, bundle in by_fold.items()
    }
    content = {
        "split": split,
        "folds": [
            {
                "fold": number,
                "bundle": found["bundle"],
                "n_images": found["n_images"],
                "n_lesions": found["n_lesions"],
                "overlap_with_training": found["overlap_with_training"],
                **headline(found),
            }
            for number, found in figures.items()
        ],
        "figures": spread([headline(found) for found in figures.values()]),
        "protocol": PROTOCOL,
    }
    try:
        write_json(out / FOLDS_FILE, content)
    except OSError as error:
        raise DatasetError(f"Cannot write to {out}: {error.strerror or 'the folder is not writable'}.") from error
    return content


def match_folds(bundles: Sequence[Bundle], dataset: Dataset) -> dict[int, Bundle]:
    """The model of each fold, by its number. Raises DatasetError unless each was trained on its fold and no other."""
    if not dataset.folds:
        raise DatasetError(f"{dataset.folder} has no folds; 'flask data prepare --folds 5' makes them.")
    found: dict[int, Bundle] = {}
    for bundle in bundles:
        name = f"{bundle.card.name}@{bundle.card.version}"
        number = bundle.card.data.get("fold")
        if not isinstance(number, int) or not 1 <= number <= dataset.folds:
            raise DatasetError(f"{name} was not trained on a fold of this data; train it with --fold.")
        if number in found:
            raise DatasetError(f"{name} and {found[number].card.name} are both of fold {number}; give one for each.")
        _check_trained_on(bundle, dataset.fold(number), number, name)
        found[number] = bundle
    if missing := [str(number) for number in range(1, dataset.folds + 1) if number not in found]:
        raise DatasetError(f"There is no model of fold {', '.join(missing)}; train it with --fold, or all of them.")
    return dict(sorted(found.items()))


def _check_trained_on(bundle: Bundle, fold: Dataset, number: int, name: str) -> None:
    own = fold.fingerprint()
    if bundle.card.data.get("split_digests") != own["split_digests"]:
        raise DatasetError(f"{name} was trained on a fold {number} of other data; train it on this data.")
    tested = [record.sha256 for record in fold.split("test")]
    if known := met(bundle, tested):  # by image, which also finds another preparation of the same pictures
        raise DatasetError(
            f"{name}, or a model that it started from, learnt from {known} of the {len(tested)} images that fold "
            f"{number} tests; train it from weights of other data."
        )
    members = [entry for member in bundle.card.members for entry in (member, *member.get("lineage", ()))]
    for earlier in (*bundle.card.lineage, *members):
        data = earlier["data"]
        if data.get("split_digests") != own["split_digests"] and data.get("source_hashes") == own["source_hashes"]:
            raise DatasetError(
                f"{name} started from a model that was trained on another part of this data, and may have seen what "
                f"fold {number} tests; train it from weights of other data."
            )


def headline(figures: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures of one evaluation that are compared over folds, by name: overall, per class, malignant, as told."""
    found: dict[str, float | None] = {name: figures[name] for name in CLASSIFICATION}
    for code, row in figures["per_class"].items():
        found |= {f"{code}_{name}": row[name] for name in PER_CLASS}
    for part in ("malignant", "status"):
        values = figures[part] or {}
        found |= {f"{part}_{name}": value for name, value in values.items() if _is_share(name, value)}
    return found


def _is_share(name: str, value: Any) -> bool:
    return name.endswith(("auroc", "sensitivity", "specificity")) and (value is None or isinstance(value, float))


def spread(folds: Sequence[Mapping[str, float | None]]) -> dict[str, dict[str, Any]]:
    """Mean and sample standard deviation of each figure over the folds in which it is defined, and in how many it is.

    The mean is None where it is defined in none, the deviation where in fewer than two.
    """
    names = dict.fromkeys(name for fold in folds for name in fold)
    table = {}
    for name in names:
        values = [value for fold in folds if (value := fold.get(name)) is not None and math.isfinite(value)]
        table[name] = {
            "mean": fmean(values) if values else None,
            "deviation": stdev(values) if len(values) > 1 else None,
            "folds": len(values),
        }
    return table
