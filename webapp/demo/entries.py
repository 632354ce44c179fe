"""What of a database is demonstration, and whether pages must say so."""

from collections.abc import Iterable

from flask import g, has_request_context
from flask_sqlalchemy.session import Session
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import scoped_session

from webapp.extensions import db
from webapp.models.demo import DemoEntry

INVENTED = "invented"
"""The kind of entry of a screening whose answer no model gave."""


def shows_demo() -> bool:
    """Whether this database holds demonstration data. A database that cannot be asked, as the page that says so must
    still be shown, holds none."""
    if not has_request_context():
        return False
    if "shows_demo" not in g:
        try:
            g.shows_demo = db.session.scalar(select(DemoEntry.id).limit(1)) is not None
        except SQLAlchemyError:
            db.session.rollback()
            g.shows_demo = False
    found: bool = g.shows_demo
    return found


def is_invented(screening_id: int) -> bool:
    """Whether the answer to a screening is the demonstration's invention."""
    query = select(DemoEntry.id).where(DemoEntry.kind == INVENTED, DemoEntry.key == str(screening_id))
    return db.session.scalar(query) is not None


def demo_size() -> int:
    """How many things of the demonstration there are."""
    return db.session.scalar(select(func.count()).select_from(DemoEntry)) or 0


def entered(kind: str) -> list[str]:
    """The ids or names of all things of a kind."""
    return list(db.session.scalars(select(DemoEntry.key).where(DemoEntry.kind == kind)))


def enter(session: scoped_session[Session], kind: str, keys: Iterable[object]) -> None:
    """Remember things of a kind, in the current transaction."""
    session.add_all(DemoEntry(kind=kind, key=str(key)) for key in keys)
