"""The blueprint that all admin pages share: nobody sees any of them without an account."""

from flask import Blueprint
from flask.typing import ResponseReturnValue
from flask_login import current_user

from webapp.extensions import login

blueprint = Blueprint("admin", __name__, url_prefix="/admin")


@blueprint.before_request
def require_account() -> ResponseReturnValue | None:
    """Send visitors without a session to the log-in page."""
    if not current_user.is_authenticated:
        response: ResponseReturnValue = login.unauthorized()
        return response
    return None
