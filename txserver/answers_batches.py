"""Day's end: a terminal's batch is reconciled, and compared one by one when the totals differ."""

from uuid import UUID

from ledger import reconciliation
from ledger.terminals import TerminalSeat
from protocol import messages
from protocol.limits import MAX_UPLOAD
from txserver.answering import replied
from txserver.context import Context, envelope

__all__ = ["batch_upload", "reconcile"]

MOST_POINTS = 10**12  # that a total of a message can say; the books keep the true one


async def reconcile(context: Context, seat: TerminalSeat, message: messages.Reconciliation) -> messages.Reply:
    totals = [reconciliation.BatchTotal(each.kind, each.count, each.points) for each in message.totals]
    result = await context.read(
        seat.id,
        lambda connection: reconciliation.reconcile(
            connection,
            seat.id,
            message.batch,
            totals,
            txid=UUID(bytes=message.id),
            now=context.booking_time(),
        ),
    )
    return messages.ReconciliationReply(
        **(envelope(context, message, result.code) | {"business_date": result.business_date.isoformat()}),
        recorded=result.recorded,
        totals=[
            messages.BatchTotal(kind=each.kind, count=each.count, points=min(each.points, MOST_POINTS))
            for each in result.totals
        ],
        last_batch=result.last_batch,
    )


async def batch_upload(context: Context, seat: TerminalSeat, message: messages.BatchUpload) -> messages.Reply:
    items = [
        reconciliation.Item(UUID(bytes=item.id), item.kind, item.points, item.state) for item in message.items
    ]
    compared = await context.read(
        seat.id,
        lambda connection: reconciliation.compare(
            connection,
            seat.id,
            message.batch,
            items,
            after=None if message.after is None else UUID(bytes=message.after),
            last=message.last,
            now=context.now(),
            most=MAX_UPLOAD,
        ),
    )
    return replied(
        context,
        messages.BatchUploadReply,
        message,
        0,
        results=[
            messages.BatchResult(
                id=result.txid.bytes,
                outcome=result.outcome,
                kind=result.kind,
                code=result.code,
                points=result.points,
                booked=None if result.booked is None else result.booked.isoformat(),
            )
            for result in compared.results
        ],
        through=None if compared.through is None else compared.through.bytes,
    )
