"""How much a model's answers lean on the skin around a lesion, from the study that lies beside it (ml.conditions)."""

import json
from dataclasses import dataclass
from pathlib import Path

STUDY = Path("evaluation") / "conditions.json"


@dataclass(frozen=True)
class Tones:
    """Of 100 answers, at the tones where fewest and most did, how many took another status when only the skin's tone
    was changed; and how many of 100 photos were not answered at the darkest tone. `tested` where the photos were those
    of the test split, which nothing was chosen by."""

    fewest: int
    most: int
    refused: int
    tested: bool


def read_tones(bundle: Path, digest: str) -> Tones | None:
    """What the study beside a bundle says; None where there is none of exactly these files (`digest` of their sums)."""
    try:
        study = json.loads((bundle / STUDY).read_text(encoding="utf-8"))
        steps = next(c["steps"] for c in study["conditions"] if c["name"] == "skin_tone")
        flips = [round(100 * step["status_flips"]) for step in steps if step["status_flips"] is not None]
        found = Tones(min(flips), max(flips), round(100 * steps[-1]["refused"]), study["split"] == "test")
        return found if study["bundle"]["sha256"] == digest else None
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return None  # not measured, or damaged: then the page says nothing of it
