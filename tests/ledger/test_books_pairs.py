"""Two postings, or a posting and something else, interleaved on purpose: one waits while the other is open.

Each pair in both orders; whoever comes first wins, the other gets an answer that fits, and all
invariants hold afterwards.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from itertools import permutations

import pytest
from sqlalchemy import Connection

from ledger import businessday, cards
from ledger.books import post
from ledger.postings import Code, Hold, Outcome, Redeem, Request
from tests.conftest import TestDatabase
from tests.desk import Act, Books, interleaved, opened_books
from tests.factories import (
    NOW,
    TODAY,
    Holder,
    House,
    create_capture,
    create_expire,
    create_grant,
    create_hold,
    create_inquiry,
    create_redeem,
    create_refund,
    create_release,
    create_reversal,
    grant_points,
)

YESTERDAY = TODAY - timedelta(days=1)


@pytest.fixture
def books(database_urls: TestDatabase) -> Iterator[Books]:
    with opened_books(database_urls, today=YESTERDAY) as opened:
        yield opened


def posting(request: Request, *, later: timedelta = timedelta(0)) -> Act:
    """A posting as something to interleave."""

    def act(connection: Connection) -> Outcome:
        return post(connection, [request], NOW + later)[0]

    return act


def codes(outcomes: list[Outcome]) -> list[Code]:
    return [outcome.code for outcome in outcomes]


def test_spend_and_spend(books: Books) -> None:
    holder = books.holder(points=200)
    outcomes = interleaved(books, *(posting(create_redeem(books.house, holder)) for _ in range(2)))
    assert codes(outcomes) == [Code.APPROVED, Code.POINTS_INSUFFICIENT]
    assert books.posted(holder) == 80


@pytest.mark.parametrize("spend_first", [True, False])
def test_spend_and_expiry(books: Books, spend_first: bool) -> None:
    """On the day after its last a lot is worth nothing, whether or not the sweep has been there."""
    holder = books.holder(points=100, expires_on=YESTERDAY)
    books.change(lambda connection: grant_points(connection, books.house, holder.account, 60))
    books.open_day(TODAY)
    spend, expire = posting(create_redeem(books.house, holder)), posting(create_expire(holder))
    outcomes = interleaved(books, *((spend, expire) if spend_first else (expire, spend)))
    spent, expired = outcomes if spend_first else outcomes[::-1]
    assert spent.code is (Code.POINTS_EXPIRED if spend_first else Code.POINTS_INSUFFICIENT)
    assert (expired.code, expired.points, books.posted(holder)) == (Code.APPROVED, 100, 60)


def test_capture_release_and_time_out(books: Books) -> None:
    """Whatever the order, a hold ends once: by who came first."""
    for order in permutations(("capture", "release", "time-out")):
        holder = books.holder(points=300)
        hold = create_hold(books.house, holder, amount=200, seconds=60)
        books.one(hold)
        acts = {
            "capture": posting(create_capture(hold, 150)),
            "release": posting(create_release(hold)),
            "time-out": posting(create_inquiry(books.house, holder), later=timedelta(minutes=2)),
        }
        outcomes = dict(zip(order, interleaved(books, *(acts[name] for name in order)), strict=True))
        first = order[0]
        captured = Code.APPROVED if first == "capture" else Code.HOLD_ENDED
        released = Code.APPROVED if first == "release" else Code.HOLD_ENDED
        if first == "time-out":
            captured = released = Code.HOLD_EXPIRED
        assert (outcomes["capture"].code, outcomes["release"].code) == (captured, released)
        left = 150 if first == "capture" else 300
        assert (books.posted(holder), books.held(holder), outcomes["time-out"].balance) == (left, 0, left)
        steps = books.ask(
            "SELECT kind FROM transaction WHERE account_id = :id AND ends IS NOT NULL", id=holder.account.id
        )
        assert steps == [({"time-out": "lapse"}.get(first, first),)]


def test_refund_and_refund(books: Books) -> None:
    holder = books.holder()
    sold = create_redeem(books.house, holder)
    books.one(sold)
    outcomes = interleaved(books, *(posting(create_refund(sold, points)) for points in (70, 51)))
    assert codes(outcomes) == [Code.APPROVED, Code.AMOUNT_ABOVE_REST]
    assert books.posted(holder) == 950
    outcomes = interleaved(books, *(posting(create_refund(sold)) for _ in range(2)))
    assert codes(outcomes) == [Code.APPROVED, Code.AMOUNT_ABOVE_REST]
    assert books.posted(holder) == 1_000


def test_refund_and_reversal(books: Books) -> None:
    for refund_first in (True, False):
        holder = books.holder()
        sold = create_redeem(books.house, holder)
        books.one(sold)
        refund, reverse = posting(create_refund(sold, 20)), posting(create_reversal(sold))
        outcomes = interleaved(books, *((refund, reverse) if refund_first else (reverse, refund)))
        refunded, reversed_ = outcomes if refund_first else outcomes[::-1]
        assert refunded.code is (Code.APPROVED if refund_first else Code.ORIGINAL_UNDONE)
        assert reversed_.detail == ("refunded" if refund_first else "reversed")
        assert books.posted(holder) == (900 if refund_first else 1_000)


@pytest.mark.parametrize("status", ["suspended", "lost", "closed"])
def test_block_and_spend(books: Books, status: str) -> None:
    """A block waits for the debit that is under way, and holds from the next message on."""
    blocked = {"suspended": Code.CARD_BLOCKED, "lost": Code.CARD_LOST, "closed": Code.ACCOUNT_CLOSED}[status]
    for block_first in (True, False):
        holder = books.holder()
        block: Act = partial(lambda c, card: cards.set_status(c, card, status, now=NOW), card=holder.card)
        spend = posting(create_redeem(books.house, holder))
        outcomes = interleaved(books, *((block, spend) if block_first else (spend, block)))
        spent = outcomes[1] if block_first else outcomes[0]
        assert spent.code is (blocked if block_first else Code.APPROVED)
        assert books.one(create_redeem(books.house, holder)).code is blocked


def test_replacing_a_card_and_spend(books: Books) -> None:
    holder = books.holder()
    replace: Act = partial(lambda c, card: cards.replace_card(c, card, now=NOW), card=holder.card)
    _, spent = interleaved(books, replace, posting(create_redeem(books.house, holder)))
    assert spent.code is Code.CARD_REPLACED


def test_wrong_pin_and_wrong_pin(books: Books) -> None:
    """Three at once are three, not one: the fourth, a right one, is blocked."""
    holder = books.holder()
    wrong = [posting(create_redeem(books.house, holder, pin="000000")) for _ in range(3)]
    outcomes = interleaved(books, *wrong, posting(create_redeem(books.house, holder)))
    assert sorted(codes(outcomes)) == sorted([Code.PIN_WRONG] * 3 + [Code.PIN_BLOCKED])
    assert books.ask("SELECT pin_tries FROM card") == [(3,)]


def test_grant_and_spend(books: Books) -> None:
    for grant_first in (True, False):
        holder = books.holder(points=100)
        grant, spend = (
            posting(create_grant(books.house, holder, 20)),
            posting(create_redeem(books.house, holder)),
        )
        outcomes = interleaved(books, *((grant, spend) if grant_first else (spend, grant)))
        spent = outcomes[1] if grant_first else outcomes[0]
        assert spent.code is (Code.APPROVED if grant_first else Code.POINTS_INSUFFICIENT)
        assert books.posted(holder) == (0 if grant_first else 120)


@pytest.mark.parametrize("make", [create_redeem, create_hold])
def test_reversal_before_its_original(books: Books, make: Callable[[House, Holder], Redeem | Hold]) -> None:
    holder = books.holder()
    original = make(books.house, holder)
    undone, late = interleaved(books, posting(create_reversal(original)), posting(original))
    assert (undone.detail, late.code) == ("never_seen", Code.UNDONE_BEFORE)
    original = make(books.house, holder)
    done, undone = interleaved(books, posting(original), posting(create_reversal(original)))
    assert (done.code, undone.detail) == (Code.APPROVED, "reversed")
    assert (books.posted(holder), books.held(holder)) == (1_000, 0)


def close_day(connection: Connection) -> date:
    return businessday.advance(connection, TODAY, NOW)


def test_close_of_day_and_spend(books: Books) -> None:
    """The day closes when the debit that is under way has committed; what comes after is the next day's."""
    holder = books.holder()
    spent, opened = interleaved(books, posting(create_redeem(books.house, holder)), close_day)
    assert (spent.business_date, opened) == (YESTERDAY, TODAY)


def test_spend_behind_the_close_of_day(books: Books) -> None:
    holder = books.holder()
    opened, spent = interleaved(books, close_day, posting(create_redeem(books.house, holder)))
    assert (opened, spent.business_date) == (TODAY, TODAY)
