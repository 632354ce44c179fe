"""What people said about screenings. Rows are added and never changed; the database itself refuses anything else."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import DDL, CheckConstraint, ForeignKey, Index, String, Text, event, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, UTCDateTime

NOTE_LENGTH = 4000
NOTED = text("note IS NOT NULL")
IN_BULK = text("bulk IS NOT NULL AND undoes IS NULL")


class ReviewStatus(StrEnum):
    """What a review is: a decision (submitted, discarded), the beginning of one, or what takes decisions back."""

    PENDING = "pending"
    DRAFT = "draft"
    SUBMITTED = "submitted"
    DISCARDED = "discarded"


class ReviewLabel(StrEnum):
    """Labels beside the classes of a label set. No class code begins with an underscore."""

    OTHER = "_other"
    """A lesion whose class the label set does not have."""
    NO_LESION = "_no_lesion"
    """A picture without a lesion, or one that shows too little of it."""
    CANNOT_TELL = "_cannot_tell"
    """The photo does not decide it."""


class Review(Base):
    """One review of a screening. What the reviews of a screening amount to is in webapp.reviews.rules.

    `label` is a class code of the screening's label set or a `ReviewLabel`; null in what names no class. `supersedes`
    is the same reviewer's review before this one. With `adjudicates` it decides between reviewers, or, where it is
    pending, opens the case again for all. `undoes` is the review that this one cancels. `bulk` is what the reviews of
    one bulk action share. `blind` says that the model's answer was hidden until the class was chosen.

    A person's deletion of their screening sets label and note to null, which is the only change there is.
    """

    __tablename__ = "reviews"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'draft', 'submitted', 'discarded')", name="status"),
        Index("ix_reviews_screening", "screening_id", "id"),
        Index("ix_reviews_reviewer", "reviewer_id", "id"),
        Index("ix_reviews_bulk", "bulk"),
        Index("ix_reviews_newest_bulk", "id", "bulk", sqlite_where=IN_BULK, postgresql_where=IN_BULK),
        Index("ix_reviews_noted", "id", sqlite_where=NOTED, postgresql_where=NOTED),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    screening_id: Mapped[int] = mapped_column(ForeignKey("screenings.id"))
    reviewer_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    status: Mapped[str] = mapped_column(String(20))
    label: Mapped[str | None] = mapped_column(String(80))
    note: Mapped[str | None] = mapped_column(Text)
    blind: Mapped[bool] = mapped_column(default=False)
    adjudicates: Mapped[bool] = mapped_column(default=False)
    supersedes: Mapped[int | None] = mapped_column(ForeignKey("reviews.id"))
    undoes: Mapped[int | None] = mapped_column(ForeignKey("reviews.id"))
    bulk: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


KEPT = (
    "id", "screening_id", "reviewer_id", "status", "blind", "adjudicates", "supersedes", "undoes", "bulk", "created_at",
)  # fmt: skip
SQLITE_ONLY_ERASES = " AND ".join(f"NEW.{column} IS OLD.{column}" for column in KEPT)
POSTGRESQL_ONLY_ERASES = SQLITE_ONLY_ERASES.replace(" IS ", " IS NOT DISTINCT FROM ")
ERASES = "NEW.note IS NULL AND NEW.label IS NULL"
OF_DELETED = "EXISTS (SELECT 1 FROM screenings WHERE id = OLD.screening_id AND deleted_at IS NOT NULL)"
APPEND_ONLY = {
    "sqlite": (
        "CREATE TRIGGER reviews_never_deleted BEFORE DELETE ON reviews "
        "BEGIN SELECT RAISE(ABORT, 'reviews are never deleted'); END",
        f"CREATE TRIGGER reviews_never_changed BEFORE UPDATE ON reviews "
        f"WHEN NOT ({SQLITE_ONLY_ERASES} AND {ERASES} AND {OF_DELETED}) "
        "BEGIN SELECT RAISE(ABORT, 'reviews are never changed'); END",
        # INSERT OR REPLACE removes rows without asking the trigger on DELETE.
        "CREATE TRIGGER reviews_never_replaced BEFORE INSERT ON reviews "
        "WHEN EXISTS (SELECT 1 FROM reviews WHERE id = NEW.id) "
        "BEGIN SELECT RAISE(ABORT, 'reviews are never changed'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION reviews_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF TG_OP = 'UPDATE' AND {POSTGRESQL_ONLY_ERASES} AND {ERASES} AND {OF_DELETED} THEN RETURN NEW; END IF; "
        "RAISE EXCEPTION 'reviews are never changed or deleted'; END $$",
        "CREATE TRIGGER reviews_append_only BEFORE UPDATE OR DELETE ON reviews "
        "FOR EACH ROW EXECUTE FUNCTION reviews_append_only()",
        "CREATE FUNCTION reviews_never_emptied() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'reviews are never deleted'; END $$",
        "CREATE TRIGGER reviews_never_emptied BEFORE TRUNCATE ON reviews "
        "FOR EACH STATEMENT EXECUTE FUNCTION reviews_never_emptied()",
    ),
}
"""Statements, by database, that refuse changes of reviews. The migrations have them too."""

for _dialect, _statements in APPEND_ONLY.items():
    for _statement in _statements:
        # A percent sign would be an interpolation to DDL; there is none in them.
        _listener = DDL(_statement).execute_if(dialect=_dialect)  # type: ignore[no-untyped-call]
        event.listen(Review.__table__, "after_create", _listener)
