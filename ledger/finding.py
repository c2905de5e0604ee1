"""Whether there is something of a number that people typed, within the scope. Reading only."""

from uuid import UUID

from sqlalchemy import Connection, text

from ledger.model import SLOTS

__all__ = ["is_transaction", "member_of_code", "transaction_of_txid"]

TRANSACTION = text("SELECT EXISTS (SELECT FROM transaction WHERE id = :id)")
# The index on the txid leads with the slot: naming all of them is quicker than reading it whole.
BY_TXID = text(
    """SELECT id FROM transaction WHERE slot = ANY(CAST(:slots AS smallint[])) AND txid = :txid
       ORDER BY id DESC LIMIT 1"""
)
MEMBER = text("SELECT id FROM member WHERE code = :code ORDER BY id LIMIT 2")


def is_transaction(connection: Connection, id: int) -> bool:  # noqa: A002 - the noun's own word
    """Whether there is a transaction with this id."""
    return bool(connection.execute(TRANSACTION, {"id": id}).scalar_one())


def transaction_of_txid(connection: Connection, txid: UUID) -> int | None:
    """The newest transaction with this txid, or None."""
    found: int | None = connection.execute(BY_TXID, {"slots": list(range(SLOTS)), "txid": txid}).scalar()
    return found


def member_of_code(connection: Connection, code: str) -> int | None:
    """The one member with this code; None where there is none, or one in each of several enterprises."""
    found = connection.execute(MEMBER, {"code": code}).scalars().all()
    return int(found[0]) if len(found) == 1 else None
