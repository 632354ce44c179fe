"""`flask telegram` as a process: its sentences, its log, and how it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from flask import Flask

from ml.bundle import Bundle
from tests.webapp.telegram.bot_api import TOKEN, BotApi, Refusal, Sent
from webapp.config import PROJECT_FOLDER
from webapp.models.screening import ScreeningRow

# A process of its own loads a deep-learning library first.
PATIENCE = 280


def start(instance: Path, **settings: str) -> subprocess.Popen[str]:
    """The command, with nothing else in its environment."""
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "wsgi", "telegram"], cwd=PROJECT_FOLDER, text=True,
        env={"INSTANCE": str(instance), "OMP_NUM_THREADS": "1", "PATH": os.environ["PATH"], **settings},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        ("", "Error: TELEGRAM_TOKEN is not set. Make a bot with @BotFather"),
        ("secret", "Error: TELEGRAM_TOKEN is not a bot's token."),
    ],
)
def test_a_missing_or_odd_token_is_one_sentence(token: str, sentence: str, tmp_path: Path) -> None:
    process = start(tmp_path, TELEGRAM_TOKEN=token)
    said, _ = process.communicate(timeout=PATIENCE)
    assert said.startswith(sentence)
    assert said.count("\n") == 1
    assert process.returncode == 1


def test_a_token_that_telegram_refuses(tmp_path: Path, api: BotApi) -> None:
    token = f"{TOKEN}x"
    process = start(tmp_path, TELEGRAM_TOKEN=token, TELEGRAM_API=api.address)
    said, _ = process.communicate(timeout=PATIENCE)
    assert "Error: Telegram does not accept TELEGRAM_TOKEN" in said
    assert token not in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_the_process_logs_no_secret_and_ends_on_request(
    app: Flask, api: BotApi, tiny_bundle: Bundle, photo: Callable[..., bytes],
    rows: Callable[[], Sequence[ScreeningRow]],
) -> None:  # fmt: skip
    """SIGTERM when the second photo has been accepted: it is answered, and what was printed names nobody."""
    api.failures["getMe"] = [Refusal(502, "Bad Gateway")]
    process = start(
        Path(app.instance_path), TELEGRAM_TOKEN=TOKEN, TELEGRAM_API=api.address, MODEL=str(tiny_bundle.path),
        SECRET_KEY="for tests only",
    )  # fmt: skip
    try:
        api.write("/start", chat=424242)
        (welcome,) = api.wait(1, seconds=PATIENCE)
        api.press(welcome, "I agree")
        api.until(lambda: not welcome.buttons, PATIENCE)
        api.deliver(api.photo(photo("mel"), chat=424242))
        api.until(lambda: len(answers(api)) == 1, PATIENCE)  # the model is loaded now
        api.failures["sendMessage"] = [Refusal(502, "Bad Gateway")]
        api.deliver(api.photo(photo("mel", 1), chat=424242))
        api.until(lambda: len(rows()) == 2, PATIENCE)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert [row.state for row in rows()] == ["done", "done"]
    assert len(answers(api)) == 2
    assert "Answering as @lens_test_bot by long polling" in said
    assert "not reached" in said
    for secret in (TOKEN, TOKEN.partition(":")[2], "424242", "Zoe", "Quux", "Traceback"):
        assert secret not in said


def answers(api: BotApi) -> list[Sent]:
    """What was sent after the welcome, but for the notice that a photo has to wait, as it has while a model loads."""
    return [sent for sent in api.sent[1:] if "waits for its answer" not in sent.text]


@pytest.mark.slow
def test_a_killed_process_loses_nothing(
    app: Flask, api: BotApi, tiny_bundle: Bundle, photo: Callable[..., bytes],
    rows: Callable[[], Sequence[ScreeningRow]],
) -> None:  # fmt: skip
    settings = {"TELEGRAM_TOKEN": TOKEN, "TELEGRAM_API": api.address, "MODEL": str(tiny_bundle.path)}
    settings["SECRET_KEY"] = "for tests only"
    first = start(Path(app.instance_path), **settings)
    try:
        api.write("/start")
        (welcome,) = api.wait(1, seconds=PATIENCE)
        api.press(welcome, "I agree")
        api.until(lambda: not welcome.buttons, PATIENCE)
        api.failures["sendMessage"] = [Refusal(502, "Bad Gateway")] * 3
        api.deliver(api.photo(photo("mel")))
        api.until(lambda: bool(rows()), PATIENCE)
    finally:
        first.kill()
        first.communicate()
    second = start(Path(app.instance_path), **settings)
    try:
        api.until(lambda: len(answers(api)) == 1, PATIENCE)
        assert "What to do next" in answers(api)[0].text
        api.until(lambda: rows()[0].reply_to is None, PATIENCE)
        second.send_signal(signal.SIGTERM)
        second.communicate(timeout=PATIENCE)
    finally:
        second.kill()
    assert [(row.state, len(row.photos)) for row in rows()] == [("done", 1)]
    assert len(answers(api)) == 1
