"""The sentences of a model card: what a model is for, under which terms, and what it cannot do."""

from collections.abc import Mapping
from typing import Any

from ml.labels import Status, Taxonomy
from ml.severity_grades import PROXY

INTENDED_USE = (
    "Research and education. Not a medical device: it must not be used to diagnose, to rule out cancer, or to decide "
    "for or against seeing a clinician."
)
LICENCES = {
    "ham10000": "The weights take the terms of the data they were trained on. HAM10000 (Tschandl, Rosendahl, Kittler "
    "2018) is CC BY-NC 4.0: attribution, no commercial use.",
    "msid": "The weights take the terms of the data they were trained on. The Monkeypox Skin Images Dataset (Bala, "
    "Hossain and others 2023) is free for research: attribution, no commercial use.",
}
OTHER_LICENCE = (
    "The weights take the terms of the data they were trained on. These are not recorded here: look them up before "
    "passing the weights on."
)
DERMATOSCOPIC_SOURCES = ("ham10000", "isic2019", "isic2020")
LIMITS = ("It knows only the classes listed here; anything else is forced into one of them or refused.",)
DERMATOSCOPIC_LIMITS = (
    "Trained on pictures taken through a dermatoscope; ordinary photos of skin are another domain and are refused.",
    "The training pictures show mostly fair skin, mostly from two clinics; figures elsewhere can be lower.",
)
CLINICAL_LIMITS = (
    "Trained on ordinary photos of skin; pictures taken through a dermatoscope are another domain and are refused.",
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


def licence(data: Mapping[str, Any]) -> str:
    """The terms of the weights, from the fingerprint of the prepared data."""
    return LICENCES.get(str(data.get("source_format")), OTHER_LICENCE)


def limits(data: Mapping[str, Any], taxonomy: Taxonomy) -> tuple[str, ...]:
    """What a model of this label set, trained on such data, cannot do."""
    formats = str(data.get("source_format")).split("+")  # merged sources have several
    infectious = any(label.status is Status.INFECTIOUS for label in taxonomy.labels)
    return (
        *LIMITS,
        *(DERMATOSCOPIC_LIMITS if set(formats) <= set(DERMATOSCOPIC_SOURCES) else ()),
        *(CLINICAL_LIMITS if taxonomy.photos == "clinical" else ()),
        *(sentence for name in formats for sentence in SOURCE_LIMITS.get(name, ())),
        *(MALIGNANT_LIMITS if taxonomy.malignant else ()),
        *(PROXY_LIMITS if data.get("severity", {}).get("source") == PROXY else ()),
        *(INFECTIOUS_LIMITS if infectious else ()),
    )
