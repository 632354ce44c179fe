"""what the audit log has counted and not written anew

Revision: 0024, after 0023, 2026-11-28.
"""

import sqlalchemy as sa
from alembic import op

revision = '0024'
down_revision = '0023'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('audit_repeats',
    sa.Column('actor', sa.String(length=80), nullable=False),
    sa.Column('action', sa.String(length=60), nullable=False),
    sa.Column('subject', sa.String(length=200), nullable=False),
    sa.Column('entered_at', sa.DateTime(), nullable=False),
    sa.Column('repeats', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('actor', 'action', 'subject', name=op.f('pk_audit_repeats'))
    )
    with op.batch_alter_table('audit_repeats', schema=None) as batch_op:
        batch_op.create_index('ix_audit_repeats_entered_at', ['entered_at'], unique=False)


def downgrade() -> None:
    op.drop_table('audit_repeats')
