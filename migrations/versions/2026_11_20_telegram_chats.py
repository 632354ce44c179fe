"""telegram chats

Revision: 0005, after 0004, 2026-11-20.
"""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('telegram_chats',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('chat_hash', sa.String(length=64), nullable=False),
    sa.Column('language', sa.String(length=10), nullable=False),
    sa.Column('label_set', sa.String(length=80), nullable=True),
    sa.Column('consent_at', sa.DateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_telegram_chats')),
    sa.UniqueConstraint('chat_hash', name=op.f('uq_telegram_chats_chat_hash'))
    )
    op.add_column('screenings', sa.Column('sender', sa.String(length=64), nullable=True))
    op.add_column('screenings', sa.Column('reply_to', sa.LargeBinary(), nullable=True))
    op.create_index(op.f('ix_screenings_sender'), 'screenings', ['sender'])
    unsent = sa.text('reply_to IS NOT NULL')
    op.create_index('ix_screenings_unsent', 'screenings', ['id'], sqlite_where=unsent, postgresql_where=unsent)


def downgrade() -> None:
    op.drop_index('ix_screenings_unsent', 'screenings')
    op.drop_index(op.f('ix_screenings_sender'), 'screenings')
    # Not as a batch: that makes the table anew on SQLite, and dropping the old one takes every photo's row with it.
    op.drop_column('screenings', 'reply_to')
    op.drop_column('screenings', 'sender')
    op.drop_table('telegram_chats')
