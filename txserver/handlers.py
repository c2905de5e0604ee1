"""What becomes of each message. Plain functions; they know neither sockets nor frames.

Most messages are one posting: a function makes it of the message, another the reply of its outcome,
and neither waits. The others are work: they read or write something rare and slow on a thread.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ledger import postings
from ledger.books import NoOpenDay
from ledger.database import DatabaseAway
from ledger.postings import Code, Outcome
from ledger.terminals import TerminalSeat
from protocol import messages
from protocol.credentials import CredentialError
from txserver import answers_batches, answers_inquiries, answers_sales, answers_terminal
from txserver.answering import replied
from txserver.batcher import NotRecorded
from txserver.context import Context

__all__ = ["POSTINGS", "Posting", "card_unknown", "not_recorded", "work"]

NOT_RECORDED = 1811

Worker = Callable[[Context, TerminalSeat, Any], Awaitable[messages.Reply]]


@dataclass(frozen=True, slots=True)
class Posting:
    """The two halves of a message that is one posting. `ask` raises CredentialError."""

    ask: Callable[[Context, TerminalSeat, Any], postings.Request]
    tell: Callable[[Context, TerminalSeat, Any, Outcome], messages.Reply]
    reply: type[messages.Reply]


POSTINGS: dict[type[messages.Request], Posting] = {
    messages.Redeem: Posting(answers_sales.redeem, answers_sales.redeemed, messages.RedeemReply),
    messages.Hold: Posting(answers_sales.hold, answers_sales.held, messages.HoldReply),
    messages.Capture: Posting(answers_sales.capture, answers_sales.captured, messages.CaptureReply),
    messages.Release: Posting(answers_sales.release, answers_sales.released, messages.ReleaseReply),
    messages.Refund: Posting(answers_sales.refund, answers_sales.refunded, messages.RefundReply),
    messages.ReversalAdvice: Posting(
        answers_sales.reverse, answers_sales.reversed_, messages.ReversalAdviceReply
    ),
    messages.TransactionStatus: Posting(
        answers_sales.ask_status, answers_sales.tell_status, messages.TransactionStatusReply
    ),
    messages.BalanceInquiry: Posting(
        answers_inquiries.ask_balance, answers_inquiries.tell_balance, messages.BalanceInquiryReply
    ),
    messages.PinChange: Posting(
        answers_inquiries.change_pin, answers_inquiries.pin_changed, messages.PinChangeReply
    ),
}

_WORK: dict[type[messages.Request], tuple[Worker, type[messages.Reply]]] = {
    messages.ConsumptionInquiry: (answers_inquiries.consumption, messages.ConsumptionInquiryReply),
    messages.Catalogue: (answers_terminal.catalogue, messages.CatalogueReply),
    messages.KeyChange: (answers_terminal.key_change, messages.KeyChangeReply),
    messages.Echo: (answers_terminal.echo, messages.EchoReply),
    messages.Reconciliation: (answers_batches.reconcile, messages.ReconciliationReply),
    messages.BatchUpload: (answers_batches.batch_upload, messages.BatchUploadReply),
}


async def work(context: Context, seat: TerminalSeat, message: messages.Request) -> messages.Reply:
    """The reply to a message that is no posting, and none of Login, Enrol and Logout.

    When the database is away or no day is open the reply says that nothing was recorded.
    """
    worker, _ = _WORK[type(message)]
    try:
        return await worker(context, seat, message)
    except CredentialError:
        return card_unknown(context, message)
    except (NotRecorded, DatabaseAway, NoOpenDay):
        return not_recorded(context, message)


def card_unknown(context: Context, message: messages.Request) -> messages.Reply:
    """What the card says is not ours: there is no account to record that under."""
    return replied(context, _reply_type(message), message, Code.CARD_UNKNOWN)


def not_recorded(context: Context, message: messages.Request) -> messages.Reply:
    """Code 1811: nothing is known to be recorded, and a repeat under the same id is always right."""
    return replied(context, _reply_type(message), message, NOT_RECORDED)


def _reply_type(message: messages.Request) -> type[messages.Reply]:
    posting = POSTINGS.get(type(message))
    return posting.reply if posting is not None else _WORK[type(message)][1]
