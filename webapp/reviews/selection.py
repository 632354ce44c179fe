"""The screenings that fit the history's filters, as an address carries them."""

from collections.abc import Iterator
from itertools import islice

from webapp.history.filters import NEWEST, read_queue
from webapp.history.pages import all_keys

BATCH = 100


def newest(query: str, limit: int) -> list[int]:
    """Ids of the newest screenings that fit, at most so many."""
    filters, _sort = read_queue(query)
    return [key.id for key in islice(all_keys(filters, NEWEST, BATCH), limit)]


def batches(query: str) -> Iterator[list[int]]:
    """Ids of all screenings that fit, `BATCH` at a time."""
    filters, sort = read_queue(query)
    batch: list[int] = []
    for key in all_keys(filters, sort, BATCH):
        batch.append(key.id)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
