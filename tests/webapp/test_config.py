"""Settings, the kept secret, and what importing the application costs."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import pytest
from flask import Flask

from ml.images import MAX_PIXELS
from webapp import create_app
from webapp.config import PROJECT_FOLDER, Config, ConfigError, kept_secret, load_config, settings_table


def test_settings_come_from_the_environment() -> None:
    config = load_config({"PHOTO_RETENTION_DAYS": " 30 ", "SESSION_COOKIE_SECURE": "Yes", "INSTANCE": "/srv/lens"})
    assert config.photo_retention_days == 30
    assert config.session_cookie_secure is True
    assert config.photos == Path("/srv/lens/photos")
    assert config.models == Path("/srv/lens/models")
    assert config.database == "sqlite:////srv/lens/lesion-lens.sqlite"
    assert load_config({"PHOTO_STORE": "/photos", "DATABASE_URL": "sqlite://"}).photos == Path("/photos")
    assert load_config({}) == Config()
    assert load_config({"INSTANCE": "", "PORT": " ", "UPLOAD_RATE": "", "SESSION_COOKIE_SECURE": ""}) == Config()
    assert Config().max_pixels == MAX_PIXELS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "-1"),
        ("SESSION_COOKIE_SECURE", "perhaps"),
        ("UPLOAD_RATE", "often"),
        ("LOGIN_RATE", "10 per minute;100 per fortnight"),
        ("TELEGRAM_RATE", "often"),
        ("PUBLIC_URL", "lens.example.org"),
    ],
)
def test_unusable_settings_are_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        load_config({name: value})


def test_an_unusable_setting_ends_a_command_with_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "wsgi", "settings"],
        cwd=PROJECT_FOLDER, env={"INSTANCE": str(tmp_path), "LOGIN_RATE": "often"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 3  # gunicorn stops at this status instead of trying again
    assert done.stderr == "LOGIN_RATE must be rates such as '10 per minute;100 per hour', not 'often'.\n"
    assert not list(tmp_path.iterdir())


def test_settings_table_lists_every_setting(app: Flask) -> None:
    table = settings_table()
    for item in fields(Config):
        assert (f"`{item.name.upper()}`" in table) is (item.name != "testing")
    assert app.test_cli_runner().invoke(args=["settings"]).output == table


def test_secret_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret_key"
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(lambda _: kept_secret(path), range(32)))
    assert len(secrets) == 1
    assert len(secrets.pop()) >= 43
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret_key"]


def test_starting_loads_no_deep_learning_library_and_opens_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, wsgi; heavy = {'torch', 'scipy', 'sklearn', 'matplotlib'} & set(sys.modules); "
        "print(sorted(heavy), wsgi.app.extensions['models']._loaded._screeners)"
    )
    environment = {"INSTANCE": str(tmp_path / "instance")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_FOLDER, env=environment, capture_output=True, text=True
    )
    assert done.stdout == "[] {}\n", done.stderr
    assert [path.name for path in (tmp_path / "instance").iterdir()] == ["secret_key"]


def test_what_is_written_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Whatever umask the application is started with: database, models, photos and exports."""
    instance = tmp_path / "instance"
    code = (
        "import os, wsgi; from pathlib import Path; import numpy as np; from sqlalchemy import text\n"
        "from ml.files import write_json; from webapp.extensions import db; from webapp.photos import get_photos\n"
        "with wsgi.app.app_context():\n"
        "    db.session.execute(text('CREATE TABLE one (id INTEGER)')); db.session.commit()\n"
        "    get_photos().keep(np.zeros((64, 64, 3), np.uint8))\n"
        "    folder = wsgi.app.config['LENS'].models; folder.mkdir(); write_json(folder / 'card.json', {})\n"
        "    Path(os.environ['INSTANCE'], 'export.csv').write_text('x')\n"
        "    os._exit(0)\n"  # the write-ahead log stays, to be looked at
    )
    done = subprocess.run(
        ["/bin/sh", "-c", f'umask 0022; exec "{sys.executable}" -c "$1"', "sh", code],
        cwd=PROJECT_FOLDER,
        env={"INSTANCE": str(instance)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    written = {path.relative_to(instance): path.stat().st_mode & 0o777 for path in instance.rglob("*")}
    assert instance.stat().st_mode & 0o777 == 0o700
    assert {path.suffix for path in written if path.suffix} >= {".sqlite", ".sqlite-wal", ".jpg", ".json", ".csv"}
    assert set(written.values()) == {0o600, 0o700}
    database = instance / "lesion-lens.sqlite"
    database.chmod(0o644)  # as an older release made it
    create_app(replace(load_config({}), instance=instance, secret_key="x"))
    assert database.stat().st_mode & 0o777 == 0o600
