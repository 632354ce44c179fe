"""The figures, curves and tables of a model's admin page, from the files beside the model and from reviewed cases."""

import csv
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from ml.bundle import HISTORY
from ml.labels import Taxonomy
from webapp.extensions import db
from webapp.i18n import gettext as _
from webapp.model_page.facts import Model
from webapp.models.screening import ScreeningRow
from webapp.promotion.catalogue import Entry

PREDICTIONS = Path("evaluation") / "predictions.csv"
IMAGES_SHOWN = 500
WIDTH, HEIGHT = 320.0, 150.0
"""Of a chart, in the units of its drawing."""
CHARTS = (("training_loss", "validation_loss"), ("validation_balanced_accuracy", "validation_macro_auroc"))


def figure_names() -> dict[str, str]:
    """The figures of an evaluation that are shown, in order, with their names."""
    return {
        "balanced_accuracy": _("Balanced accuracy"),
        "accuracy": _("Accuracy"),
        "macro_f1": _("F1, mean of the classes"),
        "macro_auroc": _("AUROC, mean of the classes"),
        "malignant_auroc": _("AUROC, malignant against harmless"),
        "ece": _("Calibration error"),
        "status_malignant_sensitivity": _("Malignant lesions told to be malignant"),
        "status_malignant_or_uncertain_sensitivity": _("Malignant lesions told to be looked at"),
        "status_malignant_specificity": _("Harmless lesions not told to be malignant"),
    }


def line_names() -> dict[str, str]:
    """The curves of a training run with their names."""
    return {
        "training_loss": _("Loss in training"),
        "validation_loss": _("Loss in validation"),
        "validation_balanced_accuracy": _("Balanced accuracy in validation"),
        "validation_macro_auroc": _("AUROC in validation"),
    }


@dataclass(frozen=True)
class Figure:
    """One figure of an evaluation, with its interval where it has one."""

    name: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Line:
    """One curve: its name, the points of its polyline, and the values that it shows, an epoch each."""

    name: str
    points: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Chart:
    """Curves with one scale: `low` and `high` are the values at the lower and upper edge, `epochs` those below."""

    lines: tuple[Line, ...]
    low: float
    high: float
    epochs: tuple[int, ...]


@dataclass(frozen=True)
class Matrix:
    """Counts by true class (rows) and predicted class (columns); `has_images` where each can be listed."""

    codes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    has_images: bool = False

    @property
    def total(self) -> int:
        """All cases."""
        return sum(map(sum, self.counts))


def rows_of(model: Model | None) -> dict[str, Figure]:
    """The figures of the evaluation beside a model, by code; none where it was not measured."""
    found = model.evaluation if model else None
    if found is None:
        return {}
    rows = {}
    for code, name in figure_names().items():
        value = found.get(code)
        if code == "malignant_auroc":
            value = (found.get("malignant") or {}).get("auroc")
        elif code.startswith("status_"):
            value = (found.get("status") or {}).get(code.removeprefix("status_"))
        if value is not None:
            low, high = found["intervals"].get(code) or (None, None)
            rows[code] = Figure(name, value, low, high)
    return rows


def validated(model: Model | None) -> dict[str, Figure]:
    """The figures of the split that a model was chosen on, from its card; they have no intervals."""
    found = model.card.validation if model else {}
    given = {**found, "ece": found.get("expected_calibration_error")}
    given |= {code: found.get(code.removeprefix("status_")) for code in figure_names() if code.startswith("status_")}
    names = figure_names()
    return {code: Figure(names[code], float(given[code]), None, None) for code in names if given.get(code) is not None}


def curves(path: Path) -> list[Chart]:
    """The learning curves of a bundle's training run; none where its history was not kept or cannot be read."""
    try:
        with (path / HISTORY).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        epochs = tuple(round(float(row["epoch"])) for row in rows)
        series = {name: tuple(float(row[name]) for row in rows) for name in line_names()}
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [_chart(names, series, epochs) for names in CHARTS] if epochs else []


def _chart(names: tuple[str, ...], series: dict[str, tuple[float, ...]], epochs: tuple[int, ...]) -> Chart:
    values = [value for name in names for value in series[name] if value == value]  # without NaN
    low, high = min(values, default=0.0), max(values, default=1.0)
    span, steps = (high - low) or 1.0, max(1, len(epochs) - 1)
    lines = []
    for name in names:
        places = [
            f"{place / steps * WIDTH:.1f},{HEIGHT - (value - low) / span * HEIGHT:.1f}"
            for place, value in enumerate(series[name])
            if value == value
        ]
        if len(places) == 1:  # a line of no length, whose round ends are a dot
            places *= 2
        lines.append(Line(line_names()[name], " ".join(places), series[name]))
    return Chart(tuple(lines), low, high, epochs)


def evaluated_matrix(model: Model | None) -> Matrix | None:
    """The confusion matrix of the evaluation beside a model."""
    if model is None or model.evaluation is None:
        return None
    found = model.evaluation["confusion_matrix"]
    return Matrix(tuple(found["classes"]), tuple(map(tuple, found["counts"])))


def reviewed_matrix(entry: Entry, taxonomy: Taxonomy) -> Matrix | None:
    """The classes that reviewers agreed on, against those that this model named here; None without any.

    Counted in an index that holds nothing but reviewed cases: what was deleted has no reviewed class.
    """
    name, _at, version = entry.reference.rpartition("@")
    rows = db.session.execute(
        select(ScreeningRow.reviewed_class, ScreeningRow.predicted, func.count())
        .where(
            ScreeningRow.model_name == name,
            ScreeningRow.model_version == version,
            ScreeningRow.reviewed_class.is_not(None),
            ScreeningRow.predicted.is_not(None),
        )
        .with_hint(ScreeningRow, "INDEXED BY ix_screenings_model_reviewed", "sqlite")
        .group_by(ScreeningRow.reviewed_class, ScreeningRow.predicted)
    ).all()
    counts = {(true, predicted): number for true, predicted, number in rows}
    codes = taxonomy.codes
    table = tuple(tuple(counts.get((true, predicted), 0) for predicted in codes) for true in codes)
    found = Matrix(codes, table, has_images=True)
    return found if found.total else None


def answered_images(path: Path, actual: str, predicted: str) -> list[str] | None:
    """Ids of the evaluation's images of one true and one predicted class, at most IMAGES_SHOWN; None where the answers
    to single images are not beside the model."""
    try:
        with (path / PREDICTIONS).open(encoding="utf-8", newline="") as file:
            rows = (row for row in csv.DictReader(file) if (row["label"], row["predicted"]) == (actual, predicted))
            return [Path(row["image"]).stem for _, row in zip(range(IMAGES_SHOWN), rows, strict=False)]
    except (OSError, ValueError, KeyError):
        return None
