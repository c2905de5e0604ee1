"""The office: roles of staff, the trail of what was done, forms sent once, and work in the background."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from ledger.model.base import Base, one_of


class Role(Base):
    """A set of permissions that a tenant composed itself. The ready-made ones are in ledger.permissions."""

    __tablename__ = "role"
    __table_args__ = (UniqueConstraint("tenant_id", "name"), UniqueConstraint("tenant_id", "id"))
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    name: Mapped[str]
    permissions: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Assignment(Base):
    """A role that a person holds, and over which units: ready made, or one of the tenant's own."""

    __tablename__ = "assignment"
    __table_args__ = (
        one_of("reach", "unit", "below", "tenant"),
        CheckConstraint("num_nulls(ready_made, role_id) = 1", name="role"),
        ForeignKeyConstraint(["tenant_id", "organisation_id"], ["organisation.tenant_id", "organisation.id"]),
        ForeignKeyConstraint(["tenant_id", "role_id"], ["role.tenant_id", "role.id"]),
        Index("assignment_staff_id_idx", "staff_id"),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    tenant_id: Mapped[int]
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    ready_made: Mapped[str | None]
    role_id: Mapped[int | None]
    organisation_id: Mapped[int]
    reach: Mapped[str]


class TrailHead(Base):
    """Where a tenant's trail ends: the number and the hash of its last line. One writer at a time."""

    __tablename__ = "trail_head"
    __table_args__ = (CheckConstraint("length(hash) = 32", name="hash"),)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), primary_key=True)
    number: Mapped[int]
    hash: Mapped[bytes]


class TrailLine(Base):
    """Who did what, when, from where, before and after. Insert only; each line's hash covers the one before.

    `before` and `after` are JSON texts as hashed; `version` names the canonical form of the row.
    """

    __tablename__ = "trail_line"
    __table_args__ = (
        CheckConstraint("length(hash) = 32", name="hash"),
        Index("trail_line_subject_idx", "tenant_id", "subject_kind", "subject_id", "number"),
        Index("trail_line_staff_idx", "tenant_id", "staff_id", "number"),
        Index("trail_line_time_idx", "tenant_id", "happened_at"),
        Index("trail_line_what_idx", "tenant_id", "what", "number"),
        Index("trail_line_address_idx", "tenant_id", "address", "number"),
    )
    tenant_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int]
    happened_at: Mapped[datetime]
    staff_id: Mapped[int | None]
    staff_name: Mapped[str]
    address: Mapped[str | None]
    what: Mapped[str]
    subject_kind: Mapped[str]
    subject_id: Mapped[str]
    before: Mapped[str | None]
    after: Mapped[str | None]
    reason: Mapped[str | None]
    hash: Mapped[bytes]


class Submission(Base):
    """A form that was sent: its mark is taken, so that a second click does nothing. Insert only."""

    __tablename__ = "submission"
    mark: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    sent_at: Mapped[datetime]


class Job(Base):
    """Long work in the background, step by step; each step's progress is committed with what it did.

    `put_back_at`: when a step last found the database away, or a lock held too long.
    """

    __tablename__ = "job"
    __table_args__ = (
        one_of("state", "waiting", "running", "done", "failed", "stopped"),
        CheckConstraint("done >= 0 AND (total IS NULL OR done <= total)", name="done"),
        Index("job_open_idx", "id", postgresql_where=text("state IN ('waiting', 'running')")),
        Index("job_tenant_id_idx", "tenant_id", "id"),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    staff_id: Mapped[int | None]
    staff_name: Mapped[str]
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="waiting")
    told: Mapped[dict[str, Any]] = mapped_column(JSONB)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    done: Mapped[int] = mapped_column(server_default="0")
    total: Mapped[int | None]
    failure: Mapped[str | None]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    put_back_at: Mapped[datetime | None]
