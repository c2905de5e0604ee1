"""Batches on libpq in pipeline mode: round trips, refusals, and every way of losing the connection."""

import struct
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import trio
from msgspec.structs import replace

from ledger.books import NoOpenDay, stages
from ledger.embedded import EmbeddedPostgres
from ledger.postings import Outcome, Request
from tests.conftest import TestDatabase
from tests.desk import Books, opened_books
from tests.factories import (
    NOW,
    create_hold,
    create_inquiry,
    create_redeem,
    create_reversal,
    create_status,
    new_txid,
)
from tests.txserver.batching import Executioner, held, refusing
from txserver.pipeline import DatabaseGone, Pipeline, StatementFailed


@pytest.fixture
def books(database_urls: TestDatabase) -> Iterator[Books]:
    with opened_books(database_urls) as opened:
        yield opened


@pytest.fixture
async def pipeline(database_urls: TestDatabase) -> AsyncIterator[Pipeline]:
    made = await Pipeline.connect(database_urls.server)
    yield made
    made.close()


async def run(pipeline: Pipeline, *requests: Request) -> list[Outcome]:
    return await pipeline.run(stages(requests, NOW))


async def works(pipeline: Pipeline, books: Books) -> bool:
    """Whether a debit goes through; holders are new each time."""
    (outcome,) = await run(pipeline, create_redeem(books.house, books.holder()))
    return outcome.code == 0


@pytest.mark.parametrize("size", [1, 2, 64, 256])
async def test_a_batch_of_any_size_is_two_round_trips(books: Books, pipeline: Pipeline, size: int) -> None:
    holders = [books.holder(points=120 * size) for _ in range(min(size, 8))]
    requests = [create_redeem(books.house, holders[number % len(holders)]) for number in range(size)]
    before = pipeline.round_trips
    outcomes = await run(pipeline, *requests)
    assert pipeline.round_trips - before == 2
    assert {outcome.code for outcome in outcomes} == {0}
    assert books.ask("SELECT count(*) FROM transaction WHERE kind = 'redeem'") == [(size,)]


async def test_the_same_outcomes_as_the_synchronous_driver(books: Books, pipeline: Pipeline) -> None:
    holder = books.holder()
    first = create_redeem(books.house, holder)
    requests = [
        first, first, create_redeem(books.house, holder, pin="000000"),
        create_redeem(books.house, holder, "none"), create_status(first), create_inquiry(books.house, holder),
        create_reversal(first), create_status(first),
    ]  # fmt: skip
    await run(pipeline, *requests)
    # Asked again, all of them are answered from the record, by either driver alike.
    assert await run(pipeline, *requests) == books.post(*requests)


async def test_a_batch_without_writes_commits_too(books: Books, pipeline: Pipeline) -> None:
    (outcome,) = await run(pipeline, create_inquiry(books.house, books.holder()))
    assert (outcome.code, outcome.balance) == (0, 1_000)
    assert books.ask("SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid'") == [(0,)]


async def test_what_is_booked_may_go_by_the_databases_clock(books: Books, pipeline: Pipeline) -> None:
    holder = books.holder()
    before = datetime.now(UTC) - timedelta(seconds=1)
    hold = create_hold(books.house, holder, seconds=60)
    held, inquiry = await pipeline.run(stages([hold, create_inquiry(books.house, holder)], None))
    assert before < held.at < datetime.now(UTC) + timedelta(seconds=1)
    assert (held.expires_at, inquiry.held) == (held.at + timedelta(seconds=60), 300)


# ---- refusals -----------------------------------------------------------------------------------


async def test_a_refused_statement_rolls_back_and_leaves_the_connection(
    database_urls: TestDatabase, books: Books, pipeline: Pipeline
) -> None:
    holder = books.holder()
    good, bad = create_redeem(books.house, holder), create_redeem(books.house, holder)
    with refusing(database_urls, "poison"):
        with pytest.raises(StatementFailed, match="poison") as caught:
            await run(pipeline, good, replace(bad, reference="poison"))
        assert caught.value.sqlstate == "23514"
        assert books.posted(holder) == 1_000
        assert await works(pipeline, books)


async def test_a_commit_that_is_refused_is_no_success(
    database_urls: TestDatabase, books: Books, pipeline: Pipeline
) -> None:
    request = create_redeem(books.house, books.holder())
    with psycopg.connect(database_urls.owner) as owner:
        owner.execute(
            """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN RAISE EXCEPTION 'refused at the end'; END $$;
               CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON transaction
               DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"""
        )
    with pytest.raises(StatementFailed, match="refused at the end"):
        await run(pipeline, request)
    with psycopg.connect(database_urls.owner) as owner:
        owner.execute("DROP TRIGGER refuse ON transaction; DROP FUNCTION refuse()")
    assert books.ask("SELECT count(*) FROM transaction WHERE kind = 'redeem'") == [(0,)]
    assert await works(pipeline, books)


async def test_a_lock_that_is_not_given_is_refused_in_time(books: Books, pipeline: Pipeline) -> None:
    holder = books.holder()
    with held(books, holder):
        began = trio.current_time()
        with pytest.raises(StatementFailed) as caught:
            await run(pipeline, create_redeem(books.house, holder))
        assert (caught.value.statement, caught.value.sqlstate) == ("lock_accounts", "55P03")
        assert 0.4 < trio.current_time() - began < 5
        assert await works(pipeline, books)


async def test_a_parameter_that_no_column_holds_leaves_the_connection(
    books: Books, pipeline: Pipeline
) -> None:
    request = create_redeem(books.house, books.holder())
    for wrong in (replace(request, slot=2**20), replace(request, account=2**70)):
        with pytest.raises(struct.error):
            await run(pipeline, wrong)
        assert await works(pipeline, books)


async def test_a_bug_in_the_rules_leaves_the_connection(books: Books, pipeline: Pipeline) -> None:
    holder = books.holder()

    class Mystery(Request, frozen=True):
        kind = "mystery"

    unheard = Mystery(slot=holder.account.slot, account=holder.account.id, terminal=1, txid=new_txid())
    with pytest.raises(AssertionError):
        await run(pipeline, unheard)
    assert await works(pipeline, books)


async def test_no_open_day_leaves_the_connection(books: Books, pipeline: Pipeline) -> None:
    request = create_redeem(books.house, books.holder())
    books.ask("UPDATE business_day SET status = 'closed', closed_at = now() RETURNING 1")
    with pytest.raises(NoOpenDay):
        await run(pipeline, request)
    books.ask("UPDATE business_day SET status = 'open', closed_at = NULL RETURNING 1")
    assert (await run(pipeline, request))[0].code == 0


# ---- the connection -----------------------------------------------------------------------------


async def test_a_connection_that_is_ended_while_it_waits_is_gone(
    postgres: EmbeddedPostgres, database_urls: TestDatabase, books: Books, pipeline: Pipeline
) -> None:
    holder = books.holder()
    request = create_redeem(books.house, holder)
    with Executioner.of(postgres, database_urls) as executioner, held(books, holder):
        async with trio.open_nursery() as nursery:

            async def gone() -> None:
                with pytest.raises(DatabaseGone):
                    await run(pipeline, request)

            nursery.start_soon(gone)
            await executioner.until_waiting()
            assert executioner.strike() == 1
    with pytest.raises(DatabaseGone):
        await run(pipeline, request)
    assert books.posted(holder) == 1_000


async def test_a_connection_that_is_ended_while_it_rests_is_gone(
    postgres: EmbeddedPostgres, database_urls: TestDatabase, books: Books, pipeline: Pipeline
) -> None:
    assert await works(pipeline, books)
    with Executioner.of(postgres, database_urls) as executioner:
        executioner.strike()
    with pytest.raises(DatabaseGone):
        await works(pipeline, books)


async def test_a_cancelled_batch_closes_the_connection(books: Books, pipeline: Pipeline) -> None:
    holder = books.holder()
    with held(books, holder), trio.move_on_after(0.1) as scope:
        await run(pipeline, create_redeem(books.house, holder))
    assert scope.cancelled_caught
    with pytest.raises(DatabaseGone):
        await works(pipeline, books)
    assert books.posted(holder) == 1_000


async def test_a_database_that_does_not_answer_is_gone(
    books: Books, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("txserver.pipeline.ANSWER_SECONDS", 0.1)
    holder = books.holder()
    with held(books, holder), pytest.raises(DatabaseGone, match="no answer"):
        await run(pipeline, create_redeem(books.house, holder))
    assert books.posted(holder) == 1_000


async def test_where_nobody_listens_there_is_no_connection() -> None:
    for url in (
        "postgresql://u@/x?host=/nowhere",
        "postgresql://u@127.0.0.1:1/x",
        "nonsense",
        "postgresql://%",
    ):
        with pytest.raises(DatabaseGone, match=r"."):
            await Pipeline.connect(url)


async def test_a_database_without_tables_is_no_connection(empty_database_urls: TestDatabase) -> None:
    with pytest.raises(DatabaseGone, match='relation "account" does not exist'):
        await Pipeline.connect(empty_database_urls.server)


async def test_a_failed_start_leaves_no_connection_behind(
    postgres: EmbeddedPostgres, empty_database_urls: TestDatabase
) -> None:
    for _ in range(5):
        with pytest.raises(DatabaseGone):
            await Pipeline.connect(empty_database_urls.server)
    with Executioner.of(postgres, empty_database_urls) as executioner:
        assert executioner.strike() == 0
