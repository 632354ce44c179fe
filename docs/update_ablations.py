"""Write the table of `docs/ablations.json` and `docs/ablations-further.json`, as `benchmarks/ablations.py` made them,
and the one of `docs/full_size.json` into docs/ablations.md.

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
FURTHER = PROJECT / "docs" / "ablations-further.json"
FULL_SIZE = PROJECT / "docs" / "full_size.json"
FIGURES = (
    ("balanced_accuracy", "balanced accuracy", 100, 1),
    ("macro_auroc", "AUROC", 1, 3),
    ("faulty_balanced_accuracy", "balanced accuracy with faults", 100, 1),
)
"""Names in the file, in words, and how they are written: factor and decimals."""
NONE_YET = "Nothing is recorded yet.\n"
AGAIN = "Baseline, once more, for the rows below"


def table(result: Mapping[str, Any], *later: Mapping[str, Any]) -> str:
    """The protocol in a sentence, and a row for each change, as Markdown; those of `later` results below, each below
    its own baseline. Raises ValueError where these have another protocol: their rows do not belong together."""
    if not result["rows"]:
        return NONE_YET
    protocol = result["protocol"]
    if any(_compared_under(other) != _compared_under(result) for other in later):
        raise ValueError("Results of different protocols do not go into one table.")
    lines = [
        f"Baseline: `{protocol['architecture']}` from `{protocol['weights'].split(' ')[0]}`, {protocol['image_size']} "
        f"pixels, {protocol['epochs']} epochs of {result['training_images']:,} training images, batches of "
        f"{protocol['batch_size']}; measured on {result['validation_images']:,} validation images of "
        f"{result['validation_groups']:,} groups of lesions.",
        "",
        "| | `--rows` | Seeds | Balanced accuracy | Difference | Macro AUROC | Difference "
        "| Balanced accuracy with faults | Difference | Told apart from baseline | CPU s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(row) for row in result["rows"]]
    for other in later:
        lines += [_line({**row, "title": AGAIN} if row["name"] == "baseline" else row) for row in other["rows"]]
    return "\n".join(lines) + "\n"


def _compared_under(result: Mapping[str, Any]) -> list[Any]:
    """What the baseline was made with: everything but the teacher, which one row alone has."""
    return [{**result["protocol"], "teacher": None}, result["training_images"], result["validation_images"]]


def _line(row: Mapping[str, Any]) -> str:
    seconds = "none" if row["processor_seconds"] is None else f"{row['processor_seconds']:.0f}"
    baseline = row["name"] == "baseline"
    cells = [row["title"], f"`{row['name']}`", str(len(row["seeds"]))]
    for name, _, factor, digits in FIGURES:
        figure = row.get(name)
        if figure is None:
            cells += ["", ""]
            continue
        cells.append(f"{factor * figure['value']:.{digits}f}{' %' if factor == 100 else ''}")
        cells.append("" if baseline else _difference(figure, factor, digits))
    return "| " + " | ".join([*cells, "" if baseline else _verdict(row), seconds]) + " |"


def _difference(figure: Mapping[str, Any], factor: float, digits: int) -> str:
    value, low, high = (factor * number for number in (figure["difference"], *figure["interval"]))
    return f"{value:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def _verdict(row: Mapping[str, Any]) -> str:
    found = [
        f"{'better' if row[name]['difference'] > 0 else 'worse'} {title}"
        for name, title, _, _ in FIGURES
        if name in row and row[name]["counts"]
    ]
    return " and ".join(found) or "no"


def measured() -> str:
    """The block for the document; rows that were run later stand below, against a baseline of their own."""
    results = [json.loads(file.read_text(encoding="utf-8")) for file in (MEASURED, FURTHER) if file.is_file()]
    return table(*results) if results else NONE_YET


def full_size() -> str:
    """The block on the shipped model, of what `benchmarks/full_size.py` wrote."""
    if not FULL_SIZE.is_file():
        return NONE_YET
    result = json.loads(FULL_SIZE.read_text(encoding="utf-8"))
    lines = [
        f"`{result['model']}` on {result['validation_images']:,} validation images of {result['validation_groups']:,} "
        "groups of lesions; differences are from the first row.",
        "",
        "| | Balanced accuracy | Difference | Macro AUROC | Difference | Told apart |",
        "|---|---|---|---|---|---|",
    ]
    for number, row in enumerate(result["rows"]):
        cells = [row["title"]]
        for name, _, factor, digits in FIGURES[:2]:
            cells.append(f"{factor * row[name]['value']:.{digits}f}{' %' if factor == 100 else ''}")
            cells.append(_difference(row[name], factor, digits) if number else "")
        lines.append("| " + " | ".join([*cells, _verdict(row) if number else ""]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    blocks = {"ablations": measured(), "full-size": full_size()}
    sys.exit(main({PROJECT / "docs" / "ablations.md": blocks}, sys.argv[1:]))
