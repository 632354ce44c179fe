"""What the codes of a stored answer are called on the case page. A code without a word here is shown as it is."""

from webapp.i18n import gettext as _


def verdict(code: str) -> str:
    """The gate's verdict."""
    words = {
        "usable": _("Usable"),
        "not_skin": _("Not skin"),
        "not_dermatoscopic": _("Not dermatoscopic"),
        "poor_quality": _("Poor quality"),
    }
    return words.get(code, code)


def reason(code: str) -> str:
    """Why the gate refused."""
    words = {
        "not_skin": _("Not skin"),
        "not_dermatoscopic": _("Not dermatoscopic"),
        "blur": _("Blurred"),
        "too_dark": _("Too dark"),
        "too_bright": _("Too bright"),
        "too_small": _("Too few pixels"),
        "low_contrast": _("Hardly any contrast"),
        "hair": _("Hair"),
    }
    return words.get(code, code)


def score(code: str) -> str:
    """A number that the gate measured."""
    words = {
        "short_side": _("Shorter side in pixels"),
        "brightness": _("Brightness (0 to 255)"),
        "contrast": _("Contrast"),
        "sharpness": _("Sharpness"),
        "novelty": _("Distance to the training pictures"),
        "usable": _("Looks like a dermatoscopic photo"),
        "not_dermatoscopic": _("Looks like an ordinary photo of skin"),
        "not_skin": _("Looks like something other than skin"),
    }
    return words.get(code, code)


def state(code: str) -> str:
    """How far a screening has come."""
    words = {"pending": _("Waiting"), "done": _("Answered"), "failed": _("Failed")}
    return words.get(code, code)


def failure(code: str) -> str:
    """Why a screening ended without an answer."""
    words = {"photo_lost": _("The kept photo cannot be read"), "no_answer": _("Every attempt failed")}
    return words.get(code, code)


def channel(code: str) -> str:
    """Where the photos came from."""
    words = {"web": _("Web page")}
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
