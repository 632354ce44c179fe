"""Which host names are answered for: a made-up `Host` header must not end up in links, and no other site may reach in.

A page elsewhere can let its own name point to this machine (DNS rebinding) and have a visitor's browser ask here; such
a request carries that page's name.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from flask import Flask, Response, request

from webapp.config import Config

# Health checks and Prometheus on the same machine ask under these.
OWN = ("localhost", "127.0.0.1", "::1")
REFUSED = "This server does not answer under this name. Check the address.\n"


def is_named(host: str, names: Collection[str]) -> bool:
    """Whether a `Host` header, with or without a port, is one of `names`; `.example.org` names all below it too."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:  # brackets that hold no address
        return False
    return any(name == one.lstrip(".") or (one.startswith(".") and name.endswith(one)) for one in names)


def init_hosts(app: Flask, config: Config) -> None:
    """With ALLOWED_HOSTS set, refuse requests for any other name. To be called before whatever reads the host."""
    if not config.host_names:
        return
    names = [*config.host_names, *OWN]

    @app.before_request
    def check_host() -> Response | None:
        if is_named(request.host, names):
            return None
        return Response(REFUSED, 400, mimetype="text/plain")  # no page: its links would carry that name
