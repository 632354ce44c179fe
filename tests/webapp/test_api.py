"""Screenings through the API: opened, answered, read, deleted, and what is refused with which problem."""

import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException, abort

from ml.bundle import Bundle
from ml.errors import BundleError, TrainingError
from ml.screen import Screener
from ml.screening import Screening
from tests.webapp.api import KEY, SCREENINGS, kind_of, send
from webapp.api import screenings
from webapp.api.problems import http_problem
from webapp.config import Config
from webapp.inference import Busy
from webapp.models.screening import ScreeningRow, token_hash

Photo = Callable[..., bytes]
Rows = Callable[[], Sequence[ScreeningRow]]


def blank() -> bytes:
    """A photo that the gate refuses."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((300, 400, 3), 120, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_photos_to_answer(client: FlaskClient, photo: Photo, rows: Rows, tiny_bundle: Bundle) -> None:
    answer = send(client, photo("mel", 1), photo("mel", 2), label_set=tiny_bundle.card.label_set)
    body = answer.json
    assert answer.status_code == 201
    assert body is not None
    (row,) = rows()
    assert (body["state"], body["failure"]) == ("done", None)
    assert row.token_hash == token_hash(body["id"])
    assert (row.channel, row.language) == ("api", "en")
    assert row.consent_at is not None
    assert answer.location == f"{SCREENINGS}/{body['id']}"
    assert "Retry-After" not in answer.headers

    lesion = Screening.from_dict(body["screening"])
    assert lesion.to_dict() == body["screening"]
    assert (lesion.predicted, lesion.status, lesion.probabilities) == (row.predicted, row.status, row.probabilities)
    assert lesion.model == {"name": tiny_bundle.card.name, "version": tiny_bundle.card.version}
    assert len(body["photos"]) == 2
    for one, kept in zip(body["photos"], row.photos, strict=True):
        heatmap = client.get(one["links"]["heatmap"])
        assert {name: value for name, value in one.items() if name != "links"} == kept.answer
        assert heatmap.mimetype == "image/png"
        assert Image.open(io.BytesIO(heatmap.data)).mode == "L"

    assert client.get(body["links"]["self"]).json == body
    assert f'data-token="{body["id"]}"' in client.get(body["links"]["html"]).text


def test_refused_photo_is_an_answer(client: FlaskClient) -> None:
    answer = send(client, blank())
    assert answer.status_code == 201
    assert answer.json is not None
    assert answer.json["screening"]["status"] == "refused"
    assert answer.json["screening"]["gate"]["reason"]
    assert answer.json["photos"][0]["links"]["heatmap"] is None
    assert answer.json["recommendation"]["headline"] == "Not answered"
    assert kind_of(client.get(f"{answer.location}/photos/1/heatmap")) == "not-found"
    assert kind_of(client.get(f"{answer.location}/photos/2/heatmap")) == "not-found"


def test_advice_comes_in_the_language_asked_for(client: FlaskClient, photo: Photo, rows: Rows) -> None:
    german = {"Accept-Language": "de-AT,de;q=0.9"}
    by_field = send(client, photo(), language="de")
    assert rows()[0].language == "de"
    by_header = send(client, photo(), headers=german)
    by_default = send(client, photo(), headers={"Accept-Language": "fr"})
    notices = [answer.json["recommendation"]["notice"] for answer in (by_field, by_header, by_default) if answer.json]
    assert "keine Diagnose" in notices[0] == notices[1]
    assert "not a diagnosis" in notices[2]
    # Read again, it comes in the reader's language, else in that of the upload.
    assert client.get(by_field.location).headers["Content-Language"] == "de"
    assert client.get(by_field.location, headers={"Accept-Language": "en"}).headers["Content-Language"] == "en"
    assert client.get(by_default.location, headers=german).headers["Content-Language"] == "de"


def test_deleting(client: FlaskClient, photo: Photo, rows: Rows, config: Config) -> None:
    location = send(client, photo()).location
    deleted = client.delete(location)
    assert (deleted.status_code, deleted.data) == (204, b"")
    assert rows()[0].deleted_at is not None
    assert not [path for path in config.photos.rglob("*") if path.is_file()]
    for gone in (client.get(location), client.delete(location), client.get(f"{location}/photos/1/heatmap")):
        assert gone.status_code == 410
        assert kind_of(gone) == "deleted"


def test_a_waiting_screening_says_when_to_come_back(
    client: FlaskClient, photo: Photo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(error: Exception) -> Callable[[int], None]:
        def answer(_: int) -> None:
            raise error

        return answer

    with monkeypatch.context() as patch:
        patch.setattr(screenings, "answer", refuse(Busy()))
        opened = send(client, photo())
        waiting = client.get(opened.location)
        patch.setattr(screenings, "answer", refuse(BundleError("secret detail")))
        without_model = send(client, photo("mel"))
        unavailable = client.get(opened.location)
    for answer, status in ((opened, 201), (waiting, 202), (without_model, 201)):
        assert answer.status_code == status
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json is not None
        assert (answer.json["state"], answer.json["screening"], answer.json["photos"]) == ("pending", None, [])
    assert (unavailable.status_code, kind_of(unavailable)) == (503, "unavailable")
    assert int(unavailable.headers["Retry-After"]) > 0
    assert "secret" not in unavailable.text
    done = client.get(opened.location)
    assert done.json is not None
    assert (done.status_code, done.json["state"]) == (200, "done")


def test_a_failed_screening_says_why(
    client: FlaskClient, photo: Photo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise TrainingError("secret detail")

    monkeypatch.setattr(Screener, "screen", fail)
    body = send(client, photo()).json
    assert body is not None
    assert (body["state"], body["failure"], body["screening"]) == ("failed", "photo_lost", None)
    assert "upload it again" in body["recommendation"]["meaning"]
    assert "secret" not in str(body)


def test_sending_again_opens_nothing_new(client: FlaskClient, photo: Photo, rows: Rows) -> None:
    first, again = send(client, photo(), headers=KEY), send(client, photo(), headers=KEY)
    unquoted = send(client, photo(), headers={"Idempotency-Key": KEY["Idempotency-Key"].strip('"')})
    assert [answer.status_code for answer in (first, again, unquoted)] == [201, 201, 201]
    assert first.json == again.json == unquoted.json
    assert len(rows()) == 1
    other = send(client, photo("mel", 1), headers=KEY)
    assert (other.status_code, kind_of(other)) == (422, "key-reused")
    assert kind_of(send(client, photo(), headers={"Idempotency-Key": "short"})) == "bad-request"
    client.delete(first.location)
    assert kind_of(send(client, photo(), headers=KEY)) == "deleted"
    assert len(rows()) == 1


def test_a_faster_twin_of_a_request_wins(
    client: FlaskClient, photo: Photo, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = send(client, photo(), headers=KEY)
    found = screenings._row
    seen: list[str] = []

    def not_yet(token: str) -> ScreeningRow | None:
        seen.append(token)
        return found(token) if len(seen) > 1 else None

    monkeypatch.setattr(screenings, "_row", not_yet)
    assert send(client, photo(), headers=KEY).json == first.json
    assert len(rows()) == 1
    assert len(rows()[0].photos) == 1


def bad_photos(photo: bytes) -> dict[str, tuple[bytes, int, str]]:
    return {
        "empty": (b"", 422, "empty"),
        "text": (b"hello, this is no picture" * 20, 422, "not_an_image"),
        "pdf": (b"%PDF-1.7\n" + b"0" * 500, 422, "unsupported_format"),
        "truncated": (photo[: len(photo) // 2], 422, "truncated"),
        "too many bytes": (photo + b"\0" * 1024 * 1024, 413, "too_many_bytes"),
    }


@pytest.mark.parametrize("case", list(bad_photos(b"")))
def test_unusable_photos(config: Config, make_app: Callable[[Config], Flask], photo: Photo, case: str) -> None:
    content, status, reason = bad_photos(photo())[case]
    client = make_app(replace(config, max_upload_mb=1)).test_client()
    answer = send(client, photo(), content, headers={"Accept-Language": "de"})
    assert (answer.status_code, kind_of(answer)) == (status, "photo-invalid")
    assert answer.json is not None
    assert (answer.json["photo"], answer.json["reason"]) == (2, reason)
    assert "hoose" in answer.json["detail"]  # in English, and says what to do
    assert not [path for path in config.photos.rglob("*") if path.is_file()]


def test_a_picture_of_too_many_pixels_is_too_large_as_on_the_page(
    config: Config, make_app: Callable[[Config], Flask], photo: Photo
) -> None:
    answer = send(make_app(replace(config, max_pixels=10_000)).test_client(), photo())
    assert (answer.status_code, kind_of(answer)) == (413, "photo-invalid")


@pytest.mark.parametrize(
    ("status", "kind"), [(415, "unsupported-media-type"), (418, "bad-request"), (431, "bad-request")]
)
def test_an_error_of_the_framework_keeps_its_status(app: Flask, status: int, kind: str) -> None:
    with app.test_request_context():
        try:
            abort(status)
        except HTTPException as error:
            answer = app.make_response(http_problem(error))
    assert answer.json is not None
    assert (answer.status_code, answer.json["type"]) == (status, f"/api/v1/docs#{kind}")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"consent": None}, "consent"),
        ({"consent": "false"}, "consent"),
        ({"language": "fr"}, "language"),
        ({"label_set": "nonsense"}, "label_set"),
        ({"photos": None}, "photos"),
        ({"photos": "a text, not a file"}, "photos"),
    ],
)
def test_wrong_fields_are_named(client: FlaskClient, photo: Photo, fields: dict[str, Any], field: str) -> None:
    answer = send(client, photo(), **fields)
    assert (answer.status_code, kind_of(answer)) == (422, "form-invalid")
    assert answer.json is not None
    assert answer.json["field"] == field


def test_too_many_photos(client: FlaskClient, photo: Photo) -> None:
    answer = send(client, *[photo()] * 4)
    assert answer.json is not None
    assert (kind_of(answer), answer.json["field"]) == ("form-invalid", "photos")


def test_other_refusals(client: FlaskClient, app: Flask, photo: Photo) -> None:
    unknown = f"{SCREENINGS}/{'A' * 43}"
    cases = (
        (client.post(SCREENINGS, json={}), 415, "unsupported-media-type"),
        (client.post(SCREENINGS, data=b"x", content_type="multipart/form-data"), 400, "bad-request"),
        (client.post(SCREENINGS, data=b"x", content_type="multipart/form-data; boundary=y"), 400, "bad-request"),
        (send(client, b"\0" * app.config["MAX_CONTENT_LENGTH"]), 413, "too-large"),
        (client.get(unknown), 404, "not-found"),
        (client.delete(unknown), 404, "not-found"),
        (client.get(f"{unknown}/photos/1/heatmap"), 404, "not-found"),
        (client.get("/api/v1/nowhere"), 404, "not-found"),
        (client.get("/api/nowhere"), 404, "not-found"),
        (client.get("/api/v1/models/nonsense"), 404, "not-found"),
        (client.put(SCREENINGS), 405, "method-not-allowed"),
        (client.get("/api/v1/models", headers={"Accept": "text/html"}), 406, "not-acceptable"),
    )
    for answer, status, kind in cases:
        assert (answer.status_code, kind_of(answer)) == (status, kind)
    assert "POST" in client.put(SCREENINGS).headers["Allow"]
    for accept in ("*/*", "application/*", "application/json;q=0.5", ""):
        assert client.get("/api/v1/models", headers={"Accept": accept}).status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (BundleError("secret detail"), 503, "unavailable"),
        (OperationalError("secret detail", {}, Exception("secret")), 503, "unavailable"),
        (Busy("secret detail"), 503, "unavailable"),
        (PermissionError("secret detail"), 503, "unavailable"),
        (OSError(28, "secret detail"), 507, "storage-full"),
        (TrainingError("secret detail"), 500, "internal-error"),
        (RuntimeError("secret detail"), 500, "internal-error"),
    ],
)
def test_errors_give_nothing_away(
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    status: int,
    kind: str,
) -> None:
    def fail(_: str) -> None:
        raise error

    monkeypatch.setattr(screenings, "_find", fail)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    with caplog.at_level(logging.CRITICAL):
        answer = app.test_client().get(f"{SCREENINGS}/x")
    assert (answer.status_code, kind_of(answer)) == (status, kind)
    assert "secret" not in answer.text
    assert ("Retry-After" in answer.headers) is (status in (503, 507))


def test_models_and_label_sets(client: FlaskClient, config: Config, make_app: Callable[[Config], Flask],
                               tiny_bundle: Bundle, tmp_path: Path) -> None:  # fmt: skip
    listed = client.get("/api/v1/models").json
    assert listed is not None
    (model,) = listed["models"]
    card = tiny_bundle.card
    assert (model["name"], model["version"], model["label_set"]) == (card.name, card.version, card.label_set)
    assert model["classes"] == list(card.classes)
    assert "training" not in model
    assert client.get(model["links"]["self"]).json == model
    label_sets = client.get("/api/v1/label-sets").json
    assert label_sets is not None
    (answered,) = [one for one in label_sets["label_sets"] if one["model"] == card.name]
    assert answered["name"] == card.label_set
    assert [one["code"] for one in answered["classes"]] == list(card.classes)
    without_model = make_app(replace(config, model=str(tmp_path / "nowhere"))).test_client()
    assert kind_of(without_model.get("/api/v1/models")) == "unavailable"
