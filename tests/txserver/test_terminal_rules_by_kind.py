"""The rules of each kind, pure: holds like purchases, captures and releases told, refunds asked about."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from protocol.errors import LocalProtocolError
from protocol.messages import (
    Capture,
    CaptureReply,
    Hold,
    HoldReply,
    Redeem,
    RedeemReply,
    Refund,
    RefundReply,
    Release,
    ReleaseReply,
    Reply,
    ReversalAdviceReply,
)
from protocol.messages import TransactionStatusReply as StatusReply
from tests.txserver.test_terminal_rules import TXID, create_advice, create_reply
from txserver.terminal_operations import ADVICES, REPLIES, REVERSIBLE, Operation
from txserver.terminal_rules import (
    GIVE_UP_S,
    UNKNOWN_S,
    Action,
    Purchase,
    State,
    acting,
    after_restart,
    answered,
    begin,
    deadline,
    left,
    next_action,
    owed_first,
    undo,
)

OTHER = bytes([9] * 16)
FOREVER = float("inf")


def create_operation(kind: str, txid: bytes = TXID) -> Operation:
    envelope: dict[str, Any] = {"id": txid, "stan": 1, "batch": 1, "at": 1000, "credential": "P1X"}
    match kind:
        case "redeem":
            return Redeem(**envelope, service="wash")
        case "hold":
            return Hold(**envelope, service="wash")
        case "capture":
            return Capture(**envelope, hold=OTHER, amount=5)
        case "release":
            return Release(**envelope, hold=OTHER)
        case _:
            return Refund(**envelope, original=OTHER)


def create_purchase(kind: str, state: State = State.OPEN, started: float | None = 0.0) -> Purchase:
    return replace(begin(create_operation(kind), 0.0), state=state, started=started, sent=True)


# Hold: as a Redeem.


def test_a_hold_is_repeated_asked_about_and_given_up_like_a_purchase() -> None:
    hold = begin(create_operation("hold"), 0.0)
    assert next_action(hold, 0.0) is Action.SEND
    hold = acting(hold, Action.SEND)
    assert next_action(hold, UNKNOWN_S - 1) is Action.REPEAT
    assert next_action(hold, UNKNOWN_S) is Action.ASK
    hold = acting(hold, Action.ASK)
    assert next_action(hold, GIVE_UP_S) is Action.GIVE_UP
    assert undo(hold, create_advice()).state is State.REVERSING


def test_a_pin_in_a_hold_is_a_bug() -> None:
    with pytest.raises(LocalProtocolError):
        begin(replace(create_operation("hold"), pin="123456"), 0.0)


# Capture and Release: told until answered.


@pytest.mark.parametrize("kind", sorted(ADVICES))
def test_an_advice_is_repeated_for_ever_and_never_asked_about(kind: str) -> None:
    advice = begin(create_operation(kind), 0.0)
    assert next_action(advice, 0.0) is Action.SEND
    advice = acting(advice, Action.SEND)
    for now in (1.0, UNKNOWN_S, GIVE_UP_S, 1e9):
        assert next_action(advice, now) is Action.REPEAT
    assert deadline(advice) == FOREVER
    with pytest.raises(LocalProtocolError):
        acting(advice, Action.ASK)


@pytest.mark.parametrize("kind", sorted(ADVICES))
def test_after_a_restart_an_advice_is_repeated(kind: str) -> None:
    again = after_restart(replace(begin(create_operation(kind), 0.0)))
    assert (again.state, next_action(again, 0.0)) == (State.OPEN, Action.REPEAT)


# Refund: asked about until answered, never reversed.


def test_a_refund_is_left_to_the_background_after_a_minute() -> None:
    refund = acting(create_purchase("refund"), Action.ASK)
    assert next_action(refund, GIVE_UP_S - 1) is Action.ASK
    assert next_action(refund, GIVE_UP_S) is Action.LEAVE
    refund = acting(refund, Action.LEAVE)
    assert next_action(refund, 1e9) is Action.ASK
    assert deadline(refund) == FOREVER
    assert owed_first([refund]) == [refund]


def test_a_finished_refund_is_not_left() -> None:
    refund = create_purchase("refund", State.APPROVED)
    assert left(refund) is refund


@pytest.mark.parametrize("kind", ["release", "refund"])
def test_what_gives_points_back_is_never_taken_back(kind: str) -> None:
    for state in State:
        with pytest.raises(LocalProtocolError, match=kind):
            undo(create_purchase(kind, state), create_advice())


@pytest.mark.parametrize(
    ("kind", "state", "reply", "expected"),
    [
        ("hold", State.OPEN, create_reply(HoldReply), State.APPROVED),
        ("hold", State.OPEN, create_reply(HoldReply, code=1016), State.REFUSED),
        ("hold", State.OPEN, create_reply(HoldReply, code=3008), State.ASKING),
        ("hold", State.OPEN, create_reply(RedeemReply), State.OPEN),
        ("hold", State.ASKING, create_reply(StatusReply, code=1020), State.UNDECIDED),
        ("capture", State.OPEN, create_reply(CaptureReply), State.APPROVED),
        ("capture", State.OPEN, create_reply(CaptureReply, code=1811), State.OPEN),
        ("capture", State.OPEN, create_reply(CaptureReply, code=3014), State.REFUSED),
        ("capture", State.OPEN, create_reply(CaptureReply, code=3008), State.DISPUTED),
        ("capture", State.OPEN, create_reply(StatusReply, code=3010), State.OPEN),
        ("release", State.OPEN, create_reply(ReleaseReply), State.APPROVED),
        ("release", State.OPEN, create_reply(ReleaseReply, code=3013), State.REFUSED),
        ("refund", State.OPEN, create_reply(RefundReply), State.APPROVED),
        ("refund", State.OPEN, create_reply(RefundReply, code=3019), State.REFUSED),
        ("refund", State.OPEN, create_reply(RefundReply, code=3008), State.ASKING),
        ("refund", State.ASKING, create_reply(StatusReply, code=1811), State.ASKING),
        ("refund", State.ASKING, create_reply(StatusReply, code=3010), State.NEVER),
        ("refund", State.ASKING, create_reply(StatusReply, original_code=0), State.APPROVED),
        ("refund", State.ASKING, create_reply(StatusReply, original_code=3019), State.REFUSED),
        ("refund", State.ASKING, create_reply(StatusReply, code=1020), State.DISPUTED),
        ("refund", State.ASKING, create_reply(RefundReply), State.ASKING),
    ],
)
def test_what_a_reply_means(kind: str, state: State, reply: Reply, expected: State) -> None:
    assert answered(create_purchase(kind, state), reply).state is expected


@pytest.mark.parametrize(
    ("outcome", "points", "expected"),
    [
        ("reversed", 30, State.REVERSED),
        ("already_reversed", 0, State.REVERSED),
        ("never_seen", 0, State.REVERSED),
        ("refused_before", 0, State.REVERSED),
        ("captured", 0, State.DISPUTED),
        ("refunded", 0, State.DISPUTED),
        ("not_a_purchase", 0, State.DISPUTED),
    ],
)
def test_a_reversal_that_moved_nothing_is_not_called_one(outcome: str, points: int, expected: State) -> None:
    hold = replace(create_purchase("hold", State.REVERSING), advice=create_advice())
    after = answered(hold, create_reply(ReversalAdviceReply, outcome=outcome, points=points))
    assert (after.state, after.returned) == (expected, points)
    assert after.answer is not None
    assert after.answer.outcome == outcome


def test_what_is_booked_is_kept_whatever_is_said_later() -> None:
    sold = answered(create_purchase("redeem"), create_reply(RedeemReply, points=30))
    undone = answered(
        undo(sold, create_advice()), create_reply(ReversalAdviceReply, outcome="reversed", points=30)
    )
    assert (undone.booked, undone.returned) == (30, 30)
    unheard = undo(create_purchase("redeem"), create_advice())
    told = answered(unheard, create_reply(ReversalAdviceReply, outcome="reversed", points=30))
    assert (told.booked, told.returned) == (30, 30)
    never = answered(unheard, create_reply(ReversalAdviceReply, outcome="never_seen"))
    assert (never.booked, never.returned) == (None, 0)


def test_the_answer_tells_what_its_kind_has_to_say() -> None:
    held = answered(create_purchase("hold"), create_reply(HoldReply, expires_at=5, approval="H")).answer
    captured = answered(create_purchase("capture"), create_reply(CaptureReply, points=3, released=2)).answer
    refunded = answered(create_purchase("refund"), create_reply(RefundReply, points=3, remaining=27)).answer
    assert held is not None
    assert captured is not None
    assert refunded is not None
    assert (held.expires_at, held.approval) == (5, "H")
    assert (captured.points, captured.released) == (3, 2)
    assert (refunded.points, refunded.remaining) == (3, 27)


def test_what_has_to_be_told_goes_out_in_the_order_in_which_it_was_said() -> None:
    def purchase(kind: str, number: int, state: State, advice: int | None = None) -> Purchase:
        txid = bytes([number] * 16)
        made = replace(begin(create_operation(kind, txid), 0.0), state=state)
        return made if advice is None else replace(made, advice=create_advice(txid, bytes([advice] * 16)))

    reversal = purchase("redeem", 1, State.REVERSING, advice=6)
    capture, release = purchase("capture", 5, State.OPEN), purchase("release", 7, State.OPEN)
    unknown = replace(purchase("refund", 2, State.ASKING), started=None)
    waited_for = purchase("refund", 3, State.OPEN)
    assert owed_first([unknown, release, waited_for, reversal, capture]) == [
        capture, reversal, release, unknown,
    ]  # fmt: skip


class OneOperation(RuleBasedStateMachine):
    """One operation of any kind, between a terminal that follows its rules and a server that does too."""

    @initialize(kind=st.sampled_from(sorted(REPLIES)))
    def start(self, kind: str) -> None:
        self.now = 0.0
        self.kind = kind
        self.purchase = begin(create_operation(kind), self.now)
        self.on_the_way: list[Action] = []
        self.replies: list[Reply] = []
        self.booked = self.undone = self.advised = self.asked = False
        self.times = 0

    @rule(seconds=st.sampled_from([0.1, 5.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def act(self) -> None:
        action = next_action(self.purchase, self.now)
        if action is Action.NOTHING:
            return
        if action in (Action.SEND, Action.REPEAT):
            assert not self.advised
            assert not self.asked
        if action is Action.GIVE_UP:
            self.take_back()
            return
        self.asked = self.asked or action is Action.ASK
        self.purchase = acting(self.purchase, action)
        if action is not Action.LEAVE:
            self.on_the_way.append(action)

    @precondition(lambda self: self.kind in REVERSIBLE)
    @rule()
    def take_back(self) -> None:
        assert self.kind in REVERSIBLE
        self.advised = True
        self.purchase = undo(self.purchase, create_advice())

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data(), recorded=st.booleans())
    def book(self, data: st.DataObject, recorded: bool) -> None:
        """The server gets a message, in any order, perhaps without being able to record it."""
        action = self.on_the_way.pop(data.draw(st.integers(0, len(self.on_the_way) - 1)))
        kinds: dict[Action, type[Reply]] = {Action.ASK: StatusReply, Action.ADVISE: ReversalAdviceReply}
        kind = kinds.get(action, REPLIES[self.kind])
        if not recorded:
            self.replies.append(create_reply(kind, code=1811))
        elif action is Action.ADVISE:
            outcome = "reversed" if self.booked else "never_seen"
            self.undone = True
            self.replies.append(create_reply(kind, outcome=outcome, points=5 * self.booked))
        elif action is Action.ASK and not self.booked:
            self.undone = True
            self.replies.append(create_reply(kind, code=3010))
        elif action is Action.ASK:
            self.replies.append(create_reply(kind, original_code=0, points=5, reversed=self.undone))
        elif self.undone and not self.booked:
            self.replies.append(create_reply(kind, code=3009))
        else:
            self.times += not self.booked
            self.booked = True
            self.replies.append(create_reply(kind, points=5))

    @precondition(lambda self: self.on_the_way)
    @rule()
    def lose_request(self) -> None:
        self.on_the_way.pop()

    @precondition(lambda self: self.replies)
    @rule(data=st.data(), lost=st.booleans())
    def hear(self, data: st.DataObject, lost: bool) -> None:
        reply = self.replies.pop(data.draw(st.integers(0, len(self.replies) - 1)))
        if not lost:
            self.purchase = answered(self.purchase, reply)

    @rule()
    def restart(self) -> None:
        """The program ends and starts: replies reach nobody, requests may still arrive."""
        self.replies.clear()
        if not self.purchase.state.final:
            self.purchase = after_restart(replace(self.purchase, started=None, sent=False))
            self.asked = self.asked or self.purchase.state is State.ASKING

    @invariant()
    def booked_at_most_once(self) -> None:
        assert self.times <= 1

    @invariant()
    def an_advice_is_never_asked_about(self) -> None:
        assert not (self.asked and self.kind in ADVICES)

    @invariant()
    def both_sides_agree_when_it_is_final(self) -> None:
        match self.purchase.state:
            case State.APPROVED:
                assert self.booked
                assert not self.undone
                assert self.purchase.booked == 5
            case State.REFUSED | State.NEVER:
                assert not self.booked
                assert self.undone
            case State.REVERSED:
                assert self.undone
                assert (self.purchase.booked == 5) == self.booked
            case State.DISPUTED:
                raise AssertionError("nobody has to look")


TestOneOperation = OneOperation.TestCase
TestOneOperation.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
