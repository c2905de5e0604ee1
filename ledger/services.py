"""Services and their categories as people look at them and change them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from ledger.merchants import create_service, edited

__all__ = [
    "Category", "ServiceLine", "categories", "change_service", "code_taken", "find_category", "find_service",
    "list_services", "lock_category", "new_service", "save_category", "unknown_codes",
]  # fmt: skip

LINE = """
WITH n AS MATERIALIZED (
    SELECT p.service_id, count(*) AS sellers FROM price p JOIN business_day d ON p.during @> d.date
    WHERE d.status = 'open' GROUP BY p.service_id
)
SELECT s.id, s.code, s.name, s.name_zh, s.unit, s.status, s.category_id, c.code AS category_code,
       c.name AS category, c.name_zh AS category_zh, c.industry, coalesce(n.sellers, 0) AS sellers
FROM service s LEFT JOIN service_category c ON c.id = s.category_id
LEFT JOIN n ON n.service_id = s.id
WHERE """
LIST = text(
    f"""{LINE} s.code > :after AND (:status = 'all' OR s.status = :status)
         AND (CAST(:category AS int8) IS NULL OR s.category_id = :category)
         AND (:words = '' OR strpos(lower(s.code), lower(:words)) > 0
              OR strpos(lower(s.name), lower(:words)) > 0 OR strpos(lower(s.name_zh), lower(:words)) > 0)
       ORDER BY s.code LIMIT :most"""
)
ONE = text(f"{LINE} s.id = :id")
LOCK = text("SELECT FROM service WHERE id = :id FOR UPDATE")
SET_CATEGORY = text("UPDATE service SET category_id = :category WHERE id = :id")
CHANGE = text(
    """UPDATE service SET name = :name, name_zh = :name_zh, unit = :unit, category_id = :category,
              status = :status WHERE id = :id"""
)
TAKEN = text("SELECT EXISTS (SELECT FROM service WHERE code = :code)")
CATEGORY = """
SELECT c.id, c.code, c.name, c.name_zh, c.industry, c.status,
       (SELECT count(*) FROM service s WHERE s.category_id = c.id) AS services
FROM service_category c
"""
CATEGORIES = text(f"{CATEGORY} ORDER BY c.industry, c.code")
ONE_CATEGORY = text(f"{CATEGORY} WHERE c.id = :id")
LOCK_CATEGORY = text("SELECT FROM service_category WHERE id = :id FOR UPDATE")
INSERT_CATEGORY = text(
    """INSERT INTO service_category (code, name, name_zh, industry, status)
       VALUES (:code, :name, :name_zh, :industry, :status) ON CONFLICT (code) DO NOTHING RETURNING id"""
)
CHANGE_CATEGORY = text(
    """UPDATE service_category SET name = :name, name_zh = :name_zh, industry = :industry, status = :status
       WHERE id = :id RETURNING id"""
)
UNKNOWN = {
    "service": text(
        """SELECT c.code FROM unnest(CAST(:codes AS text[])) AS c(code)
           WHERE NOT EXISTS (SELECT FROM service s WHERE s.code = c.code)"""
    ),
    "merchant": text(
        """SELECT c.code FROM unnest(CAST(:codes AS text[])) AS c(code)
           WHERE NOT EXISTS (SELECT FROM organisation o WHERE o.code = c.code AND o.kind = 'merchant')"""
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLine:
    """A service with its category, and how many merchants of the scope have a price for it today."""

    id: int
    code: str
    name: str
    name_zh: str
    unit: str
    status: str
    category_id: int | None
    category_code: str | None
    category: str | None
    category_zh: str | None
    industry: str | None
    sellers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """A kind of services, of one industry, and how many services it has."""

    id: int
    code: str
    name: str
    name_zh: str
    industry: str
    status: str
    services: int


def list_services(
    connection: Connection,
    *,
    words: str = "",
    status: str = "all",
    category: int | None = None,
    after: str = "",
    most: int = 100,
) -> list[ServiceLine]:
    """Services by code, from the one after `after`; `words` is a part of the code or a name."""
    words = words.strip()
    if "\x00" in words + after:  # PostgreSQL's text has no NUL
        return []
    told = {"words": words, "status": status, "category": category, "after": after, "most": most}
    return [ServiceLine(**row._asdict()) for row in connection.execute(LIST, told)]


def find_service(connection: Connection, service: int, *, lock: bool = False) -> ServiceLine | None:
    """One service, or None; with `lock` nobody else changes it until the transaction ends."""
    if lock:
        edited(connection)  # the catalogue's lock comes first, as everywhere
        connection.execute(LOCK, {"id": service})
    row = connection.execute(ONE, {"id": service}).one_or_none()
    return ServiceLine(**row._asdict()) if row is not None else None


def code_taken(connection: Connection, code: str) -> bool:
    """Whether a service has this code."""
    taken: bool = connection.execute(TAKEN, {"code": code}).scalar_one()
    return taken


def new_service(
    connection: Connection, *, code: str, name: str, name_zh: str, unit: str, category: int | None
) -> int | None:
    """A new service in a category. None when another has the code. Returns its id."""
    edited(connection)  # who makes one waits here for who makes another, so the code is free until the end
    if code_taken(connection, code):
        return None
    new = create_service(connection, code=code, name=name, name_zh=name_zh, unit=unit)
    connection.execute(SET_CATEGORY, {"id": new, "category": category})
    return new


def change_service(
    connection: Connection,
    service: int,
    *,
    name: str,
    name_zh: str,
    unit: str,
    category: int | None,
    status: str,
) -> None:
    """Other words for a service, another category, or another status (`open` or `closed`), for everybody."""
    edited(connection)
    told = {"name": name, "name_zh": name_zh, "unit": unit, "category": category, "status": status}
    connection.execute(CHANGE, told | {"id": service})


def categories(connection: Connection) -> list[Category]:
    """All categories, by industry and code."""
    return [Category(**row._asdict()) for row in connection.execute(CATEGORIES)]


def find_category(connection: Connection, category: int) -> Category | None:
    """One category, or None."""
    row = connection.execute(ONE_CATEGORY, {"id": category}).one_or_none()
    return Category(**row._asdict()) if row is not None else None


def lock_category(connection: Connection, category: int) -> None:
    """Nobody else changes it until the transaction ends."""
    connection.execute(LOCK_CATEGORY, {"id": category})


def save_category(
    connection: Connection,
    category: int | None,
    *,
    code: str,
    name: str,
    name_zh: str,
    industry: str,
    status: str = "open",
) -> int | None:
    """A new category (`category` None), or other words for one, whose code stays. Returns its id.

    None when another category has the code.
    """
    told = {"code": code, "name": name, "name_zh": name_zh, "industry": industry, "status": status}
    if category is None:
        new: int | None = connection.execute(INSERT_CATEGORY, told).scalar_one_or_none()
        return new
    del told["code"]
    saved: int | None = connection.execute(CHANGE_CATEGORY, told | {"id": category}).scalar_one_or_none()
    return saved


def unknown_codes(connection: Connection, kind: str, codes: Sequence[str]) -> list[str]:
    """Of these codes those that no service, or no merchant, has. `kind`: service or merchant."""
    return list(connection.execute(UNKNOWN[kind], {"codes": list(codes)}).scalars())
