"""What reviews, their states and the entries of the audit log are called on the admin's pages."""

from ml.labels import Taxonomy
from webapp.i18n import gettext as _
from webapp.models.review import ReviewLabel
from webapp.screening import advice


def label_word(taxonomy: Taxonomy | None, code: str) -> str:
    """A class, or one of the answers beside the classes."""
    words = {
        ReviewLabel.OTHER: _("Something else: not in this label set"),
        ReviewLabel.NO_LESION: _("No lesion, or not enough of it"),
        ReviewLabel.CANNOT_TELL: _("Cannot be told from the photo"),
    }
    return words[ReviewLabel(code)] if code in tuple(ReviewLabel) else advice.class_word(taxonomy, code)


def case_status(code: str) -> str:
    """How far the review of a screening is."""
    words = {
        "pending": _("To be reviewed"),
        "draft": _("Review begun"),
        "submitted": _("Reviewed"),
        "disputed": _("Disputed"),
        "discarded": _("Discarded"),
    }
    return words.get(code, code)


def said(status: str, *, adjudicates: bool, undoing: bool) -> str:
    """What one review did."""
    if undoing:
        return _("Undid a review")
    if adjudicates:
        words = {"submitted": _("Decided"), "discarded": _("Decided to discard"), "pending": _("Opened the case again")}
    else:
        words = {
            "submitted": _("Submitted"),
            "discarded": _("Discarded"),
            "draft": _("Draft"),
            "pending": _("Took the review back"),
        }
    return words.get(status, status)


def purpose(code: str) -> str:
    """Why another model answered."""
    words = {"rescore": _("Asked for"), "shadow": _("In the background")}
    return words.get(code, code)


def action(code: str) -> str:
    """An entry of the audit log; one without words here is shown as it is."""
    words = {
        "review.submit": _("Review submitted"),
        "review.draft": _("Draft of a review kept"),
        "review.discard": _("Discarded"),
        "review.decide": _("Dispute decided"),
        "review.withdraw": _("Review taken back"),
        "review.reopen": _("Opened the case again"),
        "review.undo": _("Review undone"),
        "case.rescore": _("Another model asked"),
        "case.pdf": _("PDF made"),
        "screening.delete": _("Deleted"),
    }
    return words.get(code, code)
