"""Downloads of the history: what the screen shows, all pages of it."""

from flask import Response, request, stream_with_context
from flask.typing import ResponseReturnValue

from webapp import audit, clock
from webapp.account.access import requires
from webapp.admin.blueprint import blueprint
from webapp.database import write_transaction
from webapp.history.export import FORMATS
from webapp.history.filters import read_queue, recorded
from webapp.models.user import Role


@blueprint.get("/export.<any(csv, jsonl):kind>")
@requires(Role.REVIEWER)
def export_rows(kind: str) -> ResponseReturnValue:
    """The screenings with the filters and the sort of the query string, streamed; who took what is in the audit log."""
    query = request.query_string.decode("utf-8", "replace")
    filters, sort = read_queue(query)
    with write_transaction():
        audit.record(f"export.{kind}", "history", **recorded(query))
    write, mimetype = FORMATS[kind]
    response = Response(stream_with_context(write(filters, sort)), mimetype=mimetype)
    name = f"screenings-{clock.now():%Y%m%dT%H%M%SZ}.{kind}"
    response.headers["Content-Disposition"] = f"attachment; filename={name}"
    response.headers["X-Accel-Buffering"] = "no"  # a proxy passes on what has come
    return response
