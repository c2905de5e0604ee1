"""What a terminal is told when it comes in, and what is noted of it."""

import os
from datetime import timedelta
from typing import Any

import pytest

from ledger import terminals
from ledger.database import Scope
from protocol.messages import Echo, EnrolReply, KeyChange, Login, LoginReply
from protocol.noise import KeyPair
from protocol.session import Enrolment
from tests.conftest import TestDatabase
from tests.factories import NOW, create_enrolment, create_keyring
from tests.txserver.hostile import create_session, third_frame
from tests.txserver.server_house import OpenHouse, RawTerminal, envelope, open_house
from txserver.context import millis

NEWEST = KeyPair.from_private(create_keyring().server_keys[2]).public


async def log_in(house: OpenHouse, key: KeyPair, **fields: Any) -> RawTerminal:
    """A terminal whose Login says this of itself."""
    hello = Login(**envelope(**({"software": "raw", "last_stan": 0} | fields)))
    session = create_session(key, hello=hello)
    stream = await house.connect()
    await stream.send_all(await third_frame(stream, session))
    terminal = RawTerminal(stream, session)
    terminal.welcome = await terminal.receive()
    return terminal


def welcome(terminal: RawTerminal) -> LoginReply:
    assert isinstance(terminal.welcome, LoginReply)
    return terminal.welcome


async def test_the_servers_newest_key_is_told_with_its_id(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        reply = welcome(await house.terminal())
        assert (reply.next_key, reply.next_key_id) == (NEWEST, 2)
        assert (reply.last_batch, reply.change_key) == (None, False)


async def test_a_new_device_is_told_them_too(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        with house.books.database.transaction(Scope.everything()) as connection:
            number = terminals.create_terminal(
                connection, store=house.books.house.store, kind="pos", name="New"
            )
            enrolment_id = create_enrolment(connection, number)
        enrolment = Enrolment(enrolment_id, create_keyring().enrolment_secret(enrolment_id))
        terminal = await RawTerminal.enrol(
            await house.connect(), KeyPair.from_private(os.urandom(32)), enrolment
        )
        reply = terminal.welcome
        assert isinstance(reply, EnrolReply)
        assert (reply.next_key, reply.next_key_id) == (NEWEST, 2)
        assert (await terminal.ask(Echo(**envelope()))).code == 0
        assert terminal.notices == []


async def test_a_terminal_that_is_to_change_its_key_is_told_until_it_has(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        key, new = house.new_key(), KeyPair.from_private(os.urandom(32))
        number = welcome(await house.terminal(key)).terminal
        with house.books.database.transaction(Scope.everything()) as connection:
            terminals.ask_key_change(connection, number)
        for _ in range(2):
            terminal = await house.terminal(key)
            assert welcome(terminal).change_key
        assert (await terminal.ask(KeyChange(**envelope(), key=new.public))).code == 0
        assert not welcome(await house.terminal(new)).change_key


async def test_a_key_that_has_grown_old_is_to_be_changed(database_urls: TestDatabase) -> None:
    async with open_house(database_urls, key_days=30) as house:
        key, new = house.new_key(), KeyPair.from_private(os.urandom(32))
        house.edge.at = NOW + timedelta(days=30)
        assert not welcome(await house.terminal(key)).change_key
        house.edge.at += timedelta(seconds=1)
        terminal = await house.terminal(key)
        assert welcome(terminal).change_key
        assert (await terminal.ask(KeyChange(**envelope(), key=new.public))).code == 0
        assert not welcome(await house.terminal(new)).change_key


@pytest.mark.parametrize("off", [timedelta(days=2), timedelta(days=-2), timedelta(minutes=10, seconds=1)])
async def test_a_clock_that_is_wrong_is_accepted_and_noted(
    database_urls: TestDatabase, off: timedelta
) -> None:
    async with open_house(database_urls) as house:
        terminal = await log_in(house, house.new_key(), at=millis(NOW + off))
        assert welcome(terminal).server_at == millis(NOW)
        for _ in range(2):
            assert (await terminal.ask(Echo(**envelope(at=millis(NOW + off))))).code == 0
        (line,) = house.events("terminal_clock_off")
        seconds = round(off.total_seconds())
        assert (line["terminal"], line["seconds"]) == (welcome(terminal).terminal, seconds)
        noted = house.books.ask(
            "SELECT clock_off_s FROM terminal WHERE id = :id", id=welcome(terminal).terminal
        )
        assert noted == [(seconds,)]


@pytest.mark.parametrize("at", [0, 253_402_300_799_999])
async def test_a_clock_without_sense_is_accepted_too(database_urls: TestDatabase, at: int) -> None:
    async with open_house(database_urls) as house:
        terminal = await log_in(house, house.new_key(), at=at)
        assert (await terminal.ask(Echo(**envelope(at=at)))).code == 0
        assert len(house.events("terminal_clock_off")) == 1


async def test_a_clock_that_is_nearly_right_is_no_news(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        await log_in(house, house.new_key(), at=millis(NOW + timedelta(minutes=10)))
        assert house.events("terminal_clock_off") == []


async def test_the_process_that_has_the_newest_session_is_noted(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        first, second = [welcome(await house.terminal()).terminal for _ in range(2)]
        ((one,), (other,)) = house.books.ask(
            "SELECT worker FROM terminal WHERE id IN (:a, :b)", a=first, b=second
        )
        assert one == other
        assert len(one) == 16
