"""The record of a run: one line an epoch in `history.csv`, and its curves as a picture."""

import csv
import io
from pathlib import Path

from matplotlib.figure import Figure

from ml.files import write_atomically, write_bytes
from ml.run_folder import HISTORY

COLUMNS = (
    "epoch",
    "training_loss",
    "validation_loss",
    "validation_accuracy",
    "validation_balanced_accuracy",
    "validation_macro_auroc",
    "rate_factor",
    "seconds",
)
Row = dict[str, float]


def write_history(folder: Path, rows: list[Row]) -> None:
    """Write `history.csv`, atomically."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{row[name]:.6g}" for name in COLUMNS} for row in rows)
    write_bytes(folder / HISTORY, text.getvalue().encode())


def draw_curves(folder: Path, rows: list[Row]) -> None:
    """Write `curves.png`, atomically. Takes almost half a second."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    for axes, names in ((left, COLUMNS[1:3]), (right, COLUMNS[3:6])):
        for name in names:
            axes.plot(epochs, [row[name] for row in rows], label=name.replace("_", " "), marker=".")
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    left.set_title("Loss")
    right.set_title("Validation")
    write_atomically(folder / "curves.png", lambda path: figure.savefig(path, format="png", dpi=110))
