"""One screening with everything that is stored of it."""

from dataclasses import dataclass

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue

from ml.labels import Taxonomy, find_taxonomy
from webapp.account.access import requires
from webapp.admin import measures, similar, words
from webapp.admin.blueprint import blueprint
from webapp.admin.gate_table import gate_table
from webapp.extensions import db
from webapp.inference import Reference, get_models
from webapp.models.screening import PhotoRow, ScreeningRow
from webapp.models.user import Role
from webapp.photos import get_photos
from webapp.responses import heatmap_jpeg, jpeg


@blueprint.get("/screenings/<int(max=9223372036854775807):screening_id>")
@requires(Role.VIEWER)
def case(screening_id: int) -> ResponseReturnValue:
    """The page of one screening."""
    row = db.session.get(ScreeningRow, screening_id)
    if row is None:
        abort(404)
    taxonomy = find_taxonomy(row.label_set) if row.label_set else None
    reference = get_models().reference(row.model_name, row.model_version or "") if row.model_name else None
    gates = [photo.answer["gate"] for photo in row.photos if photo.answer] or ([row.gate] if row.gate else [])
    return render_template(
        "admin/case.html",
        row=row,
        taxonomy=taxonomy,
        words=words,
        reference=reference,
        measured=gate_table(gates, reference.bundle.card if reference else None),
        measures=measures,
        measured_lesions=measures.measures_of(row),
        similar=_similar(row, reference, taxonomy),
        scanned=similar.SCANNED,
        names_are_public=reference is not None and similar.names_are_public(reference.bundle.card),
    )


@dataclass(frozen=True)
class Similar:
    """What lies near one photo; `complete` is false where the history was too long to be searched to its end."""

    photo: PhotoRow
    confirmed: similar.Confirmed | None
    own: tuple[similar.OwnCase, ...]
    complete: bool


def _similar(row: ScreeningRow, reference: Reference | None, taxonomy: Taxonomy | None) -> list[Similar]:
    """The similar cases of each photo that was answered, in order."""
    features = [(photo, similar.photo_features(photo)) for photo in row.photos]
    known = [(photo, found) for photo, found in features if found is not None]
    if not known:
        return []
    index = reference.cases if reference else None
    history = similar.read_history(row, len(known[0][1]))
    return [
        Similar(
            photo,
            similar.confirmed_cases(index, found, taxonomy) if index else None,
            similar.own_cases(history, found),
            history.complete,
        )
        for photo, found in known
    ]


@blueprint.get("/photos/<int(max=9223372036854775807):photo_id>")
@requires(Role.VIEWER)
def photo(photo_id: int) -> ResponseReturnValue:
    """A kept photo, or its thumbnail with `?size=small`."""
    return jpeg(get_photos(), _find_photo(photo_id).name, small=request.args.get("size") == "small")


@blueprint.get("/photos/<int(max=9223372036854775807):photo_id>/heatmap")
@requires(Role.VIEWER)
def heatmap(photo_id: int) -> ResponseReturnValue:
    """A photo with the regions coloured that raised the score of the class it was given."""
    return heatmap_jpeg(get_photos(), _find_photo(photo_id))


def _find_photo(photo_id: int) -> PhotoRow:
    found = db.session.get(PhotoRow, photo_id)
    if found is None or found.screening.deleted_at is not None:  # a deletion that was cut short still has its files
        abort(404)
    return found
