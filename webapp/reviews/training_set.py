"""What reviewers agree on, as files that `flask data prepare` reads: photos in a folder for each class, and a table.

Only photos whose person allowed training; only cases with one submitted label that is a class of the label set. Each
label set has a folder of its own, and all photos of a screening count as one lesion.
"""

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from ml.labels import Taxonomy, find_taxonomy
from webapp import audit, clock
from webapp.extensions import db
from webapp.history.filters import recorded
from webapp.models.review import Review, ReviewStatus
from webapp.models.screening import CaseStatus, ScreeningRow
from webapp.photos import get_photos
from webapp.reviews.consent import may_be_trained_with
from webapp.reviews.rules import standing
from webapp.reviews.selection import batches

COLUMNS = (
    "file", "lesion_id", "label", "screening", "position", "sha256", "uploaded_sha256", "width", "height",
    "reviewers", "blind_reviewers", "adjudicated", "predicted", "model",
)  # fmt: skip
CARD, CARD_TEXT, MANIFEST = "reviewed.json", "README.md", "manifest.csv"
TAKEN_BACK = "deleted, or consent taken back, during the export"


@dataclass(frozen=True)
class Wanted:
    """Which reviewed cases are wanted.

    `min_reviewers` who currently say the agreed label; with `blind_only`, who said it before they saw the model's
    answer; `filters` is a query string of the history.
    """

    label_set: str | None = None
    min_reviewers: int = 1
    blind_only: bool = False
    filters: str = ""

    def record(self) -> None:
        """Add to the audit log that the cases are handed out, within the current write transaction."""
        audit.record(
            "export.training_set",
            f"label_set:{self.label_set or 'all'}",
            reviewers=self.min_reviewers,
            blind=self.blind_only,
            **recorded(self.filters),
        )


@dataclass
class Tally:
    """What an export has come to so far, for its card."""

    wanted: Wanted
    made_at: datetime
    cases: int = 0
    images: Counter[tuple[str, str]] = field(default_factory=Counter)
    cases_left_out: Counter[str] = field(default_factory=Counter)
    photos_left_out: Counter[str] = field(default_factory=Counter)

    def card(self) -> dict[str, Any]:
        """The card as JSON: what is in it, how it was chosen, and what was left out, with reasons."""
        label_sets: dict[str, dict[str, int]] = {}
        asked = recorded(self.wanted.filters)
        for (label_set, label), count in sorted(self.images.items()):
            label_sets.setdefault(label_set, {})[label] = count
        return {
            "made_at": self.made_at.isoformat(timespec="seconds"),
            "lesions": self.cases,
            "images": self.images.total(),
            "images_per_class": label_sets,
            "left_out": {"lesions": dict(self.cases_left_out), "photos": dict(self.photos_left_out)},
            "min_reviewers": self.wanted.min_reviewers,
            "blind_only": self.wanted.blind_only,
            "filters": urlencode(asked["filters"]),
            "searched": asked["searched"],
            "consent": "every person in it has allowed that models are trained with the photos",
        }


def training_set(wanted: Wanted, take_back: Callable[[str], None] = lambda name: None) -> Iterator[tuple[str, bytes]]:
    """The files of the export one by one, as (name with slashes, content); the tables and the card come last.

    `take_back` is given the name of a file that was handed out and must go again, since its person deleted it or took
    back the consent meanwhile. Asked before the photos of a case are handed out, and for all of them before the tables:
    where a file cannot be had back, as from a zip under way, no table names it, and whoever reads the export leaves it
    out.
    """
    tally = Tally(wanted, clock.now())
    tables: dict[str, list[dict[str, Any]]] = {}
    for row, reviews in _cases(wanted):
        taxonomy = find_taxonomy(row.label_set or "")
        agreed = _agreed(row, reviews, taxonomy, wanted)
        if isinstance(agreed, str):
            tally.cases_left_out[agreed] += 1
            continue
        if not may_be_trained_with({row.id}):  # read with others of its batch, some time ago
            tally.cases_left_out[TAKEN_BACK] += 1
            continue
        for photo in row.photos:
            try:
                content = get_photos().open(photo.name)
            except FileNotFoundError:
                tally.photos_left_out["the photo is not kept any more"] += 1
                continue
            file = f"{row.reviewed_class}/screening-{row.id}-{photo.position}.jpg"
            facts = {
                "file": file, "lesion_id": f"screening-{row.id}", "label": row.reviewed_class, "screening": row.id,
                "position": photo.position, "sha256": hashlib.sha256(content).hexdigest(),
                "uploaded_sha256": photo.sha256, "width": photo.width, "height": photo.height,
                "predicted": row.predicted or "", "model": f"{row.model_name}@{row.model_version}", **agreed,
            }  # fmt: skip
            yield f"{row.label_set}/{file}", content
            tables.setdefault(str(row.label_set), []).append(facts)
    for label_set, rows in tables.items():
        ids = {facts["screening"] for facts in rows}
        allowed = may_be_trained_with(ids)
        for facts in (facts for facts in rows if facts["screening"] not in allowed):
            take_back(f"{label_set}/{facts['file']}")
        rows[:] = [facts for facts in rows if facts["screening"] in allowed]
        tally.images.update((label_set, facts["label"]) for facts in rows)
        tally.cases += len(allowed)
        if gone := len(ids - allowed):
            tally.cases_left_out[TAKEN_BACK] += gone
    for label_set, rows in tables.items():
        yield f"{label_set}/{MANIFEST}", _table(rows)
    yield CARD, json.dumps(tally.card(), indent=2, ensure_ascii=False).encode() + b"\n"
    yield CARD_TEXT, _text(tally.card()).encode()


def is_plain(name: str) -> bool:
    """Whether a name of an exported file stays inside of the folder that it is written to."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not PurePosixPath(name).is_absolute() and ".." not in parts


def _cases(wanted: Wanted) -> Iterator[tuple[ScreeningRow, list[Review]]]:
    """Submitted cases that may be trained with, oldest first, with their reviews."""
    conditions = [
        ScreeningRow.review_status == CaseStatus.SUBMITTED,
        ScreeningRow.deleted_at.is_(None),
        ScreeningRow.training_consent_at.is_not(None),
    ]
    if wanted.label_set:
        conditions.append(ScreeningRow.label_set == wanted.label_set)
    for ids in batches(wanted.filters, CaseStatus.SUBMITTED):
        rows = db.session.scalars(
            select(ScreeningRow)
            .where(*conditions, ScreeningRow.id.in_(ids))
            .options(selectinload(ScreeningRow.photos))
            .order_by(ScreeningRow.id)
        ).all()
        reviews: dict[int, list[Review]] = {row.id: [] for row in rows}
        for review in db.session.scalars(select(Review).where(Review.screening_id.in_(reviews)).order_by(Review.id)):
            reviews[review.screening_id].append(review)
        for row in rows:
            yield row, reviews[row.id]
        db.session.expunge_all()
        db.session.commit()  # no transaction stays open while the files travel


def _agreed(
    row: ScreeningRow, reviews: list[Review], taxonomy: Taxonomy | None, wanted: Wanted
) -> dict[str, Any] | str:
    """Who agrees on the class of a case, or why the case is left out."""
    found = standing(reviews)
    if found.status != CaseStatus.SUBMITTED or found.label != row.reviewed_class or found.label is None:
        return "no class was agreed on"
    if taxonomy is None or found.label not in taxonomy.codes:
        return "the class is not in its label set"
    agreeing = [one for one in found.opinions if one.status == ReviewStatus.SUBMITTED and one.label == found.label]
    blind = sum(one.blind for one in agreeing)
    if (blind if wanted.blind_only else len(agreeing)) < wanted.min_reviewers:
        return "too few reviewers chose it blind" if wanted.blind_only else "too few reviewers agree"
    return {
        "reviewers": len(agreeing), "blind_reviewers": blind, "adjudicated": "yes" if found.decision else "no",
    }  # fmt: skip


def _table(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def left_out_lines(card: dict[str, Any]) -> list[str]:
    """What an export's card says was left out: how many screenings, or photos of others, and why."""
    units = (("lesions", "screenings"), ("photos", "photos"))
    return [
        f"left out: {count} {word} ({reason})"
        for unit, word in units
        for reason, count in card["left_out"][unit].items()
    ]


def _text(card: dict[str, Any]) -> str:
    lines = [
        "# Reviewed cases",
        "",
        f"Made {card['made_at']} from {card['lesions']} screenings with {card['images']} photos.",
        f"At least {card['min_reviewers']} reviewers agree on each class"
        + (", and chose it before they saw the model's answer." if card["blind_only"] else "."),
        f"Filters: {card['filters'] or 'none'}" + ("; and only what a search found." if card["searched"] else "."),
        "Every person in it has allowed training. Who takes that back, or deletes the photos, is not in later exports:",
        "make this export anew before each training, and delete this folder after it.",
        "",
        "| Label set | Class | Photos |",
        "|---|---|---|",
        *(
            f"| {name} | {label} | {n} |"
            for name, part in card["images_per_class"].items()
            for label, n in part.items()
        ),
        "",
        *(f"- {line}" for line in left_out_lines(card)),
        "",
        "A photo that no table names was taken back while this was made: it is passed over, and is to be deleted.",
        "Photos of one screening show one lesion (`lesion_id`). Read a label set's folder with:",
        "",
        "    flask data prepare --source LABEL_SET --format folders --label-set LABEL_SET --out PREPARED",
        "",
        "or add all of it to the training split with `flask train --include-reviewed`.",
    ]
    return "\n".join(lines) + "\n"
