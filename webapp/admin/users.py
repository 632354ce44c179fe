"""The accounts: who may log in, and what each may do."""

from collections.abc import Callable

from flask import abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select

from webapp import audit, clock
from webapp.account import accounts, logins, second_factor, words
from webapp.account.access import requires
from webapp.account.accounts import AccountError
from webapp.admin.blueprint import blueprint
from webapp.extensions import db
from webapp.i18n import gettext as _
from webapp.models.user import Role, User

ONE_USER = "/users/<int(max=9223372036854775807):user_id>"


@blueprint.get("/users")
@requires(Role.ADMIN)
def users() -> ResponseReturnValue:
    """All accounts, and the form for another one."""
    return _users_page()


@blueprint.post("/users")
@requires(Role.ADMIN)
def create_user() -> ResponseReturnValue:
    """Make an account with a one-time password, which this answer shows and nothing shows again."""
    role = request.form.get("role", "")
    if role not in list(Role):
        abort(400)
    try:
        user, password = accounts.create(request.form.get("name", ""), Role(role))
    except AccountError as error:
        return _users_page(str(error)), 400
    return _one_time_page(user, password)


@blueprint.get(ONE_USER)
@requires(Role.ADMIN)
def user(user_id: int) -> ResponseReturnValue:
    """One account: its role, its state, its sessions."""
    return _user_page(_find(user_id))


@blueprint.post(f"{ONE_USER}/role")
@requires(Role.ADMIN)
def set_role(user_id: int) -> ResponseReturnValue:
    """Change what an account may do."""
    role = request.form.get("role", "")
    if role not in list(Role):
        abort(400)
    return _change(user_id, lambda found: accounts.set_role(found, Role(role)))


@blueprint.post(f"{ONE_USER}/deactivate")
@requires(Role.ADMIN)
def deactivate_user(user_id: int) -> ResponseReturnValue:
    """Close an account."""
    return _change(user_id, lambda found: accounts.set_active(found, False))


@blueprint.post(f"{ONE_USER}/activate")
@requires(Role.ADMIN)
def activate_user(user_id: int) -> ResponseReturnValue:
    """Open a closed account again."""
    return _change(user_id, lambda found: accounts.set_active(found, True))


@blueprint.post(f"{ONE_USER}/unlock")
@requires(Role.ADMIN)
def unlock_user(user_id: int) -> ResponseReturnValue:
    """End the lock that wrong passwords have set."""
    return _change(user_id, accounts.unlock)


@blueprint.post(f"{ONE_USER}/second-factor")
@requires(Role.ADMIN)
def reset_second_factor(user_id: int) -> ResponseReturnValue:
    """Turn the second factor off for somebody who has lost theirs."""
    return _change(user_id, accounts.reset_second_factor)


@blueprint.post(f"{ONE_USER}/password")
@requires(Role.ADMIN)
def reset_password(user_id: int) -> ResponseReturnValue:
    """Give an account a one-time password, which this answer shows and nothing shows again."""
    found = _find(user_id)
    if found.id == current_user.id:
        return _user_page(found, _not_oneself()), 400
    return _one_time_page(found, accounts.set_password(found))


@blueprint.post(f"{ONE_USER}/sessions/<int(max=9223372036854775807):session_id>/end")
@requires(Role.ADMIN)
def end_session(user_id: int, session_id: int) -> ResponseReturnValue:
    """End one session of an account."""
    if not logins.revoke(_find(user_id), session_id):
        abort(404)
    return redirect(url_for("admin.user", user_id=user_id), 303)


@blueprint.post(f"{ONE_USER}/sessions/end")
@requires(Role.ADMIN)
def end_sessions(user_id: int) -> ResponseReturnValue:
    """End all sessions of an account but the one that asks."""
    logins.revoke_all(_find(user_id))
    return redirect(url_for("admin.user", user_id=user_id), 303)


def _change(user_id: int, change: Callable[[User], None]) -> ResponseReturnValue:
    found = _find(user_id)
    if found.id == current_user.id:
        return _user_page(found, _not_oneself()), 400
    try:
        change(found)
    except AccountError as error:
        return _user_page(found, str(error)), 400
    return redirect(url_for("admin.user", user_id=user_id), 303)


def _not_oneself() -> str:
    return _("This is your own account. Another administrator, or the command line, can change it in this way.")


def _find(user_id: int) -> User:
    found = db.session.get(User, user_id)
    if found is None:
        abort(404)
    return found


def _users_page(error: str = "") -> str:
    found = db.session.scalars(select(User).order_by(User.active.desc(), User.name)).all()
    return render_template(
        "admin/users.html",
        users=found,
        roles=list(Role),
        words=words,
        error=error,
        now=clock.now(),
        days=accounts.ONE_TIME_DAYS,
        name=request.form.get("name", ""),
    )


def _user_page(found: User, error: str = "") -> str:
    return render_template(
        "admin/user.html",
        user=found,
        roles=list(Role),
        words=words,
        error=error,
        now=clock.now(),
        sessions=logins.sessions_of(found),
        own=logins.current_session(),
        codes_left=second_factor.codes_left(found),
        needed=second_factor.needed(found, current_app.config["LENS"]),
        trail=audit.trail(f"user:{found.id}", limit=20),
    )


def _one_time_page(found: User, password: str) -> str:
    return render_template("admin/one_time.html", user=found, password=password, days=accounts.ONE_TIME_DAYS)
