"""A temporary nginx on loopback with the site of `deploy/nginx.conf`, for benchmarks."""

import re
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType

import httpx

from benchmarks.serving import PROJECT, TRANSPORT_ERRORS, free_port

FRAME = """\
{user}worker_processes 2;
daemon off;
pid {place}/nginx.pid;
error_log {place}/error.log crit;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
{site}
}}
"""


def site(application: int, port: int, place: Path) -> str:
    """The documented site for other ports, and without TLS, certificates and the redirect to it. All clients come from
    one address here, so that it does not limit them by it."""
    text = (PROJECT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    text = re.sub(r"server \{\n    listen 80(?: default_server)?;.*?\n\}\n", "", text, flags=re.DOTALL)
    text = re.sub(r"^ *(ssl_\w+|http2|limit_conn\w*|listen \[).*\n", "", text, flags=re.MULTILINE)
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    text = text.replace("server 127.0.0.1:8000;", f"server 127.0.0.1:{application};")
    return text.replace("/var/log/nginx/", f"{place}/")


class Proxy:
    """nginx in front of the application, while a `with` block lasts."""

    def __init__(self, place: Path, application: int) -> None:
        self.port = free_port()
        user = "user root;\n" if place.owner() == "root" else ""
        self._settings = place / "nginx.conf"
        self._settings.write_text(FRAME.format(user=user, place=place, site=site(application, self.port, place)))
        self._place = place

    def __enter__(self) -> "Proxy":
        """Start it. Raises FileNotFoundError where there is no nginx, and TimeoutError where it does not answer."""
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if program is None:
            raise FileNotFoundError("nginx is not installed (on Debian: apt-get install nginx-light)")
        command = [program, "-c", str(self._settings), "-p", str(self._place)]
        self._process = subprocess.Popen(command)  # noqa: S603
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=10)
            except TRANSPORT_ERRORS:
                time.sleep(0.1)
            else:
                return self
        self._process.terminate()
        raise TimeoutError("nginx does not answer")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(20)
