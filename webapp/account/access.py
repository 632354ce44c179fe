"""Which role a page needs."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import abort, current_app, request
from flask_login import current_user
from sqlalchemy.exc import SQLAlchemyError

from webapp import audit
from webapp.database import write_transaction
from webapp.extensions import login
from webapp.models.user import Role

View = Callable[..., Any]


def requires(role: Role) -> Callable[[View], View]:
    """A view for accounts that have at least the rights of `role`, under the line that gives it its address:

        @blueprint.get("/history")
        @requires(Role.VIEWER)
        def history(): ...

    Visitors without a session are sent to the log-in page, lesser accounts get the page of HTTP 403.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if (refusal := refused(role)) is not None:
                return refusal
            return view(*args, **kwargs)

        guarded.required_role = role  # type: ignore[attr-defined]
        return guarded

    return decorate


def required_role(view: View) -> Role | None:
    """The role that `requires` has set for a view; None where it was not used."""
    role: Role | None = getattr(view, "required_role", None)
    return role


def refused(role: Role) -> Any | None:
    """The answer for who is not logged in, None for who may go on. Raises HTTP 403 for a lesser account."""
    if not current_user.is_authenticated:
        return login.unauthorized()
    if not current_user.may(role):
        _note_refusal(role)
        abort(403)
    return None


def _note_refusal(role: Role) -> None:
    """Put it on record that an account asked for more than it may; it is refused even where that cannot be written."""
    try:
        with write_transaction():
            audit.record_hourly(audit.current_actor(), "page.refuse", f"page:{request.endpoint}", needed=role.value)
    except SQLAlchemyError:
        current_app.logger.warning("a refused page could not be put on record", exc_info=True)
