"""The second stage's grades, and the diseases that have one."""

from collections.abc import Mapping
from typing import Any

from ml.errors import TrainingError

STAGE = "severity"
LABEL_SET = "severity"
GRADES = ("mild", "moderate", "severe")
DISEASES = ("akiec", "bcc", "bkl", "df", "vasc")
"""Those that have a second stage, by their HAM10000 codes. Never melanoma: any delay is wrong advice there."""
PROXY, CLINICAL = "proxy", "clinical"
"""Where grades come from: the score of ml.severity_score, or people who examined the lesion."""
PROXY_NOTE = "an image-based proxy, not a clinical grade"
NOTES = {
    PROXY: "This is an image-based proxy, not a clinical grade. It does not tell how urgent an examination is.",
    CLINICAL: "Learnt from grades that clinicians gave. It is no diagnosis and does not tell how urgent an examination "
    "is.",
}
"""The sentence that stands with every grade, by where the model's grades came from."""


def note_of(severity: Mapping[str, Any]) -> str:
    """The sentence that belongs to a stored grade. Those of earlier versions tell only their source; what is unknown
    counts as the proxy, which promises least."""
    return str(severity.get("note") or NOTES.get(str(severity.get("source")), NOTES[PROXY]))


def bundle_name(disease: str) -> str:
    """What the severity model of a disease is called in the models folder."""
    return f"{STAGE}-{disease}"


def check_disease(disease: str) -> None:
    """Raises TrainingError for a disease without a second stage."""
    if disease == "mel":
        raise TrainingError(
            "Melanoma has no severity stage: every suspected one is to be examined promptly, and a grade could delay "
            "that."
        )
    if disease not in DISEASES:
        raise TrainingError(f"There is no severity stage for '{disease}'; choose one of {', '.join(DISEASES)}.")
