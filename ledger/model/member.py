"""The member side: members, accounts, cards, lots, transactions, entries, holds. `slot` leads every key."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    SmallInteger,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from ledger.model.base import Base, one_of

SELDOM = "'refund', 'reversal', 'tombstone', 'release', 'lapse', 'expiry', 'adjustment', 'pin_change'"


class Member(Base):
    """A person who holds points, belonging to one enterprise."""

    __tablename__ = "member"
    __table_args__ = (
        one_of("status", "active", "closed"),
        UniqueConstraint("enterprise_id", "code"),
        Index("member_enterprise_id_id_idx", "enterprise_id", "id"),
        Index(
            "member_organisation_idx", "organisation_id", postgresql_where=text("organisation_id IS NOT NULL")
        ),
        ForeignKeyConstraint(
            ["enterprise_id", "organisation_id"], ["organisation.tenant_id", "organisation.id"]
        ),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    organisation_id: Mapped[int | None]  # the unit that looks after the member; None: the enterprise itself
    code: Mapped[str]
    name: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="active")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    erased_at: Mapped[datetime | None]  # since then only the code is left of the person


class Account(Base):
    """The points of one member. What can be spent is posted - held, less what expired unswept."""

    __tablename__ = "account"
    __table_args__ = (
        CheckConstraint("slot BETWEEN 0 AND 255", name="slot"),
        CheckConstraint("held >= 0 AND posted >= held", name="balance"),
        one_of("status", "open", "closed"),
        Index("account_held_idx", "slot", "id", postgresql_where=text("held > 0")),  # few: those with holds
        {"postgresql_with": {"fillfactor": "70"}},
    )
    slot: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True)
    member_id: Mapped[int] = mapped_column(index=True)
    enterprise_id: Mapped[int]
    posted: Mapped[int] = mapped_column(server_default="0")
    held: Mapped[int] = mapped_column(server_default="0")
    status: Mapped[str] = mapped_column(server_default="open")


class Card(Base):
    """What identifies an account. A replacement gets a new issue number, which kills the old QR and chip.

    A limit that is NULL is that of the card's product, or of its enterprise. `pin_code` stands for a
    one-time code with which a new PIN may be set until `pin_code_until`.
    """

    __tablename__ = "card"
    __table_args__ = (
        one_of("status", "issued", "active", "suspended", "lost", "expired", "closed"),
        CheckConstraint("issue > 0", name="issue"),
        CheckConstraint("pin_tries BETWEEN 0 AND 3", name="pin_tries"),
        CheckConstraint("length(pin_verifier) = 32", name="pin_verifier"),
        CheckConstraint("limit_points > 0 AND day_limit_points > 0 AND pin_above_points >= 0", name="limits"),
        CheckConstraint(
            "length(pin_code) = 32 AND (pin_code IS NULL) = (pin_code_until IS NULL)"
            " AND pin_code_tries BETWEEN 0 AND 3",
            name="pin_code",
        ),
        CheckConstraint("number ~ '^[0-9]{16}$'", name="number"),
        UniqueConstraint("number", "slot"),  # `slot` behind, or a young table's plans read a slot by it
        Index(None, "tail"),
        ForeignKeyConstraint(["slot", "account_id"], ["account.slot", "account.id"]),
        {"postgresql_with": {"fillfactor": "80"}},
    )
    slot: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    account_id: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True)
    enterprise_id: Mapped[int]
    number: Mapped[str]
    issue: Mapped[int] = mapped_column(server_default="1")
    status: Mapped[str] = mapped_column(server_default="active")
    expires_on: Mapped[date | None]
    pin_verifier: Mapped[bytes | None]
    pin_tries: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    limit_points: Mapped[int | None]
    day_limit_points: Mapped[int | None]
    pin_above_points: Mapped[int | None]
    product_id: Mapped[int | None]
    pin_code: Mapped[bytes | None]
    pin_code_until: Mapped[datetime | None]
    pin_code_tries: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    # The last four digits, which receipts show. A column, as no function is trusted below row level security.
    tail: Mapped[str] = mapped_column(Computed("right(number, 4)", persisted=True))


class CardEvent(Base):
    """What was done to a card by people: its history. Insert only."""

    __tablename__ = "card_event"
    __table_args__ = (
        ForeignKeyConstraint(["slot", "account_id", "card_id"], ["card.slot", "card.account_id", "card.id"]),
    )
    slot: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    account_id: Mapped[int] = mapped_column(primary_key=True)
    card_id: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    enterprise_id: Mapped[int]
    what: Mapped[str]
    from_status: Mapped[str | None]
    to_status: Mapped[str]
    issue: Mapped[int]
    staff_id: Mapped[int | None]
    reason: Mapped[str | None]
    happened_at: Mapped[datetime]


class Lot(Base):
    """Points that came in together. `expires_on` is the last business date on which they can be spent."""

    __tablename__ = "lot"
    __table_args__ = (
        one_of("kind", "granted", "purchased", "promotional"),
        CheckConstraint("held >= 0 AND remaining >= held AND granted >= remaining", name="points"),
        CheckConstraint("granted > 0", name="granted"),
        ForeignKeyConstraint(["slot", "account_id"], ["account.slot", "account.id"]),
        # `open` and not `remaining` in the predicate: a spend then stays a HOT update.
        Index("lot_open_idx", "slot", "account_id", postgresql_where=text("open")),
        # For the sweep, and for who asks what expires when. No spend changes what it holds, but the last.
        Index("lot_expires_on_idx", "expires_on", postgresql_where=text("open AND expires_on IS NOT NULL")),
        {"postgresql_with": {"fillfactor": "70"}},
    )
    slot: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    account_id: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True)
    enterprise_id: Mapped[int]
    funder_id: Mapped[int]
    kind: Mapped[str]
    granted: Mapped[int]
    remaining: Mapped[int]
    held: Mapped[int] = mapped_column(server_default="0")
    open: Mapped[bool] = mapped_column(Computed("remaining > 0", persisted=True))
    expires_on: Mapped[date | None]
    priority: Mapped[int] = mapped_column(SmallInteger, server_default="0")


class Transaction(Base):
    """One request and its answer; a refusal is a row too. Insert only.

    `balance` is what could be spent afterwards, as the reply said. `meaning` is a hash of what was
    asked: the same key with another meaning is an error. `reverses` names the redemption or
    capture that this one undid, `ends` the hold whose one final step this is, `refunds` the
    redemption or capture whose points this one gave back in part or whole. `rest` is what a
    capture released, or what could still be refunded after a refund.
    """

    __tablename__ = "transaction"
    __table_args__ = (
        one_of(
            "kind", "redeem", "hold", "capture", "release", "lapse", "refund", "reversal", "tombstone",
            "grant", "adjustment", "expiry", "pin_change",
        ),
        CheckConstraint("points >= 0 AND (code = 0 OR points = 0)", name="points"),
        CheckConstraint(
            "kind NOT IN ('redeem', 'hold', 'capture') OR code <> 0 OR"
            " (points > 0 AND settlement_minor >= 0 AND num_nulls(price_id, service_id, quantity, card_id,"
            " merchant_id, store_id, settlement_minor, currency, balance) = 0)",
            name="redeem",
        ),
        CheckConstraint("reverses IS NULL OR (kind = 'reversal' AND points > 0)", name="reverses"),
        CheckConstraint(
            "(ends IS NULL OR kind IN ('capture', 'release', 'lapse', 'reversal'))"
            " AND (code <> 0 OR kind NOT IN ('capture', 'release', 'lapse') OR ends IS NOT NULL)",
            name="ends",
        ),
        CheckConstraint(
            "(kind = 'refund' AND code = 0) = (refunds IS NOT NULL)"
            " AND (refunds IS NULL OR (points > 0 AND settlement_minor >= 0))",
            name="refunds",
        ),
        CheckConstraint("length(meaning) = 16", name="meaning"),
        # The key of a purchase. It leads with the txid, whose time makes new keys neighbours, and as no other
        # index does: beside the primary key, one that leads with the account looks no better to the planner.
        UniqueConstraint("slot", "txid", "terminal_id", "account_id"),
        # For day's end: what a terminal did in a batch, whichever account it was for.
        Index("transaction_batch_idx", "terminal_id", "batch", postgresql_where=text("batch IS NOT NULL")),
        Index(
            "transaction_reverses_key", "slot", "account_id", "reverses", unique=True,
            postgresql_where=text("reverses IS NOT NULL"),
        ),
        Index(
            "transaction_ends_key", "slot", "account_id", "ends", unique=True,
            postgresql_where=text("ends IS NOT NULL"),
        ),
        Index(
            "transaction_refunds_idx", "slot", "account_id", "refunds",
            postgresql_where=text("refunds IS NOT NULL"),
        ),
        Index(None, "id"),
        # A tenant's own list; and what is rare among millions, which costs a usual debit nothing.
        Index(
            "transaction_merchant_idx", "merchant_id", "id", postgresql_where=text("merchant_id IS NOT NULL")
        ),
        Index("transaction_enterprise_idx", "enterprise_id", "id"),
        Index("transaction_refused_idx", "id", postgresql_where=text("code <> 0")),
        Index("transaction_seldom_idx", "kind", "id", postgresql_where=text(f"kind IN ({SELDOM})")),
        ForeignKeyConstraint(["slot", "account_id"], ["account.slot", "account.id"]),
        ForeignKeyConstraint(
            ["slot", "account_id", "reverses"],
            ["transaction.slot", "transaction.account_id", "transaction.id"],
        ),
        ForeignKeyConstraint(
            ["slot", "account_id", "refunds"],
            ["transaction.slot", "transaction.account_id", "transaction.id"],
        ),
        ForeignKeyConstraint(
            ["slot", "account_id", "ends"], ["hold.slot", "hold.account_id", "hold.transaction_id"]
        ),
    )  # fmt: skip
    slot: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    account_id: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True)
    terminal_id: Mapped[int]
    txid: Mapped[UUID]
    kind: Mapped[str]
    code: Mapped[int] = mapped_column(SmallInteger)
    posted_at: Mapped[datetime]
    business_date: Mapped[date]
    enterprise_id: Mapped[int]
    merchant_id: Mapped[int | None]
    store_id: Mapped[int | None]
    card_id: Mapped[int | None]
    card_tail: Mapped[str | None]
    service_id: Mapped[int | None]
    price_id: Mapped[int | None]
    quantity: Mapped[int | None]
    points: Mapped[int] = mapped_column(server_default="0")
    settlement_minor: Mapped[int | None]
    currency: Mapped[str | None]
    balance: Mapped[int | None]
    meaning: Mapped[bytes]
    reverses: Mapped[int | None]
    ends: Mapped[int | None]
    refunds: Mapped[int | None]
    rest: Mapped[int | None]
    detail: Mapped[str | None]
    reference: Mapped[str | None]
    terminal_at: Mapped[datetime | None]
    stan: Mapped[int | None]
    batch: Mapped[int | None]
    staff_id: Mapped[int | None]


class Entry(Base):
    """One row per lot touched; balanced by construction. Insert only.

    The same row moves the member's lot, is owed to or taken back from the merchant, and is
    billable to or credited to the funder.
    """

    __tablename__ = "entry"
    __table_args__ = (
        one_of("from_side", "funder", "member", "merchant"),
        one_of("to_side", "funder", "member", "merchant"),
        CheckConstraint("from_side <> to_side AND 'member' IN (from_side, to_side)", name="sides"),
        CheckConstraint("('merchant' IN (from_side, to_side)) = (merchant_id IS NOT NULL)", name="merchant"),
        CheckConstraint("points > 0", name="points"),
        ForeignKeyConstraint(
            ["slot", "account_id", "transaction_id"],
            ["transaction.slot", "transaction.account_id", "transaction.id"],
        ),
        ForeignKeyConstraint(["slot", "account_id", "lot_id"], ["lot.slot", "lot.account_id", "lot.id"]),
    )
    slot: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    account_id: Mapped[int] = mapped_column(primary_key=True)
    transaction_id: Mapped[int] = mapped_column(primary_key=True)
    lot_id: Mapped[int] = mapped_column(primary_key=True)
    from_side: Mapped[str]
    to_side: Mapped[str]
    points: Mapped[int]
    enterprise_id: Mapped[int]
    funder_id: Mapped[int]
    merchant_id: Mapped[int | None]
    business_date: Mapped[date]


class Misuse(Base):
    """A txid that came again with another meaning. Its key is taken, so it is recorded here. Insert only."""

    __tablename__ = "misuse"
    __table_args__ = (
        CheckConstraint("length(meaning) = 16", name="meaning"),
        ForeignKeyConstraint(["slot", "account_id"], ["account.slot", "account.id"]),
    )
    slot: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    account_id: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    enterprise_id: Mapped[int]
    terminal_id: Mapped[int]
    txid: Mapped[UUID]
    kind: Mapped[str]
    code: Mapped[int] = mapped_column(SmallInteger)
    meaning: Mapped[bytes]
    happened_at: Mapped[datetime]


class Hold(Base):
    """Points reserved for a transaction of kind hold, until `expires_at`. Insert only.

    What ends it is another transaction, whose `ends` names it; until there is one the hold is open.
    """

    __tablename__ = "hold"
    __table_args__ = (
        CheckConstraint("points > 0", name="points"),
        # To the account and not to its transaction, which names holds itself: an invariant compares the two.
        ForeignKeyConstraint(["slot", "account_id"], ["account.slot", "account.id"]),
    )
    slot: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    account_id: Mapped[int] = mapped_column(primary_key=True)
    transaction_id: Mapped[int] = mapped_column(primary_key=True)
    enterprise_id: Mapped[int]
    merchant_id: Mapped[int]
    points: Mapped[int]
    expires_at: Mapped[datetime]


class HoldLot(Base):
    """How many points of which lot a hold reserves. Insert only."""

    __tablename__ = "hold_lot"
    __table_args__ = (
        CheckConstraint("points > 0", name="points"),
        ForeignKeyConstraint(
            ["slot", "account_id", "transaction_id"],
            ["hold.slot", "hold.account_id", "hold.transaction_id"],
        ),
        ForeignKeyConstraint(["slot", "account_id", "lot_id"], ["lot.slot", "lot.account_id", "lot.id"]),
    )
    slot: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    account_id: Mapped[int] = mapped_column(primary_key=True)
    transaction_id: Mapped[int] = mapped_column(primary_key=True)
    lot_id: Mapped[int] = mapped_column(primary_key=True)
    enterprise_id: Mapped[int]
    points: Mapped[int]
