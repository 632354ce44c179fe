"""reviewed labels

Revision: 0020, after 0019, 2026-11-28.

`reviewed_class` holds the labels beside the classes too, so that the history can be narrowed to them.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None

BATCH = 500
SCREENINGS = sa.table(
    'screenings', sa.column('id', sa.Integer), sa.column('review_status', sa.String),
    sa.column('reviewed_class', sa.String), sa.column('deleted_at', sa.DateTime),
)
REVIEWS = sa.table(
    'reviews', sa.column('id', sa.Integer), sa.column('screening_id', sa.Integer), sa.column('reviewer_id', sa.Integer),
    sa.column('status', sa.String), sa.column('label', sa.String), sa.column('adjudicates', sa.Boolean),
    sa.column('undoes', sa.Integer),
)


def upgrade() -> None:
    bind, table, last = op.get_bind(), SCREENINGS.c, 0
    agreed = sa.update(SCREENINGS).where(table.id == sa.bindparam('row')).values(reviewed_class=sa.bindparam('label'))
    while True:
        ids = bind.execute(
            sa.select(table.id)
            .where(table.id > last, table.review_status == 'submitted')
            .where(table.reviewed_class.is_(None), table.deleted_at.is_(None))
            .order_by(table.id).limit(BATCH)
        ).scalars().all()
        if not ids:
            return
        last = ids[-1]
        reviews: dict[int, list[Any]] = {number: [] for number in ids}
        found = sa.select(REVIEWS).where(REVIEWS.c.screening_id.in_(ids)).order_by(REVIEWS.c.id)
        for review in bind.execute(found):
            reviews[review.screening_id].append(review)
        labels = [{'row': number, 'label': _label(said)} for number, said in reviews.items()]
        if labels := [values for values in labels if values['label']]:
            bind.execute(agreed, labels)


def downgrade() -> None:
    labels = ('_other', '_no_lesion', '_cannot_tell')
    op.execute(sa.update(SCREENINGS).where(SCREENINGS.c.reviewed_class.in_(labels)).values(reviewed_class=None))


def _label(reviews: list[Any]) -> str | None:
    """What the reviews of a case that is agreed on say. Migrations keep their own copy of how: the code may change."""
    undone = {review.undoes for review in reviews}
    newest: dict[int, Any] = {}
    decision = None
    for review in reviews:
        if review.undoes is not None or review.id in undone or review.status == 'draft':
            continue
        if review.adjudicates and review.status == 'pending':
            newest, decision = {}, None
            continue
        newest[review.reviewer_id] = review
        if review.adjudicates:
            decision = review
        elif review.status == 'pending' and decision and decision.reviewer_id == review.reviewer_id:
            decision = None
    said = [decision] if decision else [review for review in newest.values() if review.status == 'submitted']
    return said[0].label if said else None
