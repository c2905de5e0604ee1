"""Limits: a card's own, else its product's, else its enterprise's, from the next message on."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError, NoResultFound

from ledger import limits
from ledger.card_details import card_history, find_card
from ledger.cards import NoSuchProduct
from ledger.database import Scope
from ledger.limits import Limits, Product, Terms
from ledger.postings import Code
from tests.desk import Books
from tests.factories import NOW, Holder, create_house, create_redeem


def change(books: Books, function: Callable[..., Any], *arguments: Any, **fields: Any) -> Any:
    with books.database.transaction(Scope.everything()) as connection:
        return function(connection, *arguments, **fields)


def spend(books: Books, holder: Holder, amount: int, **fields: Any) -> Code:
    return books.one(create_redeem(books.house, holder, "cinema", amount=amount, **fields)).code


def in_force(books: Books, holder: Holder) -> Limits:
    with books.database.transaction(Scope.everything()) as connection:
        found = find_card(connection, holder.card.number)
    assert found is not None
    return found.in_force


# name of the limit, its three values (terms, product, card), and what is refused above each
LEVELS = [
    ("limit_points", (400, 300, 500), Code.LIMIT_EXCEEDED, {}),
    ("day_limit_points", (400, 300, 500), Code.DAY_LIMIT_EXCEEDED, {}),
    ("pin_above_points", (40, 30, 50), Code.PIN_REQUIRED, {"pin": None}),
]


@pytest.mark.parametrize(("name", "levels", "refusal", "fields"), LEVELS, ids=[row[0] for row in LEVELS])
def test_the_nearest_limit_counts(
    books: Books, name: str, levels: tuple[int, int, int], refusal: Code, fields: dict[str, Any]
) -> None:
    def holds_at(limit: int) -> None:
        assert getattr(in_force(books, holder), name) == limit
        assert spend(books, holder, limit + 1, **fields) is refusal
        if name != "day_limit_points":  # what is spent would count towards the next level's day
            assert spend(books, holder, limit, **fields) is Code.APPROVED

    house, holder = books.house, books.holder(points=3_000)
    terms, product_limit, own = levels
    change(books, limits.set_terms, house.enterprise, Terms(**{name: terms}))
    holds_at(terms)
    product = change(books, limits.create_product, enterprise=house.enterprise, code="GOLD", name="Gold")
    change(books, limits.set_limits, holder.card, product_id=product, limits=Limits(), now=NOW)
    holds_at(terms)
    change(books, limits.update_product, product, name="Gold", limits=Limits(**{name: product_limit}))
    holds_at(product_limit)
    change(books, limits.set_limits, holder.card, product_id=product, limits=Limits(**{name: own}), now=NOW)
    holds_at(own)
    change(books, limits.set_limits, holder.card, product_id=None, limits=Limits(), now=NOW)
    holds_at(terms)


def test_a_card_without_any_limit_needs_its_pin_and_nothing_else(books: Books) -> None:
    holder = books.holder()
    assert in_force(books, holder) == Limits(pin_above_points=0)
    assert spend(books, holder, 10, pin=None) is Code.PIN_REQUIRED
    assert spend(books, holder, 1_000) is Code.APPROVED


def test_terms_are_read_as_they_were_set_and_have_defaults(books: Books) -> None:
    enterprise = books.house.enterprise
    assert change(books, limits.read_terms, enterprise) == Terms()
    terms = Terms(limit_points=500, day_limit_points=900, pin_above_points=50, refund_grace_days=0)
    for wanted in (terms, replace(terms, limit_points=None, refund_grace_days=60)):
        change(books, limits.set_terms, enterprise, wanted)
        assert change(books, limits.read_terms, enterprise) == wanted


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit_points": 0}, {"day_limit_points": -1}, {"pin_above_points": -1},
        {"refund_grace_days": -1}, {"refund_grace_days": 367},
    ],
)  # fmt: skip
def test_terms_of_no_sense_are_refused(books: Books, wrong: dict[str, int]) -> None:
    with pytest.raises(IntegrityError, match="enterprise_terms_"):
        change(books, limits.set_terms, books.house.enterprise, Terms(**wrong))


def test_products_are_listed_by_code_and_a_code_is_given_once(books: Books) -> None:
    enterprise = books.house.enterprise
    gold = Limits(limit_points=900, pin_above_points=0)
    second = change(
        books, limits.create_product, enterprise=enterprise, code="GOLD", name="Gold", limits=gold
    )
    first = change(books, limits.create_product, enterprise=enterprise, code="BASE", name="Base")
    with pytest.raises(IntegrityError, match="card_product_enterprise_id_code_key"):
        change(books, limits.create_product, enterprise=enterprise, code="GOLD", name="Other")
    change(books, limits.update_product, first, name="Basic", limits=Limits(day_limit_points=70))
    assert change(books, limits.products, enterprise) == [
        Product(id=first, code="BASE", name="Basic", limits=Limits(day_limit_points=70)),
        Product(id=second, code="GOLD", name="Gold", limits=gold),
    ]


def test_a_card_gets_no_product_of_another_enterprise(books: Books) -> None:
    holder = books.holder()
    with books.database.transaction(Scope.everything()) as connection:
        other = create_house(connection).enterprise
    product = change(books, limits.create_product, enterprise=other, code="GOLD", name="Gold")
    with pytest.raises(NoSuchProduct):
        change(books, limits.set_limits, holder.card, product_id=product, limits=Limits(), now=NOW)
    with (
        pytest.raises(NoResultFound),
        books.database.transaction(Scope.tenant(books.house.enterprise)) as connection,
    ):
        limits.update_product(connection, product, name="Mine", limits=Limits())


def test_a_change_of_a_cards_limits_is_noted(books: Books) -> None:
    holder = books.holder()
    own = Limits(limit_points=5)
    change(
        books, limits.set_limits, holder.card, product_id=None, limits=own, now=NOW, reason="a child's card"
    )
    with books.database.transaction(Scope.everything()) as connection:
        newest = card_history(connection, holder.card)[0]
    assert (newest.what, newest.to_status, newest.reason) == ("limits", "active", "a child's card")
