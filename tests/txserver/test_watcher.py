"""Two servers on one database: what happens at one, or in the site, is known at the other."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trio

from ledger import businessday, merchants, terminals
from ledger.database import Scope
from ledger.embedded import EmbeddedPostgres
from ledger.keyring import Keyring, KeyringError, rotate
from protocol.messages import Closing, Echo, LoginReply
from protocol.noise import KeyPair
from tests.conftest import TestDatabase
from tests.factories import NOW, TODAY, create_price
from tests.txserver.batching import Executioner
from tests.txserver.programs import create_secrets
from tests.txserver.server_house import (
    PATIENCE_S,
    OpenHouse,
    RawTerminal,
    envelope,
    open_house,
    open_server,
    redeem,
)

TOMORROW = TODAY + timedelta(days=1)
RAISE_SERIAL = "UPDATE terminal SET serial = serial + 1 WHERE id = :id RETURNING id"


@asynccontextmanager
async def two_houses(urls: TestDatabase, **changes: Any) -> AsyncIterator[tuple[OpenHouse, OpenHouse]]:
    """Two servers on the same books."""
    async with open_house(urls, **changes) as one, open_server(urls, one.books, **changes) as other:
        yield one, other


def change(house: OpenHouse, work: Callable[[Any], object]) -> None:
    """What the site does, in a transaction of its own."""
    with house.books.database.transaction(Scope.everything()) as connection:
        work(connection)


def number_of(terminal: RawTerminal) -> int:
    assert isinstance(terminal.welcome, LoginReply)
    return terminal.welcome.terminal


async def logged(house: OpenHouse, event: str, count: int = 1) -> list[dict[str, Any]]:
    """The lines of an event, once there are `count`."""
    with trio.fail_after(PATIENCE_S):
        while len(house.events(event)) < count:
            await trio.lowlevel.checkpoint()
    return house.events(event)


# ---- sessions -----------------------------------------------------------------------------------


async def test_the_newest_session_of_a_terminal_wins_across_servers(database_urls: TestDatabase) -> None:
    async with two_houses(database_urls) as (one, other):
        key, holder = one.new_key(), one.books.holder()
        first = await one.terminal(key)
        second = await other.terminal(key)
        assert await first.rest() == [Closing(reason="replaced")]
        third = await one.terminal(key)
        assert await second.rest() == [Closing(reason="replaced")]
        assert (await third.ask(redeem(holder))).code == 0
        for house, terminal in ((one, first), (other, second)):
            await terminal.stream.aclose()
            assert await house.closed(1) == ["replaced"]


async def test_a_revoked_terminal_is_closed_within_a_second_wherever_it_is(
    database_urls: TestDatabase,
) -> None:
    async with two_houses(database_urls) as (one, other):
        for house in (one, other):
            witness, terminal = await house.terminal(), await house.terminal()
            began = trio.current_time()
            change(one, lambda connection, t=terminal: terminals.revoke(connection, number_of(t)))  # type: ignore[misc]
            assert await terminal.rest() == [Closing(reason="revoked")]
            assert trio.current_time() - began < 1
            await terminal.stream.aclose()
            assert await house.closed(1) == ["revoked"]
            assert (await witness.ask(Echo(**envelope()))).code == 0


async def test_a_revoked_terminal_still_gets_the_replies_under_way(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        holder, terminal = house.books.holder(), await house.terminal()
        with house.books.database.transaction(Scope.everything()) as connection:
            connection.exec_driver_sql("SELECT * FROM account FOR UPDATE")
            await terminal.send(redeem(holder))
            assert (await (await house.terminal()).ask(Echo(**envelope()))).code == 0
            change(house, lambda other: terminals.revoke(other, number_of(terminal)))
        received = await terminal.rest()
        assert [type(message).__name__ for message in received] == ["RedeemReply", "Closing"]
        assert received[-1] == Closing(reason="revoked")


async def test_a_server_that_was_deaf_learns_what_it_missed(
    postgres: EmbeddedPostgres, database_urls: TestDatabase
) -> None:
    async with open_house(database_urls) as one:
        gone, replaced, stays = [await one.terminal() for _ in range(3)]
        with Executioner.of(postgres, database_urls) as executioner:
            executioner.ask_nothing("ALTER ROLE tessera_server NOLOGIN")
            try:
                executioner.strike()
                await logged(one, "events_lost")
                change(one, lambda connection: terminals.revoke(connection, number_of(gone)))
                one.books.ask(RAISE_SERIAL, id=number_of(replaced))
                change(one, lambda connection: create_price(connection, one.books.house, "new"))
            finally:
                executioner.ask_nothing("ALTER ROLE tessera_server LOGIN")
        assert (await gone.rest())[-1] == Closing(reason="revoked")
        assert (await replaced.rest())[-1] == Closing(reason="replaced")
        assert (await stays.notice()).catalogue is not None
        assert len(one.events("events_lost")) == len(one.events("events_heard_again")) == 1


async def test_what_no_event_told_is_looked_up(database_urls: TestDatabase) -> None:
    async with open_house(database_urls, look_s=0.1) as house:
        terminal, stays = await house.terminal(), await house.terminal()
        house.books.ask(
            "UPDATE terminal SET status = 'revoked', serial = serial + 1 WHERE id = :id RETURNING id",
            id=number_of(terminal),
        )
        assert await terminal.rest() == [Closing(reason="revoked")]
        assert (await stays.ask(Echo(**envelope()))).code == 0


async def test_the_site_sees_who_is_connected_and_who_has_left(database_urls: TestDatabase) -> None:
    async with open_house(database_urls, look_s=0.1) as house:
        leaves, stays = await house.terminal(), await house.terminal()
        present = "SELECT terminal_id FROM terminal_presence WHERE connected_until > :now"

        async def seen(*terminals: RawTerminal) -> None:
            with trio.fail_after(PATIENCE_S):
                wanted = {(number_of(terminal),) for terminal in terminals}
                while set(house.books.ask(present, now=house.edge.at)) != wanted:
                    await trio.lowlevel.checkpoint()

        await seen(leaves, stays)
        await leaves.stream.aclose()
        await seen(stays)
        ((heard_at,),) = house.books.ask(
            "SELECT heard_at FROM terminal_presence WHERE terminal_id = :id", id=number_of(stays)
        )
        assert timedelta(0) <= house.edge.at - heard_at < timedelta(seconds=PATIENCE_S)


# ---- facts --------------------------------------------------------------------------------------


async def test_every_session_hears_of_a_new_price_wherever_it_is(database_urls: TestDatabase) -> None:
    async with two_houses(database_urls) as (one, other):
        here, there = await one.terminal(), await other.terminal()
        assert isinstance(here.welcome, LoginReply)
        change(one, lambda connection: create_price(connection, one.books.house, "new", points=7))
        heard = [await here.notice(), await there.notice()]
        assert heard[0].catalogue == heard[1].catalogue
        assert heard[0].catalogue is not None
        assert heard[0].catalogue > here.welcome.catalogue
        assert (heard[0].business_date, heard[0].next_key, heard[0].change_key) == (None, None, False)
        assert (await there.ask(redeem(one.books.holder(), "new"))).points == 7
        later = await other.terminal()
        assert isinstance(later.welcome, LoginReply)
        assert later.welcome.catalogue == heard[0].catalogue


async def test_many_edits_are_few_notices(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        terminal = await house.terminal()
        for number in range(40):
            change(house, lambda c, n=number: create_price(c, house.books.house, f"new-{n}"))  # type: ignore[misc]
        last = 0
        with house.books.database.transaction(Scope.everything()) as connection:
            newest = merchants.catalogue_version(connection)
        count = 0
        while last < newest:
            last, count = (await terminal.notice()).catalogue or 0, count + 1
        assert count < 20


async def test_everyone_hears_of_a_new_business_date(database_urls: TestDatabase) -> None:
    async with two_houses(database_urls) as (one, other):
        here, there = await one.terminal(), await other.terminal()
        change(one, lambda connection: businessday.advance(connection, TOMORROW, NOW))
        for terminal in (here, there):
            notice = await terminal.notice()
            assert notice.business_date == TOMORROW.isoformat()
            assert notice.catalogue is not None, "another date may have other prices"
            assert (await terminal.ask(Echo(**envelope()))).business_date == TOMORROW.isoformat()


async def test_the_date_turns_by_itself_when_the_calendar_says_so(database_urls: TestDatabase) -> None:
    async with open_house(database_urls, look_s=0.1) as house:
        terminal = await house.terminal()
        house.edge.at = NOW + timedelta(days=1)
        assert (await terminal.notice()).business_date == TOMORROW.isoformat()
        assert house.books.ask("SELECT date FROM business_day WHERE status = 'open'") == [(TOMORROW,)]


async def test_a_day_that_cannot_be_opened_stays_and_the_server_goes_on(database_urls: TestDatabase) -> None:
    async with open_house(database_urls, look_s=0.1) as house:
        terminal = await house.terminal()
        with house.books.database.transaction(Scope.everything()) as connection:
            connection.exec_driver_sql("SELECT FROM business_day FOR SHARE")  # as a posting that hangs
            house.edge.at = NOW + timedelta(days=1)
            (line, *_) = await logged(house, "business_day_kept")
            assert "holds the business day" in line["error"]
            house.edge.at = NOW
            reply = await terminal.ask(redeem(house.books.holder()))
        assert (reply.code, reply.business_date) == (0, TODAY.isoformat())


# ---- keys ---------------------------------------------------------------------------------------


async def test_one_terminal_is_asked_for_a_new_key_wherever_it_is(database_urls: TestDatabase) -> None:
    async with two_houses(database_urls) as (one, other):
        witness, terminal = await other.terminal(), await other.terminal()
        change(one, lambda connection: terminals.ask_key_change(connection, number_of(terminal)))
        notice = await terminal.notice()
        assert (notice.change_key, notice.catalogue, notice.next_key) == (True, None, None)
        assert (await witness.ask(Echo(**envelope()))).code == 0
        assert witness.notices == []


async def test_who_is_to_change_its_key_and_was_not_told_is_told_once(database_urls: TestDatabase) -> None:
    async with open_house(database_urls, look_s=0.1) as house:
        terminal = await house.terminal()
        house.books.ask(
            "UPDATE terminal SET key_change_asked = true WHERE id = :id RETURNING id", id=number_of(terminal)
        )
        assert (await terminal.notice()).change_key
        # Every look from now on finds it again; the next notice is of something else.
        house.edge.at = NOW + timedelta(days=1)
        notice = await terminal.notice()
        assert (notice.business_date, notice.change_key) == (TOMORROW.isoformat(), False)
        assert terminal.notices == []


async def test_who_was_told_at_its_login_to_change_its_key_is_not_told_again(
    database_urls: TestDatabase,
) -> None:
    async with open_house(database_urls, look_s=0.1) as house:
        key = house.new_key()
        house.books.ask(
            "UPDATE terminal SET key_change_asked = true WHERE public_key IS NOT NULL RETURNING id"
        )
        terminal = await house.terminal(key)
        assert isinstance(terminal.welcome, LoginReply)
        assert terminal.welcome.change_key
        house.edge.at = NOW + timedelta(days=1)  # found by a look at everything
        notice = await terminal.notice()
        assert (notice.business_date, notice.change_key) == (TOMORROW.isoformat(), False)
        assert terminal.notices == []


async def test_keys_that_were_rotated_are_taken_over_and_told(
    database_urls: TestDatabase, tmp_path: Path
) -> None:
    secrets = create_secrets(tmp_path / "secrets")
    async with open_house(database_urls, look_s=0.1, reload=lambda: Keyring.load(secrets)) as house:
        key = house.new_key()
        terminal = await house.terminal(key)
        rotated = rotate(secrets, lambda count: bytes([77] * count))
        newest = KeyPair.from_private(rotated.server_keys[3]).public
        notice = await terminal.notice()
        assert (notice.next_key, notice.next_key_id, notice.catalogue) == (newest, 3, None)
        assert [line["ids"] for line in house.events("server_keys_changed")] == [[2, 3]]
        known = await house.terminal(key, server_key_id=2)
        assert isinstance(known.welcome, LoginReply)
        assert (known.welcome.next_key, known.welcome.next_key_id) == (newest, 3)
        with pytest.raises(EOFError):
            await house.terminal(key, server_key_id=1)


async def test_keys_that_cannot_be_read_stay_as_they_are(database_urls: TestDatabase) -> None:
    def unreadable() -> Keyring:
        raise KeyringError("The secret server.key can be read by others.")

    async with open_house(database_urls, look_s=0.1, reload=unreadable) as house:
        (line, *_) = await logged(house, "look_failed", 2)
        assert (line["what"], line["error"]) == ("keys", "The secret server.key can be read by others.")
        assert (await (await house.terminal()).ask(Echo(**envelope()))).code == 0


# ---- the sweep ----------------------------------------------------------------------------------


async def test_what_expired_is_swept_without_anybody_asking(database_urls: TestDatabase) -> None:
    async with two_houses(database_urls, sweep_s=0.1) as (one, other):
        terminal = await one.terminal()
        fresh, old = one.books.holder(), one.books.holder()
        assert (await terminal.ask(redeem(fresh))).code == 0
        one.books.ask(
            "UPDATE lot SET expires_on = '2026-11-21' WHERE account_id = :id RETURNING id", id=old.account.id
        )
        swept: list[dict[str, Any]] = []
        with trio.fail_after(PATIENCE_S):
            while sum(line["points"] for line in swept) < 1_000:
                await trio.lowlevel.checkpoint()
                swept = one.events("swept") + other.events("swept")
        assert (one.books.posted(fresh), one.books.posted(old)) == (880, 0)
        assert one.books.ask("SELECT points FROM transaction WHERE kind = 'expiry'") == [(1_000,)]


async def test_a_sweep_that_fails_is_logged_and_tried_again(
    postgres: EmbeddedPostgres, database_urls: TestDatabase
) -> None:
    async with open_house(database_urls, sweep_s=0.1) as house:
        with Executioner.of(postgres, database_urls) as executioner:
            executioner.ask_nothing("ALTER ROLE tessera_server NOLOGIN")
            try:
                executioner.strike()
                with trio.fail_after(PATIENCE_S):
                    while "sweep" not in {line["what"] for line in house.events("look_failed")}:
                        await trio.lowlevel.checkpoint()
            finally:
                executioner.ask_nothing("ALTER ROLE tessera_server LOGIN")
        holder = house.books.holder()
        house.books.ask("UPDATE lot SET expires_on = '2026-11-21' RETURNING id")
        with trio.fail_after(PATIENCE_S):
            while house.books.posted(holder):
                await trio.lowlevel.checkpoint()
