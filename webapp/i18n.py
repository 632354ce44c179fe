"""Languages: which one a visitor gets, numbers and times in it, and the texts of the label sets for translators."""

import tomllib
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import IO, Any

import flask_babel
from babel import Locale, numbers
from flask import has_request_context, request, session
from flask_babel import format_date, format_datetime, format_decimal, format_percent
from markupsafe import Markup

LANGUAGES = {"en": "English", "de": "Deutsch"}


def gettext(message: str, **values: Any) -> str:
    """The message in the visitor's language, with its %(name)s filled in; English outside of a request."""
    return str(flask_babel.gettext(message, **values))


def choose_language() -> str:
    """The language of this request: the one chosen earlier, else the browser's favourite among ours."""
    if not has_request_context():
        return "en"
    chosen = session.get("language")
    if chosen in LANGUAGES:
        return str(chosen)
    return request.accept_languages.best_match(list(LANGUAGES)) or "en"


def percent(value: float) -> str:
    """A share in [0, 1] as a percentage with one decimal. Nothing is certain: it ends at < 0.1% and > 99.9%."""
    locale = flask_babel.get_locale() or Locale("en")
    pattern = locale.percent_formats[None].pattern.replace("0", "0.0")
    if value < 0.0005:
        return f"<\N{NO-BREAK SPACE}{format_percent(0.001, pattern)}"
    if value > 0.9995:
        return f">\N{NO-BREAK SPACE}{format_percent(0.999, pattern)}"
    return str(format_percent(value, pattern))


def number(value: float) -> str:
    """A measured number with up to three decimals."""
    return str(format_decimal(value, "#,##0.###"))


def fixed(value: float, decimals: int = 3) -> str:
    """A number with always so many decimals, for columns of figures that are compared."""
    locale = flask_babel.get_locale() or Locale("en")
    return str(numbers.format_decimal(value, f"#,##0.{'0' * decimals}", locale))


def day(value: date) -> Markup:
    """A day as a `<time>` element."""
    return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), format_date(value, "d MMM y"))


def utc_time(moment: datetime) -> Markup:
    """A time in UTC as a `<time>` element."""
    text = format_datetime(moment, "d MMM y, HH:mm", rebase=False)
    return Markup('<time datetime="{}">{} UTC</time>').format(moment.strftime("%Y-%m-%dT%H:%M:%SZ"), text)


def extract_label_sets(
    file: IO[bytes], keywords: Any, comment_tags: Any, options: Any
) -> Iterator[tuple[int, str, str, Iterable[str]]]:
    """Babel extractor for `ml/taxonomies/*.toml`: titles, class names and descriptions as messages."""
    content = file.read().decode()
    table = tomllib.loads(content)
    lines = content.splitlines()
    texts = [str(table["title"])] + [label[key] for label in table["class"] for key in ("name", "description")]
    for text in texts:
        line = next((number for number, line in enumerate(lines, 1) if text in line), 1)
        yield line, "gettext", text, ()
