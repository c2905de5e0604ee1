"""The terminal rules, pure: examples of each transition, and a machine that drives them at random."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from protocol.errors import LocalProtocolError
from protocol.messages import EchoReply, Redeem, RedeemReply, Reply, ReversalAdvice, ReversalAdviceReply
from protocol.messages import TransactionStatusReply as StatusReply
from txserver.terminal_rules import (
    GIVE_UP_S,
    UNKNOWN_S,
    Action,
    Purchase,
    State,
    acting,
    after_restart,
    answered,
    backoff_s,
    begin,
    deadline,
    next_action,
    owed_first,
    undo,
)

TXID = bytes([7] * 16)


def create_request(txid: bytes = TXID, pin: str | None = None) -> Redeem:
    return Redeem(id=txid, stan=1, batch=1, at=1000, credential="P1X", service="wash", pin=pin)


def create_advice(original: bytes = TXID, txid: bytes = bytes([8] * 16)) -> ReversalAdvice:
    return ReversalAdvice(
        id=txid, stan=2, batch=1, at=2000, original=original, credential="P1X", reason="timeout"
    )


def create_reply(kind: type[Reply] = RedeemReply, code: int = 0, **fields: Any) -> Reply:
    return kind(id=TXID, code=code, text="", server_at=0, business_date="2027-01-15", **fields)


def create_purchase(state: State = State.OPEN, started: float | None = 0.0, sent: bool = True) -> Purchase:
    purchase = replace(begin(create_request(), 0.0), state=state, started=started, sent=sent)
    return replace(purchase, advice=create_advice()) if state is State.REVERSING else purchase


def test_a_purchase_is_sent_then_repeated_then_asked_about_then_given_up() -> None:
    purchase = begin(create_request(), 100.0)
    assert next_action(purchase, 100.0) is Action.SEND
    purchase = acting(purchase, Action.SEND)
    assert next_action(purchase, 100.0 + UNKNOWN_S - 0.001) is Action.REPEAT
    assert next_action(purchase, 100.0 + UNKNOWN_S) is Action.ASK
    purchase = acting(purchase, Action.ASK)
    assert next_action(purchase, 100.0) is Action.ASK
    assert next_action(purchase, 100.0 + GIVE_UP_S) is Action.GIVE_UP


def test_a_purchase_with_its_pin_is_a_bug() -> None:
    with pytest.raises(LocalProtocolError):
        begin(create_request(pin="123456"), 0.0)


def test_the_original_is_never_sent_again_once_asked_about() -> None:
    for state in set(State) - {State.OPEN}:
        for action in (Action.SEND, Action.REPEAT):
            with pytest.raises(LocalProtocolError):
                acting(create_purchase(state), action)


def test_only_an_unknown_outcome_is_asked_about() -> None:
    with pytest.raises(LocalProtocolError):
        acting(create_purchase(State.APPROVED), Action.ASK)


@pytest.mark.parametrize(
    ("state", "reply", "expected"),
    [
        (State.OPEN, create_reply(code=0), State.APPROVED),
        (State.OPEN, create_reply(code=1016), State.REFUSED),
        (State.OPEN, create_reply(code=3009), State.REFUSED),
        (State.OPEN, create_reply(code=1811), State.OPEN),
        (State.OPEN, create_reply(code=3008), State.ASKING),
        (State.OPEN, create_reply(StatusReply, original_code=0), State.OPEN),
        (State.ASKING, create_reply(code=0), State.ASKING),
        (State.ASKING, create_reply(StatusReply, original_code=0), State.APPROVED),
        (State.ASKING, create_reply(StatusReply, original_code=1016), State.REFUSED),
        (State.ASKING, create_reply(StatusReply, original_code=0, reversed=True), State.REVERSED),
        (State.ASKING, create_reply(StatusReply, code=3010), State.NEVER),
        (State.ASKING, create_reply(StatusReply, code=1811), State.ASKING),
        (State.ASKING, create_reply(StatusReply, code=1020), State.UNDECIDED),
        (State.ASKING, create_reply(StatusReply), State.UNDECIDED),
        (State.REVERSING, create_reply(code=0), State.REVERSING),
        (State.REVERSING, create_reply(ReversalAdviceReply), State.REVERSED),
        (State.REVERSING, create_reply(ReversalAdviceReply, code=1811), State.REVERSING),
        (State.REVERSING, create_reply(ReversalAdviceReply, code=1020), State.DISPUTED),
        (State.REVERSED, create_reply(code=0), State.REVERSED),
        (State.NEVER, create_reply(code=0), State.NEVER),
        (State.OPEN, create_reply(EchoReply), State.OPEN),
    ],
)
def test_what_a_reply_means(state: State, reply: Reply, expected: State) -> None:
    assert answered(create_purchase(state), reply).state is expected


def test_the_answer_is_kept_whichever_message_asked() -> None:
    found = create_reply(StatusReply, original_code=1016, approval="A", points=3, balance=9)
    answer = answered(create_purchase(State.ASKING), found).answer
    assert answer is not None
    assert (answer.code, answer.recorded, answer.approval, answer.points, answer.balance) == (
        1016, True, "A", 3, 9,
    )  # fmt: skip
    approved = create_reply(code=0, approval="B", points=5, balance=1, receipt=["thank you"])
    answer = answered(create_purchase(), approved).answer
    assert answer is not None
    assert (answer.approval, answer.receipt) == ("B", ["thank you"])


def test_after_a_restart_what_is_unknown_is_asked_without_a_deadline() -> None:
    for state in (State.OPEN, State.ASKING, State.UNDECIDED):
        purchase = after_restart(create_purchase(state))
        assert purchase.state is State.ASKING
        assert next_action(purchase, 1e9) is Action.ASK
        assert deadline(purchase) == float("inf")
    assert after_restart(create_purchase(State.REVERSING)).state is State.REVERSING


def test_deadlines() -> None:
    assert deadline(create_purchase(State.OPEN, started=5.0)) == 5.0 + UNKNOWN_S
    assert deadline(create_purchase(State.ASKING, started=5.0)) == 5.0 + GIVE_UP_S
    assert deadline(create_purchase(State.REVERSING, started=5.0)) == float("inf")


def test_undo_keeps_the_first_advice() -> None:
    purchase = undo(create_purchase(State.APPROVED), create_advice())
    assert purchase.state is State.REVERSING
    assert undo(purchase, create_advice(txid=bytes([9] * 16))).advice == create_advice()


def test_undo_of_another_purchase_is_a_bug() -> None:
    with pytest.raises(LocalProtocolError):
        undo(create_purchase(), create_advice(original=bytes(16)))


def test_reversals_go_out_first_then_the_unknown_of_an_earlier_run() -> None:
    def purchase(number: int, state: State, started: float | None) -> Purchase:
        request = create_request(bytes([number] * 16))
        return replace(begin(request, 0.0), state=state, started=started)

    asked, reversing, own = (
        purchase(1, State.ASKING, None),
        purchase(2, State.REVERSING, 3.0),
        purchase(3, State.OPEN, 3.0),
    )
    undecided = purchase(4, State.UNDECIDED, None)
    assert owed_first([undecided, asked, reversing, own]) == [reversing, asked, undecided]
    assert owed_first([purchase(5, State.APPROVED, None)]) == []


def test_backoff_doubles_from_half_a_second_to_thirty() -> None:
    assert [backoff_s(n, 1.0) for n in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff_s(10**6, 0.5) == 15
    assert backoff_s(3, 0.0) == 0


class OnePurchase(RuleBasedStateMachine):
    """One purchase between a terminal that follows the rules and a server that follows its own."""

    @initialize()
    def start(self) -> None:
        self.now = 0.0
        self.purchase = begin(create_request(), self.now)
        self.on_the_way: list[Action] = []
        self.replies: list[Reply] = []
        self.charged = self.undone = self.advised = self.asked = False
        self.debits = 0

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
            self.give_up()
            return
        self.asked = self.asked or action is Action.ASK
        self.purchase = acting(self.purchase, action)
        self.on_the_way.append(action)

    @rule()
    def give_up(self) -> None:
        self.advised = True
        self.purchase = undo(self.purchase, create_advice())

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data(), recorded=st.booleans())
    def book(self, data: st.DataObject, recorded: bool) -> None:
        """The server gets a message, in any order, perhaps without being able to record it."""
        action = self.on_the_way.pop(data.draw(st.integers(0, len(self.on_the_way) - 1)))
        kinds: dict[Action, type[Reply]] = {Action.ASK: StatusReply, Action.ADVISE: ReversalAdviceReply}
        kind = kinds.get(action, RedeemReply)
        if not recorded:
            self.replies.append(create_reply(kind, code=1811))
        elif action is Action.ADVISE:
            self.undone = True
            self.replies.append(create_reply(kind))
        elif action is Action.ASK and not self.charged:
            self.undone = True
            self.replies.append(create_reply(kind, code=3010))
        elif action is Action.ASK:
            self.replies.append(create_reply(kind, original_code=0, reversed=self.undone))
        elif self.undone and not self.charged:
            self.replies.append(create_reply(kind, code=3009))
        else:
            self.debits += not self.charged
            self.charged = True
            self.replies.append(create_reply(kind))

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
            self.purchase = after_restart(self.purchase)
            self.asked = self.asked or self.purchase.state is State.ASKING

    @invariant()
    def at_most_one_debit(self) -> None:
        assert self.debits <= 1

    @invariant()
    def both_sides_agree_when_it_is_final(self) -> None:
        spent = self.charged and not self.undone
        match self.purchase.state:
            case State.APPROVED:
                assert spent
            case State.REFUSED | State.NEVER | State.REVERSED | State.DISPUTED:
                assert not spent
                assert self.undone

    @invariant()
    def nothing_is_approved_after_an_advice(self) -> None:
        if self.advised:
            assert self.purchase.state in (State.REVERSING, State.REVERSED)


TestOnePurchase = OnePurchase.TestCase
TestOnePurchase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
