"""The screen's further pages: holds, refunds, PIN, the day; and what the menu tells besides."""

from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from protocol.messages import (
    Capture,
    CatalogueItem,
    Hold,
    Notice,
    PinChange,
    Reconciliation,
    Refund,
    Release,
)
from tests.txserver.pos_desk import Counter, create_counter
from tests.txserver.terminal_peer import CARD, NOW_MS, PIN, Peer
from txserver.receipt import txid_text

SCAN, REDEEM, BALANCE, HISTORY, HOLDS, GIVE_BACK, MORE, QUIT = "12345678"
HOLD, CAPTURE, RELEASE = ((HOLDS, number) for number in "123")
REVERSE, REFUND = ((GIVE_BACK, number) for number in "12")
CATALOGUE, JOURNAL, STATUS, CHANGE_PIN, DAY_END = ((MORE, number) for number in "12345")
A_HOLD = (*HOLD, CARD, "wash", "", "", PIN)
ANOTHER_HOLD = (*HOLD, "wash", "", "", PIN)
A_SALE = (REDEEM, CARD, "wash", "", "")
NEW_PIN = "835206"


@pytest.fixture
async def peer(nursery: trio.Nursery) -> Peer:
    peer = Peer(nursery)
    peer.services = [CatalogueItem(code="wash", name="Car wash", name_zh="洗车", unit="time", points=50)]
    return peer


@pytest.fixture
async def counter(peer: Peer, tmp_path: Path) -> Counter:
    return create_counter(peer, tmp_path / "pos")


async def test_a_job_from_hold_to_capture(peer: Peer, counter: Counter) -> None:
    await counter.screen(*HOLD, CARD, "1", "2", "3", PIN, *CAPTURE, "1", "20", "y", QUIT)
    (hold,), (capture,) = peer.seen(Hold), peer.seen(Capture)
    assert isinstance(hold, Hold)
    assert isinstance(capture, Capture)
    assert (hold.quantity, hold.hold_s, hold.pin) == (2, 10_800, PIN)
    assert (capture.hold, capture.amount) == (hold.id, 20)
    paper, voice = counter.paper.getvalue(), counter.voice.getvalue()
    for word in ("POINTS HELD", "POINTS TAKEN", "Released", "Car wash"):
        assert word in paper
    for word in ("Car wash: 50 × 2 = 100 points", "OPEN HOLDS", "23 h 59 min left", "TAKE THESE POINTS?"):
        assert word.replace("23 h 59", "24 h 00") in voice
    assert PIN not in paper + voice


async def test_all_points_are_taken_unless_a_number_says_less(peer: Peer, counter: Counter) -> None:
    await counter.screen(*A_HOLD, *CAPTURE, "1", "no number", "", "y", QUIT)
    assert [request.amount for request in peer.seen(Capture) if isinstance(request, Capture)] == [50]
    assert "Points to take of 50 (Enter for all)" in [question for question, _ in counter.questions]


async def test_a_hold_is_released_when_the_clerk_agrees(peer: Peer, counter: Counter) -> None:
    await counter.screen(*A_HOLD, *RELEASE, "1", "", *RELEASE, "1", "y", *RELEASE, QUIT)
    assert len(peer.seen(Release)) == 1
    assert "HOLD RELEASED" in counter.paper.getvalue()
    for word in ("RELEASE THIS HOLD?", "Nothing was changed.", "This terminal holds nothing."):
        assert word in counter.voice.getvalue()


async def test_a_hold_is_chosen_by_its_number_or_its_txid(peer: Peer, counter: Counter) -> None:
    await counter.screen(*A_HOLD, *ANOTHER_HOLD, QUIT)
    first, second = (request.id for request in peer.seen(Hold))
    await counter.screen(*RELEASE, txid_text(second), "y", *RELEASE, txid_text(second), *RELEASE, "2", QUIT)
    assert [request.hold for request in peer.seen(Release) if isinstance(request, Release)] == [second]
    voice = counter.voice.getvalue()
    assert f"The hold {txid_text(second)} has ended." in voice
    assert "2 is not a txid" in voice
    await counter.screen(*RELEASE, "1", "y", QUIT)
    assert [request.hold for request in peer.seen(Release) if isinstance(request, Release)] == [second, first]


async def test_a_hold_for_more_than_a_week_is_not_asked(peer: Peer, counter: Counter) -> None:
    await counter.screen(*HOLD, CARD, "wash", "", "169", QUIT)
    assert "Points are held for 1 minute to 7 days." in counter.voice.getvalue()
    assert peer.seen(Hold) == []


async def test_a_refund_is_shown_and_agreed_before(peer: Peer, counter: Counter) -> None:
    await counter.screen(*A_SALE, *REFUND, "", "10", "n", *REFUND, "", "10", "y", *REFUND, "", "", "y", QUIT)
    refunds = [request for request in peer.seen(Refund) if isinstance(request, Refund)]
    assert [refund.amount for refund in refunds] == [10, None]
    voice = counter.voice.getvalue()
    for word in (
        "GIVE THIS BACK?",
        "Points given back                             10",
        "Nothing was changed.",
    ):
        assert word in voice
    assert "REFUNDED" in counter.paper.getvalue()
    assert "Still refundable                               0" in counter.paper.getvalue()


async def test_a_refund_of_what_another_terminal_sold(peer: Peer, counter: Counter) -> None:
    elsewhere = "019a7f3e-6c00-7abc-8def-0123456789ab"
    await counter.screen(*REFUND, CARD, elsewhere, "18", "", "y", QUIT)
    (refund,) = peer.seen(Refund)
    assert isinstance(refund, Refund)
    assert (refund.terminal, refund.amount) == (18, None)
    for word in ("Sold by terminal", "all that remains"):
        assert word in counter.voice.getvalue()


async def test_a_last_sale_that_was_taken_back_is_not_passed_over(peer: Peer, counter: Counter) -> None:
    await counter.screen(*A_SALE, REDEEM, "wash", "", "", *REVERSE, "", "y", *REFUND, "", QUIT)
    assert peer.seen(Refund) == []
    assert "Nothing of the last purchase" in counter.voice.getvalue()


async def test_a_pin_is_changed_with_the_old_one_or_with_a_code(peer: Peer, counter: Counter) -> None:
    await counter.screen(
        *CHANGE_PIN, CARD, PIN, NEW_PIN, NEW_PIN, *CHANGE_PIN, "", "700123", NEW_PIN, NEW_PIN,
        *CHANGE_PIN, PIN, NEW_PIN, "835207", *CHANGE_PIN, "", "", QUIT,
    )  # fmt: skip
    sent = [
        (request.pin, request.reset_code)
        for request in peer.seen(PinChange)
        if isinstance(request, PinChange)
    ]
    assert sent == [(PIN, None), (None, "700123")]
    assert counter.paper.getvalue().count("PIN CHANGED") == 2
    for word in ("The two new PINs differ", "Changing a PIN needs the present one"):
        assert word in counter.voice.getvalue()
    secret = [question for question, _ in counter.questions if "PIN" in question or "code" in question]
    assert [question for question, hidden in counter.questions if hidden] == secret


async def test_the_day_ends_when_the_clerk_agrees(peer: Peer, counter: Counter) -> None:
    await counter.screen(*A_SALE, *DAY_END, "", *DAY_END, "y", *DAY_END, "是", QUIT)
    assert [request.batch for request in peer.seen(Reconciliation)] == [1, 2]
    assert counter.paper.getvalue().count("DAY'S END: BALANCED") == 2
    assert "The batch is closed, and its totals are compared" in counter.voice.getvalue()


async def test_the_status_of_the_last_one(peer: Peer, counter: Counter) -> None:
    await counter.screen(*A_HOLD, *STATUS, "", QUIT)
    assert "STATUS" in counter.paper.getvalue()
    assert "Held" in counter.paper.getvalue()


async def test_a_page_is_left_with_enter_or_its_last_number(peer: Peer, counter: Counter) -> None:
    await counter.screen(HOLDS, "", GIVE_BACK, "3", MORE, "6", MORE, "9", QUIT)
    assert counter.voice.getvalue().count("Scan a card") == 5
    assert counter.voice.getvalue().count("Please choose one of the numbers.") == 1
    assert counter.paper.getvalue() == ""


async def test_the_menu_counts_open_holds(peer: Peer, counter: Counter) -> None:
    await counter.screen(*A_HOLD, QUIT)
    assert "1 open hold, ends in 24 h 00 min" in counter.voice.getvalue()
    await counter.screen(*A_HOLD, QUIT)
    assert "2 open holds, the next ends in 24 h 00 min" in counter.voice.getvalue()


@pytest.mark.parametrize(
    ("server_at", "sentence"),
    [
        (NOW_MS + 25 * 60_000, "This clock is 25 min behind the server's."),
        (NOW_MS - 2 * 86_400_000, "This clock is 2880 min ahead of the server's."),
        (NOW_MS + 5_000, None),
    ],
)
async def test_a_clock_that_is_off_is_told(
    peer: Peer, counter: Counter, server_at: int, sentence: str | None
) -> None:
    set_clock(peer, server_at)
    await counter.screen(QUIT)
    voice = counter.voice.getvalue()
    assert "Business date 2027-01-15" in voice
    assert (sentence in voice) if sentence else ("clock" not in voice)


def set_clock(peer: Peer, server_at: int) -> None:
    """What the peer's replies say of the time."""
    reply_to = peer.reply_to
    peer.reply_to = lambda request: replace(reply_to(request), server_at=server_at)  # type: ignore[method-assign]


async def test_a_new_catalogue_is_told_until_it_is_looked_at(
    peer: Peer, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Counter._ask

    async def ask_and_edit(self: Counter, question: str, hidden: bool) -> str:
        if len(self.questions) == 2:
            peer.catalogue_version = 8
            await peer.say(Notice(server_at=NOW_MS, catalogue=8))
            for _ in range(9):
                await trio.lowlevel.checkpoint()
        return await ask(self, question, hidden)

    monkeypatch.setattr(Counter, "_ask", ask_and_edit)
    await counter.screen(*CATALOGUE, BALANCE, CARD, *CATALOGUE, QUIT)
    menus = counter.voice.getvalue().split("Scan a card")
    assert ["There are new services or prices." in menu for menu in menus] == [
        False, False, True, False, False,
    ]  # fmt: skip
