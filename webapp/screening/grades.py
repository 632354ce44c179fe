"""What a grade of the second stage is called, and what it is worth, in plain words."""

from webapp.i18n import gettext as _


def severity_word(grade: str) -> str:
    """A grade of the second stage."""
    words = {"mild": _("Mild"), "moderate": _("Moderate"), "severe": _("Severe")}
    return words.get(grade, grade)


def severity_meaning(source: str) -> str:
    """What such a grade is worth, by where the grades that the model learnt came from."""
    if source == "proxy":
        return _(
            "An image-based proxy, not a clinical grade: computed from how large, irregular, dark and many-coloured "
            "the place looks in the photo. It does not tell how urgent an examination is."
        )
    return _(
        "Learnt from grades that clinicians gave. It is no diagnosis and does not tell how urgent an examination is."
    )
