"""Write what is measured of the shipped models under phone-like conditions into docs/conditions.md, with its pictures.

    python docs/update_conditions.py            rewrite the document, the curves and the drawn contact sheet
    python docs/update_conditions.py --check    exit with 1, naming it, where one of them is out of step or missing

The figures come from `evaluation/conditions.json` of each bundle in `ml/pretrained/`, as `flask conditions` wrote it.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "docs")]

from update_figures import main as update_blocks  # noqa: E402

from ml.conditions_metrics import tone_sentence  # noqa: E402
from ml.conditions_report import contact_sheet, digest, draw_all, points, points_span, share, share_span, svg  # noqa: E402
from ml.data.drawn import draw_lesion  # noqa: E402
from ml.features import lesion_mask  # noqa: E402

PICTURES = PROJECT / "docs" / "conditions"
SHEET = PICTURES / "drawn.jpg"
NONE_YET = "Not measured yet for the shipped model.\n"


def studies(folder: Path = PROJECT / "ml" / "pretrained") -> dict[str, dict[str, Any]]:
    """The recorded study of each shipped model, by the model's name."""
    return {
        path.parent.parent.name: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*/evaluation/conditions.json"))
    }


def block(name: str, figures: Mapping[str, Any]) -> str:
    """What docs/conditions.md says of one model: what was asked, the verdicts, the curves and the table."""
    sentences = "\n".join(f"- {condition['sentence']}" for condition in figures["conditions"])
    return (
        f"`{name}`, {figures['n_images']} images of as many lesions of the {figures['split']} split "
        f"({figures['n_malignant']} malignant), {figures['date'][:10]}, set of views “{figures['views']}”:\n\n"
        f"{sentences}\n\n**Skin tone alone.** {tone_sentence(figures)}\n\n"
        f"![Curves of every condition](conditions/{name}.svg)\n\n{table(figures)}"
    )


def table(figures: Mapping[str, Any]) -> str:
    """Every step of every condition, as a Markdown table; intervals in brackets."""
    lines = [
        "| Condition | Step | Refused | Balanced accuracy of the answered | Its change, points | "
        "Malignant answered benign | Change of malignant risk, points | Status flips |",
        "|---|---|---|---|---|---|---|---|",
        _row("", "as it is", figures["unchanged"]),
    ]
    for condition in figures["conditions"]:
        title = f"{condition['title']} ({condition['unit']})"
        for index, step in enumerate(condition["steps"]):
            name = f"**{step['step']}**" if index in condition["unrefused"] else step["step"]
            lines.append(_row(title if index == 0 else "", name, step))
    return "\n".join(lines) + "\n"


def _row(title: str, name: str, step: Mapping[str, Any]) -> str:
    spans = step["intervals"]

    def spanned(key: str, value: Any, span: Any) -> str:
        if key not in step:
            return "-"
        bounds = span(spans[key])
        return f"{value(step[key])} ({bounds})" if bounds else str(value(step[key]))

    cells = (
        title,
        name,
        share(step["refused"]),
        spanned("answered_balanced_accuracy", share, share_span),
        spanned("answered_change", points, points_span),
        spanned("malignant_called_benign", share, share_span),
        spanned("risk_change", points, points_span),
        share(step["status_flips"]),
    )
    return f"| {' | '.join(cells)} |"


def main(found: Mapping[str, Mapping[str, Any]], arguments: Sequence[str]) -> int:
    """Write (or, with `--check`, compare) document and pictures. Returns the exit status."""
    check = "--check" in arguments
    content = "\n".join(block(name, figures) for name, figures in found.items()) or NONE_YET
    status = update_blocks({PROJECT / "docs" / "conditions.md": {"conditions": content}}, arguments)
    curves = {PICTURES / f"{name}.svg": figures for name, figures in found.items()}
    if check:
        # A picture is in step where it names the figures it was drawn from: its bytes vary with matplotlib's version.
        behind = [p for p, f in curves.items() if not p.is_file() or digest(f) not in p.read_text(encoding="utf-8")]
        behind += [] if SHEET.is_file() else [SHEET]
        for path in behind:
            print(f"{path.relative_to(PROJECT)} is out of step: run make docs")
        return 1 if behind else status
    PICTURES.mkdir(exist_ok=True)
    for path, figures in curves.items():
        path.write_bytes(svg(draw_all(figures), digest(figures)))
    lesion = draw_lesion("mel", np.random.default_rng(6))
    SHEET.write_bytes(contact_sheet(lesion, lesion_mask(lesion)))
    return status


if __name__ == "__main__":
    sys.exit(main(studies(), sys.argv[1:]))
