"""The examples in deploy/: services that may do little, and an nginx that answers for its own name only."""

import subprocess
from pathlib import Path

import pytest

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


def test_nginx_answers_for_its_own_name_only() -> None:
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    assert "listen 443 ssl default_server;" in text
    assert "ssl_reject_handshake on;" in text
    assert "ssl_protocols TLSv1.2 TLSv1.3;" in text
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in text  # not what the visitor says of itself
    for line in text.splitlines():
        assert "autoindex" not in line
        assert not line.strip().startswith(("root ", "alias ")), "photos are never served from the disk"
