"""Copies of photos that training runs have made for themselves, and their removal when a photo must go."""

import logging
import re
import shutil
from pathlib import Path

log = logging.getLogger(__name__)

FOLDER = "reviewed"
"""Where a run's folder has the reviewed cases it learns from, with all that was decoded of them."""
TAKEN = "reviewed-taken"
"""A file in the run's folder that says that they were removed: a run that fails then, since it had not read them all
yet, is taken up again."""
_NAME = re.compile(r"screening-(\d+)-\d+\.jpg")


def delete_copies(runs: Path, screening_id: int) -> bool:
    """Remove the reviewed cases of every run in `runs` that has photos of this screening; whether none is left.

    All of a run's go, since its decoded pictures lie together. A run that learns has read them already and ends with
    what it has learnt; one that has not, or is taken up again later, makes its export anew, without this screening.
    What cannot be removed is logged, and the next sweep tries again.
    """
    left = False
    for folder in {path.parents[2] for path in _copies(runs, f"screening-{screening_id}-*.jpg")}:
        try:
            (folder.parent / TAKEN).touch()
            shutil.rmtree(folder)
        except FileNotFoundError:
            shutil.rmtree(folder, ignore_errors=True)  # somebody else removes them too
            left |= folder.exists()
        except OSError as error:
            left = True
            log.error("the reviewed cases of run %s cannot be removed: %s", folder.parent.name, error.strerror)
    return not left


def copied(runs: Path) -> set[int]:
    """Ids of the screenings that any run has photos of."""
    names = (_NAME.fullmatch(path.name) for path in _copies(runs, "screening-*.jpg"))
    return {int(name[1]) for name in names if name}


def _copies(runs: Path, pattern: str) -> list[Path]:
    return list(runs.glob(f"*/{FOLDER}/*/*/{pattern}"))
