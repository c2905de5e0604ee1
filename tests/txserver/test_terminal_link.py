"""The line: sessions that end in every way, echoes, renewal, the window, inquiries over it."""

import dataclasses

import pytest
import trio
import trio.testing
from msgspec.structs import replace
from trio.testing import MockClock

from protocol.limits import MAX_IN_FLIGHT
from protocol.messages import (
    BalanceInquiry,
    Catalogue,
    CatalogueItem,
    Closing,
    Echo,
    Login,
    Logout,
    Redeem,
    Reply,
    Request,
    TransactionStatus,
)
from tests.txserver.terminal_peer import (
    CARD,
    PIN,
    SERVER_KEY,
    Door,
    Fault,
    Peer,
    create_identity,
    create_terminal,
)
from txserver.terminal import Terminal, UnknownPurchase, Unreachable, open_terminal
from txserver.terminal_identity import ServerKey
from txserver.terminal_link import SESSION_S


@pytest.fixture
async def peer(nursery: trio.Nursery) -> Peer:
    return Peer(nursery)


async def come_online(terminal: Terminal) -> None:
    while not await terminal.ready():
        pass


def trouble_of(terminal: Terminal) -> str | None:
    return None if terminal.trouble is None else terminal.trouble.kind


@pytest.mark.parametrize(
    ("door", "kind", "after_s"),
    [
        (Door.REFUSED, "unreachable", 0.1),
        (Door.CUT_AT_ONCE, "closed", 0.1),
        (Door.CUT_AFTER_HANDSHAKE, "closed", 0.1),
        (Door.SILENT, "silent", 10.1),
        (Door.GARBAGE, "protocol", 0.1),
    ],
)
async def test_trouble_has_a_name_and_ends(
    autojump_clock: MockClock, peer: Peer, door: Door, kind: str, after_s: float
) -> None:
    peer.doors.append(door)
    terminal = create_terminal(peer)
    async with open_terminal(terminal):
        await trio.sleep(after_s)
        assert trouble_of(terminal) == kind
        await come_online(terminal)
        assert trouble_of(terminal) is None
    assert peer.connections == 2


async def test_a_refused_login_is_tried_again(autojump_clock: MockClock, peer: Peer) -> None:
    peer.login_code = 1020
    terminal = create_terminal(peer)
    async with open_terminal(terminal):
        assert not await terminal.ready()
        assert terminal.trouble is not None
        assert (terminal.trouble.kind, terminal.trouble.detail) == ("refused", "1020 Refused")
        peer.login_code = 0
        await come_online(terminal)
        assert terminal.hello is not None
        assert terminal.hello.store == "North Gate"


async def test_echoes_keep_an_idle_line(autojump_clock: MockClock, peer: Peer) -> None:
    peer.idle_s = 30
    async with open_terminal(create_terminal(peer)) as terminal:
        await come_online(terminal)
        await trio.sleep(30.5)
        assert len(peer.seen(Echo)) == 3
        # A request is proof of life too.
        await trio.sleep(5)
        await terminal.balance(CARD)
        await trio.sleep(9)
        assert len(peer.seen(Echo)) == 3
    assert peer.connections == 1


async def test_an_echo_without_an_answer_makes_a_new_session(autojump_clock: MockClock, peer: Peer) -> None:
    reply_to, lost = peer.reply_to, trio.Event()

    def cut_once(request: Request) -> Reply:
        if isinstance(request, Echo) and not lost.is_set():
            lost.set()
            raise trio.BrokenResourceError
        return reply_to(request)

    peer.reply_to = cut_once  # type: ignore[method-assign]
    async with open_terminal(create_terminal(peer)) as terminal:
        await trio.sleep(100)
        assert terminal.online
    assert peer.connections == 2


async def test_a_session_is_made_anew_before_a_day_is_over(autojump_clock: MockClock, peer: Peer) -> None:
    peer.idle_s = 36_000
    async with open_terminal(create_terminal(peer)) as terminal:
        await come_online(terminal)
        await trio.sleep(SESSION_S - 5)
        peer.faults.append(Fault.LATE)
        with pytest.raises(Unreachable):  # 10 s of silence
            await terminal.balance(CARD)
        await come_online(terminal)
        before = peer.connections
        await trio.sleep(SESSION_S + 10)
        assert peer.connections == before + 1
        assert isinstance(peer.received[-2], Logout)
        assert isinstance(peer.received[-1], Login)
        assert terminal.online


async def test_renewal_waits_for_what_is_under_way(autojump_clock: MockClock, peer: Peer) -> None:
    peer.idle_s = 10**6
    async with open_terminal(create_terminal(peer)) as terminal, trio.open_nursery() as nursery:
        await come_online(terminal)
        await trio.sleep(SESSION_S - 1)
        peer.faults.append(Fault.IGNORE)

        @nursery.start_soon
        async def _() -> None:
            await terminal.redeem(CARD, "wash", pin=PIN)

        # The reply never comes: the session ends after its 10 s, with no Logout, and the purchase goes on.
        await trio.sleep(15)
    assert [request.repeat for request in peer.seen(Redeem)] == [False, True]
    assert peer.books.times == 1


@pytest.mark.parametrize("reason", ["idle", "lifetime", "shutdown", "replaced"])
async def test_a_session_closed_by_the_server_is_made_anew(
    autojump_clock: MockClock, peer: Peer, reason: str
) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        await come_online(terminal)
        began = trio.current_time()
        await peer.say(Closing(reason=reason))
        await trio.testing.wait_all_tasks_blocked()
        assert terminal.trouble is not None
        assert terminal.trouble.kind == ("replaced" if reason == "replaced" else "closed")
        await come_online(terminal)
        # Two devices with one key must not throw each other out in a circle.
        assert trio.current_time() - began == pytest.approx(15 if reason == "replaced" else 0.25)


async def test_the_next_server_key_is_tried_when_the_first_fails(
    autojump_clock: MockClock, peer: Peer
) -> None:
    old = ServerKey(8, bytes([11] * 32))
    identity = dataclasses.replace(create_identity(), server_keys=(old, ServerKey(1, SERVER_KEY.public)))
    terminal = create_terminal(peer, identity=identity)
    async with open_terminal(terminal):
        await come_online(terminal)
        assert peer.connections == 2
        await peer.say(Closing(reason="idle"))
        await trio.sleep(5)
        assert terminal.online
    assert peer.connections == 3


async def test_at_most_so_many_are_in_flight(autojump_clock: MockClock, peer: Peer) -> None:
    peer.faults.extend([Fault.LATE] * (MAX_IN_FLIGHT + 8))
    async with open_terminal(create_terminal(peer)) as terminal:
        await come_online(terminal)
        async with trio.open_nursery() as nursery:
            for _ in range(MAX_IN_FLIGHT + 8):
                nursery.start_soon(terminal.redeem, CARD, "wash")
            await trio.sleep(1)
            assert len(peer.seen(Redeem)) == MAX_IN_FLIGHT
            peer.faults.clear()
    assert peer.books.times == MAX_IN_FLIGHT + 8


async def test_an_inquiry_is_asked_once(autojump_clock: MockClock, peer: Peer) -> None:
    peer.faults.append(Fault.LOSE_REPLY)
    async with open_terminal(create_terminal(peer)) as terminal:
        with pytest.raises(Unreachable):
            await terminal.balance(CARD, pin="000000")
        await come_online(terminal)
        assert (await terminal.balance(CARD, pin=PIN)).balance == 100
    assert len(peer.seen(BalanceInquiry)) == 2


async def test_a_write_cut_off_in_the_middle_ends_the_session(autojump_clock: MockClock, peer: Peer) -> None:
    """Nobody knows how much was sent, so nothing may follow it on that line."""
    streams: list[trio.abc.Stream] = []
    connect = peer.connect

    async def connect_and_keep() -> trio.abc.Stream:
        streams.append(await connect())
        return streams[-1]

    peer.connect = connect_and_keep  # type: ignore[method-assign]
    async with open_terminal(create_terminal(peer)) as terminal:
        await come_online(terminal)
        (stream,) = streams
        assert isinstance(stream, trio.StapledStream)
        stream.send_stream.send_all_hook = trio.sleep_forever
        with trio.move_on_after(1):
            await terminal.balance(CARD)
        await come_online(terminal)
        assert (await terminal.balance(CARD)).balance == 100
    assert peer.connections == 2


async def test_inquiries_without_a_line_end(autojump_clock: MockClock, peer: Peer) -> None:
    peer.doors.extend([Door.REFUSED] * 100)
    async with open_terminal(create_terminal(peer)) as terminal:
        with pytest.raises(Unreachable, match="nobody listens"):
            await terminal.echo()


async def test_history_status_and_echo(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        assert await terminal.echo() < 1
        assert (await terminal.history(CARD, pin=PIN)).items == []
        sold = await terminal.redeem(CARD, "wash")
        assert sold.txid is not None
        assert (await terminal.status(sold.txid)).original_code == 0
        assert (await terminal.status(bytes(16), credential=CARD)).code == 3010
        with pytest.raises(UnknownPurchase):
            await terminal.status(bytes(16))
    questions = [request for request in peer.received if isinstance(request, TransactionStatus)]
    assert [question.fence for question in questions] == [False, False]


async def test_the_catalogue_comes_in_pages_and_only_when_changed(
    autojump_clock: MockClock, peer: Peer
) -> None:
    peer.services = [
        CatalogueItem(code=code, name=code, name_zh=code, unit="piece", points=30) for code in "abcde"
    ]
    async with open_terminal(create_terminal(peer)) as terminal:
        assert [item.code for item in await terminal.catalogue()] == list("abcde")
        assert len(peer.seen(Catalogue)) == 3
        assert [item.code for item in await terminal.catalogue()] == list("abcde")
        assert len(peer.seen(Catalogue)) == 4

        def change_after_a_page(request: Request) -> None:
            if isinstance(request, Catalogue) and request.after == "b" and peer.catalogue_version == 8:
                peer.catalogue_version = 9
                peer.services = [replace(item, points=31) for item in peer.services]

        peer.catalogue_version = 8
        peer.on_request = change_after_a_page
        assert {item.points for item in await terminal.catalogue()} == {31}


async def test_close_says_logout_and_ends(autojump_clock: MockClock, peer: Peer) -> None:
    terminal = create_terminal(peer)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(terminal.run)
        await come_online(terminal)
        await terminal.close()
    assert isinstance(peer.received[-1], Logout)
    assert not terminal.online


async def test_what_a_block_raises_comes_out_as_it_is(autojump_clock: MockClock, peer: Peer) -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_terminal(create_terminal(peer)):
            raise ZeroDivisionError
