"""One's own account: password, second factor, sessions."""

from flask import Response, abort, current_app, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from webapp import audit, clock
from webapp.account import accounts, logins, second_factor
from webapp.account.access import requires
from webapp.account.attempts import confirm
from webapp.account.forms import ConfirmForm, PasswordForm, first_error
from webapp.account.passwords import weakness
from webapp.account.views import blueprint
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import limiter
from webapp.i18n import gettext as _
from webapp.models.user import Role, User

# Under this name the cookie carries the secret of a second factor that is being set up, encrypted.
ENROLMENT = "enrolment"


@blueprint.get("/account")
@requires(Role.VIEWER)
def overview() -> ResponseReturnValue:
    """What there is to know about one's own account, and its sessions."""
    user = _user()
    return render_template(
        "account/overview.html",
        user=user,
        sessions=logins.sessions_of(user),
        own=logins.current_session(),
        codes_left=second_factor.codes_left(user),
        needed=second_factor.needed(user, _config()),
    )


@blueprint.post("/account/sessions/<int(max=9223372036854775807):session_id>/end")
@requires(Role.VIEWER)
def end_session(session_id: int) -> ResponseReturnValue:
    """End one of one's own sessions."""
    if not logins.revoke(_user(), session_id):
        abort(404)
    return redirect(url_for("account.overview"), 303)


@blueprint.post("/account/sessions/end")
@requires(Role.VIEWER)
def end_other_sessions() -> ResponseReturnValue:
    """End all of one's own sessions but this one."""
    logins.revoke_all(_user())
    return redirect(url_for("account.overview"), 303)


@blueprint.get("/account/password")
@requires(Role.VIEWER)
def password_page() -> ResponseReturnValue:
    """The form for a new password."""
    return render_template("account/password.html", form=PasswordForm(), user=_user())


@blueprint.post("/account/password")
@limiter.limit(lambda: current_app.config["LENS"].login_rate)
@requires(Role.VIEWER)
def change_password() -> ResponseReturnValue:
    """Change one's own password. All other sessions end, and this one gets a new key."""
    form, user = PasswordForm(), _user()
    new = form.new.data or ""
    if not form.validate():
        error: str | None = first_error(form)
    elif new == form.password.data:
        error = _("The new password is the same as the present one.")
    elif (error := weakness(new, user.name, _config())) is None and not confirm(
        user, form.password.data or "", _config()
    ):
        error = _wrong()
    if error is not None:
        return render_template("account/password.html", form=form, user=user, error=error), 400
    accounts.set_password(user, new, own=True)
    logins.renew(user)
    return redirect(url_for("account.overview", done="password"), 303)


@blueprint.get("/account/second-factor")
@requires(Role.VIEWER)
def factor_page() -> ResponseReturnValue:
    """Setting up the second factor, or changing it."""
    return _factor_page(ConfirmForm())


@blueprint.get("/account/second-factor/picture.svg")
@requires(Role.VIEWER)
def factor_picture() -> ResponseReturnValue:
    """The secret that is being set up, as a QR code."""
    user = _user()
    secret = _enrolment(user)
    if secret is None or user.totp_secret is not None:
        abort(404)
    response: Response = make_response(second_factor.picture(user, secret))
    response.headers["Content-Type"] = "image/svg+xml"
    return response


@blueprint.post("/account/second-factor")
@limiter.limit(lambda: current_app.config["LENS"].login_rate)
@requires(Role.VIEWER)
def enrol() -> ResponseReturnValue:
    """Turn the second factor on, once a code shows that the app has its secret. Other sessions end."""
    form, user = ConfirmForm(), _user()
    secret = _enrolment(user)
    if user.totp_secret is not None or secret is None:
        return redirect(url_for("account.factor_page"), 303)
    if not form.validate():
        return _factor_page(form, first_error(form)), 400
    step = second_factor.matching_step(secret, "".join((form.code.data or "").split()), clock.now())
    if not confirm(user, form.password.data or "", _config()):
        return _factor_page(form, _wrong()), 400
    if step is None:
        error = _("The code does not fit. Check that the time of your phone is right, and enter the newest code.")
        return _factor_page(form, error), 400
    with write_transaction() as transaction:
        transaction.refresh(user, with_for_update=True)
        codes = second_factor.enrol(user, secret, step)
        ended = logins.drop_all(user)
        audit.record("second_factor.enrol", f"user:{user.id}", sessions=ended)
    session.pop(ENROLMENT, None)
    logins.renew(user)
    return render_template("account/recovery_codes.html", codes=codes)


@blueprint.post("/account/second-factor/codes")
@limiter.limit(lambda: current_app.config["LENS"].login_rate)
@requires(Role.VIEWER)
def renew_codes() -> ResponseReturnValue:
    """Make new recovery codes; those before count no more."""
    form, user = ConfirmForm(), _user()
    if (refusal := _unconfirmed(form, user)) is not None:
        return refusal
    with write_transaction():
        codes = second_factor.renew_codes(user)
        audit.record("second_factor.renew", f"user:{user.id}")
    return render_template("account/recovery_codes.html", codes=codes)


@blueprint.post("/account/second-factor/remove")
@limiter.limit(lambda: current_app.config["LENS"].login_rate)
@requires(Role.VIEWER)
def remove_factor() -> ResponseReturnValue:
    """Turn the second factor off, to set up another one or none."""
    form, user = ConfirmForm(), _user()
    if (refusal := _unconfirmed(form, user)) is not None:
        return refusal
    with write_transaction() as transaction:
        transaction.refresh(user, with_for_update=True)
        second_factor.remove(user)
        audit.record("second_factor.remove", f"user:{user.id}")
    logins.renew(user)
    return redirect(url_for("account.factor_page"), 303)


def _unconfirmed(form: ConfirmForm, user: User) -> ResponseReturnValue | None:
    """The answer where password or code are wrong; None where both are right."""
    if user.totp_secret is None:
        return redirect(url_for("account.factor_page"), 303)
    if not form.validate():
        return _factor_page(form, first_error(form)), 400
    if not confirm(user, form.password.data or "", _config(), form.code.data or ""):
        return _factor_page(form, _wrong()), 400
    return None


def _factor_page(form: ConfirmForm, error: str = "") -> str:
    user = _user()
    secret = _enrolment(user, make=request.method == "GET") if user.totp_secret is None else None
    return render_template(
        "account/second_factor.html",
        form=form,
        error=error,
        user=user,
        secret=secret,
        needed=second_factor.needed(user, _config()),
        codes_left=second_factor.codes_left(user),
    )


def _enrolment(user: User, *, make: bool = False) -> str | None:
    """The secret that is being set up in this browser; with `make` a new one where there is none."""
    sealed = session.get(ENROLMENT)
    secret = second_factor.unseal(user, sealed.encode()) if isinstance(sealed, str) else None
    if secret is None and make:
        secret = second_factor.new_secret()
        session[ENROLMENT] = second_factor.seal(user, secret).decode()
    return secret


def _wrong() -> str:
    return _("Password or code is wrong, or the account is locked for a while after too many attempts.")


def _user() -> User:
    user: User = current_user._get_current_object()
    return user


def _config() -> Config:
    config: Config = current_app.config["LENS"]
    return config
