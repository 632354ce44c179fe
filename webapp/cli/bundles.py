"""Which model a command works with."""

from typing import TYPE_CHECKING

from flask import current_app

from webapp.config import Config

if TYPE_CHECKING:
    from ml.bundle import Bundle

MODEL_HELP = "NAME, NAME@VERSION or the path of a bundle; the configured model by default."


def chosen_bundle(reference: str | None) -> "Bundle":
    """The bundle that `--model` names, else the configured one, else the shipped one, verified.

    Raises BundleError where there is none or it is damaged.
    """
    from ml.bundle import DEFAULT_MODEL, find_bundle, load_bundle

    config: Config = current_app.config["LENS"]
    return load_bundle(find_bundle(reference or config.model or str(DEFAULT_MODEL), config.models))
