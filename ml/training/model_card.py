"""The sentences of a model card: what a model is for, under which terms, and what it cannot do."""

from collections.abc import Mapping
from typing import Any

INTENDED_USE = (
    "Research and education. Not a medical device: it must not be used to diagnose, to rule out cancer, or to decide "
    "for or against seeing a clinician."
)
LICENCES = {
    "ham10000": "The weights take the terms of the data they were trained on. HAM10000 (Tschandl, Rosendahl, Kittler "
    "2018) is CC BY-NC 4.0: attribution, no commercial use."
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
MALIGNANT_LIMITS = ("A low risk is no all-clear: some malignant lesions look harmless in a picture.",)


def licence(data: Mapping[str, Any]) -> str:
    """The terms of the weights, from the fingerprint of the prepared data."""
    return LICENCES.get(str(data.get("source_format")), OTHER_LICENCE)


def limits(data: Mapping[str, Any], *, malignant: bool) -> tuple[str, ...]:
    """What the model cannot do; `malignant` says whether any of its classes is."""
    formats = str(data.get("source_format")).split("+")  # merged sources have several
    dermatoscopic = DERMATOSCOPIC_LIMITS if set(formats) <= set(DERMATOSCOPIC_SOURCES) else ()
    return (*LIMITS, *dermatoscopic, *(MALIGNANT_LIMITS if malignant else ()))
