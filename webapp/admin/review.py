"""Reviewing one screening: what the form says becomes a review, and the reviewer goes on to the next."""

from typing import Any

from flask import abort, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from webapp import audit
from webapp.account.access import requires
from webapp.admin.blueprint import blueprint
from webapp.admin.case import Typed, case_page, find_case, hidden_among, mark_shown
from webapp.database import write_transaction
from webapp.i18n import gettext as _
from webapp.links import local_path
from webapp.models.review import NOTE_LENGTH, ReviewStatus
from webapp.models.user import Role, User
from webapp.reviews.second_answers import rescore
from webapp.reviews.writing import Draft, Fault, Overtaken, ReviewRefused, add_review

ACTIONS = {
    "submit": ReviewStatus.SUBMITTED,
    "submit_next": ReviewStatus.SUBMITTED,
    "draft": ReviewStatus.DRAFT,
    "discard": ReviewStatus.DISCARDED,
    "withdraw": ReviewStatus.PENDING,
    "reopen": ReviewStatus.PENDING,
}


@blueprint.post("/screenings/<int(max=9223372036854775807):screening_id>/reviews")
@requires(Role.REVIEWER)
def review(screening_id: int) -> ResponseReturnValue:
    """Add a review, then show this screening again, or the next of the queue that the reviewer came from."""
    form, action = request.form, request.form.get("action", "")
    typed = Typed(form.get("label", ""), form.get("note", ""), bool(form.get("decide")))
    row = find_case(screening_id)
    if action == "show":
        mark_shown(row)
        return case_page(row, typed=typed)
    if action not in ACTIONS or not form.get("seen", "").isdecimal():
        abort(400)
    draft = Draft(
        ACTIONS[action],
        typed.label or None,
        typed.note,
        blind=row.id in hidden_among([row]),
        adjudicates=action == "reopen" or (typed.decides and action in ("submit", "submit_next", "discard")),
    )
    try:
        add_review(row.id, current_user, draft, seen=int(form["seen"]))
    except Overtaken:
        sentence = _(
            "Somebody else reviewed this screening while you were looking at it, so nothing was stored yet. Their "
            "review is in the list below, and what you entered is still here: check it and submit again."
        )
        return case_page(find_case(screening_id), typed=typed, fault=sentence), 409
    except ReviewRefused as refused:
        return case_page(find_case(screening_id), typed=typed, fault=_sentence(refused.fault)), 409
    queue = request.args.get("queue")
    onward = form.get("next", "")
    if action in ("submit_next", "discard") and onward.isdecimal():
        return redirect(url_for("admin.case", screening_id=int(onward), queue=queue, after=row.id), 303)
    return redirect(url_for("admin.case", screening_id=row.id, queue=queue, _anchor="review"), 303)


@blueprint.post("/review-mode")
@requires(Role.REVIEWER)
def review_mode() -> ResponseReturnValue:
    """Hide the model's answer from this person until they have chosen, or stop doing so."""
    blind = request.form.get("blind") == "on"
    user_id = current_user.id
    with write_transaction() as session:
        user = session.get_one(User, user_id, populate_existing=True)
        if user.review_blind != blind:
            user.review_blind = blind
            audit.record("review.mode", f"user:{user_id}", blind=blind)
    return redirect(local_path(request.form.get("back")) or url_for("admin.history"), 303)


@blueprint.post("/screenings/<int(max=9223372036854775807):screening_id>/rescore")
@requires(Role.REVIEWER)
def rescore_case(screening_id: int) -> ResponseReturnValue:
    """Have another installed model answer, and show its answer beside the first."""
    row = find_case(screening_id)
    if row.deleted_at is not None:
        abort(410)
    back: dict[str, Any] = {"screening_id": row.id, "queue": request.args.get("queue")}
    try:
        there = rescore(row, request.form.get("model", ""), current_user.id)
    except LookupError:
        fault = _("This model is not installed any more. Choose another one.")
        return case_page(find_case(screening_id), fault=fault), 409
    except FileNotFoundError:
        return case_page(find_case(screening_id), fault=_("A photo of this screening is not kept any more.")), 409
    return redirect(url_for("admin.case", _anchor="answers", **back), 303) if there else abort(410)


def _sentence(fault: Fault) -> str:
    sentences: dict[Fault, str] = {
        "deleted": _("This screening was deleted meanwhile. Nothing was stored, and there is nothing left to review."),
        "unanswered": _("This screening has no answer yet, so it cannot be reviewed. Nothing was stored."),
        "no_label": _("No class was chosen. Choose one, or one of the answers below the classes, and submit again."),
        "unknown_label": _("This class is not in the label set of the screening. Choose one of the list."),
        "too_long": _("The note is too long. Shorten it to %(limit)d characters.", limit=NOTE_LENGTH),
        "may_not_decide": _(
            "You cannot decide this case: either there is no dispute any more, or you took a side in it, perhaps one "
            "that you took back. "
            "Nothing was stored; submit without deciding, or ask another reviewer or an administrator."
        ),
        "may_not_reopen": _("Only an administrator can open a case again for all. Nothing was stored."),
    }
    return sentences[fault]
