"""Limits of spending: an enterprise's terms, its card products, and those of one card.

What counts for a card is its own limit, else its product's, else its enterprise's; the books read it so.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from ledger.cards import Card, NoSuchProduct, change_card, changing, locked_status
from ledger.organisations import lock_tree
from ledger.postings import GRACE_DAYS

__all__ = [
    "Limits", "Product", "Terms", "create_product", "find_product", "products", "read_terms", "set_limits",
    "set_terms", "update_product",
]  # fmt: skip

INSERT_PRODUCT = text(
    """INSERT INTO card_product (enterprise_id, code, name, limit_points, day_limit_points, pin_above_points)
       VALUES (:enterprise, :code, :name, :limit_points, :day_limit_points, :pin_above_points)
       RETURNING id"""
)
UPDATE_PRODUCT = text(
    """UPDATE card_product SET name = :name, limit_points = :limit_points,
              day_limit_points = :day_limit_points, pin_above_points = :pin_above_points
       WHERE id = :product RETURNING id"""
)
PRODUCTS = text(
    """SELECT id, code, name, limit_points, day_limit_points, pin_above_points
       FROM card_product WHERE enterprise_id = :enterprise ORDER BY code"""
)
PRODUCT = """SELECT id, enterprise_id, code, name, limit_points, day_limit_points, pin_above_points
             FROM card_product WHERE id = :product"""
FIND_PRODUCT, LOCK_PRODUCT = text(PRODUCT), text(PRODUCT + " FOR UPDATE")
SET_TERMS = text(
    """INSERT INTO enterprise_terms (enterprise_id, limit_points, day_limit_points, pin_above_points,
                                     refund_grace_days)
       VALUES (:enterprise, :limit_points, :day_limit_points, :pin_above_points, :refund_grace_days)
       ON CONFLICT (enterprise_id) DO UPDATE
       SET limit_points = excluded.limit_points, day_limit_points = excluded.day_limit_points,
           pin_above_points = excluded.pin_above_points, refund_grace_days = excluded.refund_grace_days"""
)
READ_TERMS = text(
    """SELECT limit_points, day_limit_points, pin_above_points, refund_grace_days
       FROM enterprise_terms WHERE enterprise_id = :enterprise"""
)
SET_LIMITS = changing(
    """product_id = :product_id, limit_points = :limit_points, day_limit_points = :day_limit_points,
       pin_above_points = :pin_above_points"""
)
# A card and a product of the same enterprise.
FITS = text(
    """SELECT 1 FROM card_product p JOIN card c ON c.enterprise_id = p.enterprise_id
       WHERE p.id = :product AND c.slot = :slot AND c.account_id = :account_id AND c.id = :id"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Points of one purchase, of one business date, and above how many a PIN is needed; None says nothing."""

    limit_points: int | None = None
    day_limit_points: int | None = None
    pin_above_points: int | None = None


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """An enterprise's own: limits in points (None: no limit) and days of grace for refunded points."""

    limit_points: int | None = None
    day_limit_points: int | None = None
    pin_above_points: int = 0
    refund_grace_days: int = GRACE_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A kind of card. A limit that is None is the enterprise's."""

    id: int
    code: str
    name: str
    limits: Limits


def create_product(
    connection: Connection,
    *,
    enterprise: int,
    code: str,
    name: str,
    limits: Limits = NO_LIMITS,
) -> int:
    """A new kind of card of an enterprise. Returns its id. IntegrityError for a code that is taken."""
    new: int = connection.execute(
        INSERT_PRODUCT, {"enterprise": enterprise, "code": code, "name": name, **_told(limits)}
    ).scalar_one()
    return new


def update_product(connection: Connection, product: int, *, name: str, limits: Limits) -> None:
    """From the next message on, for every card of this product without limits of its own.

    NoResultFound for a product that the scope does not show.
    """
    connection.execute(UPDATE_PRODUCT, {"product": product, "name": name, **_told(limits)}).scalar_one()


def products(connection: Connection, enterprise: int) -> list[Product]:
    """The enterprise's card products, by code."""
    return [_product(row) for row in connection.execute(PRODUCTS, {"enterprise": enterprise})]


def find_product(connection: Connection, product: int, *, lock: bool = False) -> tuple[int, Product] | None:
    """The enterprise's id and the product; with `lock`, nobody else changes it until the transaction ends."""
    row = connection.execute(LOCK_PRODUCT if lock else FIND_PRODUCT, {"product": product}).one_or_none()
    return None if row is None else (row.enterprise_id, _product(row))


def set_terms(connection: Connection, enterprise: int, terms: Terms) -> None:
    """What counts from the next message on for cards whose product says nothing else."""
    connection.execute(
        SET_TERMS,
        {
            "enterprise": enterprise,
            "limit_points": terms.limit_points,
            "day_limit_points": terms.day_limit_points,
            "pin_above_points": terms.pin_above_points,
            "refund_grace_days": terms.refund_grace_days,
        },
    )


def read_terms(connection: Connection, enterprise: int, *, lock: bool = False) -> Terms:
    """The enterprise's terms; the defaults while it has set none. `lock`: as of find_product."""
    if lock:
        lock_tree(connection, enterprise)  # while it has set none, there is no row to lock
    row = connection.execute(READ_TERMS, {"enterprise": enterprise}).one_or_none()
    return Terms() if row is None else Terms(**row._asdict())


def set_limits(
    connection: Connection,
    card: Card,
    *,
    product_id: int | None,
    limits: Limits,
    now: datetime,
    staff: int | None = None,
    reason: str | None = None,
) -> None:
    """The card's product and its own limits, from the next message on; waits for a running debit.

    Raises NoSuchProduct.
    """
    locked_status(connection, card)
    if product_id is not None:
        key = {"slot": card.slot, "account_id": card.account_id, "id": card.id}
        if connection.execute(FITS, {"product": product_id, **key}).one_or_none() is None:
            raise NoSuchProduct(f"the card's enterprise has no card product {product_id}")
    change_card(
        connection,
        card,
        SET_LIMITS,
        "limits",
        now=now,
        staff=staff,
        reason=reason,
        product_id=product_id,
        **_told(limits),
    )


def _told(limits: Limits) -> dict[str, int | None]:
    return {
        "limit_points": limits.limit_points,
        "day_limit_points": limits.day_limit_points,
        "pin_above_points": limits.pin_above_points,
    }


def _product(row: Row[Any]) -> Product:
    return Product(
        id=row.id,
        code=row.code,
        name=row.name,
        limits=Limits(
            limit_points=row.limit_points,
            day_limit_points=row.day_limit_points,
            pin_above_points=row.pin_above_points,
        ),
    )
