"""Every error as one page: what happened and what to do next, and nothing about the inside."""

from flask import Flask, Response, current_app, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from ml.errors import BundleError, DecoderUnavailable, InvalidImage, MLError
from webapp.admission import QueueFull
from webapp.api.problems import http_problem
from webapp.config import Config
from webapp.database import does_not_answer, is_full
from webapp.i18n import gettext as _
from webapp.inference import Busy
from webapp.responses import DISK_FULL, FULL_RETRY_SECONDS, RETRY_SECONDS, drain
from webapp.screening import advice


def error_page(status: int, title: str, sentence: str, headers: dict[str, str] | None = None) -> Response:
    """The page for an error."""
    response = make_response(render_template("error.html", code=status, title=title, sentence=sentence), status)
    response.headers.update(headers or {})
    return response


def init_errors(app: Flask) -> None:
    """Translate errors to pages, once, here."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    app.register_error_handler(DBAPIError, _database_error)
    app.register_error_handler(NoConnection, _database_error)
    app.register_error_handler(OSError, _system_error)
    app.register_error_handler(MLError, _ml_error)
    app.register_error_handler(Busy, _busy)


def _http_error(error: HTTPException) -> ResponseReturnValue:
    if request.path.startswith("/api/"):
        return http_problem(error)
    status = error.code or 500
    texts = {
        400: (
            _("That did not work"),
            _("The request was not complete. Go back, load the page again and try once more."),
        ),
        401: (_("Please log in"), _("This page is for people with an account. Log in and try again.")),
        403: (_("Not allowed"), _("Your account may not open this page. Ask an administrator.")),
        404: (_("Not found"), _("There is nothing at this address. Check it, or start again from the first page.")),
        405: (_("That did not work"), _("This address cannot be used in this way. Start again from the first page.")),
        410: (_("Deleted"), _("What was here has been deleted.")),
        429: (
            _("Too many requests"),
            _("There were too many requests from your address. Wait a minute and try again."),
        ),
        503: (_("Not available at the moment"), _("The service is busy. Wait a moment and try again.")),
    }
    if status < 400:
        return error  # a redirect raised as an exception
    fallback = (
        _("Something went wrong"),
        _("The fault is ours and has been noted. Please try again in a little while."),
    )
    if status < 500:
        fallback = texts[400]
    headers = {"Retry-After": _retry_after(error)} if status in (429, 503) else {}
    if status == 405 and error.get_response().headers.get("Allow"):
        headers["Allow"] = error.get_response().headers["Allow"]
    return error_page(status, *texts.get(status, fallback), headers)


def _retry_after(error: HTTPException) -> str:
    limit = getattr(error, "limit", None)  # the broken limit, where Flask-Limiter raised this
    return str(limit.limit.get_expiry()) if limit is not None else str(RETRY_SECONDS)


def _csrf_error(error: CSRFError) -> ResponseReturnValue:
    return error_page(
        400,
        _("This form has expired"),
        _("The form came without a valid session. Allow cookies for this site, load the page again and retry."),
    )


def _too_large(error: RequestEntityTooLarge) -> ResponseReturnValue:
    config: Config = current_app.config["LENS"]
    drain()
    return error_page(
        413,
        _("Too large"),
        _(
            "Together, the files are too large. Choose one to three photos of at most %(limit)d MB each.",
            limit=config.max_upload_mb,
        ),
    )


def _database_error(error: DBAPIError | NoConnection) -> ResponseReturnValue:
    if not does_not_answer(error):
        raise error  # a fault of ours
    current_app.logger.exception("the database does not answer")
    return _no_room() if is_full(error) else _unavailable()


def _system_error(error: OSError) -> ResponseReturnValue:
    current_app.logger.exception("the operating system refused something")
    return _no_room() if error.errno in DISK_FULL else _unavailable()


def _no_room() -> Response:
    return error_page(
        507,
        _("No room left"),
        _("The server's disk is full, so nothing was stored. Please try again later."),
        {"Retry-After": str(FULL_RETRY_SECONDS)},
    )


def _busy(error: Busy) -> ResponseReturnValue:
    if not isinstance(error, QueueFull):
        return _unavailable()
    drain()
    page = render_template("screening/busy.html", seconds=error.seconds)
    response = make_response(page, 503)
    response.headers["Retry-After"] = str(error.seconds)
    return response


def _unavailable() -> Response:
    return error_page(
        503,
        _("Not available at the moment"),
        _("The service cannot store or answer anything right now. Please try again in a minute."),
        {"Retry-After": str(RETRY_SECONDS)},
    )


def _ml_error(error: MLError) -> ResponseReturnValue:
    if isinstance(error, InvalidImage):
        return error_page(400, _("That photo cannot be used"), advice.image_fault(error.reason))
    current_app.logger.error("model error", exc_info=error)
    if isinstance(error, DecoderUnavailable):
        return _unavailable()
    if isinstance(error, BundleError):
        sentence = _("The model cannot be loaded at the moment. Please try again later.")
        return error_page(503, _("Not available at the moment"), sentence, {"Retry-After": str(RETRY_SECONDS)})
    return error_page(
        500, _("Something went wrong"), _("The fault is ours and has been noted. Please try again in a little while.")
    )
