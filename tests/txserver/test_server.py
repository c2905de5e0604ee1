"""The whole path on real parts: socket, frames, batcher, PostgreSQL, and back."""

import os
import urllib.request
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import trio

from ledger import cards, enrolments, terminals
from ledger.database import Scope
from protocol.messages import (
    BalanceInquiry,
    Catalogue,
    Closing,
    ConsumptionInquiry,
    Echo,
    EnrolReply,
    LoginReply,
    Logout,
    LogoutReply,
    ReversalAdvice,
    TransactionStatus,
)
from protocol.noise import KeyPair
from protocol.session import Enrolment
from tests.conftest import TestDatabase
from tests.factories import NOW, PIN, TODAY, create_enrolment, create_keyring, create_price
from tests.txserver.server_house import RawTerminal, envelope, open_house, payload, redeem


async def test_a_debit_its_repeat_and_its_reversal(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        holder = house.books.holder()
        terminal = await house.terminal()
        welcome = terminal.welcome
        assert isinstance(welcome, LoginReply)
        assert (welcome.business_date, welcome.idle_s) == (TODAY.isoformat(), 120)
        message = redeem(holder)
        first = await terminal.ask(message)
        assert (first.code, first.points, first.balance, first.recorded) == (0, 120, 880, False)
        assert first.approval in first.receipt[-1]
        again = await terminal.ask(message)
        assert again == msgspec.structs.replace(first, recorded=True)
        advice = ReversalAdvice(
            **envelope(), original=message.id, credential=payload(holder), reason="cancelled"
        )
        undone = await terminal.ask(advice)
        assert (undone.outcome, undone.points, undone.balance) == ("reversed", 120, 1_000)
        status = TransactionStatus(**envelope(), original=message.id, credential=payload(holder), fence=True)
        told = await terminal.ask(status)
        assert (told.code, told.original_code, told.points, told.reversed) == (0, 0, 120, True)
        assert house.books.posted(holder) == 1_000


async def test_inquiries_and_the_catalogue(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        holder = house.books.holder(expires_on=TODAY + timedelta(days=30))
        terminal = await house.terminal()
        balance = await terminal.ask(BalanceInquiry(**envelope(), credential=payload(holder)))
        assert (balance.balance, balance.held) == (1_000, 0)
        assert [(lot.points, lot.last_day) for lot in balance.expiring] == [(1_000, "2026-12-22")]
        for _ in range(14):
            assert (await terminal.ask(redeem(holder, "cinema", amount=10))).code == 0
        ask = ConsumptionInquiry(**envelope(), credential=payload(holder), pin=PIN)
        first = await terminal.ask(ask)
        assert [item.points for item in first.items] == [-10] * 12
        second = await terminal.ask(msgspec.structs.replace(ask, id=os.urandom(16), cursor=first.cursor))
        assert [(item.kind, item.points) for item in second.items] == [
            ("redeem", -10), ("redeem", -10), ("grant", 1_000),
        ]  # fmt: skip
        assert second.cursor is None
        catalogue = await terminal.ask(Catalogue(**envelope()))
        assert [(item.code, item.points, item.open) for item in catalogue.services] == [
            ("cinema", 1, True), ("wash", 120, False),
        ]  # fmt: skip
        same = await terminal.ask(Catalogue(**envelope(), held=catalogue.version))
        assert (same.unchanged, same.services) == (True, [])


async def test_a_catalogue_comes_in_pages_and_a_new_service_needs_no_restart(
    database_urls: TestDatabase,
) -> None:
    async with open_house(database_urls) as house:
        terminal = await house.terminal()
        held = (await terminal.ask(Catalogue(**envelope()))).version
        with house.books.database.transaction(Scope.everything()) as connection:
            for number in range(20):
                create_price(connection, house.books.house, f"new-{number:02d}", points=7)
        codes: list[str] = []
        after = None
        while True:
            page = await terminal.ask(Catalogue(**envelope(), held=held, after=after))
            codes += [item.code for item in page.services]
            if not page.more:
                break
            after = codes[-1]
        assert codes == sorted(codes)
        assert len(set(codes)) == 22
        assert (await terminal.ask(redeem(house.books.holder(), "new-07"))).points == 7


REFUSALS = {
    "an unknown service": ({"service": "flight"}, 1030),
    "no PIN": ({"pin": None}, 1012),
    "a wrong PIN": ({"pin": "000000"}, 1017),
    "a PIN of letters": ({"pin": "password"}, 1017),
    "too many points": ({"quantity": 9}, 1016),
    "zero": ({"quantity": 0}, 1010),
    "a negative quantity": ({"quantity": -1}, 1010),
    "a huge quantity": ({"quantity": 2**64 - 1}, 1010),
    "an amount where the price is fixed": ({"amount": 5}, 1010),
    "a huge amount": ({"service": "cinema", "amount": 2**63}, 1010),
    "a token that is none": ({"credential": "P1NONSENSE"}, 1011),
    "an empty token": ({"credential": ""}, 1011),
    "a chip's UID with a token of paper": ({"chip": b"1234567"}, 1011),
}


@pytest.mark.parametrize(("fields", "code"), REFUSALS.values(), ids=list(REFUSALS))
async def test_a_refusal_is_coded_and_moves_nothing(
    database_urls: TestDatabase, fields: dict[str, Any], code: int
) -> None:
    async with open_house(database_urls) as house:
        holder = house.books.holder()
        terminal = await house.terminal()
        message = redeem(holder, **fields)
        reply = await terminal.ask(message)
        assert (reply.code, reply.points, reply.approval) == (code, 0, None)
        again = await terminal.ask(message)
        assert again.code == code
        assert again.recorded == (code != 1011), "what names no account has no row to be recorded in"
        assert house.books.posted(holder) == 1_000
        recorded = house.books.ask("SELECT code FROM transaction WHERE kind = 'redeem'")
        assert recorded == ([(code,)] if code != 1011 else [])


async def test_cards_that_are_blocked_lost_or_replaced(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        holder = house.books.holder()
        terminal = await house.terminal()

        async def after(change: object) -> int:
            assert callable(change)
            with house.books.database.transaction(Scope.everything()) as connection:
                change(connection)
            reply = await terminal.ask(redeem(holder))
            assert isinstance(reply.code, int)
            return reply.code

        assert await after(lambda c: cards.set_status(c, holder.card, "suspended", now=NOW)) == 1004
        assert await after(lambda c: cards.set_status(c, holder.card, "lost", now=NOW)) == 1032
        assert await after(lambda c: cards.replace_card(c, holder.card, now=NOW)) == 1025
        new = await terminal.ask(redeem(holder, credential=payload(holder, issue=2)))
        assert new.code == 0


async def test_a_chip_opens_only_with_its_uid(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        holder = house.books.holder()
        terminal = await house.terminal()
        chip = b"\x04\x01\x02\x03\x04\x05\x06"
        token = payload(holder, chip=chip)
        assert (await terminal.ask(redeem(holder, credential=token))).code == 1011
        assert (await terminal.ask(redeem(holder, credential=token, chip=bytes(7)))).code == 1011
        assert (await terminal.ask(redeem(holder, credential=token, chip=chip))).code == 0


async def test_the_same_txid_for_something_else_is_an_error(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        holder = house.books.holder()
        terminal = await house.terminal()
        message = redeem(holder)
        await terminal.ask(message)
        other = await terminal.ask(msgspec.structs.replace(message, quantity=2))
        assert (other.code, other.recorded) == (3008, False)
        assert house.books.posted(holder) == 880
        assert house.books.ask("SELECT count(*) FROM misuse") == [(1,)]


async def test_a_device_enrols_once_and_again_only_with_its_own_key(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        with house.books.database.transaction(Scope.everything()) as connection:
            number = terminals.create_terminal(
                connection, store=house.books.house.store, kind="pos", name="New"
            )
            enrolment_id = create_enrolment(connection, number)
        enrolment = Enrolment(enrolment_id, create_keyring().enrolment_secret(enrolment_id))
        key = KeyPair.from_private(os.urandom(32))
        for _ in range(2):
            terminal = await RawTerminal.enrol(await house.connect(), key, enrolment)
            assert isinstance(terminal.welcome, EnrolReply)
            assert terminal.welcome.terminal == number
            assert (await terminal.ask(Echo(**envelope()))).code == 0
            await terminal.stream.aclose()
        assert (await (await house.terminal(key)).ask(Echo(**envelope()))).code == 0
        other = KeyPair.from_private(os.urandom(32))
        with pytest.raises(EOFError):
            await RawTerminal.enrol(await house.connect(), other, enrolment)


async def test_an_expired_or_unknown_enrolment_is_closed_without_a_word(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        expired, unknown = os.urandom(16), os.urandom(16)
        with house.books.database.transaction(Scope.everything()) as connection:
            number = terminals.create_terminal(
                connection, store=house.books.house.store, kind="pos", name="New"
            )
            assert enrolments.invite(connection, number, enrolment_id=expired, until=NOW, now=NOW)
        for enrolment_id in (expired, unknown):
            enrolment = Enrolment(enrolment_id, create_keyring().enrolment_secret(enrolment_id))
            with pytest.raises(EOFError):
                await RawTerminal.enrol(
                    await house.connect(), KeyPair.from_private(os.urandom(32)), enrolment
                )
        assert await house.closed(2) == ["unknown_key", "unknown_key"]
        noted = [(line["reason"], line["terminal"]) for line in house.events("enrolment_refused")]
        assert noted == [("expired", number), ("unknown", None)]


async def test_both_server_keys_are_answered(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        key = house.new_key()
        for number in (1, 2):
            terminal = await house.terminal(key, server_key_id=number)
            assert (await terminal.ask(Echo(**envelope()))).code == 0


async def test_many_requests_in_flight_are_matched_by_id(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        holder = house.books.holder(points=32 * 120)
        terminal = await house.terminal()
        messages = [redeem(holder) for _ in range(32)]
        await terminal.send(*messages)
        replies = [await terminal.receive() for _ in messages]
        assert {reply.id for reply in replies} == {message.id for message in messages}
        assert {reply.code for reply in replies} == {0}
        assert house.books.posted(holder) == 0


async def test_terminals_at_once_spend_exactly_what_there_is(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        shared = house.books.holder(points=120 * 10)
        terminals_open = [await house.terminal() for _ in range(12)]
        codes: list[int] = []

        async def spend(terminal: RawTerminal) -> None:
            for _ in range(2):
                message = redeem(shared)
                reply = await terminal.ask(message)
                again = await terminal.ask(message)
                assert (again.code, again.recorded) == (reply.code, True)
                codes.append(reply.code)

        async with trio.open_nursery() as nursery:
            for terminal in terminals_open:
                nursery.start_soon(spend, terminal)
        assert sorted(codes) == [0] * 10 + [1016] * 14
        assert house.books.posted(shared) == 0


async def test_the_newest_session_of_a_terminal_wins(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        key = house.new_key()
        older = await house.terminal(key)
        newer = await house.terminal(key)
        assert await older.receive() == Closing(reason="replaced")
        with pytest.raises(EOFError):
            await older.receive()
        assert (await newer.ask(Echo(**envelope()))).code == 0


async def test_a_logout_is_answered_after_what_is_under_way(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        holder = house.books.holder()
        terminal = await house.terminal()
        await terminal.send(redeem(holder), Logout(**envelope()))
        assert (await terminal.receive()).code == 0
        assert isinstance(await terminal.receive(), LogoutReply)
        with pytest.raises(EOFError):
            await terminal.receive()
        assert await house.closed(1) == ["logout"]


async def test_a_silent_terminal_is_told_and_closed(database_urls: TestDatabase) -> None:
    async with open_house(database_urls, idle_s=1) as house:
        terminal = await house.terminal()
        assert await terminal.receive() == Closing(reason="idle")
        assert await house.closed(1) == ["idle"]


async def test_a_debit_is_booked_even_when_the_socket_is_cut_at_once(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        holder = house.books.holder()
        key = house.new_key()
        terminal = await house.terminal(key)
        message = redeem(holder)
        await terminal.send(message)
        await terminal.stream.aclose()
        again = await (await house.terminal(key)).ask(msgspec.structs.replace(message, repeat=True))
        assert (again.code, again.points) == (0, 120)
        assert house.books.posted(holder) == 880


async def test_a_stop_drains_tells_the_terminals_and_loses_nothing(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        holder = house.books.holder(points=120 * 32)
        terminal = await house.terminal()
        await terminal.send(*[redeem(holder) for _ in range(32)])
        first = await terminal.receive()
        assert first.code == 0
        house.server.stop()
        received = await terminal.rest()
        assert received[-1] == Closing(reason="shutdown")
        acknowledged = 1 + len(received) - 1
        ((booked,),) = house.books.ask("SELECT count(*) FROM transaction WHERE kind = 'redeem' AND code = 0")
        assert booked >= acknowledged
        with pytest.raises(OSError, match="connect"):
            await house.connect()


async def test_health_and_metrics(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        terminal = await house.terminal()
        await terminal.ask(redeem(house.books.holder()))

        def get(path: str) -> tuple[int, str]:
            url = f"http://127.0.0.1:{house.server.health_port}{path}"
            with urllib.request.urlopen(url, timeout=10) as response:
                return response.status, response.read().decode()

        assert await trio.to_thread.run_sync(get, "/health") == (200, '{"status": "ok"}\n')
        status, page = await trio.to_thread.run_sync(get, "/metrics")
        assert status == 200
        assert 'tessera_replies_total{code="0",message="Redeem",recorded="false"} 1.0' in page
        assert "tessera_sessions 1.0" in page


async def test_no_secret_reaches_the_log(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        holder = house.books.holder()
        terminal = await house.terminal()
        message = redeem(holder)
        for each in (message, redeem(holder, pin="271828"), redeem(holder, "none")):
            await terminal.ask(each)
        await terminal.stream.aclose()
        await house.closed(1)
        log = house.log.getvalue()
        assert PIN not in log
        assert "271828" not in log
        assert message.credential not in log
        for key in (*create_keyring().server_keys.values(), create_keyring().pin_key):
            assert key.hex() not in log
