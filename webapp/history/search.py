"""Free search: a result's token or address, a screening's number, or words of a note."""

import re
from dataclasses import dataclass

from sqlalchemy import select

from webapp.extensions import db
from webapp.models.review import Review
from webapp.models.screening import ScreeningRow, token_hash

NEWEST_NOTES = 10_000
"""So many notes are searched, the newest ones."""
MOST_FOUND = 2_000
"""So many screenings are listed of those whose notes match, the ones with the newest notes."""
TOKEN = re.compile(r"(?:.*/results/)?([A-Za-z0-9_-]{43,64})(?:[/?#].*)?")
NUMBER = re.compile(r"#(\d{1,18})")


@dataclass(frozen=True)
class Searched:
    """Ids of the screenings that a search found. `notes` says that words were searched for, in the newest notes only;
    `cut` that more than MOST_FOUND had them."""

    ids: list[int]
    notes: bool = False
    cut: bool = False


def search(text: str) -> Searched | None:
    """What a search finds; None for an empty one."""
    if not text:
        return None
    if number := NUMBER.fullmatch(text):
        return Searched([int(number[1])])
    if token := TOKEN.fullmatch(text):
        by_token = db.session.scalar(select(ScreeningRow.id).where(ScreeningRow.token_hash == token_hash(token[1])))
        if by_token is not None:
            return Searched([by_token])
    newest = (
        select(Review.id, Review.screening_id, Review.note)
        .where(Review.note.is_not(None))
        .order_by(Review.id.desc())
        .limit(NEWEST_NOTES)
        .subquery()
    )
    found = db.session.scalars(
        select(newest.c.screening_id).where(newest.c.note.icontains(text, autoescape=True)).limit(MOST_FOUND + 1)
    )
    ids = list(dict.fromkeys(found))
    return Searched(ids[:MOST_FOUND], notes=True, cut=len(ids) > MOST_FOUND)
