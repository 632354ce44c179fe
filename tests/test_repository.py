"""The repository as a whole: documents in step with the code, small files, and nothing of any one machine in it."""

import ast
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parent.parent
CODE = {".py", ".js", ".css", ".html"}
LONGEST_FILE = 320
# Written by tools, one revision a file.
GENERATED = re.compile(r"(^|/)(vendor|migrations/versions)/")
# Hosts of package registries, and absolute paths that only one machine has. In pieces, so that this file passes.
FOREIGN = re.compile(
    "|".join([r"py" + r"pi\.[a-z]", r"registry\." + r"npm", r"(?<![\w.~}])/(?:wo" + r"rk|ro" + r"ot)/"])
)

# A path from the top of the repository, but for what follows --out.
NAMED = re.compile(
    r"(?<![\w/.-])(?<!--out )((?:tests|benchmarks|deploy|docs|webapp|ml|templates|static)/[\w/.-]+\.\w+)"
)


def tracked_files() -> list[Path]:
    """Files in version control that exist in the working tree."""
    try:
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.split("\0") if name and (path := PROJECT / name).is_file()]


@pytest.mark.parametrize(
    "script",
    [
        "update_settings.py",
        "update_figures.py",
        "update_conditions.py",
        "update_comparison.py",
        "update_latency.py",
        "update_first_look.py",
        "update_history.py",
        "update_reliability.py",
        "update_licences.py",
    ],
)
def test_documents_agree_with_the_code(script: str) -> None:
    run = subprocess.run(
        [sys.executable, f"docs/{script}", "--check"], cwd=PROJECT, capture_output=True, check=False, text=True
    )
    assert run.returncode == 0, f"{run.stdout}{run.stderr}\nmake docs writes them anew."


def test_figures_become_tables() -> None:
    figures = runpy.run_path(str(PROJECT / "docs" / "update_figures.py"))
    metrics = {
        "balanced_accuracy": 0.8125,
        "malignant": None,
        "per_class": {
            "mel": {"recall": 0.5, "precision": None, "auroc": 0.9, "support": 8, "intervals": {"recall": [0.25, 0.75]}}
        },
        "intervals": {"balanced_accuracy": [0.75, 0.875]},
    }
    headline, classes = figures["headline_table"](metrics), figures["class_table"](metrics)
    assert headline.splitlines()[2:] == ["| Balanced accuracy | 81.2 % | 75.0 % to 87.5 % |"]
    assert classes.splitlines()[2:] == ["| `mel` | 50.0 % | 25.0 % to 75.0 % | - | 0.900 | 8 |"]


def test_figures_that_older_evaluations_lack_are_left_out() -> None:
    figures = runpy.run_path(str(PROJECT / "docs" / "update_figures.py"))
    told = {"share": 0.5, "interval": [0.25, 0.75]}
    row = {"told": dict.fromkeys(("malignant_or_uncertain", "malignant", "own_class", "refused"), told)}
    side = {"ece": 0.1, "classwise_ece": 0.02, "malignant_risk": None, "brier": 0.3, "intervals": {"ece": [0.0, 0.2]}}
    shares = {"refused_share": 1.0, "refused_interval": [0.6, 1.0], "right_share": 0.5, "right_interval": [0.2, 0.8]}
    metrics = {
        "malignant": {"classes": ["bcc", "mel"]},
        "per_class": {"bcc": row, "nv": row, "mel": row},
        "calibration": {"bins": 15, "before": side, "after": side},
        "gate_pictures": {"rows": [{"kind": "not_skin", "type": None, "pictures": 6, **shares}]},
    }
    lines = figures["told_table"](metrics).splitlines()
    assert [line.split("`")[1] for line in lines[2:]] == ["mel", "bcc", "nv"]
    assert lines[2].count("50.0 %") == 4
    assert "| 0.100 | 0.000 to 0.200 | 0.100 |" in figures["calibration_table"](metrics)
    assert "| **not skin** | 6 | 100.0 % |" in figures["gate_table"](metrics)
    for name in ("told_table", "calibration_table", "gate_table"):
        assert len({line.count("|") for line in figures[name](metrics).splitlines()}) == 1, name
    old = {"malignant": None, "per_class": {"mel": {"recall": 0.5}}}
    for name in ("told_table", "calibration_table", "points_table", "gate_table", "heatmap_table"):
        assert figures[name](old) == ""


def test_only_the_block_between_the_markers_is_replaced() -> None:
    replace_block = runpy.run_path(str(PROJECT / "docs" / "update_figures.py"))["replace_block"]
    text = "before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n"
    assert replace_block(text, "figures", "new\n") == text.replace("old", "new")
    with pytest.raises(ValueError, match="no block"):
        replace_block("no markers", "figures", "new")


def test_documents_link_to_files_that_exist() -> None:
    broken = [
        f"{document.relative_to(PROJECT)}: {target}"
        for document in tracked_files()
        if document.suffix == ".md"
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
        if not (document.parent / target).exists()
    ]
    assert not broken


def test_documents_name_files_that_exist() -> None:
    """Tests, benchmarks and places in the code; not what a command is said to write."""
    gone = [
        f"{document.relative_to(PROJECT)}: {name}"
        for document in tracked_files()
        if document.suffix == ".md"
        for name in NAMED.findall(document.read_text(encoding="utf-8"))
        if not (PROJECT / name).exists()
    ]
    assert not gone


def test_of_an_evaluation_only_the_figures_are_published() -> None:
    """Its report and table show research pictures and name them."""
    published = {path.name for path in tracked_files() if path.parent.name == "evaluation"}
    assert all(re.fullmatch(r"(metrics|conditions|first-look|member-\d)\.json", name) for name in published)


def test_code_files_are_short() -> None:
    lengths = {
        name: len(path.read_text(encoding="utf-8").splitlines())
        for path in tracked_files()
        if path.suffix in CODE and not GENERATED.search(name := path.relative_to(PROJECT).as_posix())
    }
    assert not {name: length for name, length in lengths.items() if length > LONGEST_FILE}


def test_pictures_of_the_readme_are_small_and_all_shown() -> None:
    shown = set(re.findall(r'src="(docs/screenshots/[^"]+)"', (PROJECT / "README.md").read_text(encoding="utf-8")))
    kept = {path: path.stat().st_size for path in (PROJECT / "docs" / "screenshots").iterdir()}
    assert {path.relative_to(PROJECT).as_posix() for path in kept} == shown
    assert max(kept.values()) <= 150_000
    assert sum(kept.values()) <= 900_000


def test_nothing_in_the_repository_belongs_to_one_machine() -> None:
    found = []
    for path in tracked_files():
        content = path.read_bytes()
        if b"\0" in content:
            continue
        for number, line in enumerate(content.decode("utf-8").splitlines(), start=1):
            if FOREIGN.search(line):
                found.append(f"{path.relative_to(PROJECT)}:{number}: {line.strip()[:100]}")
    assert not found


def test_packages_hold_nothing_but_a_docstring() -> None:
    for path in [*(PROJECT / "ml").rglob("__init__.py"), *(PROJECT / "webapp").rglob("__init__.py")]:
        if path != PROJECT / "webapp" / "__init__.py":
            module = ast.parse(path.read_text(encoding="utf-8"))
            assert len(module.body) == 1, path
            assert ast.get_docstring(module), path


def test_pins_cover_the_requirements() -> None:
    """Every requirement is pinned with hashes, and the files name no place to fetch from."""
    for name in ("requirements", "requirements-dev"):
        wanted = (PROJECT / f"{name}.in").read_text(encoding="utf-8")
        pinned = (PROJECT / f"{name}.txt").read_text(encoding="utf-8")
        for package in re.findall(r"^[a-z][a-z0-9-]*", wanted, flags=re.MULTILINE):
            assert re.search(rf"^{package}==\S+ (;.*)?\\\n\s+--hash=sha256:", pinned, flags=re.MULTILINE), package
        assert "://" not in pinned
        assert "--index-url" not in re.sub(r"^#.*", "", pinned, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/results/AbCdEfGhIjKlMnOpQrStUv_1", "/results/***"),
        ("/results/AbCdEfGhIjKlMnOpQrStUv_1/photos/1.jpg", "/results/***/photos/1.jpg"),
        ("/api/v1/screenings/AbCdEfGhIjKlMnOpQrStUv-1", "/api/v1/screenings/***"),
        ("/admin/history", "/admin/history"),
        ("/static/css/lesion-lens-pages.css", "/static/css/lesion-lens-pages.css"),
        ("Invalid Request Line 'GET /results/AbCdEfGhIjKlMnOpQrStUv_1'", "Invalid Request Line 'GET /results/***'"),
    ],
)
def test_the_server_log_masks_tokens(path: str, logged: str) -> None:
    assert server_settings()["mask_secrets"](path) == logged


def test_the_server_leaves_torch_to_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    monkeypatch.delenv("OMP_NUM_THREADS")
    settings = server_settings()
    assert not settings["preload_app"]
    settings["post_fork"](SimpleNamespace(cfg=SimpleNamespace(workers=10_000)), None)
    assert os.environ["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize("port", ["eighty", "-1", "65536", "8000.0"])
def test_the_server_refuses_a_port_that_is_none(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("PORT", port)
    with pytest.raises(SystemExit, match=r"PORT is .* whole number from 0 to 65535"):
        server_settings()


def server_settings() -> dict[str, Any]:
    """What gunicorn.conf.py defines, as gunicorn reads it."""
    return runpy.run_path(str(PROJECT / "gunicorn.conf.py"))
