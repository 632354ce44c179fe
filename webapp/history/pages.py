"""Pages of the history: which screenings, in which order, after which one. Four plans, by what the filters leave.

Codes are found through facets (see webapp.history.facets), exactly and at once. Ranges cannot be: where the narrowest
one leaves few screenings these are all looked at, else the history is looked through in the order of the sort, and that
ends after LOOKED screenings, found or not: the page says so and goes on from there when asked. All of it happens in
indexes; `docs/history.md` has the plans and what they cost.
"""

import base64
import binascii
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.orm import aliased

from webapp.extensions import db
from webapp.history.facets import listed, matching_facets, one_of
from webapp.history.filters import Filters, Sort
from webapp.history.search import Searched, search
from webapp.models.screening import ScreeningRow

FEW = 20_000
"""So many screenings are all looked at."""
LOOKED = 50_000
"""So many are looked through in the order of a sort before a page is shown as far as it has come."""

Condition = ColumnElement[bool]


@dataclass(frozen=True)
class Key:
    """Where a screening stands in the order of a sort: the sort column's value, and the id."""

    value: datetime | float
    id: int

    def write(self) -> str:
        """As it stands in an address."""
        value = self.value.isoformat() if isinstance(self.value, datetime) else repr(self.value)
        return base64.urlsafe_b64encode(f"{value}|{self.id}".encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str, sort: Sort) -> "Key | None":
        """The inverse of `write`; None for what makes no sense."""
        try:
            value, _bar, number = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition("|")
            key = int(number)
            if abs(key) >= 2**63:
                return None
            if sort.column != "created_at":
                return cls(float(value), key) if math.isfinite(float(value)) else None
            moment = datetime.fromisoformat(value)
            return cls(moment.astimezone(UTC), key) if moment.tzinfo else None
        except (ValueError, OverflowError, binascii.Error):
            return None


@dataclass(frozen=True)
class Found:
    """Keys in the order asked for. `stopped` is how far it was looked where that ended before the page was full."""

    keys: list[Key]
    stopped: Key | None = None


@dataclass(frozen=True)
class Order:
    """A sort in one direction, from a key on."""

    sort: Sort
    forwards: bool = True
    start: Key | None = None

    @property
    def descending(self) -> bool:
        """Whether larger values come first."""
        return self.sort.descending == self.forwards

    def after(self, row: Any) -> list[Condition]:
        """The condition that rows come after the key."""
        if self.start is None:
            return []
        place = tuple_(getattr(row, self.sort.column), row.id)
        start = (self.start.value, self.start.id)
        return [place < start if self.descending else place > start]

    def by(self, row: Any) -> list[Any]:
        """For ORDER BY."""
        column = getattr(row, self.sort.column)
        return [column.desc(), row.id.desc()] if self.descending else [column, row.id]

    def including(self, key: Key) -> Key:
        """The key from which the other direction begins with the row of `key` itself."""
        return Key(key.value, key.id - 1 if self.descending else key.id + 1)

    def rank(self, key: Key) -> tuple[Any, int]:
        """For sorting keys in Python, with `reverse=self.descending`."""
        return key.value, key.id


def find(filters: Filters, order: Order, limit: int) -> Found:
    """Up to `limit` keys of the screenings that fit, in the given order, after its key."""
    searched = search(filters.text)
    facets = matching_facets(filters.facet()) if filters.facet() else None
    if facets == [] or (searched is not None and not searched.ids):
        return Found([])
    ranges = filters.ranges()
    if searched is not None:
        return Found(_read(_listed_ids(searched, facets, ranges), order, limit))
    column = order.sort.column
    if set(ranges) <= {column}:
        within = ranges.get(column, [])
        if facets is None:
            return Found(_read(_in_index(column, None, {column: within}), order, limit))
        return Found(_merge(facets, within, order, limit))
    if narrowest := few(facets, ranges):
        return Found(_read(_in_index(narrowest, facets, ranges), order, limit))
    return look_through(facets, ranges, order, limit)


def all_keys(filters: Filters, sort: Sort, batch: int) -> Iterator[Key]:
    """The keys of all screenings that fit, in order, read a batch at a time.

    Few are found as pages find them. Many are met by going through the whole history in the order of the sort: that is
    once through an index, where page after page of many facets would begin anew each time.
    """
    order = Order(sort)
    if filters.text:
        yield from find(filters, order, FEW).keys
        return
    facets = matching_facets(filters.facet()) if filters.facet() else None
    ranges = filters.ranges()
    if facets == []:
        return
    if narrowest := few(facets, ranges):
        yield from _read(_in_index(narrowest, facets, ranges), order, FEW)
        return
    while True:
        found = look_through(facets, ranges, order, batch)
        yield from found.keys
        start = found.keys[-1] if len(found.keys) == batch else found.stopped
        if start is None:
            return
        order = Order(sort, start=start)


def few(facets: Sequence[str] | None, ranges: dict[str, list[Condition]]) -> str | None:
    """The column whose range, within the facets, leaves the fewest screenings, where these are at most FEW."""
    sizes = {}
    for column in ranges:
        sizes[column] = _count(_in_index(column, facets, {column: ranges[column]}), FEW)
    if facets is not None and "created_at" not in ranges:
        sizes["created_at"] = _count(_in_index("created_at", facets, {}), FEW)
    narrowest = min(sizes, key=lambda column: sizes[column], default=None)
    return narrowest if narrowest and sizes[narrowest] <= FEW else None


def look_through(
    facets: Sequence[str] | None, ranges: dict[str, list[Condition]], order: Order, limit: int, looked: int = LOOKED
) -> Found:
    """Those that fit among the next `looked` screenings in the order of the sort."""
    row = ScreeningRow
    column = order.sort.column
    others = [name for name in ranges if name != column]
    columns = (getattr(row, column).label("value"), row.id, row.facet, *(getattr(row, name) for name in others))
    ordered = select(*columns).where(*ranges.get(column, ()), *order.after(row)).order_by(*order.by(row))
    inner = _hinted(ordered.limit(looked), f"by_{column}").subquery()
    fits = [_moved(condition, inner) for name in others for condition in ranges[name]]
    if facets is not None:
        fits.append(inner.c.facet.in_(one_of(facets)))
    # The order is that of the subquery: sorting again would keep the database from stopping at `limit`.
    keys = _keys(select(inner.c.value, inner.c.id).where(*fits).limit(limit))
    if len(keys) == limit:
        return Found(keys)
    last = db.session.execute(select(inner.c.value, inner.c.id).offset(looked - 1).limit(1)).first()
    return Found(keys, None if last is None else Key(last.value, last.id))


def count(filters: Filters, most: int) -> tuple[int, bool]:
    """How many screenings fit, at most `most` + 1, and whether that is all that is to be known of it.

    False where only the first LOOKED screenings were looked through and more may follow.
    """
    searched = search(filters.text)
    facets = matching_facets(filters.facet()) if filters.facet() else None
    if facets == [] or (searched is not None and not searched.ids):
        return 0, True
    ranges = filters.ranges()
    if searched is not None:
        return _count(_listed_ids(searched, facets, ranges), most), True
    if len(ranges) <= 1:
        return _count(_in_index(next(iter(ranges), "created_at"), facets, ranges), most), True
    if narrowest := few(facets, ranges):
        return _count(_in_index(narrowest, facets, ranges), most), True
    found = look_through(facets, ranges, Order(Sort("newest", "created_at")), most + 1)
    return len(found.keys), found.stopped is None or len(found.keys) > most


def _merge(facets: Sequence[str], within: list[Condition], order: Order, limit: int) -> list[Key]:
    """The first keys of each facet, merged: the facets whose first comes first are read until the page is full."""
    column = order.sort.column
    table = listed(facets)
    row = aliased(ScreeningRow)
    conditions = [row.facet == table.c.value, *(_moved(condition, row) for condition in within), *order.after(row)]
    first = _hinted(select(row.id).where(*conditions).order_by(*order.by(row)), f"facet_{column}", row).limit(1)
    heads = select(table.c.value.label("facet"), first.correlate(table).scalar_subquery().label("first")).subquery()
    starts = db.session.execute(
        select(heads.c.facet, getattr(ScreeningRow, column), ScreeningRow.id).join(
            ScreeningRow, ScreeningRow.id == heads.c.first
        )
    )
    queue = [(facet, Key(value, number)) for facet, value, number in starts]
    queue.sort(key=lambda one: order.rank(one[1]), reverse=order.descending)
    found: list[Key] = []
    for facet, head in queue:
        if len(found) == limit and (order.rank(head) < order.rank(found[-1])) == order.descending:
            break
        found += _read(_in_facet(facet, column, within), order, limit)
        found = sorted(found, key=order.rank, reverse=order.descending)[:limit]
    return found


def _in_facet(facet: str, column: str, within: list[Condition]) -> Select[Any]:
    return _hinted(select(ScreeningRow).where(ScreeningRow.facet == facet, *within), f"facet_{column}")


def _in_index(column: str, facets: Sequence[str] | None, ranges: dict[str, list[Condition]]) -> Select[Any]:
    """Those within facets and ranges, through the index that begins with the facet and the column, or the column."""
    query = select(ScreeningRow).where(*(condition for some in ranges.values() for condition in some))
    if facets is None:
        return _hinted(query, f"by_{column}")
    return _hinted(query.where(ScreeningRow.facet.in_(one_of(facets))), f"facet_{column}")


def _listed_ids(searched: Searched, facets: Sequence[str] | None, ranges: dict[str, list[Condition]]) -> Select[Any]:
    query = select(ScreeningRow).where(ScreeningRow.id.in_(searched.ids))
    query = query.with_hint(ScreeningRow, "NOT INDEXED", "sqlite")  # by their ids
    query = query.where(*(condition for some in ranges.values() for condition in some))
    return query if facets is None else query.where(ScreeningRow.facet.in_(one_of(facets)))


def _read(query: Select[Any], order: Order, limit: int) -> list[Key]:
    row = ScreeningRow
    columns = query.with_only_columns(getattr(row, order.sort.column).label("value"), row.id)
    return _keys(columns.where(*order.after(row)).order_by(*order.by(row)).limit(limit))


def _keys(query: Select[Any]) -> list[Key]:
    return [Key(value, number) for value, number in db.session.execute(query)]


def _count(query: Select[Any], most: int) -> int:
    counted = select(func.count()).select_from(query.with_only_columns(ScreeningRow.id).limit(most + 1).subquery())
    return db.session.scalar(counted) or 0


def _hinted(query: Select[Any], index: str, row: Any = ScreeningRow) -> Select[Any]:
    """With the index that SQLite is to take: its own choice hangs on statistics that may be old or missing."""
    return query.with_hint(row, f"INDEXED BY ix_screenings_{index}", "sqlite")


def _moved(condition: Condition, target: Any) -> Condition:
    """A comparison of a column with a value, for the same column elsewhere."""
    left: Any = condition.left
    columns = target.c if hasattr(target, "c") else target
    moved: Condition = condition.operator(getattr(columns, left.key), condition.right)
    return moved
