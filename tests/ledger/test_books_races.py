"""Postings at the same time, on real locks."""

import threading

import psycopg

from ledger.postings import Code, Outcome, Request
from tests.desk import Books
from tests.factories import (
    create_redeem,
    create_reversal,
)

# ---- at the same time ---------------------------------------------------------------------------


def at_once(books: Books, requests: list[Request]) -> list[Outcome]:
    """Post each request in a transaction and a thread of its own, all released together."""
    gate = threading.Barrier(len(requests))
    outcomes: dict[int, Outcome] = {}

    def work(place: int) -> None:
        gate.wait()
        outcomes[place] = books.one(requests[place])

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [outcomes[place] for place in range(len(requests))]


def test_spends_at_once_never_spend_a_point_twice(books: Books) -> None:
    holder = books.holder(points=300)
    outcomes = at_once(books, [create_redeem(books.house, holder) for _ in range(8)])
    codes = sorted(outcome.code for outcome in outcomes)
    assert codes == [Code.APPROVED] * 2 + [Code.POINTS_INSUFFICIENT] * 6
    assert books.posted(holder) == 60


def test_repeats_at_once_wait_for_the_first_and_get_its_answer(books: Books) -> None:
    holder = books.holder()
    outcomes = at_once(books, [create_redeem(books.house, holder)] * 8)
    assert {(outcome.code, outcome.points, outcome.balance) for outcome in outcomes} == {(0, 120, 880)}
    assert sorted(outcome.recorded for outcome in outcomes) == [False] + [True] * 7
    assert books.posted(holder) == 880


def test_reversals_at_once_give_back_once(books: Books) -> None:
    holder = books.holder()
    redeem = create_redeem(books.house, holder)
    books.one(redeem)
    outcomes = at_once(books, [create_reversal(redeem) for _ in range(6)])
    assert sorted(outcome.detail or "" for outcome in outcomes) == ["already_reversed"] * 5 + ["reversed"]
    assert books.posted(holder) == 1_000


def test_a_reversal_and_its_original_at_once_leave_nothing_spent(books: Books) -> None:
    for _ in range(4):
        holder = books.holder()
        redeem = create_redeem(books.house, holder)
        at_once(books, [redeem, create_reversal(redeem)])
        assert books.posted(holder) == 1_000


def test_wrong_pins_at_once_are_all_counted(books: Books) -> None:
    holder = books.holder()
    at_once(books, [create_redeem(books.house, holder, pin="999999") for _ in range(3)])
    assert books.ask("SELECT pin_tries FROM card") == [(3,)]


def test_batches_that_share_accounts_in_any_order_do_not_deadlock(books: Books) -> None:
    holders = [books.holder(points=10_000) for _ in range(6)]
    gate = threading.Barrier(4)
    failures: list[psycopg.Error] = []

    def work(number: int) -> None:
        order = holders[number:] + holders[:number]
        gate.wait()
        try:
            for _ in range(5):
                books.post(*(create_redeem(books.house, holder) for holder in order))
        except psycopg.Error as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {books.posted(holder) for holder in holders} == {10_000 - 4 * 5 * 120}
