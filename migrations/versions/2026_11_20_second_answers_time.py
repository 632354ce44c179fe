"""second answers by time

Revision: 0017, after 0016, 2026-11-20.
"""

from alembic import op

revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index('ix_second_answers_time', 'second_answers', ['purpose', 'created_at'])


def downgrade() -> None:
    op.drop_index('ix_second_answers_time', table_name='second_answers')
