"""What Alembic does with our metadata: called by `flask db ...` inside the application."""

from typing import Literal

from alembic import context
from flask import current_app
from sqlalchemy import Connection

from webapp.models import review, screening, second_answer, token, user  # noqa: F401  # the tables join the metadata on import
from webapp.models.base import Base, UTCDateTime


def run(connection: Connection) -> None:
    """Run the chosen migrations in one transaction: all of them or none."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,  # SQLite can alter little in place
        compare_type=True,
        render_item=_render_item,
    )
    with context.begin_transaction():
        context.run_migrations()


def _render_item(kind: str, item: object, autogen_context: object) -> str | Literal[False]:
    """Migrations name the column types of the database, not ours, which may change."""
    return "sa.DateTime()" if kind == "type" and isinstance(item, UTCDateTime) else False


with current_app.extensions["migrate"].db.engine.connect().execution_options(writing=True) as open_connection:
    run(open_connection)
