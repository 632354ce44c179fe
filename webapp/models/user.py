"""People who log in: administrators, reviewers and viewers."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, UTCDateTime


class Role(StrEnum):
    """What someone may do. Each role includes those after it."""

    ADMIN = "admin"
    REVIEWER = "reviewer"
    VIEWER = "viewer"


class User(Base):
    """An account. Names are compared without regard to case and kept in lower case."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("role IN ('admin', 'reviewer', 'viewer')", name="role"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(20), default=Role.VIEWER)
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_login_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    failed_logins: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Rises with every new password; a session made before it is no longer valid.
    session_version: Mapped[int] = mapped_column(default=1)
    # Until when a password counts that an admin has made: whoever logs in with it must choose another at once.
    one_time_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # The second factor (webapp.account.second_factor): its secret, encrypted, and the last time step whose code was
    # used. Null where there is none.
    totp_secret: Mapped[bytes | None]
    totp_step: Mapped[int | None]
    # Whether the model's answer is hidden from this reviewer until a class is chosen.
    review_blind: Mapped[bool] = mapped_column(default=False)

    # What Flask-Login asks of an account.
    is_authenticated = True
    is_anonymous = False

    @property
    def is_active(self) -> bool:
        """Whether the account may be used at all."""
        return self.active

    def get_id(self) -> str:
        """What a session remembers of this account."""
        return f"{self.id}.{self.session_version}"

    def may(self, role: Role) -> bool:
        """Whether this account has at least the rights of `role`."""
        order = list(Role)
        return order.index(Role(self.role)) <= order.index(role)
