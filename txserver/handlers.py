"""A message in, the ledger asked, a reply out. Plain functions; they know neither sockets nor frames.

Postings go through the batcher; rare and slow reads run on a thread with a pooled connection.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from ledger.books import NoOpenDay
from ledger.database import DatabaseAway
from ledger.postings import Code
from ledger.terminals import TerminalSeat
from protocol import messages
from protocol.credentials import CredentialError
from txserver import answers_batches, answers_inquiries, answers_sales, answers_terminal
from txserver.answering import replied
from txserver.batcher import NotRecorded
from txserver.context import Context

__all__ = ["answer", "not_recorded"]

NOT_RECORDED = 1811

Handler = Callable[[Context, TerminalSeat, Any], Awaitable[messages.Reply]]


async def answer(context: Context, seat: TerminalSeat, message: messages.Request) -> messages.Reply:
    """The reply to any request but Login, Enrol and Logout, which belong to the conversation.

    When the database is away or no day is open the reply says that nothing was recorded.
    """
    handler, reply_type = _HANDLERS[type(message)]
    try:
        return await handler(context, seat, message)
    except CredentialError:
        return replied(context, reply_type, message, Code.CARD_UNKNOWN)
    except (NotRecorded, DatabaseAway, NoOpenDay):
        return not_recorded(context, message)


def not_recorded(context: Context, message: messages.Request) -> messages.Reply:
    """Code 1811: nothing is known to be recorded, and a repeat under the same id is always right."""
    return replied(context, _HANDLERS[type(message)][1], message, NOT_RECORDED)


_HANDLERS: dict[type[messages.Request], tuple[Handler, type[messages.Reply]]] = {
    messages.Redeem: (answers_sales.redeem, messages.RedeemReply),
    messages.Hold: (answers_sales.hold, messages.HoldReply),
    messages.Capture: (answers_sales.capture, messages.CaptureReply),
    messages.Release: (answers_sales.release, messages.ReleaseReply),
    messages.Refund: (answers_sales.refund, messages.RefundReply),
    messages.ReversalAdvice: (answers_sales.reversal, messages.ReversalAdviceReply),
    messages.TransactionStatus: (answers_sales.status, messages.TransactionStatusReply),
    messages.BalanceInquiry: (answers_inquiries.balance, messages.BalanceInquiryReply),
    messages.ConsumptionInquiry: (answers_inquiries.consumption, messages.ConsumptionInquiryReply),
    messages.PinChange: (answers_inquiries.pin_change, messages.PinChangeReply),
    messages.Catalogue: (answers_terminal.catalogue, messages.CatalogueReply),
    messages.KeyChange: (answers_terminal.key_change, messages.KeyChangeReply),
    messages.Echo: (answers_terminal.echo, messages.EchoReply),
    messages.Reconciliation: (answers_batches.reconcile, messages.ReconciliationReply),
    messages.BatchUpload: (answers_batches.batch_upload, messages.BatchUploadReply),
}
