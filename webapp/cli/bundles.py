"""Which model a command works with."""

from typing import TYPE_CHECKING

from flask import current_app

from ml.errors import BundleError
from webapp.config import Config
from webapp.inference import get_models
from webapp.model_names import configured

if TYPE_CHECKING:
    from ml.bundle import Bundle

MODEL_HELP = "NAME, NAME@VERSION or the path of a bundle; the default model when left out."


def chosen_bundle(reference: str | None, label_set: str | None = None, *, grading: bool = False) -> "Bundle":
    """The bundle that `--model` names, else the one that answers for a label set, else the default one, verified.

    Raises BundleError where there is none, it is damaged, it answers with another label set than the one named, or,
    without `grading`, it is a severity model, which names no disease.
    """
    from ml.bundle import find_bundle, load_bundle, naming

    config: Config = current_app.config["LENS"]
    if reference is None:
        answering = get_models().references()
        if label_set is not None and label_set not in answering:
            raise BundleError(f"No model answers for label set '{label_set}'. Name one with --model.")
        reference = answering[label_set] if label_set else next(iter(answering.values()), configured(config)[0])
    bundle = load_bundle(find_bundle(reference, config.models))
    if label_set not in (None, bundle.card.label_set):
        raise BundleError(f"The model {bundle.card.name} answers for '{bundle.card.label_set}', not for '{label_set}'.")
    return bundle if grading else naming(bundle)


def chosen_label_set(reference: str | None, label_set: str | None = None) -> str:
    """The label set of the model that `chosen_bundle` would take, from its card alone: the model may be damaged.

    Raises BundleError where there is no such model, its card tells none, or another one than the one named.
    """
    from ml.bundle import find_bundle, stated_label_set

    config: Config = current_app.config["LENS"]
    if reference is None:
        if label_set is not None:
            return label_set
        reference = configured(config)[0]
    stated = stated_label_set(find_bundle(reference, config.models))
    if stated is None:
        raise BundleError(f"The card of the model '{reference}' cannot be read. Name the classes with --label-set.")
    if label_set not in (None, stated):
        raise BundleError(f"The model '{reference}' answers for '{stated}', not for '{label_set}'.")
    return stated
