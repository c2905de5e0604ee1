"""What a page shows of one card: its state, its limits and its history. Reading only."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, text

from ledger.cards import Card
from ledger.limits import Limits
from ledger.postings import PIN_TRIES

__all__ = ["CardBalance", "CardDetails", "CardEvent", "card_balance", "card_history", "find_card"]

FIND = text(
    """SELECT c.slot, c.account_id, c.id, c.issue, c.number, c.enterprise_id, m.id AS member_id,
              m.code AS member_code, m.name AS member, c.status, c.expires_on,
              coalesce(c.expires_on < d.date, false) AS expired,
              c.pin_verifier IS NOT NULL AS pin_set, c.pin_tries,
              CASE WHEN c.pin_code_tries < :tries THEN c.pin_code_until END AS code_until,
              c.product_id, p.name AS product, c.limit_points, c.day_limit_points, c.pin_above_points,
              coalesce(c.limit_points, p.limit_points, t.limit_points) AS limit_points_in_force,
              coalesce(c.day_limit_points, p.day_limit_points, t.day_limit_points) AS day_limit_in_force,
              coalesce(c.pin_above_points, p.pin_above_points, t.pin_above_points, 0) AS pin_above_in_force
       FROM card c
       JOIN account a ON a.slot = c.slot AND a.id = c.account_id
       JOIN member m ON m.id = a.member_id
       LEFT JOIN card_product p ON p.id = c.product_id
       LEFT JOIN enterprise_terms t ON t.enterprise_id = c.enterprise_id
       LEFT JOIN business_day d ON d.status = 'open'
       WHERE c.slot = :slot AND c.number = :number"""
)
BALANCE = text(
    """SELECT coalesce(sum(l.remaining - l.held)
                       FILTER (WHERE l.expires_on IS NULL OR l.expires_on >= d.date), 0) AS available,
              coalesce(sum(l.held), 0) AS held
       FROM lot l LEFT JOIN business_day d ON d.status = 'open'
       WHERE l.slot = :slot AND l.account_id = :account_id AND l.open"""
)
# A PIN that the member changed at a terminal is a transaction, with or without a one-time code.
HISTORY = text(
    """SELECT h.happened_at, h.what, h.from_status, h.to_status, h.issue, h.staff_id, s.name AS staff,
              h.reason
       FROM (SELECT happened_at, id, what, from_status, to_status, issue, staff_id, reason
             FROM card_event WHERE slot = :slot AND account_id = :account_id AND card_id = :id
             UNION ALL
             SELECT posted_at, id, 'pin_changed', NULL, CASE detail WHEN 'by_code' THEN 'active' END, NULL,
                    NULL, detail
             FROM transaction WHERE slot = :slot AND account_id = :account_id AND card_id = :id
                  AND kind = 'pin_change' AND code = 0) h
       LEFT JOIN staff s ON s.id = h.staff_id
       ORDER BY h.happened_at DESC, h.id DESC LIMIT :most"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardDetails:
    """A card as a page shows it. `expired`: its last day is before the open business date.

    `own` are the card's limits, `in_force` what counts: its own, or its product's, or its enterprise's.
    `code_until`: how long a one-time code can be used; None when there is none, or its tries are used up.
    """

    card: Card
    enterprise_id: int
    member_id: int
    member_code: str
    member: str
    status: str
    expires_on: date | None
    expired: bool
    pin_set: bool
    pin_tries: int
    code_until: datetime | None
    product_id: int | None
    product: str | None
    own: Limits
    in_force: Limits

    @property
    def pin_blocked(self) -> bool:
        return self.pin_tries >= PIN_TRIES

    def code_outstanding(self, now: datetime) -> bool:
        """Whether a one-time code would set a new PIN at `now`."""
        return self.code_until is not None and self.code_until > now


@dataclass(frozen=True, slots=True)
class CardBalance:
    """Points of the card's account: what can be spent now, and what is reserved."""

    available: int
    held: int


@dataclass(frozen=True, slots=True)
class CardEvent:
    """One step of a card's life. `what`: issued, status, replaced, pin_set, pin_unblocked, pin_code, limits,

    or pin_changed, which the member did at a terminal: its `reason` is by_pin or by_code. `staff` is None
    where nobody of the staff did it, or the scope does not show them.
    """

    at: datetime
    what: str
    from_status: str | None
    to_status: str | None
    issue: int | None
    staff_id: int | None
    staff: str | None
    reason: str | None


def find_card(connection: Connection, number: str) -> CardDetails | None:
    """The card with the number printed on it, spaces or not; None when the scope shows no such card."""
    digits = number.replace(" ", "")
    if not (len(digits) == 16 and digits.isascii() and digits.isdigit()):
        return None
    row = connection.execute(
        FIND, {"slot": int(digits[2:5]), "number": digits, "tries": PIN_TRIES}
    ).one_or_none()
    if row is None:
        return None
    return CardDetails(
        card=Card(row.slot, row.account_id, row.id, row.issue, row.number),
        enterprise_id=row.enterprise_id,
        member_id=row.member_id,
        member_code=row.member_code,
        member=row.member,
        status=row.status,
        expires_on=row.expires_on,
        expired=row.expired,
        pin_set=row.pin_set,
        pin_tries=row.pin_tries,
        code_until=row.code_until,
        product_id=row.product_id,
        product=row.product,
        own=Limits(
            limit_points=row.limit_points,
            day_limit_points=row.day_limit_points,
            pin_above_points=row.pin_above_points,
        ),
        in_force=Limits(
            limit_points=row.limit_points_in_force,
            day_limit_points=row.day_limit_in_force,
            pin_above_points=row.pin_above_in_force,
        ),
    )


def card_balance(connection: Connection, card: Card) -> CardBalance:
    """What can be spent with the card now, were it active, and what is reserved."""
    row = connection.execute(BALANCE, {"slot": card.slot, "account_id": card.account_id}).one()
    return CardBalance(int(row.available), int(row.held))


def card_history(connection: Connection, card: Card, *, most: int = 100) -> list[CardEvent]:
    """What was done to the card, newest first; debits are not part of it."""
    rows = connection.execute(
        HISTORY, {"slot": card.slot, "account_id": card.account_id, "id": card.id, "most": most}
    )
    return [CardEvent(*row) for row in rows]
