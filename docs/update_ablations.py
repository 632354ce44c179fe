"""Write the table of `docs/ablations.json`, as `benchmarks/ablations.py` made it, into docs/ablations.md.

python docs/update_ablations.py            rewrite docs/ablations.md
python docs/update_ablations.py --check    exit with 1 where it is out of step
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT / "docs")]

from update_figures import main  # noqa: E402

MEASURED = PROJECT / "docs" / "ablations.json"
NONE_YET = "Nothing is recorded yet.\n"


def table(result: Mapping[str, Any]) -> str:
    """The protocol in a sentence, and a row for each change, as Markdown."""
    if not result["rows"]:
        return NONE_YET
    protocol = result["protocol"]
    lines = [
        f"Baseline: `{protocol['architecture']}` from `{protocol['weights'].split(' ')[0]}`, {protocol['image_size']} "
        f"pixels, {protocol['epochs']} epochs of {result['training_images']:,} training images, batches of "
        f"{protocol['batch_size']}; measured on {result['validation_images']:,} validation images of "
        f"{result['validation_groups']:,} groups of lesions.",
        "",
        "| | Seeds | Balanced accuracy | Difference | Macro AUROC | Difference | Told apart from baseline | CPU s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(row) for row in result["rows"]]
    return "\n".join(lines) + "\n"


def _line(row: Mapping[str, Any]) -> str:
    accuracy, auroc = row["balanced_accuracy"], row["macro_auroc"]
    seconds = "none" if row["processor_seconds"] is None else f"{row['processor_seconds']:.0f}"
    shown = f"{100 * accuracy['value']:.1f} %", f"{auroc['value']:.3f}"
    if row["name"] == "baseline":
        return f"| {row['title']} | {len(row['seeds'])} | {shown[0]} | | {shown[1]} | | | {seconds} |"
    differences = _difference(accuracy, 100, 1), _difference(auroc, 1, 3)
    return (
        f"| {row['title']} | {len(row['seeds'])} | {shown[0]} | {differences[0]} | {shown[1]} | {differences[1]} "
        f"| {_verdict(accuracy, auroc)} | {seconds} |"
    )


def _difference(figure: Mapping[str, Any], factor: float, digits: int) -> str:
    value, low, high = (factor * number for number in (figure["difference"], *figure["interval"]))
    return f"{value:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def _verdict(accuracy: Mapping[str, Any], auroc: Mapping[str, Any]) -> str:
    found = [
        f"{'better' if figure['difference'] > 0 else 'worse'} {name}"
        for figure, name in ((accuracy, "balanced accuracy"), (auroc, "AUROC"))
        if figure["counts"]
    ]
    return " and ".join(found) or "no"


def measured() -> str:
    """The block for the document."""
    return table(json.loads(MEASURED.read_text(encoding="utf-8"))) if MEASURED.is_file() else NONE_YET


if __name__ == "__main__":
    sys.exit(main({PROJECT / "docs" / "ablations.md": {"ablations": measured()}}, sys.argv[1:]))
