"""The report of an evaluation: one self-contained HTML page that a clinician can read, and its pictures."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from ml import metrics
from ml.errors import InvalidImage
from ml.files import write_bytes
from ml.images import decode, encode_jpeg, thumbnail
from ml.labels import Status, Taxonomy
from ml.metrics import Floats
from ml.predictions import Predictions
from ml.report_figures import draw_figures, render

TEMPLATE = "report.html.j2"
WORST = 24  # pictures in the sheet of worst errors
THUMBNAIL = 220  # pixels on the longer side
FIXED_THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)


@dataclass(frozen=True)
class Headline:
    """One figure as a person reads it: its name, value with interval, and what it means in a sentence."""

    name: str
    value: str
    interval: str
    meaning: str


def write_report(out: Path, figures: Mapping[str, Any], predictions: Predictions) -> None:
    """Write `report.html` and a PNG of every picture into `out`.

    `figures` is the content of `metrics.json`. Raises OSError where a file cannot be written.
    """
    pictures = []
    thresholds = _thresholds(figures)
    for stem, (title, figure) in draw_figures(predictions, thresholds).items():
        write_bytes(out / f"{stem}.png", render(figure, "png"))
        pictures.append({"title": title, "stem": stem, "source": _data_uri(render(figure, "svg"), "image/svg+xml")})
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(figure=_figure, percent=_percent, span=_span, percent_span=_percent_span)
    page = environment.get_template(TEMPLATE).render(
        figures=figures,
        pictures={picture["stem"]: picture for picture in pictures},
        taxonomy=predictions.taxonomy,
        classes=_class_order(predictions.taxonomy),
        headlines=_headlines(figures),
        points=_operating_points(predictions, thresholds),
        worst=_worst_errors(predictions),
    )
    write_bytes(out / "report.html", page.encode())


def _thresholds(figures: Mapping[str, Any]) -> dict[str, float] | None:
    malignant = figures["malignant"]
    if malignant is None:
        return None
    return {"malignant": malignant["threshold"], "uncertain": malignant["uncertain_threshold"]}


def _headlines(figures: Mapping[str, Any]) -> list[Headline]:
    """The headline figures, those about malignancy first."""
    spans, rows = figures["intervals"], []

    def add(name: str, key: str, value: float | None, meaning: str, *, percent: bool = True) -> None:
        number, interval = (
            (_percent(value), _percent_span(spans[key])) if percent else (_figure(value), _span(spans[key]))
        )
        rows.append(Headline(name, number, interval, meaning))

    if figures["malignant"] is not None:
        status = figures["status"]
        add(
            "Malignant found",
            "status_malignant_or_uncertain_sensitivity",
            status["malignant_or_uncertain_sensitivity"],
            "Of the images of malignant lesions, the share answered “malignant” or “uncertain”: the person is told to "
            "have it looked at. Refused pictures count as missed.",
        )
        add(
            "Malignant flagged as such",
            "status_malignant_sensitivity",
            status["malignant_sensitivity"],
            "Of the images of malignant lesions, the share answered “malignant” (sensitivity). Refused pictures count "
            "as missed.",
        )
        add(
            "Others not flagged",
            "status_malignant_specificity",
            status["malignant_specificity"],
            "Of the images of other lesions, the share answered “benign” or “uncertain” (specificity). Refused "
            "pictures count as errors here too.",
        )
        add(
            "“Benign” that was right",
            "status_benign_predictive_value",
            status["benign_predictive_value"],
            "Of the images answered “benign”, the share that truly was not malignant, among lesions as common as they "
            "are in this collection. It is never an all clear.",
        )
        add(
            "AUROC of malignant risk",
            "malignant_auroc",
            figures["malignant"]["auroc"],
            "How well the risk ranks: the chance that a malignant image gets a higher risk than another one. 0.5 is "
            "chance, 1 is perfect.",
            percent=False,
        )
    add(
        "Balanced accuracy",
        "balanced_accuracy",
        figures["balanced_accuracy"],
        "The share of images whose class is named rightly, averaged over the classes so that a rare one counts as much "
        "as a common one.",
    )
    add(
        "Macro AUROC",
        "macro_auroc",
        figures["macro_auroc"],
        "How well each class is told from all others, averaged over the classes. 0.5 is chance, 1 is perfect.",
        percent=False,
    )
    add(
        "Accuracy",
        "accuracy",
        figures["accuracy"],
        "The share of all images whose class is named rightly. Common classes dominate it.",
    )
    add(
        "Macro F1",
        "macro_f1",
        figures["macro_f1"],
        "Balance of finding a class (recall) and of being right when naming it (precision), averaged over classes.",
        percent=False,
    )
    add(
        "Calibration error",
        "ece",
        figures["ece"],
        "How far a stated confidence is from the share that proves right, on average over 15 steps of confidence. 0 is "
        "perfect; resampling inflates it, so its interval lies rather high.",
        percent=False,
    )
    return rows


def _class_order(taxonomy: Taxonomy) -> list[str]:
    """Class codes as a reader looks for them: melanoma first, the other malignant ones, then the rest."""

    def rank(code: str) -> tuple[bool, bool]:
        return code != "mel", taxonomy.label(code).status is not Status.MALIGNANT

    return sorted(taxonomy.codes, key=rank)


def _operating_points(predictions: Predictions, thresholds: Mapping[str, float] | None) -> list[dict[str, Any]]:
    """Sensitivity and specificity at the model's own thresholds and at a few round ones, over all images."""
    if thresholds is None:
        return []
    truth, risk = predictions.malignant, predictions.risk
    named = [(threshold, f"the model's “{name}” threshold") for name, threshold in thresholds.items()]
    rows = []
    for threshold, name in sorted([*named, *((t, "") for t in FIXED_THRESHOLDS)]):
        flagged = risk >= threshold
        rows.append(
            {
                "threshold": threshold,
                "name": name,
                "sensitivity": _defined(metrics.sensitivity(truth, flagged)),
                "specificity": _defined(metrics.specificity(truth, flagged)),
                "predictive_value": _defined(metrics.sensitivity(flagged, truth)),
                "flagged": float(flagged.mean()),
                "missed": int((truth & ~flagged).sum()),
            }
        )
    return rows


def _worst_errors(predictions: Predictions) -> list[dict[str, Any]]:
    """The gravest errors: malignant images answered "benign", lowest risk first; then the most confident wrong names.

    One image a lesion, so that a single lesion does not fill the sheet.
    """
    missed = predictions.malignant & predictions.has_status(Status.BENIGN)
    wrong = (predictions.predicted != predictions.labels) & ~missed
    rows = np.arange(len(predictions.labels))
    own = predictions.probabilities[rows, predictions.labels]
    margin = predictions.probabilities[rows, predictions.predicted] - own
    order = [i for i in np.argsort(predictions.risk, kind="stable") if missed[i]]
    order += [i for i in np.argsort(-margin, kind="stable") if wrong[i]]
    first_of_lesion = {predictions.lesions[i]: i for i in reversed(order)}
    chosen = [i for i in order if first_of_lesion[predictions.lesions[i]] == i][:WORST]
    codes = predictions.taxonomy.codes
    return [
        {
            "image": predictions.records[i].path.name,
            "picture": _picture(predictions.records[i].path),
            "label": predictions.records[i].label,
            "predicted": codes[predictions.predicted[i]],
            "confidence": float(predictions.probabilities[i, predictions.predicted[i]]),
            "risk": float(predictions.risk[i]) if predictions.taxonomy.malignant else None,
            "status": predictions.statuses[i],
            "missed": bool(missed[i]),
        }
        for i in chosen
    ]


def _picture(path: Path) -> str | None:
    """A small copy for embedding; None where the file can no longer be read."""
    try:
        return _data_uri(encode_jpeg(thumbnail(decode(path.read_bytes()), THUMBNAIL), quality=80), "image/jpeg")
    except (OSError, InvalidImage):
        return None


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _defined(value: Floats) -> float | None:
    return None if np.isnan(value) else float(value)


def _figure(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "not defined" if value is None else f"{100 * value:.1f} %"


def _span(bounds: list[float | None]) -> str:
    low, high = bounds
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _percent_span(bounds: list[float | None]) -> str:
    low, high = bounds
    return "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f} %"
