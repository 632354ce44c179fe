"""The screenings that fit the history's filters, as an address carries them."""

from collections.abc import Iterator
from urllib.parse import parse_qsl

from sqlalchemy import select
from werkzeug.datastructures import MultiDict

from webapp.admin.query import Filters
from webapp.extensions import db
from webapp.models.screening import ScreeningRow

BATCH = 100


def newest(query: str, limit: int) -> list[int]:
    """Ids of the newest screenings that fit, at most so many."""
    filters = Filters.from_args(MultiDict(parse_qsl(query)))
    fitting = select(ScreeningRow.id).where(*filters.conditions()).order_by(ScreeningRow.created_at.desc())
    return list(db.session.scalars(fitting.limit(limit)))


def batches(query: str) -> Iterator[list[int]]:
    """Ids of all screenings that fit, `BATCH` at a time."""
    filters, last = Filters.from_args(MultiDict(parse_qsl(query))), 0
    while True:
        fitting = select(ScreeningRow.id).where(*filters.conditions(), ScreeningRow.id > last)
        found = list(db.session.scalars(fitting.order_by(ScreeningRow.id).limit(BATCH)))
        if not found:
            return
        last = found[-1]
        yield found
