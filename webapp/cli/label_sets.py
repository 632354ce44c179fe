"""A label set as an option of a command: one of the known names, or a `.toml` file, which is then kept."""

from pathlib import Path

import click
from flask import current_app

from ml.errors import DatasetError, MLError
from ml.files import write_bytes
from ml.labels import load_taxonomy, taxonomy_names

LABEL_SET_HELP = "By name, or as a .toml file, which is then kept in the instance folder."


def known_label_set(given: str) -> str:
    """The name of the label set given by its name or its path; to be called where there is an application.

    A file given by its path is copied to `label-sets/` in the instance folder, where training, serving and every later
    command find it by its name. One that is not a label set, or contradicts the one of its name, ends the command.
    """
    try:
        return _kept(Path(given)) if given.endswith(".toml") else load_taxonomy(given).name
    except MLError as error:
        raise click.BadParameter(str(error), param_hint="--label-set") from error


def _kept(path: Path) -> str:
    taxonomy = load_taxonomy(str(path))
    if taxonomy.name in taxonomy_names():
        if load_taxonomy(taxonomy.name) == taxonomy:
            return taxonomy.name
        raise DatasetError(
            f"There is another label set called '{taxonomy.name}'. Give {path.name} a name of its own: models that "
            "were trained with the other one need it as it is."
        )
    folder: Path = current_app.config["LENS"].label_sets
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / path.name, path.read_bytes())
    except OSError as error:
        raise DatasetError(f"Cannot keep the label set in {folder}: {error.strerror or 'writing failed'}.") from error
    return taxonomy.name
