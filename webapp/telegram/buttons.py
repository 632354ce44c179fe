"""The buttons below messages, and what each sends back: an action and what it is about, in at most 64 bytes."""

import hashlib
from collections.abc import Sequence

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from webapp.i18n import LANGUAGES
from webapp.i18n import gettext as _
from webapp.screening.questions import Question

# A result is told by its token: 43 characters, so that an action has up to 20.
AGREE, HELLO, LANGUAGE, QUESTION = "agree", "hello", "language", "question"
HEATMAP, ASK_DELETE, DELETE, KEEP = "heatmap", "ask-delete", "delete", "keep"
FORGET, REMEMBER = "forget", "remember"
TRAINING, YES, NO = "training", "yes", "no"


def consent(language: str) -> InlineKeyboardMarkup:
    """To agree in this language, or to read the same in another. Nothing is stored before, so buttons carry it."""
    others = [_button(name, HELLO, code) for code, name in LANGUAGES.items() if code != language]
    return InlineKeyboardMarkup([[_button(_("I agree"), AGREE, language)], others])


def languages() -> InlineKeyboardMarkup:
    """Every language in itself."""
    return InlineKeyboardMarkup([[_button(name, LANGUAGE, code) for code, name in LANGUAGES.items()]])


def questions(offered: Sequence[Question]) -> InlineKeyboardMarkup:
    """What there is to be looked at, each in a row."""
    return InlineKeyboardMarkup([[_button(one.title, QUESTION, question_key(one))] for one in offered])


def question_key(question: Question) -> str:
    """What a button sends back for a question: names of label sets may be longer than a button holds."""
    return hashlib.sha256(question.label_set.encode()).hexdigest()[:16]


def result(token: str, page: str, *, heatmap: bool) -> InlineKeyboardMarkup:
    """Below a result: its heatmap, its page where it has a public address, and deleting it."""
    rows = [[_button(_("Show the heatmap"), HEATMAP, token)]] if heatmap else []
    if page:
        rows.append([InlineKeyboardButton(_("Open the result page"), url=page)])
    rows.append([_button(_("Delete photo and result"), ASK_DELETE, token)])
    return InlineKeyboardMarkup(rows)


def confirm_deletion(token: str) -> InlineKeyboardMarkup:
    """The second step of deleting one result."""
    return InlineKeyboardMarkup([[_button(_("Yes, delete"), DELETE, token), _button(_("No, keep"), KEEP, token)]])


def training() -> InlineKeyboardMarkup:
    """Whether models may be trained with the photos."""
    return InlineKeyboardMarkup([[_button(_("Yes, allow it"), TRAINING, YES), _button(_("No"), TRAINING, NO)]])


def confirm_forgetting() -> InlineKeyboardMarkup:
    """The second step of deleting everything."""
    return InlineKeyboardMarkup([[_button(_("Yes, delete"), FORGET), _button(_("No, keep"), REMEMBER)]])


def _button(text: str, action: str, about: str = "") -> InlineKeyboardButton:
    return InlineKeyboardButton(text, callback_data=f"{action}:{about}")
