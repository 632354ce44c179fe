"""Views of the history under names: those that everybody has, and those that people keep."""

from datetime import timedelta

from sqlalchemy import or_, select

from webapp import clock
from webapp.extensions import db
from webapp.i18n import gettext as _
from webapp.models.saved_view import SavedView
from webapp.models.user import User


def default_views() -> dict[str, tuple[str, str]]:
    """Title and query string of the views that everybody has, by the name in their address."""
    week = (clock.now() - timedelta(days=6)).date()
    return {
        "to-review": (_("To review: highest risk first"), "review=pending&sort=risk"),
        "disagreements": (_("Disagreements"), "review=pending&sort=disagreement"),
        "disputed": (_("Disputed"), "review=disputed"),
        "uncertain": (_("Uncertain"), "status=uncertain&sort=uncertainty"),
        "refused": (_("Refused"), "status=refused"),
        "this-week": (_("This week"), f"from={week.isoformat()}"),
    }


def visible_views(user: User) -> list[SavedView]:
    """The views that somebody has kept, and those that were shared with everybody, by name."""
    query = select(SavedView).where(or_(SavedView.owner_id == user.id, SavedView.shared))
    return list(db.session.scalars(query.order_by(SavedView.name, SavedView.id)))


def find_view(name: str, user: User) -> tuple[str, str] | None:
    """Title and query string of a view by its name in the address (a default's name, or a number); None for none that
    this account may see."""
    if name in (defaults := default_views()):
        return defaults[name]
    view = db.session.get(SavedView, int(name)) if name.isdecimal() and len(name) < 19 else None
    return (view.name, view.query) if view and (view.shared or view.owner_id == user.id) else None
