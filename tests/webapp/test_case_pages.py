"""What a case page offers besides the review: other models' answers and a PDF."""

import io
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pypdf import PdfReader
from sqlalchemy import select
from werkzeug.test import TestResponse

from ml.bundle import Bundle, load_bundle
from tests.webapp.forms import form_token
from webapp.admin.pdf_pages import Pages
from webapp.config import Config
from webapp.extensions import db
from webapp.inference import get_models
from webapp.models.review import ReviewStatus
from webapp.models.screening import ScreeningRow
from webapp.models.second_answer import SecondAnswer
from webapp.models.user import User
from webapp.reviews.writing import Draft, add_review
from webapp.screening.erasing import erase

Rows = Callable[[], Sequence[ScreeningRow]]


@pytest.fixture
def row(upload: Callable[..., TestResponse], photo: Callable[..., bytes], rows: Rows) -> ScreeningRow:
    """An answered screening of two photos."""
    upload(photo("mel", 1), photo("mel", 2))
    return rows()[0]


def test_another_model_answers_beside(
    app: Flask,
    admin: FlaskClient,
    row: ScreeningRow,
    rows: Rows,
    config: Config,
    tiny_bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is loaded before it takes its turn, so that nobody's photo waits for that."""
    busy = list[bool]()

    def load(path: Path) -> Bundle:
        busy.append(get_models().busy())
        return load_bundle(path)

    monkeypatch.setattr("webapp.reviews.second_answers.load_bundle", load)
    shutil.copytree(tiny_bundle.path, config.models / "tiny" / "2")
    path = f"/admin/screenings/{row.id}"
    own = f"{tiny_bundle.card.name}@{tiny_bundle.card.version}"
    page = admin.get(path).text
    assert "<option>ham10000-ensemble@" in page
    assert f"<option>{own}</option>" not in page, "its own answer is there already"
    other = page.split("<option>")[1].split("</option>")[0]
    before = (row.predicted, row.probabilities, row.model_name)
    fields = {"csrf_token": form_token(admin, path), "model": other}
    assert admin.post(f"{path}/rescore", data=fields).status_code == 303
    assert busy == [False]
    assert f'data-model="{other}"' in admin.get(path).text
    assert (rows()[0].predicted, rows()[0].probabilities, rows()[0].model_name) == before
    assert admin.post(f"{path}/rescore", data={**fields, "model": "tiny@none"}).status_code == 409
    with app.app_context():
        assert db.session.scalars(select(SecondAnswer)).one().purpose == "rescore"
        erase(row.id)
        assert db.session.scalars(select(SecondAnswer)).all() == []
    assert admin.post(f"{path}/rescore", data=fields).status_code == 410


@pytest.mark.parametrize(("language", "told"), [("en", "This is not a diagnosis"), ("de", "keine Diagnose")])
def test_the_pdf_says_all_that_the_page_says(
    app: Flask, admin: FlaskClient, row: ScreeningRow, language: str, told: str
) -> None:
    with app.app_context():
        anna = db.session.scalars(select(User)).one()
        note = "Größe geprüft, Ж und ñ"
        add_review(row.id, anna, Draft(ReviewStatus.SUBMITTED, "mel", note), seen=0)
    admin.get(f"/language/{language}")
    answer = admin.get(f"/admin/screenings/{row.id}.pdf")
    assert answer.mimetype == "application/pdf"
    reader = PdfReader(io.BytesIO(answer.data))
    text = " ".join(" ".join(page.extract_text() for page in reader.pages).split())
    for part in (told, "Größe geprüft, Ж und ñ", "anna", "Melano", str(row.model_name)):
        assert part in text, part
    assert sum(len(page.images) for page in reader.pages) >= 2
    assert b"DejaVu" in answer.data, "embedded, not the reader's own"


def test_no_character_is_lost_without_a_word() -> None:
    unknown = "a\N{LINEAR B SYLLABLE B008 A}b"  # the writing of Mycenae: hardly any font has it
    pages = Pages("t", "en", "f", [unknown])
    pages.text_block(unknown)
    text = PdfReader(io.BytesIO(bytes(pages.output()))).pages[0].extract_text()
    assert "a[U+10000]b" in text or unknown in text


def test_no_pdf_of_what_is_deleted(app: Flask, admin: FlaskClient, row: ScreeningRow) -> None:
    with app.app_context():
        erase(row.id)
    assert admin.get(f"/admin/screenings/{row.id}.pdf").status_code == 410
