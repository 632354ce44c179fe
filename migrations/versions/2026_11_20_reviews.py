"""reviews

Revision: 0006, after 0005, 2026-11-20.
"""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None

KEPT = ("id", "screening_id", "reviewer_id", "status", "blind", "adjudicates", "supersedes", "undoes", "bulk", "created_at")
ERASES = (
    "NEW.note IS NULL AND NEW.label IS NULL "
    "AND EXISTS (SELECT 1 FROM screenings WHERE id = OLD.screening_id AND deleted_at IS NOT NULL)"
)


def _same(comparison: str) -> str:
    return " AND ".join(f"NEW.{column} {comparison} OLD.{column}" for column in KEPT)


def upgrade() -> None:
    op.create_table('reviews',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('screening_id', sa.Integer(), nullable=False),
    sa.Column('reviewer_id', sa.Integer(), nullable=False),
    sa.Column('status', sa.String(length=20), nullable=False),
    sa.Column('label', sa.String(length=80), nullable=True),
    sa.Column('note', sa.Text(), nullable=True),
    sa.Column('blind', sa.Boolean(), nullable=False),
    sa.Column('adjudicates', sa.Boolean(), nullable=False),
    sa.Column('supersedes', sa.Integer(), nullable=True),
    sa.Column('undoes', sa.Integer(), nullable=True),
    sa.Column('bulk', sa.String(length=32), nullable=True),
    sa.Column('created_at', sa.DateTime(), nullable=False),
    sa.CheckConstraint("status IN ('pending', 'draft', 'submitted', 'discarded')", name=op.f('ck_reviews_status')),
    sa.ForeignKeyConstraint(['screening_id'], ['screenings.id'], name=op.f('fk_reviews_screening_id')),
    sa.ForeignKeyConstraint(['reviewer_id'], ['users.id'], name=op.f('fk_reviews_reviewer_id')),
    sa.ForeignKeyConstraint(['supersedes'], ['reviews.id'], name=op.f('fk_reviews_supersedes')),
    sa.ForeignKeyConstraint(['undoes'], ['reviews.id'], name=op.f('fk_reviews_undoes')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_reviews')),
    sqlite_autoincrement=True
    )
    op.create_index('ix_reviews_screening', 'reviews', ['screening_id', 'id'])
    op.create_index('ix_reviews_reviewer', 'reviews', ['reviewer_id', 'id'])
    op.create_index('ix_reviews_bulk', 'reviews', ['bulk'])
    op.create_table('second_answers',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('screening_id', sa.Integer(), nullable=False),
    sa.Column('purpose', sa.String(length=20), nullable=False),
    sa.Column('model_name', sa.String(length=200), nullable=False),
    sa.Column('model_version', sa.String(length=80), nullable=False),
    sa.Column('answer', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.DateTime(), nullable=False),
    sa.Column('by', sa.Integer(), nullable=True),
    sa.CheckConstraint("purpose IN ('rescore', 'shadow')", name=op.f('ck_second_answers_purpose')),
    sa.ForeignKeyConstraint(['screening_id'], ['screenings.id'], name=op.f('fk_second_answers_screening_id')),
    sa.ForeignKeyConstraint(['by'], ['users.id'], name=op.f('fk_second_answers_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_second_answers')),
    )
    op.create_index('ix_second_answers_screening', 'second_answers', ['screening_id', 'id'])
    op.create_index('ix_second_answers_model', 'second_answers', ['purpose', 'model_name', 'model_version', 'id'])
    op.add_column('users', sa.Column('review_blind', sa.Boolean(), nullable=False, server_default=sa.false()))
    _refuse_changes()


def _refuse_changes() -> None:
    # A table that is made anew on SQLite, as a batch does it, loses its triggers: make them again after one.
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER reviews_never_deleted BEFORE DELETE ON reviews "
            "BEGIN SELECT RAISE(ABORT, 'reviews are never deleted'); END"
        )
        op.execute(
            "CREATE TRIGGER reviews_never_changed BEFORE UPDATE ON reviews "
            f"WHEN NOT ({_same('IS')} AND {ERASES}) BEGIN SELECT RAISE(ABORT, 'reviews are never changed'); END"
        )
    elif op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION reviews_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF TG_OP = 'UPDATE' AND {_same('IS NOT DISTINCT FROM')} AND {ERASES} THEN RETURN NEW; END IF; "
            "RAISE EXCEPTION 'reviews are never changed or deleted'; END $$"
        )
        op.execute(
            "CREATE TRIGGER reviews_append_only BEFORE UPDATE OR DELETE ON reviews "
            "FOR EACH ROW EXECUTE FUNCTION reviews_append_only()"
        )


def downgrade() -> None:
    # Not as a batch: that makes the table anew on SQLite.
    op.drop_column('users', 'review_blind')
    op.drop_table('second_answers')
    op.drop_table('reviews')
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION reviews_append_only()")
