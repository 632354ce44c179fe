"""Logging in and out."""

from flask import Blueprint, Flask, current_app, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_user, logout_user
from sqlalchemy.exc import SQLAlchemyError

from webapp.account.forms import LoginForm
from webapp.account.passwords import authenticate
from webapp.extensions import db, limiter, login
from webapp.i18n import gettext as _
from webapp.links import local_path
from webapp.models.user import User

blueprint = Blueprint("account", __name__)


@blueprint.get("/login")
def login_page() -> ResponseReturnValue:
    """The log-in form; whoever is logged in already goes on."""
    if current_user.is_authenticated:
        return redirect(_onward(), 303)
    return render_template("account/login.html", form=LoginForm())


@blueprint.post("/login")
@limiter.limit(lambda: current_app.config["LENS"].login_rate)
def log_in() -> ResponseReturnValue:
    """Check name and password and begin a new session."""
    form = LoginForm()
    error = _("Name or password is wrong, or the account is locked for a while after too many attempts.")
    if form.validate():
        user = authenticate(form.name.data or "", form.password.data or "", current_app.config["LENS"])
        if user is not None:
            language = session.get("language")
            session.clear()  # nothing from before the log-in, such as a planted form token, carries over
            if language:
                session["language"] = language
            session.permanent = True
            login_user(user)
            return redirect(_onward(), 303)
    else:
        error = next(iter(form.errors.values()))[0]
    return render_template("account/login.html", form=form, error=error), 400


@blueprint.post("/logout")
def log_out() -> ResponseReturnValue:
    """End the session."""
    logout_user()
    session.clear()
    return redirect(url_for("screening.home"), 303)


def _onward() -> str:
    return local_path(request.args.get("next")) or url_for("admin.history")


def init_login(app: Flask) -> None:
    """Bind Flask-Login: how a session finds its account, and where to log in."""
    login.init_app(app)
    login.session_protection = "basic"

    @login.user_loader
    def load_user(remembered: str) -> User | None:
        number, _dot, version = remembered.partition(".")
        try:
            user = db.session.get(User, int(number)) if number.isdecimal() else None
        except SQLAlchemyError:
            # Every page asks who is logged in, the page that says that the database is away included.
            current_app.logger.exception("the account of a session cannot be read")
            db.session.rollback()
            return None
        return user if user is not None and user.active and str(user.session_version) == version else None

    @login.unauthorized_handler
    def unauthorized() -> ResponseReturnValue:
        target = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("account.login_page", next=target), 303)
