"""One page of the history with its rows, what leads to the pages beside it, and how many there are in all."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import load_only, selectinload

from webapp.extensions import db
from webapp.history.filters import Filters, Sort
from webapp.history.pages import Key, Order, count, find
from webapp.history.search import Searched, search
from webapp.models.screening import PhotoRow, ScreeningRow

PAGE_SIZE = 25
COUNTED = 1_000
"""Screenings are counted up to here; beyond, the page says that there are more."""
SHOWN = (
    ScreeningRow.id, ScreeningRow.created_at, ScreeningRow.channel, ScreeningRow.state, ScreeningRow.status,
    ScreeningRow.deleted_at, ScreeningRow.label_set, ScreeningRow.predicted, ScreeningRow.malignant_risk,
    ScreeningRow.uncertainty, ScreeningRow.disagreement, ScreeningRow.gate_verdict, ScreeningRow.review_status,
    ScreeningRow.reviewed_class, ScreeningRow.model_name, ScreeningRow.model_version,
)  # fmt: skip


@dataclass(frozen=True)
class Page:
    """Rows in the order of the sort, and the keys of the pages before and after (None where there is none).

    `stopped` says that the search ended before the page was full and goes on from the key. `total` screenings fit in
    all, at most COUNTED + 1; where not `complete`, at least as many.
    """

    rows: list[ScreeningRow]
    before: str | None
    after: str | None
    stopped: bool
    total: int
    complete: bool
    searched: Searched | None


def read_page(filters: Filters, sort: Sort, *, after: str = "", before: str = "") -> Page:
    """The page after the key `after`, or before the key `before`, or the first.

    Pages follow the sort's column and the id, so their cost does not grow with how far back they lie, and rows that
    arrive in between shift nothing.
    """
    later, earlier = Key.read(after, sort), Key.read(before, sort)
    backwards = earlier is not None and later is None
    start = earlier if backwards else later
    order = Order(sort, not backwards, start)
    found = find(filters, order, PAGE_SIZE + 1)
    keys, more = found.keys[:PAGE_SIZE], len(found.keys) > PAGE_SIZE
    ahead = keys[-1] if more else found.stopped  # in the direction that was looked
    behind = start and (keys[0] if keys else order.including(start))
    if backwards:
        keys.reverse()
    before_key, after_key = (ahead, behind) if backwards else (behind, ahead)
    total, complete = count(filters, COUNTED)
    return Page(
        rows=_rows(keys),
        before=before_key.write() if before_key else None,
        after=after_key.write() if after_key else None,
        stopped=found.stopped is not None,
        total=total,
        complete=complete,
        searched=search(filters.text),
    )


def _rows(keys: list[Key]) -> list[ScreeningRow]:
    """The rows of these keys in their order. One that is gone meanwhile is left out."""
    photos = selectinload(ScreeningRow.photos).load_only(PhotoRow.id, PhotoRow.position)
    query = select(ScreeningRow).where(ScreeningRow.id.in_([key.id for key in keys])).options(load_only(*SHOWN), photos)
    rows = {row.id: row for row in db.session.scalars(query)}
    return [rows[key.id] for key in keys if key.id in rows]
