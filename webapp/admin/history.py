"""The history: every screening, narrowed and sorted as asked, and the views of it that have names."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select

from ml.labels import readable_taxonomies
from ml.screening import VERDICTS
from webapp.account.access import requires
from webapp.admin import chips, review_words, words
from webapp.admin.blueprint import blueprint
from webapp.extensions import db
from webapp.history.filters import CHANNELS, NEWEST, SORTS, STATUSES, Filters, read_queue, write_queue
from webapp.history.listing import COUNTED, read_page
from webapp.history.pages import LOOKED
from webapp.history.search import MOST_FOUND, NEWEST_NOTES
from webapp.history.views import default_views, find_view, visible_views
from webapp.models.saved_view import NAME_LENGTH
from webapp.models.screening import CaseStatus, ScreeningRow
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
    return _page(request.args)


@blueprint.get("/history/views/<view>")
@requires(Role.VIEWER)
def history_view(view: str) -> ResponseReturnValue:
    """One page of a view that has a name: one that everybody has, or a kept one by its number."""
    found = find_view(view, current_user)
    if found is None:
        abort(404)
    title, query = found
    filters, sort = read_queue(query)
    return _page({**filters.to_args(), "sort": sort.name}, title=title, view=view)


def _page(args: Mapping[str, str], title: str = "", view: str = "") -> ResponseReturnValue:
    filters, sort = Filters.from_args(args), SORTS.get(args.get("sort", ""), NEWEST)
    given, queue = request.args, write_queue(filters, sort)
    page = read_page(filters, sort, after=given.get("after", ""), before=given.get("before", ""))
    taxonomies = readable_taxonomies()

    def turn(**key: Any) -> str:
        """The address of this list from a key on."""
        asked: dict[str, Any] = {"view": view} if view else dict(parse_qsl(queue))
        return url_for("admin.history_view" if view else "admin.history", **asked, **key)

    return render_template(
        "admin/history.html",
        page=page,
        filters=filters,
        sort=sort,
        sorts=SORTS,
        title=title,
        view=view,
        queue=queue,
        turn=turn,
        chips=chips.chips(filters, sort, taxonomies),
        default_views=default_views(),
        saved_views=visible_views(current_user),
        name_length=NAME_LENGTH,
        statuses=STATUSES,
        verdicts=VERDICTS,
        review_statuses=tuple(CaseStatus),
        channels=CHANNELS,
        taxonomies=taxonomies,
        models=_models(),
        words=words,
        review_words=review_words,
        role=Role,
        counted=COUNTED,
        looked=LOOKED,
        newest_notes=NEWEST_NOTES,
        most_found=MOST_FOUND,
    )


def _models() -> list[str]:
    """Every model that ever answered, as NAME@VERSION. The index holds them in order, so each costs a step or two.

    A later version of this name and a later name are asked for one after the other: of a condition on both SQLite looks
    up the name alone and reads all its versions.
    """
    found: list[str] = []
    name, version = ScreeningRow.model_name, ScreeningRow.model_version
    pairs = select(name, version).order_by(name, version).limit(1)
    following = db.session.execute(pairs.where(name > "")).first()
    while following is not None:
        own, newest = following.model_name, following.model_version
        found.append(f"{own}@{newest}")
        later = pairs.where(name == own, version > newest)
        following = db.session.execute(later).first() or db.session.execute(pairs.where(name > own)).first()
    return found
