"""A number for every request, in its answer, on error pages and in the log; and the log as JSON lines.

With LOG_FORMAT=json each request is one line: id, route, status, seconds, model. No line holds an address, a query, a
token or the name of a file: routes are patterns, and what looks like a secret in a message is masked.
"""

import json
import logging
import re
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, g, has_request_context, request
from flask.logging import default_handler

from webapp.config import Config
from webapp.metrics import route

HEADER = "X-Request-ID"
# A number that a proxy of ours has given.
GIVEN = re.compile(r"[A-Za-z0-9-]{8,64}")
# What could be a token, a key, or the name of a kept photo: long, of the URL-safe base64 alphabet, with a digit.
SECRET = re.compile(r"(?<![A-Za-z0-9_-])(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}(?![A-Za-z0-9_-])")
# Addresses of version 4, and of version 6 with at least three groups.
ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\b(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{0,4}\b")
FIELDS = ("method", "route", "status", "seconds", "model")

log = logging.getLogger(__name__)


def request_id() -> str | None:
    """This request's number; None outside of one."""
    return g.get("request_id") if has_request_context() else None


def masked(text: str) -> str:
    """`text` without what could be a secret or an address of somebody."""
    return ADDRESS.sub("*", SECRET.sub("***", text))


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        values: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked(record.getMessage()),
        }
        if (number := request_id()) is not None:
            values["request_id"] = number
        values |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            values["exception"] = masked(self.formatException(record.exc_info))
        return json.dumps(values, ensure_ascii=False, default=str)


class NumberedFormatter(logging.Formatter):
    """Text lines for people, with the request's number where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line or, with an exception, lines; masked as those of JSON, but for the request's number."""
        number = request_id()
        record.request = " (request)" if number else ""
        return masked(super().format(record)).replace(" (request)", f" ({number})", 1)


def init_request_log(app: Flask, config: Config) -> None:
    """Number the requests and, with LOG_FORMAT=json, log each. To be called before what may refuse a request."""
    as_json = config.log_format == "json"
    if as_json:
        _log_as_json()
    else:
        default_handler.setFormatter(
            NumberedFormatter("[%(asctime)s] %(levelname)s in %(module)s%(request)s: %(message)s")
        )
    app.jinja_env.globals["request_id"] = request_id

    @app.before_request
    def number() -> None:
        given = request.headers.get(HEADER, "") if config.trusted_proxies else ""
        g.request_id = given if GIVEN.fullmatch(given) else uuid.uuid4().hex
        g.started = time.perf_counter()

    @app.after_request
    def tell(response: Response) -> Response:
        if "request_id" not in g:
            return response
        response.headers[HEADER] = g.request_id
        if as_json:
            fields = {
                "method": request.method,
                "route": route(),
                "status": response.status_code,
                "seconds": round(time.perf_counter() - g.started, 4),
            }
            model = g.get("model_version")
            log.info("request", extra=fields | ({"model": model} if model else {}))
        return response


def _log_as_json() -> None:
    """Let what the application and the models log go to standard error as JSON lines."""
    for name in ("webapp", "ml"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        if not any(isinstance(handler.formatter, JsonFormatter) for handler in logger.handlers):
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(JsonFormatter())
            logger.addHandler(handler)
