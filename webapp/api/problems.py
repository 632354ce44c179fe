"""Errors of the API as problem details (RFC 9457): what happened and what to do next, and nothing about the inside."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, current_app, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection
from werkzeug.exceptions import HTTPException

from ml.errors import BundleError, DecoderUnavailable, MLError
from webapp.admission import QueueFull
from webapp.config import Config
from webapp.database import does_not_answer, is_full
from webapp.inference import Busy
from webapp.responses import DISK_FULL, FULL_RETRY_SECONDS, RETRY_SECONDS, drain

MEDIA_TYPE = "application/problem+json"
# What a problem's `type` begins with: the place on the documentation page that describes it.
TYPE = "/api/v1/docs#"


@dataclass(frozen=True)
class Kind:
    """A kind of problem: its HTTP status, its title, and what to do about it where nobody says it better."""

    status: int
    title: str
    advice: str


KINDS = {
    "bad-request": Kind(
        400, "The request could not be read", "Compare the request with the documentation and correct it."
    ),
    "token-required": Kind(
        401, "A token is required", "Send 'Authorization: Bearer TOKEN' with a token from whoever runs this service."
    ),
    "token-invalid": Kind(
        401, "The token is not valid", "It is unknown or revoked. Ask whoever runs this service for another one."
    ),
    "not-found": Kind(404, "Nothing is here", "Check the address: there is nothing at it."),
    "method-not-allowed": Kind(
        405, "The method is not allowed here", "Use one of the methods that the response's Allow header names."
    ),
    "not-acceptable": Kind(
        406, "None of the accepted formats is offered", "Change or leave out the Accept header of the request."
    ),
    "deleted": Kind(410, "The screening was deleted", "Photos and result are gone for good; send the photos anew."),
    "too-large": Kind(413, "The request is too large", "Send fewer or smaller photos."),
    "unsupported-media-type": Kind(
        415, "The body has the wrong type", "Send the form as multipart/form-data, each photo as a file."
    ),
    "form-invalid": Kind(422, "A form field is missing or wrong", "Correct the field that 'field' names."),
    "photo-invalid": Kind(422, "A photo cannot be used", "Send another file for the photo that 'photo' counts."),
    "key-reused": Kind(
        422,
        "The Idempotency-Key was used for another request",
        "It came with other photos, another label_set or another first_look. Send a new key with every new screening.",
    ),
    "too-many-requests": Kind(
        429, "Too many requests", "Wait as many seconds as the Retry-After header says, then try again."
    ),
    "quota-used-up": Kind(
        429, "The token's screenings of this day are used up", "Go on after midnight UTC, or ask for a larger quota."
    ),
    "internal-error": Kind(
        500, "Something went wrong", "The fault is ours and has been noted. Try again in a little while."
    ),
    "unavailable": Kind(
        503, "Not available at the moment", "Wait as many seconds as the Retry-After header says, then try again."
    ),
    "storage-full": Kind(507, "No room left", "The server's disk is full and nothing was stored. Try again later."),
}
# What stands for an HTTP status that the framework itself answers with.
BY_STATUS = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    410: "deleted",
    413: "too-large",
    415: "unsupported-media-type",
    429: "too-many-requests",
    503: "unavailable",
}


class Problem(Exception):
    """Ends a request with a problem of one of `KINDS`; `more` are members of its own, such as `photo`."""

    def __init__(
        self,
        kind: str,
        detail: str = "",
        *,
        status: int | None = None,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(kind)
        self.kind = kind
        self.detail = detail or KINDS[kind].advice
        self.status = status or KINDS[kind].status
        self.headers = headers or {}
        self.more = more

    def response(self) -> Response:
        """The problem as `application/problem+json`."""
        title = KINDS[self.kind].title
        response = jsonify(
            {"type": TYPE + self.kind, "title": title, "status": self.status, "detail": self.detail, **self.more}
        )
        response.status_code = self.status
        response.mimetype = MEDIA_TYPE
        response.headers.update(self.headers)
        return response


def unavailable(detail: str = "") -> Problem:
    """The service cannot do this now, but can later."""
    return Problem("unavailable", detail, headers={"Retry-After": str(RETRY_SECONDS)})


def _no_room() -> Problem:
    return Problem("storage-full", headers={"Retry-After": str(FULL_RETRY_SECONDS)})


def http_problem(error: HTTPException) -> ResponseReturnValue:
    """An HTTP error of the framework as a problem; a redirect stays what it is."""
    status = error.code or 500
    if status < 400:
        return error
    config: Config = current_app.config["LENS"]
    headers = {}
    detail = ""
    if status == 405:
        headers["Allow"] = error.get_response().headers["Allow"]
    elif status == 413:
        drain()
        detail = f"Send one to three photos of at most {config.max_upload_mb} MB each."
    elif status == 503:
        return unavailable().response()
    if status < 500:  # one that is not listed keeps its status: what is wrong with the request is told by it alone
        return Problem(BY_STATUS.get(status, "bad-request"), detail, status=status, headers=headers).response()
    return Problem("internal-error", detail, headers=headers).response()


def handle_errors(blueprint: Blueprint) -> None:
    """Answer errors inside the API's views with problems; those of addresses without a view come by `webapp.errors`."""
    blueprint.register_error_handler(Problem, _problem)
    blueprint.register_error_handler(HTTPException, http_problem)
    blueprint.register_error_handler(413, http_problem)  # the pages have a handler of their own for this one
    blueprint.register_error_handler(DBAPIError, _database_error)
    blueprint.register_error_handler(NoConnection, _database_error)
    blueprint.register_error_handler(OSError, _system_error)
    blueprint.register_error_handler(MLError, _ml_error)
    blueprint.register_error_handler(Busy, _busy)


def _problem(problem: Problem) -> ResponseReturnValue:
    drain()  # one that is raised before the body was read, such as that of too many requests
    return problem.response()


def _busy(error: Busy) -> ResponseReturnValue:
    if isinstance(error, QueueFull):
        drain()
        detail = "Too many photos wait for their answer; nothing was stored. Send the request again then."
        return Problem("unavailable", detail, headers={"Retry-After": str(error.seconds)}).response()
    return unavailable().response()


def _database_error(error: DBAPIError | NoConnection) -> ResponseReturnValue:
    if not does_not_answer(error):
        raise error  # a fault of ours
    current_app.logger.exception("the database does not answer")
    return (_no_room() if is_full(error) else unavailable()).response()


def _system_error(error: OSError) -> ResponseReturnValue:
    current_app.logger.exception("the operating system refused something")
    return (_no_room() if error.errno in DISK_FULL else unavailable()).response()


def _ml_error(error: MLError) -> ResponseReturnValue:
    current_app.logger.error("model error", exc_info=error)
    if isinstance(error, DecoderUnavailable):
        return unavailable("Photos cannot be read at the moment. Try again later.").response()
    if isinstance(error, BundleError):
        return unavailable("The model cannot be loaded at the moment. Try again later.").response()
    return Problem("internal-error").response()
