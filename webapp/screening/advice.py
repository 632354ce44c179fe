"""What a result, a refusal or an unusable file means in plain words.

Every sentence goes through gettext: inside a web request it comes in the visitor's language, on the command line in
English. The recommendations follow what dermatological societies tell the public: a change or a doubt is shown to a
doctor, and no picture rules a cancer out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml.errors import ImageFault
from ml.labels import Label, Status, Taxonomy
from webapp.i18n import gettext as _
from webapp.i18n import number, percent


@dataclass(frozen=True)
class Recommendation:
    """What to do next: one sentence that leads, and the points below it."""

    lead: str
    points: tuple[str, ...]


def status_word(status: str) -> str:
    """The status in one or two words."""
    words = {
        "malignant": _("Possibly malignant"),
        "uncertain": _("Uncertain"),
        "benign": _("Probably benign"),
        "infectious": _("Possibly infectious"),
        "healthy": _("No disease recognised"),
        "refused": _("Not answered"),
        "pending": _("Waiting"),
        "failed": _("Failed"),
        "deleted": _("Deleted"),
    }
    return words[status]


def status_summary(status: str) -> str:
    """What the status says, in one sentence."""
    sentences = {
        "malignant": _("The photo resembles skin cancers or their precursors closely enough to be examined soon."),
        "uncertain": _("The photo does not allow a clear statement in either direction."),
        "benign": _("The photo resembles harmless lesions. That does not rule out a cancer."),
        "infectious": _("The photo resembles a contagious skin disease."),
        "healthy": _("No disease was recognised in the photo. That does not rule one out."),
        "refused": _("The photo cannot be judged, so no class is given."),
    }
    return sentences[status]


def recommendation(status: str) -> Recommendation:
    """What someone with this status should do."""
    match Status(status):
        case Status.MALIGNANT:
            return Recommendation(
                _("See a dermatologist promptly. Do not wait to see whether it changes."),
                (
                    _("Ask for an appointment within days and say that a lesion looks suspicious."),
                    _("Have it examined even if it does not hurt, itch or bleed: early skin cancers often do not."),
                    _("Do not treat, burn off or cut it yourself; that can hide a cancer."),
                ),
            )
        case Status.UNCERTAIN:
            return Recommendation(
                _("Have it looked at by a dermatologist or your family doctor."),
                (
                    _("Make an appointment in the next few weeks, sooner if it changes, bleeds or grows."),
                    _("Take a photo with a ruler beside it today, so that a change can be seen."),
                ),
            )
        case Status.BENIGN:
            return Recommendation(
                _("Keep an eye on it. This result is not an all-clear."),
                (
                    _("See a doctor if it is new, changing, itching, bleeding or not healing, whatever is said here."),
                    _("See a doctor too if it looks different from your other spots, or if you are worried."),
                    _("Look over your whole skin about once a month."),
                ),
            )
        case Status.INFECTIOUS:
            return Recommendation(
                _("Keep apart from others, and call a doctor or your health service before you go there."),
                (
                    _("This is not a diagnosis: only an examination, often with a test, tells what it is."),
                    _("Do not scratch, cover the place, and wash your hands after touching it."),
                    _("Do not share towels, bedding or clothes, and avoid skin contact, until you know more."),
                    _("Seek help at once if you have a high fever, trouble breathing, or spots near an eye."),
                    _("Say so when you call if you are pregnant or have a weak immune system, or if a baby is ill."),
                ),
            )
        case Status.HEALTHY:
            return Recommendation(
                _("If something on your skin worries you, have a doctor look at it."),
                (
                    # A label set that has this status has no malignant class (ml.screening.decide_status).
                    _("Moles and skin cancer were not looked for here."),
                    _("See a doctor about any spot that is new, changing, itching, bleeding or not healing."),
                    _("With a fever, or after contact with someone who is ill, call a doctor whatever is said here."),
                ),
            )
        case Status.REFUSED:
            return Recommendation(
                _("Take another photo, or show the place itself to a doctor."),
                (_("If you are worried about it, see a clinician now; do not wait for a better photo."),),
            )


def refusal(reason: str) -> str:
    """Why a photo was not answered, by the gate's reason code."""
    sentences = {
        "not_skin": _("The photo does not seem to show a place on the skin from close by."),
        "not_dermatoscopic": _(
            "The photo looks like an ordinary photo. The model was made for pictures taken through a dermatoscope, "
            "the magnifier with its own light that skin doctors use."
        ),
        "not_clinical": _(
            "The photo looks like one taken through a dermatoscope. The model was made for ordinary photos of skin."
        ),
        "blur": _("The photo is blurred."),
        "motion": _("The photo is blurred by movement."),
        "noise": _("The photo is grainy."),
        "yellow_light": _("The light is too yellow, so that the colours cannot be judged."),
        "too_dark": _("The photo is too dark."),
        "too_bright": _("The photo is too bright: parts of it are washed out."),
        "too_small": _("The photo has too few pixels to show the structure of a lesion."),
        "low_contrast": _("The photo shows hardly any structure: no lesion stands out."),
        "compressed": _("The photo was compressed so strongly that fine structure is lost."),
        "hair": _("Hair covers most of the lesion."),
        "too_far": _("The lesion takes up too little of the photo."),
    }
    return sentences.get(reason, _("The photo is not suited for this model."))


def refusal_figure(gate: Mapping[str, Any]) -> str:
    """The number behind the refusal of a stored gate and the bound that it missed; empty where there is none."""
    names = {
        "blur": "sharpness",
        "motion": "steadiness",
        "noise": "sharpness",
        "yellow_light": "yellowness",
        "too_dark": "brightness",
        "too_bright": "brightness",
        "too_small": "short_side",
        "low_contrast": "contrast",
        "compressed": "blockiness",
        "hair": "hair",
        "too_far": "lesion",
    }
    reason, limit = gate["reason"], gate.get("limit")
    value = gate["scores"].get(names.get(reason, ""))
    if value is None or limit is None:
        return ""
    exact, whole = {"value": number(value), "limit": number(limit)}, {"value": round(value), "limit": round(limit)}
    sentences = {
        "blur": _("Sharpness %(value)s; at least %(limit)s is needed.", **exact),
        "motion": _("Sharpness along the movement %(value)s; at least %(limit)s is needed.", **exact),
        "noise": _("Fine grain %(value)s; at most %(limit)s is allowed.", **exact),
        "yellow_light": _("Blue lies %(value)s stops behind; at most %(limit)s are allowed.", **exact),
        "too_dark": _("Brightness %(value)d of 255; at least %(limit)d is needed.", **whole),
        "too_bright": _("Brightness %(value)d of 255; at most %(limit)d is allowed.", **whole),
        "too_small": _("The shorter side has %(value)d pixels; at least %(limit)d are needed.", **whole),
        "low_contrast": _("Contrast %(value)s; at least %(limit)s is needed.", **exact),
        "compressed": _("Traces of compression %(value)s; at most %(limit)s is allowed.", **exact),
        "hair": _("Hair on %(value)s of the photo; at most %(limit)s.", value=percent(value), limit=percent(limit)),
        "too_far": _(
            "The lesion covers %(value)s of the photo; at least %(limit)s is needed.",
            value=percent(value),
            limit=percent(limit),
        ),
    }
    return sentences[reason]


def hint_figure(gate: Mapping[str, Any]) -> str:
    """The number behind the tip that a usable photo got, and the bound from which it is given; empty without one."""
    # Imported here: the web application must start without loading numerical libraries.
    from ml.gate_quality import HAIR_HINT

    share = gate["scores"].get("hair")
    if gate["tip"] != "part_the_hair" or share is None:
        return ""
    return _(
        "Hair lies on %(value)s of the photo; from %(limit)s on it can hide something.",
        value=percent(share),
        limit=percent(HAIR_HINT),
    )


def retake(tip: str) -> str:
    """How to take a better photo, by the gate's tip code."""
    sentences = {
        "photograph_the_lesion": _("Photograph the lesion itself, so that it fills about half of the picture."),
        "use_a_dermatoscope": _("Use a picture taken with a dermatoscope, for example one from your skin doctor."),
        "use_an_ordinary_photo": _(
            "Take an ordinary photo of the skin, without a dermatoscope. A single spot or mole is another question "
            "than a rash."
        ),
        "hold_still": _("Rest your hand, wait until the picture is sharp, then release the shutter."),
        "white_light": _("Use white light, such as daylight at a window, and no warm lamp."),
        "more_light": _("Use bright, even light, such as daylight at a window."),
        "less_light": _("Avoid flash and direct sun; turn a little until nothing shines."),
        "move_closer": _("Move closer, or use a camera with more pixels, and do not send a reduced picture."),
        "send_the_original": _(
            "Send the photo as your camera stored it: messengers and screenshots compress it. Upload it as a file."
        ),
        "go_closer": _("Move closer, so that the lesion fills about half of the picture."),
        "part_the_hair": _("Part the hair or hold it aside, so that the lesion lies free."),
    }
    return sentences.get(tip, _("Photograph the lesion sharply, in even light, from close by."))


def image_fault(reason: ImageFault, *, megabytes: int | None = None) -> str:
    """Why a file is not usable as a photo and what to do, by the reason of `InvalidImage`."""
    if reason == "too_many_bytes" and megabytes is not None:
        return _("The file is larger than %(limit)d MB. Choose a smaller photo.", limit=megabytes)
    sentences: dict[ImageFault, str] = {
        "empty": _("The file is empty. Choose the photo again."),
        "not_an_image": _("The file is not a picture. Choose a photo in JPEG, PNG, WebP, HEIC or AVIF format."),
        "unsupported_format": _("This picture format is not read. Choose a JPEG, PNG, WebP, HEIC or AVIF photo."),
        "truncated": _("The file ends too early, as if it had not arrived whole. Choose the original photo again."),
        "damaged": _("The picture is damaged and cannot be read. Choose another photo."),
        "too_many_bytes": _("The file is too large. Choose a smaller photo."),
        "too_many_pixels": _("The picture has too many pixels. Choose a smaller one."),
        "too_small": _("The picture is too small. Choose one with more pixels."),
        "too_complex": _("The picture takes too much memory or time to read. Save it as a JPEG and send that."),
    }
    return sentences[reason]


def failure(reason: str) -> str:
    """Why a screening ended without an answer."""
    sentences = {
        "photo_lost": _("The kept photo can no longer be read, so there is no answer. Please upload it again."),
        "no_answer": _("The photo could not be processed, even after several attempts. Please try another one."),
    }
    return sentences[reason]


def class_name(label: Label) -> str:
    """The full name of a class in the visitor's language. The label sets' texts are in the catalogues too."""
    return _(label.name)


def find_label(taxonomy: Taxonomy | None, code: str) -> Label | None:
    """The class with this code; None where the label set, or the class in it, is gone since the answer was given."""
    return taxonomy.label(code) if taxonomy and code in taxonomy.codes else None


def class_word(taxonomy: Taxonomy | None, code: str) -> str:
    """The full name of a class in the visitor's language; its code where the label set no longer tells it."""
    return class_name(label) if (label := find_label(taxonomy, code)) else code


def class_description(label: Label) -> str:
    """What a class is, in the visitor's language."""
    return _(label.description)


def label_set_title(taxonomy: Taxonomy) -> str:
    """The title of a label set in the visitor's language. A user's own may hold any character: it is escaped here as
    elsewhere, which a template's own `_()` would not do."""
    return _(taxonomy.title)
