"""Card numbers and the life of a card."""

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import cards
from ledger.books import post
from ledger.database import Scope
from ledger.postings import Code
from tests.conftest import TestDatabase
from tests.desk import Books, opened_books, until_somebody_waits
from tests.factories import NOW, create_redeem, proof


@pytest.fixture
def books(database_urls: TestDatabase) -> Iterator[Books]:
    with opened_books(database_urls) as opened:
        yield opened


def luhn(number: str) -> int:
    """The check sum of ISO/IEC 7812, digit by digit from the right: 0 for a good number."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value // 10 + value % 10
    return total % 10


@given(slot=st.integers(0, 255), card=st.integers(1, 10**10 - 1))
def test_a_card_number_has_16_digits_and_checks(slot: int, card: int) -> None:
    number = cards.card_number(slot, card)
    assert len(number) == 16
    assert luhn(number) == 0
    wrong = number[:-2] + str((int(number[-2]) + 1) % 10) + number[-1]
    assert luhn(wrong) != 0


def test_a_new_pin_forgets_the_tries(books: Books) -> None:
    holder = books.holder()
    for _ in range(3):
        books.one(create_redeem(books.house, holder, pin="000000"))
    with books.database.transaction(Scope.everything()) as connection:
        cards.set_pin(connection, holder.card, proof(holder.card, "161803"))
    assert books.one(create_redeem(books.house, holder)).code is Code.PIN_WRONG
    assert books.one(create_redeem(books.house, holder, pin="161803")).code is Code.APPROVED


def test_a_replaced_card_dies_and_the_new_one_lives(books: Books) -> None:
    holder = books.holder()
    with books.database.transaction(Scope.everything()) as connection:
        replaced = cards.replace_card(connection, holder.card)
    assert (replaced.issue, replaced.number) == (2, holder.card.number)
    assert books.one(create_redeem(books.house, holder)).code is Code.CARD_REPLACED
    assert books.one(create_redeem(books.house, holder, issue=2)).code is Code.APPROVED
    assert books.one(create_redeem(books.house, holder, issue=3)).code is Code.CARD_UNKNOWN


def test_a_block_waits_for_a_running_debit_and_holds_after_it(books: Books) -> None:
    holder = books.holder()
    blocked = threading.Event()

    def block() -> None:
        with books.database.transaction(Scope.everything()) as connection:
            cards.set_status(connection, holder.card, "suspended")
        blocked.set()

    with books.database.transaction(Scope.everything()) as connection:
        (outcome,) = post(connection, [create_redeem(books.house, holder)], NOW)
        thread = threading.Thread(target=block)
        thread.start()
        until_somebody_waits(connection)
        assert not blocked.is_set()
    thread.join()
    assert outcome.code is Code.APPROVED
    assert books.one(create_redeem(books.house, holder)).code is Code.CARD_BLOCKED
