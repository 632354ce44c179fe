"""The examples in deploy/: services that may do little, and an nginx that answers for its own name only."""

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


def test_nginx_answers_for_its_own_name_only() -> None:
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    assert "listen 443 ssl default_server;" in text
    assert "ssl_reject_handshake on;" in text
    assert "ssl_protocols TLSv1.2 TLSv1.3;" in text
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in text  # not what the visitor says of itself
    for line in text.splitlines():
        assert "autoindex" not in line
        assert not line.strip().startswith(("root ", "alias ")), "photos are never served from the disk"
