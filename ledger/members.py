"""Members and their accounts, and the points that enterprises give them."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, text

from ledger import books
from ledger.database import Database, Scope
from ledger.model import OFFICE_TERMINAL, SLOTS
from ledger.postings import Grant, Outcome

__all__ = ["GRANT_BATCH", "INSERT_WORDS", "Account", "Granting", "create_member", "grant", "grant_many"]

INSERT_MEMBER = text(
    "INSERT INTO member (enterprise_id, code, name) VALUES (:enterprise_id, :code, :name) RETURNING id"
)
INSERT_WORDS = text(
    """INSERT INTO member_word (member_id, word, enterprise_id)
       SELECT m.id, w, m.enterprise_id FROM member m, member_words(m.name, m.code) w
       WHERE m.id = ANY(:members)"""
)
NEXT_ACCOUNT = text("SELECT nextval('account_id_seq')")
INSERT_ACCOUNT = text(
    """INSERT INTO account (slot, id, member_id, enterprise_id)
       VALUES (:slot, :id, :member_id, :enterprise_id)"""
)

GRANT_BATCH = 500  # accounts locked together: short enough that a debit never waits long behind a bulk grant


@dataclass(frozen=True, slots=True)
class Account:
    """What names an account for ever."""

    slot: int
    id: int
    enterprise_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Granting:
    """Points for one account. `txid` makes it harmless to repeat: the same one grants once."""

    account: Account
    txid: UUID
    points: int
    funder: int
    lot_kind: str = "granted"
    expires_on: date | None = None
    priority: int = 0
    detail: str | None = None
    staff: int | None = None


def create_member(connection: Connection, *, enterprise: int, code: str, name: str) -> Account:
    """A member with an account. The slot is fixed now and never changes: it leads every key of the books."""
    member = connection.execute(
        INSERT_MEMBER, {"enterprise_id": enterprise, "code": code, "name": name}
    ).scalar_one()
    connection.execute(INSERT_WORDS, {"members": [member]})
    new: int = connection.execute(NEXT_ACCOUNT).scalar_one()
    account = Account(slot=new % SLOTS, id=new, enterprise_id=enterprise)
    connection.execute(
        INSERT_ACCOUNT,
        {"slot": account.slot, "id": account.id, "member_id": member, "enterprise_id": enterprise},
    )
    return account


def grant(connection: Connection, grantings: Sequence[Granting], now: datetime) -> list[Outcome]:
    """Post grants, one or many, inside `connection`'s transaction; one outcome each, in order.

    For a long list use `grant_many`.
    """
    return books.post(
        connection,
        [
            Grant(
                slot=item.account.slot,
                account=item.account.id,
                terminal=OFFICE_TERMINAL,
                txid=item.txid,
                funder=item.funder,
                points=item.points,
                lot_kind=item.lot_kind,
                expires_on=item.expires_on,
                priority=item.priority,
                detail=item.detail,
                staff=item.staff,
            )
            for item in grantings
        ],
        now,
    )


def grant_many(
    database: Database, scope: Scope, grantings: Sequence[Granting], now: datetime
) -> Generator[list[Outcome], None, None]:
    """Post a list of any length, GRANT_BATCH at a time, each in its own transaction; yields its outcomes.

    After a failure repeat the whole list: what was granted is only confirmed, what is missing is granted.
    """
    for start in range(0, len(grantings), GRANT_BATCH):
        with database.transaction(scope) as connection:
            outcomes = grant(connection, grantings[start : start + GRANT_BATCH], now)
        yield outcomes
