"""Which transaction is meant: the newest of a kind, or the one that was named."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.txserver.pos_desk import create_counter
from tests.txserver.terminal_peer import CARD, Peer
from txserver.pos_choice import (
    chosen_hold,
    chosen_purchase,
    chosen_sale,
    hold_is_over,
    holds_of,
    nothing_to_refund,
    nothing_to_undo,
    read_txid,
    server_now_ms,
    service_of,
)
from txserver.pos_desk import Desk, Fault, at_work
from txserver.receipt import txid_text
from txserver.terminal import Terminal


@pytest.fixture
async def peer(nursery: trio.Nursery) -> Peer:
    return Peer(nursery)


@pytest.fixture
async def desk(peer: Peer, tmp_path: Path) -> Desk:
    return create_counter(peer, tmp_path / "pos").desk()


@pytest.fixture
async def terminal(desk: Desk) -> AsyncIterator[Terminal]:
    async with at_work(desk) as terminal:
        yield terminal


async def redeem(terminal: Terminal) -> bytes:
    txid = (await terminal.redeem(CARD, "wash")).txid
    assert txid is not None
    return txid


async def hold(terminal: Terminal) -> bytes:
    txid = (await terminal.hold(CARD, "towing")).txid
    assert txid is not None
    return txid


async def test_last_is_the_newest_of_its_kind(desk: Desk, terminal: Terminal) -> None:
    sold = await redeem(terminal)
    held = await hold(terminal)
    back = (await terminal.refund(sold, CARD)).txid
    assert chosen_purchase("last", desk, terminal).txid == back
    assert chosen_hold("last", desk, terminal).txid == held
    sale = chosen_sale("last", desk, terminal)
    assert sale is not None
    assert sale.txid == sold
    assert chosen_purchase(txid_text(held).upper(), desk, terminal).txid == held


async def test_what_there_is_none_of_is_a_sentence(desk: Desk, terminal: Terminal) -> None:
    for choose in (chosen_purchase, chosen_hold, chosen_sale):
        with pytest.raises(Fault, match=r"has made no hold|no such purchase|has sold nothing"):
            choose("last", desk, terminal)
        with pytest.raises(Fault, match="12 is not a txid: it looks like"):
            choose("12", desk, terminal)
    unknown = txid_text(bytes([9] * 16))
    for choose in (chosen_purchase, chosen_hold):
        with pytest.raises(Fault, match="has no purchase 09090909"):
            choose(unknown, desk, terminal)
    # The server may know a sale that this terminal has forgotten.
    assert chosen_sale(unknown, desk, terminal) is None


async def test_a_capture_is_about_the_service_of_its_hold(desk: Desk, terminal: Terminal) -> None:
    await terminal.capture(await hold(terminal), 20)
    taken = chosen_purchase("last", desk, terminal)
    assert taken.service is None
    assert service_of(taken, terminal) == "towing"
    await terminal.refund(taken.txid, CARD)
    assert service_of(chosen_purchase("last", desk, terminal), terminal) == "towing"
    await terminal.refund(bytes([9] * 16), CARD)
    assert service_of(chosen_purchase("last", desk, terminal), terminal) is None


async def test_what_is_left_to_do(desk: Desk, terminal: Terminal) -> None:
    await redeem(terminal)
    sale = chosen_purchase("last", desk, terminal)
    assert nothing_to_undo(sale, desk, terminal, last=True) is None
    assert nothing_to_refund(sale, desk) is None
    await terminal.reverse(sale.txid)
    sale = chosen_purchase("last", desk, terminal)
    assert "already taken back" in str(nothing_to_undo(sale, desk, terminal, last=False))
    assert "can be refunded" in str(nothing_to_refund(sale, desk))
    await hold(terminal)
    held = chosen_hold("last", desk, terminal)
    assert nothing_to_undo(held, desk, terminal, last=True) is None
    assert hold_is_over(held, desk, terminal, last=True) is None
    await terminal.release(held.txid)
    for told in (
        nothing_to_undo(held, desk, terminal, last=False),
        hold_is_over(held, desk, terminal, last=False),
    ):
        assert told == f"The hold {txid_text(held.txid)} has ended."


async def test_holds_end_by_the_servers_clock(desk: Desk, terminal: Terminal) -> None:
    held = await hold(terminal)
    assert [one.txid for one in holds_of(desk, terminal)] == [held]
    assert server_now_ms(desk, terminal) == desk.now_ms()
    terminal.clock_off_s = 2 * 86_400
    assert server_now_ms(desk, terminal) == desk.now_ms() + 2 * 86_400_000
    assert holds_of(desk, terminal) == []
    # Whether it may still be captured is the server's to say: ours may be the clock that is wrong.
    assert hold_is_over(chosen_hold("last", desk, terminal), desk, terminal, last=True) is None


async def test_a_txid_as_it_is_printed(desk: Desk) -> None:
    await trio.lowlevel.checkpoint()
    assert read_txid("019A7F3E-6C00-7ABC-8DEF-0123456789AB", desk) == bytes.fromhex(
        "019a7f3e6c007abc8def0123456789ab"
    )
