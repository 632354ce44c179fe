"""The API as a program uses it."""

import io
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

SCREENINGS = "/api/v1/screenings"
KEY = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}


def send(client: FlaskClient, *photos: bytes, headers: dict[str, str] | None = None, **fields: Any) -> TestResponse:
    """Posts photos with consent: `send(client, b"...", language="de")`. A field that is None is left out."""
    form = {"consent": "true", "photos": [(io.BytesIO(photo), "lesion.jpg") for photo in photos], **fields}
    form = {name: value for name, value in form.items() if value is not None}
    return client.post(SCREENINGS, data=form, content_type="multipart/form-data", headers=headers)


def kind_of(answer: TestResponse) -> str:
    """Which problem an answer is, after a look at what every problem has."""
    assert answer.mimetype == "application/problem+json"
    assert answer.json is not None
    assert answer.json["status"] == answer.status_code
    assert answer.json["title"]
    assert answer.json["detail"].endswith(".")
    return str(answer.json["type"]).rpartition("#")[2]
