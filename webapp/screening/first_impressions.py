"""What a first look means in plain words: beside the answer, which stands, and where there is none yet."""

from collections.abc import Mapping
from typing import Any

from ml.labels import Status, Taxonomy
from webapp.i18n import gettext as _
from webapp.models.screening import ScreeningRow, State
from webapp.screening import advice
from webapp.screening.advice import Recommendation, class_word


def knows_contagion(taxonomy: Taxonomy | None) -> bool:
    """Whether a label set has contagious diseases."""
    return taxonomy is not None and any(label.status is Status.INFECTIOUS for label in taxonomy.labels)


def recommendation(taxonomy: Taxonomy | None) -> Recommendation:
    """What someone should do who has nothing but a first look: the same whatever it names, and never nothing. Where it
    knows contagious diseases, that is to keep apart."""
    if knows_contagion(taxonomy):
        return Recommendation(
            _(
                "Do not decide anything by it. Until you know more, keep apart from others, and call a doctor or your "
                "health service before you go there."
            ),
            advice.recommendation(Status.INFECTIOUS).points,
        )
    return Recommendation(
        _("Do not decide anything by it. If the spot worries you, show it to a doctor, whatever it says."),
        (
            _("A harmless name here is no all-clear: first impressions miss cancers."),
            _("See a doctor soon if it is new, changing, itching, bleeding or not healing."),
        ),
    )


def next_step(row: ScreeningRow, taxonomy: Taxonomy | None) -> Recommendation:
    """What the person of a finished screening should do: by its status, but for a first look at contagious diseases
    that was asked for alone. Whoever gets no answer, for whatever cause, is told the same."""
    if row.state != State.DONE:
        return advice.recommendation(Status.REFUSED)
    if row.predicted is None and row.first_look and knows_contagion(taxonomy):
        return recommendation(taxonomy)
    return advice.recommendation(str(row.status))


def compared(look: Mapping[str, Any], status: str, taxonomy: Taxonomy | None) -> str:
    """What a stored first look says of the network's answer, beside which it is shown."""
    if look["agrees"]:
        return _("It names the same class as the model. That does not prove it right: both have only seen the picture.")
    name = class_word(taxonomy, look["predicted"])
    sentence = _("It names another class: %(name)s. The two do not agree.", name=name)
    if status in ("malignant", "uncertain", "infectious"):
        further = _("That is no reason to worry less.")
    else:
        further = _("That is one more reason to keep an eye on it, and to ask a doctor when in doubt.")
    return f"{sentence} {further}"
