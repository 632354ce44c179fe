"""The words of the model's page that depend on the card."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask_babel import format_percent

from webapp.i18n import gettext as _


def card_sentence(sentence: str) -> str:
    """A sentence of a card in the visitor's language; as it stands where it is not one of ours."""
    known = {
        "It knows only the classes listed here; anything else is forced into one of them or refused.": _(
            "It knows only the classes listed here; anything else is forced into one of them or refused."
        ),
        "Trained on pictures taken through a dermatoscope; ordinary photos of skin are another domain and are "
        "refused.": _(
            "Trained on pictures taken through a dermatoscope; ordinary photos of skin are another domain "
            "and are refused."
        ),
        "The training pictures show mostly fair skin, mostly from two clinics; figures elsewhere can be lower.": _(
            "The training pictures show mostly fair skin, mostly from two clinics; figures elsewhere can be lower."
        ),
        "Trained on ordinary photos of skin; pictures taken through a dermatoscope are another domain and are "
        "refused.": _(
            "Trained on ordinary photos of skin; pictures taken through a dermatoscope are another domain and are "
            "refused."
        ),
        "Many training photos come from news and picture agencies, some with writing on them, and those of healthy "
        "skin mostly from a studio. With photos of your own, expect it to do worse.": _(
            "Many training photos come from news and picture agencies, some with writing on them, and those of healthy "
            "skin mostly from a studio. With photos of your own, expect it to do worse."
        ),
        "It has never seen cowpox, hand-foot-mouth disease, scabies, eczema, an allergy or any other rash, nor a "
        "single spot or mole.": _(
            "It has never seen cowpox, hand-foot-mouth disease, scabies, eczema, an allergy or any other rash, nor a "
            "single spot or mole."
        ),
        "Nobody confirmed by a test what the training photos show.": _(
            "Nobody confirmed by a test what the training photos show."
        ),
        "No result is an all-clear: a contagious disease can look like another one, or like none.": _(
            "No result is an all-clear: a contagious disease can look like another one, or like none."
        ),
        "Its grades are an image-based proxy, computed from area, border, darkness and colours: no clinical grade.": _(
            "Its grades are an image-based proxy, computed from area, border, darkness and colours: no clinical grade."
        ),
        "A low risk is no all-clear: some malignant lesions look harmless in a picture.": _(
            "A low risk is no all-clear: some malignant lesions look harmless in a picture."
        ),
        "The weights take the terms of the data they were trained on. These are not recorded here: look them up before "
        "passing the weights on.": _(
            "The weights take the terms of the data they were trained on. These are not recorded here: look them up "
            "before passing the weights on."
        ),
        "The weights take the terms of the data they were trained on. HAM10000 (Tschandl, Rosendahl, Kittler 2018) is "
        "CC BY-NC 4.0: attribution, no commercial use.": _(
            "The weights take the terms of the data they were trained on. HAM10000 (Tschandl, Rosendahl, Kittler 2018) "
            "is CC BY-NC 4.0: attribution, no commercial use."
        ),
        "The weights take the terms of the data they were trained on. The Monkeypox Skin Images Dataset (Bala, Hossain "
        "and others 2023) is free for research: attribution, no commercial use.": _(
            "The weights take the terms of the data they were trained on. The Monkeypox Skin Images Dataset (Bala, "
            "Hossain and others 2023) is free for research: attribution, no commercial use."
        ),
    }
    return known.get(sentence, sentence)


def interval(bounds: Sequence[float] | None) -> str:
    """Both bounds of a share in words; empty where there are none."""
    if bounds is None:
        return ""
    return _("%(low)s to %(high)s", low=share(bounds[0]), high=share(bounds[1]))


def share(value: float) -> str:
    """A measured share in whole per cent: more digits would claim more than some dozens of photos can tell."""
    return str(format_percent(value, None))


def gate_kind(row: Mapping[str, Any]) -> str:
    """What kind of pictures was shown to the photo check."""
    kinds = {
        "not_skin": _("Everyday pictures: animals, objects, places"),
        "clinical_photos": _("Ordinary photos of skin, not through a dermatoscope"),
        "dermatoscopic": _("Photos of single spots, through a dermatoscope"),
        "generated": _("Drawn pictures: noise, colour, text, screenshots"),
    }
    other = _("Ordinary photos of skin from another collection")
    return kinds.get(row["kind"], other)
