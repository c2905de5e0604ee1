"""States and requests for the rules of posting, made by hand: no database."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from ledger.decide import decide
from ledger.postings import (
    AccountState,
    Adjust,
    Capture,
    CardState,
    Expire,
    Grant,
    Hold,
    Inquiry,
    LotState,
    Outcome,
    PinChange,
    PriceState,
    Redeem,
    Refund,
    Release,
    Request,
    Reversal,
    State,
    Status,
    TerminalState,
)

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
TODAY = date(2026, 11, 22)
RIGHT = bytes([7] * 32)
WRONG = bytes([8] * 32)
NEW_PIN = bytes([9] * 32)  # what a PIN change sets
RESET_CODE = bytes([6] * 32)  # a one-time code, as its hash
POS = 5
COUNTER = 6  # another terminal of the same merchant, in another of its stores
ELSEWHERE = 7  # a terminal of another merchant
HOUR = 3_600


def txid(number: int) -> UUID:
    return UUID(int=number)


def create_state(*lots: tuple[int, date | None], account: str = "open", **card: Any) -> State:
    """One account (slot 1, id 1), one card (id 1), three terminals; a fixed and an open price at POS."""
    state = State(now=NOW, business_date=TODAY)
    posted = sum(points for points, _ in lots)
    state.accounts[1, 1] = AccountState(slot=1, id=1, enterprise_id=20, posted=posted, held=0, status=account)
    state.cards[1, 1] = replace(
        CardState(
            slot=1,
            id=1,
            account_id=1,
            number="8600100000000018",
            issue=2,
            status="active",
            expires_on=None,
            pin_verifier=RIGHT,
            pin_tries=0,
            limit_points=None,
        ),
        **card,
    )
    state.lots[1, 1] = [
        LotState(
            slot=1,
            id=number,
            account_id=1,
            enterprise_id=20,
            funder_id=20,
            kind="granted",
            granted=points,
            remaining=points,
            held=0,
            expires_on=expires_on,
            priority=0,
        )
        for number, (points, expires_on) in enumerate(lots, 1)
    ]
    for terminal, merchant, store in ((POS, 30, 31), (COUNTER, 30, 32), (ELSEWHERE, 40, 41)):
        state.terminals[terminal] = TerminalState(
            id=terminal, status="active", merchant_id=merchant, store_id=store, open=True
        )
    for code, points, is_open in (("wash", 120, False), ("cinema", 1, True)):
        state.prices[POS, code] = PriceState(
            id=points,
            merchant_id=30,
            service_id=points,
            service=code,
            points=points,
            settlement_minor=7,
            currency="CNY",
            open=is_open,
            min_points=10 if is_open else None,
            max_points=500 if is_open else None,
        )
    state.transaction_ids = list(range(10_000, 0, -1))
    state.lot_ids = list(range(10_000, 100, -1))
    return state


def create_redeem(number: int = 1, **fields: Any) -> Redeem:
    given: dict[str, Any] = {"service": "wash", "pin_proof": RIGHT, "issue": 2, "card": 1} | fields
    return Redeem(slot=1, account=1, terminal=POS, txid=txid(number), **given)


def create_hold(number: int = 1, **fields: Any) -> Hold:
    given: dict[str, Any] = {
        "service": "wash", "pin_proof": RIGHT, "issue": 2, "card": 1, "seconds": HOUR, "terminal": POS,
    }  # fmt: skip
    return Hold(slot=1, account=1, txid=txid(number), **(given | fields))


def create_capture(number: int, hold: int, points: int, **fields: Any) -> Capture:
    given: dict[str, Any] = {"terminal": POS} | fields
    return Capture(slot=1, account=1, txid=txid(number), hold=txid(hold), points=points, **given)


def create_release(number: int, hold: int, **fields: Any) -> Release:
    given: dict[str, Any] = {"terminal": POS} | fields
    return Release(slot=1, account=1, txid=txid(number), hold=txid(hold), **given)


def create_refund(number: int, original: int, points: int | None = None, **fields: Any) -> Refund:
    given: dict[str, Any] = {"terminal": POS, "seller": POS} | fields
    return Refund(slot=1, account=1, txid=txid(number), original=txid(original), points=points, **given)


def create_pin_change(number: int = 1, **fields: Any) -> PinChange:
    """By the present PIN, unless `code_proof` is given."""
    by = {} if "code_proof" in fields else {"pin_proof": RIGHT}
    given: dict[str, Any] = {"terminal": POS, "card": 1, "issue": 2, "verifier": NEW_PIN} | by | fields
    return PinChange(slot=1, account=1, txid=txid(number), **given)


def create_inquiry(number: int = 1, **fields: Any) -> Inquiry:
    given: dict[str, Any] = {"card": 1, "issue": 2} | fields
    return Inquiry(slot=1, account=1, terminal=POS, txid=txid(number), **given)


def create_grant(number: int, points: int, **fields: Any) -> Grant:
    given: dict[str, Any] = {"funder": 20} | fields
    return Grant(slot=1, account=1, terminal=0, txid=txid(number), points=points, **given)


def create_adjust(number: int, points: int, **fields: Any) -> Adjust:
    return Adjust(slot=1, account=1, terminal=0, txid=txid(number), points=points, **fields)


def create_expire(number: int) -> Expire:
    return Expire(slot=1, account=1, terminal=0, txid=txid(number))


def create_reversal(number: int, original: int) -> Reversal:
    return Reversal(
        slot=1, account=1, terminal=POS, txid=txid(number), original=txid(original), reason="timeout"
    )


def create_status(number: int, original: int, *, fence: bool) -> Status:
    return Status(slot=1, account=1, terminal=POS, txid=txid(number), original=txid(original), fence=fence)


def one(state: State, request: Request) -> Outcome:
    (outcome,), _ = decide(state, [request])
    return outcome
