"""asked label set

Revision: 0004, after 0003, 2026-11-20.
"""

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('screenings', sa.Column('asked_label_set', sa.String(length=80), nullable=True))


def downgrade() -> None:
    # Not as a batch: that makes the table anew on SQLite, and dropping the old one takes every photo's row with it.
    op.drop_column('screenings', 'asked_label_set')
