"""What came of a played shop: its verdict, its receipt, its facts."""

import json
from typing import Any

import pytest
from rich.cells import cell_len

from protocol.messages import BatchResult, BatchTotal
from tests.txserver.paper import TXID, printed, text_of
from txserver.pos_texts import LANGUAGES, Texts
from txserver.receipt import WIDTH, txid_text
from txserver.shop_day import SeatDay, ShopDay, exit_code, shop_facts, shop_receipt, verdict
from txserver.shop_plan import Action
from txserver.shop_tally import Seat, board_of, merged
from txserver.terminal import DayEnd

TOTALS = (BatchTotal(kind="redeem", count=1, points=120),)
BALANCED = DayEnd(1, True, TOTALS, TOTALS, ())
LOST = BatchResult(id=TXID, outcome="reply_lost", kind="redeem", points=120)
DIFFERS = DayEnd(2, False, (), TOTALS, (LOST,), 1401)


def create_day(*seats: dict[str, Any]) -> ShopDay:
    """A day of as many terminals as there are changes to a balanced one."""
    played = []
    for number in range(1, len(seats) + 1):
        seat = Seat(number, terminal=40 + number)
        seat.count(Action.REDEEM, "approved", seconds=0.012, points=120)
        seat.count(Action.REDEEM, "refused", seconds=0.004)
        seat.count(Action.REVERSE, "reversal_stored", seconds=10.0)
        played.append(seat)
    days = tuple(
        SeatDay(**{"number": number, "terminal": 40 + number, "days": (BALANCED,), **changes})
        for number, changes in enumerate(seats, start=1)
    )
    return ShopDay(board_of(played, elapsed_s=60.0, planned_s=60), merged(played), days, seed=7)


@pytest.mark.parametrize(
    ("changes", "found", "code"),
    [
        ({}, "balanced", 0),
        ({"days": (BALANCED, BALANCED)}, "balanced", 0),
        ({"days": (BALANCED, DIFFERS)}, "differs", 1),
        ({"unsettled": 2}, "unsettled", 1),
        ({"days": (), "unsettled": 1}, "unsettled", 1),
        ({"days": (), "trouble": "The server does not answer."}, "unsettled", 2),
    ],
)
def test_a_shop_is_as_good_as_its_worst_terminal(changes: dict[str, Any], found: str, code: int) -> None:
    day = create_day({}, changes)
    assert (verdict(day), exit_code(day)) == (found, code)


def test_the_receipt_counts_by_action() -> None:
    text = text_of(shop_receipt(create_day({}, {}), Texts()))
    for line in (
        "THE SHOP'S DAY: BALANCED",
        "redeem                   2          2          0",
        "reverse                  0          0          2",
        "Points spent, net                            240",
        "Reply, half / 99 of 100            12 / 10000 ms",
        "Steps a second                               0.1",
        "Terminals in balance                      2 of 2",
    ):
        assert line in text
    assert "hold " not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_wrong_is_named_for_each_terminal(language: str) -> None:
    texts = Texts(language)
    day = create_day(
        {}, {"days": (DIFFERS,)}, {"days": (), "unsettled": 3}, {"days": (), "trouble": "Nobody listens."},
        {"days": ()},
    )  # fmt: skip
    receipt = shop_receipt(day, texts)
    lines = [line for line in receipt.lines if isinstance(line, str)]
    assert txid_text(TXID) in lines
    assert (texts("shop.unsettled"), "3") in receipt.lines
    assert any(texts("shop.terminal", terminal=43) in line and "3" in line for line in lines)
    assert any("Nobody listens." in line for line in lines)
    assert any(texts("shop.left") in line for line in lines)
    assert not any(texts("shop.terminal", terminal=41) in line for line in lines)
    assert {cell_len(line) for line in printed(receipt)} == {WIDTH + 4}


def test_the_facts_are_json() -> None:
    facts = json.loads(json.dumps(shop_facts(create_day({}, {"days": (DIFFERS,)}))))
    assert (facts["outcome"], facts["seed"], facts["steps"], facts["points"]) == ("differs", 7, 6, 240)
    assert facts["actions"] == {
        "redeem": {"approved": 2, "refused": 2}, "reverse": {"reversal_stored": 2},
    }  # fmt: skip
    assert (facts["p50_ms"], facts["p99_ms"], facts["per_second"]) == (12.0, 10_000.0, 0.1)
    assert facts["terminals"][1]["days"][0]["differences"][0]["outcome"] == "reply_lost"
