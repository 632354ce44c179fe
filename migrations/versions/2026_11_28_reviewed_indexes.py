"""reviewed indexes

Revision: 0023, after 0022, 2026-11-28.
"""

import sqlalchemy as sa
from alembic import op

revision = '0023'
down_revision = '0022'
branch_labels = None
depends_on = None

LABELLED = sa.text('reviewed_class IS NOT NULL')
IN_BULK = sa.text('bulk IS NOT NULL AND undoes IS NULL')


def upgrade() -> None:
    op.create_index(
        'ix_screenings_model_reviewed', 'screenings', ['model_name', 'model_version', 'reviewed_class', 'predicted'],
        sqlite_where=LABELLED, postgresql_where=LABELLED,
    )
    op.create_index('ix_reviews_newest_bulk', 'reviews', ['id', 'bulk'], sqlite_where=IN_BULK, postgresql_where=IN_BULK)


def downgrade() -> None:
    op.drop_index('ix_reviews_newest_bulk', 'reviews')
    op.drop_index('ix_screenings_model_reviewed', 'screenings')
