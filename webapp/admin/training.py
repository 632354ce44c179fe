"""Training runs: the list, a form for a new one, and the page of one that shows how far it is."""

from typing import Any

from flask import abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select

from ml.run_folder import read_history
from webapp.account.access import requires
from webapp.admin import learning_curves
from webapp.admin import training_words as words
from webapp.admin.blueprint import blueprint
from webapp.admin.training_form import Order, TrainingForm
from webapp.config import Config
from webapp.extensions import db
from webapp.i18n import gettext as _
from webapp.inference import get_models
from webapp.models.training_run import Kind, RunState, TrainingRun
from webapp.models.user import Role
from webapp.training import queue
from webapp.training.choices import estimate, pictures_lacking
from webapp.training.commands import run_folder
from webapp.training.time_left import FINISHING, seconds_left, share_done
from webapp.training.trainer import trainer_is_there

RUNS_A_PAGE = 25
REFRESH_SECONDS = 5
RUN = "/training/<int(max=9223372036854775807):run_id>"


@blueprint.get("/training")
@requires(Role.VIEWER)
def training() -> ResponseReturnValue:
    """The runs, newest first."""
    older = request.args.get("older", "")
    runs = select(TrainingRun).order_by(TrainingRun.id.desc()).limit(RUNS_A_PAGE + 1)
    if older.isdecimal() and len(older) < 19:
        runs = runs.where(TrainingRun.id < int(older))
    found = list(db.session.scalars(runs))
    return render_template(
        "admin/training.html",
        runs=found[:RUNS_A_PAGE],
        older=found[RUNS_A_PAGE - 1].id if len(found) > RUNS_A_PAGE else None,
        refresh=REFRESH_SECONDS if any(run.active or run.waiting for run in found) else None,
        trainer=trainer_is_there(_config().runs),
        words=words,
        Role=Role,
    )


@blueprint.get("/training/new")
@requires(Role.ADMIN)
def new_training() -> ResponseReturnValue:
    """The form, filled from the query string; where that is a whole choice, what it would take, and a button."""
    form = TrainingForm(request.args if request.args else None)
    order = form.order() if request.args.get("check") else None
    return _form_page(form, order)


@blueprint.post("/training")
@requires(Role.ADMIN)
def start_training() -> ResponseReturnValue:
    """Queue what was chosen."""
    form = TrainingForm(request.form)
    order = form.order()
    if order is None:
        return _form_page(form, None), 400
    options: dict[str, Any] = {
        "architecture": order.architecture,
        "weights": order.weights,
        "image_size": order.image_size,
        "epochs": order.epochs,
        "include_reviewed": order.include_reviewed,
        "images": order.data.images.get("train", 0),
        "data_name": order.data.name,
    }
    run_id = queue.enqueue(
        Kind.TRAIN,
        label_set=order.data.label_set,
        name=order.name,
        data=str(order.data.folder),
        options=options,
        requested_by=current_user.name,
        epochs=order.epochs,
    )
    return redirect(url_for("admin.training_run", run_id=run_id), 303)


@blueprint.get(RUN)
@requires(Role.VIEWER)
def training_run(run_id: int) -> ResponseReturnValue:
    """The page of one run; with `?part=live` only what changes while it goes on."""
    run = _find(run_id)
    live = request.args.get("part") == "live"
    history = read_history(run_folder(_config(), run.id))
    return render_template(
        "partials/training_live.html" if live else "admin/training_run.html",
        run=run,
        history=history,
        charts=learning_curves.charts(history),
        share=share_done(run),
        left=seconds_left(_config(), run),
        finishing=(run.progress or {}).get("phase") == FINISHING,
        again=_again(run),
        model_links=_model_links(run),
        refresh=REFRESH_SECONDS if run.active or run.waiting else None,
        trainer=trainer_is_there(_config().runs),
        RunState=RunState,
        Role=Role,
        size=learning_curves,
        words=words,
    )


@blueprint.post(f"{RUN}/stop")
@requires(Role.ADMIN)
def stop_training(run_id: int) -> ResponseReturnValue:
    """Ask a run to end."""
    _find(run_id)
    queue.request_stop(run_id)
    return redirect(url_for("admin.training_run", run_id=run_id), 303)


@blueprint.post(f"{RUN}/restart")
@requires(Role.ADMIN)
def restart_training(run_id: int) -> ResponseReturnValue:
    """Queue a stopped or failed run again; it goes on from its last whole epoch."""
    _find(run_id)
    queue.put_back(run_id)
    return redirect(url_for("admin.training_run", run_id=run_id), 303)


def _form_page(form: TrainingForm, order: Order | None) -> str:
    expected = estimate(_config(), order.data.images, order.architecture, order.image_size) if order else None
    return render_template(
        "admin/training_new.html",
        form=form,
        order=order,
        expected=expected,
        lacking=pictures_lacking(_config(), order.data.label_set) if order else [],
        whole=expected.whole(order.epochs) if expected and order else None,
        words=words,
    )


def _config() -> Config:
    config: Config = current_app.config["LENS"]
    return config


def _find(run_id: int) -> TrainingRun:
    run = db.session.get(TrainingRun, run_id)
    if run is None:
        abort(404)
    return run


def _model_links(run: TrainingRun) -> list[tuple[str, str]]:
    """Address and title of the pages about the model that a run has made: its own, and beside the one that answers."""
    if not run.bundle:
        return []
    name, _at, version = run.bundle.partition("@")
    links = [(url_for("admin.model", name=name, version=version), _("Its page"))]
    answering = next((f"{n}@{v}" for label_set, n, v in get_models().stated() if label_set == run.label_set), None)
    if answering and answering != run.bundle:
        beside = url_for("admin.compare_models", model=[answering, run.bundle])
        links.append((beside, _("Beside the one that answers")))
    return links


def _again(run: TrainingRun) -> str:
    """The address of the form filled with the choices of a run."""
    options = run.options
    return url_for(
        "admin.new_training",
        data=options.get("data_name"),
        start=options.get("weights"),
        architecture=options.get("architecture"),
        image_size=options.get("image_size"),
        epochs=options.get("epochs"),
        name=run.name,
        include_reviewed="y" if options.get("include_reviewed") else None,
    )
