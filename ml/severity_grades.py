"""The second stage's grades, and the diseases that have one."""

from ml.errors import TrainingError

STAGE = "severity"
LABEL_SET = "severity"
GRADES = ("mild", "moderate", "severe")
DISEASES = ("akiec", "bcc", "bkl", "df", "vasc")
"""Those that have a second stage, by their HAM10000 codes. Never melanoma: any delay is wrong advice there."""
PROXY, CLINICAL = "proxy", "clinical"
"""Where grades come from: the score of ml.severity_score, or people who examined the lesion."""
PROXY_NOTE = "an image-based proxy, not a clinical grade"


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
