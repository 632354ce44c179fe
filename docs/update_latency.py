"""Write what `benchmarks/latency.py` measured, in `docs/latency.json`, into docs/model.md.

python docs/update_latency.py            rewrite docs/model.md
python docs/update_latency.py --check    exit with 1 where it is out of step
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT / "docs")]

from update_figures import main  # noqa: E402

MEASURED = PROJECT / "docs" / "latency.json"
NONE_YET = "Nothing is recorded yet.\n"


def sentences(result: Mapping[str, Any]) -> str:
    """What was measured, on what, as Markdown."""
    seconds = result["seconds"]
    parts = ", ".join(f"{name} {seconds[name]['median']:.3f}" for name in ("decode", "gate", "network"))
    load = "" if result["load_before"] is None else f", while the machine's load was {result['load_before']:.0f}"
    return (
        f"`{result['model']}`, {result['threads']} threads on {result['processor']}{load}, {result['engine']}: "
        f"median **{seconds['whole']['median']:.2f} s** a photo, 95th percentile {seconds['whole']['p95']:.2f} s "
        f"({result['runs']} runs; medians of the parts in seconds: {parts}). The first answer of a process, loading "
        f"the model included: {result['first_seconds']:.1f} s.\n"
    )


def measured() -> str:
    """The block for the document."""
    return sentences(json.loads(MEASURED.read_text(encoding="utf-8"))) if MEASURED.is_file() else NONE_YET


if __name__ == "__main__":
    sys.exit(main({PROJECT / "docs" / "model.md": {"latency": measured()}}, sys.argv[1:]))
