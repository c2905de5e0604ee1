"""Receipts of what moves or reserves points, and the questions before it."""

from typing import Any

import pytest

from protocol.messages import Capture, Hold, Redeem, Refund, Release
from tests.txserver.paper import TXID, text_of
from tests.txserver.terminal_peer import CARD, NOW_MS, create_identity
from txserver.pos_texts import LANGUAGES, Texts
from txserver.receipt import txid_text
from txserver.receipt_purchases import (
    holds_receipt,
    journal_receipt,
    open_holds,
    purchase_receipt,
    question,
    refundable,
    result_title,
    state_word,
)
from txserver.terminal import Outcome, Result
from txserver.terminal_operations import OPERATIONS, Answer, Operation, Purchase, State

HOUR_MS = 3_600_000
OTHER = bytes([7] * 16)


def create_answer(**changes: Any) -> Answer:
    given: dict[str, Any] = {"code": 0, "text": "Approved", "server_at": NOW_MS}
    return Answer(**{**given, "business_date": "2027-01-15", **changes})


def envelope(txid: bytes) -> dict[str, Any]:
    return {"id": txid, "stan": 1, "batch": 1, "at": NOW_MS, "credential": CARD}


def create_hold(number: int = 1, *, hours: int = 2, state: State = State.APPROVED) -> Purchase:
    request = Hold(**envelope(bytes([number] * 16)), service="wash", quantity=2)
    answer = create_answer(points=240, expires_at=NOW_MS + hours * HOUR_MS)
    return Purchase(request=request, state=state, answer=answer, booked=240)


def ending(
    hold: Purchase, kind: str = "capture", *, state: State = State.APPROVED, code: int = 0
) -> Purchase:
    request: Operation = (
        Capture(**envelope(OTHER), hold=hold.txid, amount=120)
        if kind == "capture"
        else Release(**envelope(OTHER), hold=hold.txid)
    )
    return Purchase(request=request, state=state, answer=create_answer(code=code))


def test_a_receipt_says_everything() -> None:
    answer = create_answer(recorded=True, approval="000123", points=30, balance=70, receipt=["Thank you"])
    result = Result(Outcome.APPROVED, TXID, "wash", answer)
    text = text_of(purchase_receipt(result, create_identity(), Texts()))
    for word in (
        "APPROVED", "Blue Car Wash", "North Gate", "17", "2027-01-15", "019a7f3e-6c00-7abc-8def-0123456789ab",
        "wash", "000123", "30", "70", "Repeat of a recorded answer", "Thank you",
    ):  # fmt: skip
        assert word in text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_of_every_kind_has_a_receipt(outcome: Outcome, kind: str, language: str) -> None:
    texts = Texts(language)
    result = Result(outcome, None, kind=kind)
    receipt = purchase_receipt(result, create_identity(), texts)
    assert receipt.title == result_title(result, texts)
    explained = outcome not in (Outcome.APPROVED, Outcome.REFUSED)
    means = texts.first(f"means.{kind}.{outcome.value}", f"means.{outcome.value}") if explained else ""
    assert receipt.lines[-1] == means


def test_each_kind_has_its_own_words() -> None:
    told = {
        "hold": create_answer(points=240, expires_at=NOW_MS + HOUR_MS, balance=60),
        "capture": create_answer(points=120, released=120),
        "release": create_answer(points=240),
        "refund": create_answer(points=20, remaining=100),
    }
    texts = {
        kind: text_of(
            purchase_receipt(
                Result(Outcome.APPROVED, OTHER, "wash", answer, kind), create_identity(), Texts(), about=TXID
            )
        )
        for kind, answer in told.items()
    }
    for word in (
        "POINTS HELD",
        "Points held                                  240",
        "2027-01-15 09:00:00 UTC",
    ):
        assert word in texts["hold"]
    for word in (
        "POINTS TAKEN",
        "Released                                     120",
        f"Hold        {txid_text(TXID)}",
    ):
        assert word in texts["capture"]
    assert "HOLD RELEASED" in texts["release"]
    for word in (
        "REFUNDED",
        "Points given back                             20",
        "Still refundable                             100",
        f"Original    {txid_text(TXID)}",
    ):
        assert word in texts["refund"]


@pytest.mark.parametrize(
    ("outcome", "code", "title", "means"),
    [
        ("captured", 0, "CAPTURED BEFORE", "stay taken"),
        ("refunded", 0, "REFUNDED BEFORE", "Refund what remains"),
        (None, 1020, "ASK THE OPERATOR", "did not accept the reversal"),
        (None, 0, "ASK THE OPERATOR", "does not say what became of it"),
    ],
)
def test_a_reversal_that_changed_nothing_says_why(
    outcome: str | None, code: int, title: str, means: str
) -> None:
    result = Result(Outcome.DISPUTED, TXID, "wash", create_answer(code=code, outcome=outcome), "hold")
    receipt = purchase_receipt(result, create_identity(), Texts())
    assert receipt.title == title
    assert means in str(receipt.lines[-1])


def test_offline_names_what_is_owed() -> None:
    result = Result(Outcome.OFFLINE, None, "wash")
    assert "(3)" in text_of(purchase_receipt(result, create_identity(), Texts(), unsettled=3))
    assert "Nothing was stored" in text_of(purchase_receipt(result, create_identity(), Texts()))


def test_a_code_that_is_newer_than_this_program_keeps_the_servers_text() -> None:
    answer = create_answer(code=1999, text="From the future")
    text = text_of(
        purchase_receipt(Result(Outcome.REFUSED, TXID, "w", answer), create_identity(), Texts("zh"))
    )
    assert "From the future" in text
    assert "1999" in text


def test_a_question_shows_what_will_happen() -> None:
    shown = question(
        create_hold(), create_identity(), Texts(), asked="ask.capture", points=120, service="wash",
        names={"wash": "Car wash"},
    )  # fmt: skip
    assert shown.title == "TAKE THESE POINTS?"
    for line in (("Points held", "240"), ("Points taken", "120"), ("Service", "Car wash"), ("Card", "…AAAA")):
        assert line in shown.lines


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", list(State))
def test_every_state_has_a_word(state: State, language: str) -> None:
    texts = Texts(language)
    assert state_word(create_hold(state=state), texts) == texts(f"state.{state.value}")
    stored = ending(create_hold(), state=State.OPEN)
    assert state_word(stored, texts) == texts("state.stored")


def test_open_holds_end_with_their_capture_their_release_or_their_time() -> None:
    first, second = create_hold(1, hours=5), create_hold(2, hours=2)
    assert open_holds([first, second], NOW_MS) == [second, first]
    assert open_holds([first, second], NOW_MS + 3 * HOUR_MS) == [first]
    assert open_holds([first, second], NOW_MS + 6 * HOUR_MS) == []
    assert open_holds([first, second]) == [second, first]
    for kind in ("capture", "release"):
        assert open_holds([first, second, ending(second, kind)], NOW_MS) == [first]
        # Sent later, but said: the job is done.
        assert open_holds([second, ending(second, kind, state=State.OPEN)], NOW_MS) == []
    for state in (State.REFUSED, State.NEVER, State.REVERSED, State.REVERSING, State.OPEN):
        assert open_holds([create_hold(state=state)], NOW_MS) == []


def test_a_refused_capture_leaves_the_hold_open_unless_it_was_over() -> None:
    hold = create_hold()
    refused = ending(hold, state=State.REFUSED, code=3015)
    assert open_holds([hold, refused], NOW_MS) == [hold]
    for code in (3012, 3013, 3014):
        assert open_holds([hold, ending(hold, state=State.REFUSED, code=code)], NOW_MS) == []


def test_open_holds_are_listed_with_the_time_that_is_left() -> None:
    holds = [create_hold(1, hours=2), create_hold(2, hours=72)]
    text = text_of(holds_receipt(holds, create_identity(), Texts(), now_ms=NOW_MS + 60_000))
    for word in (
        "1 wash",
        "240 points, 1 h 59 min left",
        "2 wash",
        "2 d 23 h left",
        txid_text(holds[0].txid),
    ):
        assert word in text
    assert "本终端没有未结束的预留" in text_of(
        holds_receipt([], create_identity(), Texts("zh"), now_ms=NOW_MS)
    )


def test_the_journal_tells_kinds_and_states() -> None:
    hold = create_hold()
    sale = Purchase(
        request=Redeem(**envelope(TXID), service="wash"),
        state=State.APPROVED,
        answer=create_answer(points=30),
    )
    text = text_of(journal_receipt([ending(hold, state=State.OPEN), hold, sale], create_identity(), Texts()))
    for word in (
        "Captured · to be sent",
        "Held wash · approved",
        "Redeemed wash · approved",
        f"{txid_text(TXID)}{30:>12}",
    ):
        assert word in text
    assert "Nothing yet" in text_of(journal_receipt([], create_identity(), Texts()))


def test_only_what_spent_points_is_refundable() -> None:
    sale = Purchase(request=Redeem(**envelope(TXID), service="wash"), state=State.APPROVED)
    back = Purchase(request=Refund(**envelope(TXID), original=OTHER), state=State.APPROVED)
    assert refundable(sale)
    assert refundable(ending(create_hold()))
    assert not refundable(create_hold())
    assert not refundable(back)
    assert not refundable(ending(create_hold(), state=State.REVERSED))
