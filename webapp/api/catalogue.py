"""What can be asked: the models that answer here, and the label sets that they answer with."""

from typing import Any

from flask import url_for
from flask.typing import ResponseReturnValue

from ml.card import Card
from ml.labels import readable_taxonomies
from webapp.api.blueprint import blueprint
from webapp.api.problems import Problem
from webapp.inference import get_models


@blueprint.get("/models")
def list_models() -> ResponseReturnValue:
    """The models that answer here."""
    return {"models": [model_body(card) for card in answering()]}


@blueprint.get("/models/<name>")
def read_model(name: str) -> ResponseReturnValue:
    """One of them."""
    card = next((card for card in answering() if card.name == name), None)
    if card is None:
        known = ", ".join(card.name for card in answering())
        raise Problem("not-found", f"No model of this name answers here; what does: {known}.")
    return model_body(card)


@blueprint.get("/label-sets")
def list_label_sets() -> ResponseReturnValue:
    """All label sets that can be read, and which of them are answered here."""
    answered = {card.label_set: card.name for card in answering()}
    return {
        "label_sets": [
            {
                "name": taxonomy.name,
                "title": taxonomy.title,
                "question": taxonomy.question,
                "photos": taxonomy.photos,
                "model": answered.get(taxonomy.name),
                "classes": [
                    {
                        "code": label.code,
                        "name": label.name,
                        "status": label.status.value,
                        "description": label.description,
                    }
                    for label in taxonomy.labels
                ],
            }
            for taxonomy in readable_taxonomies().values()
        ]
    }


def answering() -> list[Card]:
    """The cards of the models that answer, the one that answers by default first. Raises BundleError for none."""
    return [screener.card for screener in get_models().screeners()]


def model_body(card: Card) -> dict[str, Any]:
    """What a user of the answers needs to know of the model: not how and where it was trained."""
    return {
        "name": card.name,
        "version": card.version,
        "label_set": card.label_set,
        "classes": list(card.classes),
        "architecture": card.architecture,
        "networks": max(1, len(card.members)),
        "image_size": card.image_size,
        "test_time_views": card.test_time_views,
        "thresholds": card.thresholds,
        "validation": card.validation,
        "intended_use": card.intended_use,
        "limits": list(card.limits),
        "licence": card.licence,
        "links": {"self": url_for("api.read_model", name=card.name, _external=True)},
    }
