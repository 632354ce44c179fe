"""What a person can have looked at here: a question for each kind of answer that some model gives."""

from collections.abc import Sequence
from dataclasses import dataclass

from ml.labels import find_taxonomy
from webapp.i18n import gettext as _
from webapp.inference import get_models


@dataclass(frozen=True)
class Question:
    """One thing to have looked at: the label set that answers it, what it is called there, and the photos for it."""

    label_set: str
    name: str
    photos: str
    label_set_title: str

    @property
    def title(self) -> str:
        """The question in the visitor's language; that of a label set of the operator's own as it stands there."""
        titles = {"spot": _("A spot or mole"), "rash": _("A rash")}
        return titles.get(self.name, self.name)

    @property
    def hint(self) -> str:
        """What belongs to it."""
        hints = {
            "spot": _("One single spot, lump or mole that worries you."),
            "rash": _("Blisters, bumps or red patches, often many of them, perhaps with a fever."),
        }
        return hints.get(self.name, _(self.label_set_title))

    @property
    def photo_tip(self) -> str:
        """Which photos its model was made for."""
        if self.photos == "clinical":
            return _("Take an ordinary photo of the skin, with a phone for example, from a hand\u2019s length away.")
        return _("Take it through a dermatoscope: the model was made for such pictures and declines others.")


def questions() -> list[Question]:
    """The questions that are answered here, that of the default model first.

    Of several label sets that belong to one question the first answers it; the others are to be had by name alone.
    """
    found: dict[str, Question] = {}
    for label_set in get_models().label_sets():
        taxonomy = find_taxonomy(label_set)
        if taxonomy is not None:
            question = Question(taxonomy.name, taxonomy.question, taxonomy.photos, taxonomy.title)
            found.setdefault(taxonomy.question, question)
    return list(found.values())


def lacks_default(offered: Sequence[Question]) -> bool:
    """Whether the default model's question is not among these, since its card or its classes cannot be read. Whoever
    comes with a mole is not to be answered about a rash: nothing is chosen for anybody then."""
    return bool(offered) and get_models().default_label_set() not in {one.label_set for one in offered}


def is_put(offered: Sequence[Question]) -> bool:
    """Whether people are asked which of these it is: not where there is the default model's alone."""
    return len(offered) > 1 or lacks_default(offered)


def unavailable() -> str:
    """What is said to whoever chose nothing, or what is not offered, while the default model's question is missing."""
    return _("The model cannot be loaded at the moment. Please try again later.")


def gone() -> str:
    """What is said to whoever chose a question before its model went away: no other model answers in its place."""
    return _("What you chose is not looked at here any more. See what is offered now, then send the photos again.")
