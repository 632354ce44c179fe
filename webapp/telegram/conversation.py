"""Commands and buttons: what the bot does besides looking at photos."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from telegram import Bot, CallbackQuery, InlineKeyboardMarkup, Message, Update
from telegram.constants import ParseMode
from telegram.error import BadRequest
from telegram.ext import CallbackContext

from webapp.i18n import LANGUAGES
from webapp.models.screening import ScreeningRow
from webapp.screening.erasing import erase
from webapp.screening.questions import Question, is_put, questions
from webapp.telegram import buttons, chats, words
from webapp.telegram.answers import heatmap_pictures, offers_heatmap, result_page
from webapp.telegram.calls import persistently, reply, send_pictures
from webapp.telegram.threads import Threads

log = logging.getLogger(__name__)

Context = CallbackContext[Any, Any, Any, Any]
Said = tuple[str, InlineKeyboardMarkup | None]


@dataclass(frozen=True)
class Pressed:
    """A button: what it does, what it is about, and the message that it is below of."""

    query: CallbackQuery
    bot: Bot
    action: str
    about: str
    chat: int
    message: int
    language: str

    async def edit(self, text: str, keyboard: InlineKeyboardMarkup | None = None) -> None:
        """Replace the message. One that Telegram does not let the bot change stays as it is."""
        await self._change(
            lambda: self.bot.edit_message_text(
                text, chat_id=self.chat, message_id=self.message, parse_mode=ParseMode.HTML, reply_markup=keyboard
            )
        )

    async def edit_buttons(self, keyboard: InlineKeyboardMarkup) -> None:
        """Replace the buttons below the message."""
        await self._change(
            lambda: self.bot.edit_message_reply_markup(
                chat_id=self.chat, message_id=self.message, reply_markup=keyboard
            )
        )

    async def _change(self, call: Callable[[], Any]) -> None:
        try:
            await persistently(call)
        except BadRequest as error:  # too old, or pressed twice
            log.info("a message was not changed: %s", error)


class Conversation:
    """Handlers of commands and buttons."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    async def start(self, update: Update, context: Context) -> None:
        """/start: what this is, and the question for consent until it was given."""
        message, chat, language = await self._where(update)
        if chat is None:
            await self._reply(message, language, lambda: (words.welcome(), buttons.consent(language)))
        else:
            await self._reply(message, language, lambda: (words.help_text(), None))

    async def help(self, update: Update, context: Context) -> None:
        """/help: what can be sent."""
        message, _, language = await self._where(update)
        await self._reply(message, language, lambda: (words.help_text(), None))

    async def language(self, update: Update, context: Context) -> None:
        """/language: which one. Before the consent nothing is stored, so that the welcome carries the choice."""
        message, chat, language = await self._where(update)
        if chat is None:
            await self._reply(message, language, lambda: (words.welcome(), buttons.consent(language)))
        else:
            await self._reply(message, language, lambda: (words.ask_language(), buttons.languages()))

    async def topic(self, update: Update, context: Context) -> None:
        """/topic: what is to be looked at, where there is a choice."""
        message, chat, language = await self._where(update)
        if chat is None:
            await self._reply(message, language, lambda: (words.welcome(), buttons.consent(language)))
        else:
            await self._reply(message, language, question)

    async def training(self, update: Update, context: Context) -> None:
        """/training: whether models may be trained with the photos; no, until the person says yes."""
        message, chat, language = await self._where(update)
        if chat is None:
            await self._reply(message, language, lambda: (words.welcome(), buttons.consent(language)))
        else:
            allowed = chat.training_consent_at is not None
            await self._reply(message, language, lambda: (words.ask_training(allowed), buttons.training()))

    async def privacy(self, update: Update, context: Context) -> None:
        """/privacy: what is kept, and how long."""
        message, _, language = await self._where(update)
        await self._reply(message, language, lambda: (words.privacy(), None))

    async def delete(self, update: Update, context: Context) -> None:
        """/delete: everything of this chat, once that is confirmed."""
        message, chat, language = await self._where(update)
        count = len(await self._threads.store(chats.screenings_of, message.chat_id))
        if chat is None and not count:
            await self._reply(message, language, lambda: (words.nothing_to_delete(), None))
        else:
            await self._reply(message, language, lambda: (words.ask_deletion(count), buttons.confirm_forgetting()))

    async def anything_else(self, update: Update, context: Context) -> None:
        """Text, a video, a sticker: what to send instead."""
        message, _, language = await self._where(update)
        await self._reply(message, language, lambda: (words.not_a_photo(), None))

    async def in_a_group(self, update: Update, context: Context) -> None:
        """A command in a group."""
        if message := update.message:
            language = chats.language_of(message.from_user)
            await self._reply(message, language, lambda: (words.only_in_private(), None))

    async def button(self, update: Update, context: Context) -> None:
        """A button below one of the bot's messages."""
        query = update.callback_query
        if query is None or query.message is None or not query.data:
            return
        action, _, about = query.data.partition(":")
        chat = await self._threads.store(chats.find_chat, query.message.chat.id)
        language = chat.language if chat else chats.language_of(query.from_user)
        pressed = Pressed(
            query, query.get_bot(), action, about, query.message.chat.id, query.message.message_id, language
        )
        about_screening = {
            buttons.HEATMAP: self._heatmap,
            buttons.ASK_DELETE: self._ask_delete,
            buttons.DELETE: self._delete,
            buttons.KEEP: self._keep,
        }
        if action in about_screening:
            row = await self._threads.store(_with_photos, about, pressed.chat)
            if row is None:
                await self._acknowledge(query, self._threads.say(language, words.not_found))
            else:
                await self._acknowledge(query)
                await about_screening[action](pressed, row)
            return
        await self._acknowledge(query)
        await self._about_chat(pressed)

    async def _about_chat(self, pressed: Pressed) -> None:
        chosen = pressed.about if pressed.about in LANGUAGES else pressed.language
        match pressed.action:
            case buttons.HELLO:
                await pressed.edit(*self._threads.say(chosen, lambda: (words.welcome(), buttons.consent(chosen))))
            case buttons.AGREE:
                chat = await self._threads.store(chats.agree, pressed.chat, chosen)
                await pressed.edit(await self._threads.tell(chat.language, words.agreed))
                await self._ask(pressed, chat.language)
            case buttons.QUESTION:
                await self._keep_question(pressed)
            case buttons.LANGUAGE:
                await self._threads.store(chats.set_language, pressed.chat, chosen)
                await pressed.edit(self._threads.say(chosen, words.language_kept))
            case buttons.TRAINING:
                allowed = pressed.about == buttons.YES
                await self._threads.store(chats.set_training, pressed.chat, allowed)
                await pressed.edit(self._threads.say(pressed.language, words.training_kept, allowed))
            case buttons.FORGET:
                count = await self._threads.store(chats.forget, pressed.chat)
                await pressed.edit(self._threads.say(pressed.language, words.all_deleted, count))
            case buttons.REMEMBER:
                await pressed.edit(self._threads.say(pressed.language, words.kept))

    async def _ask(self, pressed: Pressed, language: str) -> None:
        """Ask what is to be looked at, where there is a choice."""
        text, keyboard = await self._threads.tell(language, question)
        if keyboard:
            await persistently(
                lambda: pressed.bot.send_message(pressed.chat, text, parse_mode=ParseMode.HTML, reply_markup=keyboard)
            )

    async def _keep_question(self, pressed: Pressed) -> None:
        def chosen() -> Question | None:
            return next((one for one in questions() if buttons.question_key(one) == pressed.about), None)

        found = await self._threads.tell(pressed.language, chosen)
        if found is not None:
            await self._threads.store(chats.set_label_set, pressed.chat, found.label_set)
            await pressed.edit(self._threads.say(pressed.language, words.question_kept, found))

    async def _heatmap(self, pressed: Pressed, row: ScreeningRow) -> None:
        try:
            found = await self._threads.tell(pressed.language, heatmap_pictures, row)
        except FileNotFoundError:  # deleted since the button was pressed
            text = self._threads.say(pressed.language, words.heatmap_gone)
            await persistently(lambda: pressed.bot.send_message(pressed.chat, text, parse_mode=ParseMode.HTML))
        else:
            await send_pictures(pressed.bot, pressed.chat, found, below=pressed.message)
        # Only now: whoever did not get them can press the button again.
        await pressed.edit_buttons(self._result_buttons(pressed, heatmap=False))

    async def _ask_delete(self, pressed: Pressed, row: ScreeningRow) -> None:
        await pressed.edit_buttons(self._threads.say(pressed.language, buttons.confirm_deletion, pressed.about))

    async def _keep(self, pressed: Pressed, row: ScreeningRow) -> None:
        offered = await self._threads.store(offers_heatmap, row)
        await pressed.edit_buttons(self._result_buttons(pressed, heatmap=offered))

    async def _delete(self, pressed: Pressed, row: ScreeningRow) -> None:
        await self._threads.store(erase, row.id)
        await pressed.edit(self._threads.say(pressed.language, words.one_deleted))

    def _result_buttons(self, pressed: Pressed, *, heatmap: bool) -> InlineKeyboardMarkup:
        return self._threads.say(
            pressed.language,
            lambda: buttons.result(pressed.about, result_page(pressed.about), heatmap=heatmap),
        )

    async def _acknowledge(self, query: CallbackQuery, text: str | None = None) -> None:
        """Have the button stop showing that it works, with a sentence if need be."""
        try:
            await persistently(lambda: query.answer(text, show_alert=text is not None))
        except BadRequest as error:  # too old: delivered again after a restart
            log.info("a button was not acknowledged: %s", error)

    async def _where(self, update: Update) -> tuple[Message, Any, str]:
        """The message of an update, what is kept of its chat, and its language."""
        message = update.message
        assert message is not None  # noqa: S101  # no other kind is taken: see webapp.telegram.updates
        chat = await self._threads.store(chats.find_chat, message.chat_id)
        return message, chat, chat.language if chat else chats.language_of(message.from_user)

    async def _reply(self, message: Message, language: str, text: Callable[[], Said]) -> None:
        said, keyboard = await self._threads.tell(language, text)
        await reply(message, said, keyboard)


def question() -> Said:
    """The question what is to be looked at, with its buttons; how to send photos where there is no choice."""
    offered = questions()
    if not is_put(offered):
        return words.help_text(), None
    return words.ask_question(offered), buttons.questions(offered)


def _with_photos(token: str, chat: int) -> ScreeningRow | None:
    """The screening of a button, with its photos and heatmaps read."""
    row = chats.find_screening(token, chat)
    for photo in row.photos if row else []:
        photo.heatmap  # noqa: B018  # read while the session is open
    return row
