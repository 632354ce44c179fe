"""Compare ways of telling other pictures from dermatoscopic ones, by cross-validation over the fitted pictures.

    python benchmarks/gate_methods.py --data dataset --pictures FOLDER --model BUNDLE --out docs/gate.json

FOLDER has not_skin/ and clinical_photos/; of these only what gates may be fitted on is used, and no test image. Every
method's limit is set where it refuses 1.5 % of the usable pictures that it was not fitted on. `make docs` makes the
table.
"""

import argparse
import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from ml.bundle import Bundle, load_bundle  # noqa: E402
from ml.calibration import softmax  # noqa: E402
from ml.data.manifest import load_dataset, read_image  # noqa: E402
from ml.files import write_json  # noqa: E402
from ml.gate import KINDS, Seen, fit_frame, fit_softmax, is_held_out, neighbour_distance, standardise  # noqa: E402
from ml.runtime import load_state  # noqa: E402
from ml.training.gate_fit import (  # noqa: E402
    MAX_SIDE,
    OTHER_COPIES,
    USABLE_COPIES,
    bundle_features,
    copies,
    joined,
    sample,
)
from ml.training.negatives import read_negatives  # noqa: E402

Floats = NDArray[np.float64]
FOLDS = 5
REFUSED = 0.015
USABLE_PICTURES = 800


def fold(name: str) -> int:
    """Which fold a file, or a lesion, belongs to, by a digest of its name."""
    return int(hashlib.sha256(name.encode()).hexdigest()[-8:], 16) % FOLDS


class Group:
    """Pictures of one kind: as they are and as varied copies, with their folds and (usable ones) class codes."""

    def __init__(self, seen: Seen, varied: Seen, folds: Sequence[int], labels: Sequence[str] = ()):
        self.seen, self.varied, self.labels = seen, varied, np.array(labels)
        self.folds = np.array(folds)
        self.copies = np.repeat(self.folds, len(varied.features) // len(self.folds))

    def fitted(self, number: int, *, varied: bool = True) -> Seen:
        """What may be fitted on when fold `number` is held out."""
        own = rows(self.seen, self.folds != number)
        return joined([own, rows(self.varied, self.copies != number)]) if varied else own

    def held(self, number: int) -> Seen:
        """The pictures of fold `number`, as they are."""
        return rows(self.seen, self.folds == number)


Method = Callable[[dict[str, Group], int], Callable[[Seen], tuple[Floats, Floats | None]]]
"""Fits without a fold; the result gives how usable pictures are [N] and, where it tells them apart, kinds [N, 3]."""


def rows(seen: Seen, chosen: NDArray[np.bool_]) -> Seen:
    """Some of the pictures."""
    return Seen(seen.features[chosen], seen.texture[chosen])


def head(*, features: bool, texture: bool, varied: bool, penalty: float) -> Method:
    """Multinomial logistic regression on the standardised features, the texture, or both."""

    def view(seen: Seen) -> Floats:
        parts = [part for part, used in ((seen.features, features), (seen.texture, texture)) if used]
        return np.concatenate(parts, axis=1).astype(np.float64)

    def method(groups: dict[str, Group], number: int) -> Callable[[Seen], tuple[Floats, Floats | None]]:
        points = [view(groups[kind].fitted(number, varied=varied)) for kind in KINDS]
        mean, deviation = points[0].mean(axis=0), points[0].std(axis=0) + 1e-3
        kinds = np.repeat(np.arange(len(KINDS)), [len(group) for group in points])
        weight, bias = fit_softmax((np.concatenate(points) - mean) / deviation, kinds, len(KINDS), penalty)

        def judge(seen: Seen) -> tuple[Floats, Floats | None]:
            found = softmax((view(seen) - mean) / deviation @ weight.T + bias)
            return found[:, 0], found

        return judge

    return method


def neighbours(groups: dict[str, Group], number: int) -> Callable[[Seen], tuple[Floats, Floats | None]]:
    """Distance to the nearest training pictures (Sun, Ming, Zhu, Li 2022)."""
    known = groups[KINDS[0]].fitted(number, varied=False).features
    frame = fit_frame(known)
    bank = (standardise(frame, known) @ frame["components"].T).astype(np.float32)
    return lambda seen: (-neighbour_distance(standardise(frame, seen.features) @ frame["components"].T, bank), None)


def mahalanobis(groups: dict[str, Group], number: int) -> Callable[[Seen], tuple[Floats, Floats | None]]:
    """Distance to the nearest class mean under one covariance (Lee, Lee, Lee, Shin 2018), in 48 components."""
    usable = groups[KINDS[0]]
    known, labels = usable.fitted(number, varied=False).features, usable.labels[usable.folds != number]
    frame = fit_frame(known)

    def project(features: NDArray[np.float32]) -> Floats:
        return standardise(frame, features) @ frame["components"].T.astype(np.float64)

    points = project(known)
    means = np.stack([points[labels == label].mean(axis=0) for label in sorted(set(labels))])
    centred = points - means[np.searchsorted(sorted(set(labels)), labels)]
    precision = np.linalg.inv(np.cov(centred.T) + 1e-3 * np.eye(points.shape[1]))

    def judge(seen: Seen) -> tuple[Floats, Floats | None]:
        away = project(seen.features)[:, None] - means
        return -np.einsum("ncd,de,nce->nc", away, precision, away).min(axis=1), None

    return judge


def by_answers(bundle: Bundle, score: Callable[[Floats], Floats]) -> Method:
    """What the answers themselves tell: `score` of the logits [N, C] of the network whose features the gate goes by;
    nothing is fitted."""
    network = bundle.networks()[bundle.card.gate_network]
    state = {name: value.numpy() for name, value in load_state(network).items() if name.startswith("head.")}
    first, last = [(state[f"head.{layer}.weight"], state[f"head.{layer}.bias"]) for layer in (0, 3)]

    def judge(seen: Seen) -> tuple[Floats, None]:
        hidden = np.maximum(seen.features @ first[0].T + first[1], 0)
        return score((hidden @ last[0].T + last[1]).astype(np.float64)), None

    return lambda groups, number: judge


def methods(bundle: Bundle) -> dict[str, Method]:
    """All that are compared, by title."""
    return {
        "Largest probability": by_answers(bundle, lambda logits: softmax(logits).max(axis=1)),
        "Energy": by_answers(bundle, lambda logits: logsumexp(logits, axis=1)),
        "Mahalanobis distance": mahalanobis,
        "Distance to 8 nearest neighbours": neighbours,
        "Head on features, no varied copies": head(features=True, texture=False, varied=False, penalty=1e-3),
        "Head on features": head(features=True, texture=False, varied=True, penalty=1e-3),
        "Head on features, more penalty": head(features=True, texture=False, varied=True, penalty=1e-2),
        "Head on texture": head(features=False, texture=True, varied=True, penalty=1e-3),
        "Head on features and texture": head(features=True, texture=True, varied=True, penalty=1e-3),
        "Head on features and texture, more penalty": head(features=True, texture=True, varied=True, penalty=1e-2),
    }


def measure(method: Method, groups: dict[str, Group]) -> dict[str, float]:
    """Shares of the other pictures that are refused, and told apart rightly, when their fold is held out."""
    found: dict[str, list[tuple[Floats, Floats | None]]] = {kind: [] for kind in KINDS}
    for number in range(FOLDS):
        judge = method(groups, number)
        for kind in KINDS:
            found[kind].append(judge(groups[kind].held(number)))
    limit = np.quantile(np.concatenate([scores for scores, _ in found[KINDS[0]]]), REFUSED)
    result = {}
    for code, kind in list(enumerate(KINDS))[1:]:
        refused = np.concatenate([scores for scores, _ in found[kind]]) < limit
        result[f"{kind}_refused"] = float(refused.mean())
        if found[kind][0][1] is not None:
            kinds = np.concatenate([one for _, one in found[kind] if one is not None])
            result[f"{kind}_right"] = float((refused & (kinds[:, 1:].argmax(axis=1) + 1 == code)).mean())
    return result


def see(bundle: Bundle, data: Path, pictures: Path, seed: int) -> dict[str, Group]:
    """The pictures of each kind as the bundle's gate sees them."""
    random, show = np.random.default_rng(seed), bundle_features(bundle)
    records = sample(load_dataset(data).split("train"), USABLE_PICTURES, random)
    usable = [read_image(record, MAX_SIDE) for record in records]
    groups = {
        KINDS[0]: Group(
            show(usable),
            show(copies(usable, USABLE_COPIES["dermatoscopic"], random)),
            [fold(record.group) for record in records],
            [record.label for record in records],
        )
    }
    for kind, found in read_negatives(pictures).items():
        fitted = [picture for picture in found if not is_held_out(picture.name)]
        pixels = [picture.pixels for picture in fitted]
        varied = show(copies(pixels, OTHER_COPIES[kind], random))
        groups[kind] = Group(show(pixels), varied, [fold(picture.name) for picture in fitted])
    return groups


def main(arguments: Sequence[str]) -> None:
    """Measure every method and write the outcome."""
    parser = argparse.ArgumentParser(description="Compare methods for the gate.")
    for name in ("data", "pictures", "model", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    bundle = load_bundle(options.model)
    groups = see(bundle, options.data, options.pictures, options.seed)
    result: dict[str, Any] = {
        "model": bundle.card.name,
        "pictures": {kind: len(group.folds) for kind, group in groups.items()},
        "refused": REFUSED,
        "rows": [{"method": name, **measure(method, groups)} for name, method in methods(bundle).items()],
    }
    write_json(options.out, result)


if __name__ == "__main__":
    main(sys.argv[1:])
