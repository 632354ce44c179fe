"""Whether pages must say that what they show is a demonstration."""

from flask import g, has_request_context
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from webapp.extensions import db
from webapp.models.demo import DemoEntry


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
