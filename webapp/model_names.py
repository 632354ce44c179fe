"""Which models the settings name, before anything was promoted."""

import logging

from ml.errors import BundleError
from webapp.config import Config

log = logging.getLogger(__name__)


def configured(config: Config) -> tuple[str, ...]:
    """The references of the models that answer, as `find_bundle` takes them, the default one first."""
    from ml.bundle import DEFAULT_MODELS, is_bundle

    default, *others = DEFAULT_MODELS
    return config.model_references or (str(default), *(str(path) for path in others if is_bundle(path)))


def references(name: str, config: Config) -> tuple[str, ...]:
    """The references NAME@VERSION of all that a name without a version may stand for: trained ones, the newest first,
    then the shipped one. Only `name` itself where it says the version, is a path, or nothing of that name is there."""
    from ml.bundle import versions

    return tuple(f"{name}@{version}" for version in versions(name, config.models)) or (name,)


def stated(reference: str, config: Config) -> str | None:
    """The label set in the card of a model, unverified; None where it has no readable one or is not there."""
    from ml.bundle import find_bundle, stated_label_set

    try:
        return stated_label_set(find_bundle(reference, config.models))
    except BundleError as error:
        log.warning("left out: %s", error)
        return None
