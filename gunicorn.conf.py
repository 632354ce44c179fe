"""How gunicorn serves Lesion Lens: few processes, because each holds a model, and several threads in each.

Read by gunicorn at start. PORT and WEB_CONCURRENCY come from the environment; an option on gunicorn's command line
goes before what is written here.
"""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger

# A path segment that could be a result's token or another secret: long, and of the URL-safe base64 alphabet.
SECRET_SEGMENT = re.compile(r"(?<=/)[A-Za-z0-9_-]{16,}(?=[/?#\s'\"]|$)")
# How gunicorn begins the line about a request that it cannot parse.
SENDER = re.compile(r"(?<=^Invalid request) from ip=[^\s]+(?=:\s)")


def whole_number(name: str, default: int, lowest: int, highest: int) -> int:
    """The whole number in environment variable `name`; ends the start with one sentence where it is not one."""
    text = os.environ.get(name, "").strip() or str(default)
    if not text.isascii() or not text.isdigit() or not lowest <= int(text) <= highest:
        sys.exit(f"{name} is {text!r}: it must be a whole number from {lowest} to {highest}.")
    return int(text)


def usable_cores() -> int:
    """Processor cores that this process may use (affinity and container quota taken into account), at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no control group of version 2, or a quota of "max"
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores, int(quota) // int(period))
    return max(1, cores)


def usable_memory() -> int:
    """Memory in bytes that this process may use (container limit taken into account); 0 where it is not known."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0
    with suppress(OSError, ValueError):
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return memory


def default_workers() -> int:
    """Two processes where there are cores and memory for two models (about 1 GB each at work), otherwise one."""
    return 2 if usable_cores() >= 4 and usable_memory() >= 6 * 1024**3 else 1


class TokenFreeLogger(Logger):  # type: ignore[misc]  # gunicorn carries no types
    """Gunicorn's logger, with result tokens masked in the paths it writes, and without senders' addresses."""

    def setup(self, cfg: Any) -> None:
        """Set up the loggers; with LOG_FORMAT=json, gunicorn's own messages are JSON lines too."""
        super().setup(cfg)
        if log_as_json:
            from webapp.request_log import JsonFormatter

            for handler in self.error_log.handlers:
                handler.setFormatter(JsonFormatter())

    def atoms(self, resp: Any, req: Any, environ: Mapping[str, Any], request_time: Any) -> dict[str, Any]:
        """The values of an access-log line: the path with secrets masked, as `%(path)s`."""
        atoms: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        atoms["path"] = mask_secrets(str(environ.get("PATH_INFO", "-")))
        return atoms

    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log a warning; for a request that cannot be parsed, what was sent is masked and the sender left out."""
        super().warning(mask_secrets(SENDER.sub("", msg)), *args, **kwargs)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log an exception; the address of the request, one of `args`, is masked."""
        masked = (mask_secrets(arg.partition("?")[0]) if isinstance(arg, str) else arg for arg in args)
        super().exception(msg, *masked, **kwargs)


def mask_secrets(path: str) -> str:
    """`path` with every segment that could be a token replaced by three asterisks: `/results/***`."""
    return SECRET_SEGMENT.sub("***", path)


bind = f"127.0.0.1:{whole_number('PORT', default=8000, lowest=0, highest=65535)}"

# A worker process is never forked from one that has loaded torch: its thread pools do not survive a fork.
preload_app = False
worker_class = "gthread"
workers = whole_number("WEB_CONCURRENCY", default=default_workers(), lowest=1, highest=64)
# More than QUEUE_LENGTH: those that are left serve pages and health checks, and refuse what finds no place.
threads = 24
backlog = 128
# Heartbeats go to memory: on a disk, a slow write looks like a worker that hangs.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
control_socket_disable = True

# A prediction takes part of a second; loading the model for the first one takes several.
timeout = 60
graceful_timeout = 30
keepalive = 5

limit_request_line = 2048
limit_request_fields = 60
limit_request_field_size = 8190

# No address, no referrer, no query, no token: what is left says how the server does, not who came.
logger_class = TokenFreeLogger
log_as_json = os.environ.get("LOG_FORMAT", "").strip() == "json"
accesslog = None if log_as_json else "-"  # the application writes its own line for each request then
errorlog = "-"
access_log_format = '%(t)s "%(m)s %(path)s" %(s)s %(B)s bytes %(M)s ms %({x-request-id}o)s'


def on_starting(server: Any) -> None:
    """Where METRICS is on, make the folder in which the workers' counters lie, in memory where that is possible."""
    if os.environ.get("METRICS", "").strip().lower() in ("1", "true", "yes", "on"):
        place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
        folder = tempfile.mkdtemp(prefix="lesion-lens-metrics-", dir=place)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder


def child_exit(server: Any, worker: Any) -> None:
    """Forget what a worker that has ended held at that moment: its gauges, not what it counted."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Remove the counters' folder."""
    shutil.rmtree(os.environ.pop("PROMETHEUS_MULTIPROC_DIR", ""), ignore_errors=True)


def post_fork(server: Any, worker: Any) -> None:
    """Share the cores among the workers. The application, and so torch, is imported after this."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // server.cfg.workers)))
