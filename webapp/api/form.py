"""The form that opens a screening: one to three photos, consent, label set and language."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import current_app, request
from flask_babel import force_locale
from werkzeug.datastructures import FileStorage

from ml.errors import InvalidImage
from webapp.api.problems import Problem
from webapp.config import PHOTOS_PER_SCREENING, Config
from webapp.first_looks import get_first_look
from webapp.i18n import LANGUAGES
from webapp.inference import get_models
from webapp.screening import advice
from webapp.screening.forms import read_photo
from webapp.screening.lifecycle import Upload

if TYPE_CHECKING:
    from ml.preliminary import FirstLook

FORM = "multipart/form-data"


@dataclass(frozen=True)
class ScreeningForm:
    """What was sent: decoded photos of one lesion, the language of the advice, and the label set that was asked for."""

    uploads: list[Upload]
    language: str
    label_set: str | None
    trainable: bool = False
    alone: "FirstLook | None" = None
    """The first look that is to answer alone, where only that was asked for."""


def read_form() -> ScreeningForm:
    """The form of this request. Raises Problem saying which field or photo is wrong and what to send instead."""
    if request.mimetype != FORM:
        raise Problem("unsupported-media-type")
    if not request.mimetype_params.get("boundary"):
        raise Problem("bad-request", "The Content-Type has no boundary: let your HTTP library write this header.")
    form, files = request.form, request.files
    if not form and not files:
        raise Problem("bad-request", "No form field could be read from the body: it is empty or was cut off.")
    if form.get("consent") != "true":
        raise Problem(
            "form-invalid",
            "Send consent=true once the person in the photos has agreed that they are stored here and analysed.",
            field="consent",
        )
    trainable = form.get("training_consent", "")
    if trainable not in ("", "true", "false"):
        detail = "Send training_consent=true where the person has agreed to that too, or leave the field out."
        raise Problem("form-invalid", detail, field="training_consent")
    language = form.get("language") or accepted_language() or "en"
    if language not in LANGUAGES:
        raise Problem("form-invalid", f"Send one of {', '.join(LANGUAGES)}, or leave the field out.", field="language")
    label_set = _read_label_set(form.get("label_set", ""))
    alone = _read_first_look(form.get("first_look", ""), label_set)
    return ScreeningForm(_read_photos(files.getlist("photos")), language, label_set, trainable == "true", alone)


def accepted_language() -> str | None:
    """The language among ours that the Accept-Language header likes best; None where it names none of them."""
    return request.accept_languages.best_match(list(LANGUAGES))


def _read_label_set(label_set: str) -> str | None:
    models = get_models()
    answered = models.label_sets()
    if label_set not in answered and models.default_label_set() is None:
        models.get()  # raises BundleError saying why: that is no fault of the form
    if label_set and label_set not in answered:
        detail = f"The models here answer for: {', '.join(answered)}. Send one of these, or leave the field out."
        raise Problem("form-invalid", detail, field="label_set")
    return label_set or None


def _read_first_look(value: str, label_set: str | None) -> "FirstLook | None":
    if not value:
        return None
    if value != "only":
        raise Problem("form-invalid", "Send first_look=only, or leave the field out.", field="first_look")
    look = get_first_look(label_set)
    if look is None:
        raise Problem("form-invalid", "There is no first look for this label set here.", field="first_look")
    return look


def _read_photos(files: list[FileStorage]) -> list[Upload]:
    config: Config = current_app.config["LENS"]
    if not 1 <= len(files) <= PHOTOS_PER_SCREENING:
        detail = f"Send one to {PHOTOS_PER_SCREENING} photos of the same lesion, each as a file with a file name."
        raise Problem("form-invalid", detail, field="photos")
    uploads = []
    for position, file in enumerate(files, start=1):
        try:
            uploads.append(read_photo(file, config))
        except InvalidImage as error:
            with force_locale("en"):
                detail = advice.image_fault(error.reason, megabytes=config.max_upload_mb)
            status = 413 if error.reason in ("too_many_bytes", "too_many_pixels") else None
            raise Problem("photo-invalid", detail, status=status, photo=position, reason=error.reason) from error
    return uploads
