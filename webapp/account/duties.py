"""What an account has to do before anything else: choose a password of its own, set up a second factor."""

from flask import Flask, current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from webapp.account import logins, second_factor
from webapp.models.user import User

# What can be opened while something has to be done first.
ALWAYS_OPEN = frozenset({"account.log_out", "screening.language"})
NO_SESSION = frozenset({"static", "health.healthz", "health.readyz"})
PASSWORD_PAGES = frozenset({"account.password_page", "account.change_password"})
FACTOR_PAGES = frozenset({"account.factor_page", "account.factor_picture", "account.enrol"})


def owed(user: User) -> frozenset[str]:
    """The pages of what has to be done first; empty where all is done."""
    if user.one_time_until is not None:
        return PASSWORD_PAGES
    if user.totp_secret is None and second_factor.needed(user, current_app.config["LENS"]):
        return FACTOR_PAGES
    return frozenset()


def init_duties(app: Flask) -> None:
    """Before each request: note that the session is in use, and send its account to what has to be done first."""

    @app.before_request
    def first_things_first() -> ResponseReturnValue | None:
        if request.endpoint in NO_SESSION or not current_user.is_authenticated:
            return None
        logins.touch()
        pages = owed(current_user)
        if not pages or request.endpoint in pages | ALWAYS_OPEN:
            return None
        page = "account.password_page" if pages is PASSWORD_PAGES else "account.factor_page"
        return redirect(url_for(page), 303)
