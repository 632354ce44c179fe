"""A comparison as CSV, Markdown and HTML: two tables, of quality and of cost, with the published figures below."""

import csv
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ml.compare_figures import FIGURES
from ml.pages import environment

TITLES = {
    "accuracy": "Accuracy", "balanced_accuracy": "Balanced accuracy", "precision": "Precision", "recall": "Recall",
    "f1": "F1", "auroc": "AUROC",
}  # fmt: skip
OVERLAP = {
    "none": "no",
    "unknown": "not known to the cards",
    "overlap": "yes",
}
_TEMPLATE = "comparison.html.j2"

Content = Mapping[str, Any]
Table = tuple[list[str], list[list[str]]]


def shown(entry: Content | None, *, percent: bool) -> str:
    """A figure with its interval or deviation, '-' where it was not measured."""
    if entry is None or entry["value"] is None:
        return "-"
    factor, digits = (100, 1) if percent else (1, 3)
    text = f"{factor * entry['value']:.{digits}f}"
    if entry.get("deviation") is not None:
        return f"{text} ± {factor * entry['deviation']:.{digits}f}"
    if entry.get("low") is not None and entry.get("high") is not None:
        return f"{text} ({factor * entry['low']:.{digits}f} to {factor * entry['high']:.{digits}f})"
    return text


def row_name(row: Content) -> str:
    """What a row is called: the models of all folds together are not the model of that name."""
    return f"{row['name']}, {row['folds']} folds" if row["folds"] else str(row["name"])


def quality_table(content: Content) -> Table:
    """Our models' rows, then the published ones. Shares are percentages."""
    header = ["Model", "Task", "Measured on", "Test pictures in training", *TITLES.values()]
    rows = [
        [
            row_name(row),
            row["label_set"],
            _measured_on(row),
            ", ".join(OVERLAP[verdict] for verdict in row["overlap"]) or "-",
            *(shown(row["figures"].get(name), percent=name not in ("f1", "auroc")) for name in FIGURES),
        ]
        for row in content["models"]
    ]
    for result in content["published"]:
        figures = {result["metric"]: {"value": result["value"]}}
        cells = [shown(figures.get(name), percent=name not in ("f1", "auroc")) for name in FIGURES]
        rows.append([f"{result['model']}, published", result["task"], result["protocol"], result["leaking"], *cells])
    return header, rows


def cost_table(content: Content) -> Table:
    """What each of our models costs."""
    header = [
        "Model", "Network", "Input", "Views", "Started from", "Parameters, M", "MACs of one view, M",
        "MACs of a photo, M", "Bundle, MB", "ONNX, MB", "As served, ms", "One view, ms", "ONNX, ms",
    ]  # fmt: skip
    rows = []
    for row in content["models"]:
        costs, latency, onnx = row["costs"], row["latency"], row["onnx"]
        rows.append(
            [
                row_name(row),
                _joined(row["architectures"]),
                _joined(row["image_sizes"]),
                _joined(row["views"]),
                _joined(row["started_from"]),
                f"{costs['parameters'] / 1e6:.2f}",
                _millions(costs["macs_per_view"]),
                _millions(costs["macs_per_photo"]),
                f"{costs['bundle_bytes'] / 1e6:.1f}",
                "-" if onnx is None else f"{onnx['bytes'] / 1e6:.1f}",
                _milliseconds(latency["served"]),
                _milliseconds(latency["one_view"]),
                "-" if onnx is None else _milliseconds(onnx),
            ]
        )
    return header, rows


def notes(content: Content) -> list[str]:
    """How everything was measured, in sentences."""
    where = f"Latency: {_machine(content['machine'])}. Cells are median / 95th percentile, in brackets processor time."
    elsewhere: dict[str, list[str]] = {}
    for row in content["models"]:
        if "machine" in row and row["machine"] != content["machine"]:
            elsewhere.setdefault(_machine(row["machine"]), []).append(row["name"])
    apart = [
        f"Measured earlier, on {machine}: {', '.join(names)}. Their latencies stand for themselves."
        for machine, names in elsewhere.items()
    ]
    return [*content["protocol"].values(), where, *apart]


def _machine(machine: Content) -> str:
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} used; {machine['system']}, "
        f"Python {machine['python']}, torch {machine['torch']}, ONNX Runtime {machine['onnxruntime']}"
    )


def as_markdown(content: Content) -> str:
    """Both tables and the notes."""
    tables = [_markdown(*table(content)) for table in (quality_table, cost_table)]
    return "\n".join(f"{part}\n" for part in [*tables, *(f"- {note}" for note in notes(content))])


def as_html(content: Content) -> str:
    """A self-contained page with picture, tables and notes."""
    from ml.compare_picture import draw_comparison

    picture = draw_comparison(content).decode()
    return (
        environment()
        .get_template(_TEMPLATE)
        .render(
            tables={"Quality": quality_table(content), "Cost": cost_table(content)},
            notes=notes(content),
            picture=picture[picture.index("<svg") :],
        )
    )


def as_csv(content: Content) -> str:
    """A row a model, ours and published, with every number by itself."""
    columns = ["model", "published", "label_set", "architectures", "image_sizes", "views", "folds", "images"]
    columns += ["lesions", "test_pictures_in_training", "protocol"]
    columns += [f"{name}{part}" for name in FIGURES for part in ("", "_low", "_high", "_deviation")]
    costs = ["parameters", "macs_per_view", "macs_per_photo", "weights_bytes", "bundle_bytes"]
    timings = [
        f"{kind}_{part}_ms" for kind in ("served", "one_view", "onnx") for part in ("median", "p95", "processor")
    ]
    stream = io.StringIO()
    table = csv.DictWriter(stream, [*columns, *costs, "onnx_bytes", *timings], restval="", lineterminator="\n")
    table.writeheader()
    for row in content["models"]:
        cells: dict[str, Any] = {"model": row["name"], "published": "no", **row["costs"]}
        cells |= {name: row[name] for name in ("label_set", "folds", "images", "lesions")}
        cells |= {name: "+".join(map(str, row[name])) for name in ("architectures", "image_sizes", "views")}
        cells["test_pictures_in_training"] = "+".join(row["overlap"])
        for name, entry in row["figures"].items():
            cells |= {name: entry["value"], **{f"{name}_{k}": v for k, v in entry.items() if k != "value"}}
        measured = {**row["latency"], **({"onnx": row["onnx"]} if row["onnx"] else {})}
        for kind, entry in measured.items():
            cells |= {f"{kind}_{part}_ms": entry[part] for part in ("median", "p95", "processor")}
        cells["onnx_bytes"] = row["onnx"]["bytes"] if row["onnx"] else ""
        table.writerow(cells)
    for result in content["published"]:
        table.writerow(
            {
                "model": result["model"], "published": "yes", "label_set": result["task"],
                "architectures": result["architecture"],
                "images": result.get("images", ""), "test_pictures_in_training": result["leaking"],
                "protocol": result["protocol"], result["metric"]: result["value"],
            }
        )  # fmt: skip
    return stream.getvalue()


def _measured_on(row: Content) -> str:
    if not row["figures"]:
        return "not evaluated"
    split = f"{row['folds']} folds by lesion" if row["folds"] else "test split by lesion"
    return f"{split}, {row['images']:,} pictures of {row['lesions']:,} lesions"


def _joined(values: Sequence[object]) -> str:
    return " + ".join(str(value) for value in values)


def _millions(number: int) -> str:
    return f"{number / 1e6:,.0f}" if number >= 1e7 else f"{number / 1e6:.2f}"


def _milliseconds(entry: Content) -> str:
    return f"{entry['median']:.1f} / {entry['p95']:.1f} ({entry['processor']:.1f})"


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    lines += ["| " + " | ".join(escape(cell, quote=False).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
