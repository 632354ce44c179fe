"""The contact sheet of `flask predict`: one self-contained page with a small picture and the answer of every photo."""

import base64
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from ml.files import write_bytes
from ml.images import encode_jpeg, thumbnail
from ml.labels import Status, Taxonomy
from ml.pages import environment
from ml.severity_grades import note_of

if TYPE_CHECKING:
    from ml.screening import Screening

ORDERS = ("given", "risk")
SIDE = 176
"""Longest side of a small picture in pixels: about 6 KB each, so that a thousand make a page of some 8 MB."""
GRAVEST = (Status.MALIGNANT, Status.UNCERTAIN, Status.INFECTIOUS, Status.BENIGN, Status.HEALTHY, Status.REFUSED)
"""The order of statuses where a sheet is sorted by risk and the label set has no malignant class."""
_TEMPLATE = "contact_sheet.html.j2"


@dataclass(frozen=True)
class Entry:
    """One photo of the sheet: its path as given, its answer or what was wrong, and its small picture as JPEG."""

    path: str
    screening: "Screening | None"
    error: str | None
    picture: bytes | None


def small_picture(pixels: NDArray[np.uint8]) -> bytes:
    """RGB [H, W, 3] -> the small picture as JPEG."""
    return encode_jpeg(thumbnail(pixels, SIDE), quality=80)


def write_contact_sheet(file: Path, entries: Sequence[Entry], order: str, taxonomy: Taxonomy, model: str) -> None:
    """Write the page to `file`, in one step. `order` is one of `ORDERS`; by risk the riskiest come first, then what was
    refused, then what could not be read. Raises OSError where it cannot be written.
    """
    templates = environment(Path(__file__).parent)
    chosen = sorted(entries, key=_gravest_first) if order == "risk" else list(entries)
    found = [entry.screening.status for entry in entries if entry.screening is not None]
    counts = {status.value: found.count(status) for status in GRAVEST if status in found}
    if failed := sum(entry.screening is None for entry in entries):
        counts["not read"] = failed
    graded = [entry.screening.severity for entry in entries if entry.screening and entry.screening.severity]
    page = templates.get_template(_TEMPLATE).render(
        cards=[_card(entry, taxonomy) for entry in chosen],
        counts=counts,
        grade_notes={grade["source"]: note_of(grade) for grade in graded},
        by_risk=order == "risk",
        label_set=taxonomy.title,
        model=model,
    )
    write_bytes(file, page.encode())


def _gravest_first(entry: Entry) -> tuple[int, float, float]:
    """What to sort by: unread last, refused before that, then falling risk; without one, status and certainty."""
    found = entry.screening
    if found is None or found.predicted is None or found.probabilities is None:
        return (2 if found is None else 1, 0.0, 0.0)
    if found.malignant_risk is not None:
        return (0, -found.malignant_risk, 0.0)
    return (0, float(GRAVEST.index(found.status)), -found.probabilities[found.predicted])


def _card(entry: Entry, taxonomy: Taxonomy) -> dict[str, Any]:
    found = entry.screening
    card: dict[str, Any] = {
        "path": printable(entry.path),
        "picture": None if entry.picture is None else base64.b64encode(entry.picture).decode(),
        "status": "not read" if found is None else found.status.value,
        "error": entry.error,
        "reason": None,
        "name": None,
        "probability": None,
        "risk": None,
        "grade": None,
        "grade_source": None,
    }
    if found is not None and found.status is Status.REFUSED:
        card["reason"] = (found.gate.reason or found.gate.verdict).replace("_", " ")
    if found is not None and found.predicted is None and found.first_look is not None:
        card["reason"] = f"first look only: {taxonomy.label(found.first_look['predicted']).name}"
    if found is not None and found.predicted is not None and found.probabilities is not None:
        card["name"] = taxonomy.label(found.predicted).name
        card["probability"] = found.probabilities[found.predicted]
        card["risk"] = found.malignant_risk
        if found.severity is not None:
            card |= {"grade": found.severity["grade"], "grade_source": found.severity["source"]}
    return card


def printable(path: str) -> str:
    """A path for a page: what is no character of a line of text, such as a line break or a change of the direction of
    writing, is shown by its code."""
    return "".join(
        f"\\u{ord(character):04x}" if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else character
        for character in click.format_filename(path)
    )
