"""What reviewers agree on, as a zip that `flask data prepare` reads, streamed file by file."""

import io
import zipfile
from collections.abc import Iterator

from flask import Response, abort, render_template, request, stream_with_context
from flask.typing import ResponseReturnValue

from ml.labels import readable_taxonomies
from webapp import clock
from webapp.account.access import requires
from webapp.admin.blueprint import blueprint
from webapp.database import write_transaction
from webapp.models.user import Role
from webapp.reviews.selection import count_reviewed
from webapp.reviews.training_set import Wanted, training_set

COUNTED = 10_000
"""Reviewed screenings are counted up to here; beyond, the page says that there are more."""


@blueprint.get("/training-set")
@requires(Role.ADMIN)
def training_set_page() -> ResponseReturnValue:
    """What there is to be exported, and the form; `?filters=` is a query string of the history."""
    filters = request.args.get("filters", "")
    reviewed, allowed, complete = count_reviewed(filters, COUNTED)
    return render_template(
        "admin/training_set.html",
        taxonomies=readable_taxonomies(),
        filters=filters,
        reviewed=reviewed,
        allowed=allowed,
        complete=complete,
    )


@blueprint.post("/training-set.zip")
@requires(Role.ADMIN)
def training_set_zip() -> ResponseReturnValue:
    """The training set as a zip, made while it is sent, so that memory stays flat."""
    form = request.form
    reviewers = form.get("min_reviewers", "1")
    if not reviewers.isdecimal() or not 1 <= int(reviewers) <= 9:
        abort(400)
    wanted = Wanted(
        label_set=form.get("label_set") or None,
        min_reviewers=int(reviewers),
        blind_only=bool(form.get("blind_only")),
        filters=form.get("filters", ""),
    )
    with write_transaction():
        wanted.record()
    response = Response(stream_with_context(zipped(training_set(wanted))), mimetype="application/zip")
    name = f"lesion-lens-reviewed-{clock.now():%Y%m%d-%H%M}.zip"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


class _Sink(io.RawIOBase):
    """Takes what the zip writes and hands it on; a zip that cannot be gone back in has sizes after each file."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        content = bytes(data)  # type: ignore[call-overload]
        self.parts.append(content)
        return len(content)

    def taken(self) -> bytes:
        content, self.parts = b"".join(self.parts), []
        return content


def zipped(files: Iterator[tuple[str, bytes]]) -> Iterator[bytes]:
    """The bytes of a zip of these files, one file at a time; photos are compressed already, so nothing is."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files:
            archive.writestr(name, content)
            yield sink.taken()
    yield sink.taken()
