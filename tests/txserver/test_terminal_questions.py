"""Requests that are not stored: a PIN change, repeated until it is answered; an inquiry, never repeated."""

from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from protocol.errors import LocalProtocolError
from protocol.messages import PinChange
from tests.txserver.terminal_peer import CARD, PIN, Door, Fault, Peer, create_terminal
from txserver.terminal import Unreachable, open_terminal
from txserver.terminal_rules import UNKNOWN_S

NEW_PIN = "135246"


@pytest.fixture
async def peer(nursery: trio.Nursery) -> Peer:
    return Peer(nursery)


async def test_a_pin_is_changed(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        assert (await terminal.change_pin(CARD, NEW_PIN, pin=PIN)).code == 0
        assert (await terminal.change_pin(CARD, NEW_PIN, reset_code="998877", chip=bytes(7))).code == 0
    first, second = peer.seen(PinChange)
    assert isinstance(first, PinChange)
    assert isinstance(second, PinChange)
    assert (first.new_pin, first.pin, first.reset_code, first.chip) == (NEW_PIN, PIN, None, None)
    assert (second.pin, second.reset_code, second.chip) == (None, "998877", bytes(7))


async def test_a_refused_pin_change_is_told(autojump_clock: MockClock, peer: Peer) -> None:
    peer.books.approve = False
    async with open_terminal(create_terminal(peer)) as terminal:
        assert (await terminal.change_pin(CARD, NEW_PIN, pin=PIN)).code == 1016


@pytest.mark.parametrize(
    "fault", [Fault.LOSE_REQUEST, Fault.LOSE_REPLY, Fault.IGNORE, Fault.BOOK_SILENTLY, Fault.NOT_RECORDED]
)
async def test_a_pin_change_is_repeated_under_its_id(
    autojump_clock: MockClock, peer: Peer, fault: Fault
) -> None:
    """With a new id the old PIN would be a wrong one by then."""
    peer.faults.extend([fault] * 2)
    async with open_terminal(create_terminal(peer)) as terminal:
        assert (await terminal.change_pin(CARD, NEW_PIN, pin=PIN)).code == 0
    sent = peer.seen(PinChange)
    assert [request.repeat for request in sent] == [False, True, True]
    assert len({request.id for request in sent}) == 1
    assert len(peer.books.of("pin_change")) == 1


async def test_a_pin_change_without_an_answer_ends_in_time(autojump_clock: MockClock, peer: Peer) -> None:
    peer.faults.extend([Fault.IGNORE] * 99)
    async with open_terminal(create_terminal(peer)) as terminal:
        await terminal.ready()
        began = trio.current_time()
        with pytest.raises(Unreachable):
            await terminal.change_pin(CARD, NEW_PIN, pin=PIN)
        assert trio.current_time() - began == pytest.approx(UNKNOWN_S)


async def test_a_pin_change_without_a_line_is_not_sent(autojump_clock: MockClock, peer: Peer) -> None:
    peer.doors.extend([Door.REFUSED] * 99)
    async with open_terminal(create_terminal(peer)) as terminal:
        began = trio.current_time()
        with pytest.raises(Unreachable, match="nobody listens"):
            await terminal.change_pin(CARD, NEW_PIN, pin=PIN)
        assert trio.current_time() - began == pytest.approx(10)
    assert peer.seen(PinChange) == []


async def test_no_pin_is_on_the_disk(autojump_clock: MockClock, peer: Peer, tmp_path: Path) -> None:
    peer.faults.append(Fault.LOSE_REPLY)
    async with open_terminal(create_terminal(peer, tmp_path)) as terminal:
        await terminal.change_pin(CARD, NEW_PIN, pin=PIN)
        await terminal.hold(CARD, "tow", pin=PIN)
        assert terminal.recent(1)[0].kind == "hold"
        assert_no_pin_in(tmp_path)


def assert_no_pin_in(folder: Path) -> None:
    contents = [file.read_bytes() for file in folder.iterdir()]
    assert contents
    assert not [content for content in contents if PIN.encode() in content or NEW_PIN.encode() in content]


async def test_what_no_message_may_hold_is_not_sent(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        with pytest.raises(LocalProtocolError):
            await terminal.change_pin(CARD, "1" * 13, pin=PIN)
    assert peer.seen(PinChange) == []
