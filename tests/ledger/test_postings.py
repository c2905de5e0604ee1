"""What a request means: bytes that rows keep for ever. Redeem, Reversal and Grant are in test_decide."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import fields, replace
from rich.pretty import pretty_repr

from ledger.postings import HOLD_SECONDS, Request, State, meaning_of
from protocol import limits
from tests.ledger.states import (
    COUNTER,
    HOUR,
    NEW_PIN,
    NOW,
    RESET_CODE,
    TODAY,
    WRONG,
    create_capture,
    create_expire,
    create_grant,
    create_hold,
    create_inquiry,
    create_pin_change,
    create_redeem,
    create_refund,
    create_release,
    create_reversal,
    create_state,
    create_status,
    txid,
)

PINNED: list[tuple[Request, str]] = [
    (create_hold(), "c4fe6d9037d5ce2f23211fde5a9c9bcf"),
    (
        create_hold(service="cinema", amount=50, seconds=60, reference="job 7"),
        "0e1b07f1d7a70089fb34956d325c9e5e",
    ),
    (create_capture(2, 1, 120), "88b7b77015f52657147f2c2685e849f4"),
    (create_capture(2, 1, 50, reference="job 7"), "2b3248c2dd52f323a11518e577738916"),
    (create_release(2, 1), "2b582a46f2ee4d3a9e6a3989323240d7"),
    (create_refund(2, 1), "dc2fd3f16c797da1b47cd54cf9ae7de3"),
    (create_refund(2, 1, 50, terminal=COUNTER, reference="sorry"), "3df7d98e672d25c20ae339ea0a1cd000"),
    (create_pin_change(1), "a73393baa9b6f02ebb10ce5d394fc1b1"),
    (create_status(2, 1, fence=True), "c079a65efbabba8822e987d3d10e8f37"),
    (create_inquiry(1, pin_needed=True), "e2211f010969c15d3b2d5987ad68aa71"),
    (create_expire(1), "96e3981d5a4cecaf3042eadff754dfb4"),
]

# A value that each field of a request may have besides the one that the factories give it.
OTHER: dict[str, Any] = {
    "slot": 2, "account": 2, "terminal": 77, "txid": txid(99), "card": 2, "issue": 3, "service": "x",
    "quantity": 4, "amount": 4, "reference": "r", "seconds": HOUR + 1, "hold": txid(98), "points": 7,
    "original": txid(97), "seller": 78, "reason": "restart", "fence": True, "pin_needed": True, "funder": 21,
    "lot_kind": "purchased", "expires_on": TODAY + timedelta(days=1), "priority": 2, "detail": "d",
    "staff": 5,
}  # fmt: skip
NO_PART: dict[str, Any] = {
    "pin_proof": WRONG, "code_proof": RESET_CODE, "verifier": WRONG, "fit": False, "terminal_at": NOW,
    "stan": 5, "batch": 6,
}  # fmt: skip
EVERY_KIND: list[Request] = [
    create_redeem(), create_hold(), create_capture(2, 1, 120), create_release(2, 1), create_refund(2, 1),
    create_reversal(2, 1), create_pin_change(), create_status(2, 1, fence=False), create_inquiry(),
    create_grant(1, 5), create_expire(1),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "meaning"), PINNED)
def test_meanings_of_the_newer_kinds_never_change_either(request_: Request, meaning: str) -> None:
    """Pinned: a repeat of years ago is compared with these bytes."""
    assert meaning_of(request_).hex() == meaning


@pytest.mark.parametrize("request_", EVERY_KIND, ids=lambda request: request.kind)
def test_every_field_is_part_of_the_meaning_or_declared_not_to_be(request_: Request) -> None:
    names = {field.name for field in fields(request_)}
    telling = {meaning_of(replace(request_, **{name: OTHER[name]})) for name in names - set(NO_PART)}
    assert len(telling | {meaning_of(request_)}) == len(names - set(NO_PART)) + 1
    silent: dict[str, Any] = {name: NO_PART[name] for name in names & set(NO_PART)}
    assert meaning_of(replace(request_, **silent)) == meaning_of(request_)


def test_no_two_kinds_mean_the_same() -> None:
    assert len({meaning_of(request) for request in EVERY_KIND}) == len(EVERY_KIND)


@pytest.mark.parametrize("request_", EVERY_KIND, ids=lambda request: request.kind)
def test_no_secret_is_in_what_a_request_looks_like(request_: Request) -> None:
    names = {field.name for field in fields(request_)} & {"pin_proof", "code_proof", "verifier"}
    secrets: dict[str, Any] = dict.fromkeys(names, NEW_PIN)
    secretive = replace(request_, **secrets)
    for look in (repr(secretive), pretty_repr(secretive)):  # rich's, for tracebacks with local variables
        assert repr(NEW_PIN) not in look
        assert f"txid={request_.txid!r}" in look


def test_no_secret_is_in_what_a_card_looks_like() -> None:
    card = replace(create_state().cards[1, 1], pin_verifier=NEW_PIN, pin_code=NEW_PIN)
    for look in (
        repr(card),
        pretty_repr(card),
        repr(State(now=NOW, business_date=TODAY, cards={(1, 1): card})),
    ):
        assert repr(NEW_PIN) not in look
        assert card.number in look


@pytest.mark.parametrize("request_", EVERY_KIND, ids=lambda request: request.kind)
def test_a_request_never_changes(request_: Request) -> None:
    with pytest.raises(AttributeError):
        request_.account = 2  # type: ignore[misc]


def test_a_hold_that_names_no_time_lives_as_long_as_the_protocol_says() -> None:
    assert limits.HOLD_SECONDS == HOLD_SECONDS
