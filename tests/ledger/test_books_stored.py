"""What a batch reads back of earlier ones: holds, refunds, what was spent today, and the time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from ledger import cards
from ledger.books import post
from ledger.postings import Code
from tests.conftest import TestDatabase
from tests.desk import Books, opened_books
from tests.factories import (
    NOW,
    TODAY,
    Holder,
    create_capture,
    create_hold,
    create_inquiry,
    create_redeem,
    create_refund,
    create_release,
    create_reversal,
    create_status,
    grant_points,
    proof,
)

YESTERDAY = TODAY - timedelta(days=1)


@pytest.fixture
def books(database_urls: TestDatabase) -> Iterator[Books]:
    with opened_books(database_urls, today=YESTERDAY) as opened:
        yield opened


def test_a_stored_hold_ends_once_in_one_batch_too(books: Books) -> None:
    holder = books.holder()
    hold = create_hold(books.house, holder)
    books.one(hold)
    outcomes = books.post(create_capture(hold, 100), create_release(hold), create_capture(hold, 100))
    assert [outcome.code for outcome in outcomes] == [0, Code.HOLD_ENDED, Code.HOLD_ENDED]
    assert (books.posted(holder), books.held(holder)) == (900, 0)


def test_refunds_of_before_are_added_up_lot_by_lot(books: Books) -> None:
    holder = books.holder(points=100, expires_on=TODAY + timedelta(days=9))
    books.change(lambda connection: grant_points(connection, books.house, holder.account, 100))
    sold = create_redeem(books.house, holder, "cinema", amount=150)
    books.one(sold)
    for points in (20, 20):
        assert books.one(create_refund(sold, points)).code is Code.APPROVED
    # Of the second lot 10 are left to come back, then the first gets the rest.
    assert books.one(create_refund(sold, 30)).rest == 80
    assert books.ask("SELECT remaining FROM lot ORDER BY id") == [(20,), (100,)]
    assert books.one(create_refund(sold, 81)).code is Code.AMOUNT_ABOVE_REST


def test_points_come_back_to_each_lot_that_expired(books: Books) -> None:
    holder = books.holder(points=100, expires_on=YESTERDAY)
    books.change(
        lambda connection: grant_points(connection, books.house, holder.account, 100, expires_on=YESTERDAY)
    )
    sold = create_redeem(books.house, holder, "cinema", amount=150)
    books.one(sold)
    books.open_day(TODAY)
    assert books.one(create_refund(sold)).balance == 150
    assert books.ask("SELECT remaining, expires_on FROM lot ORDER BY id") == [
        (100, TODAY + timedelta(days=30)),
        (50, TODAY + timedelta(days=30)),
    ]
    assert books.ask("SELECT points FROM transaction WHERE kind = 'expiry'") == [(50,)]


def test_a_status_tells_how_it_was_when_it_was_asked(books: Books) -> None:
    holder = books.holder()
    sold = create_redeem(books.house, holder)
    books.one(sold)
    status, _ = books.post(create_status(sold), create_reversal(sold))
    assert status.transaction is not None
    assert not status.transaction.reversed


def limited(books: Books, points: int) -> Holder:
    holder = books.holder(points=5_000)
    limit = text("UPDATE card SET day_limit_points = :points WHERE id = :id")
    books.change(lambda connection: connection.execute(limit, {"points": points, "id": holder.card.id}))
    return holder


def left_today(books: Books, holder: Holder) -> int:
    """How much the card may still spend today, tried out."""
    for points in range(10, 1_001, 10):
        code = books.one(create_redeem(books.house, holder, "cinema", amount=points, pin=None)).code
        assert code is Code.PIN_REQUIRED
        attempt = create_redeem(books.house, holder, "cinema", amount=points)
        if books.one(attempt).code is Code.DAY_LIMIT_EXCEEDED:
            return points - 10
        books.one(create_reversal(attempt))
    raise AssertionError("no limit")


def test_the_day_counts_what_stands_and_what_is_held(books: Books) -> None:
    holder = limited(books, 400)
    sold, undone = (create_redeem(books.house, holder, "cinema", amount=50) for _ in range(2))
    holds = [create_hold(books.house, holder, amount=50, seconds=seconds) for seconds in (60, 3_600, 3_600)]
    captured = create_capture(holds[1], 20)
    books.post(sold, undone, *holds, now=NOW)
    assert left_today(books, holder) == 150
    books.post(create_reversal(undone), captured, create_release(holds[2]), create_refund(sold, 10))
    assert left_today(books, holder) == 280  # 50 sold, 50 held, 20 captured
    a_minute_later = NOW + timedelta(minutes=1)
    books.one(create_inquiry(books.house, holder), now=a_minute_later)
    assert left_today(books, holder) == 330
    books.one(create_reversal(captured))
    assert left_today(books, holder) == 350
    books.open_day(TODAY, now=a_minute_later)
    assert left_today(books, holder) == 400


def test_a_capture_counts_on_the_day_of_its_hold(books: Books) -> None:
    holder = limited(books, 400)
    hold = create_hold(books.house, holder, amount=300)
    books.one(hold)
    books.open_day(TODAY)
    assert books.one(create_capture(hold, 300)).code is Code.APPROVED
    assert left_today(books, holder) == 400


def test_another_card_of_the_account_has_a_day_of_its_own(books: Books) -> None:
    holder = limited(books, 400)

    def second_card() -> Holder:
        with books.database.engine.begin() as connection:
            connection.execute(text("SELECT set_config('tessera.tenant', '0', true)"))
            card = cards.issue_card(connection, holder.account, now=NOW, day_limit_points=100)
            cards.set_pin(connection, card, proof(card), now=NOW)
            return Holder(holder.account, card)

    other = second_card()
    books.one(create_redeem(books.house, holder, "cinema", amount=200))
    assert left_today(books, other) == 100
    assert left_today(books, holder) == 200


def test_a_hold_is_over_at_its_very_moment(books: Books) -> None:
    holder = books.holder()
    hold = create_hold(books.house, holder, seconds=60)
    books.one(hold)
    moment = NOW + timedelta(seconds=60)
    assert books.one(create_inquiry(books.house, holder), now=moment - timedelta(microseconds=1)).held == 300
    assert books.one(create_inquiry(books.house, holder), now=moment).held == 0


def test_the_books_can_go_by_the_clock_of_the_database(books: Books) -> None:
    """A process with a wrong clock ends no hold, and what it books has the right time."""
    holder = books.holder()
    hold = create_hold(books.house, holder, seconds=60)
    before = datetime.now(UTC) - timedelta(seconds=1)
    held = books.change(lambda connection: post(connection, [hold], None)[0])
    assert held.expires_at is not None
    assert before < held.at < datetime.now(UTC) + timedelta(seconds=1)
    assert held.expires_at - held.at == timedelta(seconds=60)
    inquiry = create_inquiry(books.house, holder)
    assert books.change(lambda connection: post(connection, [inquiry], None)[0]).held == 300


def test_nobody_piles_up_holds(books: Books) -> None:
    holder = books.holder(points=5_000)
    holds = [create_hold(books.house, holder, amount=10) for _ in range(20)]
    assert {outcome.code for outcome in books.post(*holds)} == {0}
    assert books.one(create_hold(books.house, holder, amount=10)).code is Code.LIMIT_EXCEEDED
    assert books.one(create_redeem(books.house, holder, "cinema", amount=10)).code is Code.APPROVED
    books.one(create_release(holds[3]))
    assert books.one(create_hold(books.house, holder, amount=10)).code is Code.APPROVED


def test_a_reversal_tells_a_balance_only_to_who_gave_points_back(books: Books) -> None:
    """Else anyone with a card in hand, a lost one too, would learn its balance without a PIN."""
    holder = books.holder()
    sold = create_redeem(books.house, holder)
    assert books.one(create_reversal(sold)).balance is None
    again = create_redeem(books.house, holder)
    books.one(again)
    assert books.one(create_reversal(again)).balance == 1_000
    assert books.one(create_reversal(again)).balance is None
