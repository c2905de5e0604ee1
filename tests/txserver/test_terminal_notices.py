"""What the server says unasked: a new catalogue, a business date, the time, that a terminal is revoked."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from protocol.messages import Catalogue, CatalogueItem, Closing, Notice
from tests.txserver.terminal_peer import CARD, NOW_MS, TERMINAL_KEY, Peer, create_terminal
from txserver.terminal import CLOCK_LIMIT_S, Terminal, open_terminal


@pytest.fixture
async def peer(nursery: trio.Nursery) -> Peer:
    return Peer(nursery)


def create_item(code: str, points: int = 30) -> CatalogueItem:
    return CatalogueItem(code=code, name=code, name_zh=code, unit="piece", points=points)


def date_of(terminal: Terminal) -> str | None:
    return terminal.business_date


def trouble_of(terminal: Terminal) -> str | None:
    return None if terminal.trouble is None else terminal.trouble.kind


async def hear(peer: Peer, terminal: Terminal, notice: Notice) -> None:
    await peer.say(notice)
    await trio.testing.wait_all_tasks_blocked()
    assert terminal.online


async def test_a_new_catalogue_is_fetched_at_the_next_question(autojump_clock: MockClock, peer: Peer) -> None:
    peer.services = [create_item("a")]
    async with open_terminal(create_terminal(peer)) as terminal:
        await terminal.catalogue()
        await hear(peer, terminal, Notice(server_at=NOW_MS, catalogue=7))
        await terminal.catalogue()
        await hear(peer, terminal, Notice(server_at=NOW_MS, catalogue=8))
        peer.catalogue_version, peer.services = 8, [create_item("a", 31), create_item("b")]
        assert [(item.code, item.points) for item in await terminal.catalogue()] == [("a", 31), ("b", 30)]
    asked = [request.held for request in peer.seen(Catalogue) if isinstance(request, Catalogue)]
    assert asked == [0, 7, 0]


async def test_a_notice_that_overtakes_the_pages_of_an_older_catalogue(
    autojump_clock: MockClock, peer: Peer
) -> None:
    peer.services = [create_item(code) for code in "abc"]
    heard: list[bool] = []

    async with open_terminal(create_terminal(peer)) as terminal:

        def change(request: object) -> None:
            if isinstance(request, Catalogue) and request.after == "b" and not heard:
                heard.append(True)
                peer.catalogue_version, peer.services = 8, [create_item("d")]
                terminal._held_catalogue.heard(8)

        peer.on_request = change
        assert [item.code for item in await terminal.catalogue()] == ["d"]
    assert heard


async def test_the_business_date_is_the_servers(autojump_clock: MockClock, peer: Peer) -> None:
    terminal = create_terminal(peer)
    assert date_of(terminal) is None
    async with open_terminal(terminal):
        await terminal.ready()
        assert date_of(terminal) == "2027-01-15"
        await hear(peer, terminal, Notice(server_at=NOW_MS, business_date="2027-01-16"))
        assert date_of(terminal) == "2027-01-16"
        await hear(peer, terminal, Notice(server_at=NOW_MS, catalogue=9))
        assert date_of(terminal) == "2027-01-16"


@pytest.mark.parametrize(
    ("off_s", "told"),
    [(0, 0), (CLOCK_LIMIT_S, 0), (CLOCK_LIMIT_S + 1, CLOCK_LIMIT_S + 1), (-172_800, -172_800)],
)
async def test_a_clock_that_is_wrong_is_told(
    autojump_clock: MockClock, peer: Peer, off_s: int, told: int
) -> None:
    """Two days off is served all the same."""
    terminal = create_terminal(peer)
    terminal._now_ms = lambda: NOW_MS - 1000 * off_s
    async with open_terminal(terminal):
        await terminal.ready()
        assert terminal.clock_off_s == told
        assert (await terminal.balance(CARD)).code == 0
        await hear(peer, terminal, Notice(server_at=NOW_MS - 1000 * off_s))
        assert terminal.clock_off_s == 0
        await hear(peer, terminal, Notice(server_at=NOW_MS))
        assert terminal.clock_off_s == told


async def test_a_notice_behind_the_login_is_heard(autojump_clock: MockClock, peer: Peer) -> None:
    """Both may come in one read."""
    peer.notice_at_login = Notice(server_at=NOW_MS, business_date="2027-01-17")
    async with open_terminal(create_terminal(peer)) as terminal:
        await terminal.ready()
        await trio.testing.wait_all_tasks_blocked()
        assert date_of(terminal) == "2027-01-17"


async def test_a_notice_is_no_reply(autojump_clock: MockClock, peer: Peer) -> None:
    """A line on which only notices come does not count as one on which the server answers."""
    async with open_terminal(create_terminal(peer)) as terminal:
        await terminal.ready()
        for _ in range(3):
            await hear(peer, terminal, Notice(server_at=NOW_MS))
        assert (await terminal.balance(CARD)).balance == 100
    assert peer.connections == 1


async def test_a_revoked_terminal_says_so_and_does_not_storm_the_server(
    autojump_clock: MockClock, peer: Peer
) -> None:
    peer.terminal_key = TERMINAL_KEY.public
    async with open_terminal(create_terminal(peer)) as terminal:
        await terminal.ready()
        peer.terminal_key = bytes(32)
        began = trio.current_time()
        await peer.say(Closing(reason="revoked"))
        await trio.testing.wait_all_tasks_blocked()
        assert trouble_of(terminal) == "revoked"
        await trio.sleep(200)
        # Closed without a word since; why is still known.
        assert trouble_of(terminal) == "revoked"
        assert (await terminal.redeem(CARD, "wash")).txid is None
        attempts = peer.connections - 1
        assert attempts == pytest.approx((trio.current_time() - began) / 15, abs=1)
        # An operator may let it in again.
        peer.terminal_key = TERMINAL_KEY.public
        await trio.sleep(31)
        assert trouble_of(terminal) is None
        assert terminal.online
