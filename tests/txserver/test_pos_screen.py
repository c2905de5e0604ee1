"""The POS's screen, with a clerk who types what the test lays out."""

from pathlib import Path

import pytest
import segno
import trio
from trio.testing import MockClock

from protocol.messages import CatalogueItem, Redeem, ReversalAdvice
from tests.txserver.pos_desk import Counter, create_code, create_counter
from tests.txserver.terminal_peer import CARD, PIN, Door, Fault, Peer
from txserver.terminal_store import PurchaseStore

SCAN, REDEEM, BALANCE, HISTORY, REVERSE, CATALOGUE, JOURNAL, QUIT = "12345678"


@pytest.fixture
async def peer(nursery: trio.Nursery) -> Peer:
    peer = Peer(nursery)
    peer.services = [
        CatalogueItem(
            code="cinema", name="Cinema", name_zh="电影", unit="-", points=1,
            open=True, min_points=10, max_points=500,
        ),
        CatalogueItem(code="wash", name="Car wash", name_zh="洗车", unit="time", points=30),
    ]  # fmt: skip
    return peer


@pytest.fixture
async def counter(peer: Peer, tmp_path: Path) -> Counter:
    return create_counter(peer, tmp_path / "pos")


async def test_from_a_box_to_a_receipt(peer: Peer, tmp_path: Path) -> None:
    counter = create_counter(peer, tmp_path / "pos", enrolled=False)
    picture = tmp_path / "code.png"
    segno.make(create_code()).save(str(picture), scale=3)
    peer.doors.append(Door.CUT_AFTER_HANDSHAKE)
    code = await counter.screen(
        "rubbish", str(picture), create_code(), SCAN, CARD, REDEEM, "wash", "2", PIN, QUIT
    )
    assert code == 0
    paper, voice = counter.paper.getvalue(), counter.voice.getvalue()
    for word in ("ENROLLED", "SERVICES", "APPROVED", "A1B2C3", "Blue Car Wash"):
        assert word in paper
    for word in ("not a terminal yet", "not an enrolment code", "was used", "online", CARD[-4:], "Goodbye"):
        assert word in voice
    assert [hidden for question, hidden in counter.questions if "PIN" in question] == [True]
    assert PIN not in paper + voice
    assert CARD not in paper + voice
    (request,) = peer.seen(Redeem)
    assert isinstance(request, Redeem)
    assert (request.service, request.quantity, request.pin) == ("wash", 2, PIN)


async def test_redeeming_asks_for_what_is_missing(peer: Peer, counter: Counter) -> None:
    await counter.screen(REDEEM, CARD, "9", "1", "many", "250", "", QUIT)
    (request,) = peer.seen(Redeem)
    assert isinstance(request, Redeem)
    assert (request.service, request.quantity, request.amount, request.pin) == ("cinema", None, 250, None)
    assert "Please choose one of the numbers" in counter.voice.getvalue()
    assert "A whole number, please" in counter.voice.getvalue()


async def test_every_other_choice(peer: Peer, counter: Counter) -> None:
    await counter.screen(
        BALANCE, CARD, HISTORY, PIN, CATALOGUE, REDEEM, "2", "", "", JOURNAL, REVERSE, "", "0", "x", QUIT
    )
    for word in ("BALANCE", "HISTORY", "SERVICES", "PURCHASES", "REVERSED"):
        assert word in counter.paper.getvalue()
    assert len(peer.seen(ReversalAdvice)) == 1
    assert peer.books.owed() == set()


async def test_a_fault_is_told_and_the_menu_comes_back(counter: Counter) -> None:
    assert await counter.screen(SCAN, "not a card", REVERSE, "", REVERSE, "17", BALANCE, CARD, QUIT) == 0
    voice = counter.voice.getvalue()
    for sentence in ("not a Tessera card", "no such purchase", "17 is not a txid"):
        assert sentence in voice
    assert "BALANCE" in counter.paper.getvalue()


async def test_offline_is_shown(autojump_clock: MockClock, peer: Peer, counter: Counter) -> None:
    peer.doors.extend([Door.REFUSED] * 200)
    await counter.screen(BALANCE, CARD, QUIT)
    assert "offline: nobody listens" in counter.voice.getvalue()
    assert "does not answer" in counter.voice.getvalue()


async def test_a_sale_without_an_answer_is_a_stored_reversal(
    autojump_clock: MockClock, peer: Peer, counter: Counter
) -> None:
    """The catalogue is asked first, so the second request is the sale."""
    peer.faults.extend([Fault.NONE, *[Fault.IGNORE] * 20])
    await counter.screen(REDEEM, CARD, "2", "", "", QUIT)
    assert "REVERSAL STORED" in counter.paper.getvalue()
    assert "1 unsettled" in counter.voice.getvalue()
    peer.faults.clear()
    await counter.screen(BALANCE, CARD, QUIT)
    assert "REVERSED" in counter.voice.getvalue()


async def test_the_end_of_the_input_is_the_end(counter: Counter, peer: Peer, tmp_path: Path) -> None:
    assert await counter.screen() == 0
    fresh = create_counter(peer, tmp_path / "other", enrolled=False)
    assert await fresh.screen("") == 0
    assert not (tmp_path / "other" / "identity.json").exists()


async def test_a_folder_in_use_is_a_sentence(counter: Counter) -> None:
    store = PurchaseStore(counter.folder)
    assert await counter.screen(QUIT) == 2
    assert "another POS" in counter.voice.getvalue()
    store.close()


async def test_in_chinese(counter: Counter) -> None:
    counter.language = "zh"
    await counter.screen(REDEEM, CARD, "2", "", "", QUIT)
    assert "洗车" in counter.paper.getvalue()
    assert "请选择" in counter.questions[0][0]
    assert "在线" in counter.voice.getvalue()
