"""The models: which there are, which one answers, and decisions about that."""

from flask import abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select

from ml.errors import MLError
from ml.labels import find_taxonomy
from webapp.account.access import requires
from webapp.admin.blueprint import blueprint
from webapp.admin.model_figures import (
    answered_images,
    curves,
    evaluated_matrix,
    figure_names,
    reviewed_matrix,
    rows_of,
    validated,
)
from webapp.config import Config
from webapp.extensions import db
from webapp.inference import get_models
from webapp.model_page import words as model_words
from webapp.model_page.facts import read_model
from webapp.models.promotion import Action, Promotion, PromotionCheck
from webapp.models.training_run import Kind, RunState, TrainingRun
from webapp.models.user import Role
from webapp.promotion import reasons
from webapp.promotion.catalogue import Entry, entries, find_entry, first_looks
from webapp.promotion.decisions import Refused, decide, kept_check, make_pair, rollback, set_shadow
from webapp.training.queue import enqueue

UNDER_WAY = (RunState.QUEUED, RunState.RUNNING, RunState.STOPPING, RunState.INTERRUPTED)
DECISIONS_SHOWN = 12
MOST_COMPARED = 4


@blueprint.get("/models")
@requires(Role.VIEWER)
def models() -> ResponseReturnValue:
    """Every bundle of this installation."""
    return _list()


@blueprint.get("/models/compare")
@requires(Role.VIEWER)
def compare_models() -> ResponseReturnValue:
    """Two or more bundles side by side: `?model=NAME@VERSION&model=...`."""
    known = {entry.reference: entry for entry in entries(_config()) if entry.bundle}
    chosen = [known[name] for name in dict.fromkeys(request.args.getlist("model")) if name in known][:MOST_COMPARED]
    if len(chosen) < 2:
        return _list(too_few=True), 400
    found = [read_model(entry.path) for entry in chosen]
    return render_template(
        "admin/models_compare.html",
        chosen=chosen,
        models=found,
        names=figure_names(),
        figures=[rows_of(one) for one in found],
        words=model_words,
    )


@blueprint.get("/models/<name>/<version>")
@requires(Role.VIEWER)
def model(name: str, version: str) -> ResponseReturnValue:
    """One bundle with everything that is known of it."""
    return _show(_entry(name, version))


@blueprint.get("/models/<name>/<version>/images")
@requires(Role.VIEWER)
def model_images(name: str, version: str) -> ResponseReturnValue:
    """The evaluation's images of one cell of the confusion matrix, by their ids: `?actual=mel&predicted=nv`."""
    entry = _entry(name, version)
    actual, predicted = request.args.get("actual", ""), request.args.get("predicted", "")
    return render_template(
        "admin/model_images.html",
        entry=entry,
        taxonomy=find_taxonomy(entry.label_set),
        actual=actual,
        predicted=predicted,
        images=answered_images(entry.path, actual, predicted),
    )


@blueprint.post("/models/<name>/<version>/promote")
@requires(Role.ADMIN)
def promote_model(name: str, version: str) -> ResponseReturnValue:
    """Decide by the numbers of the comparison; where it was not made yet, have it made first."""
    entry = _entry(name, version)
    try:
        pair = make_pair(_config(), entry.reference)
        kept = kept_check(pair, _config().promotion_margin)
        if kept is not None:
            decide(pair, kept.numbers, current_user.name)
        elif _under_way(entry) is None:
            enqueue(
                Kind.PROMOTION,
                label_set=pair.label_set,
                name=entry.reference,
                options={"arguments": ["check", entry.reference]},
                requested_by=current_user.name,
            )
    except (Refused, MLError) as error:
        return _show(entry, str(error)), 409
    return redirect(url_for("admin.model", name=name, version=version), 303)


@blueprint.post("/models/<name>/<version>/rollback")
@requires(Role.ADMIN)
def rollback_model(name: str, version: str) -> ResponseReturnValue:
    """Let the model before this one answer again."""
    entry = _entry(name, version)
    try:
        rollback(entry.label_set or _label_set_of(entry.reference), current_user.name, entry.reference)
    except Refused as error:
        return _show(entry, str(error)), 409
    return redirect(url_for("admin.models"), 303)


@blueprint.post("/models/<name>/<version>/shadow")
@requires(Role.ADMIN)
def shadow_model(name: str, version: str) -> ResponseReturnValue:
    """Have this model answer in the shadow, or, with `off`, no longer."""
    entry = _entry(name, version)
    if not entry.may_be_promoted:
        abort(404)
    try:
        set_shadow(entry.label_set, current_user.name, None if "off" in request.form else entry.reference)
    except Refused as error:
        return _show(entry, str(error)), 409
    return redirect(url_for("admin.model", name=name, version=version), 303)


def _list(*, too_few: bool = False) -> str:
    found = entries(_config())
    return render_template(
        "admin/models.html",
        entries=found,
        first_looks=first_looks(_config()),
        measured={entry.reference: read_model(entry.path) for entry in found if entry.bundle},
        problems=get_models().problems(),
        words=model_words,
        too_few=too_few,
        most=MOST_COMPARED,
        decisions=_decisions(),
        starts=get_models().starts(),
        reasons=reasons,
    )


def _show(entry: Entry, error: str = "") -> str:
    found = read_model(entry.path) if entry.bundle else None
    standing = get_models().standings().get(entry.label_set or _label_set_of(entry.reference))
    check = db.session.scalar(
        select(PromotionCheck)
        .where(PromotionCheck.challenger_name == entry.reference)
        .order_by(PromotionCheck.id.desc())
        .limit(1)
    )
    return render_template(
        "admin/model.html",
        entry=entry,
        model=found,
        error=error,
        words=model_words,
        reasons=reasons,
        figures=rows_of(found),
        validated=validated(found),
        curves=curves(entry.path),
        evaluated=evaluated_matrix(found),
        reviewed=reviewed_matrix(entry, found.taxonomy) if found else None,
        check=check,
        under_way=_under_way(entry),
        failed=_failed(entry, check),
        can_go_back=bool(standing and standing.promoted and standing.promoted[-1] == entry.reference),
        decisions=_decisions(entry.reference),
    )


def _label_set_of(reference: str) -> str:
    """The label set that a model was last promoted for: its card need not be readable any more."""
    name, _, version = reference.rpartition("@")
    return (
        db.session.scalar(
            select(Promotion.label_set)
            .where(Promotion.name == name, Promotion.version == version)
            .order_by(Promotion.id.desc())
            .limit(1)
        )
        or ""
    )


def _decisions(reference: str = "") -> list[Promotion]:
    query = select(Promotion).order_by(Promotion.id.desc()).limit(DECISIONS_SHOWN)
    if reference:
        name, _, version = reference.rpartition("@")
        query = query.where(Promotion.name == name, Promotion.version == version, Promotion.action != Action.SHADOW_OFF)
    return list(db.session.scalars(query))


def _under_way(entry: Entry) -> TrainingRun | None:
    return db.session.scalar(
        select(TrainingRun)
        .where(
            TrainingRun.kind == Kind.PROMOTION, TrainingRun.name == entry.reference, TrainingRun.state.in_(UNDER_WAY)
        )
        .limit(1)
    )


def _failed(entry: Entry, check: PromotionCheck | None) -> TrainingRun | None:
    """The newest comparison that was asked for, where it failed and none was made since."""
    newest = db.session.scalar(
        select(TrainingRun)
        .where(TrainingRun.kind == Kind.PROMOTION, TrainingRun.name == entry.reference)
        .order_by(TrainingRun.id.desc())
        .limit(1)
    )
    if newest is None or newest.state != RunState.FAILED:
        return None
    return None if check and newest.finished_at and check.at > newest.finished_at else newest


def _entry(name: str, version: str) -> Entry:
    found = find_entry(_config(), name, version)
    if found is None:
        abort(404)
    return found


def _config() -> Config:
    config: Config = current_app.config["LENS"]
    return config
