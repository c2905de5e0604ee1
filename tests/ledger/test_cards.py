"""Card numbers and the life of a card."""

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import NoResultFound

from ledger import cards, limits
from ledger.books import post
from ledger.card_details import card_history, find_card
from ledger.cards import CardMove
from ledger.database import Scope
from ledger.postings import Code
from ledger.staff import create_staff
from tests.desk import Books, until_somebody_waits
from tests.factories import (
    NOW,
    TODAY,
    Holder,
    create_house,
    create_keyring,
    create_pin_change,
    create_redeem,
    proof,
)

LATER = NOW + timedelta(hours=1)
CODE = "204060"


def change(books: Books, function: Callable[..., Any], *arguments: Any, **fields: Any) -> Any:
    with books.database.transaction(Scope.everything()) as connection:
        return function(connection, *arguments, **{"now": NOW, **fields})


def code_proof(holder: Holder, code: str = CODE) -> bytes:
    card = holder.card
    return create_keyring().code_verifier(card.slot, card.account_id, card.id, code)


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
        cards.set_pin(connection, holder.card, proof(holder.card, "161803"), now=NOW)
    assert books.one(create_redeem(books.house, holder)).code is Code.PIN_WRONG
    assert books.one(create_redeem(books.house, holder, pin="161803")).code is Code.APPROVED


def test_a_replaced_card_dies_and_the_new_one_lives(books: Books) -> None:
    holder = books.holder()
    with books.database.transaction(Scope.everything()) as connection:
        replaced = cards.replace_card(connection, holder.card, now=NOW)
    assert (replaced.issue, replaced.number) == (2, holder.card.number)
    assert books.one(create_redeem(books.house, holder)).code is Code.CARD_REPLACED
    assert books.one(create_redeem(books.house, holder, issue=2)).code is Code.APPROVED
    assert books.one(create_redeem(books.house, holder, issue=3)).code is Code.CARD_UNKNOWN


def test_a_block_waits_for_a_running_debit_and_holds_after_it(books: Books) -> None:
    holder = books.holder()
    blocked = threading.Event()

    def block() -> None:
        with books.database.transaction(Scope.everything()) as connection:
            cards.set_status(connection, holder.card, "suspended", now=NOW)
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


# ---- the life of a card ----------------------------------------------------------------------------

STATUSES = tuple(cards.MOVES)


def put(books: Books, holder: Holder, status: str) -> None:
    """The card in a status, however it came there."""
    with books.database.transaction(Scope.everything()) as connection:
        connection.execute(
            text("UPDATE card SET status = :status WHERE id = :id"), {"status": status, "id": holder.card.id}
        )


def status_of(books: Books, holder: Holder) -> str:
    ((status,),) = books.ask("SELECT status FROM card WHERE id = :id", id=holder.card.id)
    assert isinstance(status, str)
    return status


STEPS = {
    ("issued", "active"), ("issued", "suspended"), ("issued", "lost"), ("issued", "closed"),
    ("active", "suspended"), ("active", "lost"), ("active", "closed"),
    ("suspended", "active"), ("suspended", "lost"), ("suspended", "closed"),
    ("lost", "closed"), ("expired", "closed"),
}  # fmt: skip


def test_only_the_steps_of_a_cards_life_are_taken(books: Books) -> None:
    holder = books.holder()
    for present, asked in itertools.product(STATUSES, STATUSES):
        put(books, holder, present)
        before = books.ask("SELECT count(*) FROM card_event")
        if (present, asked) in STEPS:
            change(books, cards.set_status, holder.card, asked)
            assert status_of(books, holder) == asked
            continue
        with pytest.raises(CardMove, match=f"The card is {present}: it cannot become {asked}, only ") as no:
            change(books, cards.set_status, holder.card, asked)
        assert (no.value.present, no.value.asked) == (present, asked)
        assert status_of(books, holder) == present
        assert books.ask("SELECT count(*) FROM card_event") == before, "a refusal changes nothing"


@pytest.mark.parametrize("status", STATUSES)
def test_a_card_in_use_or_lost_can_be_replaced_and_no_other(books: Books, status: str) -> None:
    holder = books.holder()
    put(books, holder, status)
    if status in ("issued", "closed"):
        with pytest.raises(CardMove, match=f"{status}: it cannot be replaced"):
            change(books, cards.replace_card, holder.card)
        assert status_of(books, holder) == status
    else:
        replaced = change(books, cards.replace_card, holder.card, status="issued")
        assert replaced == replace(holder.card, issue=2)
        assert status_of(books, holder) == "issued"


def test_an_issued_card_spends_nothing_until_it_is_active(books: Books) -> None:
    holder = books.holder()
    with books.database.transaction(Scope.everything()) as connection:
        card = cards.issue_card(connection, holder.account, now=NOW, status="issued")
        cards.set_pin(connection, card, proof(card), now=NOW)
    new = Holder(holder.account, card)
    assert books.one(create_redeem(books.house, new)).code is Code.CARD_BLOCKED
    change(books, cards.set_status, card, "active")
    assert books.one(create_redeem(books.house, new)).code is Code.APPROVED


def test_a_replacement_may_last_longer_than_what_it_replaces(books: Books) -> None:
    yesterday, tomorrow = TODAY - timedelta(days=1), TODAY + timedelta(days=1)
    holder = books.holder(card_expires_on=yesterday)
    assert books.one(create_redeem(books.house, holder)).code is Code.CARD_EXPIRED
    kept = change(books, cards.replace_card, holder.card)
    assert books.one(create_redeem(books.house, Holder(holder.account, kept))).code is Code.CARD_EXPIRED
    renewed = change(books, cards.replace_card, holder.card, expires_on=tomorrow)
    assert renewed.issue == 3
    assert books.one(create_redeem(books.house, Holder(holder.account, renewed))).code is Code.APPROVED


def test_a_product_of_another_enterprise_is_no_product(books: Books) -> None:
    holder = books.holder()
    with books.database.transaction(Scope.everything()) as connection:
        other = create_house(connection).enterprise
        product = limits.create_product(connection, enterprise=other, code="GOLD", name="Gold")
    with pytest.raises(cards.NoSuchProduct):
        change(books, cards.issue_card, holder.account, product_id=product)


# ---- the PIN and its one-time code -----------------------------------------------------------------


def block_pin(books: Books, holder: Holder) -> None:
    for _ in range(3):
        books.one(create_redeem(books.house, holder, pin="000000"))
    assert books.one(create_redeem(books.house, holder)).code is Code.PIN_BLOCKED


def test_an_unblocked_pin_is_the_same_pin(books: Books) -> None:
    holder = books.holder()
    block_pin(books, holder)
    change(books, cards.unblock_pin, holder.card)
    assert books.one(create_redeem(books.house, holder)).code is Code.APPROVED


def test_a_one_time_code_sets_a_pin_unblocks_and_activates(books: Books) -> None:
    holder = books.holder()
    block_pin(books, holder)
    put(books, holder, "issued")
    change(books, cards.offer_pin_code, holder.card, verifier=code_proof(holder), until=LATER)
    wrong = create_pin_change(books.house, holder, code_proof=proof(holder.card, CODE))
    assert books.one(wrong).code is Code.RESET_CODE_WRONG, "the PIN's proof of the code's digits is no code"
    right = create_pin_change(books.house, holder, "271828", code_proof=code_proof(holder))
    assert books.one(right).code is Code.APPROVED
    assert status_of(books, holder) == "active"
    assert books.one(create_redeem(books.house, holder, pin="271828")).code is Code.APPROVED
    again = create_pin_change(books.house, holder, "161803", code_proof=code_proof(holder))
    assert books.one(again).code is Code.RESET_CODE_WRONG


def test_a_code_ends_with_its_time_its_tries_its_successor_and_its_card(books: Books) -> None:
    holder = books.holder()

    def offer(code: str = CODE) -> None:
        change(books, cards.offer_pin_code, holder.card, verifier=code_proof(holder, code), until=LATER)

    def try_code(code: str = CODE, **fields: Any) -> Code:
        asked = create_pin_change(books.house, holder, code_proof=code_proof(holder, code))
        return books.one(asked, **fields).code

    offer()
    assert try_code(now=LATER) is Code.RESET_CODE_WRONG
    for _ in range(3):
        assert try_code("999999") is Code.RESET_CODE_WRONG
    assert try_code() is Code.RESET_CODE_WRONG
    offer()
    offer("112233")
    assert try_code() is Code.RESET_CODE_WRONG
    assert try_code("112233") is Code.APPROVED
    offer()
    holder = Holder(holder.account, change(books, cards.replace_card, holder.card))
    assert try_code() is Code.RESET_CODE_WRONG


def test_a_code_is_void_once_staff_have_set_the_pin(books: Books) -> None:
    holder = books.holder()
    change(books, cards.offer_pin_code, holder.card, verifier=code_proof(holder), until=LATER)
    wrong = create_pin_change(books.house, holder, code_proof=code_proof(holder, "999999"))
    assert books.one(wrong).code is Code.RESET_CODE_WRONG
    change(books, cards.set_pin, holder.card, proof(holder.card, "161803"))
    columns = "SELECT pin_code, pin_code_until, pin_code_tries FROM card"
    assert books.ask(columns) == [(None, None, 0)]
    right = create_pin_change(books.house, holder, code_proof=code_proof(holder))
    assert books.one(right).code is Code.RESET_CODE_WRONG


@pytest.mark.parametrize("status", ["lost", "expired", "closed"])
def test_no_code_is_given_for_a_card_that_it_could_not_help(books: Books, status: str) -> None:
    holder = books.holder()
    put(books, holder, status)
    with pytest.raises(CardMove, match=f"{status}: no one-time code"):
        change(books, cards.offer_pin_code, holder.card, verifier=code_proof(holder), until=LATER)
    assert books.ask("SELECT pin_code FROM card") == [(None,)]


# ---- what is noted, and who may ----------------------------------------------------------------------


def test_each_change_is_noted_with_who_why_and_when(books: Books) -> None:
    holder = books.holder(pin=None)
    card = holder.card
    with books.database.transaction(Scope.everything()) as connection:
        clerk = create_staff(
            connection,
            organisation_id=books.house.enterprise,
            login="liwei",
            name="Li Wei",
            password="seven hills",
        )
        by: dict[str, Any] = {"staff": clerk, "now": LATER}
        cards.set_pin(connection, card, proof(card), **by)
        cards.set_status(connection, card, "lost", reason="called in", **by)
        cards.replace_card(connection, card, status="issued", reason="new card", **by)
        cards.offer_pin_code(connection, card, verifier=code_proof(holder), until=LATER, **by)
        cards.unblock_pin(connection, card, **by)
    changed = create_pin_change(books.house, holder, issue=2, code_proof=code_proof(holder))
    assert books.one(changed, now=LATER - timedelta(minutes=1)).code is Code.APPROVED
    with books.database.transaction(Scope.everything()) as connection:
        events = card_history(connection, card)
    assert [(e.what, e.from_status, e.to_status, e.issue, e.staff, e.reason) for e in events] == [
        ("pin_unblocked", "issued", "issued", 2, "Li Wei", None),
        ("pin_code", "issued", "issued", 2, "Li Wei", None),
        ("replaced", "lost", "issued", 2, "Li Wei", "new card"),
        ("status", "active", "lost", 1, "Li Wei", "called in"),
        ("pin_set", "active", "active", 1, "Li Wei", None),
        ("pin_changed", None, "active", None, None, "by_code"),
        ("issued", None, "active", 1, None, None),
    ]
    assert [events[0].at, events[0].staff_id, events[-1].at] == [LATER, clerk, NOW]


def test_another_enterprise_neither_changes_nor_sees_a_card(books: Books) -> None:
    holder = books.holder()
    with books.database.transaction(Scope.everything()) as connection:
        other = create_house(connection).enterprise
    with (
        pytest.raises(NoResultFound),
        books.database.transaction(Scope.tenant(other)) as connection,
    ):
        cards.set_status(connection, holder.card, "closed", now=NOW)
    with books.database.transaction(Scope.tenant(other)) as connection:
        assert find_card(connection, holder.card.number) is None
        assert card_history(connection, holder.card) == []
    with books.database.transaction(Scope.tenant(books.house.enterprise)) as connection:
        cards.set_status(connection, holder.card, "closed", now=NOW)
        found = find_card(connection, holder.card.number)
        assert found is not None
        assert found.status == "closed"
