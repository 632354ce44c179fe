"""What a first look means in plain words: beside the answer, which stands, and where there is none yet."""

from collections.abc import Mapping
from typing import Any

from ml.labels import Taxonomy
from webapp.i18n import gettext as _
from webapp.screening.advice import Recommendation, class_word


def recommendation() -> Recommendation:
    """What someone should do who has nothing but a first look: the same whatever it names, and never nothing."""
    return Recommendation(
        _("Do not decide anything by it. If the spot worries you, show it to a doctor, whatever it says."),
        (
            _("A harmless name here is no all-clear: first impressions miss cancers."),
            _("See a doctor soon if it is new, changing, itching, bleeding or not healing."),
        ),
    )


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
