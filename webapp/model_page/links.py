"""Where it says how good the model of an answer is."""

from flask import current_app

from webapp.config import Config


def model_address(name: str, version: str) -> str:
    """The page of a model, or of a first look, as people reach it; its path where `PUBLIC_URL` does not say that."""
    config: Config = current_app.config["LENS"]
    path = current_app.url_map.bind("").build("model_page.version", {"name": name, "version": version})
    return config.public_url.rstrip("/") + path
