"""shown answers

Revision: 0021, after 0020, 2026-11-28.
"""

import sqlalchemy as sa
from alembic import op

revision = '0021'
down_revision = '0020'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('shown_answers',
    sa.Column('screening_id', sa.Integer(), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['screening_id'], ['screenings.id'], name=op.f('fk_shown_answers_screening_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_shown_answers_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('screening_id', 'user_id', name=op.f('pk_shown_answers'))
    )
    op.create_index('ix_shown_answers_user', 'shown_answers', ['user_id'])


def downgrade() -> None:
    op.drop_table('shown_answers')
