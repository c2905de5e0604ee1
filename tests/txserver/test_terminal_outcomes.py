"""What the state of an operation means at the counter."""

import pytest
from msgspec.structs import replace

from tests.txserver.test_terminal_rules_by_kind import create_operation
from txserver.terminal_link import Trouble
from txserver.terminal_operations import OPERATIONS, Purchase, State
from txserver.terminal_outcomes import Outcome, Unreachable, outcome_of


@pytest.mark.parametrize(
    ("kind", "state", "expected"),
    [
        ("redeem", State.OPEN, Outcome.UNANSWERED),
        ("hold", State.ASKING, Outcome.UNANSWERED),
        ("capture", State.OPEN, Outcome.STORED),
        ("release", State.OPEN, Outcome.STORED),
        ("refund", State.OPEN, Outcome.UNKNOWN),
        ("refund", State.ASKING, Outcome.UNKNOWN),
        ("capture", State.REVERSING, Outcome.REVERSAL_STORED),
    ],
)
def test_what_is_not_final_is_told_by_its_kind(kind: str, state: State, expected: Outcome) -> None:
    assert outcome_of(replace(Purchase(request=create_operation(kind)), state=state)) is expected


@pytest.mark.parametrize("kind", sorted(OPERATIONS))
def test_what_is_final_means_the_same_for_every_kind(kind: str) -> None:
    for state in State:
        if state.final:
            purchase = replace(Purchase(request=create_operation(kind)), state=state)
            assert outcome_of(purchase).value == state.value


def test_unreachable_says_why_when_that_is_known() -> None:
    assert str(Unreachable(Trouble("silent", "no answer in 10 s"))) == "no answer in 10 s"
    assert str(Unreachable(None)) == "the server does not answer"
