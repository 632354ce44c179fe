"""What surrounds the application fails: disk, database, folder, clock. People get a sentence, and nothing is lost.

Each fault ends by itself, and then the same upload is taken without anything being restarted.
"""

import io
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text, update
from werkzeug.test import TestResponse

from tests.webapp.forms import PASSWORD, form_token
from webapp import clock, database
from webapp.account.attempts import authenticate
from webapp.account.passwords import hash_password
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.models.screening import ScreeningRow
from webapp.models.user import User
from webapp.photos import PhotoStore

Upload = Callable[..., TestResponse]
Photo = Callable[..., bytes]
Rows = Callable[[], Sequence[ScreeningRow]]


def may_mount() -> bool:
    """Whether this process has the right to (CAP_SYS_ADMIN): root in a container mostly has not."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return False
    return bool(int(status.partition("CapEff:")[2].split()[0], 16) & 1 << 21)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    if not mounted and os.environ.get("CI") == "true" and may_mount():
        pytest.fail("a small disk could not be mounted, and nothing in this machine's rights keeps it from that")
    if not mounted:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    """Take the last bytes of a disk."""
    filler, left = place / "filler", os.statvfs(place)
    filler.write_bytes(bytes(left.f_bavail * left.f_frsize))
    assert os.statvfs(place).f_bavail == 0
    return filler


def send(client: FlaskClient, photo: bytes) -> TestResponse:
    return client.post("/api/v1/screenings", data={"consent": "true", "photos": [(io.BytesIO(photo), "a.jpg")]})


def assert_refused(upload: Upload, client: FlaskClient, photo: bytes, status: int, words: str) -> None:
    """The page and the API say the same in their ways, with a time to come back, and nothing about the inside."""
    page, problem = upload(photo), send(client, photo)
    assert (page.status_code, problem.status_code) == (status, status)
    assert words in page.text
    assert problem.mimetype == "application/problem+json"
    for answer in (page, problem):
        assert int(answer.headers["Retry-After"]) > 0
        assert "sqlite" not in answer.text.lower()
        assert "Errno" not in answer.text


def assert_recovered(app: Flask, upload: Upload, client: FlaskClient, photo: bytes, rows: Rows) -> None:
    """The same uploads are taken and answered; the database is sound; every row has its photo."""
    before = len(rows())
    place = upload(photo).headers["Location"]
    assert client.get(place).status_code == 200
    assert send(client, photo).status_code == 201
    assert len(rows()) == before + 2
    with app.app_context():
        assert list(db.session.scalars(text("PRAGMA integrity_check"))) == ["ok"]
        store: PhotoStore = app.extensions["photos"]
        for row in rows():
            for kept in row.photos:
                assert store.open(kept.name)


class TestDiskFull:
    """A real disk without room, for the photos and for the database."""

    @pytest.fixture(params=["photos", "database"])
    def config(self, config: Config, disk: Path, request: pytest.FixtureRequest) -> Config:
        if request.param == "photos":
            return replace(config, photo_store=str(disk / "photos"))
        return replace(config, database_url=f"sqlite:///{disk / 'lens.sqlite'}")

    def test_it(self, app: Flask, disk: Path, client: FlaskClient, upload: Upload, photo: Photo, rows: Rows) -> None:
        assert upload(photo("nv")).status_code == 303
        filler = fill(disk)
        assert_refused(upload, client, photo("mel"), 507, "disk is full")
        assert len(rows()) == 1
        filler.unlink()
        assert_recovered(app, upload, client, photo("mel"), rows)


class TestReadOnly:
    """A folder that cannot be written any more."""

    @pytest.fixture(params=["photos", "database"])
    def config(self, config: Config, disk: Path, request: pytest.FixtureRequest) -> Config:
        if request.param == "photos":
            return replace(config, photo_store=str(disk / "photos"))
        return replace(config, database_url=f"sqlite:///{disk / 'lens.sqlite'}")

    def test_it(self, app: Flask, disk: Path, client: FlaskClient, upload: Upload, photo: Photo, rows: Rows,
                config: Config) -> None:  # fmt: skip
        assert upload(photo("nv")).status_code == 303
        with app.app_context():
            db.engine.dispose()  # an open write-ahead log keeps a disk from becoming read-only
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        try:
            assert_refused(upload, client, photo("mel"), 503, "cannot store or answer")
        finally:
            with app.app_context():
                db.engine.dispose()
            subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        assert len(rows()) == 1
        assert_recovered(app, upload, client, photo("mel"), rows)


class TestLocked:
    """Somebody else holds the database for longer than anybody waits."""

    @pytest.fixture
    def config(self, config: Config, monkeypatch: pytest.MonkeyPatch) -> Config:
        monkeypatch.setattr(database, "BUSY_SECONDS", 0.5)
        return config

    def test_pages_and_api(self, app: Flask, config: Config, client: FlaskClient, upload: Upload, photo: Photo,
                           rows: Rows) -> None:  # fmt: skip
        assert upload(photo("nv")).status_code == 303
        with closing(database.sqlite_module().connect(config.instance / "lesion-lens.sqlite")) as other:
            other.execute("BEGIN IMMEDIATE")
            assert_refused(upload, client, photo("mel"), 503, "cannot store or answer")
            assert client.get("/healthz").status_code == 200
            assert len(list(config.photos.rglob("*.jpg"))) == 2, "photos whose row was not committed"
        assert len(rows()) == 1
        assert_recovered(app, upload, client, photo("mel"), rows)


@pytest.mark.parametrize("days", [1, -1])
class TestClock:
    """The machine's clock jumps by a day, under everything that looks at it."""

    @pytest.fixture
    def jump(self, monkeypatch: pytest.MonkeyPatch, days: int) -> Callable[[], None]:
        """Move the clock."""
        real = time.time

        def do() -> None:
            shift = days * 86_400
            monkeypatch.setattr(time, "time", lambda: real() + shift)
            monkeypatch.setattr(clock, "now", lambda: datetime.fromtimestamp(time.time(), UTC))

        return do

    def test_sessions_forms_and_uploads(self, app: Flask, admin: FlaskClient, upload: Upload, client: FlaskClient,
                                        photo: Photo, rows: Rows, jump: Callable[[], None]) -> None:  # fmt: skip
        place = upload(photo("nv")).headers["Location"]
        jump()
        for path in ("/", place, "/admin/history", "/login", "/readyz"):
            assert admin.get(path).status_code in (200, 302, 303), path
        assert_recovered(app, upload, client, photo("mel"), rows)
        assert client.post(f"{place}/delete", data={"csrf_token": form_token(client, place)}).status_code == 303
        assert client.get(place).status_code == 410

    def test_a_claim_holds_nobody_up(self, app: Flask, client: FlaskClient, upload: Upload, photo: Photo, rows: Rows,
                                     monkeypatch: pytest.MonkeyPatch, jump: Callable[[], None]) -> None:  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr("webapp.screening.views.answer", lambda screening_id: None)
            place = upload(photo("nv")).headers["Location"]
        with app.app_context(), write_transaction() as session:
            session.execute(update(ScreeningRow).values(claim="0" * 32, claimed_at=clock.now(), attempts=1))
        assert client.get(place).status_code == 202
        jump()
        assert client.get(place).status_code == 200
        assert rows()[0].state == "done"

    def test_rate_limits_and_locks_last_no_day(self, config: Config, make_app: Callable[[Config], Flask],
                                               jump: Callable[[], None]) -> None:  # fmt: skip
        app = make_app(replace(config, login_rate="2 per minute", instance=config.instance / "limited"))
        client = app.test_client()
        with app.app_context():
            user = User(name="anna", password_hash=hash_password(PASSWORD), created_at=clock.now())
            user.locked_until = clock.now() + timedelta(minutes=10)
            with write_transaction() as session:
                session.add(user)
            assert authenticate("anna", PASSWORD, config) is None
        for expected in (400, 400, 429):
            fields = {"name": "nobody", "password": "x", "csrf_token": form_token(client, "/login")}
            assert client.post("/login", data=fields).status_code == expected
        jump()
        fields["csrf_token"] = form_token(client, "/login")
        assert client.post("/login", data=fields).status_code == 400
        with app.app_context():
            assert authenticate("anna", PASSWORD, config) is not None
