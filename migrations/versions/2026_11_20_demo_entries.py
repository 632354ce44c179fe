"""demo entries

Revision: 0016, after 0015, 2026-11-20.
"""

import sqlalchemy as sa
from alembic import op

revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('demo_entries',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('key', sa.String(length=300), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_demo_entries')),
    sa.UniqueConstraint('kind', 'key', name=op.f('uq_demo_entries_kind_key'))
    )


def downgrade() -> None:
    op.drop_table('demo_entries')
