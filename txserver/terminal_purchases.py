"""A terminal's purchases, carried out: what terminal_rules wants is sent, what comes back is stored.

Between the pure rules and the line stands only this file; every change of a purchase goes through `_keep`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import trio
from msgspec.structs import replace

from protocol.messages import (
    Redeem,
    RedeemReply,
    Request,
    ReversalAdvice,
    ReversalAdviceReply,
    TransactionStatus,
    TransactionStatusReply,
)
from txserver.terminal_envelope import Numbering, uniform
from txserver.terminal_link import NoAnswer, TerminalLink
from txserver.terminal_rules import (
    APPROVED_CODE,
    NOT_RECORDED,
    Action,
    Answer,
    Purchase,
    State,
    acting,
    after_restart,
    answer_of,
    answered,
    backoff_s,
    begin,
    deadline,
    next_action,
    reversals_first,
    undo,
)
from txserver.terminal_store import PurchaseStore

__all__ = ["READY_S", "Outcome", "Purchases", "Result", "UnknownPurchase"]

READY_S = 10.0
"""How long a customer is kept waiting for a line before the terminal says that it is offline."""


class UnknownPurchase(Exception):
    """This terminal's store has no purchase with that txid."""


class Outcome(Enum):
    """How a purchase, or an attempt to take one back, came out."""

    APPROVED = "approved"
    REFUSED = "refused"
    NEVER = "never"  # it did not happen and cannot happen any more: nothing was spent
    REVERSED = "reversed"
    REVERSAL_STORED = (
        "reversal_stored"  # no outcome was to be had: it is taken back as soon as the server is there
    )
    DISPUTED = "disputed"  # the server refused the reversal: a person must look
    OFFLINE = "offline"  # no line, or an earlier reversal is not through yet: nothing was stored or sent
    UNANSWERED = "unanswered"  # a repeat of a finished purchase got no reply: nothing changed


_OUTCOMES = {
    State.APPROVED: Outcome.APPROVED,
    State.REFUSED: Outcome.REFUSED,
    State.NEVER: Outcome.NEVER,
    State.REVERSED: Outcome.REVERSED,
    State.REVERSING: Outcome.REVERSAL_STORED,
    State.DISPUTED: Outcome.DISPUTED,
}


@dataclass(frozen=True, slots=True)
class Result:
    """`answer` is what the server said last; None when it said nothing. `service`: code of the service."""

    outcome: Outcome
    txid: bytes | None
    service: str | None = None
    answer: Answer | None = None


class Purchases:
    """Every purchase of one terminal. `live` holds those that are not final, by txid."""

    def __init__(
        self, store: PurchaseStore, link: TerminalLink, numbering: Numbering, random: Callable[[int], bytes]
    ) -> None:
        self.live = {purchase.txid: after_restart(purchase) for purchase in store.unfinished()}
        self.settled: list[Result] = []
        self._store = store
        self._link = link
        self._numbering = numbering
        self._random = random
        self._asks: dict[bytes, TransactionStatus] = {}
        self._advised: set[bytes] = set()
        self._changed = trio.Event()
        link.changed = self.notify

    def find(self, txid: bytes) -> Purchase | None:
        """A purchase of this terminal, live or finished."""
        return self.live.get(txid) or self._store.find(txid)

    async def ready(self) -> bool:
        """Wait until a new debit may go out: a session stands and nothing older has to be settled first."""
        with trio.move_on_after(READY_S):
            while not (self._link.online and not reversals_first(self.live.values())):
                await self._changed.wait()
            return True
        return False

    async def make(self, request: Redeem, pin: str | None) -> Result:
        """Carry out a new purchase; `request` is without the PIN. StoreError before anything was sent."""
        if not await self.ready():
            return Result(Outcome.OFFLINE, None, request.service)
        purchase = begin(request, trio.current_time())
        self._keep(purchase)
        try:
            return await self._carry_out(purchase.txid, pin)
        except (trio.Cancelled, KeyboardInterrupt):
            # The clerk, or the end of the program: whoever cancels gives no service for it.
            if purchase.txid in self.live:
                self._give_up(self.live[purchase.txid], "cancelled")
            raise

    async def reverse(self, original: bytes, reason: str) -> Result:
        """Store a reversal and wait a while for the server's word. UnknownPurchase."""
        purchase = self.find(original)
        if purchase is None:
            raise UnknownPurchase
        self._give_up(purchase, reason)
        with trio.move_on_after(READY_S):
            while original in self.live:
                await self._changed.wait()
        return self._result(self.find(original))

    async def _carry_out(self, txid: bytes, pin: str | None) -> Result:
        """Do what the rules want until the purchase needs no caller any more."""
        failures = 0
        while True:
            purchase = self.live.get(txid)
            if purchase is None:
                return self._result(self._store.find(txid))
            action = next_action(purchase, trio.current_time())
            if action is Action.GIVE_UP:
                self._give_up(purchase, "timeout")
                continue
            if action is Action.ADVISE:
                return self._result(purchase)
            # The deadline is that of the state which the action brings, not of the one it leaves.
            purchase = acting(purchase, action)
            with trio.move_on_at(deadline(purchase)):
                if not await self._do(purchase, action, pin):
                    await trio.sleep(backoff_s(failures, uniform(self._random)))
                    failures += 1

    async def _do(self, purchase: Purchase, action: Action, pin: str | None = None) -> bool:
        """Send what `action` says and take the answer in; False when the server wants it repeated later.

        `purchase` is as `acting` left it; it is stored so before the first byte leaves.
        """
        txid = purchase.txid
        self._keep(purchase)
        try:
            reply = await self._link.ask(*self._message(purchase, action, pin))
        except NoAnswer:
            return True
        # What the rules make of it depends on the state of now: a reversal may have been stored meanwhile.
        now = self.live.get(txid)
        if now is not None:
            after = answered(now, reply)
            self._keep(after)
            return after is not now
        return True

    def _message(
        self, purchase: Purchase, action: Action, pin: str | None
    ) -> tuple[Request, type[RedeemReply | TransactionStatusReply | ReversalAdviceReply]]:
        request = purchase.request
        if action is Action.ADVISE:
            assert purchase.advice is not None
            advice = replace(purchase.advice, repeat=purchase.txid in self._advised)
            self._advised.add(purchase.txid)
            return advice, ReversalAdviceReply
        if action is Action.ASK:
            ask = self._asks.get(request.id)
            if ask is None:
                ask = TransactionStatus(
                    **self._numbering.envelope(),
                    original=request.id,
                    credential=request.credential,
                    chip=request.chip,
                    fence=True,
                )
            # The same id for as long as the answer is owed, as for every request.
            self._asks[request.id] = replace(ask, repeat=True)
            return ask, TransactionStatusReply
        return replace(request, pin=pin, repeat=action is Action.REPEAT), RedeemReply

    async def settle(self) -> None:
        """Send stored reversals, ask about purchases of an earlier run, in order, whenever there are any."""
        failures = 0
        while True:
            owed = reversals_first(self.live.values())
            if not (owed and self._link.online):
                await self._changed.wait()
                continue
            purchase = owed[0]
            action = next_action(purchase, trio.current_time())
            if action is Action.GIVE_UP:
                self._give_up(purchase, "restart")
            elif await self._do(acting(purchase, action), action):
                failures = 0
            else:
                await trio.sleep(backoff_s(failures, uniform(self._random)))
                failures += 1
            if purchase.txid not in self.live:
                self.settled.append(self._result(self._store.find(purchase.txid)))

    async def repeat(self, earlier: Purchase, request: Redeem, pin: str | None) -> Result:
        """Send a finished purchase again, under its numbers; the store keeps what it has."""
        if not earlier.state.final and await self.ready():
            earlier = self.find(earlier.txid) or earlier
        if earlier.state not in (State.APPROVED, State.REFUSED):
            # Under way, or taken back: the rules alone say what is sent, and the original is not.
            return self._result(earlier)
        first = earlier.request
        again = replace(request, pin=pin, stan=first.stan, batch=first.batch, at=first.at, repeat=True)
        try:
            reply = await self._link.ask(again, RedeemReply, patience_s=READY_S)
        except NoAnswer:
            return Result(Outcome.UNANSWERED, first.id, request.service)
        if reply.code == NOT_RECORDED:
            return Result(Outcome.UNANSWERED, first.id, request.service, answer_of(reply, NOT_RECORDED))
        outcome = Outcome.APPROVED if reply.code == APPROVED_CODE else Outcome.REFUSED
        return Result(outcome, first.id, request.service, answer_of(reply, reply.code))

    def _give_up(self, purchase: Purchase, reason: str) -> None:
        """Store a reversal; from now on a late approval changes nothing."""
        request = purchase.request
        advice = ReversalAdvice(
            **self._numbering.envelope(),
            original=purchase.txid,
            credential=request.credential,
            chip=request.chip,
            reason=reason,
        )
        self._keep(undo(purchase, advice))

    def _keep(self, purchase: Purchase) -> None:
        """Make a purchase's new state durable, then true for everyone.

        The disk is written here, in the event loop: a terminal has nothing to do until its own record
        is safe, and an await would let two tasks interleave between the rule and its record.
        """
        before = self.live.get(purchase.txid)
        if before is None or before.state is not purchase.state:
            self._store.write(purchase, self._numbering.last_stan)
        if purchase.state.final:
            self.live.pop(purchase.txid, None)
            self._asks.pop(purchase.txid, None)
            self._advised.discard(purchase.txid)
        else:
            self.live[purchase.txid] = purchase
        self.notify()

    def notify(self) -> None:
        """Wake everyone who waits for a change of the line or of a purchase."""
        self._changed.set()
        self._changed = trio.Event()

    @staticmethod
    def _result(purchase: Purchase | None) -> Result:
        if purchase is None:
            raise UnknownPurchase
        outcome = _OUTCOMES.get(purchase.state, Outcome.UNANSWERED)
        return Result(outcome, purchase.txid, purchase.request.service, purchase.answer)
