"""`make` in a bare folder: which interpreter it takes, and what it installs when. Nothing is fetched."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
COMMANDS = ("make", "sh", "cmp", "cp")

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the Makefile, requirements that ask for nothing, and `bin/` with the system commands it uses."""
    shutil.copy(PROJECT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").write_text("# nothing\n")
    (tmp_path / "bin").mkdir()
    for command in COMMANDS:
        if found := shutil.which(command):
            (tmp_path / "bin" / command).symlink_to(found)
    return tmp_path


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A virtual environment with pip, made once because that takes seconds."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder / ".venv"], check=True)
    yield folder
    shutil.rmtree(folder)


def make(checkout: Path, target: str = "environment", *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make with nothing but the checkout's own `bin/` in reach."""
    environment = {"PATH": str(checkout / "bin"), "HOME": str(checkout), "PIP_NO_INDEX": "1", "LC_ALL": "C"}
    return subprocess.run(
        ["make", "--no-print-directory", target, *arguments],
        cwd=checkout,
        env=environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )


def add_interpreter(checkout: Path, name: str, script: str) -> None:
    """Put an executable shell script in `bin/`; `$real` in it is the interpreter that runs the tests."""
    path = checkout / "bin" / name
    path.write_text(f"#!/bin/sh\nreal={sys.executable}\n{script}\n")
    path.chmod(0o755)


def use_environment(checkout: Path, environment: Path) -> None:
    os.symlink(environment / ".venv", checkout / ".venv")
    (checkout / ".venv" / "requirements.installed").unlink(missing_ok=True)


def test_no_interpreter_is_one_sentence(checkout: Path) -> None:
    outcome = make(checkout)
    assert outcome.returncode != 0
    assert "Lesion Lens needs Python 3.11 or later, and none was found." in outcome.stderr
    assert not (checkout / ".venv").exists()


def test_an_old_interpreter_is_passed_over(checkout: Path) -> None:
    add_interpreter(checkout, "python3", 'case "$*" in *version_info*) exit 1;; esac')
    outcome = make(checkout)
    assert outcome.returncode != 0
    assert "Python 3.11 or later" in outcome.stderr


def test_an_interpreter_without_ensurepip_names_the_package(checkout: Path) -> None:
    add_interpreter(checkout, "python3", 'case "$*" in *ensurepip*) exit 1;; esac; exec "$real" "$@"')
    outcome = make(checkout)
    assert outcome.returncode != 0
    assert "sudo apt install python3-venv" in outcome.stderr


def test_the_first_interpreter_that_works_makes_the_environment(checkout: Path) -> None:
    add_interpreter(checkout, "python3.13", "exit 127")
    add_interpreter(checkout, "python3", 'exec "$real" "$@"')
    outcome = make(checkout)
    assert outcome.returncode == 0, outcome.stderr
    assert "Making .venv with Python 3" in outcome.stdout
    assert (checkout / ".venv" / "requirements.installed").read_text() == "# nothing\n"


def test_packages_are_installed_once_for_each_set_of_pins(checkout: Path, made_once: Path) -> None:
    use_environment(checkout, made_once)
    first, second = make(checkout), make(checkout)
    assert "Installing" in first.stdout
    assert (second.returncode, second.stdout) == (0, "")

    (checkout / "requirements.txt").write_text("# still nothing\n")
    assert "Installing" in make(checkout).stdout


def test_a_failed_installation_is_tried_again(checkout: Path, made_once: Path) -> None:
    use_environment(checkout, made_once)
    (checkout / "requirements.txt").write_text("no-such-package-anywhere==1\n")
    for _ in range(2):
        outcome = make(checkout)
        assert outcome.returncode != 0
        assert "could not be installed" in outcome.stderr
