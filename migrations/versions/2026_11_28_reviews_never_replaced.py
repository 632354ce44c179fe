"""reviews never replaced

Revision: 0022, after 0021, 2026-11-28.

SQLite's INSERT OR REPLACE removes rows without asking the trigger on DELETE, PostgreSQL's TRUNCATE without asking
triggers of rows.
"""

from alembic import op

revision = '0022'
down_revision = '0021'
branch_labels = None
depends_on = None

UP = {
    'sqlite': (
        "CREATE TRIGGER reviews_never_replaced BEFORE INSERT ON reviews "
        "WHEN EXISTS (SELECT 1 FROM reviews WHERE id = NEW.id) "
        "BEGIN SELECT RAISE(ABORT, 'reviews are never changed'); END",
    ),
    'postgresql': (
        "CREATE FUNCTION reviews_never_emptied() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'reviews are never deleted'; END $$",
        "CREATE TRIGGER reviews_never_emptied BEFORE TRUNCATE ON reviews "
        "FOR EACH STATEMENT EXECUTE FUNCTION reviews_never_emptied()",
    ),
}
DOWN = {
    'sqlite': ("DROP TRIGGER reviews_never_replaced",),
    'postgresql': ("DROP TRIGGER reviews_never_emptied ON reviews", "DROP FUNCTION reviews_never_emptied()"),
}


def upgrade() -> None:
    for statement in UP.get(op.get_bind().dialect.name, ()):
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN.get(op.get_bind().dialect.name, ()):
        op.execute(statement)
