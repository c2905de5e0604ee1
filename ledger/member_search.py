"""Finding members by what people know of them, and listing them page by page. Reading only.

Each way of finding is a plain comparison of an indexed column: beneath row level security PostgreSQL uses an
index for nothing else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, TextClause, text

from ledger import personal
from ledger.personal import PersonalKeys, Wrong
from ledger.walks import NO_BOUND

__all__ = ["MemberLine", "Standing", "find_members", "list_members", "lines_of"]

LAST = "\U0010ffff"  # sorts behind every character
Standing = Literal["all", "active", "closed"]


def _by(source: str, condition: str, order: str, of: str = "") -> tuple[TextClause, TextClause]:
    """The statement for all enterprises, and the one for a single one, whose index begins with it."""
    base = f"SELECT {of}member_id FROM {source} WHERE {condition}"
    return (
        text(f"{base} ORDER BY {order} LIMIT :most"),
        text(f"{base} AND {of}enterprise_id = :enterprise ORDER BY {order} LIMIT :most"),
    )


BY_WORD = _by("member_word", "word >= :low AND word < :high", "word, member_id")
BY_PHONE = _by("person", "phone_key = :key", "member_id")
BY_IDENTITY = _by("person", "identity_key = :key", "member_id")
BY_PLATE = _by("member_plate", "plate >= :low AND plate < :high", "plate, member_id")
OF_CARD = "card JOIN account a ON a.slot = card.slot AND a.id = card.account_id"
BY_CARD = _by(OF_CARD, "card.slot = :slot AND card.number = :number", "a.member_id", "a.")
BY_TAIL = _by(OF_CARD, "card.tail = :tail", "a.member_id", "a.")
LINES = """SELECT m.id, m.enterprise_id, m.code, m.name, m.status, m.erased_at IS NOT NULL AS erased,
                  p.phone, o.name AS unit, e.name AS enterprise, coalesce(a.posted, 0) AS posted,
                  coalesce(a.held, 0) AS held
           FROM {source} m
           LEFT JOIN person p ON p.member_id = m.id
           LEFT JOIN account a ON a.member_id = m.id
           LEFT JOIN organisation o ON o.id = m.organisation_id
           LEFT JOIN organisation e ON e.id = m.enterprise_id"""
OF_IDS = text(LINES.format(source="(SELECT * FROM member WHERE id = ANY(:ids))"))
PAGE = "(SELECT * FROM member WHERE id < :before{own}{status} ORDER BY id DESC LIMIT :most)"
PAGES = {
    (own, status): text(
        LINES.format(
            source=PAGE.format(
                own=" AND enterprise_id = :enterprise" if own else "",
                status="" if status == "all" else f" AND status = '{status}'",
            )
        )
        + " ORDER BY m.id DESC"
    )
    for own in (False, True)
    for status in ("all", "active", "closed")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberLine:
    """A member as a list shows it. `phone` is sealed; `posted` and `held` are the account's points."""

    id: int
    enterprise_id: int
    code: str
    name: str
    status: str
    erased: bool
    phone: bytes | None
    unit: str | None
    enterprise: str | None
    posted: int
    held: int


def list_members(
    connection: Connection,
    *,
    enterprise: int | None = None,
    standing: Standing = "all",
    before: int | None = None,
    most: int,
) -> list[MemberLine]:
    """The newest members, or, with `before`, those with a smaller id."""
    told = {"before": NO_BOUND if before is None else before, "most": most, "enterprise": enterprise}
    rows = connection.execute(PAGES[enterprise is not None, standing], told)
    return [MemberLine(**row._asdict()) for row in rows]


def lines_of(connection: Connection, members: Sequence[int]) -> list[MemberLine]:
    """These members, in this order, as far as the scope shows them."""
    rows = connection.execute(OF_IDS, {"ids": list(members)})
    by_id = {row.id: MemberLine(**row._asdict()) for row in rows}
    return [by_id[member] for member in members if member in by_id]


def find_members(
    connection: Connection, words: str, keys: PersonalKeys, *, enterprise: int | None = None, most: int
) -> list[MemberLine]:
    """At most `most` members of whom `words` is something: the surest ways of knowing them first.

    In full: phone, identity number, card number or its last four digits. From the beginning: plate, code,
    and each word of the name, of a Chinese one each character. No words find nothing.
    """
    found: dict[int, None] = {}
    for statements, told in _ways(words, keys):
        statement = statements[0 if enterprise is None else 1]
        rows = connection.execute(statement, {**told, "enterprise": enterprise, "most": most})
        found |= dict.fromkeys(row[0] for row in rows)
        if len(found) >= most:
            break
    return lines_of(connection, list(found)[:most])


def _ways(words: str, keys: PersonalKeys) -> Iterator[tuple[tuple[TextClause, ...], dict[str, Any]]]:
    words = " ".join(words.split())
    if not words or "\x00" in words:  # PostgreSQL's text has no NUL
        return
    digits = words.replace(" ", "")
    if digits.isascii() and digits.isdigit():
        if len(digits) == 16:
            yield BY_CARD, {"slot": int(digits[2:5]), "number": digits}
        if len(digits) == 4:
            yield BY_TAIL, {"tail": digits}
    for statements, field, normal in (
        (BY_PHONE, "phone", personal.phone_number),
        (BY_IDENTITY, "identity", personal.identity_number),
    ):
        try:
            yield statements, {"key": keys.search_key(field, normal(words))}
        except Wrong:
            continue
    beginning = words.lower()[:40]
    yield BY_WORD, {"low": beginning, "high": beginning + LAST}
    begins = "".join(each for each in words.upper() if each.isalnum())
    if len(begins) >= 2:
        yield BY_PLATE, {"low": begins, "high": begins + LAST}
