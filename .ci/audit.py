"""Are faults known in the pinned packages? `make audit`.

Ends with 1 where one is known. What could not be looked up is named as not audited, never passed over in silence; with
the environment variable AUDIT_REQUIRED that ends with 1 too.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
PINS = ("requirements.txt", "requirements-dev.txt")
SECONDS = 300
NAMED = 5
"""How many packages a line names; of more it gives the number."""


def look_up(pins: str) -> tuple[list[dict[str, Any]], str]:
    """What pip-audit says of each pinned package, and the last line it printed. Nothing is installed for it."""
    with tempfile.TemporaryDirectory() as place:
        found = Path(place) / "found.json"
        command = [
            sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--requirement", pins,
            "--progress-spinner", "off", "--format", "json", "--output", str(found),
        ]  # fmt: skip
        try:
            done = subprocess.run(  # noqa: S603  # our own command
                command, cwd=PROJECT, capture_output=True, check=False, text=True, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            return [], f"no answer within {SECONDS} seconds"
        packages = json.loads(found.read_text(encoding="utf-8"))["dependencies"] if found.is_file() else []
        return packages, next(iter(reversed((done.stdout + done.stderr).strip().splitlines())), "")


def verdict(pins: str, packages: list[dict[str, Any]], said: str) -> tuple[list[str], bool, bool]:
    """Lines for a person, whether a fault is known, and whether everything was looked up."""
    faults = [
        f"{pins}: {package['name']} {package.get('version', '')}: {fault['id']}"
        f" (mended in {', '.join(fault.get('fix_versions', [])) or 'no release yet'})"
        for package in packages
        for fault in package.get("vulns", [])
    ]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    looked = len(packages) - len(skipped)
    lines = [*faults]
    if not packages:
        lines.append(f"{pins}: NOT AUDITED. The list of known faults could not be read: {said[:200]}")
    elif skipped:
        names = ", ".join(skipped[:NAMED]) + (" and others" if len(skipped) > NAMED else "")
        lines.append(
            f"{pins}: {len(skipped)} of {len(packages)} packages NOT AUDITED, their source knows none: {names}"
        )
    if looked:
        lines.append(f"{pins}: {looked} packages looked up, {len(faults)} faults known.")
    return lines, bool(faults), bool(packages) and not skipped


def main() -> int:
    """The exit status."""
    outcome = 0
    for pins in PINS:
        lines, faults, complete = verdict(pins, *look_up(pins))
        print("\n".join(lines))
        if faults or (not complete and os.environ.get("AUDIT_REQUIRED")):
            outcome = 1
    return outcome


if __name__ == "__main__":
    sys.exit(main())
