"""`pos …` for scripts: what each subcommand prints, and its exit code."""

import io
import sqlite3
from pathlib import Path

import pytest
import segno
import trio
from trio.testing import MockClock

from protocol.messages import BalanceInquiry, CatalogueItem, ConsumptionInquiry, Redeem, RedeemReply, Request
from tests.txserver.pos_desk import Counter, create_code, create_counter, parse, undone
from tests.txserver.terminal_peer import CARD, PIN, Door, Fault, Peer, envelope
from txserver import pos
from txserver.terminal_operations import Purchase
from txserver.terminal_store import PurchaseStore, StoreError

REDEEM = ("redeem", "--card", CARD, "--service", "wash")


@pytest.fixture
async def peer(nursery: trio.Nursery) -> Peer:
    return Peer(nursery)


@pytest.fixture
async def counter(peer: Peer, tmp_path: Path) -> Counter:
    return create_counter(peer, tmp_path / "pos")


async def test_enrol_then_redeem(peer: Peer, tmp_path: Path) -> None:
    counter = create_counter(peer, tmp_path / "pos", enrolled=False)
    assert await counter.command("enrol", create_code()) == 0
    assert await counter.command(*REDEEM, "--pin", PIN) == 0
    paper = counter.paper.getvalue()
    for word in ("ENROLLED", "APPROVED", "Blue Car Wash", "North Gate", "A1B2C3", "wash"):
        assert word in paper
    assert PIN not in paper + counter.voice.getvalue()


async def test_redeem_as_json(peer: Peer, counter: Counter) -> None:
    purchase = (*REDEEM, "--quantity", "2", "--chip", "04:a1:b2:c3", "--reference", "O-7")
    code, facts = await counter.json(*purchase)
    assert code == 0
    assert (facts["outcome"], facts["points"], facts["balance"], facts["recorded"]) == (
        "approved",
        30,
        70,
        False,
    )
    (request,) = peer.seen(Redeem)
    assert isinstance(request, Redeem)
    assert (request.quantity, request.chip, request.reference) == (2, bytes.fromhex("04a1b2c3"), "O-7")
    code, again = await counter.json(*purchase, "--txid", facts["txid"])
    assert (code, again["recorded"], again["txid"]) == (0, True, facts["txid"])
    assert await counter.command(*REDEEM, "--quantity", "3", "--txid", facts["txid"]) == 2
    assert len(peer.seen(Redeem)) == 2


async def test_quantity_is_one_unless_an_amount_is_open(peer: Peer, counter: Counter) -> None:
    await counter.command(*REDEEM)
    await counter.command(*REDEEM, "--amount", "250")
    requests = [request for request in peer.seen(Redeem) if isinstance(request, Redeem)]
    assert [(request.quantity, request.amount) for request in requests] == [(1, None), (None, 250)]


async def test_where_the_pin_comes_from(peer: Peer, counter: Counter) -> None:
    """The command line, then the environment, then the clerk; an empty answer is none."""
    counter.pin = "111111"
    await counter.command(*REDEEM, "--pin", "222222")
    await counter.command(*REDEEM)
    counter.pin = None
    for typed in ("333333", ""):
        counter.answers.append(typed)
        await counter.command(*REDEEM)
    await counter.command(*REDEEM)
    pins = [request.pin for request in peer.seen(Redeem) if isinstance(request, Redeem)]
    assert pins == ["222222", "111111", "333333", None, None]
    assert counter.questions == [("PIN (Enter for none)", True)] * 2


async def test_a_refusal_exits_with_1(peer: Peer, counter: Counter) -> None:
    peer.books.approve = False
    assert await counter.command(*REDEEM) == 1
    assert "REFUSED" in counter.paper.getvalue()
    assert "Not enough points" in counter.paper.getvalue()


async def test_a_picture_of_a_card(peer: Peer, counter: Counter, tmp_path: Path) -> None:
    picture = tmp_path / "card.png"
    segno.make(CARD).save(str(picture), scale=4)
    assert await counter.command("balance", "--card-image", str(picture)) == 0
    (inquiry,) = peer.seen(BalanceInquiry)
    assert isinstance(inquiry, BalanceInquiry)
    assert inquiry.credential == CARD


async def test_balance_history_catalogue_and_status(peer: Peer, counter: Counter) -> None:
    peer.services = [CatalogueItem(code="wash", name="Wash", name_zh="洗车", unit="time", points=30)]
    _, sold = await counter.json(*REDEEM)
    assert (await counter.json("balance", "--card", CARD))[1]["balance"] == 100
    assert (await counter.json("history", "--card", CARD, "--since", "2027-01-01"))[1][
        "outcome"
    ] == "approved"
    assert (await counter.json("catalogue"))[1]["services"][0]["points"] == 30
    code, status = await counter.json("status")
    assert (code, status["original_code"], status["points"]) == (0, 0, 30)
    assert (await counter.json("status", sold["txid"]))[1]["approval"] == "A1B2C3"
    for command in (("balance", "--card", CARD), ("history", "--card", CARD), ("catalogue",), ("status",)):
        assert await counter.command(*command) == 0
    for word in ("BALANCE", "HISTORY", "SERVICES", "STATUS", "30 points / time"):
        assert word in counter.paper.getvalue()


async def test_reverse_the_last_purchase(peer: Peer, counter: Counter) -> None:
    await counter.json(*REDEEM)
    _, second = await counter.json(*REDEEM)
    code, facts = await counter.json("reverse", "last")
    assert (code, facts["outcome"], facts["txid"]) == (0, "reversed", second["txid"])
    assert undone(peer) == {bytes.fromhex(second["txid"].replace("-", ""))}
    _, journal = await counter.json("journal")
    assert [one["state"] for one in journal["purchases"]] == ["reversed", "approved"]


async def test_the_last_purchase_stays_the_last_when_it_is_taken_back(peer: Peer, counter: Counter) -> None:
    _, older = await counter.json(*REDEEM)
    _, newer = await counter.json(*REDEEM)
    await counter.command("reverse", "last")
    before = counter.paper.getvalue()
    assert await counter.command("reverse", "last") == 1
    assert f"The last purchase {newer['txid']} is already taken back" in counter.voice.getvalue()
    assert counter.paper.getvalue() == before
    code, facts = await counter.json("reverse", "last")
    assert (code, facts) == (1, {"outcome": "refused", "txid": newer["txid"], "state": "reversed"})
    assert len(undone(peer)) == 1
    # Whoever names a txid means it, and may say so twice.
    for txid in (newer["txid"], older["txid"]):
        code, facts = await counter.json("reverse", txid)
        assert (code, facts["outcome"]) == (0, "reversed")
    assert len(undone(peer)) == 2


async def test_the_last_purchase_may_be_one_that_was_refused(peer: Peer, counter: Counter) -> None:
    await counter.command(*REDEEM)
    peer.books.approve = False
    await counter.command(*REDEEM)
    assert await counter.command("reverse", "last") == 1
    assert "spent nothing" in counter.voice.getvalue()
    assert undone(peer) == set()


async def test_a_history_asks_for_its_pin(peer: Peer, counter: Counter) -> None:
    """A script that gives none is answered by the server; a clerk is asked."""
    assert await counter.command("history", "--card", CARD) == 0
    counter.answers.append("")
    assert await counter.command("history", "--card", CARD) == 2
    assert "The history needs the card's PIN" in counter.voice.getvalue()
    assert len(peer.seen(ConsumptionInquiry)) == 1


async def test_the_journal_needs_no_server(peer: Peer, counter: Counter) -> None:
    await counter.command(*REDEEM)
    connections = peer.connections
    assert await counter.command("journal") == 0
    assert peer.connections == connections
    assert "approved" in counter.paper.getvalue()


async def test_offline_says_what_was_stored(autojump_clock: MockClock, peer: Peer, counter: Counter) -> None:
    peer.doors.extend([Door.REFUSED] * 100)
    code, facts = await counter.json(*REDEEM)
    assert (code, facts["outcome"], facts["txid"], facts["unsettled"]) == (2, "offline", None, 0)
    assert await counter.command(*REDEEM) == 2
    assert "Nothing was stored and nothing was spent" in counter.paper.getvalue()
    assert "127.0.0.1:7171 does not answer (nobody listens)" in counter.voice.getvalue()
    assert await counter.command("balance", "--card", CARD) == 2


async def test_a_stored_reversal_is_told_and_goes_out_next_time(
    autojump_clock: MockClock, peer: Peer, counter: Counter
) -> None:
    peer.faults.append(Fault.LOSE_REPLY)

    def unplug(request: Request) -> None:
        if isinstance(request, Redeem):
            peer.doors.extend([Door.REFUSED] * 100)

    peer.on_request = unplug
    assert await counter.command(*REDEEM) == 2
    assert "REVERSAL STORED" in counter.paper.getvalue()
    code, facts = await counter.json(*REDEEM)
    assert (code, facts["outcome"], facts["unsettled"]) == (2, "offline", 1)
    assert await counter.command(*REDEEM) == 2
    assert "earlier purchases (1)" in counter.paper.getvalue()
    peer.doors.clear()
    peer.on_request = lambda request: None
    assert await counter.command(*REDEEM) == 0
    assert "REVERSED" in counter.voice.getvalue()
    assert len(peer.books.owed()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("redeem", "--card", "HELLO", "--service", "wash"), "This is not a Tessera card"),
        (("redeem", "--card", CARD, "--service", "w" * 41), "cannot be sent"),
        (("redeem", "--card", CARD, "--service", "wash", "--quantity", str(2**70)), "cannot be sent"),
        (("redeem", "--card", CARD, "--service", "wash", "--txid", "12"), "12 is not a txid"),
        (("balance", "--card", CARD, "--chip", "xy"), "UID is 4 to 10 bytes"),
        (("balance", "--card-image", "nowhere.png"), "There is no file nowhere.png"),
        (("reverse", "last"), "no such purchase"),
        (("reverse", "019a7f3e-6c00-7abc-8def-0123456789ab"), "has no purchase 019a7f3e"),
        (("status", "last"), "no such purchase"),
        (("enrol", "TSRE1ABC"), "not an enrolment code"),
        (("enrol", create_code()), "is already terminal 17"),
    ],
)
async def test_faults_are_one_sentence(counter: Counter, arguments: tuple[str, ...], sentence: str) -> None:
    assert await counter.command(*arguments) == 2
    assert sentence in counter.voice.getvalue()
    assert len(counter.voice.getvalue().splitlines()) <= 2
    assert counter.paper.getvalue() == ""


async def test_not_enrolled_says_how(peer: Peer, tmp_path: Path) -> None:
    counter = create_counter(peer, tmp_path / "pos", enrolled=False)
    assert await counter.command(*REDEEM) == 2
    assert "pos enrol CODE" in counter.voice.getvalue()


async def test_a_failed_enrolment_may_be_tried_again(peer: Peer, tmp_path: Path) -> None:
    counter = create_counter(peer, tmp_path / "pos", enrolled=False)
    peer.doors.append(Door.REFUSED)
    assert await counter.command("enrol", create_code()) == 2
    assert "try the same code again" in counter.voice.getvalue().replace("\n", " ")
    assert await counter.command("enrol", create_code()) == 0


async def test_replacing_a_terminal_waits_for_its_purchases(peer: Peer, counter: Counter) -> None:
    await counter.command(*REDEEM)
    assert await counter.command("enrol", create_code(), "--replace") == 0
    with sqlite3.connect(counter.folder / "purchases.sqlite3") as connection:
        connection.execute("UPDATE purchase SET final = 0")
    connection.close()
    assert await counter.command("enrol", create_code(), "--replace") == 2
    assert "still has purchases to settle" in counter.voice.getvalue()


async def test_two_pos_on_one_folder(counter: Counter) -> None:
    store = PurchaseStore(counter.folder)
    assert await counter.command(*REDEEM) == 2
    assert "another POS" in counter.voice.getvalue()
    store.close()


@pytest.mark.parametrize(("command", "writes"), [(REDEEM, 0), (REDEEM, 1), (("reverse", "last"), 1)])
async def test_a_disk_that_fails_meanwhile_is_a_sentence(
    peer: Peer,
    counter: Counter,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    writes: int,
) -> None:
    """In the clerk's own task, or in the one that settles behind it."""
    await counter.command(*REDEEM)
    before = counter.paper.getvalue()
    write = PurchaseStore.write
    left = iter(range(writes))

    def write_or_fail(self: PurchaseStore, purchase: Purchase, last_stan: int) -> None:
        if next(left, None) is None:
            raise StoreError("purchases.sqlite3: database or disk is full")
        write(self, purchase, last_stan)

    monkeypatch.setattr(PurchaseStore, "write", write_or_fail)
    assert await counter.command(*command) == 2
    assert counter.voice.getvalue() == "purchases.sqlite3: database or disk is full\n"
    assert counter.paper.getvalue() == before


async def test_words_of_the_server_are_not_markup(peer: Peer, counter: Counter) -> None:
    reply_to = peer.reply_to

    def answer(request: Request) -> RedeemReply:
        assert isinstance(request, Redeem)
        return RedeemReply(**envelope(request), points=1, receipt=["[red]not red\x1b[2J"])

    peer.reply_to = lambda request: answer(request) if isinstance(request, Redeem) else reply_to(request)  # type: ignore[method-assign]
    await counter.command(*REDEEM)
    assert "[red]not red [2J" in counter.paper.getvalue()
    assert "\x1b" not in counter.paper.getvalue()


async def test_in_chinese(peer: Peer, counter: Counter) -> None:
    counter.language = "zh"
    await counter.command(*REDEEM)
    peer.books.approve = False
    await counter.command(*REDEEM)
    assert "交易成功" in counter.paper.getvalue()
    assert "积分不足" in counter.paper.getvalue()


def test_wrong_usage_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ("redeem",),
        ("redeem", "--card", CARD),
        ("nothing",),
        ("redeem", *REDEEM, "--quantity", "x"),
    ):
        with pytest.raises(SystemExit) as stopped:
            parse(*arguments)
        assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_options_may_stand_before_or_after_the_subcommand() -> None:
    assert parse("--device", "/a", "journal").device == Path("/a")
    assert parse("journal", "--device", "/b").device == Path("/b")
    assert parse("journal").device == Path("var/pos")
    assert parse("--language", "zh", "journal").language == "zh"


def test_main_runs_a_process_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert pos.main(parse("redeem", "--card", CARD, "--service", "wash", "--device", str(tmp_path))) == 2
    assert "enrol it first" in capsys.readouterr().err
