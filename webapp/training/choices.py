"""What an admin may choose for a run: prepared data, models to start from; and how long it would take."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from webapp.config import Config
from webapp.extensions import db
from webapp.models.training_run import Kind, TrainingRun

IMAGE_SIZES = (32, 64, 96, 128, 160, 192, 224, 256, 299, 320, 384)
FORWARD_SHARE = 1 / 3
"""What looking at a picture costs against learning from it: one pass of three."""
VIEWS = 8


@dataclass(frozen=True)
class PreparedData:
    """A folder made by `flask data prepare`, split once: its name among those offered, and its pictures by split."""

    name: str
    folder: Path
    label_set: str
    images: dict[str, int]


@dataclass(frozen=True)
class Start:
    """A model to start from, as NAME@VERSION, with what its network was built for."""

    reference: str
    architecture: str
    image_size: int
    label_set: str


@dataclass(frozen=True)
class Estimate:
    """Seconds of one epoch and of calibration, gate and cases at the end; None where nothing like it has run."""

    epoch: float | None
    finishing: float | None

    def whole(self, epochs: int) -> float | None:
        """Seconds of so many epochs and what follows them."""
        return None if self.epoch is None or self.finishing is None else epochs * self.epoch + self.finishing


def prepared_data(config: Config) -> list[PreparedData]:
    """The data sets that the operator allows, by name; those with folds or of severity are for the command line."""
    found: dict[str, PreparedData] = {}
    for folder in _folders(config):
        summary = _json(folder / "summary.json")
        splits = summary.get("splits", {})
        if not splits or "fold_splits" in summary or summary.get("label_set") in (None, "severity"):
            continue
        name = folder.name if folder.name not in found else f"{folder.parent.name}/{folder.name}"
        found[name] = PreparedData(name, folder.resolve(), str(summary["label_set"]), images_in(folder))
    return sorted(found.values(), key=lambda data: (data.label_set, data.name))


def images_in(folder: Path) -> dict[str, int]:
    """Pictures of each split of prepared data, as its summary tells them; empty where that cannot be read."""
    splits = _json(folder / "summary.json").get("splits", {})
    return {split: int(tally.get("images", 0)) for split, tally in splits.items()}


def _folders(config: Config) -> Iterator[Path]:
    for place in config.training_folders:
        if (place / "summary.json").is_file():
            yield place
        elif place.is_dir():
            yield from sorted(path for path in place.iterdir() if (path / "summary.json").is_file())


def starts(config: Config) -> list[Start]:
    """The installed models of one network that a run can start from, the newest of each name first."""
    # Imported here: the web application must start without loading numerical libraries.
    from ml.bundle import is_bundle, shipped_bundles

    trained = sorted((path for path in config.models.glob("*/*") if is_bundle(path)), reverse=True)
    found = []
    for path in (*trained, *shipped_bundles()):
        card = _json(path / "card.json")
        first = (card.get("members") or [card])[0]
        if card.get("stage") or "architecture" not in first:
            continue
        reference = f"{card['name']}@{card['version']}"
        found.append(Start(reference, first["architecture"], int(first["image_size"]), str(card["label_set"])))
    return found


def pictures_lacking(config: Config, label_set: str) -> list[str]:
    """The folders of pictures that the gate of a model for this label set would need and that are not there, or empty
    (see GATE_PICTURES): it would answer such photos."""
    from ml.labels import find_taxonomy
    from ml.screening import GATE_FOLDERS

    taxonomy, place = find_taxonomy(label_set), config.gate_folder
    names = GATE_FOLDERS[taxonomy.photos] if taxonomy else ()
    return [name for name in names if place is None or not any(path.is_file() for path in (place / name).rglob("*"))]


def estimate(config: Config, images: Mapping[str, int], architecture: str, image_size: int) -> Estimate:
    """From what the same network has taken before, in runs of this installation or as the models' cards tell it: time
    grows with the number of pictures, `images` by split, and of their pixels."""
    rate = _rate_of_runs(architecture) or _rate_of_cards(config, architecture)
    if rate is None:
        return Estimate(None, None)
    pixels = image_size**2
    train, validation = images.get("train", 0), images.get("val", 0)
    epoch = rate * pixels * (train + FORWARD_SHARE * validation)
    return Estimate(epoch, rate * pixels * FORWARD_SHARE * (train + VIEWS * validation))


def _rate_of_runs(architecture: str) -> float | None:
    """Seconds for each pixel of each picture of an epoch, of the newest run with this network that has finished one."""
    newest = select(TrainingRun).where(TrainingRun.kind == Kind.TRAIN, TrainingRun.epoch > 0)
    for run in db.session.scalars(newest.order_by(TrainingRun.id.desc()).limit(50)):
        images = run.options.get("images")
        if run.metrics and images and run.options.get("architecture") == architecture:
            return float(run.metrics["seconds"]) / (int(images) * int(run.options["image_size"]) ** 2)
    return None


def _rate_of_cards(config: Config, architecture: str) -> float | None:
    from ml.bundle import is_bundle, shipped_bundles

    for path in (*sorted(config.models.glob("*/*"), reverse=True), *shipped_bundles()):
        card = _json(path / "card.json") if is_bundle(path) else {}
        for network in card.get("members") or [card]:
            training, data = network.get("training", {}), network.get("data", {})
            progress, size = training.get("progress", {}), training.get("config", {}).get("image_size")
            images = data.get("splits", {}).get("train", {}).get("images")
            if network.get("architecture") == architecture and progress.get("epoch") and images and size:
                return float(progress["seconds"] / (progress["epoch"] * images * size**2))
    return None


def _json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where the file is gone or holds none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
