"""What merchants sell: services, and their dated prices."""

from dataclasses import dataclass
from datetime import date
from typing import Literal, Required, TypeAlias, TypedDict, Unpack

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, NoResultFound

from ledger import events
from ledger.businessday import hold_date

__all__ = [
    "VERSION", "Offer", "PriceRefused", "PriceTerms", "WhyRefused", "agree_price", "catalogue",
    "catalogue_version", "change_price", "create_service", "edited", "hold_open_date", "set_service_status",
]  # fmt: skip

INSERT_SERVICE = text(
    "INSERT INTO service (code, name, name_zh, unit) VALUES (:code, :name, :name_zh, :unit) RETURNING id"
)
SERVICE_STATUS = text("UPDATE service SET status = :status WHERE id = :id")
INSERT_PRICE = text(
    """INSERT INTO price (merchant_id, service_id, during, points, settlement_minor, currency, open,
                          min_points, max_points)
       VALUES (:merchant, :service, daterange(:since, :until, '[]'), :points, :settlement_minor,
               :currency, :open, :min_points, :max_points)
       RETURNING id"""
)
EDITED = text("UPDATE catalogue_version SET edits = edits + 1")
VERSION = text(
    """SELECT v.edits * 1000000 + (d.date - DATE '2000-01-01')
       FROM catalogue_version v, business_day d WHERE d.status = 'open'"""
)
# Of each service the agreement that is in force, or else the next to come, and the one after it. Agreements
# of one service never overlap, so the first that has not ended is it; a withdrawn one has an empty range.
CATALOGUE = text(
    """SELECT DISTINCT ON (s.code) s.code, s.name, s.name_zh, s.unit, p.points, p.open, p.min_points,
              p.max_points, CASE WHEN lower(p.during) > d.date THEN lower(p.during) END AS since,
              upper(p.during) - 1 AS until, lower(n.during) AS next_since, n.points AS next_points,
              coalesce(n.open, false) AS next_open, n.min_points AS next_min_points,
              n.max_points AS next_max_points
       FROM business_day d
       JOIN terminal t ON t.id = :terminal
       JOIN price p ON p.merchant_id = t.tenant_id AND p.during && daterange(d.date, NULL)
       JOIN service s ON s.id = p.service_id AND s.status = 'open'
       LEFT JOIN LATERAL (
           SELECT * FROM price f
           WHERE f.merchant_id = p.merchant_id AND f.service_id = p.service_id AND f.during >> p.during
           ORDER BY f.during LIMIT 1
       ) n ON true
       WHERE d.status = 'open' AND s.code > :after
       ORDER BY s.code, p.during LIMIT :most"""
)
RUNNING = text(
    """SELECT id, lower(during) AS since, upper(during) - 1 AS until FROM price
       WHERE merchant_id = :merchant AND service_id = :service AND during @> CAST(:since AS date)
       FOR UPDATE"""
)
# One that would begin on the very day is withdrawn: its range becomes empty, the row stays.
END_BEFORE = text(
    """UPDATE price SET during = daterange(lower(during), GREATEST(lower(during), CAST(:since AS date)))
       WHERE id = :id"""
)
OVERLAP = "price_overlap"  # the constraint that keeps two agreements off one day


class PriceTerms(TypedDict, total=False):
    """Points of one unit (1 unless said), money owed for it in minor units of `currency` (CNY unless said).

    With `open_range` (least and most points of one purchase) the price is open: `points` stays 1 and
    `settlement_minor` is owed per point.
    """

    points: int
    settlement_minor: Required[int]
    currency: str
    open_range: tuple[int, int] | None


WhyRefused: TypeAlias = Literal["passed", "in_force", "overlap", "changed", "ended"]


class PriceRefused(Exception):
    """A price that cannot be agreed for these days; the text says why. Roll the transaction back.

    `why` in a word: the day has `passed`, the price is `in_force` on it, another agreement has a day
    (`overlap`); prices have `changed` since they were looked at; the agreement has `ended`.
    """

    def __init__(self, why: WhyRefused, words: str) -> None:
        super().__init__(words)
        self.why = why


@dataclass(frozen=True, slots=True)
class Offer:
    """One line of a catalogue. `points` are for one `unit`; an open price takes any amount in its range.

    `since` is there when the price is not in force yet, `until` is its last day when it has one. The
    `next_` fields are those of the agreement that follows; None, and not open, when there is none.
    """

    code: str
    name: str
    name_zh: str
    unit: str
    points: int
    open: bool
    min_points: int | None
    max_points: int | None
    since: date | None
    until: date | None
    next_since: date | None
    next_points: int | None
    next_open: bool
    next_min_points: int | None
    next_max_points: int | None


def create_service(connection: Connection, *, code: str, name: str, name_zh: str, unit: str) -> int:
    """A new kind of service, sellable as soon as a merchant has a price for it. Returns its id."""
    edited(connection)
    new: int = connection.execute(
        INSERT_SERVICE, {"code": code, "name": name, "name_zh": name_zh, "unit": unit}
    ).scalar_one()
    return new


def set_service_status(connection: Connection, service: int, status: str) -> None:
    """`open` or `closed`, for every merchant, from the next message on."""
    edited(connection)
    connection.execute(SERVICE_STATUS, {"id": service, "status": status})


def agree_price(
    connection: Connection,
    *,
    merchant: int,
    service: int,
    since: date,
    until: date | None = None,
    **terms: Unpack[PriceTerms],
) -> int:
    """An agreement from `since` to `until` (both included; None: without end). Returns its version's id.

    The database refuses two agreements for one day.
    """
    edited(connection)
    return _agree(connection, merchant, service, since, until, terms)


def change_price(
    connection: Connection,
    *,
    merchant: int,
    service: int,
    since: date,
    until: date | None = None,
    **terms: Unpack[PriceTerms],
) -> int:
    """From `since` on other terms hold: the running agreement ends the day before. Returns the new version.

    As `agree_price`, but without `until` the new one ends when the running one would have. One that
    was to begin on `since` itself is withdrawn. Raises PriceRefused for a day that has passed, for the
    open business date while a price is in force on it, and for days that another agreement has.
    """
    today = hold_open_date(connection)
    running = connection.execute(
        RUNNING, {"merchant": merchant, "service": service, "since": since}
    ).one_or_none()
    if since < today:
        raise PriceRefused("passed", f"{since} has passed: the open business date is {today}")
    if running is not None:
        if since == today:
            raise PriceRefused(
                "in_force", f"the price of {today} is in force; it can change from the day after on"
            )
        connection.execute(END_BEFORE, {"id": running.id, "since": since})
        until = until or running.until
    try:
        return _agree(connection, merchant, service, since, until, terms)
    except IntegrityError as error:
        if OVERLAP not in str(error.orig):
            raise
        raise PriceRefused(
            "overlap", f"another agreement holds on a day from {since} on; name a last day"
        ) from error


def hold_open_date(connection: Connection) -> date:
    """Prices are about to change: take their lock, and hold the business date. Returns it.

    It does not turn meanwhile: sales on it would keep the old price. NoResultFound when no day is open.
    """
    edited(connection)
    today = hold_date(connection)
    if today is None:
        raise NoResultFound("no business day is open")
    return today


def catalogue_version(connection: Connection) -> int:
    """A number that changes whenever what is sold, or for how much, may have changed."""
    version: int = connection.execute(VERSION).scalar_one()
    return version


def catalogue(connection: Connection, terminal: int, *, after: str = "", most: int) -> list[Offer]:
    """What the terminal's merchant sells, now or later, by code, from the one after `after`."""
    rows = connection.execute(CATALOGUE, {"terminal": terminal, "after": after, "most": most})
    return [Offer(*row) for row in rows]


def _agree(
    connection: Connection, merchant: int, service: int, since: date, until: date | None, terms: PriceTerms
) -> int:
    open_range = terms.get("open_range")
    low, high = open_range or (None, None)
    new: int = connection.execute(
        INSERT_PRICE,
        {
            "merchant": merchant,
            "service": service,
            "since": since,
            "until": until,
            "points": terms.get("points", 1),
            "settlement_minor": terms["settlement_minor"],
            "currency": terms.get("currency", "CNY"),
            "open": open_range is not None,
            "min_points": low,
            "max_points": high,
        },
    ).scalar_one()
    return new


def edited(connection: Connection) -> None:
    """Services or prices change: terminals that are connected hear of it when the transaction commits.

    Also the lock that changes of prices queue for, so it is taken first.
    """
    connection.execute(EDITED)
    events.announce(connection, events.Event(kind="catalogue"))
