"""Write the shipped models' measured figures into the documentation.

    python docs/update_figures.py            rewrite the documents
    python docs/update_figures.py --check    change nothing; exit with 1, naming the document, where one is out of step

The figures come from `evaluation/metrics.json` of each bundle in `ml/pretrained/`, as `flask evaluate` wrote it. In a
document they stand between `<!-- figures -->` and `<!-- /figures -->`; nothing else is touched.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
PRETRAINED = PROJECT / "ml" / "pretrained"
NONE_YET = "No evaluation of a shipped model is recorded yet.\n"

# Label, where the value lies in metrics.json, name of its interval there, and whether it is shown as a percentage.
HEADLINES = (
    ("Balanced accuracy", ("balanced_accuracy",), "balanced_accuracy", True),
    ("Accuracy", ("accuracy",), "accuracy", True),
    ("Macro F1", ("macro_f1",), "macro_f1", False),
    ("Macro AUROC", ("macro_auroc",), "macro_auroc", False),
    ("Malignant or not: AUROC", ("malignant", "auroc"), "malignant_auroc", False),
    (
        "Malignant lesions given the status malignant",
        ("status", "malignant_sensitivity"),
        "status_malignant_sensitivity",
        True,
    ),
    (
        "Malignant lesions given the status malignant or uncertain",
        ("status", "malignant_or_uncertain_sensitivity"),
        "status_malignant_or_uncertain_sensitivity",
        True,
    ),
    (
        "Other lesions answered without the status malignant",
        ("status", "malignant_specificity"),
        "status_malignant_specificity",
        True,
    ),
    ("Expected calibration error (15 bins)", ("ece",), "ece", False),
    ("Photos refused by the gate", ("gate", "refused_share"), "", True),
)


def evaluations(folder: Path = PRETRAINED) -> dict[str, dict[str, Any]]:
    """The recorded evaluation of each shipped model, by the model's name."""
    return {
        path.parent.parent.name: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*/evaluation/metrics.json"))
    }


def headline_table(metrics: Mapping[str, Any]) -> str:
    """The headline figures with their intervals, as a Markdown table; a figure that was not measured is left out."""
    lines = ["| On the test split | | 95 % interval |", "|---|---|---|"]
    for label, place, interval, percent in HEADLINES:
        value: Any = metrics
        for key in place:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            bounds = metrics["intervals"].get(interval, (None, None))
            lines.append(f"| {label} | {shown(value, percent)} | {shown_interval(bounds, percent)} |")
    return "\n".join(lines) + "\n"


def class_table(metrics: Mapping[str, Any]) -> str:
    """The figures of each class, as a Markdown table."""
    lines = ["| Class | Sensitivity | 95 % interval | Precision | AUROC | Images |", "|---|---|---|---|---|---|"]
    for code, figures in metrics["per_class"].items():
        bounds = figures["intervals"]["recall"]
        lines.append(
            f"| `{code}` | {shown(figures['recall'], True)} | {shown_interval(bounds, True)} "
            f"| {shown(figures['precision'], True)} | {shown(figures['auroc'], False)} | {figures['support']} |"
        )
    return "\n".join(lines) + "\n"


def shown(value: float | None, percent: bool) -> str:
    """A share as a percentage with one decimal, any other figure with three; a dash where it is not defined."""
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if percent else f"{value:.3f}"


def shown_interval(bounds: Sequence[float | None], percent: bool) -> str:
    """Both bounds of an interval, or nothing where there is none."""
    low, high = bounds
    return "" if low is None or high is None else f"{shown(low, percent)} to {shown(high, percent)}"


def figures(*, classes: bool) -> str:
    """The block for a document: each shipped model's headline figures and, where wanted, those of its classes."""
    blocks = []
    for name, metrics in evaluations().items():
        block = (
            f"`{name}`, {metrics['n_images']:,} images of {metrics['n_lesions']:,} lesions that training never saw:\n\n"
        )
        block += headline_table(metrics)
        blocks.append(block + "\n" + class_table(metrics) if classes else block)
    return "\n".join(blocks) or NONE_YET


def replace_block(text: str, name: str, content: str) -> str:
    """`text` with what stands between the markers of block `name` replaced. ValueError where one is missing."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"There is no block {begin.strip()} ... {end}.")
    return head + begin + content.rstrip("\n") + "\n" + end + tail


def main(documents: Mapping[Path, Mapping[str, str]], arguments: Sequence[str]) -> int:
    """Write (or, with `--check`, compare) blocks, by document and name. Returns the exit status."""
    behind = []
    for path, blocks in documents.items():
        old = new = path.read_text(encoding="utf-8")
        for name, content in blocks.items():
            new = replace_block(new, name, content)
        if new != old:
            behind.append(path.relative_to(PROJECT))
            if "--check" not in arguments:
                path.write_text(new, encoding="utf-8")
    for path in behind:
        print(f"{path} {'is out of step: run make docs' if '--check' in arguments else 'was brought up to date'}")
    return 1 if behind and "--check" in arguments else 0


if __name__ == "__main__":
    wanted = {
        PROJECT / "README.md": {"figures": figures(classes=False)},
        PROJECT / "docs" / "model.md": {"figures": figures(classes=True)},
    }
    sys.exit(main(wanted, sys.argv[1:]))
