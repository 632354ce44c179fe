"""what answers rest on

Revision: 0002, after 0001, 2026-11-20.
"""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('photos', sa.Column('heatmap', sa.LargeBinary(), nullable=True))
    op.add_column('photos', sa.Column('features', sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table('photos') as batch:
        batch.drop_column('features')
        batch.drop_column('heatmap')
