"""How `flask predict` writes its answers: as a table to read, as JSON Lines, or as CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import click

from ml.severity_grades import note_of
from webapp.model_page.links import model_address
from webapp.spreadsheets import cell

if TYPE_CHECKING:
    from ml.screening import Screening


@dataclass(frozen=True)
class Answer:
    """What came of one path: a screening, or a sentence that says why there is none."""

    path: str
    screening: Screening | None
    error: str | None
    picture: bytes | None = None
    """A small JPEG of the photo, where one was asked for."""

    def to_dict(self) -> dict[str, Any]:
        """The line of the JSON Lines format."""
        values = {} if self.screening is None else self.screening.to_dict()
        return {"path": self.path, "ok": self.screening is not None, "error": self.error, **values}


class Writer(Protocol):
    """Writes answers to standard output, one after the other."""

    def write(self, answer: Answer) -> None:
        """Write one."""

    def close(self) -> None:
        """Write what stands below them all."""


class JsonLines:
    """One JSON object a line."""

    def __init__(self, _: Sequence[str]) -> None:
        pass

    def write(self, answer: Answer) -> None:
        """Write one."""
        click.echo(json.dumps(answer.to_dict(), allow_nan=False))

    def close(self) -> None:
        """Nothing stands below."""


class Csv:
    """A line of names, then one row a photo. No cell begins with what a spreadsheet would compute."""

    def __init__(self, classes: Sequence[str]) -> None:
        columns = ["path", "ok", "error", "label_set", "predicted", *(f"p_{code}" for code in classes)]
        columns += ["malignant_risk", "status", "gate_verdict", "gate_reason", "model_name", "model_version"]
        columns += ["first_look", "first_look_probability", "first_look_agrees"]
        columns += ["severity", "severity_source", "severity_note"]
        self._table = csv.DictWriter(sys.stdout, columns, restval="", lineterminator="\n")
        self._table.writeheader()

    def write(self, answer: Answer) -> None:
        """Write one."""
        row: dict[str, Any] = {
            "path": click.format_filename(answer.path),
            "ok": str(answer.error is None).lower(),
            "error": answer.error,
        }
        if (found := answer.screening) is not None:
            row |= {f"p_{code}": p for code, p in (found.probabilities or {}).items()}
            row |= {
                "label_set": found.label_set,
                "predicted": found.predicted,
                "malignant_risk": found.malignant_risk,
                "status": found.status.value,
                "gate_verdict": found.gate.verdict,
                "gate_reason": found.gate.reason,
                "model_name": found.model["name"],
                "model_version": found.model["version"],
            }
            if (look := found.first_look) is not None and look["predicted"] is not None:
                row["first_look"] = look["predicted"]
                row["first_look_probability"] = look["probabilities"][look["predicted"]]
                row["first_look_agrees"] = "" if look["agrees"] is None else str(look["agrees"]).lower()
            if (graded := found.severity) is not None:
                row |= {"severity": graded["grade"], "severity_source": graded["source"]}
                row["severity_note"] = note_of(graded)
        self._table.writerow({name: cell(value) for name, value in row.items()})

    def close(self) -> None:
        """Nothing stands below."""


class Table:
    """A table to read, with what belongs to its answers below it."""

    LINE = "{:<10} {:>6}  {:<10} {:>11}  {}"

    def __init__(self, _: Sequence[str]) -> None:
        self._below: dict[str, None] = {}  # sentences, each once, in their order
        click.echo(self.LINE.format("status", "risk", "class", "probability", "path"))

    def write(self, answer: Answer) -> None:
        """Write one."""
        found, path = answer.screening, click.format_filename(answer.path)
        if found is None:
            click.echo(self.LINE.format("error", "", "", "", f"{path}: {answer.error}"))
            return
        if found.predicted is None and found.first_look is not None:  # it was asked for alone
            named = found.first_look["predicted"]
            probability = f"{found.first_look['probabilities'][named]:.3f}"
            click.echo(self.LINE.format(found.status.value, "", named, probability, f"{path} (first look only)"))
        elif found.predicted is None or found.probabilities is None:
            why = (found.gate.reason or found.gate.verdict).replace("_", " ")
            click.echo(self.LINE.format(found.status.value, "", "", "", f"{path}: {why}"))
        else:
            risk = "" if found.malignant_risk is None else f"{found.malignant_risk:.3f}"
            probability = f"{found.probabilities[found.predicted]:.3f}"
            grade = ""
            if (graded := found.severity) is not None:
                grade = f"  {graded['grade']} ({graded['source']})"
                self._below[f"{graded['source'].capitalize()} severity: {note_of(graded)}"] = None
            click.echo(self.LINE.format(found.status.value, risk, found.predicted, probability, path) + grade)
        self._below[f"How good the model is: {model_address(found.model['name'], found.model['version'])}"] = None

    def close(self) -> None:
        """What the grades are worth, and where it says how good the model is."""
        if self._below:
            click.echo("\n" + "\n".join(self._below))


WRITERS: dict[str, Callable[[Sequence[str]], Writer]] = {"table": Table, "jsonl": JsonLines, "csv": Csv}
