"""The log-in form."""

from flask_babel import lazy_gettext
from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

# Longer ones are refused before they cost the time of a hash.
MAX_PASSWORD = 1024


class LoginForm(FlaskForm):
    """Name and password."""

    name = StringField(
        lazy_gettext("Name"), validators=[InputRequired(lazy_gettext("Please enter your name.")), Length(max=80)]
    )
    password = PasswordField(
        lazy_gettext("Password"),
        validators=[InputRequired(lazy_gettext("Please enter your password.")), Length(max=MAX_PASSWORD)],
    )
