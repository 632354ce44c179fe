"""which bytes were promoted, and by which rules models were compared

Revision: 0019, after 0018, 2026-11-28.
"""

import sqlalchemy as sa
from alembic import op

revision = '0019'
down_revision = '0018'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('promotions', sa.Column('digest', sa.String(length=64), nullable=True))
    op.add_column('promotion_checks', sa.Column('rules', sa.String(length=16), nullable=True))


def downgrade() -> None:
    op.drop_column('promotion_checks', 'rules')
    op.drop_column('promotions', 'digest')
