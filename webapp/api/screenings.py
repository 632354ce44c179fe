"""Screenings: open one with photos, read it, delete it, and look at what its answers rest on."""

from flask import Response, current_app, jsonify, make_response, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from ml.errors import MLError
from webapp.admission import admitted, get_admission
from webapp.api.access import spend, spend_quota
from webapp.api.answers import screening_body
from webapp.api.blueprint import blueprint
from webapp.api.form import ScreeningForm, accepted_language, read_form
from webapp.api.idempotency import check_repeated, token_of_request
from webapp.api.problems import Problem, unavailable
from webapp.config import Config
from webapp.extensions import db
from webapp.inference import Busy
from webapp.models.screening import ScreeningRow, State, token_hash
from webapp.responses import RETRY_SECONDS
from webapp.screening.erasing import erase
from webapp.screening.lifecycle import answer, open_screening

CHANNEL = "api"


@blueprint.post("/screenings")
@admitted
def create_screening() -> ResponseReturnValue:
    """Keep the photos, answer them, and say where the answer is."""
    config: Config = current_app.config["LENS"]
    spend(config.upload_rate, "api uploads")
    form = read_form()
    wanted = token_of_request()
    token = wanted if wanted and _was_opened(wanted, form) else _open(form, wanted)
    row = _find(token)
    if row.state == State.PENDING:
        try:
            answer(row.id)
        except Busy:
            current_app.logger.warning("screening %d waits for its turn", row.id)
        except Exception:
            # Photos and row are kept, and this answer is the only place that tells their address.
            current_app.logger.exception("screening %d waits for its answer", row.id)
        row = _find(token)
    response = _answered(row, token, form.language)
    response.status_code = 201
    response.headers["Location"] = url_for("api.read_screening", token=token)
    return response


@blueprint.get("/screenings/<token>")
def read_screening(token: str) -> ResponseReturnValue:
    """The screening; one that still waits is answered first."""
    row = _find(token)
    if row.state == State.PENDING:
        try:
            with get_admission().place():
                answer(row.id)
        except Busy:
            pass
        except (MLError, OSError):
            current_app.logger.warning("screening %d waits for its answer", row.id, exc_info=True)
            raise unavailable("The photos are kept; they are answered as soon as that is possible.") from None
        row = _find(token)
    response = _answered(row, token, accepted_language() or row.language)
    response.status_code = 202 if row.state == State.PENDING else 200
    return response


@blueprint.delete("/screenings/<token>")
def delete_screening(token: str) -> ResponseReturnValue:
    """Remove photos and answer for good."""
    erase(_find(token).id)
    return "", 204


@blueprint.get("/screenings/<token>/photos/<int:number>/heatmap")
def heatmap(token: str, number: int) -> ResponseReturnValue:
    """What raised the named class in one photo, as an 8-bit grey PNG over the square that the network sees."""
    photo = next((photo for photo in _find(token).photos if photo.position == number), None)
    if photo is None or photo.heatmap is None:
        raise Problem("not-found", "There is no heatmap: the photo was refused or is not answered, or has no heatmap.")
    response = make_response(photo.heatmap)
    response.mimetype = "image/png"
    response.headers["Content-Disposition"] = 'inline; filename="heatmap.png"'
    return response


def _was_opened(token: str, form: ScreeningForm) -> bool:
    """Whether an earlier request with the same key opened this screening. Raises Problem where it asked otherwise."""
    row = _row(token)
    if row is not None:
        check_repeated(row, form)
    return row is not None


def _open(form: ScreeningForm, token: str | None) -> str:
    """Open a screening and return its token; where a request with the same key was faster, that one's stands."""
    spend_quota()
    try:
        return open_screening(
            form.uploads,
            channel=CHANNEL,
            language=form.language,
            consented=True,
            trainable=form.trainable,
            label_set=form.label_set,
            token=token,
            alone=form.alone,
        )[1]
    except IntegrityError:
        if token is None:
            raise
        check_repeated(_find(token), form)
        return token


def _row(token: str) -> ScreeningRow | None:
    return db.session.scalar(
        select(ScreeningRow)
        .where(ScreeningRow.token_hash == token_hash(token))
        .execution_options(populate_existing=True)
    )


def _find(token: str) -> ScreeningRow:
    row = _row(token)
    if row is None:
        raise Problem("not-found", "There is no screening with this id. Check it: it is case-sensitive.")
    if row.deleted_at is not None:
        if row.photos:
            erase(row.id)  # a deletion that was cut short
        raise Problem("deleted")
    return row


def _answered(row: ScreeningRow, token: str, language: str) -> Response:
    response = jsonify(screening_body(row, token, language))
    response.headers["Content-Language"] = language
    if row.state == State.PENDING:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response
