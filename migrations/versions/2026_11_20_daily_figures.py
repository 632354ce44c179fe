"""daily figures

Revision: 0010, after 0009, 2026-11-20.
"""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('daily_figures',
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('counted_at', sa.DateTime(), nullable=False),
    sa.Column('complete', sa.Boolean(), nullable=False),
    sa.Column('cells', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('day', name=op.f('pk_daily_figures'))
    )
    op.create_index('ix_screenings_finished', 'screenings', ['finished_at'])
    reviewed = sa.text("review_status = 'submitted'")
    op.create_index(
        'ix_screenings_reviewed', 'screenings', ['finished_at'], sqlite_where=reviewed, postgresql_where=reviewed
    )


def downgrade() -> None:
    op.drop_index('ix_screenings_reviewed', table_name='screenings')
    op.drop_index('ix_screenings_finished', table_name='screenings')
    op.drop_table('daily_figures')
