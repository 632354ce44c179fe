"""What the first look measured of a photo, named by the ABCD rule, and the picture of it."""

from dataclasses import dataclass
from typing import Any

from flask import Response, abort
from flask.typing import ResponseReturnValue

from ml.images import decode, encode_jpeg
from webapp.account.access import requires
from webapp.admin.blueprint import blueprint
from webapp.extensions import db
from webapp.first_looks import get_first_look
from webapp.i18n import gettext as _
from webapp.models.screening import PhotoRow, ScreeningRow
from webapp.models.user import Role
from webapp.photos import get_photos
from webapp.responses import shown

ABCD = (
    ("A", "asymmetry"),
    ("B", "border_irregularity"),
    ("C", "colour_variety"),
    ("D", "diameter"),
)


@dataclass(frozen=True)
class Row:
    """One letter with its number, and the share of the training lesions that lie below, 0 to 1."""

    letter: str
    name: str
    value: float
    percentile: float | None


@dataclass(frozen=True)
class Measures:
    """What was measured of one photo: the letters, and the lesion's main colours as '#rrggbb' with their shares."""

    photo: PhotoRow
    rows: tuple[Row, ...]
    colours: tuple[tuple[str, float], ...]


def measures_of(row: ScreeningRow) -> list[Measures]:
    """The measures of each photo that a lesion is found in; none for erased screenings and without a first look."""
    if row.deleted_at is not None or row.first_look is None:
        return []
    # Imported here: the web application must start without the libraries that measure.
    from ml.features_colour import main_colours
    from ml.features_list import measure

    look = get_first_look(row.label_set or row.asked_label_set)
    found = []
    for photo in row.photos:
        try:
            measured = measure(decode(get_photos().open(photo.name)))
        except FileNotFoundError:
            continue
        if measured is None:
            continue
        rows = [
            Row(letter, name, measured[name], look.percentile(name, measured.values) if look else None)
            for letter, name in ABCD
        ]
        mask = measured.lesion.mask
        main = main_colours(measured.lesion.colours[mask], measured.lesion.pixels[mask])
        colours = [(f"#{bytes(colour.rgb).hex()}", colour.share) for colour in main if colour.share > 0]
        found.append(Measures(photo, tuple(rows), tuple(colours)))
    return found


@blueprint.get("/photos/<int(max=9223372036854775807):photo_id>/measures")
@requires(Role.VIEWER)
def measures_picture(photo_id: int) -> ResponseReturnValue:
    """A photo with what was measured of its lesion drawn on it. 404 where nothing was measured."""
    from ml.features_list import measure
    from ml.features_picture import draw_measures

    photo: Any = db.session.get(PhotoRow, photo_id)
    if photo is None or photo.screening.deleted_at is not None or photo.screening.first_look is None:
        abort(404)
    try:
        pixels = decode(get_photos().open(photo.name))
    except FileNotFoundError:
        abort(404)
    measured = measure(pixels)
    if measured is None:
        abort(404)
    response: Response = shown(encode_jpeg(draw_measures(pixels, measured.lesion)), "measures.jpg")
    return response


def name_of(code: str) -> str:
    """What a letter stands for."""
    return {
        "asymmetry": _("Asymmetry"),
        "border_irregularity": _("Border"),
        "colour_variety": _("Colour"),
        "diameter": _("Diameter"),
    }[code]


def meaning_of(code: str) -> str:
    """What its number tells, in one sentence."""
    return {
        "asymmetry": _(
            "Share of the lesion that its mirror image about an axis does not cover; the larger of both axes."
        ),
        "border_irregularity": _("Length of the border squared against the area: 1 is a disc; ragged or long is more."),
        "colour_variety": _("How many of white, red, light brown, dark brown, blue-grey and black it has."),
        "diameter": _("Longest distance across in pixels of the photo; what that is in millimetres is not known."),
    }[code]
