"""The examples in deploy/: services that may do little, and an nginx that answers for its own name only."""

import itertools
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.serving import free_port
from webapp.senders import network_of

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
CONFINED = {
    "CapabilityBoundingSet=", "LockPersonality=true", "NoNewPrivileges=true", "PrivateDevices=true", "PrivateTmp=true",
    "PrivateUsers=true", "ProtectControlGroups=true", "ProtectHome=true", "ProtectKernelModules=true",
    "ProtectProc=invisible", "ProtectSystem=strict", "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces=true", "RestrictSUIDSGID=true", "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service", "SystemCallFilter=~@privileged", "UMask=0077", "User=lesion-lens",
}  # fmt: skip


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("*.service")), ids=lambda path: path.name)
def test_services_are_confined(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert set(lines) >= CONFINED
    for limit in ("MemoryMax=", "TasksMax="):
        assert any(line.startswith(limit) for line in lines), limit


def test_commands_run_as_the_service_does(tmp_path: Path) -> None:
    """With its user and its settings: another database would be met otherwise."""
    (tmp_path / "systemd-run").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "systemd-run").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    command = [str(DEPLOY / "lesion-lens"), "backup", "/mnt/else where/saved"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    given = done.stdout.splitlines()
    assert given[-3:] == ["wsgi", "backup", "/mnt/else where/saved"]
    assert "--pipe" in given
    unit = (DEPLOY / "lesion-lens.service").read_text(encoding="utf-8").splitlines()
    for line in given:
        _, is_property, value = line.partition("--property=")
        if is_property:
            assert value in unit, f"{value} is not what the service has"
    for needed in ("User=lesion-lens", "EnvironmentFile=-/etc/lesion-lens.env", "UMask=0077"):
        assert f"--property={needed}" in given
    assert "env INSTANCE=" not in (DEPLOY.parent / "docs" / "deployment.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def nginx() -> str:
    """The program."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        assert os.environ.get("CI") != "true", ".ci/run installs nginx"
        pytest.skip("there is no nginx")
    return program


def framed(folder: Path, inside: str) -> Path:
    """A whole configuration around what goes into `http`, which writes into `folder` only."""
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in names)
    outside = f"daemon off; pid {folder}/pid; error_log {folder}/main.log; events {{}}"
    path = folder / "nginx.conf"
    path.write_text(f"{outside} http {{ {temporary} access_log off; {inside} }}")
    return path


def test_nginx_takes_the_site(nginx: str, tmp_path: Path) -> None:
    """As it is but for its ports, certificate and logs, and for what this nginx is too old for."""
    told = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr
    version = tuple(int(part) for part in re.findall(r"nginx/(\d+)\.(\d+)\.(\d+)", told)[0])
    write_certificate(tmp_path)
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    text = re.sub(r"^ *listen \[.*\n", "", text, flags=re.MULTILINE)  # not every machine has IPv6
    text = text.replace("listen 80", "listen 127.0.0.1:18080").replace("listen 443", "listen 127.0.0.1:18443")
    text = text.replace("/etc/letsencrypt/live/lens.example.org/", f"{tmp_path}/").replace(
        "/var/log/nginx", str(tmp_path)
    )
    if version < (1, 25, 1):  # as the comment beside it says
        text = re.sub(r"^ *http2 on;.*\n", "", text, flags=re.MULTILINE)
    done = subprocess.run([nginx, "-t", "-c", framed(tmp_path, text)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


def test_nginx_counts_senders_as_the_application_does(nginx: str, tmp_path: Path) -> None:
    """Two addresses have one key there exactly where `network_of` tells them as one."""
    addresses = [
        "203.0.113.7", "203.0.113.8", "::ffff:203.0.113.7", "::ffff:203.0.113.8", "2001:db8:0:1::1",
        "2001:db8:0:1:ffff:ffff:ffff:a0a", "2001:db8:0:2::1", "2001:db8::1", "::1", "::", "a0a:a0a:a0a:a0a::a0a",
    ]  # fmt: skip
    site = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    assert re.findall(r"^limit_conn_zone (\S+) ", site, re.MULTILINE) == ["$lesion_lens_sender"]
    (senders,) = re.findall(
        r"^map \$binary_remote_addr \$lesion_lens_sender \{\n.*?^\}\n", site, re.MULTILINE | re.DOTALL
    )
    port = free_port()
    server = (
        f"server {{ listen 127.0.0.1:{port}; set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For; "
        "location / { return 200 $lesion_lens_sender; } }"
    )
    running = subprocess.Popen([nginx, "-c", framed(tmp_path, senders + server)], stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=httpx.HTTPTransport(retries=8)) as client:
            keys = {one: client.get("/", headers={"X-Forwarded-For": one}).content for one in addresses}
    finally:
        running.terminate()
        running.wait(30)
    assert all(keys.values()), "an empty key is not counted"
    for first, second in itertools.combinations(addresses, 2):
        together = network_of(first) == network_of(second)
        assert (keys[first] == keys[second]) is together, (first, second)


def write_certificate(folder: Path) -> None:
    """A certificate of nobody for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lens.example.org")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1)
    )
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (folder / "fullchain.pem").write_bytes(pem)
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "privkey.pem").write_bytes(private)


def test_nginx_keeps_no_address_and_no_connection_that_is_closed() -> None:
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    assert re.findall(r"^ *error_log \S+ (\w+);", text, re.MULTILINE) == ["emerg"]
    ((kept,),) = [re.findall(r"keepalive_timeout (\d+)s;", text.partition("}")[0])]
    gunicorn = (DEPLOY.parent / "gunicorn.conf.py").read_text(encoding="utf-8")
    assert int(kept) < int(re.findall(r"^keepalive = (\d+)$", gunicorn, re.MULTILINE)[0])
    assert "limit_conn lesion_lens_senders 40;" in text


def test_nginx_answers_for_its_own_name_only() -> None:
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    assert "listen 443 ssl default_server;" in text
    assert "ssl_reject_handshake on;" in text
    assert "ssl_protocols TLSv1.2 TLSv1.3;" in text
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in text  # not what the visitor says of itself
    for line in text.splitlines():
        assert "autoindex" not in line
        assert not line.strip().startswith(("root ", "alias ")), "photos are never served from the disk"
