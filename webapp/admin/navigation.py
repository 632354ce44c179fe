"""The pages that an account may open, for the bar on top of them."""

from flask import current_app
from flask_login import current_user

from webapp.i18n import gettext as _
from webapp.models.user import Role


def admin_pages() -> list[tuple[str, str]]:
    """Endpoint and title of every page that exists and that the account may open, in order."""
    pages = [
        ("admin.history", _("History"), Role.VIEWER),
        ("admin.models", _("Models"), Role.VIEWER),
        ("admin.training", _("Training"), Role.VIEWER),
        ("admin.insights", _("Insights"), Role.VIEWER),
        ("admin.users", _("Users"), Role.ADMIN),
        ("admin.audit", _("Audit log"), Role.ADMIN),
    ]
    return [
        (endpoint, title)
        for endpoint, title, role in pages
        if endpoint in current_app.view_functions and current_user.may(role)
    ]
