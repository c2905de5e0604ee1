"""The scripted server's books: every transaction once, by the server rules, in a dictionary."""

from dataclasses import dataclass, field
from typing import Any, TypedDict

from protocol.messages import (
    BatchItem,
    BatchResult,
    BatchTotal,
    BatchUpload,
    BatchUploadReply,
    Capture,
    CaptureReply,
    Hold,
    HoldReply,
    PinChange,
    PinChangeReply,
    Reconciliation,
    ReconciliationReply,
    Redeem,
    RedeemReply,
    Refund,
    RefundReply,
    Release,
    ReleaseReply,
    Reply,
    Request,
    ReversalAdvice,
    ReversalAdviceReply,
    TransactionStatus,
    TransactionStatusReply,
)

NOW_MS = 1_800_000_000_000
PRICE = 30
HELD = 50

REPLIES: dict[type[Request], type[Reply]] = {
    Redeem: RedeemReply,
    Hold: HoldReply,
    Capture: CaptureReply,
    Release: ReleaseReply,
    Refund: RefundReply,
    ReversalAdvice: ReversalAdviceReply,
    PinChange: PinChangeReply,
}


class ReplyEnvelope(TypedDict):
    """The common fields of a reply."""

    id: bytes
    code: int
    text: str
    server_at: int
    business_date: str


def envelope(request: Request, code: int = 0) -> ReplyEnvelope:
    return ReplyEnvelope(
        id=request.id,
        code=code,
        text="Approved" if code == 0 else "Refused",
        server_at=NOW_MS,
        business_date="2027-01-15",
    )


@dataclass
class Row:
    """What is recorded under a txid. `told`: fields of its reply."""

    kind: str
    batch: int = 0
    code: int = 0
    points: int = 0
    undone: bool = False
    refunded: int = 0
    ended: str | None = None
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def moved(self) -> bool:
        return self.code == 0 and self.points > 0


@dataclass
class Books:
    """What the server has recorded: once, and never after a tombstone. `times`: debits that were booked."""

    rows: dict[bytes, Row] = field(default_factory=dict)
    closed: dict[int, ReconciliationReply] = field(default_factory=dict)
    times: int = 0
    approve: bool = True
    results_at_most: int = 99

    @property
    def charged(self) -> set[bytes]:
        """What cost the member something, at least for a time."""
        return {txid for txid, row in self.rows.items() if row.kind in ("redeem", "capture") and row.moved}

    @property
    def undone(self) -> set[bytes]:
        """What was taken back, or was fenced off before it came."""
        return {txid for txid, row in self.rows.items() if row.undone or row.kind == "tombstone"}

    def owed(self) -> set[bytes]:
        """What costs the member something."""
        return {txid for txid in self.charged if not self.rows[txid].undone}

    def of(self, kind: str) -> list[Row]:
        """The rows of a kind, as they came."""
        return [row for row in self.rows.values() if row.kind == kind]

    def answer(self, request: Request) -> Reply:
        """Book a request, once, and say so."""
        match request:
            case TransactionStatus():
                return self._status(request)
            case Reconciliation():
                return self._reconcile(request)
            case BatchUpload():
                return self._compare(request)
        recorded = request.id in self.rows
        if not recorded:
            row = self._book(request)
            row.batch = request.batch
            self.rows[request.id] = row
        row = self.rows[request.id]
        told = {**row.told, "points": row.points} if row.code == 0 and row.kind != "pin_change" else {}
        return REPLIES[type(request)](**envelope(request, row.code), recorded=recorded, **told)

    def _book(self, request: Request) -> Row:
        match request:
            case Redeem():
                self.times += self.approve
                row = Row("redeem", points=PRICE, told={"approval": "A1B2C3", "balance": 70})
            case Hold():
                row = Row("hold", points=HELD, told={"approval": "H1", "expires_at": NOW_MS + 86_400_000})
            case Capture():
                return self._end(request.hold, "capture", request.amount)
            case Release():
                return self._end(request.hold, "release", None)
            case Refund():
                return self._refund(request)
            case ReversalAdvice():
                return self._reverse(request)
            case PinChange():
                row = Row("pin_change")
            case _:
                raise AssertionError(request)
        return row if self.approve else Row(row.kind, code=1016)

    def _end(self, txid: bytes, kind: str, amount: int | None) -> Row:
        hold = self.rows.get(txid)
        if hold is None or hold.kind != "hold" or hold.code != 0:
            return Row(kind, code=3012)
        if hold.ended is not None or hold.undone:
            return Row(kind, code=3014 if hold.ended == "lapse" else 3013)
        points = hold.points if amount is None else amount
        if points > hold.points:
            return Row(kind, code=3015)
        hold.ended = kind
        return Row(kind, points=points, told={"released": HELD - points} if kind == "capture" else {})

    def _refund(self, request: Refund) -> Row:
        original = self.rows.get(request.original)
        if original is None or original.kind not in ("redeem", "capture") or original.code != 0:
            return Row("refund", code=3016)
        if original.undone:
            return Row("refund", code=3017)
        remaining = original.points - original.refunded
        points = remaining if request.amount is None else request.amount
        if not 0 < points <= remaining:
            return Row("refund", code=3019)
        original.refunded += points
        return Row("refund", points=points, told={"remaining": original.points - original.refunded})

    def _reverse(self, request: ReversalAdvice) -> Row:
        original = self.rows.setdefault(request.original, Row("tombstone", code=3009))
        outcome = _found(original)
        points = 0
        if outcome == "reversed":
            original.undone, points = True, original.points
            if original.kind == "hold":
                original.ended = "reversal"
        return Row("reversal", points=points, told={"outcome": outcome, "balance": 100})

    def _status(self, request: TransactionStatus) -> Reply:
        row = self.rows.get(request.original)
        if row is None and request.fence:
            self.rows[request.original] = Row("tombstone", code=3009)
        if row is None or row.kind == "tombstone":
            return TransactionStatusReply(**envelope(request, 3010))
        return TransactionStatusReply(
            **envelope(request),
            kind=row.kind,
            original_code=row.code,
            approval=row.told.get("approval"),
            points=row.points if row.code == 0 else 0,
            balance=70,
            reversed=row.undone,
            refunded=row.refunded,
            ended=row.ended,
        )

    def _reconcile(self, request: Reconciliation) -> Reply:
        before = self.closed.get(request.batch)
        if before is not None and before.id == request.id:
            return ReconciliationReply(
                **envelope(request, before.code),
                totals=before.totals,
                recorded=True,
                last_batch=request.batch,
            )
        last = max(self.closed, default=0)
        if request.batch <= last:
            return ReconciliationReply(**envelope(request, 3023), last_batch=last)
        totals = self.totals(request.batch)
        reply = ReconciliationReply(
            **envelope(request, 0 if totals == request.totals else 1401),
            totals=totals,
            last_batch=request.batch,
        )
        self.closed[request.batch] = reply
        return reply

    def totals(self, batch: int) -> list[BatchTotal]:
        found: dict[str, list[int]] = {}
        for row in self.rows.values():
            if row.batch == batch and row.moved:
                found.setdefault(row.kind, []).append(row.points)
        return [
            BatchTotal(kind=kind, count=len(points), points=sum(points))
            for kind, points in sorted(found.items())
        ]

    def _compare(self, request: BatchUpload) -> Reply:
        items = {item.id: item for item in request.items}
        above = request.after or b""
        end = None if request.last or not items else max(items)
        mine = {
            txid
            for txid, row in self.rows.items()
            if row.batch == request.batch and row.moved and txid > above and (end is None or txid <= end)
        }
        results = [self._result(txid, items.get(txid), request.batch) for txid in sorted(mine | set(items))]
        cut = results[: self.results_at_most]
        through = cut[-1].id if len(cut) < len(results) else None
        return BatchUploadReply(**envelope(request), results=cut, through=through)

    def _result(self, txid: bytes, item: BatchItem | None, batch: int) -> BatchResult:
        row = self.rows.get(txid)
        here = row is not None and row.code == 0
        if row is None or not here:
            outcome = "unknown_here" if item and item.state in ("approved", "reversed") else "agrees"
        elif item is None:
            outcome = "unknown_there"
        elif item.state in ("refused", "unknown"):
            outcome = "reply_lost"
        elif item.state == "reversed" and not row.undone:
            outcome = "reversal_pending"
        elif item.points != row.points:
            outcome = "amount_differs"
        else:
            outcome = "agrees" if row.batch == batch else "late"
        points = row.points if row is not None and here else 0
        return BatchResult(id=txid, outcome=outcome, kind=None if row is None else row.kind, points=points)


def _found(original: Row) -> str:
    """What a reversal finds: only "reversed" moves anything."""
    if original.kind == "tombstone":
        return "never_seen"
    if original.kind not in ("redeem", "capture", "hold"):
        return "not_a_purchase"
    if original.code != 0:
        return "refused_before"
    if original.ended is not None:
        return "captured" if original.ended == "capture" else "already_reversed"
    if original.undone:
        return "already_reversed"
    return "refunded" if original.refunded else "reversed"
