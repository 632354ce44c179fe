"""Label sets as data: which classes there are, in which order, and what each one means for a person.

`taxonomies/*.toml` are shipped; `use_own_label_sets` adds the folder that holds a user's.
"""

import logging
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from ml.errors import DatasetError

log = logging.getLogger(__name__)

TAXONOMY_FOLDER = Path(__file__).parent / "taxonomies"
_SET_FIELDS = ("title", "question", "photos", "stage", "class", "derived_from")
_CLASS_FIELDS = ("code", "name", "status", "description", "also")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
MAX_QUESTION = 60
_own_folder: Path | None = None


PHOTO_KINDS = ("dermatoscopic", "clinical")
"""What a label set's pictures can be: taken through a dermatoscope, or ordinary photos of skin."""
STAGES = ("disease", "severity")


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
    """One class: its short code, full name, status and a lay description of one or two sentences.

    `also` are other names under which data sets list the class.
    """

    code: str
    name: str
    status: Status
    description: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Taxonomy:
    """A label set. The order of `labels` is the order of every probability vector made for it.

    `question` says what a person wants to have looked at who is answered with these classes: `spot`, `rash`, or a few
    words of the label set's own. `photos` is one of `PHOTO_KINDS`: what its models are made for. `derived` maps names
    of other label sets' classes, in lower case, to the codes of this one. `stage` is `disease`, or `severity` where the
    classes are grades of a disease that another label set has named.
    """

    name: str
    title: str
    labels: tuple[Label, ...]
    question: str = "spot"
    photos: str = "dermatoscopic"
    derived: Mapping[str, str] = field(default_factory=dict)
    stage: str = "disease"

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

    def find(self, *names: str) -> str | None:
        """The code of the first of these names that is one of a class: code, full name, another name, or derived.

        Case does not count. None where the label set has no such class.
        """
        return next((code for name in names if (code := self._names.get(name.strip().lower()))), None)

    @cached_property
    def _names(self) -> dict[str, str]:
        return {**self.derived, **{name: label.code for label in self.labels for name in _names_of(label)}}


def taxonomy_names() -> list[str]:
    """Names of the label sets that can be had by name, shipped ones and a user's own, sorted."""
    return sorted({path.stem for folder in _folders() for path in folder.glob("*.toml")})


def use_own_label_sets(folder: Path | None) -> None:
    """Let the `.toml` files of this folder be found by name too; a shipped label set of the same name comes first."""
    global _own_folder
    _own_folder = folder


def _folders() -> list[Path]:
    return [TAXONOMY_FOLDER] if _own_folder is None else [TAXONOMY_FOLDER, _own_folder]


def load_taxonomy(name_or_path: str) -> Taxonomy:
    """Read a label set by its name or from the path of a `.toml` file.

    Raises DatasetError, saying what is wrong and where, for an unknown name or a file that is not a label set.
    """
    path, table = _read(name_or_path)
    labels = _parse_labels(path, table)
    derived = _parse_derived(path, table.get("derived_from", {}), {label.code for label in labels})
    question, photos = _parse_use(path, table, labels)
    stage = table.get("stage", STAGES[0])
    if stage not in STAGES:
        raise DatasetError(f"Label set {path.name}: stage is not one of {', '.join(STAGES)}.")
    return Taxonomy(path.stem, table.get("title", path.stem), labels, question, photos, derived, stage)


def _read(name_or_path: str) -> tuple[Path, dict[str, Any]]:
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
    else:
        path = next((path for folder in _folders() if (path := folder / f"{name_or_path}.toml").is_file()), Path())
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(taxonomy_names())
        raise DatasetError(
            f"No readable label set '{name_or_path}'. Known ones: {known}. Or give the path of a .toml file."
        ) from error
    except ValueError as error:
        raise DatasetError(f"No readable label set in {path.name}: {error}. Mend that place.") from error


def readable_taxonomies() -> dict[str, Taxonomy]:
    """The label sets of `taxonomy_names` that name diseases, by name. One that cannot be read is left out, and the log
    says why."""
    return {
        name: found
        for name in taxonomy_names()
        if (found := find_taxonomy(name)) is not None and found.stage == STAGES[0]
    }


def find_taxonomy(name: str) -> Taxonomy | None:
    """The label set of this name; None where it cannot be read (any more), and the log says why."""
    try:
        return load_taxonomy(name)
    except DatasetError as error:
        log.warning("left out: %s", error)
        return None


def _parse_labels(path: Path, table: dict[str, Any]) -> tuple[Label, ...]:
    where = f"Label set {path.name}"
    if not _NAME.fullmatch(path.stem):
        raise DatasetError(f"{where}: its file name becomes its name; use letters, digits, '-' and '_' alone.")
    _check_fields(where, table, _SET_FIELDS)
    title = table.get("title", path.stem)
    if not isinstance(title, str) or not title.strip():
        raise DatasetError(f'{where}: title is not text; write title = "...".')
    classes = table.get("class")
    if not isinstance(classes, list) or len(classes) < 2:
        raise DatasetError(f"{where} needs at least two [[class]] tables.")
    labels = tuple(_parse_label(f"{where}, class {number}", entry) for number, entry in enumerate(classes, start=1))
    taken: dict[str, int] = {}
    for number, label in enumerate(labels, start=1):
        for name in _names_of(label):
            if (first := taken.setdefault(name, number)) != number:
                raise DatasetError(
                    f"{where}: '{name}' is named twice, in class {first} and class {number}; rename one."
                )
    return labels


def _parse_use(path: Path, table: dict[str, Any], labels: tuple[Label, ...]) -> tuple[str, str]:
    """What the label set is asked for, and with which photos; where it does not say, its classes tell."""
    contagious = any(label.status is Status.INFECTIOUS for label in labels)
    question = table.get("question", "rash" if contagious else "spot")
    if not isinstance(question, str) or not 0 < len(question.strip()) <= MAX_QUESTION:
        raise DatasetError(
            f'Label set {path.name}: question is "spot", "rash" or a few words of your own, such as "A nail", '
            f"{MAX_QUESTION} characters at most."
        )
    photos = table.get("photos", "clinical" if contagious else "dermatoscopic")
    if photos not in PHOTO_KINDS:
        raise DatasetError(f"Label set {path.name}: photos is not one of {', '.join(PHOTO_KINDS)}.")
    return question.strip(), photos


def _names_of(label: Label) -> set[str]:
    return {name.lower() for name in (label.code, label.name, *label.also)}


def _check_fields(where: str, table: dict[str, Any], known: tuple[str, ...]) -> None:
    unknown = [key for key in table if key not in known]
    if unknown:
        raise DatasetError(f"{where}: unknown field {', '.join(unknown)}; the fields are {', '.join(known)}.")


def _parse_label(where: str, entry: Any) -> Label:
    if not isinstance(entry, dict):
        raise DatasetError(f"{where}: expected a [[class]] table.")
    _check_fields(where, entry, _CLASS_FIELDS)
    missing = [key for key in _CLASS_FIELDS[:4] if not isinstance(entry.get(key), str) or not entry[key].strip()]
    if missing:
        raise DatasetError(f'{where}: missing or not text: {", ".join(missing)}. Write for each: field = "text".')
    if not _NAME.fullmatch(entry["code"]):
        raise DatasetError(f"{where}: code '{entry['code']}' may have letters, digits, '-' and '_' alone.")
    if entry["status"] not in CLASS_STATUSES:
        allowed = ", ".join(CLASS_STATUSES)
        raise DatasetError(f"{where}: status '{entry['status']}' is not one of {allowed}.")
    also = entry.get("also", [])
    if not isinstance(also, list) or not all(isinstance(name, str) and name.strip() for name in also):
        raise DatasetError(f'{where}: also is not a list of names; write also = ["name", "other name"].')
    return Label(entry["code"], entry["name"], Status(entry["status"]), entry["description"], tuple(also))


def _parse_derived(path: Path, table: Any, codes: set[str]) -> dict[str, str]:
    """`[derived_from.BASE]` tables, each with BASE's class codes = own class codes, as names to own codes."""
    where = f"Label set {path.name}"
    derived: dict[str, str] = {}
    for base, mapping in table.items() if isinstance(table, dict) else [("", None)]:
        place = f"{where}, [derived_from.{base}]"
        if not isinstance(mapping, dict):
            raise DatasetError(f"{where}: write derived_from as tables, such as [derived_from.mpox].")
        if base not in taxonomy_names():
            raise DatasetError(f"{place}: there is no label set '{base}'; known ones: {', '.join(taxonomy_names())}.")
        origin = _parse_labels(*_read(base))  # not what it is derived from in turn: that may lead round in a circle
        codes_of_base = [label.code for label in origin]
        if unknown := [code for code in mapping if code not in codes_of_base]:
            raise DatasetError(f"{place}: {', '.join(unknown)} is not a class of {base} ({', '.join(codes_of_base)}).")
        if wrong := [str(own) for own in mapping.values() if own not in codes]:
            raise DatasetError(f"{place}: {', '.join(wrong)} is not a class of this label set.")
        for label in origin:
            for name in _names_of(label) if label.code in mapping else ():
                if derived.setdefault(name, mapping[label.code]) != mapping[label.code]:
                    raise DatasetError(f"{place}: '{name}' stands for another class in another [derived_from] table.")
    return derived
