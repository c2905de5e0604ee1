"""What one session has asked for, from the message to its reply.

A posting costs no task: the batcher calls back. So a request under way is an entry of a list there and
a number here, and a hundred of them are answered in one turn of the loop.
"""

from functools import partial

import trio

from ledger.postings import Outcome
from ledger.terminals import TerminalSeat
from protocol.credentials import CredentialError
from protocol.messages import Reply, Request
from txserver.channel import Channel
from txserver.handlers import POSTINGS, Posting, card_unknown, not_recorded, work
from txserver.house import House

__all__ = ["Requests"]

# Refusals that leave no row, or none that names the terminal's mistake: no account, a key or a batch taken.
UNRECORDED = frozenset({1011, 3008, 3011, 3020, 3023})


class Requests:
    """The requests of a session that has logged in, and their replies."""

    __slots__ = ("_channel", "_house", "_nursery", "_seat", "_settled", "_under_way")

    def __init__(self, channel: Channel, house: House, seat: TerminalSeat, nursery: trio.Nursery) -> None:
        self._channel = channel
        self._house = house
        self._seat = seat
        self._nursery = nursery
        self._under_way = 0
        self._settled: trio.Event | None = None

    @property
    def in_flight(self) -> int:
        """Requests whose replies have not left this house."""
        return self._under_way + self._channel.unsent

    def take(self, message: Request, began: float) -> None:
        """Begin with a request that was read at `began`; its reply is said when there is one."""
        self._under_way += 1
        posting = POSTINGS.get(type(message))
        if posting is None:
            self._nursery.start_soon(self._work, message, began)
            return
        context = self._house.context
        try:
            request = posting.ask(context, self._seat, message)
        except CredentialError:
            self._answer(message, card_unknown(context, message), began)
        except Exception as bug:  # noqa: BLE001 - met by one request: it is logged, and a repeat is always safe
            self._fail(message, began, bug)
        else:
            context.batcher.put(request, partial(self._posted, posting, message, began))

    async def settled(self) -> None:
        """Return when every request that was taken has been answered."""
        while self._under_way:
            self._settled = trio.Event()
            await self._settled.wait()

    def _posted(self, posting: Posting, message: Request, began: float, outcome: Outcome | None) -> None:
        context = self._house.context
        try:
            if outcome is None:
                reply = not_recorded(context, message)
            else:
                reply = posting.tell(context, self._seat, message, outcome)
        except Exception as bug:  # noqa: BLE001 - as above
            self._fail(message, began, bug)
        else:
            self._answer(message, reply, began)

    async def _work(self, message: Request, began: float) -> None:
        try:
            reply = await work(self._house.context, self._seat, message)
        except Exception as bug:  # noqa: BLE001 - as above
            self._fail(message, began, bug)
        else:
            self._answer(message, reply, began)

    def _fail(self, message: Request, began: float, bug: Exception) -> None:
        house = self._house
        house.log.error(
            "handler_failed", message=type(message).__name__, terminal=self._seat.id, exc_info=bug
        )
        self._answer(message, not_recorded(house.context, message), began)

    def _answer(self, message: Request, reply: Reply, began: float) -> None:
        house = self._house
        name = type(message).__name__
        self._under_way -= 1
        if self._settled is not None and not self._under_way:
            self._settled.set()
        if reply.code in UNRECORDED:
            house.log.warning(
                "request_refused", message=name, code=reply.code, terminal=self._seat.id, batch=message.batch
            )
        try:
            self._channel.say(reply)
        except Exception:  # a reply that cannot be written: the terminal is to ask again
            house.log.exception("reply_failed", message=name, terminal=self._seat.id)
            self._channel.lose("fault")
        house.metrics.reply(name, reply.code, reply.recorded, trio.current_time() - began)
