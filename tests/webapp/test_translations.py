"""The catalogues: complete, compiled, and in step with the code."""

import io
import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from flask import Flask
from flask.testing import FlaskClient

from webapp.config import PROJECT_FOLDER
from webapp.i18n import LANGUAGES, fixed

FOLDER = PROJECT_FOLDER / "webapp" / "translations"
KEYWORDS = {"_": None, "gettext": None, "lazy_gettext": None, "ngettext": (1, 2)}
PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]")
translated = pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])


def forms(text: object) -> tuple[str, ...]:
    """A text, or all forms of one that differs by number, of which readers of files make lists or tuples."""
    return tuple(str(form) for form in text) if isinstance(text, list | tuple) else (str(text or ""),)


def catalogue(language: str) -> Catalog:
    with (FOLDER / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=language)


def test_template_holds_every_text_of_code_pages_and_label_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT_FOLDER)
    methods, options = parse_mapping_cfg(io.StringIO(Path("babel.cfg").read_text(encoding="utf-8")))  # type: ignore[no-untyped-call]
    found = {text for _, _, text, _, _ in extract_from_dir(".", methods, options, KEYWORDS)}
    with (FOLDER / "messages.pot").open("rb") as file:
        assert {message.id for message in read_po(file) if message.id} == found
    assert "Melanoma" in found


def test_no_text_has_the_marks_of_a_manual() -> None:
    """Pages show texts as they stand: what is `code` in a manual would be shown with its marks."""
    with (FOLDER / "messages.pot").open("rb") as file:
        assert not [message.id for message in read_po(file) if "`" in "".join(forms(message.id))]


@translated
def test_translation_is_complete(language: str) -> None:
    with (FOLDER / "messages.pot").open("rb") as file:
        wanted = {message.id for message in read_po(file) if message.id}
    messages = [message for message in catalogue(language) if message.id]
    assert {message.id for message in messages} == wanted
    for message in messages:
        assert all(forms(message.string)), message.id
        assert not message.fuzzy, message.id
        assert sorted(PLACEHOLDER.findall(str(message.id))) == sorted(PLACEHOLDER.findall(str(message.string)))


@translated
def test_translation_is_compiled(language: str) -> None:
    with (FOLDER / language / "LC_MESSAGES" / "messages.mo").open("rb") as file:
        compiled = {forms(message.id): forms(message.string) for message in read_mo(file) if message.id}
    assert compiled == {forms(message.id): forms(message.string) for message in catalogue(language) if message.id}


def test_a_german_screening_is_never_an_examination() -> None:
    """„Untersuchung“ is a doctor's; that of a program is a „Prüfung“, that of a reviewer a „Begutachtung“."""
    for message in catalogue("de"):
        said, text = " ".join(forms(message.id)), " ".join(forms(message.string))
        if "Untersuchung" in text:
            assert "examin" in said or "looked at" in said, said
        if "eview" in said:
            assert "Prüfende" not in text, said


def test_figures_have_the_decimal_mark_of_the_language(app: Flask) -> None:
    assert fixed(0.9) == "0.900"
    with app.test_request_context(headers={"Accept-Language": "de"}):
        assert fixed(1234.5, 2) == "1.234,50"


def test_pages_speak_german(client: FlaskClient) -> None:
    page = client.get("/", headers={"Accept-Language": "de"}).text
    assert "Eine Hautveränderung prüfen" in page
    assert "Screen a skin lesion" not in page
    assert "Nicht gefunden" in client.get("/nowhere", headers={"Accept-Language": "de"}).text
