"""Every setting of the web application: its name, type, default and what it is for."""

import os
import secrets
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from limits import parse_many

PROJECT_FOLDER = Path(__file__).resolve().parent.parent
MEGABYTE = 1024 * 1024
PHOTOS_PER_SCREENING = 3
TRUE_WORDS = ("1", "true", "yes", "on")
FALSE_WORDS = ("0", "false", "no", "off")
LOG_FORMATS = ("text", "json")
RATES = ("upload_rate", "view_rate", "login_rate", "api_rate", "telegram_rate")
CHOICES = {"require_totp": ("off", "admins", "all")}
ADDRESSES = ("public_url", "telegram_api", "telegram_webhook_url")


class ConfigError(ValueError):
    """A setting in the environment cannot be used; the message names it and says what is expected."""


@dataclass(frozen=True)
class Config:
    """The settings. Each is read from the environment variable of its name in capitals."""

    instance: Annotated[Path, "Folder for the database, photos, trained models and the secret key."] = (
        PROJECT_FOLDER / "instance"
    )
    secret_key: Annotated[str, "Signs sessions and forms. Made once and kept in `INSTANCE/secret_key` when unset."] = ""
    database_url: Annotated[str, "SQLAlchemy address of the database. SQLite in `INSTANCE` when unset."] = ""
    photo_store: Annotated[str, "Folder that keeps the photos. `INSTANCE/photos` when unset."] = ""
    photo_retention_days: Annotated[
        int,
        "`flask screenings sweep` erases photos and results older than this. 0 keeps them until someone deletes them.",
    ] = 0
    model: Annotated[
        str,
        "Model that answers: NAME, NAME@VERSION or a path; or several with commas between, one for each label set, "
        "the default one first. The shipped ones when unset.",
    ] = ""
    promotion_data: Annotated[
        str,
        "Prepared data whose split `promotion` decides whether a model may replace another; several with commas "
        "between, one for each label set. `INSTANCE/promotion/<label set>` where unset.",
    ] = ""
    promotion_margin: Annotated[
        float,
        "How much lower a promoted model's sensitivity to malignant lesions may be, as a share: a larger loss must be "
        "ruled out with 95 % certainty.",
    ] = 0.08
    answer_not_dermatoscopic: Annotated[
        bool, "Answer ordinary, not dermatoscopic photos too, with a caution, instead of refusing them."
    ] = False
    severity: Annotated[
        bool,
        "Grade the severity of five diseases, where `flask train --stage severity` has made models of it. Never of "
        "melanoma. Grades learnt from the image-based proxy are no clinical grades.",
    ] = False
    port: Annotated[int, "Port that `make run` listens on."] = 8000
    max_upload_mb: Annotated[int, "Largest photo accepted, in megabytes."] = 15
    max_pixels: Annotated[int, "Largest photo accepted, in pixels (width times height)."] = 50_000_000
    photo_max_side: Annotated[int, "Photos are kept, and answered, with at most this many pixels on a side."] = 2400
    claim_seconds: Annotated[int, "After this long an unfinished screening is taken up by the next visit or sweep."] = (
        120
    )
    wait_seconds: Annotated[
        int,
        "Within how many seconds an upload is to be answered: one that could not be, by how long answers took lately, "
        "is asked to come back, and one whose turn has not come by then has a page that says that it is waiting.",
    ] = 10
    queue_length: Annotated[
        int,
        "Uploads that a process takes at one time at most, those that wait for their turn included; others are asked "
        "to come back. Keep it below the 24 threads of a process, or else pages and health checks wait too.",
    ] = 16
    log_format: Annotated[str, "`text`, or `json` for one line of JSON for each request and message."] = "text"
    metrics: Annotated[
        bool, "Answer `/metrics` for Prometheus: to programs on the same machine, or to whoever has METRICS_TOKEN."
    ] = False
    metrics_token: Annotated[str, "What a Prometheus server must send as its bearer token to read `/metrics`."] = ""
    upload_rate: Annotated[
        str, "Uploads allowed from one address; through the API, where they are counted apart, or with one token."
    ] = "60 per minute;600 per hour"
    view_rate: Annotated[str, "Results, photos and heatmaps that may be asked for from one address."] = (
        "300 per minute;5000 per hour"
    )
    api_rate: Annotated[str, "Requests to the API allowed from one address, or with one token."] = (
        "300 per minute;5000 per hour"
    )
    api_tokens_required: Annotated[
        bool, "Answer API requests only with a token that `flask tokens create` has made. Off: open to all."
    ] = False
    public_url: Annotated[
        str, "Address that people reach the pages at, such as `https://lens.example.org`: the bot links results there."
    ] = ""
    operator: Annotated[str, "Who runs this site and how to reach them, for the page about privacy."] = ""
    telegram_token: Annotated[str, "Token of the bot that `flask telegram` runs, from @BotFather."] = ""
    telegram_rate: Annotated[str, "Photos that one chat may send to the bot, an album counting once."] = (
        "10 per minute;60 per hour"
    )
    telegram_webhook_url: Annotated[
        str, "Public HTTPS address that Telegram sends messages to. The bot asks Telegram for them when unset."
    ] = ""
    telegram_port: Annotated[int, "Port on 127.0.0.1 where the bot listens for what comes to that address."] = 8001
    telegram_api: Annotated[str, "Address of the Bot API: Telegram's, or that of a Bot API server of one's own."] = (
        "https://api.telegram.org"
    )
    training_data: Annotated[
        str,
        "Folders that admins may train on from the web, with commas between: made by `flask data prepare`, or holding "
        "such folders. `INSTANCE/datasets` when unset.",
    ] = ""
    gate_pictures: Annotated[
        str,
        "Folder of photos that a model must not answer, with `not_skin/`, `clinical_photos/` and, for models of "
        "ordinary photos, `dermatoscopic/`: the gate of every model trained here learns from them. "
        "`INSTANCE/gate-pictures` when unset, where that folder is there.",
    ] = ""
    training_threads: Annotated[
        int, "Processor threads of a run started from the web. 0 takes half of the cores, so that answers stay quick."
    ] = 0
    training_niceness: Annotated[
        int, "How far a run started from the web steps back behind everything else, 0 (not at all) to 19."
    ] = 10
    login_rate: Annotated[str, "Log-in attempts allowed from one address."] = "10 per minute;100 per hour"
    rate_storage: Annotated[
        str, "Where rate limits are counted. In each process by default; a Redis address shares them."
    ] = "memory://"
    login_failures: Annotated[int, "Wrong passwords in a row that lock an account for a while."] = 5
    login_lock_minutes: Annotated[int, "How long an account stays locked."] = 15
    password_min_length: Annotated[int, "Shortest password accepted."] = 12
    session_hours: Annotated[int, "How long a log-in lasts at most."] = 12
    session_idle_minutes: Annotated[int, "A log-in that was not used for so long ends. 0: never for this reason."] = 30
    require_totp: Annotated[
        str, "Who must have a second factor, and sets it up before anything else: `off`, `admins` or `all`."
    ] = "off"
    session_cookie_secure: Annotated[bool, "Set behind TLS: cookies travel over HTTPS only, and HSTS is sent."] = False
    allowed_hosts: Annotated[
        str,
        "Host names that are answered for, with commas between; `.example.org` stands for every name below it as well. "
        "This machine's own, such as `localhost`, always are. Any name when unset.",
    ] = ""
    trusted_proxies: Annotated[int, "Number of reverse proxies in front whose X-Forwarded headers are believed."] = 0
    testing: Annotated[bool, "Errors are raised instead of shown. For the test suite only."] = False

    @property
    def database(self) -> str:
        """The SQLAlchemy address in use."""
        return self.database_url or f"sqlite:///{self.instance.resolve() / 'lesion-lens.sqlite'}"

    @property
    def photos(self) -> Path:
        """The photo folder in use."""
        return Path(self.photo_store) if self.photo_store else self.instance / "photos"

    @property
    def models(self) -> Path:
        """Where `flask train` puts bundles and `MODEL` finds them."""
        return self.instance / "models"

    @property
    def runs(self) -> Path:
        """Where runs started from the web keep checkpoints, histories and logs."""
        return self.instance / "runs"

    @property
    def training_folders(self) -> tuple[Path, ...]:
        """The folders in `TRAINING_DATA`."""
        named = tuple(Path(name) for part in self.training_data.split(",") if (name := part.strip()))
        return named or (self.instance / "datasets",)

    @property
    def gate_folder(self) -> Path | None:
        """The folder in `GATE_PICTURES`; None where none is named and the one in `INSTANCE` is not there."""
        if self.gate_pictures:
            return Path(self.gate_pictures)
        own = self.instance / "gate-pictures"
        return own if own.is_dir() else None

    @property
    def host_names(self) -> tuple[str, ...]:
        """The names in `ALLOWED_HOSTS`; empty where any is answered for."""
        return tuple(name for part in self.allowed_hosts.split(",") if (name := part.strip().casefold()))

    @property
    def model_references(self) -> tuple[str, ...]:
        """Each model named in `MODEL`, the default one first; empty where the shipped ones answer."""
        return tuple(name for part in self.model.split(",") if (name := part.strip()))

    @property
    def label_sets(self) -> Path:
        """The folder of label sets that were added here, beside those that come with the application."""
        return self.instance / "label-sets"

    def to_flask(self) -> dict[str, Any]:
        """These settings as Flask and its extensions want them; `LENS` holds this object itself."""
        return {
            "LENS": self,
            "TESTING": self.testing,
            "SECRET_KEY": self.secret_key or kept_secret(self.instance / "secret_key"),
            "SQLALCHEMY_DATABASE_URI": self.database,
            "MAX_CONTENT_LENGTH": PHOTOS_PER_SCREENING * self.max_upload_mb * MEGABYTE + MEGABYTE,
            "MAX_FORM_MEMORY_SIZE": 500_000,
            "MAX_FORM_PARTS": 50,
            # Browsers take a name with this prefix from HTTPS alone, for exactly this host and all its paths: no other
            # name below the same domain can plant such a cookie.
            "SESSION_COOKIE_NAME": "__Host-lesion_lens" if self.session_cookie_secure else "lesion_lens",
            "SESSION_COOKIE_PATH": "/",
            "SESSION_COOKIE_HTTPONLY": True,
            "SESSION_COOKIE_SAMESITE": "Lax",
            "SESSION_COOKIE_SECURE": self.session_cookie_secure,
            "PERMANENT_SESSION_LIFETIME": self.session_hours * 3600,
            # A form stays valid as long as its session: a page left open over lunch must still submit.
            "WTF_CSRF_TIME_LIMIT": None,
            "RATELIMIT_STORAGE_URI": self.rate_storage,
            # Where hits cannot be counted together, each process counts its own until they can, and the log says so.
            "RATELIMIT_IN_MEMORY_FALLBACK_ENABLED": True,
            "RATELIMIT_SWALLOW_ERRORS": True,
            "BABEL_DEFAULT_LOCALE": "en",
        }


def load_config(environment: Mapping[str, str] | None = None) -> Config:
    """Settings from the environment; what is empty there counts as unset.

    Raises ConfigError naming the first one that cannot be used.
    """
    environment = os.environ if environment is None else environment
    types = typing.get_type_hints(Config)
    given = {
        item.name: _parse(item.name, text, types[item.name])
        for item in fields(Config)
        if (text := environment.get(item.name.upper(), "").strip()) and item.name != "testing"
    }
    return Config(**given)


def _parse(field: str, text: str, kind: type) -> Any:
    name = field.upper()
    if kind is bool:
        if text.lower() not in TRUE_WORDS + FALSE_WORDS:
            raise ConfigError(f"{name} must be 'true' or 'false', not '{text}'.")
        return text.lower() in TRUE_WORDS
    if kind is int:
        if not text.isdecimal():
            raise ConfigError(f"{name} must be a whole number, not '{text}'.")
        return int(text)
    if kind is float:
        try:
            share = float(text)
        except ValueError:
            share = 0.0
        if not 0 < share < 1:
            raise ConfigError(f"{name} must be a number between 0 and 1, not '{text}'.")
        return share
    if field in CHOICES and text.lower() not in CHOICES[field]:
        raise ConfigError(f"{name} must be one of {', '.join(CHOICES[field])}, not '{text}'.")
    if field in CHOICES:
        return text.lower()
    if field in ADDRESSES and not text.startswith(("https://", "http://")):
        raise ConfigError(f"{name} must be an address that begins with https:// or http://, not '{text}'.")
    if field == "log_format" and text not in LOG_FORMATS:
        raise ConfigError(f"{name} must be 'text' or 'json', not '{text}'.")
    if field in RATES:
        try:
            parse_many(text)
        except ValueError as error:
            raise ConfigError(f"{name} must be rates such as '10 per minute;100 per hour', not '{text}'.") from error
    return kind(text)


def settings_table() -> str:
    """The settings as a Markdown table, for the documentation."""
    helps = typing.get_type_hints(Config, include_extras=True)
    lines = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for item in fields(Config):
        if item.name == "testing":
            continue
        default = item.default
        if isinstance(default, Path):
            default = default.relative_to(PROJECT_FOLDER)
        shown = str(default).lower() if isinstance(default, bool) else str(default)
        meaning = helps[item.name].__metadata__[0]
        lines.append(f"| `{item.name.upper()}` | {f'`{shown}`' if shown else ''} | {meaning} |")
    return "\n".join(lines) + "\n"


def kept_secret(path: Path) -> str:
    """The secret in `path`, readable by its owner only; made at the first call.

    Several processes may start at once: the first link wins and all read the same secret.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass  # another process was first; its secret is the one
        finally:
            temporary.unlink()
    return path.read_text(encoding="utf-8").strip()
