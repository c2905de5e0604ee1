"""Cards, and members who may get one, by what people know of them. Reading only.

Each way of finding is a plain comparison of an indexed column: beneath row level security PostgreSQL uses an
index for nothing else. A code is found by its beginning, a name by the beginning of each of its words, of a
Chinese one by each character on (member_word).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, text

from ledger.members import Account
from ledger.postings import PIN_TRIES

__all__ = [
    "Enterprise", "FoundCard", "FoundMember", "Holder", "enterprises", "find_holder", "issuer",
    "search_cards", "search_holders",
]  # fmt: skip

LAST = "\U0010ffff"  # sorts behind every character
WORD_MOST = 40  # characters of a word that is found by
LOOKED_AT = 200  # words beyond those that a page shows: some are of one member, some members have no card

BY_WORD = """SELECT DISTINCT member_id AS id FROM (
    SELECT member_id FROM member_word WHERE word >= :low AND word < :high{own}
    ORDER BY word, member_id LIMIT :many) AS words"""
OWN = " AND enterprise_id = :enterprise"
CARDS = """
    SELECT c.number, c.status, c.expires_on, coalesce(c.expires_on < d.date, false) AS expired,
           c.pin_tries >= :tries AS pin_blocked, m.code AS member_code, m.name AS member,
           o.name AS enterprise
    FROM {found}
    LEFT JOIN organisation o ON o.id = m.enterprise_id
    LEFT JOIN business_day d ON d.status = 'open'"""
OF_MEMBERS = """({found}) AS f JOIN member m ON m.id = f.id
    JOIN account a ON a.member_id = m.id JOIN card c ON c.slot = a.slot AND c.account_id = a.id"""
BY_TAIL = """(SELECT * FROM card WHERE tail = :tail{own} LIMIT :many) AS c
    JOIN account a ON a.slot = c.slot AND a.id = c.account_id JOIN member m ON m.id = a.member_id"""
ORDER = " ORDER BY lower(m.code) = lower(:words) DESC, m.name, m.code, m.id, c.number LIMIT :most"
# By whether one enterprise is asked for.
SEARCH = {
    own: text(CARDS.format(found=OF_MEMBERS.format(found=BY_WORD.format(own=OWN if own else ""))) + ORDER)
    for own in (False, True)
}
SEARCH_TAIL = {
    own: text(CARDS.format(found=BY_TAIL.format(own=OWN if own else "")) + ORDER) for own in (False, True)
}
MEMBERS = {
    own: text(
        f"""SELECT m.id, m.code, m.name, m.status, o.name AS enterprise,
                   (SELECT count(*) FROM account a JOIN card c ON c.slot = a.slot AND c.account_id = a.id
                    WHERE a.member_id = m.id AND c.status <> 'closed') AS cards
            FROM ({BY_WORD.format(own=OWN if own else "")}) AS f JOIN member m ON m.id = f.id
            LEFT JOIN organisation o ON o.id = m.enterprise_id
            ORDER BY lower(m.code) = lower(:words) DESC, m.name, m.code, m.id LIMIT :most"""
    )
    for own in (False, True)
}
HOLDER = text(
    """SELECT m.id, m.code, m.name, m.status, m.enterprise_id, o.name AS enterprise, a.slot,
              a.id AS account_id, a.status AS account_status,
              (SELECT count(*) FROM card c WHERE c.slot = a.slot AND c.account_id = a.id
               AND c.status <> 'closed') AS cards
       FROM member m JOIN account a ON a.member_id = m.id LEFT JOIN organisation o ON o.id = m.enterprise_id
       WHERE m.id = :member"""
)
ISSUER = text("SELECT name FROM organisation WHERE id = :enterprise")
ENTERPRISES = text(
    "SELECT id, name FROM organisation WHERE kind = 'enterprise' AND status = 'open' ORDER BY name, id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCard:
    """A card as a list shows it. `expired`: its last day is before the open business date."""

    number: str
    status: str
    expires_on: date | None
    expired: bool
    pin_blocked: bool
    member_code: str
    member: str
    enterprise: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMember:
    """A member as whoever issues cards sees them; `cards` that are not closed they have already."""

    id: int
    code: str
    name: str
    status: str
    enterprise: str | None
    cards: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A member with the account that a new card would be bound to. `open`: neither of them is closed."""

    id: int
    code: str
    name: str
    enterprise: str | None
    account: Account
    open: bool
    cards: int


@dataclass(frozen=True, slots=True)
class Enterprise:
    """An enterprise to choose."""

    id: int
    name: str


def search_cards(
    connection: Connection, words: str, *, enterprise: int | None = None, most: int = 50
) -> list[FoundCard]:
    """At most `most` cards whose last four digits are `words`, or of whose member they are something.

    Whoever has exactly this code comes first, then by name. No words find nothing.
    """
    told = _told(words, enterprise, most)
    if told is None:
        return []
    rows: Sequence[Any] = []
    if len(told["words"]) == 4 and told["words"].isascii() and told["words"].isdigit():
        rows = connection.execute(
            SEARCH_TAIL[enterprise is not None], told | {"tries": PIN_TRIES, "tail": told["words"]}
        ).all()
    more = connection.execute(SEARCH[enterprise is not None], told | {"tries": PIN_TRIES}).all()
    found = {row.number: FoundCard(**row._asdict()) for row in (*rows, *more)}
    return list(found.values())[:most]


def search_holders(
    connection: Connection, words: str, *, enterprise: int | None = None, most: int = 50
) -> list[FoundMember]:
    """At most `most` members by code or name, in the same order. No words find nothing."""
    told = _told(words, enterprise, most)
    if told is None:
        return []
    return [FoundMember(**row._asdict()) for row in connection.execute(MEMBERS[enterprise is not None], told)]


def find_holder(connection: Connection, member: int) -> Holder | None:
    """The member with this id and their account; None when the scope does not show them."""
    row = connection.execute(HOLDER, {"member": member}).one_or_none()
    if row is None:
        return None
    return Holder(
        id=row.id,
        code=row.code,
        name=row.name,
        enterprise=row.enterprise,
        account=Account(row.slot, row.account_id, row.enterprise_id),
        open=row.status == "active" and row.account_status == "open",
        cards=row.cards,
    )


def issuer(connection: Connection, enterprise: int) -> str | None:
    """The name of the enterprise that issued a card; None where the scope does not show it."""
    name: str | None = connection.execute(ISSUER, {"enterprise": enterprise}).scalar_one_or_none()
    return name


def enterprises(connection: Connection) -> list[Enterprise]:
    """The open enterprises that the scope shows, by name."""
    return [Enterprise(*row) for row in connection.execute(ENTERPRISES)]


def _told(words: str, enterprise: int | None, most: int) -> dict[str, Any] | None:
    words = " ".join(words.split())
    if not words or "\x00" in words:  # PostgreSQL's text has no NUL
        return None
    low = words.lower()[:WORD_MOST]
    return {
        "words": words,
        "low": low,
        "high": low + LAST,
        "enterprise": enterprise,
        "many": most + LOOKED_AT,
        "most": most,
    }
