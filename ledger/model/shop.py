"""Shops: what is known of merchants and stores beside their names, kinds of services, who is connected."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Identity, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from ledger.model.base import Base, one_of


class ServiceCategory(Base):
    """A kind of services, of one industry: what lists group and filter by."""

    __tablename__ = "service_category"
    __table_args__ = (
        one_of("status", "open", "closed"),
        CheckConstraint("length(code) BETWEEN 1 AND 40", name="code"),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    name_zh: Mapped[str]
    industry: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="open")


class MerchantDetail(Base):
    """A merchant's contract and bank. The account's number is sealed; its last digits tell it apart."""

    __tablename__ = "merchant_detail"
    __table_args__ = (
        CheckConstraint("contract_until >= contract_since", name="contract"),
        CheckConstraint("(account_sealed IS NULL) = (account_tail IS NULL)", name="account"),
        CheckConstraint("length(account_tail) <= 4", name="account_tail"),
    )
    merchant_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), primary_key=True)
    contract_since: Mapped[date | None]
    contract_until: Mapped[date | None]
    bank: Mapped[str | None]
    account_name: Mapped[str | None]
    account_sealed: Mapped[bytes | None]
    account_tail: Mapped[str | None]
    note: Mapped[str | None]


class MerchantContact(Base):
    """A person at a merchant whom the operator calls; `number` is their place in the list."""

    __tablename__ = "merchant_contact"
    __table_args__ = (CheckConstraint("number > 0", name="number"),)
    merchant_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), primary_key=True)
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    name: Mapped[str]
    post: Mapped[str | None]
    phone: Mapped[str | None]
    email: Mapped[str | None]


class StoreDetail(Base):
    """Where a store is. Places are millionths of a degree, WGS 84."""

    __tablename__ = "store_detail"
    __table_args__ = (
        CheckConstraint("(latitude IS NULL) = (longitude IS NULL)", name="place"),
        CheckConstraint(
            "latitude BETWEEN -90000000 AND 90000000 AND longitude BETWEEN -180000000 AND 180000000",
            name="range",
        ),
        ForeignKeyConstraint(["tenant_id", "store_id"], ["organisation.tenant_id", "organisation.id"]),
    )
    store_id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int]
    address: Mapped[str | None]
    phone: Mapped[str | None]
    latitude: Mapped[int | None]
    longitude: Mapped[int | None]


class StoreHours(Base):
    """When a store is open on a weekday (1 is Monday), in minutes of that day; past 1440 is the next day.

    A weekday without a row: closed, or not known when the store has no row at all.
    """

    __tablename__ = "store_hours"
    __table_args__ = (
        CheckConstraint("weekday BETWEEN 1 AND 7", name="weekday"),
        CheckConstraint(
            "opens BETWEEN 0 AND 1439 AND closes > opens AND closes <= opens + 1440", name="hours"
        ),
        ForeignKeyConstraint(["tenant_id", "store_id"], ["organisation.tenant_id", "organisation.id"]),
    )
    store_id: Mapped[int] = mapped_column(primary_key=True)
    weekday: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    tenant_id: Mapped[int]
    opens: Mapped[int] = mapped_column(SmallInteger)
    closes: Mapped[int] = mapped_column(SmallInteger)


class TerminalPresence(Base):
    """When a server process last noted that a terminal is connected to it; good until `connected_until`.

    Noted in turns and not as it happens, so that no message waits for it. `heard_at`: its last message.
    """

    __tablename__ = "terminal_presence"
    __table_args__ = ({"postgresql_with": {"fillfactor": "70"}},)  # rewritten in place, every few seconds
    terminal_id: Mapped[int] = mapped_column(ForeignKey("terminal.id"), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    worker: Mapped[str]
    connected_until: Mapped[datetime]
    heard_at: Mapped[datetime]
