"""The API's description as a page at /api/v1/docs: nothing from elsewhere, and readable without JavaScript."""

from typing import Any

from flask import render_template
from flask.typing import ResponseReturnValue

from webapp.api.blueprint import blueprint
from webapp.api.openapi import answered, document
from webapp.api.problems import KINDS
from webapp.api.schemas import Schema

METHODS = ("get", "post", "delete")


@blueprint.get("/docs")
def documentation() -> ResponseReturnValue:
    """Operations by tag, then the schemas, then the problems."""
    described = document(answered())
    return render_template(
        "api/docs.html",
        document=described,
        operations=operations(described),
        schemas=described["components"]["schemas"],
        kinds=KINDS,
        type_of=type_of,
    )


def operations(described: dict[str, Any]) -> list[dict[str, Any]]:
    """Each operation with its method, path and all of its parameters, in the order of the description."""
    return [
        {
            **item[method],
            "method": method.upper(),
            "path": path,
            "parameters": [*item.get("parameters", []), *item[method].get("parameters", [])],
        }
        for path, item in described["paths"].items()
        for method in METHODS
        if method in item
    ]


def type_of(schema: Schema) -> str:
    """A schema in a few words, such as `list of Gate or null`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(type_of(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join("null" if value is None else f"“{value}”" for value in schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " or ".join(_named(kind, schema) for kind in kinds)


def _named(kind: str, schema: Schema) -> str:
    if kind == "array":
        return f"list of {type_of(schema['items'])}"
    if kind == "object" and schema.get("additionalProperties"):
        return f"object of {type_of(schema['additionalProperties'])}"
    formats = {"binary": "file", "uri": "address", "date-time": "time"}
    return formats.get(str(schema.get("format")), kind)
