"""Copies of photos that training runs have made for themselves, and their removal when a photo must go."""

import shutil
from pathlib import Path

FOLDER = "reviewed"
"""Where a run's folder has the reviewed cases it learns from, with all that was decoded of them."""


def delete_copies(runs: Path, screening_id: int) -> int:
    """Remove the reviewed cases of every run in `runs` that has photos of this screening; returns how many runs had.

    All of a run's go, since its decoded pictures lie together. A run under way has read them already and ends with what
    it has learnt; one that is taken up again later makes its export anew, without this screening.
    """
    found = {path.parents[2] for path in runs.glob(f"*/{FOLDER}/*/*/screening-{screening_id}-*.jpg")}
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)
    return len(found)
