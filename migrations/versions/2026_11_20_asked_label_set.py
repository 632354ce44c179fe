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
    with op.batch_alter_table('screenings') as batch:
        batch.drop_column('asked_label_set')
