"""A real server for an emulated POS: enrolment codes of its store, and a counter that has enrolled."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from ledger import terminals
from ledger.database import Scope
from protocol.credentials import enrolment_code
from protocol.noise import KeyPair
from protocol.session import Enrolment
from tests.conftest import TestDatabase
from tests.desk import Books
from tests.factories import create_enrolment, create_keyring
from tests.txserver.pos_desk import Counter
from tests.txserver.server_house import OpenHouse, open_house

SERVER_KEY = 1


def new_code(books: Books, port: int) -> str:
    """The enrolment code of a new terminal at the house's store."""
    with books.database.transaction(Scope.everything()) as connection:
        number = terminals.create_terminal(connection, store=books.house.store, kind="pos", name="POS")
        enrolment_id = create_enrolment(connection, number)
    keyring = create_keyring()
    server_key = KeyPair.from_private(keyring.server_keys[SERVER_KEY]).public
    enrolment = Enrolment(enrolment_id, keyring.enrolment_secret(enrolment_id))
    return enrolment_code(enrolment, server_key, SERVER_KEY, "127.0.0.1", port)


@asynccontextmanager
async def open_counter(urls: TestDatabase, folder: Path) -> AsyncIterator[tuple[OpenHouse, Counter]]:
    """A server, and a POS that has enrolled at it."""
    async with open_house(urls) as house:
        counter = Counter(folder, trio.open_tcp_stream)
        assert await counter.command("enrol", new_code(house.books, house.server.port)) == 0
        yield house, counter
