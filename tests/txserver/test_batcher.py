"""Batches: how they gather, what one bad posting does to the others, and what a lost database does to all."""

import random
from collections.abc import Iterator

import pytest
import trio
from msgspec.structs import replace

from ledger.embedded import EmbeddedPostgres
from ledger.postings import Outcome, Redeem, Request
from tests.conftest import TestDatabase
from tests.desk import Books, opened_books
from tests.factories import Holder, create_redeem, new_txid
from tests.txserver.batching import Executioner, day_held, held, refusing, running_batcher


@pytest.fixture
def books(database_urls: TestDatabase) -> Iterator[Books]:
    with opened_books(database_urls) as opened:
        yield opened


def spend(books: Books, holder: Holder, count: int) -> list[Redeem]:
    return [create_redeem(books.house, holder) for _ in range(count)]


def booked(books: Books) -> int:
    ((count,),) = books.ask("SELECT count(*) FROM transaction WHERE kind = 'redeem' AND code = 0")
    assert isinstance(count, int)
    return count


# ---- gathering ----------------------------------------------------------------------------------


async def test_while_one_batch_is_in_the_database_the_next_one_gathers(
    postgres: EmbeddedPostgres, database_urls: TestDatabase, books: Books
) -> None:
    slow, other = books.holder(), books.holder(points=120 * 20)
    async with running_batcher(database_urls) as bench:
        with Executioner.of(postgres, database_urls) as watcher:
            async with trio.open_nursery() as nursery:
                with held(books, slow):
                    nursery.start_soon(bench.post_all, spend(books, slow, 1))
                    await watcher.until_waiting()
                    nursery.start_soon(bench.post_all, spend(books, other, 20))
                    await bench.gathered(20)
        assert bench.sizes == [1, 20]
    assert (books.posted(slow), books.posted(other)) == (880, 0)


async def test_two_batches_are_under_way_at_once(
    postgres: EmbeddedPostgres, database_urls: TestDatabase, books: Books
) -> None:
    slow, other = books.holder(), books.holder(points=120 * 20)
    async with running_batcher(database_urls, lanes=2) as bench:
        with Executioner.of(postgres, database_urls) as watcher:
            async with trio.open_nursery() as nursery:
                with held(books, slow):
                    nursery.start_soon(bench.post_all, spend(books, slow, 1))
                    await watcher.until_waiting()
                    outcomes = await bench.post_all(spend(books, other, 20))
                    assert [outcome and outcome.code for outcome in outcomes] == [0] * 20
                    assert bench.sizes == [20]
        assert bench.sizes == [20, 1]
    assert (books.posted(slow), books.posted(other)) == (880, 0)


async def test_one_account_in_two_batches_at_once_is_right(database_urls: TestDatabase, books: Books) -> None:
    """Repeats and new purchases of a few accounts, thrown at both lanes again and again."""
    holders = [books.holder(points=120 * 30) for _ in range(3)]
    shared = [create_redeem(books.house, holder) for holder in holders for _ in range(20)]
    async with running_batcher(database_urls, lanes=2) as bench:
        answers: list[int] = []

        async def post(requests: list[Redeem]) -> None:
            for request in requests:
                outcome = await bench.try_post(request)
                assert outcome is not None
                answers.append(int(outcome.code))

        async with trio.open_nursery() as nursery:
            for at in range(12):
                own = [create_redeem(books.house, holder) for holder in holders for _ in range(2)]
                nursery.start_soon(post, random.Random(at).sample([*shared, *own], len(shared) + len(own)))
        assert len(bench.events("database_connected")) == 2, "both lanes were used"
    assert booked(books) == 3 * 30
    assert {books.posted(holder) for holder in holders} == {0}
    assert set(answers) == {0, 1016}


async def test_an_account_is_in_one_batch_at_a_time(
    postgres: EmbeddedPostgres, database_urls: TestDatabase, books: Books
) -> None:
    """Else the second lane would wait for the first one's lock, and take a slow commit for a stranger's."""
    slow, other = books.holder(points=120 * 4), books.holder()
    async with running_batcher(database_urls, lanes=2) as bench:
        with Executioner.of(postgres, database_urls) as watcher:
            async with trio.open_nursery() as nursery:
                with held(books, slow):
                    nursery.start_soon(bench.post_all, spend(books, slow, 1))
                    await watcher.until_waiting()
                    nursery.start_soon(bench.post_all, spend(books, slow, 3))
                    assert await bench.post_all(spend(books, other, 1)) != [None]
                    assert bench.sizes == [1]
                    await bench.gathered(3)
        assert bench.sizes == [1, 1, 3]
    assert books.posted(slow) == 0


async def test_one_posting_at_a_time_is_a_batch_of_one(database_urls: TestDatabase, books: Books) -> None:
    async with running_batcher(database_urls) as bench:
        for request in spend(books, books.holder(), 3):
            outcome = await bench.batcher.post(request)
            assert outcome.code == 0
        assert bench.sizes == [1, 1, 1]


async def test_a_batch_has_a_limit(
    database_urls: TestDatabase, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("txserver.batcher.MAX_BATCH", 4)
    holder = books.holder(points=120 * 10)
    async with running_batcher(database_urls) as bench:
        outcomes = await bench.post_all(spend(books, holder, 10))
        assert all(outcome is not None and outcome.code == 0 for outcome in outcomes)
        assert max(bench.sizes) <= 4
        assert sum(bench.sizes) == 10


async def test_the_same_txid_twice_in_a_batch_is_booked_once(
    database_urls: TestDatabase, books: Books
) -> None:
    holder = books.holder()
    async with running_batcher(database_urls) as bench:
        (request,) = spend(books, holder, 1)
        outcomes = await bench.post_all([request] * 5)
        assert sorted(outcome.recorded for outcome in outcomes if outcome) == [False, True, True, True, True]
    assert books.posted(holder) == 880


async def test_two_servers_on_the_same_accounts_agree(database_urls: TestDatabase, books: Books) -> None:
    holders = [books.holder(points=120 * 30) for _ in range(4)]
    shared = [create_redeem(books.house, holder) for holder in holders for _ in range(20)]
    async with running_batcher(database_urls) as one, running_batcher(database_urls) as other:
        answers: list[int] = []

        async def post(requests: list[Redeem], at: int) -> None:
            for number, request in enumerate(requests):
                bench = one if (number + at) % 2 else other
                outcome = await bench.try_post(request)
                assert outcome is not None
                answers.append(int(outcome.code))

        async with trio.open_nursery() as nursery:
            for at in range(8):
                # Half of it is the same for all, as repeats over two connections are.
                own = [create_redeem(books.house, holder) for holder in holders for _ in range(3)]
                order = random.Random(at).sample([*shared, *own], len(shared) + len(own))
                nursery.start_soon(post, order, at)
    assert booked(books) == 4 * 30
    assert {books.posted(holder) for holder in holders} == {0}
    assert set(answers) == {0, 1016}


# ---- a bad posting ------------------------------------------------------------------------------


async def test_a_posting_that_the_database_refuses_hurts_only_itself(
    database_urls: TestDatabase, books: Books
) -> None:
    holder = books.holder()
    good = spend(books, holder, 5)
    poison = replace(create_redeem(books.house, holder), reference="poison")
    async with running_batcher(database_urls) as bench:
        with refusing(database_urls, "poison"):
            outcomes = await bench.post_all([*good[:2], poison, *good[2:]])
        assert [None if outcome is None else outcome.code for outcome in outcomes] == [0, 0, None, 0, 0, 0]
        assert [line["kind"] for line in bench.events("posting_failed")] == ["redeem"]
        assert [line["size"] for line in bench.events("batch_failed")] == [6]
        assert booked(books) == 5
        again = await bench.try_post(poison)
        assert again is not None
        assert (again.code, again.recorded) == (0, False)
    assert books.posted(holder) == 1_000 - 6 * 120


class Mystery(Request, frozen=True):
    """A request that the rules have never heard of: a bug of ours."""

    kind = "mystery"


async def test_a_bug_met_by_one_posting_hurts_only_itself(database_urls: TestDatabase, books: Books) -> None:
    holder = books.holder()
    (first, second) = spend(books, holder, 2)
    unheard = Mystery(slot=holder.account.slot, account=holder.account.id, terminal=1, txid=new_txid())
    impossible = replace(first, slot=2**40, txid=new_txid())
    async with running_batcher(database_urls) as bench:
        outcomes = await bench.post_all([unheard, first, impossible, second])
        assert [None if outcome is None else outcome.code for outcome in outcomes] == [None, 0, None, 0]
        assert {line["kind"] for line in bench.events("posting_failed")} == {"mystery", "redeem"}
    assert books.posted(holder) == 1_000 - 2 * 120


async def test_a_failed_posting_is_logged_without_its_proof(
    database_urls: TestDatabase, books: Books
) -> None:
    request = create_redeem(books.house, books.holder())
    assert request.pin_proof is not None
    async with running_batcher(database_urls) as bench:
        assert await bench.try_post(replace(request, slot=2**40)) is None
        log = bench.log.getvalue()
        assert "posting_failed" in log
        assert repr(request.pin_proof) not in log
        assert request.pin_proof.hex() not in log


async def test_an_account_locked_by_another_delays_the_others_once_and_fails_alone(
    database_urls: TestDatabase, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, others = books.holder(), [books.holder() for _ in range(6)]
    (waiting,) = spend(books, stuck, 1)
    async with running_batcher(database_urls) as bench:
        with held(books, stuck):
            began = trio.current_time()
            requests = [create_redeem(books.house, holder) for holder in others]
            outcomes = await bench.post_all([*requests[:3], waiting, *requests[3:]])
            assert trio.current_time() - began < 5
            assert [outcome and outcome.code for outcome in outcomes] == [0, 0, 0, None, 0, 0, 0]
            # Repeats of the stuck one are told at once, and cost nobody a batch.
            batches = len(bench.sizes)
            assert await bench.post_all([waiting] * 50) == [None] * 50
            assert len(bench.sizes) == batches
            monkeypatch.setattr("txserver.lane.STUCK_SECONDS_MOST", 0.0)
            bench.batcher._left._until[stuck.account.slot, stuck.account.id] = (0.0, 2.0)
            assert await bench.try_post(waiting) is None
        again = await bench.try_post(waiting)
        assert again is not None
        assert (again.code, again.recorded) == (0, False)
        assert bench.batcher._left._until == {}
    assert {books.posted(holder) for holder in (stuck, *others)} == {880}


async def test_what_is_wrong_with_all_of_a_batch_does_not_take_a_second_for_each(
    database_urls: TestDatabase, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("txserver.lane.SINGLE_SECONDS", 0.5)
    holders = [books.holder() for _ in range(20)]
    requests = [create_redeem(books.house, holder) for holder in holders]
    async with running_batcher(database_urls) as bench:
        assert await bench.try_post(create_redeem(books.house, books.holder())) is not None  # it is connected
        with day_held(books):
            began = trio.current_time()
            assert await bench.post_all(requests) == [None] * 20
            assert trio.current_time() - began < 5
        assert bench.events("batch_abandoned")[0]["left"] == 19
        assert all(outcome and outcome.code == 0 for outcome in await bench.post_all(requests))


async def test_a_lost_deadlock_is_tried_again(
    postgres: EmbeddedPostgres, database_urls: TestDatabase, books: Books
) -> None:
    first, second = sorted((books.holder(), books.holder()), key=lambda h: (h.account.slot, h.account.id))
    requests = [create_redeem(books.house, holder) for holder in (first, second)]
    with Executioner.of(postgres, database_urls) as executioner:
        # Less than the other's second and than our lock_timeout: the batch is who gives way.
        executioner.ask_nothing(f"ALTER DATABASE {database_urls.name} SET deadlock_timeout = '200ms'")
        async with running_batcher(database_urls) as bench, trio.open_nursery() as nursery:
            with held(books, second) as lock:
                outcomes: list[Outcome | None] = []

                async def post() -> None:
                    outcomes.extend(await bench.post_all(requests))

                nursery.start_soon(post)
                await executioner.until_waiting()
                await trio.to_thread.run_sync(lock, first)
        assert [outcome and outcome.code for outcome in outcomes] == [0, 0]
        assert "40P01" in bench.events("batch_failed")[0]["error"]
    assert (books.posted(first), books.posted(second)) == (880, 880)


async def test_the_turn_of_the_business_day_is_waited_for(database_urls: TestDatabase, books: Books) -> None:
    async with running_batcher(database_urls) as bench:
        (request,) = spend(books, books.holder(), 1)
        books.ask("UPDATE business_day SET status = 'closed', closed_at = now() RETURNING 1")
        assert await bench.try_post(request) is None
        books.ask("UPDATE business_day SET status = 'open', closed_at = NULL RETURNING 1")
        again = await bench.try_post(request)
        assert again is not None
        assert again.code == 0


# ---- waiting and stopping -----------------------------------------------------------------------


async def test_who_stops_waiting_does_not_undo_the_posting(
    postgres: EmbeddedPostgres, database_urls: TestDatabase, books: Books
) -> None:
    slow, other = books.holder(), books.holder()
    (under_way,), (gathering,) = spend(books, slow, 1), spend(books, other, 1)
    async with running_batcher(database_urls) as bench:
        with Executioner.of(postgres, database_urls) as watcher, held(books, slow):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bench.try_post, under_way)
                await watcher.until_waiting()
                nursery.start_soon(bench.try_post, gathering)
                await bench.gathered(1)
                nursery.cancel_scope.cancel()
        for request in (under_way, gathering):
            outcome = await bench.try_post(request)
            assert outcome is not None
            assert (outcome.code, outcome.recorded) == (0, True)
    assert booked(books) == 2


async def test_a_stop_finishes_what_was_taken_and_takes_no_more(
    postgres: EmbeddedPostgres, database_urls: TestDatabase, books: Books
) -> None:
    slow, other = books.holder(), books.holder(points=120 * 5)
    outcomes: list[Outcome | None] = []
    async with running_batcher(database_urls) as bench, trio.open_nursery() as nursery:

        async def post(requests: list[Redeem]) -> None:
            outcomes.extend(await bench.post_all(requests))

        with Executioner.of(postgres, database_urls) as watcher, held(books, slow):
            nursery.start_soon(post, spend(books, slow, 1))
            await watcher.until_waiting()
            nursery.start_soon(post, spend(books, other, 5))
            await bench.gathered(5)
            bench.batcher.stop()
            assert await bench.try_post(spend(books, other, 1)[0]) is None
    assert [outcome and outcome.code for outcome in outcomes] == [0] * 6
    assert booked(books) == 6
    with Executioner.of(postgres, database_urls) as watcher:
        assert watcher.strike() == 0, "the connection is closed"


async def test_a_cancelled_batcher_finishes_what_was_taken(
    postgres: EmbeddedPostgres, database_urls: TestDatabase, books: Books
) -> None:
    slow = books.holder()
    outcomes: list[Outcome | None] = []
    async with trio.open_nursery() as nursery:

        async def post() -> None:
            outcomes.append(await bench.try_post(create_redeem(books.house, slow)))

        async with running_batcher(database_urls) as bench:
            with Executioner.of(postgres, database_urls) as watcher, held(books, slow):
                nursery.start_soon(post)
                await watcher.until_waiting()
                bench.runner.cancel()
    assert [outcome and outcome.code for outcome in outcomes] == [0]


async def test_too_many_that_wait_are_refused_and_nothing_of_them_is_kept(
    postgres: EmbeddedPostgres, database_urls: TestDatabase, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("txserver.batcher.MAX_WAITING", 3)
    slow, other = books.holder(), books.holder(points=120 * 6)
    async with running_batcher(database_urls) as bench, trio.open_nursery() as nursery:
        with Executioner.of(postgres, database_urls) as watcher, held(books, slow):
            nursery.start_soon(bench.post_all, spend(books, slow, 1))
            await watcher.until_waiting()
            nursery.start_soon(bench.post_all, spend(books, other, 3))
            await bench.gathered(3)
            refused = spend(books, other, 3)
            assert await bench.post_all(refused) == [None] * 3
    assert booked(books) == 4
    async with running_batcher(database_urls) as bench:
        outcomes = await bench.post_all(refused)
        assert [outcome and (outcome.code, outcome.recorded) for outcome in outcomes] == [(0, False)] * 3
