"""Keeping a view of the history under a name, and dropping it."""

from flask import abort, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select

from webapp import audit, clock
from webapp.account.access import requires
from webapp.admin.blueprint import blueprint
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.history.filters import read_queue, write_queue
from webapp.i18n import gettext as _
from webapp.models.saved_view import NAME_LENGTH, SavedView
from webapp.models.user import Role


@blueprint.post("/history/views")
@requires(Role.REVIEWER)
def keep_view() -> ResponseReturnValue:
    """Keep filters and sort under a name. One's own view of the same name is replaced; sharing is for admins."""
    name = " ".join(request.form.get("name", "").split())[:NAME_LENGTH]
    if not name:
        abort(400, _("A view needs a name. Go back and enter one."))
    query = write_queue(*read_queue(request.form.get("query", "")))
    shared = bool(request.form.get("shared")) and current_user.may(Role.ADMIN)
    with write_transaction() as session:
        mine = select(SavedView).where(SavedView.owner_id == current_user.id, SavedView.name == name)
        view = session.scalar(mine) or SavedView(owner_id=current_user.id, name=name, created_at=clock.now())
        if view.shared or shared:
            audit.record("view.share" if shared else "view.unshare", "history", view=name)
        view.query, view.shared = query, shared
        session.add(view)
        session.flush()
    return redirect(url_for("admin.history_view", view=view.id), 303)


@blueprint.post("/history/views/<int(max=9223372036854775807):view>/drop")
@requires(Role.REVIEWER)
def drop_view(view: int) -> ResponseReturnValue:
    """Remove a view: one's own, or, for admins, a shared one."""
    found = db.session.get(SavedView, view)
    allowed = found and (found.owner_id == current_user.id or (found.shared and current_user.may(Role.ADMIN)))
    if not found or not allowed:
        abort(404)
    with write_transaction() as session:
        if found.shared:
            audit.record("view.drop", "history", view=found.name)
        session.delete(found)
    return redirect(url_for("admin.history"), 303)
