"""`/model` and `/model/<name>`: models that answer now; `/model/<name>/<version>`: one that gave an earlier answer."""

from typing import TYPE_CHECKING

from flask import Blueprint, current_app, render_template
from flask.typing import ResponseReturnValue

from webapp.config import Config
from webapp.model_page import words
from webapp.model_page.facts import Model, answering_models, find_look, find_model

if TYPE_CHECKING:
    from ml.preliminary import FirstLookCard

blueprint = Blueprint("model_page", __name__)


@blueprint.get("/model")
def current() -> ResponseReturnValue:
    """The model that answers where nothing else is asked for, and the way to the others."""
    answering = answering_models(_config())
    return _page(answering[0], answering) if answering else _gone()


@blueprint.get("/model/<name>")
def named(name: str) -> ResponseReturnValue:
    """One of the models that answer now."""
    answering = answering_models(_config())
    found = next((model for model in answering if model.card.name == name), None)
    return _page(found, answering) if found else _gone(name)


@blueprint.get("/model/<name>/<version>")
def version(name: str, version: str) -> ResponseReturnValue:
    """The model that gave an answer, which may be an earlier one, a first look, or gone."""
    found = find_model(_config(), name, version)
    if found is not None:
        return _page(found, answering_models(_config()))
    look = find_look(_config(), name, version)
    return _look_page(look) if look else _gone(name, version)


def _look_page(look: "FirstLookCard") -> str:
    answering = next((model for model in answering_models(_config()) if model.card.label_set == look.label_set), None)
    return render_template("model_first_look.html", look=look, answering=answering, words=words)


def _page(model: Model, answering: list[Model]) -> str:
    codes = model.taxonomy.codes
    malignant = [codes[index] for index in model.taxonomy.malignant]
    return render_template(
        "model.html",
        model=model,
        answering=answering,
        current=any(other.card == model.card for other in answering),
        words=words,
        melanoma=model.told("mel") if "mel" in malignant else None,
        cancers=model.told(*malignant) if malignant else None,
        harmless=model.told(*(code for code in codes if code not in malignant)) if malignant else None,
        contagious=model.contagious(),
    )


def _gone(name: str = "", version: str = "") -> ResponseReturnValue:
    return render_template("model.html", model=None, name=name, version=version), 404


def _config() -> Config:
    config: Config = current_app.config["LENS"]
    return config
