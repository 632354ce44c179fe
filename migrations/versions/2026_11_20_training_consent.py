"""training consent

Revision: 0011, after 0010, 2026-11-20.
"""

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('screenings', sa.Column('training_consent_at', sa.DateTime(), nullable=True))
    op.add_column('telegram_chats', sa.Column('training_consent_at', sa.DateTime(), nullable=True))


def downgrade() -> None:
    # Not as a batch: that makes the table anew on SQLite, and dropping the old one takes every photo's row with it.
    op.drop_column('telegram_chats', 'training_consent_at')
    op.drop_column('screenings', 'training_consent_at')
