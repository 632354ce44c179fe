"""Packages: their licences, what is known of their faults, and the list of all parts."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parent.parent


def audit() -> dict[str, Any]:
    return runpy.run_path(str(PROJECT / ".ci" / "audit.py"))


def test_every_package_has_a_licence_that_is_allowed() -> None:
    licences = runpy.run_path(str(PROJECT / "docs" / "update_licences.py"))
    wrong = {name: stated for name, stated in licences["pinned"]().items() if not licences["is_allowed"](stated)}
    assert not wrong, "look at these, then at ALLOWED and CALLED in docs/update_licences.py"


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 OR BSD-3-Clause", True),
        ("Apache-2.0 WITH LLVM-exception AND (MIT OR Zlib)", True),
        ("GPL-3.0-or-later", False),
        ("MIT AND AGPL-3.0-only", False),
        ("Other/Proprietary", False),
        ("", False),
    ],
)
def test_a_licence_must_be_on_the_list(expression: str, allowed: bool) -> None:
    assert runpy.run_path(str(PROJECT / "docs" / "update_licences.py"))["is_allowed"](expression) is allowed


def test_what_could_not_be_looked_up_is_said() -> None:
    verdict = audit()["verdict"]
    known = {"name": "good", "version": "1", "vulns": []}
    bad = {"name": "bad", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
    skipped = [{"name": f"own-{number}", "skip_reason": "not found"} for number in range(7)]
    lines, faults, complete = verdict("pins", [known], "")
    assert (lines, faults, complete) == (["pins: 1 packages looked up, 0 faults known."], False, True)
    lines, faults, complete = verdict("pins", [known, bad], "")
    assert lines[0] == "pins: bad 2: CVE-1 (mended in 3)"
    assert (faults, complete) == (True, True)
    lines, faults, complete = verdict("pins", [known, *skipped], "")
    assert "7 of 8 packages NOT AUDITED" in lines[0]
    assert "own-0, own-1, own-2, own-3, own-4 and others" in lines[0]
    assert (faults, complete) == (False, False)
    lines, faults, complete = verdict("pins", [], "no connection")
    assert lines == ["pins: NOT AUDITED. The list of known faults could not be read: no connection"]
    assert (faults, complete) == (False, False)


def test_installing_wants_the_hashes() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    install = next(line for line in makefile.splitlines() if line.startswith("install ="))
    assert "--require-hashes" in install
    assert makefile.count("pip install") == 1


def test_the_list_of_parts_is_cyclonedx(tmp_path: Path) -> None:
    """As `make sbom` writes it, which .ci/run does: what runs, pinned, and none of the tools."""
    recipe = (PROJECT / "Makefile").read_text(encoding="utf-8").partition("\nsbom: tools\n")[2].splitlines()[0]
    assert "cyclonedx-py requirements" in recipe
    assert recipe.endswith(" requirements.txt")
    assert "make sbom" in (PROJECT / ".ci" / "run").read_text(encoding="utf-8")
    command = Path(sys.executable).with_name("cyclonedx-py")
    out = tmp_path / "sbom.json"
    subprocess.run(
        [command, "requirements", "--output-reproducible", "--no-validate", "--output-file", out, "requirements.txt"],
        check=True, capture_output=True, cwd=PROJECT,
    )  # fmt: skip
    parts = json.loads(out.read_text(encoding="utf-8"))
    assert parts["bomFormat"] == "CycloneDX"
    found = {part["name"].lower(): part for part in parts["components"]}
    assert {"flask", "torch", "pillow", "argon2-cffi"} <= set(found)
    assert not {"pytest", "ruff", "mypy"} & set(found)
    assert found["flask"]["version"]
    hashes = [reference["hashes"] for reference in found["flask"]["externalReferences"] if "hashes" in reference]
    assert hashes
