"""`flask telegram`: the bot."""

import asyncio
import logging
import re
import signal

import click
from flask import current_app
from flask.cli import with_appcontext

from webapp.config import Config

# What BotFather gives: the number of the bot, and a secret.
TOKEN = re.compile(r"\d{3,20}:[A-Za-z0-9_-]{20,}")
# The first tell the address of each request, and the token is part of it; python-telegram-bot's own may quote messages.
QUIET = {
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "tornado.access": logging.ERROR,
    "telegram": logging.CRITICAL,
}


class MaskingFormatter(logging.Formatter):
    """Log lines without the bot's token, wherever in a message or a traceback it stood."""

    def __init__(self, token: str) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._token = token

    def format(self, record: logging.LogRecord) -> str:
        """The line, masked."""
        return super().format(record).replace(self._token, "***")


@click.command("telegram")
@with_appcontext
def telegram_command() -> None:
    """Answer photos in Telegram until stopped. Needs TELEGRAM_TOKEN; docs/telegram.md tells how to get one."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    config: Config = app.config["LENS"]
    if not config.telegram_token:
        raise click.ClickException(
            "TELEGRAM_TOKEN is not set. Make a bot with @BotFather in Telegram and set the token it gives you."
        )
    if not TOKEN.fullmatch(config.telegram_token):
        raise click.ClickException(
            "TELEGRAM_TOKEN is not a bot's token. @BotFather gives one like 123456789:AbC...xyz."
        )
    _init_log(config.telegram_token)

    from sqlalchemy.exc import OperationalError, ProgrammingError
    from telegram.error import BadRequest, InvalidToken

    from webapp.telegram.service import serve

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        how = "a webhook" if config.telegram_webhook_url else "long polling"
        await serve(app, stop, lambda name: click.echo(f"Answering as @{name} by {how}. Stop with Ctrl-C.", err=True))

    try:
        asyncio.run(run())
    except InvalidToken:
        raise click.ClickException(
            "Telegram does not accept TELEGRAM_TOKEN. Ask @BotFather for the bot's token."
        ) from None
    except BadRequest as error:
        raise click.ClickException(f"Telegram does not accept TELEGRAM_WEBHOOK_URL: {error}") from None
    except (OperationalError, ProgrammingError):
        raise click.ClickException(
            "The database is not there or not up to date: run `flask db upgrade` first."
        ) from None
    except OSError as error:
        raise click.ClickException(
            f"Port {config.telegram_port} (TELEGRAM_PORT) cannot be used: {error.strerror}."
        ) from None
    click.echo("Stopped.", err=True)


def _init_log(token: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(MaskingFormatter(token))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
