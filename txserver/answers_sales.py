"""Everything that moves or reserves points: each message becomes one posting, and its outcome the reply.

What is asked of the books is in the present tense, what a terminal is told afterwards in the past.
Nothing here waits, and `opened` raises CredentialError for a card that does not open.
"""

from collections.abc import Callable
from datetime import UTC
from typing import Any, TypeAlias
from uuid import UUID

from ledger import postings
from ledger.postings import Code, Outcome, TransactionRow, approval_number
from ledger.terminals import TerminalSeat
from protocol import messages
from txserver.answering import NAME_SHOWN, opened, posted, proof, traced
from txserver.context import Context, millis

Lines: TypeAlias = Callable[[TransactionRow], list[str]]

__all__ = [
    "ask_status", "capture", "captured", "held", "hold", "redeem", "redeemed", "refund", "refunded",
    "release", "released", "reverse", "reversed_", "tell_status",
]  # fmt: skip

_WITH_APPROVAL = ("redeem", "hold", "capture", "refund")  # kinds whose reply carries an approval number
_ENDED = {"capture": "captured", "release": "released", "lapse": "expired", "reversal": "reversed"}


def redeem(context: Context, seat: TerminalSeat, message: messages.Redeem) -> postings.Redeem:
    return postings.Redeem(**_spending(context, seat, message))


def redeemed(
    context: Context, seat: TerminalSeat, message: messages.Redeem, outcome: Outcome
) -> messages.Reply:
    return posted(
        context,
        messages.RedeemReply,
        message,
        outcome,
        points=outcome.points,
        balance=outcome.balance,
        **_printed(seat, outcome, lambda row: [_sold(row), f"-{row.points} points"]),
    )


def hold(context: Context, seat: TerminalSeat, message: messages.Hold) -> postings.Hold:
    return postings.Hold(**_spending(context, seat, message), seconds=message.hold_s)


def held(context: Context, seat: TerminalSeat, message: messages.Hold, outcome: Outcome) -> messages.Reply:
    return posted(
        context,
        messages.HoldReply,
        message,
        outcome,
        points=outcome.points,
        balance=outcome.balance,
        expires_at=None if outcome.expires_at is None else millis(outcome.expires_at),
        **_printed(seat, outcome, _reserved),
    )


def capture(context: Context, seat: TerminalSeat, message: messages.Capture) -> postings.Capture:
    return postings.Capture(
        **traced(seat, message, opened(context, message)),
        hold=UUID(bytes=message.hold),
        points=message.amount,
        reference=message.reference,
    )


def captured(
    context: Context, seat: TerminalSeat, message: messages.Capture, outcome: Outcome
) -> messages.Reply:
    return posted(
        context,
        messages.CaptureReply,
        message,
        outcome,
        points=outcome.points,
        released=outcome.rest or 0,
        balance=outcome.balance,
        **_printed(seat, outcome, lambda row: [_sold(row), f"-{row.points} points", *_freed(row)]),
    )


def release(context: Context, seat: TerminalSeat, message: messages.Release) -> postings.Release:
    return postings.Release(**traced(seat, message, opened(context, message)), hold=UUID(bytes=message.hold))


def released(
    context: Context, seat: TerminalSeat, message: messages.Release, outcome: Outcome
) -> messages.Reply:
    return posted(
        context,
        messages.ReleaseReply,
        message,
        outcome,
        points=outcome.points,
        balance=outcome.balance,
    )


def refund(context: Context, seat: TerminalSeat, message: messages.Refund) -> postings.Refund:
    return postings.Refund(
        **traced(seat, message, opened(context, message)),
        original=UUID(bytes=message.original),
        seller=seat.id if message.terminal is None else message.terminal,
        points=message.amount,
        reference=message.reference,
    )


def refunded(
    context: Context, seat: TerminalSeat, message: messages.Refund, outcome: Outcome
) -> messages.Reply:
    return posted(
        context,
        messages.RefundReply,
        message,
        outcome,
        points=outcome.points,
        remaining=outcome.rest,
        balance=outcome.balance,
        **_printed(seat, outcome, lambda row: [f"Refund of {row.detail}", f"+{row.points} points"]),
    )


def reverse(context: Context, seat: TerminalSeat, message: messages.ReversalAdvice) -> postings.Reversal:
    return postings.Reversal(
        **traced(seat, message, opened(context, message)),
        original=UUID(bytes=message.original),
        reason=message.reason,
    )


def reversed_(
    context: Context, seat: TerminalSeat, message: messages.ReversalAdvice, outcome: Outcome
) -> messages.Reply:
    return posted(
        context,
        messages.ReversalAdviceReply,
        message,
        outcome,
        outcome=outcome.detail,
        points=outcome.points,
        balance=outcome.balance,
    )


def ask_status(context: Context, seat: TerminalSeat, message: messages.TransactionStatus) -> postings.Status:
    token = opened(context, message)
    return postings.Status(
        slot=token.slot,
        account=token.account,
        terminal=seat.id,
        txid=UUID(bytes=message.id),
        original=UUID(bytes=message.original),
        fence=message.fence,
    )


def tell_status(
    context: Context, seat: TerminalSeat, message: messages.TransactionStatus, outcome: Outcome
) -> messages.Reply:
    row = outcome.transaction
    if row is None:
        return posted(context, messages.TransactionStatusReply, message, outcome)
    approved = row.code == Code.APPROVED and row.kind in _WITH_APPROVAL
    return posted(
        context,
        messages.TransactionStatusReply,
        message,
        outcome,
        original_code=row.code,
        approval=approval_number(row.id) if approved else None,
        points=row.points,
        balance=row.balance,
        reversed=row.reversed,
        kind=row.kind,
        refunded=row.refunded,
        ended=None if row.ended is None else _ENDED[row.ended],
    )


# ---- pieces -------------------------------------------------------------------------------------


def _spending(
    context: Context, seat: TerminalSeat, message: messages.Redeem | messages.Hold
) -> dict[str, Any]:
    token = opened(context, message)
    return {
        **traced(seat, message, token),
        "card": token.card,
        "issue": token.issue,
        "service": message.service,
        "quantity": message.quantity,
        "amount": message.amount,
        "pin_proof": proof(context, token, message.pin),
        "reference": message.reference,
    }


def _printed(seat: TerminalSeat, outcome: Outcome, lines: Lines) -> dict[str, Any]:
    """Approval number and receipt of what was approved. A receipt is made from the recorded row alone,
    so that a repeat prints the same one."""
    row = outcome.transaction
    if outcome.code is not Code.APPROVED or row is None:
        return {}
    approval = approval_number(row.id)
    head = f"{seat.merchant[:NAME_SHOWN]} · {seat.store[:NAME_SHOWN]}"
    return {
        "approval": approval,
        "receipt": [head, *lines(row), f"Balance {row.balance}", f"No. {approval}"],
    }


def _sold(row: TransactionRow) -> str:
    return f"{row.detail} × {row.quantity}"


def _reserved(row: TransactionRow) -> list[str]:
    lines = [_sold(row), f"{row.points} points held"]
    if row.expires_at is not None:
        lines.append(f"until {row.expires_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC")
    return lines


def _freed(row: TransactionRow) -> list[str]:
    return [f"{row.rest} points released"] if row.rest else []
