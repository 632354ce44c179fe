"""A model as files: weights, card, gate and checksums in one folder, verified at every load."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from ml.errors import BundleError
from ml.files import sha256_file, write_bytes, write_json
from ml.transforms.serving import VIEWS

PRETRAINED_FOLDER = Path(__file__).parent / "pretrained"
DEFAULT_MODEL = PRETRAINED_FOLDER / "ham10000-efficientnet-b4"
"""The model that answers where none is chosen: the shipped one, whatever has been trained since."""

WEIGHTS = "weights.safetensors"
CARD = "card.json"
GATE = "gate.safetensors"
CHECKSUMS = "SHA256SUMS"
CONTENT = (WEIGHTS, CARD, GATE)


@dataclass(frozen=True)
class Card:
    """The whole contract of a model. Written by training, never edited.

    `calibration` has `temperature` (float) and `bias` (one per class); `thresholds` has `malignant` and `uncertain`
    on malignant risk (None where the label set has no malignant class); `prior_power` and `class_priors` decide the
    named class (see ml.calibration); `gate` says which photos the model accepts and how the gate was fitted; `data` is
    the fingerprint of the prepared data set; `lineage` tells the same of the bundles that training started from.
    """

    name: str
    version: str
    label_set: str
    classes: tuple[str, ...]
    architecture: str
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    calibration: dict[str, Any]
    thresholds: dict[str, float] | None
    class_priors: tuple[float, ...]
    prior_power: float
    test_time_views: str
    preprocessing: dict[str, Any] = field(default_factory=dict)
    gate: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    validation: dict[str, Any] = field(default_factory=dict)
    lineage: tuple[dict[str, Any], ...] = ()
    licence: str = ""
    intended_use: str = ""
    limits: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Card":
        """Raises BundleError where a field is missing or of the wrong shape."""
        known = {f.name for f in fields(cls)}
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
        try:
            card = cls(**given)
            consistent = (
                len(card.classes) == len(card.class_priors) == len(card.calibration["bias"])
                and len(card.classes) >= 2
                and card.image_size > 0
                and card.calibration["temperature"] > 0
                and card.test_time_views in VIEWS
            )
        except (TypeError, KeyError) as error:
            raise BundleError("The model's card.json is incomplete. Fetch or train the model again.") from error
        if not consistent:
            raise BundleError("The model's card.json contradicts itself. Fetch or train the model again.")
        return card


@dataclass(frozen=True)
class Bundle:
    """A verified bundle on disk."""

    path: Path
    card: Card


def is_bundle(path: Path) -> bool:
    """Whether the folder looks like a bundle; `load_bundle` decides whether it is a sound one."""
    return (path / CARD).is_file()


def load_bundle(path: Path) -> Bundle:
    """Verify every file against SHA256SUMS and read the card.

    A flipped byte in weights usually loads without complaint, so the sums are checked each time.
    Raises BundleError, in one sentence, for anything missing, damaged or unreadable.
    """
    if not path.is_dir():
        raise BundleError(f"There is no model at '{path.name}'. See `flask train` for making one.")
    try:
        lines = (path / CHECKSUMS).read_text(encoding="utf-8").splitlines()
        expected = {name: digest for digest, name in (line.split("  ", 1) for line in lines if line)}
    except (OSError, ValueError) as error:
        raise BundleError(f"The model '{path.name}' has no readable {CHECKSUMS}; fetch or train it again.") from error
    for name in CONTENT:
        file = path / name
        if name not in expected or not file.is_file():
            raise BundleError(f"The model '{path.name}' lacks {name}; fetch or train it again.")
        if _digest(file) != expected[name]:
            raise BundleError(
                f"The model '{path.name}' is damaged: {name} is not what it was; fetch or train it again."
            )
    try:
        values = json.loads((path / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"The model '{path.name}' has an unreadable {CARD}; fetch or train it again.") from error
    return Bundle(path, Card.from_dict(values))


def save_bundle(
    folder: Path, card: Card, weights: Mapping[str, NDArray[Any]], gate: Mapping[str, NDArray[np.float32]]
) -> Bundle:
    """Write a bundle as one step: a complete, verified folder appears at `folder`, or none.

    Weight matrices are stored in half precision; vectors (biases, variances of normalisation layers, which can be
    smaller than half precision tells apart) stay in single. Raises BundleError where `folder` already exists.
    """
    if folder.exists():
        raise BundleError(f"There is a model at '{folder.name}' already; choose another name.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        half = {k: v.astype(np.float16) if v.dtype.kind == "f" and v.ndim > 1 else v for k, v in weights.items()}
        save_file({k: v.copy(order="C") for k, v in half.items()}, partial / WEIGHTS)
        save_file({k: v.copy(order="C") for k, v in gate.items()}, partial / GATE)
        write_json(partial / CARD, card.to_dict())
        sums = "".join(f"{sha256_file(partial / name)}  {name}\n" for name in CONTENT)
        write_bytes(partial / CHECKSUMS, sums.encode())
        load_bundle(partial)
        partial.chmod(0o755)
        os.rename(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return load_bundle(folder)


def find_bundle(reference: str, models_dir: Path) -> Path:
    """The folder of NAME, NAME@VERSION or a path.

    NAME without a version is the newest trained one (`models_dir/NAME/VERSION`), else the shipped one.
    Raises BundleError where there is none.
    """
    path = Path(reference)
    if is_bundle(path):
        return path
    name, _, version = reference.partition("@")
    trained = sorted(p for p in (models_dir / name).glob("*") if is_bundle(p)) if _plain(name) else []
    candidates = [p for p in trained if p.name == version] if version else trained[-1:]
    shipped = PRETRAINED_FOLDER / name
    if not candidates and _plain(name) and is_bundle(shipped):
        candidates = [shipped] if not version or load_bundle(shipped).card.version == version else []
    if not candidates:
        raise BundleError(f"There is no model '{path.name}'. Give NAME, NAME@VERSION or the path of a bundle.")
    return candidates[0]


def shipped_bundles() -> list[Path]:
    """The bundles that come with the program, by name."""
    return sorted(p for p in PRETRAINED_FOLDER.glob("*") if is_bundle(p))


def _digest(file: Path) -> str:
    try:
        return sha256_file(file)
    except OSError as error:
        raise BundleError(f"The model's {file.name} cannot be read; fetch or train it again.") from error


def _plain(name: str) -> bool:
    return bool(name) and "/" not in name and "\\" not in name and not name.startswith(".")
