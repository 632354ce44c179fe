"""Sessions in a signed cookie, and none for the API."""

from flask import Flask, Request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface


class PageSessions(SecureCookieSessionInterface):
    """The API neither reads nor sets cookies: no page elsewhere can act there for somebody who is logged in."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """An empty session for the API, else that of the cookie."""
        return SecureCookieSession() if request.path.startswith("/api/") else super().open_session(app, request)


def init_sessions(app: Flask) -> None:
    """Give the application its sessions."""
    app.session_interface = PageSessions()
