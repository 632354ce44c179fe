"""Which models the settings name, before anything was promoted."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from ml.errors import BundleError
from webapp.config import Config

log = logging.getLogger(__name__)


def configured(config: Config) -> tuple[str, ...]:
    """The references of the models that answer, as `find_bundle` takes them, the default one first."""
    from ml.bundle import DEFAULT_MODELS, is_bundle

    default, *others = DEFAULT_MODELS
    return config.model_references or (str(default), *(str(path) for path in others if is_bundle(path)))


def versions(name: str, config: Config) -> tuple[str, ...]:
    """The references NAME@VERSION of all that a name without a version may stand for: trained ones, the newest first,
    then the shipped one. Only `name` itself where it says the version, is a path, or nothing of that name is there."""
    from ml.bundle import PRETRAINED_FOLDER, is_bundle, stated_identity

    if is_bundle(Path(name)) or "@" in name or Path(name).name != name or name.startswith("."):
        return (name,)
    trained = sorted((p.name for p in (config.models / name).glob("*") if is_bundle(p)), reverse=True)
    shipped = stated_identity(PRETRAINED_FOLDER / name)
    found = (*trained, *((shipped[1],) if shipped else ()))
    return tuple(dict.fromkeys(f"{name}@{version}" for version in found)) or (name,)


def stated_label_sets(
    names: Sequence[str], config: Config, stands_for: Callable[[str], Sequence[str]]
) -> dict[str, str]:
    """Label set -> the name of the model that answers with it, in their order, from the cards alone.

    `stands_for` gives the references of what a name stands for; the first with a readable card counts. A model that is
    not there, or has none, is left out; of two for one label set the first counts.
    """
    from ml.bundle import find_bundle, stated_label_set

    found: dict[str, str] = {}
    for name in names:
        for reference in stands_for(name):
            try:
                label_set = stated_label_set(find_bundle(reference, config.models))
            except BundleError as error:
                log.warning("left out: %s", error)
                continue
            if label_set is not None:
                found.setdefault(label_set, name)
                break
    return found
