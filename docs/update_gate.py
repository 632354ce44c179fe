"""Write the table of `docs/gate.json`, as `benchmarks/gate_methods.py` made it, into docs/gate.md.

python docs/update_gate.py            rewrite docs/gate.md
python docs/update_gate.py --check    exit with 1 where it is out of step
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT / "docs")]

from update_figures import main, shown  # noqa: E402

MEASURED = PROJECT / "docs" / "gate.json"
NONE_YET = "Nothing is recorded yet.\n"
COLUMNS = ("not_skin_refused", "not_skin_right", "not_dermatoscopic_refused", "not_dermatoscopic_right")


def table(result: Mapping[str, Any]) -> str:
    """What was measured in a sentence, and a row for each method, as Markdown."""
    pictures = result["pictures"]
    lines = [
        f"`{result['model']}`: {pictures['usable']:,} dermatoscopic pictures, {pictures['not_dermatoscopic']:,} "
        f"ordinary photos of skin and {pictures['not_skin']:,} of other things, in five folds by file.",
        "",
        "| Method | Other things refused | as such | Ordinary photos of skin refused | as such |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['method']} | " + " | ".join(shown(row.get(name), True) for name in COLUMNS) + " |"
        for row in result["rows"]
    ]
    return "\n".join(lines) + "\n"


def measured() -> str:
    """The block for the document."""
    return table(json.loads(MEASURED.read_text(encoding="utf-8"))) if MEASURED.is_file() else NONE_YET


if __name__ == "__main__":
    sys.exit(main({PROJECT / "docs" / "gate.md": {"gate": measured()}}, sys.argv[1:]))
