"""What pages say about accounts, for codes that code and database use."""

from webapp.i18n import gettext as _
from webapp.models.user import Role


def role(code: str) -> str:
    """The name of a role."""
    return {
        Role.ADMIN: _("Administrator"),
        Role.REVIEWER: _("Reviewer"),
        Role.VIEWER: _("Viewer"),
    }[Role(code)]


def role_meaning(code: str) -> str:
    """What an account of this role may do."""
    return {
        Role.ADMIN: _("Everything, accounts, deletion, training and the audit log included"),
        Role.REVIEWER: _("Reads everything, reviews cases, exports rows"),
        Role.VIEWER: _("Reads history, cases, models and insights"),
    }[Role(code)]


def agent(browser: str, system: str) -> str:
    """The browser of a session, such as "Firefox on Android"."""
    if browser and system:
        return _("%(browser)s on %(system)s", browser=browser, system=system)
    return browser or system or _("Unknown browser")
