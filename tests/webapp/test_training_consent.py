"""Consent to training: asked for apart from that to screening, and taken back at any time."""

from collections.abc import Callable, Sequence

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.webapp.api import send as send_to_api
from tests.webapp.forms import form_token
from webapp.models.screening import ScreeningRow

Rows = Callable[[], Sequence[ScreeningRow]]


def test_consent_is_asked_for_apart_and_taken_back(
    client: FlaskClient, photo: Callable[..., bytes], rows: Rows, upload: Callable[..., TestResponse]
) -> None:
    page = client.get("/").text
    assert 'name="training" value="y">' in page, "not ticked"
    place = upload(photo("nv", 1)).headers["Location"]
    assert rows()[0].training_consent_at is None
    assert 'data-training="no"' in client.get(place).text
    for allow, told in (("yes", True), ("no", False)):
        fields = {"csrf_token": form_token(client, place), "allow": allow}
        assert client.post(f"{place}/training", data=fields).status_code == 303
        assert (rows()[0].training_consent_at is not None) is told
    assert send_to_api(client, photo("nv", 2), training_consent="perhaps").status_code == 422
    send_to_api(client, photo("nv", 2))
    assert rows()[-1].training_consent_at is None
