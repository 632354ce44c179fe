"""Which models the settings name, before anything was promoted."""

import logging
from collections.abc import Sequence

from ml.errors import BundleError
from webapp.config import Config

log = logging.getLogger(__name__)


def configured(config: Config) -> tuple[str, ...]:
    """The references of the models that answer, as `find_bundle` takes them, the default one first."""
    from ml.bundle import DEFAULT_MODELS, is_bundle

    default, *others = DEFAULT_MODELS
    return config.model_references or (str(default), *(str(path) for path in others if is_bundle(path)))


def stated_label_sets(names: Sequence[str], config: Config) -> dict[str, str]:
    """Label set -> the reference of the model that answers with it, in their order, from the cards alone.

    A model that is not there, or has no readable card, is left out; of two for one label set the first counts.
    """
    from ml.bundle import find_bundle, stated_label_set

    found: dict[str, str] = {}
    for name in names:
        try:
            label_set = stated_label_set(find_bundle(name, config.models))
        except BundleError as error:
            log.warning("left out: %s", error)
            continue
        if label_set is not None:
            found.setdefault(label_set, name)
    return found
