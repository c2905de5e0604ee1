"""Exit codes and JSON of an operation, for every outcome."""

import argparse
import io
import json
from pathlib import Path
from typing import Any

import pytest
import trio
from rich.console import Console

from protocol.messages import BalanceInquiryReply
from tests.txserver.paper import TXID, reply_fields
from tests.txserver.pos_desk import create_counter
from tests.txserver.terminal_peer import NOW_MS, Peer
from txserver.pos_answers import TAKEN_BACK, came_out, exit_code, facts_of
from txserver.pos_desk import Desk, at_work
from txserver.pos_texts import Texts
from txserver.terminal import Outcome, Result
from txserver.terminal_operations import Answer

EXIT_CODES = {
    Outcome.APPROVED: 0,
    Outcome.REFUSED: 1,
    Outcome.REVERSED: 1,
    Outcome.NEVER: 2,
    Outcome.REVERSAL_STORED: 2,
    Outcome.STORED: 2,
    Outcome.UNKNOWN: 2,
    Outcome.DISPUTED: 2,
    Outcome.OFFLINE: 2,
    Outcome.UNANSWERED: 2,
}


@pytest.fixture
async def desk(nursery: trio.Nursery, tmp_path: Path) -> Desk:
    return create_counter(Peer(nursery), tmp_path / "pos").desk()


async def answered(desk: Desk, result: Result, **more: Any) -> tuple[int, dict[str, Any]]:
    """(exit code, facts) of a result."""
    paper = io.StringIO()
    at = Desk(
        device=desk.device,
        texts=Texts(),
        random=desk.random,
        now_ms=desk.now_ms,
        dial=desk.dial,
        paper=Console(file=paper),
        voice=desk.voice,
    )
    async with at_work(at) as terminal:
        code = came_out(argparse.Namespace(json=True), at, terminal, result, **more)
    facts: dict[str, Any] = json.loads(paper.getvalue())
    return code, facts


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_every_outcome_of_a_sale_has_its_exit_code(desk: Desk, outcome: Outcome) -> None:
    code, facts = await answered(desk, Result(outcome, TXID, "wash"))
    assert (code, facts["outcome"]) == (EXIT_CODES[outcome], outcome.value)


async def test_to_take_back_is_another_wish_than_to_sell(desk: Desk) -> None:
    assert (await answered(desk, Result(Outcome.REVERSED, TXID), wanted=TAKEN_BACK))[0] == 0
    assert (await answered(desk, Result(Outcome.APPROVED, TXID), wanted=TAKEN_BACK))[0] == 2


async def test_a_script_finds_every_name(desk: Desk) -> None:
    _, bare = await answered(desk, Result(Outcome.OFFLINE, None))
    answer = Answer(
        code=0, text="Approved", server_at=NOW_MS, business_date="2027-01-15", points=20, remaining=10,
        outcome="reversed",
    )  # fmt: skip
    _, told = await answered(desk, Result(Outcome.APPROVED, TXID, "wash", answer, "refund"), about=TXID)
    assert set(bare) <= set(told)
    assert (told["outcome"], told["reversal"], told["kind"]) == ("approved", "reversed", "refund")
    assert (told["points"], told["remaining"], told["about"]) == (20, 10, told["txid"])
    assert (bare["txid"], bare["about"], bare["points"], bare["expires_at"]) == (None, None, 0, None)


def test_replies_to_questions() -> None:
    assert [exit_code(BalanceInquiryReply(**reply_fields(code))) for code in (0, 1032, 1811)] == [0, 1, 2]
    facts = facts_of(BalanceInquiryReply(**reply_fields(1032)))
    assert (facts["outcome"], "id" in facts) == ("refused", False)
