"""Pages of the history: every filter and sort against a plain reading, ties, rows that arrive meanwhile, neighbours."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import event, select

from tests.webapp.history import fits, random_filters, random_row, rank
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.history import listing, pages
from webapp.history.facets import all_facets
from webapp.history.filters import NEWEST, SORTS, Filters, Sort, read_queue, write_queue
from webapp.history.listing import read_page
from webapp.history.pages import Order, all_keys, find
from webapp.history.queue import neighbours
from webapp.models.screening import ScreeningRow


@pytest.fixture
def app(tmp_path: Path, make_app: Callable[[Config], Flask]) -> Flask:
    """An application without a model: none is needed to read."""
    return make_app(Config(instance=tmp_path / "instance", secret_key="for tests only", testing=True))


def fill(draw: random.Random, count: int, first: int = 1) -> None:
    with write_transaction() as session:
        session.add_all(random_row(draw, number) for number in range(first, first + count))


def expected(filters: Filters, sort: Sort) -> list[int]:
    rows = [row for row in db.session.scalars(select(ScreeningRow)) if fits(row, filters)]
    return [row.id for row in sorted(rows, key=rank(sort), reverse=sort.descending)]


def walk(
    filters: Filters, sort: Sort, *, back: bool = False, meanwhile: Callable[[], None] = lambda: None
) -> list[int]:
    """All ids, page by page; with `back` from the last page to the first, in the order of the list."""
    seen: list[int] = []
    page = read_page(filters, sort)
    if back:
        while page.after:
            page = read_page(filters, sort, after=page.after)
    for _ in range(1000):
        ids = [row.id for row in page.rows]
        seen = ids + seen if back else seen + ids
        meanwhile()
        key = page.before if back else page.after
        if key is None:
            return seen
        page = read_page(filters, sort, before=key) if back else read_page(filters, sort, after=key)
    raise AssertionError("it never ends")


@pytest.mark.parametrize(("few", "looked"), [(20_000, 50_000), (10, 50), (0, 7)])
def test_pages_are_what_a_plain_reading_gives(
    app: Flask, monkeypatch: pytest.MonkeyPatch, few: int, looked: int
) -> None:
    """Whatever plan is taken; small limits bring out those that large histories need."""
    monkeypatch.setattr(pages, "FEW", few)
    monkeypatch.setattr(pages.look_through, "__defaults__", (looked,))
    monkeypatch.setattr(listing, "PAGE_SIZE", 7)
    draw = random.Random(few)
    with app.app_context():
        fill(draw, 120)
        for _ in range(40):
            filters, sort = random_filters(draw), draw.choice(list(SORTS.values()))
            wanted = expected(filters, sort)
            assert walk(filters, sort) == wanted, (filters, sort)
            assert walk(filters, sort, back=True) == wanted, (filters, sort)
            if few:
                assert [key.id for key in all_keys(filters, sort, 5)] == wanted, (filters, sort)
            page = read_page(filters, sort)
            assert page.total == len(wanted) or not page.complete


@pytest.mark.parametrize("sort", SORTS.values(), ids=lambda sort: sort.name)
def test_rows_that_arrive_while_paging_shift_nothing(app: Flask, monkeypatch: pytest.MonkeyPatch, sort: Sort) -> None:
    monkeypatch.setattr(listing, "PAGE_SIZE", 5)
    draw = random.Random(1)
    with app.app_context():
        fill(draw, 60)
        for filters in (Filters(), Filters(status="benign"), Filters(risk_from=0.1)):
            before = expected(filters, sort)
            first = (db.session.query(ScreeningRow.id).order_by(ScreeningRow.id.desc()).first() or (0,))[0] + 1
            numbers = iter(range(first, first + 1000, 3))
            seen = walk(filters, sort, meanwhile=lambda numbers=numbers: fill(draw, 3, next(numbers)))  # type: ignore[misc]
            assert [number for number in seen if number < first] == before
            assert len(seen) == len(set(seen))


def test_the_indexes_are_used(app: Flask) -> None:
    """No plan reads the table from end to end, or sorts more than what is few."""
    seen: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    with app.app_context():
        fill(random.Random(2), 50)
        event.listen(db.engine, "before_cursor_execute", note)
        for sort in SORTS.values():
            find(Filters(), Order(sort), 5)
            find(Filters(status="benign"), Order(sort), 5)
            pages.look_through(all_facets(), Filters(risk_from=0.1).ranges(), Order(sort), 5)
        event.remove(db.engine, "before_cursor_execute", note)
        for statement in {one for one in seen if "INDEXED BY" in one}:
            values = tuple("[]" if "json_each" in statement else 1 for _ in range(statement.count("?")))
            plan = [
                row[3] for row in db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            ]
            assert not any(step.endswith("SCAN screenings") or "TEMP B-TREE" in step for step in plan), plan


def test_what_fits_no_facet_is_known_without_looking_at_a_row(app: Flask) -> None:
    with app.app_context():
        fill(random.Random(3), 50)
        assert find(Filters(model="nothing"), Order(NEWEST), 5).keys == []
        assert set(all_facets()) == set(db.session.scalars(select(ScreeningRow.facet)))


def test_neighbours_follow_the_queue(app: Flask) -> None:
    with app.app_context():
        fill(random.Random(4), 60)
        filters, sort = Filters(review="pending"), SORTS["risk"]
        ids = expected(filters, sort)
        row = db.session.get_one(ScreeningRow, ids[3])
        around = neighbours(filters, sort, row)
        assert (around.previous, around.next) == (ids[2], ids[4])
        with write_transaction():
            db.session.get_one(ScreeningRow, ids[3]).review_status = "submitted"  # it leaves the queue
        around = neighbours(filters, sort, row)
        assert (around.previous, around.next) == (ids[2], ids[4])
        assert neighbours(filters, sort, db.session.get_one(ScreeningRow, ids[0])).previous is None
        assert neighbours(filters, sort, db.session.get_one(ScreeningRow, ids[-1])).next is None


def test_a_queue_is_written_and_read() -> None:
    draw = random.Random(5)
    for _ in range(50):
        filters, sort = random_filters(draw), draw.choice(list(SORTS.values()))
        assert read_queue(write_queue(filters, sort)) == (filters, sort)
    assert write_queue(Filters(), NEWEST) == ""
    assert read_queue("status=nonsense&sort=x&risk_from=nan&from=1&uncertainty_to=-5") == (
        Filters(uncertainty_to=0.0), NEWEST,
    )  # fmt: skip
