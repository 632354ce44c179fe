"""The history: every screening, newest first."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from ml.labels import readable_taxonomies
from webapp.account.access import requires
from webapp.admin import words
from webapp.admin.blueprint import blueprint
from webapp.admin.query import STATUSES, Filters, read_page
from webapp.extensions import db
from webapp.models.screening import ScreeningRow
from webapp.models.user import Role


@blueprint.get("/")
@requires(Role.VIEWER)
def home() -> ResponseReturnValue:
    """The admin pages begin with the history."""
    return redirect(url_for("admin.history"), 303)


@blueprint.get("/history")
@requires(Role.VIEWER)
def history() -> ResponseReturnValue:
    """One page of the history, narrowed by the filters in the query string."""
    filters = Filters.from_args(request.args)
    page = read_page(filters, older=request.args.get("older", ""), newer=request.args.get("newer", ""))
    return render_template(
        "admin/history.html",
        page=page,
        filters=filters,
        statuses=STATUSES,
        taxonomies=readable_taxonomies(),
        models=_models(),
        words=words,
    )


def _models() -> list[str]:
    """Every model that ever answered, as NAME@VERSION. The index holds them in order, so each costs one step."""
    found: list[str] = []
    name, version = "", ""
    while True:
        following = db.session.execute(
            select(ScreeningRow.model_name, ScreeningRow.model_version)
            .where(
                ScreeningRow.model_name.is_not(None),
                (ScreeningRow.model_name > name)
                | ((ScreeningRow.model_name == name) & (ScreeningRow.model_version > version)),
            )
            .order_by(ScreeningRow.model_name, ScreeningRow.model_version)
            .limit(1)
        ).first()
        if following is None:
            return found
        name, version = following.model_name, following.model_version
        found.append(f"{name}@{version}")
