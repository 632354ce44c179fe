"""The examples in docs/api.md, run as they stand there against a server."""

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.serving import make_server

from webapp.config import PROJECT_FOLDER
from webapp.inference import get_screener

DOCUMENT = PROJECT_FOLDER / "docs" / "api.md"
PLACE = "http://127.0.0.1:8000"


def example(language: str) -> str:
    """The first block of code in `language`."""
    found = re.search(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    assert PLACE in found.group(1)
    return found.group(1)


@pytest.fixture
def place(app: Flask) -> Iterator[str]:
    """Where a server of this test listens, with its model loaded."""
    with app.app_context():
        get_screener()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def folder(tmp_path: Path, photo: Callable[..., bytes]) -> Path:
    """A folder with a photo."""
    (tmp_path / "lesion.jpg").write_bytes(photo("mel", 1))
    return tmp_path


def test_python(place: str, folder: Path) -> None:
    (folder / "example.py").write_text(example("python").replace(PLACE, place), encoding="utf-8")
    done = subprocess.run([sys.executable, "example.py"], cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "not a diagnosis" in done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl(place: str, folder: Path) -> None:
    commands = example("sh").replace(PLACE, place)
    done = subprocess.run(["sh", "-e", "-c", commands], cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    answer = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
    assert json.loads(done.stdout) == answer  # what reading it says; deleting says nothing
    assert (folder / "heatmap.png").read_bytes().startswith(b"\x89PNG") is (answer["screening"]["status"] != "refused")
