"""Updates of every kind, whole and damaged, as Telegram or whoever stands in its place might hand them to the bot.

Hypothesis draws from these. Photos name files that the test puts on its Bot API server. In what a button sends back,
OTHERS stands for the result of somebody else, OWN for one of the same chat: the test puts tokens there. LATEST stands
for the number of what the bot has said last in the chat.
"""

from typing import Any

from hypothesis import strategies as st

from webapp.telegram import buttons

Update = dict[str, Any]

AGREED, NOT_AGREED, GROUP, CHANNEL = [7, 8], [9, 2**52, 10**30, 0, -7], [-5, -(10**12)], [-100]
NAME = "zoequux"
"""A part of every name that people have here; it is nobody's business but theirs."""
OTHERS, OWN, LATEST = "{others}", "{own}", 10**15
PHOTOS = ["photo-1", "photo-2", "photo-3"] * 4
PHOTOS += ["small", "truncated", "text", "empty", "animation", "pathless", "gone"]

TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "", " ", "\0", "\ud800", "\u202e/start", "\u202etxet \u2067abc\u2069", "שלום", "مرحبا", "a\r\n\tb\x1b[31m",
            "<b>bold", "&lt;&", "%s%n{0}{{7*7}}", "'; DROP TABLE screenings; --", "../../etc/passwd", "🧑‍⚕️" * 20,
            "A" * 10_000,
        ]
    ),
)  # fmt: skip
COMMANDS = st.builds(
    str.__add__,
    st.sampled_from(
        [f"/{name}" for name in ("start", "help", "language", "topic", "training", "privacy", "delete", "START", "no")]
        + ["/", "//", "/start@lens_test_bot", "/start@another_bot", "/start@", "/" + "x" * 5000, "/\u202e", "/d@@@"]
    ),
    st.one_of(st.just(""), TEXTS.map(" {}".format)),
)
# Some messages are the same as others, and some have a number such that no program counts to.
COUNTED = st.integers(1, 10**9)
NUMBERS = st.one_of(COUNTED, COUNTED, st.sampled_from([1, 2, 0, -1, 2**31, 2**63, -(10**30)]))
SIZES = st.sampled_from([0, 1, -1, 90_000, 90_001, 90_002, 16 * 1024 * 1024, 2**63])
KINDS = st.sampled_from(["image/jpeg", "image/png", "IMAGE/JPEG", "image/", "", "application/octet-stream", "\0",
                         "application/pdf", "text/html", "image/svg+xml", "x" * 3000])  # fmt: skip
LANGUAGES = st.sampled_from(["en", "de", "de-AT", "xx", "", "-", "de" * 999, "\0"])
FILES = st.fixed_dictionaries(
    {"file_id": st.sampled_from(PHOTOS), "file_unique_id": st.just("u")}, optional={"file_size": SIZES}
)
PICTURES = st.fixed_dictionaries(
    {"file_id": st.sampled_from(PHOTOS), "file_unique_id": st.just("u"), "width": NUMBERS, "height": NUMBERS},
    optional={"file_size": SIZES},
)
DOCUMENTS = st.builds(
    lambda file, more: {**file, **more},
    FILES,
    st.fixed_dictionaries({}, optional={"mime_type": KINDS, "file_name": TEXTS}),
)
ENTITIES = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["bot_command", "bold", "unknown", ""]),
            "offset": st.integers(-2, 3),
            "length": st.sampled_from([0, 1, 6, 10**9, -3]),
        }
    ),
    max_size=2,
)
LOCATION = {"latitude": 1e300, "longitude": -1.0}
# What a message may contain besides text, and what tells of the chat itself.
CONTENT: list[Update] = [
    {},
    {"text": "no command", "entities": []},
    {"caption": "only a caption"},
    {"photo": []},
    {"location": LOCATION},
    {"venue": {"location": LOCATION, "title": "t", "address": "a"}},
    {"contact": {"phone_number": "1", "first_name": NAME}},
    {"dice": {"emoji": "🎲", "value": 99}},
    {"voice": {"file_id": "gone", "file_unique_id": "u", "duration": -1}},
    {"video": {"file_id": "gone", "file_unique_id": "u", "width": 1, "height": 1, "duration": 1}},
    {"sticker": {"file_id": "gone", "file_unique_id": "u", "width": 1, "height": 1, "is_animated": False,
                 "is_video": False, "type": "regular"}},
    {"poll": {"id": "1", "question": "?", "options": [], "total_voter_count": 0, "is_closed": False,
              "is_anonymous": True, "type": "regular", "allows_multiple_answers": False}},
    {"new_chat_members": [{"id": 1, "is_bot": True, "first_name": NAME}]},
    {"new_chat_title": "\u202etitle"},
    {"group_chat_created": True},
    {"migrate_to_chat_id": -(10**12)},
    {"message_auto_delete_timer_changed": {"message_auto_delete_time": 1}},
    {"web_app_data": {"data": "{", "button_text": "b"}},
    {"a_kind_of_message_yet_to_come": {"new": True}},
]  # fmt: skip


@st.composite
def people(draw: st.DrawFn, number: int) -> Update:
    """Somebody; whose language Telegram does not always tell."""
    person = {"id": number, "is_bot": False, "first_name": f"Zoe {NAME}", "username": NAME}
    return person | draw(st.fixed_dictionaries({}, optional={"language_code": LANGUAGES}))


def private(number: int) -> Update:
    """A chat with one person."""
    return {"id": number, "type": "private", "first_name": NAME}


@st.composite
def chats(draw: st.DrawFn) -> Update:
    """A chat: most with a person, some a group or a channel."""
    number = draw(st.one_of(*(st.sampled_from(AGREED) for _ in range(4)), st.sampled_from(NOT_AGREED + GROUP)))
    chat = private(number)
    return chat | {"type": draw(st.sampled_from(["group", "supergroup", "unheard of"]))} if number in GROUP else chat


@st.composite
def messages(draw: st.DrawFn) -> Update:
    """A message with whatever content."""
    chat = draw(chats())
    message = {"message_id": draw(NUMBERS), "date": draw(st.sampled_from([1_790_000_000, 0, -1])), "chat": chat}
    if draw(st.integers(0, 9)):
        message["from"] = draw(people(abs(chat["id"])))
    match draw(st.sampled_from(["text", "command", "photo", "photo", "document", "document", "other"])):
        case "text":
            message |= {"text": draw(TEXTS), "entities": draw(ENTITIES)}
        case "command":
            text = draw(COMMANDS)
            entity = {"type": "bot_command", "offset": 0, "length": len(text.partition(" ")[0])}
            message |= {"text": text, "entities": draw(st.one_of(st.just([entity]), ENTITIES))}
        case "photo":
            message |= {"photo": draw(st.lists(PICTURES, min_size=1, max_size=3)), "caption": draw(TEXTS)}
        case "document":
            message["document"] = draw(DOCUMENTS)
        case _:
            message |= draw(st.sampled_from(CONTENT))
    if ("photo" in message or "document" in message) and draw(st.booleans()):
        message["media_group_id"] = draw(st.sampled_from(["1", "2", "", "\0", "9" * 500]))
    return message


@st.composite
def presses(draw: st.DrawFn) -> Update:
    """A button, of whatever message and with whatever data."""
    chat = draw(st.one_of(st.sampled_from(AGREED).map(private), chats()))
    number = draw(st.one_of(st.just(LATEST), NUMBERS))
    below = {"message_id": number, "date": draw(st.sampled_from([1_790_000_000, 0])), "chat": chat}
    action = draw(st.sampled_from([buttons.AGREE, buttons.HELLO, buttons.LANGUAGE, buttons.QUESTION, buttons.HEATMAP,
                                   buttons.HEATMAP, buttons.ASK_DELETE, buttons.DELETE, buttons.DELETE, buttons.KEEP,
                                   buttons.FORGET, buttons.REMEMBER, buttons.TRAINING, "", "unknown"]))  # fmt: skip
    about = draw(st.one_of(st.sampled_from([OTHERS, OTHERS, OWN, OWN, OWN, "de", "en", "yes", "no", ":"]), TEXTS))
    query = {"id": draw(TEXTS), "from": draw(people(abs(chat["id"]))), "chat_instance": "1"}
    optional = {"message": below, "data": f"{action}:{about}", "inline_message_id": "1", "game_short_name": "g"}
    shown = draw(st.sampled_from([("message", "data")] * 6 + [("message",), ("data",), ("inline_message_id", "data"),
                                                             ("message", "game_short_name"), ()]))  # fmt: skip
    return query | {name: optional[name] for name in shown}


def press(chat: int, data: str, number: int = LATEST) -> Update:
    """The press of a button below a message of the bot to one person."""
    query = {"id": "1", "from": {"id": chat, "is_bot": False, "first_name": NAME}, "chat_instance": "1"}
    below = {"message_id": number, "date": 0, "chat": private(chat)}
    return {"callback_query": {**query, "message": below, "data": data}}


def photo(chat: int, number: int, file: str = PHOTOS[0]) -> Update:
    """A photo of one person."""
    picture = {"file_id": file, "file_unique_id": "u", "width": 90, "height": 90}
    return {"message": {"message_id": number, "date": 0, "chat": private(chat), "photo": [picture]}}


ABOUT_RESULTS = [buttons.HEATMAP, buttons.ASK_DELETE, buttons.KEEP, buttons.DELETE, buttons.HEATMAP]
SENT = [photo(chat, 77) for chat in AGREED]
PRESSED = [
    *(press(AGREED[0], f"{action}:{OTHERS}") for action in ABOUT_RESULTS),
    *(press(AGREED[1], f"{action}:{OWN}") for action in ABOUT_RESULTS),
    press(AGREED[0], f"{buttons.TRAINING}:{buttons.YES}"),
    press(AGREED[1], f"{buttons.FORGET}:"),
]
"""What people do with the result of a photo, and what somebody might try with one of others."""


PERSON = {"id": 7, "is_bot": False, "first_name": NAME}
CHAT = private(7)
MEMBER = {"user": PERSON, "status": "kicked", "until_date": 0}
# Updates that the bot does not ask for: Telegram sends them for a while all the same where another asked before.
NOT_ASKED_FOR = st.one_of(
    st.builds(lambda kind, message: {kind: message},
              st.sampled_from(["edited_message", "business_message", "edited_business_message", "guest_message"]),
              messages()),
    st.builds(lambda kind, message: {kind: {**message, "chat": {"id": CHANNEL[0], "type": "channel", "title": "t"}}},
              st.sampled_from(["channel_post", "edited_channel_post"]), messages()),
    st.sampled_from([
        {},
        {"inline_query": {"id": "1", "from": PERSON, "query": "q", "offset": ""}},
        {"chosen_inline_result": {"result_id": "1", "from": PERSON, "query": "q"}},
        {"poll_answer": {"poll_id": "1", "user": PERSON, "option_ids": [0]}},
        {"my_chat_member": {"chat": CHAT, "from": PERSON, "date": 1, "old_chat_member": MEMBER,
                            "new_chat_member": MEMBER}},
        {"message_reaction": {"chat": CHAT, "message_id": 1, "date": 1, "old_reaction": [], "new_reaction": []}},
        {"a_kind_yet_to_come": {"chat": CHAT}},
    ]),
)  # fmt: skip
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1.5, 1e400, 10**30, "", "x", "7", "\ud800", [], ["x"], [[]], {}, {"id": {}}]
)


def places(value: Any) -> list[tuple[Any, ...]]:
    """Where in a value others lie: the keys that lead there."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, part in inside for place in [(key,), *((key, *rest) for rest in places(part))]]


def changed(value: Any, place: tuple[Any, ...], part: list[Any]) -> Any:
    """The value with another part in one place, or without any there where `part` is empty."""
    copy = value.copy()
    if len(place) > 1:
        copy[place[0]] = changed(value[place[0]], place[1:], part)
    elif part:
        copy[place[0]] = part[0]
    else:
        del copy[place[0]]
    return copy


@st.composite
def updates(draw: st.DrawFn) -> Update:
    """An update; one in five lacks something, or has something of a wrong type, in one place or two."""
    match draw(st.sampled_from(["message"] * 5 + ["press"] * 4 + ["not asked for"])):
        case "message":
            update = {"message": draw(messages())}
        case "press":
            update = {"callback_query": draw(presses())}
        case _:
            update = draw(NOT_ASKED_FOR)
    for _ in range(draw(st.sampled_from([0] * 8 + [1, 2]))):
        if found := places(update):
            update = changed(update, draw(st.sampled_from(found)), draw(st.lists(ODD, max_size=1)))
    return update


@st.composite
def albums(draw: st.DrawFn) -> list[Update]:
    """Photos of one lesion, some of which may be no photos or too many."""
    sent = draw(st.lists(st.builds(photo, st.just(draw(st.sampled_from(AGREED))), NUMBERS, st.sampled_from(PHOTOS)),
                         min_size=2, max_size=5))  # fmt: skip
    album = str(draw(st.integers(3, 10**6)))
    return [{"message": {**update["message"], "media_group_id": album}} for update in sent]


SEQUENCES = st.lists(
    st.sampled_from([updates()] * 7 + [albums()]).flatmap(lambda kind: kind).map(
        lambda part: part if isinstance(part, list) else [part]
    ),
    min_size=4, max_size=12,
).map(lambda parts: [update for part in parts for update in part])  # fmt: skip
