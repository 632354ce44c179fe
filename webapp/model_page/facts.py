"""What is known of a model: its card and the evaluation that lies beside it. Reads text files only, never weights."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.bundle import CARD, digest_of, find_bundle, read_card, stated_identity
from ml.card import Card
from ml.errors import BundleError, DatasetError
from ml.labels import Label, Status, Taxonomy, load_taxonomy
from webapp.config import Config
from webapp.inference import get_models
from webapp.model_page.tones import STUDY, Tones, read_tones

if TYPE_CHECKING:
    from ml.preliminary import FirstLookCard

EVALUATION = Path("evaluation") / "metrics.json"
OUT_OF = 100


@dataclass(frozen=True)
class Told:
    """What people were told of `images` pictures of one kind, as whole numbers out of 100 that add up to 100.

    `low` and `high` bound, out of 100 too, how many are told to have it looked at (None where it was not measured).
    """

    images: int
    malignant: int
    uncertain: int
    benign: int
    refused: int
    low: int | None = None
    high: int | None = None

    @property
    def examined(self) -> int:
        """Those who are told to have it looked at."""
        return self.malignant + self.uncertain

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """(status, number) in the order in which they are drawn."""
        return (
            ("malignant", self.malignant),
            ("uncertain", self.uncertain),
            ("refused", self.refused),
            ("benign", self.benign),
        )


@dataclass(frozen=True)
class ClassFacts:
    """How one class fared: its share of pictures told to be examined, and given their own class, with intervals."""

    label: Label
    images: int
    examined: float | None
    named: float | None
    named_interval: tuple[float, float] | None
    examined_interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Model:
    """A model as its page tells of it. `evaluation` is the content of metrics.json, None where there is none, and so is
    `tones` where the skin's tone was not studied."""

    card: Card
    taxonomy: Taxonomy
    evaluation: Mapping[str, Any] | None
    tones: Tones | None = None

    @property
    def images(self) -> dict[str, int]:
        """Pictures of each split that it was made with, as far as the card tells."""
        splits = self.card.data.get("splits", {})
        return {name: int(split.get("images", 0)) for name, split in splits.items()}

    def told(self, *codes: str) -> Told | None:
        """What people were told of the pictures of these classes; None where it was not measured."""
        rows = [self.evaluation["per_class"][code] for code in codes] if self.evaluation else []
        images = sum(row["support"] for row in rows)
        if not images:
            return None
        counts = {
            status: sum(row["statuses"].get(status, 0) for row in rows)
            for status in ("malignant", "uncertain", "benign", "refused")
        }
        bounds = _told_interval(rows[0], "malignant_or_uncertain") if len(rows) == 1 else None
        low, high = (round(OUT_OF * bounds[0]), round(OUT_OF * bounds[1])) if bounds else (None, None)
        return Told(images, **out_of_hundred(counts), low=low, high=high)

    def contagious(self) -> tuple[int, int] | None:
        """Of 100 pictures of contagious diseases, how many were told so, and how many pictures there were; None where
        the label set has no such class, or it was not measured."""
        codes = [label.code for label in self.taxonomy.labels if label.status is Status.INFECTIOUS]
        rows = [self.evaluation["per_class"][code] for code in codes] if self.evaluation else []
        images = sum(row["support"] for row in rows)
        if not images or self.taxonomy.malignant:
            return None
        return round(OUT_OF * sum(row["statuses"].get("infectious", 0) for row in rows) / images), images

    def classes(self) -> list[ClassFacts]:
        """Each class that was measured: melanoma first, then the other malignant ones, then the rest."""
        if self.evaluation is None:
            return []
        measured = self.evaluation["per_class"]
        order = sorted(
            self.taxonomy.labels, key=lambda label: (label.code != "mel", label.status is not Status.MALIGNANT)
        )
        return [_class_facts(label, measured[label.code]) for label in order if label.code in measured]


def answering_models(config: Config) -> list[Model]:
    """The models that answer now, the default one first; what cannot be read is left out."""
    found: dict[str, Model] = {}
    for reference in get_models().references().values():
        model = _find(config, reference)
        if model is not None:
            found.setdefault(model.taxonomy.name, model)
    return list(found.values())


def find_model(config: Config, name: str, version: str) -> Model | None:
    """The model NAME at VERSION; None where it is not on this server any more."""
    candidates = [_find(config, f"{name}@{version}"), *answering_models(config)]
    return next((m for m in candidates if m and (m.card.name, m.card.version) == (name, version)), None)


def find_look(config: Config, name: str, version: str) -> "FirstLookCard | None":
    """The card of the first look NAME at VERSION; None where it is not on this server any more."""
    from ml.preliminary import FirstLookCard, first_look_folders  # with it come libraries that few pages need

    for folder in first_look_folders(config.models):
        if stated_identity(folder) == (name, version):
            with suppress(BundleError, ValueError):
                return FirstLookCard.from_dict(read_card(folder))
    return None


def _find(config: Config, reference: str) -> Model | None:
    try:
        return read_model(find_bundle(reference, config.models))
    except (BundleError, OSError, ValueError):  # also a name that is too long for a file, or none at all
        return None


def read_model(path: Path) -> Model | None:
    """The model in a folder; None where it cannot be read."""
    try:
        return _read(path, (path / CARD).stat().st_mtime_ns, _modified(path / EVALUATION), _modified(path / STUDY))
    except (BundleError, DatasetError, OSError, ValueError):
        return None


def out_of_hundred(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts as whole numbers that add up to 100: rounded down, the rest going to the largest remainders.

    What did happen is never shown as 0. Raises ZeroDivisionError without any count.
    """
    total = sum(counts.values())
    exact = {name: OUT_OF * count / total for name, count in counts.items()}
    shown = {name: int(share) for name, share in exact.items()}
    for name in sorted(exact, key=lambda name: exact[name] - shown[name], reverse=True)[: OUT_OF - sum(shown.values())]:
        shown[name] += 1
    for name, count in counts.items():
        if count and not shown[name]:
            shown[name] += 1
            shown[max(shown, key=lambda other: shown[other])] -= 1
    return shown


def _class_facts(label: Label, row: Mapping[str, Any]) -> ClassFacts:
    images, told = int(row["support"]), row.get("told")
    flagged = row["statuses"].get("malignant", 0) + row["statuses"].get("uncertain", 0)
    return ClassFacts(
        label=label,
        images=images,
        examined=flagged / images if images else None,
        examined_interval=_told_interval(row, "malignant_or_uncertain"),
        named=told["own_class"]["share"] if told else row["recall"],
        named_interval=_told_interval(row, "own_class") if told else _bounds(row["intervals"]["recall"]),
    )


def _told_interval(row: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    return _bounds(row["told"][name]["interval"]) if "told" in row else None


def _bounds(interval: list[float | None]) -> tuple[float, float] | None:
    low, high = interval
    return None if low is None or high is None else (low, high)


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0


@lru_cache(maxsize=8)
def _read(path: Path, card_time: int, evaluation_time: int, study_time: int) -> Model:
    """Read again where a file was written anew. What was not measured of exactly these files is left out."""
    card = Card.from_dict(json.loads((path / CARD).read_text(encoding="utf-8")))
    digest = digest_of(path)
    evaluation = _read_evaluation(path / EVALUATION, digest) if evaluation_time else None
    tones = read_tones(path, digest) if study_time else None
    return Model(card, load_taxonomy(card.label_set), evaluation, tones)


def _read_evaluation(file: Path, digest: str) -> Mapping[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        fits = found["split"] == "test" and found["bundle"]["sha256"] == digest
    except (OSError, ValueError, KeyError, TypeError):
        return None  # damaged: the model is shown as one without an evaluation
    return found if fits else None
