"""What merchants sell: services, and their dated prices."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, text

__all__ = ["Offer", "agree_price", "catalogue", "catalogue_version", "create_service", "set_service_status"]

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
CATALOGUE = text(
    """SELECT s.code, s.name, s.name_zh, s.unit, p.points, p.open, p.min_points, p.max_points
       FROM terminal t
       JOIN price p ON p.merchant_id = t.tenant_id
            AND p.during @> (SELECT date FROM business_day WHERE status = 'open')
       JOIN service s ON s.id = p.service_id AND s.status = 'open'
       WHERE t.id = :terminal AND s.code > :after
       ORDER BY s.code LIMIT :most"""
)


@dataclass(frozen=True, slots=True)
class Offer:
    """One line of a catalogue. `points` are for one `unit`; an open price takes any amount in its range."""

    code: str
    name: str
    name_zh: str
    unit: str
    points: int
    open: bool
    min_points: int | None
    max_points: int | None


def create_service(connection: Connection, *, code: str, name: str, name_zh: str, unit: str) -> int:
    """A new kind of service, sellable as soon as a merchant has a price for it. Returns its id."""
    connection.execute(EDITED)
    new: int = connection.execute(
        INSERT_SERVICE, {"code": code, "name": name, "name_zh": name_zh, "unit": unit}
    ).scalar_one()
    return new


def set_service_status(connection: Connection, service: int, status: str) -> None:
    """`open` or `closed`, for every merchant, from the next message on."""
    connection.execute(EDITED)
    connection.execute(SERVICE_STATUS, {"id": service, "status": status})


def agree_price(
    connection: Connection,
    *,
    merchant: int,
    service: int,
    since: date,
    until: date | None = None,
    points: int = 1,
    settlement_minor: int,
    currency: str = "CNY",
    open_range: tuple[int, int] | None = None,
) -> int:
    """An agreement from `since` to `until` (both included; None: without end). Returns its version's id.

    With `open_range` (least and most points of one purchase) the price is open: `points` stays 1 and
    `settlement_minor` is owed per point. The database refuses two agreements for one day.
    """
    connection.execute(EDITED)
    low, high = open_range or (None, None)
    new: int = connection.execute(
        INSERT_PRICE,
        {
            "merchant": merchant,
            "service": service,
            "since": since,
            "until": until,
            "points": points,
            "settlement_minor": settlement_minor,
            "currency": currency,
            "open": open_range is not None,
            "min_points": low,
            "max_points": high,
        },
    ).scalar_one()
    return new


def catalogue_version(connection: Connection) -> int:
    """A number that changes whenever what is sold, or for how much, may have changed."""
    version: int = connection.execute(VERSION).scalar_one()
    return version


def catalogue(connection: Connection, terminal: int, *, after: str = "", most: int) -> list[Offer]:
    """What the terminal's merchant sells on the open business date, by code, from the one after `after`."""
    rows = connection.execute(CATALOGUE, {"terminal": terminal, "after": after, "most": most})
    return [Offer(*row) for row in rows]
