"""The upload form and what it makes of the files sent with it."""

from collections.abc import Sequence

from flask import current_app
from flask_babel import lazy_gettext
from flask_wtf import FlaskForm
from flask_wtf.file import FileField, MultipleFileField
from werkzeug.datastructures import FileStorage
from wtforms import BooleanField, RadioField
from wtforms.validators import InputRequired

from ml.errors import ImageFault, InvalidImage
from webapp import metrics
from webapp.config import MEGABYTE, PHOTOS_PER_SCREENING, Config
from webapp.i18n import gettext as _
from webapp.screening import advice
from webapp.screening.lifecycle import Upload
from webapp.screening.questions import Question, gone, is_put, lacks_default, unavailable

# 413: too large; 415: not a kind of file that is read; anything else is 400.
HTTP_STATUS: dict[ImageFault, int] = {
    "too_many_bytes": 413,
    "too_many_pixels": 413,
    "not_an_image": 415,
    "unsupported_format": 415,
}


class UploadRefused(Exception):
    """The form cannot be accepted; carries the sentence to show and the HTTP status."""

    def __init__(self, sentence: str, http_status: int = 400) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.http_status = http_status


class UploadForm(FlaskForm):
    """What is to be looked at, one to three photos of it, from a file picker or a camera, and the consent."""

    label_set = RadioField(lazy_gettext("What is it about?"), validate_choice=False)
    photos = MultipleFileField(lazy_gettext("Choose photos"))
    camera = FileField(lazy_gettext("Take a photo"))
    consent = BooleanField(
        lazy_gettext(
            "I agree that my photos are stored here and analysed by a computer. I know that the result is not a "
            "diagnosis, and I can delete photos and result at any time."
        ),
        validators=[InputRequired(lazy_gettext("Please agree to the analysis of your photos first."))],
    )
    training = BooleanField(
        lazy_gettext(
            "My photos may also be used to train and check such models. This is voluntary, changes nothing about the "
            "result, and I can take it back on the result page."
        )
    )

    def asked(self, offered: Sequence[Question]) -> str | None:
        """The label set of the chosen question, or of the only one where nobody is asked; None, for the default model,
        where none was chosen."""
        if offered and not is_put(offered):
            return offered[0].label_set
        return next((one.label_set for one in offered if one.label_set == self.label_set.data), None)

    def read(self, offered: Sequence[Question]) -> list[Upload]:
        """The decoded photos. Raises UploadRefused with one sentence that says what is wrong and what to do."""
        config: Config = current_app.config["LENS"]
        chosen = self.label_set.data
        if chosen not in {one.label_set for one in offered}:
            if lacks_default(offered):
                raise UploadRefused(unavailable(), 503)
            if chosen:
                raise UploadRefused(gone())
        files = [file for file in [*(self.photos.data or []), self.camera.data] if _was_sent(file)]
        if not files:
            raise UploadRefused(_("No photo was chosen. Choose one to three photos of the lesion."))
        if len(files) > PHOTOS_PER_SCREENING:
            raise UploadRefused(_("These are more than three photos. Choose one to three photos of the same lesion."))
        if not self.validate():
            raise UploadRefused(next(iter(self.errors.values()))[0])
        uploads = []
        for position, file in enumerate(files, start=1):
            try:
                uploads.append(read_photo(file, config))
            except InvalidImage as error:
                sentence = advice.image_fault(error.reason, megabytes=config.max_upload_mb)
                if len(files) > 1:
                    sentence = _("Photo %(position)d: %(sentence)s", position=position, sentence=sentence)
                raise UploadRefused(sentence, HTTP_STATUS.get(error.reason, 400)) from error
        return uploads


def _was_sent(file: FileStorage | None) -> bool:
    # A browser sends a nameless, empty part for a file field that was left alone.
    return file is not None and bool(file.filename)


def read_photo(file: FileStorage, config: Config) -> Upload:
    """Decode one sent file. Raises InvalidImage, also for one that is larger than the configured size."""
    limit = config.max_upload_mb * MEGABYTE
    content = file.stream.read(limit + 1)
    try:
        if len(content) > limit:
            raise InvalidImage("too_many_bytes")
        return Upload.read(content, config)
    except InvalidImage as error:
        metrics.refused(error.reason)
        raise
