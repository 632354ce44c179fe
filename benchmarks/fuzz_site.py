"""The application that `benchmarks/fuzz.py` sends odd input to: a demonstration, people who are logged in, its forms.

It runs in this process, as it looks to somebody who has every form's token. Its database and photos are put back to
what they were whenever that is asked for, so that there is always something to delete and somebody is logged in.
"""

import io
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import pyotp
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.test import TestResponse

from benchmarks.serving import drawn_photo
from ml.data.drawn import write_drawn_dataset
from ml.data.prepare import prepare
from webapp import create_app
from webapp.config import Config
from webapp.demo.filling import fill
from webapp.demo.sizes import CHAMPION, SMALL
from webapp.extensions import db
from webapp.models.base import Base

RATE = "1000000 per minute"
PEOPLE = ("visitor", "half", "viewer", "reviewer", "admin")
"""Who asks. `half` has given the password of an account with a second factor, and not yet its code."""
FIRST = ("/", "/login", "/login/code", "/account", "/admin/")
MOST_PAGES = 3
"""Of each kind of page, so many are read for their forms and links."""
DATABASE = "lesion-lens.sqlite"
WORD = "word"


@dataclass
class Form:
    """A form as pages show it: where it goes, and for each of its fields the values that they have for it."""

    address: str
    method: str = "POST"
    files: set[str] = field(default_factory=set)
    fields: dict[str, list[str]] = field(default_factory=dict)

    def filled(self) -> dict[str, str]:
        """A value of each field, for buttons and choices the last one; a word where it is empty."""
        return {name: values[-1] or WORD for name, values in self.fields.items()}


class Page(HTMLParser):
    """Reads the links and the forms of a page."""

    def __init__(self, address: str, text: str) -> None:
        super().__init__()
        self.address, self.links, self.forms = address, list[str](), list[Form]()
        self._form: Form | None = None
        self._name = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a link, a form, or a field with one of its values."""
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in given:
            self.links.append(urljoin(self.address, given["href"]))
        elif tag == "form":
            self._form = Form(urljoin(self.address, given.get("action", "")), given.get("method", "get").upper())
            self.forms.append(self._form)
        elif self._form is None:
            return
        elif tag == "option":
            self._value(given.get("value", ""))
        elif tag in ("input", "select", "textarea", "button"):
            self._name = given.get("name", "")
            if given.get("type") == "file":
                self._form.files.add(self._name)
            elif tag != "select":
                self._value(given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        """A form ends."""
        if tag == "form":
            self._form = None

    def _value(self, value: str) -> None:
        if self._form is not None and self._name not in ("", "csrf_token"):
            self._form.fields.setdefault(self._name, []).append(value)


def demonstration(folder: Path) -> "Site":
    """A site with the small demonstration in it, and data to train on."""
    config = Config(
        instance=folder / "instance", model=CHAMPION, secret_key="of no use to anybody", session_idle_minutes=0,  # noqa: S106
        upload_rate=RATE, view_rate=RATE, api_rate=RATE, login_rate=RATE,
    )  # fmt: skip
    prepare(write_drawn_dataset(folder / "source", 6), "ham10000", config.instance / "datasets" / "drawn")
    app = create_app(config)
    with app.app_context():
        Base.metadata.create_all(db.engine)
        passwords = fill(lambda _line: None, SMALL)
    return Site(app, passwords)


class Site:
    """An application with the accounts of the demonstration: its addresses, queries and forms by endpoint, as its pages
    tell them, from the first ones and those in `first` on."""

    def __init__(self, app: Flask, passwords: Mapping[str, str], first: Sequence[str] = ()) -> None:
        app.config.update(WTF_CSRF_ENABLED=False, PROPAGATE_EXCEPTIONS=False)
        app.testing = False
        self.app, self.passwords = app, passwords
        self._instance: Path = app.config["LENS"].instance
        self._kept = self._instance.with_name("kept")
        self.tokens = [self._upload(seed) for seed in range(2)]
        self._cookies = {who: self._log_in(who) for who in PEOPLE}
        self._keep()
        self.addresses: dict[str, list[str]] = defaultdict(list)
        self.queries: dict[str, set[tuple[str, str]]] = defaultdict(set)
        self.forms: dict[str, Form] = {}
        self._read_pages: Counter[tuple[str, str]] = Counter()
        for who in ("visitor", "half", "admin"):
            self._walk(who, [*FIRST, *first, *(f"/results/{token}" for token in self.tokens)])
        self._send_each_form("admin")

    def client(self, who: str) -> FlaskClient:
        """A browser with the session of one of `PEOPLE`, as it was at the beginning."""
        client = self.app.test_client()
        if self._cookies[who]:
            client.set_cookie(self.app.config["SESSION_COOKIE_NAME"], self._cookies[who])
        return client

    def restore(self) -> None:
        """Database and photos as they were at the beginning."""
        self._close()
        for path in self._instance.glob(f"{DATABASE}-*"):
            path.unlink()
        shutil.copyfile(self._kept / DATABASE, self._instance / DATABASE)
        shutil.copytree(self._kept / "photos", self._instance / "photos", copy_function=_linked, dirs_exist_ok=True)

    def posts(self) -> Iterator[tuple[str, Form]]:
        """Every endpoint of the pages that takes a form, with that form; an empty one where no page shows it."""
        adapter = self.app.url_map.bind("localhost")
        for rule in sorted(self.app.url_map.iter_rules(), key=lambda rule: rule.endpoint):
            if "POST" in (rule.methods or ()) and not rule.endpoint.startswith("api."):
                address = adapter.build(rule.endpoint, dict.fromkeys(rule.arguments, 1), method="POST")
                yield rule.endpoint, self.forms.get(rule.endpoint) or Form(address)

    def _upload(self, seed: int) -> str:
        """The token of a screening that is answered."""
        files = [(io.BytesIO(drawn_photo(seed)), "photo.jpg")]
        answer = self.app.test_client().post("/api/v1/screenings", data={"consent": "true", "photos": files})
        return str(answer.get_json()["id"])

    def _log_in(self, who: str) -> str:
        """The session cookie of one of `PEOPLE`."""
        client = self.app.test_client()
        name = {"visitor": "", "half": "demo-second-reviewer"}.get(who, f"demo-{who}")
        if not name:
            return ""
        fields = {"name": name, "password": self.passwords[name]}
        client.post("/login", data=fields)
        if who == "half":
            secret = client.get("/account/second-factor").text.split('data-secret="')[1].split('"')[0]
            code = pyotp.TOTP(secret).now()
            client.post("/account/second-factor", data={"password": fields["password"], "code": code})
            client = self.app.test_client()
            client.post("/login", data=fields)
        cookie = client.get_cookie(self.app.config["SESSION_COOKIE_NAME"])
        return cookie.value if cookie else ""

    def _close(self) -> None:
        with self.app.app_context():
            db.session.remove()
            db.engine.dispose()

    def _keep(self) -> None:
        """Note what to go back to; the last one to close an SQLite file leaves nothing beside it."""
        self._close()
        self._kept.mkdir()
        shutil.copyfile(self._instance / DATABASE, self._kept / DATABASE)
        shutil.copytree(self._instance / "photos", self._kept / "photos", copy_function=_linked)

    def _walk(self, who: str, waiting: list[str]) -> None:
        """Follow links and forms that ask from some pages on, a few of each kind."""
        client, seen = self.client(who), set[str]()
        while waiting:
            address = waiting.pop(0)
            parts, endpoint = urlsplit(address), self._endpoint_of(address, "GET")
            self.queries[endpoint].update(parse_qsl(parts.query))
            enough = self._read_pages[who, endpoint] >= MOST_PAGES
            if parts.netloc or endpoint in ("", "static") or address in seen or enough:
                continue
            seen.add(address)
            self._read_pages[who, endpoint] += 1
            if parts.path not in self.addresses[endpoint]:
                self.addresses[endpoint].append(parts.path)
            waiting += self._read(address, client.get(address, buffered=True))

    def _read(self, address: str, answer: TestResponse) -> list[str]:
        """Note the forms on a page; where it leads to."""
        if answer.mimetype != "text/html":
            return []
        page = Page(address, answer.text)
        for form in page.forms:
            if form.method == "GET":
                page.links.append(f"{urlsplit(form.address).path}?{urlencode(form.filled())}")
                continue
            known = self.forms.setdefault(self._endpoint_of(form.address, "POST"), form)
            known.files |= form.files
            for name, values in form.fields.items():
                known.fields[name] = sorted({*known.fields.get(name, ()), *values})
        return page.links

    def _send_each_form(self, who: str) -> None:
        """Send each form as it is once, for the pages and forms that only come after; those in their turn, too."""
        sent: set[str] = set()
        while waiting := [endpoint for endpoint in self.forms if endpoint not in sent]:
            form = self.forms[waiting[0]]
            sent.add(waiting[0])
            self.restore()
            answer = self.client(who).post(form.address, data=form.filled(), follow_redirects=True, buffered=True)
            if answer.status_code == 200:
                self._walk(who, self._read(answer.request.path, answer))
        self.restore()

    def _endpoint_of(self, address: str, method: str) -> str:
        """Which endpoint answers an address; empty where none does."""
        try:
            endpoint, _arguments = self.app.url_map.bind("localhost").match(urlsplit(address).path, method=method)
        except (HTTPException, RequestRedirect):
            return ""
        return str(endpoint)


def _linked(source: str, target: str) -> None:
    """The same file under a second name; photos are never written to once they are there."""
    with suppress(FileExistsError):
        os.link(source, target)
