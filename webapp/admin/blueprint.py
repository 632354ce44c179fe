"""The blueprint that all admin pages share: nobody sees any of them without an account."""

from flask import Blueprint, current_app, request
from flask.typing import ResponseReturnValue

from webapp.account.access import refused, required_role
from webapp.models.user import Role

blueprint = Blueprint("admin", __name__, url_prefix="/admin")


@blueprint.before_request
def require_account() -> ResponseReturnValue | None:
    """Send visitors without a session to the log-in page. A page that does not say which role it needs is for
    admins."""
    view = current_app.view_functions[request.endpoint or ""]
    response: ResponseReturnValue | None = refused(required_role(view) or Role.ADMIN)
    return response
