"""Write what `benchmarks/history.py` measured, in `docs/history.json`, into docs/history.md.

python docs/update_history.py            rewrite docs/history.md
python docs/update_history.py --check    exit with 1 where it is out of step
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT / "docs")]

from update_figures import main  # noqa: E402

MEASURED = PROJECT / "docs" / "history.json"
NONE_YET = "Nothing is recorded yet.\n"


def table(result: Mapping[str, Any]) -> str:
    """What was measured, on what, as Markdown."""
    memory, export = result["memory_mib"], result.get("export")
    load = "" if result["load_before"] is None else f", the machine's load being {result['load_before']:.1f}"
    lines = [
        f"{result['screenings']:,} screenings, {result['reviews']:,} reviews; {result['runs']} runs each on "
        f"{result['cores']} cores of {result['processor']}, SQLite {result['sqlite']}{load}. Largest memory of the "
        f"process: {memory['before']:.0f} MiB after the first page, {memory['after']:.0f} MiB after all."
        + (
            f" An export of all {export['rows']:,} rows, {export['mib']:,.0f} MiB of JSON lines, took "
            f"{export['seconds']:,.0f} s and left it at {memory['export']:.0f} MiB."
            if export
            else ""
        )
        + "\n",
        "| Page | Found | Median | 95th percentile |\n|---|---:|---:|---:|",
    ]
    lines += [
        f"| {row['page']} | {row['found'] or '-'} | {row['median'] * 1000:.0f} ms | {row['p95'] * 1000:.0f} ms |"
        for row in result["pages"]
    ]
    return "\n".join(lines) + "\n"


def measured() -> str:
    """The block for the document."""
    return table(json.loads(MEASURED.read_text(encoding="utf-8"))) if MEASURED.is_file() else NONE_YET


if __name__ == "__main__":
    sys.exit(main({PROJECT / "docs" / "history.md": {"history": measured()}}, sys.argv[1:]))
