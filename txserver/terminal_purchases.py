"""A terminal's operations, carried out: what terminal_rules wants is sent, what comes back is stored.

Between the pure rules and the line stands only this file; every change of a purchase goes through `_keep`.
"""

import dataclasses
from collections.abc import Callable

import trio
from msgspec.structs import replace

from protocol.errors import LocalProtocolError
from protocol.messages import (
    Hold,
    Redeem,
    Refund,
    Reply,
    Request,
    ReversalAdvice,
    ReversalAdviceReply,
    TransactionStatus,
    TransactionStatusReply,
)
from txserver.terminal_envelope import Numbering, uniform
from txserver.terminal_link import TerminalLink
from txserver.terminal_operations import REPLIES, REVERSIBLE, Operation, Purchase, State, answer_of, kind_of
from txserver.terminal_outcomes import Outcome, Result, UnknownPurchase, outcome_of
from txserver.terminal_questions import READY_S
from txserver.terminal_rules import (
    APPROVED_CODE,
    NOT_RECORDED,
    Action,
    acting,
    after_restart,
    answered,
    backoff_s,
    begin,
    deadline,
    left,
    next_action,
    owed_first,
    undo,
)
from txserver.terminal_session import NoAnswer
from txserver.terminal_store import PurchaseStore

__all__ = ["Purchases"]


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
            while not (self._link.online and not owed_first(self.live.values())):
                await self.change()
            return True
        return False

    async def line(self) -> bool:
        """Wait until a session stands, at most READY_S; False when none does."""
        with trio.move_on_after(READY_S):
            while not self._link.online:
                await self.change()
            return True
        return False

    async def settled_in(self, batch: int) -> int:
        """Wait until nothing of a batch is without an outcome, at most READY_S; how many still are."""
        with trio.move_on_after(READY_S):
            while self._open_in(batch):
                await self.change()
        return self._open_in(batch)

    def _open_in(self, batch: int) -> int:
        return sum(
            batch in (one.request.batch, None if one.advice is None else one.advice.batch)
            for one in self.live.values()
        )

    async def make(self, request: Operation, pin: str | None) -> Result:
        """Carry out a new Redeem, Hold or Refund; `request` is without the PIN.

        StoreError before anything was sent.
        """
        if not await self.ready():
            return self._offline(request)
        # Its batch is the one that is open when it is stored: the line may have been waited for.
        purchase = begin(replace(request, batch=self._numbering.batch), trio.current_time())
        self._keep(purchase)
        try:
            return await self._carry_out(purchase.txid, pin)
        except (trio.Cancelled, KeyboardInterrupt):
            # The clerk, or the end of the program: whoever cancels gives no service for it.
            self._abandon(purchase.txid)
            raise

    def hold_of(self, txid: bytes) -> Purchase:
        """The hold that is to be captured or released. UnknownPurchase; LocalProtocolError when its outcome
        is not known, or when it is none.
        """
        hold = self.find(txid)
        if hold is None:
            raise UnknownPurchase
        if hold.kind != "hold":
            raise LocalProtocolError("this txid belongs to another kind of transaction, not to a hold")
        if not hold.state.final:
            raise LocalProtocolError("it is not known yet whether this hold was made; wait for its outcome")
        return hold

    async def advise(self, request: Operation) -> Result:
        """Store a Capture or a Release, with a line or without, and wait a while for the server's word."""
        self._keep(begin(request, trio.current_time()))
        return await self._wait_for(request.id)

    async def reverse(self, original: bytes, reason: str) -> Result:
        """Store a reversal and wait a while for the server's word. UnknownPurchase, LocalProtocolError."""
        purchase = self.find(original)
        if purchase is None:
            raise UnknownPurchase
        self._give_up(purchase, reason)
        return await self._wait_for(original)

    async def _wait_for(self, txid: bytes) -> Result:
        with trio.move_on_after(READY_S):
            while txid in self.live:
                await self.change()
        return self._result(self.find(txid))

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
            # The deadline is that of the state which the action brings, not of the one it leaves.
            purchase = acting(purchase, action)
            if action is Action.LEAVE:
                self._keep(purchase)
            if action in (Action.ADVISE, Action.LEAVE):
                return self._result(purchase)
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

    def _message(self, purchase: Purchase, action: Action, pin: str | None) -> tuple[Request, type[Reply]]:
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
        again = replace(request, repeat=action is Action.REPEAT)
        return (again if pin is None else replace(again, pin=pin)), REPLIES[purchase.kind]

    async def settle(self) -> None:
        """Send what is stored, ask about what nobody waits for, in order, whenever there is any of it."""
        failures = 0
        while True:
            owed = owed_first(self.live.values())
            if not (owed and self._link.online):
                await self.change()
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

    async def repeat(self, earlier: Purchase, pin: str | None) -> Result:
        """Send a finished purchase again, under its numbers; the store keeps what it has."""
        if not earlier.state.final and await self.ready():
            earlier = self.find(earlier.txid) or earlier
        if earlier.state not in (State.APPROVED, State.REFUSED):
            # Under way, or taken back: the rules alone say what is sent, and the original is not.
            return self._result(earlier)
        again = replace(earlier.request, repeat=True)
        if pin is not None:
            again = replace(again, pin=pin)
        finished = self._result(earlier)
        try:
            reply = await self._link.ask(again, REPLIES[earlier.kind], patience_s=READY_S)
        except NoAnswer:
            return dataclasses.replace(finished, outcome=Outcome.UNANSWERED, answer=None)
        outcome = Outcome.APPROVED if reply.code == APPROVED_CODE else Outcome.REFUSED
        if reply.code == NOT_RECORDED:
            outcome = Outcome.UNANSWERED
        return dataclasses.replace(finished, outcome=outcome, answer=answer_of(reply, reply.code))

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

    def _abandon(self, txid: bytes) -> None:
        """Nobody waits for a purchase any more: take it back, or leave it to `settle` what became of it."""
        purchase = self.live.get(txid)
        if purchase is None:
            return
        if purchase.kind in REVERSIBLE:
            self._give_up(purchase, "cancelled")
        else:
            self._keep(left(purchase))

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

    async def change(self) -> None:
        """Wait for the next `notify`."""
        await self._changed.wait()

    def _offline(self, request: Operation) -> Result:
        return Result(Outcome.OFFLINE, None, self._service_of(request), kind=kind_of(request))

    def _result(self, purchase: Purchase | None) -> Result:
        if purchase is None:
            raise UnknownPurchase
        return Result(
            outcome_of(purchase),
            purchase.txid,
            self._service_of(purchase.request),
            purchase.answer,
            purchase.kind,
        )

    def _service_of(self, request: Operation) -> str | None:
        """The service that it is about in the end; None when this terminal does not know."""
        while not isinstance(request, Redeem | Hold):
            original = self.find(request.original if isinstance(request, Refund) else request.hold)
            if original is None:
                return None
            request = original.request
        return request.service
