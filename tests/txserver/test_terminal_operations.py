"""Operations as data: their kinds, what they are about, what makes two of them the same."""

import pytest
from msgspec.structs import replace

from tests.txserver.test_terminal_rules_by_kind import OTHER, create_operation
from txserver.terminal_operations import OPERATIONS, REPLIES, Purchase, content_of, kind_of


@pytest.mark.parametrize("kind", sorted(OPERATIONS))
def test_each_kind_has_a_name_and_a_reply(kind: str) -> None:
    operation = create_operation(kind)
    assert kind_of(operation) == kind
    assert isinstance(operation, OPERATIONS[kind])
    assert REPLIES[kind].type == type(operation).type | 0x80
    assert Purchase(request=operation).kind == kind


@pytest.mark.parametrize(
    ("kind", "service", "about"),
    [
        ("redeem", "wash", None),
        ("hold", "wash", None),
        ("capture", None, OTHER),
        ("release", None, OTHER),
        ("refund", None, OTHER),
    ],
)
def test_what_it_is_about(kind: str, service: str | None, about: bytes | None) -> None:
    purchase = Purchase(request=create_operation(kind))
    assert (purchase.service, purchase.about) == (service, about)


@pytest.mark.parametrize("kind", sorted(OPERATIONS))
def test_numbers_the_clock_and_the_pin_are_no_content(kind: str) -> None:
    operation = create_operation(kind)
    again = replace(operation, id=OTHER, stan=7, batch=8, at=9, repeat=True)
    assert content_of(again) == content_of(operation)
    assert content_of(replace(operation, credential="P1Y")) != content_of(operation)


def test_a_hold_is_not_a_redeem_and_a_part_not_the_whole() -> None:
    assert content_of(create_operation("hold")) != content_of(create_operation("redeem"))
    hold, refund = create_operation("hold"), create_operation("refund")
    assert content_of(replace(hold, hold_s=60)) != content_of(hold)
    assert content_of(replace(hold, pin="1")) == content_of(hold)
    assert content_of(replace(refund, amount=3)) != content_of(refund)
