"""The POS's screen, with a clerk who types what the test lays out."""

from pathlib import Path

import pytest
import segno
import trio
from trio.testing import MockClock

from protocol.messages import CatalogueItem, ConsumptionInquiry, Redeem, ReversalAdvice
from tests.txserver.pos_desk import Counter, create_code, create_counter, undone
from tests.txserver.terminal_peer import CARD, PIN, Door, Fault, Peer, create_identity
from txserver.receipt import txid_text
from txserver.terminal_store import PurchaseStore

SCAN, REDEEM, BALANCE, HISTORY, HOLDS, GIVE_BACK, MORE, QUIT = "12345678"
HOLD, CAPTURE, RELEASE = ((HOLDS, number) for number in "123")
REVERSE, REFUND = ((GIVE_BACK, number) for number in "12")
CATALOGUE, JOURNAL, STATUS, CHANGE_PIN, DAY_END = ((MORE, number) for number in "12345")


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
        BALANCE, CARD, HISTORY, PIN, *CATALOGUE, REDEEM, "2", "", "", *JOURNAL,
        *REVERSE, "", "y", "0", "x", QUIT,
    )  # fmt: skip
    for word in ("BALANCE", "HISTORY", "SERVICES", "PURCHASES", "REVERSED"):
        assert word in counter.paper.getvalue()
    assert len(peer.seen(ReversalAdvice)) == 1
    assert peer.books.owed() == set()


async def test_nothing_is_taken_back_before_it_is_shown_and_agreed(peer: Peer, counter: Counter) -> None:
    await counter.screen(REDEEM, CARD, "wash", "", "", *REVERSE, "", "", *REVERSE, "", "n", QUIT)
    assert peer.seen(ReversalAdvice) == []
    voice = counter.voice.getvalue()
    (request,) = peer.seen(Redeem)
    shown = voice[voice.index("TAKE THIS BACK?") :]
    for word in (
        "2027-01-15 08:00:00",
        "Car wash",
        " 30 ",
        f"…{CARD[-4:]}",
        txid_text(request.id),
        "approved",
    ):
        assert word in shown
    assert voice.count("Nothing was changed.") == 2
    assert [question for question, _ in counter.questions].count("Take it back? (y/N)") == 2


async def test_the_last_purchase_stays_the_last_when_it_is_taken_back(peer: Peer, counter: Counter) -> None:
    """Twice Enter must not reach the purchase of the customer before."""
    await counter.screen(REDEEM, CARD, "wash", "", "", REDEEM, "wash", "", "", QUIT)
    older, newer = (request.id for request in peer.seen(Redeem))
    await counter.screen(*REVERSE, "", "y", *REVERSE, "", QUIT)
    assert undone(peer) == {newer}
    voice = counter.voice.getvalue()
    assert f"The last purchase {txid_text(newer)} is already taken back" in voice
    await counter.screen(*REVERSE, txid_text(newer), *REVERSE, txid_text(older), "YES", QUIT)
    assert undone(peer) == {older, newer}
    assert f"The purchase {txid_text(newer)} is already taken back" in counter.voice.getvalue()


async def test_a_last_purchase_that_was_refused_is_not_passed_over(peer: Peer, counter: Counter) -> None:
    await counter.screen(REDEEM, CARD, "wash", "", "", QUIT)
    peer.books.approve = False
    await counter.screen(REDEEM, CARD, "wash", "", "", *REVERSE, "", QUIT)
    assert "spent nothing" in counter.voice.getvalue()
    assert undone(peer) == set()


async def test_what_will_be_spent_is_shown_before_the_pin(
    peer: Peer, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    ask = Counter._ask

    async def ask_and_look(self: Counter, question: str, hidden: bool) -> str:
        if hidden:
            seen.append(self.voice.getvalue().splitlines()[-1])
        return await ask(self, question, hidden)

    monkeypatch.setattr(Counter, "_ask", ask_and_look)
    await counter.screen(REDEEM, CARD, "wash", "-3", "3", PIN, REDEEM, "cinema", "", "250", PIN, QUIT)
    counter.language = "zh"
    await counter.screen(REDEEM, CARD, "wash", "", PIN, REDEEM, "cinema", "40", PIN, QUIT)
    assert seen == [
        "Car wash: 30 × 3 = 90 points",
        "Cinema: 250 points",
        "洗车：30 × 1 = 30 积分",
        "电影：40 积分",
    ]
    requests = [request for request in peer.seen(Redeem) if isinstance(request, Redeem)]
    assert [(request.quantity, request.amount) for request in requests] == [
        (3, None), (None, 250), (1, None), (None, 40),
    ]  # fmt: skip


async def test_a_history_without_a_pin_is_not_asked_for(peer: Peer, counter: Counter) -> None:
    await counter.screen(HISTORY, CARD, "", HISTORY, PIN, QUIT)
    assert [inquiry.pin for inquiry in peer.seen(ConsumptionInquiry)] == [PIN]  # type: ignore[attr-defined]
    assert "The history needs the card's PIN" in counter.voice.getvalue()
    hidden = [question for question, hidden in counter.questions if hidden]
    assert hidden == ["PIN (history needs one; Enter to go back)"] * 2


async def test_a_fault_is_told_and_the_menu_comes_back(counter: Counter) -> None:
    assert await counter.screen(SCAN, "not a card", *REVERSE, "", *REVERSE, "17", BALANCE, CARD, QUIT) == 0
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
    receipt = counter.paper.getvalue()
    assert "洗车" in receipt[receipt.index("交易成功") :]


async def test_why_there_is_no_line_is_said_in_chinese(
    autojump_clock: MockClock, peer: Peer, tmp_path: Path
) -> None:
    counter = create_counter(peer, tmp_path / "pos", enrolled=False, language="zh")
    peer.doors.extend([Door.REFUSED])
    await counter.screen("rubbish", create_code(), "")
    voice = counter.voice.getvalue()
    assert "这不是登记码（内容不完整，或含有多余字符）。" in voice
    assert "连不上服务器：原因（nobody listens），请用同一登记码重试。" in voice
    create_identity().save(counter.folder)
    peer.doors.extend([Door.CUT_AFTER_HANDSHAKE] * 200)
    await counter.screen(QUIT)
    assert "离线：服务器断开了连接" in counter.voice.getvalue()
