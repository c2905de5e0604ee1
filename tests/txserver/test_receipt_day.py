"""The receipt of a day's end: totals side by side, differences in words."""

import pytest
from rich.cells import cell_len

from protocol.messages import BatchResult, BatchTotal
from tests.txserver.paper import TXID, printed, text_of
from tests.txserver.terminal_peer import create_identity
from txserver.pos_texts import LANGUAGES, Texts
from txserver.receipt import WIDTH, txid_text
from txserver.receipt_day import day_receipt, difference_text
from txserver.terminal import DayEnd

OUTCOMES = ("reply_lost", "reversal_pending", "late", "unknown_here", "unknown_there", "amount_differs")
"""Every difference that protocol.messages.BatchResult names."""


def total(kind: str, count: int, points: int) -> BatchTotal:
    return BatchTotal(kind=kind, count=count, points=points)


def create_day(**changes: object) -> DayEnd:
    own = (total("hold", 3, 900), total("redeem", 12, 1_440))
    given = {"batch": 4, "balanced": True, "own": own, "server": own, "results": ()} | changes
    return DayEnd(**given)  # type: ignore[arg-type]


def test_a_balanced_day_shows_each_kind_once_in_the_order_of_a_day() -> None:
    lines = printed(day_receipt(create_day(), create_identity(), Texts()))
    assert "DAY'S END: BALANCED" in lines[0]
    (sold,) = (number for number, line in enumerate(lines) if "Redeemed" in line)
    assert lines[sold].split() == ["│", "Redeemed", "12×", "1440", "│"]
    assert lines[sold + 1].split() == ["│", "Held", "3×", "900", "│"]


def test_both_sides_stand_beside_each_other_when_they_differ() -> None:
    day = create_day(balanced=False, code=1401, server=(total("redeem", 13, 1_560),))
    text = text_of(day_receipt(day, create_identity(), Texts()))
    assert "OUT OF BALANCE" in text
    assert "Redeemed       12×        1440   13×        1560" in text
    assert "Held            3×         900    0×           0" in text
    assert "What differs" not in text
    assert "The totals differ, but no single" in text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_difference_is_told_in_words(outcome: str, language: str) -> None:
    result = BatchResult(id=TXID, outcome=outcome, kind="redeem", points=120, booked="2027-01-15")
    day = create_day(balanced=False, code=1401, results=(result,))
    receipt = day_receipt(day, create_identity(), Texts(language))
    told = difference_text(result, Texts(language))
    assert told != outcome
    assert told in receipt.lines
    assert txid_text(TXID) in receipt.lines
    assert {cell_len(line) for line in printed(receipt)} == {WIDTH + 4}


def test_differences_tell_what_is_needed_to_act() -> None:
    def told(outcome: str, **fields: object) -> str:
        return difference_text(BatchResult(id=TXID, outcome=outcome, **fields), Texts())  # type: ignore[arg-type]

    assert "120 points" in told("amount_differs", points=120)
    assert "2027-01-16" in told("late", booked="2027-01-16")
    assert "outside this batch" in told("late")
    assert told("something new") == "something new"


def test_an_empty_day_and_days_that_were_closed_before() -> None:
    empty = day_receipt(create_day(own=(), server=()), create_identity(), Texts())
    assert "No transactions in this batch." in empty.lines
    before = day_receipt(create_day(balanced=False, code=3023, server=()), create_identity(), Texts())
    assert "The server had closed this batch before." in before.lines
    resumed = day_receipt(create_day(resumed=True), create_identity(), Texts("zh"))
    assert "此前日结未获应答，现已补做。" in resumed.lines


def test_a_kind_that_is_newer_than_this_program_is_shown_by_its_name() -> None:
    # msgspec checks what comes over the wire; a struct that is made here may say anything.
    text = text_of(day_receipt(create_day(own=(total("gift", 1, 5),)), create_identity(), Texts()))
    assert "gift" in text
