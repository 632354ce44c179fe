"""review queue

Revision: 0007, after 0006, 2026-11-20.
"""

import json
import math
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None

BATCH = 1000


def upgrade() -> None:
    op.add_column('screenings', sa.Column('uncertainty', sa.Double(), nullable=True))
    op.add_column('screenings', sa.Column('disagreement', sa.Double(), nullable=True))
    op.add_column('screenings', sa.Column('gate_verdict', sa.String(length=20), nullable=True))
    op.add_column('screenings', sa.Column('review_status', sa.String(length=20), server_default='pending', nullable=False))
    op.add_column('screenings', sa.Column('reviewed_class', sa.String(length=80), nullable=True))
    _fill(op.get_bind())


def downgrade() -> None:
    # Not as a batch: that makes the table anew on SQLite, and dropping the old one takes every photo's row with it.
    for name in ('reviewed_class', 'review_status', 'gate_verdict', 'disagreement', 'uncertainty'):
        op.drop_column('screenings', name)


def _fill(bind: Any) -> None:
    """What rows that are answered already tell. Migrations keep their own copy of how: the code may change later."""
    table = sa.table(
        'screenings', sa.column('id', sa.Integer), sa.column('probabilities', sa.JSON), sa.column('gate', sa.JSON),
        sa.column('first_look', sa.JSON), sa.column('uncertainty', sa.Double), sa.column('disagreement', sa.Double),
        sa.column('gate_verdict', sa.String),
    )
    change = sa.update(table).where(table.c.id == sa.bindparam('row')).values(
        uncertainty=sa.bindparam('entropy'), disagreement=sa.bindparam('distance'), gate_verdict=sa.bindparam('verdict')
    )
    last = 0
    while True:
        rows = bind.execute(
            sa.select(table.c.id, table.c.probabilities, table.c.gate, table.c.first_look)
            .where(table.c.id > last).order_by(table.c.id).limit(BATCH)
        ).all()
        if not rows:
            return
        last = rows[-1].id
        found = [
            {
                'row': row.id,
                'entropy': _entropy(_read(row.probabilities)),
                'distance': _distance(_read(row.probabilities), (_read(row.first_look) or {}).get('probabilities')),
                'verdict': (_read(row.gate) or {}).get('verdict'),
            }
            for row in rows
        ]
        found = [values for values in found if values['entropy'] is not None or values['verdict'] is not None]
        if found:
            bind.execute(change, found)


def _read(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _entropy(shares: Any) -> float | None:
    if not shares or len(shares) < 2:
        return None
    entropy = -sum(share * math.log(share) for share in shares.values() if share > 0)
    return min(1.0, max(0.0, entropy / math.log(len(shares))))


def _distance(shares: Any, others: Any) -> float | None:
    if not shares or not others or set(shares) != set(others):
        return None
    return min(1.0, sum(abs(share - others[code]) for code, share in shares.items()) / 2)
