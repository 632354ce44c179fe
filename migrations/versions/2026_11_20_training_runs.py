"""training runs

Revision: 0008, after 0007, 2026-11-20.
"""

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('training_runs',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('label_set', sa.String(length=80), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('data', sa.String(length=500), nullable=True),
    sa.Column('options', sa.JSON(), nullable=False),
    sa.Column('requested_by', sa.String(length=80), nullable=False),
    sa.Column('created_at', sa.DateTime(), nullable=False),
    sa.Column('started_at', sa.DateTime(), nullable=True),
    sa.Column('finished_at', sa.DateTime(), nullable=True),
    sa.Column('lease', sa.String(length=32), nullable=True),
    sa.Column('heartbeat_at', sa.DateTime(), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('epoch', sa.Integer(), nullable=False),
    sa.Column('epochs', sa.Integer(), nullable=False),
    sa.Column('progress', sa.JSON(), nullable=True),
    sa.Column('metrics', sa.JSON(), nullable=True),
    sa.Column('bundle', sa.String(length=300), nullable=True),
    sa.Column('log_tail', sa.Text(), nullable=True),
    sa.Column('error', sa.Text(), nullable=True),
    sa.CheckConstraint("kind IN ('train', 'promotion')", name=op.f('ck_training_runs_kind')),
    sa.CheckConstraint(
        "state IN ('queued', 'running', 'stopping', 'stopped', 'done', 'failed', 'interrupted')",
        name=op.f('ck_training_runs_state')
    ),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_training_runs')),
    sqlite_autoincrement=True
    )
    active = sa.text("state IN ('running', 'stopping')")
    op.create_index(
        'uq_training_runs_active', 'training_runs', ['kind'], unique=True, sqlite_where=active, postgresql_where=active
    )
    op.create_index('ix_training_runs_state', 'training_runs', ['state', 'id'])


def downgrade() -> None:
    op.drop_table('training_runs')
