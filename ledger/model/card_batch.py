"""Cards that were issued together: the batch, and for whom."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Identity, Index, SmallInteger
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import BigInteger

from ledger.model.base import Base, one_of


class CardBatch(Base):
    """Cards asked for at once. `lines` are asked for; `issued` of them are made, `passed` had a card by then.

    `units` are those whose members it is for; NULL: the whole enterprise. `status` and `expires_on` are what
    each new card gets.
    """

    __tablename__ = "card_batch"
    __table_args__ = (
        one_of("status", "issued", "active"),
        CheckConstraint("issued >= 0 AND passed >= 0 AND lines >= issued + passed", name="lines"),
        Index("card_batch_enterprise_id_idx", "enterprise_id", "id"),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    units: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    staff_id: Mapped[int | None]
    product_id: Mapped[int | None] = mapped_column(ForeignKey("card_product.id"))
    status: Mapped[str]
    expires_on: Mapped[date | None]
    note: Mapped[str | None]
    lines: Mapped[int]
    issued: Mapped[int] = mapped_column(server_default="0")
    passed: Mapped[int] = mapped_column(server_default="0")
    made_at: Mapped[datetime]


class CardBatchLine(Base):
    """A member's account in a batch, and the card that it got; `passed`: it had one already."""

    __tablename__ = "card_batch_line"
    __table_args__ = (
        CheckConstraint("NOT (passed AND card_id IS NOT NULL)", name="passed"),
        Index("card_batch_line_batch_id_idx", "batch_id", "number"),
        ForeignKeyConstraint(["slot", "account_id"], ["account.slot", "account.id"]),
        ForeignKeyConstraint(["slot", "account_id", "card_id"], ["card.slot", "card.account_id", "card.id"]),
    )
    slot: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    account_id: Mapped[int] = mapped_column(primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("card_batch.id"), primary_key=True)
    number: Mapped[int]
    enterprise_id: Mapped[int]
    card_id: Mapped[int | None]
    passed: Mapped[bool] = mapped_column(server_default="false")
