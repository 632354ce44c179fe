"""The queue that a reviewer walks: the history with its filters and sort, from case to case."""

from dataclasses import dataclass

from sqlalchemy import select

from webapp.extensions import db
from webapp.history.filters import Filters, Sort
from webapp.history.pages import Key, Order, find
from webapp.models.screening import ScreeningRow


@dataclass(frozen=True)
class Neighbours:
    """The ids of the screenings before and after one; None at either end."""

    previous: int | None
    next: int | None


def neighbours(filters: Filters, sort: Sort, row: ScreeningRow) -> Neighbours:
    """The screenings before and after `row` in the history with these filters, in this order.

    The row need not fit the filters itself: a review may just have taken it out of the queue, and its neighbours stay
    what they were. Links to a case carry the queue in `?queue=`, read like this:

        filters, sort = read_queue(request.args.get("queue", ""))      # from webapp.history.filters
        around = neighbours(filters, sort, row)
        url_for("admin.case", screening_id=around.next, queue=request.args["queue"])

    `write_queue(filters, sort)` writes it. With ranges that fit hardly anything, a neighbour further away than
    `pages.LOOKED` screenings counts as none.
    """
    value = db.session.scalar(select(getattr(ScreeningRow, sort.column)).where(ScreeningRow.id == row.id))
    if value is None:
        return Neighbours(None, None)
    key = Key(value, row.id)
    before, after = (find(filters, Order(sort, forwards, key), 1).keys for forwards in (False, True))
    return Neighbours(before[0].id if before else None, after[0].id if after else None)
