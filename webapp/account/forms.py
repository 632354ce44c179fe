"""The forms of logging in and of one's own account."""

from flask_babel import lazy_gettext
from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import EqualTo, InputRequired, Length

# Longer ones are refused before they cost the time of a hash.
MAX_PASSWORD = 1024
LONGEST_NEW = 128
MAX_CODE = 40

_PASSWORD = (InputRequired(lazy_gettext("Please enter your password.")), Length(max=MAX_PASSWORD))
_CODE = (InputRequired(lazy_gettext("Please enter the code.")), Length(max=MAX_CODE))


class LoginForm(FlaskForm):
    """Name and password."""

    name = StringField(
        lazy_gettext("Name"), validators=[InputRequired(lazy_gettext("Please enter your name.")), Length(max=80)]
    )
    password = PasswordField(lazy_gettext("Password"), validators=_PASSWORD)


class CodeForm(FlaskForm):
    """A code of the second factor."""

    code = StringField(lazy_gettext("Code"), validators=_CODE)


class ConfirmForm(FlaskForm):
    """Password and code, before the second factor is changed."""

    password = PasswordField(lazy_gettext("Password"), validators=_PASSWORD)
    code = StringField(lazy_gettext("Code"), validators=_CODE)


class PasswordForm(FlaskForm):
    """The present password, and twice a new one."""

    password = PasswordField(lazy_gettext("Present password"), validators=_PASSWORD)
    new = PasswordField(
        lazy_gettext("New password"),
        validators=[InputRequired(lazy_gettext("Please enter a new password.")), Length(max=MAX_PASSWORD)],
    )
    again = PasswordField(
        lazy_gettext("New password, once more"),
        validators=[EqualTo("new", lazy_gettext("The two new passwords are not the same."))],
    )


def first_error(form: FlaskForm) -> str:
    """The first complaint about a form."""
    return str(next(iter(form.errors.values()))[0])
