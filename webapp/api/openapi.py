"""The API's description after OpenAPI 3.1, at /api/v1/openapi.json."""

from collections.abc import Sequence
from typing import Any

from flask.typing import ResponseReturnValue

from ml.labels import readable_taxonomies
from webapp.api.blueprint import blueprint
from webapp.api.form import FORM
from webapp.api.idempotency import HEADER, KEY_PATTERN
from webapp.api.problems import KINDS, MEDIA_TYPE
from webapp.api.schemas import IDENTIFIER, Schema, all_schemas, array, reference
from webapp.config import PHOTOS_PER_SCREENING
from webapp.i18n import LANGUAGES
from webapp.inference import get_models

VERSION = "1.0.0"
PREFIX = "/api/v1"
DESCRIPTION = (
    "Screens photos of skin lesions for research and education. Not a medical device: no answer is a diagnosis, and a "
    "benign one is not an all-clear. Show `recommendation` wherever you show a result. Send photos of one lesion, "
    "dermatoscopic ones unless the label set takes others, and read class, probabilities, status and advice; photos "
    "that cannot be judged are refused with a reason. Requests are limited by address, or by token. Errors are problem "
    "details (RFC 9457)."
)
# What any request may be answered with.
COMMON = (401, 406, 429, 500, 503)

RETRY_AFTER = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}
LANGUAGE: Schema = {"type": "string", "enum": list(LANGUAGES)}
CONTENT_LANGUAGE = {"description": "Language of the recommendation.", "schema": LANGUAGE}
ACCEPT_LANGUAGE = {
    "name": "Accept-Language",
    "in": "header",
    "description": "Language of the recommendation where it is one of ours; else that of the upload.",
    "schema": {"type": "string"},
    "example": "de",
}


@blueprint.get("/openapi.json")
def openapi_document() -> ResponseReturnValue:
    """This description."""
    return document(answered())


def answered() -> list[str]:
    """The label sets that a model answers here, the default model's first; those whose classes cannot be read are left
    out."""
    readable = readable_taxonomies()
    return [name for name in get_models().label_sets() if name in readable]


def document(label_sets: Sequence[str] = ()) -> dict[str, Any]:
    """The whole description, for a service that answers with these label sets."""
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Lesion Lens",
            "version": VERSION,
            "summary": "Skin-lesion screening for research and education",
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "tags": [
            {"name": "Screenings", "description": "Photos in, answer out."},
            {"name": "Models", "description": "What answers, and with which classes."},
            {"name": "Description", "description": "This API itself."},
        ],
        "paths": _paths(label_sets),
        "components": {
            "schemas": all_schemas(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token that `flask tokens create` made. Only where the service asks for one, "
                    "or for a quota of your own.",
                }
            },
        },
    }


def _paths(label_sets: Sequence[str]) -> dict[str, Any]:
    identifier = {
        "name": "id",
        "in": "path",
        "required": True,
        "schema": IDENTIFIER,
        "description": "The screening's id.",
    }
    number = {
        "name": "number",
        "in": "path",
        "required": True,
        "schema": {"type": "integer", "minimum": 1, "maximum": PHOTOS_PER_SCREENING},
        "description": "Which photo, counted from 1.",
    }
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}, "description": "Its name."}
    return {
        f"{PREFIX}/screenings": {"post": _create(label_sets)},
        f"{PREFIX}/screenings/{{id}}": {
            "parameters": [identifier],
            "get": {
                "operationId": "readScreening",
                "tags": ["Screenings"],
                "summary": "Read a screening",
                "description": "One that still waits is answered first; where that does not succeed in time, the "
                "status is 202 and `state` is `pending`.",
                "parameters": [ACCEPT_LANGUAGE],
                "responses": {
                    "200": _json("The screening.", "ScreeningResource", {"Content-Language": CONTENT_LANGUAGE}),
                    "202": _json("It is still waiting for its answer.", "ScreeningResource", _waiting()),
                    **_problems(404, 410),
                },
            },
            "delete": {
                "operationId": "deleteScreening",
                "tags": ["Screenings"],
                "summary": "Delete a screening",
                "description": "Removes photos, heatmaps and answer for good. What stays is that there was a "
                "screening, when, and by which model. Deleting it again is answered with 410.",
                "responses": {"204": {"description": "It is deleted."}, **_problems(404, 410)},
            },
        },
        f"{PREFIX}/screenings/{{id}}/photos/{{number}}/heatmap": {
            "parameters": [identifier, number],
            "get": {
                "operationId": "readHeatmap",
                "tags": ["Screenings"],
                "summary": "What an answer rests on",
                "description": "What raised the named class in this photo, by Grad-CAM: an 8-bit grey PNG, small and "
                "square, white where it was raised most. Stretch it over the photo; over the central part of a photo "
                "that is longer than 4:3.",
                "responses": {
                    "200": {
                        "description": "The heatmap.",
                        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
                    },
                    **_problems(404, 410),
                },
            },
        },
        f"{PREFIX}/models": {"get": _read("listModels", "Models", "List the models that answer here", "Models")},
        f"{PREFIX}/models/{{name}}": {
            "parameters": [name],
            "get": _read("readModel", "Models", "Read what a model is and where its limits are", "Model", 404),
        },
        f"{PREFIX}/label-sets": {
            "get": _read("listLabelSets", "Models", "List the label sets and their classes", "LabelSets")
        },
        f"{PREFIX}/openapi.json": {
            "get": {
                "operationId": "readDescription",
                "tags": ["Description"],
                "summary": "This description, after OpenAPI 3.1",
                "responses": {
                    "200": {
                        "description": "The description.",
                        "content": {"application/json": {"schema": {"type": "object"}}},
                    },
                    **_problems(),
                },
            }
        },
        f"{PREFIX}/docs": {
            "get": {
                "operationId": "readDocumentation",
                "tags": ["Description"],
                "summary": "This description as a page",
                "responses": {
                    "200": {"description": "The page.", "content": {"text/html": {"schema": {"type": "string"}}}},
                    **_problems(),
                },
            }
        },
    }


def _create(label_sets: Sequence[str]) -> dict[str, Any]:
    photo: Schema = {"type": "string", "format": "binary", "description": "JPEG, PNG, WebP, HEIC or AVIF."}
    properties = {
        "photos": array(
            photo, minItems=1, maxItems=PHOTOS_PER_SCREENING, description="Files of one and the same lesion."
        ),
        "consent": {
            "type": "string",
            "enum": ["true"],
            "description": "The person in the photos has agreed that they are stored here and analysed by a computer, "
            "knows that the result is not a diagnosis, and that photos and result can be deleted at any time.",
        },
        "training_consent": {
            "type": "string",
            "enum": ["true", "false"],
            "description": "`true` where the person has agreed, apart from `consent` and freely, that models are "
            "trained and checked with the photos. Left out or `false`, they never are.",
        },
        "label_set": {
            "type": "string",
            **({"enum": list(label_sets)} if label_sets else {}),
            "description": "Answer with these classes; it must be one that a model here answers with, see "
            "`/api/v1/label-sets`. Left out, the default model answers.",
        },
        "first_look": {
            "type": "string",
            "enum": ["only"],
            "description": "Answer by the first look alone, in milliseconds: simple measurements, no network. The "
            "screening's status is then `uncertain` or `refused` and `predicted` null; what it saw is in `first_look`.",
        },
        "language": {**LANGUAGE, "description": "Language of the advice; by default that of Accept-Language."},
    }
    key = {
        "name": HEADER,
        "in": "header",
        "description": "Makes it safe to send the request again where its answer was lost: the same key with the same "
        "photos, label_set and first_look gives the same screening. A new UUID for every screening.",
        "schema": {"type": "string", "pattern": KEY_PATTERN},
        "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
    }
    headers = {
        "Location": {
            "description": "The screening's address.",
            "schema": {"type": "string", "format": "uri-reference"},
        },
        **_waiting(),
    }
    links = {
        operation: {"operationId": operation, "parameters": {"id": "$response.body#/id"}}
        for operation in ("readScreening", "deleteScreening")
    }
    return {
        "operationId": "createScreening",
        "tags": ["Screenings"],
        "summary": "Screen photos of a lesion",
        "description": "Photos that cannot be judged, being blurred for example, are no error: their status is "
        "`refused`, and `gate` says why. Where the model does not become free in time, `state` is `pending`: read the "
        "screening again after `Retry-After` seconds.",
        "parameters": [key, {**ACCEPT_LANGUAGE, "description": "Language of the advice, unless the form names one."}],
        "requestBody": {
            "required": True,
            "content": {
                FORM: {
                    "schema": {"type": "object", "properties": properties, "required": ["photos", "consent"]},
                }
            },
        },
        "responses": {
            "201": {**_json("The screening.", "ScreeningResource", headers), "links": links},
            **_problems(400, 410, 413, 415, 422, 507),
        },
    }


def _read(operation: str, tag: str, summary: str, schema: str, *statuses: int) -> dict[str, Any]:
    answer = _json("Done.", schema)
    return {
        "operationId": operation,
        "tags": [tag],
        "summary": summary,
        "responses": {"200": answer, **_problems(*statuses)},
    }


def _json(description: str, schema: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": description,
        "content": {"application/json": {"schema": reference(schema)}},
    }
    return {**answer, "headers": headers} if headers else answer


def _waiting() -> dict[str, Any]:
    after = {**RETRY_AFTER, "description": "Seconds to wait before reading it again; only where it is pending."}
    return {"Content-Language": CONTENT_LANGUAGE, "Retry-After": after}


def _problems(*statuses: int) -> dict[str, Any]:
    """The problems that an operation may be answered with, those of every operation included."""
    found = {}
    for status in sorted({*statuses, *COMMON}):
        titles = [kind.title for kind in KINDS.values() if kind.status == status]
        found[str(status)] = {
            "description": "; or: ".join(titles) + ".",
            "content": {MEDIA_TYPE: {"schema": reference("Problem")}},
            **({"headers": {"Retry-After": RETRY_AFTER}} if status in (429, 503) else {}),
        }
    return found
