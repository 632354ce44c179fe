"""The public pages: upload a photo, read the result, delete it."""

from flask import Blueprint, abort, current_app, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_locale
from sqlalchemy import select, update

from ml.errors import MLError
from ml.labels import Taxonomy, find_taxonomy
from webapp import clock
from webapp.admission import admitted, get_admission
from webapp.config import PHOTOS_PER_SCREENING
from webapp.database import write_transaction
from webapp.extensions import db, limiter
from webapp.i18n import LANGUAGES
from webapp.inference import Busy, get_models
from webapp.links import local_path
from webapp.models.screening import PhotoRow, ScreeningRow, State, token_hash
from webapp.photos import get_photos
from webapp.responses import heatmap_jpeg, jpeg
from webapp.reviews.copies import delete_copies
from webapp.screening.erasing import erase
from webapp.screening.forms import UploadForm, UploadRefused
from webapp.screening.lifecycle import answer, open_screening
from webapp.screening.questions import is_put, lacks_default, questions

blueprint = Blueprint("screening", __name__)

# Seconds after which a page that waits for its answer asks again.
REFRESH_SECONDS = 10


# A page with its photos is about ten requests, and a heatmap is drawn at each.
view_limit = limiter.shared_limit(lambda: current_app.config["LENS"].view_rate, scope="views")


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """The upload form; `?label_set=` has that question chosen."""
    form = UploadForm()
    form.label_set.data = request.args.get("label_set")
    return _upload_page(form)


@blueprint.post("/")
@limiter.limit(lambda: current_app.config["LENS"].upload_rate)
@admitted
def upload() -> ResponseReturnValue:
    """Decode and keep the photos, commit the row, answer it, and send the visitor to its page."""
    form, offered = UploadForm(), questions()
    try:
        uploads = form.read(offered)
    except UploadRefused as refused:
        return _upload_page(form, refused.sentence), refused.http_status
    screening_id, token = open_screening(
        uploads,
        channel="web",
        language=str(get_locale()),
        consented=bool(form.consent.data),
        trainable=bool(form.training.data),
        label_set=form.asked(offered),
    )
    try:
        answer(screening_id)
    except Busy:
        current_app.logger.warning("screening %d waits for its turn", screening_id)
    except Exception:
        # Photos and row are kept, and this answer is the only place that tells the visitor their address: the page
        # there says that they wait, and answers them as soon as that is possible.
        current_app.logger.exception("screening %d waits for its answer", screening_id)
    return redirect(url_for("screening.result", token=token), 303)


@blueprint.get("/results/<token>")
@view_limit
def result(token: str) -> ResponseReturnValue:
    """The result, as its row says it. A row that is still pending is answered first."""
    row = _find(token)
    if row.deleted_at is not None:
        if row.photos:
            erase(row.id)  # a deletion that was cut short
        return render_template("screening/deleted.html", row=row, token=token), 410
    if row.state == State.PENDING:
        try:
            with get_admission().place():
                answer(row.id)
        except Busy:
            return _waiting(row, token), 202
        except (MLError, OSError):
            current_app.logger.warning("screening %d waits for its answer", row.id, exc_info=True)
            return _waiting(row, token, available=False), 503, {"Retry-After": str(REFRESH_SECONDS)}
        row = _find(token)
        if row.state == State.PENDING:
            return _waiting(row, token), 202
    return render_template("screening/result.html", row=row, token=token, taxonomy=_taxonomy(row))


@blueprint.get("/results/<token>/photos/<int:position>")
@view_limit
def photo(token: str, position: int) -> ResponseReturnValue:
    """A kept photo, or its thumbnail with `?size=small`."""
    return jpeg(get_photos(), _find_photo(token, position).name, small=request.args.get("size") == "small")


@blueprint.get("/results/<token>/photos/<int:position>/heatmap")
@view_limit
def heatmap(token: str, position: int) -> ResponseReturnValue:
    """A photo with the regions coloured that raised the score of the class it was given."""
    return heatmap_jpeg(get_photos(), _find_photo(token, position))


@blueprint.post("/results/<token>/delete")
def delete(token: str) -> ResponseReturnValue:
    """Delete photos and result. Doing it twice does no harm."""
    erase(_find(token).id)
    return redirect(url_for("screening.result", token=token), 303)


@blueprint.post("/results/<token>/training")
def training(token: str) -> ResponseReturnValue:
    """Allow training with these photos, or take that back: from then on no export has them."""
    row_id, allowed = _find(token).id, request.form.get("allow") == "yes"
    with write_transaction() as session:
        session.execute(
            update(ScreeningRow)
            .where(ScreeningRow.id == row_id, ScreeningRow.deleted_at.is_(None))
            .values(training_consent_at=clock.now() if allowed else None)
        )
    if not allowed:
        delete_copies(current_app.config["LENS"].runs, row_id)
    return redirect(url_for("screening.result", token=token, _anchor="training"), 303)


@blueprint.get("/language/<code>")
def language(code: str) -> ResponseReturnValue:
    """Keep the chosen language for this session and go back to the page it was chosen on."""
    if code not in LANGUAGES:
        abort(404)
    session["language"] = code
    return redirect(local_path(request.args.get("next")) or url_for("screening.home"), 303)


def _find(token: str) -> ScreeningRow:
    row = db.session.scalar(
        select(ScreeningRow)
        .where(ScreeningRow.token_hash == token_hash(token))
        .execution_options(populate_existing=True)
    )
    if row is None:
        abort(404)
    return row


def _find_photo(token: str, position: int) -> PhotoRow:
    row = _find(token)
    if row.deleted_at is not None:
        abort(410)
    found = next((photo for photo in row.photos if photo.position == position), None)
    if found is None:
        abort(404)
    return found


def _taxonomy(row: ScreeningRow) -> Taxonomy | None:
    return find_taxonomy(row.label_set) if row.label_set else None


def _upload_page(form: UploadForm, error: str = "") -> str:
    offered = questions()
    asked = form.asked(offered) or (offered[0].label_set if offered and not lacks_default(offered) else None)
    # Where another language leads to, so that the choice is kept.
    put = is_put(offered)
    here = url_for("screening.home", label_set=asked) if put else url_for("screening.home")
    return render_template(
        "screening/upload.html",
        form=form,
        error=error,
        questions=offered,
        put=put,
        asked=asked,
        here=here,
        max_photos=PHOTOS_PER_SCREENING,
    )


def _waiting(row: ScreeningRow, token: str, *, available: bool = True) -> str:
    code = (row.asked_label_set or get_models().default_label_set()) if row.first_look else None
    return render_template(
        "screening/waiting.html",
        row=row,
        token=token,
        refresh=REFRESH_SECONDS,
        available=available,
        taxonomy=find_taxonomy(code) if code else None,
    )
