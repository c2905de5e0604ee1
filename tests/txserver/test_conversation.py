"""Bad input: the connection closes with one line in the log, and nobody else notices anything."""

import os
from collections.abc import Callable
from pathlib import Path

import msgpack  # type: ignore[import-untyped]
import trio

from ledger import terminals
from ledger.database import Scope
from protocol.codec import encode
from protocol.framing import frame
from protocol.messages import BalanceInquiry, Echo, EchoReply, Enrol, Login, Logout, Message
from protocol.noise import KeyPair
from tests.conftest import TestDatabase
from tests.protocol.factories import LOW_ORDER_POINTS
from tests.txserver.hostile import (
    FRAME_2,
    create_enrolling,
    create_session,
    flipped,
    forged,
    opening,
    packed,
    plaintext,
    received,
    send_quietly,
    third_frame,
    undisturbed,
    until_closed,
)
from tests.txserver.server_house import OpenHouse, RawTerminal, envelope, open_house, payload, redeem

OPENINGS: dict[str, tuple[Callable[[], bytes], str]] = {
    "another protocol": (lambda: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "frame_too_long"),
    "random bytes": (lambda: frame(bytes(range(64))), "magic"),
    "an empty frame": (lambda: b"\0\0", "frame_empty"),
    "a frame too long by one": (lambda: (257).to_bytes(2, "big"), "frame_too_long"),
    "the longest length": (lambda: b"\xff\xff" + bytes(65_535), "frame_too_long"),
    "a wrong magic": (lambda: opening(3, b"2"), "magic"),
    "an unknown suite": (lambda: opening(4, b"\x02"), "suite"),
    "an unknown server key": (lambda: opening(5, b"\x09"), "server_key"),
    "an unknown flag": (lambda: opening(6, b"\0\x02"), "flags"),
    "every flag": (lambda: opening(6, b"\xff\xff"), "flags"),
    "an enrolment without its id": (lambda: opening(6, b"\0\x01"), "handshake_length"),
    "a short first frame": (lambda: frame(opening()[2:-1]), "handshake_length"),
    "a long first frame": (lambda: frame(opening()[2:] + b"\0"), "handshake_length"),
    "another server's key": (
        lambda: create_session(server_key=KeyPair.from_private(bytes([9] * 32)).public).start(), "decrypt"
    ),
    "the wrong one of the server's keys": (lambda: opening(5, b"\x02"), "decrypt"),
    "a first frame with a bit turned": (lambda: flipped(opening()), "decrypt"),
    "two first frames": (lambda: opening() + opening(), "decrypt"),
    "a truncated frame, then the end": (lambda: opening()[:30], "connection_lost"),
    "half a length, then the end": (lambda: b"\0", "connection_lost"),
    "nothing, then the end": (lambda: b"", "connection_lost"),
    "the first frame, then the end": (opening, "connection_lost"),
    **{
        f"a low-order ephemeral key, {number}": (
            lambda point=point: opening(8, point), "bad_point"  # type: ignore[misc]
        )
        for number, point in enumerate(LOW_ORDER_POINTS)
    },
}  # fmt: skip


async def test_a_bad_opening_closes(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        for case, (make, reason) in OPENINGS.items():
            async with undisturbed(house, case, reason):
                stream = await house.connect()
                await send_quietly(stream, make())
                if reason == "connection_lost":
                    await stream.send_eof()
                assert len(await until_closed(stream)) <= FRAME_2


def greeting(hello: Message | bytes) -> Callable[[], bytes]:
    """Makes the plaintext of frame 3."""
    return lambda: hello if isinstance(hello, bytes) else encode(hello)


HELLOS: dict[str, tuple[Callable[[], bytes], str]] = {
    "an Echo in place of the Login": (greeting(Echo(**envelope())), "order"),
    "an Enrol without an invitation": (greeting(Enrol(**envelope(), model="m", software="s")), "order"),
    "a reply": (lambda: plaintext(0x84, packed(code=0)), "fields"),
    "no message": (lambda: b"", "padding"),
    "padding alone": (lambda: bytes(64), "padding"),
    "not msgpack": (lambda: plaintext(0x02, b"\xc1"), "msgpack"),
    "a Login without software": (lambda: plaintext(0x02, packed(last_stan=0)), "fields"),
}


async def test_a_bad_first_message_closes(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        key = house.new_key()
        for case, (make, reason) in HELLOS.items():
            async with undisturbed(house, case, reason):
                session = create_session(key)
                session._hello_plaintext = make()
                stream = await house.connect()
                await stream.send_all(await third_frame(stream, session))
                assert await until_closed(stream) == b""


async def test_a_low_order_point_as_the_terminals_own_key_closes(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        for point in LOW_ORDER_POINTS:
            async with undisturbed(house, point.hex(), "bad_point"):
                stream = await house.connect()
                session = create_session(KeyPair(private=os.urandom(32), public=point))
                await stream.send_all(await third_frame(stream, session))
                assert await until_closed(stream) == b""


async def test_a_third_frame_with_a_bit_turned_closes(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        key = house.new_key()
        for at in (2, 40, 60, -1):
            async with undisturbed(house, f"byte {at}", "decrypt"):
                stream = await house.connect()
                await stream.send_all(flipped(await third_frame(stream, create_session(key)), at))
                assert await until_closed(stream) == b""


async def test_a_wrong_enrolment_secret_closes(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house, undisturbed(house, "made up", "decrypt"):
        stream = await house.connect()
        await stream.send_all(await third_frame(stream, create_enrolling()))
        assert await until_closed(stream) == b""


async def test_a_replayed_handshake_closes(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        stream = await house.connect()
        session = create_session(house.new_key())
        first = session.start()
        await stream.send_all(first)
        session.receive_data(await received(stream, FRAME_2))
        third = session.data_to_send()
        await stream.send_all(third)
        await stream.receive_some()
        async with undisturbed(house, "frame by frame", "decrypt"):
            replayed = await house.connect()
            await replayed.send_all(first)
            await received(replayed, FRAME_2)
            await replayed.send_all(third)
            assert await until_closed(replayed) == b""
        async with undisturbed(house, "at once", "decrypt"):
            replayed = await house.connect()
            await send_quietly(replayed, first + third)
            assert len(await until_closed(replayed)) <= FRAME_2


async def test_a_key_that_may_not_log_in_is_closed_without_a_byte(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        revoked, unknown = house.new_key(), KeyPair.from_private(os.urandom(32))
        ((number,),) = house.books.ask("SELECT id FROM terminal WHERE public_key = :k", k=revoked.public)
        with house.books.database.transaction(Scope.everything()) as connection:
            terminals.revoke(connection, number)
        for case, key in (("revoked", revoked), ("unknown", unknown)):
            async with undisturbed(house, case, "unknown_key"):
                stream = await house.connect()
                await stream.send_all(await third_frame(stream, create_session(key)))
                assert await until_closed(stream) == b""


# ---- after the login ----------------------------------------------------------------------------

ECHO = Echo.type
LATER: dict[str, tuple[bytes, str]] = {
    "an unknown type": (plaintext(0x77, packed()), "message_type"),
    "type zero": (plaintext(0x00, packed()), "message_type"),
    "a text where a number belongs": (plaintext(ECHO, packed(stan="1")), "fields"),
    "a number where a text belongs": (plaintext(0x06, packed(after=1)), "fields"),
    "a number for a truth": (plaintext(ECHO, packed(repeat=1)), "fields"),
    "an id that is too short": (plaintext(ECHO, packed(id=b"x")), "fields"),
    "an id as a text": (plaintext(ECHO, packed(id="AAAAAAAAAAAAAAAAAAAAAA==")), "fields"),
    "a trace number out of range": (plaintext(ECHO, packed(stan=1_000_000)), "fields"),
    "a negative batch": (plaintext(ECHO, packed(batch=-1)), "fields"),
    "a field that does not exist": (plaintext(ECHO, packed(terminal=1)), "fields"),
    "a missing field": (plaintext(ECHO, b"\x80"), "fields"),
    "a list in place of the map": (plaintext(ECHO, msgpack.packb([1])), "fields"),
    "a number in place of the map": (plaintext(ECHO, b"\x01"), "fields"),
    "the same key twice": (plaintext(ECHO, b"\x85" + packed()[1:] + b"\xa4stan\x01"), "duplicate_key"),
    "a key that is a number": (plaintext(ECHO, b"\x81\x01\x01"), "msgpack"),
    "nesting": (plaintext(ECHO, packed(stan=[[[1]]])), "too_deep"),
    "very deep nesting": (plaintext(ECHO, b"\x91" * 2_000 + b"\x01"), "msgpack"),
    "a float": (plaintext(ECHO, packed(stan=1.0)), "float"),
    "not a number": (plaintext(ECHO, packed(stan=float("nan"))), "float"),
    "an extension": (plaintext(ECHO, packed(stan=msgpack.ExtType(5, b""))), "extension"),
    "a timestamp": (plaintext(ECHO, packed(stan=msgpack.Timestamp(1))), "msgpack"),
    "a zero byte in a text": (plaintext(0x06, packed(after="a\0b")), "nul_in_text"),
    "a text that is not UTF-8": (plaintext(0x06, b"\x81\xa5after\xa1\xff"), "msgpack"),
    "a map that announces more than there is": (plaintext(ECHO, b"\xdf\xff\xff\xff\xff"), "msgpack"),
    "bytes after the map": (plaintext(ECHO, packed() + b"\x01"), "msgpack"),
    "no padding mark": (bytes(64), "padding"),
    "a length that is no multiple": (plaintext(ECHO, packed())[:-1], "padding"),
    "too much padding": (plaintext(ECHO, packed()) + bytes(64), "padding"),
    "nothing": (b"", "padding"),
    "a reply": (encode(EchoReply(
        id=bytes(16), code=0, text="", server_at=0, business_date="2026-01-01")), "wrong_direction"),
    "a closing": (plaintext(0xFF, msgpack.packb({"reason": "x"})), "wrong_direction"),
    "a second Login": (encode(Login(**envelope(), software="s", last_stan=0)), "order"),
    "an Enrol": (encode(Enrol(**envelope(), model="m", software="s")), "order"),
}  # fmt: skip


async def test_a_bad_message_closes(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        for case, (plain, reason) in LATER.items():
            terminal = await house.terminal()
            async with undisturbed(house, case, reason):
                await terminal.stream.send_all(forged(terminal, plain))
                assert await until_closed(terminal.stream) == b""


def echo_frame(terminal: RawTerminal) -> bytes:
    return terminal.session.send(Echo(**envelope()))


FRAMES: dict[str, tuple[Callable[[RawTerminal], bytes], str]] = {
    "a frame too long by one": (lambda terminal: (4_097).to_bytes(2, "big"), "frame_too_long"),
    "an empty frame": (lambda terminal: b"\0\0", "frame_empty"),
    "random bytes": (lambda terminal: frame(os.urandom(80)), "decrypt"),
    "less than a tag": (lambda terminal: frame(b"x"), "decrypt"),
    "a bit turned": (lambda terminal: flipped(echo_frame(terminal)), "decrypt"),
    "a frame twice": (lambda terminal: echo_frame(terminal) * 2, "decrypt"),
    "two frames in the wrong order": (
        lambda terminal: b"".join(reversed([echo_frame(terminal), echo_frame(terminal)])), "decrypt"
    ),
    "a frame left out": (lambda terminal: (echo_frame(terminal), echo_frame(terminal))[1], "decrypt"),
    "a message after the Logout": (
        lambda terminal: terminal.session.send(Logout(**envelope()))
        + forged(terminal, encode(Echo(**envelope()))),
        "after_last",
    ),
}  # fmt: skip


async def test_a_bad_frame_closes(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        for case, (make, reason) in FRAMES.items():
            terminal = await house.terminal()
            async with undisturbed(house, case, reason):
                await terminal.stream.send_all(make(terminal))
                assert await until_closed(terminal.stream) == b""


async def test_a_frame_that_is_cut_by_the_end_does_nothing(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        holder = house.books.holder()
        terminal = await house.terminal()
        async with undisturbed(house, "a frame cut short", "connection_lost"):
            await terminal.stream.send_all(terminal.session.send(redeem(holder))[:-1])
            await terminal.stream.send_eof()
            assert await until_closed(terminal.stream) == b""


async def test_a_request_that_comes_with_the_login_closes(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        holder = house.books.holder()
        key = house.new_key()
        async with undisturbed(house, "Login and more", "order"):
            stream = await house.connect()
            session = create_session(key)
            third = await third_frame(stream, session)
            assert session._sending is not None
            early = frame(session._sending.encrypt(encode(redeem(holder))))
            await stream.send_all(third + early)
            assert await until_closed(stream) == b""


async def test_one_request_more_than_may_be_in_flight_closes(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        holder = house.books.holder()
        terminal = await house.terminal()
        async with undisturbed(house, "33", "in_flight"):
            ask = BalanceInquiry(**envelope(), credential=payload(holder))
            await terminal.send(*[ask] * 33)
            await until_closed(terminal.stream)


async def test_debits_of_a_terminal_that_broke_the_rules_afterwards_are_whole(
    database_urls: TestDatabase,
) -> None:
    async with open_house(database_urls) as house:
        holder = house.books.holder(points=120 * 40)
        key = house.new_key()
        terminal = await house.terminal(key)
        messages = [redeem(holder) for _ in range(33)]
        await terminal.send(*messages)
        await until_closed(terminal.stream)
        again = await house.terminal(key)
        for message in messages:
            assert (await again.ask(message)).code == 0
        assert house.books.posted(holder) == 120 * 7


async def test_a_closed_session_says_nothing_more(database_urls: TestDatabase) -> None:
    """Replies that were under way when the peer broke the rules are not sent after it."""
    async with open_house(database_urls) as house:
        terminal = await house.terminal()
        await terminal.stream.send_all(echo_frame(terminal) + flipped(echo_frame(terminal)))
        assert await until_closed(terminal.stream) == b""


def descriptors() -> int:
    """How many files and sockets this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_bad_peers_at_once_leave_nothing_behind(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        witness = await house.terminal()
        before = descriptors()

        async def bad(house: OpenHouse, data: bytes) -> None:
            stream = await trio.open_tcp_stream("127.0.0.1", house.server.port)
            async with stream:
                await send_quietly(stream, data)
                await until_closed(stream)

        async with trio.open_nursery() as nursery:
            for make, reason in OPENINGS.values():
                if reason != "connection_lost":
                    for _ in range(5):
                        nursery.start_soon(bad, house, make())
        await house.closed(5 * sum(reason != "connection_lost" for _, reason in OPENINGS.values()))
        assert (await witness.ask(Echo(**envelope()))).code == 0
        assert await house.metric("tessera_unauthenticated_connections") == 0
        assert await house.metric("tessera_sessions") == 1
        assert descriptors() <= before + 2  # of the thread that asked for the metrics
