"""Write the licences of all pinned packages into docs/licences.md, as the packages themselves state them.

python docs/update_licences.py            rewrite docs/licences.md
python docs/update_licences.py --check    exit with 1 where it is out of step, or a licence is not on the list below
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT / "docs")]

from update_figures import main  # noqa: E402

PAGE = PROJECT / "docs" / "licences.md"
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==", re.MULTILINE)

# Licences under which a package may be used here: permissive ones, and those that bind changes of the package alone.
# NVIDIA's libraries come with PyTorch for Linux, are used unchanged and are handed on to nobody.
ALLOWED = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "LGPL-3.0-only",
        "LLVM-exception", "LicenseRef-NVIDIA-Proprietary", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Zlib",
    }
)  # fmt: skip
# What packages call theirs where they do not use the identifiers of SPDX.
CALLED = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "NVIDIA Proprietary Software": "LicenseRef-NVIDIA-Proprietary",
    "Other/Proprietary License": "LicenseRef-NVIDIA-Proprietary",
    "Python Software Foundation License": "PSF-2.0",
}
# Read from the files of packages whose metadata say nothing, or that are for other systems.
STATED = {
    "colorama": "BSD-3-Clause",
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary",
    "httpx2-jsfetch": "BSD-3-Clause",
    "pysqlite3": "Zlib",
}


def licence(name: str) -> str:
    """A package's licence as an SPDX expression; its own words where those are unknown, "" where it is silent."""
    if name in STATED:
        return STATED[name]
    try:
        told = metadata(name).json
    except PackageNotFoundError:
        return ""
    if stated := told.get("license_expression"):
        return str(stated)
    classified = [value.split("::")[-1].strip() for value in told.get("classifier", ()) if "License ::" in value]
    words = [word for word in classified if word != "DFSG approved"] or str(told.get("license", "")).splitlines()[:1]
    return " AND ".join(CALLED.get(word, word) for word in words)


def is_allowed(expression: str) -> bool:
    """Whether every licence that an SPDX expression names is on the list."""
    names = {word for word in re.split(r"[\s()]+", expression) if word not in ("", "AND", "OR", "WITH")}
    return bool(names) and names <= ALLOWED


def pinned() -> dict[str, str]:
    """Every pinned package and its licence; where a package is for other systems and unknown, what the page has."""
    text = PAGE.read_text(encoding="utf-8")
    noted = dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", text, flags=re.MULTILINE))
    names = {name for pins in ("requirements.txt", "requirements-dev.txt") for name in PIN.findall(_read(pins))}
    return {name: licence(name) or noted.get(name, "").strip() for name in sorted(names)}


def table() -> str:
    """The block for the document."""
    served = set(PIN.findall(_read("requirements.txt")))
    lines = ["| Package | Licence | For |", "|---|---|---|"]
    lines += [
        f"| `{name}` | {stated} | {'the application' if name in served else 'tests and tools'} |"
        for name, stated in pinned().items()
    ]
    return "\n".join(lines) + "\n"


def _read(pins: str) -> str:
    return (PROJECT / pins).read_text(encoding="utf-8")


if __name__ == "__main__":
    if wrong := {name: stated for name, stated in pinned().items() if not is_allowed(stated)}:
        sys.exit(f"These licences are not on the list in docs/update_licences.py: {wrong}")
    sys.exit(main({PAGE: {"licences": table()}}, sys.argv[1:]))
