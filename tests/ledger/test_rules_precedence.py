"""Every reason to refuse, for every kind of request, in its order: one table. No database."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations
from typing import Any, TypeAlias

import pytest
from msgspec.structs import replace

from ledger.postings import Code, Request
from tests.ledger.paper import KEY, Paper, create_paper
from tests.ledger.states import (
    ELSEWHERE,
    HOUR,
    NOW,
    POS,
    RESET_CODE,
    RIGHT,
    TODAY,
    WRONG,
    create_adjust,
    create_capture,
    create_grant,
    create_hold,
    create_inquiry,
    create_pin_change,
    create_redeem,
    create_refund,
    create_release,
    create_reversal,
    create_status,
)

# What makes a refusal true: fields to set in the request, the card, the account or the terminal, and what is
# to have happened `before`. Two reasons that set one field otherwise cannot hold together.
Reason: TypeAlias = Mapping[str, Mapping[str, Any]]
Reasons: TypeAlias = tuple[tuple[Code, Reason], ...]

YESTERDAY = TODAY - timedelta(days=1)
HELD = 240  # two washes


@dataclass(frozen=True)
class Asked:
    """A kind of request with its reasons. `before` sets the scene; `ask` makes a request that is approved."""

    name: str
    ask: Callable[..., Request]
    reasons: Reasons
    before: Callable[..., None] = lambda paper: None
    recorded: bool = True
    card: Mapping[str, Any] | None = None


def a_hold(paper: Paper, *, known: bool = True, fate: str = "open") -> None:
    """Transaction 1 holds two washes, unless it is another terminal's."""
    if known:
        paper.done(create_hold(1, quantity=2))
    match fate:
        case "released":
            paper.ask(create_release(2, 1))
        case "lapsed":
            paper.wait(HOUR)
            paper.ask(create_status(2, 1, fence=False))


def a_sale(paper: Paper, *, known: bool = True, seller: int = POS, undone: bool = False) -> None:
    """Transaction 1 sold a wash."""
    paper.prices[ELSEWHERE, "wash"] = replace(paper.prices[POS, "wash"], merchant_id=40)
    if known:
        paper.done(replace(create_redeem(1), terminal=seller))
    if undone:
        paper.done(replace(create_reversal(2, 1), terminal=seller))


TERMINAL: Reasons = ((Code.TERMINAL_NOT_PERMITTED, {"terminal": {"status": "revoked"}}),)
SHOP: Reasons = (*TERMINAL, (Code.MERCHANT_CLOSED, {"terminal": {"open": False}}))
CARD: Reasons = (
    (Code.CARD_UNKNOWN, {"request": {"card": 9}}),
    (Code.CARD_LOST, {"card": {"status": "lost"}}),
    (Code.CARD_REPLACED, {"request": {"issue": 1}}),
    (Code.CARD_BLOCKED, {"card": {"status": "suspended"}}),
    (Code.CARD_EXPIRED, {"card": {"expires_on": YESTERDAY}}),
)
ACCOUNT: Reasons = ((Code.ACCOUNT_CLOSED, {"account": {"status": "closed"}}),)
PIN_ASKED: Reasons = (
    (Code.PIN_BLOCKED, {"card": {"pin_tries": 3}}),
    (Code.PIN_REQUIRED, {"request": {"pin_proof": None}}),
    (Code.PIN_WRONG, {"request": {"pin_proof": WRONG}}),
)
UNFIT: Reasons = ((Code.PIN_UNFIT, {"request": {"fit": False}}),)
SPENT: Reasons = (
    (Code.SERVICE_UNKNOWN, {"request": {"service": "flight"}}),
    (Code.AMOUNT_INVALID, {"request": {"quantity": 0}}),
    (Code.LIMIT_EXCEEDED, {"card": {"limit_points": 119}}),
    (Code.DAY_LIMIT_EXCEEDED, {"card": {"day_limit_points": 119}}),
    (Code.POINTS_EXPIRED, {"lots": {"lots": [(119, None), (1, YESTERDAY)]}}),
    (Code.POINTS_INSUFFICIENT, {"lots": {"lots": [(119, None)]}}),
)
SHORT: Reasons = (
    (Code.POINTS_EXPIRED, {"lots": {"lots": [(499, None), (1, YESTERDAY)]}}),
    (Code.POINTS_INSUFFICIENT, {"lots": {"lots": [(499, None)]}}),
)
HOLD: Reasons = (
    (Code.HOLD_UNKNOWN, {"before": {"known": False}}),
    (Code.HOLD_ENDED, {"before": {"fate": "released"}}),
    (Code.HOLD_EXPIRED, {"before": {"fate": "lapsed"}}),
)
ORIGINAL: Reasons = (
    (Code.ORIGINAL_UNKNOWN, {"before": {"known": False}}),
    (Code.ORIGINAL_ELSEWHERE, {"before": {"seller": ELSEWHERE}, "request": {"seller": ELSEWHERE}}),
    (Code.ORIGINAL_UNDONE, {"before": {"undone": True}}),
)

KINDS = (
    Asked("redeem", lambda **f: create_redeem(9, **f), SHOP + CARD + ACCOUNT + PIN_ASKED + SPENT),
    Asked("hold", lambda **f: create_hold(9, **f), SHOP + CARD + ACCOUNT + PIN_ASKED + SPENT),
    Asked(
        "capture",
        lambda points=120, **f: create_capture(9, 1, points, **f),
        (
            *TERMINAL,
            *HOLD,
            (Code.AMOUNT_INVALID, {"request": {"points": 100}}),
            (Code.AMOUNT_ABOVE_HOLD, {"request": {"points": HELD + 120}}),
        ),
        a_hold,
    ),
    Asked("release", lambda **f: create_release(9, 1, **f), HOLD, a_hold),
    Asked(
        "refund",
        lambda **f: create_refund(9, 1, **f),
        (
            *TERMINAL,
            *ORIGINAL,
            (Code.AMOUNT_INVALID, {"request": {"points": 0}}),
            (Code.AMOUNT_ABOVE_REST, {"request": {"points": 121}}),
        ),
        a_sale,
    ),
    Asked(
        "PIN change by PIN",
        lambda **f: create_pin_change(9, **f),
        SHOP + CARD + ACCOUNT + PIN_ASKED + UNFIT,
    ),
    Asked(
        "PIN change by code",
        lambda **f: create_pin_change(9, **({"code_proof": RESET_CODE} | f)),
        (
            *SHOP,
            *CARD,
            *ACCOUNT,
            (Code.RESET_CODE_WRONG, {"request": {"code_proof": WRONG}}),
            *UNFIT,
        ),
        card={"pin_code": RESET_CODE, "pin_code_until": NOW + timedelta(hours=1), "pin_tries": 3},
    ),
    Asked(
        "inquiry",
        lambda **f: create_inquiry(9, **f),
        (*SHOP, *CARD, *ACCOUNT, (Code.PIN_WRONG, {"request": {"pin_proof": WRONG}})),
        recorded=False,
    ),
    Asked(
        "inquiry of details",
        lambda **f: create_inquiry(9, **({"pin_needed": True, "pin_proof": RIGHT} | f)),
        SHOP + CARD + ACCOUNT + PIN_ASKED,
        recorded=False,
    ),
    Asked(
        "grant",
        lambda points=5, **f: create_grant(9, points, **f),
        (*ACCOUNT, (Code.AMOUNT_INVALID, {"request": {"points": 0}})),
    ),
    Asked(
        "adjustment",
        lambda points=500, **f: create_adjust(9, points, **f),
        (*ACCOUNT, (Code.AMOUNT_INVALID, {"request": {"points": 0}}), *SHORT),
    ),
)
NEVER_REFUSE = ("reversal", "status", "expiry")  # their outcomes are in test_rules_undoing and test_decide
OF_THE_RECORD = frozenset({Code.APPROVED, Code.TXID_REUSED, Code.UNDONE_BEFORE, Code.NOT_FOUND})
TELL_BALANCE = frozenset(
    {Code.LIMIT_EXCEEDED, Code.DAY_LIMIT_EXCEEDED, Code.POINTS_EXPIRED, Code.POINTS_INSUFFICIENT}
)


def together(*reasons: Reason) -> dict[str, dict[str, Any]] | None:
    """All of `reasons` at once, or None when they contradict each other."""
    merged: dict[str, dict[str, Any]] = {}
    for reason in reasons:
        for part, fields in reason.items():
            for name, value in fields.items():
                if merged.setdefault(part, {}).setdefault(name, value) != value:
                    return None
    return merged


def scene(asked: Asked, reason: Mapping[str, Mapping[str, Any]]) -> tuple[Paper, Request]:
    """The books just before the request, and the request."""
    paper = create_paper(*reason.get("lots", {}).get("lots", [(1_000, None)]), **(asked.card or {}))
    asked.before(paper, **reason.get("before", {}))
    paper.cards[KEY] = replace(paper.card, **reason.get("card", {}))
    paper.account = replace(paper.account, **reason.get("account", {}))
    paper.terminals[POS] = replace(paper.terminals[POS], **reason.get("terminal", {}))
    return paper, asked.ask(**reason.get("request", {}))


def moved(paper: Paper) -> tuple[object, ...]:
    """Everything that a refusal leaves alone; counting a wrong PIN is not in it."""
    return paper.remaining(), paper.held(), len(paper.entries), len(paper.holds), replace(paper.account)


SINGLE = [
    pytest.param(asked, code, reason, id=f"{asked.name}-{code.name}")
    for asked in KINDS
    for code, reason in asked.reasons
]
PAIRS = [
    pytest.param(asked, first, both, id=f"{asked.name}-{first.name}-{second.name}")
    for asked in KINDS
    for (first, reason), (second, later) in combinations(asked.reasons, 2)
    if (both := together(reason, later)) is not None
]


@pytest.mark.parametrize("asked", KINDS, ids=lambda asked: asked.name)
def test_without_a_reason_each_kind_is_approved(asked: Asked) -> None:
    paper, request = scene(asked, {})
    assert paper.ask(request).code is Code.APPROVED


@pytest.mark.parametrize(("asked", "code", "reason"), SINGLE)
def test_each_reason_refuses_is_recorded_and_moves_nothing(asked: Asked, code: Code, reason: Reason) -> None:
    paper, request = scene(asked, reason)
    untouched, rows = moved(paper), len(paper.rows)
    outcome = paper.ask(request)
    assert (outcome.code, outcome.recorded, outcome.points) == (code, False, 0)
    assert moved(paper) == untouched
    written = [(row.key, row.kind, row.code, row.points) for row in paper.rows[rows:]]
    assert written == ([(request.key, request.kind, code, 0)] if asked.recorded else [])


@pytest.mark.parametrize(("asked", "code", "reason"), [p for p in SINGLE if p.values[0].recorded])  # type: ignore[union-attr]
def test_a_repeat_gets_the_recorded_refusal_and_burns_no_try(
    asked: Asked, code: Code, reason: Reason
) -> None:
    paper, request = scene(asked, reason)
    first = paper.ask(request)
    card, rows = replace(paper.card), len(paper.rows)
    again = paper.ask(request)
    assert (again.code, again.recorded, again.balance) == (code, True, first.balance)
    assert (paper.card, len(paper.rows)) == (card, rows)


@pytest.mark.parametrize(("asked", "first", "both"), PAIRS)
def test_of_two_reasons_the_earlier_in_the_declared_order_is_told(
    asked: Asked, first: Code, both: Reason
) -> None:
    paper, request = scene(asked, both)
    assert paper.ask(request).code is first


@pytest.mark.parametrize("asked", KINDS, ids=lambda asked: asked.name)
def test_the_reasons_of_each_kind_stand_in_the_declared_order(asked: Asked) -> None:
    codes, declared = [code for code, _ in asked.reasons], list(Code)
    assert codes == sorted(codes, key=declared.index)
    assert len(codes) == len(set(codes))


def test_the_tables_together_have_every_refusal() -> None:
    told = {code for asked in KINDS for code, _ in asked.reasons}
    assert told == set(Code) - OF_THE_RECORD


def test_there_is_a_table_for_every_kind_of_request() -> None:
    tabled = {asked.ask().kind for asked in KINDS}
    assert tabled.isdisjoint(NEVER_REFUSE)
    assert tabled | set(NEVER_REFUSE) == _kinds(Request)


def _kinds(of: type[Request]) -> set[str]:
    """The kinds of all requests that are made of this one."""
    own = {of.kind} if hasattr(of, "kind") and of.__module__.startswith("ledger.") else set()
    return own.union(*(_kinds(below) for below in of.__subclasses__()))


@pytest.mark.parametrize(("asked", "code", "reason"), SINGLE)
def test_only_refusals_that_come_after_the_pin_tell_the_balance(
    asked: Asked, code: Code, reason: Reason
) -> None:
    paper, request = scene(asked, reason)
    assert (paper.ask(request).balance is not None) == (code in TELL_BALANCE)


# ---- what one way of being true cannot show ------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("issued", Code.CARD_BLOCKED),
        ("suspended", Code.CARD_BLOCKED),
        ("lost", Code.CARD_LOST),
        ("expired", Code.CARD_EXPIRED),
        ("closed", Code.ACCOUNT_CLOSED),
    ],
)
def test_only_an_active_card_spends(status: str, code: Code) -> None:
    for request in (create_redeem(1), create_hold(2), create_pin_change(3), create_inquiry(4)):
        assert create_paper((1_000, None), status=status).ask(request).code is code


def test_a_card_status_that_the_rules_do_not_know_does_not_spend() -> None:
    assert create_paper((1_000, None), status="stolen").ask(create_redeem(1)).code is Code.CARD_BLOCKED


def test_a_newer_issue_than_ours_is_an_unknown_card_and_a_lost_old_one_is_lost() -> None:
    assert create_paper((1_000, None)).ask(create_redeem(1, issue=3)).code is Code.CARD_UNKNOWN
    assert create_paper((1_000, None), status="lost").ask(create_redeem(1, issue=1)).code is Code.CARD_LOST


def test_a_card_of_another_account_is_unknown_and_its_pin_is_left_alone() -> None:
    paper = create_paper((1_000, None))
    paper.cards[1, 2] = replace(paper.card, id=2, account_id=2)
    assert paper.ask(create_redeem(1, card=2, pin_proof=WRONG)).code is Code.CARD_UNKNOWN
    assert paper.cards[1, 2].pin_tries == 0


def test_an_amount_above_the_hold_that_is_no_whole_unit_is_first_of_all_invalid() -> None:
    paper, request = scene(KINDS[2], {"request": {"points": HELD + 1}})
    assert paper.ask(request).code is Code.AMOUNT_INVALID


def test_a_terminal_that_is_not_known_at_all_is_not_permitted() -> None:
    for asked in KINDS:
        if Code.TERMINAL_NOT_PERMITTED in dict(asked.reasons):
            paper, request = scene(asked, {})
            del paper.terminals[POS]
            assert paper.ask(request).code is Code.TERMINAL_NOT_PERMITTED
