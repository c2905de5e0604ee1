"""Reads of the server: how long they may take, and that nothing is written for who has gone away."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
import trio
from sqlalchemy import text

from ledger.database import Database, Scope
from ledger.logins import LoggedIn, Login
from protocol.messages import Catalogue, Echo, KeyChange
from tests.conftest import TestDatabase
from tests.desk import WAITING, until_somebody_waits
from tests.factories import NOW, TODAY, create_keyring
from tests.txserver.batching import running_batcher
from tests.txserver.scenes import create_scene
from tests.txserver.server_house import PATIENCE_S, envelope, open_house, redeem
from txserver.batcher import Batcher
from txserver.context import PATIENCE_SECONDS, Context
from txserver.turns import PER_TERMINAL, Turns


@pytest.fixture
def database(database_urls: TestDatabase) -> Iterator[Database]:
    opened = Database(database_urls.server)
    yield opened
    opened.close()


async def test_a_read_and_a_login_wait_for_no_statement_for_long(
    database_urls: TestDatabase, database: Database
) -> None:
    def patience(connection: Any) -> object:
        return connection.execute(text("SHOW statement_timeout")).scalar_one()

    async with running_batcher(database_urls) as bench:
        context = Context(
            batcher=bench.batcher,
            logins=cast("Batcher[Login, LoggedIn]", None),
            database=database,
            turns=Turns(enrolments=1, reads=1),
            keyring=create_keyring(),
            now=lambda: NOW,
            books_now=None,
            business_date=TODAY,
        )
        assert await context.read(1, patience) == f"{PATIENCE_SECONDS}s"
        assert await context.enrol(patience) == f"{PATIENCE_SECONDS}s"


async def test_a_terminal_whose_reads_are_stuck_keeps_nobody_out_and_spends_itself(
    database_urls: TestDatabase, database: Database
) -> None:
    async with open_house(database_urls) as house:
        stuck, other, key = await create_scene(house), await create_scene(house), house.new_key()
        everything = Scope.everything()
        with database.transaction(everything) as connection, trio.fail_after(PATIENCE_S):
            connection.exec_driver_sql("SELECT FROM terminal WHERE id = %s FOR UPDATE", (stuck.number,))
            await stuck.terminal.send(
                *(KeyChange(**envelope(), key=bytes([number] * 32)) for number in range(1, 21))
            )
            await trio.to_thread.run_sync(lambda: until_somebody_waits(connection, sessions=PER_TERMINAL))
            assert (await other.terminal.ask(Catalogue(**envelope()))).code == 0
            assert (await (await house.terminal(key)).ask(Echo(**envelope()))).code == 0
            debit = redeem(stuck.holder)
            await stuck.terminal.send(debit)
            while (reply := await stuck.terminal.receive()).id != debit.id:
                assert reply.code == 1811  # a lock is waited for no longer than five seconds
            assert reply.code == 0
            _, waiting = connection.execute(text(WAITING)).one()
            assert waiting == PER_TERMINAL
