"""Learning curves as points of SVG lines, and the numbers behind them."""

from collections.abc import Sequence
from dataclasses import dataclass

from webapp.i18n import gettext as _

WIDTH, HEIGHT = 320, 180
LEFT, BOTTOM, TOP, RIGHT = 36, 22, 8, 8


@dataclass(frozen=True)
class Line:
    """One curve: its name, its points as SVG wants them ("x,y x,y"), and its last point."""

    name: str
    points: str
    end: tuple[float, float]


@dataclass(frozen=True)
class Chart:
    """A chart with its lines and the marks (position, label) of both axes."""

    title: str
    lines: tuple[Line, ...]
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]


def charts(history: Sequence[dict[str, float]]) -> list[Chart]:
    """Loss, and what was reached on the validation split, over the epochs; none before the first epoch."""
    if not history:
        return []
    losses = {"training_loss": _("Training"), "validation_loss": _("Validation")}
    reached = {
        "validation_accuracy": _("Accuracy"),
        "validation_balanced_accuracy": _("Balanced accuracy"),
        "validation_macro_auroc": _("Macro AUROC"),
    }
    most = max(row.get(name, 0.0) for row in history for name in losses)
    return [
        _chart(_("Loss"), history, losses, max(most, 1e-6) * 1.05),
        _chart(_("Validation"), history, reached, 1.0),
    ]


def _chart(title: str, history: Sequence[dict[str, float]], names: dict[str, str], top: float) -> Chart:
    last = max(row["epoch"] for row in history)

    def x(epoch: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * ((epoch - 1) / (last - 1) if last > 1 else 0.5), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(max(value / top, 0.0), 1.0), 1)

    lines = []
    for name, title_of_line in names.items():
        points = [(x(row["epoch"]), y(row[name])) for row in history if row.get(name) == row.get(name) and name in row]
        if points:
            lines.append(Line(title_of_line, " ".join(f"{a},{b}" for a, b in points), points[-1]))
    epochs = sorted({1, round((1 + last) / 2), int(last)})
    marks = tuple((y(top * share), f"{top * share:.2g}") for share in (0.0, 0.5, 1.0))
    return Chart(title, tuple(lines), tuple((x(epoch), str(epoch)) for epoch in epochs), marks)
