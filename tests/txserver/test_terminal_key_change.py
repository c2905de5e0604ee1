"""A key is changed against a scripted server: our own, the server's, and whatever is lost meanwhile."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from protocol.messages import Closing, KeyChange, Login, Notice, Request
from protocol.noise import KeyPair
from tests.txserver.terminal_peer import (
    NOW_MS,
    TERMINAL_KEY,
    Door,
    Fault,
    Peer,
    create_identity,
    create_terminal,
)
from txserver.terminal import Terminal, open_terminal
from txserver.terminal_identity import ServerKey, TerminalIdentity


@pytest.fixture
async def peer(nursery: trio.Nursery) -> Peer:
    peer = Peer(nursery)
    peer.terminal_key = TERMINAL_KEY.public
    return peer


def create_device(peer: Peer, folder: Path, *, run: int = 0) -> Terminal:
    """A terminal whose keys are in a folder, as those of a POS."""
    if not (folder / "identity.json").exists():
        create_identity().save(folder)
    return create_terminal(
        peer,
        run=run,
        identity=TerminalIdentity.load(folder),
        keep_identity=lambda identity: identity.save(folder),
    )


async def until(true: Callable[[], object]) -> None:
    """Wait for at most 1000 s of the clock."""
    for _ in range(1000):
        if true():
            return
        await trio.sleep(1)
    raise TimeoutError


async def renew(peer: Peer) -> None:
    await peer.say(Closing(reason="shutdown"))
    await trio.sleep(40)


@pytest.mark.parametrize("by_notice", [True, False])
async def test_a_key_is_changed_when_the_server_asks(
    autojump_clock: MockClock, peer: Peer, tmp_path: Path, by_notice: bool
) -> None:
    peer.change_key = not by_notice
    async with open_terminal(create_device(peer, tmp_path)) as terminal:
        await terminal.ready()
        if by_notice:
            await peer.say(Notice(server_at=NOW_MS, change_key=True))
        await trio.sleep(60)
        (change,) = peer.seen(KeyChange)
        assert isinstance(change, KeyChange)
        assert change.key == peer.next_terminal_key
        assert peer.terminal_key == TERMINAL_KEY.public
        await renew(peer)
        assert terminal.online
    assert peer.remote_keys == [TERMINAL_KEY.public, change.key]
    assert peer.terminal_key == change.key
    saved = TerminalIdentity.load(tmp_path)
    assert (saved.key.public, saved.next_key) == (change.key, None)
    assert len(peer.seen(KeyChange)) == 1


async def test_the_pair_is_on_the_disk_before_the_server_hears_of_it(
    autojump_clock: MockClock, peer: Peer, tmp_path: Path
) -> None:
    stored: list[bool] = []

    def look(request: Request) -> None:
        if isinstance(request, KeyChange):
            saved = TerminalIdentity.load(tmp_path)
            assert saved.next_key is not None
            stored.append(saved.next_key.public == request.key and saved.key == TERMINAL_KEY)

    peer.on_request = look
    peer.change_key = True
    async with open_terminal(create_device(peer, tmp_path)):
        await until(lambda: stored)
    assert stored == [True]


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
async def test_a_change_survives_every_loss(
    autojump_clock: MockClock, peer: Peer, tmp_path: Path, fault: Fault
) -> None:
    peer.faults.append(fault)
    peer.change_key = True
    async with open_terminal(create_device(peer, tmp_path)) as terminal:
        await until(lambda: peer.seen(KeyChange))
        await trio.sleep(60)
        await renew(peer)
        await until(lambda: peer.terminal_key != TERMINAL_KEY.public and terminal.online)
    saved = TerminalIdentity.load(tmp_path)
    assert (saved.key.public, saved.next_key) == (peer.terminal_key, None)
    assert len({change.key for change in peer.seen(KeyChange) if isinstance(change, KeyChange)}) == 1


async def test_a_first_login_whose_reply_is_lost_has_changed_the_key(
    autojump_clock: MockClock, peer: Peer, tmp_path: Path
) -> None:
    peer.change_key = True
    async with open_terminal(create_device(peer, tmp_path)) as terminal:
        await until(lambda: peer.next_terminal_key)
        peer.doors.append(Door.CUT_AFTER_LOGIN)
        await renew(peer)
        assert terminal.online
    # New, then old because the line was cut there, then new again.
    assert peer.remote_keys[1] == peer.remote_keys[3] == peer.terminal_key
    assert peer.remote_keys[2] == TERMINAL_KEY.public
    assert TerminalIdentity.load(tmp_path).next_key is None


async def test_a_device_that_was_switched_off_in_between_finds_its_way(
    autojump_clock: MockClock, peer: Peer, tmp_path: Path
) -> None:
    """The change had arrived, or it had not; in both cases the old key still opens."""
    for number, fault in enumerate((Fault.IGNORE, Fault.BOOK_SILENTLY)):
        before = peer.terminal_key
        peer.faults.append(fault)
        peer.change_key = True
        async with open_terminal(create_device(peer, tmp_path, run=2 * number)):
            await until(lambda: len(peer.seen(KeyChange)) % 2)
        assert TerminalIdentity.load(tmp_path).next_key is not None
        async with open_terminal(create_device(peer, tmp_path, run=2 * number + 1)) as again:
            await until(lambda: again.online)
            await trio.sleep(5)
            await renew(peer)
        assert peer.terminal_key != before
        saved = TerminalIdentity.load(tmp_path)
        assert (saved.key.public, saved.next_key) == (peer.terminal_key, None)
        peer.received.clear()


async def test_a_refused_key_is_asked_for_again_only_when_the_server_does(
    autojump_clock: MockClock, peer: Peer, tmp_path: Path
) -> None:
    peer.key_code = 3020
    peer.change_key = True
    async with open_terminal(create_device(peer, tmp_path)) as terminal:
        await trio.sleep(60)
        assert len(peer.seen(KeyChange)) == 1
        assert TerminalIdentity.load(tmp_path).next_key is None
        peer.key_code = 0
        await peer.say(Notice(server_at=NOW_MS, change_key=True))
        await trio.sleep(60)
        first, second = peer.seen(KeyChange)
        assert isinstance(first, KeyChange)
        assert isinstance(second, KeyChange)
        assert first.key != second.key
        assert terminal.online


async def test_a_terminal_without_a_folder_keeps_its_key(autojump_clock: MockClock, peer: Peer) -> None:
    peer.change_key = True
    async with open_terminal(create_terminal(peer)) as terminal:
        await trio.sleep(60)
        assert terminal.online
    assert peer.seen(KeyChange) == []


async def test_the_server_rotates_its_keys_under_a_running_terminal(
    autojump_clock: MockClock, peer: Peer, tmp_path: Path
) -> None:
    """Current 1 and next 2 become 2 and 3: who knew 2 comes in with it and learns of 3."""
    second, third = (KeyPair.from_private(bytes([number] * 32)) for number in (31, 32))
    peer.login_more = {"next_key": second.public, "next_key_id": 2}
    async with open_terminal(create_device(peer, tmp_path)) as terminal:
        await terminal.ready()
        assert [key.id for key in TerminalIdentity.load(tmp_path).server_keys] == [1, 2]
        peer.server_keys = {2: second, 3: third}
        peer.login_more = {"next_key": third.public, "next_key_id": 3}
        await renew(peer)
        assert terminal.online
        assert [key.id for key in terminal.identity.server_keys] == [2, 3]
    assert TerminalIdentity.load(tmp_path).server_keys == (
        ServerKey(2, second.public),
        ServerKey(3, third.public),
    )


async def test_a_rotation_that_a_notice_tells_of(
    autojump_clock: MockClock, peer: Peer, tmp_path: Path
) -> None:
    second, third = (KeyPair.from_private(bytes([number] * 32)) for number in (31, 32))
    async with open_terminal(create_device(peer, tmp_path)) as terminal:
        await terminal.ready()
        peer.server_keys = {2: second, 3: third}
        await peer.say(Notice(server_at=NOW_MS, next_key=third.public, next_key_id=3))
        await trio.sleep(1)
        assert [key.id for key in TerminalIdentity.load(tmp_path).server_keys] == [1, 3]
        await renew(peer)
        assert terminal.online


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    faults=st.lists(st.sampled_from(Fault), max_size=6),
    doors=st.lists(st.sampled_from(Door), max_size=8),
    stops=st.lists(st.sampled_from([0.0, 0.3, 5.0, 30.0]), max_size=4),
)
def test_whatever_happens_the_terminal_comes_in_with_its_new_key(
    tmp_path_factory: pytest.TempPathFactory, faults: list[Fault], doors: list[Door], stops: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("pos")

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            peer = Peer(nursery)
            peer.terminal_key = TERMINAL_KEY.public
            peer.faults.extend(faults)
            peer.doors.extend(doors)
            peer.change_key = True
            for run, seconds in enumerate(stops):
                with trio.move_on_after(seconds):
                    await create_device(peer, folder, run=run).run()
            async with open_terminal(create_device(peer, folder, run=9)) as terminal:
                await until(lambda: peer.next_terminal_key or peer.terminal_key != TERMINAL_KEY.public)
                peer.faults.clear()
                peer.doors.clear()
                await until(lambda: terminal.online)
                await renew(peer)
                await until(lambda: terminal.online)
                await renew(peer)
                await until(lambda: terminal.online and terminal.identity.next_key is None)
            saved = TerminalIdentity.load(folder)
            assert saved.key.public == peer.terminal_key != TERMINAL_KEY.public
            assert peer.seen(Login)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
