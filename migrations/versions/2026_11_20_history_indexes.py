"""history indexes

Revision: 0013, after 0012, 2026-11-20.
"""

import sqlalchemy as sa
from alembic import op

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None

FACET = " || '|' || ".join((
    "CASE WHEN deleted_at IS NOT NULL THEN 'deleted' WHEN state <> 'done' THEN state ELSE coalesce(status, '') END",
    "coalesce(label_set, asked_label_set, '')", "coalesce(predicted, '')", "coalesce(gate_verdict, '')",
    "CASE WHEN deleted_at IS NULL THEN review_status ELSE '' END", "coalesce(reviewed_class, '')", 'channel', 'language',
    "coalesce(model_name, '')", "coalesce(model_version, '')",
))
ORDERS = {
    'risk_order': 'coalesce(malignant_risk, -1)',
    'uncertainty_order': 'coalesce(uncertainty, -1)',
    'disagreement_order': 'coalesce(disagreement, -1)',
}
SORTED = ('created_at', *ORDERS)


def upgrade() -> None:
    op.add_column('screenings', sa.Column('facet', sa.Text(), sa.Computed(FACET), nullable=True))
    for name, expression in ORDERS.items():
        op.add_column('screenings', sa.Column(name, sa.Double(), sa.Computed(expression), nullable=True))
    for column in SORTED:
        others = [other for other in SORTED[:3] if other != column]
        op.create_index(f'ix_screenings_by_{column}', 'screenings', [column, 'id', 'facet', *others])
        op.create_index(f'ix_screenings_facet_{column}', 'screenings', ['facet', column, 'id', *others])
    noted = sa.text('note IS NOT NULL')
    op.create_index('ix_reviews_noted', 'reviews', ['id'], sqlite_where=noted, postgresql_where=noted)
    # What these two did, the new ones do for every filter.
    op.drop_index('ix_screenings_predicted_newest', 'screenings')
    op.drop_index('ix_screenings_status_newest', 'screenings')


def downgrade() -> None:
    op.create_index('ix_screenings_status_newest', 'screenings', ['status', 'created_at', 'id'])
    op.create_index('ix_screenings_predicted_newest', 'screenings', ['predicted', 'created_at', 'id'])
    op.drop_index('ix_reviews_noted', 'reviews')
    for column in SORTED:
        op.drop_index(f'ix_screenings_facet_{column}', 'screenings')
        op.drop_index(f'ix_screenings_by_{column}', 'screenings')
    # Not as a batch: that makes the table anew on SQLite, and dropping the old one takes every photo's row with it.
    for name in (*reversed(ORDERS), 'facet'):
        op.drop_column('screenings', name)
