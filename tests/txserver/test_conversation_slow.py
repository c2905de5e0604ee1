"""Peers that stall, dribble or do not read: each is closed in its time, and costs nobody else any."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from sqlalchemy import text

from ledger.database import Database, Scope
from ledger.embedded import EmbeddedPostgres
from protocol.messages import Catalogue, Closing, Echo, Logout, LogoutReply, RedeemReply
from protocol.noise import KeyPair
from tests.conftest import TestDatabase
from tests.desk import until_somebody_waits
from tests.factories import create_price
from tests.txserver.batching import Executioner
from tests.txserver.hostile import create_session, flipped, opening, third_frame, undisturbed, until_closed
from tests.txserver.server_house import PATIENCE_S, OpenHouse, RawTerminal, envelope, open_house, redeem

STEP_S = 0.02  # between two bytes of a peer that dribbles: no time for us, an age for a processor


async def dribble(stream: trio.SocketStream, data: bytes) -> None:
    """Send byte by byte, until the server has closed."""
    with trio.fail_after(PATIENCE_S):
        try:
            for at in range(len(data)):
                await stream.send_all(data[at : at + 1])
                with trio.move_on_after(STEP_S):
                    assert await stream.receive_some(1) == b""
                    return
        except trio.BrokenResourceError:
            return
    raise AssertionError("it took them all")


async def test_a_handshake_byte_by_byte_is_cut_off_in_time(database_urls: TestDatabase) -> None:
    async with open_house(database_urls, handshake_s=0.6) as house:
        async with undisturbed(house, "from the first byte", "handshake_timeout"):
            await dribble(await house.connect(), opening())
        key = house.new_key()
        async with undisturbed(house, "frame 3", "handshake_timeout"):
            stream = await house.connect()
            await dribble(stream, await third_frame(stream, create_session(key)))


async def test_who_says_nothing_is_closed(database_urls: TestDatabase) -> None:
    async with open_house(database_urls, handshake_s=0.6) as house:
        async with undisturbed(house, "at all", "handshake_timeout"):
            assert await until_closed(await house.connect()) == b""
        async with undisturbed(house, "after frame 1", "handshake_timeout"):
            stream = await house.connect()
            await third_frame(stream, create_session())
            assert await until_closed(stream) == b""


async def test_a_login_that_waits_for_the_database_is_cut_off_in_time(database_urls: TestDatabase) -> None:
    async with open_house(database_urls, handshake_s=0.6) as house:
        key = house.new_key()
        with house.books.database.transaction(Scope.everything()) as connection:
            connection.exec_driver_sql("SELECT * FROM terminal FOR UPDATE")
            stream = await house.connect()
            await stream.send_all(await third_frame(stream, create_session(key)))
            assert await until_closed(stream) == b""
            assert await house.closed(1) == ["handshake_timeout"]
        assert (await (await house.terminal(key)).ask(Echo(**envelope()))).code == 0


async def test_a_login_that_was_cut_off_does_not_end_the_session_before_it(
    database_urls: TestDatabase,
) -> None:
    database = Database(database_urls.server)

    async with open_house(database_urls, handshake_s=0.6) as house:
        key = house.new_key()
        terminal = await house.terminal(key)
        row = {"key": key.public}

        def serials() -> list[int]:
            locked = text("SELECT serial FROM terminal WHERE public_key = :key FOR UPDATE")
            with database.transaction(Scope.everything()) as connection:
                return list(connection.execute(locked, row).scalars())

        before = serials()
        after: list[int] = []

        async def ask() -> None:
            after.extend(await trio.to_thread.run_sync(serials))

        async with trio.open_nursery() as nursery:
            with database.transaction(Scope.everything()) as connection:
                connection.execute(text("SELECT FROM terminal WHERE public_key = :key FOR UPDATE"), row)
                stream = await house.connect()
                await stream.send_all(await third_frame(stream, create_session(key)))
                assert await house.closed(1) == ["handshake_timeout"]
                nursery.start_soon(ask)  # queues behind the login for the lock
                await trio.to_thread.run_sync(partial(until_somebody_waits, connection, sessions=2))
        assert after == before
        assert (await terminal.ask(Echo(**envelope()))).code == 0
    database.close()


async def test_a_dribbled_frame_does_not_keep_a_session_alive(database_urls: TestDatabase) -> None:
    async with open_house(database_urls, idle_s=1) as house:
        terminal = await house.terminal()
        began = trio.current_time()
        stream, data = terminal.stream, terminal.session.send(Echo(**envelope()))[:-1]
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                for at in range(len(data)):
                    await stream.send_all(data[at : at + 1])
                    await nobody_listens.wait() if at == len(data) - 1 else await pause()

            async def pause() -> None:
                with trio.move_on_after(3 / len(data)):
                    await nobody_listens.wait()

            nobody_listens = trio.Event()
            nursery.start_soon(send)
            assert await terminal.receive() == Closing(reason="idle")
            nursery.cancel_scope.cancel()
        assert trio.current_time() - began < 2.5
        assert (await house.closed(1)) == ["idle"]


async def test_messages_keep_a_session_alive(database_urls: TestDatabase) -> None:
    async with open_house(database_urls, idle_s=1) as house:
        silent, busy = await house.terminal(), await house.terminal()
        async with trio.open_nursery() as nursery:

            async def keep_asking() -> None:
                while True:
                    assert (await busy.ask(Echo(**envelope()))).code == 0

            nursery.start_soon(keep_asking)
            assert await silent.receive() == Closing(reason="idle")
            nursery.cancel_scope.cancel()
        await silent.stream.aclose()
        assert await house.closed(1) == ["idle"]
        assert await house.metric("tessera_sessions") == 1


async def test_who_goes_away_during_its_login_leaves_nothing_behind(
    postgres: EmbeddedPostgres, database_urls: TestDatabase
) -> None:
    async with open_house(database_urls) as house:
        for _ in range(5):
            stream = await house.connect()
            third = await third_frame(stream, create_session(house.new_key()))
            with house.books.database.transaction(Scope.everything()) as connection:
                connection.exec_driver_sql("SELECT FROM terminal FOR UPDATE")
                with Executioner.of(postgres, database_urls) as watcher:
                    await stream.send_all(third)
                    await watcher.until_waiting()
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                await trio.aclose_forcefully(stream)
        assert await house.closed(5) == ["connection_lost"] * 5
        assert house.events("conversation_failed") == []
        assert await house.metric("tessera_sessions") == 0


# ---- a peer that does not read ------------------------------------------------------------------


@asynccontextmanager
async def stuck_terminal(house: OpenHouse, key: KeyPair | None = None) -> AsyncIterator[RawTerminal]:
    """A terminal that asks for more than the sockets hold, and takes none of it."""
    with house.books.database.transaction(Scope.everything()) as connection:
        for number in range(8):
            create_price(connection, house.books.house, f"{number}-{'x' * 38}", points=1)
        connection.exec_driver_sql("UPDATE service SET name = repeat('名', 40), name_zh = repeat('名', 40)")
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        plain.setblocking(False)
        sock = trio.socket.from_stdlib_socket(plain.dup())
        await sock.connect(("127.0.0.1", house.server.port))
    async with trio.SocketStream(sock) as stream:
        terminal = await RawTerminal.login(stream, key or house.new_key())
        await terminal.send(*[Catalogue(**envelope()) for _ in range(32)])
        yield terminal


async def test_a_peer_that_never_reads_is_closed_and_nobody_waits_for_it(database_urls: TestDatabase) -> None:
    async with open_house(database_urls, write_s=0.5) as house:
        witness = await house.terminal()
        async with stuck_terminal(house):
            while not house.reasons():
                assert (await witness.ask(Echo(**envelope()))).code == 0
            assert house.reasons() == ["write_timeout"]
        assert (await witness.ask(redeem(house.books.holder()))).code == 0
        assert await house.metric("tessera_sessions") == 1


async def test_a_stop_waits_for_a_stuck_peer_no_longer_than_it_says(database_urls: TestDatabase) -> None:
    async with open_house(database_urls, drain_s=0.3) as house, stuck_terminal(house):
        witness = await house.terminal()
        began = trio.current_time()
        house.server.stop()
        assert await witness.rest() == [Closing(reason="shutdown")]
        await witness.stream.aclose()
        assert await house.closed(2) == ["shutdown", "cut_off"]
        assert trio.current_time() - began < 5


# ---- the end of a session -----------------------------------------------------------------------


async def test_a_fault_while_a_write_is_stuck_closes_at_once(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house, stuck_terminal(house) as terminal:
        await terminal.stream.send_all(flipped(terminal.session.send(Echo(**envelope()))))
        assert await house.closed(1) == ["decrypt"]


async def test_a_session_lives_for_a_day(
    database_urls: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("txserver.conversation.SESSION_SECONDS", 0.2)
    async with open_house(database_urls) as house:
        terminal = await house.terminal()
        assert await terminal.rest() == [Closing(reason="lifetime")]
        assert await house.closed(1) == ["lifetime"]


async def test_a_stop_lets_replies_of_committed_work_out(database_urls: TestDatabase) -> None:
    """Also to a terminal that goes on asking, whose unread requests must not reset the connection."""
    async with open_house(database_urls) as house:
        holders = [house.books.holder(points=120 * 1_000) for _ in range(8)]
        answered = 0

        async def spend(number: int) -> None:
            nonlocal answered
            terminal = await house.terminal()
            ready.append(number)

            async def ask() -> None:
                with trio.CancelScope():
                    try:
                        while True:
                            await terminal.send(redeem(holders[number]))
                            await room.acquire()
                    except trio.BrokenResourceError:
                        return

            room = trio.Semaphore(24)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                last = None
                while not isinstance(last, Closing):
                    last = await terminal.receive()
                    if not isinstance(last, Closing):
                        assert last.code == 0
                        answered += 1
                        room.release()
                nursery.cancel_scope.cancel()

        ready: list[int] = []
        async with trio.open_nursery() as nursery:
            for number in range(len(holders)):
                nursery.start_soon(spend, number)
            while answered < 200:
                await trio.lowlevel.checkpoint()
            house.server.stop()
        ((booked,),) = house.books.ask("SELECT count(*) FROM transaction WHERE kind = 'redeem' AND code = 0")
        assert answered == booked


async def test_a_logout_with_more_behind_it_is_still_answered(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        holder = house.books.holder()
        terminal = await house.terminal()
        with house.books.database.transaction(Scope.everything()) as connection:
            connection.exec_driver_sql("SELECT * FROM account FOR UPDATE")
            await terminal.send(redeem(holder), Logout(**envelope()))
            for _ in range(2):  # Echoes of another, so that the server has read the Logout by then
                assert (await (await house.terminal()).ask(Echo(**envelope()))).code == 0
            await terminal.stream.send_all(os.urandom(5_000))
        replies = await terminal.rest()
        assert [type(reply) for reply in replies] == [RedeemReply, LogoutReply]
        assert replies[0].code == 0
        await terminal.stream.aclose()
        assert await house.closed(1) == ["logout"]


async def test_a_session_that_is_stuck_can_be_replaced(database_urls: TestDatabase) -> None:
    async with open_house(database_urls, write_s=0.3) as house:
        key = house.new_key()
        async with stuck_terminal(house, key):
            newer = await house.terminal(key)
            assert (await newer.ask(Echo(**envelope()))).code == 0
            assert await house.closed(1) == ["replaced"]
        assert (await newer.ask(Echo(**envelope()))).code == 0
