"""From validation logits to differences with intervals: what `ablations.json` holds."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ablation_rows import BASELINE, BY_NAME, ROWS, Protocol, Row
from benchmarks.ablation_run import Finished, load_run, pictures, run_folder
from ml import metrics
from ml.calibration import fit_calibration, fit_prior_power, named_class
from ml.data.manifest import Dataset, ImageRecord, load_dataset
from ml.files import sha256_file
from ml.labels import load_taxonomy

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RESAMPLES = 1000
LEVEL = 0.95
METRICS = ("balanced_accuracy", "macro_auroc", "faulty_balanced_accuracy")


class Judge:
    """Measures logits on the validation split: figures on the whole split, then on resamples of its lesions."""

    def __init__(self, dataset: Dataset):
        taxonomy, records = load_taxonomy(dataset.label_set), dataset.split("val")
        self.labels: Ints = np.array([taxonomy.index(record.label) for record in records], dtype=np.int64)
        self.classes, self.halves = len(taxonomy.labels), halves(records)
        training = np.array([taxonomy.index(record.label) for record in dataset.split("train")], dtype=np.int64)
        self.priors: Floats = np.bincount(training, minlength=self.classes) / len(training)
        _, cluster = np.unique([record.group for record in records], return_inverse=True)
        count = int(cluster.max()) + 1
        drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
        self.weights: Floats = np.concatenate([np.ones((1, len(cluster))), drawn[:, cluster]]).astype(np.float64)

    def figures(self, logits: Floats, faulty: Floats | None = None) -> dict[str, Floats]:
        """Each metric of logits [N, C] as [1 + RESAMPLES]: on the split as it is, then on each resample.

        `faulty` [N, C] are those of the same images with faults of phone photos, judged with what was fitted without.

        Calibration and the power of the priors are fitted on one half of the lesions and used on the other, both ways,
        so that no image is judged with choices that it had a part in.
        """
        probabilities, named = np.empty_like(logits), np.empty(len(logits), np.int64)
        named_faulty = np.empty_like(named)
        for half in (False, True):
            fitted, judged = self.halves == half, self.halves != half
            calibration = fit_calibration(logits[fitted], self.labels[fitted])
            own = calibration.probabilities(logits[fitted])
            power = fit_prior_power(own, self.labels[fitted], self.priors)
            probabilities[judged] = calibration.probabilities(logits[judged])
            named[judged] = named_class(probabilities[judged], self.priors, power)
            if faulty is not None:
                named_faulty[judged] = named_class(calibration.probabilities(faulty[judged]), self.priors, power)
        found = {
            "balanced_accuracy": self._balanced_accuracy(named),
            "macro_auroc": metrics.macro_auroc(self.labels, probabilities, self.weights),
        }
        return found if faulty is None else {**found, "faulty_balanced_accuracy": self._balanced_accuracy(named_faulty)}

    def _balanced_accuracy(self, named: Ints) -> Floats:
        matrix = metrics.confusion_matrix(self.labels, named, self.classes, self.weights)
        return metrics.balanced_accuracy(matrix)


def halves(records: Sequence[ImageRecord]) -> NDArray[np.bool_]:
    """One half or the other [N]: whole groups of lesions, of each class every second one in the order of a digest."""
    chosen: dict[str, bool] = {}
    for label in sorted({record.label for record in records}):
        groups = {record.group for record in records if record.label == label} - chosen.keys()
        for position, group in enumerate(sorted(groups, key=lambda name: hashlib.sha256(name.encode()).digest())):
            chosen[group] = position % 2 == 1
    return np.array([chosen[record.group] for record in records], np.bool_)


def interval(differences: Floats, seed: int = 0) -> tuple[float, float, float]:
    """Mean difference and its percentile interval, of paired differences [S, 1 + R] by seed and resample of lesions.

    Each resample also draws S - 1 of the S seeds, with replacement: with as many draws as seeds the spread between few
    seeds would come out too small (Rao, Wu 1988, "Resampling inference with complex survey data").
    """
    seeds, resamples = len(differences), differences.shape[1] - 1
    drawn = np.random.default_rng(seed).integers(seeds, size=(max(1, seeds - 1), resamples))
    spread = differences[drawn, np.arange(1, resamples + 1)].mean(axis=0)
    low, high = np.nanquantile(spread, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(differences[:, 0].mean()), float(low), float(high)


def summarise(protocol: Protocol, data: Path, out: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Everything that is finished, by row: values, differences from the baseline of the same seed, intervals."""
    dataset = load_dataset(data)
    judge, seen = Judge(dataset), pictures(dataset, protocol.largest_class)

    def finished(row: Row) -> dict[int, Finished]:
        found = {}
        for seed in seeds:
            run = load_run(run_folder(out, row.name, seed), protocol.config(row, seed), seen)
            if run is not None:
                found[seed] = run
        return found

    base = finished(BY_NAME[BASELINE])
    if not base:
        return {"protocol": _public(protocol), "rows": []}
    plain = {seed: judge.figures(run.logits[0], run.faulty) for seed, run in base.items()}
    rows = []
    for row in ROWS:
        runs = finished(row) if row.trained else base
        paired = sorted(runs.keys() & plain.keys())
        if not paired or (row.ensemble and len(paired) < 2):
            continue
        if row.ensemble:
            together = judge.figures(np.mean([run.logits[0] for run in base.values()], axis=0))
            own = [together]
            shared = set.intersection(*(set(plain[seed]) for seed in paired))
            against = [{name: np.mean([plain[seed][name] for seed in paired], axis=0) for name in shared}]
        else:
            own = [
                judge.figures(
                    runs[seed].logits[: row.views or 1].mean(axis=0), runs[seed].faulty if row.trained else None
                )
                for seed in paired
            ]
            against = [plain[seed] for seed in paired]
        rows.append({"name": row.name, "title": row.title, "seeds": paired, **compared(own, against)})
        rows[-1]["processor_seconds"] = _seconds(runs, paired) if row.trained else None
    return {
        "protocol": _public(protocol),
        "training_images": next(iter(base.values())).record["training_images"],
        "validation_images": len(judge.labels),
        "validation_groups": len({record.group for record in dataset.split("val")}),
        "data": dataset.fingerprint()["split_digests"],
        "rows": rows,
    }


def with_earlier(found: Mapping[str, Any], earlier: Mapping[str, Any]) -> dict[str, Any]:
    """The result `found`, and those rows of an `earlier` one that it lacks, in the order of `ROWS`.

    An earlier row is comparable where data, protocol (but for the teacher, which concerns one row) and every figure of
    the baseline are the same; otherwise none is taken over.
    """
    if not found["rows"] or not earlier.get("rows"):
        return dict(found)

    def circumstances(result: Mapping[str, Any]) -> tuple[Any, ...]:
        baseline = [row for row in result["rows"] if row["name"] == BASELINE]
        figures = [{name: row.get(name) for name in (*METRICS, "seeds")} for row in baseline]
        return {**result["protocol"], "teacher": None}, result["data"], figures

    if circumstances(found) != circumstances(earlier):
        return dict(found)
    rows = {row["name"]: row for row in (*earlier["rows"], *found["rows"])}
    teacher = found["protocol"]["teacher"] or earlier["protocol"]["teacher"]
    ordered = [rows[row.name] for row in ROWS if row.name in rows]
    return {**found, "protocol": {**found["protocol"], "teacher": teacher}, "rows": ordered}


def compared(own: Sequence[Mapping[str, Floats]], against: Sequence[Mapping[str, Floats]]) -> dict[str, Any]:
    """Value, difference and interval of each metric that all have, of `Judge.figures` paired by seed."""
    result: dict[str, Any] = {}
    for name in METRICS:
        if not all(name in figures for figures in (*own, *against)):
            continue
        values, differences = (
            np.stack([figures[name] for figures in own]),
            np.stack([figures[name] - other[name] for figures, other in zip(own, against, strict=True)]),
        )
        mean, low, high = interval(differences)
        result[name] = {
            "value": round(float(values[:, 0].mean()), 4),
            "difference": round(mean, 4),
            "interval": [round(low, 4), round(high, 4)],
            "counts": bool(low > 0 or high < 0),
        }
    return result


def _seconds(runs: Mapping[int, Finished], seeds: Sequence[int]) -> float:
    return round(float(np.mean([runs[seed].record["processor_seconds"] for seed in seeds])), 1)


def _public(protocol: Protocol) -> dict[str, Any]:
    """The protocol with files by name and digest, since whoever reads it has other folders."""
    values = asdict(protocol)
    for name in ("weights", "teacher"):
        path = Path(values[name] or "")
        if values[name] and path.is_file():
            values[name] = f"{path.name} (sha256 {sha256_file(path)})"
        elif values[name] and path.is_dir():
            values[name] = path.parent.name
    return values
