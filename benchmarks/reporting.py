"""How a benchmark tells what it has found: on the terminal, and in a file where one is named."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml.files import write_json


def report(found: Mapping[str, Any], out: Path | None) -> None:
    """Print what was found, and write it to `out`."""
    print(json.dumps(found, indent=2))
    if out:
        write_json(out, found)
