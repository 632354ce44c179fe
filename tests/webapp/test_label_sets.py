"""Label sets that are broken or gone: every page stays up, and old answers stay readable."""

from collections.abc import Callable, Iterator, Sequence

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from ml.labels import use_own_label_sets
from webapp.config import Config
from webapp.database import write_transaction
from webapp.models.screening import ScreeningRow
from webapp.screening import advice

Rows = Callable[[], Sequence[ScreeningRow]]
CLASSES = "".join(
    f'[[class]]\ncode = "{code}"\nname = "{code}"\nstatus = "benign"\ndescription = "{code}"\n' for code in ("a", "b")
)


@pytest.fixture(autouse=True)
def own_label_sets_end_with_the_test() -> Iterator[None]:
    """The folder of own label sets is kept beyond an application; what is broken in it must not meet other tests."""
    yield
    use_own_label_sets(None)


@pytest.fixture
def address(upload: Callable[..., TestResponse], photo: Callable[..., bytes]) -> str:
    """The result page of two photos that were answered."""
    return str(upload(photo("mel", 1), photo("mel", 5)).location)


@pytest.mark.parametrize("content", [None, "[[class", CLASSES], ids=["gone", "broken", "other classes"])
def test_an_answer_outlives_its_label_set(
    admin: FlaskClient, address: str, rows: Rows, app: Flask, config: Config, content: str | None
) -> None:
    assert "Melanoma" in admin.get(address).text
    with app.app_context(), write_transaction() as session:
        session.execute(update(ScreeningRow).values(label_set="own"))
    if content is not None:
        config.label_sets.mkdir(parents=True)
        (config.label_sets / "own.toml").write_text(content, encoding="utf-8")
    (row,) = rows()
    assert row.predicted
    assert row.probabilities
    result = admin.get(address)
    assert result.status_code == 200
    assert f'<h2 class="class-name">{row.predicted}</h2>' in result.text
    with app.test_request_context():
        assert advice.status_word(str(row.status)) in result.text
        assert advice.recommendation(str(row.status)).lead in result.text
    assert f"For the class “{row.photos[0].answer and row.photos[0].answer['predicted']}”" in result.text
    case = admin.get(f"/admin/screenings/{row.id}")
    assert case.status_code == 200
    assert "data-image" in case.text
    for page in (result, case):
        assert all(f'data-class="{code}"' in page.text for code in row.probabilities)
        assert "Melanoma" not in page.text
    history = admin.get("/admin/history")
    assert history.status_code == 200
    assert f'class="cell-class">{row.predicted}</td>' in history.text
    assert admin.get(address.replace("/results/", "/api/v1/screenings/")).status_code == 200


def test_a_broken_label_set_is_left_out_of_lists(admin: FlaskClient, config: Config) -> None:
    config.label_sets.mkdir(parents=True)
    (config.label_sets / "own.toml").write_text(CLASSES, encoding="utf-8")
    (config.label_sets / "broken.toml").write_bytes(b"title = '\xff'")
    assert '<optgroup label="own">' in admin.get("/admin/history").text
    answer = admin.get("/api/v1/label-sets")
    assert answer.json is not None
    names = {one["name"] for one in answer.json["label_sets"]}
    assert {"own", "ham10000"} <= names
    assert "broken" not in names
    document = admin.get("/api/v1/openapi.json").json
    assert document is not None
    form = document["paths"]["/api/v1/screenings"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    answered = [one["name"] for one in answer.json["label_sets"] if one["model"]]
    assert sorted(form["properties"]["label_set"]["enum"]) == sorted(answered)
