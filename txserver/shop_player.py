"""One terminal of a played shop: it carries the plan's steps out, counts them, and ends its day."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

import trio

from protocol.messages import CatalogueItem
from txserver.pos_desk import FAULTS, Desk, at_work, become_terminal, known_fault, sentence_of
from txserver.shop_file import PlayerCard
from txserver.shop_plan import (
    Action,
    CameOut,
    Chance,
    Price,
    Step,
    Till,
    after,
    last_step,
    next_step,
    think_s,
)
from txserver.shop_tally import Seat, SeatState
from txserver.terminal import DayEnd, Outcome, Result, Terminal, Unreachable, Unsettled
from txserver.terminal_identity import IdentityError, TerminalIdentity

__all__ = ["Player", "prices_of"]

DEAREST = 1_000
"""The most that a customer spends of an open amount, though its range may go further."""

BOUNDLESS = 10**9
"""For an open amount without an end: nobody has so many points."""

CATALOGUE_STEPS = 25
"""After so many steps the catalogue is asked again: a new service is sold in the shop as well."""

_NOT_DONE = frozenset(
    {Outcome.REFUSED, Outcome.NEVER, Outcome.OFFLINE, Outcome.UNANSWERED, Outcome.REVERSED, Outcome.DISPUTED}
)


def prices_of(services: Iterable[CatalogueItem]) -> tuple[Price, ...]:
    """What can be sold now."""
    prices = []
    for item in services:
        if item.since is not None:
            continue  # not before that day
        if item.open:
            least = max(1, item.min_points or 1)
            most = max(least, min(item.max_points or DEAREST, DEAREST))
            limit = item.max_points or BOUNDLESS
            prices.append(Price(item.code, item.points, open=True, least=least, most=most, limit=limit))
        else:
            prices.append(Price(item.code, item.points))
    return tuple(prices)


class Player:
    """`seat` is what others see of it. `trouble`: why its day could not be ended, in a sentence."""

    def __init__(
        self, seat: Seat, desk: Desk, cards: Sequence[PlayerCard], *, alone: bool, chance: Chance
    ) -> None:
        self.seat = seat
        self.trouble: str | None = None
        self.days: list[DayEnd] = []
        self._desk = desk
        self._cards = cards
        self._chance = chance
        self._till = Till(tuple(range(len(cards))), (), alone=alone)
        self._terminal: Terminal | None = None
        self._steps = 0

    @property
    def desk(self) -> Desk:
        """Where this terminal stands."""
        return self._desk

    async def enrol(self, code: str) -> None:
        """Become a terminal, unless this folder is one already; a fault is `trouble`."""
        try:
            identity = TerminalIdentity.load(self._desk.device)
        except IdentityError:
            try:
                identity = await become_terminal(code, self._desk)
            except FAULTS as fault:
                self._fail(fault)
                return
        self.seat.terminal = identity.terminal

    async def work(self, until: float, stop: trio.Event) -> None:
        """The whole day: customers until a time of trio's clock or until `stop`, then its end."""
        try:
            async with at_work(self._desk) as terminal:
                self._terminal = terminal
                try:
                    await self._serve(terminal, until, stop)
                    await self._close(terminal)
                finally:
                    self._terminal = None
                    self.seat.doing = None
                    self.seat.unsettled = terminal.unsettled
        except FAULTS as fault:
            self._fail(fault)
        except ExceptionGroup as group:
            inner = known_fault(group)
            if inner is None:
                raise
            self._fail(inner)

    def look(self) -> None:
        """Bring the seat up to date: a line comes and goes between two steps as well."""
        terminal = self._terminal
        if terminal is None:
            return
        self.seat.unsettled = terminal.unsettled
        if self.seat.state in (SeatState.STARTING, SeatState.ONLINE, SeatState.OFFLINE):
            self.seat.state = SeatState.ONLINE if terminal.online else SeatState.OFFLINE

    def _fail(self, fault: Exception) -> None:
        self.trouble = sentence_of(fault, self._desk)
        self.seat.state = SeatState.FAULT
        self.seat.doing = None

    # ---- customers ------------------------------------------------------------------------------

    async def _serve(self, terminal: Terminal, until: float, stop: trio.Event) -> None:
        await terminal.ready()
        while not stop.is_set() and trio.current_time() < until:
            self.look()
            if self._steps % CATALOGUE_STEPS == 0 or not self._till.prices:
                with suppress(Unreachable):
                    self._till = replace(self._till, prices=prices_of(await terminal.catalogue()))
            self._steps += 1
            await self._do(terminal, next_step(self._till, self._chance))
            with trio.move_on_at(min(until, trio.current_time() + think_s(self._chance))):
                await stop.wait()

    async def _do(self, terminal: Terminal, step: Step) -> None:
        """One step: carried out, counted, and known to the plan."""
        self.seat.doing = step.action
        began = trio.current_time()
        if step.action is Action.BALANCE:
            outcome = await self._ask_balance(terminal, step)
            points, txid, came_out = 0, None, CameOut.DONE
        else:
            result = await self._carry_out(terminal, step)
            outcome, txid = result.outcome.value, result.txid
            points = 0 if result.answer is None else result.answer.points
            came_out = _came_out(step.action, result.outcome)
        self.seat.count(step.action, outcome, seconds=trio.current_time() - began, points=points)
        self._till = after(self._till, step, came_out, txid=txid, points=points)

    async def _carry_out(self, terminal: Terminal, step: Step) -> Result:
        card = self._cards[step.card]
        pin = _wrong(card.pin) if step.action is Action.WRONG_PIN else card.pin
        match step.action:
            case Action.HOLD:
                return await terminal.hold(
                    card.card, step.service or "", pin=pin, quantity=step.quantity, amount=step.amount
                )
            case Action.CAPTURE:
                return await terminal.capture(step.txid or b"", step.points)
            case Action.RELEASE:
                return await terminal.release(step.txid or b"")
            case Action.REFUND:
                return await terminal.refund(step.txid or b"", card.card, amount=step.points)
            case Action.REVERSE:
                return await terminal.reverse(step.txid or b"")
            case _:
                return await terminal.redeem(
                    card.card, step.service or "", pin=pin, quantity=step.quantity, amount=step.amount
                )

    async def _ask_balance(self, terminal: Terminal, step: Step) -> str:
        try:
            reply = await terminal.balance(self._cards[step.card].card)
        except Unreachable:
            return Outcome.UNANSWERED.value
        return Outcome.APPROVED.value if reply.code == 0 else Outcome.REFUSED.value

    # ---- the end of the day ---------------------------------------------------------------------

    async def _close(self, terminal: Terminal) -> None:
        """Leave no hold behind, then close the batch; one that an earlier run left open comes first."""
        self.seat.state = SeatState.CLOSING
        while (step := last_step(self._till, self._chance)) is not None:
            await self._do(terminal, step)
        try:
            resumed = True
            while resumed:
                day = await terminal.reconcile()
                self.days.append(day)
                resumed = day.resumed
        except Unsettled:
            # Not a fault of this terminal: it is told, and the next day's end takes it up.
            self.seat.state = SeatState.OWING
            return
        balanced = all(day.balanced for day in self.days)
        self.seat.state = SeatState.BALANCED if balanced else SeatState.DIFFERS


def _came_out(action: Action, outcome: Outcome) -> CameOut:
    if outcome is (Outcome.REVERSED if action is Action.REVERSE else Outcome.APPROVED):
        return CameOut.DONE
    return CameOut.NOT_DONE if outcome in _NOT_DONE else CameOut.UNKNOWN


def _wrong(pin: str) -> str:
    """Six digits that are not the PIN."""
    return "804613" if pin != "804613" else "135028"
