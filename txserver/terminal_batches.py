"""Day's end: the terminal's own totals of a batch, the server's word on them, and what differs, one by one.

The message that closes a batch is stored before it is sent, and from then on new requests belong to the
next batch: so the totals are those of what is in it, whenever and however often the message goes out.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import trio
from msgspec.structs import replace

from protocol.limits import MAX_UPLOAD
from protocol.messages import (
    BatchItem,
    BatchResult,
    BatchTotal,
    BatchUpload,
    BatchUploadReply,
    Reconciliation,
    ReconciliationReply,
    Reply,
    Request,
)
from txserver.terminal_envelope import Numbering
from txserver.terminal_link import Trouble
from txserver.terminal_operations import Purchase, State
from txserver.terminal_outcomes import Unreachable
from txserver.terminal_rules import APPROVED_CODE, STANDS
from txserver.terminal_store import PurchaseStore

__all__ = ["Batches", "DayEnd", "Unsettled", "items_of", "totals_of"]

OUT_OF_BALANCE = 1401
BATCH_BACKWARDS = 3023

R = TypeVar("R", bound=Reply)


class Unsettled(Exception):
    """The batch cannot be closed yet: `count` transactions of it have no outcome. Nothing was sent."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} transactions of this batch have no outcome yet")
        self.count = count


@dataclass(frozen=True, slots=True)
class DayEnd:
    """How a batch was closed. `results`: the transactions that differ, none when it is `balanced`.

    `own` and `server`: totals per kind; a kind without transactions is left out. `code`: 0, 1401, or 3023
    when the server had closed that batch before. `resumed`: this was a batch that an earlier call had
    closed without an answer; the present one is still open.
    """

    batch: int
    balanced: bool
    own: tuple[BatchTotal, ...]
    server: tuple[BatchTotal, ...]
    results: tuple[BatchResult, ...]
    code: int = APPROVED_CODE
    resumed: bool = False


def items_of(purchases: Iterable[Purchase], batch: int) -> list[BatchItem]:
    """What these purchases put into a batch, in the order of ids: each request, each reversal."""
    items = []
    for purchase in purchases:
        if purchase.request.batch == batch:
            items.append(
                BatchItem(
                    id=purchase.txid,
                    kind=purchase.kind,
                    points=_booked(purchase) or 0,
                    state=_state(purchase),
                )
            )
        advice = purchase.advice
        if advice is not None and advice.batch == batch:
            items.append(
                BatchItem(
                    id=advice.id, kind="reversal", points=_returned(purchase), state=_advice_state(purchase)
                )
            )
    return sorted(items, key=lambda item: item.id)


def totals_of(items: Iterable[BatchItem]) -> list[BatchTotal]:
    """Count and sum per kind of what was approved, also when it was reversed later, and moved points."""
    counts: dict[str, tuple[int, int]] = {}
    for item in items:
        if item.state in ("approved", "reversed") and item.points > 0:
            count, points = counts.get(item.kind, (0, 0))
            counts[item.kind] = (count + 1, points + item.points)
    return [
        BatchTotal(kind=kind, count=count, points=points) for kind, (count, points) in sorted(counts.items())
    ]


def _booked(purchase: Purchase) -> int | None:
    """Points that the server has under the txid; None when it never said."""
    return purchase.booked if purchase.booked is not None else _of_old_record(purchase)


def _returned(purchase: Purchase) -> int:
    """Points that the reversal moved."""
    return purchase.returned or _of_old_record(purchase) or 0


def _of_old_record(purchase: Purchase) -> int | None:
    """A record of before `booked` and `returned`: its answer tells either, as reversals are of the whole."""
    answer = purchase.answer
    if answer is None or answer.outcome is not None:
        return None
    return answer.points if purchase.state in (State.APPROVED, State.REVERSED) else None


def _state(purchase: Purchase) -> str:
    """approved, refused, reversed or unknown, as the server should have it."""
    outcome = None if purchase.answer is None else purchase.answer.outcome
    if purchase.state in (State.REFUSED, State.NEVER) or outcome in ("never_seen", "refused_before"):
        return "refused"
    if _booked(purchase) is None:
        return "unknown"
    # A hold that ended by itself needs no reversal, and has none.
    over = outcome == "already_reversed" and purchase.kind == "hold"
    return "approved" if purchase.state is State.APPROVED or outcome in STANDS or over else "reversed"


def _advice_state(purchase: Purchase) -> str:
    if purchase.state not in (State.REVERSED, State.DISPUTED) or purchase.answer is None:
        return "unknown"
    return "approved" if purchase.answer.code == APPROVED_CODE else "refused"


class Insist(Protocol):
    """Questions.insist."""

    def __call__(self, request: Request, kind: type[R], /) -> Awaitable[R]: ...


class Batches:
    """The batches of one terminal. `settled(batch)` waits a while and gives how many have no outcome yet."""

    def __init__(
        self,
        store: PurchaseStore,
        numbering: Numbering,
        *,
        insist: Insist,
        settled: Callable[[int], Awaitable[int]],
    ) -> None:
        self._store = store
        self._numbering = numbering
        self._insist = insist
        self._settled = settled
        self._ending = trio.Lock()

    def heard(self, last_batch: int | None) -> None:
        """The server has closed this batch: ours comes after it, also when our own store was lost."""
        if last_batch is not None and self._numbering.batch <= last_batch:
            self._store.open_a_batch(last_batch + 1)
            self._numbering.batch = last_batch + 1

    async def end(self) -> DayEnd:
        """Close the open batch, or go on with one whose end was begun. Unsettled, Unreachable."""
        async with self._ending:
            begun = self._store.closing()
            if begun is not None:
                return await self._finish(replace(begun, repeat=True), resumed=True)
            batch = self._numbering.batch
            unsettled = await self._settled(batch)
            if unsettled:
                raise Unsettled(unsettled)
            return await self._finish(self._close(batch), resumed=False)

    def _close(self, batch: int) -> Reconciliation:
        """From here on the batch takes nothing any more. No await since it was seen to be settled."""
        totals = totals_of(self._items(batch))
        closing = Reconciliation(**self._numbering.envelope(), totals=totals)
        self._store.close_batch(closing)
        self._numbering.batch = batch + 1
        return closing

    async def _finish(self, closing: Reconciliation, *, resumed: bool) -> DayEnd:
        reply = await self._insist(closing, ReconciliationReply)
        results: Sequence[BatchResult] = ()
        server = reply.totals
        if reply.code == APPROVED_CODE:
            server = closing.totals
        elif reply.code == OUT_OF_BALANCE:
            results = await self._upload(closing.batch)
        elif reply.code == BATCH_BACKWARDS:
            self.heard(reply.last_batch)
        else:
            raise _refused(reply)
        self._store.forget_closing()
        return DayEnd(
            batch=closing.batch,
            balanced=reply.code == APPROVED_CODE,
            own=tuple(closing.totals),
            server=tuple(server),
            results=tuple(results),
            code=reply.code,
            resumed=resumed,
        )

    async def _upload(self, batch: int) -> list[BatchResult]:
        """Send the batch page by page; what does not agree."""
        rest = self._items(batch)
        differing: list[BatchResult] = []
        after: bytes | None = None
        while True:
            page = rest[:MAX_UPLOAD]
            last = len(page) == len(rest)
            envelope = self._numbering.envelope(batch=batch)
            reply = await self._insist(
                BatchUpload(**envelope, items=page, after=after, last=last), BatchUploadReply
            )
            if reply.code != APPROVED_CODE:
                raise _refused(reply)
            differing += [result for result in reply.results if result.outcome != "agrees"]
            through = reply.through
            if through is None:
                if last:
                    return differing
                through = page[-1].id
            if after is not None and through <= after:
                raise Unreachable(Trouble("protocol", "the comparison of the batch does not get on"))
            after = through
            rest = [item for item in rest if item.id > through]

    def _items(self, batch: int) -> list[BatchItem]:
        return items_of(self._store.of_batch(batch), batch)


def _refused(reply: Reply) -> Unreachable:
    return Unreachable(Trouble("refused", f"{reply.code} {reply.text}"))
