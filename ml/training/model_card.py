"""The sentences of a model card: what a model is for, under which terms, and what it cannot do."""

from collections.abc import Iterable, Mapping
from typing import Any

from ml.data.reviewed import SOURCE as REVIEWED
from ml.labels import Status, Taxonomy
from ml.screening import NOT_SKIN
from ml.severity_grades import PROXY

INTENDED_USE = (
    "Research and education. Not a medical device: it must not be used to diagnose, to rule out cancer, or to decide "
    "for or against seeing a clinician."
)
LICENCE = "The weights take the terms of the data they were trained on."
TERMS = {
    "ham10000": "HAM10000 (Tschandl, Rosendahl, Kittler 2018) is CC BY-NC 4.0: attribution, no commercial use.",
    "msid": "The Monkeypox Skin Images Dataset (Bala, Hossain and others 2023) is free for research: attribution, no "
    "commercial use.",
}
OTHER_TERMS = "These are not recorded here: look them up before passing the weights on."
MORE_TERMS = "Those of other data in them are not recorded here: look them up before passing the weights on."
DERMATOSCOPIC_SOURCES = ("ham10000", "isic2019", "isic2020")
LIMITS = ("It knows only the classes listed here; anything else is forced into one of them or refused.",)
DERMATOSCOPIC_LIMIT = (
    "Trained on pictures taken through a dermatoscope; ordinary photos of skin are another domain and are refused."
)
CLINICAL_LIMIT = (
    "Trained on ordinary photos of skin; pictures taken through a dermatoscope are another domain and are refused."
)
UNTAUGHT_LIMITS = {
    "dermatoscopic": "Made for pictures taken through a dermatoscope. Its check was never taught to tell ordinary "
    "photos of skin apart: it answers them too, and its answers to them mean nothing.",
    "clinical": "Made for ordinary photos of skin. Its check was never taught to tell pictures taken through a "
    "dermatoscope apart: it answers them too, and its answers to them mean nothing.",
}
"""By the photos that a model is made for, where its gate has not been shown the other kind."""
NOT_SKIN_LIMIT = (
    "Its check was taught by drawn pictures alone what is no skin: photos of animals or objects may be answered too."
)
FAIR_SKIN_LIMIT = (
    "The training pictures show mostly fair skin, mostly from two clinics; figures elsewhere can be lower."
)
SOURCE_LIMITS = {
    "msid": (
        "Many training photos come from news and picture agencies, some with writing on them, and those of healthy "
        "skin mostly from a studio. With photos of your own, expect it to do worse.",
        "It has never seen cowpox, hand-foot-mouth disease, scabies, eczema, an allergy or any other rash, nor a "
        "single spot or mole.",
        "Nobody confirmed by a test what the training photos show.",
    )
}
INFECTIOUS_LIMITS = ("No result is an all-clear: a contagious disease can look like another one, or like none.",)
PROXY_LIMITS = (
    "Its grades are an image-based proxy, computed from area, border, darkness and colours: no clinical grade.",
)
MALIGNANT_LIMITS = ("A low risk is no all-clear: some malignant lesions look harmless in a picture.",)


def licence(data: Mapping[str, Any], before: Iterable[Mapping[str, Any]] = ()) -> str:
    """The terms of the weights, from the fingerprint of the prepared data, and of those of the bundles `before` it:
    what the weights started from, a teacher, the members of an ensemble."""
    names = list(dict.fromkeys(name for one in (data, *before) for name in sources(one)))
    known = [TERMS[name] for name in names if name in TERMS]
    rest = [] if len(known) == len(names) else [MORE_TERMS if known else OTHER_TERMS]
    return " ".join([LICENCE, *known, *rest])


def sources(data: Mapping[str, Any]) -> list[str]:
    """The formats of the sources that prepared data were merged of, but for cases that were reviewed here: a person
    allowed training with those, and they change nothing about the others."""
    return [name for name in str(data.get("source_format")).split("+") if name != REVIEWED]


def limits(data: Mapping[str, Any], taxonomy: Taxonomy, gate: Mapping[str, Any]) -> tuple[str, ...]:
    """What a model of this label set, trained on such data, cannot do; `gate` is the card's entry of that name."""
    formats = sources(data)
    dermatoscopic = set(formats) <= set(DERMATOSCOPIC_SOURCES)
    infectious = any(label.status is Status.INFECTIOUS for label in taxonomy.labels)
    if gate.get("accepts") != taxonomy.photos:
        domain = [UNTAUGHT_LIMITS[taxonomy.photos]]
    elif taxonomy.photos == "clinical":
        domain = [CLINICAL_LIMIT]
    else:
        domain = [DERMATOSCOPIC_LIMIT] if dermatoscopic else []
    return (
        *LIMITS,
        *domain,
        *([] if NOT_SKIN in gate.get("measured", {}) else [NOT_SKIN_LIMIT]),
        *([FAIR_SKIN_LIMIT] if dermatoscopic else []),
        *(sentence for name in formats for sentence in SOURCE_LIMITS.get(name, ())),
        *(MALIGNANT_LIMITS if taxonomy.malignant else ()),
        *(PROXY_LIMITS if data.get("severity", {}).get("source") == PROXY else ()),
        *(INFECTIOUS_LIMITS if infectious else ()),
    )
