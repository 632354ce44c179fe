"""The words of the model's page that depend on the card."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from flask_babel import format_percent

from ml.card import Card
from ml.labels import Taxonomy
from webapp.i18n import gettext as _

# As training writes them into the card (ml.training.model_card), by the photos that a model is made for.
REFUSED = {
    "dermatoscopic": "Trained on pictures taken through a dermatoscope; ordinary photos of skin are another domain and "
    "are refused.",
    "clinical": "Trained on ordinary photos of skin; pictures taken through a dermatoscope are another domain and are "
    "refused.",
}
UNTAUGHT = {
    "dermatoscopic": "Made for pictures taken through a dermatoscope. Its check was never taught to tell ordinary "
    "photos of skin apart: it answers them too, and its answers to them mean nothing.",
    "clinical": "Made for ordinary photos of skin. Its check was never taught to tell pictures taken through a "
    "dermatoscope apart: it answers them too, and its answers to them mean nothing.",
}


def card_sentence(sentence: str) -> str:
    """A sentence of a card in the visitor's language; as it stands where it is not one of ours."""
    known = {
        "It knows only the classes listed here; anything else is forced into one of them or refused.": _(
            "It knows only the classes listed here; anything else is forced into one of them or refused."
        ),
        REFUSED["dermatoscopic"]: _(
            "Trained on pictures taken through a dermatoscope; ordinary photos of skin are another domain "
            "and are refused."
        ),
        "The training pictures show mostly fair skin, mostly from two clinics; figures elsewhere can be lower.": _(
            "The training pictures show mostly fair skin, mostly from two clinics; figures elsewhere can be lower."
        ),
        REFUSED["clinical"]: _(
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
        UNTAUGHT["dermatoscopic"]: _(
            "Made for pictures taken through a dermatoscope. Its check was never taught to tell ordinary photos of "
            "skin apart: it answers them too, and its answers to them mean nothing."
        ),
        UNTAUGHT["clinical"]: _(
            "Made for ordinary photos of skin. Its check was never taught to tell pictures taken through a "
            "dermatoscope apart: it answers them too, and its answers to them mean nothing."
        ),
        "Its check was taught by drawn pictures alone what is no skin: photos of animals or objects may be answered "
        "too.": _(
            "Its check was taught by drawn pictures alone what is no skin: photos of animals or objects may be "
            "answered too."
        ),
        "The weights take the terms of the data they were trained on.": _(
            "The weights take the terms of the data they were trained on."
        ),
        "These are not recorded here: look them up before passing the weights on.": _(
            "These are not recorded here: look them up before passing the weights on."
        ),
        "Those of other data in them are not recorded here: look them up before passing the weights on.": _(
            "Those of other data in them are not recorded here: look them up before passing the weights on."
        ),
        "HAM10000 (Tschandl, Rosendahl, Kittler 2018) is CC BY-NC 4.0: attribution, no commercial use.": _(
            "HAM10000 (Tschandl, Rosendahl, Kittler 2018) is CC BY-NC 4.0: attribution, no commercial use."
        ),
        "The Monkeypox Skin Images Dataset (Bala, Hossain and others 2023) is free for research: attribution, no "
        "commercial use.": _(
            "The Monkeypox Skin Images Dataset (Bala, Hossain and others 2023) is free for research: attribution, no "
            "commercial use."
        ),
    }
    parts = [f"{part}." for part in sentence.removesuffix(".").split(". ")]
    if sentence not in known and all(part in known for part in parts):
        return " ".join(known[part] for part in parts)
    return known.get(sentence, sentence)


def untaught(card: Card, taxonomy: Taxonomy) -> str | None:
    """The sentence on a model that answers photos of the other kind too, by the `photos` that it was made for; None
    where its gate refuses them."""
    return None if card.gate.get("accepts") == taxonomy.photos else UNTAUGHT[taxonomy.photos]


def limits(card: Card, taxonomy: Taxonomy) -> list[str]:
    """What the card says that the model cannot do, with what it claims of a gate that was never taught it put right."""
    missing = untaught(card, taxonomy)
    if missing is None:
        return [card_sentence(sentence) for sentence in card.limits]
    kept = [sentence for sentence in card.limits if sentence not in (*REFUSED.values(), missing)]
    return [card_sentence(sentence) for sentence in (missing, *kept)]


def sources(card: Card) -> list[str]:
    """Formats of the public data that have a part in the weights: the model's own, those of its members, of what they
    started from and of their teachers."""
    cards = [asdict(card), *card.members]
    data = [one for own in cards for one in (own["data"], *(entry["data"] for entry in own["lineage"]))]
    names = (name for one in data for name in str(one.get("source_format")).split("+"))
    return [name for name in dict.fromkeys(names) if name != "reviewed"]


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
