"""Logging in, with one factor or two, and out."""

from flask import Blueprint, Flask, current_app, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, logout_user
from sqlalchemy.exc import SQLAlchemyError

from webapp import clock
from webapp.account import logins
from webapp.account.attempts import authenticate, code_was_used, second_step
from webapp.account.duties import init_duties
from webapp.account.forms import CodeForm, LoginForm, first_error
from webapp.extensions import db, limiter, login
from webapp.i18n import gettext as _
from webapp.links import local_path
from webapp.models.user import User

blueprint = Blueprint("account", __name__)

# Between a right password and the code: under this name the cookie carries [account, session version, time].
HALF = "half"
HALF_SECONDS = 300


@blueprint.get("/login")
def login_page() -> ResponseReturnValue:
    """The log-in form; whoever is logged in already goes on."""
    if current_user.is_authenticated:
        return redirect(_onward(), 303)
    return render_template("account/login.html", form=LoginForm())


@blueprint.post("/login")
@limiter.limit(lambda: current_app.config["LENS"].login_rate)
def log_in() -> ResponseReturnValue:
    """Check name and password; begin a new session, or ask for the second factor."""
    form = LoginForm()
    if not form.validate():
        return render_template("account/login.html", form=form, error=first_error(form)), 400
    user = authenticate(form.name.data or "", form.password.data or "", current_app.config["LENS"])
    if user is None:
        error = _("Name or password is wrong, or the account is locked for a while after too many attempts.")
        return render_template("account/login.html", form=form, error=error), 400
    if user.totp_secret is not None:
        session[HALF] = [user.id, user.session_version, int(clock.now().timestamp())]
        return redirect(url_for("account.code_page", next=local_path(request.args.get("next"))), 303)
    logins.begin(user)
    return redirect(_onward(), 303)


@blueprint.get("/login/code")
def code_page() -> ResponseReturnValue:
    """The form for the code of the second factor, after a right password."""
    if current_user.is_authenticated:
        return redirect(_onward(), 303)
    if _half() is None:
        return redirect(url_for("account.login_page", next=local_path(request.args.get("next"))), 303)
    return render_template("account/code.html", form=CodeForm())


@blueprint.post("/login/code")
@limiter.limit(lambda: current_app.config["LENS"].login_rate)
def enter_code() -> ResponseReturnValue:
    """Check the code of the second factor and begin a new session."""
    form, half = CodeForm(), _half()
    if half is None:
        return redirect(url_for("account.login_page", next=local_path(request.args.get("next"))), 303)
    if not form.validate():
        return render_template("account/code.html", form=form, error=first_error(form)), 400
    user = second_step(*half, form.code.data or "", current_app.config["LENS"])
    if user is None:
        error = _("The code is wrong or used already, or the account is locked for a while after too many attempts.")
        if code_was_used(half[0], form.code.data or ""):
            error = _("This code was used already. Wait until your app shows the next one, and enter that.")
        return render_template("account/code.html", form=form, error=error), 400
    logins.begin(user)
    return redirect(_onward(), 303)


@blueprint.post("/logout")
def log_out() -> ResponseReturnValue:
    """End the session."""
    logins.end()
    logout_user()
    session.clear()
    return redirect(url_for("screening.home"), 303)


def _half() -> tuple[int, int] | None:
    """Account and session version of a log-in that is half done; None where none is, or not any more."""
    number, version, at = session.get(HALF) or (0, 0, 0)
    return (number, version) if 0 <= clock.now().timestamp() - at < HALF_SECONDS else None


def _onward() -> str:
    return local_path(request.args.get("next")) or url_for("admin.history")


def init_login(app: Flask) -> None:
    """Bind Flask-Login: how a session finds its account, and where to log in."""
    login.init_app(app)
    login.session_protection = "basic"

    @login.user_loader
    def load_user(remembered: str) -> User | None:
        try:
            return logins.load(remembered)
        except SQLAlchemyError:
            # Every page asks who is logged in, the page that says that the database is away included.
            current_app.logger.exception("the account of a session cannot be read")
            db.session.rollback()
            return None

    @login.unauthorized_handler
    def unauthorized() -> ResponseReturnValue:
        target = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("account.login_page", next=target), 303)

    init_duties(app)
