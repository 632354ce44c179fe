"""Write the shipped models' measured figures into the documentation.

    python docs/update_figures.py            rewrite the documents
    python docs/update_figures.py --check    change nothing; exit with 1, naming the document, where one is out of step

The figures come from `evaluation/metrics.json` of each bundle in `ml/pretrained/`, as `flask evaluate` wrote it, and
from `member-K.json` beside it, which is what `flask evaluate --member K` wrote as metrics.json. In a
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


def members_table(name: str) -> str:
    """The headline figures of each network of a shipped ensemble by itself; empty where none was evaluated so."""
    files = sorted((PRETRAINED / name / "evaluation").glob("member-*.json"))
    members = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    if not members:
        return ""
    titles = [f"`{metrics['bundle']['name']}` by itself | 95 % interval" for metrics in members]
    lines = [f"| On the test split | {' | '.join(titles)} |", "|---" * (2 * len(members) + 1) + "|"]
    columns = [headline_table(metrics).splitlines()[2:] for metrics in members]
    for rows in zip(*columns, strict=True):
        label = rows[0].split(" | ")[0]
        lines.append(f"{label} | {' | '.join(row.split(' | ', 1)[1].removesuffix(' |') for row in rows)} |")
    return "\n".join(lines) + "\n"


def class_table(metrics: Mapping[str, Any]) -> str:
    """The figures of each class, melanoma first, as a Markdown table."""
    lines = ["| Class | Sensitivity | 95 % interval | Precision | AUROC | Images |", "|---|---|---|---|---|---|"]
    for code in class_order(metrics):
        row = metrics["per_class"][code]
        bounds = row["intervals"]["recall"]
        lines.append(
            f"| `{code}` | {shown(row['recall'], True)} | {shown_interval(bounds, True)} "
            f"| {shown(row['precision'], True)} | {shown(row['auroc'], False)} | {row['support']} |"
        )
    return "\n".join(lines) + "\n"


def told_table(metrics: Mapping[str, Any]) -> str:
    """What people would have been told of each class's images, refused ones counted as missed; empty in old records."""
    columns: tuple[tuple[str, str], ...] = (
        ("malignant_or_uncertain", "Malignant or uncertain"),
        ("malignant", "Malignant"),
        ("own_class", "Its class"),
    )
    if "told" not in next(iter(metrics["per_class"].values())):
        return ""
    if not metrics["malignant"]:
        columns = columns[-1:]
    titles = [part for _, title in columns for part in (title, "95 % interval")]
    lines = [f"| Told of images of | {' | '.join(titles)} | Refused |", "|---" * (len(titles) + 2) + "|"]
    for code in class_order(metrics):
        told = metrics["per_class"][code]["told"]
        cells = [
            cell
            for name, _ in columns
            for cell in (shown(told[name]["share"], True), shown_interval(told[name]["interval"], True))
        ]
        lines.append(f"| `{code}` | {' | '.join(cells)} | {shown(told['refused']['share'], True)} |")
    return "\n".join(lines) + "\n"


def calibration_table(metrics: Mapping[str, Any]) -> str:
    """Calibration errors before and after calibration; empty in old records."""
    calibration = metrics.get("calibration")
    if not calibration:
        return ""
    names = (
        ("ece", f"Expected calibration error ({calibration['bins']} bins)"),
        ("classwise_ece", "Class-wise calibration error"),
        ("malignant_risk", "Calibration error of malignant risk"),
        ("brier", "Brier score"),
    )
    lines = ["| Calibration | Before | 95 % interval | After | 95 % interval |", "|---|---|---|---|---|"]
    for name, title in names:
        if calibration["after"][name] is None:
            continue
        cells = [
            cell
            for side in (calibration["before"], calibration["after"])
            for cell in (shown(side[name], False), shown_interval(side["intervals"].get(name, (None, None)), False))
        ]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def points_table(metrics: Mapping[str, Any]) -> str:
    """The operating points that were compared; empty in old records and without malignant classes."""
    columns = (
        ("malignant_sensitivity", "Malignant: sensitivity"),
        ("malignant_specificity", "specificity"),
        ("malignant_or_uncertain_sensitivity", "Malignant or uncertain: sensitivity"),
        ("benign_predictive_value", "Benign: right"),
    )
    points = metrics.get("operating_points")
    if not points:
        return ""
    lines = [f"| Thresholds | {' | '.join(title for _, title in columns)} |", "|---" * (len(columns) + 1) + "|"]
    for point in points:
        levels = point["thresholds"]
        cells = [
            " ".join(filter(None, (shown(point[name], True), parenthesised(point["intervals"][name]))))
            for name, _ in columns
        ]
        lines.append(f"| {point['name']}: {levels['malignant']:.3f}, {levels['uncertain']:.3f} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def gate_table(metrics: Mapping[str, Any]) -> str:
    """How the gate judged pictures of other things, by kind and type; empty where none were shown to it."""
    if not metrics.get("gate_pictures"):
        return ""
    lines = [
        "| Shown to the gate | Pictures | Refused | 95 % interval | Right verdict | 95 % interval |",
        "|---" * 6 + "|",
    ]
    for row in metrics["gate_pictures"]["rows"]:
        name = row["type"] if row["type"] else f"**{row['kind'].replace('_', ' ')}**"
        lines.append(
            f"| {name} | {row['pictures']} | {shown(row['refused_share'], True)} "
            f"| {shown_interval(row['refused_interval'], True)} | {shown(row['right_share'], True)} "
            f"| {shown_interval(row['right_interval'], True)} |"
        )
    return "\n".join(lines) + "\n"


def heatmap_table(metrics: Mapping[str, Any]) -> str:
    """How heatmaps compare with random maps; empty where they were not measured."""
    measured = metrics.get("explanations")
    if not measured:
        return ""
    lines = [
        f"| Heatmaps of {measured['images']} images | Heatmap | Random map | Gain | 95 % interval |",
        "|---" * 5 + "|",
    ]
    for name, good in (("deletion", "low is good"), ("insertion", "high is good")):
        row = measured[name]
        cells = (row["heatmap"], row["random"], row["gain"])
        lines.append(
            f"| {name.capitalize()} ({good}) | {' | '.join(shown(value, False) for value in cells)} "
            f"| {shown_interval(row['interval'], False)} |"
        )
    return "\n".join(lines) + "\n"


def class_order(metrics: Mapping[str, Any]) -> list[str]:
    """Class codes: melanoma, the other malignant ones, then the rest."""
    malignant = (metrics.get("malignant") or {"classes": []})["classes"]
    return sorted(metrics["per_class"], key=lambda code: (code != "mel", code not in malignant))


def parenthesised(bounds: Sequence[float | None]) -> str:
    """An interval of a share, short, in parentheses; empty where there is none."""
    low, high = bounds
    return "" if low is None or high is None else f"({100 * low:.1f} to {100 * high:.1f})"


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
    """The block for a document: each shipped model's headline figures and, where wanted, all its other tables."""
    blocks = []
    for name, metrics in evaluations().items():
        block = (
            f"`{name}`, {metrics['n_images']:,} images of {metrics['n_lesions']:,} lesions that training never saw:\n\n"
        )
        tables = [headline_table(metrics)]
        if classes:
            tables.append(members_table(name))
            further = (told_table, class_table, calibration_table, points_table, gate_table, heatmap_table)
            tables += [table(metrics) for table in further]
        blocks.append(block + "\n".join(filter(None, tables)))
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
