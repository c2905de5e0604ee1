"""Enrolment: once, again when the reply is lost, and every way in which it fails."""

import base64
from pathlib import Path

import pytest
import trio

from protocol.credentials import EnrolmentCode
from protocol.messages import Closing, Enrol
from protocol.session import Enrolment
from tests.txserver.terminal_peer import ENROLMENT_SECRET, NOW_MS, SERVER_KEY, Door, Entropy, Peer
from txserver.terminal_enrolment import EnrolmentFailed, enrol
from txserver.terminal_identity import TerminalIdentity


def create_code(secret: bytes = ENROLMENT_SECRET, number: int = 5) -> EnrolmentCode:
    return EnrolmentCode(Enrolment(bytes([number] * 16), secret), SERVER_KEY.public, 1, "127.0.0.1", 7171)


async def enrol_at(
    peer: Peer, folder: Path, code: EnrolmentCode | None = None, start: int = 0
) -> TerminalIdentity:
    return await enrol(
        code or create_code(), peer.connect, folder=folder, random=Entropy(start), now_ms=lambda: NOW_MS
    )


async def test_a_device_becomes_a_terminal(nursery: trio.Nursery, tmp_path: Path) -> None:
    peer = Peer(nursery)
    identity = await enrol_at(peer, tmp_path)
    assert peer.remote_keys == [identity.key.public]
    assert (identity.terminal, identity.merchant, identity.store) == (17, "Blue Car Wash", "North Gate")
    assert [key.id for key in identity.server_keys] == [1, 2]
    assert TerminalIdentity.load(tmp_path) == identity
    assert not (tmp_path / "enrolment.json").exists()


async def test_the_server_may_number_its_next_key_as_it_likes(nursery: trio.Nursery, tmp_path: Path) -> None:
    peer = Peer(nursery)
    peer.enrol_more = {"next_key_id": 9}
    identity = await enrol_at(peer, tmp_path)
    assert [key.id for key in identity.server_keys] == [1, 9]


async def test_the_key_is_on_the_disk_before_the_first_byte(nursery: trio.Nursery, tmp_path: Path) -> None:
    peer = Peer(nursery)

    async def connect() -> trio.abc.Stream:
        assert (tmp_path / "enrolment.json").stat().st_mode & 0o777 == 0o600
        return await peer.connect()

    await enrol(create_code(), connect, folder=tmp_path, random=Entropy(), now_ms=lambda: NOW_MS)


@pytest.mark.parametrize(
    "door", [Door.REFUSED, Door.CUT_AT_ONCE, Door.CUT_AFTER_HANDSHAKE, Door.SILENT, Door.GARBAGE]
)
async def test_a_lost_enrolment_is_repeated_with_the_same_key(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, tmp_path: Path, door: Door
) -> None:
    peer = Peer(nursery)
    peer.doors.append(door)
    with pytest.raises(EnrolmentFailed):
        await enrol_at(peer, tmp_path)
    identity = await enrol_at(peer, tmp_path, start=500)
    hellos = peer.seen(Enrol)
    assert set(peer.remote_keys) == {identity.key.public}
    assert hellos[-1].repeat
    assert len({hello.id for hello in hellos}) == 1
    nursery.cancel_scope.cancel()


async def test_another_code_gets_another_key(nursery: trio.Nursery, tmp_path: Path) -> None:
    peer = Peer(nursery)
    peer.doors.append(Door.CUT_AFTER_HANDSHAKE)
    with pytest.raises(EnrolmentFailed, match="was used"):
        await enrol_at(peer, tmp_path)
    await enrol_at(peer, tmp_path, create_code(number=6), start=500)
    assert len(set(peer.remote_keys)) == 2
    assert not peer.seen(Enrol)[-1].repeat


async def test_a_refusal_leaves_no_identity(nursery: trio.Nursery, tmp_path: Path) -> None:
    peer = Peer(nursery)
    peer.enrol_code = 1020
    with pytest.raises(EnrolmentFailed, match="1020"):
        await enrol_at(peer, tmp_path)
    assert not (tmp_path / "identity.json").exists()


async def test_a_wrong_secret_is_closed_without_a_word(nursery: trio.Nursery, tmp_path: Path) -> None:
    with pytest.raises(EnrolmentFailed, match="was used"):
        await enrol_at(Peer(nursery), tmp_path, create_code(secret=bytes(32)))


async def test_a_server_that_shuts_down_meanwhile(nursery: trio.Nursery, tmp_path: Path) -> None:
    peer = Peer(nursery)
    peer.reply_to = lambda request: Closing(reason="shutdown")  # type: ignore[assignment,method-assign,return-value]
    with pytest.raises(EnrolmentFailed, match="ended the session"):
        await enrol_at(peer, tmp_path)


async def test_the_secret_is_not_kept(nursery: trio.Nursery, tmp_path: Path) -> None:
    peer = Peer(nursery)
    peer.doors.append(Door.CUT_AFTER_HANDSHAKE)
    secret = bytes(range(32))
    with pytest.raises(EnrolmentFailed):
        await enrol_at(peer, tmp_path, create_code(secret=secret))
    assert base64.b64encode(secret) not in (tmp_path / "enrolment.json").read_bytes()
