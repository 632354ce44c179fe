"""The API's description: in step with the code, kept to by the answers, and readable as a page."""

import dataclasses
import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from ml.labels import Status
from ml.screening import Gate, Screening
from tests.webapp.api import kind_of
from webapp.api import openapi
from webapp.api.idempotency import HEADER
from webapp.api.problems import KINDS, Problem
from webapp.api.schemas import all_schemas, schema_of

# Without shrinking: the first failure tells enough.
PHASES = (Phase.explicit, Phase.generate)
CONVERTERS = re.compile(r"<(?:\w+:)?(\w+)>")


def test_every_address_and_method_is_described(app: Flask) -> None:
    served = {
        (CONVERTERS.sub(r"{\1}", rule.rule).replace("{token}", "{id}"), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("api.")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {
        (path, method) for path, item in openapi.document()["paths"].items() for method in item.keys() - {"parameters"}
    }
    assert described == served


@pytest.mark.parametrize("kind", [Screening, Gate])
def test_schemas_of_answers_are_those_of_their_dataclasses(kind: type) -> None:
    schema = all_schemas()[kind.__name__]
    names = [field.name for field in dataclasses.fields(kind)]
    assert list(schema["properties"]) == schema["required"] == names
    assert schema["additionalProperties"] is False
    assert all(part["description"] for part in schema["properties"].values())


def test_types_become_schemas() -> None:
    assert schema_of(float | None) == {"type": ["number", "null"]}
    assert schema_of(dict[str, float]) == {"type": "object", "additionalProperties": {"type": "number"}}
    assert schema_of(dict[str, Any] | None) == {"type": ["object", "null"]}
    assert schema_of(Status)["enum"] == [status.value for status in Status]
    with pytest.raises(TypeError, match="no schema"):
        schema_of(bytes)


def test_every_problem_is_described(app: Flask) -> None:
    statuses = {
        status
        for item in openapi.document()["paths"].values()
        for method in item.keys() - {"parameters"}
        for status in item[method]["responses"]
    }
    assert {str(kind.status) for kind in KINDS.values()} - {"405"} <= statuses
    with app.test_request_context():
        for name, kind in KINDS.items():
            body = Problem(name).response().json
            assert body == {
                "type": f"/api/v1/docs#{name}",
                "title": kind.title,
                "status": kind.status,
                "detail": kind.advice,
            }


def test_the_page_shows_everything_and_needs_nothing(client: FlaskClient) -> None:
    answer = client.get("/api/v1/docs")
    assert answer.mimetype == "text/html"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    document = openapi.document()
    for path, item in document["paths"].items():
        assert path in answer.text
        for method in item.keys() - {"parameters"}:
            assert f'id="{item[method]["operationId"]}"' in answer.text
    for name in KINDS:
        assert f'id="{name}"' in answer.text
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in answer.text
    assert "<script" not in answer.text
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    assert "/language/" not in answer.text, "no cookie, so no choice of language"
    assert 'href="/api/v1/docs"' in client.get("/").text
    assert "built-in method" not in answer.text
    assert "Undefined" not in answer.text
    assert kind_of(client.get("/api/v1/docs", headers={"Accept": "application/json"})) == "not-acceptable"


@pytest.fixture
def described(app: Flask, photo: Callable[..., bytes]) -> schemathesis.BaseSchema:
    """The application's own description, with photos where it asks for files."""
    schemathesis.openapi.format("binary", st.sampled_from([photo(), photo("mel", 1, "PNG")]))
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)


def send_generated(operation: schemathesis.APIOperation[Any, Any, Any, Any], mode: GenerationMode) -> None:
    """Send what is made up from the description; no answer is a fault, and each is one that the description knows."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=PHASES)
    def send(case: schemathesis.Case[Any]) -> None:
        if mode.is_positive and HEADER in case.headers:
            case.headers[HEADER] = str(uuid.uuid4())  # well-formed is not enough: each must be new
        case.call_and_validate()

    send()


def test_answers_keep_to_the_description(described: schemathesis.BaseSchema) -> None:
    for found in described.get_all_operations():
        assert isinstance(found, Ok)
        send_generated(found.ok(), GenerationMode.POSITIVE)


def test_what_the_description_forbids_is_refused(described: schemathesis.BaseSchema) -> None:
    send_generated(described["/api/v1/screenings"]["POST"], GenerationMode.NEGATIVE)
