"""Similar cases and the photo check on an admin's page of a screening."""

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from ml.bundle import CASES, Bundle, load_bundle
from ml.data.sources import FORMATS
from ml.gate import standardise
from ml.similar import SHOWN, CaseIndex
from tests.webapp.forms import form_token
from webapp.admin import similar, words
from webapp.admin.gate_table import Limits, gate_limits, gate_table
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.inference import Models
from webapp.models.screening import PhotoRow, ScreeningRow

Upload = Callable[..., TestResponse]
Photo = Callable[..., bytes]
Rows = Callable[[], Sequence[ScreeningRow]]


@pytest.fixture
def answered(upload: Upload, photo: Photo, rows: Rows) -> list[int]:
    """Screenings of drawn lesions that the model answered, by id; the last one has two photos."""
    for code, seed in (("nv", 0), ("mel", 1), ("bcc", 2), ("vasc", 1), ("nv", 3)):
        upload(photo(code, seed))
    upload(photo("mel", 5), photo("mel", 6))
    found = [row.id for row in rows() if row.predicted]
    assert len(found) >= 4
    return found


def test_confirmed_cases_of_a_photo(admin: FlaskClient, answered: list[int], app: Flask, tiny_bundle: Bundle) -> None:
    index = CaseIndex.load(tiny_bundle.path / CASES)
    page = admin.get(f"/admin/screenings/{answered[0]}").text
    with app.app_context():
        stored = db.session.scalars(db.select(PhotoRow).where(PhotoRow.screening_id == answered[0])).one()
        features = similar.photo_features(stored)
    assert features is not None
    expected = index.nearest(features)
    assert re.findall(r'data-image="([^"]*)"', page) == [one.case.image for one in expected]
    assert len(expected) == SHOWN
    assert len({one.case.lesion for one in expected}) == SHOWN
    classes = [one.case.label for one in expected]
    shown = re.search(r'data-commonest="([^"]*)" data-count="(\d+)"', page)
    assert shown
    assert (classes.count(shown[1]), str(classes.count(shown[1]))) == (max(map(classes.count, classes)), shown[2])
    for one in expected:
        assert words.confirmed_by(one.case.confirmed_by) in page
    malignant = sum(label in ("akiec", "bcc", "mel") for label in classes)
    assert f"Malignant: {malignant} of {SHOWN}." in page


def test_own_history_is_called_unconfirmed_and_leaves_out_the_screening_itself(
    admin: FlaskClient, answered: list[int], app: Flask
) -> None:
    page = admin.get(f"/admin/screenings/{answered[0]}").text
    others = [int(number) for number in re.findall(r'data-screening="(\d+)"', page)]
    assert "looked at by a person only where it says “Reviewed”" in page
    assert "data-reviewed" not in page
    assert answered[0] not in others
    assert set(others) <= set(answered)
    assert len(others) == len(set(others)) == min(similar.OWN_SHOWN, len(answered) - 1)
    with app.app_context():
        stored = {
            photo.screening_id: similar.photo_features(photo)
            for photo in db.session.scalars(db.select(PhotoRow).where(PhotoRow.position == 1))
        }
    mine = stored[answered[0]]
    assert mine is not None
    distances = [float(np.linalg.norm(found - mine)) for n in others if (found := stored[n]) is not None]
    assert distances[0] == min(distances)
    assert "size=small" in page


def test_own_history_names_what_was_reviewed_and_hides_it_from_who_chooses_first(
    admin: FlaskClient, answered: list[int], app: Flask
) -> None:
    beside = re.findall(r'data-screening="(\d+)"', admin.get(f"/admin/screenings/{answered[0]}").text)
    with app.app_context(), write_transaction() as session:
        for number, label in zip(map(int, beside), ("mel", "_other"), strict=False):
            row = session.get_one(ScreeningRow, number)
            row.review_status, row.reviewed_class = "submitted", label
    page = admin.get(f"/admin/screenings/{answered[0]}").text
    assert set(re.findall(r'data-reviewed="(\w+)"', page)) == {"mel", "_other"}
    assert "Reviewed: Melanoma" in page
    token = form_token(admin, "/admin/history")
    admin.post("/admin/review-mode", data={"csrf_token": token, "blind": "on"})
    page = admin.get(f"/admin/screenings/{answered[0]}").text  # seen before, so not hidden; the others are
    assert "data-screening" in page
    assert "data-reviewed" not in page
    assert "Hidden until you have reviewed it" in page


def test_history_of_other_models_and_deleted_screenings_is_left_out(
    admin: FlaskClient, answered: list[int], app: Flask
) -> None:
    with app.app_context(), write_transaction() as session:
        session.execute(update(ScreeningRow).where(ScreeningRow.id == answered[1]).values(model_version="other"))
    with app.app_context():
        from webapp.screening.erasing import erase

        erase(answered[2])
    page = admin.get(f"/admin/screenings/{answered[0]}").text
    others = {int(number) for number in re.findall(r'data-screening="(\d+)"', page)}
    assert others
    assert not others & {answered[1], answered[2]}


def test_a_long_history_is_searched_in_part_and_the_page_says_so(
    admin: FlaskClient, answered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "were compared" not in admin.get(f"/admin/screenings/{answered[0]}").text
    monkeypatch.setattr(similar, "SCANNED", 1)
    page = admin.get(f"/admin/screenings/{answered[0]}").text
    assert "Only the newest 1 photos" in page
    assert re.findall(r'data-screening="(\d+)"', page) == [str(answered[-1])]


def test_an_answer_outlives_its_model(admin: FlaskClient, answered: list[int], app: Flask) -> None:
    with app.app_context(), write_transaction() as session:
        session.execute(update(ScreeningRow).values(model_version="20200101T000000Z"))
    page = admin.get(f"/admin/screenings/{answered[0]}")
    assert page.status_code == 200
    assert "is not installed any more" in page.text
    assert "data-image" not in page.text
    assert "data-screening" in page.text


def test_a_model_without_cases_says_so(config: Config, tiny_bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "bare" / "1"
    folder.mkdir(parents=True)
    for file in tiny_bundle.path.iterdir():
        if file.is_file() and file.name not in (CASES, "SHA256SUMS"):
            (folder / file.name).write_bytes(file.read_bytes())
    sums = (tiny_bundle.path / "SHA256SUMS").read_text().splitlines(keepends=True)
    (folder / "SHA256SUMS").write_text("".join(line for line in sums if CASES not in line))
    models = Models(replace(config, model=str(folder)))
    card = load_bundle(folder).card
    reference = models.reference(card.name, card.version)
    assert reference is not None
    assert reference.cases is None
    assert models.reference(card.name, card.version) is reference
    assert models.reference("nothing", "1") is None
    away = Models(replace(config, model=str(tmp_path / "nowhere")))
    assert away.reference(card.name, card.version) is None
    shutil.copytree(folder, config.models / card.name / card.version)
    assert away.reference(card.name, card.version) is not None


def test_only_names_of_public_collections_are_called_public(
    admin: FlaskClient, answered: list[int], app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {*similar.PUBLIC_FORMATS, "folders"} == set(FORMATS)
    sentence = "Their names are those of the public collection."
    assert sentence in admin.get(f"/admin/screenings/{answered[0]}").text
    monkeypatch.setattr(similar, "PUBLIC_FORMATS", ("isic2019",))
    assert sentence not in admin.get(f"/admin/screenings/{answered[0]}").text


def test_features_of_another_space_are_not_compared(tiny_bundle: Bundle, app: Flask) -> None:
    from ml.labels import load_taxonomy

    index = CaseIndex.load(tiny_bundle.path / CASES)
    taxonomy = load_taxonomy("ham10000")
    assert similar.confirmed_cases(index, np.zeros(index.components + 1, np.float32), taxonomy) is None


def test_the_index_holds_every_training_picture_as_the_gate_sees_it(tiny_bundle: Bundle) -> None:
    index = CaseIndex.load(tiny_bundle.path / CASES)
    arrays = tiny_bundle.gate_arrays()
    assert index.components == len(arrays["components"])
    assert len(index.cases) == tiny_bundle.card.data["splits"]["train"]["images"]
    assert {case.label for case in index.cases} == set(tiny_bundle.card.classes)
    assert np.isfinite(standardise(arrays, np.zeros((1, len(arrays["mean"])), np.float32))).all()


def test_every_number_of_the_gate_stands_beside_its_limit(
    admin: FlaskClient, answered: list[int], tiny_bundle: Bundle, app: Flask
) -> None:
    page = admin.get(f"/admin/screenings/{answered[0]}").text
    with app.app_context():
        stored = db.session.scalars(db.select(PhotoRow).where(PhotoRow.screening_id == answered[0])).one()
    assert stored.answer is not None
    scores = stored.answer["gate"]["scores"]
    assert set(gate_limits(tiny_bundle.card)) <= set(scores)
    for code in scores:
        assert words.score_meaning(code), code
        assert f">{words.score(code)}<" in page
        assert words.score_meaning(code) in page
    assert page.count("at least") >= 3
    two = admin.get(f"/admin/screenings/{answered[-1]}").text
    assert "Photo 1" in two


def test_values_beyond_their_limits() -> None:
    assert Limits(least=1.0).holds(1.0)
    assert not Limits(least=1.0).holds(0.9)
    assert not Limits(most=2.0).holds(2.1)
    assert Limits().holds(5.0)
    table = gate_table([{"scores": {"contrast": 1.0}}, None, {"scores": {"contrast": 2.0, "new": 3.0}}], None)
    assert [(one.code, one.values) for one in table] == [("contrast", (1.0, None, 2.0)), ("new", (None, None, 3.0))]
    assert all(one.limits is None for one in table)


def test_closeness_in_words() -> None:
    said = [words.closeness(share) for share in (1.0, 0.1, 0.001)]
    assert len(set(said)) == 3
    assert "10.0%" in said[1]
    assert "Do not read much" in said[2]
