"""Label sets as data: which classes there are, in which order, and what each one means for a person."""

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from ml.errors import DatasetError

TAXONOMY_FOLDER = Path(__file__).parent / "taxonomies"


class Status(StrEnum):
    """What a result means for the person. `UNCERTAIN` and `REFUSED` belong to results only, never to a class."""

    MALIGNANT = "malignant"
    UNCERTAIN = "uncertain"
    BENIGN = "benign"
    INFECTIOUS = "infectious"
    HEALTHY = "healthy"
    REFUSED = "refused"


CLASS_STATUSES = (Status.MALIGNANT, Status.BENIGN, Status.INFECTIOUS, Status.HEALTHY)


@dataclass(frozen=True)
class Label:
    """One class: its short code, full name, status and a lay description of one or two sentences."""

    code: str
    name: str
    status: Status
    description: str


@dataclass(frozen=True)
class Taxonomy:
    """A label set. The order of `labels` is the order of every probability vector made for it."""

    name: str
    title: str
    labels: tuple[Label, ...]

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """Class codes in order."""
        return tuple(label.code for label in self.labels)

    @cached_property
    def malignant(self) -> tuple[int, ...]:
        """Indices of the malignant classes; empty where the label set has none."""
        return tuple(i for i, label in enumerate(self.labels) if label.status is Status.MALIGNANT)

    def index(self, code: str) -> int:
        """Position of a class code. Raises DatasetError for an unknown one."""
        if code not in self.codes:
            raise DatasetError(f"'{code}' is not a class of label set '{self.name}' ({', '.join(self.codes)}).")
        return self.codes.index(code)

    def label(self, code: str) -> Label:
        """The class with this code. Raises DatasetError for an unknown one."""
        return self.labels[self.index(code)]


def taxonomy_names() -> list[str]:
    """Names of the label sets that come with the package, sorted."""
    return sorted(path.stem for path in TAXONOMY_FOLDER.glob("*.toml"))


def load_taxonomy(name_or_path: str) -> Taxonomy:
    """Read a label set by its shipped name or from the path of a `.toml` file.

    Raises DatasetError, saying what is wrong, for an unknown name or a file that is not a label set.
    """
    path = Path(name_or_path) if name_or_path.endswith(".toml") else TAXONOMY_FOLDER / f"{name_or_path}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        known = ", ".join(taxonomy_names())
        raise DatasetError(f"No readable label set '{name_or_path}'. Known ones: {known}.") from error
    return _parse(path, table)


def _parse(path: Path, table: dict[str, Any]) -> Taxonomy:
    classes = table.get("class")
    if not isinstance(classes, list) or len(classes) < 2:
        raise DatasetError(f"Label set {path.name} needs at least two [[class]] tables.")
    labels = tuple(_parse_label(path, number, entry) for number, entry in enumerate(classes, start=1))
    codes = [label.code for label in labels]
    if len(set(codes)) != len(codes):
        raise DatasetError(f"Label set {path.name} names a class code twice.")
    return Taxonomy(name=path.stem, title=str(table.get("title", path.stem)), labels=labels)


def _parse_label(path: Path, number: int, entry: Any) -> Label:
    where = f"Label set {path.name}, class {number}"
    if not isinstance(entry, dict):
        raise DatasetError(f"{where}: expected a [[class]] table.")
    missing = [key for key in ("code", "name", "status", "description") if not isinstance(entry.get(key), str)]
    if missing:
        raise DatasetError(f"{where}: missing or not text: {', '.join(missing)}.")
    if entry["status"] not in CLASS_STATUSES:
        allowed = ", ".join(CLASS_STATUSES)
        raise DatasetError(f"{where}: status '{entry['status']}' is not one of {allowed}.")
    return Label(entry["code"], entry["name"], Status(entry["status"]), entry["description"])
