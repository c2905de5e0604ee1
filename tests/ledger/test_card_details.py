"""What a page shows of one card."""

from datetime import timedelta

import pytest

from ledger import businessday, cards, limits
from ledger.card_details import CardDetails, card_history, find_card
from ledger.database import Scope
from ledger.limits import Limits, Terms
from tests.desk import Books
from tests.factories import NOW, TODAY, create_redeem, proof


def find(books: Books, number: str) -> CardDetails | None:
    with books.database.transaction(Scope.everything()) as connection:
        return find_card(connection, number)


def test_a_card_is_found_by_its_number_with_everything_that_holds_for_it(books: Books) -> None:
    enterprise, holder = books.house.enterprise, books.holder()
    with books.database.transaction(Scope.everything()) as connection:
        limits.set_terms(connection, enterprise, Terms(limit_points=900, day_limit_points=950))
        product = limits.create_product(
            connection, enterprise=enterprise, code="GOLD", name="Gold", limits=Limits(pin_above_points=60)
        )
        card = cards.issue_card(
            connection,
            holder.account,
            now=NOW,
            status="issued",
            expires_on=TODAY,
            product_id=product,
            limit_points=700,
        )
        member, code, name = connection.exec_driver_sql("SELECT id, code, name FROM member").one()
    assert find(books, card.number) == CardDetails(
        card=card,
        enterprise_id=enterprise,
        member_id=member,
        member_code=code,
        member=name,
        status="issued",
        expires_on=TODAY,
        expired=False,
        pin_set=False,
        pin_tries=0,
        code_until=None,
        product_id=product,
        product="Gold",
        own=Limits(limit_points=700),
        in_force=Limits(limit_points=700, day_limit_points=950, pin_above_points=60),
    )
    spaced = " ".join(card.number[at : at + 4] for at in range(0, 16, 4))
    assert find(books, spaced) == find(books, card.number)


@pytest.mark.parametrize(
    "number", ["", "86", "8600000000000000", "x" * 16, "８６００００００００００００１２", "9" * 17]
)
def test_what_is_no_number_of_ours_finds_nothing(books: Books, number: str) -> None:
    books.holder()
    assert find(books, number) is None


def test_a_card_expires_when_its_last_day_is_over(books: Books) -> None:
    holder = books.holder(card_expires_on=TODAY)
    with books.database.transaction(Scope.everything()) as connection:
        businessday.advance(connection, TODAY + timedelta(days=1), NOW)
    found = find(books, holder.card.number)
    assert found is not None
    assert (found.status, found.expired) == ("active", True)


def test_tries_block_the_pin_and_a_code_is_outstanding_while_it_can_be_used(books: Books) -> None:
    holder = books.holder()
    later = NOW + timedelta(minutes=10)
    for tries in range(4):
        found = find(books, holder.card.number)
        assert found is not None
        assert (found.pin_set, found.pin_tries, found.pin_blocked) == (True, tries, tries == 3)
        assert not found.code_outstanding(NOW)
        books.one(create_redeem(books.house, holder, pin="000000"))
    with books.database.transaction(Scope.everything()) as connection:
        cards.offer_pin_code(connection, holder.card, verifier=proof(holder.card), until=later, now=NOW)
    found = find(books, holder.card.number)
    assert found is not None
    assert (found.code_outstanding(NOW), found.code_outstanding(later)) == (True, False)
    books.ask("UPDATE card SET pin_code_tries = 3 RETURNING id")
    found = find(books, holder.card.number)
    assert found is not None
    assert found.code_until is None


def test_a_long_history_shows_its_newest_part(books: Books) -> None:
    holder = books.holder()
    with books.database.transaction(Scope.everything()) as connection:
        for minute in range(4):
            cards.unblock_pin(connection, holder.card, now=NOW + timedelta(minutes=minute))
        events = card_history(connection, holder.card, most=3)
    assert [event.at for event in events] == [NOW + timedelta(minutes=minute) for minute in (3, 2, 1)]
