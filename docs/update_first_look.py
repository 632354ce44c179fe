"""Write the shipped first look's figures beside the network's into docs/first-look.md.

python docs/update_first_look.py            rewrite docs/first-look.md
python docs/update_first_look.py --check    exit with 1 where it is out of step

The figures are `evaluation/first-look.json` of the shipped first look, as `flask evaluate --first-look` wrote it, and
`evaluation/metrics.json` of the shipped model for the same data.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT / "docs")]

from update_figures import NONE_YET, evaluations, main, shown, shown_interval  # noqa: E402

ROWS = (
    ("Macro F1", "macro_f1", False),
    ("Accuracy", "accuracy", True),
    ("Balanced accuracy", "balanced_accuracy", True),
    ("Macro AUROC", "macro_auroc", False),
    ("Expected calibration error (15 bins)", "ece", False),
)
KINDS = {"not_skin": "everyday pictures", "not_dermatoscopic": "ordinary photos of skin"}


def table(look: Mapping[str, Any], network: Mapping[str, Any] | None, name: str) -> str:
    """First look and network side by side, and in sentences what the first look refuses and takes, as Markdown."""
    lines = [
        f"`{look['first_look']['name']}` on {look['n_images']:,} images of {look['n_lesions']:,} lesions "
        f"({look['first_look']['features']} numbers each):",
        "",
        f"| On the test split | First look | 95 % interval | `{name}` | 95 % interval |",
        "|---" * 5 + "|",
    ]
    for title, key, percent in ROWS:
        cells: list[str] = []
        for found in (look, network):
            if found is None:
                cells += ["", ""]
            else:
                cells += [shown(found[key], percent), shown_interval(found["intervals"][key], percent)]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    gate, cpu = look["gate"], look["cpu_ms"]
    lines += [
        "",
        f"It refuses {shown(gate['refused_share'], True)} of these images. Processor time a photo, decoding left out: "
        f"{cpu['median']:.1f} ms in the median, {cpu['p95']:.1f} ms at the 95th percentile.",
    ]
    for kind, counts in (look["check"] or {}).items():
        total = sum(counts.values())
        lines.append(
            f"Of {total} {KINDS.get(kind, kind.replace('_', ' '))} that were kept from the fit, "
            f"{total - counts.get('usable', 0)} are refused."
        )
    return "\n".join(lines) + "\n"


def measured() -> str:
    """The block for the document."""
    found = sorted((PROJECT / "ml" / "pretrained").glob("*/evaluation/first-look.json"))
    blocks = []
    for path in found:
        look = json.loads(path.read_text(encoding="utf-8"))
        same = {
            name: metrics
            for name, metrics in evaluations().items()
            if metrics["dataset"]["label_set"] == look["dataset"]["label_set"]
        }
        name = next(iter(same), "network")
        blocks.append(table(look, same.get(name), name))
    return "\n".join(blocks) or NONE_YET


if __name__ == "__main__":
    sys.exit(main({PROJECT / "docs" / "first-look.md": {"first-look": measured()}}, sys.argv[1:]))
