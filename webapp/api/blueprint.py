"""The API as one blueprint: no cookies, no forms, JSON in problem details, limits before anything else."""

from flask import Blueprint, request

from webapp.api.access import admit
from webapp.api.problems import Problem, handle_errors
from webapp.extensions import csrf

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
# Nothing here hangs on a cookie (see webapp.sessions), so there is nothing to forge.
csrf.exempt(blueprint)
handle_errors(blueprint)

# What each endpoint answers with, where that is not JSON.
MEDIA_TYPES = {"api.heatmap": "image/png", "api.documentation": "text/html"}


@blueprint.before_request
def check_request() -> None:
    """Who asks, how often, and whether there is an answer in a format that is accepted."""
    admit()
    offered = MEDIA_TYPES.get(request.endpoint or "", "application/json")
    if request.accept_mimetypes and not request.accept_mimetypes.quality(offered):
        raise Problem("not-acceptable", f"This address answers with {offered}: accept it, or send no Accept header.")
