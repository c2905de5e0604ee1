"""Cards: issue, PIN, status. The token on a card and the PIN's key are not this room's."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, text

from ledger.members import Account

__all__ = ["Card", "card_number", "issue_card", "replace_card", "set_pin", "set_status"]

NEXT_CARD = text("SELECT nextval('card_id_seq')")
INSERT = text(
    """INSERT INTO card (slot, account_id, id, enterprise_id, number, expires_on, limit_points)
       VALUES (:slot, :account_id, :id, :enterprise_id, :number, :expires_on, :limit_points)"""
)
KEY = "WHERE slot = :slot AND account_id = :account_id AND id = :id"
SET_PIN = text(f"UPDATE card SET pin_verifier = :verifier, pin_tries = 0 {KEY}")
SET_STATUS = text(f"UPDATE card SET status = :status {KEY}")
REPLACE = text(f"UPDATE card SET issue = issue + 1, status = 'active' {KEY} RETURNING issue")

# A debit reads cards under its account's lock; whoever changes one takes that lock first.
LOCK = text("SELECT FROM account WHERE slot = :slot AND id = :account_id FOR UPDATE")

PREFIX = "86"  # leads every card number, so that a till can tell our cards from bank cards


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
    expires_on: date | None = None,
    limit_points: int | None = None,
) -> Card:
    """A new active card of `account`, without a PIN. `limit_points`: the most of one purchase."""
    new: int = connection.execute(NEXT_CARD).scalar_one()
    card = Card(account.slot, account.id, new, 1, card_number(account.slot, new))
    connection.execute(
        INSERT,
        {
            **_key(card),
            "enterprise_id": account.enterprise_id,
            "number": card.number,
            "expires_on": expires_on,
            "limit_points": limit_points,
        },
    )
    return card


def set_pin(connection: Connection, card: Card, verifier: bytes) -> None:
    """Set the PIN by its verifier (32 bytes, ledger.keyring); tries start anew."""
    connection.execute(LOCK, _key(card))
    connection.execute(SET_PIN, {**_key(card), "verifier": verifier})


def set_status(connection: Connection, card: Card, status: str) -> None:
    """active, suspended, lost or closed; waits for a running debit, and holds from the next message on."""
    connection.execute(LOCK, _key(card))
    connection.execute(SET_STATUS, {**_key(card), "status": status})


def replace_card(connection: Connection, card: Card) -> Card:
    """The same card under a new issue number, which kills the old QR and chip."""
    connection.execute(LOCK, _key(card))
    issue: int = connection.execute(REPLACE, _key(card)).scalar_one()
    return Card(card.slot, card.account_id, card.id, issue, card.number)


def _key(card: Card) -> dict[str, int]:
    return {"slot": card.slot, "account_id": card.account_id, "id": card.id}
