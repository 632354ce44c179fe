"""What the decisions in `promotions` amount to: for each label set, the models promoted, and the one in the shadow.

Every process asks at every use. That costs one read of the newest row's number, by the primary key; the rows themselves
are read again only when it has changed. Where the database does not answer, what was known last goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from webapp.extensions import db
from webapp.models.promotion import Action, Promotion

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Standing:
    """`promoted` are references NAME@VERSION, the one that answers last; below the first is what `MODEL` names.

    `number` is the next decision's. `shadow` answers beside it since `shadow_since`. `digests` has, by reference, the
    SHA-256 of the SHA256SUMS of what was promoted, where it was kept.
    """

    promoted: tuple[str, ...] = ()
    number: int = 1
    shadow: str | None = None
    shadow_since: datetime | None = None
    digests: Mapping[str, str] = field(default_factory=dict)


def read_standings() -> dict[str, Standing]:
    """The standing of every label set that something was decided about, in the session's own transaction."""
    return standings_of(db.session.scalars(select(Promotion).order_by(Promotion.id)).all())


def standings_of(rows: Sequence[Promotion]) -> dict[str, Standing]:
    """Decisions in their order, taken together."""
    found: dict[str, Standing] = {}
    for row in rows:
        before = found.get(row.label_set, Standing())
        model = f"{row.name}@{row.version}" if row.name else None
        if row.action == Action.PROMOTE and model and row.number:
            digests = {**before.digests, **({model: row.digest} if row.digest else {})}
            after = replace(before, promoted=(*before.promoted, model), number=row.number + 1, digests=digests)
            if model == before.shadow:
                after = replace(after, shadow=None, shadow_since=None)
        elif row.action == Action.ROLLBACK and row.number:
            after = replace(before, promoted=before.promoted[:-1], number=row.number + 1)
        elif row.action == Action.SHADOW:
            after = replace(before, shadow=model, shadow_since=row.at)
        elif row.action == Action.SHADOW_OFF:
            after = replace(before, shadow=None, shadow_since=None)
        else:
            continue
        found[row.label_set] = after
    return found


class Standings:
    """The standings as one process knows them."""

    def __init__(self) -> None:
        self.known: dict[str, Standing] = {}
        self._newest = 0
        self._failing = False

    def now(self) -> dict[str, Standing]:
        """Every label set's standing; the last known where the database cannot be read."""
        try:
            # A connection of its own: whoever asks must not be in a transaction afterwards, or is in one of theirs.
            with db.engine.connect() as connection:
                newest = connection.execute(select(func.max(Promotion.id))).scalar() or 0
                if newest != self._newest:
                    rows = connection.execute(select(Promotion.__table__).order_by(Promotion.id))
                    self.known = standings_of([Promotion(**row._mapping) for row in rows])
                    self._newest = newest
            self._failing = False
        except SQLAlchemyError as error:
            if not self._failing:
                log.warning("promotions cannot be read, so the model last known goes on: %s", type(error).__name__)
            self._failing = True
        return self.known
