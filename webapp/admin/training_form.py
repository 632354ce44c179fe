"""The form that starts a training run: sensible choices only, checked against each other."""

import re
from dataclasses import dataclass

from flask import current_app
from flask_babel import lazy_gettext
from flask_wtf import FlaskForm
from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, IntegerField, SelectField, StringField
from wtforms.validators import InputRequired, NumberRange, Regexp

from ml.architectures import ARCHITECTURES, DEFAULT_ARCHITECTURE, architecture_names
from webapp.config import Config
from webapp.i18n import gettext as _
from webapp.training.choices import IMAGE_SIZES, PreparedData, Start, prepared_data, starts

IMAGENET, NOTHING = "imagenet", "none"
AS_BUILT = "0"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


@dataclass(frozen=True)
class Order:
    """A checked choice: what is trained on what, from which weights (`imagenet`, `none` or NAME@VERSION)."""

    name: str
    data: PreparedData
    weights: str
    architecture: str
    image_size: int
    epochs: int
    include_reviewed: bool


class TrainingForm(FlaskForm):
    """Data, start, network, size of pictures, epochs and the name of the model to be made."""

    data = SelectField(lazy_gettext("Prepared data"), validators=[InputRequired(lazy_gettext("Choose data."))])
    start = SelectField(lazy_gettext("Start from"))
    architecture = SelectField(lazy_gettext("Network"))
    image_size = SelectField(lazy_gettext("Side of the pictures in pixels"))
    epochs = IntegerField(
        lazy_gettext("Epochs, at most"),
        default=10,
        validators=[NumberRange(1, 200, lazy_gettext("Choose 1 to 200 epochs."))],
    )
    name = StringField(
        lazy_gettext("Name of the model"),
        validators=[
            Regexp(
                rf"{NAME.pattern}$",
                message=lazy_gettext(
                    "Give a name of letters, digits, '.', '_' and '-' that begins with a letter or digit."
                ),
            )
        ],
    )

    include_reviewed = BooleanField(lazy_gettext("Include reviewed cases"))

    def __init__(self, given: MultiDict[str, str] | None) -> None:
        # The form is sent by GET first; what is posted is protected by the application as a whole (webapp.extensions).
        super().__init__(given, meta={"csrf": False})
        config: Config = current_app.config["LENS"]
        self.offered = {data.name: data for data in prepared_data(config)}
        self.models: dict[str, Start] = {start.reference: start for start in starts(config)}
        self.data.choices = [(data.name, described(data)) for data in self.offered.values()]
        self.start.choices = [
            *((s.reference, f"{s.reference} · {s.architecture} · {s.image_size} px") for s in self.models.values()),
            (IMAGENET, _("ImageNet weights, fetched from the network's publishers")),
            (NOTHING, _("Nothing: random weights")),
        ]
        self.architecture.choices = [
            ("", _("That of the model to start from")),
            *((n, n) for n in architecture_names()),
        ]
        self.image_size.choices = [
            (AS_BUILT, _("What the start was made for")), *((str(size), str(size)) for size in IMAGE_SIZES)
        ]  # fmt: skip

    def order(self) -> Order | None:
        """What was chosen; None, with the reasons in `errors`, where it cannot be trained."""
        if not self.validate():
            return None
        data, start = self.offered[self.data.data], self.models.get(self.start.data)
        architecture = self.architecture.data or (start.architecture if start else DEFAULT_ARCHITECTURE)
        if start is not None and architecture != start.architecture:
            self.architecture.errors = [
                _(
                    "%(model)s is a %(built)s: choose that network, or start from other weights.",
                    model=start.reference,
                    built=start.architecture,
                )
            ]
            return None
        if self.start.data == IMAGENET and architecture == "lenet":
            self.start.errors = [_("There are no ImageNet weights for this network.")]
            return None
        built = start.image_size if start else ARCHITECTURES[architecture].image_size
        size = int(self.image_size.data) or built
        return Order(
            self.name.data, data, self.start.data, architecture, size, self.epochs.data, self.include_reviewed.data
        )


def described(data: PreparedData) -> str:
    """A data set in one line of a list."""
    return _(
        "%(name)s · %(label_set)s · %(train)d pictures to learn from, %(val)d to choose by",
        name=data.name,
        label_set=data.label_set,
        train=data.images.get("train", 0),
        val=data.images.get("val", 0),
    )
