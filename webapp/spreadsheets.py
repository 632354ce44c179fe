"""What a table must not hold for a spreadsheet to open it safely."""

from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell must not begin with: spreadsheets would compute it."""


def cell(value: Any) -> Any:
    """The value for a cell of a CSV file: a text that a spreadsheet would compute begins with an apostrophe."""
    return "'" + value if isinstance(value, str) and value.startswith(FORMULA) else value
