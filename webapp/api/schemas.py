"""JSON Schemas of what the API says. Those of an answer are made from its dataclasses, so that they cannot drift."""

import types
import typing
from dataclasses import fields
from enum import StrEnum
from typing import Any

from ml.errors import ImageFault
from ml.labels import CLASS_STATUSES, PHOTO_KINDS
from ml.screening import TIPS, VERDICTS, Gate, Screening
from ml.severity_grades import CLINICAL, GRADES, NOTES, PROXY
from webapp.api.problems import KINDS, TYPE
from webapp.i18n import LANGUAGES
from webapp.models.screening import State

Schema = dict[str, Any]

SIMPLE = {str: "string", float: "number", int: "integer", bool: "boolean"}
SHARE: Schema = {"minimum": 0, "maximum": 1}
IDENTIFIER: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"}
URI: Schema = {"type": "string", "format": "uri"}

# What the fields of the dataclasses mean, and what is known of them beyond their types.
SCREENING_FIELDS: dict[str, Schema] = {
    "label_set": {"description": "The label set that the class codes belong to: see `/api/v1/label-sets`."},
    "predicted": {"description": "Code of the class that is named; null where refused, or for a first look alone."},
    "probabilities": {"description": "Calibrated probability of each class by its code; null as `predicted`."},
    "status": {
        "description": "What the result means for the person: a decision about the probabilities of all malignant, or "
        "all infectious, classes together, not the status of the class that is named."
    },
    "malignant_risk": {
        **SHARE,
        "description": "Sum over the malignant classes; null as `predicted`, or where the label set has none.",
    },
    "thresholds": {"description": "`malignant` and `uncertain`: the risks from which the status is at least that."},
    "gate": {"description": "Whether the photo can be answered at all, and if not, why."},
    "first_look": {"description": "What simple measurements say, beside the answer or alone; null for none."},
    "severity": {"description": "The second stage, where there is one and it has a model of the named disease."},
    "model": {"description": "`name` and `version` of the model that answered."},
    "seconds": {"description": "What took how long: `decode`, `gate` and `network`."},
}
GATE_FIELDS: dict[str, Schema] = {
    "verdict": {"enum": list(VERDICTS), "description": "`usable`, or what kind of photo it is instead."},
    "reason": {"enum": [*TIPS, None], "description": "Why the photo is not usable; null where it is."},
    "tip": {"enum": [*sorted(set(TIPS.values())), None], "description": "What to do about it; null for nothing."},
    "scores": {"description": "The measured numbers behind the verdict, by name."},
    "limit": {"description": "The bound that the deciding score missed; null where no single number decided."},
}


def schema_of(kind: Any) -> Schema:
    """The schema of a type: simple types, `dict[str, ...]`, `list`, optional ones, enumerations, `Gate`."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in SIMPLE:
        return {"type": SIMPLE[kind]}
    if kind is Gate:
        return reference("Gate")
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return {"type": "string", "enum": [item.value for item in kind]}
    if origin is dict:
        values = {} if arguments[1] is Any else {"additionalProperties": schema_of(arguments[1])}
        return {"type": "object", **values}
    if origin is types.UnionType and types.NoneType in arguments and len(arguments) == 2:
        (inner,) = (schema_of(item) for item in arguments if item is not types.NoneType)
        return {**inner, "type": [inner["type"], "null"]}
    raise TypeError(f"no schema for {kind}")


def schema_of_dataclass(kind: type, known: dict[str, Schema]) -> Schema:
    """The schema of a dataclass's `to_dict`: every field is there. Raises KeyError for one that is not described."""
    hints = typing.get_type_hints(kind)
    return whole({item.name: {**schema_of(hints[item.name]), **known[item.name]} for item in fields(kind)})


def whole(properties: dict[str, Schema], **more: Any) -> Schema:
    """An object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        **more,
    }


def reference(name: str) -> Schema:
    """A reference to one of the schemas below."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Schema, **more: Any) -> Schema:
    """A list of `items`."""
    return {"type": "array", "items": items, **more}


def nullable(schema: Schema, **more: Any) -> Schema:
    """The schema, or null."""
    return {"anyOf": [schema, {"type": "null"}], **more}


def all_schemas() -> dict[str, Schema]:
    """Every schema by its name."""
    text, number = {"type": "string"}, {"type": "number"}
    screening = schema_of_dataclass(Screening, SCREENING_FIELDS)
    screening["properties"]["first_look"] = nullable(
        reference("FirstLook"), description=SCREENING_FIELDS["first_look"]["description"]
    )
    screening["properties"]["severity"] = nullable(
        reference("Severity"), description=SCREENING_FIELDS["severity"]["description"]
    )
    heatmap = nullable(
        URI, description="A PNG of what raised the named class; null where there is none, as for refused photos."
    )
    return {
        "Screening": {**screening, "description": "The answer to one photo, or to all photos of one lesion."},
        "Gate": schema_of_dataclass(Gate, GATE_FIELDS),
        "FirstLook": _first_look(),
        "Severity": _severity(),
        "PhotoScreening": whole(
            {**screening["properties"], "links": whole({"heatmap": heatmap})},
            description="The answer to one photo by itself.",
        ),
        "ScreeningResource": whole(
            {
                "id": {**IDENTIFIER, "description": "Cannot be guessed: whoever has it can read and delete this."},
                "state": {"type": "string", "enum": [state.value for state in State]},
                "created_at": {"type": "string", "format": "date-time"},
                "links": whole(
                    {
                        "self": URI,
                        "html": {**URI, "description": "The result as a page, for a person."},
                        "model": nullable(
                            URI, description="How good the model that answered is, as a page; null before that."
                        ),
                    }
                ),
                "screening": nullable(reference("Screening"), description="The lesion's; null unless done."),
                "photos": array(
                    reference("PhotoScreening"), maxItems=3, description="One for each photo; empty unless done."
                ),
                "failure": {
                    "enum": ["photo_lost", "no_answer", None],
                    "description": "Why there will be no answer; null unless failed.",
                },
                "recommendation": nullable(reference("Recommendation"), description="Null while pending."),
            }
        ),
        "Recommendation": whole(
            {
                "language": {"type": "string", "enum": list(LANGUAGES)},
                "headline": {**text, "description": "The status in one or two words."},
                "meaning": {**text, "description": "What that says, or why there is no answer."},
                "lead": {**text, "description": "What to do next."},
                "points": array(text),
                "notice": {**text, "description": "Show this wherever you show a result: it is not a diagnosis."},
            },
            description="What to tell the person, in English or German.",
        ),
        "Model": whole(
            {
                "name": text,
                "version": text,
                "label_set": text,
                "classes": array(text, description="Class codes in the model's order."),
                "architecture": text,
                "networks": {"type": "integer", "minimum": 1, "description": "More than one in an ensemble."},
                "image_size": {
                    "type": "integer",
                    "description": "Side of the square that the network sees, in pixels.",
                },
                "test_time_views": {**text, "description": "Name of the set of views that an answer averages."},
                "thresholds": {"type": ["object", "null"], "additionalProperties": number},
                "validation": {"type": "object", "description": "Figures on the validation split."},
                "intended_use": text,
                "limits": array(text),
                "licence": text,
                "links": whole({"self": URI}),
            }
        ),
        "Models": whole({"models": array(reference("Model"))}),
        "LabelSet": whole(
            {
                "name": text,
                "title": text,
                "question": {**text, "description": "What a person asks for: `spot`, `rash`, or words of its own."},
                "photos": {"type": "string", "enum": list(PHOTO_KINDS), "description": "The photos that it takes."},
                "model": {"type": ["string", "null"], "description": "Name of the model that answers with it here."},
                "classes": array(
                    whole(
                        {
                            "code": text,
                            "name": text,
                            "status": {"type": "string", "enum": [status.value for status in CLASS_STATUSES]},
                            "description": text,
                        }
                    ),
                    minItems=2,
                ),
            }
        ),
        "LabelSets": whole({"label_sets": array(reference("LabelSet"))}),
        "Problem": _problem(),
    }


def _first_look() -> Schema:
    numbers: Schema = {"additionalProperties": {"type": "number"}}
    return whole(
        {
            "predicted": {"type": ["string", "null"], "description": "Code of the class that it names; null for none."},
            "probabilities": {
                "type": ["object", "null"],
                **numbers,
                "description": "Calibrated probability of each class by its code; null as `predicted`.",
            },
            "agrees": {
                "type": ["boolean", "null"],
                "description": "Whether the model names the same class; null where one of them names none.",
            },
            "reason": {"enum": [*TIPS, None], "description": "Why it names no class; null where it does."},
            "features": {
                "type": ["object", "null"],
                **numbers,
                "description": "What was measured: `asymmetry` (0 to 1), `border_irregularity` (from 1), "
                "`colour_variety` (1 to 6), `diameter` (pixels) and `area` (share of the picture).",
            },
            "model": {"type": "object", "additionalProperties": {"type": "string"}},
            "seconds": {"type": "number", "minimum": 0},
        },
        description="A first impression by measured shape, border, colours and texture, without a network.",
    )


def _severity() -> Schema:
    shares: Schema = {"type": "object", "additionalProperties": {"type": "number", **SHARE}}
    return whole(
        {
            "grade": {"type": "string", "enum": list(GRADES)},
            "probabilities": {**shares, "description": "Calibrated probability of each grade."},
            "source": {
                "type": "string",
                "enum": [PROXY, CLINICAL],
                "description": "Where the grades come from that the model learnt: `proxy` is computed from how the "
                "lesion looks, `clinical` was given by clinicians.",
            },
            "note": {"type": "string", "description": f"What the grade is worth. Of a proxy: {NOTES[PROXY]}"},
            "model": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        description="How pronounced the named disease looks. Show `note` wherever you show it.",
    )


def _problem() -> Schema:
    properties: dict[str, Schema] = {
        "type": {"type": "string", "enum": [TYPE + name for name in KINDS]},
        "title": {"type": "string", "description": "The same for every problem of this type."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What to do about it, in English."},
        "field": {"type": "string", "description": "The form field that is missing or wrong."},
        "photo": {"type": "integer", "minimum": 1, "description": "Which photo cannot be used, counted from 1."},
        "reason": {"enum": list(typing.get_args(ImageFault)), "description": "Why that photo cannot be used."},
    }
    required = ["type", "title", "status", "detail"]
    description = "Problem details after RFC 9457."
    return {**whole(properties), "required": required, "description": description}
