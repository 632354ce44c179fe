"""Facets: the combinations of codes that occur among the screenings, of which there are few, however many screenings.

`screenings.facet` holds all codes of a row that a filter can ask for. An index holds the facets in order, so that all
that occur are found by one step each, and a filter becomes the list of those that match. What matches none is known
without looking at a single row.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Select, Text, cast, func, literal, select, text
from sqlalchemy.dialects.postgresql import JSON

from webapp.extensions import db
from webapp.models.screening import FACET_FIELDS

# A "loose index scan": SELECT DISTINCT would read every entry of the index.
WALK = text(
    "WITH RECURSIVE walk(facet) AS (SELECT min(facet) FROM screenings UNION ALL "
    "SELECT (SELECT min(facet) FROM screenings WHERE facet > walk.facet) FROM walk WHERE walk.facet IS NOT NULL) "
    "SELECT facet FROM walk WHERE facet IS NOT NULL"
)


def all_facets() -> list[str]:
    """Every facet that a screening has, in order."""
    return list(db.session.scalars(WALK))


def matching_facets(wanted: Mapping[str, str], facets: Iterable[str] | None = None) -> list[str]:
    """The facets (of `facets`, else of all screenings) whose fields have the wanted values, by name in FACET_FIELDS."""
    places = [(FACET_FIELDS.index(name), value) for name, value in wanted.items()]
    found = []
    for facet in all_facets() if facets is None else facets:
        fields = split(facet)
        if all(fields[place] == value for place, value in places):
            found.append(facet)
    return found


def split(facet: str) -> list[str]:
    """The values of a facet in the order of FACET_FIELDS. Only the last one may hold the sign between them."""
    return facet.split("|", len(FACET_FIELDS) - 1)


def listed(values: Iterable[str]) -> Any:
    """Texts as a table with the column `value`, however many: they are sent as one parameter."""
    content = json.dumps(list(values))
    if db.engine.dialect.name == "sqlite":
        return func.json_each(content).table_valued("value")
    return func.json_array_elements_text(cast(literal(content, Text), JSON)).table_valued("value")


def one_of(values: Iterable[str]) -> Select[Any]:
    """The same as a subquery for IN."""
    return select(listed(values).c.value)
