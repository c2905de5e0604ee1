"""The emulated POS against the real server and a real PostgreSQL, from the enrolment code to the history."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import trio
from msgspec.structs import replace

from ledger import terminals
from ledger.database import Scope
from protocol.credentials import enrolment_code
from protocol.noise import KeyPair
from protocol.session import Enrolment
from tests.conftest import TestDatabase
from tests.factories import NOW, PIN, create_keyring
from tests.txserver.pos_desk import Counter
from tests.txserver.server_house import OpenHouse, open_house, payload
from txserver.terminal_rules import State
from txserver.terminal_store import PurchaseStore

SERVER_KEY = 1


def new_code(house: OpenHouse) -> str:
    """The enrolment code of a new terminal at the house's store."""
    enrolment_id = os.urandom(16)
    with house.books.database.transaction(Scope.everything()) as connection:
        number = terminals.create_terminal(connection, store=house.books.house.store, kind="pos", name="POS")
        terminals.create_enrolment(
            connection, number, enrolment_id=enrolment_id, expires_at=NOW + timedelta(hours=1)
        )
    keyring = create_keyring()
    server_key = KeyPair.from_private(keyring.server_keys[SERVER_KEY]).public
    enrolment = Enrolment(enrolment_id, keyring.enrolment_secret(enrolment_id))
    return enrolment_code(enrolment, server_key, SERVER_KEY, "127.0.0.1", house.server.port)


@asynccontextmanager
async def open_counter(urls: TestDatabase, folder: Path) -> AsyncIterator[tuple[OpenHouse, Counter]]:
    """A server, and a POS that has enrolled at it."""
    async with open_house(urls) as house:
        counter = Counter(folder, trio.open_tcp_stream)
        assert await counter.command("enrol", new_code(house)) == 0
        yield house, counter


async def test_a_debit_its_repeat_its_status_and_its_reversal(
    database_urls: TestDatabase, tmp_path: Path
) -> None:
    async with open_counter(database_urls, tmp_path) as (house, counter):
        holder = house.books.holder()
        card = ("--card", payload(holder))
        redeem = ("redeem", *card, "--service", "wash", "--pin", PIN)
        code, sold = await counter.json(*redeem)
        assert (code, sold["outcome"], sold["points"], sold["balance"]) == (0, "approved", 120, 880)
        code, again = await counter.json(*redeem, "--txid", sold["txid"])
        assert (code, again["recorded"], again["approval"]) == (0, True, sold["approval"])
        assert house.books.posted(holder) == 880
        code, status = await counter.json("status", sold["txid"])
        assert (code, status["original_code"], status["approval"]) == (0, 0, sold["approval"])
        code, undone = await counter.json("reverse", "last")
        assert (code, undone["outcome"], undone["balance"]) == (0, "reversed", 1_000)
        assert house.books.posted(holder) == 1_000
        _, history = await counter.json("history", *card, "--pin", PIN)
        assert [item["kind"] for item in history["items"]][:2] == ["reversal", "redeem"]


async def test_refusals_are_coded_and_cost_nothing(database_urls: TestDatabase, tmp_path: Path) -> None:
    async with open_counter(database_urls, tmp_path) as (house, counter):
        holder = house.books.holder(points=100)
        card = ("--card", payload(holder))
        tries = {
            1016: (*card, "--service", "wash", "--pin", PIN),
            1012: (*card, "--service", "wash"),
            1017: (*card, "--service", "wash", "--pin", "000000"),
            1030: (*card, "--service", "haircut", "--pin", PIN),
            1010: (*card, "--service", "wash", "--pin", PIN, "--quantity", "-3"),
            1011: ("--card", "P1" + "A" * 104, "--service", "wash", "--pin", PIN),
        }
        for expected, arguments in tries.items():
            code, facts = await counter.json("redeem", *arguments)
            assert (code, facts["code"], facts["unsettled"]) == (1, expected, 0)
        assert house.books.posted(holder) == 100


async def test_balance_catalogue_and_the_screen(database_urls: TestDatabase, tmp_path: Path) -> None:
    async with open_counter(database_urls, tmp_path) as (house, counter):
        holder = house.books.holder()
        card = payload(holder)
        assert (await counter.json("balance", "--card", card))[1]["balance"] == 1_000
        services = (await counter.json("catalogue"))[1]["services"]
        assert {service["code"] for service in services} == {"wash", "cinema"}
        assert await counter.screen("2", card, "cinema", "250", PIN, "3", "4", PIN, "5", "", "y", "8") == 0
        for word in ("APPROVED", "BALANCE", "HISTORY", "REVERSED"):
            assert word in counter.paper.getvalue()
        assert house.books.posted(holder) == 1_000


async def test_a_purchase_left_unknown_is_settled_at_the_next_start(
    database_urls: TestDatabase, tmp_path: Path
) -> None:
    """Killed after the server booked it: the answer was on its way, and nothing reached the disk."""
    async with open_counter(database_urls, tmp_path) as (house, counter):
        holder = house.books.holder()
        redeem = ("redeem", "--card", payload(holder), "--service", "wash", "--pin", PIN)
        await counter.json(*redeem)
        forget_the_answer(tmp_path)
        code, second = await counter.json(*redeem)
        assert (code, second["balance"], second["unsettled"]) == (0, 760, 0)
        assert "APPROVED" in counter.voice.getvalue()


def forget_the_answer(folder: Path) -> None:
    """Put the store back to where it was before the reply."""
    store = PurchaseStore(folder)
    (purchase,) = store.recent(9)
    store.write(replace(purchase, state=State.OPEN, answer=None), store.last_stan())
    store.close()
