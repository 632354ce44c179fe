"""What the bot says besides answers, in the person's language, as HTML for Telegram.

A sentence is escaped where it goes into HTML, and only there: see `paragraphs`.
"""

from collections.abc import Sequence
from html import escape

from flask import current_app

from webapp.config import MEGABYTE, Config
from webapp.i18n import gettext as _
from webapp.screening.questions import Question, is_put, questions

BOT_API_MEGABYTES = 20
"""Largest file that the Bot API lets a bot fetch."""


def megabytes() -> int:
    """Largest photo accepted, in megabytes."""
    config: Config = current_app.config["LENS"]
    return min(config.max_upload_mb, BOT_API_MEGABYTES)


def is_too_large(size: int | None) -> bool:
    """Whether a file of this many bytes, as Telegram states it, is refused without fetching it."""
    return size is not None and size > megabytes() * MEGABYTE


def bold(text: str) -> str:
    """The text as HTML, in bold."""
    return f"<b>{escape(text, quote=False)}</b>"


def paragraphs(*texts: str, title: str = "") -> str:
    """Plain texts as paragraphs of HTML, under a title in bold."""
    return "\n\n".join(([bold(title)] if title else []) + [escape(text, quote=False) for text in texts if text])


def points(*texts: str) -> str:
    """Plain texts as a list, still to be escaped."""
    return "\n".join(f"• {text}" for text in texts)


def welcome() -> str:
    """What this is, and what to agree to before anything is stored."""
    return paragraphs(
        _(
            "Send photos of a skin lesion. A computer names the most likely class, tells how serious it may be, and "
            "says what to do next."
        ),
        _(
            "This is research and education, not a medical device. A computer can miss a cancer: if a spot is new, "
            "changing, itching, bleeding or not healing, see a doctor, whatever is said here."
        ),
        _("Photos and answers pass through Telegram's servers. /privacy tells what is kept here, and for how long."),
        _("Before you send a photo, please agree:"),
        _(
            "I agree that my photos are stored here and analysed by a computer. I know that the result is not a "
            "diagnosis, and I can delete photos and result at any time."
        ),
        title="Lesion Lens",
    )


def agreed() -> str:
    """What to do once one has agreed; where there is a question what to look at, that one follows."""
    if is_put(questions()):
        return paragraphs(_("Thank you."))
    return paragraphs(
        _("Thank you. Now send one to three photos of the same lesion, as an album or one photo."), how_to()
    )


def ask_question(offered: Sequence[Question]) -> str:
    """What is to be looked at, where several models answer."""
    return paragraphs(
        points(*(f"{one.title}: {one.hint}" for one in offered)),
        _("Choose first, then send the photos."),
        title=_("What is it about?"),
    )


def question_kept(question: Question) -> str:
    """What is looked at from now on, and how photos of it are taken."""
    return paragraphs(
        _("Chosen: %(question)s. Now send the photos; /topic chooses anew.", question=question.title),
        how_to(question.photo_tip),
    )


def how_to(photo_tip: str = "") -> str:
    """How photos are sent best, as plain text. `photo_tip` says for which kind of photo; else each question does."""
    offered = questions()
    tips = [photo_tip] if photo_tip else [one.photo_tip for one in offered[:1]]
    if is_put(offered) and not photo_tip:
        tips = [f"{one.title}: {one.photo_tip}" for one in offered]
    return points(
        *tips,
        _("Let the lesion fill about half of the picture, with some skin around it."),
        _("Even light, no reflections, sharp, and hair held aside."),
        _("Telegram makes photos smaller. Sent as a file, a photo arrives as it was taken."),
    )


def help_text() -> str:
    """What can be sent, and the commands."""
    return paragraphs(
        _("Send a photo of a skin lesion, or an album of up to three photos of the same one."),
        how_to(),
        _("JPEG, PNG, WebP, HEIC or AVIF, up to %(limit)d MB each, at most three.", limit=megabytes()),
        "\n".join(f"/{name} - {description}" for name, description in commands().items()),
    )


def commands() -> dict[str, str]:
    """The commands and what each is for."""
    topic = {"topic": _("Choose what is looked at")} if is_put(questions()) else {}
    return {
        "start": _("What this is, and the consent to it"),
        "help": _("How to send photos"),
        "language": _("Choose the language"),
        **topic,
        "training": _("Say whether models may be trained with your photos"),
        "privacy": _("What is kept, and for how long"),
        "delete": _("Delete everything that was sent from this chat"),
    }


def privacy() -> str:
    """What is kept, how long, and what else happens to a photo."""
    config: Config = current_app.config["LENS"]
    days = config.photo_retention_days
    return "\n\n".join(
        (
            paragraphs(
                points(
                    _("Your photos, stored anew without place, time or device data, and the results."),
                    _("When you agreed, your language and your topic: until /delete."),
                    _("Models are trained with your photos only if you allow it, at /training."),
                    _(
                        "Neither your name nor the number of this chat: only a keyed hash of that number, so that your "
                        "results can be found when you delete them. From a photo to its answer the number is kept "
                        "encrypted, so that the answer finds its way."
                    ),
                ),
                title=_("What is kept"),
            ),
            paragraphs(
                _("%(days)d days, or until you delete it.", days=days) if days else _("Until you delete it."),
                _(
                    "The button below each result deletes it and its photos; /delete deletes all of this chat. What "
                    "remains is that there was a screening, when, and by which model."
                ),
                title=_("How long"),
            ),
            paragraphs(
                _(
                    "Photos and answers pass through Telegram's servers, and stay in this chat until you delete them "
                    "there. If you do not want that, do not send photos here."
                ),
                title="Telegram",
            ),
            paragraphs(
                _(
                    "This is not a medical device and makes no diagnosis. It serves research and education. Only an "
                    "examination, and often a tissue sample, can tell what a lesion is."
                ),
                title=_("Not a medical device"),
            ),
        )
    )


def ask_training(allowed: bool) -> str:
    """Whether models may be trained with the photos, and what holds now."""
    return paragraphs(
        _(
            "May your photos also be used to train and check such models? This is voluntary and changes nothing about "
            "the results. You can take it back here at any time, for the photos that you have sent, too; models that "
            "were trained before stay."
        ),
        _("At present: yes, for photos sent since you allowed it.") if allowed else _("At present: no."),
    )


def training_kept(allowed: bool) -> str:
    """What holds from now on."""
    if allowed:
        return paragraphs(_("Thank you. Models may be trained with the photos that you send from now on."))
    return paragraphs(_("Your photos are not used for training, nor are those that you have sent so far."))


def ask_language() -> str:
    """The question for the language."""
    return paragraphs(_("Which language?"))


def language_kept() -> str:
    """The language was chosen."""
    return paragraphs(_("From now on, answers come in English."))


def ask_deletion(count: int) -> str:
    """Whether to delete everything of this chat."""
    return paragraphs(
        _("Screenings kept from this chat: %(count)d.", count=count),
        _(
            "Delete them all, and your consent and language too? Photos and results are removed for good. This cannot "
            "be undone."
        ),
    )


def nothing_to_delete() -> str:
    """There is nothing of this chat."""
    return paragraphs(_("Nothing is kept from this chat."))


def all_deleted(count: int) -> str:
    """Everything of this chat is gone."""
    return paragraphs(
        _("Deleted. Screenings removed with their photos: %(count)d.", count=count),
        _("What you see in this chat is kept by Telegram: delete it here too if you like. To begin anew: /start"),
    )


def one_deleted() -> str:
    """A result was deleted."""
    return paragraphs(
        _("Photo and result are deleted"),
        _("What you see in this chat is kept by Telegram: delete it here too if you like."),
    )


def kept() -> str:
    """Nothing was deleted."""
    return paragraphs(_("Nothing was deleted."))


def waiting() -> str:
    """The answer takes a while."""
    return paragraphs(
        _("Your photo is safe and waits for its answer"),
        _("Others are being answered first. The answer comes here by itself."),
    )


def sentence(text: str) -> str:
    """One sentence as HTML."""
    return escape(text, quote=False)


def too_many_photos() -> str:
    """Why only three photos of an album are looked at."""
    return paragraphs(
        _("An album is one lesion with up to three photos: the first three are looked at, the others not.")
    )


def too_late() -> str:
    """A photo of an album arrived after its answer had begun."""
    return paragraphs(
        _("One photo of the album arrived too late to be looked at with the others. Send it again by itself.")
    )


def too_many_requests() -> str:
    """The limit of photos."""
    return paragraphs(_("That was a lot of photos in a short time, so this one was not looked at. Try again later."))


def too_many_messages() -> str:
    """The limit of messages."""
    return paragraphs(_("That was a lot of messages in a short time. Wait a minute and try again."))


def not_a_photo() -> str:
    """What to send instead of whatever came."""
    return paragraphs(_("Send a photo of a skin lesion, or an image file. /help tells how."))


def only_in_private() -> str:
    """The bot was added to a group."""
    return paragraphs(_("A photo of skin is nobody else's business: write to me in a private chat."))


def not_fetched() -> str:
    """Telegram did not hand out the file."""
    return paragraphs(_("Telegram did not hand over this photo. Please send it again."))


def not_stored() -> str:
    """Disk or database are in trouble."""
    return paragraphs(_("The service cannot store or answer anything right now. Please try again in a minute."))


def our_fault() -> str:
    """Something unforeseen."""
    return paragraphs(_("The fault is ours and has been noted. Please try again in a little while."))


def not_found() -> str:
    """A button below a result that is gone."""
    return _("This result was deleted.")


def heatmap_gone() -> str:
    """A heatmap was asked for, of a photo that is gone."""
    return _("The heatmap can no longer be shown, since the photo is deleted.")
