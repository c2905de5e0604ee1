"""What brings points into accounts and takes them back: orders with their lines, budgets, who approves."""

from datetime import date, datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import DATERANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from ledger.model.base import Base, one_of


class PointOrder(Base):
    """Points for the members of one enterprise, or back from them: made, perhaps approved, carried out.

    `tenant_id` is the enterprise, `organisation_id` the unit of it that the order was made in. `needs`: a
    second person's approval, word that a payment has arrived, or nothing. A draft is a preview: it
    becomes waiting or approved when its maker confirms it, done when each line has an outcome.
    `members` and `points` are of all its lines, `budget_points` what the budget bears of it. Of the lines
    `asked` have an outcome, `approved` of these are booked, with `approved_points`.
    """

    __tablename__ = "point_order"
    __table_args__ = (
        one_of("kind", "grant", "topup", "adjust"),
        one_of("state", "draft", "waiting", "approved", "refused", "withdrawn", "done"),
        one_of("needs", "nothing", "approval", "payment"),
        one_of("payment", "cash", "card", "transfer"),
        one_of("lot_kind", "granted", "purchased", "promotional"),
        CheckConstraint("members > 0 AND points > 0", name="points"),
        CheckConstraint("takes = (kind = 'adjust' AND lot_kind IS NULL)", name="takes"),
        CheckConstraint("NOT takes OR expires_on IS NULL", name="expires_on"),
        CheckConstraint(
            "CASE WHEN kind = 'topup' THEN paid_minor > 0 AND length(currency) = 3 AND payment IS NOT NULL"
            " AND lot_kind = 'purchased' AND expires_on IS NULL"
            " ELSE num_nonnulls(paid_minor, currency, payment) = 0"
            " AND lot_kind IS DISTINCT FROM 'purchased' END",
            name="topup",
        ),
        CheckConstraint("(state IN ('draft', 'waiting')) = (decided_at IS NULL)", name="decided"),
        # Nobody says yes to an order of their own that needs another's word.
        CheckConstraint(
            "state NOT IN ('approved', 'done') OR needs = 'nothing'"
            " OR decided_by IS NOT NULL AND decided_by <> staff_id",
            name="second_person",
        ),
        CheckConstraint(
            "asked BETWEEN 0 AND members AND approved BETWEEN 0 AND asked"
            " AND approved_points BETWEEN 0 AND points",
            name="progress",
        ),
        CheckConstraint("budget_points >= 0 AND (budget_points = 0 OR budget_id IS NOT NULL)", name="budget"),
        ForeignKeyConstraint(["tenant_id", "organisation_id"], ["organisation.tenant_id", "organisation.id"]),
        ForeignKeyConstraint(["tenant_id", "budget_id"], ["budget.enterprise_id", "budget.id"]),
        UniqueConstraint("tenant_id", "id"),
        Index("point_order_waiting_idx", "tenant_id", "id", postgresql_where=text("state = 'waiting'")),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    organisation_id: Mapped[int]
    kind: Mapped[str]
    takes: Mapped[bool]
    state: Mapped[str] = mapped_column(server_default="draft")
    needs: Mapped[str]
    reason: Mapped[str]
    funder_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    lot_kind: Mapped[str | None]
    expires_on: Mapped[date | None]
    members: Mapped[int]
    points: Mapped[int]
    paid_minor: Mapped[int | None]
    currency: Mapped[str | None]
    payment: Mapped[str | None]
    reference: Mapped[str | None]
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    staff_name: Mapped[str]
    created_at: Mapped[datetime]
    decided_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    decided_name: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    note: Mapped[str | None]
    budget_id: Mapped[int | None]
    budget_points: Mapped[int] = mapped_column(server_default="0")
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"))
    asked: Mapped[int] = mapped_column(server_default="0")
    approved: Mapped[int] = mapped_column(server_default="0")
    approved_points: Mapped[int] = mapped_column(server_default="0")


class PointOrderLine(Base):
    """One account of an order. `code` is what the books answered, None until they were asked.

    No foreign key leads to the account: it would keep each account of a long list from its debits until
    the list is written.
    """

    __tablename__ = "point_order_line"
    __table_args__ = (
        CheckConstraint("points > 0", name="points"),
        CheckConstraint("transaction_id IS NULL OR code IS NOT NULL", name="outcome"),
        ForeignKeyConstraint(["tenant_id", "order_id"], ["point_order.tenant_id", "point_order.id"]),
        UniqueConstraint("order_id", "slot", "account_id"),
        Index("point_order_line_open_idx", "order_id", "number", postgresql_where=text("code IS NULL")),
    )
    order_id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int]
    slot: Mapped[int]
    account_id: Mapped[int]
    points: Mapped[int]
    code: Mapped[int | None]
    transaction_id: Mapped[int | None]


class Budget(Base):
    """How many points an enterprise may fund, for good or during a time; `used` never exceeds `points`."""

    __tablename__ = "budget"
    __table_args__ = (
        CheckConstraint("used BETWEEN 0 AND points", name="used"),
        CheckConstraint("NOT isempty(during)", name="during"),
        ExcludeConstraint(("enterprise_id", "="), ("during", "&&"), using="gist", name="budget_overlap"),
        UniqueConstraint("enterprise_id", "id"),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    during: Mapped[Range[date]] = mapped_column(DATERANGE)
    points: Mapped[int]
    used: Mapped[int] = mapped_column(server_default="0")


class ApprovalTerms(Base):
    """Above how many points an order of an enterprise needs a second person."""

    __tablename__ = "approval_terms"
    __table_args__ = (CheckConstraint("points >= 0", name="points"),)
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), primary_key=True)
    points: Mapped[int]
