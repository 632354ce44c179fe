"""Is the process alive, and can it do its work?"""

import re

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from ml.errors import BundleError, MLError
from webapp.extensions import db
from webapp.inference import get_models
from webapp.models.screening import ScreeningRow

blueprint = Blueprint("health", __name__)
# What comes before the last part of a path.
FOLDERS = re.compile(r"[^\s'\"]*/(?=[^\s'\"/])")


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """The process answers. Touches nothing else."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """503 until the database is there with its tables and the model is loaded; says which of them is missing, and why.

    `promotion` is there where a promoted model cannot answer and the one before goes on: that is ready, but not well.
    """
    checks = {"database": "ok", "model": "ok"}
    try:
        db.session.execute(select(ScreeningRow.id).limit(1))
    except SQLAlchemyError:
        current_app.logger.exception("readiness: database")
        checks["database"] = "unreachable or not migrated"
    try:
        get_models().get()
    except (MLError, OSError) as error:
        current_app.logger.exception("readiness: model")
        # Only these sentences are written for people; whoever asks here learns names, and nothing of the folders.
        checks["model"] = _without_folders(str(error)) if isinstance(error, BundleError) else "cannot be loaded"
    ready = set(checks.values()) == {"ok"}
    problems = get_models().problems()
    told = {"promotion": _without_folders(" ".join(problems))} if problems else {}
    return {"status": "ok" if ready else "unavailable", **checks, **told}, 200 if ready else 503


def _without_folders(sentence: str) -> str:
    """A sentence with each path in it cut down to its last part."""
    return FOLDERS.sub("", sentence)
