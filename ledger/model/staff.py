"""How staff come in: invitations, sessions, second factors, and the history of their logins."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Identity, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from ledger.model.base import Base, one_of


class Invitation(Base):
    """A link that is still good: for a new person with a first role, or a new password for `staff_id`.

    The link holds a random token, the row its hash. Used or withdrawn, the row goes; the trail remembers.
    """

    __tablename__ = "invitation"
    __table_args__ = (
        CheckConstraint("length(token_hash) = 32", name="token_hash"),
        one_of("reach", "unit", "below", "tenant"),
        CheckConstraint(
            "CASE WHEN staff_id IS NULL THEN num_nulls(ready_made, role_id) = 1"
            " AND num_nulls(unit_id, reach) = 0"
            " ELSE num_nulls(ready_made, role_id, unit_id, reach, login, name) = 6 END",
            name="purpose",
        ),
        ForeignKeyConstraint(["tenant_id", "organisation_id"], ["organisation.tenant_id", "organisation.id"]),
        ForeignKeyConstraint(["tenant_id", "unit_id"], ["organisation.tenant_id", "organisation.id"]),
        ForeignKeyConstraint(["tenant_id", "role_id"], ["role.tenant_id", "role.id"]),
        Index("invitation_tenant_id_idx", "tenant_id", "id"),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    tenant_id: Mapped[int]
    organisation_id: Mapped[int]
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    login: Mapped[str | None]
    name: Mapped[str | None]
    ready_made: Mapped[str | None]
    role_id: Mapped[int | None]
    unit_id: Mapped[int | None]
    reach: Mapped[str | None]
    invited_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]


class StaffSession(Base):
    """A browser in which somebody is logged in. Its cookie holds a random token, the row its hash."""

    __tablename__ = "staff_session"
    __table_args__ = (
        CheckConstraint("length(token_hash) = 32", name="token_hash"),
        Index("staff_session_staff_id_idx", "staff_id"),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    began_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    address: Mapped[str]
    browser: Mapped[str]


class LoginEvent(Base):
    """A login that was tried, and what came of it. Insert only.

    Without a person when nobody has the login: such rows are the house's, for counting by `network`.
    """

    __tablename__ = "login_event"
    __table_args__ = (
        one_of("outcome", "in", "recovery", "wrong_password", "wrong_code", "paused", "unknown"),
        CheckConstraint("(staff_id IS NULL) = (tenant_id IS NULL)", name="person"),
        Index("login_event_network_idx", "network", "happened_at"),
        Index("login_event_staff_id_idx", "staff_id", "happened_at"),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    tenant_id: Mapped[int | None] = mapped_column(ForeignKey("organisation.id"))
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    happened_at: Mapped[datetime]
    address: Mapped[str]
    network: Mapped[str]
    browser: Mapped[str]
    outcome: Mapped[str]


class RecoveryCode(Base):
    """What stands in for a lost second factor, once: its keyed hash."""

    __tablename__ = "recovery_code"
    __table_args__ = (CheckConstraint("length(verifier) = 32", name="verifier"),)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), primary_key=True)
    verifier: Mapped[bytes] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    used_at: Mapped[datetime | None]
