"""One screening with everything that is stored of it."""

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue

from ml.labels import load_taxonomy
from webapp.admin import words
from webapp.admin.blueprint import blueprint
from webapp.extensions import db
from webapp.models.screening import PhotoRow, ScreeningRow
from webapp.photos import get_photos
from webapp.responses import jpeg


@blueprint.get("/screenings/<int(max=9223372036854775807):screening_id>")
def case(screening_id: int) -> ResponseReturnValue:
    """The page of one screening."""
    row = db.session.get(ScreeningRow, screening_id)
    if row is None:
        abort(404)
    taxonomy = load_taxonomy(row.label_set) if row.label_set else None
    return render_template("admin/case.html", row=row, taxonomy=taxonomy, words=words)


@blueprint.get("/photos/<int(max=9223372036854775807):photo_id>")
def photo(photo_id: int) -> ResponseReturnValue:
    """A kept photo, or its thumbnail with `?size=small`."""
    found = db.session.get(PhotoRow, photo_id)
    if found is None:
        abort(404)
    return jpeg(get_photos(), found.name, small=request.args.get("size") == "small")
