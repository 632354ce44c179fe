"""`/model`: the model that answers now; `/model/<name>/<version>`: the one that gave an earlier answer."""

from flask import Blueprint, current_app, render_template
from flask.typing import ResponseReturnValue

from webapp.model_page import words
from webapp.model_page.facts import Model, find_model

blueprint = Blueprint("model_page", __name__)


@blueprint.get("/model")
def current() -> ResponseReturnValue:
    """The model that answers now."""
    model = find_model(current_app.config["LENS"])
    return _page(model, current=True) if model else _gone()


@blueprint.get("/model/<name>/<version>")
def version(name: str, version: str) -> ResponseReturnValue:
    """The model that gave an answer, which may be an earlier one, or gone."""
    config = current_app.config["LENS"]
    model, answering = find_model(config, name, version), find_model(config)
    if model is None:
        return _gone(name, version)
    same = answering is not None and (answering.card.name, answering.card.version) == (name, version)
    return _page(model, current=same)


def _page(model: Model, *, current: bool) -> str:
    codes = model.taxonomy.codes
    malignant = [codes[index] for index in model.taxonomy.malignant]
    return render_template(
        "model.html",
        model=model,
        current=current,
        words=words,
        melanoma=model.told("mel") if "mel" in malignant else None,
        cancers=model.told(*malignant) if malignant else None,
        harmless=model.told(*(code for code in codes if code not in malignant)) if malignant else None,
    )


def _gone(name: str = "", version: str = "") -> ResponseReturnValue:
    return render_template("model.html", model=None, name=name, version=version), 404
