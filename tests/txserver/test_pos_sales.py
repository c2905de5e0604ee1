"""`pos hold`, `capture`, `release`, `refund`: what each prints, and its exit code."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from protocol.messages import Capture, Hold, Redeem, Refund, Release, Request
from tests.txserver.pos_desk import Counter, create_counter, undone
from tests.txserver.terminal_peer import CARD, PIN, Door, Fault, Peer

CARD_OPTION = ("--card", CARD)
HOLD = ("hold", *CARD_OPTION, "--service", "wash", "--pin", PIN)
REDEEM = ("redeem", *CARD_OPTION, "--service", "wash", "--pin", PIN)


@pytest.fixture
async def peer(nursery: trio.Nursery) -> Peer:
    return Peer(nursery)


@pytest.fixture
async def counter(peer: Peer, tmp_path: Path) -> Counter:
    return create_counter(peer, tmp_path / "pos")


def unplugged(peer: Peer, kind: type[Request]) -> None:
    """Lose the line for good when such a request arrives."""

    def unplug(request: Request) -> None:
        if isinstance(request, kind):
            peer.doors.extend([Door.REFUSED] * 200)

    peer.on_request = unplug


async def test_a_hold_as_json_and_as_a_receipt(peer: Peer, counter: Counter) -> None:
    code, facts = await counter.json(*HOLD, "--quantity", "2", "--hours", "3", "--reference", "J-1")
    assert (code, facts["outcome"], facts["kind"], facts["points"]) == (0, "approved", "hold", 50)
    assert facts["expires_at"] > 0
    (request,) = peer.seen(Hold)
    assert isinstance(request, Hold)
    assert (request.quantity, request.hold_s, request.reference, request.pin) == (2, 10_800, "J-1", PIN)
    code, again = await counter.json(
        *HOLD, "--quantity", "2", "--hours", "3", "--reference", "J-1", "--txid", facts["txid"]
    )
    assert (code, again["recorded"], again["txid"]) == (0, True, facts["txid"])
    assert await counter.command(*HOLD) == 0
    for word in ("POINTS HELD", "Held until"):
        assert word in counter.paper.getvalue()
    assert PIN not in counter.paper.getvalue() + counter.voice.getvalue()


async def test_how_long_a_hold_lasts(peer: Peer, counter: Counter) -> None:
    await counter.command(*HOLD)
    await counter.command(*HOLD, "--minutes", "90")
    await counter.command(*HOLD, "--hours", "168")
    assert [request.hold_s for request in peer.seen(Hold)] == [None, 5_400, 604_800]  # type: ignore[attr-defined]
    for wrong in (("--hours", "169"), ("--minutes", "0"), ("--hours", "-1"), ("--hours", str(10**30))):
        assert await counter.command(*HOLD, *wrong) == 2
    assert counter.voice.getvalue().count("Points are held for 1 minute to 7 days.") == 4
    assert len(peer.seen(Hold)) == 3


async def test_capture_takes_some_and_gives_back_the_rest(peer: Peer, counter: Counter) -> None:
    _, held = await counter.json(*HOLD)
    code, taken = await counter.json("capture", "last", "20", "--reference", "J-2")
    assert (code, taken["kind"], taken["points"], taken["released"]) == (0, "capture", 20, 30)
    assert (taken["about"], taken["service"]) == (held["txid"], "wash")
    (request,) = peer.seen(Capture)
    assert isinstance(request, Capture)
    assert (request.amount, request.reference, request.credential) == (20, "J-2", CARD)
    _, journal = await counter.json("journal")
    assert [(one["kind"], one["about"], one["points"]) for one in journal["purchases"]] == [
        ("capture", held["txid"], 20),
        ("hold", None, 50),
    ]


async def test_the_last_hold_stays_the_last_when_it_has_ended(peer: Peer, counter: Counter) -> None:
    _, older = await counter.json(*HOLD)
    _, newer = await counter.json(*HOLD)
    assert await counter.command("release", "last") == 0
    for again in (("release", "last"), ("capture", "last", "10")):
        code, facts = await counter.json(*again)
        assert (code, facts) == (1, {"outcome": "refused", "txid": newer["txid"], "state": "approved"})
    assert f"The last hold {newer['txid']} has ended." in counter.voice.getvalue()
    assert (len(peer.seen(Release)), peer.seen(Capture)) == (1, [])
    # Whoever names a txid means it: the server says what became of it.
    code, facts = await counter.json("release", newer["txid"])
    assert (code, facts["code"]) == (1, 3013)
    assert (await counter.json("capture", older["txid"], "50"))[0] == 0


async def test_more_than_was_held_is_refused_and_the_hold_stays(peer: Peer, counter: Counter) -> None:
    await counter.json(*HOLD)
    code, facts = await counter.json("capture", "last", "51")
    assert (code, facts["code"]) == (1, 3015)
    assert (await counter.json("capture", "last", "50"))[0] == 0


async def test_a_capture_without_a_line_is_kept_and_sent_next_time(
    autojump_clock: MockClock, peer: Peer, counter: Counter
) -> None:
    _, held = await counter.json(*HOLD)
    peer.doors.extend([Door.REFUSED] * 200)
    code, facts = await counter.json("capture", "last", "20")
    assert (code, facts["outcome"], facts["unsettled"]) == (2, "stored", 1)
    assert await counter.command("release", "last") == 1
    peer.doors.clear()
    assert await counter.command(*REDEEM) == 0
    assert "POINTS TAKEN" in counter.voice.getvalue()
    assert peer.books.rows[bytes.fromhex(held["txid"].replace("-", ""))].ended == "capture"


async def test_refunds_until_nothing_remains(peer: Peer, counter: Counter) -> None:
    _, sold = await counter.json(*REDEEM)
    code, part = await counter.json("refund", "last", *CARD_OPTION, "--amount", "10", "--chip", "04a1b2c3")
    assert (code, part["kind"], part["points"], part["remaining"]) == (0, "refund", 10, 20)
    assert part["about"] == sold["txid"]
    # "last" is the last sale, not the refund that came after it.
    code, rest = await counter.json("refund", "last", *CARD_OPTION)
    assert (code, rest["points"], rest["remaining"]) == (0, 20, 0)
    code, more = await counter.json("refund", "last", *CARD_OPTION, "--amount", "1")
    assert (code, more["code"]) == (1, 3019)
    first = peer.seen(Refund)[0]
    assert isinstance(first, Refund)
    assert (first.amount, first.chip, first.terminal) == (10, bytes.fromhex("04a1b2c3"), None)


async def test_a_refund_of_what_another_terminal_sold(peer: Peer, counter: Counter) -> None:
    """Its txid is on the receipt; this terminal has never seen it."""
    elsewhere = "019a7f3e-6c00-7abc-8def-0123456789ab"
    code, facts = await counter.json(
        "refund", elsewhere, *CARD_OPTION, "--terminal", "18", "--reference", "R"
    )
    assert (code, facts["code"], facts["about"]) == (1, 3016, elsewhere)
    (request,) = peer.seen(Refund)
    assert isinstance(request, Refund)
    assert (request.terminal, request.reference) == (18, "R")
    assert await counter.command("refund", "last", *CARD_OPTION, "--terminal", "18") == 2
    assert "last purchase of another terminal is not known here" in counter.voice.getvalue()


async def test_a_last_sale_that_spent_nothing_is_not_passed_over(peer: Peer, counter: Counter) -> None:
    await counter.json(*REDEEM)
    peer.books.approve = False
    _, refused = await counter.json(*REDEEM)
    peer.books.approve = True
    code, facts = await counter.json("refund", "last", *CARD_OPTION)
    assert (code, facts) == (1, {"outcome": "refused", "txid": refused["txid"], "state": "refused"})
    assert peer.seen(Refund) == []
    assert "Nothing of the last purchase" in counter.voice.getvalue()


async def test_a_refund_of_unknown_outcome_is_a_warning(
    autojump_clock: MockClock, peer: Peer, counter: Counter
) -> None:
    await counter.json(*REDEEM)
    unplugged(peer, Refund)
    peer.faults.append(Fault.LOSE_REPLY)
    assert await counter.command("refund", "last", *CARD_OPTION) == 2
    assert "OUTCOME UNKNOWN" in counter.paper.getvalue()
    assert "Make no second refund" in counter.paper.getvalue().replace("│\n│ ", "")


async def test_holds_and_captures_may_be_taken_back(peer: Peer, counter: Counter) -> None:
    _, held = await counter.json(*HOLD)
    code, facts = await counter.json("reverse", "last")
    assert (code, facts["kind"], facts["outcome"], facts["txid"]) == (0, "hold", "reversed", held["txid"])
    await counter.json(*HOLD)
    _, taken = await counter.json("capture", "last", "20")
    code, facts = await counter.json("reverse", "last")
    assert (code, facts["kind"], facts["txid"]) == (0, "capture", taken["txid"])
    assert {bytes.fromhex(txid.replace("-", "")) for txid in (held["txid"], taken["txid"])} == undone(peer)


async def test_what_is_no_purchase_is_not_taken_back(peer: Peer, counter: Counter) -> None:
    await counter.json(*HOLD)
    await counter.json("release", "last")
    assert await counter.command("reverse", "last") == 1
    assert "cannot be taken back" in counter.voice.getvalue()
    await counter.json(*HOLD)
    _, taken = await counter.json("capture", "last", "20")
    _, journal = await counter.json("journal")
    (hold,) = [one for one in journal["purchases"] if one["txid"] == taken["about"]]
    code, facts = await counter.json("reverse", hold["txid"])
    assert (code, facts["outcome"], facts["reversal"]) == (2, "disputed", "captured")
    assert undone(peer) == set()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("capture", "last", "10"), "has made no hold"),
        (("release", "019a7f3e-6c00-7abc-8def-0123456789ab"), "has no purchase 019a7f3e"),
        (("release", "12"), "12 is not a txid"),
        (("refund", "last", *CARD_OPTION), "has sold nothing that could be refunded"),
        (("refund", "12", *CARD_OPTION), "12 is not a txid"),
        (("refund", "last", "--card", "HELLO"), "This is not a Tessera card"),
        ((*HOLD, "--amount", str(2**70)), "cannot be sent"),
    ],
)
async def test_faults_are_one_sentence(counter: Counter, arguments: tuple[str, ...], sentence: str) -> None:
    assert await counter.command(*arguments) == 2
    assert sentence in counter.voice.getvalue()
    assert len(counter.voice.getvalue().splitlines()) == 1
    assert counter.paper.getvalue() == ""


async def test_a_txid_of_the_wrong_kind_is_a_sentence(peer: Peer, counter: Counter) -> None:
    _, sold = await counter.json(*REDEEM)
    _, held = await counter.json(*HOLD)
    assert await counter.command("capture", sold["txid"], "10") == 2
    assert f"{sold['txid']} is not a hold." in counter.voice.getvalue()
    assert await counter.command("refund", held["txid"], *CARD_OPTION) == 2
    assert f"{held['txid']} is no purchase that could be refunded." in counter.voice.getvalue()
    assert [kind for kind in (Capture, Refund) if peer.seen(kind)] == []


async def test_in_chinese(peer: Peer, counter: Counter) -> None:
    counter.language = "zh"
    await counter.command(*HOLD)
    await counter.command("capture", "last", "20")
    await counter.command("refund", "last", *CARD_OPTION)
    await counter.command("capture", "last", "20")
    for word in ("积分已预留", "预留积分已扣取", "已退款", "仍可退积分"):
        assert word in counter.paper.getvalue()
    assert "已结束" in counter.voice.getvalue()
    assert len(peer.seen(Redeem)) == 0
