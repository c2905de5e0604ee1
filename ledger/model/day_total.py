"""What closed business dates come to, added up once: charts of months read a few rows and not millions."""

from datetime import date

from sqlalchemy import CheckConstraint, ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column

from ledger.model.base import Base, one_of


class DayTotal(Base):
    """The transactions of one kind and outcome on a closed business date, as one tenant sees them.

    `tenant_id` 0 is everybody together, for the operator. `part` "all" is the whole of what the tenant
    sees; the others are its parts by enterprise (of everybody), merchant (of everybody and enterprises),
    store and service (of merchants), with the part's id. Of a reversal `points` are those of purchases: a
    reversed hold gave nothing back. Money is in minor units of `currency`, empty where there is none.
    """

    __tablename__ = "day_total"
    __table_args__ = (
        one_of("part", "all", "enterprise", "merchant", "store", "service"),
        CheckConstraint("(part = 'all') = (part_id = 0)", name="part_id"),
        CheckConstraint("count > 0 AND points >= 0 AND settlement_minor >= 0", name="figures"),
    )
    tenant_id: Mapped[int] = mapped_column(primary_key=True)
    part: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column("date", ForeignKey("business_day.date"), primary_key=True)
    part_id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    approved: Mapped[bool] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True, server_default=text("''"))
    count: Mapped[int]
    points: Mapped[int]
    settlement_minor: Mapped[int]
