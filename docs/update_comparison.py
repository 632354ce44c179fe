"""Write the tables of `docs/comparison.json`, as `flask compare` made it, into docs/comparison.md; draw its picture.

python docs/update_comparison.py            rewrite docs/comparison.md and docs/comparison.svg
python docs/update_comparison.py --check    exit with 1 where the document is out of step
"""

import json
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "docs")]

from update_figures import main  # noqa: E402

from ml.compare_picture import draw_comparison  # noqa: E402
from ml.compare_tables import as_markdown  # noqa: E402
from ml.files import write_bytes  # noqa: E402

MEASURED = PROJECT / "docs" / "comparison.json"
PICTURE = PROJECT / "docs" / "comparison.svg"
NONE_YET = "Nothing is recorded yet.\n"


def measured() -> str:
    """The block for the document."""
    return as_markdown(json.loads(MEASURED.read_text(encoding="utf-8"))) if MEASURED.is_file() else NONE_YET


if __name__ == "__main__":
    if MEASURED.is_file() and "--check" not in sys.argv[1:]:
        write_bytes(PICTURE, draw_comparison(json.loads(MEASURED.read_text(encoding="utf-8"))))
    sys.exit(main({PROJECT / "docs" / "comparison.md": {"comparison": measured()}}, sys.argv[1:]))
