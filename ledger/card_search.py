"""Cards by what people know of their member: the code, or a part of the name. Reading only."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, text

from ledger.postings import PIN_TRIES

__all__ = ["FoundCard", "issuer", "search_cards"]

# A code is typed from its beginning, a name from anywhere; neither knows wildcards.
SEARCH = text(
    """SELECT c.number, c.status, c.expires_on, coalesce(c.expires_on < d.date, false) AS expired,
              c.pin_tries >= :tries AS pin_blocked, m.code AS member_code, m.name AS member,
              o.name AS enterprise
       FROM member m
       JOIN account a ON a.member_id = m.id
       JOIN card c ON c.slot = a.slot AND c.account_id = a.id
       LEFT JOIN organisation o ON o.id = m.enterprise_id
       LEFT JOIN business_day d ON d.status = 'open'
       WHERE starts_with(lower(m.code), lower(:words)) OR strpos(lower(m.name), lower(:words)) > 0
       ORDER BY lower(m.code) = lower(:words) DESC, m.name, m.code, m.id, c.number LIMIT :most"""
)

ISSUER = text("SELECT name FROM organisation WHERE id = :enterprise")


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


def search_cards(connection: Connection, words: str, *, most: int = 50) -> list[FoundCard]:
    """At most `most` cards whose member's code begins with `words`, or whose member's name contains them.

    Whoever has exactly this code comes first, then by name. No words find nothing.
    """
    words = words.strip()
    if not words or "\x00" in words:  # PostgreSQL's text has no NUL
        return []
    rows = connection.execute(SEARCH, {"words": words, "tries": PIN_TRIES, "most": most})
    return [FoundCard(**row._asdict()) for row in rows]


def issuer(connection: Connection, enterprise: int) -> str | None:
    """The name of the enterprise that issued a card; None where the scope does not show it."""
    name: str | None = connection.execute(ISSUER, {"enterprise": enterprise}).scalar_one_or_none()
    return name
