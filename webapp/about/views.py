"""The page about privacy, and what search engines are told."""

from flask import Blueprint, Response, current_app, render_template, url_for
from flask.typing import ResponseReturnValue

from webapp.config import Config

blueprint = Blueprint("about", __name__)


@blueprint.get("/privacy")
def privacy() -> ResponseReturnValue:
    """What is stored of people, why, for how long, who sees it, and how it is erased."""
    config: Config = current_app.config["LENS"]
    return render_template("about/privacy.html", settings=config)


@blueprint.get("/robots.txt")
def robots() -> ResponseReturnValue:
    """Search engines may list the public pages; results are named nowhere, and carry `noindex` besides."""
    closed = [url_for("account.login_page"), "/admin/", "/account", "/api/", "/results/", "/language/"]
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in closed), ""]
    return Response("\n".join(lines), mimetype="text/plain")
