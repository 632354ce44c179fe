"""The report of an evaluation: one self-contained HTML page that a clinician can read, and its pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml.evaluate_gate import Judged
from ml.evaluate_metrics import SMALL_GROUP
from ml.files import write_bytes
from ml.pages import environment
from ml.predictions import Predictions
from ml.report_figures import draw_figures, render
from ml.report_sheets import data_uri, gate_misses, worst_errors
from ml.report_tables import (
    class_order,
    headline_figures,
    risk_table,
    shown_figure,
    shown_percent,
    shown_percent_span,
    shown_span,
)

TEMPLATE = "report.html.j2"


def write_report(out: Path, figures: Mapping[str, Any], predictions: Predictions, judged: Sequence[Judged]) -> None:
    """Write `report.html` and a PNG of every picture into `out`.

    `figures` is the content of `metrics.json`; `judged` are the pictures shown to the gate, where there were any.
    Raises OSError where a file cannot be written.
    """
    pictures = {}
    thresholds = _thresholds(figures)
    for stem, (title, figure) in draw_figures(predictions, thresholds).items():
        write_bytes(out / f"{stem}.png", render(figure, "png"))
        pictures[stem] = {"title": title, "source": data_uri(render(figure, "svg"), "image/svg+xml")}
    templates = environment()
    templates.filters.update(
        figure=shown_figure, percent=shown_percent, span=shown_span, percent_span=shown_percent_span
    )
    page = templates.get_template(TEMPLATE).render(
        figures=figures,
        pictures=pictures,
        taxonomy=predictions.taxonomy,
        classes=class_order(predictions.taxonomy),
        headlines=headline_figures(figures),
        points=risk_table(predictions, thresholds),
        worst=worst_errors(predictions),
        misses=gate_misses(judged),
        small_group=SMALL_GROUP,
    )
    write_bytes(out / "report.html", page.encode())


def _thresholds(figures: Mapping[str, Any]) -> dict[str, float] | None:
    malignant = figures["malignant"]
    if malignant is None:
        return None
    return {"malignant": malignant["threshold"], "uncertain": malignant["uncertain_threshold"]}
