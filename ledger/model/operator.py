"""The operator's side: organisations, staff, services, prices, days, terms. Few rows, read by all."""

from datetime import date, datetime, time

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    SmallInteger,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import DATERANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from ledger.model.base import Base, one_of


class Organisation(Base):
    """A node of a tenant's tree. A tenant is a node without a parent; its tenant_id is its own id."""

    __tablename__ = "organisation"
    __table_args__ = (
        one_of("kind", "operator", "enterprise", "merchant", "department", "branch", "store"),
        one_of("status", "open", "closed"),
        one_of("second_factor", "free", "administrators", "everybody"),
        CheckConstraint("(parent_id IS NULL) = (kind IN ('operator', 'enterprise', 'merchant'))", name="top"),
        CheckConstraint("(parent_id IS NULL) = (tenant_id = id)", name="tenant"),
        CheckConstraint("parent_id <> id", name="itself"),
        UniqueConstraint("tenant_id", "id"),
        UniqueConstraint("tenant_id", "code"),
        Index("organisation_parent_idx", "tenant_id", "parent_id"),
        Index(
            "organisation_top_key", "kind", "code", unique=True, postgresql_where=text("parent_id IS NULL")
        ),
        # A parent belongs to the same tenant as its child.
        ForeignKeyConstraint(["tenant_id", "parent_id"], ["organisation.tenant_id", "organisation.id"]),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    tenant_id: Mapped[int]
    parent_id: Mapped[int | None]
    kind: Mapped[str]
    code: Mapped[str]
    name: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="open")
    second_factor: Mapped[str] = mapped_column(server_default="free")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Staff(Base):
    """A person who logs in for an organisation.

    Of a second factor the secret is sealed (ledger.second_factor); `factor_offered` is one that waits for
    its first code, `factor_step` the last interval of 30 seconds whose code was taken.
    """

    __tablename__ = "staff"
    __table_args__ = (
        one_of("status", "active", "closed"),
        one_of("language", "en", "zh"),
        CheckConstraint("failed_tries >= 0", name="failed_tries"),
        CheckConstraint("login = lower(login)", name="login"),
        CheckConstraint("(factor_secret IS NULL) = (factor_since IS NULL)", name="factor"),
        CheckConstraint("factor_tries >= 0", name="factor_tries"),
        Index("staff_tenant_id_name_idx", "tenant_id", "name", "id"),
        ForeignKeyConstraint(["tenant_id", "organisation_id"], ["organisation.tenant_id", "organisation.id"]),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    tenant_id: Mapped[int]
    organisation_id: Mapped[int]
    login: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="active")
    language: Mapped[str] = mapped_column(server_default="en")
    failed_tries: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    locked_until: Mapped[datetime | None]
    factor_secret: Mapped[bytes | None]
    factor_offered: Mapped[bytes | None]
    factor_since: Mapped[datetime | None]
    factor_step: Mapped[int | None]
    factor_tries: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    factor_locked_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Service(Base):
    """What a member can spend points on. Adding one needs no code and no restart."""

    __tablename__ = "service"
    __table_args__ = (
        one_of("status", "open", "closed"),
        CheckConstraint("length(code) BETWEEN 1 AND 40", name="code"),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    name_zh: Mapped[str]
    unit: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="open")
    category_id: Mapped[int | None] = mapped_column(ForeignKey("service_category.id"))


class Price(Base):
    """A dated agreement with a merchant: points asked of the member, money owed to the merchant, per unit.

    An open price has one point as its unit; the request names the amount, between the two limits.
    A change is a new row: transactions keep the id of the version that they used.
    """

    __tablename__ = "price"
    __table_args__ = (
        # The upper bounds keep quantity times price far below what a bigint holds.
        CheckConstraint(
            "points BETWEEN 1 AND 1000000000 AND settlement_minor BETWEEN 0 AND 1000000000", name="amounts"
        ),
        CheckConstraint("length(currency) = 3", name="currency"),
        CheckConstraint(
            "CASE WHEN open THEN points = 1 AND min_points > 0"
            " AND max_points BETWEEN min_points AND 1000000000"
            " ELSE min_points IS NULL AND max_points IS NULL END",
            name="open",
        ),
        ExcludeConstraint(
            ("merchant_id", "="), ("service_id", "="), ("during", "&&"), using="gist", name="price_overlap"
        ),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    merchant_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    service_id: Mapped[int] = mapped_column(ForeignKey("service.id"))
    during: Mapped[Range[date]] = mapped_column(DATERANGE)
    points: Mapped[int]
    settlement_minor: Mapped[int]
    currency: Mapped[str]
    open: Mapped[bool] = mapped_column(server_default=text("false"))
    min_points: Mapped[int | None]
    max_points: Mapped[int | None]


class CatalogueVersion(Base):
    """One row: how often services and prices were edited. With the business date it names a catalogue."""

    __tablename__ = "catalogue_version"
    __table_args__ = (CheckConstraint("one", name="one"),)
    one: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    edits: Mapped[int] = mapped_column(server_default="0")


class BusinessDay(Base):
    """The accounting day. Posting holds a shared lock on the open one, closing it an exclusive one."""

    __tablename__ = "business_day"
    __table_args__ = (
        one_of("status", "open", "closed"),
        CheckConstraint("(status = 'closed') = (closed_at IS NOT NULL)", name="closed_at"),
        CheckConstraint("added_up_at IS NULL OR status = 'closed'", name="added_up_at"),
        Index("business_day_open_key", "status", unique=True, postgresql_where=text("status = 'open'")),
        Index("business_day_added_up_idx", "date", postgresql_where=text("added_up_at IS NULL")),
    )
    day: Mapped[date] = mapped_column("date", primary_key=True)
    status: Mapped[str] = mapped_column(server_default="open")
    opened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    closed_at: Mapped[datetime | None]
    # No transaction of this day has a smaller id: where to begin when the day's are added up.
    first_transaction: Mapped[int] = mapped_column(server_default="0")
    added_up_at: Mapped[datetime | None]  # when its totals were written (DayTotal)


class Calendar(Base):
    """One row: where and when the operator's business date turns. `cut_off`: local time of day.

    Before noon a date lasts until its cut-off the next morning; from noon on the next date begins at it.
    """

    __tablename__ = "calendar"
    __table_args__ = (CheckConstraint("one", name="one"),)
    one: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    time_zone: Mapped[str] = mapped_column(server_default="Asia/Shanghai")
    cut_off: Mapped[time] = mapped_column(server_default="00:00")


class EnterpriseTerms(Base):
    """What an enterprise's cards may do unless their product or they themselves say otherwise.

    A limit that is NULL is none. A PIN is needed for more than `pin_above_points`. Points refunded to a
    lot that has expired can be spent for `refund_grace_days` more; 0 gives none.
    """

    __tablename__ = "enterprise_terms"
    __table_args__ = (
        CheckConstraint("limit_points > 0 AND day_limit_points > 0 AND pin_above_points >= 0", name="limits"),
        CheckConstraint("refund_grace_days BETWEEN 0 AND 366", name="refund_grace_days"),
    )
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), primary_key=True)
    limit_points: Mapped[int | None]
    day_limit_points: Mapped[int | None]
    pin_above_points: Mapped[int] = mapped_column(server_default="0")
    refund_grace_days: Mapped[int] = mapped_column(server_default="30")


class CardProduct(Base):
    """A kind of card of one enterprise, with limits of its own; one that is NULL is the enterprise's."""

    __tablename__ = "card_product"
    __table_args__ = (
        CheckConstraint("limit_points > 0 AND day_limit_points > 0 AND pin_above_points >= 0", name="limits"),
        UniqueConstraint("enterprise_id", "code"),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    code: Mapped[str]
    name: Mapped[str]
    limit_points: Mapped[int | None]
    day_limit_points: Mapped[int | None]
    pin_above_points: Mapped[int | None]
