"""The heatmap on the result page and the admin's: off until asked for, as private as its photo, and gone with it."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from ml.explain import lay_over
from ml.images import decode, encode_jpeg
from tests.webapp.forms import form_token
from webapp.extensions import db
from webapp.models.screening import PhotoRow, ScreeningRow
from webapp.photos import get_photos

Upload = Callable[..., TestResponse]
Photo = Callable[..., bytes]
Rows = Callable[[], Sequence[ScreeningRow]]


@pytest.fixture
def blank() -> bytes:
    """A picture that is refused."""
    return encode_jpeg(np.full((300, 400, 3), 120, np.uint8))


@pytest.fixture
def address(upload: Upload, photo: Photo, client: FlaskClient) -> str:
    """The result page of a photo that was answered."""
    location = upload(photo("mel", 1)).location
    assert 'data-status="refused"' not in client.get(location).text
    return str(location)


def test_is_off_until_asked_for(client: FlaskClient, address: str) -> None:
    page = client.get(address).text
    assert page.count(f'<img src="{address}/photos/1/heatmap"') == 1
    assert "<details>" in page
    assert "<details open" not in page
    assert 'loading="lazy"' in page
    assert "no reason to trust the answer" in page
    german = client.get(address, headers={"Accept-Language": "de"}).text
    assert "kein Grund, der Antwort zu trauen" in german


def test_is_the_photo_with_its_own_heatmap(app: Flask, client: FlaskClient, address: str, rows: Rows) -> None:
    answer = client.get(f"{address}/photos/1/heatmap")
    assert (answer.status_code, answer.mimetype) == (200, "image/jpeg")
    with app.app_context():
        row = db.session.get_one(PhotoRow, rows()[0].photos[0].id)
        assert row.heatmap is not None
        expected = lay_over(decode(get_photos().open(row.name)), decode(row.heatmap)[..., 0])
    assert np.abs(decode(answer.data).astype(int) - expected).mean() < 3
    assert expected.std() > 5


def test_is_as_private_as_its_photo(client: FlaskClient, address: str) -> None:
    photo, heatmap = (client.get(f"{address}/photos/1{end}").headers for end in ("", "/heatmap"))
    for name in ("Cache-Control", "X-Robots-Tag", "Referrer-Policy", "Cross-Origin-Resource-Policy"):
        assert heatmap[name] == photo[name]
    assert heatmap["Cache-Control"] == "private, no-store"
    for wrong in (f"{address}x/photos/1/heatmap", f"{address}/photos/2/heatmap", f"{address}/photos/0/heatmap"):
        assert client.get(wrong).status_code == 404


def test_there_is_none_where_nothing_was_answered(client: FlaskClient, upload: Upload, blank: bytes) -> None:
    location = upload(blank).location
    assert 'data-status="refused"' in client.get(location).text
    assert "heatmap" not in client.get(location).text
    assert client.get(f"{location}/photos/1/heatmap").status_code == 404


def test_each_photo_that_was_answered_has_one(client: FlaskClient, upload: Upload, photo: Photo, blank: bytes) -> None:
    location = upload(photo("mel", 1), blank, photo("mel", 1)).location
    page = client.get(location).text
    assert [f"/photos/{number}/heatmap" in page for number in (1, 2, 3)] == [True, False, True]
    statuses = [client.get(f"{location}/photos/{number}/heatmap").status_code for number in (1, 2, 3)]
    assert statuses == [200, 404, 200]


def test_a_lost_photo_has_no_heatmap_either(app: Flask, client: FlaskClient, address: str, rows: Rows) -> None:
    with app.app_context():
        get_photos().delete(rows()[0].photos[0].name)
    assert client.get(f"{address}/photos/1/heatmap").status_code == 404


def test_deleting_the_result_deletes_it(app: Flask, client: FlaskClient, address: str) -> None:
    client.post(f"{address}/delete", data={"csrf_token": form_token(client, address)})
    assert client.get(f"{address}/photos/1/heatmap").status_code == 410
    with app.app_context():
        assert db.session.scalar(text("SELECT count(*) FROM photos WHERE heatmap IS NOT NULL")) == 0


def test_admins_see_it_and_nobody_else(admin: FlaskClient, app: Flask, address: str, rows: Rows) -> None:
    path = f"/admin/photos/{rows()[0].photos[0].id}/heatmap"
    assert f'<img src="{path}"' in admin.get(f"/admin/screenings/{rows()[0].id}").text
    assert admin.get(path).mimetype == "image/jpeg"
    assert admin.get("/admin/photos/999/heatmap").status_code == 404
    assert app.test_client().get(path).status_code in (302, 303)
