"""promotions

Revision: 0012, after 0011, 2026-11-20.
"""

import sqlalchemy as sa
from alembic import op

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('promotions',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('label_set', sa.String(length=80), nullable=False),
    sa.Column('number', sa.Integer(), nullable=True),
    sa.Column('action', sa.String(length=20), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=True),
    sa.Column('version', sa.String(length=80), nullable=True),
    sa.Column('by', sa.String(length=80), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('numbers', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('at', sa.DateTime(), nullable=False),
    sa.CheckConstraint("action IN ('promote', 'rollback', 'refuse', 'shadow', 'shadow_off')", name=op.f('ck_promotions_action')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_promotions')),
    sa.UniqueConstraint('label_set', 'number', name=op.f('uq_promotions_label_set_number'))
    )
    op.create_index('ix_promotions_label_set', 'promotions', ['label_set', 'id'])
    op.create_table('promotion_checks',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('label_set', sa.String(length=80), nullable=False),
    sa.Column('champion', sa.String(length=64), nullable=False),
    sa.Column('challenger', sa.String(length=64), nullable=False),
    sa.Column('set_digest', sa.String(length=64), nullable=False),
    sa.Column('champion_name', sa.String(length=300), nullable=False),
    sa.Column('challenger_name', sa.String(length=300), nullable=False),
    sa.Column('margin', sa.Double(), nullable=False),
    sa.Column('numbers', sa.JSON(), nullable=False),
    sa.Column('by', sa.String(length=80), nullable=False),
    sa.Column('at', sa.DateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_promotion_checks'))
    )
    op.create_index('ix_promotion_checks_pair', 'promotion_checks', ['champion', 'challenger', 'id'])


def downgrade() -> None:
    op.drop_table('promotion_checks')
    op.drop_table('promotions')
