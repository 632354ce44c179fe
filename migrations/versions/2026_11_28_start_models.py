"""what a name without a version in MODEL stands for

Revision: 0018, after 0017, 2026-11-28.
"""

import sqlalchemy as sa
from alembic import op

revision = '0018'
down_revision = '0017'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('start_models',
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('version', sa.String(length=80), nullable=False),
    sa.Column('label_set', sa.String(length=80), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('at', sa.DateTime(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_start_models'))
    )


def downgrade() -> None:
    op.drop_table('start_models')
