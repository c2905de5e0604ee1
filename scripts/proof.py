"""The proof of `scripts/run --check`: one debit over the socket, its repeat, and the site's login page."""

import contextlib
import json
import os
import time
from functools import partial

import trio

from protocol.credentials import parse_enrolment_code
from scripts.children import HouseFailed, status_of
from scripts.demonstration_record import Card
from scripts.opening import House, reachable
from scripts.welcome import enrolment_text
from txserver.terminal import Outcome, Terminal, Unreachable, open_terminal
from txserver.terminal_enrolment import EnrolmentFailed, enrol
from txserver.terminal_store import PurchaseStore

__all__ = ["check_debit", "prove"]

_PROOF_SECONDS = 120  # longer than the terminal's own rules take to a final answer


def prove(house: House) -> str:
    """One line of JSON that says what happened. HouseFailed when it is not what it should be."""
    found = check_debit(house)
    status = status_of(reachable(house.plan.site_host), house.plan.site_port, "/login")
    _require(status == 200, f"the site's login page answered {status}")
    return json.dumps({**found, "site": status}, ensure_ascii=False)


def check_debit(house: House) -> dict[str, object]:
    """Enrol a terminal, spend points once, send the same again: what became of the balance."""
    shown = house.demonstration
    if shown is None or not shown.cards:
        raise HouseFailed("there is no demonstration data to spend points of")
    try:
        return trio.run(_with_deadline, house, enrolment_text(house, shown), shown.cards[0])
    except trio.TooSlowError:
        raise HouseFailed(f"the debit took longer than {_PROOF_SECONDS} seconds") from None
    except EnrolmentFailed as error:
        raise HouseFailed(f"the terminal could not enrol: {error}") from error
    except Unreachable as error:
        raise HouseFailed(f"the terminal got no answer: {error}") from error


async def _with_deadline(house: House, code: str, card: Card) -> dict[str, object]:
    with trio.fail_after(_PROOF_SECONDS):
        return await _debit(house, code, card)


async def _debit(house: House, code: str, card: Card) -> dict[str, object]:
    host, port = reachable(house.plan.host), house.plan.port
    connect = partial(trio.open_tcp_stream, host, port)
    folder = house.plan.folder / "terminal"
    identity = await enrol(
        parse_enrolment_code(code), connect, folder=folder, random=os.urandom, now_ms=_now_ms
    )
    with contextlib.closing(PurchaseStore(folder)) as store:
        terminal = Terminal(identity, store, connect=connect, random=os.urandom, now_ms=_now_ms)
        return await _spend_twice(terminal, card)


async def _spend_twice(terminal: Terminal, card: Card) -> dict[str, object]:
    async with open_terminal(terminal):
        _require(await terminal.ready(), "the terminal could not log in")
        before = (await terminal.balance(card.payload, pin=card.pin)).balance
        first = await terminal.redeem(card.payload, card.service, pin=card.pin, quantity=1)
        said = "nothing" if first.answer is None else f"{first.answer.code} {first.answer.text}"
        _require(first.outcome is Outcome.APPROVED, f"the debit was {first.outcome.value}: {said}")
        again = await terminal.redeem(card.payload, card.service, pin=card.pin, quantity=1, txid=first.txid)
        after = (await terminal.balance(card.payload, pin=card.pin)).balance
    assert first.answer is not None
    _require(
        again.answer is not None and again.answer.recorded, "the repeat was not answered from the record"
    )
    assert again.answer is not None
    _require(again.answer.approval == first.answer.approval, "the repeat got another approval")
    _require(before is not None and after is not None, "the balance could not be asked")
    assert before is not None
    _require(after == before - first.answer.points, f"{before} - {first.answer.points} became {after}")
    return {
        "debit": first.outcome.value,
        "repeat": "recorded",
        "points": first.answer.points,
        "balance_before": before,
        "balance_after": after,
    }


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _require(fact: bool, otherwise: str) -> None:
    if not fact:
        raise HouseFailed(otherwise)
