"""Terminals: devices with keys, their invitations, and their batches at day's end."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    SmallInteger,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from ledger.model.base import Base, one_of


class Terminal(Base):
    """A device with its own key: POS, phone, counter page; and the office, which has none."""

    __tablename__ = "terminal"
    __table_args__ = (
        one_of("kind", "pos", "phone", "counter", "office"),
        one_of("status", "created", "active", "revoked"),
        CheckConstraint("length(public_key) = 32 AND length(next_public_key) = 32", name="public_key"),
        CheckConstraint("status <> 'active' OR public_key IS NOT NULL OR kind = 'office'", name="active"),
        CheckConstraint("(kind = 'office') = (id = 0)", name="office"),
        ForeignKeyConstraint(["tenant_id", "store_id"], ["organisation.tenant_id", "organisation.id"]),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    tenant_id: Mapped[int]
    store_id: Mapped[int]
    kind: Mapped[str]
    name: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="created")
    public_key: Mapped[bytes | None] = mapped_column(unique=True)
    model: Mapped[str | None]
    software: Mapped[str | None]
    last_login_at: Mapped[datetime | None]
    # Rises with every login and revocation; a session with an older one is over, in every worker.
    serial: Mapped[int] = mapped_column(server_default="0")
    worker: Mapped[str | None]  # the server process that has its newest session
    next_public_key: Mapped[bytes | None] = mapped_column(unique=True)
    key_since: Mapped[datetime | None]
    key_change_asked: Mapped[bool] = mapped_column(server_default=text("false"))
    clock_off_s: Mapped[int | None]  # at its last login: its clock minus ours
    last_batch: Mapped[int | None]  # the newest that was reconciled
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Enrolment(Base):
    """A one-time invitation for a device. Its secret is derived from a key outside the database."""

    __tablename__ = "enrolment"
    __table_args__ = (CheckConstraint("length(id) = 16", name="id"),)
    id: Mapped[bytes] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    terminal_id: Mapped[int] = mapped_column(ForeignKey("terminal.id"), index=True)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class TerminalBatch(Base):
    """A batch that a terminal ended: whether both sides agreed. Insert only."""

    __tablename__ = "terminal_batch"
    __table_args__ = (CheckConstraint("code IN (0, 1401)", name="code"),)
    terminal_id: Mapped[int] = mapped_column(ForeignKey("terminal.id"), primary_key=True)
    batch: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    txid: Mapped[UUID]
    code: Mapped[int] = mapped_column(SmallInteger)
    business_date: Mapped[date]
    reconciled_at: Mapped[datetime]


class TerminalBatchTotal(Base):
    """Both sides' count and points of one kind of transaction in a batch. Insert only."""

    __tablename__ = "terminal_batch_total"
    __table_args__ = (
        CheckConstraint(
            "terminal_count >= 0 AND terminal_points >= 0 AND server_count >= 0 AND server_points >= 0",
            name="totals",
        ),
        ForeignKeyConstraint(
            ["terminal_id", "batch"], ["terminal_batch.terminal_id", "terminal_batch.batch"]
        ),
    )
    terminal_id: Mapped[int] = mapped_column(primary_key=True)
    batch: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[int]
    terminal_count: Mapped[int]
    terminal_points: Mapped[int]
    server_count: Mapped[int]
    server_points: Mapped[int]


class BatchDifference(Base):
    """One transaction on which a terminal and the server differ; the newest upload's word on it."""

    __tablename__ = "batch_difference"
    __table_args__ = (
        one_of(
            "outcome", "reply_lost", "reversal_pending", "late", "unknown_here", "unknown_there",
            "amount_differs", "agrees",
        ),
    )  # fmt: skip
    terminal_id: Mapped[int] = mapped_column(ForeignKey("terminal.id"), primary_key=True)
    batch: Mapped[int] = mapped_column(primary_key=True)
    txid: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[int]
    outcome: Mapped[str]
    kind: Mapped[str]
    terminal_state: Mapped[str | None]
    terminal_points: Mapped[int | None]
    server_code: Mapped[int | None] = mapped_column(SmallInteger)
    server_points: Mapped[int | None]
    noted_at: Mapped[datetime]
