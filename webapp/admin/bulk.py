"""One decision about many screenings of the history: a page that states the count, the doing, and the undoing."""

from collections.abc import Mapping

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select

from webapp.account.access import requires
from webapp.admin import review_words
from webapp.admin.blueprint import blueprint
from webapp.extensions import db
from webapp.links import local_path
from webapp.models.review import Review
from webapp.models.user import Role
from webapp.reviews.bulk import ACTIONS, MOST, Plan, apply, bulks, plan, undo
from webapp.reviews.selection import newest

SHOWN = 60
"""Screenings that the page of a bulk action links to."""


@blueprint.post("/bulk")
@requires(Role.REVIEWER)
def bulk_plan() -> ResponseReturnValue:
    """Say what would be done to how many screenings: those that were ticked, or all that fit the filters."""
    form = request.form
    action = form.get("action", "")
    if action not in ACTIONS:
        abort(400)
    everything = bool(form.get("all"))
    found = newest(form.get("filters", ""), MOST + 1) if everything else _numbers(form.getlist("id"))
    more = len(found) > MOST
    return render_template(
        "admin/bulk_plan.html",
        plan=plan(action, found),  # type: ignore[arg-type]  # checked above
        everything=everything,
        more=more,
        most=MOST,
        back=_back(form),
    )


@blueprint.post("/bulk/do")
@requires(Role.REVIEWER)
def bulk_do() -> ResponseReturnValue:
    """Do what the page before has stated, to the very screenings that it counted."""
    form = request.form
    action, seen = form.get("action", ""), form.get("seen", "")
    ids = _numbers(form.get("ids", "").split(","))
    if action not in ACTIONS or not seen.isdecimal() or not 0 < len(ids) <= MOST:
        abort(400)
    planned = Plan(action, tuple(ids), 0, int(seen))  # type: ignore[arg-type]  # checked above
    bulk, changed, overtaken = apply(planned, current_user)
    if not changed:
        return render_template("admin/bulk_none.html", overtaken=overtaken, back=_back(form)), 409
    return redirect(url_for("admin.bulk_done", bulk=bulk, overtaken=overtaken or None, back=_named(form)), 303)


@blueprint.get("/bulk")
@requires(Role.VIEWER)
def bulk_list() -> ResponseReturnValue:
    """The newest bulk actions, to look at or undo."""
    return render_template("admin/bulk_list.html", bulks=bulks(), review_words=review_words)


@blueprint.get("/bulk/<bulk>")
@requires(Role.VIEWER)
def bulk_done(bulk: str) -> ResponseReturnValue:
    """What a bulk action did, and the button that undoes it."""
    found = bulks(bulk=bulk)
    if not found:
        abort(404)
    ids = db.session.scalars(
        select(Review.screening_id).where(Review.bulk == bulk, Review.undoes.is_(None)).order_by(Review.id).limit(SHOWN)
    ).all()
    return render_template(
        "admin/bulk_done.html",
        done=found[0],
        ids=ids,
        may_undo=current_user.may(Role.ADMIN) or current_user.id == found[0].reviewer_id,
        overtaken=request.args.get("overtaken", 0, type=int),
        back=_back(request.args),
    )


@blueprint.post("/bulk/<bulk>/undo")
@requires(Role.REVIEWER)
def bulk_undo(bulk: str) -> ResponseReturnValue:
    """Undo a bulk action: its author may, and administrators."""
    found = bulks(bulk=bulk)
    if not found:
        abort(404)
    if not current_user.may(Role.ADMIN) and current_user.id != found[0].reviewer_id:
        abort(403)
    undo(bulk, current_user)
    return redirect(url_for("admin.bulk_done", bulk=bulk, back=_named(request.form)), 303)


def _named(given: Mapping[str, str]) -> str | None:
    """The address of the list that the action was begun from, with its filters, where one is named."""
    return local_path(given.get("back"))


def _back(given: Mapping[str, str]) -> str:
    """The same, else the whole history."""
    return _named(given) or url_for("admin.history")


def _numbers(texts: list[str]) -> list[int]:
    """The ids among these texts, each once."""
    return list(dict.fromkeys(int(text) for text in texts if text.isdecimal() and len(text) < 19))
