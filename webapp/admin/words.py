"""What the codes of a stored answer are called on the case page. A code without a word here is shown as it is."""

from collections.abc import Mapping

from flask_babel import format_decimal

from ml.labels import Taxonomy
from webapp.i18n import gettext as _
from webapp.i18n import percent
from webapp.screening import advice

CLOSE, FAR = 0.25, 0.02
"""Closeness from which the nearest confirmed case is called close, and below which none is."""


def verdict(code: str) -> str:
    """The gate's verdict."""
    words = {
        "usable": _("Usable"),
        "not_skin": _("Not skin"),
        "not_dermatoscopic": _("Not dermatoscopic"),
        "not_clinical": _("Not an ordinary photo"),
        "poor_quality": _("Poor quality"),
    }
    return words.get(code, code)


def reason(code: str) -> str:
    """Why the gate refused."""
    words = {
        "not_skin": _("Not skin"),
        "not_dermatoscopic": _("Not dermatoscopic"),
        "not_clinical": _("Not an ordinary photo"),
        "blur": _("Blurred"),
        "motion": _("Blurred by movement"),
        "noise": _("Grainy"),
        "yellow_light": _("Yellow light"),
        "too_dark": _("Too dark"),
        "too_bright": _("Too bright"),
        "too_small": _("Too few pixels"),
        "low_contrast": _("Hardly any contrast"),
        "compressed": _("Strongly compressed"),
        "hair": _("Hair"),
        "too_far": _("Too far away"),
    }
    return words.get(code, code)


def score(code: str) -> str:
    """A number that the gate measured."""
    words = {
        "short_side": _("Shorter side in pixels"),
        "brightness": _("Brightness (0 to 255)"),
        "contrast": _("Contrast"),
        "sharpness": _("Sharpness"),
        "steadiness": _("Sharpness where it is least"),
        "yellowness": _("Yellowness of the light in stops"),
        "hair": _("Share under dark hair (0 to 1)"),
        "blockiness": _("Traces of compression"),
        "lesion": _("Share that the lesion covers (0 to 1)"),
        "novelty": _("Distance to the training pictures"),
        "usable": _("Looks like the photos that the model was made for"),
        "not_dermatoscopic": _("Looks like an ordinary photo of skin"),
        "not_clinical": _("Looks like a dermatoscopic photo"),
        "not_skin": _("Looks like something other than skin"),
    }
    return words.get(code, code)


def score_meaning(code: str) -> str:
    """What a number of the gate tells, in one sentence; nothing for one that has no sentence here."""
    meanings = {
        "short_side": _("Smaller pictures hold too little to judge."),
        "brightness": _("Mean lightness of the whole picture: 0 is black, 255 is white."),
        "contrast": _("How far the lightness varies; a blank picture has hardly any."),
        "sharpness": _(
            "Strength of fine edges against the overall contrast. Blur lowers it; above the upper limit, what "
            "looks like edges is grain."
        ),
        "steadiness": _("As sharpness, in the direction in which it is least; a movement blurs along its path alone."),
        "yellowness": _("How far blue lies behind red and green in the colour of the light; yellow lamps raise it."),
        "hair": _("Dark hair on the picture; beyond the limit it hides too much of the lesion."),
        "blockiness": _("Steps between the squares in which JPEG stores a picture; strong compression raises them."),
        "lesion": _("Found by colour alone; below the limit the photo was taken from too far away."),
        "novelty": _("Mean distance to the nearest training pictures, as the model sees them; large means unlike any."),
        "usable": _(
            "Probability; below the limit there is no answer. The reason given is the likelier of the other two kinds, "
            "or a fault of the picture where it has one and neither kind is likelier than not."
        ),
        "not_dermatoscopic": _("Probability; it names the reason when a photo is refused."),
        "not_clinical": _("Probability; it names the reason when a photo is refused."),
        "not_skin": _("Probability; it names the reason when a photo is refused."),
    }
    return meanings.get(code, "")


def confirmed_by(code: str) -> str:
    """How the diagnosis of a training case was confirmed."""
    words = {
        "histo": _("Tissue sample"),
        "follow_up": _("Follow-up"),
        "consensus": _("Consensus of experts"),
        "confocal": _("Confocal microscopy"),
        "": _("Not stated"),
    }
    return words.get(code, code)


def distance(value: float) -> str:
    """A distance between pictures, with one decimal."""
    return str(format_decimal(value, "#,##0.0"))


def closeness(share: float) -> str:
    """How near the closest confirmed case lies, by its closeness (see ml.similar.Neighbour)."""
    if share >= CLOSE:
        return _(
            "The nearest one is close: %(share)s of the confirmed cases lie farther from their own nearest neighbour.",
            share=percent(share),
        )
    if share >= FAR:
        return _(
            "The nearest one is at some distance: only %(share)s of the confirmed cases lie farther from their own "
            "nearest neighbour.",
            share=percent(share),
        )
    return _(
        "No confirmed case is close: hardly any of them lies so far from its own nearest neighbour. "
        "Do not read much into the list."
    )


def state(code: str) -> str:
    """How far a screening has come."""
    words = {"pending": _("Waiting"), "done": _("Answered"), "failed": _("Failed")}
    return words.get(code, code)


def failure(code: str) -> str:
    """Why a screening ended without an answer."""
    words = {"photo_lost": _("The kept photo cannot be read"), "no_answer": _("Every attempt failed")}
    return words.get(code, code)


def any_class(code: str, taxonomies: Mapping[str, Taxonomy]) -> str:
    """A class or a review's label, where it is not known which label set it is from."""
    words = {
        "_other": _("Another class"),
        "_no_lesion": _("No lesion"),
        "_cannot_tell": _("Cannot be told"),
    }
    names = (advice.class_word(taxonomy, code) for taxonomy in taxonomies.values() if code in taxonomy.codes)
    return words.get(code) or next(names, code)


def sort(code: str) -> str:
    """An order of the history."""
    words = {
        "newest": _("Newest first"),
        "oldest": _("Oldest first"),
        "risk": _("Highest risk first"),
        "uncertainty": _("Least certain first"),
        "disagreement": _("First look and model furthest apart"),
    }
    return words[code]


def channel(code: str) -> str:
    """Where the photos came from."""
    words = {"web": _("Web page"), "api": "API", "telegram": "Telegram"}
    return words.get(code, code)


def seconds(code: str) -> str:
    """A step whose duration is measured, in seconds."""
    words = {
        "decode": _("Seconds for reading the photos"),
        "gate": _("Seconds for the photo check"),
        "network": _("Seconds for the model"),
    }
    return words.get(code, code)


def threshold(code: str) -> str:
    """A level of the malignant risk that decides the status."""
    words = {
        "malignant": _("Possibly malignant from a risk of"),
        "uncertain": _("Probably benign below a risk of"),
    }
    return words.get(code, code)
