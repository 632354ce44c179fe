"""Write the table of settings in `webapp/config.py` into README.md.

python docs/update_settings.py            rewrite README.md
python docs/update_settings.py --check    exit with 1 where README.md is out of step
"""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "docs")]

from update_figures import main  # noqa: E402

from webapp.config import settings_table  # noqa: E402

if __name__ == "__main__":
    sys.exit(main({PROJECT / "README.md": {"settings": settings_table()}}, sys.argv[1:]))
