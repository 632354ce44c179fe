"""Similar cases: the confirmed training cases whose pictures look most alike to the network. No pictures are kept."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from ml.errors import BundleError
from ml.gate import neighbour_distance, project

SHOWN = 8
"""Cases shown for a photo, each of a lesion of its own."""
_BLOCK = 512  # rows of a distance table at a time
_METADATA = "cases"
_ITSELF = 0.1  # cases are kept in half precision: a picture lies this near to itself


@dataclass(frozen=True)
class CaseRecord:
    """One confirmed case: the image's public name, its lesion, its class code and how the diagnosis was confirmed
    ('histo', 'follow_up', 'consensus', 'confocal' in HAM10000; '' where the source does not say)."""

    image: str
    lesion: str
    label: str
    confirmed_by: str


@dataclass(frozen=True)
class Neighbour:
    """A case near a photo. `distance` is Euclidean, in the space of `project`; `closeness`, 0 to 1, is the share of
    confirmed cases that lie farther than this from their own nearest other lesion."""

    case: CaseRecord
    distance: float
    closeness: float


@dataclass(frozen=True)
class NeighbourAgreement:
    """How well the nearest cases' diagnoses fit those of photos that are not among them.

    `recalls` by class code: the share of the class's photos whose most frequent neighbouring class is right;
    `macro_recall` their mean; `same_class`, the mean over classes of the share of neighbours of the photo's own class;
    `closeness`, the median of the photos' closest neighbours', 0.5 where photos lie as near to the cases as the cases
    to each other.
    """

    photos: int
    neighbours: int
    macro_recall: float
    recalls: dict[str, float]
    same_class: float
    closeness: float


def fit_case_index(
    arrays: Mapping[str, NDArray[np.float32]], features: NDArray[np.float32], records: Sequence[CaseRecord]
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Tensors and metadata for `cases.safetensors` from pooled features [N, D] of the training cases `records` [N].

    `arrays` are the gate's, for `project`. Raises ValueError where there are no cases or their numbers differ.
    """
    if not records or len(records) != len(features):
        raise ValueError(f"{len(features)} features for {len(records)} cases")
    points = project(arrays, features).astype(np.float16)
    classes = sorted({record.label for record in records})
    tensors: dict[str, NDArray[Any]] = {
        "features": points,
        "classes": np.array([classes.index(record.label) for record in records], dtype=np.int8),
        "spread": _spread(points.astype(np.float32), [record.lesion for record in records]),
    }
    names = {
        "codes": classes,
        "images": [record.image for record in records],
        "lesions": [record.lesion for record in records],
        "confirmed_by": [record.confirmed_by for record in records],
    }
    # One entry only: several would be written in an order that changes from run to run, and the checksum with it.
    return tensors, {_METADATA: json.dumps(names, separators=(",", ":"))}


class CaseIndex:
    """The confirmed cases of one model, to be searched. Nothing in it changes after loading."""

    def __init__(self, features: NDArray[np.float32], spread: NDArray[np.float32], cases: Sequence[CaseRecord]) -> None:
        """`features` [N, K] of the `cases` [N]; `spread`: ascending quantiles, evenly spaced from 0 to 1, of the
        distance from a case to its nearest other lesion."""
        self.cases = tuple(cases)
        self._features, self._spread = features, spread
        numbers = {lesion: number for number, lesion in enumerate(dict.fromkeys(case.lesion for case in self.cases))}
        self._lesions = np.array([numbers[case.lesion] for case in self.cases])

    @classmethod
    def load(cls, path: Path) -> "CaseIndex":
        """Read `cases.safetensors`. Raises BundleError where the file is missing, damaged or contradicts itself."""
        try:
            with safe_open(path, framework="numpy") as file:
                tensors = {name: file.get_tensor(name) for name in ("features", "classes", "spread")}
                names = json.loads((file.metadata() or {})[_METADATA])
            labels = [names["codes"][code] for code in tensors["classes"].tolist()]
            rows = zip(names["images"], names["lesions"], labels, names["confirmed_by"], strict=True)
            cases = [CaseRecord(*row) for row in rows]
            if len(cases) != len(tensors["features"]) or tensors["features"].ndim != 2 or len(tensors["spread"]) < 2:
                raise ValueError("lengths differ")
        except (OSError, SafetensorError, KeyError, IndexError, TypeError, ValueError) as error:
            raise BundleError("The model's similar cases cannot be read; fetch or train the model again.") from error
        return cls(tensors["features"].astype(np.float32), tensors["spread"].astype(np.float32), cases)

    @property
    def components(self) -> int:
        """K: how many principal components a photo's features must have."""
        return int(self._features.shape[1])

    def nearest(self, features: NDArray[np.floating], k: int = SHOWN) -> tuple[Neighbour, ...]:
        """The nearest case of each of the `k` nearest lesions, nearest first, for features [K] in the space of
        `project`; fewer where there are fewer lesions. Raises ValueError for features of another length."""
        if features.shape != (self.components,):
            raise ValueError(f"{self.components} components expected, not {features.shape}")
        return self._nearest(_distances(features[None].astype(np.float32), self._features)[0], k)

    def novelty(self, bank: NDArray[np.float32], most: int = 2000) -> NDArray[np.float64]:
        """Distance [N] of at most `most` cases, evenly chosen, to the pictures in the gate's bank [M, K] other than
        themselves, as `neighbour_distance` measures it."""
        points = self._features[:: -(-len(self._features) // most)]
        apart = _distances(points, bank.astype(np.float32)).min(axis=1) > _ITSELF
        return neighbour_distance(points[apart], bank)

    def agreement(self, features: NDArray[np.float32], labels: Sequence[str], k: int = SHOWN) -> NeighbourAgreement:
        """How the nearest `k` lesions of photos [N, K] agree with the photos' class codes [N].

        The photos must be of lesions that are not in the index. The most frequent class stands for the neighbours, the
        nearer one on a tie. Raises ValueError where there are no photos or the numbers differ.
        """
        if not labels or len(labels) != len(features):
            raise ValueError(f"{len(features)} features for {len(labels)} labels")
        right: dict[str, list[float]] = {label: [] for label in sorted(set(labels))}
        same: dict[str, list[float]] = {label: [] for label in right}
        closest = []
        points = features.astype(np.float32)
        distances = (row for block in _blocks(points, self._features) for row in block)
        for row, label in zip(distances, labels, strict=True):
            found = self._nearest(row, k)
            # `most_common` keeps the order of first appearance on a tie, which is by distance.
            votes = Counter(neighbour.case.label for neighbour in found)
            right[label].append(float(votes.most_common(1)[0][0] == label))
            same[label].append(votes[label] / len(found))
            closest.append(found[0].closeness)
        recalls = {label: float(np.mean(values)) for label, values in right.items()}
        return NeighbourAgreement(
            photos=len(labels),
            neighbours=k,
            macro_recall=float(np.mean(list(recalls.values()))),
            recalls=recalls,
            same_class=float(np.mean([np.mean(values) for values in same.values()])),
            closeness=float(np.median(closest)),
        )

    def _nearest(self, distances: NDArray[np.float32], k: int) -> tuple[Neighbour, ...]:
        order = np.argsort(distances, kind="stable")
        _, first = np.unique(self._lesions[order], return_index=True)
        rows = order[np.sort(first)[:k]]
        return tuple(
            Neighbour(self.cases[row], float(distances[row]), self._closeness(float(distances[row])))
            for row in rows.tolist()
        )

    def _closeness(self, distance: float) -> float:
        return float(1 - np.interp(distance, self._spread, np.linspace(0, 1, len(self._spread))))


def _spread(points: NDArray[np.float32], lesions: Sequence[str]) -> NDArray[np.float32]:
    """Percentiles [101] of the distance from each point [N, K] to the nearest one of another lesion."""
    _, lesion = np.unique(np.array(lesions), return_inverse=True)
    nearest, start = [], 0
    for block in _blocks(points, points):
        same = lesion[start : start + len(block), None] == lesion[None]
        nearest.append(np.where(same, np.inf, block).min(axis=1))
        start += len(block)
    found = np.concatenate(nearest)
    known = found[np.isfinite(found)]  # none where all cases are of one lesion
    return np.quantile(known if len(known) else np.zeros(1), np.linspace(0, 1, 101)).astype(np.float32)


def _blocks(points: NDArray[np.float32], others: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Distances from points [N, K] to others [M, K], a block of rows at a time."""
    for start in range(0, len(points), _BLOCK):
        yield _distances(points[start : start + _BLOCK], others)


def _distances(points: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Euclidean distances [N, M] between points [N, K] and others [M, K]."""
    squares = (points**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * points @ others.T
    result: NDArray[np.float32] = np.sqrt(np.maximum(squares, 0))
    return result
