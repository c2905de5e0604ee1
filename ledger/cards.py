"""Cards: their life from issue to closing, and their PIN as the issuer sees it.

The token on a card and the PIN's key are not this room's: PINs and one-time codes come as verifiers of 32
bytes (ledger.keyring). Whatever people change on a card leaves a row of card_event.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Connection, TextClause, text

from ledger.members import Account

__all__ = [
    "MOVES", "REPLACEABLE", "Card", "CardMove", "NoSuchProduct", "card_number", "change_card", "changing",
    "issue_card", "locked_status", "offer_pin_code", "replace_card", "set_pin",
    "set_status", "unblock_pin",
]  # fmt: skip

NEXT_CARD = text("SELECT nextval('card_id_seq')")
KEY = "slot = :slot AND account_id = :account_id AND id = :id"
# A debit reads cards under its account's lock; whoever changes one takes that lock first.
LOCK = text("SELECT FROM account WHERE slot = :slot AND id = :account_id FOR UPDATE")
STATUS = text(f"SELECT status FROM card WHERE {KEY}")
PRODUCT = text("SELECT 1 FROM card_product WHERE id = :product AND enterprise_id = :enterprise")
NOTE = """INSERT INTO card_event (slot, account_id, card_id, enterprise_id, what, from_status, to_status,
                                  issue, staff_id, reason, happened_at)
          SELECT slot, account_id, id, enterprise_id, :what, from_status, status, issue, :staff, :reason, :now
          FROM changed RETURNING issue"""
INSERT = text(
    f"""WITH changed AS (
            INSERT INTO card (slot, account_id, id, enterprise_id, number, status, expires_on, product_id,
                              limit_points, day_limit_points, pin_above_points)
            VALUES (:slot, :account_id, :id, :enterprise_id, :number, :status, :expires_on, :product_id,
                    :limit_points, :day_limit_points, :pin_above_points)
            RETURNING *, NULL AS from_status
        ) {NOTE}"""
)


def changing(assignments: str) -> TextClause:
    """The statement for `change_card`: `assignments` to one card, and the event of it, at once."""
    return text(
        f"""WITH changed AS (
                UPDATE card c SET {assignments}
                FROM (SELECT status AS from_status FROM card WHERE {KEY}) before
                WHERE c.slot = :slot AND c.account_id = :account_id AND c.id = :id
                RETURNING c.*, before.from_status
            ) {NOTE}"""
    )


SET_STATUS = changing("status = :status")
# A letter with a one-time code may have gone the way of the card.
REPLACE = changing(
    """issue = c.issue + 1, status = :status, expires_on = coalesce(:expires_on, c.expires_on),
       pin_tries = 0, pin_code = NULL, pin_code_until = NULL, pin_code_tries = 0"""
)
# With a code from before, whoever has the letter could set the PIN once more.
SET_PIN = changing(
    """pin_verifier = :verifier, pin_tries = 0, pin_code = NULL, pin_code_until = NULL, pin_code_tries = 0"""
)
UNBLOCK = changing("pin_tries = 0")
OFFER = changing("pin_code = :verifier, pin_code_until = :until, pin_code_tries = 0")

WITHOUT_CODE = frozenset({"lost", "expired", "closed"})  # no code makes these spend again

PREFIX = "86"  # leads every card number, so that a till can tell our cards from bank cards

# What staff may make of a card. A lost one never comes back: whoever has it may have copied it, and only
# a new issue number tells the copies apart. Expiry is judged by the date whenever the card is read.
MOVES: dict[str, frozenset[str]] = {
    "issued": frozenset({"active", "suspended", "lost", "closed"}),
    "active": frozenset({"suspended", "lost", "closed"}),
    "suspended": frozenset({"active", "lost", "closed"}),
    "lost": frozenset({"closed"}),
    "expired": frozenset({"closed"}),
    "closed": frozenset(),
}
REPLACEABLE = frozenset({"active", "suspended", "lost", "expired"})


class CardMove(Exception):
    """A card in this status cannot be so changed; the text says why. Nothing was changed.

    `present` is its status, `asked` the status or the step that was asked for.
    """

    def __init__(self, present: str, asked: str, why: str) -> None:
        super().__init__(f"The card is {present}: {why}")
        self.present = present
        self.asked = asked


class NoSuchProduct(LookupError):
    """No card product of this enterprise has that id."""


@dataclass(frozen=True, slots=True)
class Card:
    """What a card's token says, and the number printed on it."""

    slot: int
    account_id: int
    id: int
    issue: int
    number: str


def card_number(slot: int, card: int) -> str:
    """16 digits: prefix, slot, card, and the check digit of ISO/IEC 7812 (Luhn)."""
    body = f"{PREFIX}{slot:03d}{card:010d}"
    doubled = (int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(body)))
    check = -sum(number - 9 if number > 9 else number for number in doubled) % 10
    return f"{body}{check}"


def issue_card(
    connection: Connection,
    account: Account,
    *,
    now: datetime,
    status: Literal["active", "issued"] = "active",
    expires_on: date | None = None,
    product_id: int | None = None,
    limit_points: int | None = None,
    day_limit_points: int | None = None,
    pin_above_points: int | None = None,
    staff: int | None = None,
    reason: str | None = None,
) -> Card:
    """A new card of `account`, without a PIN. An `issued` one spends nothing until it is made active.

    Limits in points; None: the product's, or the enterprise's (ledger.limits). `expires_on` is the last day.
    Raises NoSuchProduct.
    """
    if product_id is not None:
        wanted = {"product": product_id, "enterprise": account.enterprise_id}
        if connection.execute(PRODUCT, wanted).one_or_none() is None:
            raise NoSuchProduct(f"enterprise {account.enterprise_id} has no card product {product_id}")
    new: int = connection.execute(NEXT_CARD).scalar_one()
    card = Card(account.slot, account.id, new, 1, card_number(account.slot, new))
    connection.execute(
        INSERT,
        {
            **_key(card),
            "enterprise_id": account.enterprise_id,
            "number": card.number,
            "status": status,
            "expires_on": expires_on,
            "product_id": product_id,
            "limit_points": limit_points,
            "day_limit_points": day_limit_points,
            "pin_above_points": pin_above_points,
            "what": "issued",
            "staff": staff,
            "reason": reason,
            "now": now,
        },
    )
    return card


def locked_status(connection: Connection, card: Card) -> str:
    """The card's status, which stays what it is until the transaction ends: the account is locked.

    Waits for a running debit. NoResultFound for a card that the scope does not show.
    """
    connection.execute(LOCK, _key(card))
    status: str = connection.execute(STATUS, _key(card)).scalar_one()
    return status


def change_card(
    connection: Connection,
    card: Card,
    statement: TextClause,
    what: str,
    *,
    now: datetime,
    staff: int | None,
    reason: str | None,
    **values: Any,
) -> int:
    """Run a `changing` statement after `locked_status`; returns the card's issue number."""
    issue: int = connection.execute(
        statement, {**_key(card), "what": what, "now": now, "staff": staff, "reason": reason, **values}
    ).scalar_one()
    return issue


def set_status(
    connection: Connection,
    card: Card,
    status: str,
    *,
    now: datetime,
    staff: int | None = None,
    reason: str | None = None,
) -> None:
    """active, suspended, lost or closed, from the next message on; waits for a running debit.

    Raises CardMove for a step that MOVES does not have: a lost card, for one, can only be replaced or closed.
    """
    present = locked_status(connection, card)
    if status not in MOVES[present]:
        allowed = " or ".join(sorted(MOVES[present])) or "nothing else any more"
        raise CardMove(present, status, f"it cannot become {status}, only {allowed}")
    change_card(connection, card, SET_STATUS, "status", now=now, staff=staff, reason=reason, status=status)


def replace_card(
    connection: Connection,
    card: Card,
    *,
    now: datetime,
    staff: int | None = None,
    reason: str | None = None,
    status: Literal["active", "issued"] = "active",
    expires_on: date | None = None,
) -> Card:
    """The same card under a new issue number, which kills the old QR and chip. Its PIN stays.

    `expires_on`: a new last day; None keeps the old one. Raises CardMove for a card that is issued or closed.
    """
    present = locked_status(connection, card)
    if present not in REPLACEABLE:
        raise CardMove(present, "replaced", "it cannot be replaced; issue another card")
    issue = change_card(
        connection,
        card,
        REPLACE,
        "replaced",
        now=now,
        staff=staff,
        reason=reason,
        status=status,
        expires_on=expires_on,
    )
    return Card(card.slot, card.account_id, card.id, issue, card.number)


def set_pin(
    connection: Connection,
    card: Card,
    verifier: bytes,
    *,
    now: datetime,
    staff: int | None = None,
    reason: str | None = None,
) -> None:
    """Set the PIN by its verifier (Keyring.pin_verifier); tries start anew, a one-time code is void."""
    locked_status(connection, card)
    change_card(connection, card, SET_PIN, "pin_set", now=now, staff=staff, reason=reason, verifier=verifier)


def unblock_pin(
    connection: Connection,
    card: Card,
    *,
    now: datetime,
    staff: int | None = None,
    reason: str | None = None,
) -> None:
    """Forget the wrong tries: the PIN that was set counts again, from the next message on."""
    locked_status(connection, card)
    change_card(connection, card, UNBLOCK, "pin_unblocked", now=now, staff=staff, reason=reason)


def offer_pin_code(
    connection: Connection,
    card: Card,
    *,
    verifier: bytes,
    until: datetime,
    now: datetime,
    staff: int | None = None,
    reason: str | None = None,
) -> None:
    """With this code (Keyring.code_verifier) the member may set a new PIN once, before `until`.

    An older code is worth nothing from now on. Raises CardMove for a card that is lost or closed.
    """
    present = locked_status(connection, card)
    if present in WITHOUT_CODE:
        raise CardMove(present, "pin_code", "no one-time code can be given for it")
    change_card(
        connection, card, OFFER, "pin_code", now=now, staff=staff, reason=reason, verifier=verifier,
        until=until,
    )  # fmt: skip


def _key(card: Card) -> dict[str, int]:
    return {"slot": card.slot, "account_id": card.account_id, "id": card.id}
