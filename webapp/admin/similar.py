"""Cases that look alike to the model: confirmed ones from its training data, and this installation's own history."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from webapp.extensions import db
from webapp.models.screening import PhotoRow, ScreeningRow, State

if TYPE_CHECKING:
    from ml.card import Card
    from ml.labels import Taxonomy
    from ml.similar import CaseIndex, Neighbour

SCANNED = 2000
"""Photos of the history that one page compares with, the newest of the same model version."""
OWN_SHOWN = 4
PUBLIC_FORMATS = ("ham10000", "isic2019", "isic2020", "isic2024", "msid", "msld-folds")
"""Source formats of public collections, whose pictures can be found there by name."""


@dataclass(frozen=True)
class Confirmed:
    """The nearest confirmed cases of a photo, nearest first: how many have the commonest class, how many a malignant
    one."""

    neighbours: tuple[Neighbour, ...]
    commonest: str
    count: int
    malignant: int


@dataclass(frozen=True)
class OwnCase:
    """An earlier screening whose photo `photo_id` lies near; its class and status are the model's own."""

    screening: ScreeningRow
    photo_id: int
    distance: float


@dataclass(frozen=True)
class History:
    """Photos of other screenings by the same model version, newest first: ids [N] and features [N, K].

    `complete` is false where there are more than `SCANNED`.
    """

    photos: NDArray[np.int64]
    screenings: NDArray[np.int64]
    features: NDArray[np.float32]
    complete: bool


def photo_features(photo: PhotoRow) -> NDArray[np.float32] | None:
    """The stored features [K] of an answered photo; None where there are none."""
    return None if photo.features is None else np.frombuffer(photo.features, dtype="<f2").astype(np.float32)


def confirmed_cases(index: CaseIndex, features: NDArray[np.float32], taxonomy: Taxonomy | None) -> Confirmed | None:
    """The nearest confirmed cases of a photo; None where its features are not of this index.

    Without a label set, none is known to be malignant.
    """
    if features.shape != (index.components,):
        return None
    found = index.nearest(features)
    counts = Counter(neighbour.case.label for neighbour in found)
    commonest, count = counts.most_common(1)[0]
    malignant = sum(counts[taxonomy.codes[position]] for position in taxonomy.malignant) if taxonomy else 0
    return Confirmed(found, commonest, count, malignant)


def names_are_public(card: Card) -> bool:
    """Whether every source that the model learnt from is a public collection (merged ones are joined by '+')."""
    return set(str(card.data.get("source_format")).split("+")) <= set(PUBLIC_FORMATS)


def read_history(row: ScreeningRow, components: int) -> History:
    """The newest `SCANNED` photos with features [components] that the model version of `row` answered elsewhere."""
    found = db.session.execute(
        select(PhotoRow.id, PhotoRow.screening_id, PhotoRow.features)
        .join(PhotoRow.screening)
        .where(
            ScreeningRow.model_name == row.model_name,
            ScreeningRow.model_version == row.model_version,
            ScreeningRow.state == State.DONE,
            ScreeningRow.deleted_at.is_(None),
            ScreeningRow.id != row.id,
            PhotoRow.features.is_not(None),
        )
        .order_by(ScreeningRow.created_at.desc(), ScreeningRow.id.desc(), PhotoRow.position)
        .limit(SCANNED + 1)
    ).all()
    width = 2 * components
    fitting = [one for one in found[:SCANNED] if one.features is not None and len(one.features) == width]
    features = np.frombuffer(b"".join(one.features or b"" for one in fitting), dtype="<f2").reshape(-1, components)
    return History(
        np.array([one.id for one in fitting], dtype=np.int64),
        np.array([one.screening_id for one in fitting], dtype=np.int64),
        features.astype(np.float32),
        complete=len(found) <= SCANNED,
    )


def own_cases(history: History, features: NDArray[np.float32]) -> tuple[OwnCase, ...]:
    """The `OWN_SHOWN` screenings of the history whose photos lie nearest to features [K], nearest first."""
    distances = np.linalg.norm(history.features - features, axis=1)
    nearest: dict[int, tuple[int, float]] = {}
    for position in np.argsort(distances, kind="stable").tolist():
        nearest.setdefault(
            int(history.screenings[position]), (int(history.photos[position]), float(distances[position]))
        )
        if len(nearest) == OWN_SHOWN:
            break
    rows = db.session.scalars(select(ScreeningRow).where(ScreeningRow.id.in_(nearest)))
    by_id = {row.id: row for row in rows}
    return tuple(OwnCase(by_id[number], *place) for number, place in nearest.items() if number in by_id)
