"""Prices as people look at them: agreements past, present and to come; one ended; many changed at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, text

from ledger.merchants import PriceRefused, hold_open_date

__all__ = [
    "Agreement", "NewTerms", "Sold", "agreements", "change_many", "end_agreement", "in_the_way", "running_on",
    "sold_at", "sold_by",
]  # fmt: skip

State: TypeAlias = Literal["past", "present", "future", "withdrawn"]

TERMS = "p.points, p.settlement_minor, p.currency, p.open, p.min_points, p.max_points"
DAYS = "lower(p.during) AS since, upper(p.during) - 1 AS until"
HISTORY = text(
    f"""SELECT p.id, {DAYS}, {TERMS} FROM price p
        WHERE p.merchant_id = :merchant AND p.service_id = :service
        ORDER BY lower(p.during) DESC NULLS LAST, p.id DESC"""
)
# Of each service the agreement in force, or else the next to come, or else the last one that ended.
SOLD = f"""
SELECT DISTINCT ON ({{key}}) p.merchant_id, m.code AS merchant_code, m.name AS merchant, p.service_id,
       s.code, s.name, s.name_zh, s.unit, s.status, p.id AS price, {DAYS}, {TERMS},
       f.since AS next_since
FROM price p
JOIN organisation m ON m.id = p.merchant_id
JOIN service s ON s.id = p.service_id
LEFT JOIN LATERAL (
    SELECT min(lower(n.during)) AS since FROM price n
    WHERE n.merchant_id = p.merchant_id AND n.service_id = p.service_id AND n.during >> p.during
      AND lower(n.during) > :today
) f ON true
WHERE {{only}} AND NOT isempty(p.during)
ORDER BY {{key}}, coalesce(upper(p.during) <= :today, false),
         CASE WHEN coalesce(upper(p.during) > :today, true) THEN lower(p.during) END, lower(p.during) DESC
LIMIT :most
"""
SOLD_AT = text(SOLD.format(key="s.code", only="p.merchant_id = :merchant AND s.code > :after"))
SOLD_BY = text(
    SOLD.format(
        key="p.merchant_id",
        only="p.service_id = :service AND p.merchant_id > :after"
        " AND (CAST(:merchant AS int8) IS NULL OR p.merchant_id = :merchant)",
    )
)
LOCK = text("SELECT lower(during) AS since, upper(during) - 1 AS until FROM price WHERE id = :id FOR UPDATE")
END = text("UPDATE price SET during = daterange(lower(during), CAST(:after AS date)) WHERE id = :id")
# Prices in force on a day, of open services at open merchants, to be changed together.
RUNNING_ON = text(
    f"""SELECT p.merchant_id, m.code AS merchant_code, m.name AS merchant, p.service_id, s.code, s.name,
               s.name_zh, s.unit, s.status, p.id AS price, {DAYS}, {TERMS}, NULL AS next_since
        FROM price p
        JOIN organisation m ON m.id = p.merchant_id AND m.status = 'open'
        JOIN service s ON s.id = p.service_id AND s.status = 'open'
        WHERE p.during @> CAST(:day AS date)
          AND (CAST(:merchants AS text[]) IS NULL OR m.code = ANY(:merchants))
          AND (CAST(:services AS text[]) IS NULL OR s.code = ANY(:services))
          AND (CAST(:category AS int8) IS NULL OR s.category_id = :category)
        ORDER BY m.code, m.id, s.code LIMIT :most"""
)
# The rows are as they were looked at, or the caller takes all back: it counts them.
END_MANY = text(
    """UPDATE price p SET during = daterange(lower(p.during), CAST(:since AS date))
       FROM unnest(CAST(:ids AS int8[]), CAST(:untils AS date[])) AS o(id, until)
       WHERE p.id = o.id AND p.during @> CAST(:since AS date)
         AND upper(p.during) - 1 IS NOT DISTINCT FROM o.until"""
)
INSERT_MANY = text(
    """INSERT INTO price (merchant_id, service_id, during, points, settlement_minor, currency, open,
                          min_points, max_points)
       SELECT p.merchant_id, p.service_id, daterange(CAST(:since AS date), o.until, '[]'), o.points,
              o.settlement, p.currency, p.open, p.min_points, p.max_points
       FROM unnest(CAST(:ids AS int8[]), CAST(:untils AS date[]), CAST(:points AS int8[]),
                   CAST(:settlements AS int8[])) AS o(id, until, points, settlement)
       JOIN price p ON p.id = o.id"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is agreed on: `points` and money per unit of the service; of an open price, money per point.

    `settlement_minor` is owed to the merchant, in minor units of `currency`.
    """

    points: int
    settlement_minor: int
    currency: str
    open: bool
    min_points: int | None
    max_points: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement(Terms):
    """One dated agreement on a price, both days included. Withdrawn before it began: `since` is None."""

    id: int
    since: date | None
    until: date | None

    def state(self, today: date) -> State:
        """How it stands on a business date."""
        if self.since is None:
            return "withdrawn"
        if self.since > today:
            return "future"
        return "present" if self.until is None or self.until >= today else "past"

    def has_day(self, since: date, until: date | None) -> bool:
        """Whether it holds on a day between these, both included."""
        if self.since is None or (until is not None and self.since > until):
            return False
        return self.until is None or self.until >= since


@dataclass(frozen=True, slots=True, kw_only=True)
class Sold(Terms):
    """A service at a merchant: the agreement in force, or else the next, or else the last.

    `next_since` is the first day of the next one after it that is still to come.
    """

    merchant_id: int
    merchant_code: str
    merchant: str
    service_id: int
    code: str
    name: str
    name_zh: str
    unit: str
    status: str
    price: int
    since: date
    until: date | None
    next_since: date | None

    def state(self, today: date) -> State:
        """How its agreement stands on a business date."""
        if self.since > today:
            return "future"
        return "present" if self.until is None or self.until >= today else "past"


@dataclass(frozen=True, slots=True)
class NewTerms:
    """What an agreement is to become: its id and last day as looked at, and the new amounts."""

    price: int
    until: date | None
    points: int
    settlement_minor: int


def agreements(connection: Connection, merchant: int, service: int) -> list[Agreement]:
    """All agreements of a merchant on a service, the newest first; those withdrawn last."""
    rows = connection.execute(HISTORY, {"merchant": merchant, "service": service})
    return [Agreement(**row._asdict()) for row in rows]


def in_the_way(known: Sequence[Agreement], since: date, until: date | None) -> Agreement | None:
    """The first agreement that has a day of a new one from `since` to `until`, and does not give way to it.

    The one in force on `since` gives way; without `until` the new one ends when that one would have.
    """
    running = next((each for each in known if each.has_day(since, since)), None)
    if running is not None and until is None:
        until = running.until
    others = (each for each in known if each is not running and each.has_day(since, until))
    return min(others, key=lambda each: each.since or date.max, default=None)


def sold_at(
    connection: Connection, merchant: int, *, today: date, after: str = "", most: int = 100
) -> list[Sold]:
    """What a merchant sells, sold or will sell, by the service's code, from the one after `after`."""
    told = {"merchant": merchant, "today": today, "after": after, "most": most}
    return [Sold(**row._asdict()) for row in connection.execute(SOLD_AT, told)]


def sold_by(
    connection: Connection,
    service: int,
    *,
    today: date,
    merchant: int | None = None,
    after: int = 0,
    most: int = 100,
) -> list[Sold]:
    """Who sells a service, of the scope's merchants or one, from the one after the merchant `after`."""
    told = {"service": service, "merchant": merchant, "today": today, "after": after, "most": most}
    return [Sold(**row._asdict()) for row in connection.execute(SOLD_BY, told)]


def end_agreement(connection: Connection, price: int, last_day: date | None) -> None:
    """An agreement ends on `last_day`, sooner than it would have; None withdraws one that has not begun.

    Raises PriceRefused: `ended` when it has ended or was withdrawn, or would end later than it does;
    `passed` for a last day before the open business date; `in_force` for withdrawing what has begun.
    """
    today = hold_open_date(connection)
    row = connection.execute(LOCK, {"id": price}).one_or_none()
    if row is None or row.since is None or (row.until is not None and row.until < today):
        raise PriceRefused("ended", "the agreement has ended already")
    if last_day is None:
        if row.since <= today:
            raise PriceRefused("in_force", f"the price of {today} is in force; it ends on {today} or later")
        connection.execute(END, {"id": price, "after": row.since})
        return
    if last_day < max(today, row.since):
        raise PriceRefused("passed", f"{last_day} has passed, or is before the agreement's first day")
    if row.until is not None and last_day >= row.until:
        raise PriceRefused("ended", f"the agreement ends on {row.until} already")
    connection.execute(END, {"id": price, "after": last_day + timedelta(days=1)})


def running_on(
    connection: Connection,
    day: date,
    *,
    merchants: Sequence[str] | None = None,
    services: Sequence[str] | None = None,
    category: int | None = None,
    most: int,
) -> list[Sold]:
    """The prices in force on a day, of open services at open merchants: of some (by code), or of all."""
    told: dict[str, Any] = {"day": day, "category": category, "most": most}
    told |= {"merchants": merchants and list(merchants), "services": services and list(services)}
    return [Sold(**row._asdict()) for row in connection.execute(RUNNING_ON, told)]


def change_many(connection: Connection, terms: Sequence[NewTerms], *, since: date) -> None:
    """From `since` on, which is still to come, agreements have new amounts, all of them or none.

    Each gives way to a new one, which ends when it would have. Raises PriceRefused: `in_force` or `passed`
    for the day, `changed` when an agreement is not any more what it was when it was looked at.
    """
    today = hold_open_date(connection)
    if since <= today:
        raise PriceRefused("in_force" if since == today else "passed", f"{since} is not still to come")
    told = {
        "since": since,
        "ids": [each.price for each in terms],
        "untils": [each.until for each in terms],
        "points": [each.points for each in terms],
        "settlements": [each.settlement_minor for each in terms],
    }
    ended = connection.execute(END_MANY, {name: told[name] for name in ("since", "ids", "untils")})
    if ended.rowcount != len(terms):
        raise PriceRefused("changed", "a price has changed since it was looked at")
    connection.execute(INSERT_MANY, told)
